"""An end to what the drivers of others read: they take an answer whole, however long it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

LONGEST: Final = 8 << 20
"""Longest answer that is taken by those who have no setting for it, in bytes."""
CURE: Final = "ask for less at a time: lower bulk, or parallel"


class TooLong(OSError):
    """More has come than can be right; the text says so."""


class Allowance:
    """How much may be under way on all the connections of an adapter together, in bytes.

    line  what a driver needs for each line beside its bytes, where it makes something of each
    """

    def __init__(self, limit: int, *, line: int = 0) -> None:
        self.limit = limit
        self.line = line
        self.used = 0


class Bounded(asyncio.Protocol):
    """Stands between a connection and the driver that reads from it, and cuts it off where the allowance ends.

    Whatever comes counts until it is `settled`.
    """

    def __init__(self, transport: Any, allowance: Allowance) -> None:
        self._transport = transport
        self._driver = transport.get_protocol()
        self._allowance = allowance
        self._unsettled = 0
        self._cut = False
        transport.set_protocol(self)

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Around the wait for one answer: as `reading`, and what has come is settled then."""
        try:
            with self.reading():
                yield
        finally:
            self.settled()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around what the driver does. Raises TooLong in place of what it makes of the cut."""
        try:
            yield
        except Exception as error:
            if not self._cut:
                raise
            # Not with the driver's error, whose frames hold what has come.
            error.__traceback__ = None
            raise TooLong(f"the answers under way are together longer than {self._allowance.limit} bytes") from None

    def settled(self) -> None:
        """What has come was for somebody, and is dealt with."""
        self._allowance.used -= self._unsettled
        self._unsettled = 0

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self._cut:
            return
        cost = len(data) + (self._allowance.line and self._allowance.line * data.count(b"\n"))
        self._unsettled += cost
        self._allowance.used += cost
        if self._allowance.used <= self._allowance.limit:
            self._driver.data_received(data)
            return
        self._cut = True
        self.settled()
        self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._driver.eof_received()  # type: ignore[no-any-return]

    def pause_writing(self) -> None:
        self._driver.pause_writing()

    def resume_writing(self) -> None:
        self._driver.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self.settled()
        self._driver.connection_lost(error)
