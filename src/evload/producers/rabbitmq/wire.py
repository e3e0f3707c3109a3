"""An AMQP 0-9-1 connection that does nothing but publish: confirms, returns, alarms.

One call of `data_received` takes apart all that has arrived and hands over delivery tags as they are; what isn't a
confirm is the matter of `clients.amqp_connection`.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import Final, Protocol

from pamqp import commands
from pamqp.base import Frame
from pamqp.header import ContentHeader

from ...clients.amqp import Address
from ...clients.amqp_connection import FRAME, FRAME_END, HEADER, KINDS, METHOD, AmqpConnection, ConnectionClosed
from ...clients.dialing import Dialer

_CONFIRM: Final = struct.Struct(">IQB")
"""Method, delivery tag, multiple: the 13 bytes of basic.ack and, with one more flag in the last, basic.nack."""
_CONFIRM_SIZE: Final = 13
_ACK: Final = 60 << 16 | 80
_NACK: Final = 60 << 16 | 120
_CAPABILITIES: Final = ("basic.nack", "connection.blocked", "publisher_confirms")


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


class Connection(AmqpConnection):
    """One connection and its channels, numbered from 1. `open` makes it."""

    def __init__(self, listener: Listener, address: Address, *, external: bool, channels: int, name: str) -> None:
        super().__init__(address, external=external, name=name, capabilities=_CAPABILITIES, channels=channels)
        self._listener = listener
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._ready: set[int] = set()
        self._return: dict[int, str] = {}
        self._handed_over = False
        self.can_write = True

    @classmethod
    async def open(
        cls,
        listener: Listener,
        dialer: Dialer,
        address: Address,
        tls: ssl.SSLContext | None,
        *,
        external: bool,
        channels: int,
        name: str,
    ) -> Connection:
        """Connect, log in, open all channels with confirms. Raises OSError and ConnectionClosed."""
        connection = cls(listener, address, external=external, channels=channels, name=name)
        await connection.connect(dialer, tls)
        connection._handed_over = True
        return connection

    async def begin(self) -> None:
        await self.until(self._opened)

    async def close(self) -> None:
        """Take leave of the broker. The listener isn't told."""
        self._handed_over = False
        await super().close()

    # What the transport calls.

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        self._listener.writable()

    def data_received(self, data: bytes) -> None:
        self.heard()
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        confirmed, frame_of, confirm_of = self._listener.confirmed, FRAME.unpack_from, _CONFIRM.unpack_from
        while end - at >= 8:
            kind, channel, size = frame_of(data, at)
            if kind not in KINDS or size > self.frame_max:
                self.end("it doesn't speak AMQP 0-9-1")
                return
            stop = at + 7 + size
            if stop >= end:
                break
            if data[stop] != FRAME_END:
                self.end("a frame without an end arrived")
                return
            if size == _CONFIRM_SIZE and kind == METHOD:
                method, tag, flags = confirm_of(data, at + 7)
                if method == _ACK:
                    confirmed(channel, tag, flags & 1 == 1, True)
                    at = stop + 1
                    continue
                if method == _NACK:
                    confirmed(channel, tag, flags & 1 == 1, False)
                    at = stop + 1
                    continue
            if kind in (METHOD, HEADER) and not self.take(channel, data[at : stop + 1]):
                return
            at = stop + 1
        self._rest = data[at:]
        if self._handed_over:
            self._listener.heard()

    # What the connection tells.

    def logged_in(self) -> None:
        for number in range(1, self._channels + 1):
            self.send(number, commands.Channel.Open())

    def said(self, channel: int, frame: Frame | ContentHeader) -> None:
        match frame:
            case commands.Basic.Return():
                self._return[channel] = f"{frame.reply_code} {frame.reply_text}".strip()
            case ContentHeader():
                reason = self._return.pop(channel, None)
                message_id = frame.properties.message_id
                if reason is not None and message_id:
                    self._listener.returned(channel, message_id, reason)
            case commands.Channel.OpenOk():
                self.send(channel, commands.Confirm.Select())
            case commands.Confirm.SelectOk():
                self._ready.add(channel)
                if self._handed_over:
                    self._listener.channel_opened(channel)
                elif len(self._ready) == self._channels and not self._opened.done():
                    self._opened.set_result(None)
            case commands.Channel.Close():
                self.send(channel, commands.Channel.CloseOk())
                self.send(channel, commands.Channel.Open())
                self._return.pop(channel, None)
                self._listener.channel_closed(channel, frame.reply_code or 0, frame.reply_text)
            case commands.Connection.Blocked():
                self._listener.blocked(frame.reason or "no reason given")
            case commands.Connection.Unblocked():
                self._listener.blocked("")
            case _:
                pass

    def over(self, error: ConnectionClosed) -> None:
        if self._handed_over:
            self._listener.lost(error.reason)
