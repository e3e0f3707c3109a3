"""What the fold has to know of a scenario: which thresholds and steps to count, and which parts of it apart.

Plain data, kept in the ledger file so that `evload report` folds the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..model.iteration import COUNTERS, JOURNEY
from ..model.round import SETTLE
from ..model.tags import is_unanswered


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted exactly. Durations in nanoseconds.

    thresholds     (metric, threshold)
    steps          (metric, threshold, length of a step)
    counter_steps  (counter, length of a step)
    on_time        `end_to_end` is also kept as it would be had evload sent each event when it was due
    """

    thresholds: tuple[tuple[str, int], ...] = ()
    steps: tuple[tuple[str, int, int], ...] = ()
    counter_steps: tuple[tuple[str, int], ...] = ()
    on_time: bool = False

    def thresholds_of(self, metric: str) -> list[int]:
        """The thresholds of a metric, the smallest first."""
        return sorted({threshold for about, threshold in self.thresholds if about == metric})

    def steps_of(self, metric: str) -> list[tuple[int, int]]:
        """(threshold, length of a step) at which a metric is counted over time."""
        return sorted({(threshold, step) for about, threshold, step in self.steps if about == metric})

    def of_events(self) -> Counted:
        """What of it is counted of events."""
        return self._about(
            lambda metric: metric not in (JOURNEY, SETTLE), lambda counter: counter not in COUNTERS, self.on_time
        )

    def of_iterations(self) -> Counted:
        """What of it is counted of iterations."""
        return self._about(lambda metric: metric == JOURNEY, lambda counter: counter in COUNTERS, False)

    def of_rounds(self) -> Counted:
        """What of it is counted of rounds of races: their counters are of the whole run alone."""
        return self._about(lambda metric: metric == SETTLE, lambda counter: False, False)

    def _about(self, metric: Callable[[str], bool], counter: Callable[[str], bool], on_time: bool) -> Counted:
        return Counted(
            tuple(one for one in self.thresholds if metric(one[0])),
            tuple(one for one in self.steps if metric(one[0])),
            tuple(one for one in self.counter_steps if counter(one[0])),
            on_time,
        )

    def __or__(self, other: Counted) -> Counted:
        """What either of the two says."""
        return Counted(
            tuple(sorted({*self.thresholds, *other.thresholds})),
            tuple(sorted({*self.steps, *other.steps})),
            tuple(sorted({*self.counter_steps, *other.counter_steps})),
            self.on_time or other.on_time,
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Counted:
        """From what `asdict` gave and JSON kept."""
        return cls(
            tuple((metric, threshold) for metric, threshold in data["thresholds"]),
            tuple((metric, threshold, step) for metric, threshold, step in data["steps"]),
            tuple((counter, step) for counter, step in data["counter_steps"]),
            data.get("on_time", any(metric == "end_to_end" for metric, _ in data["thresholds"])),
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a scenario that is folded apart, too. What is None doesn't narrow it.

    label    its name in `ScenarioSummary.slices`
    journey  name of a journey: it is about its iterations, and about no event
    race     it is about the rounds of a race, and about no event
    event    index of an event
    key      a glob that the event's key has to match
    tag      a tag that answers gave it; `NAME?`: no answer told of that name
    probe    number of a probe whose view it is
    replica  name of a replica whose view it is
    during   name of an action: events that were due while it was on for sure
    after    name of an action: events that were due when it was over for sure
    """

    label: str
    counted: Counted = Counted()
    event: int | None = None
    key: str | None = None
    tag: str | None = None
    probe: int | None = None
    replica: str | None = None
    during: str | None = None
    after: str | None = None
    journey: str | None = None
    race: bool = False

    @property
    def timed(self) -> bool:
        """Whether an event belongs to it is known only when the event is settled."""
        return self.during is not None or self.after is not None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Slice:
        """From what `asdict` gave and JSON kept."""
        return cls(**{**data, "counted": Counted.from_data(data["counted"])})


@dataclass(frozen=True, slots=True)
class RacePlan:
    """What the fold has to know of a race: names in the order of the config.

    always, holds  its rules, by when each has to hold; no name is in both
    reads          numbers of the events that are reads: what fails of them is no error of the load
    """

    contenders: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    reads: tuple[int, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> RacePlan:
        """From what `asdict` gave and JSON kept."""
        return cls(**{name: tuple(names) for name, names in data.items()})


@dataclass(frozen=True, slots=True)
class ScenarioPlan:
    """What the fold has to know of a scenario. Durations in nanoseconds.

    watched      whether any probe follows its events
    deadline_ns  longest deadline of its probes
    probes       (number, name) of its probes, in the order of the chain
    arrival_step_ns  length of the steps in which sends are counted, where arrivals are random
    flow_step_ns     length of the steps in which acks and sightings are counted, where a steady state is claimed
    phases           (start, end) of each phase of its load since the schedule began; a burst ends when it starts
    event            name of the only event that it sends; empty where it sends several, each of which is a slice
    warmup           (start, end) of its warm-up since the schedule began: what is due in it is counted apart
    journeys         (number, name) of the journeys that it does: the iterations of each are a slice
    steps            their steps, JOURNEY.STEP, in the order in which they are done if none is left out
    race             the race whose rounds it does; these are a slice
    sends            something is sent; of what a step waits for nothing is, and an answer at once would be no answer
    """

    name: str
    watched: bool
    deadline_ns: int
    counted: Counted = Counted()
    slices: tuple[Slice, ...] = ()
    probes: tuple[tuple[int, str], ...] = ()
    arrival_step_ns: int | None = None
    flow_step_ns: int | None = None
    phases: tuple[tuple[int, int], ...] = ()
    event: str = ""
    warmup: tuple[int, int] | None = None
    journeys: tuple[tuple[int, str], ...] = ()
    sends: bool = True
    steps: tuple[str, ...] = ()
    race: RacePlan | None = None

    @property
    def judged_ns(self) -> int:
        """From when its events are judged, in nanoseconds since the schedule began."""
        if self.warmup is not None:
            return self.warmup[1]
        return min((start for start, _ in self.phases), default=0)

    def judges(self, at_ns: int) -> bool:
        """Whether an event that was due then counts."""
        return self.warmup is None or at_ns >= self.warmup[1]

    def as_data(self) -> dict[str, Any]:
        """As JSON can keep it. What only journeys or races have is left out where there are none, so that earlier
        versions of evload read it."""
        data = asdict(self)
        for one in data["slices"]:
            if one["journey"] is None:
                del one["journey"]
            if not one["race"]:
                del one["race"]
        if not data["journeys"]:
            del data["journeys"]
        if data["sends"]:
            del data["sends"]
        if not data["steps"]:
            del data["steps"]
        if data["race"] is None:
            del data["race"]
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ScenarioPlan:
        """From what `as_data` gave. Raises KeyError or TypeError for anything else."""
        warmup, race = data.get("warmup"), data.get("race")
        return cls(
            **{
                **data,
                "warmup": None if warmup is None else (warmup[0], warmup[1]),
                "counted": Counted.from_data(data["counted"]),
                "slices": tuple(Slice.from_data(part) for part in data["slices"]),
                "probes": tuple((number, name) for number, name in data["probes"]),
                "phases": tuple((start, end) for start, end in data.get("phases", ())),
                "journeys": tuple((number, name) for number, name in data.get("journeys", ())),
                "steps": tuple(data.get("steps", ())),
                "race": None if race is None else RacePlan.from_data(race),
            }
        )


def asked_tags(plans: Iterable[ScenarioPlan]) -> set[str]:
    """The tags that objectives ask for."""
    return {part.tag for plan in plans for part in plan.slices if part.tag and not is_unanswered(part.tag)}
