"""What a run amounts to: counts, brackets and vitals per scenario. The summaries of its parts add up to it.

Every field merges exactly, or is named in FROM_LEDGER and worked out anew from the ledgers of the parts. Order per
key adds up because what has one key is never in two parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, TypeVar

from ..stats.histogram import Histogram, bracket, rank_of
from ..stats.thresholds import StepCounts, ThresholdCount, add_intervals
from .costs import Costs
from .facts import LEDGER_KEYS, PERCENTILES
from .marker import Marker, in_order
from .rounds import RoundsSummary
from .vitals import Vitals

FROM_LEDGER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hops": "sent_to_consumed, consumed_to_processed, processed_to_visible: from the stamps of all events, "
        "with one estimate of the foreign clock's offset for each ledger",
        "contradictions": "of stamps with the hops, of samples with the lag",
        "negative_hops": "with the hops",
        "lag": "from the samples of a queue's depth and the times of all sends and acks",
        "watches": "from the samples of the gauges in order of time",
        "watch_notes": "with the watches",
        "costs": "from the samples of the gauges, the events and the reads of all ledgers",
        "busiest": "from the reads in each tenth of a second, added up over the ledgers",
    }
)
"""What doesn't add up, and what it is worked out from. Worst events and timeline are never part of a summary."""
FIGURES: Final = ("min", "mean", *PERCENTILES, "max")
"""What reports show of a distribution, in order."""
Ends = tuple[int | Fraction | None, int | Fraction | None]
"""[lower, upper] in nanoseconds; None: infinite."""
_EVENT: Final = re.compile(r"event=[^,]*")
"""Label of all events of one name."""
_JOURNEY: Final = re.compile(r"journey=([^,]*)(?:,(.+))?")
"""Label of the iterations of a journey: its name, and which of them."""
RACE: Final = "race"
"""Label of the rounds of a race."""
_OF_ROUNDS: Final = re.compile(rf"{RACE}(?:,.+)?")
"""Label of the rounds of a race, or of some of them."""
LOWER_END: Final = ".low"
"""Behind the name of a gauge's value: its lower end, where it is known as a bracket. The value is the upper one."""
HOPS: Final = ("sent_to_consumed", "consumed_to_processed", "processed_to_visible")
"""The distributions that are worked out from the ledger."""


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
    def minimum(self) -> Ends:
        """[lower, upper] of the smallest value."""
        low, high = (values.minimum for values in (self.lower, self.upper))
        return low, high

    @property
    def mean(self) -> Ends:
        """[mean of the lower ends, mean of the upper ones]; of values of which one is infinite so is the mean."""
        low, high = (
            None if values.never or not values.total else Fraction(values.value_sum, values.total)
            for values in (self.lower, self.upper)
        )
        return low, high

    @property
    def maximum(self) -> Ends:
        """[lower, upper] of the largest value."""
        low, high = (None if values.never else values.maximum for values in (self.lower, self.upper))
        return low, high

    def figures(self) -> dict[str, Ends]:
        """What reports show of it, by name, each [lower, upper] in nanoseconds; None: infinite."""
        percentiles = {name: self.bracket(p) for name, p in PERCENTILES.items()}
        return {"min": self.minimum, "mean": self.mean, **percentiles, "max": self.maximum}

    def merge(self, other: Distribution) -> None:
        """Add another's counts."""
        if self.lower is self.upper:
            # As long as the ends are alike one histogram serves both.
            if other.lower is other.upper or other.lower == other.upper:
                self.upper.merge(other.upper)
            else:
                self.lower = self.upper.copy()
        if self.lower is not self.upper:
            self.lower.merge(other.lower)
            self.upper.merge(other.upper)
        for threshold, counts in other.thresholds.items():
            self.thresholds.setdefault(threshold, ThresholdCount()).merge(counts)
        for about, steps in other.steps.items():
            self.steps.setdefault(about, StepCounts(steps.step_ns)).merge(steps)

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
    """One value over the run, in its own unit."""

    count: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    last: float = 0.0
    last_ns: int = 0
    """When the last one was taken, on the clock of the run."""
    value_sum: Fraction = Fraction(0)
    """Exact, so that it is the same in whatever order the values are added."""

    def add(self, value: float, at_ns: int = 0) -> None:
        """Count one value, taken at `at_ns`."""
        self.minimum = min(self.minimum, value) if self.count else value
        self.maximum = max(self.maximum, value) if self.count else value
        self._look_at_last(value, at_ns)
        self.count += 1
        self.value_sum += Fraction(value)

    def merge(self, other: Series) -> None:
        """Add another's values."""
        if other.count:
            self.minimum = min(self.minimum, other.minimum) if self.count else other.minimum
            self.maximum = max(self.maximum, other.maximum) if self.count else other.maximum
            self._look_at_last(other.last, other.last_ns)
            self.count += other.count
            self.value_sum += other.value_sum

    def _look_at_last(self, value: float, at_ns: int) -> None:
        if not self.count or (at_ns, value) >= (self.last_ns, self.last):
            self.last, self.last_ns = value, at_ns

    @property
    def mean(self) -> float:
        """Mean of the values; raises ZeroDivisionError without any."""
        return float(self.value_sum / self.count)


@dataclass(slots=True)
class ScenarioSummary:
    """What one scenario amounts to, or a part of it."""

    ledger: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEDGER_KEYS, 0))
    distributions: dict[str, Distribution] = field(default_factory=dict)
    offered: dict[int, list[int]] = field(default_factory=dict)
    """Number of an interval (by time since the start of the run) to [events scheduled in it, events sent in it]."""
    phases: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """Start and end of a phase of the load, in nanoseconds since the schedule began, to [events due in it; of these,
    those never sent or so late that it was another phase; of these, those that evload alone was late with]."""
    on_time: Distribution | None = None
    """`end_to_end` as it would be had evload sent each event when it was due, where an objective asks for it."""
    early_sends: int = 0
    late_for_order: int = 0
    """Events that left so late that it was another phase, and would not have but for the order of their key."""
    late_sightings: int = 0
    """Events first seen in the last third of their probe's deadline."""
    sampled: int = 0
    """Events followed closely, not only read once at their deadline."""
    known: dict[str, int] = field(default_factory=dict)
    """Name of a fact to the number of events of which it is known; `order`: those whose order was owed."""
    tallies: dict[str, dict[Any, int]] = field(default_factory=dict)
    """Name of a fact to its values, each with the number of events that have it."""
    ranges: dict[str, Series] = field(default_factory=dict)
    """Name of a fact to its smallest and largest values and their mean."""
    sums: dict[str, int] = field(default_factory=dict)
    """Name of a fact to its sum over the events of which it is known."""
    first_intended_ns: int | None = None
    last_intended_ns: int | None = None
    last_acked_ns: int | None = None
    """When the last answer to one of its events came, since the schedule began."""
    slices: dict[str, ScenarioSummary] = field(default_factory=dict)
    """Part of the events, or what one probe or replica says of them, by `slice_label`; and what the iterations of
    each journey amount to, whose ledger has the counts of `model.iteration`; and the rounds of a race, whose ledger
    has how they ended: scheduled = judged + void + cut_off."""
    is_view: bool = False
    """It is what one probe or replica says of all the events."""
    event: str = ""
    """Name of the only event that it sends; empty where it sends several, which are slices then, or one that isn't
    counted apart."""
    steps: tuple[str, ...] = ()
    """The steps of its journeys, JOURNEY.STEP, in the order in which they are done if none is left out."""
    counter_steps: dict[tuple[str, int], StepCounts] = field(default_factory=dict)
    """(counter, length of a step in nanoseconds) to what was counted when: `events` due, `beyond` counted."""
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
    rounds: RoundsSummary | None = None
    """Of a slice that is about the rounds of a race: what else there is of them."""
    reads: int = 0
    """Of a scenario with a race, or a part of it that isn't one read alone: settled events that are reads. What fails
    of them is no error of the load."""
    failed_reads: int = 0
    """Those of them that count among what is an error of other events."""
    read_steps: dict[int, StepCounts] = field(default_factory=dict)
    """Length of a step in nanoseconds to the same by when it was due: `events`, and `beyond` those that failed."""
    warmup: ScenarioSummary | None = None
    """Of a scenario with a warm-up: what the events due in it amount to. They are in no other figure here."""

    @property
    def behind_ns(self) -> int:
        """How much longer than the schedule the broker took to answer, if it fell behind; else 0.

        What piles up makes the last answer late, and most answers later than others: neither a few events that took
        long nor those at the beginning. What a hundredth of the schedule's time explains is taken for its edges.
        """
        if self.first_intended_ns is None or self.last_intended_ns is None or self.last_acked_ns is None:
            return 0
        late_ns = min(
            self.last_acked_ns - self.last_intended_ns, self._spread("schedule_delay") + self._spread("publish")
        )
        return max(0, late_ns - (self.last_intended_ns - self.first_intended_ns) // 100)

    def _spread(self, metric: str) -> int:
        """From the least of a metric to what is exceeded by one in a hundred, in nanoseconds."""
        found = self.distributions.get(metric)
        if found is None or not found.lower.total:
            return 0
        least, most = found.minimum[0], found.bracket(PERCENTILES["p99"])[0]
        return 0 if least is None or most is None else int(most - least)

    def journeys(self, which: str = "") -> dict[str, ScenarioSummary]:
        """What the iterations of each journey amount to, by its name: all of them, or those of a part (the label of
        which has no journey)."""
        found = ((_JOURNEY.fullmatch(label), part) for label, part in self.slices.items())
        return {about[1]: part for about, part in found if about is not None and (about[2] or "") == which}

    def races(self) -> dict[str, ScenarioSummary]:
        """The slices that are about rounds of a race, by their labels: all of them, and parts by time."""
        return {label: part for label, part in self.slices.items() if _OF_ROUNDS.fullmatch(label)}

    def portions(self) -> dict[str, ScenarioSummary]:
        """The slices that are about events, by their labels."""
        return {
            label: part
            for label, part in self.slices.items()
            if _JOURNEY.fullmatch(label) is None and _OF_ROUNDS.fullmatch(label) is None
        }

    def with_warmup(self, count: str) -> int:
        """One of the counts of the ledger, with the events of the warm-up."""
        return self.ledger[count] + (0 if self.warmup is None else self.warmup.ledger[count])

    def whole_flow(self, flow: StepCounts) -> StepCounts:
        """The flow with the events of the warm-up: what of these is in flight is so for all."""
        return flow if self.warmup is None else _merged_steps(flow, self.warmup.flow) or flow

    def merge(self, other: ScenarioSummary, *, same: bool = True) -> None:
        """Add the counts of other events of the same scenario; or of another one, whose steps are its own."""
        _add_counts(self.ledger, other.ledger)
        for metric, distribution in other.distributions.items():
            if metric not in HOPS:
                _merge_distribution(self.distributions, metric, distribution)
        add_intervals(self.offered, other.offered)
        if other.on_time is not None:
            self.on_time = self.on_time or Distribution()
            self.on_time.merge(other.on_time)
        self.early_sends += other.early_sends
        self.late_for_order += other.late_for_order
        self.late_sightings += other.late_sightings
        self.sampled += other.sampled
        _add_counts(self.known, other.known)
        for fact, tally in other.tallies.items():
            _add_counts(self.tallies.setdefault(fact, {}), tally)
        for fact, series in other.ranges.items():
            self.ranges.setdefault(fact, Series()).merge(series)
        _add_counts(self.sums, other.sums)
        self.first_intended_ns = _least(self.first_intended_ns, other.first_intended_ns)
        self.last_intended_ns = _most(self.last_intended_ns, other.last_intended_ns)
        self.last_acked_ns = _most(self.last_acked_ns, other.last_acked_ns)
        for label, part in other.slices.items():
            # Events and iterations are counted under different names.
            nothing = ScenarioSummary(dict.fromkeys(part.ledger, 0), is_view=part.is_view)
            self.slices.setdefault(label, nothing).merge(part)
        for part in self.slices.values():
            if part.is_view:
                # It is about all the events, also about those of a part of the run that never met this replica.
                part.ledger["scheduled"] = self.ledger["scheduled"]
        for about, steps in other.counter_steps.items():
            self.counter_steps.setdefault(about, StepCounts(steps.step_ns)).merge(steps)
        _add_counts(self.late_hops, other.late_hops)
        self.agreeing += other.agreeing
        self.asked += other.asked
        self.reads += other.reads
        self.failed_reads += other.failed_reads
        for step_ns, steps in other.read_steps.items():
            self.read_steps.setdefault(step_ns, StepCounts(step_ns)).merge(steps)
        if other.rounds is not None:
            self.rounds = self.rounds or RoundsSummary()
            self.rounds.merge(other.rounds)
        if other.warmup is not None:
            self.warmup = self.warmup or ScenarioSummary()
            self.warmup.merge(other.warmup, same=same)
        if same:
            add_intervals(self.phases, other.phases)
            self.sent_steps = _merged_steps(self.sent_steps, other.sent_steps)
            self.flow = _merged_steps(self.flow, other.flow)
            self.event = self.event or other.event
            self.steps = self.steps or other.steps


@dataclass(slots=True)
class GaugeSummary:
    """What one gauge showed. `lag` is the time in the queue that follows from its depth, where it has one."""

    series: dict[str, Series] = field(default_factory=dict)
    failed: int = 0
    """Samples that could not be taken."""
    missing: int = 0
    """Samples that were taken and had no such value (yet)."""
    lag: Distribution | None = None
    contradictions: int = 0
    """Samples by which fewer events were gone from the queue than by an earlier one."""

    def merge(self, other: GaugeSummary) -> None:
        """Add another's samples."""
        for value, series in other.series.items():
            self.series.setdefault(value, Series()).merge(series)
        self.failed += other.failed
        self.missing += other.missing
        self.lag, self.contradictions = None, 0


@dataclass(slots=True)
class Summary:
    """A whole run, scenario by scenario and gauge by gauge."""

    scenarios: dict[str, ScenarioSummary] = field(default_factory=dict)
    vitals: Vitals = field(default_factory=Vitals)
    gauges: dict[str, GaugeSummary] = field(default_factory=dict)
    watches: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Result of each SampleWatch by its label, as [lower, upper]."""
    reads: dict[str, Distribution] = field(default_factory=dict)
    """Name of a probe that asks to how long its requests took; those that failed have no upper end."""
    watch_notes: dict[str, str] = field(default_factory=dict)
    """What else there is to say of some of them, by the same label."""
    negative_hops: int = 0
    """Events whose own stamps say that they were processed before they were consumed."""
    contradictions: int = 0
    """Events whose stamps can't be true together with those of the others."""
    costs: Costs | None = None
    """What the run cost; None where its config has no price table."""
    markers: list[Marker] = field(default_factory=list)
    """When something was done to the system, in order of time. One part of a run does it, for all of them."""

    def merge(self, other: Summary) -> None:
        """Add another part of the same run. What FROM_LEDGER names is to be worked out afterwards."""
        for name, scenario in other.scenarios.items():
            mine = self.scenarios.setdefault(name, ScenarioSummary())
            mine.merge(scenario)
        for scenario in self.scenarios.values():
            for metric in HOPS:
                scenario.distributions.pop(metric, None)
        self.vitals.merge(other.vitals)
        for name, gauge in other.gauges.items():
            self.gauges.setdefault(name, GaugeSummary()).merge(gauge)
        for probe, reads in other.reads.items():
            _merge_distribution(self.reads, probe, reads)
        self.markers = in_order({*self.markers, *other.markers})
        self.watches, self.watch_notes = {}, {}
        self.negative_hops = self.contradictions = 0
        self.costs = None

    def followed(self) -> dict[str, int]:
        """The ledgers of those scenarios as one whose events somebody looks for. Of the others nobody knows, and of
        what is to stay absent nobody asks, how many are visible."""
        found: dict[str, int] = {}
        for scenario in self.scenarios.values():
            if "consistency" in scenario.distributions:
                for name, count in scenario.ledger.items():
                    found[name] = found.get(name, 0) + count
        return found

    def total(self) -> ScenarioSummary:
        """All scenarios as one."""
        return merged(self.scenarios.values())

    def events(self) -> dict[str, ScenarioSummary]:
        """What the events of each name amount to, of all scenarios that send them.

        Without hops, which are known of whole scenarios alone.
        """
        found: dict[str, list[ScenarioSummary]] = {}
        for scenario in self.scenarios.values():
            own = {label: part for label, part in scenario.slices.items() if _EVENT.fullmatch(label)}
            if scenario.event:
                alone = replace(scenario, slices={}, warmup=None)
                own.setdefault(slice_label(event=scenario.event), alone)
            for label, part in own.items():
                found.setdefault(label.removeprefix("event="), []).append(part)
        told = {name: merged(parts) for name, parts in found.items()}
        for part in told.values():
            for metric in HOPS:
                part.distributions.pop(metric, None)
        return told

    def queue_lag(self) -> Distribution | None:
        """The time in all queues with a gauge, merged; None if there is none."""
        lags = [gauge.lag for gauge in self.gauges.values() if gauge.lag is not None]
        whole = Distribution() if lags else None
        for lag in lags:
            assert whole is not None
            whole.merge(lag)
        return whole


def merged(parts: Iterable[ScenarioSummary]) -> ScenarioSummary:
    """One summary of several scenarios, or of the same part of several."""
    whole = ScenarioSummary()
    for part in parts:
        whole.merge(part, same=False)
        for metric in HOPS:
            if metric in part.distributions:
                _merge_distribution(whole.distributions, metric, part.distributions[metric])
    return whole


def slice_label(
    *,
    race: bool = False,
    journey: str | None = None,
    event: str | None = None,
    key: str | None = None,
    tag: str | None = None,
    probe: str | None = None,
    replica: str | None = None,
    during: str | None = None,
    after: str | None = None,
    step: str | None = None,
    check: str | None = None,
    rule: str | None = None,
    contender: str | None = None,
) -> str:
    """What a part of a scenario is called in `slices`; empty for the whole of it."""
    parts = {
        "journey": journey, "event": event, "key": key, "tag": tag, "probe": probe, "replica": replica,
        "during": during, "after": after, "step": step, "check": check, "rule": rule, "contender": contender,
    }  # fmt: skip
    told = (f"{name}={value}" for name, value in parts.items() if value is not None)
    return ",".join((*((RACE,) if race else ()), *told))


K = TypeVar("K")


def _add_counts(into: dict[K, int], more: Mapping[K, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def _merge_distribution(into: dict[str, Distribution], metric: str, more: Distribution) -> None:
    into.setdefault(metric, Distribution(exact=more.exact)).merge(more)


def _merged_steps(one: StepCounts | None, other: StepCounts | None) -> StepCounts | None:
    if other is None:
        return one
    whole = StepCounts(other.step_ns)
    for steps in (one, other):
        if steps is not None:
            whole.merge(steps)
    return whole


def _least(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _most(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)
