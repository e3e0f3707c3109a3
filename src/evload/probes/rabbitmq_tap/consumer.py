"""An AMQP 0-9-1 connection that does one thing: consume one queue, with as little work per delivery as can be.

aiormq decodes three frames and starts a task for each delivery, some 40 µs; here the frames of a delivery are
looked at where they lie in what the socket gave, and handed on in the read callback, whose time is therefore
the delivery's. What isn't a delivery is the matter of `clients.amqp_connection`.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Final, NamedTuple, TypeVar

from pamqp import commands
from pamqp.base import Frame
from pamqp.header import ContentHeader

from ...clients.amqp import Address
from ...clients.amqp_connection import (
    BODY,
    CHANNEL,
    FRAME,
    FRAME_END,
    HEADER,
    KINDS,
    METHOD,
    AskingConnection,
    ConnectionClosed,
)
from ...clients.bounded import LONGEST
from ...clients.dialing import Dialer

_TAG: Final = struct.Struct(">QB")
_SIZE: Final = struct.Struct(">Q")
_DELIVER: Final = b"\x00\x3c\x00\x3c"
"""Class basic, method deliver."""
_CAPABILITIES: Final = ("consumer_cancel_notify",)
CONNECT_S: Final = 15.0
"""Longest wait for a connection and the login."""

F = TypeVar("F", bound=Frame)


class Delivered(NamedTuple):
    """One delivery. `properties` are the bytes of the content header from the flags on."""

    tag: int
    redelivered: bool
    properties: bytes
    body: bytes


class Consumer(AskingConnection):
    """The connection. `arrived` gets the deliveries that the socket gave at a time; it is called as they come.

    overlong  there was a body beyond 8 MiB, of which nothing is kept
    """

    def __init__(
        self, arrived: Callable[[Sequence[Delivered]], None], address: Address, *, external: bool, name: str
    ) -> None:
        super().__init__(address, external=external, name=name, capabilities=_CAPABILITIES)
        self._arrived = arrived
        self._rest = b""
        self._tag, self._redelivered = 0, False
        self._properties = b""
        self._body = bytearray()
        self._missing = 0
        """Bytes of the body that are still to come."""
        self._keeps = True
        self.overlong = False

    # What the listener asks for. Everything raises ConnectionClosed.

    async def begin(self) -> None:
        """Wait until the broker has let us in, and open the one channel."""
        await super().begin()
        await self._call(commands.Channel.Open(), commands.Channel.OpenOk)

    async def declare_private_queue(self) -> str:
        """A queue that is gone when this connection is; the broker names it."""
        declare = commands.Queue.Declare(queue="", exclusive=True, auto_delete=True)
        return str((await self._call(declare, commands.Queue.DeclareOk)).queue)

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Let the exchange copy what matches to the queue."""
        bind = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=routing_key)
        await self._call(bind, commands.Queue.BindOk)

    async def consumers_of(self, queue: str) -> int:
        """How many consumers a queue has, ours included."""
        declare = commands.Queue.Declare(queue=queue, passive=True)
        return (await self._call(declare, commands.Queue.DeclareOk)).consumer_count or 0

    async def prefetch(self, count: int) -> None:
        """Most deliveries without an ack at a time."""
        await self._call(commands.Basic.Qos(prefetch_count=count), commands.Basic.QosOk)

    async def consume(self, queue: str, *, no_ack: bool) -> None:
        """Begin. Deliveries may arrive before this returns."""
        await self._call(commands.Basic.Consume(queue=queue, no_ack=no_ack), commands.Basic.ConsumeOk)

    def ack(self, tag: int) -> None:
        """Everything up to this delivery is done with."""
        self.send(CHANNEL, commands.Basic.Ack(delivery_tag=tag, multiple=True))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        self.heard()
        if self._rest:
            data = self._rest + data
        deliveries: list[Delivered] = []
        at, end = 0, len(data)
        while end - at >= FRAME.size:
            kind, channel, size = FRAME.unpack_from(data, at)
            if kind not in KINDS or size > self.frame_max:
                self.end("it doesn't speak AMQP 0-9-1")
                return
            start = at + FRAME.size
            stop = start + size
            if stop >= end:
                break
            if data[stop] != FRAME_END:
                self.end("a frame without an end arrived")
                return
            if kind == BODY:
                self._missing -= size
                if self._missing < 0:
                    self.end("a body arrived that is longer than announced")
                    return
                if (self._body or self._missing) and self._keeps:
                    self._body += data[start:stop]
                if not self._missing:
                    body = (bytes(self._body) if self._body else data[start:stop]) if self._keeps else b""
                    deliveries.append(Delivered(self._tag, self._redelivered, self._properties, body))
                    self._body.clear()
            elif kind == HEADER:
                (self._missing,) = _SIZE.unpack_from(data, start + 4)
                self._properties = data[start + 12 : stop]
                self._keeps = self._missing <= LONGEST
                self.overlong |= not self._keeps
                if not self._missing:
                    deliveries.append(Delivered(self._tag, self._redelivered, self._properties, b""))
            elif data.startswith(_DELIVER, start):
                self._tag, redelivered = _TAG.unpack_from(data, start + 5 + data[start + 4])
                self._redelivered = bool(redelivered)
            elif kind == METHOD and not self.take(channel, data[at : stop + 1]):
                break
            at = stop + 1
        self._rest = data[at:]
        if deliveries:
            self._arrived(deliveries)

    # What the connection tells.

    def said(self, channel: int, frame: Frame | ContentHeader) -> None:
        match frame:
            case commands.Channel.Close():
                self.end(frame.reply_text, frame.reply_code)
            case commands.Basic.Cancel():
                self.end("the queue was deleted")
            case Frame():
                self.answer(frame)

    async def _call(self, request: Frame, answer: type[F]) -> F:
        said = await self.ask(request)
        if not isinstance(said, answer):
            raise ConnectionClosed(f"the broker answered {said.name} where {answer.name} was due")
        return said


async def connect(
    dialer: Dialer,
    address: Address,
    tls: SSLContext | None,
    auth: str,
    name: str,
    arrived: Callable[[Sequence[Delivered]], None],
) -> Consumer:
    """A consumer that is logged in. Raises ConnectionClosed, TimeoutError or OSError."""
    consumer = Consumer(arrived, address, external=auth == "external", name=name)
    async with asyncio.timeout(CONNECT_S):
        await consumer.connect(dialer, tls)
    return consumer
