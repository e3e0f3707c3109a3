"""What an event costs that is watched in bulk, and how wide its brackets are. In virtual time.

    python -m benchmarks.watched

Events become visible after a lognormal time, 150 ms in the median and 900 ms at p99, and each stays so. CPU time of
whole runs, with a ledger file, and of the same load that nobody watches, in turns; at a tenth of the rate, too, where
few events are due together.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, Literal

from pydantic import ConfigDict, TypeAdapter

from evload.clock import Clock
from evload.config import RunConfig, Scenario
from evload.ledger.writer import LedgerFile
from evload.model.states import Outcome, Seen
from evload.model.summary import Summary
from evload.model.travel import Event, Observation, Read, ReadResult, Receipt, Target
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.sandbox.delay import Lognormal
from evload.spi.context import Surroundings
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.testing import run_virtual, virtual_clock
from evload.workload.events import EventSettings

from .rig import CLIENT_CORE, BenchmarkError

_RATES: Final = {10_000: 20_000, 1_000: 6_000}
"""Events per second, and how many."""
_ROUNDS: Final = 3
_BULK: Final = 1_000
_VISIBLE_AFTER: Final = Lognormal(150_000_000, 900_000_000)
_CONFIRM_S: Final = 0.002
_HALF_ANSWER_S: Final = 0.0005
_WIDEST: Final = 1.5
"""Of brackets at the high rate to those at the low one."""
_SHOWN: Final = (0.5, 0.9, 0.99)


@dataclass(slots=True)
class _World:
    """Keeps when each event becomes visible, by its number."""

    rng: random.Random = field(default_factory=lambda: random.Random(1))
    visible_ns: dict[int, int] = field(default_factory=dict)


class _ProducerSettings(ProducerSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["world"] = "world"
    world: _World

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        yield _Producer(self.world, surroundings.clock)


class _Producer:
    def __init__(self, world: _World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        now, world = self._clock.now_ns(), self._world
        seqs = [event.seq for event in batch]
        for seq in seqs:
            world.visible_ns[seq] = now + _VISIBLE_AFTER.draw(world.rng)
        self._loop.call_later(_CONFIRM_S, self._confirm, seqs, now, settle)

    def _confirm(self, seqs: list[int], sent_ns: int, settle: Settle) -> None:
        now = self._clock.now_ns()
        settle([Receipt(seq, Outcome.ACCEPTED, sent_ns, now) for seq in seqs])


class _ProbeSettings(ProbeSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["world"] = "world"
    world: _World

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Probe(self.world, surroundings.clock)


class _Probe:
    def __init__(self, world: _World, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        start, visible_ns = self._clock.now_ns(), self._world.visible_ns
        await asyncio.sleep(_HALF_ANSWER_S)
        now = self._clock.now_ns()
        there = {target.seq for target in targets if visible_ns[target.seq] <= now}
        await asyncio.sleep(_HALF_ANSWER_S)
        end = self._clock.now_ns()
        return ReadResult([Read(t.seq, Seen.PRESENT if t.seq in there else Seen.ABSENT, start, end) for t in targets])


class _Kept(LedgerFile):
    """Keeps what is settled for a look at each event."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {}, threaded=False)
        self.observations: list[Observation] = []

    def append(self, observations: Sequence[Observation], scheduled: Sequence[tuple[int, int]] = ()) -> None:
        self.observations += observations
        super().append(observations, scheduled)


@dataclass(frozen=True, slots=True)
class _Done:
    """One run: CPU in µs and reads of an event, events whose truth was outside, relative widths at `_SHOWN`."""

    cost: float
    reads: float
    outside: int
    widths: Sequence[float]


def main() -> None:
    """Print what each run took, then the ratios."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # As in a run.
    found: dict[tuple[int, bool], list[_Done]] = {}
    for _ in range(_ROUNDS):
        for rate, events in _RATES.items():
            for watched in (True, False):
                done = _run(rate, events, watched)
                found.setdefault((rate, watched), []).append(done)
                print(
                    f"{rate:6}/s: {_told(done) if watched else f'unwatched {done.cost:.0f} µs an event'}", flush=True
                )
    costs = {way: median(done.cost for done in runs) for way, runs in found.items()}
    outside = sum(done.outside for runs in found.values() for done in runs)
    fast, slow = _RATES
    widths = zip(found[fast, True][0].widths, found[slow, True][0].widths, strict=True)
    each = ", ".join(f"{costs[rate, True] / costs[rate, False]:.2f} x at {rate}/s" for rate in _RATES)
    print(
        f"ratio: a watched event takes {each} what one takes that nobody watches; brackets at {fast}/s are at most "
        f"{max(a / b for a, b in widths):.2f} x as wide as at {slow}/s (target: {_WIDEST:g}), {outside} outside "
        "(target: 0)"
    )


def _told(done: _Done) -> str:
    widths = ", ".join(f"p{share * 100:g} {width:.1%}" for share, width in zip(_SHOWN, done.widths, strict=True))
    return f"watched {done.cost:.0f} µs an event, {done.reads:.1f} reads; width {widths}; {done.outside} outside"


def _run(rate: int, events: int, watched: bool) -> _Done:
    world = _World()
    config = _config(world, rate, events, watched)

    async def run(directory: Path) -> tuple[Summary, _Kept]:
        ledger = _Kept(directory / "events.sqlite")
        return await execute(prepare(config, "watched"), virtual_clock(), ledger), ledger

    gc.collect()
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        began = time.process_time_ns()
        summary, ledger = run_virtual(run(Path(directory)))
        took = time.process_time_ns() - began
    if summary.total().ledger["acked"] != events:
        raise BenchmarkError(f"the run went wrong: {dict(summary.total().ledger)}, {summary.vitals.errors}")
    looked = [_width(seen, world.visible_ns[seen.seq]) for seen in ledger.observations if watched]
    widths = sorted(width for width in looked if width is not None)
    at = [widths[int(share * len(widths))] for share in _SHOWN] if widths else []
    return _Done(took / events / 1e3, summary.vitals.event_reads / events, looked.count(None), at)


def _width(seen: Observation, visible_ns: int) -> float | None:
    """Of the bracket, as a share of the time from the ack to its upper end; None: the truth is not in it."""
    low, high, acked = seen.stable_lower_ns or seen.sent_ns, seen.stable_upper_ns, seen.acked_ns
    assert low is not None
    assert acked is not None
    if high is None or not low < visible_ns <= high:
        return None
    return (high - max(low, acked)) / (high - acked)


def _config(world: _World, rate: int, events: int, watched: bool) -> RunConfig:
    load = [{"rate": f"{rate}/s", "for": f"{events * 1000 // rate}ms"}]
    probes = ["world"] if watched else []
    return RunConfig(
        name="watched",
        seed=1,
        sandbox=None,
        producers={"world": _ProducerSettings(world=world)},
        events={"event": EventSettings(type="kept", source="/evload/bench", data={"id": "{uuid}"})},
        probes={"world": _ProbeSettings(world=world, bulk=_BULK)} if watched else {},
        gauges={},
        scenarios={
            "main": TypeAdapter(Scenario).validate_python(
                {"producer": "world", "events": ["event"], "probes": probes, "load": load}
            )
        },
        slos=(parse("p99(consistency) < 2s" if watched else "p99(publish) < 2s"),),
        replicas={},
        reports={},
        self_checks=SelfCheckPolicy(),
        settle=60_000_000_000,
        records={"event": None},
    )


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.watched: {error}")
