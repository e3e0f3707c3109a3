"""Speaks the publish endpoint of RabbitMQ's management API: what goes around an event, and what the answer means.

POST /api/exchanges/VHOST/EXCHANGE/publish
{"properties": {...}, "routing_key": "...", "payload": "...", "payload_encoding": "string"} -> {"routed": true}
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import ClassVar, Final
from urllib.parse import unquote

import orjson

from ...clients.http_wire import Client, Exchange
from ...clients.web import Endpoint, excerpt
from ...clock import Clock
from ...errors import TargetError
from ...model.states import Outcome
from ...model.travel import Event
from .settings import RabbitmqApi

_PERSISTENT: Final = 2
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_BODY_LIMIT: Final = 1024
_LONG_NS: Final = 3_600_000_000_000


class Envelope:
    """Puts events into the JSON that the endpoint takes."""

    HEADERS: ClassVar[Sequence[tuple[str, str]]] = (("content-type", "application/json"),)

    def __init__(self, api: RabbitmqApi) -> None:
        self._properties = api.properties
        self._routing_key = api.routing_key
        self._templated = "{" in api.routing_key

    def around(self, event: Event) -> bytes:
        """The request's body."""
        # Of the modes that the endpoint takes, events have no header but their content type.
        about = {name.replace("-", "_"): value for name, value in event.headers}
        ids = {"message_id": event.correlation_id, "correlation_id": event.correlation_id}
        return orjson.dumps(
            {
                "properties": {**about, "delivery_mode": _PERSISTENT, **ids, **self._properties},
                "routing_key": event.extras[-1] if self._templated else self._routing_key,
                "payload": event.body.decode(),
                "payload_encoding": "string",
            }
        )


def routed(body: bytes) -> tuple[Outcome, str]:
    """What a success says about the event: it is in a queue, or there was none for it."""
    try:
        found = orjson.loads(body)["routed"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Outcome.IN_DOUBT, f"the answer doesn't say whether it was routed: {excerpt(body) or 'no text'}"
    return (Outcome.ACCEPTED, "") if found is True else (Outcome.RETURNED, "NO_ROUTE")


class _Asker:
    """Waits for one answer."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        if not self.status.done():
            self.status.set_result(status)

    def failed(self, exchange: Exchange, reason: str) -> None:
        if not self.status.done():
            self.status.set_exception(ConnectionError(reason))

    def body_limit(self, exchange: Exchange, status: int) -> int:
        return _BODY_LIMIT


async def find_exchange(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None,
    clock: Clock,
    request: Callable[[str], tuple[bytes, ...]],
    timeout_ns: int,
) -> None:
    """Ask for the exchange before anything is published. Raises TargetError if it isn't there for this login.

    `request` makes the request that asks for a path.
    """
    path = endpoint.target.removesuffix("/publish")
    vhost, exchange = (unquote(part) for part in path.split("/")[-2:])
    asker = _Asker()
    client = Client(endpoint, tls, clock, asker, connections=1, timeout_ns=timeout_ns, max_idle_ns=_LONG_NS)
    try:
        client.submit([Exchange(request(path), None, clock.now_ns())])
        status = await asker.status
    except ConnectionError as error:
        raise TargetError(f"no answer by {endpoint.shown}: {error}; look after the broker, or correct url") from None
    finally:
        await client.close()
    where = f"the management API at {endpoint.authority}"
    if status == _UNAUTHORIZED:
        raise TargetError(f"{where} refuses the login; correct it, and give the user the tag management")
    if status == _NOT_FOUND:
        raise TargetError(
            f"{where} knows no exchange {exchange!r} in virtual host {vhost!r}; create it, or correct url"
        )
    if status != 200:
        raise TargetError(f"{where} answers HTTP {status} when asked for exchange {exchange!r}; correct url")
