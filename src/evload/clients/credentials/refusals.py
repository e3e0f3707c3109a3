"""Sends once more what was refused for its credentials, with newer ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ..http_wire import Exchange, Listener
from .headers import REFUSED, LiveHeaders

Send = Callable[[Exchange], None]
"""Sends an exchange again. What becomes of it is told as of any."""

_LONGEST_S: Final = 30.0
"""For a renewal: what was refused waits for it, and may not wait for ever."""


class _First(NamedTuple):
    """A refused attempt, as it was answered."""

    exchange: Exchange
    sent_ns: int | None
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    at_ns: int


class Refusals:
    """Stands between connections and their listener.

    A request that is refused had no effect, so that it may be sent again: once, and only if there are other
    credentials than those that it was sent with. All that are refused meanwhile wait for the same renewal. Of what
    was sent twice the listener is told the answer to the second attempt, and when it was first sent.

    heeds  says of an exchange that got a 401 whether that refuses the live headers; without it, it does of all
    """

    def __init__(
        self,
        listener: Listener,
        live: LiveHeaders,
        send: Send,
        heeds: Callable[[Exchange], bool] = lambda exchange: True,
    ) -> None:
        self._listener = listener
        self._live = live
        self._send = send
        self._heeds = heeds
        self._held: list[_First] = []
        self._again: dict[Exchange, _First] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        """See `http_wire.Listener`."""
        first = self._again.pop(exchange, None)
        if first is None and status == REFUSED and not self._closed and self._heeds(exchange):
            self._held.append(_First(exchange, exchange.sent_ns, status, headers, body, at_ns))
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew())
            return
        if first is not None:
            exchange.sent_ns = first.sent_ns
            exchange.past = f"accepted after HTTP {REFUSED}, once"
        self._listener.answered(exchange, status, headers, body, at_ns)

    def failed(self, exchange: Exchange, reason: str) -> None:
        """See `http_wire.Listener`. What wasn't sent again stays refused."""
        first = self._again.pop(exchange, None)
        if first is None:
            self._listener.failed(exchange, reason)
        elif exchange.sent_ns is None:
            self._tell(first)
        else:
            exchange.sent_ns = first.sent_ns
            self._listener.failed(exchange, reason)

    def body_limit(self, exchange: Exchange, status: int) -> int:
        """See `http_wire.Listener`."""
        return self._listener.body_limit(exchange, status)

    def forget(self, exchange: Exchange) -> None:
        """What became of it is told by somebody else."""
        self._again.pop(exchange, None)

    def close(self) -> None:
        """Nothing is sent again any more: what waits for that stays refused."""
        self._closed = True
        if self._renewing is not None:
            self._renewing.cancel()
        held, self._held = self._held, []
        for first in held:
            self._tell(first)

    async def _renew(self) -> None:
        try:
            # Those of a connection that has just brought the refusal can't be sent before it is idle.
            await asyncio.sleep(0)
            while self._held:
                if any(self._is_of_the_moment(first) for first in self._held):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LONGEST_S):
                            await self._live.refused()
                held, self._held = self._held, []
                for first in held:
                    if self._is_of_the_moment(first):
                        self._tell(first)
                    else:
                        self._send_again(first)
        finally:
            # Not later: what is refused from now on needs a task of its own.
            self._renewing = None

    def _is_of_the_moment(self, first: _First) -> bool:
        head = first.exchange.request[0]
        return self._live.renewed(head, first.exchange.own_headers) == head

    def _send_again(self, first: _First) -> None:
        exchange = first.exchange
        head, *rest = exchange.request
        exchange.request = (self._live.renewed(head, exchange.own_headers), *rest)
        exchange.sent_ns = None
        self._again[exchange] = first
        self._send(exchange)

    def _tell(self, first: _First) -> None:
        first.exchange.sent_ns = first.sent_ns
        self._listener.answered(first.exchange, first.status, first.headers, first.body, first.at_ns)
