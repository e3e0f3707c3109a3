"""Turns the totals of a running run into what a person wants to see: the phase, rates, percentiles, what is wrong."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import starmap
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.iteration import End
from ..model.phases import Course
from ..model.progress import JourneysNow, Progress, RaceNow, Standing, actions_now
from ..model.summary import RACE, ScenarioSummary, Summary
from ..model.vitals import Incident
from ..stats.histogram import Histogram
from ..stats.recent import RecentValues, Values
from ..tracking.outstanding import NOTHING, Moment
from ..units import NS_PER_S
from ..workload.schedule import Phase, Stretch, describe, duration_ns, rate_of

if TYPE_CHECKING:
    from ..objectives.objective import Objective


_SHOWN: Final = {"p50": Fraction(1, 2), "p95": Fraction(95, 100), "p99": Fraction(99, 100)}
_P99: Final = _SHOWN["p99"]
_RECENT_NS: Final = int(Progress.RECENT_S * NS_PER_S)
_HISTORY: Final = 60
"""A minute, one value each second."""
_GOING_ON_NS: Final = 5 * NS_PER_S
"""An incident whose last failure is no longer ago goes on."""
_MOST_INCIDENTS: Final = 5

_CONFIRMING: Final = "confirming that what is visible stays so"

Bracket = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Span:
    """When a scenario runs, from the start of the schedule, and what it does when (from its own start).

    rates  events per second at the start and at the end of each stretch
    warmup_ns  how long its warm-up lasts, from its start on
    """

    name: str
    start_ns: int
    end_ns: int
    stretches: Sequence[Stretch]
    rates: Sequence[tuple[float, float]] = ()
    warmup_ns: int = 0

    @classmethod
    def of(cls, name: str, start_ns: int, load: Sequence[Phase], warmup_ns: int = 0) -> Span:
        """The span of a scenario that begins its load at `start_ns`."""
        stretches, rate_at = describe(load), rate_of(load)
        rates = [
            (rate_at(one.start_ns), rate_at(one.end_ns - 1)) if one.end_ns > one.start_ns else (0.0, 0.0)
            for one in stretches
        ]
        return cls(name, start_ns, start_ns + duration_ns(load), stretches, rates, warmup_ns)

    def as_it_went(self, course: Course) -> Span:
        """The same, now that some of its phases ended early."""

        def moment(offset_ns: int) -> int:
            return course.moment(self.start_ns + offset_ns) - self.start_ns

        moved = [one._replace(start_ns=moment(one.start_ns), end_ns=moment(one.end_ns)) for one in self.stretches]
        return replace(self, end_ns=course.moment(self.end_ns), stretches=moved)

    def phase(self, offset_ns: int) -> str | None:
        """What it does at an offset from the start of the schedule; None before and after."""
        if not self.start_ns <= offset_ns < self.end_ns:
            return None
        current = [s.text for s in self.stretches if s.start_ns <= offset_ns - self.start_ns]
        warms_up = ", warm-up" if offset_ns - self.start_ns < self.warmup_ns else ""
        return f"{self.name}: {current[-1]}{warms_up}" if current else None

    def shape(self) -> tuple[tuple[float, float, float, float], ...]:
        """Start and end of each stretch in seconds since the schedule began, and the rate at both."""
        return tuple(
            ((self.start_ns + one.start_ns) / NS_PER_S, (self.start_ns + one.end_ns) / NS_PER_S, first, last)
            for one, (first, last) in zip(self.stretches, self.rates, strict=False)
        )


class Goal(NamedTuple):
    """The percentile of the consistency window that is watched, and its limit where an objective sets one."""

    share: Fraction = _SHOWN["p95"]
    limit_ns: int | None = None

    @property
    def name(self) -> str:
        """The percentile as a person calls it: p95, p99.9."""
        return f"p{float(self.share * 100):g}"


_P95: Final = Goal()


def goal_of(objectives: Iterable[Objective], scenarios: Sequence[str]) -> Goal:
    """The goal that the objectives set: of those about the consistency window the one nearest to p95.

    What only a part of the events has to keep is no limit for all of them.
    """
    goals = [
        Goal(objective.share, objective.latency_limit_ns)
        for objective in objectives
        if objective.subject == "consistency"
        and objective.inner is None
        and not objective.slice
        and (objective.scenario is None or list(scenarios) == [objective.scenario])
        and objective.share is not None
        and objective.latency_limit_ns is not None
    ]
    return min(goals, key=lambda goal: (abs(goal.share - _P95.share), goal.limit_ns), default=_P95)


class ProgressMeter:
    """Reads the totals again and again; the rates are those since the reading before.

    `late_ns` is how late sends may be at their 99th percentile, `lasts_ns` how long each action is to be on.
    `under_way` tells of each scenario with journeys how many users there are, and how many iterations are under way.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        goal: Goal = _P95,
        late_ns: float | None = None,
        lasts_ns: Mapping[str, int] | None = None,
        under_way: Callable[[], Mapping[str, tuple[int | None, int]]] = dict,
    ) -> None:
        self._spans = list(spans)
        self._lasts_ns = lasts_ns or {}
        self._under_way = under_way
        self._shapes = _shapes(spans)
        self._warmups = {
            span.name: (span.start_ns / NS_PER_S, (span.start_ns + span.warmup_ns) / NS_PER_S)
            for span in spans
            if span.warmup_ns
        }
        self._goal = goal
        self._percentiles = dict(sorted({**_SHOWN, goal.name: goal.share}.items(), key=lambda item: item[1]))
        limits = {"consistency": goal.limit_ns, "schedule_delay": late_ns}
        self._limits = {name: limit / NS_PER_S for name, limit in limits.items() if limit is not None}
        self._lower, self._upper = RecentValues(_RECENT_NS), RecentValues(_RECENT_NS)
        self._delays = RecentValues(_RECENT_NS)
        self._delays_next = False
        self._reading, self._second = _Mark(), _Mark()
        self._history: dict[str, deque[float | None]] = {}

    def ended(self, number: int, span: Span) -> None:
        """A phase of a scenario ended early, which goes like this now."""
        self._spans[number] = span
        self._shapes = _shapes(self._spans)

    def read(
        self,
        offset_ns: int,
        summary: Summary,
        unanswered: int,
        outstanding: int,
        worries: Sequence[str] = (),
        acked: Moment = NOTHING,
        objectives: Sequence[Standing] = (),
    ) -> Progress:
        """The state at an offset from the start of the schedule (negative: it has not begun).

        `worries` are the self-checks that begin to fail, `acked` what is known of acked events that aren't settled,
        and `objectives` how each of them stands.
        """
        states: dict[str, int] = {}
        for scenario in summary.scenarios.values():
            for key, count in scenario.ledger.items():
                states[key] = states.get(key, 0) + count
        scheduled, unsent = (
            sum(one.with_warmup(key) for one in summary.scenarios.values()) for key in ("scheduled", "unsent")
        )
        mark = _Mark(offset_ns, scheduled, scheduled - unanswered - unsent)
        offered, achieved = mark.rates_since(self._reading)
        self._reading = mark
        # In turns: the loop stands still while this goes on.
        self._delays_next = not self._delays_next
        if self._delays_next:
            for values, lower in ((self._lower, True), (self._upper, False)):
                values.look(offset_ns, *_ends(summary.scenarios, "consistency", lower=lower))
        else:
            self._delays.look(offset_ns, *_ends(summary.scenarios, "schedule_delay"))
        shown = acked.values()
        recent = _percentiles(self._percentiles, self._lower.last, self._upper.last, shown)
        late = self._delays.last.quantiles([_P99])[0] if self._delays.last.total else None
        gauges = {f"{name} {metric}": series.last for name, gauge in summary.gauges.items()
                  for metric, series in gauge.series.items() if series.count}  # fmt: skip
        self._remember(mark, recent.get(self._goal.name), gauges)
        running = [phase for span in self._spans if (phase := span.phase(offset_ns))]
        to_come = any(offset_ns < span.start_ns for span in self._spans)
        # Whoever has seen all events and waits on wants to know what for.
        over = _CONFIRMING if outstanding and outstanding == acked.shown() else "settling"
        return Progress(
            phase=", ".join(running) or ("waiting" if to_come else over),
            elapsed=max(0, offset_ns) / NS_PER_S,
            total=max(span.end_ns for span in self._spans) / NS_PER_S,
            offered_rate=offered,
            achieved_rate=achieved,
            scheduled=scheduled,
            in_flight=unanswered,
            outstanding=outstanding,
            states={key: count for key, count in states.items() if count},
            percentiles=_percentiles(_SHOWN, self._lower.all, self._upper.all, shown),
            spans=self._shapes,
            warmups=self._warmups,
            recent=recent,
            recent_events=self._upper.last.total,
            watched=self._goal.name,
            lateness=None if late is None else late[1] / NS_PER_S,
            limits=self._limits,
            gauges=gauges,
            waiting=acked.waiting(),
            oldest=None if acked.oldest_ns is None else acked.oldest_ns / NS_PER_S,
            overdue=0 if self._goal.limit_ns is None else acked.waiting(self._goal.limit_ns),
            shown=acked.shown(),
            unfollowed=states.get("acked", 0) - summary.followed().get("acked", 0),
            objectives=tuple(objectives),
            worries=tuple(worries),
            incidents=_going_on(summary.vitals.incidents, offset_ns),
            journeys=tuple(
                JourneysNow(name, *now, _over(summary.scenarios[name])) for name, now in self._under_way().items()
            ),
            races=tuple(_races(summary)),
            actions=actions_now(summary.markers, self._lasts_ns),
            history={name: tuple(values) for name, values in self._history.items()},
        )

    def _remember(self, mark: _Mark, watched: Bracket | None, gauges: Mapping[str, float]) -> None:
        """Keep one value for each second of the last minute."""
        seconds = mark.at_ns // NS_PER_S - self._second.at_ns // NS_PER_S
        if seconds < 1:
            return
        offered, achieved = mark.rates_since(self._second)
        self._second = mark
        values: dict[str, float | None] = {"offered": offered, "achieved": achieved, "consistency": None, **gauges}
        if watched is not None:
            values["consistency"] = math.inf if watched[1] is None else watched[1]
        for name, value in values.items():
            kept = self._history.setdefault(name, deque(maxlen=_HISTORY))
            kept.extend([value] * min(seconds, _HISTORY))


class _Mark(NamedTuple):
    """How far a run was at an offset."""

    at_ns: int = 0
    scheduled: int = 0
    answered: int = 0

    def rates_since(self, before: _Mark) -> tuple[float, float]:
        """Events scheduled and events answered per second."""
        seconds = max(self.at_ns - before.at_ns, 1) / NS_PER_S
        return (self.scheduled - before.scheduled) / seconds, (self.answered - before.answered) / seconds


def _over(scenario: ScenarioSummary) -> dict[str, int]:
    """How many iterations of all its journeys ended how."""
    parts = scenario.journeys().values()
    ends = [end.name.lower() for end in End]
    counts = {name: sum(part.ledger[name] for part in parts) for name in ends}
    return {name: count for name, count in counts.items() if count}


def _races(summary: Summary) -> Iterable[RaceNow]:
    """What became of the rounds of each race so far."""
    for name, scenario in summary.scenarios.items():
        part = scenario.slices.get(RACE)
        if part is not None and part.rounds is not None:
            ended = part.ledger
            yield RaceNow(name, ended["judged"], part.rounds.violated, ended["void"], ended["cut_off"])


def _shapes(spans: Sequence[Span]) -> dict[str, tuple[tuple[float, float, float, float], ...]]:
    return {span.name: span.shape() for span in spans if span.rates}


def _ends(
    scenarios: Mapping[str, ScenarioSummary], metric: str, *, lower: bool = False
) -> tuple[dict[str, Histogram], dict[str, Histogram]]:
    """Of what is judged, and of the warm-ups."""

    def ends(found: Mapping[str, ScenarioSummary]) -> dict[str, Histogram]:
        return {
            name: shown.lower if lower else shown.upper
            for name, scenario in found.items()
            if (shown := scenario.distributions.get(metric)) is not None
        }

    return ends(scenarios), ends({name: one.warmup for name, one in scenarios.items() if one.warmup is not None})


def _percentiles(
    shares: Mapping[str, Fraction], lower: Values, upper: Values, outstanding: tuple[Values, Values, Values]
) -> dict[str, Bracket]:
    """Of settled events and of those that aren't: what is known of the ends of some, and how old the others are."""
    low, high, ages = outstanding
    ends = [_quantiles(shares.values(), known, more, ages) for known, more in ((lower, low), (upper, high))]
    return dict(zip(shares, starmap(_bracket, zip(*ends, strict=True)), strict=True)) if ends[1] else {}


def _quantiles(
    shares: Iterable[Fraction], settled: Values, shown: Values, ages: Values
) -> list[tuple[int, int] | None]:
    """A wait counts at its age where it is longer than the quantile of what was seen: a younger one is no evidence of
    anything yet, and would only make the figure better."""
    seen = Values()
    seen.add(settled)
    seen.add(shown)
    found: list[tuple[int, int] | None] = []
    for share in shares if seen.total or ages.total else ():
        edges = seen.quantiles([share])[0] if seen.total else (-1, -1)
        if edges is not None and any(age > edges[1] for age in ages.counts):
            longer = Values()
            longer.add(seen)
            longer.counts.update({cell: count for cell, count in ages.counts.items() if cell > edges[1]})
            edges = longer.quantiles([share])[0]
        found.append(edges)
    return found


def _bracket(low: tuple[int, int] | None, high: tuple[int, int] | None) -> Bracket:
    return 0.0 if low is None else low[0] / NS_PER_S, None if high is None else high[1] / NS_PER_S


def _going_on(incidents: Sequence[Incident], offset_ns: int) -> tuple[tuple[str, float, int], ...]:
    """What fails just now, and since when in seconds since the schedule began."""
    now = [one for one in incidents if one.last_ns >= offset_ns - _GOING_ON_NS]
    return tuple(
        (f"{one.source}: {one.reason}", one.first_ns / NS_PER_S, one.count) for one in now[-_MOST_INCIDENTS:]
    )
