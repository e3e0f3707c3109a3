"""Fills one distribution: histograms of both ends of brackets, and counts at the thresholds that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..model.facts import INTERVAL_NS
from ..model.summary import Distribution
from ..stats.histogram import Histogram
from ..stats.thresholds import StepCounts, ThresholdCount

NEVER: Final = ((None,), (None,))
"""The ends of one that is known never to come: beyond every threshold."""
_FLUSH: Final = 512
"""Values folded into a histogram at a time."""

Ends = tuple[int | None, int | None]
"""Lower and upper end of a bracket; None: infinite."""
Times = Sequence[int | None]
"""One end of some brackets, of each."""


class MetricFold:
    """One distribution being filled, with its thresholds at hand. Complete after `flush`.

    `steps` has (threshold, length of a step) pairs to count by intended time, all in nanoseconds.
    """

    __slots__ = ("_due", "_lowers", "_uppers", "distribution")

    def __init__(
        self, thresholds: Iterable[int], steps: Iterable[tuple[int, int]] = (), *, exact: bool = False
    ) -> None:
        upper = Histogram()
        # As long as the ends are alike one histogram serves both.
        lower = upper if exact else Histogram()
        self.distribution = Distribution(
            lower,
            upper,
            {x: ThresholdCount() for x in thresholds},
            exact,
            {(x, step): StepCounts(step) for x, step in steps},
        )
        self._lowers: list[int | None] = []
        self._uppers: list[int | None] = []
        self._due: list[int] = []

    def record(self, lower: int | None, upper: int | None, at_ns: int) -> None:
        """Count one event that was intended at `at_ns` since the start of the schedule; no end is negative."""
        self.record_all((lower,), (upper,), (at_ns,))

    def recordsince(self, reference: int, lower: int, upper: int | None, at_ns: int, *, never: bool = False) -> None:
        """Count one event from two moments; what precedes the reference took no time. `never`: it is known that it
        doesn't come."""
        lowers, uppers = NEVER if never else since((reference,), (lower,), (upper,))
        self.record_all(lowers, uppers, (at_ns,))

    def record_all(self, lowers: Times, uppers: Times, due: Sequence[int]) -> None:
        """Count some events, by both ends and by when each was due, as `record` does."""
        self._lowers += lowers
        self._uppers += uppers
        self._due += due
        if len(self._due) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Fold what was recorded into the histograms and the counts."""
        if not self._due:
            return
        lowers, uppers, due = self._lowers, self._uppers, self._due
        self._lowers, self._uppers, self._due = [], [], []
        distribution = self.distribution
        if distribution.lower is distribution.upper and lowers != uppers:
            distribution.lower = distribution.upper.copy()
        distribution.upper.record_all(uppers)
        if distribution.lower is not distribution.upper:
            distribution.lower.record_all(lowers)
        if distribution.thresholds:
            for interval, own in _by_interval(due, lowers, uppers):
                for threshold, count in distribution.thresholds.items():
                    _count_at(threshold, count, interval, own)
        for (threshold, _), steps in distribution.steps.items():
            for lower, upper, at_ns in zip(lowers, uppers, due, strict=True):
                within = upper is not None and upper <= threshold
                steps.add(at_ns, 1, within, not within and (lower is None or lower >= threshold))


def since(references: Sequence[int], lowers: Sequence[int], uppers: Times) -> tuple[Sequence[int], Times]:
    """Both ends of each counted from a moment; what precedes it took no time."""
    low = [lower - reference for lower, reference in zip(lowers, references, strict=True)]
    if low and min(low) < 0:
        low = [max(0, lower) for lower in low]
    finite = [upper for upper in uppers if upper is not None]
    if len(finite) < len(uppers):
        return low, [
            None if upper is None else max(0, upper - reference)
            for upper, reference in zip(uppers, references, strict=True)
        ]
    high = [upper - reference for upper, reference in zip(finite, references, strict=True)]
    if high and min(high) < 0:
        high = [max(0, upper) for upper in high]
    return low, high


def _by_interval(due: Sequence[int], lowers: Times, uppers: Times) -> Iterable[tuple[int, Sequence[Ends]]]:
    """Brackets by the number of the interval in which their events were due."""
    ends = zip(lowers, uppers, strict=True)
    if min(due) // INTERVAL_NS == (interval := max(due) // INTERVAL_NS):
        return [(interval, list(ends))]
    found: dict[int, list[Ends]] = {}
    for at_ns, own in zip(due, ends, strict=True):
        found.setdefault(at_ns // INTERVAL_NS, []).append(own)
    return found.items()


def _count_at(threshold: int, count: ThresholdCount, interval: int, ends: Sequence[Ends]) -> None:
    """Count brackets of one interval at a threshold."""
    within = beyond = 0
    for lower, upper in ends:
        if upper is not None and upper <= threshold:
            within += 1
        elif lower is None or lower >= threshold:
            beyond += 1
    count.within += within
    count.beyond += beyond
    batch = count.intervals.setdefault(interval, [0, 0, 0])
    batch[0] += len(ends)
    batch[1] += within
    batch[2] += beyond
