"""Follows a Redis stream from where it ended, once for all events, and knows when it missed entries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...clients.redis_answers import asking, entries_in, number_in
from ...clock import Clock
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...units import NS_PER_S
from .._shared.attribution import by_match
from .._shared.attribution_traffic import attribution
from .._shared.envelopes import decompressed
from .._shared.fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT
from .._shared.stored_value import ONE_EACH, ValueReader, decoded
from .settings import RedisProbeSettings

_PORTION: Final = 1000
"""Entries in one answer."""
_LEAST_MEMORY_NS: Final = 600 * NS_PER_S


_Sighting = tuple[int, int]
"""Effects so far, and the number of the first entry."""


class StreamFollower:
    """Remembers which events of this run the stream has held.

    What has neither come nor been asked about for ten minutes, or for twice the deadline and the confirming
    reads, is settled and forgotten.
    """

    def __init__(self, config: RedisProbeSettings, redis: Any, surroundings: Surroundings) -> None:
        self._redis = redis
        self._stream = config.stream
        self._field = (config.field or "").encode()
        self._values = ValueReader(
            config.visible, None if config.effects == ONE_EACH else config.effects, traffic=surroundings.traffic
        )
        self._attribution = attribution(surroundings, by_match(WHERE_CLOUDEVENTS_HAVE_IT, default=True))
        self._memory_ns = max(_LEAST_MEMORY_NS, 2 * (config.deadline + (config.confirm.over or 0)))
        self._reading = asyncio.Lock()
        self._cursor = b"0-0"
        self._added: int | None = 0
        self._number = 0
        self._recent: dict[int, _Sighting] = {}
        self._older: dict[int, _Sighting] = {}
        self._turned_ns = surroundings.clock.now_ns()
        self._gap = ""

    async def begin(self) -> None:
        """Find the end of the stream, which may not exist yet. Raises what the SDK raises, or Nonsense."""
        with asking("EXISTS"):
            there = await self._redis.exists(self._stream)
        if number_in(there, "EXISTS"):
            with asking("XINFO"):
                info = await self._redis.xinfo_stream(self._stream)
                self._cursor = info["last-generated-id"]
                self._added = _added(info)

    async def __call__(self, targets: Sequence[Target], clock: Clock) -> ReadResult:
        async with self._reading:
            start_ns = clock.now_ns()
            await self._catch_up()
            end_ns = clock.now_ns()
        self._forget(end_ns)
        reads = []
        for target in targets:
            found = self._recall(target.seq)
            if found is None:
                missing = Seen.FAILED if self._gap else Seen.ABSENT
                reads.append(Read(target.seq, missing, start_ns, end_ns))
            else:
                effects, position = found
                reads.append(Read(target.seq, Seen.PRESENT, start_ns, end_ns, effects, position=position))
        failed = any(read.seen is Seen.FAILED for read in reads)
        strange, example = self._attribution.take()
        return ReadResult(reads, error=self._gap if failed else "", strange=strange, example=example)

    async def _catch_up(self) -> None:
        """Take in what was added. Raises what the SDK raises, Nonsense, or BadValue."""
        while True:
            with asking("XRANGE"):
                # In one transaction, so that the entries and the count of them belong to the same moment.
                async with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.xrange(self._stream, min=b"(" + self._cursor, count=_PORTION)
                    pipeline.xinfo_stream(self._stream)
                    found, info = await pipeline.execute(raise_on_error=False)
                if isinstance(found, Exception):
                    raise found
                entries = entries_in(found, "XRANGE")
            for entry_id, fields in entries:
                self._take_in(fields)
                self._cursor = entry_id
            if len(entries) < _PORTION:
                self._look_for_gaps(info)
                return

    def _take_in(self, fields: Mapping[bytes, bytes]) -> None:
        self._number += 1
        value = fields.get(self._field)
        # An entry without the field is shown as a whole.
        text = repr(dict(fields)) if value is None else decompressed(value).decode("utf-8", "replace")
        found = self._attribution.find(text)
        if found is None:
            return
        seq = found[0]
        if self._values.indifferent:
            effects = 1
        else:
            facts = self._values.judge({name.decode("utf-8", "replace"): decoded(fields[name]) for name in fields})
            if facts.seen is Seen.ABSENT:
                return
            effects = 1 if facts.effects is None else facts.effects
        known = self._recall(seq)
        self._recent[seq] = (effects, self._number) if known is None else (known[0] + effects, known[1])

    def _look_for_gaps(self, info: Mapping[str, Any] | Exception) -> None:
        """Entries that were trimmed or deleted unread show in the count of all that there ever were."""
        if isinstance(info, Exception):
            if self._number:
                self._gap = "the stream is gone"
            return
        added = _added(info)
        if added is not None and self._added is not None and added - self._added != self._number:
            self._gap = "entries of the stream were trimmed or deleted before they could be read"

    def _recall(self, seq: int) -> _Sighting | None:
        found = self._recent.get(seq)
        if found is None and (found := self._older.pop(seq, None)) is not None:
            self._recent[seq] = found
        return found

    def _forget(self, now_ns: int) -> None:
        if now_ns - self._turned_ns > self._memory_ns:
            self._older, self._recent = self._recent, {}
            self._turned_ns = now_ns


def _added(info: Mapping[str, Any]) -> int | None:
    """Entries that a stream has ever had, which Redis counts since version 7."""
    added = info.get("entries-added")
    return None if added is None else number_in(added, "XINFO")
