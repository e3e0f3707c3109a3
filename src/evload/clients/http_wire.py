"""An HTTP/1.1 keep-alive client for one address: a pool of connections, one request at a time on each.

Made for an open loop: no task, no timer and no future per request. One sweep looks after all timeouts.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol, cast

import httptools

from ..clock import Clock
from ..units import NS_PER_S, format_duration
from .bodies import field
from .dialing import Dialer
from .web import Endpoint, reason_of

_CONNECTING: Final = 64
"""Most connects under way: enough to fill a pool quickly, too few to be a flood."""
_SLICE: Final = 128
"""Requests written before the loop may look at answers again."""
_HEAD_LIMIT: Final = 65_536
"""Longest head of an answer, in bytes."""
_LARGE: Final = 65_536
"""Of a body beyond this, in bytes, its owner is told each time that it grows."""
ALL: Final = sys.maxsize
"""As a limit: the whole body is looked at as it comes."""
_NO_BODY: Final = b""
_PORTION: Final = 65_536
"""Most bytes of a long request that are written at a time."""
_KNOWN_LIMIT: Final = 4_096
"""Most bytes of an answer that are remembered."""
_KNOWN_LENGTHS: Final = 64
"""Of so many lengths of answers a head is remembered."""
_END_OF_HEAD: Final = b"\r\n\r\n"
_FRAMING: Final = (b"content-length", b"transfer-encoding")
"""Headers that say where a body ends."""
_FRAMING_LENGTHS: Final = frozenset(map(len, _FRAMING))
GARBLED: Final = "the answer is cut off or garbled"


class Known(NamedTuple):
    """What the parser made of an answer that came in one piece; the connection stays usable after it.

    Targets answer alike again and again, and comparing costs less than parsing. An answer that has the same head and
    is as long differs in its body alone.

    head    all before the body, if that says how long the body is; otherwise all of the answer
    length  of the whole answer, in bytes
    body    as it was kept; None: what lies in [start, stop) of such an answer is kept
    body_size  how many bytes of it came, kept or not
    """

    head: bytes
    length: int
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None
    body_size: int
    start: int = 0
    stop: int = 0

    @classmethod
    def of(
        cls, data: bytes, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, body_size: int
    ) -> Known:
        """What is known by an answer, all of it, and what was kept of its body, of how many bytes."""
        start = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if start < len(_END_OF_HEAD) or _length(headers) != len(data) - start:
            return cls(data, len(data), status, headers, body, body_size)
        return cls(data[:start], len(data), status, headers, None, body_size, start, start + len(body))


def _length(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """How long a body is by its one content-length; None: nothing but that would say so."""
    found = None
    for name, value in headers:
        # Most names have another length, which is told without a copy in lower case.
        if len(name) in _FRAMING_LENGTHS and name.lower() in _FRAMING:
            if found is not None or not value.isdigit():
                return None
            found = int(value)
    return found


class Exchange:
    """One request, and when it was queued and sent (ns). `context` is the caller's own.

    `refused_ns` is when the target refused the connection that it was waiting for. `past` is what an accepted one
    went through that is worth telling, mostly nothing. `overlong` says of an answer that its body was cut off, and
    nothing of it is kept. `body_size` is how many bytes of the answer's body came, kept or not, as they came.
    `first_ns` is when the first byte of its answer came; None: that came all at once, or nothing of it did.
    `broken_status` is the status of an answer that wasn't complete; None: there was none.
    """

    __slots__ = (
        "body_size", "broken_status", "context", "first_ns", "overlong", "past", "queued_ns", "refused_ns", "request",
        "sent_ns",
    )  # fmt: skip

    alike: bool = True
    """It is one of those of which the same is kept of all answers with one status: what is known of one holds for
    another."""
    by_head: bool = False
    """As much is kept of its answer as its limit says, which is asked each time: what is known of the head of one
    answer holds for another. Only of those that aren't `alike`."""
    bodiless: bool = False
    """Whatever the headers of its answer say of a body, none comes (RFC 9112, 6.3): it asks by HEAD. Only of those
    that aren't `alike`."""
    streamed: bool = False
    """It is too long to be written at once, and is as the target takes it. Only of those that aren't `alike`."""
    own_headers: Collection[str] = ()
    """Names, in lower case, of headers with a value of its own where all others have one in common."""

    def __init__(self, request: Sequence[bytes], context: Any, queued_ns: int) -> None:
        self.request = request
        self.context = context
        self.queued_ns = queued_ns
        self.sent_ns: int | None = None
        self.refused_ns: int | None = None
        self.first_ns: int | None = None
        self.broken_status: int | None = None
        self.past = ""
        self.overlong = False
        self.body_size = 0

    def body_of(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """What takes the pieces of the body of its answer, and holds those that are kept. Asked once for each answer
        whose body has begun to come, and only where its limit is ALL."""
        return []


class _Closed(list[tuple[bytes, bytes]]):
    """The headers of an answer that is complete."""

    def append(self, header: tuple[bytes, bytes]) -> None:
        """Of another one."""


class Listener(Protocol):
    """Who is told what becomes of the exchanges: exactly one call of `answered` or `failed` for each."""

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        """A complete answer arrived. `body` is cut off at `body_limit`."""
        ...

    def failed(self, exchange: Exchange, reason: str) -> None:
        """There will be no answer. If `exchange.sent_ns` is None the request was never written."""
        ...

    def body_limit(self, exchange: Exchange, status: int) -> int:
        """How many bytes of the body of its answer, which has this status, are worth keeping. ALL: that is for what
        takes it to say, see `Exchange.body_of`."""
        ...


class Owner(Protocol):
    """Whose connections they are.

    requests_per_connection  after so many a connection is closed; None: never
    hangs_up_at_limit        an answer whose body is longer than its limit ends there, and so does its connection;
                             otherwise the rest is read and thrown away
    known                    the last answers that came in one piece; kept by connections. Those to exchanges that are
                             alike by the three digits of their status; those that are known by their heads by length
    """

    clock: Clock
    listener: Listener
    requests_per_connection: int | None
    hangs_up_at_limit: bool
    known: dict[bytes | int, Known]

    def grown(self) -> None:
        """A connection that hangs up at the limit has got a large part of a body, and more is to come."""
        ...

    def opened(self, connection: Connection) -> None:
        """A connection is established."""
        ...

    def released(self, connection: Connection, now_ns: int) -> None:
        """A connection can take the next request."""
        ...

    def lost(self, connection: Connection) -> None:
        """A connection can't be used any more."""
        ...


class IdleConnections:
    """Connections that nobody uses, and for how long. Those that fell idle last are used first."""

    def __init__(self, max_idle_ns: int) -> None:
        self._max_idle_ns = max_idle_ns
        self._idle: deque[Connection] = deque()

    def count(self, until_ns: int) -> int:
        """How many can still be used at a time."""
        return sum(not one.closed and until_ns - one.idle_since_ns <= self._max_idle_ns for one in self._idle)

    def put(self, connection: Connection, now_ns: int) -> None:
        connection.idle_since_ns = now_ns
        self._idle.append(connection)

    def take(self, now_ns: int) -> Connection | None:
        """One that isn't too old."""
        while self._idle:
            connection = self._idle.pop()
            if connection.closed:
                continue
            if now_ns - connection.idle_since_ns <= self._max_idle_ns:
                return connection
            connection.give_up("idle")
        return None

    def prune(self, now_ns: int) -> None:
        """Close those that are too old."""
        idle = self._idle
        while idle and (idle[0].closed or now_ns - idle[0].idle_since_ns > self._max_idle_ns):
            idle.popleft().give_up("idle")


def sweep_period_s(timeout_ns: int, max_idle_ns: int) -> float:
    """How often timeouts are looked after."""
    period_s = min(max(timeout_ns, 20_000_000) / 20, 250_000_000) / NS_PER_S
    return min(period_s, max(max_idle_ns / NS_PER_S, 0.001))


class Client:
    """Writes each exchange to an idle connection, or to the next one that is opened or falls idle."""

    def __init__(
        self,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        clock: Clock,
        listener: Listener,
        *,
        connections: int,
        timeout_ns: int,
        max_idle_ns: int,
        requests_per_connection: int | None = None,
    ) -> None:
        self.clock = clock
        self.listener = listener
        self.requests_per_connection = requests_per_connection
        self.hangs_up_at_limit = False
        self.known: dict[bytes | int, Known] = {}
        self._dialer = Dialer.to(endpoint)
        self._tls = tls
        self._limit = connections
        self._timeout_ns = timeout_ns
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Exchange] = deque()
        self._queued = 0
        self._idle = IdleConnections(max_idle_ns)
        self._open: set[Connection] = set()
        self._connects: set[asyncio.Task[None]] = set()
        self._connecting = 0
        self._prepared = 0
        """So many requests come at once, soon."""
        self._pump_due = False
        self._closed = False
        self._held = ""
        """Why the last connect failed while other connections were open; empty as soon as one succeeds."""
        self._period_s = sweep_period_s(timeout_ns, max_idle_ns)
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    async def open(self) -> None:
        """Open the first connection. Raises OSError, TimeoutError or UnicodeError."""
        self._connecting += 1
        await self._dial(Connection(self))

    def prepare(self, count: int) -> None:
        """Begin to open connections, so that so many requests can be written at once, within a second."""
        # What would be too old by then must not take the place of another one.
        self._idle.prune(self.clock.now_ns() + NS_PER_S)
        self._prepared = count
        self._connect_more()

    def submit(self, exchanges: Iterable[Exchange]) -> None:
        """Take requests on. They are written in this order as connections become free."""
        before = len(self._waiting)
        self._waiting.extend(exchanges)
        self._queued += (came := len(self._waiting) - before)
        self._prepared = max(0, self._prepared - came)
        if self._closed:
            self._fail_waiting(len(self._waiting), "the client is closed")
        elif not self._pump_due:
            self._pump()

    async def close(self) -> None:
        """Fail what is unsettled and let go of all connections."""
        self._closed = True
        self._sweeper.cancel()
        for task in self._connects:
            task.cancel()
        await asyncio.gather(*self._connects, return_exceptions=True)
        self._fail_waiting(len(self._waiting), "no connection was free before the end")
        for connection in tuple(self._open):
            connection.give_up("no answer before the end")
        await asyncio.sleep(0)

    def _pump(self) -> None:
        self._pump_due = False
        waiting = self._waiting
        for _ in range(_SLICE):
            if not waiting:
                return
            now_ns = self.clock.now_ns()
            connection = self._idle.take(now_ns)
            if connection is None:
                self._connect_more()
                return
            connection.send(waiting.popleft(), now_ns)
        self._pump_due = True
        self._loop.call_soon(self._pump)

    def grown(self) -> None:
        """See `Owner`."""

    def opened(self, connection: Connection) -> None:
        """A connection is established."""
        self._connecting -= 1
        self._held = ""
        if self._closed:
            connection.give_up("closed")
            return
        self._open.add(connection)
        self.released(connection, self.clock.now_ns())
        if self._prepared:
            self._connect_more()

    def released(self, connection: Connection, now_ns: int) -> None:
        """A connection can take the next request."""
        if self._waiting:
            connection.send(self._waiting.popleft(), now_ns)
        else:
            self._idle.put(connection, now_ns)

    def lost(self, connection: Connection) -> None:
        """A connection can't be used any more."""
        self._open.discard(connection)
        if self._waiting:
            self._connect_more()

    def _connect_more(self) -> None:
        """One connect for each waiting request, or for each that is about to come, within the limits."""
        if self._closed:
            return
        wanted = len(self._waiting)
        if self._prepared:
            wanted = max(wanted, self._prepared - self._idle.count(self.clock.now_ns() + NS_PER_S))
        room = min(wanted, _CONNECTING, self._limit - len(self._open)) - self._connecting
        for _ in range(room):
            self._connecting += 1
            task = self._loop.create_task(self._connect())
            self._connects.add(task)
            task.add_done_callback(self._connects.discard)

    async def _connect(self) -> None:
        asked_for = self._queued
        connection = Connection(self)
        try:
            await self._dial(connection)
        except (OSError, UnicodeError) as error:
            if not connection.opened:
                self._connect_failed(asked_for, error)

    async def _dial(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout_ns / NS_PER_S):
                await self._dialer.connect(lambda: connection, self._tls)
        except BaseException:
            if not connection.opened:
                self._connecting -= 1
            raise

    def _connect_failed(self, asked_for: int, error: Exception) -> None:
        """With a connection open, the waiting requests still get their turn. With none, those that were
        waiting when this connect began have no hope: every address of the target was tried since."""
        self._prepared = 0
        if self._open:
            self._held = self.no_connection(error)
            if self._waiting:
                # Each connect is for one of those that wait; the first of them has waited longest.
                first = self._waiting[0]
                first.past = (
                    first.past or f"accepted, but it waited while no further connection could be opened: {self._held}"
                )
            return
        served = self._queued - len(self._waiting)
        hopeless = max(0, asked_for - served)
        refused_ns = self.clock.now_ns()
        for exchange in islice(self._waiting, hopeless):
            exchange.refused_ns = refused_ns
        self._fail_waiting(hopeless, self.no_connection(error))
        self._connect_more()

    def no_connection(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) and not error.errno:
            return f"no connection within {format_duration(self._timeout_ns)}"
        return reason_of(error)

    def _fail_waiting(self, count: int, reason: str) -> None:
        for _ in range(count):
            self.listener.failed(self._waiting.popleft(), reason)

    def _sweep(self) -> None:
        now_ns = self.clock.now_ns()
        overdue_ns = now_ns - self._timeout_ns
        timeout = format_duration(self._timeout_ns)
        while self._waiting and self._waiting[0].queued_ns <= overdue_ns:
            more = f", and no further one could be opened: {self._held}" if self._held else ""
            self._fail_waiting(1, f"no free connection within {timeout}{more}")
        for connection in tuple(self._open):
            if connection.sent_before(overdue_ns):
                under_way = ": its body was still coming" if connection.in_body else ""
                connection.give_up(f"no answer within {timeout}{under_way}")
        self._idle.prune(now_ns)
        if self._waiting:
            self._connect_more()
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)


def _portions(request: Sequence[bytes]) -> Iterator[memoryview]:
    """What is written at a time. Nothing is copied: many requests share their large pieces."""
    for piece in request:
        view = memoryview(piece)
        for start in range(0, len(view), _PORTION):
            yield view[start : start + _PORTION]


class Connection(asyncio.Protocol):
    """One connection: writes a request, reads its answer, tells the client.

    An answer counts once all of what arrived with it is parsed, never in the middle: what a server sends
    beyond its answer must not be taken for the answer to the next request.

    hung_up  the other side closed it before the answer was complete
    kept     bytes of the body so far that are kept
    """

    __slots__ = (
        "_beside_body", "_body", "_body_size", "_excess", "_exchange", "_first_ns", "_had_body", "_head_size",
        "_headers", "_in_answer", "_keep_alive", "_left", "_limit", "_listener", "_overlong", "_owner", "_parser",
        "_paused", "_status", "_transport", "_unsent", "closed", "hung_up", "idle_since_ns", "in_body", "kept",
        "opened",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._listener = owner.listener
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._left = owner.requests_per_connection
        self._unsent: Iterator[memoryview] | None = None
        """What is left of a request that is written as the target takes it."""
        self._paused = False
        self.hung_up = False
        self.opened = False
        self.closed = False
        self.idle_since_ns = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self.in_body = False
        self._in_answer = False
        """Something of an answer has come, and not of an interim one (1xx) that is over."""
        self._first_ns: int | None = None
        """When the first of it came, where it didn't all come at once."""
        self._keep_alive = False
        self._excess = False
        self._overlong = False
        self._head_size = 0
        self._headers = []
        self._body: list[bytes] | None = None
        self.kept = 0
        self._body_size = 0
        self._limit = -1
        self._had_body = False
        self._beside_body = 0
        """Bytes that came since the headers or a part of the body did: between chunks, or behind the last one."""

    def send(self, exchange: Exchange, now_ns: int) -> None:
        """Write a request; the connection must be idle."""
        self._exchange = exchange
        if self._left is not None:
            self._left -= 1
        exchange.sent_ns = now_ns
        request = exchange.request
        if not exchange.alike and exchange.streamed:
            self._unsent = _portions(request)
            self._write_on()
            return
        self._transport.write(request[0] if len(request) == 1 else b"".join(request))

    def _write_on(self) -> None:
        """Write of what is left as much as the transport wants now."""
        while self._unsent is not None and not self._paused:
            portion = next(self._unsent, None)
            if portion is None:
                self._unsent = None
            else:
                self._transport.write(portion)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write_on()

    def sent_before(self, at_ns: int) -> bool:
        """Whether a request was written before `at_ns` and is still without an answer."""
        exchange = self._exchange
        return exchange is not None and exchange.sent_ns is not None and exchange.sent_ns <= at_ns

    @property
    def begun(self) -> bool:
        """Whether something of an answer has come."""
        return self.in_body or self._head_size > 0

    def give_up(self, reason: str) -> None:
        """Close at once. A request without an answer fails with the reason."""
        exchange = self._exchange
        self._exchange = None
        if exchange is not None and self._in_answer:
            exchange.first_ns = self._first_ns
            exchange.broken_status = self._parser.get_status_code() if self.in_body else None
        # Parser and connection hold each other: until that is noticed, what came would stay in memory.
        self.kept, self._body, self._headers, self._unsent = 0, None, [], None
        self._retire()
        self._transport.abort()
        if exchange is not None:
            self._listener.failed(exchange, reason)

    def _retire(self) -> None:
        if not self.closed:
            self.closed = True
            self._owner.lost(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.opened = True
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.give_up("unasked")
            return
        begun = self.in_body or self._head_size > 0
        if not begun and self._left != 0:
            if exchange.alike:
                known = self._owner.known.get(data[9:12])
                if known is not None:
                    head, length, status, headers, body, body_size, start, stop = known
                    if len(data) == length and data.startswith(head):
                        exchange.body_size = body_size
                        self._answer(status, headers, data[start:stop] if body is None else body, True)
                        return
            elif exchange.by_head:
                known = self._owner.known.get(len(data))
                if known is not None and data.startswith(known.head):
                    _, _, status, headers, _, body_size, start, _ = known
                    exchange.body_size = body_size
                    stop = start + self._listener.body_limit(exchange, status) if body_size else start
                    self._answer(status, headers, data[start:stop], True)
                    return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.give_up("not HTTP: the protocol was switched unasked")
            return
        except httptools.HttpParserError as error:
            if not self._status:
                self.give_up(GARBLED if self.in_body else f"not HTTP: {error}")
                return
            self._excess = True
        if self._overlong:
            self._status = self._parser.get_status_code()
            self._complete(reusable=False)
        elif self._status:
            reusable = self._keep_alive and not self._excess
            whole = reusable and not begun and (exchange.alike or exchange.by_head)
            self._complete(reusable and self._left != 0, data if whole else None)
        else:
            self._not_complete(len(data))

    def _not_complete(self, size: int) -> None:
        """More is to come of the answer. `size`: how many bytes came just now."""
        if self._first_ns is None and self._in_answer:
            self._first_ns = self._owner.clock.now_ns()
        if not self.in_body:
            self._head_size += size
            if self._head_size > _HEAD_LIMIT:
                self.give_up(f"not HTTP: headers longer than {_HEAD_LIMIT} bytes")
        elif self._had_body:
            self._had_body = False
            self._beside_body = 0
            if self.kept > _LARGE and self._owner.hangs_up_at_limit:
                self._owner.grown()
        else:
            self._beside_body += size
            if self._beside_body > _HEAD_LIMIT:
                self.give_up(f"not HTTP: trailers longer than {_HEAD_LIMIT} bytes")

    def eof_received(self) -> None:
        if self._exchange is None:
            self._retire()

    def connection_lost(self, error: Exception | None) -> None:
        if self._exchange is not None:
            if error is None and self.in_body and not self._framed():
                self._status = self._parser.get_status_code()
                self._complete(reusable=False)
                return
            self.hung_up = True
            self.give_up(self._cut_short(error))
        self._retire()

    def _framed(self) -> bool:
        """Whether the answer says where its body ends, other than by closing the connection."""
        return any(name.lower() in _FRAMING for name, _ in self._headers)

    def _cut_short(self, error: Exception | None) -> str:
        """Why no answer came, or not all of one, over a connection that was closed, with an error or without.

        How much of it came isn't told: a reason is counted, and it would be another one each time.
        """
        reason = "connection closed" if error is None else reason_of(error)
        if self.in_body and field(self._headers, b"transfer-encoding"):
            return f"truncated: {reason} before the last chunk came"
        if self.in_body and field(self._headers, b"content-length"):
            return f"truncated: {reason} before as many bytes came as Content-Length says"
        if error is not None:
            return reason
        return f"{reason} {'in the middle of the answer' if self.begun else 'without an answer'}"

    def _complete(self, reusable: bool, whole: bytes | None = None) -> None:
        """An answer is through. `whole` is all of it, if it came in one piece and leaves the parser as it was."""
        status, headers = self._status, self._headers
        body = _NO_BODY if self._body is None or self._overlong else b"".join(self._body)
        assert self._exchange is not None
        self._exchange.overlong = self._overlong
        self._exchange.body_size = self._body_size
        self._exchange.first_ns = self._first_ns
        if whole is not None:
            self._remember(Known.of(whole, status, headers, body, self._body_size), whole[9:12])
        if not self._exchange.alike and self._exchange.bodiless:
            self._parser = httptools.HttpResponseParser(self)  # the one at hand may wait for a body
        self._reset()
        self._answer(status, headers, body, reusable)

    def _remember(self, answer: Known, digits: bytes) -> None:
        """Keep what is known of an answer whose status has these digits."""
        known = self._owner.known
        if len(answer.head) > _KNOWN_LIMIT:
            return
        assert self._exchange is not None
        if self._exchange.alike:
            known[digits] = answer
        elif answer.body is None:
            if len(known) >= _KNOWN_LENGTHS:
                known.clear()
            known[answer.length] = answer

    def _answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, reusable: bool) -> None:
        exchange = self._exchange
        assert exchange is not None
        at_ns = self._owner.clock.now_ns()
        self._exchange = None
        # Bytes that are still unwritten mean that the answer came before the request was through.
        whole, self._unsent = self._unsent is None, None
        if reusable and whole and not self._transport.get_write_buffer_size():
            self._listener.answered(exchange, status, headers, body, at_ns)
            self._owner.released(self, at_ns)
        else:
            self._retire()
            self._transport.abort()
            self._listener.answered(exchange, status, headers, body, at_ns)

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        self._in_answer = True
        if self._status:
            self._go_beyond()

    def _go_beyond(self) -> None:
        """There is more than the answer: what comes from now on is none of it."""
        self._excess = True
        self._headers = _Closed(self._headers)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_body = self._had_body = True
        exchange = self._exchange
        if exchange is None or exchange.alike or not exchange.bodiless or self._status:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            # The parser would say no where a body without a length were to end with the connection.
            said = field(self._headers, b"connection").lower()
            self._keep_alive = self._parser.get_http_version() == "1.1" and "close" not in said

    def on_body(self, chunk: bytes) -> None:
        if self._status:
            self._go_beyond()
            return
        self._had_body = True
        self._body_size += len(chunk)
        if self._limit < 0:
            assert self._exchange is not None
            self._limit = self._listener.body_limit(self._exchange, self._parser.get_status_code())
        missing = self._limit - self.kept
        if missing > 0:
            if self._body is None:
                self._body = [] if self._limit != ALL else self._taken()
            kept = chunk[:missing]
            self._body.append(kept)
            self.kept += len(kept)
        if len(chunk) > missing and self._owner.hangs_up_at_limit:
            self._overlong = True

    def _taken(self) -> list[bytes]:
        assert self._exchange is not None
        return self._exchange.body_of(self._parser.get_status_code(), self._headers)

    def on_message_complete(self) -> None:
        if self._status:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.in_body = self._in_answer = False
            self._first_ns = None
            self._headers = []
            return
        self._status = status
        self._keep_alive = self._parser.should_keep_alive()
