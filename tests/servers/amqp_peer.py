"""The other end of an AMQP connection, scripted: it lets in whoever comes and says what the test has it say.

It speaks the frames that a publisher meets and no more, and holds a publisher to the protocol as a broker would: what
breaks it, such as a frame longer than agreed, fails the test at its end.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

FRAME_MAX: Final = 131_072
_FRAME: Final = struct.Struct(">BHI")
_HEARTBEAT, _END = 8, 0xCE
_ANYWHERE: Final = (ProtocolHeader, Heartbeat)
_GREETING: Final = b"AMQP\x00\x00\x09\x01"
"""Who says this speaks AMQP 0-9-1."""


@dataclass
class Published:
    """One message as it arrived.

    tag     its delivery tag
    pieces  the lengths of its body's frames
    raw     all its frames
    at_s    when the last of them was there
    """

    channel: int
    tag: int
    exchange: str
    routing_key: str
    mandatory: bool
    properties: commands.Basic.Properties = field(default_factory=commands.Basic.Properties)
    size: int = -1
    body: bytes = b""
    pieces: list[int] = field(default_factory=list)
    raw: bytes = b""
    at_s: float = 0.0

    @property
    def id(self) -> str:
        """The message id, which is the event's correlation id."""
        return self.properties.message_id or ""


@dataclass
class Manners:
    """How the peer greets, and whether it confirms by itself.

    confirms       says of each message at once what it gets: True for an ack, False for a nack, None for nothing yet
    reopens        a channel that was closed is opened again when the publisher asks for it
    opens_after_s  how long it takes to open a channel, for each channel before it in turn
    tunes          it answers a login
    says_farewell  it answers when the publisher takes leave
    """

    mechanisms: str = "PLAIN AMQPLAIN EXTERNAL"
    channel_max: int = 2047
    frame_max: int = FRAME_MAX
    heartbeat: int = 0
    confirms: Callable[[Published], bool | None] = lambda _: None
    reopens: bool = True
    says_farewell: bool = True
    tunes: bool = True
    opens_after_s: float = 0.0


class Link(asyncio.Protocol):
    """One connection to the peer. Channels are numbered from 1."""

    _transport: asyncio.Transport

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.heard: list[str] = []
        """Names of all frames that arrived, `Channel.Open 2` where there is a channel."""
        self.beats_s: list[float] = []
        """When heartbeats arrived."""
        self.start: commands.Connection.StartOk | None = None
        self.tune: commands.Connection.TuneOk | None = None
        self.farewell: commands.Connection.Close | None = None
        self.vhost = ""
        self.published: list[Published] = []
        self.lost = False
        self.wrong: list[str] = []
        """What broke the protocol."""
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._greeted = False
        self._confirming: set[int] = set()
        self._closing: set[int] = set()
        self._tags: dict[int, int] = {}
        self._coming: dict[int, Published] = {}

    # What the test has it say.

    def say(self, *parts: tuple[int, Any]) -> None:
        """Frames, each with its channel, in one piece."""
        self._transport.write(b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in parts))

    def ack(self, tag: int, *, multiple: bool = False, channel: int = 1) -> None:
        self.say((channel, commands.Basic.Ack(delivery_tag=tag, multiple=multiple)))

    def nack(self, tag: int, *, multiple: bool = False, channel: int = 1) -> None:
        self.say((channel, commands.Basic.Nack(delivery_tag=tag, multiple=multiple)))

    def give_back(self, message: Published) -> None:
        """The message finds no route. Its confirm is another matter."""
        properties = commands.Basic.Properties(message_id=message.id)
        returned = commands.Basic.Return(312, "NO_ROUTE", message.exchange, message.routing_key)
        body = ContentHeader(body_size=len(message.body), properties=properties)
        self.say((message.channel, returned), (message.channel, body), (message.channel, ContentBody(message.body)))

    def close_channel(self, code: int, text: str, channel: int = 1) -> None:
        """What is still on its way to the channel is ignored, until the publisher has heard of it."""
        self._closing.add(channel)
        self.say((channel, commands.Channel.Close(code, text, 60, 40)))

    def reopen(self, channel: int = 1) -> None:
        self.say((channel, commands.Channel.OpenOk()))

    def block(self, reason: str = "low on memory") -> None:
        self.say((0, commands.Connection.Blocked(reason=reason)))

    def unblock(self) -> None:
        self.say((0, commands.Connection.Unblocked()))

    def beat(self) -> None:
        self.say((0, Heartbeat()))

    def close(self, code: int, text: str) -> None:
        self.say((0, commands.Connection.Close(code, text, 0, 0)))

    def babble(self, data: bytes) -> None:
        """Bytes that need be no frame."""
        self._transport.write(data)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the socket without a word, or reset it."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_on(self) -> None:
        self._transport.resume_reading()

    # What it hears.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._greeted:
            if len(self._data) < len(_GREETING):
                return
            if not self._data.startswith(_GREETING):
                self.wrong.append(f"not the protocol: {self._data!r}")
            self._take(0, self._data[: len(_GREETING)])
            self._data = self._data[len(_GREETING) :]
        while len(self._data) >= _FRAME.size:
            kind, channel, size = _FRAME.unpack_from(self._data)
            whole = _FRAME.size + size + 1
            if len(self._data) < whole:
                return
            if self._data[whole - 1] != _END:
                self.wrong.append("a frame without an end")
            if whole > self.manners.frame_max > 0:
                self.wrong.append(f"a frame of {whole} bytes, longer than agreed")
            if not size and kind != _HEARTBEAT:
                self.wrong.append("an empty frame")
                return
            self._take(channel, self._data[:whole])
            self._data = self._data[whole:]

    def _take(self, channel: int, data: bytes) -> None:
        try:
            frame = pamqp.frame.unmarshal(data)[2]
            if frame.name.startswith("Connection.") != (channel == 0) and not isinstance(frame, _ANYWHERE):
                self.wrong.append(f"{frame.name} on channel {channel}")
            self._hear(channel, frame)
        except Exception as error:  # a failure in a callback of the loop would be no more than a line in the log
            self.wrong.append(f"{data[:40]!r}: {error!r}")
            return
        if isinstance(frame, commands.Basic.Publish | ContentHeader | ContentBody):
            self._coming[channel].raw += data

    def _hear(self, channel: int, frame: Any) -> None:
        manners = self.manners
        self.heard.append(f"{frame.name} {channel}" if channel else frame.name)
        if channel in self._closing and not isinstance(frame, commands.Channel.CloseOk):
            return
        match frame:
            case ProtocolHeader():
                self._greeted = True
                about: FieldTable = {
                    "product": "peer",
                    "capabilities": {"basic.nack": True, "publisher_confirms": True},
                }
                self._say(0, commands.Connection.Start(mechanisms=manners.mechanisms, server_properties=about))
            case commands.Connection.StartOk():
                self.start = frame
                if manners.tunes:
                    limits = (manners.channel_max, manners.frame_max, manners.heartbeat)
                    self._say(0, commands.Connection.Tune(*limits))
            case commands.Connection.TuneOk():
                self.tune = frame
            case commands.Connection.Open():
                self.vhost = frame.virtual_host
                self._say(0, commands.Connection.OpenOk())
            case commands.Connection.Close():
                self.farewell = frame
                if manners.says_farewell:
                    self._say(0, commands.Connection.CloseOk())
            case commands.Channel.Open():
                again = channel in self._tags
                self._tags[channel] = 0
                self._confirming.discard(channel)
                if manners.reopens or not again:
                    delay_s = manners.opens_after_s * (channel - 1)
                    self._loop.call_later(delay_s, self._say, channel, commands.Channel.OpenOk())
            case commands.Channel.CloseOk():
                self._closing.discard(channel)
            case commands.Confirm.Select():
                assert channel not in self._confirming, "confirms asked for twice"
                self._confirming.add(channel)
                self._say(channel, commands.Confirm.SelectOk())
            case Heartbeat():
                self.beats_s.append(self._loop.time())
            case commands.Exchange.Declare() if frame.passive:
                self._say(channel, commands.Exchange.DeclareOk())
            case commands.Channel.Close():
                self._say(channel, commands.Channel.CloseOk())
            case commands.Basic.Publish():
                assert channel in self._confirming, "published without confirms"
                self._tags[channel] += 1
                self._coming[channel] = Published(
                    channel, self._tags[channel], frame.exchange, frame.routing_key, bool(frame.mandatory)
                )
            case ContentHeader():
                message = self._coming[channel]
                message.properties, message.size = frame.properties, frame.body_size
                self._complete(message)
            case ContentBody():
                message = self._coming[channel]
                message.body += frame.value
                message.pieces.append(len(frame.value))
                self._complete(message)
            case _:
                pass

    def _complete(self, message: Published) -> None:
        assert len(message.body) <= message.size, "more than was announced"
        if len(message.body) < message.size:
            return
        message.at_s = self._loop.time()
        self.published.append(message)
        confirmed = self.manners.confirms(message)
        if confirmed is True:
            self.ack(message.tag, channel=message.channel)
        elif confirmed is False:
            self.nack(message.tag, channel=message.channel)

    def _say(self, channel: int, frame: Frame) -> None:
        self.say((channel, frame))


class Peer:
    """The peer and all connections to it."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.connections: list[Link] = []
        self._server: asyncio.AbstractServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self._port}/"

    @property
    def links(self) -> list[Link]:
        """The connections that publish, in the order in which they were made: they have asked for confirms."""
        return [each for each in self.connections if "Confirm.Select 1" in each.heard]

    @property
    def link(self) -> Link:
        """The last connection that publishes."""
        return self.links[-1]

    async def listen(self) -> None:
        """Take connections, always at the same address."""
        server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", self._port)
        self._server, self._port = server, server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()

    def _accept(self) -> Link:
        link = Link(self.manners)
        self.connections.append(link)
        return link


@asynccontextmanager
async def amqp_peer(**manners: Any) -> AsyncIterator[Peer]:
    """A peer that listens. At the end it must have heard nothing that breaks the protocol."""
    peer = Peer(Manners(**manners))
    await peer.listen()
    try:
        yield peer
    finally:
        peer.stop_listening()
    assert [link.wrong for link in peer.connections if link.wrong] == []
