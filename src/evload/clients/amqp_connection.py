"""An AMQP 0-9-1 connection from its handshake to its farewell, for those who look at what arrives between themselves.

Not aiormq's: there each frame passes a reader task, a queue and a future, and none of it can be reached in bulk.
pamqp takes apart and puts together all that isn't on somebody's hot path.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from ssl import SSLContext
from typing import Any, Final, cast

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

from .amqp import CLOSED_AT_ONCE, Address
from .dialing import Dialer
from .web import reason_of

FRAME: Final = struct.Struct(">BHI")
"""How each frame begins: kind, channel, size of what follows up to the end mark."""
FRAME_END: Final = 0xCE
METHOD, HEADER, BODY = 1, 2, 3
KINDS: Final = (METHOD, HEADER, BODY, 8)
"""Kinds of frames; the last one is a heartbeat."""

CHANNEL: Final = 1
"""The one of an `AskingConnection`."""

_PROTOCOL: Final = b"AMQP\x00\x00\x09\x01"
_HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_FRAME_MAX: Final = 131_072
"""Longest frame that is taken from a broker which names no limit, in bytes."""
_UNWRITTEN: Final = 1 << 18
"""The transport says that it is full when more bytes than this are still to be written to the socket."""
_SILENT: Final = 4
"""Without a word for so many halves of the heartbeat interval the broker is taken for dead."""
_CLOSE_S: Final = 2.0


class ConnectionClosed(Exception):
    """The connection is gone, or never came to be. `code` is the broker's reply code, None if it gave none."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class AmqpConnection(asyncio.Protocol):
    """What an adapter's connection is made of.

    It takes frames apart in `data_received`, calls `heard` first and hands over what it doesn't know to `take`; it
    is told by `logged_in`, `said` and `over`.

    ended      has the reason, once nothing can arrive any more
    frame_max  longest frame that both sides take, in bytes
    """

    def __init__(
        self, address: Address, *, external: bool, name: str, capabilities: Sequence[str], channels: int = 1
    ) -> None:
        """`name` is what the broker lists the connection under; `external` logs in by the certificate alone."""
        self.ended: asyncio.Future[ConnectionClosed] = asyncio.get_running_loop().create_future()
        self.frame_max = _FRAME_MAX
        self._address = address
        self._external = external
        self._name = name
        self._capabilities = capabilities
        self._channels = channels
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._period_s = 0.0
        self._wrote = self._silent = 0

    # For the adapter.

    async def connect(self, dialer: Dialer, tls: SSLContext | None) -> None:
        """Connect and `begin`, or be done with it at once. Raises OSError and ConnectionClosed."""
        await dialer.connect(lambda: self, tls)
        try:
            await self.begin()
        except BaseException:
            self.abort()
            raise

    async def begin(self) -> None:
        """Wait until it can be used. Raises ConnectionClosed."""
        raise NotImplementedError

    def logged_in(self) -> None:
        """The broker let us in: channels can be opened."""
        raise NotImplementedError

    def said(self, channel: int, frame: Frame | ContentHeader) -> None:
        """A frame arrived that isn't the connection's own business."""
        raise NotImplementedError

    def over(self, error: ConnectionClosed) -> None:
        """Nothing can arrive any more."""

    def write(self, frames: bytes) -> None:
        """Hand frames to the socket, unless the connection is over."""
        self._wrote += 1
        if self._transport is not None and not self.ended.done():
            self._transport.write(frames)

    def send(self, channel: int, frame: Frame) -> None:
        """Hand one frame to the socket."""
        self.write(pamqp.frame.marshal(frame, channel))

    def heard(self) -> None:
        """Something arrived."""
        self._silent = 0

    def take(self, channel: int, data: bytes) -> bool:
        """Take one whole frame to heart. False if there is nothing more to be expected."""
        try:
            frame = pamqp.frame.unmarshal(data)[2]
        except (PAMQPException, ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
            self.end(f"a frame arrived that can't be read: {' '.join(str(error).split())}")
            return False
        match frame:
            case commands.Connection.Start():
                self._log_in(frame)
            case commands.Connection.Tune():
                self._tune(frame)
            case commands.Connection.OpenOk():
                self.logged_in()
            case commands.Connection.Close():
                self.send(0, commands.Connection.CloseOk())
                self.end(frame.reply_text, frame.reply_code)
            case commands.Connection.CloseOk():
                self.end("closed")
            case Frame() | ContentHeader():
                self.said(channel, frame)
        return not self.ended.done()

    def end(self, reason: str, code: int | None = None) -> None:
        """The connection is over, if it wasn't before."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self.ended.done():
            return
        error = ConnectionClosed(reason, code)
        self.ended.set_result(error)
        if self._transport is not None:
            # A broker's own farewell has its answer on the way, which an abort would take back.
            (self._transport.abort if code is None else self._transport.close)()
        self.over(error)

    async def until(self, opened: asyncio.Future[None]) -> None:
        """Wait for that. Raises ConnectionClosed if the connection ends before."""
        waits: set[asyncio.Future[Any]] = {opened, self.ended}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self.ended.done():
            raise self.ended.result()

    async def close(self) -> None:
        """Take leave of the broker, so that it puts back what had no ack, or of the socket if it doesn't answer."""
        if not self.ended.done():
            self.send(0, commands.Connection.Close(reply_code=200, reply_text="done", class_id=0, method_id=0))
            await asyncio.wait([self.ended], timeout=_CLOSE_S)
        self.abort()
        await asyncio.wait([self._gone], timeout=_CLOSE_S)

    def abort(self) -> None:
        """Be done with it at once."""
        self.end("closed")
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_UNWRITTEN)
        self._transport.write(_PROTOCOL)

    def connection_lost(self, error: Exception | None) -> None:
        reason = "the broker closed the connection" if self._started else CLOSED_AT_ONCE
        self.end(reason_of(error) if error else reason)
        if not self._gone.done():
            self._gone.set_result(None)

    # What the broker says.

    def _log_in(self, start: commands.Connection.Start) -> None:
        self._started = True
        mechanism = "EXTERNAL" if self._external else "PLAIN"
        if mechanism not in (start.mechanisms or "").split():
            self.end(f"it doesn't offer to log in by {mechanism}, only by {start.mechanisms}")
            return
        response = "" if self._external else f"\0{self._address.user}\0{self._address.password}"
        properties: FieldTable = {
            "product": "evload",
            "connection_name": self._name,
            "capabilities": dict.fromkeys(("authentication_failure_close", *self._capabilities), True),
        }
        self.send(
            0, commands.Connection.StartOk(client_properties=properties, mechanism=mechanism, response=response)
        )

    def _tune(self, tune: commands.Connection.Tune) -> None:
        limit = tune.channel_max or 65_535
        if self._channels > limit:
            self.end(f"it allows {limit} channels in a connection, not {self._channels}")
            return
        heartbeat = tune.heartbeat if self._address.heartbeat is None else self._address.heartbeat
        self.frame_max = min(tune.frame_max or _FRAME_MAX, _FRAME_MAX)
        self.send(
            0, commands.Connection.TuneOk(channel_max=limit, frame_max=self.frame_max, heartbeat=heartbeat or 0)
        )
        self.send(0, commands.Connection.Open(virtual_host=self._address.vhost))
        if heartbeat:
            self._period_s = heartbeat / 2
            self._heartbeat = asyncio.get_running_loop().call_later(self._period_s, self._beat)

    def _beat(self) -> None:
        """Twice in each heartbeat interval: say something if nothing was said, and count the broker's silence."""
        self._silent += 1
        if self._silent > _SILENT:
            self.end(f"nothing was heard of the broker for {self._silent * self._period_s:g} s")
            return
        if not self._wrote:
            self.write(_HEARTBEAT)
        self._wrote = 0
        self._heartbeat = asyncio.get_running_loop().call_later(self._period_s, self._beat)


class AskingConnection(AmqpConnection):
    """One with a single channel, on which one question at a time is asked; what else arrives is told by `said`."""

    def __init__(self, address: Address, *, external: bool, name: str, capabilities: Sequence[str] = ()) -> None:
        super().__init__(address, external=external, name=name, capabilities=capabilities)
        self._open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Frame] | None = None

    async def begin(self) -> None:
        """Wait until the broker has let us in. Raises ConnectionClosed."""
        await self.until(self._open)

    async def ask(self, request: Frame) -> Frame:
        """What the broker answers, whatever it is. Raises ConnectionClosed."""
        if self.ended.done():
            raise self.ended.result()
        self._answer = asyncio.get_running_loop().create_future()
        self.send(CHANNEL, request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def answer(self, frame: Frame) -> None:
        """This is the answer to what was asked, if anybody waits for one."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    # What the connection tells.

    def logged_in(self) -> None:
        if not self._open.done():
            self._open.set_result(None)

    def over(self, error: ConnectionClosed) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
