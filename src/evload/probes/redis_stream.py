"""Follows a Redis stream from where it ended, once for all events, and knows when it missed entries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..clock import Clock
from ..correlation import CorrelationIds
from ..model import Read, Seen, Target
from ..units import NS_PER_S
from .stored_value import BadValue, ValueReader, decoded

if TYPE_CHECKING:
    from .redis import RedisProbeConfig

_PORTION: Final = 5000
"""Entries in one answer."""
_LEAST_MEMORY_NS: Final = 600 * NS_PER_S


class _Sighting(NamedTuple):
    effects: int
    position: int


class StreamFollower:
    """Remembers which events of this run the stream has held.

    What has neither come nor been asked about for ten minutes, or for twice the deadline and the confirming
    reads, is settled and forgotten.
    """

    def __init__(self, config: RedisProbeConfig, redis: Any, ids: CorrelationIds) -> None:
        self._redis = redis
        self._stream = config.stream
        self._field = (config.field or "").encode()
        self._values = ValueReader(config.visible, config.effects)
        self._seq_of = ids.seq_of
        self._memory_ns = max(_LEAST_MEMORY_NS, 2 * (config.deadline + (config.confirm.over or 0)))
        self._reading = asyncio.Lock()
        self._cursor = b"0-0"
        self._added: int | None = 0
        self._number = 0
        self._recent: dict[int, _Sighting] = {}
        self._older: dict[int, _Sighting] = {}
        self._turned_ns: int | None = None

    async def begin(self) -> None:
        """Find the end of the stream, which may not exist yet. Raises what the SDK raises."""
        if await self._redis.exists(self._stream):
            info = await self._redis.xinfo_stream(self._stream)
            self._cursor = info["last-generated-id"]
            self._added = info.get("entries-added")

    async def __call__(self, targets: Sequence[Target], clock: Clock) -> list[Read]:
        async with self._reading:
            start_ns = clock.now_ns()
            await self._catch_up()
            end_ns = clock.now_ns()
        self._forget(end_ns)
        return [self._read(target, start_ns, end_ns) for target in targets]

    async def _catch_up(self) -> None:
        """Take in what was added. Raises what the SDK raises, or BadValue if entries are gone unread."""
        while True:
            # Together, so that what was added and what is there belong to the same moment.
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xrange(self._stream, min=b"(" + self._cursor, count=_PORTION)
                pipeline.exists(self._stream)
                entries, exists = await pipeline.execute()
            for entry_id, fields in entries:
                self._take_in(fields)
                self._cursor = entry_id
            if len(entries) < _PORTION:
                break
