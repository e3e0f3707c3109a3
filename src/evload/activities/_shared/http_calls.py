"""Requests by which something is done, each of which is answered as expected or has failed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from ...clients.bodies import beginning, field
from ...clients.credentials.headers import Fill, LiveHeaders
from ...clients.http_asking import Answered, Asker, NoAnswer, open_asker
from ...clients.proxies import through
from ...clients.web import Answer, excerpt
from ...model.statuses import expand_statuses
from ...spi.context import Surroundings
from .failing import Failed
from .http_address import Address

MAX_BODY: Final = 1 << 20
"""Bytes of an answer that are read. What is done is said in few."""
DONE: Final = expand_statuses(("2xx",))
_SHOWN: Final = 1024
_REQUEST_TIMEOUT: Final = 408


class Calls:
    """Requests to one server."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def call(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        lines: str = "",
        *,
        expected: Collection[int] = DONE,
    ) -> Answered:
        """Make one. `lines` are further headers. Raises Failed if the answer is another than expected, or none."""
        try:
            answered = await self._asker.ask(method, target, body, lines)
        except NoAnswer as failure:
            raise Failed(str(failure), in_doubt=failure.sent) from None
        if answered.status not in expected:
            raise Failed(_said(answered), in_doubt=may_have_had_effect(answered.status))
        return answered

    def answer(self, answered: Answered) -> Answer:
        """The answer as expressions see it. Raises Failed if its body can't be read."""
        try:
            return Answer(answered.status, answered.headers, self._asker.body_of(answered))
        except NoAnswer as failure:
            raise Failed(f"it is done, but its answer can't be read: {failure}", in_doubt=True) from None

    def document(self, answered: Answered) -> Any:
        """The JSON of an answer. Raises Failed if it has none."""
        try:
            return Answer(answered.status, answered.headers, self._asker.body_of(answered)).get("body")
        except (NoAnswer, ValueError) as error:
            raise Failed(str(error)) from None


def may_have_had_effect(status: int) -> bool:
    """Whether what was asked for may have been done all the same: it wasn't where a server refused it."""
    return not 400 <= status < 500 or status == _REQUEST_TIMEOUT


@asynccontextmanager
async def open_calls(
    address: Address,
    surroundings: Surroundings,
    headers: Mapping[str, str],
    *,
    timeout_ns: int,
    proxy: str | None = None,
    ca_file: Path | None = None,
    verify: bool = True,
    heeds: bool = True,
    max_body: int = MAX_BODY,
) -> AsyncIterator[Calls]:
    """Yield what makes requests there; nothing is asked yet.

    heeds  what is refused for secrets is asked once more with newer ones
    Raises TargetError if `ca_file` is no use, or a secret could not be had.
    """
    made = {}
    if address.login is not None:
        user, password = (unquote(part) for part in address.login)

        def login(fill: Fill) -> str:
            return "Basic " + b64encode(f"{fill(user)}:{fill(password)}".encode()).decode()

        made["authorization"] = login
    live = LiveHeaders.of(headers, surroundings.secrets, made, heeds=heeds)
    async with open_asker(
        through(address.endpoint, proxy), surroundings.base_dir, surroundings.clock, headers,
        ca_file=ca_file, verify=verify, timeout_ns=timeout_ns, max_body=max_body, live=live,
    ) as asker:  # fmt: skip
        yield Calls(asker)


def _said(answered: Answered) -> str:
    """What was answered, in one line."""
    codings, kind = field(answered.headers, b"content-encoding"), field(answered.headers, b"content-type")
    text = excerpt(beginning(answered.body, codings, kind, _SHOWN), 200)
    if not text and 300 <= answered.status < 400 and (place := field(answered.headers, b"location")):
        text = f"to {place[:200]}, and redirects aren't followed"
    return f"HTTP {answered.status}: {text}" if text else f"HTTP {answered.status}"
