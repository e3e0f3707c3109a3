"""Folds settled events into counts, histograms and threshold counts: the Summary of a run.

The same fold serves the run itself and `evload report`, which feeds it the rows of the ledger file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Protocol

from ..model.facts import EXACT, WINDOW_NS
from ..model.summary import Distribution, GaugeSummary, ScenarioSummary, Series, Summary, slice_label
from ..model.travel import Observation, Part, Seen, State
from ..model.vitals import Vitals
from ..stats.histogram import Histogram
from ..stats.thresholds import StepCounts, ThresholdCount
from .clock_offset import OffsetEstimate, hops
from .fold_plan import Counted, ScenarioPlan, Slice
from .order import OrderCounter

_STATE_KEYS: Final = ["", *(state.name.lower() for state in State)]
"""By number: an enum's hash is computed in Python, and this is asked for every event."""
_FLUSH: Final = 512
"""Values folded into a histogram at a time."""
_EDGE_NS: Final = 100_000_000
_MOST_EFFECTS: Final = 100
"""More side effects of one event than this count as so many."""
_ERRORS: Final = frozenset({State.UNSENT, State.REJECTED, State.RETURNED, State.IN_DOUBT})


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
        self._recorded: list[tuple[int | None, int | None, int]] = []

    def record(self, lower: int | None, upper: int | None, at_ns: int) -> None:
        """Count one event that was intended at `at_ns` since the start of the schedule; no end is negative."""
        self._recorded.append((lower, upper, at_ns))
        if len(self._recorded) >= _FLUSH:
            self.flush()

    def record_since(self, reference: int, lower: int, upper: int | None, at_ns: int) -> None:
        """Count one event from two moments; what precedes the reference took no time."""
        low = lower - reference
        high = None if upper is None else upper - reference
        self._recorded.append((low if low > 0 else 0, 0 if high is not None and high < 0 else high, at_ns))
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
        windows = [at_ns // WINDOW_NS for at_ns in times] if distribution.thresholds else []
        for threshold, count in distribution.thresholds.items():
            for window in set(windows) - count.windows.keys():
                count.windows[window] = [0, 0, 0]
            for lower, upper, window in zip(lowers, uppers, windows, strict=True):
                batch = count.windows[window]
                batch[0] += 1
                if upper is not None and upper <= threshold:
                    count.within += 1
                    batch[1] += 1
                elif lower is None or lower >= threshold:
                    count.beyond += 1
                    batch[2] += 1
        for (threshold, _), steps in distribution.steps.items():
            for lower, upper, at_ns in self._recorded:
                within = upper is not None and upper <= threshold
                steps.add(at_ns, 1, within, not within and (lower is None or lower >= threshold))
        self._recorded.clear()


class _Fold:
    """A scenario being folded, or a part of it."""

    __slots__ = ("counted", "metrics", "part", "summary")

    def __init__(self, counted: Counted, part: Slice | None = None) -> None:
        self.counted = counted
        self.part = part
        self.summary = ScenarioSummary(
            counter_steps={(counter, step): StepCounts(step) for counter, step in counted.counter_steps}
        )
        self.metrics: dict[str, MetricFold] = {}

    def metric(self, name: str) -> MetricFold:
        metric = self.metrics.get(name)
        if metric is None:
            thresholds = sorted({x for about, x in self.counted.thresholds if about == name})
            steps = sorted({(x, step) for about, x, step in self.counted.steps if about == name})
            metric = self.metrics[name] = MetricFold(thresholds, steps, exact=name in EXACT)
            self.summary.distributions[name] = metric.distribution
        return metric

    def schedule(self, count: int) -> None:
        self.summary.ledger["scheduled"] += count

    def flush(self) -> None:
        for metric in self.metrics.values():
            metric.flush()


class _Scenario:
    """One scenario being folded, with its parts.

    A part by event or key is a smaller scenario; a part by probe or replica is a view of the same events.
    """

    def __init__(self, plan: ScenarioPlan) -> None:
        self.plan = plan
        self.whole = _Fold(plan.counted)
        self.summary = self.whole.summary
        if plan.arrival_step_ns:
            self.summary.sent_steps = StepCounts(plan.arrival_step_ns)
        if plan.flow_step_ns:
            self.summary.flow = StepCounts(plan.flow_step_ns)
        self.names = dict(plan.probes)
        self.portions: list[_Fold] = []
        self.views: dict[tuple[int | None, str | None], list[_Fold]] = {}
        for part in _in_order(plan):
            fold = _Fold(part.counted, part)
            self.summary.slices[part.label] = fold.summary
            if part.probe is None and part.replica is None:
                self.portions.append(fold)
            else:
                self.views.setdefault((part.probe, part.replica), []).append(fold)

    def views_of(self, part: Part) -> Iterable[_Fold]:
        """The folds that this view belongs to. What nobody asked for is folded as well: for the report."""
        number = part.probe if part.replica is None else None
        place = (number, part.replica)
        if place not in self.views:
            name = self.names.get(part.probe, str(part.probe))
            label = slice_label(probe=name) if part.replica is None else slice_label(replica=part.replica)
            fold = _Fold(Counted())
            # Views are of the same events, all of them.
            fold.schedule(self.summary.ledger["scheduled"])
            self.summary.slices[label] = fold.summary
            self.views[place] = [fold]
        if part.replica is None:
            return self.views[place]
        return (*self.views[place], *self.views.get((part.probe, part.replica), ()))

    def folds(self) -> Iterable[_Fold]:
        yield self.whole
        yield from self.portions
        for views in self.views.values():
            yield from views


def _in_order(plan: ScenarioPlan) -> Iterable[Slice]:
    """The parts of a scenario: first each probe of a chain in its order, whether an objective asks for it or not."""
    chain = plan.probes if len(plan.probes) > 1 else ()
    views = {label: Slice(label, probe=number) for number, name in chain if (label := slice_label(probe=name))}
    return (views | {part.label: part for part in plan.slices}).values()


def _belongs(part: Slice, event: int, key: str | None) -> bool:
    return (part.event is None or part.event == event) and (
        part.key is None or (key is not None and fnmatchcase(key, part.key))
    )


class Watching(Protocol):
    """Looks at every sample of every gauge, for objectives about time."""

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Look at one sample, taken in [start_ns, end_ns] since the schedule began."""
        ...

    def results(self) -> dict[str, tuple[float | None, float | None]]:
        """What `Summary.watches` has to hold."""
        ...


@dataclass(slots=True)
class Recorder:
    """The fold. `start_ns` is the clock reading at which the run's schedule began."""

    plans: Sequence[ScenarioPlan]
    start_ns: int
    vitals: Vitals = field(default_factory=Vitals)
    watching: Watching | None = None
    gauges: dict[str, GaugeSummary] = field(default_factory=dict)
    _scenarios: list[_Scenario] = field(init=False)
    _order: OrderCounter = field(init=False, default_factory=OrderCounter)
    _offset: OffsetEstimate = field(init=False, default_factory=OffsetEstimate)

    def __post_init__(self) -> None:
        self._scenarios = [_Scenario(plan) for plan in self.plans]

    def expect(self, scenario: int, events: Iterable[tuple[int, int, str | None, int]]) -> None:
        """Count events as scheduled: (seq, intended_ns, key, type) of each, in the order of the schedule."""
        into = self._scenarios[scenario]
        summary = into.summary
        offered, start = summary.offered, self.start_ns
        count = 0
        intended = None
        for seq, intended, key, event in events:
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
            for steps in summary.counter_steps.values():
                steps.add(intended - start, 1, 0, 0)
            for portion in into.portions:
                assert portion.part is not None
                if _belongs(portion.part, event, key):
                    portion.schedule(1)
                    _span(portion.summary, intended - start)
                    for steps in portion.summary.counter_steps.values():
                        steps.add(intended - start, 1, 0, 0)
        summary.ledger["scheduled"] += count
        for views in into.views.values():
            for view in views:
                view.schedule(count)
        if intended is not None:
            summary.last_intended_ns = intended - start

    def settle(self, observations: Iterable[Observation]) -> None:
        """Count settled events. Each must have been expected."""
        for seen in observations:
            self._settle(self._scenarios[seen.scenario], seen)

    def unrecorded(self, scenario: int, count: int) -> None:
        """Count `count` scheduled events of which nothing more is known: they were outstanding when the
        run was killed. Nobody knows whether the broker has them, so they are in doubt and never seen."""
        into = self._scenarios[scenario]
        into.summary.ledger["scheduled"] += count
        into.summary.ledger["in_doubt"] += count
        if into.plan.watched:
            metric = into.whole.metric("end_to_end")
            for _ in range(count):
                metric.record(0, None, 0)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Count one sample of a gauge, taken in [start_ns, end_ns]; no values: it could not be taken."""
        into = self.gauges.setdefault(gauge, GaugeSummary())
        for metric, value in values.items():
            into.series.setdefault(metric, Series()).add(value)
        if not values:
            into.failed += 1
        elif self.watching is not None:
            self.watching.sampled(gauge, start_ns - self.start_ns, end_ns - self.start_ns, values)

    def summary(self) -> Summary:
        """Everything so far. Shares its parts with the recorder: don't keep it while the run goes on."""
        for scenario in self._scenarios:
            for fold in scenario.folds():
                fold.flush()
        return Summary(
            {s.plan.name: s.summary for s in self._scenarios},
            self.vitals,
            self.gauges,
            watches={} if self.watching is None else self.watching.results(),
            negative_hops=self._offset.negative,
        )

    # -- one event -----------------------------------------------------------------------------------

    def _settle(self, into: _Scenario, seen: Observation) -> None:
        at_ns = seen.intended_ns - self.start_ns
        summary, state = into.summary, seen.state
        out_of_order = 0
        if seen.key is not None:
            out_of_order = self._order.settled((seen.scenario, seen.key), seen.seq, seen.position)
        self._count(into.whole, into.plan, seen, at_ns, out_of_order)
        if seen.sent_ns is not None:
            # What crosses the edge of a window by a hair's breadth still counts where it was meant to be.
            offered_ns = max(seen.intended_ns, seen.sent_ns - _EDGE_NS)
            offered = (offered_ns - self.start_ns) // WINDOW_NS
            if offered not in summary.offered:
                summary.offered[offered] = [0, 0]
            summary.offered[offered][1] += 1
            if summary.sent_steps is not None and state is not State.UNSENT:
                summary.sent_steps.add(at_ns, 1, 0, 0)
        if summary.flow is not None and seen.acked_ns is not None and state >= State.VISIBLE:
            summary.flow.add(seen.acked_ns - self.start_ns, 1, 0, 0)
            gone_ns = seen.settled_ns if seen.stable_upper_ns is None else seen.stable_upper_ns
            summary.flow.add(gone_ns - self.start_ns, 0, 1, 0)
        for portion in into.portions:
            assert portion.part is not None
            if _belongs(portion.part, seen.type, seen.key):
                self._count(portion, into.plan, seen, at_ns, out_of_order)
        if seen.parts:
            self._take_apart(into, seen, at_ns)

    def _count(self, into: _Fold, plan: ScenarioPlan, seen: Observation, at_ns: int, out_of_order: int) -> None:
        """Count one event in a scenario or in a portion of it."""
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
            effects = min(seen.effects, _MOST_EFFECTS)
            summary.effects[effects] = summary.effects.get(effects, 0) + 1
            if seen.duplicated:
                ledger["duplicated"] += 1
        if seen.position is not None:
            summary.positions_known += 1
        if out_of_order:
            ledger["out_of_order"] += out_of_order
        if seen.resent:
            ledger["resent"] += 1
        if seen.non_monotonic:
            ledger["non_monotonic"] += 1
        if seen.session is not None and seen.session is not Seen.FAILED:
            summary.session_reads += 1
            ledger["unread_writes"] += seen.session is Seen.ABSENT
        if seen.staleness is not None:
            summary.staleness.add(seen.staleness)
        if seen.parts:
            summary.agreeing += seen.agreeing
            summary.asked += seen.asked
        for (counter, _), steps in summary.counter_steps.items():
            moment = self._moment(counter, seen, at_ns, out_of_order)
            if moment is not None:
                steps.add(moment, 0, 0, out_of_order if counter == "out_of_order" else 1)

        if seen.sent_ns is not None and state is not State.UNSENT:
            _publish(into, seen, acked, at_ns)
        if plan.watched and seen.sampled:
            self._visibility(into, plan, seen, acked, at_ns)

    def _moment(self, counter: str, seen: Observation, at_ns: int, out_of_order: int) -> int | None:
        """When an event was counted by a counter; None if it isn't."""
        state = seen.state
        moment: int | None
        match counter:
            case "sent":
                moment = None if state is State.UNSENT else seen.sent_ns
                return None if moment is None else moment - self.start_ns
            case "acked":
                return seen.acked_ns - self.start_ns if state >= State.VISIBLE and seen.acked_ns is not None else None
            case "visible":
                if state is not State.VISIBLE:
                    return None
                moment = seen.settled_ns if seen.stable_upper_ns is None else seen.stable_upper_ns
                return moment - self.start_ns
        counted = {
            "errors": state in _ERRORS,
            "regressions": seen.regressions > 0,
            "recovered": seen.recovered,
            "duplicated": seen.duplicated,
            "out_of_order": out_of_order > 0,
            "resent": seen.resent,
            "non_monotonic": seen.non_monotonic,
            "unread_writes": seen.session is Seen.ABSENT,
        }.get(counter, _STATE_KEYS[state] == counter)
        return at_ns if counted else None

    def _visibility(self, into: _Fold, plan: ScenarioPlan, seen: Observation, acked: bool, at_ns: int) -> None:
        summary = into.summary
        end_to_end = into.metric("end_to_end")
        if seen.state <= State.RETURNED:
            # It will never be seen, and that is known: beyond every threshold.
            end_to_end.record(None, None, at_ns)
            return
        published = seen.sent_ns if seen.sent_ns is not None else seen.intended_ns
        stable_lower = published if seen.stable_lower_ns is None else seen.stable_lower_ns
        stable_upper = seen.stable_upper_ns
        end_to_end.record_since(seen.intended_ns, stable_lower, stable_upper, at_ns)
        reference = seen.acked_ns
        if not acked or reference is None:
            return
        summary.sampled += 1
        into.metric("consistency").record_since(reference, stable_lower, stable_upper, at_ns)
        first_lower = published if seen.first_lower_ns is None else seen.first_lower_ns
        first_upper = seen.first_upper_ns
        if first_upper is not None and (first_upper - reference) * 3 > plan.deadline_ns * 2:
            summary.late_sightings += 1
        into.metric("first_seen").record_since(reference, first_lower, first_upper, at_ns)
        if into.part is None and seen.processed_at is not None and first_upper is not None:
            for name, (low, high) in hops(seen, self._offset).items():
                into.metric(name).record(low, high, at_ns)

    def _take_apart(self, into: _Scenario, seen: Observation, at_ns: int) -> None:
        """Count what each probe and each replica says of an event."""
        acked = seen.state >= State.VISIBLE
        published = seen.sent_ns if seen.sent_ns is not None else seen.intended_ns
        latest: tuple[int, str] | None = None
        before: Part | None = None
        stuck = False
        for part in seen.parts:
            folds = into.views_of(part)
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

    def _view(self, into: _Fold, part: Part, seen: Observation, acked: bool, published: int, at_ns: int) -> None:
        ledger = into.summary.ledger
        if not acked:
            ledger[_STATE_KEYS[seen.state]] += 1
            return
        ledger["acked"] += 1
        ledger[_STATE_KEYS[State.PENDING if seen.state is State.PENDING else part.state]] += 1
        if not seen.sampled or seen.acked_ns is None:
            return
        into.summary.sampled += 1
        lower = published if part.stable_lower_ns is None else part.stable_lower_ns
        into.metric("consistency").record_since(seen.acked_ns, lower, part.stable_upper_ns, at_ns)
        into.metric("end_to_end").record_since(seen.intended_ns, lower, part.stable_upper_ns, at_ns)
        first = published if part.first_lower_ns is None else part.first_lower_ns
        into.metric("first_seen").record_since(seen.acked_ns, first, part.first_upper_ns, at_ns)

    def _is_late(self, into: _Scenario, seen: Observation) -> bool:
        """Lost, or over the tightest limit on how long until everybody sees it."""
        if seen.stable_upper_ns is None:
            return True
        limits = [x for about, x in into.plan.counted.thresholds if about in ("consistency", "end_to_end")]
        return bool(limits) and seen.acked_ns is not None and seen.stable_upper_ns - seen.acked_ns > min(limits)


def _publish(into: _Fold, seen: Observation, acked: bool, at_ns: int) -> None:
    assert seen.sent_ns is not None
    delay = seen.sent_ns - seen.intended_ns
    if delay < 0:
        into.summary.early_sends += 1
        delay = 0
    into.metric("schedule_delay").record(delay, delay, at_ns)
    if acked and seen.acked_ns is not None:
        publish = max(0, seen.acked_ns - seen.sent_ns)
        into.metric("publish").record(publish, publish, at_ns)
    elif seen.state is State.IN_DOUBT:
        into.metric("publish").record(max(0, seen.settled_ns - seen.sent_ns), None, at_ns)


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


def _span(summary: ScenarioSummary, offset_ns: int) -> None:
    if summary.first_intended_ns is None:
        summary.first_intended_ns = offset_ns
    summary.last_intended_ns = offset_ns
