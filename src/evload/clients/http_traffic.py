"""Lets somebody look on at what an HTTP client sends, and at the answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from ..clock import Clock
from ..spi.traffic import Exchange, Message, Traffic
from . import bodies, http_wire
from .web import Answer

_SHOWN: Final = 1 << 16
"""So much of a body is kept for whoever looks on, also where the adapter needs less, in bytes."""


class WatchedListener:
    """Stands between the connections and their listener, who is told the very same."""

    def __init__(self, listener: http_wire.Listener, traffic: Traffic, clock: Clock) -> None:
        self._listener = listener
        self._traffic = traffic
        self._clock = clock

    def answered(
        self,
        exchange: http_wire.Exchange,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        at_ns: int,
    ) -> None:
        """See `http_wire.Listener`."""
        start_ns = exchange.queued_ns if exchange.sent_ns is None else exchange.sent_ns
        request = tuple(exchange.request)
        self._traffic.exchanged(
            Exchange(start_ns, at_ns, lambda: _sent(request), lambda: _came(status, headers, body))
        )
        kept = body[: self._listener.body_limit(exchange, status)]
        self._listener.answered(exchange, status, headers, kept, at_ns)

    def failed(self, exchange: http_wire.Exchange, reason: str) -> None:
        """See `http_wire.Listener`."""
        now_ns = self._clock.now_ns()
        request = tuple(exchange.request)
        if exchange.sent_ns is None:
            self._traffic.exchanged(Exchange(exchange.queued_ns, now_ns, None, None, reason))
        else:
            self._traffic.exchanged(Exchange(exchange.sent_ns, now_ns, lambda: _sent(request), None, reason))
        self._listener.failed(exchange, reason)

    def body_limit(self, exchange: http_wire.Exchange, status: int) -> int:
        """See `http_wire.Listener`."""
        return max(self._listener.body_limit(exchange, status), _SHOWN)


def _sent(request: Sequence[bytes]) -> Message:
    head, _, body = b"".join(request).partition(b"\r\n\r\n")
    return Message("\n".join(head.decode("utf-8", "replace").split("\r\n")), body)


def _came(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Message:
    lines = [f"HTTP {status}"]
    lines += [f"{name.decode('latin-1').lower()}: {value.decode('latin-1')}" for name, value in headers]
    with suppress(bodies.Garbled):  # then it is shown as it came
        body = bodies.unpacked(body, bodies.field(headers, b"content-encoding"), _SHOWN)

    def document() -> Any:
        return Answer(status, headers, body).as_dict()

    return Message("\n".join(lines), body, document)
