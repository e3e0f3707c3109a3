"""An objective: what of a run has to keep which limit, and what has to be counted so that it can be judged."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from ..model.facts import PUBLISH_COUNTERS, QUEUE_LAG, is_told_by_publish
from ..model.iteration import COUNTERS, JOURNEY
from ..model.round import SETTLE
from ..model.rounds import CONTENTION, state_of
from ..model.rounds import COUNTERS as OF_RACES
from ..model.summary import Distribution, ScenarioSummary, Summary, merged, slice_label
from ..units import NS_PER_S, parse_duration
from .scenario import ScenarioCriteria

UPPER: Final = ("<", "<=")
LOWER: Final = (">", ">=")
EXACTLY: Final = ("==", "!=")

VISIBILITY: Final = frozenset({"first_seen", "consistency", "end_to_end"})
"""Metrics of which an event that is never seen has no end."""
_STEPS: Final = 10
SHORTEST_STEP_NS: Final = 100_000_000


_WATCHED: Final = ": "
"""Between the name of a scenario and that of a step's events, in the name of the scenario that is what the step
watches. No config has a name with a colon."""


def own_probe(event: str, probe: str) -> str:
    """How a probe is called that follows the events of a step: it is one of its own."""
    return f"{event}{_WATCHED}{probe}"


def is_watched(scenario: str) -> bool:
    """Whether it is what a step of another one's journeys watches, by its name."""
    return _WATCHED in scenario


def written_name(probe: str) -> str:
    """What the config calls a probe, of which this one may be a copy for the events of a step."""
    return probe.rpartition(_WATCHED)[2]


class Measure(enum.StrEnum):
    """What an objective looks at, and with it the unit of its limit."""

    PERCENTILE = "percentile"
    """A limit in nanoseconds on one percentile of a metric."""
    SHARE = "share"
    """A share of the events that has to be within a time."""
    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    """Limits in nanoseconds, on all events of a metric."""
    COUNT = "count"
    """A number of events."""
    RATE = "rate"
    """A share of the scheduled events."""
    THROUGHPUT = "throughput"
    """Events per second."""
    BYTE_RATE = "byte_rate"
    """Bytes per second."""
    STALENESS = "staleness"
    """A number of versions that answers are behind."""
    GAUGE = "gauge"
    """A value of a gauge over the run, in the gauge's own unit."""
    DRAIN = "drain"
    """The time in nanoseconds until a gauge is back at its level."""
    RECOVERY = "recovery"
    """The time in nanoseconds until another objective holds again."""
    REACH = "reach"
    """The time in nanoseconds until a gauge comes to a value."""
    RISE = "rise"
    """How much a counter among the gauges rises, in its own unit."""
    INTEGRAL = "integral"
    """A gauge's value times the seconds for which it lasted."""
    GROWTH = "growth"
    """How much a gauge grows in an hour, in its own unit."""
    RATIO = "ratio"
    """One of RISE, INTEGRAL and GAUGE as a share of another."""
    STRETCH = "stretch"
    """The longest time in nanoseconds for which a gauge kept a value, or not one event was acked."""
    COST = "cost"
    """What the run cost, in whatever money its prices are in."""
    SPAN = "span"
    """The time in nanoseconds from the first event due to the last answer."""


GAUGED: Final = frozenset(
    {Measure.GAUGE, Measure.DRAIN, Measure.REACH, Measure.RISE, Measure.INTEGRAL, Measure.GROWTH, Measure.RATIO}
)
"""What the samples of gauges alone decide; and so does STRETCH, unless it is one of events."""
FROM_A_MOMENT: Final = frozenset({Measure.RISE, Measure.INTEGRAL, Measure.GROWTH, Measure.RATIO})
"""What is about the whole run, or about the time from a moment on."""
TIMED: Final = frozenset({Measure.PERCENTILE, Measure.MAX, Measure.MIN, Measure.MEAN})
"""A limit on how long an event takes."""
_LASTING: Final = frozenset({Measure.DRAIN, Measure.RECOVERY, Measure.REACH, Measure.STRETCH, Measure.SPAN})
"""A limit on how long something lasts that is no event."""


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time that slides over the run. `stretch`: broken for so long at most; else: kept in any such."""

    span_ns: int
    stretch: bool = False

    @property
    def steps(self) -> int:
        """Steps in it: ten, or as many as are 100 ms long at least."""
        return max(1, min(_STEPS, self.span_ns // SHORTEST_STEP_NS))

    @property
    def step_ns(self) -> int:
        """Length of a step."""
        return self.span_ns // self.steps


HORIZON: Final = 3
"""A probe should look so many times as long as the largest limit: what comes late isn't lost then."""
RECOVERY_WINDOW: Final = Window(10 * NS_PER_S)
"""In which `recovery` looks whether its objective holds."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective. Limits are exact: nanoseconds, shares, counts, events or bytes per second (see
    Measure).

    subject    the metric, the counter or the gauge's value that it is about
    critical   a second, looser limit: between the two is a warning, beyond it a failure
    share      the share of the events that has to be good, for PERCENTILE and SHARE
    within_ns  the time that makes an event good, for SHARE
    gauge      for what is about a gauge: its name, or None for every gauge that has this value
    bracketed  names of those of its gauges that tell a lower end of the value besides
    function   for GAUGE and STALENESS: what of the values counts: max, min, mean or last; for COST: of what it is:
               run, events (of so many as `level` says), day or month
    level      for DRAIN: the value to get back to; None: the one before. For REACH and STRETCH: the value that the
               gauge is compared with
    compared   for REACH and STRETCH: how
    parts      for RATIO: what is divided by what
    inner      for RECOVERY: the objective that has to hold again
    after      for what counts from a moment: as written, the name of a scenario or of an action, or a time since the
               schedule began; of events those that were due when the action was over
    during     the name of an action: what was due, or sampled, while it was on
    scenario, event, key, tag, probe, replica   the part of the events that it is about; `key` is a glob
    journey    the journey whose iterations it is about, if it is `of_iterations`; None: those of all journeys. With
               `step`: the journey that has the step
    step       the step of a journey whose events it is about: `event` is JOURNEY.STEP, None as long as nobody has
               told which journey has it
    rule       the rule of a race that it is about, of all rounds; None: all rules
    contender  the contenders of a race that it is about; None: all of them
    check      a check of answers, in iterations of journeys: of all steps that have one of that name, or of `step`
    abort_after_ns  how long after the start of the schedule it may end the run; None: never
    critical_text, target_text   the limits beside the expression, as written
    implied    no config asks for it; it is what is asked where none names objectives
    """

    expression: str
    measure: Measure
    subject: str
    operator: str
    limit: Fraction
    critical: Fraction | None = None
    scenario: str | None = None
    share: Fraction | None = None
    within_ns: int | None = None
    gauge: str | None = None
    bracketed: frozenset[str] = frozenset()
    function: str = ""
    event: str | None = None
    key: str | None = None
    tag: str | None = None
    probe: str | None = None
    replica: str | None = None
    journey: str | None = None
    step: str | None = None
    check: str | None = None
    rule: str | None = None
    contender: str | None = None
    window: Window | None = None
    level: Fraction | None = None
    compared: str = ""
    parts: tuple[Objective, ...] = ()
    inner: Objective | None = None
    after: str | None = None
    during: str | None = None
    abort_after_ns: int | None = None
    critical_text: str | None = None
    target_text: str | None = None
    implied: bool = False

    # -- what it is about ----------------------------------------------------------------------------

    @property
    def slice(self) -> str:
        """The label of the part of a scenario that it is about; empty for the whole."""
        return slice_label(
            race=self.of_rounds, journey=self.journey if self.of_iterations else None, event=self._event,
            key=self.key, tag=self.tag, probe=self.probe, replica=self.replica, during=self.during,
            after=self.after if self.of_later_events else None,
        )  # fmt: skip

    @property
    def _event(self) -> str | None:
        """The event that it is about. Nothing is known of a step of which nobody has told whose it is."""
        if self.check is not None:
            return None
        return self.event if self.step is None or self.event is not None else f"?.{self.step}"

    @property
    def of_iterations(self) -> bool:
        """It is about iterations of journeys, and about no events."""
        if self.inner is not None:
            return self.inner.of_iterations
        if self.of_rounds:
            return False
        counted = self.measure in (Measure.COUNT, Measure.RATE)
        if counted and self.subject == "unsent":
            return self.journey is not None and self.step is None
        return self.subject in COUNTERS if counted else self.subject == JOURNEY and not self.is_gauged

    @property
    def of_rounds(self) -> bool:
        """It is about rounds of races, or what became of their contenders, and about no events."""
        if self.inner is not None:
            return self.inner.of_rounds
        if self.measure not in (Measure.COUNT, Measure.RATE):
            return self.subject == SETTLE and not self.is_gauged
        return (
            self.contender is not None
            or self.subject in (*OF_RACES, CONTENTION)
            or state_of(self.subject) is not None
        )

    @property
    def of_later_events(self) -> bool:
        """It is about the events that were due when an action was over, and doesn't itself count from a moment."""
        return self.after is not None and not self.is_gauged and self.measure is not Measure.RECOVERY

    @property
    def about(self) -> str:
        """What it is about beside its scenario, and the moment from which it counts; empty if neither is written."""
        return slice_label(
            journey=self.journey if self.of_iterations else None, event=self._event, key=self.key, tag=self.tag,
            probe=self.probe, replica=self.replica, during=self.during, after=self.after,
            step=self.step if self.check is not None else None, check=self.check, rule=self.rule,
            contender=self.contender,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """The expression with what it is about, which tells it from all others."""
        about = ", ".join(part for part in (self.scenario, self.about) if part)
        return f"{self.expression} [{about}]" if about else self.expression

    def pieces(self, summary: Summary) -> list[ScenarioSummary]:
        """What it is judged on, scenario by scenario; none if it never ran.

        The time in queues belongs to the queues and not to a scenario.
        """
        if self.subject == QUEUE_LAG:
            lag = summary.queue_lag()
            return [] if lag is None else [ScenarioSummary(distributions={QUEUE_LAG: lag})]
        return list(self.judged(summary).values())

    def judged(self, summary: Summary) -> dict[str, ScenarioSummary]:
        """The pieces of events, of iterations or of rounds, by the names of their scenarios.

        What steps of journeys watch are scenarios of their own. What a probe tells is asked of these, and no more of
        the scenario that has the steps: those that nobody follows have no effect that anybody looks for. All else is
        asked of what is sent, each once.
        """
        label = self.slice
        found = {name: one for name, one in summary.scenarios.items() if self.is_of(name)}
        if self.of_iterations and self.journey is None:
            parts = ((name, one.journeys(label)) for name, one in found.items())
            return {f"{name}, {journey}": part for name, own in parts for journey, part in own.items()}
        if label:
            found = {name: one.slices[label] for name, one in found.items() if label in one.slices}
        watched = {
            name: of for name in found if (of := name.partition(_WATCHED)[0]) in summary.scenarios and of != name
        }
        if not self.needs_probe:
            return {name: one for name, one in found.items() if name not in watched} or found
        # What stays absent is no loss, and has no time.
        left_out = {*watched.values()}
        if self.subject != "appeared":
            left_out |= {name for name in watched if "appeared" in found[name].tallies}
        return {name: one for name, one in found.items() if name not in left_out}

    def is_of(self, scenario: str) -> bool:
        """Whether it is about a scenario; what a step of its journeys watches is one of its own."""
        if self.scenario in (None, scenario):
            return True
        if self.step is None:
            return self.needs_probe and scenario.startswith(f"{self.scenario}{_WATCHED}")
        return scenario == f"{self.scenario}{_WATCHED}{self.event}"

    def asks(self, probe: str) -> bool:
        """Whether a probe decides it, by the name in the plan."""
        return self.probe in (None, probe, written_name(probe))

    def scope(self, summary: Summary) -> ScenarioSummary:
        """The pieces as one; empty if there are none."""
        pieces = self.pieces(summary)
        return pieces[0] if len(pieces) == 1 else merged(pieces)

    def distribution(self, summary: Summary) -> Distribution:
        """That of its metric over the pieces; empty if there is none. Cheaper than `scope`."""
        parts = [one.distributions[self.subject] for one in self.pieces(summary) if self.subject in one.distributions]
        if len(parts) == 1:
            return parts[0]
        whole = Distribution()
        for part in parts:
            whole.merge(part)
        return whole

    @property
    def is_gauged(self) -> bool:
        """The samples of gauges decide it, and no event."""
        return self.measure in GAUGED or (self.measure is Measure.STRETCH and bool(self.compared))

    @property
    def actions(self) -> tuple[str, ...]:
        """What may be names of actions among what it is about: `after` may as well name a scenario."""
        return tuple(name for name in (self.during, self.after_named) if name is not None)

    @property
    def rising(self) -> tuple[Objective, ...]:
        """What of it is about how much a counter rises."""
        if self.measure is Measure.RISE:
            return (self,)
        return tuple(part for part in self.parts if part.measure is Measure.RISE)

    def fulfils(self, value: float) -> bool:
        """Whether a value of the gauge is what REACH waits for, or what STRETCH is about."""
        assert self.level is not None
        return fulfils(value, self.compared, self.level)

    @property
    def needs_probe(self) -> bool:
        """Without a probe there is nothing to judge this by."""
        if (
            self.is_gauged
            or self.measure in (Measure.STRETCH, Measure.SPAN, Measure.COST)
            or self.subject == QUEUE_LAG
            or self.of_iterations
            or self.of_rounds
        ):
            return False
        return not (self.subject in PUBLISH_COUNTERS or is_told_by_publish(self.subject))

    @property
    def depends_on_load(self) -> bool:
        """A load that came bunched may break it: how long events take, how many wait at a time, how fast it goes."""
        return self.measure not in (Measure.COUNT, Measure.RATE, Measure.STALENESS)

    # -- limits --------------------------------------------------------------------------------------

    @property
    def limits(self) -> tuple[Fraction, ...]:
        """The limit, and the critical one if there is any."""
        return (self.limit,) if self.critical is None else (self.limit, self.critical)

    @property
    def written_limit(self) -> Fraction:
        """The limit in the expression, which is the looser one where a target is given."""
        return self.critical if self.target_text is not None and self.critical is not None else self.limit

    @property
    def latency_limit_ns(self) -> int | None:
        """The limit on the time that events take, in nanoseconds; None if it isn't about one."""
        if self.inner is not None:
            return self.inner.latency_limit_ns
        if self.measure is Measure.SHARE:
            return self.within_ns
        return int(self.limit) if self.measure in TIMED else None

    @property
    def longest_wait_ns(self) -> int | None:
        """How long somebody has to look so that this can be kept, `critical` included; None: any time will do."""
        asked = self.inner or self
        if asked.subject not in VISIBILITY:
            return None
        limit_ns = asked.latency_limit_ns
        if asked.measure in TIMED:
            return max(int(limit) for limit in asked.limits)
        return limit_ns

    @property
    def unit(self) -> int:
        """What figures are divided by for people: times are shown in seconds."""
        if self.window is not None:
            return NS_PER_S if self.window.stretch else 1
        return NS_PER_S if self.measure in TIMED | _LASTING else 1

    @property
    def shown_limit(self) -> Fraction:
        """The limit in the unit in which it is judged: of a window the share, of a stretch its length."""
        if self.window is not None and self.window.stretch:
            return Fraction(self.window.span_ns)
        if self.window is not None and self.measure is Measure.PERCENTILE and self.share is not None:
            return self.share
        return self.written_limit

    # -- what has to be counted ----------------------------------------------------------------------

    @property
    def thresholds(self) -> tuple[tuple[str, int], ...]:
        """(metric, nanoseconds) at which events have to be counted exactly to judge this, `critical` included."""
        if self.inner is not None:
            return self.inner.thresholds
        if self.within_ns is not None:
            return ((self.subject, self.within_ns),)
        if self.measure in (Measure.PERCENTILE, Measure.MAX, Measure.MIN):
            return tuple((self.subject, int(limit)) for limit in self.limits)
        return ()

    @property
    def steps(self) -> tuple[tuple[str, int, int], ...]:
        """(metric, threshold, length of a step), in nanoseconds, at which events have to be counted over time."""
        if self.inner is not None:
            return self.inner.steps
        if self.window is None:
            return ()
        return tuple((metric, threshold, self.window.step_ns) for metric, threshold in self.thresholds)

    @property
    def counter_steps(self) -> tuple[tuple[str, int], ...]:
        """(counter, length of a step in nanoseconds) to count over time."""
        if self.measure is Measure.STRETCH and not self.compared:
            return (("acked", SHORTEST_STEP_NS), ("errors", SHORTEST_STEP_NS))
        if self.window is None or self.measure not in (Measure.RATE, Measure.THROUGHPUT):
            return ()
        return ((self.subject, self.window.step_ns),)

    # -- moments -------------------------------------------------------------------------------------

    @property
    def after_named(self) -> str | None:
        """The scenario or the action from whose end this counts; None if it counts from another moment, or none."""
        if self.measure is Measure.DRAIN and self.after is None:
            return self.scenario
        return None if self.after is None or _moment(self.after) is not None else self.after

    def anchor_ns(self, scenarios: Mapping[str, ScenarioCriteria]) -> int | None:
        """From when this counts, since the schedule began; None if that isn't known, as it isn't after an action.

        A scenario that is to come to something counts from when its load begins: it may have waited for that.
        """
        name = self.after_named
        if self.measure is Measure.REACH and self.after is None:
            load = scenarios.get(self.scenario or "")
            return None if load is None else load.load_ns
        if name is not None:
            return scenarios[name].end_ns if name in scenarios else None
        return None if self.after is None else _moment(self.after)

    # -- on paper ------------------------------------------------------------------------------------

    def as_data(self) -> dict[str, Any]:
        """The arguments of `grammar.parse`, as JSON can keep them."""
        return {
            "text": self.expression,
            "critical": self.critical_text,
            "target": self.target_text,
            "scenario": self.scenario,
            "event": self.event if self.step is None else None,
            "key": self.key,
            **({} if self.tag is None else {"tag": self.tag}),
            **({} if self.journey is None else {"journey": self.journey}),
            **({} if self.step is None else {"step": self.step}),
            **({} if self.check is None else {"check": self.check}),
            **({} if self.rule is None else {"rule": self.rule}),
            **({} if self.contender is None else {"contender": self.contender}),
            "probe": self.probe,
            "replica": self.replica,
            "after": self.after,
            **({} if self.during is None else {"during": self.during}),
            "abort_after_ns": self.abort_after_ns,
            **({"implied": True} if self.implied else {}),
        }


def fulfils(value: float, compared: str, level: Fraction) -> bool:
    """Whether a value of a gauge is as it should be."""
    other = float(level)
    return {
        "<": value < other, "<=": value <= other, ">": value > other,
        ">=": value >= other, "==": value == other, "!=": value != other,
    }[compared]  # fmt: skip


def _moment(text: str) -> int | None:
    try:
        return parse_duration(text)
    except ValueError:
        return None


GaugeValues = Mapping[str, Sequence[str]]
"""The names of each gauge's values, by its name."""


DEFAULT_DELAY_NS: Final = 30 * NS_PER_S
