"""Stamps that nobody can read are counted and said, with an example, also if the ledger gives the report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evload.model.report import Result, Severity
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.model.vitals import ReadVitals, Vitals
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.probe import Probe
from evload.testing import MemoryWorld
from evload.testing.memory_world import MemoryProbeSettings
from evload.testing.simulation import Simulation
from tests.rigs.ledgers import read_back


class _Stamping(MemoryWorld):
    """A world whose probe meets this where a stamp should be, in each read that shows its event."""

    written = ""

    def probe(self, **settings: Any) -> MemoryProbeSettings:
        return _StampingProbeSettings(kind="memory", world=self, **settings)


class _StampingProbeSettings(MemoryProbeSettings):
    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        async with super().open(surroundings) as probe:
            assert isinstance(self.world, _Stamping)
            yield _StampingProbe(probe, self.world.written)


class _StampingProbe:
    def __init__(self, probe: Probe, written: str) -> None:
        self._probe = probe
        self._written = written

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        result = await self._probe.read(targets)
        result.reads = [
            read._replace(unread_stamp=self._written) if read.seen is Seen.PRESENT else read for read in result.reads
        ]
        return result


@pytest.mark.parametrize("written", ["", "01/02/2026\x1b[31m"])
def test_they_are_counted_and_said(tmp_path: Path, written: str) -> None:
    world = _Stamping(SandboxSettings())
    world.written = written
    path = tmp_path / "events.sqlite"
    run = Simulation(world, ({"rate": "50/s", "for": "4s"},), slos=["lost == 0"], ledger_path=path).run()
    reads = run.summary.vitals.probes["memory"]
    told = [one for one in run.report.insights if one.kind == "unread_stamps"]
    if not written:
        assert (reads.unread_stamps, reads.unread_stamp, told) == (0, "", [])
    else:
        (scenario,) = run.summary.scenarios.values()
        assert reads.unread_stamps >= scenario.ledger["acked"] == 200
        (one,) = told
        assert one.severity is Severity.NOTE
        assert one.sentence.startswith(
            f"In {reads.unread_stamps:,} reads of memory a stamp can't be read, such as '01/02/"
        )
        assert one.sentence.endswith("; write RFC 3339, or seconds since 1970.")
        assert "\x1b" not in one.sentence
    assert run.report.verdict is Result.PASS
    assert read_back(path).summary.vitals.probes["memory"] == reads


def test_parts_of_a_run_add_up() -> None:
    one, other = (
        Vitals(probes={"api": ReadVitals(unread_stamps=count, unread_stamp=example)})
        for count, example in ((0, ""), (2, "a"))
    )
    one.merge(other)
    one.merge(Vitals(probes={"api": ReadVitals(unread_stamps=3, unread_stamp="b")}))
    assert (one.probes["api"].unread_stamps, one.probes["api"].unread_stamp) == (5, "a")
