"""Folds settled events into counts, histograms and threshold counts: the Summary of a run.

`evload report` fills the same folds from the rows of the ledger file: `column_recorder`, many events at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter as Tally
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from ..model.facts import (
    DEFAULTS,
    DOUBTED,
    ERRORS,
    EXACT,
    FACTS,
    INTERVAL_NS,
    MEASURED,
    NEVER_CAME,
    STATUS,
    ByValue,
    Fact,
    amount_of,
    in_doubt,
)
from ..model.iteration import Iteration
from ..model.marker import Marker, in_order, was_on
from ..model.phases import LEAST_NS, Course, Ending, planned_length, tolerance_ns
from ..model.round import Round
from ..model.states import State
from ..model.summary import Distribution, GaugeSummary, ScenarioSummary, Series, Summary, slice_label
from ..model.tags import is_unanswered, name_of, names_in, tags_of, unanswered
from ..model.travel import Observation, Part, told_of
from ..model.vitals import Vitals
from ..stats.histogram import coarse
from ..stats.thresholds import StepCounts
from ..stats.watches import is_missing
from .fold_plan import Counted, ScenarioPlan, Slice
from .iterations import IterationFold
from .metric_fold import NEVER, MetricFold, Times, since
from .order import OrderCounter, Placed
from .rounds import RoundFold

STATE_KEYS: Final = ["", *(state.name.lower() for state in State)]
"""By number."""
# Asked for every event: to look a member up in its class takes ten times as long as a name of its own.
_UNSENT: Final = State.UNSENT
_RETURNED: Final = State.RETURNED
_IN_DOUBT: Final = State.IN_DOUBT
_VISIBLE: Final = State.VISIBLE
_ENDED: Final = State.ENDED
ERROR_STATES: Final = frozenset(State[name.upper()] for name in ERRORS)


class CountedFact(NamedTuple):
    """A fact that the fold counts, what stands for not knowing it, and what takes it from an event."""

    name: str
    fact: Fact
    default: Any
    value_of: Callable[[Observation], Any]


COUNTED: Final = tuple(
    CountedFact(name, fact, DEFAULTS[name], attrgetter(name))
    for name, fact in FACTS.items()
    if fact.column is not None
    and (
        fact.counters or fact.tallied is not None or fact.ranged or fact.summed or fact.measured or name == "position"
    )
)
_WHEN_EXPECTED: Final = itemgetter(1)
_TOGETHER: Final = 64
"""Settled events of a portion that are counted at a time."""
EDGE_NS: Final = 100_000_000


class _Left(NamedTuple):
    """Settled events that were sent. Times in nanoseconds.

    sent    when each was, on the clock of the run
    due     when it was to be, since the schedule began
    delays  how much later it was
    """

    events: Sequence[Observation]
    sent: Sequence[int]
    due: Sequence[int]
    delays: Sequence[int]


_NONE: Final[frozenset[int]] = frozenset()
_WHOLE: Final = Slice("")
"""The part that all events belong to."""


class Fold:
    """A scenario being folded, or a part of it."""

    __slots__ = ("amounts", "counted", "metrics", "on_time", "part", "reads", "summary", "waiting")

    def __init__(
        self, counted: Counted, part: Slice = _WHOLE, *, is_view: bool = False, reads: frozenset[int] = _NONE
    ) -> None:
        self.counted = counted = counted.of_events()
        self.part = part
        self.reads = _NONE if part.event in reads else reads
        """Types of events whose failures are no errors here: reads of a race, unless it is about one alone."""
        self.summary = ScenarioSummary(
            counter_steps={(counter, step): StepCounts(step) for counter, step in counted.counter_steps},
            is_view=is_view,
            read_steps={step: StepCounts(step) for counter, step in counted.counter_steps if counter == "errors"}
            if self.reads
            else {},
        )
        self.amounts = {counter: amount_of(counter) for counter, _ in counted.counter_steps}
        self.metrics: dict[str, MetricFold] = {}
        self.waiting: list[Observation] = []
        """Settled events of a portion that are not counted yet: what can be counted by the batch is."""
        self.on_time: MetricFold | None = None
        if counted.on_time:
            self.on_time = MetricFold(counted.thresholds_of("end_to_end"), counted.steps_of("end_to_end"))
            self.summary.on_time = self.on_time.distribution

    def metric(self, name: str) -> MetricFold:
        metric = self.metrics.get(name)
        if metric is None:
            thresholds, steps = self.counted.thresholds_of(name), self.counted.steps_of(name)
            metric = self.metrics[name] = MetricFold(thresholds, steps, exact=name in EXACT)
            self.summary.distributions[name] = metric.distribution
        return metric

    def schedule(self, count: int) -> None:
        self.summary.ledger["scheduled"] += count

    def record(self, name: str, lowers: Times, uppers: Times, due: Sequence[int]) -> None:
        if due:
            self.metric(name).record_all(lowers, uppers, due)

    def flush(self) -> None:
        for metric in self.metrics.values():
            metric.flush()
        if self.on_time is not None:
            self.on_time.flush()


_NO_FOLDS: Final[Sequence[Fold]] = ()


class _Phases:
    """Counts in which phase of a load events were due, and which of them left too late to be of that phase."""

    def __init__(self, phases: Sequence[tuple[int, int]], counts: dict[tuple[int, int], list[int]]) -> None:
        self._planned = phases
        self._now = list(phases)
        self._counts = counts
        self._set({})

    def ended(self, course: Course, endings: Sequence[Ending]) -> None:
        """Some ended early, so that they and those after them lie elsewhere."""
        before, self._now = self._now, course.phases(self._planned)
        moved = dict(zip(before, self._now, strict=True))
        counts = {moved[phase]: count for phase, count in self._counts.items()}
        self._counts.clear()
        self._counts.update(counts)
        self._set({phase: tolerance_ns(planned_length(phase, endings)) for phase in self._now})

    def _set(self, tolerances: Mapping[tuple[int, int], int]) -> None:
        self._phases = [phase for phase in self._now if phase[1] > phase[0]]
        self._starts = [start for start, _ in self._phases]
        self._bursts = {start: (start, end) for start, end in self._now if start == end}
        self._tolerances = {phase: tolerances.get(phase, tolerance_ns(phase)) for phase in self._now}

    def due(self, moments: Sequence[int]) -> None:
        """Events are due at these times since the schedule began, in order."""
        if not moments:
            return
        if (phase := self._at(moments[0])) == self._at(moments[-1]):
            # A burst lies between two phases, never in one.
            self._count(phase, 0, len(moments))
            return
        for at_ns in moments:
            self._count(self._at(at_ns), 0, 1)

    def sent(self, at_ns: int, delay_ns: int | None, own_ns: int) -> None:
        """An event that was due at `at_ns` left so much later; None: never. Of that `own_ns` was evload's own."""
        if delay_ns is not None and delay_ns <= LEAST_NS:
            return
        phase = self._at(at_ns)
        if phase is not None and (delay_ns is None or delay_ns > self._tolerances[phase]):
            self._count(phase, 1, 1)
            if own_ns > self._tolerances[phase]:
                self._count(phase, 2, 1)

    def is_late(self, at_ns: int, delay_ns: int) -> bool:
        """Whether an event that was due at `at_ns` and left so much later is none of its phase any more."""
        phase = self._at(at_ns)
        return phase is not None and delay_ns > self._tolerances[phase]

    def _at(self, at_ns: int) -> tuple[int, int] | None:
        burst = self._bursts.get(at_ns)
        if burst is not None:
            return burst
        number = bisect_right(self._starts, at_ns) - 1
        return self._phases[number] if number >= 0 else None

    def _count(self, phase: tuple[int, int] | None, column: int, events: int) -> None:
        if phase is not None:
            counts = self._counts.get(phase)
            if counts is None:
                counts = self._counts[phase] = [0, 0, 0]
            counts[column] += events


class ScenarioFold:
    """One scenario being folded, with its parts.

    A part by event or key is a smaller scenario; a part by probe or replica is a view of the same events.
    """

    def __init__(self, plan: ScenarioPlan) -> None:
        self.plan = plan
        reads = _NONE if plan.race is None else frozenset(plan.race.reads)
        self.whole = Fold(plan.counted, reads=reads)
        self.summary = self.whole.summary
        self.summary.event = plan.event
        self.summary.steps = plan.steps
        if plan.arrival_step_ns:
            self.summary.sent_steps = StepCounts(plan.arrival_step_ns)
        if plan.flow_step_ns:
            self.summary.flow = StepCounts(plan.flow_step_ns)
        self.phases = _Phases(plan.phases, self.summary.phases)
        self.names = dict(plan.probes)
        self.keyed = False
        """Some of its events have a key."""
        self.portions: list[Fold] = []
        self._of_event: dict[int, list[Fold]] = {}
        self._of_keys: list[Fold] = []
        """Portions: of all events of one type, and of those of some keys."""
        self.views: dict[tuple[int | None, str | None], list[Fold]] = {}
        self.of_all: list[Fold] = []
        self.of_some: list[tuple[Slice, Fold]] = []
        """The views of all events, and those of one type or of some keys."""
        self.timed: list[tuple[Slice, Fold]] = []
        """Portions and views of what was due while an action was on, or when it was over."""
        self._told: set[tuple[int | None, str | None]] = set()
        """Places with a view of all events."""
        self._reads = reads
        self._tagged: dict[str, list[Fold]] = {}
        """By a tag, or by the name of one of which no answer told (`NAME?`)."""
        self._whole_tags: set[str] = set()
        """Those of which all events are a portion, and not those of one name or some keys alone."""
        self.asked_tags: frozenset[str] = frozenset()
        """Names of tags that objectives ask for."""
        for part in _in_order(plan):
            place = (part.probe, part.replica)
            of_all = part.event is None and part.key is None and not part.timed
            fold = Fold(part.counted, part, is_view=of_all and place != (None, None), reads=reads)
            if part.tag is not None:
                self.portions.append(fold)
                self._tagged.setdefault(part.tag, []).append(fold)
                if of_all:
                    self._whole_tags.add(part.tag)
                if not is_unanswered(part.tag):
                    self.asked_tags |= {name_of(part.tag)}
                    self.summary.slices[part.label] = fold.summary
                continue
            self.summary.slices[part.label] = fold.summary
            if part.timed:
                self.timed.append((part, fold))
            if place == (None, None):
                self.portions.append(fold)
                if part.timed:
                    continue
                into = (
                    self._of_keys
                    if part.event is None or part.key is not None
                    else self._of_event.setdefault(part.event, [])
                )
                into.append(fold)
                continue
            self.views.setdefault(place, []).append(fold)
            if of_all:
                self.of_all.append(fold)
                self._told.add(place)
            else:
                self.of_some.append((part, fold))
        self.apart_at_once = bool(self._of_event or self._of_keys or self.of_some)
        """It has parts to which an event is known to belong when it is scheduled."""
        self.by_type_at_once = bool(self._of_event) and not (self._of_keys or self.of_some)
        """These are of all events of a type each."""
        self.apart = True
        """What its probes and replicas say is counted apart."""
        self.warming: ScenarioFold | None = None
        """The events of the warm-up, as a scenario that has no parts."""
        if plan.warmup is not None:
            self.warming = ScenarioFold(
                ScenarioPlan(
                    plan.name,
                    plan.watched,
                    plan.deadline_ns,
                    flow_step_ns=plan.flow_step_ns,
                    journeys=plan.journeys,
                    sends=plan.sends,
                    race=plan.race,
                )
            )
            self.warming.apart = False
            self.summary.warmup = self.warming.summary
        number = plan.probes[0][0] if len(plan.probes) == 1 else None
        self.only = number if (number, None) in self.views else None
        """The only probe, if somebody asks for its view: its events have no parts."""
        self.iterations = IterationFold(plan, self.summary.slices)
        self.rounds = RoundFold(plan, self.summary.slices)
        self.limit_ns = min(
            (x for about, x in plan.counted.thresholds if about in ("consistency", "end_to_end")), default=None
        )
        """The tightest limit on how long until everybody sees an event."""

    def of_event(self, at_ns: int) -> ScenarioFold:
        """Where an event counts that was due at a time since the schedule began: here, or in the warm-up."""
        return self if self.warming is None or self.plan.judges(at_ns) else self.warming

    def views_of(self, part: Part, seen: Observation, timed: Container[int] = ()) -> Iterable[Fold]:
        """The folds that this view belongs to. What nobody asked for is folded as well: for the report.

        `timed` are the ids of those by time that this event belongs to.
        """
        views = self.views_at(part.probe, part.replica)
        if not self.of_some:
            return views
        return [
            view
            for view in views
            if (id(view) in timed if view.part.timed else _belongs(view.part, seen.type, seen.key))
        ]

    def views_at(self, probe: int, replica: str | None) -> Sequence[Fold]:
        """The folds of what a probe says, or a replica of it, be it of all events or of some."""
        place = (probe if replica is None else None, replica)
        if place not in self._told:
            label = self.label_at(probe, replica)
            fold = Fold(Counted(), is_view=True)
            # Views are of the same events, all of them.
            fold.schedule(self.summary.ledger["scheduled"])
            self.summary.slices[label] = fold.summary
            self.views.setdefault(place, []).append(fold)
            self.of_all.append(fold)
            self._told.add(place)
        views = self.views[place]
        return views if replica is None else [*views, *self.views.get((probe, replica), ())]

    def label_at(self, probe: int, replica: str | None) -> str:
        """The label of what a probe says, or a replica of that name, of all events."""
        if replica is not None:
            return slice_label(replica=replica)
        return slice_label(probe=self.names.get(probe, str(probe)))

    def portions_of(self, event: int, key: str | None) -> Sequence[Fold]:
        """The portions that an event belongs to."""
        found = self._of_event.get(event, _NO_FOLDS)
        if not self._of_keys:
            return found
        return [*found, *(fold for fold in self._of_keys if _belongs(fold.part, event, key))]

    def tagged_of(self, tags: str, event: int, key: str | None) -> Iterator[Fold]:
        """The portions that an event belongs to by what answers said."""
        for fold in self.tagged(tags):
            if _belongs(fold.part, event, key):
                yield fold

    def tagged(self, tags: str) -> Iterator[Fold]:
        """The portions by what answers said, of all events and of some. Those that nobody asked for are made: for the
        report."""
        wanted = tags_of(tags) if tags else []
        for tag in wanted:
            if tag not in self._whole_tags:
                self._whole_tags.add(tag)
                fold = Fold(Counted(), Slice(slice_label(tag=tag), tag=tag), reads=self._reads)
                self.portions.append(fold)
                self._tagged.setdefault(tag, []).append(fold)
        if self.asked_tags:
            wanted += map(unanswered, sorted(self.asked_tags - names_in(tags)))
        for tag in wanted:
            yield from self._tagged.get(tag, ())

    def unanswered(self) -> Iterator[Fold]:
        """The portions of events of which no answer told a tag that is asked for."""
        for name in sorted(self.asked_tags):
            for fold in self._tagged.get(unanswered(name), ()):
                self.summary.slices.setdefault(fold.part.label, fold.summary)
                yield fold

    def folds(self) -> Iterable[Fold]:
        yield self.whole
        if self.warming is not None:
            yield from self.warming.folds()
        yield from self.portions
        for views in self.views.values():
            yield from views


def _in_order(plan: ScenarioPlan) -> Iterable[Slice]:
    """The parts of a scenario: first each probe of a chain in its order, whether an objective asks for it or not."""
    chain = plan.probes if len(plan.probes) > 1 else ()
    views = {label: Slice(label, probe=number) for number, name in chain if (label := slice_label(probe=name))}
    return (views | {part.label: part for part in plan.slices if part.journey is None and not part.race}).values()


def _belongs(part: Slice, event: int, key: str | None) -> bool:
    return (part.event is None or part.event == event) and (
        part.key is None or (key is not None and fnmatchcase(key, part.key))
    )


@dataclass(slots=True)
class Recorder:
    """The fold. `start_ns` is the clock reading at which the run's schedule began."""

    plans: Sequence[ScenarioPlan]
    start_ns: int
    vitals: Vitals = field(default_factory=Vitals)
    gauges: dict[str, GaugeSummary] = field(default_factory=dict)
    reads: dict[str, Distribution] = field(default_factory=dict)
    markers: dict[str, list[Marker]] = field(default_factory=dict)
    """When something was done to the system: the markers of each action, in order."""
    _scenarios: list[ScenarioFold] = field(init=False)
    _order: OrderCounter = field(init=False, default_factory=OrderCounter)

    def __post_init__(self) -> None:
        self._scenarios = [ScenarioFold(plan) for plan in self.plans]

    def expect(self, scenario: int, events: Iterable[tuple[int, int, str | None, int]]) -> None:
        """Count events as scheduled: (seq, intended_ns, key, type) of each, in the order of the schedule."""
        into = self._scenarios[scenario]
        events = list(events)
        if into.warming is not None:
            warm = bisect_left(events, self.start_ns + into.plan.judged_ns, key=_WHEN_EXPECTED)
            self._expect(into.warming, scenario, events[:warm])
            events = events[warm:]
        self._expect(into, scenario, events)

    def _expect(self, into: ScenarioFold, scenario: int, events: Sequence[tuple[int, int, str | None, int]]) -> None:
        if not events:
            return
        summary, start = into.summary, self.start_ns
        _, due, keys, _ = zip(*events, strict=True)
        moments = [intended - start for intended in due]
        if summary.first_intended_ns is None:
            summary.first_intended_ns = moments[0]
        summary.last_intended_ns = moments[-1]
        summary.ledger["scheduled"] += len(moments)
        into.phases.due(moments)
        _offer(summary.offered, moments, 0)
        for steps in summary.counter_steps.values():
            for at_ns in moments:
                steps.add(at_ns, 1, 0, 0)
        for view in into.of_all:
            view.schedule(len(moments))
        if keys.count(None) != len(keys):
            into.keyed = True
            for seq, intended, key, _ in events:
                if key is not None:
                    self._order.expect((scenario, key), seq, intended)
        if into.by_type_at_once:
            due_of: dict[int, list[int]] = {}
            for (_, _, _, event), at_ns in zip(events, moments, strict=True):
                due_of.setdefault(event, []).append(at_ns)
            for event, own in due_of.items():
                for portion in into.portions_of(event, None):
                    _schedule(portion, own)
        elif into.apart_at_once:
            for _, intended, key, event in events:
                self._expect_apart(into, event, key, intended - start)

    def _expect_apart(self, into: ScenarioFold, event: int, key: str | None, at_ns: int) -> None:
        """Count an event as scheduled in the parts to which it is known to belong."""
        for portion in into.portions_of(event, key):
            _schedule(portion, (at_ns,))
        for part, view in into.of_some:
            if not part.timed and _belongs(part, event, key):
                view.schedule(1)

    def settle(self, observations: Sequence[Observation]) -> None:
        """Count settled events. Each must have been expected."""
        if len(self._scenarios) == 1:
            self._settle_all(self._scenarios[0], observations)
            return
        for number, into in enumerate(self._scenarios):
            if own := [seen for seen in observations if seen.scenario == number]:
                self._settle_all(into, own)

    def iterated(self, iterations: Sequence[Iteration]) -> None:
        """Count iterations of journeys that are over, in the order in which they ended."""
        for one in iterations:
            into = self._scenarios[one.scenario].of_event(one.intended_ns - self.start_ns)
            into.iterations.count(one, self.start_ns, self._was_then)

    def rounded(self, rounds: Sequence[Round]) -> None:
        """Count rounds of races that are over, in the order in which they ended."""
        for one in rounds:
            into = self._scenarios[one.scenario].of_event(one.intended_ns - self.start_ns)
            into.rounds.count(one, self.start_ns, self._was_then)

    def scheduled(self) -> list[tuple[int, int]]:
        """How many events of each scenario were expected so far, and how many of these in its warm-up."""
        counts = []
        for one in self._scenarios:
            warmup = 0 if one.warming is None else one.warming.summary.ledger["scheduled"]
            counts.append((one.summary.ledger["scheduled"] + warmup, warmup))
        return counts

    def unrecorded(self, scenario: int, count: int, warmup: int = 0) -> None:
        """Count `count` scheduled events of which nothing more is known, `warmup` of them in the warm-up: they were
        outstanding when the run was killed. Nobody knows whether the broker has them, so they are in doubt and never
        seen."""
        into = self._scenarios[scenario]
        if into.warming is not None:
            self._unrecorded(into.warming, warmup)
        self._unrecorded(into, count - warmup)

    def _unrecorded(self, into: ScenarioFold, count: int) -> None:
        into.summary.ledger["scheduled"] += count
        into.summary.ledger["in_doubt"] += count
        for fold in into.unanswered():
            fold.schedule(count)
            fold.summary.ledger["in_doubt"] += count
        if into.plan.watched:
            for fold in (into.whole, *into.unanswered()):
                metric = fold.metric("end_to_end")
                for _ in range(count):
                    metric.record(0, None, 0)
                    if fold.on_time is not None:
                        fold.on_time.record(0, None, 0)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Count one sample of a gauge, taken in [start_ns, end_ns]; no values: it could not be taken, no number for
        one: there was no such value (yet)."""
        into = self.gauges.setdefault(gauge, GaugeSummary())
        into.missing += any(map(is_missing, values.values()))
        for metric, value in values.items():
            if is_missing(value):
                continue
            into.series.setdefault(metric, Series()).add(value, end_ns - self.start_ns)
        if not values:
            into.failed += 1

    def ended(self, endings: Sequence[Ending]) -> None:
        """Phases of the load ended early: all that did so far, before anything is due that moved."""
        for into in self._scenarios:
            course = Course(into.plan.name, endings)
            if not course.as_planned:
                into.phases.ended(course, [one for one in endings if one.scenario == into.plan.name])

    def read_times(self, probe: str, times: Iterable[tuple[int, bool, int]]) -> None:
        """Count requests of a probe: (how long they took, whether they were answered, how many) by coarse buckets."""
        into = self.reads.setdefault(probe, Distribution())
        for took_ns, answered, requests in times:
            low, high = coarse(took_ns)
            into.lower.record(low, requests)
            into.upper.record(high if answered else None, requests)

    def marked(self, marker: Marker) -> None:
        """Keep when something was done to the system.

        What was due is settled later than that: when it is, all is known that tells which events belong to it.
        """
        own = self.markers.setdefault(marker.action, [])
        if own and own[-1].number == marker.number:
            own[-1] = marker
        else:
            own.append(marker)

    def summary(self) -> Summary:
        """Everything so far. Shares its parts with the recorder: don't keep it while the run goes on."""
        for scenario in self._scenarios:
            for one in (scenario,) if scenario.warming is None else (scenario, scenario.warming):
                for portion in one.portions:
                    if portion.waiting:
                        self._count_waiting(portion, one.plan)
            for fold in scenario.folds():
                fold.flush()
            for one in (scenario,) if scenario.warming is None else (scenario, scenario.warming):
                one.iterations.flush()
                one.rounds.flush()
        return Summary(
            {s.plan.name: s.summary for s in self._scenarios},
            self.vitals,
            self.gauges,
            reads=self.reads,
            markers=in_order(chain.from_iterable(self.markers.values())),
        )

    # -- what is settled -----------------------------------------------------------------------------

    def _settle_all(self, into: ScenarioFold, observations: Sequence[Observation]) -> None:
        """Count settled events of one scenario: what can be counted by the batch is, and the rest one by one."""
        if into.warming is not None:
            until_ns = self.start_ns + into.plan.judged_ns
            self._settle_all(into.warming, [seen for seen in observations if seen.intended_ns < until_ns])
            observations = [seen for seen in observations if seen.intended_ns >= until_ns]
        if not observations:
            return
        told = told_of(observations)
        left = self._left(observations)
        self._count(into.whole, into.plan, observations, left, told)
        self._count_sent(into, observations, left)
        self._count_views(into, observations, told)
        if into.portions:
            for seen in observations:
                for portion in into.portions_of(seen.type, seen.key):
                    portion.waiting.append(seen)
                    if len(portion.waiting) >= _TOGETHER:
                        self._count_waiting(portion, into.plan)
        if into.timed:
            for seen in observations:
                for portion in self._timed(into, seen.type, seen.key, seen.intended_ns):
                    self._belongs_late(portion, seen)
                    if (portion.part.probe, portion.part.replica) == (None, None):
                        portion.waiting.append(seen)
                        if len(portion.waiting) >= _TOGETHER:
                            self._count_waiting(portion, into.plan)
        if into.asked_tags or "tags" in told:
            for seen in observations:
                if into.asked_tags or seen.tags:
                    self._count_tagged(into, seen)
        if into.keyed:
            for seen in observations:
                if seen.key is not None:
                    self._order_of(seen)

    def _timed(self, into: ScenarioFold, event: int, key: str | None, intended_ns: int) -> list[Fold]:
        """The portions and views by time that an event belongs to which is settled."""
        at_ns = intended_ns - self.start_ns
        return [fold for part, fold in into.timed if _belongs(part, event, key) and self._was_then(part, at_ns)]

    def _was_then(self, part: Slice, at_ns: int) -> bool:
        if part.during is not None and not was_on(self.markers.get(part.during, ()), at_ns):
            return False
        if part.after is None:
            return True
        own = self.markers.get(part.after)
        over_ns = own[-1].outer[1] if own else None
        return over_ns is not None and over_ns <= at_ns

    def _belongs_late(self, fold: Fold, seen: Observation) -> None:
        """Count as scheduled what nobody could tell to belong here when it was."""
        at_ns = seen.intended_ns - self.start_ns
        fold.schedule(1)
        summary = fold.summary
        first, last = summary.first_intended_ns, summary.last_intended_ns
        summary.first_intended_ns = at_ns if first is None else min(first, at_ns)
        summary.last_intended_ns = at_ns if last is None else max(last, at_ns)
        for steps in summary.counter_steps.values():
            steps.add(at_ns, 1, 0, 0)

    def _tagged(self, into: ScenarioFold, tags: str, event: int, key: str | None, intended_ns: int) -> list[Fold]:
        """The portions that an event belongs to by what answers said, of those by time those that it was due in."""
        at_ns = intended_ns - self.start_ns
        found = into.tagged_of(tags, event, key) if tags or into.asked_tags else ()
        return [one for one in found if not one.part.timed or self._was_then(one.part, at_ns)]

    def _count_tagged(self, into: ScenarioFold, seen: Observation) -> None:
        """Count a settled event in the parts to which its answers assigned it: nobody knew of that before."""
        for fold in self._tagged(into, seen.tags, seen.type, seen.key, seen.intended_ns):
            into.summary.slices.setdefault(fold.part.label, fold.summary)
            self._belongs_late(fold, seen)
            fold.waiting.append(seen)
            if len(fold.waiting) >= _TOGETHER:
                self._count_waiting(fold, into.plan)

    def _count_waiting(self, portion: Fold, plan: ScenarioPlan) -> None:
        """Count the settled events of a portion, which may be few of each batch."""
        waiting = portion.waiting
        self._count(portion, plan, waiting, self._left(waiting), told_of(waiting))
        waiting.clear()

    def _left(self, observations: Sequence[Observation]) -> _Left:
        """Those of some settled events that were sent."""
        events: Sequence[Observation] = [
            seen for seen in observations if seen.sent_ns is not None and seen.state is not _UNSENT
        ]
        sent = [seen.sent_ns for seen in events if seen.sent_ns is not None]
        start_ns = self.start_ns
        due = [seen.intended_ns - start_ns for seen in events]
        return _Left(events, sent, due, [at_ns - seen.intended_ns for at_ns, seen in zip(sent, events, strict=True)])

    def _count_sent(self, into: ScenarioFold, observations: Sequence[Observation], left: _Left) -> None:
        """Count when settled events of a scenario were sent, and whether that was in time."""
        summary, start_ns, phases = into.summary, self.start_ns, into.phases
        if left.events:
            # What crosses the edge of an interval by a hair's breadth still counts where it was meant to be.
            moments = left.due
            if max(left.delays) > EDGE_NS:
                moments = [at + max(0, late - EDGE_NS) for at, late in zip(left.due, left.delays, strict=True)]
            _offer(summary.offered, moments, 1)
            if summary.sent_steps is not None:
                for at_ns in left.due:
                    summary.sent_steps.add(at_ns, 1, 0, 0)
            if max(left.delays) > LEAST_NS:
                for seen, at_ns, late_ns in zip(left.events, left.due, left.delays, strict=True):
                    self._count_late_send(into, seen, at_ns, late_ns)
        if len(left.events) != len(observations):
            for seen in observations:
                if seen.sent_ns is None or seen.state is _UNSENT:
                    at_ns = seen.intended_ns - start_ns
                    if seen.sent_ns is not None:
                        _offer(summary.offered, [max(at_ns, seen.sent_ns - start_ns - EDGE_NS)], 1)
                    phases.sent(at_ns, None, 0)
        if summary.flow is not None:
            for seen in observations:
                if seen.acked_ns is not None and seen.state >= _VISIBLE:
                    summary.flow.add(seen.acked_ns - start_ns, 1, 0, 0)
                    gone_ns = seen.settled_ns if seen.stable_upper_ns is None else seen.stable_upper_ns
                    summary.flow.add(gone_ns - start_ns, 0, 1, 0)

    def _count_late_send(self, into: ScenarioFold, seen: Observation, at_ns: int, late_ns: int) -> None:
        """Count an event that was due at `at_ns` and left so much later, if that was too late for its phase."""
        if late_ns <= LEAST_NS:
            return
        phases = into.phases
        if seen.order_wait is not None:
            # The order was asked for, so that the schedule was to wait for it.
            asked_ns = late_ns - seen.order_wait
            into.summary.late_for_order += phases.is_late(at_ns, late_ns) > phases.is_late(at_ns, asked_ns)
            late_ns = asked_ns
        phases.sent(at_ns, late_ns, _own_delay(seen))

    def _count_views(self, into: ScenarioFold, observations: Sequence[Observation], told: Container[str]) -> None:
        """Count what each probe and each replica says of settled events, where somebody wants to know."""
        if not into.apart or (into.only is None and "parts" not in told):
            return
        for seen in observations:
            parts = seen.parts
            if not parts and into.only is not None:
                first, stable = (
                    (seen.first_lower_ns, seen.first_upper_ns),
                    (seen.stable_lower_ns, seen.stable_upper_ns),
                )
                parts = (Part(into.only, None, seen.state, *first, *stable),)
            if parts:
                self._take_apart(into, seen, parts, seen.intended_ns - self.start_ns)

    def _order_of(self, seen: Observation) -> None:
        """Count what is found of the order of a key now that an event of it is settled."""
        sent_ns = seen.intended_ns if seen.sent_ns is None else seen.sent_ns
        event = Placed(
            seen.seq, seen.type, seen.intended_ns, sent_ns, seen.acked_ns, seen.position, seen.settled_ns, seen.tags
        )  # fmt: skip
        self._placed(seen.scenario, seen.key, event)

    def _placed(self, scenario: int, key: str | None, event: Placed) -> None:
        """Count what is found of the order of a key by an event of it that is settled."""
        for kind, about in self._order.settle((scenario, key), event):
            at_ns = about.intended_ns - self.start_ns
            into = self._scenarios[scenario].of_event(at_ns)
            folds: Iterable[Fold] = (into.whole,)
            if into.portions or into.timed or about.tags:
                timed = self._timed(into, about.type, key, about.intended_ns) if into.timed else ()
                tagged = self._tagged(into, about.tags, about.type, key, about.intended_ns)
                folds = (into.whole, *into.portions_of(about.type, key), *timed, *tagged)
            for fold in folds:
                summary = fold.summary
                if kind == "order":
                    summary.known["order"] = summary.known.get("order", 0) + 1
                    continue
                summary.ledger[kind] += 1
                for (counter, _), steps in summary.counter_steps.items():
                    if counter == kind:
                        steps.add(at_ns, 0, 0, 1)

    def _count(
        self,
        into: Fold,
        plan: ScenarioPlan,
        observations: Sequence[Observation],
        left: _Left,
        told: Container[str],
    ) -> None:
        """Count settled events in a scenario or in a portion of it: all of them, those that left, and what was told
        of any of them."""
        summary, ledger, start_ns = into.summary, into.summary.ledger, self.start_ns
        for state, events in _tally([seen.state for seen in observations]).items():
            ledger[STATE_KEYS[state]] += events
            if state >= _VISIBLE:
                ledger["acked"] += events
            elif state is _IN_DOUBT:
                ledger["recovered"] += sum(seen.recovered for seen in observations)
                _count_in_doubt(summary, observations)
        if "parts" in told:
            for seen in observations:
                if seen.parts:
                    summary.agreeing += seen.agreeing
                    summary.asked += seen.asked
        if into.reads:
            self._count_reads(into, [seen for seen in observations if seen.type in into.reads])
        acked = [seen.acked_ns for seen in observations if seen.acked_ns is not None]
        if acked:
            last_ns = max(acked) - start_ns
            if summary.last_acked_ns is None or last_ns > summary.last_acked_ns:
                summary.last_acked_ns = last_ns
        for (counter, _), steps in summary.counter_steps.items():
            happened, amount_in = _MOMENTS.get(counter), into.amounts[counter]
            for seen in observations:
                if not (amount := amount_in(seen)):
                    continue
                if happened is None:
                    steps.add(seen.intended_ns - start_ns, 0, 0, amount)
                elif (between := happened(seen)) is not None:
                    earliest, latest = between
                    steps.add(earliest - start_ns, 0, amount, 0)
                    steps.add(latest - start_ns, 0, 0, amount)
            if "tries" in told and counts_tries(counter):
                for seen in observations:
                    steps.add(seen.intended_ns - start_ns, len(seen.earlier), 0, 0)
        if plan.sends:
            self._count_publishes(into, left)
            for name in MEASURED:
                if name in told:
                    self._count_measured(into, name, left)
        if plan.watched:
            self._count_visibility(into, plan, observations)
        _count_facts(summary, observations, told)

    def _count_reads(self, into: Fold, reads: Sequence[Observation]) -> None:
        """Take settled reads of a race out of the errors, and out of that of which these are a share."""
        failed = [seen for seen in reads if seen.state in ERROR_STATES]
        into.summary.reads += len(reads)
        into.summary.failed_reads += len(failed)
        for steps in into.summary.read_steps.values():
            for seen in reads:
                steps.add(seen.intended_ns - self.start_ns, 1, 0, int(seen.state in ERROR_STATES))

    def _count_publishes(self, into: Fold, left: _Left) -> None:
        """Count how late settled events were sent, and how long their publish took."""
        if not left.events:
            return
        delays = left.delays
        if min(delays) < 0:
            into.summary.early_sends += sum(delay < 0 for delay in delays)
            delays = [max(0, delay) for delay in delays]
        into.record("schedule_delay", delays, delays, left.due)
        acks = [seen.acked_ns for seen in left.events if seen.acked_ns is not None and seen.state >= _VISIBLE]
        if len(acks) == len(left.events):
            took = [acked_ns - sent_ns for acked_ns, sent_ns in zip(acks, left.sent, strict=True)]
            if min(took) < 0:
                took = [max(0, took_ns) for took_ns in took]
            into.record("publish", took, took, left.due)
            return
        lowers: list[int] = []
        uppers: list[int | None] = []
        due: list[int] = []
        for seen, sent_ns, at_ns in zip(left.events, left.sent, left.due, strict=True):
            acked_ns = seen.acked_ns if seen.state >= _VISIBLE else None
            if acked_ns is not None or seen.state is _IN_DOUBT:
                took_ns = max(0, (seen.settled_ns if acked_ns is None else acked_ns) - sent_ns)
                lowers.append(took_ns)
                uppers.append(None if acked_ns is None else took_ns)
                due.append(at_ns)
        into.record("publish", lowers, uppers, due)

    def _count_measured(self, into: Fold, name: str, left: _Left) -> None:
        """Count a time that is told of settled events that were sent: of those whose publish is counted as well."""
        lowers: list[int] = []
        uppers: list[int | None] = []
        due: list[int] = []
        for seen, sent_ns, at_ns in zip(left.events, left.sent, left.due, strict=True):
            took_ns = getattr(seen, name)
            if took_ns is None or not (seen.state >= _VISIBLE or seen.state is _IN_DOUBT):
                continue
            never = took_ns == NEVER_CAME
            lowers.append(max(0, seen.settled_ns - sent_ns) if never else took_ns)
            uppers.append(None if never else took_ns)
            due.append(at_ns)
        into.record(name, lowers, uppers, due)

    def _count_visibility(self, into: Fold, plan: ScenarioPlan, observations: Sequence[Observation]) -> None:
        """Count when settled events were seen, of those that were followed closely."""
        followed = [seen for seen in observations if seen.sampled]
        if any(map(_is_never_seen, {seen.state for seen in followed})):
            for seen in followed:
                if _is_never_seen(seen.state):
                    self._count_never(into, seen)
            followed = [seen for seen in followed if not _is_never_seen(seen.state)]
        if not followed:
            return
        start_ns = self.start_ns
        intended = [seen.intended_ns for seen in followed]
        due = [intended_ns - start_ns for intended_ns in intended]
        lowers, uppers = _stable(followed)
        into.record("end_to_end", *since(intended, lowers, uppers), due)
        if into.on_time is not None:
            on_time = [seen.intended_ns + _own_delay(seen) for seen in followed]
            into.on_time.record_all(*since(on_time, lowers, uppers), due)
        acks = [seen.acked_ns for seen in followed if seen.acked_ns is not None and seen.state >= _VISIBLE]
        if len(acks) < len(followed):
            followed = [seen for seen in followed if seen.acked_ns is not None and seen.state >= _VISIBLE]
            due = [seen.intended_ns - start_ns for seen in followed]
            lowers, uppers = _stable(followed)
        into.summary.sampled += len(acks)
        stable = since(acks, lowers, uppers)
        into.record("consistency", *stable, due)
        firsts, first_uppers = _first(followed)
        # Mostly they are the same: what was seen is there for good.
        first = stable if firsts == lowers and first_uppers == uppers else since(acks, firsts, first_uppers)
        into.record("first_seen", *first, due)
        late_ns = plan.deadline_ns * 2
        into.summary.late_sightings += sum([upper is not None and upper * 3 > late_ns for upper in first[1]])

    def _count_never(self, into: Fold, seen: Observation) -> None:
        """Count a settled event of which it is known that it is never to be seen any more."""
        due = (seen.intended_ns - self.start_ns,)
        into.record("end_to_end", *NEVER, due)
        if into.on_time is not None:
            into.on_time.record_all(*NEVER, due)
        if seen.state is _ENDED:
            into.summary.sampled += 1
            into.record("consistency", *NEVER, due)
            if seen.first_upper_ns is None:
                into.record("first_seen", *NEVER, due)
            else:
                references = _or_published((seen.acked_ns,), (seen,))
                into.record("first_seen", *since(references, *_first((seen,))), due)

    def _take_apart(self, into: ScenarioFold, seen: Observation, parts: Sequence[Part], at_ns: int) -> None:
        """Count what each probe and each replica says of an event."""
        acked = seen.state >= _VISIBLE
        published = seen.sent_ns if seen.sent_ns is not None else seen.intended_ns
        latest: tuple[int, str] | None = None
        before: Part | None = None
        timed = {id(one) for one in self._timed(into, seen.type, seen.key, seen.intended_ns)} if into.timed else ()
        stuck = False
        for part in parts:
            folds = into.views_of(part, seen, timed)
            for fold in folds:
                self._view(fold, part, seen, acked, published, at_ns)
            if part.replica is not None or not acked or not seen.sampled or stuck:
                continue
            lower, upper = _hop(before, part, published if seen.acked_ns is None else seen.acked_ns)
            for fold in folds:
                fold.metric("hop").record(lower, upper, at_ns)
            lost_ns = lower if upper is None else (lower + upper) // 2
            # The first hop at which it got stuck is the one to look at; of later ones nothing is known.
            stuck = part.stable_upper_ns is None
            if stuck or latest is None or lost_ns > latest[0]:
                latest = (lost_ns, into.names.get(part.probe, str(part.probe)))
            before = part
        if latest is not None and len(into.names) > 1 and self._is_late(into, seen):
            late = into.summary.late_hops
            late[latest[1]] = late.get(latest[1], 0) + 1

    def _view(self, into: Fold, part: Part, seen: Observation, acked: bool, published: int, at_ns: int) -> None:
        ledger = into.summary.ledger
        if not acked:
            ledger[STATE_KEYS[seen.state]] += 1
            return
        ledger["acked"] += 1
        ledger[STATE_KEYS[State.PENDING if seen.state is State.PENDING else part.state]] += 1
        if not seen.sampled or seen.acked_ns is None:
            return
        into.summary.sampled += 1
        ended, upper = part.state is _ENDED, part.stable_upper_ns
        lower = published if part.stable_lower_ns is None else part.stable_lower_ns
        into.metric("consistency").recordsince(seen.acked_ns, lower, upper, at_ns, never=ended)
        into.metric("end_to_end").recordsince(seen.intended_ns, lower, upper, at_ns, never=ended)
        if into.on_time is not None:
            into.on_time.recordsince(seen.intended_ns + _own_delay(seen), lower, upper, at_ns, never=ended)
        first = published if part.first_lower_ns is None else part.first_lower_ns
        unseen = ended and part.first_upper_ns is None
        into.metric("first_seen").recordsince(seen.acked_ns, first, part.first_upper_ns, at_ns, never=unseen)

    def _is_late(self, into: ScenarioFold, seen: Observation) -> bool:
        """Lost, or over the tightest limit on how long until everybody sees it."""
        if seen.stable_upper_ns is None:
            return True
        limit_ns = into.limit_ns
        return limit_ns is not None and seen.acked_ns is not None and seen.stable_upper_ns - seen.acked_ns > limit_ns


def _tally(states: Sequence[State]) -> Mapping[State, int]:
    """How many there are of each: mostly all are alike."""
    alike = states.count(states[0])
    return {states[0]: alike} if alike == len(states) else Tally(states)


def _is_never_seen(state: State) -> bool:
    """Whether what ended so is known never to be seen any more."""
    return state <= _RETURNED or state is _ENDED


def _count_facts(summary: ScenarioSummary, observations: Sequence[Observation], told: Container[str]) -> None:
    """Count what was told of some events: of most facts nothing was."""
    for name, fact, default, value_of in COUNTED:
        if name not in told:
            continue
        column = list(map(value_of, observations))
        unknown = column.count(default)
        if unknown == len(column):
            continue
        if not fact.counters and fact.tallied is None and not fact.ranged:
            summary.known[name] = summary.known.get(name, 0) + len(column) - unknown
            if fact.summed:
                total = sum(column) if not unknown else sum([value for value in column if value is not None])
                summary.sums[name] = summary.sums.get(name, 0) + total
            continue
        for value, events in Tally(column).items():
            if value == default:
                continue
            count_fact(summary, name, value, events)
            if fact.ranged:
                series = summary.ranges.setdefault(name, Series())
                for _ in range(events):
                    series.add(value)
    if "tries" in told:
        for seen in observations:
            if seen.tries:
                count_tries(summary, seen.earlier, 1)


def _count_in_doubt(summary: ScenarioSummary, observations: Sequence[Observation]) -> None:
    """Count what is known of events of which nobody knows whether they arrived."""
    for name in DOUBTED:
        values = [getattr(seen, name) for seen in observations if seen.state is _IN_DOUBT]
        known = [value for value in values if value is not None]
        if known:
            summary.sums[in_doubt(name)] = summary.sums.get(in_doubt(name), 0) + sum(known)


def _stable(events: Sequence[Observation]) -> tuple[Sequence[int], Times]:
    """Both ends of when each was there for good."""
    lowers = [seen.stable_lower_ns for seen in events]
    return _or_published(lowers, events), [seen.stable_upper_ns for seen in events]


def _first(events: Sequence[Observation]) -> tuple[Sequence[int], Times]:
    """Both ends of when each was seen first."""
    lowers = [seen.first_lower_ns for seen in events]
    return _or_published(lowers, events), [seen.first_upper_ns for seen in events]


def _or_published(lowers: Times, events: Sequence[Observation]) -> Sequence[int]:
    """Lower ends; what has none could be seen as soon as it was published, or due where nobody knows of that."""
    return [
        lower if lower is not None else seen.intended_ns if seen.sent_ns is None else seen.sent_ns
        for lower, seen in zip(lowers, events, strict=True)
    ]


def count_fact(summary: ScenarioSummary, name: str, value: Any, events: int) -> None:
    """Count events of which a fact has this value, which isn't its default."""
    fact = FACTS[name]
    if DEFAULTS[name] is None and fact.is_known(value):
        summary.known[name] = summary.known.get(name, 0) + events
    for counter in fact.counters:
        summary.ledger[counter.name] += int(counter.counts(value)) * events
    if fact.tallied is not None:
        tally = summary.tallies.setdefault(name, {})
        capped = min(value, fact.tallied)
        tally[capped] = tally.get(capped, 0) + events


def count_tries(summary: ScenarioSummary, statuses: Sequence[int], events: int) -> None:
    """Count what the tries of events before the last were answered: the event itself has the last answer."""
    most = FACTS[STATUS].tallied
    assert most is not None
    tally = summary.tallies.setdefault(STATUS, {}) if statuses else {}
    for status in statuses:
        capped = min(status, most)
        tally[capped] = tally.get(capped, 0) + events


def counts_tries(counter: str) -> bool:
    """Whether a counter is one of all tries, and not of the events."""
    by_value = ByValue.named(counter)
    return by_value is not None and by_value.of_tries


def _exactly(moment_ns: int | None) -> tuple[int, int] | None:
    return None if moment_ns is None else (moment_ns, moment_ns)


def _when_seen(seen: Observation) -> tuple[int, int]:
    published_ns = seen.intended_ns if seen.sent_ns is None else seen.sent_ns
    return (
        published_ns if seen.stable_lower_ns is None else seen.stable_lower_ns,
        seen.settled_ns if seen.stable_upper_ns is None else seen.stable_upper_ns,
    )


_MOMENTS: Final[Mapping[str, Callable[[Observation], tuple[int, int] | None]]] = {
    "sent": lambda seen: _exactly(seen.sent_ns),
    "acked": lambda seen: _exactly(seen.acked_ns),
    "visible": _when_seen,
}
"""Counters that count when it happens, at the earliest (`within` of a step) and at the latest (`beyond`); the others
count when the event was due."""


def _offer(offered: dict[int, list[int]], moments: Sequence[int], column: int) -> None:
    """Count events, some at least, by the interval to which their moments since the schedule began belong."""
    interval = min(moments) // INTERVAL_NS
    if interval == max(moments) // INTERVAL_NS:
        offered.setdefault(interval, [0, 0])[column] += len(moments)
        return
    for at_ns in moments:
        offered.setdefault(at_ns // INTERVAL_NS, [0, 0])[column] += 1


def _own_delay(seen: Observation) -> int:
    """What of the delay of a send was evload's own; all of it where nobody measured."""
    if seen.sent_ns is None:
        return 0
    delay = max(0, seen.sent_ns - seen.intended_ns)
    return delay if seen.own_delay is None else min(delay, seen.own_delay)


def _hop(before: Part | None, part: Part, since_ns: int) -> tuple[int, int | None]:
    """The time from the probe before it in the chain, or from the ack, until this one shows an event for good.

    With the one in (a, b] and the other in (c, d] it lies in [c - b, d - a], and what comes early took no time.
    """
    lower, upper = part.stable_lower_ns, part.stable_upper_ns
    if before is None:
        from_lower = from_upper = since_ns
    else:
        from_lower = since_ns if before.stable_lower_ns is None else before.stable_lower_ns
        assert before.stable_upper_ns is not None
        from_upper = before.stable_upper_ns
    low = 0 if lower is None else max(0, lower - from_upper)
    return low, None if upper is None else max(0, upper - from_lower)


def _schedule(portion: Fold, moments: Sequence[int]) -> None:
    """Count events, one at least, as scheduled in a portion, by when they are due since the schedule began."""
    summary = portion.summary
    portion.schedule(len(moments))
    if summary.first_intended_ns is None:
        summary.first_intended_ns = moments[0]
    summary.last_intended_ns = moments[-1]
    for steps in summary.counter_steps.values():
        for at_ns in moments:
            steps.add(at_ns, 1, 0, 0)
