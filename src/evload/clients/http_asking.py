"""Asks one address over kept-alive connections, and waits for each answer: for those who read.

A request that finds no idle connection gets a new one at once, however many there are: a read that waits for a
connection would look slow. There is no task and no timer per request, except to connect; one sweep looks after all
timeouts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from ..clock import Clock
from ..errors import TargetError
from ..units import NS_PER_S, format_duration
from .bodies import Garbled, field, unpacked
from .credentials.headers import LiveHeaders
from .credentials.refusals import Refusals
from .dialing import Dialer
from .http_wire import GARBLED, Connection, Exchange, IdleConnections, Known, Listener, sweep_period_s
from .web import Endpoint, reason_of, tls_context

_IDLE_NS: Final = 4 * NS_PER_S
"""Servers close idle connections after 5 s or more; a request that meets the close fails."""
_IDEMPOTENT: Final = frozenset({"GET", "OPTIONS", "TRACE", "PUT", "DELETE"})
_WITHOUT_LENGTH: Final = frozenset({"GET", "OPTIONS", "TRACE"})
"""Methods whose requests usually have no body, so that nothing needs to be said about its length."""
_BESIDE: Final = 4 << 20
"""Bytes that the bodies of the answers under way may have beside the longest one that is taken."""


class NoAnswer(Exception):
    """There was no usable answer; the text is why.

    sent  whether the request was written, so that it may have had its effect
    """

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent


class Answered(NamedTuple):
    """An answer as it came. `body_of` makes its body readable; of an `overlong` one there is none. `size` is how many
    bytes of the body came."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    overlong: bool = False
    size: int = 0


class Waiting(Protocol):
    """Who waits for an answer: exactly one call of the two, once, and never before the request was begun."""

    def answered(self, answer: Answered, at_ns: int) -> None:
        """It is complete."""
        ...

    def failed(self, reason: str) -> None:
        """There will be none."""
        ...


class _Request(Exchange):
    """A request; its context is who waits for the answer.

    `connection` carries it. A server may close an idle connection just when a request is written to it, and sees
    nothing of that: `again` says that it may then be written to another one.
    """

    __slots__ = ("again", "connection")

    context: Waiting
    connection: Connection
    again: bool


class _Awaited:
    """Waits for one answer in a coroutine, which may have been cancelled meanwhile."""

    __slots__ = ("answer",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[Answered] = loop.create_future()

    def answered(self, answer: Answered, at_ns: int) -> None:
        """See `Waiting`."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def failed(self, reason: str) -> None:
        """See `Waiting`."""
        if not self.answer.done():
            self.answer.set_exception(NoAnswer(reason))


class Asker:
    """Requests to one address, which all begin alike. `max_body` is the longest body, in bytes.

    However many answers are under way, what is kept of their bodies is little more than one of that length: beyond it
    the longest of them is given up. With `live` headers among its own, what is refused for them is asked once more.

    dialer  makes the connections
    """

    requests_per_connection: int | None = None
    hangs_up_at_limit: bool = True

    def __init__(
        self,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        clock: Clock,
        headers: Mapping[str, str],
        *,
        timeout_ns: int,
        max_body: int,
        live: LiveHeaders | None = None,
    ) -> None:
        self.clock = clock
        self.listener: Listener = self
        self.known: dict[bytes | int, Known] = {}
        self.dialer = Dialer.to(endpoint)
        self._tls = tls
        self._timeout_ns = timeout_ns
        self._too_late = f"no answer within {format_duration(timeout_ns)}"
        self._max_body = max_body
        # A compressed body may be a little longer than what is in it.
        self._limit = max_body + max_body // 1000 + 64
        self._together = max_body + _BESIDE
        sent = {"host": endpoint.authority, "user-agent": "evload", "accept-encoding": "gzip, deflate"}
        if endpoint.basic_auth:
            sent["authorization"] = endpoint.basic_auth
        sent.update(endpoint.for_proxy)
        sent.update((name.lower(), value) for name, value in headers.items())
        self._before = endpoint.before_target
        self._live = live
        self._refusals: Refusals | None = None
        if live is not None:
            sent = {name: value for name, value in sent.items() if name not in live.values}
            live.watch(self._write_fixed)
            if live.heeds:
                self.listener = self._refusals = Refusals(self, live, self._send_again)
        self._own = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self._write_fixed()
        self._idle = IdleConnections(_IDLE_NS)
        self._open: set[Connection] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._codings = ""
        """What the last headers that were looked at say of the body. An answer that is known has the same ones."""
        self._loop = asyncio.get_running_loop()
        self._period_s = sweep_period_s(timeout_ns, _IDLE_NS)
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    def _write_fixed(self) -> None:
        """What all requests have behind their target."""
        live = "" if self._live is None else self._live.lines
        self._fixed = f" HTTP/1.1\r\n{self._own}{live}"

    async def ask(self, method: str, target: str, body: bytes | None = None, lines: str = "") -> Answered:
        """The answer, whatever its status. `lines` are further headers, each with its line end. Raises NoAnswer."""
        awaited = _Awaited(self._loop)
        request = self.begin(awaited, self.clock.now_ns(), method, target, body, lines)
        try:
            return await awaited.answer
        except NoAnswer as failure:
            failure.sent = request.sent_ns is not None
            raise

    def begin(
        self, waiting: Waiting, asked_ns: int, method: str, target: str, body: bytes | None = None, lines: str = ""
    ) -> Exchange:
        """Send a request like `ask`, and tell `waiting` later what became of it. It is `asked_ns` now."""
        if body is None and method in _WITHOUT_LENGTH:
            request: tuple[bytes, ...] = (f"{method} {self._before}{target}{self._fixed}{lines}\r\n".encode(),)
        else:
            body = body or b""
            request = (
                f"{method} {self._before}{target}{self._fixed}{lines}content-length: {len(body)}\r\n\r\n".encode(),
                body,
            )
        exchange = _Request(request, waiting, asked_ns)
        self._send(exchange, method in _IDEMPOTENT)
        return exchange

    def _send_again(self, exchange: Exchange) -> None:
        """Send what was refused, with other headers."""
        exchange.queued_ns = self.clock.now_ns()
        method = exchange.request[0].partition(b" ")[0].decode()
        self._send(cast(_Request, exchange), method in _IDEMPOTENT)

    def _send(self, exchange: _Request, idempotent: bool) -> None:
        idle = self._idle.take(exchange.queued_ns)
        if idle is None:
            exchange.again = False
            self._dial(exchange)
        else:
            exchange.again = idempotent
            exchange.connection = idle
            idle.send(exchange, exchange.queued_ns)

    def body_of(self, answer: Answered) -> bytes:
        """The body without its compression. Raises NoAnswer if it is too long or garbled."""
        body = answer.body
        if body:
            if answer.headers is not self._headers:
                self._headers, self._codings = answer.headers, field(answer.headers, b"content-encoding")
            if self._codings:
                try:
                    body = unpacked(body, self._codings, self._max_body)
                except Garbled:
                    raise NoAnswer(GARBLED) from None
        if len(body) > self._max_body or answer.overlong:
            raise NoAnswer(f"HTTP {answer.status} with a body longer than {self._max_body} bytes")
        return body

    async def close(self) -> None:
        """Let go of all connections."""
        self._sweeper.cancel()
        if self._refusals is not None:
            self._refusals.close()
        for dial in tuple(self._dials):
            dial.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for connection in tuple(self._open):
            connection.give_up("no answer before the end")
        await asyncio.sleep(0)

    def _dial(self, exchange: _Request) -> None:
        dial = self._loop.create_task(self._send_over_new(exchange))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    async def _send_over_new(self, exchange: _Request) -> None:
        """The time that it takes to connect is part of the time in which an answer is wanted."""
        connection = Connection(self)
        left_s = max(exchange.queued_ns + self._timeout_ns - self.clock.now_ns(), 0) / NS_PER_S
        try:
            async with asyncio.timeout(left_s):
                await self.dialer.connect(lambda: connection, self._tls)
        except (OSError, UnicodeError) as error:
            timed_out = isinstance(error, TimeoutError) and not error.errno
            self._unsent(exchange, self._too_late if timed_out else reason_of(error))
        except asyncio.CancelledError:
            self._unsent(exchange, "no connection before the end")
            raise
        else:
            if connection.closed:
                self._unsent(exchange, "connection closed without an answer")
            else:
                exchange.connection = connection
                connection.send(exchange, exchange.queued_ns)

    def _unsent(self, exchange: _Request, reason: str) -> None:
        if self._refusals is not None:
            self._refusals.forget(exchange)
        exchange.context.failed(reason)

    def _sweep(self) -> None:
        now_ns = self.clock.now_ns()
        overdue_ns = now_ns - self._timeout_ns
        for connection in tuple(self._open):
            if connection.sent_before(overdue_ns):
                connection.give_up(self._too_late)
        self._idle.prune(now_ns)
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    # What follows is called by connections.

    def grown(self) -> None:
        """See `http_wire.Owner`."""
        if sum(connection.kept for connection in self._open) > self._together:
            longest = max(self._open, key=lambda connection: connection.kept)
            longest.give_up(f"the answers under way are together longer than {self._together} bytes")

    def opened(self, connection: Connection) -> None:
        """See `http_wire.Owner`."""
        self._open.add(connection)

    def released(self, connection: Connection, now_ns: int) -> None:
        """See `http_wire.Owner`."""
        self._idle.put(connection, now_ns)

    def lost(self, connection: Connection) -> None:
        """See `http_wire.Owner`."""
        self._open.discard(connection)

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        """See `http_wire.Listener`."""
        exchange.context.answered(Answered(status, headers, body, exchange.overlong, exchange.body_size), at_ns)

    def failed(self, exchange: Exchange, reason: str) -> None:
        """See `http_wire.Listener`."""
        request = cast(_Request, exchange)
        connection = request.connection
        if connection.hung_up:
            if request.again and not connection.begun:
                request.again = False
                self._dial(request)
                return
            if connection.in_body:
                reason = GARBLED
        request.context.failed(reason)

    def body_limit(self, exchange: Exchange, status: int) -> int:
        """See `http_wire.Listener`."""
        return self._limit


@asynccontextmanager
async def open_asker(
    endpoint: Endpoint,
    base_dir: Path,
    clock: Clock,
    headers: Mapping[str, str],
    *,
    ca_file: Path | None,
    verify: bool,
    timeout_ns: int,
    max_body: int,
    live: LiveHeaders | None = None,
) -> AsyncIterator[Asker]:
    """Yield what asks there with these headers, and with the credentials of the address. Nothing is asked yet.

    Raises TargetError if `ca_file` is no use.
    """
    tls = trusted(endpoint, base_dir, ca_file, verify)
    asker = Asker(endpoint, tls, clock, headers, timeout_ns=timeout_ns, max_body=max_body, live=live)
    try:
        yield asker
    finally:
        await asker.close()


def trusted(endpoint: Endpoint, base_dir: Path, ca_file: Path | None, verify: bool) -> ssl.SSLContext | None:
    """Whom to trust at an https address; None for http. Raises TargetError if `ca_file` is no use."""
    if not endpoint.secure:
        return None
    try:
        return tls_context(base_dir / ca_file if ca_file else None, verify)
    except OSError as error:
        raise TargetError(f"can't use ca_file {ca_file}: {reason_of(error)}; name a PEM file") from error
