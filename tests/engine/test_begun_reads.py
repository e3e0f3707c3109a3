"""A probe that begins many reads with one call: the truth is found as ever, and what it does wrong ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.states import Seen, State
from evload.model.travel import Read, ReadResult, Target
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.spi.context import Capabilities, Surroundings
from evload.spi.probe import Probe
from evload.testing import MemoryWorld, check_probe, run_virtual, virtual_clock
from evload.testing.conformance.samples import sample_targets
from evload.testing.memory_world import MemoryProbeSettings
from evload.testing.simulation import Simulated, Simulation

Change = Callable[[ReadResult], ReadResult | None]


class _Beginning(MemoryWorld):
    """A world whose probe begins its reads; `change` is what it makes of each result, None: it is kept back."""

    change: Change = staticmethod(lambda result: result)
    longest = 0
    """Most reads that were begun with one call."""

    def probe(self, **settings: Any) -> MemoryProbeSettings:
        return _BeginningSettings(kind="memory", world=self, **settings)


class _BeginningSettings(MemoryProbeSettings):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=super().capabilities.tells, begins_many=True)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        async with super().open(surroundings) as probe:
            assert isinstance(self.world, _Beginning)
            yield _BeginningProbe(probe, self.world)


class _BeginningProbe:
    def __init__(self, probe: Probe, world: _Beginning) -> None:
        self._world = world
        self._probe = probe
        self._told: list[ReadResult] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        return await self._probe.read(targets)

    def begin(self, targets: Sequence[Target], report: Callable[[ReadResult], None]) -> None:
        self._world.longest = max(self._world.longest, len(targets))
        for target in targets:
            task = asyncio.ensure_future(self._one(target, report))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _one(self, target: Target, report: Callable[[ReadResult], None]) -> None:
        result = self._world.change(await self._probe.read([target]))
        if result is None:
            return
        if result.error:
            report(result)
            return
        # Good ones of one turn go together.
        self._told.append(result)
        if len(self._told) == 1:
            asyncio.get_running_loop().call_soon(self._report, report)

    def _report(self, report: Callable[[ReadResult], None]) -> None:
        told, self._told = self._told, []
        report(ReadResult([read for result in told for read in result.reads]))


def simulate(
    world: _Beginning, rate: str = "100/s", slos: Sequence[str] = ("p99(consistency) < 2s",), **probe: Any
) -> Simulated:
    return Simulation(
        world,
        ({"rate": rate, "for": "4s"},),
        seed=3,
        arrivals="poisson",
        slos=slos,
        probe={"deadline": "6s", **probe},
    ).run()


PLANTED: Mapping[str, Any] = {
    "visibility": {"lognormal": {"median": "150ms", "p99": "900ms"}}, "workers": 100, "loss": "2%",
    "regressions": {"share": "2%", "lasting": {"uniform": {"from": "1s", "to": "2s"}}},
}  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_every_bracket_holds_the_truth(seed: int) -> None:
    world = _Beginning(SandboxSettings.model_validate({"seed": seed, **PLANTED}), parse_delay("2ms"))
    run = simulate(world)
    truths, ids = world.truths(), CorrelationIds.for_run("simulation")
    for seen in run.observations:
        truth = truths[ids.id_of(seen.seq)]
        assert seen.state is (State.LOST if truth.lost else State.VISIBLE)
        if truth.stable_visible_ns is not None:
            assert (seen.stable_lower_ns or 0) <= truth.stable_visible_ns <= (seen.stable_upper_ns or 0)
        if truth.first_visible_ns is not None:
            assert (seen.first_lower_ns or 0) <= truth.first_visible_ns <= (seen.first_upper_ns or 0)
    assert run.summary.total().ledger["regressions"] == sum(bool(truth.hidden) for truth in truths.values())
    assert world.longest > 1


def test_each_of_them_is_a_request() -> None:
    run = simulate(_Beginning(SandboxSettings(visibility=parse_delay("200ms"))))
    vitals = run.summary.vitals
    (own,) = vitals.probes.values()
    assert (
        vitals.read_requests
        == vitals.event_reads
        == own.requests
        == own.events
        == sum(seen.reads for seen in run.observations)
    )


def test_what_shows_nothing_is_counted_by_what_was_answered() -> None:
    """Of one result some reads may show their event, and others not."""
    run = simulate(_Beginning(SandboxSettings.model_validate({"visibility": "100ms", "loss": "50%"})))
    (own,) = run.summary.vitals.probes.values()
    shown = sum(seen.reads for seen in run.observations if seen.state is State.VISIBLE)
    lost = sum(seen.reads for seen in run.observations if seen.state is State.LOST)
    assert lost < own.blanks["nothing of it"] < lost + shown


def test_failed_reads_are_told_and_the_events_are_seen_all_the_same() -> None:
    run = simulate(_Beginning(SandboxSettings(visibility=parse_delay("100ms")), broken_reads=0.2))
    vitals = run.summary.vitals
    assert run.summary.total().ledger["visible"] == len(run.observations) > 300
    assert vitals.failed_reads == sum(seen.failed_reads for seen in run.observations) > 200
    assert vitals.errors == {"memory: the read model is down": vitals.failed_reads}


@pytest.mark.parametrize("limit", ["400/s", None])
def test_a_limit_holds_and_who_is_asked_too_much_is_left_alone(limit: str | None) -> None:
    world = _Beginning(SandboxSettings(visibility=parse_delay("300ms")), most_reads=500)
    run = simulate(world, max_reads=limit)
    (own,) = run.summary.vitals.probes.values()
    assert own.throttled == 0 if limit else own.throttled > 0
    assert own.busiest <= 400 or limit is None
    assert run.summary.total().ledger["visible"] == len(run.observations)


def test_no_more_than_may_be_at_a_time_are_on_their_way() -> None:
    world = _Beginning(SandboxSettings(visibility=parse_delay("300ms")), answer=parse_delay("50ms"))
    run = simulate(world, rate="300/s", parallel=7)
    assert world.longest <= 7
    assert run.summary.total().ledger["visible"] == len(run.observations)


@pytest.mark.parametrize(
    "change",
    [
        lambda result: ReadResult([]),
        lambda result: ReadResult(result.reads * 2),
        lambda result: ReadResult([Read(r.seq, Seen.ABSENT, r.start_ns, r.end_ns) for r in result.reads * 64]),
    ],
    ids=["about none", "twice", "64 times"],
)
def test_a_probe_that_says_too_much_or_nothing_ends_the_run(change: Change) -> None:
    world = _Beginning(SandboxSettings())
    world.change = change
    with pytest.raises(ExceptionGroup) as raised:
        simulate(world, parallel=1)
    assert "probe 'memory' answered about other events than it was asked for" in repr(raised.value)


def checked(settings: MemoryProbeSettings, events: int) -> Mapping[int, Read]:
    async def main() -> Mapping[int, Read]:
        return await check_probe(settings, virtual_clock(), sample_targets(events))

    return run_virtual(main())


def test_one_that_keeps_its_promises_does_so_by_the_kit() -> None:
    world = _Beginning(SandboxSettings(), broken_reads=0.2)
    found = checked(world.probe(), 25)
    assert sorted(found) == list(range(25))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda result: None, r"begun about \[0, 1.*answered about \[\]"),
        (lambda result: ReadResult(result.reads * 2), r"begun about \[0, 1.*answered about \[0, 0, 1"),
        (lambda result: ReadResult([r._replace(start_ns=-1) for r in result.reads]), "stamps out of order"),
        (lambda result: ReadResult([r._replace(seen=Seen.FAILED) for r in result.reads]), "without a reason"),
    ],
    ids=["kept back", "twice", "stamps", "no reason"],
)
def test_one_that_breaks_them_is_told_what_is_wrong(change: Change, told: str) -> None:
    world = _Beginning(SandboxSettings())
    world.change = change
    with pytest.raises(AssertionError, match=told):
        checked(world.probe(), 25)


class _Boasting(MemoryProbeSettings):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=super().capabilities.tells, begins_many=True)


def test_what_is_declared_is_there() -> None:
    settings = _Boasting(kind="memory", world=MemoryWorld(SandboxSettings()))
    with pytest.raises(AssertionError, match="begins_many is True, and there is no begin"):
        checked(settings, 5)


def test_many_ids_in_one_request_are_not_begun() -> None:
    settings = _BeginningSettings(kind="memory", world=_Beginning(SandboxSettings()), bulk=10)
    with pytest.raises(AssertionError, match="bulk is 10, and what is begun is about one event each"):
        checked(settings, 5)
