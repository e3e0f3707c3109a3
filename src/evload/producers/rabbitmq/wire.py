"""An AMQP 0-9-1 connection that does nothing but publish: handshake, confirms, returns, alarms, heartbeats.

Not aiormq's, which the set-up uses: there each confirm passes a reader task, a queue and a future, a return is
matched through one more dictionary, and none of it can be reached in bulk through its public interface;
`connection.blocked` is logged and goes no further. Here one call of `data_received` takes apart all that has
arrived and hands over delivery tags as they are. pamqp takes apart and puts together everything but confirms.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from typing import Final, Literal, Protocol, cast

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

from ...clients.amqp import CLOSED_AT_ONCE, Address
from ...clients.web import reason_of

_PROTOCOL: Final = b"AMQP\x00\x00\x09\x01"
_HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_FRAME: Final = struct.Struct(">BHI")
_CONFIRM: Final = struct.Struct(">IQB")
"""Method, delivery tag, multiple: the 13 bytes of basic.ack and, with one more flag in the last, basic.nack."""
_CONFIRM_SIZE: Final = 13
_ACK: Final = 60 << 16 | 80
_NACK: Final = 60 << 16 | 120
_FRAME_END: Final = 0xCE
_METHOD, _HEADER, _KINDS = 1, 2, (1, 2, 3, 8)
_FRAME_MAX: Final = 131_072
"""Longest frame that is taken from a broker which names no limit, in bytes."""
_UNWRITTEN: Final = 1 << 18
"""Publishing waits while more bytes than this are still to be written to the socket."""
_CLOSE_S: Final = 2.0


class RefusedError(Exception):
    """The broker ended the handshake. `code` is AMQP's reply code, None if it gave none."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Listener(Protocol):
    """What a connection tells once `open` has handed it over: what has arrived, piece by piece, then `heard`."""

    def confirmed(self, channel: int, tag: int, multiple: bool, accepted: bool) -> None:
        """The broker answered for one delivery tag, or for all up to it."""

    def returned(self, channel: int, message_id: str, reason: str) -> None:
        """The broker found no route. The message is confirmed all the same, after this."""

    def channel_opened(self, channel: int) -> None:
        """A channel that was closed can be published on again; its delivery tags start at 1."""

    def channel_closed(self, channel: int, code: int, reason: str) -> None:
        """The broker closed a channel. It is being opened again."""

    def blocked(self, reason: str) -> None:
        """The broker asks not to publish. An empty reason ends it."""

    def heard(self) -> None:
        """All that has arrived is told."""

    def writable(self) -> None:
        """The socket takes bytes again."""

    def lost(self, reason: str) -> None:
        """The connection is gone. Told once, unless it was closed."""


class Connection(asyncio.Protocol):
    """One connection and its channels, numbered from 1. `open` makes it."""

    _transport: asyncio.Transport

    def __init__(self, listener: Listener, address: Address, *, external: bool, channels: int, name: str) -> None:
        self._listener = listener
        self._address = address
        self._external = external
        self._channels = channels
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._rest = b""
        self._started = False
        self._ready: set[int] = set()
        self._return: dict[int, str] = {}
        self._phase: Literal["opening", "open", "closing", "over"] = "opening"
        self._ended_by: RefusedError | None = None
        self._handed_over = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._period_s = 0.0
        self._wrote = self._silent = 0
        self.frame_max = _FRAME_MAX
        self.can_write = True

    @classmethod
    async def open(
        cls,
        listener: Listener,
        address: Address,
        tls: ssl.SSLContext | None,
        *,
        external: bool,
        channels: int,
        name: str,
    ) -> Connection:
        """Connect, log in, open all channels with confirms. Raises OSError and RefusedError."""
        connection = cls(listener, address, external=external, channels=channels, name=name)
        loop = asyncio.get_running_loop()
        server_hostname = address.host if tls else None
        await loop.create_connection(
            lambda: connection, address.host, address.port, ssl=tls, server_hostname=server_hostname
        )
        try:
            await connection._opened
            if connection._ended_by is not None:
                raise connection._ended_by
        except BaseException:
            connection._transport.abort()
            raise
        connection._handed_over = True
        return connection

    def write(self, frames: bytes) -> None:
        """Hand frames to the socket. Whoever calls looks at `can_write` first."""
        self._wrote += 1
        self._transport.write(frames)

    async def close(self) -> None:
        """Take leave of the broker, or of the socket if it doesn't answer."""
        if self._phase == "open":
            self._phase = "closing"
            self._send(0, commands.Connection.Close(reply_code=200, reply_text="done", class_id=0, method_id=0))
            await asyncio.wait([self._gone], timeout=_CLOSE_S)
        self._transport.abort()
        await asyncio.wait([self._gone], timeout=_CLOSE_S)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_UNWRITTEN)
        self._transport.write(_PROTOCOL)

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        self._listener.writable()

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        confirmed, frame_of, confirm_of = self._listener.confirmed, _FRAME.unpack_from, _CONFIRM.unpack_from
        while end - at >= 8:
            kind, channel, size = frame_of(data, at)
            if kind not in _KINDS or size > self.frame_max:
                self._end("it doesn't speak AMQP 0-9-1")
                return
            stop = at + 7 + size
            if stop >= end:
                break
            if data[stop] != _FRAME_END:
                self._end("a frame without an end arrived")
                return
            if size == _CONFIRM_SIZE and kind == _METHOD:
                method, tag, flags = confirm_of(data, at + 7)
                if method == _ACK:
                    confirmed(channel, tag, flags & 1 == 1, True)
                    at = stop + 1
                    continue
                if method == _NACK:
                    confirmed(channel, tag, flags & 1 == 1, False)
                    at = stop + 1
                    continue
            if kind in (_METHOD, _HEADER) and not self._take(channel, data[at : stop + 1]):
                return
            at = stop + 1
        self._rest = data[at:]
        if self._handed_over:
            self._listener.heard()

    def connection_lost(self, error: Exception | None) -> None:
        reason = "the broker closed the connection" if self._started else CLOSED_AT_ONCE
        self._end(reason_of(error) if error else reason)
        if not self._gone.done():
            self._gone.set_result(None)

    # What the broker says.

    def _take(self, channel: int, data: bytes) -> bool:
        """Take one frame to heart. False if there is nothing more to be expected."""
        try:
            frame = pamqp.frame.unmarshal(data)[2]
        except (PAMQPException, ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
            self._end(f"a frame arrived that can't be read: {' '.join(str(error).split())}")
            return False
        match frame:
            case commands.Basic.Return():
                self._return[channel] = f"{frame.reply_code} {frame.reply_text}".strip()
            case ContentHeader():
                reason = self._return.pop(channel, None)
                message_id = frame.properties.message_id
                if reason is not None and message_id:
                    self._listener.returned(channel, message_id, reason)
            case commands.Channel.OpenOk():
                self._send(channel, commands.Confirm.Select())
            case commands.Confirm.SelectOk():
                self._ready.add(channel)
                if self._handed_over:
                    self._listener.channel_opened(channel)
                elif len(self._ready) == self._channels and not self._opened.done():
                    self._phase = "open"
                    self._opened.set_result(None)
            case commands.Channel.Close():
                self._send(channel, commands.Channel.CloseOk())
                self._send(channel, commands.Channel.Open())
                self._return.pop(channel, None)
                self._listener.channel_closed(channel, frame.reply_code or 0, frame.reply_text)
            case commands.Connection.Blocked():
                self._listener.blocked(frame.reason or "no reason given")
            case commands.Connection.Unblocked():
                self._listener.blocked("")
            case commands.Connection.Start():
                self._log_in(frame)
            case commands.Connection.Tune():
                self._tune(frame)
            case commands.Connection.OpenOk():
                for number in range(1, self._channels + 1):
                    self._send(number, commands.Channel.Open())
            case commands.Connection.Close():
                self._send(0, commands.Connection.CloseOk())
                self._end(frame.reply_text, frame.reply_code)
                return False
            case commands.Connection.CloseOk():
                self._transport.abort()
                return False
            case _:
                pass
        return self._phase != "over"

    def _log_in(self, start: commands.Connection.Start) -> None:
        self._started = True
        mechanism = "EXTERNAL" if self._external else "PLAIN"
        if mechanism not in (start.mechanisms or "").split():
            self._end(f"it doesn't offer to log in by {mechanism}, only by {start.mechanisms}")
            return
        response = "" if self._external else f"\0{self._address.user}\0{self._address.password}"
        wanted = ("authentication_failure_close", "basic.nack", "connection.blocked", "publisher_confirms")
        properties: FieldTable = {
            "product": "evload",
            "connection_name": self._name,
            "capabilities": dict.fromkeys(wanted, True),
        }
        self._send(
            0, commands.Connection.StartOk(client_properties=properties, mechanism=mechanism, response=response)
        )

    def _tune(self, tune: commands.Connection.Tune) -> None:
        limit = tune.channel_max or 65_535
        if self._channels > limit:
            self._end(f"it allows {limit} channels in a connection, not {self._channels}")
            return
        heartbeat = tune.heartbeat if self._address.heartbeat is None else self._address.heartbeat
        self.frame_max = min(tune.frame_max or _FRAME_MAX, _FRAME_MAX)
        self._send(
            0, commands.Connection.TuneOk(channel_max=limit, frame_max=self.frame_max, heartbeat=heartbeat or 0)
        )
        self._send(0, commands.Connection.Open(virtual_host=self._address.vhost))
        if heartbeat:
            self._period_s = heartbeat / 2
            self._heartbeat = self._loop.call_later(self._period_s, self._beat)

    def _beat(self) -> None:
        """Twice in each heartbeat interval: say something if nothing was said, and count the broker's silence."""
        self._silent += 1
        if self._silent > 4:
            self._end(f"nothing was heard of the broker for {self._silent * self._period_s:g} s")
            return
        if not self._wrote:
            self._transport.write(_HEARTBEAT)
        self._wrote = 0
        self._heartbeat = self._loop.call_later(self._period_s, self._beat)

    def _send(self, channel: int, frame: Frame) -> None:
        self.write(pamqp.frame.marshal(frame, channel))

    def _end(self, reason: str, code: int | None = None) -> None:
        """The connection is over; say so once, to whoever waits for it to open or else to the listener."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        phase, self._phase = self._phase, "over"
        if phase == "over":
            return
        # A broker's own farewell has its answer on the way, which an abort would take back.
        tell: Callable[[], None] = self._transport.abort if code is None else self._transport.close
        tell()
        self._ended_by = RefusedError(reason, code)
        if not self._opened.done():
            self._opened.set_result(None)
        elif phase == "open" and self._handed_over:
            self._listener.lost(reason)
