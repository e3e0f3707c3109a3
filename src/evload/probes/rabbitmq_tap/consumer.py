"""An AMQP 0-9-1 connection that does one thing: consume one queue, with as little work per delivery as can be.

aiormq decodes three frames and starts a task for each delivery, some 40 µs; here the frames of a delivery are
looked at where they lie in what the socket gave, and handed on in the read callback, whose time is therefore
the delivery's. Everything but deliveries goes through pamqp.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, Final, NamedTuple, TypeVar, cast

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException
from pamqp.header import ProtocolHeader
from pamqp.heartbeat import Heartbeat

from ...clients.amqp import Address

_FRAME: Final = struct.Struct(">BHI")
_TAG: Final = struct.Struct(">QB")
_SIZE: Final = struct.Struct(">Q")
_HEADER, _BODY = 2, 3
_FRAME_END: Final = 0xCE
_DELIVER: Final = b"\x00\x3c\x00\x3c"
"""Class basic, method deliver."""
_CHANNEL: Final = 1
_FRAME_MAX: Final = 131_072
_SILENT_TICKS: Final = 4
"""Without a word for so many halves of the heartbeat interval the broker is taken for dead."""
CONNECT_S: Final = 15.0
"""Longest wait for a connection and the login."""
_CLOSE_S: Final = 1.0

F = TypeVar("F", bound=Frame)


class Delivered(NamedTuple):
    """One delivery. `properties` are the bytes of the content header from the flags on."""

    tag: int
    redelivered: bool
    properties: bytes
    body: bytes


class Closed(Exception):
    """The connection is gone, or of no use any more. `code` is the AMQP reply code, if there was one."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class Consumer(asyncio.Protocol):
    """The connection. `arrived` gets the deliveries that the socket gave at a time; it is called as they come."""

    def __init__(self, arrived: Callable[[Sequence[Delivered]], None]) -> None:
        self.ended: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        """Has the reason once nothing can arrive any more."""
        self._arrived = arrived
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Frame] | None = None
        self._rest = b""
        self._tag, self._redelivered = 0, False
        self._properties = b""
        self._body: list[bytes] = []
        self._missing = 0
        """Bytes of the body that are still to come."""
        self._silent_ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    # What the listener asks for. Everything raises Closed.

    async def log_in(self, address: Address, auth: str, name: str) -> None:
        """Handshake, with `name` as what the broker lists the connection under, and a channel."""
        self._write(ProtocolHeader().marshal())
        await self._next(commands.Connection.Start)
        properties: dict[str, Any] = {
            "product": "evload",
            "connection_name": name,
            "capabilities": {"consumer_cancel_notify": True, "authentication_failure_close": True},
        }
        plain = f"\0{address.user}\0{address.password}"
        start_ok = commands.Connection.StartOk(properties, auth.upper(), "" if auth == "external" else plain)
        tune = await self._call(start_ok, commands.Connection.Tune, channel=0)
        heartbeat = tune.heartbeat if address.heartbeat is None else address.heartbeat
        self._send(
            commands.Connection.TuneOk(_CHANNEL, min(tune.frame_max or _FRAME_MAX, _FRAME_MAX), heartbeat), channel=0
        )
        await self._call(commands.Connection.Open(address.vhost), commands.Connection.OpenOk, channel=0)
        if heartbeat:
            self._tick(heartbeat / 2)
        await self._call(commands.Channel.Open(), commands.Channel.OpenOk)

    async def declare_private_queue(self) -> str:
        """A queue that is gone when this connection is; the broker names it."""
        declare = commands.Queue.Declare(queue="", exclusive=True, auto_delete=True)
        return str((await self._call(declare, commands.Queue.DeclareOk)).queue)

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Let the exchange copy what matches to the queue."""
        bind = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=routing_key)
        await self._call(bind, commands.Queue.BindOk)

    async def prefetch(self, count: int) -> None:
        """Most deliveries without an ack at a time."""
        await self._call(commands.Basic.Qos(prefetch_count=count), commands.Basic.QosOk)

    async def consume(self, queue: str, *, no_ack: bool) -> None:
        """Begin. Deliveries may arrive before this returns."""
        await self._call(commands.Basic.Consume(queue=queue, no_ack=no_ack), commands.Basic.ConsumeOk)

    def ack(self, tag: int) -> None:
        """Everything up to this delivery is done with."""
        self._send(commands.Basic.Ack(delivery_tag=tag, multiple=True))

    async def close(self) -> None:
        """Say goodbye, so that the broker puts back what had no ack, and hang up."""
        if not self.ended.done():
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await self._call(commands.Connection.Close(200, "", 0, 0), commands.Connection.CloseOk, channel=0)
            except (Closed, TimeoutError):
                pass
        self._end(Closed("closed"))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Closed("connection reset" if exc else "connection closed by the broker"))

    def data_received(self, data: bytes) -> None:
        self._silent_ticks = 0
        if self._rest:
            data = self._rest + data
        deliveries: list[Delivered] = []
        at, end = 0, len(data)
        while end - at >= _FRAME.size:
            kind, _, size = _FRAME.unpack_from(data, at)
            start = at + _FRAME.size
            stop = start + size
            if stop >= end and size <= _FRAME_MAX:
                break
            if size > _FRAME_MAX or data[stop] != _FRAME_END:
                self._end(Closed("what it sends isn't AMQP 0-9-1"))
                return
            if kind == _BODY:
                self._missing -= size
                if self._body or self._missing:
                    self._body.append(data[start:stop])
                if not self._missing:
                    body = b"".join(self._body) if self._body else data[start:stop]
                    deliveries.append(Delivered(self._tag, self._redelivered, self._properties, body))
                    self._body = []
            elif kind == _HEADER:
                (self._missing,) = _SIZE.unpack_from(data, start + 4)
                self._properties = data[start + 12 : stop]
                if not self._missing:
                    deliveries.append(Delivered(self._tag, self._redelivered, self._properties, b""))
            elif data.startswith(_DELIVER, start):
                self._tag, redelivered = _TAG.unpack_from(data, start + 5 + data[start + 4])
                self._redelivered = bool(redelivered)
            else:
                self._heard(data[at : stop + 1])
            at = stop + 1
        self._rest = data[at:]
        if deliveries:
            self._arrived(deliveries)

    # What is said and heard

    def _heard(self, data: bytes) -> None:
        try:
            _, _, said = frame.unmarshal(data)
        except PAMQPException:
            self._end(Closed("what it sends isn't AMQP 0-9-1"))
            return
        match said:
            case commands.Connection.Close():
                self._send(commands.Connection.CloseOk(), channel=0)
                self._end(Closed(str(said.reply_text), said.reply_code))
            case commands.Channel.Close():
                self._end(Closed(str(said.reply_text), said.reply_code))
            case commands.Basic.Cancel():
                self._end(Closed("the queue was deleted"))
            case Frame() if self._answer is not None and not self._answer.done():
                self._answer.set_result(said)

    async def _call(self, request: Frame, answer: type[F], channel: int = _CHANNEL) -> F:
        self._send(request, channel)
        return await self._next(answer)

    async def _next(self, wanted: type[F]) -> F:
        if self.ended.done():
            raise self.ended.result()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            said = await self._answer
        finally:
            self._answer = None
        if not isinstance(said, wanted):
            raise Closed(f"the broker answered {said.name} where {wanted.name} was due")
        return said

    def _send(self, request: Frame, channel: int = _CHANNEL) -> None:
        self._write(frame.marshal(request, channel))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _tick(self, interval_s: float) -> None:
        if self._silent_ticks >= _SILENT_TICKS:
            self._end(Closed(f"no heartbeat for {self._silent_ticks * interval_s:g} s"))
            return
        self._silent_ticks += 1
        self._write(frame.marshal(Heartbeat(), 0))
        self._timer = asyncio.get_running_loop().call_later(interval_s, self._tick, interval_s)

    def _end(self, reason: Closed) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self.ended.result())
        if self._transport is not None:
            self._transport.close()


async def connect(
    address: Address,
    tls: SSLContext | None,
    auth: str,
    name: str,
    arrived: Callable[[Sequence[Delivered]], None],
) -> Consumer:
    """A consumer that is logged in. Raises Closed, TimeoutError or OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        _, consumer = await loop.create_connection(lambda: Consumer(arrived), address.host, address.port, ssl=tls)
        try:
            await consumer.log_in(address, auth, name)
        except BaseException:
            await consumer.close()
            raise
    return consumer
