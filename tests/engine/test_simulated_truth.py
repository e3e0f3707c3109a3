"""Whole runs against planted truth in virtual time: brackets contain it and counts equal it, seed after seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.states import State
from evload.model.travel import Observation
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.truth import Truth
from evload.stats.histogram import bracket, rank_of
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs.shares import seeds

MS = 1_000_000
S = 1_000 * MS
PERCENTILES = [Fraction(50, 100), Fraction(90, 100), Fraction(95, 100), Fraction(99, 100)]

PLANTED: Mapping[str, Any] = {
    "workers": 100,
    "visibility": {"lognormal": {"median": "150ms", "p99": "900ms"}},
    "loss": "0.5%",
    "duplicates": {"share": "0.3%"},
    "regressions": {"share": "0.2%", "lasting": {"uniform": {"from": "1s", "to": "2s"}}},
    "swaps": "0.2%",
}  # fmt: skip


def pairs(run: Simulated, memory: MemoryWorld) -> list[tuple[Observation, Truth]]:
    """Each event with what really happened to it."""
    ids = CorrelationIds.for_run("simulation")
    truths = memory.truths()
    assert len(truths) == len(run.observations)
    return [(seen, truths[ids.id_of(seen.seq)]) for seen in run.observations]


def simulate(
    seed: int, *, rate: str = "100/s", lasting: str = "10s", name_replicas: bool = True, **planted: Any
) -> tuple[Simulated, list[tuple[Observation, Truth]]]:
    settings = SandboxSettings.model_validate({"seed": seed, **planted})
    memory = MemoryWorld(settings, answer=parse_delay("2ms"), name_replicas=name_replicas)
    simulation = Simulation(
        memory, ({"rate": rate, "for": lasting},), seed=seed, key="{data.group}", arrivals="poisson",
        slos=["p99(consistency) < 2s"], probe={"bulk": 500, "deadline": "8s"},
    )  # fmt: skip
    run = simulation.run()
    return run, pairs(run, memory)


def percentile_brackets(run: Simulated, metric: str) -> list[tuple[int | None, int | None]]:
    distribution = run.summary.scenarios["main"].distributions[metric]
    return [bracket(p, distribution.lower, distribution.upper) for p in PERCENTILES]


def order_statistics(times: Sequence[int | None]) -> list[int | None]:
    """The true percentiles; None is never."""
    known = sorted(time for time in times if time is not None)
    ranks = [rank_of(p, len(times)) for p in PERCENTILES]
    return [known[rank - 1] if rank <= len(known) else None for rank in ranks]


def holds(low: int | None, truth: int | None, high: int | None) -> bool:
    if truth is None:
        return high is None
    return (low or 0) <= truth and (high is None or truth <= high)


def consistency_of(seen: Observation, truth: Truth) -> int | None:
    assert seen.acked_ns is not None
    stable = truth.stable_visible_ns
    return None if stable is None else max(0, stable - seen.acked_ns)


@pytest.mark.parametrize("seed", seeds(20, 7))
def test_the_planted_truth_is_recovered(seed: int) -> None:
    run, events = simulate(seed, **PLANTED)
    for seen, truth in events:
        assert seen.state is (State.LOST if truth.lost else State.VISIBLE)
        assert holds(seen.stable_lower_ns, truth.stable_visible_ns, seen.stable_upper_ns), (seen, truth)
        assert holds(seen.first_lower_ns, truth.first_visible_ns, seen.first_upper_ns), (seen, truth)
    ledger = run.summary.total().ledger
    assert ledger["lost"] == sum(truth.lost for _, truth in events)
    assert ledger["duplicated"] == sum(truth.effects > 1 for _, truth in events)
    assert ledger["regressions"] == sum(bool(truth.hidden) for _, truth in events)
    assert ledger["out_of_order"] == sum(was_owed_its_order(seen, events) for seen, truth in events if truth.swapped)
    truths = order_statistics([consistency_of(seen, truth) for seen, truth in events])
    for (low, high), time in zip(percentile_brackets(run, "consistency"), truths, strict=True):
        assert holds(low, time, high)
        assert low is not None
        assert (high is None) == (time is None)
        assert high is None or high - low <= 0.12 * high


def was_owed_its_order(swapped: Observation, events: Sequence[tuple[Observation, Truth]]) -> bool:
    """Whether what was applied before it was sent after its ack; else the two were concurrent."""
    assert swapped.acked_ns is not None
    assert isinstance(swapped.position, int | float)
    return any(
        other.key == swapped.key and other.position < swapped.position and other.sent_ns >= swapped.acked_ns
        for other, _ in events
        if isinstance(other.position, int | float) and other.sent_ns is not None
    )


def test_the_seeds_above_plant_something_of_everything() -> None:
    planted = dict.fromkeys(("lost", "duplicated", "regressions", "out_of_order"), 0)
    for seed in (0, 1):
        run, _ = simulate(seed, **PLANTED)
        for name in planted:
            planted[name] += run.summary.total().ledger[name]
    assert all(planted.values()), planted


LAGGING = [{"name": name, "lag": lag} for name, lag in (("a", "100ms"), ("b", "100ms"), ("c", "2s"))]


@pytest.mark.parametrize("seed", seeds(3, 1))
def test_of_named_replicas_the_slowest_decides_consistency_and_the_first_the_first_sighting(seed: int) -> None:
    run, events = simulate(seed, lasting="6s", replicas=LAGGING, workers=50, visibility="10ms")
    assert run.summary.vitals.replicas == {"memory": ["a", "b", "c"]}
    for seen, truth in events:
        assert (seen.state, seen.regressions) == (State.VISIBLE, 0)
        assert holds(seen.stable_lower_ns, truth.stable_visible_ns, seen.stable_upper_ns)
        assert holds(seen.first_lower_ns, truth.first_visible_ns, seen.first_upper_ns)
    for (low, high), (first_low, first_high) in zip(
        percentile_brackets(run, "consistency"), percentile_brackets(run, "first_seen"), strict=True
    ):
        assert low is not None
        assert high is not None
        assert first_high is not None
        assert low <= 2013 * MS <= high
        assert low > 1500 * MS
        assert (first_low or 0) <= 113 * MS <= first_high < 200 * MS


@pytest.mark.parametrize("seed", seeds(3, 1))
def test_of_anonymous_replicas_what_the_client_saw_is_all_that_is_claimed(seed: int) -> None:
    """Nothing is claimed that some client can't have seen.

    A sighting proves that the first replica showed it, and a negative read that the last one did not: the
    upper end of first-seen and the lower end of stable-visible hold. The other ends are this client's own,
    because nobody can tell which replicas it met; the summary says that they could not be told apart.
    """
    run, events = simulate(seed, lasting="6s", name_replicas=False, replicas=LAGGING, workers=50, visibility="10ms")
    assert run.summary.vitals.replicas == {"memory": []}
    too_early = 0
    for seen, truth in events:
        assert truth.first_visible_ns is not None
        assert truth.stable_visible_ns is not None
        assert seen.first_upper_ns is not None
        assert truth.first_visible_ns <= seen.first_upper_ns
        assert seen.stable_lower_ns is None or seen.stable_lower_ns < truth.stable_visible_ns
        if seen.stable_upper_ns is not None:
            assert seen.first_upper_ns <= seen.stable_upper_ns
            too_early += seen.stable_upper_ns < truth.stable_visible_ns
    assert too_early, "which is why replicas should be named"
    assert run.summary.total().ledger["regressions"] > len(events) / 5, "reads went back and forth between them"


def test_a_replica_that_stays_stale_for_some_is_waited_for() -> None:
    replicas = [
        {"name": "fresh"},
        {"name": "stale", "lag": "50ms", "stale": {"share": "10%", "lasting": "3s"}},
    ]
    run, events = simulate(5, lasting="6s", replicas=replicas, workers=50)
    for seen, truth in events:
        assert seen.state is State.VISIBLE
        assert holds(seen.stable_lower_ns, truth.stable_visible_ns, seen.stable_upper_ns)
    slow = sum(1 for seen, truth in events if (consistency_of(seen, truth) or 0) > 2 * S)
    counts = run.summary.scenarios["main"].distributions["consistency"].thresholds[2 * S]
    assert counts.beyond == slow > 0
    assert counts.within == len(events) - slow
