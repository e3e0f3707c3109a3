"""Time in a queue, told from its depth alone: the distance between what was published and what is gone.

Depth and publishes give two cumulative curves, P(t) published and C(t) = P(t) − depth(t) taken out. In a
first-in-first-out queue the n-th event leaves when C reaches n, so its stay lies between the last sample at
which C was below n and the first at which it was not (Little's cumulative-flow diagram, read sideways).
What others had put into the queue before stands ahead of ours and needs no correction: as long as depth
exceeds P, none of ours is gone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple


class Stay(NamedTuple):
    """One event's time in the queue is in [lower_ns, upper_ns]; no upper end if it never was seen to leave."""

    published_ns: int
    lower_ns: int
    upper_ns: int | None


class QueueLag:
    """Times in a queue, as brackets, from publishes and samples of depth.

    A stay counts from the ack of the event, and is 0 for one that left before its ack came. The brackets
    hold if the queue is first in, first out, all that was acked went into it, and nobody else publishes to
    it meanwhile. What is delivered again counts as gone since its first delivery.

    Keeps only the events that are still in the queue, and at most as many samples.
    """

    def __init__(self) -> None:
        self.contradictions = 0
        """Samples that show fewer events gone than an earlier one: redelivered, or somebody else publishes."""
        self._waiting: list[int] = []
        """When the events still in the queue were published, in order."""
        self._gone = 0
        """Events that are gone for sure, by any sample so far."""
        self._missed: list[tuple[int, int]] = []
        """Samples as (most events that can have been gone, its start), growing in both: each the last one
        that missed the events between its own count and the next one's."""

    @property
    def pending(self) -> int:
        """Events that no sample has shown to be gone."""
        return len(self._waiting)

    def published(self, times_ns: Iterable[int]) -> None:
        """Events that the broker has taken, by the time of their ack, in about the order of it."""
        waiting = self._waiting
        last_known = max(0, len(waiting) - 1)
        waiting.extend(times_ns)
        if any(earlier > later for earlier, later in pairwise(waiting[last_known:])):
            waiting.sort()

    def sampled(self, start_ns: int, end_ns: int, depth: int, unconfirmed: int = 0) -> list[Stay]:
        """The queue held `depth` events at some moment in [start_ns, end_ns]; the samples come in order.

        `unconfirmed` is how many more events may have reached the queue by `end_ns`: sent and without an
        answer, or in doubt. Returns the stays of the events that this sample shows to be gone.
        """
        waiting, gone = self._waiting, self._gone
        at_least = gone + bisect_right(waiting, start_ns) - depth
        at_most = gone + bisect_right(waiting, end_ns) + unconfirmed - depth
        if 0 < gone > at_most:
            self.contradictions += 1
        leaving = max(0, at_least - gone)
        stays = [
            Stay(published, max(0, missed_ns - published), end_ns - published)
            for published, missed_ns in zip(waiting, self._last_misses(leaving), strict=False)
        ]
        del waiting[:leaving]
        self._gone += leaving
        self._remember(at_most, start_ns)
        return stays

    def close(self) -> list[Stay]:
        """Count the events still in the queue: they stayed until the last sample that missed them at least."""
        stays = [
            Stay(published, max(0, missed_ns - published), None)
            for published, missed_ns in zip(self._waiting, self._last_misses(len(self._waiting)), strict=True)
        ]
        self._gone += len(stays)
        self._waiting.clear()
        return stays

    def _last_misses(self, count: int) -> list[int]:
        """For each of the first `count` events waiting: the start of the last sample that missed it, or 0."""
        starts, missed, last = [], self._missed, -1
        for n in range(self._gone + 1, self._gone + count + 1):
            while last + 1 < len(missed) and missed[last + 1][0] < n:
                last += 1
            starts.append(missed[last][1] if last >= 0 else 0)
        return starts

    def _remember(self, at_most: int, start_ns: int) -> None:
        missed = self._missed
        while missed and missed[-1][0] >= at_most:
            missed.pop()
        missed.append((at_most, start_ns))
        superseded = bisect_right(missed, self._gone, key=lambda sample: sample[0]) - 1
        del missed[: max(0, superseded)]
