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
    cut   some connection was cut off where it ended
    """

    def __init__(self, limit: int, *, line: int = 0) -> None:
        self.limit = limit
        self.line = line
        self.used = 0
        self.cut = False


class Bounded(asyncio.Protocol):
    """Stands between a connection and the driver that reads from it, and cuts it off where the allowance ends.

    Whatever comes counts until it is `settled`.
    """

    def __init__(self, transport: Any, allowance: Allowance) -> None:
        self._transport = transport
        self._driver = transport.get_protocol()
        self._allowance = allowance
        self._unsettled = 0
        self.cut = False
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
        with _told(self._allowance, self):
            yield

    def settled(self, allowance: Allowance | None = None) -> None:
        """What has come was for somebody, and is dealt with. From now on another allowance holds, if it is given."""
        self._allowance.used -= self._unsettled
        self._unsettled = 0
        self._allowance = allowance or self._allowance

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self.cut:
            return
        cost = len(data) + (self._allowance.line and self._allowance.line * data.count(b"\n"))
        self._unsettled += cost
        self._allowance.used += cost
        if self._allowance.used <= self._allowance.limit:
            self._driver.data_received(data)
            return
        self.cut = self._allowance.cut = True
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
        driver, self._driver = self._driver, asyncio.Protocol()
        # They'd keep each other, and with them what the driver has made of what came.
        driver.connection_lost(error)


@contextmanager
def _told(allowance: Allowance, connection: Bounded | Allowance) -> Iterator[None]:
    """Raises TooLong in place of what a driver makes of it that the connection was cut."""
    try:
        yield
    except Exception as error:
        if not connection.cut:
            raise
        # Not with the driver's error, whose frames hold what has come.
        error.__traceback__ = None
        raise TooLong(f"the answers under way are together longer than {allowance.limit} bytes") from None


class BoundedLoop:
    """The event loop for a driver that takes one: what it connects is bounded from the other side's first word on.

    The driver's transport has the `bounded` that stands before its protocol at the time.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._loop = asyncio.get_running_loop()
        self._allowance = allowance

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Around what the driver does to connect. Raises TooLong in place of what it makes of a cut."""
        with _told(self._allowance, self._allowance):
            yield

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, *args: Any, **settings: Any) -> tuple[Any, Any]:
        """As the loop's."""
        transport, protocol = await self._loop.create_connection(*args, **settings)
        return _Transport(transport, self._allowance), protocol

    async def create_unix_connection(self, *args: Any, **settings: Any) -> tuple[Any, Any]:
        """As the loop's."""
        transport, protocol = await self._loop.create_unix_connection(*args, **settings)
        return _Transport(transport, self._allowance), protocol

    async def start_tls(self, transport: _Transport, *args: Any, **settings: Any) -> Any:
        """As the loop's. What comes is TLS's, which has limits of its own, and what it makes of that is bounded."""
        transport.bounded.settled()
        encrypted = await self._loop.start_tls(transport.plain, *args, **settings)
        return encrypted and _Transport(encrypted, self._allowance)


class _Transport:
    """A transport whose protocol is bounded, and so is the one that takes its place."""

    def __init__(self, plain: Any, allowance: Allowance) -> None:
        self.plain = plain
        self._allowance = allowance
        self.bounded = Bounded(plain, allowance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As the transport's."""
        self.bounded.settled()
        self.plain.set_protocol(protocol)
        self.bounded = Bounded(self.plain, self._allowance)
