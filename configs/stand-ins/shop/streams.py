"""The broker: a Redis stream for each context, with a consumer group for its projector and one for the saga."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import redis.asyncio
from redis.exceptions import RedisError

from shop.store import CONTEXTS, Event
from stand_in.command import Missing

PROJECTORS: Final = "projectors"
SAGA: Final = "saga"
SAGA_OF: Final = "payments"
"""The stream to which the saga listens."""
_BLOCK_MS: Final = 500
_FIRST: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Depth:
    """Of one stream: how many entries it has, how many were ever added, and how many its projector has yet to do."""

    length: int
    added: int
    pending: int


class Streams:
    """All five, under a name of this stand-in's own."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client, self.prefix = client, prefix

    def key(self, context: str) -> str:
        """What the stream of a context is called in Redis."""
        return f"{self.prefix}:{context}"

    async def make(self) -> None:
        """The streams and their groups."""
        for context in CONTEXTS:
            await self._client.xgroup_create(self.key(context), PROJECTORS, _FIRST, mkstream=True)
        await self._client.xgroup_create(self.key(SAGA_OF), SAGA, _FIRST)

    async def remove(self) -> None:
        """Leave nothing behind."""
        await self._client.delete(*map(self.key, CONTEXTS))

    async def add(self, rows: Iterable[tuple[int, Event]]) -> None:
        """Add events, with one write, each with its number in the outbox."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for number, one in rows:
                fields = {
                    "outbox": number, "aggregate": one.aggregate, "version": one.version, "type": one.type,
                    "state": one.state, "correlationid": one.id, "data": json.dumps(one.about),
                }  # fmt: skip
                pipeline.xadd(self.key(one.context), fields)
            await pipeline.execute()

    async def read(self, context: str, group: str, most: int) -> list[tuple[str, Event]]:
        """The next entries for a group, with their ids; none where nothing came for a while."""
        key = self.key(context)
        got = await self._client.xreadgroup(group, "one", {key: ">"}, count=most, block=_BLOCK_MS)
        return [(entry, _event(context, fields)) for _, entries in got or () for entry, fields in entries]

    async def done(self, context: str, group: str, entries: Iterable[str]) -> None:
        """They are done."""
        await self._client.xack(self.key(context), group, *entries)

    async def trim(self) -> None:
        """Drop what every group is done with."""
        for context in CONTEXTS:
            key = self.key(context)
            oldest = []
            for group in await self._client.xinfo_groups(key):
                least = (await self._client.xpending(key, group["name"]))["min"]
                oldest.append(least or group["last-delivered-id"])
            await self._client.xtrim(key, minid=min(oldest, key=_moment), approximate=False)

    async def depths(self) -> dict[str, Depth]:
        """Of all streams."""
        found = {}
        for context in CONTEXTS:
            key = self.key(context)
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xinfo_stream(key)
                pipeline.xinfo_groups(key)
                stream, groups = await pipeline.execute()
            (own,) = [one for one in groups if one["name"] == PROJECTORS]
            found[context] = Depth(stream["length"], stream["entries-added"], own["pending"] + (own["lag"] or 0))
        return found

    async def operations(self) -> int:
        """Commands that Redis has done in the last second."""
        return int((await self._client.info("stats"))["instantaneous_ops_per_sec"])


@asynccontextmanager
async def streams(url: str) -> AsyncIterator[Streams]:
    """Streams of its own in the Redis of that address, which are gone when the block ends. Raises Missing."""
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        made = Streams(client, f"shop-{uuid4().hex[:12]}")
        try:
            await made.make()
        except (OSError, RedisError) as error:
            raise Missing(f"there is no Redis (7 or later) at {url}: {error}; correct --redis") from error
        try:
            yield made
        finally:
            await made.remove()


def _moment(entry: str) -> tuple[int, int]:
    ms, _, number = entry.partition("-")
    return int(ms), int(number)


def _event(context: str, fields: dict[str, str]) -> Event:
    return Event(
        context, fields["aggregate"], int(fields["version"]), fields["type"], fields["state"],
        json.loads(fields["data"]), fields["correlationid"],
    )  # fmt: skip
