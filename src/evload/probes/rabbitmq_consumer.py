"""An AMQP 0-9-1 connection that does one thing: consume one queue, with as little work per delivery as can be.

aiormq decodes three frames and starts a task for each delivery, about 40 µs; here the frames of a delivery
are looked at where they lie in what the socket gave, and handed on in the read callback, which is also the
moment that counts as the delivery's time. Everything but deliveries goes through pamqp.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.header import ProtocolHeader
from pamqp.heartbeat import Heartbeat

from ..amqp import Address

_FRAME: Final = struct.Struct(">BHI")
_TAG: Final = struct.Struct(">QB")
_SIZE: Final = struct.Struct(">Q")
_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME_END: Final = 0xCE
_DELIVER: Final = b"\x00\x3c\x00\x3c"
"""Class basic, method deliver."""
_CHANNEL: Final = 1
_FRAME_MAX: Final = 131_072
_CLOSE_S: Final = 1.0

F = TypeVar("F", bound=Frame)

Arrived = Callable[[int, bool, bytes, bytes], None]
"""Takes one delivery: its tag, whether it was delivered before, the bytes of its properties, its body."""


class Closed(Exception):
    """The connection or its channel is gone. The text is the reason, `code` the AMQP reply code if there was one."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class Consumer(asyncio.Protocol):
    """The connection. `arrived` is called for every delivery, `chunk` once before those that came together."""

    def __init__(self, chunk: Callable[[], None], arrived: Arrived, settled: Callable[[], None]) -> None:
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        """Has a result once nothing can arrive any more."""
        self._chunk = chunk
        self._arrived = arrived
        self._settled = settled
        self._transport: asyncio.Transport | None = None
        self._answers: asyncio.Queue[Frame | Closed] = asyncio.Queue()
        self._rest = b""
        self._tag = 0
        self._redelivered = False
        self._properties = b""
        self._body: list[bytes] = []
        self._missing = 0
        """Bytes of the body that are still to come."""
        self._consuming = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heard = True

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Closed(str(exc) if exc else "connection closed by the broker"))
