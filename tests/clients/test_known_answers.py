"""An answer that begins like the last one with its status isn't parsed again, and nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from evload.clients.http_wire import Connection, Exchange, Known, Listener
from evload.clock import Clock, SystemClock

ANSWERS: Final = {
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 8\r\n\r\n" + b'{"no":1}': (404, b'{"no":1}'),
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 8\r\n\r\n" + b'{"no":2}': (404, b'{"no":2}'),
    b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n": (202, b""),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b""),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-after: 1\r\n\r\n": (200, b"abc"),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny": (200, b"y"),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n": (200, b"ab"),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nx-after: 1\r\n\r\n": (200, b"xyz"),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabc\r\n0\r\n0\r\n\r\n": (200, b"abc\r\n0"),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nn": (200, b"n"),
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny": (200, b"y"),
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nn": (200, b"n"),
    b"HTTP/1.1 201 OK\r\ncontent-length: 1\r\n\r\nn": (201, b"n"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx: " + b"h" * 4096 + b"\r\n\r\n\r\n\r\n": (200, b"\r\n\r\n"),
    b"HTTP/1.1 200 OK\r\ncontent-length: 6000\r\n\r\n" + b"z" * 6000: (200, b"z" * 5000),
    b"HTTP/1.1 200 OK\r\ncontent-length: 6000\r\n\r\n" + b"y" * 6000: (200, b"y" * 5000),
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx": (200, b"x"),
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx+": (200, b"x"),
}  # fmt: skip
LAST: Final = frozenset(list(ANSWERS)[-2:])
"""Answers after which their connection can't be used any more."""


class OfAStep(Exchange):
    """An exchange of whose answer as many bytes are kept as its context says."""

    alike = False
    by_head = True


def exchange_with(limit: int | None) -> Exchange:
    """One that is like all others, or that has a limit of its own."""
    return Exchange((b"x",), None, 0) if limit is None else OfAStep((b"x",), limit, 0)


class Peer:
    """Whose connections they are, and who is told; a transport beside it."""

    requests_per_connection: int | None = None
    hangs_up_at_limit = False
    clock: Clock

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.listener: Listener = self
        self.known: dict[bytes | int, Known] = {}
        self.told: list[tuple[int, Sequence[tuple[bytes, bytes]], bytes]] = []
        self.free = 0

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        assert exchange.sent_ns is not None
        assert at_ns >= exchange.sent_ns
        self.told.append((status, headers, body))

    def failed(self, exchange: Exchange, reason: str) -> None:
        raise AssertionError(reason)

    def body_limit(self, exchange: Exchange, status: int) -> int:
        return 5000 if exchange.context is None else int(exchange.context)

    def grown(self) -> None: ...

    def opened(self, connection: Connection) -> None: ...

    def released(self, connection: Connection, now_ns: int) -> None:
        self.free += 1

    def lost(self, connection: Connection) -> None: ...

    # The transport.

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def connection_of(peer: Peer) -> Connection:
    made = Connection(peer)
    transport: Any = peer
    made.connection_made(transport)
    return made


def pieces(answer: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = sorted({cut % len(answer) for cut in cuts} - {0})
    return [answer[start:end] for start, end in zip([0, *ends], [*ends, len(answer)], strict=True)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(ANSWERS)),
            st.one_of(st.just([]), st.lists(st.integers(0, 6100), max_size=3)),
            st.sampled_from([None, 0, 2, 5000]),
        ),
        max_size=12,
    )
)
def test_whatever_came_before_an_answer_is_what_it_is(script: list[tuple[bytes, list[int], int | None]]) -> None:
    peer = Peer()
    connection = connection_of(peer)
    free = 0
    for answer, cuts, limit in script:
        exchange = exchange_with(limit)
        connection.send(exchange, peer.clock.now_ns())
        parts = pieces(answer, [] if answer in LAST else cuts)
        for part in parts:
            connection.data_received(part)
        status, headers, body = peer.told[-1]
        assert (status, body) == (ANSWERS[answer][0], ANSWERS[answer][1][:limit])
        alone = Peer()
        other, single = connection_of(alone), exchange_with(limit)
        other.send(single, 0)
        other.data_received(answer)
        assert headers == alone.told[-1][1]
        assert exchange.body_size == single.body_size
        free += answer not in LAST
        assert peer.free == free
        assert all(len(known.head) <= 4096 for known in peer.known.values())
        if connection.closed:
            assert answer in LAST
            connection = connection_of(peer)
    assert len(peer.told) == len(script)


class Counting:
    """A parser, and what it is fed."""

    def __init__(self, connection: Connection, fed: list[bytes]) -> None:
        self.parser = connection._parser
        self.fed = fed

    def feed_data(self, data: bytes) -> None:
        self.fed.append(data)
        self.parser.feed_data(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser, name)


def parsed(peer: Peer, script: Sequence[bytes], limit: int | None = None) -> list[bytes]:
    """Those of some answers that were parsed, which came in turns on two connections."""
    fed: list[bytes] = []
    connections = [connection_of(peer), connection_of(peer)]
    for connection in connections:
        counting: Any = Counting(connection, fed)
        connection._parser = counting
    for number, answer in enumerate(script):
        connections[number % 2].send(exchange_with(limit), 0)
        connections[number % 2].data_received(answer)
    return fed


def found(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def test_the_same_answer_is_parsed_once() -> None:
    peer = Peer()
    answer = next(iter(ANSWERS))
    assert parsed(peer, [answer] * 3) == [answer]
    assert [told[0] for told in peer.told] == [404] * 3


def test_of_answers_that_differ_in_their_bodies_alone_the_first_is_parsed_of_each_status() -> None:
    peer = Peer()
    missing = next(iter(ANSWERS))
    script = [missing, found(b"a1"), missing, found(b"b2"), missing, found(b"c3"), found(b"long"), found(b"d4")]
    assert parsed(peer, script) == [missing, found(b"a1"), found(b"long"), found(b"d4")]
    assert [(status, body) for status, _, body in peer.told] == [
        (404, b'{"no":1}'), (200, b"a1"), (404, b'{"no":1}'), (200, b"b2"), (404, b'{"no":1}'), (200, b"c3"),
        (200, b"long"), (200, b"d4"),
    ]  # fmt: skip


def test_of_answers_with_limits_of_their_own_the_first_is_parsed_of_each_length() -> None:
    peer = Peer()
    script = [found(b"a1"), found(b"b2"), found(b"long"), found(b"c3"), found(b"LONG"), found(b"d4")]
    assert parsed(peer, script, limit=3) == [found(b"a1"), found(b"long")]
    assert [body for _, _, body in peer.told] == [b"a1", b"b2", b"lon", b"c3", b"LON", b"d4"]


def test_answers_of_any_length_leave_no_more_than_some_heads() -> None:
    peer = Peer()
    script = [found(b"x" * size) for size in range(200)]
    assert parsed(peer, script, limit=0) == script
    assert len(peer.known) <= 64


def test_what_an_answer_has_beyond_a_body_that_is_known_ends_the_connection() -> None:
    peer = Peer()
    connection = connection_of(peer)
    for answer in (found(b"abc"), found(b"ab") + b"c", found(b"abc")[:-1]):
        connection.send(exchange_with(5), 0)
        connection.data_received(answer)
        if connection.closed:
            connection = connection_of(peer)
    assert [body for _, _, body in peer.told] == [b"abc", b"ab"]
    assert peer.free == 1


def test_a_connection_that_has_served_its_time_is_closed_all_the_same() -> None:
    peer = Peer()
    peer.requests_per_connection = 2
    connection = connection_of(peer)
    for _ in range(2):
        connection.send(Exchange((b"x",), None, 0), 0)
        connection.data_received(next(iter(ANSWERS)))
    assert connection.closed
    assert peer.free == 1


def test_an_answer_within_the_body_of_another_is_a_body() -> None:
    peer = Peer()
    connection = connection_of(peer)
    inner = next(iter(ANSWERS))
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(inner)
    for parts in ([inner], [head, inner], [inner]):
        connection.send(Exchange((b"x",), None, 0), 0)
        for part in parts:
            connection.data_received(part)
    assert [(status, body) for status, _, body in peer.told] == [(404, b'{"no":1}'), (200, inner), (404, b'{"no":1}')]
