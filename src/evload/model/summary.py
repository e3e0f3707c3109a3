"""What a run amounts to: counts, brackets and vitals per scenario, mergeable; and the report made of it.

Plain data. `recorder` fills a Summary from settled events, `slo` and `selfcheck` judge it, sinks print it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from ..stats.histogram import Histogram, bracket, rank_of
from ..stats.thresholds import StepCounts, ThresholdCount
from .facts import LEDGER_KEYS
from .vitals import Vitals


@dataclass(slots=True)
class Distribution:
    """One metric: histograms of the lower and of the upper ends, and exact counts at the thresholds."""

    lower: Histogram = field(default_factory=Histogram)
    upper: Histogram = field(default_factory=Histogram)
    thresholds: dict[int, ThresholdCount] = field(default_factory=dict)
    """Threshold in nanoseconds to its counts."""
    exact: bool = False
    """Its values are points: both ends are alike but for what never happened."""
    steps: dict[tuple[int, int], StepCounts] = field(default_factory=dict)
    """(threshold, length of a step) in nanoseconds to the counts at the threshold by intended time."""

    def bracket(self, p: Fraction) -> tuple[int | None, int | None]:
        """[lower, upper] in nanoseconds around the p-quantile; None: infinite.

        Of exact values both are the upper edge of the bucket, which is 0.1 % wide. Raises ValueError if
        there are no values.
        """
        if not self.exact:
            return bracket(p, self.lower, self.upper)
        ends = [values.at_rank(rank_of(p, values.total)) for values in (self.lower, self.upper)]
        low, high = (None if edges is None else edges[1] for edges in ends)
        return low, high

    @property
    def count(self) -> int:
        """Events in this distribution, the never-seen ones included."""
        return self.upper.total

    @property
    def censored(self) -> int:
        """Events without an upper end: never seen."""
        return self.upper.never


@dataclass(slots=True)
class Series:
    """One value of a gauge over the run, in the gauge's own unit."""

    count: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    last: float = 0.0
    value_sum: float = 0.0

    def add(self, value: float) -> None:
        """Count one sample."""
        self.minimum = min(self.minimum, value) if self.count else value
        self.maximum = max(self.maximum, value) if self.count else value
        self.count += 1
        self.last = value
        self.value_sum += value

    def merge(self, other: Series) -> None:
        """Add another's samples; its last one counts as the last."""
        if other.count:
            self.minimum = min(self.minimum, other.minimum) if self.count else other.minimum
            self.maximum = max(self.maximum, other.maximum) if self.count else other.maximum
            self.count += other.count
            self.last = other.last
            self.value_sum += other.value_sum

    @property
    def mean(self) -> float:
        """Mean of the samples; raises ZeroDivisionError without any."""
        return self.value_sum / self.count


@dataclass(slots=True)
class ScenarioSummary:
    """What one scenario amounts to."""

    ledger: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEDGER_KEYS, 0))
    distributions: dict[str, Distribution] = field(default_factory=dict)
    offered: dict[int, list[int]] = field(default_factory=dict)
    """Window number (by time since the start of the run) to [events scheduled in it, events sent in it]."""
    early_sends: int = 0
    late_sightings: int = 0
    """Events first seen in the last third of their probe's deadline."""
    sampled: int = 0
    """Events followed closely, not only read once at their deadline."""
    effects_known: int = 0
    """Events for which the number of their side effects was read."""
    positions_known: int = 0
    """Events for which their position in the order of application was read."""
    first_intended_ns: int | None = None
    last_intended_ns: int | None = None
    slices: dict[str, ScenarioSummary] = field(default_factory=dict)
    """Part of the events, or what one probe or replica says of them, by `slice_label`."""
    counter_steps: dict[tuple[str, int], StepCounts] = field(default_factory=dict)
    """(counter, length of a step in ns) to its counts: `events` are those scheduled, by intended time; `beyond` those
    counted, of `sent`, `acked` and `visible` by the time at which that happened, of others by intended time."""
    effects: dict[int, int] = field(default_factory=dict)
    """Number of side effects to the number of events that had as many."""
    staleness: Series = field(default_factory=Series)
    """Per event: how many acked writes of its key the most stale answer about it had not applied."""
    session_reads: int = 0
    """Events whose first read was begun after the ack by the session that wrote, and answered."""
    late_hops: dict[str, int] = field(default_factory=dict)
    """Of the events that were late or lost: the probe at which they lost most time to the number of them."""
    agreeing: int = 0
    """Over all events, the replicas that showed it when each was last read."""
    asked: int = 0
    """Over all events, the replicas that said anything of it."""
    sent_steps: StepCounts | None = None
    """Where arrivals are random: `events` sent per step, by intended time."""
    flow: StepCounts | None = None
    """Where a steady state is claimed: `events` acked, `within` of them seen or given up, by when that happened."""


@dataclass(slots=True)
class GaugeSummary:
    """What one gauge showed. `lag` is the time in the queue that follows from its depth, where it has one."""

    series: dict[str, Series] = field(default_factory=dict)
    failed: int = 0
    """Samples that could not be taken."""
    lag: Distribution | None = None


@dataclass(slots=True)
class Summary:
    """A whole run, scenario by scenario and gauge by gauge."""

    scenarios: dict[str, ScenarioSummary] = field(default_factory=dict)
    vitals: Vitals = field(default_factory=Vitals)
    gauges: dict[str, GaugeSummary] = field(default_factory=dict)
    watches: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Result of each SampleWatch by its label, as [lower, upper]."""
    negative_hops: int = 0
    """Events whose own stamps say that they were processed before they were consumed."""

    def total(self) -> ScenarioSummary:
        """All scenarios merged into one."""
        return merge(self.scenarios.values())

    def queue_lag(self) -> Distribution | None:
        """The time in all queues with a gauge, merged; None if there is none."""
        lags = [gauge.lag for gauge in self.gauges.values() if gauge.lag is not None]
        whole = Distribution() if lags else None
        for lag in lags:
            assert whole is not None
            merge_distribution(whole, lag)
        return whole


def merge(parts: Iterable[ScenarioSummary]) -> ScenarioSummary:
    """One summary of several: counts add up, histograms merge, windows add up."""
    whole = ScenarioSummary()
    pieces: dict[str, list[ScenarioSummary]] = {}
    for part in parts:
        for key, count in part.ledger.items():
            whole.ledger[key] += count
        for metric, distribution in part.distributions.items():
            merge_distribution(
                whole.distributions.setdefault(metric, Distribution(exact=distribution.exact)), distribution
            )
        _add_windows(whole.offered, part.offered)
        whole.early_sends += part.early_sends
        whole.late_sightings += part.late_sightings
        whole.sampled += part.sampled
        whole.effects_known += part.effects_known
        whole.positions_known += part.positions_known
        whole.session_reads += part.session_reads
        whole.agreeing += part.agreeing
        whole.asked += part.asked
        whole.staleness.merge(part.staleness)
        _add_counts(whole.effects, part.effects)
        _add_counts(whole.late_hops, part.late_hops)
        for about, steps in part.counter_steps.items():
            whole.counter_steps.setdefault(about, StepCounts(steps.step_ns)).merge(steps)
        for label, piece in part.slices.items():
            pieces.setdefault(label, []).append(piece)
        for name, choose in (("first_intended_ns", min), ("last_intended_ns", max)):
            values = [v for v in (getattr(whole, name), getattr(part, name)) if v is not None]
            setattr(whole, name, choose(values, default=None))
    whole.slices = {label: merge(found) for label, found in pieces.items()}
    return whole


def merge_distribution(into: Distribution, more: Distribution) -> None:
    """Add one distribution's counts to another."""
    into.lower.merge(more.lower)
    into.upper.merge(more.upper)
    for threshold, counts in more.thresholds.items():
        target = into.thresholds.setdefault(threshold, ThresholdCount())
        target.within += counts.within
        target.beyond += counts.beyond
        _add_windows(target.windows, counts.windows)
    for about, steps in more.steps.items():
        into.steps.setdefault(about, StepCounts(steps.step_ns)).merge(steps)


def slice_label(
    *, event: str | None = None, key: str | None = None, probe: str | None = None, replica: str | None = None
) -> str:
    """What a part of a scenario is called in `slices`; empty for the whole of it."""
    parts = {"event": event, "key": key, "probe": probe, "replica": replica}
    return ",".join(f"{name}={value}" for name, value in parts.items() if value is not None)


K = TypeVar("K")


def _add_counts(into: dict[K, int], more: Mapping[K, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def _add_windows(into: dict[int, list[int]], more: Mapping[int, list[int]]) -> None:
    for window, counts in more.items():
        have = into.setdefault(window, [0] * len(counts))
        for i, count in enumerate(counts):
            have[i] += count
