"""A `replica` that is another one in every answer is said, and bounded: each name is followed in every event."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from evload.model.report import Result
from evload.model.travel import ReadResult, Target
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.probe import Probe
from evload.testing import MemoryWorld
from evload.testing.memory_world import MemoryProbeSettings
from evload.testing.simulation import Simulated, Simulation

CURE = "let replica give the name of the replica that answers, not of the request"


class _Naming(MemoryWorld):
    """A world whose answers name these, one after the other."""

    names: Iterator[str]

    def probe(self, **settings: Any) -> MemoryProbeSettings:
        return _NamingProbeSettings(kind="memory", world=self, **settings)


class _NamingProbeSettings(MemoryProbeSettings):
    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        async with super().open(surroundings) as probe:
            assert isinstance(self.world, _Naming)
            yield _NamingProbe(probe, self.world.names)


class _NamingProbe:
    def __init__(self, probe: Probe, names: Iterator[str]) -> None:
        self._probe = probe
        self._names = names

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        result = await self._probe.read(targets)
        result.reads = [read._replace(replica=next(self._names)) for read in result.reads]
        return result


def run(names: Iterator[str], **probe: Any) -> Simulated:
    world = _Naming(SandboxSettings())
    world.names = names
    return Simulation(world, ({"rate": "10/s", "for": "4s"},), slos=["lost == 0"], probe=probe).run()


def test_another_name_in_every_answer_ends_in_one_error_and_no_verdict() -> None:
    tracemalloc.start()
    ended = run((f"request-{number}" for number in itertools.count()), deadline="10s")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    vitals = ended.summary.vitals
    assert [len(names) for names in vitals.replicas.values()] == [100]
    assert [error for error in vitals.errors if CURE in error] == [
        f"memory: more than 100 replicas were named; {CURE}"
    ]
    assert ended.report.verdict in (Result.INVALID, Result.INCONCLUSIVE)
    assert peak < 30e6


def test_a_name_as_long_as_an_answer_is_none() -> None:
    ended = run(("x" * 100_000 + str(number) for number in itertools.count()), deadline="2s")
    assert list(ended.summary.vitals.replicas.values()) == [[]]
    assert f"memory: a replica's name is longer than 256 letters; {CURE}" in ended.summary.vitals.errors
    assert ended.report.verdict is not Result.PASS


@pytest.mark.parametrize(("known", "listed"), [(3, 0), (120, 120)])
def test_replicas_that_come_again_are_followed(known: int, listed: int) -> None:
    names = tuple(f"r-{number}" for number in range(known))
    ended = run(itertools.cycle(names), deadline="60s", replicas=names if listed else ())
    assert [set(found) for found in ended.summary.vitals.replicas.values()] == [set(names)]
    assert [error for error in ended.summary.vitals.errors if CURE in error] == []
