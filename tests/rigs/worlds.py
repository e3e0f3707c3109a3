"""Runs with a planted cause, for the tests of what is said and drawn of a run: whole runs in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evload.ledger.reader import LedgerReader
from evload.ledger.timeline import read_timeline
from evload.model.report import Insight, Report
from evload.model.timeline import Timeline
from evload.report.insights import find
from evload.sandbox.settings import SandboxSettings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation
from evload.testing.virtual_time import VirtualLoop

QUICK = {"lognormal": {"median": "120ms", "p99": "500ms"}}
FINE: Mapping[str, Any] = {"bulk": 500, "deadline": "12s"}
"""A probe that reads as often as any does that isn't told otherwise."""
COARSE: Mapping[str, Any] = {**FINE, "resolution": "30%"}
"""Where seconds are asked for: half of the reads."""
STEADY = ({"from": "0/s", "to": "24/s", "for": "5s"}, {"rate": "24/s", "for": "35s"})
OBJECTIVES = ("p99(end_to_end) < 3s", "share(consistency < 2s) >= 95%", "lost == 0", "duplicates == 0")


@dataclass(frozen=True)
class Told:
    """A run, what it looked like over time, and what was found."""

    report: Report
    timeline: Timeline
    findings: list[Insight]

    @property
    def kinds(self) -> set[str]:
        """Kinds of the findings."""
        return {finding.kind for finding in self.findings}

    def the(self, kind: str) -> Insight:
        """The only finding of that kind."""
        (found,) = (finding for finding in self.findings if finding.kind == kind)
        return found


Hook = Callable[[MemoryWorld, VirtualLoop], None]


def run(
    directory: Path,
    sandbox: Mapping[str, Any] | None = None,
    *,
    hook: Hook | None = None,
    probe: Mapping[str, Any] = COARSE,
    **more: Any,
) -> Told:
    """A run against a sandbox that misbehaves like this; `hook` may plan calls on the run's loop."""
    world = MemoryWorld(SandboxSettings.model_validate({"visibility": QUICK, **(sandbox or {})}))
    settings = {"load": STEADY, "probe": probe, "slos": OBJECTIVES} | more
    path = directory / "events.sqlite"
    if hook is not None:
        settings["at"] = lambda _: hook(world, _loop())
    done = Simulation(world, **settings, ledger_path=path).run()
    with LedgerReader(path) as reader:
        timeline = read_timeline(reader, list(done.summary.scenarios))
    return Told(done.report, timeline, insights_of(done.report, timeline))


def insights_of(report: Report, timeline: Timeline) -> list[Insight]:
    """What stands out in a report."""
    return find(report.summary, report.objectives, report.checks, timeline)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def busy_generator(_: MemoryWorld, loop: VirtualLoop) -> None:
    """Every second the generator is busy with something else for 400 ms."""
    loop._selector_in_use.now_ns += 400_000_000
    loop.call_later(0.6, partial(busy_generator, _, loop))


def replica_slows_down(world: MemoryWorld, loop: VirtualLoop) -> None:
    """After twenty seconds the second of two replicas lags by a second."""
    lagging = {"replicas": [{"name": "r1"}, {"name": "r2", "lag": "1s"}]}
    loop.call_later(20, lambda: world.world.change(loop.now_ns, lagging))
