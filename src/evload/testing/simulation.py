"""A whole run in virtual time against a MemoryWorld: the same engine, tracker and fold as a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..config import RunConfig, Scenario
from ..engine import Engine
from ..gate import slo
from ..gate.reporting import Terms, report
from ..gate.selfcheck import SelfCheckPolicy
from ..measurement.ledger import Ledger, LedgerFile
from ..model import Observation
from ..planning import build
from ..ports import GaugeSettings, Sink, Surroundings
from ..summary import Report, Summary
from ..workload.events import EventSettings
from .memory_world import MemoryWorld
from .virtual_time import run_virtual, virtual_clock


class MemoryLedger:
    """Keeps the settled events in a list, for a look at each of them."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.start_ns = 0

    def append(self, observations: Sequence[Observation]) -> None:
        self.observations.extend(observations)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        pass

    def note(self, at_ns: int, facts: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Simulation:
    """What to run. `scenarios` are as in a config, with producer `memory` and probe `memory` to name.

    `at` is called with the engine once the loop runs, and may plan calls (`loop.call_later`) such as an
    interrupt. With `ledger_path` the events go to a real ledger file instead of a list.
    """

    memory: MemoryWorld
    load: Sequence[Mapping[str, Any]] = ({"rate": "100/s", "for": "10s"},)
    scenarios: Mapping[str, Mapping[str, Any]] | None = None
    slos: Sequence[str] = ()
    gauges: Mapping[str, GaugeSettings] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=lambda: {"bulk": 500})
    producer: Mapping[str, Any] = field(default_factory=dict)
    arrivals: str = "constant"
    key: str | None = None
    watched: bool = True
    seed: int = 1
    settle_ns: int = 10_000_000_000
    ledger_path: Path | None = None
    at: Callable[[Engine], None] | None = None
    sinks: Sequence[Sink] = ()

    def config(self) -> RunConfig:
        """The config that this amounts to."""
        scenarios = self.scenarios or {"main": {"load": self.load, "arrivals": self.arrivals}}
        common = {"producer": "memory", "events": ["event"], "probes": ["memory"] if self.watched else []}
        event = EventSettings(type="simulated", source="/simulation", key=self.key, data={"group": "{int:1..20}"})
        return RunConfig(
            name="simulation",
            seed=self.seed,
            sandbox=None,
            producers={"memory": self.memory.producer(**self.producer)},
            events={"event": event},
            probes={"memory": self.memory.probe(**self.probe)},
            gauges=dict(self.gauges),
            scenarios={
                name: TypeAdapter(Scenario).validate_python({**common, **settings})
                for name, settings in scenarios.items()
            },
            slos=tuple(
                slo.parse(text, gauges={name: g.metrics for name, g in self.gauges.items()}) for text in self.slos
            ),
            self_checks=SelfCheckPolicy(),
            settle=self.settle_ns,
            replicas={},
            records={"event": None},
        )

    def run(self) -> Simulated:
        """Run it in virtual time. Raises DeadlockError if it can't end."""
        config = self.config()
        kept = MemoryLedger()

        async def main() -> Simulated:
            clock = virtual_clock()

            def open_ledger(start_ns: int) -> Ledger:
                kept.start_ns = start_ns
                return LedgerFile(self.ledger_path, start_ns, {}, threaded=False) if self.ledger_path else kept

            plan = build(config, "simulation")
            engine = Engine(plan, Surroundings(clock, "simulation", Path()), open_ledger, self.sinks)
            if self.at:
                self.at(engine)
            summary = await engine.run()
            deadlines = {name: probe.deadline for name, probe in config.probes.items()}
            told = report(
                summary,
                Terms(config.slos, config.self_checks, deadlines),
                run_id="simulation",
                name=config.name,
                started_at=clock.wall(kept.start_ns),
            )
            return Simulated(summary, told, kept.observations, kept.start_ns)

        return run_virtual(main())


@dataclass(frozen=True)
class Simulated:
    """What came of it. `start_ns` is the virtual time at which the schedule began."""

    summary: Summary
    report: Report
    observations: Sequence[Observation]
    start_ns: int
