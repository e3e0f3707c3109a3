"""A whole run in virtual time against a MemoryWorld: the same engine, tracker and fold as a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..config.run_config import Action, RunConfig, Step
from ..config.sections import ActionTimes, Scenario
from ..engine.control import RunControl
from ..engine.engine import LEAD_NS
from ..engine.undoing import Undoing
from ..ledger.reader import LedgerReader
from ..ledger.writer import Ledger, LedgerFile
from ..model.iteration import Iteration
from ..model.marker import Marker
from ..model.report import Report
from ..model.round import Round
from ..model.summary import Summary
from ..model.travel import Observation
from ..objectives.condition import parse_condition
from ..objectives.cost import service
from ..objectives.grammar import parse
from ..objectives.objective import GaugeValues, Objective
from ..objectives.policy import SelfCheckPolicy
from ..report.build import About, build
from ..run.execute import execute
from ..run.prepare import Prepared, prepare
from ..spi.gauge import GaugeSettings
from ..spi.sink import Sink
from ..units import parse_duration
from ..workload.events import EventSettings
from ..workload.segment import WHOLE, Segment
from .memory_world import MemoryWorld
from .virtual_time import run_virtual, virtual_clock


class MemoryLedger:
    """Keeps the settled events in a list, for a look at each of them."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.iterations: list[Iteration] = []
        self.rounds: list[Round] = []

    def begin(self, start_ns: int, began_at: datetime) -> None:
        pass

    def append(self, observations: Sequence[Observation], scheduled: Sequence[tuple[int, int]] = ()) -> None:
        self.observations.extend(observations)

    def iterated(self, iterations: Sequence[Iteration]) -> None:
        self.iterations.extend(iterations)

    def rounded(self, rounds: Sequence[Round]) -> None:
        self.rounds.extend(rounds)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        pass

    def read(self, probe: str, reads: Sequence[tuple[int, int]]) -> None:
        pass

    def read_times(self, probe: str, at_ns: int, times: Sequence[tuple[int, bool, int]]) -> None:
        pass

    def marked(self, marker: Marker) -> None:
        pass

    def note(self, at_ns: int, facts: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Simulation:
    """What to run. `scenarios` are as in a config, with producer `memory` and probe `memory` to name, or those of
    `probes`, each given as its settings. `replicas` has, for a probe, the differing settings of each replica.
    `costs` is a price table as in a config. Events differ in their names alone. Objectives are texts, or arguments of
    `grammar.parse` with `text` among them.

    An action is as in a config, with settings of activities in the place of `do` and `undo`; `undoing` is who
    guarantees that it is undone.

    `at` is called with what stops the run once the loop goes, and may plan calls (`loop.call_later`) such as an
    interrupt. `segment` is the part of the schedule to run. With `ledger_path` the events go to a real ledger file
    instead of a list, and the report has what it tells.
    """

    memory: MemoryWorld
    load: Sequence[Mapping[str, Any]] = ({"rate": "100/s", "for": "10s"},)
    scenarios: Mapping[str, Mapping[str, Any]] | None = None
    slos: Sequence[str | Mapping[str, Any]] = ()
    gauges: Mapping[str, GaugeSettings] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=lambda: {"bulk": 500})
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replicas: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    producer: Mapping[str, Any] = field(default_factory=dict)
    arrivals: str = "constant"
    key: str | None = None
    events: Sequence[str] = ("event",)
    watched: bool = True
    seed: int = 1
    settle_ns: int = 10_000_000_000
    ledger_path: Path | None = None
    at: Callable[[RunControl], None] | None = None
    sinks: Sequence[Sink] = ()
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    observe: str = "0s"
    costs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    undoing: Undoing | None = None
    segment: Segment = WHOLE

    def config(self) -> RunConfig:
        """The config that this amounts to."""
        scenarios = self.scenarios or {"main": {"load": self.load, "arrivals": self.arrivals}}
        written = self.probes or {"memory": self.probe}
        common = {"producer": "memory", "events": list(self.events), "probes": list(written) if self.watched else []}
        event = EventSettings(type="simulated", source="/simulation", key=self.key, data={"group": "{int:1..20}"})
        return RunConfig(
            name="simulation",
            seed=self.seed,
            sandbox=None,
            producers={"memory": self.memory.producer(**self.producer)},
            events=dict.fromkeys(self.events, event),
            probes={name: self.memory.probe(**settings) for name, settings in written.items()},
            gauges=dict(self.gauges),
            scenarios={
                name: TypeAdapter(Scenario).validate_python({**common, **settings})
                for name, settings in scenarios.items()
            },
            slos=tuple(self._objective(given) for given in self.slos),
            reports={},
            self_checks=SelfCheckPolicy.model_validate(self.policy),
            settle=self.settle_ns,
            replicas={
                probe: {name: self.memory.probe(**written[probe], **own) for name, own in replicas.items()}
                for probe, replicas in self.replicas.items()
            },
            records=dict.fromkeys(self.events),
            actions={name: self._action(written) for name, written in self.actions.items()},
            observe=parse_duration(self.observe),
            costs=tuple(
                service(name, row["usage"], row["price"], row.get("per", "1"), self._gauge_values())
                for name, row in self.costs.items()
            ),
        )

    def _action(self, written: Mapping[str, Any]) -> Action:
        times = ActionTimes.model_validate({"undo": "none", **written})
        undo = () if times.undo == "none" else times.undo
        do, undo = ([Step(one, {}, {}) for one in steps] for steps in (times.do, undo))
        when = None if times.when is None else parse_condition(times.when, self._gauge_values())
        return Action(times, tuple(do), tuple(undo), when)

    def _gauge_values(self) -> GaugeValues:
        return {name: gauge.metrics for name, gauge in self.gauges.items()}

    def _objective(self, given: str | Mapping[str, Any]) -> Objective:
        arguments = {"text": given} if isinstance(given, str) else given
        return parse(**arguments, gauges=self._gauge_values())

    def run(self) -> Simulated:
        """Run it in virtual time. Raises DeadlockError if it can't end."""
        prepared = prepare(self.config(), "simulation", self.segment)
        kept = MemoryLedger()

        async def main() -> Simulated:
            clock = virtual_clock()
            start_ns = clock.now_ns() + LEAD_NS
            ledger: Ledger = kept
            if self.ledger_path is not None:
                meta = {**prepared.meta, "started_at": clock.wall(start_ns).isoformat()}
                ledger = LedgerFile(self.ledger_path, meta, threaded=False)
            control = RunControl(clock, self.settle_ns)
            if self.at:
                self.at(control)

            async def start() -> int:
                return start_ns

            summary = await execute(
                prepared, clock, ledger, self.sinks, control=control, start=start, undoing=self.undoing
            )
            about = About("simulation", prepared.config.name, clock.wall(start_ns))
            if self.ledger_path is None:
                report = build(summary, prepared.criteria, about)
            else:
                with LedgerReader(self.ledger_path) as written:
                    report = build(summary, prepared.criteria, about, written)
            return Simulated(summary, report, kept.observations, start_ns, prepared)

        return run_virtual(main())


@dataclass(frozen=True)
class Simulated:
    """What came of it. `start_ns` is the virtual time at which the schedule began."""

    summary: Summary
    report: Report
    observations: Sequence[Observation]
    start_ns: int
    prepared: Prepared
