"""The publishing connection against scripted bytes: however they arrive, the same is understood."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

import pamqp.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from evload.clients.amqp import parse_url
from evload.clients.amqp_connection import ConnectionClosed
from evload.clients.dialing import Dialer
from evload.producers.rabbitmq.wire import Connection


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = ""

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def frames(self) -> list[tuple[int, str]]:
        """Channel and name of what was written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        found = []
        while data:
            size, channel, frame = pamqp.frame.unmarshal(data)
            found.append((channel, frame.name))
            data = data[size:]
        return found


class Listener:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append((name, *arguments))


def frames(*parts: tuple[int, Any]) -> bytes:
    return b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in parts)


START = commands.Connection.Start(mechanisms="PLAIN AMQPLAIN", locales="en_US", server_properties={})
TUNE = commands.Connection.Tune(channel_max=10, frame_max=8192, heartbeat=0)


async def dial(channels: int, *said: tuple[int, Any]) -> tuple[Connection, Transport, Listener]:
    """Open a connection to a broker that says all that at once."""
    listener, transport = Listener(), Transport()

    async def create_connection(factory: Any, *_: Any, **__: Any) -> None:
        connection = factory()
        connection.connection_made(transport)
        connection.data_received(frames(*said))

    asyncio.get_running_loop().create_connection = create_connection  # type: ignore[method-assign,assignment]
    connection = await Connection.open(
        cast(Any, listener), Dialer("127.0.0.1", 5672), parse_url("amqp://localhost"), None,
        external=False, channels=channels, name="test",
    )  # fmt: skip
    return connection, transport, listener


async def connected(channels: int = 1) -> tuple[Connection, Transport, Listener]:
    """A connection that is open."""
    numbers = range(1, channels + 1)
    opened = [(number, commands.Channel.OpenOk()) for number in numbers]
    confirming = [(number, commands.Confirm.SelectOk()) for number in numbers]
    return await dial(channels, (0, START), (0, TUNE), (0, commands.Connection.OpenOk()), *opened, *confirming)


def returned(channel: int, message_id: str, body: bytes) -> list[tuple[int, Any]]:
    properties = commands.Basic.Properties(message_id=message_id)
    return [
        (channel, commands.Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="e", routing_key="k")),
        (channel, ContentHeader(body_size=len(body), properties=properties)),
        *([(channel, ContentBody(body))] if body else []),
    ]


SAID = [
    (1, commands.Basic.Ack(delivery_tag=1)),
    *returned(2, "some-id", b"\xce" * 40),
    (2, commands.Basic.Ack(delivery_tag=7, multiple=True)),
    (0, Heartbeat()),
    (1, commands.Basic.Nack(delivery_tag=9, multiple=True)),
    (1, commands.Basic.Nack(delivery_tag=1 << 40)),
    *returned(1, "other-id", b""),
    (0, commands.Connection.Blocked(reason="low on memory")),
    (0, commands.Connection.Unblocked()),
    (2, commands.Channel.Close(reply_code=404, reply_text="NOT_FOUND", class_id=60, method_id=40)),
    (2, commands.Channel.OpenOk()),
    (2, commands.Confirm.SelectOk()),
]
TOLD = [
    ("confirmed", 1, 1, False, True),
    ("returned", 2, "some-id", "312 NO_ROUTE"),
    ("confirmed", 2, 7, True, True),
    ("confirmed", 1, 9, True, False),
    ("confirmed", 1, 1 << 40, False, False),
    ("returned", 1, "other-id", "312 NO_ROUTE"),
    ("blocked", "low on memory"),
    ("blocked", ""),
    ("channel_closed", 2, 404, "NOT_FOUND"),
    ("channel_opened", 2),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=400), max_size=30))
def test_whatever_the_pieces_in_which_it_arrives_the_same_is_told(cuts: list[int]) -> None:
    async def main() -> None:
        connection, transport, listener = await connected(channels=2)
        transport.frames()
        data = frames(*SAID)
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for start, stop in itertools.pairwise(places):
            connection.data_received(data[start:stop])
        assert [told for told in listener.told if told != ("heard",)] == TOLD
        assert transport.frames() == [(2, "Channel.CloseOk"), (2, "Channel.Open"), (2, "Confirm.Select")]
        assert not transport.ended

    run(main())


def test_cut_in_two_at_any_place_the_same_is_told() -> None:
    async def main() -> None:
        data = frames(*SAID)
        for cut in range(len(data)):
            connection, _, listener = await connected(channels=2)
            connection.data_received(data[:cut])
            connection.data_received(data[cut:])
            assert [told for told in listener.told if told != ("heard",)] == TOLD

    run(main())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it doesn't speak AMQP 0-9-1"),
        (b"\x01\x00\x00\xff\xff\xff\xff\x00", "it doesn't speak AMQP 0-9-1"),
        (b"\x01\x00\x00\x00\x00\x00\x01\x00\x00", "a frame without an end arrived"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x63\x00\x63\xce", "a frame arrived that can't be read"),
    ],
)
def test_nonsense_ends_the_connection(data: bytes, reason: str) -> None:
    async def main() -> None:
        connection, transport, listener = await connected()
        connection.data_received(data)
        connection.connection_lost(None)
        ((name, told),) = listener.told
        assert name == "lost"
        assert told.startswith(reason)
        assert transport.ended == "aborted"

    run(main())


def test_a_farewell_is_answered_and_told_with_the_brokers_own_words() -> None:
    async def main() -> None:
        connection, transport, listener = await connected()
        transport.frames()
        farewell = commands.Connection.Close(reply_code=320, reply_text="CONNECTION_FORCED", class_id=0, method_id=0)
        connection.data_received(frames((0, farewell)))
        connection.connection_lost(None)
        assert transport.frames() == [(0, "Connection.CloseOk")]
        assert transport.ended == "closed"
        assert listener.told == [("lost", "CONNECTION_FORCED")]

    run(main())


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        (commands.Connection.Start(mechanisms="AMQPLAIN", locales="en_US", server_properties={}), None, "by PLAIN"),
        (commands.Connection.Tune(channel_max=1, frame_max=8192, heartbeat=0), None, "it allows 1 channels"),
        (
            commands.Connection.Close(reply_code=403, reply_text="ACCESS_REFUSED", class_id=0, method_id=0),
            403,
            "ACCESS",
        ),
    ],
)
def test_a_handshake_that_fails_says_why(said: Frame, code: int | None, reason: str) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionClosed, match=reason) as caught:
            await dial(2, (0, said))
        assert caught.value.code == code

    run(main())


def test_one_that_closes_as_soon_as_all_is_open_was_never_open() -> None:
    async def main() -> None:
        opened = [(1, commands.Channel.OpenOk()), (1, commands.Confirm.SelectOk())]
        farewell = commands.Connection.Close(reply_code=320, reply_text="CONNECTION_FORCED", class_id=0, method_id=0)
        with pytest.raises(ConnectionClosed, match="CONNECTION_FORCED") as caught:
            await dial(1, (0, START), (0, TUNE), (0, commands.Connection.OpenOk()), *opened, (0, farewell))
        assert caught.value.code == 320

    run(main())


def run(main: Any) -> None:
    asyncio.run(main)
