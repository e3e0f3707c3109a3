"""What the contexts have in common: how a command is checked, refused, and done once for each key."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import asyncpg
from aiohttp import web

from shop.knobs import ShopKnobs
from shop.store import Look, Store, Work
from stand_in.web import Unusable, json_object

EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]+(\.[\w-]+)*\.[a-z]{2,}")
NAME: Final = re.compile(r"[^\W\d_][^\d_@]{1,79}")
PHONE: Final = re.compile(r"\+?[0-9][0-9 -]{6,18}")
SKU: Final = re.compile(r"[A-Z]{3}-[0-9A-Za-z-]{6,40}")
ZIP: Final = re.compile(r"[0-9]{5}")
TEXT: Final = re.compile(r"\S.{1,119}")
TOKEN: Final = re.compile(r"[\w-]{1,80}")


class Body:
    """What a command says. Each of these raises Unusable (422) where a field isn't what it has to be."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, shape: re.Pattern[str]) -> str:
        """A text of that shape."""
        value = self._values.get(name)
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise Unusable(f"{name} is {value!r}; write a text such as {_EXAMPLES[shape]}")
        return value

    def one_of(self, name: str, *values: str) -> str:
        """One of these texts."""
        value = self._values.get(name)
        if value not in values:
            raise Unusable(f"{name} is {value!r}; write one of {', '.join(values)}")
        return str(value)

    def count(self, name: str, least: int, most: int) -> int:
        """A whole number."""
        value = self._values.get(name)
        if type(value) is not int or not least <= value <= most:
            raise Unusable(f"{name} is {value!r}; write a whole number from {least} to {most}")
        return value

    def amount(self, name: str) -> float:
        """An amount of money, in cents at most."""
        value = self._values.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
            raise Unusable(f"{name} is {value!r}; write an amount above 0, such as 19.99")
        if abs(round(value, 2) - value) > 1e-9:
            raise Unusable(f"{name} is {value!r}; write no more than cents, such as 19.99")
        return round(float(value), 2)


class Refused(Unusable):
    """The command is in order, and not now: 409."""

    def __init__(self, said: str) -> None:
        super().__init__(said, status=409)


class Context:
    """One of the five. `name` is that of its stream and of its views."""

    name: str

    def __init__(self, store: Store, knobs: ShopKnobs) -> None:
        self._store, self._knobs = store, knobs

    @asynccontextmanager
    async def _work(self, request: web.Request) -> AsyncIterator[Work]:
        async with self._store.work(correlation(request)) as work:
            yield work

    async def _once(
        self,
        request: web.Request,
        create: Callable[[Work, str], Awaitable[dict[str, Any]]],
        found: Callable[[Look, str], Awaitable[dict[str, Any]]],
    ) -> web.Response:
        """201 with what was created; 200 with what was, where the Idempotency-Key is known. Raises Unusable."""
        key = request.headers.get("Idempotency-Key")
        made = f"{self.name}-{uuid4()}"
        async with self._work(request) as work:
            if key and self._knobs.idempotent:
                # Of two at once the second waits here until the first is committed.
                sql = "INSERT INTO keys VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING made"
                whose = f"{self.name} {key}"
                if await work.row(sql, whose, made) is None:
                    before = await work.row("SELECT made FROM keys WHERE key = $1", whose)
                    shown = await found(work, before["made"])
                    return web.json_response(shown, headers={"Idempotent-Replayed": "true"})
            try:
                shown = await create(work, made)
            except asyncpg.UniqueViolationError as known:
                raise Refused(f"there is one already: {known.detail}") from known
        return web.json_response(shown, status=201)


async def body_of(request: web.Request) -> Body:
    """What a command says. Raises Unusable."""
    return Body(await json_object(request))


def correlation(request: web.Request) -> str:
    """By which whoever asks knows the request again."""
    return request.headers.get("X-Correlation-ID", "")


def there(row: Any, what: str) -> Any:
    """A row. Raises Unusable (404) where there is none."""
    if row is None:
        raise Unusable(f"there is no such {what}", status=404)
    return row


_EXAMPLES: Final = {
    EMAIL: "ada@example.com", NAME: "Ada Lovelace", PHONE: "+1-202-555-0123", SKU: "SKU-0f3a91bc", ZIP: "01234",
    TEXT: "12 Elm Street", TOKEN: "order-7",
}  # fmt: skip
