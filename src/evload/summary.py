"""What a run amounts to: counts, brackets and vitals per scenario, mergeable; and the report made of it.

Plain data. `recorder` fills a Summary from settled events, `slo` and `selfcheck` judge it, sinks print it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

from .stats.histogram import Histogram, bracket, rank_of
from .stats.steps import StepCounts
from .timeline import Finding, Timeline

STATES: Final = (
    "unsent", "acked", "rejected", "returned", "in_doubt",
    "visible", "lost", "regressed", "pending", "unobserved",
)  # fmt: skip
COUNTERS: Final = (
    "regressions", "recovered", "duplicated", "out_of_order", "resent", "non_monotonic", "unread_writes",
)  # fmt: skip
LEDGER_KEYS: Final = ("scheduled", *STATES, *COUNTERS)

METRICS: Final = (
    "schedule_delay", "publish", "first_seen", "consistency", "end_to_end", "hop",
    "sent_to_consumed", "consumed_to_processed", "processed_to_visible",
)  # fmt: skip
"""Names of the distributions a scenario can have; those without a value are left out of the summary."""

EXACT: Final = frozenset({"schedule_delay", "publish"})
"""Those that are points and not brackets: both stamps are evload's own."""

QUEUE_LAG: Final = "queue_lag"
"""The distribution that belongs to a queue instead: the time events spent in it."""

PERCENTILES: Final = {
    "p50": Fraction(50, 100),
    "p90": Fraction(90, 100),
    "p95": Fraction(95, 100),
    "p99": Fraction(99, 100),
    "p99.9": Fraction(999, 1000),
}
"""The percentiles that a report shows."""

WINDOW_NS: Final = 10_000_000_000
"""Length of the windows in which the offered rate is checked and events are batched."""


@dataclass(slots=True)
class ThresholdCount:
    """Exact counts at one threshold X of one metric, over the run and per window of intended time."""

    within: int = 0
    """Events whose upper end is at most X: good for sure."""
    beyond: int = 0
    """Events whose lower end is at least X: bad for sure."""
    windows: dict[int, list[int]] = field(default_factory=dict)
    """Window number to [events, within, beyond]."""


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
class Incident:
    """A time in which something outside failed again and again. Times in nanoseconds since the schedule began."""

    source: str
    """The producer, probe or gauge that met it."""
    reason: str
    first_ns: int
    last_ns: int
    count: int = 1


@dataclass(slots=True)
class ReadVitals:
    """The reads of one probe."""

    requests: int = 0
    events: int = 0
    """One for each event in each read."""
    failed: int = 0
    """Requests that failed."""
    throttled: int = 0
    """Of those, the ones that were refused because there were too many."""
    busiest: int = 0
    """Most event reads in a second."""
    stretch: float = 1.0
    """By how much the gaps between reads were widened at most, to spare the read model."""


@dataclass(slots=True)
class Vitals:
    """How the generator itself fared. Times in nanoseconds."""

    duration_ns: int = 0
    cpu_share: float | None = None
    """Busiest ten seconds, as a share of one core; None in virtual time."""
    longest_stall_ns: int | None = None
    read_requests: int = 0
    event_reads: int = 0
    """One for each event in each read: a bulk read of 100 ids counts 100."""
    failed_reads: int = 0
    unexpected_ids: int = 0
    interrupted: bool = False
    crashed: bool = False
    """The run ended without its last word (`kill -9`, power); rebuilt from the ledger file."""
    replicas: dict[str, list[str]] = field(default_factory=dict)
    """Probe name to the replicas that its answers named; empty list if they could not be told apart."""
    errors: dict[str, int] = field(default_factory=dict)
    """Reasons of failed publishes and reads, with their counts (bounded)."""
    incidents: list[Incident] = field(default_factory=list)
    """When they were (bounded)."""
    probes: dict[str, ReadVitals] = field(default_factory=dict)
    copies: dict[str, int] = field(default_factory=dict)
    """Outcome to the number of re-sent copies that met it."""
    aborted: str = ""
    """The expression of the objective that ended the run before its time."""
    abort_note: str = ""
    """Why."""
    wall_drift_ns: int | None = None
    """Most by which the wall clock and the monotonic one parted within a minute."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Vitals:
        """From what `dataclasses.asdict` gave and JSON kept."""
        vitals = cls(**data)
        vitals.incidents = [Incident(**incident) for incident in data.get("incidents", ())]
        vitals.probes = {name: ReadVitals(**reads) for name, reads in data.get("probes", {}).items()}
        return vitals


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


class Result(enum.StrEnum):
    """Of an objective, a self-check or a run."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    SKIPPED = "skipped"
    """Doesn't apply to this run. Only self-checks can be skipped."""


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """One objective, judged.

    observed  [lower, upper] in the unit of the limit (seconds, a share, a count); None = unbounded or no data
    note      for people: why it is what it is
    """

    expression: str
    result: Result
    observed: tuple[float | None, float | None]
    limit: float
    scenario: str | None = None
    note: str = ""
    witnessed: bool = False
    """A violation that was seen with certainty, which an invalid measurement doesn't excuse."""
    subject: str = ""
    """The metric or the counter that it is about."""
    scope: str = ""
    """The part of the events that it is about, by `slice_label`."""
    worst: tuple[WorstEvent, ...] = ()
    """Of an objective that didn't pass: the events that weigh most against it."""


@dataclass(frozen=True, slots=True)
class WorstEvent:
    """One event by name, so that a person can find it in logs and traces.

    timeline  (seconds since the schedule began, what happened), in order of time
    """

    correlation_id: str
    traceparent: str
    scenario: str
    event: str
    key: str | None
    state: str
    timeline: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One self-check. `value` and `limit` are numbers in base units (seconds, shares, counts) or None."""

    name: str
    result: Result
    value: float | None
    limit: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a sink needs."""

    run_id: str
    name: str
    started_at: datetime
    verdict: Result
    summary: Summary
    objectives: Sequence[ObjectiveResult]
    checks: Sequence[CheckResult]
    directory: Path | None = None
    findings: Sequence[Finding] = ()
    timeline: Timeline | None = None
    """The run over time; None if its ledger couldn't be read."""
    config_text: str = ""
    """The config as run, without secrets; empty if it isn't known."""


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
