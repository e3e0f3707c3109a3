"""How long the requests of a probe took, until they are written down."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from ..model.travel import Read, ReadResult
from ..stats.histogram import coarse_edge
from ..units import NS_PER_S

_TOGETHER_NS: Final = 10 * NS_PER_S
"""What is written down is brought together from so long: a row for each bucket, however many requests there were."""

_START: Final = itemgetter(Read._fields.index("start_ns"))
_END: Final = itemgetter(Read._fields.index("end_ns"))


class ReadTimes:
    """Times of the requests of one probe, with all its replicas, by coarse buckets."""

    __slots__ = ("_answered", "_failed", "_taken_ns")

    def __init__(self) -> None:
        self._answered: dict[int, int] = {}
        self._failed: dict[int, int] = {}
        self._taken_ns: int | None = None

    def count(self, result: ReadResult, requests: int) -> None:
        """Count what was answered to one request, or to as many as there are reads."""
        counts = self._failed if result.error or result.throttled else self._answered
        reads = result.reads
        if requests == len(reads):
            for _, _, start_ns, end_ns, *_ in reads:
                bucket = coarse_edge(end_ns - start_ns if end_ns > start_ns else 0)
                counts[bucket] = counts.get(bucket, 0) + 1
            return
        began, ended = min(map(_START, reads)), max(map(_END, reads))
        bucket = coarse_edge(max(0, ended - began))
        counts[bucket] = counts.get(bucket, 0) + 1

    def is_time(self, now_ns: int) -> bool:
        """Whether it is time to write them down."""
        if self._taken_ns is None or now_ns - self._taken_ns >= _TOGETHER_NS:
            self._taken_ns = now_ns
            return True
        return False

    def take(self) -> list[tuple[int, bool, int]]:
        """Those since the last call: (time, whether they were answered, how many)."""
        found = [
            (bucket, answered, requests)
            for answered, counts in ((True, self._answered), (False, self._failed))
            for bucket, requests in sorted(counts.items())
        ]
        self._answered.clear()
        self._failed.clear()
        return found
