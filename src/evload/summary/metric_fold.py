"""Fills one distribution: histograms of both ends of brackets, and counts at the thresholds that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..model.facts import INTERVAL_NS
from ..model.summary import Distribution
from ..stats.histogram import Histogram
from ..stats.thresholds import StepCounts, ThresholdCount

NEVER: Final = (None, None)
"""The ends of what is known never to come: beyond every threshold."""
_FLUSH: Final = 512
"""Values folded into a histogram at a time."""

Ends = tuple[int | None, int | None]
"""Lower and upper end of a bracket; None: infinite."""
Measured = tuple[int | None, int | None, int]
"""The same, and when its event was due since the start of the schedule."""


class MetricFold:
    """One distribution being filled, with its thresholds at hand. Complete after `flush`.

    `steps` has (threshold, length of a step) pairs to count by intended time, all in nanoseconds.
    """

    __slots__ = ("_recorded", "distribution")

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
        self._recorded: list[Measured] = []

    def record(self, lower: int | None, upper: int | None, at_ns: int) -> None:
        """Count one event that was intended at `at_ns` since the start of the schedule; no end is negative."""
        self.record_all([(lower, upper, at_ns)])

    def record_since(self, reference: int, lower: int, upper: int | None, at_ns: int, *, never: bool = False) -> None:
        """Count one event from two moments; what precedes the reference took no time. `never`: it is known that it
        doesn't come."""
        self.record_all([(*NEVER, at_ns) if never else since(reference, lower, upper, at_ns)])

    def record_all(self, measured: Iterable[Measured]) -> None:
        """Count some events, each with both ends and when it was due, as `record` does."""
        self._recorded += measured
        if len(self._recorded) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Fold what was recorded into the histograms and the counts."""
        if not self._recorded:
            return
        lowers, uppers, times = zip(*self._recorded, strict=True)
        distribution = self.distribution
        if distribution.lower is distribution.upper and lowers != uppers:
            distribution.lower = distribution.upper.copy()
        distribution.upper.record_all(uppers)
        if distribution.lower is not distribution.upper:
            distribution.lower.record_all(lowers)
        if distribution.thresholds:
            for interval, own in _by_interval(times, zip(lowers, uppers, strict=True)):
                for threshold, count in distribution.thresholds.items():
                    _count_at(threshold, count, interval, own)
        for (threshold, _), steps in distribution.steps.items():
            for lower, upper, at_ns in self._recorded:
                within = upper is not None and upper <= threshold
                steps.add(at_ns, 1, within, not within and (lower is None or lower >= threshold))
        self._recorded.clear()


def since(reference: int, lower: int, upper: int | None, at_ns: int) -> Measured:
    """Both ends counted from a moment; what precedes it took no time."""
    low = lower - reference
    high = None if upper is None else upper - reference
    return low if low > 0 else 0, 0 if high is not None and high < 0 else high, at_ns


def _by_interval(times: Sequence[int], ends: Iterable[Ends]) -> Iterable[tuple[int, Sequence[Ends]]]:
    """Brackets by the number of the interval in which their events were due."""
    if times and min(times) // INTERVAL_NS == (interval := max(times) // INTERVAL_NS):
        return [(interval, list(ends))]
    found: dict[int, list[Ends]] = {}
    for at_ns, own in zip(times, ends, strict=True):
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
