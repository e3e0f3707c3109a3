"""Folds settled events into counts, histograms and threshold counts: the Summary of a run.

The same fold serves the run itself and `evload report`, which feeds it the rows of the ledger file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..model import Observation, State
from ..stats.histogram import Histogram
from ..summary import (
    EXACT,
    WINDOW_NS,
    Distribution,
    GaugeSummary,
    ScenarioSummary,
    Series,
    Summary,
    ThresholdCount,
    Vitals,
)
from .hops import OffsetEstimate, hops
from .order import OrderCounter

_STATE_KEYS: Final = ["", *(state.name.lower() for state in State)]
"""By number: an enum's hash is computed in Python, and this is asked for every event."""
_FLUSH: Final = 512
"""Values folded into a histogram at a time."""
_EDGE_NS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class ScenarioPlan:
    """What the fold has to know of a scenario.

    watched     whether any probe follows its events
    deadline_ns longest deadline of its probes
    thresholds  (metric, nanoseconds) pairs to count exactly
    """

    name: str
    watched: bool
    deadline_ns: int
    thresholds: tuple[tuple[str, int], ...] = ()


class MetricFold:
    """One distribution being filled, with its thresholds at hand. Complete after `flush`."""

    __slots__ = ("_recorded", "distribution")

    def __init__(self, thresholds: Sequence[int], *, exact: bool = False) -> None:
        upper = Histogram()
        # As long as the ends are alike one histogram serves both.
        lower = upper if exact else Histogram()
        self.distribution = Distribution(lower, upper, {x: ThresholdCount() for x in thresholds}, exact)
        self._recorded: list[tuple[int | None, int | None, int]] = []

    def record(self, lower: int | None, upper: int | None, window: int) -> None:
        """Count one event; neither end is negative."""
        self._recorded.append((lower, upper, window))
        if len(self._recorded) >= _FLUSH:
            self.flush()

    def record_since(self, reference: int, lower: int, upper: int | None, window: int) -> None:
        """Count one event from two moments; what precedes the reference took no time."""
        low = lower - reference
        high = None if upper is None else upper - reference
        self._recorded.append((low if low > 0 else 0, 0 if high is not None and high < 0 else high, window))
        if len(self._recorded) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Fold what was recorded into the histograms and the counts."""
        if not self._recorded:
            return
        lowers, uppers, windows = zip(*self._recorded, strict=True)
        distribution = self.distribution
        if distribution.lower is distribution.upper and lowers != uppers:
            distribution.lower = distribution.upper.copy()
        distribution.upper.record_all(uppers)
        if distribution.lower is not distribution.upper:
            distribution.lower.record_all(lowers)
        for threshold, count in distribution.thresholds.items():
            for window in set(windows) - count.windows.keys():
                count.windows[window] = [0, 0, 0]
            for lower, upper, window in self._recorded:
                batch = count.windows[window]
                batch[0] += 1
                if upper is not None and upper <= threshold:
                    count.within += 1
                    batch[1] += 1
                elif lower is None or lower >= threshold:
                    count.beyond += 1
                    batch[2] += 1
        self._recorded.clear()


class _Scenario:
    """One scenario being folded."""

    def __init__(self, plan: ScenarioPlan) -> None:
        self.plan = plan
        self.summary = ScenarioSummary()
        self.metrics: dict[str, MetricFold] = {}

    def metric(self, name: str) -> MetricFold:
        metric = self.metrics.get(name)
        if metric is None:
            thresholds = sorted({x for about, x in self.plan.thresholds if about == name})
            metric = self.metrics[name] = MetricFold(thresholds, exact=name in EXACT)
            self.summary.distributions[name] = metric.distribution
        return metric


@dataclass(slots=True)
class Recorder:
    """The fold. `start_ns` is the clock reading at which the run's schedule began."""

    plans: Sequence[ScenarioPlan]
    start_ns: int
    vitals: Vitals = field(default_factory=Vitals)
    gauges: dict[str, GaugeSummary] = field(default_factory=dict)
    _scenarios: list[_Scenario] = field(init=False)
    _order: OrderCounter = field(init=False, default_factory=OrderCounter)
    _offset: OffsetEstimate = field(init=False, default_factory=OffsetEstimate)

    def __post_init__(self) -> None:
        self._scenarios = [_Scenario(plan) for plan in self.plans]

    def expect(self, scenario: int, events: Iterable[tuple[int, int, str | None]]) -> None:
        """Count events as scheduled: (seq, intended_ns, key) of each, in the order of the schedule."""
        summary = self._scenarios[scenario].summary
        offered, start = summary.offered, self.start_ns
        count = 0
        intended = None
        for seq, intended, key in events:
            count += 1
            window = (intended - start) // WINDOW_NS
            batch = offered.get(window)
            if batch is None:
                batch = offered[window] = [0, 0]
            batch[0] += 1
            if summary.first_intended_ns is None:
                summary.first_intended_ns = intended - start
            if key is not None:
                self._order.sent((scenario, key), seq)
        summary.ledger["scheduled"] += count
        if intended is not None:
            summary.last_intended_ns = intended - start

    def settle(self, observations: Iterable[Observation]) -> None:
        """Count settled events. Each must have been expected."""
        for seen in observations:
            self._settle(self._scenarios[seen.scenario], seen)

    def unrecorded(self, scenario: int, count: int) -> None:
        """Count `count` scheduled events of which nothing more is known: they were outstanding when the
        run was killed. Nobody knows whether the broker has them, so they are in doubt and never seen."""
        summary = self._scenarios[scenario].summary
        summary.ledger["scheduled"] += count
        summary.ledger["in_doubt"] += count
        if self._scenarios[scenario].plan.watched:
            metric = self._scenarios[scenario].metric("end_to_end")
            for _ in range(count):
                metric.record(0, None, 0)

    def sampled(self, gauge: str, values: Mapping[str, float]) -> None:
        """Count one sample of a gauge; no values: it could not be taken."""
        into = self.gauges.setdefault(gauge, GaugeSummary())
        for metric, value in values.items():
            into.series.setdefault(metric, Series()).add(value)
        if not values:
            into.failed += 1

    def summary(self) -> Summary:
        """Everything so far. Shares its parts with the recorder: don't keep it while the run goes on."""
        for scenario in self._scenarios:
            for metric in scenario.metrics.values():
                metric.flush()
        return Summary({s.plan.name: s.summary for s in self._scenarios}, self.vitals, self.gauges)

    # -- one event -----------------------------------------------------------------------------------

    def _settle(self, into: _Scenario, seen: Observation) -> None:
        summary, ledger, state = into.summary, into.summary.ledger, seen.state
        ledger[_STATE_KEYS[state]] += 1
        acked = state >= State.VISIBLE
        if acked:
            ledger["acked"] += 1
        if seen.regressions:
            ledger["regressions"] += 1
        if state is State.IN_DOUBT and seen.recovered:
            ledger["recovered"] += 1
        if seen.effects is not None:
            summary.effects_known += 1
            if seen.duplicated:
                ledger["duplicated"] += 1
        if seen.position is not None:
            summary.positions_known += 1
        if seen.key is not None:
            ledger["out_of_order"] += self._order.settled((seen.scenario, seen.key), seen.seq, seen.position)

        window = (seen.intended_ns - self.start_ns) // WINDOW_NS
        if seen.sent_ns is not None:
            # What crosses the edge of a window by a hair's breadth still counts where it was meant to be.
            offered_ns = max(seen.intended_ns, seen.sent_ns - _EDGE_NS)
            offered = (offered_ns - self.start_ns) // WINDOW_NS
            if offered not in summary.offered:
                summary.offered[offered] = [0, 0]
            summary.offered[offered][1] += 1
            if state is not State.UNSENT:
                self._publish(into, seen, acked, window)
        if into.plan.watched and seen.sampled:
            self._visibility(into, seen, acked, window)

    def _publish(self, into: _Scenario, seen: Observation, acked: bool, window: int) -> None:
        assert seen.sent_ns is not None
        delay = seen.sent_ns - seen.intended_ns
        if delay < 0:
            into.summary.early_sends += 1
            delay = 0
        into.metric("schedule_delay").record(delay, delay, window)
        if acked and seen.acked_ns is not None:
            publish = max(0, seen.acked_ns - seen.sent_ns)
            into.metric("publish").record(publish, publish, window)
        elif seen.state is State.IN_DOUBT:
            into.metric("publish").record(max(0, seen.settled_ns - seen.sent_ns), None, window)

    def _visibility(self, into: _Scenario, seen: Observation, acked: bool, window: int) -> None:
        summary = into.summary
        end_to_end = into.metric("end_to_end")
        if seen.state <= State.RETURNED:
            # It will never be seen, and that is known: beyond every threshold.
            end_to_end.record(None, None, window)
            return
        published = seen.sent_ns if seen.sent_ns is not None else seen.intended_ns
        stable_lower = published if seen.stable_lower_ns is None else seen.stable_lower_ns
        stable_upper = seen.stable_upper_ns
        end_to_end.record_since(seen.intended_ns, stable_lower, stable_upper, window)
        reference = seen.acked_ns
        if not acked or reference is None:
            return
        summary.sampled += 1
        into.metric("consistency").record_since(reference, stable_lower, stable_upper, window)
        first_lower = published if seen.first_lower_ns is None else seen.first_lower_ns
        first_upper = seen.first_upper_ns
        if first_upper is not None and (first_upper - reference) * 3 > into.plan.deadline_ns * 2:
            summary.late_sightings += 1
        into.metric("first_seen").record_since(reference, first_lower, first_upper, window)
        if seen.processed_at is not None and first_upper is not None:
            for name, (low, high) in hops(seen, self._offset).items():
                into.metric(name).record(low, high, window)
