"""Searches for the ceiling of the embedded pipeline in virtual time, whose capacity is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from evload.clock import Clock
from evload.model.ceiling import Ceiling, Trial
from evload.model.report import Report
from evload.sandbox.settings import SandboxSettings
from evload.search.bisection import Next, Plan
from evload.search.directory import SearchDirectory
from evload.search.seek import Question, seek
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation
from evload.units import NS_PER_S, duration_text

S = NS_PER_S


class Depth(GaugeSettings):
    """The depth of a MemoryWorld's queue."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["depth"] = "depth"
    world: MemoryWorld

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("queue_depth",)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Depth(self.world, surroundings.clock)


class _Depth:
    def __init__(self, world: MemoryWorld, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    async def sample(self) -> Sample:
        return Sample({"queue_depth": self._world.world.queue(self._clock.now_ns()).depth})


@dataclass
class Planted:
    """A pipeline with a capacity. Where it isn't `watched` nothing but the depth of its queue shows a backlog.

    capacity  events per second that its workers get done, on average
    """

    capacity: float
    sandbox: Mapping[str, Any]
    slos: Sequence[str] = ("errors == 0",)
    watched: bool = True
    gauged: bool = False
    seed: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 0

    def run(self, rate: Fraction, length_ns: int, directory: Path, warmup_ns: int = 0) -> Report:
        """A trial: a run of its own against a pipeline that is empty."""
        assert warmup_ns == 0, "no iteration has to be under way"
        self.runs += 1
        directory.mkdir(parents=True)
        settings = {"seed": self.seed * 1000 + self.runs, "visibility": "20ms", **self.sandbox}
        world = MemoryWorld(SandboxSettings.model_validate(settings))
        load = [{"rate": f"{float(rate):f}/s", "for": duration_text(length_ns)}]
        return (
            Simulation(
                world,
                load=load,
                slos=self.slos,
                gauges={"work-queue": Depth(world=world, every="500ms")} if self.gauged else {},
                probe={"bulk": 500, "deadline": "60s", "confirm": {"reads": 0}},
                watched=self.watched,
                observe="0s" if self.watched else "25s",
                seed=self.seed * 1000 + self.runs,
                ledger_path=directory / "events.sqlite",
                **self.more,
            )
            .run()
            .report
        )

    def search(self, path: Path, plan: Plan, length_s: int = 60, made: Sequence[Trial] = ()) -> Ceiling:
        """Look for its ceiling, in a directory."""
        path.mkdir(exist_ok=True)
        question = Question("planted", "main", datetime(2026, 1, 1, tzinfo=UTC), plan, length_s * S, "digest")
        return seek(question, SearchDirectory(path), made, self.run, pause=no_pause, looking=Nobody())


def no_pause(before: Trial, following: Next) -> None:
    """Each trial has a pipeline of its own."""


class Nobody:
    """Looks at nothing."""

    def begins(self, number: int, following: Next, length_ns: int) -> None:
        pass

    def over(self, trial: Trial) -> None:
        pass

    def cut_off(self, number: int, aside: str) -> None:
        pass
