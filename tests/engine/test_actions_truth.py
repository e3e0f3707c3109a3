"""What is judged around an action, held against what really happened in systems that were planted."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from evload.model.report import Result
from evload.sandbox.settings import SandboxSettings
from evload.testing.memory_world import MemoryWorld
from evload.testing.simulation import Simulation
from evload.testing.virtual_time import virtual_clock
from tests.engine.test_simulated_gauges import LEVEL, MS, Depth, Run, holds
from tests.rigs.shares import seeds

NAME = "fault"


def ran(seed: int) -> Run:
    """A run of 16 s and 8 s more to look, with a fault whose doing and undoing take their time: without workers, with
    slow ones, or, one time in four, with nothing that anybody would notice."""
    chance = random.Random(f"action {seed}")
    memory = MemoryWorld(
        SandboxSettings.model_validate(
            {"seed": seed, "workers": 2, "service": {"uniform": {"from": "10ms", "to": "50ms"}}}
        )
    )

    def change(**patch: Any) -> Any:
        return lambda: memory.world.change(virtual_clock().now_ns(), patch)

    takes = f"{chance.randrange(1, 400)}ms"
    what: dict[str, Any] = ({"workers": 2}, {"workers": 0}, {"workers": 1}, {"service": "200ms"})[seed % 4]
    back = {"workers": 2, "service": {"uniform": {"from": "10ms", "to": "50ms"}}}
    action = {
        "at": f"{chance.randrange(1000, 3000)}ms",
        "for": f"{chance.randrange(500, 4000)}ms",
        "do": [memory.activity(change(**what), takes=takes)],
        "undo": [memory.activity(change(**back), takes=takes, fails=chance.randrange(3))],
    }
    gauge = Depth.model_validate({"world": memory, "every": "250ms", "takes_ms": chance.randrange(2, 90)})
    done = Simulation(
        memory, ({"rate": "30/s", "for": "16s"},), seed=seed, gauges={"queue": gauge}, actions={NAME: action},
        probe={"bulk": 500, "deadline": "20s"}, observe="8s",
        slos=[
            {"text": "drain(queue_depth <= 3) < 30s", "after": NAME},
            {"text": "reach(queue_depth <= 2) < 30s", "after": NAME},
            {"text": "recovery(p90(consistency) < 300ms) < 30s", "after": NAME},
            {"text": f"stretch(queue_depth >= {LEVEL}) < 30s", "during": NAME},
            {"text": "max(queue_depth) < 1000", "during": NAME},
            {"text": "max(consistency) < 30s", "during": NAME},
            {"text": "max(consistency) < 29s", "after": NAME},
        ],
    ).run()  # fmt: skip
    return Run(seed, done, memory, [look - done.start_ns for look in gauge.looks])


@pytest.mark.parametrize("seed", seeds(200, 6))
def test_the_planted_truth_lies_in_every_interval(seed: int) -> None:
    run = ran(seed)
    (marker,) = run.done.summary.markers
    assert marker.inner is not None
    (begun, over), ended = marker.inner, marker.outer[1]
    assert over is not None
    assert ended is not None
    due = [one.intended_ns - run.done.start_ns for one in run.done.observations]
    slices = run.done.summary.scenarios["main"].slices
    assert slices[f"during={NAME}"].ledger["scheduled"] == sum(begun <= at <= over for at in due)
    assert slices[f"after={NAME}"].ledger["scheduled"] == sum(ended <= at for at in due)

    back = run.first(ended, lambda depth: depth <= 3)
    assert back is not None
    if run.the("drain").note != "the gauge never moved, so nothing can be told of its way back":
        assert holds(run.observed("drain"), back - ended)
    there = run.first(ended, lambda depth: depth <= 2)
    if run.the("reach").result is not Result.INCONCLUSIVE:
        assert there is not None
        assert holds(run.observed("reach"), there - ended)
    assert holds(run.observed("recovery"), run.not_recovered(ended, 300 * MS, Fraction(9, 10)))
    deepest = [depth for at, depth in run.depths if at <= over]
    low, high = run.the("max(queue_depth)").observed
    assert low == high
    assert low is None or low <= max(deepest)
    longest = longest_above(run, begun, over)
    low_ns, high_ns = run.observed("stretch(queue")
    assert low_ns is None or high_ns is None or low_ns <= longest <= high_ns


def longest_above(run: Run, from_ns: int, to_ns: int) -> int:
    """For how long the depth was at the level or above, at most, from one moment to another."""
    longest, since = 0, None
    inside = [(max(at, from_ns), depth) for at, depth in run.depths if at <= to_ns]
    for at_ns, depth in [*inside, (to_ns, 0)]:
        if since is not None:
            longest = max(longest, at_ns - since)
        since = (at_ns if since is None else since) if depth >= LEVEL else None
    return longest


def test_a_system_that_withstands_the_fault_recovers_in_no_time() -> None:
    run = ran(4)
    assert run.the("recovery").observed == (0, 0)
    assert run.the("recovery").result is Result.PASS
    assert run.the("drain").result is Result.INCONCLUSIVE
    assert run.the("drain").note == "the gauge never moved, so nothing can be told of its way back"


def test_nobody_recovers_from_what_nobody_was_there_for() -> None:
    memory = MemoryWorld()
    action = {"at": "2s", "for": "1s", "do": [memory.activity(int)], "undo": [memory.activity(int)]}
    done = Simulation(
        memory, ({"rate": "50/s", "for": "1s"}, {"idle": "5s"}, {"rate": "50/s", "for": "5s"}),
        actions={NAME: action}, slos=[{"text": "recovery(p90(consistency) < 300ms) < 30s", "after": NAME}],
    ).run()  # fmt: skip

    (found,) = done.report.objectives
    assert found.result is Result.INCONCLUSIVE
    assert found.note == "no event was due while fault was on, so nothing is known to recover from"
