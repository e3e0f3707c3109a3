"""Reach, drain, recovery and stretches against planted truth, in whole runs in virtual time: each interval holds it.

Every fourth system withstands: its fault is none, or so short that nothing comes of it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import pytest
from pydantic import ConfigDict, Field

from evload.clock import Clock
from evload.model.correlation import CorrelationIds
from evload.model.report import ObjectiveResult, Result
from evload.model.states import State
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.stats.windows import Allowance
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs.shares import seeds

MS = 1_000_000
S = 1_000 * MS
LEVEL = 15
AFTER_NS = 9 * S


class Depth(GaugeSettings):
    """The depth of a MemoryWorld's queue, true at some moment within each sample."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["depth"] = "depth"
    world: MemoryWorld
    takes_ms: int = 40
    looks: list[int] = Field(default_factory=list)
    """When it was true, on the clock of the run."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("queue_depth",)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Depth(self, surroundings.clock)


class _Depth:
    def __init__(self, settings: Depth, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = random.Random(settings.world.settings.seed)

    async def sample(self) -> Sample:
        start, takes = self._clock.now_ns(), self._settings.takes_ms * MS
        await self._clock.sleep_until_ns(start + self._rng.randrange(takes))
        self._settings.looks.append(self._clock.now_ns())
        depth = self._settings.world.world.queue(self._clock.now_ns()).depth
        await self._clock.sleep_until_ns(start + takes)
        return Sample({"queue_depth": depth})


@dataclass(frozen=True)
class Run:
    """A run of 12 s with a fault of the workers and one of the broker, and what really happened."""

    seed: int
    done: Simulated
    memory: MemoryWorld
    looks: list[int]
    """When the gauge looked, since the schedule began."""

    def observed(self, expression: str) -> tuple[int | None, int | None]:
        """What came of an objective, in nanoseconds."""
        (one,) = (one for one in self.done.report.objectives if one.expression.startswith(expression))
        low, high = (None if end is None else round(end * S) for end in one.observed)
        return low, high

    def the(self, expression: str) -> ObjectiveResult:
        """What came of an objective."""
        (one,) = (one for one in self.done.report.objectives if one.expression.startswith(expression))
        return one

    @cached_property
    def depths(self) -> list[tuple[int, int]]:
        """(since, depth) in nanoseconds since the schedule began."""
        moves = []
        for truth in self.memory.world.truths():
            moves.append((truth.received_ns - self.done.start_ns, 1))
            if truth.consumed_ns is not None:
                moves.append((truth.consumed_ns - self.done.start_ns, -1))
        depth, found = 0, [(-S, 0)]
        for at_ns, move in sorted(moves, key=lambda one: (one[0], -one[1])):
            depth += move
            found.append((at_ns, depth))
        return found

    def first(self, from_ns: int, holds: Callable[[int], bool]) -> int | None:
        """When the depth first holds from a moment on, until a look at it at least: what is over before the next look
        was seen by nobody."""
        start = bisect_right(self.depths, from_ns, key=lambda one: one[0]) - 1
        since: int | None = None
        for (at_ns, depth), (until_ns, _) in pairwise([*self.depths[start:], (2**62, 0)]):
            since = (max(at_ns, from_ns) if since is None else since) if holds(depth) else None
            if since is not None and any(max(at_ns, from_ns) <= look < until_ns for look in self.looks):
                return since
        return None

    def longest_above(self) -> int:
        """For how long the depth was at the level or above, at most."""
        longest, since = 0, None
        for at_ns, depth in self.depths:
            if since is not None:
                longest = max(longest, at_ns - since)
            since = (at_ns if since is None else since) if depth >= LEVEL else None
        return longest

    def silence(self) -> int:
        """The longest time between two acks in which somebody waited for one."""
        start = self.done.start_ns
        seen = self.done.observations
        due = sorted(one.intended_ns - start for one in seen)
        good = [
            (one.intended_ns - start, one.acked_ns - start)
            for one in seen
            if one.state >= State.VISIBLE and one.acked_ns is not None
        ]
        acks = sorted(at for _, at in good)
        longest = 0
        for before, after in pairwise([-S, *acks, due[-1]]):
            waiting = before >= 0 and any(asked <= before < at for asked, at in good)
            later = [at for at in due if at > before]
            begun = before if waiting else later[0] if later else after
            longest = max(longest, after - begun)
        return longest

    def not_recovered(self, from_ns: int, limit_ns: int, share: Fraction) -> int:
        """When the last window of 10 s ends, of those that begin each second from a moment on, in which too many
        events took longer than the limit; since that moment."""
        truths, start = self.memory.truths(), self.done.start_ns
        ids = CorrelationIds.for_run("simulation")
        bad_in: dict[int, list[int]] = {}
        for one in self.done.observations:
            if one.state < State.VISIBLE or one.acked_ns is None:
                continue
            shown = truths[ids.id_of(one.seq)].stable_visible_ns
            bad = shown is None or shown - one.acked_ns >= limit_ns
            counts = bad_in.setdefault((one.intended_ns - start) // S, [0, 0])
            counts[0] += 1
            counts[1] += bad
        allowance, last = Allowance(1 - share, strict=False, sparse=True), 0
        steps = max(bad_in) + 1
        first = -(-from_ns // S)
        for begin in range(first, max(first + 1, steps - 9)):
            window = [bad_in.get(step, [0, 0]) for step in range(begin, min(begin + 10, steps))]
            events, bad_events = sum(n for n, _ in window), sum(bad for _, bad in window)
            if events and bad_events > allowance.allowed(events):
                last = max(last, min(begin + 10, steps) * S - from_ns)
        return last


def holds(ends: tuple[int | None, int | None], truth: int | None) -> bool:
    low, high = ends
    if truth is None:
        return high is None
    return low is not None and low <= truth and (high is None or truth <= high)


def ran(seed: int, **more: Any) -> Run:
    chance = random.Random(f"planted {seed}")
    faults: list[dict[str, Any]] = []
    if seed % 4:
        faults = [
            {
                "what": what,
                "at": f"{chance.randrange(2000, 7000)}ms",
                "lasting": f"{chance.randrange(10 if seed % 4 == 1 else 1000, 4000)}ms",
            }
            for what in ("workers-down", "broker-down")
        ]  # fmt: skip
    memory = MemoryWorld(
        SandboxSettings.model_validate(
            {"seed": seed, "workers": 2, "service": {"uniform": {"from": "10ms", "to": "50ms"}}, "faults": faults}
        )
    )
    gauge = Depth.model_validate({"world": memory, "every": "250ms", "takes_ms": chance.randrange(2, 90)})
    simulation = Simulation(
        memory, ({"rate": "30/s", "for": "12s"}, {"idle": "8s"}), seed=seed,
        gauges={"queue": gauge},
        probe={"bulk": 500, "deadline": "15s"},
        slos=[
            {"text": f"reach(queue_depth >= {LEVEL}) < 30s", "scenario": "main"},
            {"text": "drain(queue_depth <= 3) < 30s", "after": "9s"},
            {"text": "recovery(p90(consistency) < 300ms) < 30s", "after": "5s"},
            f"stretch(queue_depth >= {LEVEL}) < 30s",
            "stretch(errors) < 30s",
            "span(publish) < 30s",
        ],
        **more,
    )  # fmt: skip
    done = simulation.run()
    return Run(seed, done, memory, [look - done.start_ns for look in gauge.looks])


@pytest.mark.parametrize("seed", seeds(200, 5))
def test_the_planted_truth_lies_in_every_interval(seed: int) -> None:
    run = ran(seed)
    assert holds(run.observed("reach"), run.first(0, lambda depth: depth >= LEVEL))
    back = run.first(AFTER_NS, lambda depth: depth <= 3)
    assert back is not None
    if run.the("drain").note != "the gauge never moved, so nothing can be told of its way back":
        assert holds(run.observed("drain"), back - AFTER_NS)
    assert holds(run.observed("recovery"), run.not_recovered(5 * S, 300 * MS, Fraction(9, 10)))
    assert holds(run.observed("stretch(queue"), run.longest_above())
    assert holds(run.observed("stretch(errors"), run.silence())
    answers = [one.acked_ns for one in run.done.observations if one.acked_ns is not None]
    span = max(answers) - min(one.intended_ns for one in run.done.observations)
    assert run.observed("span") == (span, span)


def test_a_system_that_withstands_is_never_away_and_reaches_nothing() -> None:
    run = ran(4)
    assert run.the("reach").result is Result.INCONCLUSIVE
    assert run.the("reach").note == "it was not reached by the last sample"
    assert run.the("recovery").observed == (0, 0)
    assert run.the("stretch(queue").observed[0] == 0
    high = run.the("stretch(errors").observed[1]
    assert high is not None
    assert high <= 0.2


def test_the_rate_offered_when_it_was_reached_is_named() -> None:
    memory = MemoryWorld(SandboxSettings(seed=1, workers=1, service=SandboxSettings().service))
    simulation = Simulation(
        memory, ({"from": "0/s", "to": "500/s", "for": "10s"},), watched=False,
        gauges={"queue": Depth(world=memory, every="100ms", takes_ms=2)},
        slos=[{"text": "reach(queue_depth > 30) < 30s", "scenario": "main"}],
    )  # fmt: skip
    (found,) = simulation.run().report.objectives
    low, high = found.observed
    assert low is not None
    assert high is not None
    assert found.note == f"reached at {50 * low:g}/s to {50 * high:g}/s offered"
    assert 4 < low < high < 6, "one worker takes 200/s"
