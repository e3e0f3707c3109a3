"""All that the engine needs to know of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..model.iteration import Watched
from ..objectives.condition import Condition
from ..spi.gauge import GaugeSettings
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..summary.fold_plan import ScenarioPlan
from ..tracking.reading_plan import ReadingPlan
from ..tracking.tracker import Origin
from ..workload.events import Renderer
from ..workload.journeys.program import Program
from ..workload.journeys.room import Course
from ..workload.races.program import RaceProgram
from ..workload.schedule import Arrivals
from .acting import ActionRun
from .progress import Goal, Span
from .resending import Resend

TICK_NS: Final = 1_000_000
"""Reads begin on a grid of so much: what comes due in between goes out together, which costs both sides less than
waking up for each. The grid is the clock's own, so that when one event is read says nothing of another."""
AFTER_TICK_NS: Final = TICK_NS // 2
"""How long after a tick they begin: loops count in whole milliseconds, and would come too early for half of them."""
LATE_NS: Final = TICK_NS + AFTER_TICK_NS
"""The latest that a read begins for that."""
BULK_TICK_NS: Final = 2_000_000
"""The grid of bulk reads: what comes due in between goes together."""
PIN_TICK_NS: Final = BULK_TICK_NS // 8
"""Least time between two bulk reads, of which one is at a limit and would decide less on the grid."""
PINS_EVERY_NS: Final = 2 * BULK_TICK_NS
"""So often, on average over the last second, a bulk read off the grid is worth its costs: at most half as many reads
more than on the grid alone."""


@dataclass(frozen=True, slots=True)
class JourneysRun:
    """The journeys of a scenario: their programs and their numbers in the plan, how iterations follow on one another,
    the producers that their steps send through, and what all that is drawn derives from."""

    programs: Sequence[Program]
    numbers: Sequence[int]
    course: Course
    producers: Sequence[str]
    seed: str


@dataclass(frozen=True, slots=True)
class RaceRun:
    """The race of a scenario: its program, how its rounds follow on one another, the producers it sends through,
    and what all that is drawn derives from."""

    program: RaceProgram
    course: Course
    producers: Sequence[str]
    seed: str


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """One scenario, ready to run: events that a renderer makes for a producer, journeys, or a race. `reading` says
    how each reader, by its number, follows its events, in the order of the chain of probes; `waits` what a phase of
    its load, by its number, waits for."""

    fold: ScenarioPlan
    span: Span
    arrivals: Arrivals
    renderer: Renderer
    producer: str
    reading: Mapping[int, ReadingPlan]
    resend: Resend | None = None
    waits: Mapping[int, Condition] = field(default_factory=dict)
    journeys: JourneysRun | None = None
    race: RaceRun | None = None
    watched: Watched | None = None
    """It is what steps of another scenario's journeys watch, and of that kind: it has no load of its own, and comes
    after all that have."""

    @property
    def senders(self) -> Sequence[str]:
        """The names of the producers through which it sends."""
        steps = self.journeys or self.race
        return (self.producer,) if steps is None else steps.producers


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """A probe, or a replica of it that has an address of its own. `name` tells it from all others."""

    name: str
    probe: str
    origin: Origin
    settings: ProbeSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the engine needs. `readers` are numbered by their order."""

    scenarios: Sequence[ScenarioRun]
    producers: Mapping[str, ProducerSettings]
    readers: Sequence[ReaderPlan]
    gauges: Mapping[str, GaugeSettings]
    settle_ns: int
    """Longest drain after an interrupt."""
    goal: Goal = field(default_factory=Goal)
    """What a person wants to see the windows held against."""
    late_ns: float | None = None
    """How late sends may be."""
    rises: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The values of each gauge of which an objective asks how much they rise."""
    wanted: frozenset[str] = frozenset()
    """The facts of which producers tell on demand alone, and that an objective is about."""
    actions: Sequence[ActionRun] = ()
    """What is done to the system meanwhile."""
    observe_ns: int = 0
    """How long the run goes on after its load."""
