"""Self-checks of arrivals, reads, what is in flight, and clocks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evload.model.report import CheckResult, Result
from evload.model.summary import ScenarioSummary
from evload.model.vitals import ReadVitals
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from tests.rigs.checked_runs import checked, sound, sound_vitals
from tests.rigs.summaries import MS, S

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


@pytest.mark.parametrize("fair_first", [True, False])
@pytest.mark.parametrize(
    ("sent", "ratio"), [([20] * 200, 0.0), ([14, 26, 15, 25] * 50, 1.525)], ids=["too even", "too wild"]
)
def test_of_several_scenarios_the_least_random_one_is_shown(sent: list[int], ratio: float, fair_first: bool) -> None:
    """By how far it is from 1, as a share of how far it may be: a short scenario may be further away."""
    short = _random([14, 26] * 4 + [20, 20, 30, 10])
    wrong = _random(sent)
    planted = [short, wrong] if fair_first else [wrong, short]
    spans = {f"s{number}": one["spans"]["s0"] for number, one in enumerate(planted)}
    check = checked(*(one["one"] for one in planted), spans=spans)["arrival shape"]
    assert check.result is Result.INVALID
    assert check.value == pytest.approx(ratio)
    assert check.note.startswith("s1: " if fair_first else "s0: ")


@pytest.mark.parametrize("wild_first", [True, False])
def test_what_is_too_even_is_further_away_than_what_is_a_little_too_wild(wild_first: bool) -> None:
    """A dispersion of 0 can't be further below 1; one of 1.5 can be further above."""
    even, wild = _random([20] * 200), _random([14, 26, 15, 25] * 50)
    planted = [wild, even] if wild_first else [even, wild]
    spans = {f"s{number}": one["spans"]["s0"] for number, one in enumerate(planted)}
    assert checked(*(one["one"] for one in planted), spans=spans)["arrival shape"].value == 0


def test_too_little_says_nothing_of_the_shape() -> None:
    assert _shape(_random([20] * 9)).note == "fewer than 10 steps expect 5 events or more"
    assert _shape(_random([4] * 200, expected=4.9)).result is Result.SKIPPED
    never_ran = {"other": ScenarioCriteria(0, 200 * S, S, (20.0,) * 200)}
    assert checked(sound(), spans=never_ran)["arrival shape"].note == "no scenario has random arrivals"
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
        (ReadVitals(requests=10_000, failed=10, busiest=500), None, Result.WARN, 0.001, 0.001),
        (ReadVitals(requests=10_000, failed=10, throttled=10, busiest=500), 500, Result.WARN, 0.001, 0.001),
        (ReadVitals(requests=10_000, busiest=500), 500, Result.PASS, 500, 500),
        (ReadVitals(requests=10_000, busiest=501), 500, Result.WARN, 501, 500),
    ],
)
def test_reads_stay_within_their_budget_and_hardly_fail(
    reads: ReadVitals, budget: float | None, result: Result, value: float, limit: float
) -> None:
    check = _observer(reads, budget)
    assert (check.result, check.value, check.limit) == (result, value, limit)
    assert check.note.startswith("index: ")


def test_what_is_told_of_reads_is_what_there_was() -> None:
    assert _observer(ReadVitals(requests=1000, failed=5, busiest=90)).note == (
        "index: 5 of 1000 reads failed (0.5 %); 90 event reads in the busiest second; it could have changed no result"
    )


def test_of_probes_that_are_as_bad_the_first_is_named() -> None:
    probes = {name: ReadVitals(requests=1000, failed=5) for name in ("index", "audit")}
    assert checked(sound(), vitals=sound_vitals(probes=probes))["observer effect"].note.startswith("index: ")


def test_wider_gaps_are_admitted() -> None:
    check = _observer(ReadVitals(requests=1000, failed=5, throttled=2, busiest=90, stretch=3.2), 100)
    assert check.note == (
        "index: 5 of 1000 reads failed (0.5 %); 2 of them throttled; 90 event reads in the busiest second, 100 "
        "allowed; gaps were widened up to 3.2 x; it could have changed no result"
    )


# -- steady state --------------------------------------------------------------------------------------------


def _flow(gone: Callable[[int], int], last_s: int | None = None) -> ScenarioSummary:
    """100 acked in each of 150 seconds, `gone` of them out of the system; the last event was due at `last_s`."""
    one = sound()
    one.flow = StepCounts(S)
    for second in range(150):
        one.flow.add(second * S, 100, gone(second), 0)
    one.last_intended_ns = None if last_s is None else last_s * S
    return one


def _flowing(
    gone: Callable[[int], int], claimed: tuple[int, int] = (20, 120), last_s: int | None = None
) -> CheckResult:
    spans = {"s0": ScenarioCriteria(0, 150 * S, steady=(claimed[0] * S, claimed[1] * S))}
    return checked(_flow(gone, last_s), spans=spans)["steady state"]


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


def test_what_the_warm_up_left_in_flight_is_so_for_all() -> None:
    """A hundred of it leave the system with the first that count, and two hundred more never do."""
    one = _flow(lambda second: 0 if second < 10 else 100)
    one.warmup = sound()
    one.warmup.flow = StepCounts(S)
    one.warmup.flow.add(0, 300, 0, 0)
    one.warmup.flow.add(15 * S, 0, 100, 0)
    spans = {"s0": ScenarioCriteria(0, 150 * S, steady=(20 * S, 120 * S))}
    check = checked(one, spans=spans)["steady state"]
    assert check.note.startswith("s0: 1200 in flight at 21 s, 1200 at 2 min;")


def test_a_steady_state_ends_where_it_is_said_to_or_with_the_last_event() -> None:
    """From 2m on nothing leaves the system any more; the last event was due at 2m30s, or at 1m30s already."""
    whole = _flowing(lambda second: 100 if second < 120 else 0, last_s=150)
    assert (whole.result, whole.value) == (Result.PASS, 0)
    assert "at 2 min; slope" in whole.note
    cut = _flowing(lambda second: 100 if second < 90 else 0, last_s=90)
    assert (cut.result, cut.value) == (Result.PASS, 0)
    assert "at 90 s; slope" in cut.note


def test_a_steady_state_ends_where_nothing_came_or_went_any_more() -> None:
    """What is due from 2m30s on was never answered."""
    silent = _flowing(lambda second: 100 if second else 0, claimed=(20, 200), last_s=190)
    assert (silent.result, silent.value) == (Result.PASS, 0)
    assert "at 2.5 min; slope" in silent.note


def test_a_claimed_span_in_which_nothing_came_tells_nothing() -> None:
    quiet = sound()
    quiet.flow = StepCounts(S)
    quiet.flow.add(0, 100, 100, 0)
    quiet.flow.add(149 * S, 100, 100, 0)
    spans = {"s0": ScenarioCriteria(0, 150 * S, steady=(20 * S, 120 * S))}
    check = checked(quiet, spans=spans)["steady state"]
    assert (check.value, check.note) == (None, "its span was too short to tell")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_several_scenarios_the_one_that_grows_most_is_shown(order: tuple[int, int, int]) -> None:
    flows = [_flow(lambda second: 100), _flow(lambda second: 98), _flow(lambda second: 95)]
    spans = {f"s{place}": ScenarioCriteria(0, 150 * S, steady=(20 * S, 120 * S)) for place in range(3)}
    check = checked(*(flows[number] for number in order), spans=spans)["steady state"]
    assert check.result is Result.INVALID
    assert check.value == pytest.approx(0.05)
    assert check.note.startswith(f"s{order.index(2)}: ")


def test_growth_for_sure_is_shown_before_more_of_it_that_may_be_none() -> None:
    """The second jumps by so much that its slope, though steeper, is within its own error."""
    jumping = _flow(lambda second: 200 if second % 2 else 0)
    spans = {f"s{place}": ScenarioCriteria(0, 150 * S, steady=(21 * S, 31 * S)) for place in range(2)}
    check = checked(_flow(lambda second: 98), jumping, spans=spans)["steady state"]
    assert check.result is Result.INVALID
    assert check.value == pytest.approx(0.02)
    level = checked(
        _flow(lambda second: 100 if second else 0), _flow(lambda second: 100 if second else 0), spans=spans
    )
    assert level["steady state"].note.startswith("s0: "), "the first of those that are as steady"
    alone = checked(_flow(lambda second: 100), jumping, spans=spans)["steady state"]
    assert alone.result is Result.PASS
    assert alone.note.startswith("s1: ")


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
        (10 * MS + 1, 0, Result.WARN),
        (None, 0, Result.SKIPPED),
        (MS, 1, Result.WARN),
        (None, 1, Result.WARN),
    ],
)
def test_clocks_agree(drift: int | None, hops: int, result: Result) -> None:
    check = checked(sound(), vitals=sound_vitals(wall_drift_ns=drift), negative_hops=hops)["clocks"]
    assert check.result is result
    assert check.note
    shown = (hops, 0) if hops else (None, None) if drift is None else (drift / S, 0.01)
    assert (check.value, check.limit) == shown
