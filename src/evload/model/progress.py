"""A moment of a run, for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, NamedTuple

from ..units import NS_PER_S
from .marker import Marker
from .report import ObjectiveResult

_NOTHING_MORE: Final[Mapping[str, int]] = {}


class Standing(NamedTuple):
    """An objective while the run goes on.

    state   holds, fails: as things stand, which may turn; open: not to be told yet; broken: for good
    result  what is observed of it so far
    note    why it isn't kept
    """

    state: str
    result: ObjectiveResult
    note: str = ""


class ActionNow(NamedTuple):
    """An action while the run goes on, as it was done last. Times in seconds since the schedule began.

    number  which time of it, from 0
    state   doing, on, undoing; over: undone, or done in a moment; failed: what was done failed, and is undone if it
            had to be; stuck: it can't be undone
    since   when it was done, at the earliest
    until   when it was over, at the latest; None: it is not, or nobody knows
    lasts   how long it is to be on; None: that isn't known
    note    why it failed
    """

    name: str
    number: int
    state: Literal["doing", "on", "undoing", "over", "failed", "stuck"]
    since: float
    until: float | None = None
    lasts: float | None = None
    note: str = ""

    @property
    def may_be_on(self) -> bool:
        """Whether the system may feel it."""
        return self.until is None


def actions_now(markers: Iterable[Marker], lasts_ns: Mapping[str, int] = _NOTHING_MORE) -> tuple[ActionNow, ...]:
    """Each action as it was done last, in order of time. `lasts_ns`: how long each is to be on."""
    last = {marker.action: marker for marker in sorted(markers, key=lambda one: (one.done[0], one.number))}
    return tuple(_now(marker, lasts_ns.get(marker.action)) for marker in last.values())


def _now(marker: Marker, lasts_ns: int | None) -> ActionNow:
    until_ns = marker.outer[1]
    state: Literal["doing", "on", "undoing", "over", "failed", "stuck"]
    if marker.undo_error:
        state, until_ns = "stuck", None
    elif marker.done[1] is None:
        state = "doing"
    elif marker.error:
        state = "failed"
    elif until_ns is not None:
        state = "over"
    else:
        state = "on" if marker.undone is None else "undoing"
    return ActionNow(
        marker.action,
        marker.number,
        state,
        marker.done[0] / NS_PER_S,
        None if until_ns is None else until_ns / NS_PER_S,
        None if lasts_ns is None else lasts_ns / NS_PER_S,
        marker.undo_error or marker.error,
    )


class JourneysNow(NamedTuple):
    """The journeys of a scenario while the run goes on.

    users      that are there; None: iterations begin at a rate
    under_way  iterations that wait for an answer or for their time
    counts     of those that are over: completed, refused, failed and the others, where there are any
    """

    scenario: str
    users: int | None
    under_way: int
    counts: Mapping[str, int]

    def __str__(self) -> str:
        users = "" if self.users is None else f"{self.users:,} user{'' if self.users == 1 else 's'}, "
        over = "".join(f", {count:,} {name.replace('_', ' ')}" for name, count in self.counts.items())
        return f"{users}{self.under_way:,} under way{over}"


class RaceNow(NamedTuple):
    """The race of a scenario while the run goes on: its rounds that are over.

    violated  those in which a rule was broken for sure, also of those that were cut off after that
    """

    scenario: str
    judged: int
    violated: int
    void: int
    cut_off: int

    def __str__(self) -> str:
        parts = ((self.violated, "with a broken rule"), (self.void, "void"), (self.cut_off, "cut off"))
        told = "".join(f", {count:,} {what}" for count, what in parts if count)
        return f"{self.judged:,} round{'' if self.judged == 1 else 's'} judged{told}"


@dataclass(slots=True)
class Progress:
    """A moment of a run, for whoever shows it. Times in seconds since the schedule began, rates per second.

    percentiles  of the consistency window, over all acked events so far, as [lower, upper]; None: never. One that is
                 not seen yet counts at its present age where that is longer
    waiting      acked events that are not seen yet, `oldest` for how long at least, and `overdue`: those beyond the
                 limit on the consistency window already
    shown        acked events that everybody shows and that are looked after, so that they aren't settled
    unfollowed   acked events, among `states`, that are settled and that nobody looks for
    states       how many events are what, without those of the warm-ups, which `scheduled`, `in_flight`,
                 `outstanding`, `recent` and the rates count as well
    warmups      scenario to start and end of its warm-up
    spans        scenario to its stretches: start, end, the rate at both; one without a length is a burst
    recent       like `percentiles`, of the events settled in the last RECENT_S and of all that are not
    watched      which of these the limit on the consistency window is about
    lateness     p99 of the delays of the same events between due and sent; None if there are none
    limits       metric to its limit in seconds: `consistency`, `schedule_delay`
    gauges       gauge and value to the last sample: `work-queue queue_depth`
    objectives   how each objective stands
    worries      self-checks that begin to fail, as texts
    incidents    what fails just now: text, since when, how often
    journeys     of each scenario that has some
    races        of each scenario that is one
    actions      what is done to the system, or was: each action as it was done last
    history      one value each second, a minute at most, the newest last: `offered`, `achieved`, `consistency`
                 (upper end of the watched percentile; infinite: never; None: no event) and the gauges by name
    """

    RECENT_S: ClassVar[float] = 5.0

    phase: str
    elapsed: float
    total: float
    offered_rate: float
    achieved_rate: float
    scheduled: int
    in_flight: int
    outstanding: int
    states: Mapping[str, int]
    percentiles: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    spans: Mapping[str, Sequence[tuple[float, float, float, float]]] = field(default_factory=dict)
    warmups: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    recent: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    recent_events: int = 0
    watched: str = "p95"
    lateness: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    waiting: int = 0
    oldest: float | None = None
    overdue: int = 0
    shown: int = 0
    unfollowed: int = 0
    objectives: Sequence[Standing] = ()
    worries: Sequence[str] = ()
    incidents: Sequence[tuple[str, float, int]] = ()
    journeys: Sequence[JourneysNow] = ()
    races: Sequence[RaceNow] = ()
    actions: Sequence[ActionNow] = ()
    history: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @property
    def visible(self) -> float | None:
        """Share of the acked events that are visible; None if none is acked that somebody looks for. Those that are
        not seen yet count where they are overdue, or where there is no limit that they could keep."""
        seen = self.states.get("visible", 0) + self.shown
        unseen = self.states.get("acked", 0) - self.unfollowed - self.states.get("visible", 0)
        unseen += self.overdue if "consistency" in self.limits else self.waiting
        return seen / (seen + unseen) if seen + unseen else None
