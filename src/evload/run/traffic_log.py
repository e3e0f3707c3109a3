"""What a run sends and what comes back, written down in samples, without secrets: `evload run --verbose`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import orjson

from ..clock import Clock, rfc3339
from ..spi.traffic import Exchange, Message, Traffic
from ..units import NS_PER_S
from .shown_traffic import Redact, shown, without_secrets

FIRST: Final = 50
"""So many exchanges of each adapter are written down at the beginning; then one a second, and one that failed."""
_MOST: Final = 64 << 20
"""Longest file, in bytes."""


class TrafficLog:
    """A file with a line of JSON for each exchange that is written down.

    The load waits for none of it: lines are made and written in a thread of their own.

    trouble  why nothing more is written; None while it is
    """

    def __init__(self, path: Path, clock: Clock, redact: Redact) -> None:
        self.trouble: str | None = None
        self._path = path
        self._clock = clock
        self._redact = redact
        self._size = 0
        self._waiting: SimpleQueue[tuple[str, Exchange, int] | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="evload-traffic", daemon=True)
        self._writer.start()

    def of(self, who: str) -> Traffic:
        """Looks on at one adapter, which is called so."""
        return _Sampler(lambda exchange, left_out: self._waiting.put((who, exchange, left_out)))

    def close(self) -> None:
        """Write what is left."""
        self._waiting.put(None)
        self._writer.join()

    def _write_all(self) -> None:
        while (one := self._waiting.get()) is not None:
            # What can't be written is let go of all the same.
            if self.trouble is None:
                self._write(self._line(*one))

    def _write(self, line: dict[str, Any]) -> None:
        written = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if self._size + len(written) > _MOST:
            self.trouble = f"{self._path.name} ends early: it would be longer than {_MOST >> 20} MiB"
            return
        try:
            # A line at a time, so that the file can be read while the run goes on.
            with self._path.open("ab", buffering=0) as file:
                self._size += file.write(written)
        except OSError as error:
            self.trouble = f"{self._path.name} is cut short: {error.strerror}; free some space"

    def _line(self, who: str, exchange: Exchange, left_out: int) -> dict[str, Any]:
        return {
            "at": rfc3339(self._clock.wall(exchange.start_ns)),
            "took": (exchange.end_ns - exchange.start_ns) / NS_PER_S,
            "who": who,
            "sent": self._message(exchange.sent),
            "came": self._message(exchange.came),
            "error": without_secrets(exchange.error, self._redact),
            "left_out": left_out,
        }

    def _message(self, make: Callable[[], Message] | None) -> dict[str, Any] | None:
        return None if make is None else shown(make(), self._redact)._asdict()


class _Sampler:
    """Picks what is written down of one adapter."""

    def __init__(self, take: Callable[[Exchange, int], None]) -> None:
        self._take = take
        self._first = FIRST
        self._next_ns = [0, 0]
        """When the next one may be written down that was answered, and the next one that was not."""
        self._left_out = 0

    def exchanged(self, exchange: Exchange) -> None:
        """See `Traffic`."""
        failed = bool(exchange.error)
        if self._first:
            self._first -= 1
        elif exchange.end_ns >= self._next_ns[failed]:
            self._next_ns[failed] = exchange.end_ns + NS_PER_S
        else:
            self._left_out += 1
            return
        self._take(exchange, self._left_out)
        self._left_out = 0

    def found(self, name: str, expression: str, document: Any, value: Any) -> None:
        """See `Traffic`. The answer says it."""
