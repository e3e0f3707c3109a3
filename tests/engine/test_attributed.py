"""What is about no event of any run gets from a probe's answers into the report, also if the ledger gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evload.model.report import CheckResult, Report, Result
from evload.model.travel import ReadResult, Target
from evload.model.vitals import ReadVitals, Vitals
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.probe import Probe
from evload.testing import MemoryWorld
from evload.testing.memory_world import MemoryProbeSettings
from evload.testing.simulation import Simulation
from tests.rigs.ledgers import read_back


class OddWorld(MemoryWorld):
    """A world whose answers also hold what nobody can make anything of: the first `odd` of them one each."""

    odd = 0

    def probe(self, **settings: Any) -> MemoryProbeSettings:
        return _OddProbeSettings(kind="memory", world=self, **settings)


class _OddProbeSettings(MemoryProbeSettings):
    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        async with super().open(surroundings) as probe:
            assert isinstance(self.world, OddWorld)
            yield _OddProbe(probe, self.world.odd)


class _OddProbe:
    def __init__(self, probe: Probe, odd: int) -> None:
        self._probe = probe
        self._odd = odd
        self._told = 0

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        result = await self._probe.read(targets)
        if self._told < self._odd:
            self._told += 1
            result.strange, result.example = 1, f"row {self._told}: " + "x" * 400
        return result


def check(report: Report) -> CheckResult:
    return next(one for one in report.checks if one.name == "attribution")


@pytest.mark.parametrize(
    ("odd", "losing", "verdict"), [(0, "0%", Result.PASS), (3, "0%", Result.WARN), (3, "10%", Result.INVALID)]
)
def test_it_is_counted_shown_and_judged(tmp_path: Path, odd: int, losing: str, verdict: Result) -> None:
    memory = OddWorld(SandboxSettings.model_validate({"loss": losing}))
    memory.odd = odd
    path = tmp_path / "events.sqlite"
    run = Simulation(memory, ({"rate": "50/s", "for": "4s"},), slos=["lost == 0"], ledger_path=path).run()
    found = check(run.report)
    assert (found.value, found.limit, run.report.verdict) == (odd, 0, verdict)
    reads = run.summary.vitals.probes["memory"]
    assert reads.strange == odd
    if odd:
        assert reads.example == "row 1: " + "x" * 112 + "…"
        assert found.note.startswith("memory: 3 about no event of any run, such as row 1: xxx")
    assert read_back(path).summary.vitals.probes["memory"] == reads


def test_parts_of_a_run_add_up() -> None:
    one, other = (
        Vitals(probes={"tap": ReadVitals(strange=count, example=example)}) for count, example in ((0, ""), (2, "a"))
    )
    one.merge(other)
    one.merge(Vitals(probes={"tap": ReadVitals(strange=3, example="b")}))
    assert (one.probes["tap"].strange, one.probes["tap"].example) == (5, "a")
