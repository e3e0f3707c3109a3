"""Self-checks: each passes a sound run, and each fails on the fault that it is there for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from evload.gate.objective import Objective
from evload.gate.scenario import ScenarioTerms
from evload.gate.selfcheck import SelfCheckPolicy, run
from evload.gate.slo import parse
from evload.gate.terms import Terms
from evload.stats.steps import StepCounts
from evload.summary import CheckResult, ReadVitals, Result, ScenarioSummary, Summary, Vitals
from summaries import MS, S, distribution, good_and_bad, run_of, scenario

NAMES = (
    "ledger closes", "offered rate", "lateness", "arrival shape", "headroom", "resolution", "observer effect",
    "steady state", "evidence", "horizon", "clocks", "positive control",
)  # fmt: skip
OBJECTIVES = ("p99(consistency) < 2s", "share(end_to_end < 5s) >= 95%", "lost == 0")
DEADLINES = {"read-model": 15 * S}


def _sound() -> ScenarioSummary:
    """1,000 events sent 1 ms late, consistent in 1 s."""
    one = scenario(
        {
            "schedule_delay": distribution([(MS, MS)] * 1000),
            "consistency": good_and_bad(1000, 0, 2 * S),
            "end_to_end": good_and_bad(1000, 0, 5 * S),
        },
        visible=1000,
    )
    one.offered = {0: [500, 500], 1: [500, 500]}
    return one


def _checked(
    *scenarios: ScenarioSummary,
    vitals: Vitals | None = None,
    objectives: tuple[str, ...] = OBJECTIVES,
    deadlines: dict[str, int] | None = None,
    spans: dict[str, ScenarioTerms] | None = None,
    max_reads: dict[str, float | None] | None = None,
    negative_hops: int = 0,
    **policy: Any,
) -> dict[str, CheckResult]:
    summary = run_of(*scenarios, vitals=_vitals() if vitals is None else vitals)
    summary.negative_hops = negative_hops
    terms = Terms(
        [parse(text) for text in objectives],
        SelfCheckPolicy(**policy),
        DEADLINES if deadlines is None else deadlines,
        spans or {},
        max_reads or {},
    )
    checks = run(summary, terms)
    assert tuple(check.name for check in checks) == NAMES
    return {check.name: check for check in checks}


def _vitals(**given: Any) -> Vitals:
    sound: dict[str, Any] = {"cpu_share": 0.3, "longest_stall_ns": 5 * MS, "wall_drift_ns": MS}
    return Vitals(**sound | given)


def _failed(checks: dict[str, CheckResult]) -> set[str]:
    return {name for name, check in checks.items() if check.result not in (Result.PASS, Result.SKIPPED)}


def _one(name: str, summary: Summary, objectives: list[Objective]) -> CheckResult:
    checks = run(summary, Terms(objectives, SelfCheckPolicy(), DEADLINES))
    return next(check for check in checks if check.name == name)


def test_a_sound_run_passes_all_checks_and_shows_values_and_limits() -> None:
    checks = _checked(_sound())
    assert _failed(checks) == set()
    assert {name: (check.value, check.limit) for name, check in checks.items() if check.result is Result.PASS} == {
        "ledger closes": (0, 0),
        "offered rate": (0, 0.01),
        "lateness": (0.001, 0.02),
        "headroom": (0.3, 0.8),
        "resolution": (0, 0.001),
        "evidence": (1000, 299),
        "horizon": (15, 15),
        "clocks": (0.001, 0.01),
    }


@pytest.mark.parametrize(
    ("policy", "result"), [("strict", Result.INVALID), ("warn", Result.WARN), ("off", Result.SKIPPED)]
)
def test_policy_decides_what_a_failure_does(policy: str, result: Result) -> None:
    late = _sound()
    late.early_sends = 1
    checks = _checked(late, lateness=policy)
    assert checks["lateness"].result is result
    assert _failed(checks) == {"lateness"} - ({"lateness"} if policy == "off" else set())


def test_policy_is_strict_unless_told_and_knows_its_keys() -> None:
    assert set(SelfCheckPolicy().model_dump().values()) == {"strict"}
    with pytest.raises(ValidationError):
        SelfCheckPolicy.model_validate({"latness": "warn"})
    with pytest.raises(ValidationError):
        SelfCheckPolicy.model_validate({"lateness": "lax"})


# -- ledger closes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["scheduled", "rejected", "visible", "acked"])
def test_ledger_with_a_missing_event_does_not_close(key: str) -> None:
    broken = _sound()
    broken.ledger[key] += 1
    checks = _checked(_sound(), broken)
    assert checks["ledger closes"].result is Result.INVALID
    assert checks["ledger closes"].value == (2 if key == "acked" else 1)


def test_faults_of_two_scenarios_do_not_cancel_out() -> None:
    more, fewer = _sound(), _sound()
    more.ledger["visible"] += 1
    fewer.ledger["visible"] -= 1
    assert _checked(more, fewer)["ledger closes"].value == 2


def test_unexpected_ids_do_not_close() -> None:
    vitals = _vitals(unexpected_ids=3)
    check = _checked(_sound(), vitals=vitals)["ledger closes"]
    assert (check.result, check.value, check.note) == (Result.INVALID, 3, "3 unexpected ids in answers")


# -- offered rate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "deviation"),
    [
        ({0: [1000, 990], 1: [1000, 1010]}, 0.01),
        ({0: [3, 2], 1: [3, 4]}, 0),
        ({0: [1000, 989], 1: [1000, 1011]}, 0.011),
        ({0: [1000, 1000], 1: [10, 12]}, 0.2),
        ({0: [100, 0], 7: [0, 100]}, 100),
    ],
)
def test_offered_rate_is_held_in_every_window(offered: dict[int, list[int]], deviation: float) -> None:
    one = _sound()
    one.offered = offered
    check = _checked(_sound(), one)["offered rate"]
    assert check.value == pytest.approx(deviation)
    assert check.result is (Result.PASS if deviation <= 0.01 else Result.INVALID)


def test_offered_rate_says_where() -> None:
    one = _sound()
    one.offered[1] = [500, 400]
    assert _checked(one)["offered rate"].note == "s0, window 1: 500 scheduled, 400 sent"


# -- lateness ------------------------------------------------------------------------------------------------


def test_lateness_is_measured_against_the_tightest_latency_objective() -> None:
    late = _sound()
    late.distributions["schedule_delay"] = distribution([(MS, MS)] * 980 + [(21 * MS, 21 * MS)] * 20)
    check = _checked(late)["lateness"]
    assert (check.result, check.limit) == (Result.INVALID, 0.02)
    assert check.value == pytest.approx(0.021, rel=1e-3)
    others = ("mean(consistency) < 4s", "mean(schedule_delay) < 1ms", "p99(queue_lag) < 10ms")
    relaxed = _checked(late, objectives=others)
    assert relaxed["lateness"].limit == 0.04


def test_one_late_event_in_a_hundred_is_forgiven() -> None:
    late = _sound()
    late.distributions["schedule_delay"] = distribution([(MS, MS)] * 990 + [(S, S)] * 10)
    assert _checked(late)["lateness"].result is Result.PASS


def test_lateness_of_a_small_scenario_does_not_drown_in_a_large_one() -> None:
    small = _sound()
    small.distributions["schedule_delay"] = distribution([(S, S)] * 5)
    check = _checked(_sound(), small)["lateness"]
    assert (check.result, check.note) == (Result.INVALID, "s1: p99 1 s")


def test_an_early_send_is_never_forgiven() -> None:
    early = _sound()
    early.early_sends = 1
    check = _checked(early, objectives=("lost == 0",))["lateness"]
    assert (check.result, check.value, check.limit) == (Result.INVALID, 1, 0)


# -- headroom ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "stall_ms", "result", "value", "limit"),
    [
        (0.79, 10, Result.PASS, 0.79, 0.8),
        (0.8, 10, Result.INVALID, 0.8, 0.8),
        (0.3, 99, Result.PASS, 0.099, 0.1),
        (0.3, 100, Result.INVALID, 0.1, 0.1),
        (None, 50, Result.PASS, 0.05, 0.1),
        (0.5, None, Result.PASS, 0.5, 0.8),
        (None, None, Result.SKIPPED, None, None),
    ],
)
def test_headroom(
    cpu: float | None, stall_ms: int | None, result: Result, value: float | None, limit: float | None
) -> None:
    vitals = Vitals(cpu_share=cpu, longest_stall_ns=None if stall_ms is None else stall_ms * MS)
    check = _checked(_sound(), vitals=vitals)["headroom"]
    assert (check.result, check.value, check.limit) == (result, value, limit)


def test_headroom_tells_both_figures() -> None:
    assert _checked(_sound())["headroom"].note == "CPU 30 %, longest stall 5 ms"


# -- resolution ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("undecided", "result"), [(0, Result.PASS), (1, Result.PASS), (2, Result.INVALID)])
def test_resolution_allows_a_tenth_of_the_bad_share(undecided: int, result: Result) -> None:
    coarse = _sound()
    coarse.distributions["consistency"] = good_and_bad(1000 - undecided, 0, 2 * S, undecided=undecided)
    check = _checked(coarse)["resolution"]
    assert (check.result, check.limit) == (result, 0.001)
    assert check.value == undecided / 1000


def test_resolution_looks_at_the_critical_threshold_too() -> None:
    one = _sound()
    one.distributions["consistency"] = distribution([(S, S + MS)] * 990 + [(9 * S, 11 * S)] * 10, 2 * S, 10 * S)
    check = _one("resolution", run_of(one), [parse("p99(consistency) < 2s", critical="10s")])
    assert (check.result, check.value) == (Result.INVALID, 0.01)


# -- evidence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "result"), [(299, Result.PASS), (298, Result.INCONCLUSIVE), (0, Result.INCONCLUSIVE)])
def test_too_little_evidence_is_inconclusive_not_invalid(n: int, result: Result) -> None:
    one = _sound()
    one.distributions["consistency"] = good_and_bad(n, 0, 2 * S)
    check = _checked(one)["evidence"]
    assert (check.result, check.value, check.limit) == (result, n, 299)
    assert _checked(one, evidence="warn")["evidence"].result in (Result.PASS, Result.WARN)


def test_evidence_counts_events_that_share_stalls_for_less() -> None:
    one = _sound()
    measured = good_and_bad(980, 20, 2 * S)
    measured.thresholds[2 * S].windows = {number: [100, 100, 0] for number in range(9)} | {9: [100, 80, 20]}
    one.distributions["consistency"] = measured
    check = _checked(one)["evidence"]
    assert check.result is Result.INCONCLUSIVE
    assert check.value is not None
    assert check.value < 100
    assert "events share stalls" in check.note


# -- horizon -------------------------------------------------------------------------------------------------


def test_horizon_is_three_times_the_largest_latency_objective() -> None:
    short = _checked(_sound(), deadlines={"read-model": 15 * S, "search": 14 * S})["horizon"]
    assert (short.result, short.value, short.limit) == (Result.INVALID, 14, 15)
    assert short.note == "search: deadline 14 s, needs 15 s"


def test_horizon_does_not_care_for_the_publish_or_the_critical_limit() -> None:
    objectives = [parse("p99(publish) < 60s"), parse("p99(consistency) < 5s", critical="60s")]
    check = _one("horizon", run_of(scenario(visible=1)), objectives)
    assert (check.limit, check.result) == (15, Result.PASS)


def test_events_first_seen_late_show_that_the_horizon_is_short() -> None:
    one = _sound()
    one.late_sightings = 2
    check = _checked(_sound(), one)["horizon"]
    assert (check.result, check.value, check.limit) == (Result.INVALID, 2, 0)


# -- arrival shape -------------------------------------------------------------------------------------------


def _random(sent: Sequence[int], expected: float = 20.0, steps: int | None = None) -> dict[str, Any]:
    """A scenario with random arrivals that sent so many in each second, and its terms."""
    one = _sound()
    one.sent_steps = StepCounts(S)
    for second, count in enumerate(sent):
        one.sent_steps.add(second * S, count, 0, 0)
    one.last_intended_ns = len(sent) * S
    length = len(sent) if steps is None else steps
    return {"one": one, "spans": {"s0": ScenarioTerms(0, length * S, S, (expected,) * length)}}


def _shape(planted: dict[str, Any], **vitals: Any) -> CheckResult:
    return _checked(planted["one"], spans=planted["spans"], vitals=_vitals(**vitals))["arrival shape"]


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
    constant = {"s0": ScenarioTerms(0, 10 * S)}
    assert _checked(_sound(), spans=constant)["arrival shape"].note == "no scenario has random arrivals"


# -- observer effect -----------------------------------------------------------------------------------------


def _observer(reads: ReadVitals, budget: float | None = None) -> CheckResult:
    vitals = _vitals(probes={"idle": ReadVitals(), "index": reads, "good": ReadVitals(requests=10**6, busiest=1)})
    return _checked(_sound(), vitals=vitals, max_reads={"index": budget, "good": 1000})["observer effect"]


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
    one = _sound()
    one.flow = StepCounts(S)
    for second in range(150):
        one.flow.add(second * S, 100, gone(second), 0)
    spans = {"s0": ScenarioTerms(0, 150 * S, steady=(claimed[0] * S, claimed[1] * S))}
    return _checked(one, spans=spans)["steady state"]


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
    assert _checked(_sound())["steady state"].note == "no scenario claims a steady state"


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
    check = _checked(_sound(), vitals=_vitals(wall_drift_ns=drift), negative_hops=hops)["clocks"]
    assert check.result is result
    assert check.note


# -- what doesn't apply --------------------------------------------------------------------------------------


def test_objectives_over_time_need_no_number_of_events() -> None:
    small = _sound()
    small.distributions["consistency"] = good_and_bad(5, 0, 2 * S)
    over_time = ("p99(consistency) < 2s in any 30s", "p99(consistency) < 2s for 30s")
    assert _checked(small, objectives=over_time)["evidence"].result is Result.SKIPPED
    small.distributions["consistency"] = good_and_bad(4, 0, 2 * S, undecided=1)
    assert _checked(small, objectives=over_time)["resolution"].result is Result.INVALID


def test_checks_that_do_not_apply_are_skipped_with_a_reason() -> None:
    checks = run(Summary(), Terms([], SelfCheckPolicy(), {}))
    assert [check.result for check in checks] == [Result.PASS, *[Result.SKIPPED] * 11]
    assert all(check.note for check in checks[1:])
    assert checks[-1].note == "run `evload selftest`"
