"""Sends the Redis probe's commands. Whatever Redis doesn't answer with a value is a failed read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from ...clients.bounded import Allowance
from ...clients.databases import shown_address
from ...clients.redis import MAXCLIENTS, missing_sdk, usable
from ...clients.redis import explain as explain_redis
from ...clients.redis_answers import Nonsense, asking, number_in, values_in
from ...clients.redis_bounded import bounded
from ...clients.redis_login import address_of
from ...clock import Clock
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.traffic import Exchange, Message, Traffic
from ...units import NS_PER_S, format_duration
from .._shared.facts import ABSENT, Facts
from .._shared.id_template import KeyTemplate
from .._shared.stored_value import BadValue, ValueReader, decoded
from .settings import RedisProbeSettings
from .stream import StreamFollower

_LONGEST: Final = 6 << 20
_FOR_EACH_ID: Final = 1024
_LINE: Final = 80
"""What the SDK needs for a line of an answer, in bytes, however short it is."""
_NOBODY: Final = (1 << 48) - 1
"""Number of an event that no run gets to."""


class _Look(Protocol):
    """One of the three ways to look at events."""

    async def __call__(self, targets: Sequence[Target], clock: Clock) -> ReadResult:
        """One read for each target. Raises what the SDK raises, Nonsense, or BadValue."""
        ...


class RedisReader:
    """The probe."""

    def __init__(self, config: RedisProbeSettings, look: _Look, pool: Any, clock: Clock) -> None:
        self._config = config
        self._look = look
        self._pool = pool
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One look at all targets."""
        from redis.exceptions import RedisError

        start_ns = self._clock.now_ns()
        try:
            return await self._look(targets, self._clock)
        except (RedisError, OSError, BadValue, Nonsense) as error:
            reason = str(error) if isinstance(error, BadValue) else explain(error, self._config)[0]
            if isinstance(error, Nonsense):
                # What comes next on that connection may be an answer to something else.
                await self._pool.disconnect(inuse_connections=False)
            end_ns = self._clock.now_ns()
            failed = [Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in targets]
            return ReadResult(failed, error=reason)


class _Values:
    """Looks at strings, or at fields of hashes."""

    def __init__(self, config: RedisProbeSettings, redis: Any, traffic: Traffic | None = None) -> None:
        self._redis = redis
        self._values = ValueReader(
            config.visible,
            config.effects,
            config.version,
            ended=config.ended,
            captures=config.captures,
            traffic=traffic,
        )
        self._key = None if config.key is None else KeyTemplate(config.key)
        self._hash = KeyTemplate(config.hash or "")
        self._field = KeyTemplate(config.field or "")

    async def __call__(self, targets: Sequence[Target], clock: Clock) -> ReadResult:
        ids = [target.correlation_id for target in targets]
        start_ns = clock.now_ns()
        values = await (self._strings(ids) if self._key is not None else self._fields(ids))
        end_ns = clock.now_ns()
        reads = []
        for target, value in zip(targets, values, strict=True):
            reads.append(self._judge(value).read(target.seq, start_ns, end_ns))
        return ReadResult(reads, instead="no value")

    def _judge(self, value: bytes | None) -> Facts:
        if value is None:
            return ABSENT
        return self._values.judge(None if self._values.indifferent else decoded(value))

    async def _strings(self, ids: Sequence[str]) -> Sequence[bytes | None]:
        assert self._key is not None
        keys = [self._key.fill(correlation_id) for correlation_id in ids]
        with asking("MGET"):
            async with self._redis.pipeline(transaction=True) as pipeline:
                found, there = await pipeline.mget(keys).exists(*keys).execute()
        values = values_in(found, "MGET", len(keys))
        # MGET says of a key of another type that there is none.
        if number_in(there, "EXISTS") != sum(value is not None for value in values):
            raise BadValue("a key is no string; write hash and field for a hash, stream and field for a stream")
        return values

    async def _fields(self, ids: Sequence[str]) -> Sequence[bytes | None]:
        if not self._hash.names_event:
            fields = [self._field.fill(correlation_id) for correlation_id in ids]
            with asking("HMGET"):
                found = await self._redis.hmget(self._hash.fill(""), fields)
            return values_in(found, "HMGET", len(ids))
        with asking("HGET"):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for correlation_id in ids:
                    pipeline.hget(self._hash.fill(correlation_id), self._field.fill(correlation_id))
                found = await pipeline.execute(raise_on_error=False)
            for value in found:
                if isinstance(value, Exception):
                    raise value
        return values_in(found, "HGET", len(ids))

    def _command(self, ids: Sequence[str]) -> str:
        """What they are asked with, for people."""
        if self._key is not None:
            return f"MGET {' '.join(map(self._key.fill, ids))}"
        if not self._hash.names_event:
            return f"HMGET {self._hash.fill('')} {' '.join(map(self._field.fill, ids))}"
        return "\n".join(f"HGET {self._hash.fill(one)} {self._field.fill(one)}" for one in ids)


class _WatchedValues(_Values):
    """The same, and somebody looks on."""

    def __init__(self, config: RedisProbeSettings, redis: Any, traffic: Traffic, clock: Clock) -> None:
        super().__init__(config, redis, traffic)
        self._traffic = traffic
        self._clock = clock

    async def _strings(self, ids: Sequence[str]) -> Sequence[bytes | None]:
        return await self._told(ids, super()._strings(ids))

    async def _fields(self, ids: Sequence[str]) -> Sequence[bytes | None]:
        return await self._told(ids, super()._fields(ids))

    async def _told(self, ids: Sequence[str], answer: Awaitable[Sequence[bytes | None]]) -> Sequence[bytes | None]:
        from redis.exceptions import RedisError

        start_ns = self._clock.now_ns()
        sent = Message(self._command(ids))
        try:
            values = await answer
        except (RedisError, OSError, BadValue, Nonsense) as error:
            self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, None, str(error)))
            raise

        def came() -> Message:
            there = [value for value in values if value is not None]
            return Message("(nil)" if not there else "", b"\n".join(there), lambda: [decoded(one) for one in there])

        self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, came))
        return values


def explain(error: Exception, config: RedisProbeSettings) -> tuple[str, str]:
    """Why Redis can't be asked, and what would be right."""
    message = str(error)
    if message.startswith("No connection available"):
        limit = format_duration(config.timeout)
        return f"pool exhausted: none of {config.pool} connections was free within {limit}", "raise pool"
    if MAXCLIENTS in message:
        return "pool exhausted: Redis has its maximum number of clients", "lower pool, or raise maxclients"
    if message.startswith("WRONGTYPE"):
        return "a key isn't of the type that the probe asks for", "correct key, hash or stream"
    return explain_redis(error, config.timeout)


@asynccontextmanager
async def open_reader(config: RedisProbeSettings, surroundings: Surroundings) -> AsyncIterator[RedisReader]:
    """Ask about an event that doesn't exist, yield the probe, disconnect. Raises TargetError."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise missing_sdk(config.kind) from error
    limit_s = config.timeout / NS_PER_S
    where = shown_address(config.url)

    class BoundedPool(BlockingConnectionPool):
        """What has come is dealt with once a connection is given back."""

        async def release(self, connection: Any) -> None:
            if connection.bounded is not None:
                connection.bounded.settled()
            await super().release(connection)

    with usable(config.url, RedisError):
        # A failed read is the engine's to repeat: no retries here.
        url, login = address_of(config, surroundings)
        pool = BoundedPool.from_url(
            url, **login, max_connections=config.pool, timeout=limit_s, socket_timeout=limit_s,
            socket_connect_timeout=limit_s, retry=Retry(NoBackoff(), 0), client_name="evload", protocol=2,
        )  # fmt: skip
    allowance = Allowance(max(_LONGEST, config.bulk * _FOR_EACH_ID), line=_LINE)
    pool.connection_class = bounded(pool.connection_class, allowance)
    redis = Redis(connection_pool=pool)
    try:
        try:
            look = await _begin(config, redis, surroundings)
        except (RedisError, OSError, Nonsense) as error:
            reason, cure = explain(error, config)
            raise TargetError(f"can't ask {where}: {reason}; {cure}") from error
        yield RedisReader(config, look, pool, surroundings.clock)
    finally:
        await redis.aclose()
        await pool.disconnect()


async def _begin(config: RedisProbeSettings, redis: Any, surroundings: Surroundings) -> _Look:
    """What will look, after it has looked once. Raises what the SDK raises, or Nonsense."""
    look: _Look
    if config.stream is None:
        traffic, clock = surroundings.traffic, surroundings.clock
        look = _Values(config, redis) if traffic is None else _WatchedValues(config, redis, traffic, clock)
    else:
        look = follower = StreamFollower(config, redis, surroundings)
        await follower.begin()
    await look([Target(_NOBODY, surroundings.ids.id_of(_NOBODY))], surroundings.clock)
    return look
