"""Peers that mean harm: what each protocol's peer can say that is too long, too much, endless, slow or nonsense.

A `Hostile` stands between evload and a peer that is well. It passes all on until it is told to turn; from then on it
speaks in the peer's place.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Coroutine, Iterator, Mapping
from itertools import count, cycle
from types import TracebackType
from typing import Any, Final, Self

LONG, MANY, ENDLESS, TRICKLE, NONSENSE = "10 MB", "1,000,000 headers", "endless", "a byte a second", "nonsense"
WAYS: Final = (LONG, MANY, ENDLESS, TRICKLE, NONSENSE)
QUIET: Final = "quiet"
IN_TURN: Final = "in turn"

_PIECE: Final = 1 << 18
_PACE_S: Final = 0.004
"""Between two pieces: some 60 MB/s at most, so that what evload does about them isn't held up by making them."""
_MB_10: Final = 10_000_000
_MANY: Final = 1_000_000

Saying = Iterator[bytes]
"""What is said, piece by piece. A piece of one byte is followed by a pause of a second."""
Speech = Mapping[str, Callable[[], Saying]]
"""What is said in each way to be hostile."""


def _forever(begin: bytes, again: bytes) -> Saying:
    yield begin
    piece = again * max(1, _PIECE // len(again))
    while True:
        yield piece


def _slowly(begin: bytes, again: bytes) -> Saying:
    yield begin
    for byte in cycle(again):
        yield bytes((byte,))


def _nonsense() -> Saying:
    noise = random.Random(1)
    while True:
        yield noise.randbytes(997)


def _once(*pieces: bytes) -> Saying:
    yield from pieces


def _many(begin: bytes, each: Callable[[int], bytes], end: bytes) -> Saying:
    """A million of them."""
    yield begin
    for first in range(0, _MANY, 5000):
        yield b"".join(map(each, range(first, first + 5000)))
    yield end


# --- HTTP -------------------------------------------------------------------------------------------------


def over_http(content_type: str, begin: bytes, again: bytes, end: bytes) -> Speech:
    """Answers of this kind. Their body begins so, goes on so for as long as it is to be, and ends so."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = again * (65_536 // len(again))
    times = _MB_10 // len(again)
    length = b"Content-Length: %d\r\n\r\n" % (len(begin) + times * len(again) + len(end))
    return {
        LONG: lambda: _once(head + length, begin + again * times + end),
        MANY: lambda: _many(head, _header, b"Content-Length: 0\r\n\r\n"),
        ENDLESS: lambda: _forever(chunked + _chunk(begin), _chunk(chunk)),
        TRICKLE: lambda: _slowly(head + b"Content-Length: 1000000\r\n\r\n" + begin, again),
        NONSENSE: _nonsense,
    }


def _header(number: int) -> bytes:
    return b"X-%d: %d\r\n" % (number, number)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


IN_JSON: Final = over_http("application/json", b'{"value": 1, "items": [0', b', {"id": "x"}', b"]}")
IN_METRIC_DATA: Final = over_http(
    "text/xml", b"<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Values>",
    b"<member>1</member>", b"</Values></member></MetricDataResults></GetMetricDataResult></GetMetricDataResponse>",
)  # fmt: skip
IN_XML: Final = over_http(
    "application/xml", b"<?xml version='1.0'?><Error><Code>x</Code><Message>", b"x", b"</Message></Error>"
)
IN_METRICS: Final = over_http("text/plain; version=0.0.4", b"", b'depth{queue="x"} 1\n', b"")
IN_SSE: Final = {
    **over_http("text/event-stream", b"", b"data: x\n\n", b""),
    # Within a stream that is well already, and its events one after the other.
    ENDLESS: lambda: _forever(b"data: ", b"x"),
}


def _requests() -> Speech:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return {
        LONG: lambda: _once(head + b"Content-Length: %d\r\n\r\n" % _MB_10, b"x" * _MB_10),
        MANY: lambda: _many(head, _header, b"Content-Length: 2\r\n\r\n{}"),
        ENDLESS: lambda: _forever(head + b"Transfer-Encoding: chunked\r\n\r\n", _chunk(b"x" * 65_536)),
        TRICKLE: lambda: _slowly(head + b"Content-Length: 1000000\r\n\r\n", b"x"),
        NONSENSE: _nonsense,
    }


IN_REQUESTS: Final = _requests()
"""What a caller can send to somebody who listens."""


# --- gRPC -------------------------------------------------------------------------------------------------

_FRAME: Final = 16_384
_IN_ONE_MESSAGE: Final = 4 << 20
"""As much as gRPC takes unless it is told otherwise."""


def _http2(kind: int, payload: bytes, *, flags: int = 0, stream: int = 1, size: int | None = None) -> bytes:
    """A frame, or the beginning of one of that size."""
    return (
        struct.pack(">I", len(payload) if size is None else size)[1:]
        + bytes((kind, flags))
        + (struct.pack(">I", stream) + payload)
    )


def _field(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def _in_data(payload: bytes) -> bytes:
    return b"".join(_http2(0, payload[at : at + _FRAME]) for at in range(0, len(payload), _FRAME))


def _over_grpc() -> Speech:
    settings = _http2(4, b"", stream=0)
    head = b"\x88" + _field(b"content-type", b"application/grpc")
    begun = settings + _http2(1, head, flags=4)

    def message(size: int) -> bytes:
        return b"\0" + struct.pack(">I", size)

    def again_and_again() -> Saying:
        # The window of the stream is not ours to be kept to.
        whole = _in_data(message(_IN_ONE_MESSAGE - 5) + b"\x0a" * (_IN_ONE_MESSAGE - 5))
        yield begun
        while True:
            yield whole

    return {
        LONG: lambda: _once(begun, _in_data(message(_MB_10) + b"x" * _MB_10)),
        MANY: lambda: _many(
            settings + _http2(1, head), lambda number: _http2(9, _field(b"x-%d" % number, b"%d" % number)),
            _http2(9, b"", flags=4),
        ),
        ENDLESS: again_and_again,
        TRICKLE: lambda: _slowly(begun + _http2(0, message(60_000), size=_FRAME), b"x"),
        NONSENSE: _nonsense,
    }  # fmt: skip


IN_GRPC: Final = _over_grpc()


# --- others -----------------------------------------------------------------------------------------------


def _amqp(kind: int, payload: bytes, size: int | None = None) -> bytes:
    """A frame on channel 1, or the beginning of one of that size."""
    head = struct.pack(">BHI", kind, 1, len(payload) if size is None else size)
    return head + payload + (b"\xce" if size is None else b"")


def _deliveries() -> Speech:
    deliver = _amqp(1, struct.pack(">HH", 60, 60) + b"\x01c" + struct.pack(">QB", 1, 0) + b"\x01e\x01k")
    piece = _amqp(3, b"x" * 100_000)

    def header(size: int) -> bytes:
        return _amqp(2, struct.pack(">HHQH", 60, 0, size, 0))

    length = 10 * _MANY
    table = _amqp(2, struct.pack(">HHQHI", 60, 0, 0, 1 << 13, length), 18 + length)
    return {
        LONG: lambda: _once(deliver + header(_MB_10), *[piece] * 100),
        MANY: lambda: _many(deliver + table, lambda number: b"\7%07dt\1" % number, b"\xce"),
        ENDLESS: lambda: _forever(deliver + header(1 << 62), piece),
        TRICKLE: lambda: _slowly(deliver + header(100_000) + _amqp(3, b"", 100_000), b"x"),
        NONSENSE: _nonsense,
    }


IN_AMQP: Final = _deliveries()


def _values(queued: bytes = b"") -> Speech:
    return {
        LONG: lambda: _once(queued + b"*2\r\n*1\r\n$%d\r\n" % _MB_10, b"x" * _MB_10, b"\r\n:1\r\n"),
        MANY: lambda: _many(queued + b"*2\r\n*%d\r\n" % _MANY, lambda number: b"$7\r\n%07d\r\n" % number, b":1\r\n"),
        ENDLESS: lambda: _forever(queued + b"*2\r\n*1\r\n$9000000000\r\n", b"x"),
        TRICKLE: lambda: _slowly(queued + b"*2\r\n*1\r\n$1000000\r\n", b"x"),
        NONSENSE: _nonsense,
    }


IN_REDIS: Final = _values(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n")
"""To the commands of a transaction, and then its results."""
IN_REDIS_THREE: Final = _values(b"+OK\r\n" + b"+QUEUED\r\n" * 3)
"""The same, to three of them."""
IN_REDIS_AT_ONCE: Final = _values()


def _postgres(kind: bytes, payload: bytes, size: int | None = None) -> bytes:
    return kind + struct.pack(">I", 4 + (len(payload) if size is None else size)) + payload


def _rows_of_postgres() -> Speech:
    # To a query that is prepared.
    def row(text: bytes, size: int | None = None) -> bytes:
        length = len(text) if size is None else size
        return _postgres(b"D", struct.pack(">HI", 1, length) + text, 6 + length)

    bound = _postgres(b"2", b"")
    end = _postgres(b"C", b"SELECT 1\0") + _postgres(b"Z", b"I")
    return {
        LONG: lambda: _once(bound + row(b"x" * _MB_10) + end),
        MANY: lambda: _many(b"", lambda number: _postgres(b"S", b"x%d\0%d\0" % (number, number)), bound + end),
        ENDLESS: lambda: _forever(bound, row(b"x" * 1000)),
        TRICKLE: lambda: _slowly(bound + row(b"", 1_000_000), b"x"),
        NONSENSE: _nonsense,
    }


IN_POSTGRES: Final = _rows_of_postgres()


def _login_of_postgres() -> Speech:
    # In place of what would let in.
    def notice(text: bytes, size: int | None = None) -> bytes:
        return _postgres(b"N", b"SNOTICE\0M" + text, None if size is None else 9 + size)

    sasl = struct.pack(">I", 10)
    return {
        LONG: lambda: _once(notice(b"x" * _MB_10 + b"\0\0")),
        MANY: lambda: _many(b"", lambda number: _postgres(b"S", b"x%d\0%d\0" % (number, number)), b""),
        ENDLESS: lambda: _forever(b"", notice(b"x" * 1000 + b"\0\0")),
        TRICKLE: lambda: _slowly(_postgres(b"R", sasl, 1_000_000), b"x"),
        NONSENSE: _nonsense,
    }


IN_POSTGRES_LOGIN: Final = _login_of_postgres()


def _rows_of_mysql() -> Speech:
    def packet(number: int, payload: bytes, size: int | None = None) -> bytes:
        length = len(payload) if size is None else size
        return struct.pack("<I", length)[:3] + bytes((number % 256,)) + payload

    column = b"\3def\0\0\0\2id\2id\x0c" + struct.pack("<HIBHB", 45, 99, 253, 0, 0) + b"\0\0"
    eof = b"\xfe\0\0\2\0"
    begun = packet(1, b"\1") + packet(2, column) + packet(3, eof)
    text = b"\xfd" + struct.pack("<I", _MB_10)[:3]
    whole = b"\xff\xff\xff"

    def endless() -> Saying:
        yield begun
        for number in count(4):
            yield whole + bytes((number % 256,)) + b"x" * 0xFFFFFF

    return {
        LONG: lambda: _once(begun + packet(4, text, len(text) + _MB_10), b"x" * _MB_10, packet(5, eof)),
        MANY: lambda: _many(
            packet(1, b"\xfd" + struct.pack("<I", _MANY)[:3]), lambda number: packet(2 + number, column), eof
        ),
        ENDLESS: endless,
        TRICKLE: lambda: _slowly(begun + packet(4, b"", 1_000_000), b"x"),
        NONSENSE: _nonsense,
    }


IN_MYSQL: Final = _rows_of_mysql()


def _login_of_mysql() -> Speech:
    def packet(payload: bytes, size: int | None = None) -> bytes:
        return struct.pack("<I", len(payload) if size is None else size)[:3] + b"\0" + payload

    rest = b"\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<HBHHB", 0xF7FF, 45, 2, 0xDFFF, 21) + bytes(10)
    hello = packet(b"\x0a8.0.0" + rest + b"123456789012\0mysql_native_password\0")

    def more(number: int) -> bytes:
        # One after the other it asks for another way to log in.
        asks = b"\xfemysql_native_password\0" + b"x" * 20 + b"\0"
        return struct.pack("<I", len(asks))[:3] + bytes(((2 + 2 * number) % 256,)) + asks

    return {
        LONG: lambda: _once(packet(b"\x0a" + b"x" * _MB_10 + rest)),
        MANY: lambda: _many(hello, more, b""),
        ENDLESS: lambda: _forever(packet(b"\x0a", 0xFFFFFF), b"x"),
        TRICKLE: lambda: _slowly(packet(b"\x0a", 1_000_000), b"x"),
        NONSENSE: _nonsense,
    }


IN_MYSQL_LOGIN: Final = _login_of_mysql()
"""It speaks first."""


# --- those who speak --------------------------------------------------------------------------------------


class Hostile:
    """Listens on a `port` of its own, passes all on to a peer's port both ways, and speaks itself once it has turned.

    It speaks when it is spoken to, and at once on a connection of one who only listens (`unasked`). Those who connect
    after it has turned are in turn let through until they have said `greetings` pieces, and spoken to at once.

    As a context manager.
    """

    def __init__(self, port: int, speech: Speech, way: str, *, greetings: int = 0, unasked: bool = False) -> None:
        self.port = 0
        self.spoke = 0
        self._peer = port
        self._speech = speech
        self._ways = cycle(WAYS if way == IN_TURN else () if way == QUIET else (way,))
        self._quiet = way == QUIET
        self._greetings = cycle((greetings, 0))
        self._unasked = unasked
        self._turned = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def turn(self) -> None:
        """Be hostile from now on, unless it is the quiet one."""
        if not self._quiet:
            self._turned.set()

    async def speak(self, writer: asyncio.StreamWriter) -> None:
        """Say what is next, until it is said or nobody listens any more."""
        self.spoke += 1
        await said(self._speech[next(self._ways)](), writer)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._between(reader, writer))

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = next(self._greetings) if self._turned.is_set() else 0
        hushed = asyncio.Event()
        helpers = []
        try:
            from_peer, to_peer = await asyncio.open_connection("127.0.0.1", self._peer)
            helpers.append(self._start(self._pass(from_peer, writer, hushed)))
            if self._unasked:
                helpers.append(self._start(self._speak_unasked(writer, hushed)))
            while data := await reader.read(_PIECE):
                if self._turned.is_set() and left <= 0:
                    if not hushed.is_set():
                        hushed.set()
                        await self.speak(writer)
                        break
                else:
                    left -= 1
                    to_peer.write(data)
        except OSError:
            pass
        finally:
            for helper in helpers:
                helper.cancel()
            if helpers:
                to_peer.close()
            writer.close()

    async def _speak_unasked(self, writer: asyncio.StreamWriter, hushed: asyncio.Event) -> None:
        await self._turned.wait()
        if not hushed.is_set():
            hushed.set()
            await self.speak(writer)
            writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, hushed: asyncio.Event) -> None:
        try:
            while data := await source.read(_PIECE):
                if hushed.is_set():
                    return
                sink.write(data)
                await sink.drain()
            if not hushed.is_set():
                sink.close()
        except OSError:
            pass


async def said(saying: Saying, writer: asyncio.StreamWriter) -> None:
    """Say it all, or as much as is listened to."""
    try:
        for piece in saying:
            for at in range(0, len(piece), _PIECE):
                writer.write(piece[at : at + _PIECE])
                await writer.drain()
                await asyncio.sleep(1 if len(piece) == 1 else _PACE_S)
    except OSError:
        pass
