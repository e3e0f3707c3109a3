"""Self-checks of arrivals, reads, what is in flight, and clocks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from checked_runs import checked, sound, sound_vitals
from evload.model.report import CheckResult, Result
from evload.model.vitals import ReadVitals
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from summaries import MS, S

# -- arrival shape -------------------------------------------------------------------------------------------


def _random(sent: Sequence[int], expected: float = 20.0, steps: int | None = None) -> dict[str, Any]:
    """A scenario with random arrivals that sent so many in each second, and its terms."""
    one = sound()
    one.sent_steps = StepCounts(S)
    for second, count in enumerate(sent):
        one.sent_steps.add(second * S, count, 0, 0)
    one.last_intended_ns = len(sent) * S
    length = len(sent) if steps is None else steps
    return {"one": one, "spans": {"s0": ScenarioCriteria(0, length * S, S, (expected,) * length)}}


def _shape(planted: dict[str, Any], **vitals: Any) -> CheckResult:
    return checked(planted["one"], spans=planted["spans"], vitals=sound_vitals(**vitals))["arrival shape"]


def test_poisson_arrivals_scatter_as_they_should() -> None:
    rng = random.Random(3)
    fair = [sum(rng.random() < 0.02 for _ in range(1000)) for _ in range(200)]
    check = _shape(_random(fair))
    assert check.result is Result.PASS
    assert check.value == pytest.approx(1, abs=0.26)
    assert check.note.startswith("s0: dispersion ")


@pytest.mark.parametrize("sent", [[20] * 200, [0, 40] * 100, [18] * 200, [27] * 200])
def test_arrivals_that_are_too_even_too_wild_or_too_few_are_not_random(sent: list[int]) -> None:
    assert _shape(_random(sent)).result is Result.INVALID


def test_steps_in_which_nothing_was_sent_count() -> None:
    rng = random.Random(3)
    half = [sum(rng.random() < 0.02 for _ in range(1000)) for _ in range(100)]
    assert _shape(_random(half)).result is Result.PASS
    assert _shape(_random(half, steps=200)).result is Result.INVALID
    assert _shape(_random(half, steps=200), interrupted=True).result is Result.PASS
    assert _shape(_random(half, steps=200), aborted="lost == 0").result is Result.PASS


def test_too_little_says_nothing_of_the_shape() -> None:
    assert _shape(_random([20] * 9)).note == "fewer than 10 steps expect 5 events or more"
    assert _shape(_random([4] * 200, expected=4.9)).result is Result.SKIPPED
    constant = {"s0": ScenarioCriteria(0, 10 * S)}
    assert checked(sound(), spans=constant)["arrival shape"].note == "no scenario has random arrivals"


# -- observer effect -----------------------------------------------------------------------------------------


def _observer(reads: ReadVitals, budget: float | None = None) -> CheckResult:
    vitals = sound_vitals(
        probes={"idle": ReadVitals(), "index": reads, "good": ReadVitals(requests=10**6, busiest=1)}
    )
    return checked(sound(), vitals=vitals, max_reads={"index": budget, "good": 1000})["observer effect"]


@pytest.mark.parametrize(
    ("reads", "budget", "result", "value", "limit"),
    [
        (ReadVitals(requests=10_000, failed=9, busiest=500), None, Result.PASS, 0.0009, 0.001),
        (ReadVitals(requests=10_000, failed=10, busiest=500), None, Result.INVALID, 0.001, 0.001),
        (ReadVitals(requests=10_000, failed=10, throttled=10, busiest=500), 500, Result.INVALID, 0.001, 0.001),
        (ReadVitals(requests=10_000, busiest=500), 500, Result.PASS, 500, 500),
        (ReadVitals(requests=10_000, busiest=501), 500, Result.INVALID, 501, 500),
    ],
)
def test_reads_stay_within_their_budget_and_hardly_fail(
    reads: ReadVitals, budget: float | None, result: Result, value: float, limit: float
) -> None:
    check = _observer(reads, budget)
    assert (check.result, check.value, check.limit) == (result, value, limit)
    assert check.note.startswith("index: ")


def test_wider_gaps_are_admitted() -> None:
    check = _observer(ReadVitals(requests=1000, failed=2, throttled=2, busiest=90, stretch=3.2), 100)
    assert check.note == (
        "index: 2 of 1000 reads failed (0.2 %); 2 of them throttled; 90 event reads in the busiest second, 100 "
        "allowed; gaps were widened up to 3.2 x"
    )


# -- steady state --------------------------------------------------------------------------------------------


def _flowing(gone: Callable[[int], int], claimed: tuple[int, int] = (20, 120)) -> CheckResult:
    """100 acked in each of 150 seconds, `gone` of them out of the system."""
    one = sound()
    one.flow = StepCounts(S)
    for second in range(150):
        one.flow.add(second * S, 100, gone(second), 0)
    spans = {"s0": ScenarioCriteria(0, 150 * S, steady=(claimed[0] * S, claimed[1] * S))}
    return checked(one, spans=spans)["steady state"]


def test_what_is_in_flight_may_not_grow() -> None:
    level = _flowing(lambda second: 100 if second else 0)
    assert (level.result, level.value) == (Result.PASS, 0)
    assert level.note.startswith("s0: 100 in flight at 21 s, 100 at")
    growing = _flowing(lambda second: 98)
    assert (growing.result, growing.limit) == (Result.INVALID, 0.01)
    assert growing.value == pytest.approx(0.02)
    assert _flowing(lambda second: 102 if second else 0).result is Result.PASS


def test_only_the_claimed_span_counts() -> None:
    assert _flowing(lambda second: 100 if 20 <= second < 120 else 50).result is Result.PASS
    assert _flowing(lambda second: 100 if second < 60 else 95, claimed=(0, 60)).result is Result.PASS
    assert _flowing(lambda second: 100 if second < 60 else 95, claimed=(60, 120)).result is Result.INVALID


def test_a_slope_within_its_own_error_is_none() -> None:
    """What is in the system jumps up and down by as much as comes in during a second."""
    check = _flowing(lambda second: 200 if second % 2 else 0, claimed=(21, 31))
    assert check.value is not None
    assert check.value > 0.01
    assert check.result is Result.PASS


def test_a_span_too_short_says_nothing() -> None:
    assert _flowing(lambda second: 50, claimed=(20, 29)).note == "its span was too short to tell"
    assert checked(sound())["steady state"].note == "no scenario claims a steady state"


# -- clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drift", "hops", "result"),
    [
        (10 * MS, 0, Result.PASS),
        (10 * MS + 1, 0, Result.INVALID),
        (None, 0, Result.SKIPPED),
        (MS, 1, Result.INVALID),
        (None, 1, Result.INVALID),
    ],
)
def test_clocks_agree(drift: int | None, hops: int, result: Result) -> None:
    check = checked(sound(), vitals=sound_vitals(wall_drift_ns=drift), negative_hops=hops)["clocks"]
    assert check.result is result
    assert check.note
