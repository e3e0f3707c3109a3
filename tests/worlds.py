"""Runs with a planted cause, for the tests of what is said and drawn of a run: whole runs in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evload.gate.findings import find
from evload.measurement.ledger import LedgerReader
from evload.measurement.timeline import read_timeline
from evload.sandbox.settings import SandboxSettings
from evload.summary import Report
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation
from evload.timeline import Finding, Timeline

QUICK = {"lognormal": {"median": "120ms", "p99": "500ms"}}
STEADY = ({"from": "0/s", "to": "100/s", "for": "5s"}, {"rate": "100/s", "for": "55s"})


@dataclass(frozen=True)
class Told:
    """A run, what it looked like over time, and what was found."""

    report: Report
    timeline: Timeline
    findings: list[Finding]

    def kinds(self) -> list[str]:
        """Kinds of the findings, in their order."""
        return [finding.kind for finding in self.findings]


def run(directory: Path, sandbox: Mapping[str, Any], **simulation: Any) -> Told:
    """A run against a sandbox that misbehaves like this."""
    world = MemoryWorld(SandboxSettings.model_validate({"visibility": QUICK, **sandbox}))
    simulation = {"load": STEADY, "probe": {"bulk": 500, "deadline": "15s"}} | simulation
    path = directory / "events.sqlite"
    done = Simulation(world, **simulation, ledger_path=path).run()
    return told(done.report, path)


def told(report: Report, path: Path) -> Told:
    """What is to be said of a report and its ledger."""
    with LedgerReader(path) as reader:
        timeline = read_timeline(reader, list(report.summary.scenarios))
    return Told(report, timeline, find(report, timeline))


def with_slow_generator(ended: Told, path: Path) -> Told:
    """The same run, had its generator been busy: more CPU than it should use."""
    vitals = replace(ended.report.summary.vitals, cpu_share=0.97)
    summary = replace(ended.report.summary, vitals=vitals)
    return told(replace(ended.report, summary=summary), path)
