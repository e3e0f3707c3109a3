"""A connection to Redis for those who look at what arrives between themselves.

The SDK connects, speaks TLS and logs in, as it does for whoever uses it whole, so that an address means the same to
all of them. From then on the transport is ours: commands are written many at a time, and replies are handed over as
they arrive, in the order of the commands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

from ..clock import Clock
from ..spi.context import Surroundings
from ..units import NS_PER_S, format_duration
from .bounded import Allowance, TooLong
from .redis import RedisSettings, TlsUnanswered
from .redis_answers import Nonsense, asking
from .redis_bounded import bounded
from .redis_login import address_of
from .redis_replies import Replies, Reply, first_error
from .web import reason_of

LONGEST: Final = 8 << 20
"""Longest reply that is taken, in bytes, with 80 more for each value in it."""
_UNWRITTEN: Final = 1 << 18
"""The transport says that it is full when more bytes than this are still to be written to the socket."""
_GREETING: Final = 1 << 18
"""Most that Redis says to a login, in bytes, and by far more than it has to say."""


class ConnectionLost(Exception):
    """The connection is gone; the text is why. `overlong`: a reply was longer than any that is taken."""

    def __init__(self, reason: str, *, overlong: bool = False) -> None:
        super().__init__(reason)
        self.overlong = overlong


class Listener(Protocol):
    """What a connection tells."""

    def replied(self, replies: Sequence[Reply]) -> None:
        """These have arrived, at least one."""

    def writable(self) -> None:
        """The socket takes bytes again."""

    def lost(self, error: ConnectionLost) -> None:
        """Nothing can arrive any more. Told once, unless it was closed."""


class RedisConnection(asyncio.Protocol):
    """One that is logged in. `connect` makes it.

    can_write  the socket takes bytes
    """

    def __init__(self, listener: Listener, writer: asyncio.StreamWriter) -> None:
        self._listener: Listener | None = listener
        self._writer: asyncio.StreamWriter | None = writer
        """The SDK's, which would close the transport if nobody had it any more."""
        self._transport = cast(asyncio.Transport, writer.transport)
        self._replies = Replies(LONGEST)
        self.can_write = True
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=_UNWRITTEN)

    def write(self, commands: bytes) -> None:
        """Hand commands to the socket, unless it is lost, which is told in a moment."""
        if not self._transport.is_closing():
            self._transport.write(commands)

    def end(self, reason: str, *, overlong: bool = False) -> None:
        """It is of no use any more."""
        listener = self._listener
        self.close()
        if listener is not None:
            listener.lost(ConnectionLost(reason, overlong=overlong))

    def close(self) -> None:
        """Be done with it at once. The listener isn't told."""
        self._listener = None
        # A transport and its protocol keep each other: with them, for long, what has come.
        self._replies = Replies(LONGEST)
        self._transport.abort()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self._listener is None:
            return
        try:
            replies = self._replies.feed(data)
        except (Nonsense, TooLong) as error:
            self.end(str(error), overlong=isinstance(error, TooLong))
            return
        if replies:
            self._listener.replied(replies)

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        if self._listener is not None:
            self._listener.writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._writer = None
        self.end(reason_of(error) if error else "Redis closed the connection")


class Connector:
    """Connects, again and again. Raises ValueError or TypeError for an address of which the SDK can make nothing."""

    def __init__(self, config: RedisSettings, surroundings: Surroundings, timeout_ns: int) -> None:
        """`timeout_ns` is for one attempt."""
        from redis.asyncio import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self.clock = surroundings.clock
        self._timeout_ns = timeout_ns
        self._speaks_tls = config.url.startswith("rediss:")
        limit_s = timeout_ns / NS_PER_S
        url, login = address_of(config, surroundings)
        # Without a name for it: a user that may do nothing but what is asked for here may not give one.
        self._pool = ConnectionPool.from_url(
            url, **login, socket_timeout=limit_s, socket_connect_timeout=limit_s, retry=Retry(NoBackoff(), 0),
            protocol=2,
        )  # fmt: skip
        self._allowance = Allowance(_GREETING)
        self._pool.connection_class = bounded(self._pool.connection_class, self._allowance)

    async def connect(self, listener: Listener) -> RedisConnection:
        """Connect and log in. Raises what the SDK raises, OSError, TimeoutError, TargetError, or Nonsense."""
        from redis import exceptions

        connection = cast(Any, self._pool).make_connection()
        try:
            async with asyncio.timeout(self._timeout_ns / NS_PER_S):
                with asking("the login"):
                    await connection.connect()
            # No await from here on: nobody else may have the transport.
            writer = connection._writer
            if writer.transport.is_closing():
                raise ConnectionResetError("connection reset")
        except BaseException as error:
            if connection._writer is not None:
                connection._writer.transport.abort()
            elif self._speaks_tls and isinstance(error, TimeoutError | exceptions.TimeoutError):
                # Redis waits for the end of what it takes for a command.
                raise TlsUnanswered(f"no answer to TLS within {format_duration(self._timeout_ns)}") from None
            raise
        finally:
            if connection.bounded is not None:
                connection.bounded.settled()
            connection._reader = connection._writer = connection.bounded = None
        return RedisConnection(listener, writer)


class Answer(NamedTuple):
    """What some commands were answered with, and when the last of it arrived."""

    replies: Sequence[Reply]
    at_ns: int


class RedisAsker:
    """A connection on which one asks and waits. Who asks does so one at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._connection: RedisConnection | None = None
        self._over_by = ""
        """Why it is over."""
        self._came: deque[Reply] = deque()
        self._wanted = 0
        self._answer: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, connector: Connector) -> RedisAsker:
        """Raises as `Connector.connect`."""
        asker = cls(connector.clock)
        asker._connection = await connector.connect(asker)
        return asker

    @property
    def is_over(self) -> bool:
        """Nothing can be asked any more."""
        return self._over_by != ""

    async def ask(self, commands: Sequence[bytes], within_ns: int) -> Answer:
        """A reply for each. Raises ConnectionLost or TimeoutError, after either of which it is over."""
        assert self._connection is not None
        if self._over_by:
            raise ConnectionLost(self._over_by)
        self._wanted = len(commands)
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.write(b"".join(commands))
        try:
            async with asyncio.timeout(within_ns / NS_PER_S):
                return await self._answer
        except BaseException:
            # What comes now would be taken for the answer to the next question.
            self.close()
            raise
        finally:
            self._answer = None

    async def ask_at_once(self, commands: Sequence[bytes], within_ns: int) -> Answer:
        """All of them as one transaction, so that the replies are of one moment. Raises as `ask`; or Nonsense, after
        which it is over, too."""
        answer = await self.ask([_MULTI, *commands, _EXEC], within_ns)
        found = answer.replies[-1]
        if (error := first_error(answer.replies)) is not None:
            return Answer([error] * len(commands), answer.at_ns)
        if not isinstance(found, list) or len(found) != len(commands):
            # Nobody knows what comes next on it.
            self.close()
            raise Nonsense("EXEC wasn't answered as Redis does")
        return Answer(found, answer.at_ns)

    def close(self) -> None:
        """Hang up."""
        self._over_by = self._over_by or "closed"
        self._came.clear()
        if self._connection is not None:
            self._connection.close()

    # What the connection tells.

    def replied(self, replies: Sequence[Reply]) -> None:
        self._came.extend(replies)
        if self._answer is None or self._answer.done() or len(self._came) > self._wanted:
            assert self._connection is not None
            self._connection.end("what answers there isn't Redis: it answers what nobody asked")
        elif len(self._came) == self._wanted:
            self._answer.set_result(Answer([*self._came], self._clock.now_ns()))
            self._came.clear()

    def writable(self) -> None:
        pass

    def lost(self, error: ConnectionLost) -> None:
        self._over_by = str(error)
        self._came.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
