"""Adds to a summary how long events sat in the queues that were watched, told from depth alone.

Done after the run from its ledger file: the samples of each gauge that has a `queue_depth`, and the times at
which the events that pass through it were sent and acked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..model.facts import QUEUE_LAG
from ..model.summary import Distribution, Summary
from ..objectives.objective import Objective
from ..stats.lag import QueueLag, Stay
from ..stats.watches import is_missing
from ..summary.fold_plan import ScenarioPlan
from ..summary.metric_fold import MetricFold
from .reader import LedgerReader

_DEPTH: Final = "queue_depth"


def add_lag(summary: Summary, reader: LedgerReader, objectives: Sequence[Objective]) -> None:
    """Fill in `GaugeSummary.lag` of each gauge of a queue.

    What came into it while all whose events pass through it still warmed up, or had not begun, is left out.
    """
    thresholds = sorted({x for objective in objectives for about, x in objective.thresholds if about == QUEUE_LAG})
    steps = sorted(
        {(x, step) for objective in objectives for about, x, step in objective.steps if about == QUEUE_LAG}
    )
    plans = [ScenarioPlan.from_data(plan) for plan in reader.meta["plan"]]
    scenarios = [plan.name for plan in plans]
    for name, gauge in summary.gauges.items():
        if _DEPTH in gauge.series:
            passing = reader.meta["gauges"][name]["scenarios"] or [plan.name for plan in plans if plan.sends]
            numbers = [scenarios.index(scenario) for scenario in passing]
            since_ns = min(plans[number].judged_ns for number in numbers)
            gauge.lag, gauge.contradictions = _lag(reader, name, numbers, since_ns, thresholds, steps)


def _lag(
    reader: LedgerReader,
    gauge: str,
    scenarios: Sequence[int],
    since_ns: int,
    thresholds: Sequence[int],
    steps: Sequence[tuple[int, int]],
) -> tuple[Distribution, int]:
    fold = MetricFold(thresholds, steps)
    lag = QueueLag()
    acks, sends = _Stream(reader.ack_times(scenarios)), _Stream(reader.sent_times(scenarios))
    for name, start_ns, end_ns, values in reader.samples():
        if name == gauge and _DEPTH in values and not is_missing(values[_DEPTH]):
            lag.published(acks.until(end_ns))
            unconfirmed = sends.skip_until(end_ns) - acks.taken
            # What a gauge was told may be nonsense: no queue holds less than nothing.
            depth = max(0, int(values[_DEPTH]))
            _record(fold, lag.sampled(start_ns, end_ns, depth, max(0, unconfirmed)), since_ns)
    lag.published(acks.until(None))
    _record(fold, lag.close(), since_ns)
    fold.flush()
    return fold.distribution, lag.contradictions


def _record(fold: MetricFold, stays: Sequence[Stay], since_ns: int) -> None:
    for stay in stays:
        if stay.published_ns >= since_ns:
            fold.record(stay.lower_ns, stay.upper_ns, stay.published_ns)


class _Stream:
    """Times in order, taken off in portions."""

    def __init__(self, times: Iterator[int]) -> None:
        self._times = times
        self._next = next(times, None)
        self.taken = 0

    def until(self, end_ns: int | None) -> list[int]:
        """The times up to `end_ns` that were not taken yet; None: all."""
        portion = []
        while self._next is not None and (end_ns is None or self._next <= end_ns):
            portion.append(self._next)
            self._next = next(self._times, None)
        self.taken += len(portion)
        return portion

    def skip_until(self, end_ns: int) -> int:
        """How many times there are up to `end_ns`."""
        self.until(end_ns)
        return self.taken
