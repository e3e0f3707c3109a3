"""Self-checks: each passes a sound run, and each fails on the fault that it is there for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from evload.judging.checks.run import SELF_CHECKS, run
from evload.judging.live_checks import LiveChecks
from evload.model.report import Result
from evload.model.summary import Summary
from evload.model.vitals import ReadVitals, Vitals
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from tests.rigs.checked_runs import check_of, checked, failed, sound, sound_vitals
from tests.rigs.summaries import MS, S, distribution, good_and_bad, run_of, scenario


def test_a_sound_run_passes_all_checks_and_shows_values_and_limits() -> None:
    checks = checked(sound())
    assert failed(checks) == set()
    assert {name: (check.value, check.limit) for name, check in checks.items() if check.result is Result.PASS} == {
        "ledger closes": (0, 0),
        "load as scheduled": (0, 0.01),
        "lateness": (0.001, 0.05),
        "headroom": (0.3, 0.8),
        "resolution": (0, 0.001),
        "evidence": (1000, 299),
        "horizon": (0, 0),
        "clocks": (0.001, 0.01),
    }


@pytest.mark.parametrize(
    ("policy", "result"), [("strict", Result.INVALID), ("warn", Result.WARN), ("off", Result.SKIPPED)]
)
def test_policy_decides_what_a_failure_does(policy: str, result: Result) -> None:
    late = sound()
    late.early_sends = 1
    checks = checked(late, lateness=policy)
    assert checks["lateness"].result is result
    assert failed(checks) == {"lateness"} - ({"lateness"} if policy == "off" else set())


def test_policy_is_strict_unless_told_and_knows_its_keys() -> None:
    assert set(SelfCheckPolicy().model_dump().values()) == {"strict"}
    with pytest.raises(ValidationError):
        SelfCheckPolicy.model_validate({"latness": "warn"})
    with pytest.raises(ValidationError):
        SelfCheckPolicy.model_validate({"lateness": "lax"})


def test_each_key_of_the_policy_is_that_of_one_check() -> None:
    keys = [check.key for check in SELF_CHECKS if check.key is not None]
    assert sorted(keys) == sorted(SelfCheckPolicy.model_fields)
    for check in SELF_CHECKS:
        off: dict[str, Any] = {} if check.key is None else {check.key: "off"}
        told = checked(sound(), **off)[check.name]
        assert (told.result, told.note) == (
            Result.SKIPPED, "run `evload selftest`" if check.key is None else "switched off in the config"
        )  # fmt: skip


def test_what_begins_to_fail_is_told_while_the_run_goes_on() -> None:
    late = sound()
    late.distributions["schedule_delay"] = distribution([(MS, MS)] * 980 + [(21 * MS, 21 * MS)] * 20)
    late.ledger["visible"] += 1  # sums that don't close yet are no worry
    vitals = sound_vitals(cpu_share=0.9, wall_drift_ns=20 * MS)
    vitals.probes = {"read-model": ReadVitals(requests=10, failed=1)}
    terms = Criteria([parse("p99(end_to_end) < 2s")], SelfCheckPolicy(clocks="off"), {})
    worries = LiveChecks(terms, {}).worries(run_of(late, vitals=vitals))
    assert [worry.partition(":")[0] for worry in worries] == ["lateness", "headroom", "observer effect"]


# -- ledger closes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["scheduled", "rejected", "visible", "acked"])
def test_ledger_with_a_missing_event_does_not_close(key: str) -> None:
    broken = sound()
    broken.ledger[key] += 1
    checks = checked(sound(), broken)
    assert checks["ledger closes"].result is Result.INVALID
    assert checks["ledger closes"].value == (2 if key == "acked" else 1)


def test_faults_of_two_scenarios_do_not_cancel_out() -> None:
    more, fewer = sound(), sound()
    more.ledger["visible"] += 1
    fewer.ledger["visible"] -= 1
    assert checked(more, fewer)["ledger closes"].value == 2


def test_the_books_of_a_warm_up_have_to_close_too() -> None:
    one = sound()
    one.warmup = scenario(visible=5)
    assert checked(one)["ledger closes"].result is Result.PASS
    one.warmup.ledger["visible"] += 1
    assert checked(one)["ledger closes"].value == 1


def test_unexpected_ids_do_not_close() -> None:
    vitals = sound_vitals(unexpected_ids=3)
    check = checked(sound(), vitals=vitals)["ledger closes"]
    assert (check.result, check.value, check.note) == (Result.INVALID, 3, "3 unexpected ids in answers")


# -- load as scheduled ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phases", "share"),
    [
        ({(0, 3 * S): [1000, 10, 0], (3 * S, 9 * S): [1000, 0, 0]}, 0.01),
        ({(0, 3 * S): [1000, 0, 0], (3 * S, 9 * S): [1000, 11, 0]}, 0.011),
        ({(0, 3 * S): [1000, 1, 0], (3 * S, 3 * S): [10, 2, 0]}, 0.2),
        ({(0, 3 * S): [100, 100, 100], (3 * S, 9 * S): [0, 0, 0]}, 1),
    ],
)
def test_the_load_is_as_scheduled_in_every_phase(phases: dict[tuple[int, int], list[int]], share: float) -> None:
    one = sound()
    one.phases = phases
    check = checked(sound(), one)["load as scheduled"]
    assert check.value == pytest.approx(share)
    assert check.result is (Result.PASS if share <= 0.01 else Result.INVALID)


def test_it_says_of_which_phase_it_was_not() -> None:
    one = sound()
    one.phases = {(0, 9 * S): [500, 10, 10], (9 * S, 9 * S): [500, 100, 0]}
    assert checked(one)["load as scheduled"].note == (
        "s0: 100 of 500 events of the burst at 9 s left more than 100 ms late, or never"
    )
    one.phases = {(30 * S, 40 * S): [500, 100, 0], (9 * S, 9 * S): [500, 100, 0], (20 * S, 30 * S): [50, 10, 0]}
    assert "of the burst at 9 s" in checked(one)["load as scheduled"].note, "the first of those that are as bad"
    one.phases = {(S, 60 * S): [500, 100, 0]}
    assert checked(one)["load as scheduled"].note == (
        "s0: 100 of 500 events of the phase from 1 s to 60 s left more than 1 s late, or never"
    )


# -- lateness ------------------------------------------------------------------------------------------------


def test_lateness_is_measured_against_the_tightest_limit_on_end_to_end() -> None:
    late = sound()
    late.distributions["schedule_delay"] = distribution([(MS, MS)] * 980 + [(61 * MS, 61 * MS)] * 20)
    check = checked(late)["lateness"]
    assert (check.result, check.limit) == (Result.PASS, 0.05)
    assert check.value == pytest.approx(0.061, rel=1e-3)
    assert check.note == "s0: p99 61 ms, which changes no result"
    others = (
        "mean(end_to_end) < 4s",
        "mean(consistency) < 1s",
        "mean(schedule_delay) < 1ms",
        "p99(queue_lag) < 10ms",
    )
    assert checked(late, objectives=others)["lateness"].limit == 0.04
    assert checked(late, objectives=others[1:])["lateness"].note == "no objective is about end_to_end"


@pytest.mark.parametrize(("late", "told"), [(10, "s0: p99 1 ms"), (11, "s0: p99 1 s, which changes no result")])
def test_one_late_event_in_a_hundred_is_not_worth_a_word(late: int, told: str) -> None:
    one = sound()
    one.distributions["schedule_delay"] = distribution([(MS, MS)] * (1000 - late) + [(S, S)] * late)
    assert checked(one)["lateness"].note == told


def test_sends_that_are_on_time_to_the_nanosecond_are_known_to_be() -> None:
    exact = sound()
    exact.distributions["schedule_delay"] = distribution([(0, 0)] * 1000)
    check = checked(exact)["lateness"]
    assert (check.result, check.value, check.note) == (Result.PASS, 0, "s0: p99 0 s")
    unsent = scenario(unsent=5)
    assert checked(unsent)["lateness"].note == "nothing was sent"


def test_lateness_of_a_small_scenario_does_not_drown_in_a_large_one() -> None:
    small = sound()
    small.distributions["schedule_delay"] = distribution([(S, S)] * 5)
    assert checked(sound(), small)["lateness"].note == "s1: p99 1 s, which changes no result"
    assert checked(small, sound())["lateness"].note == "s0: p99 1 s, which changes no result"
    assert checked(small, small)["lateness"].note == "s0: p99 1 s, which changes no result"


def test_an_early_send_is_never_forgiven() -> None:
    early = sound()
    early.early_sends = 1
    check = checked(early, objectives=("lost == 0",))["lateness"]
    assert (check.result, check.value, check.limit) == (Result.INVALID, 1, 0)
    early.warmup = scenario(visible=5)
    early.warmup.early_sends = 2
    check = checked(early, sound(), objectives=("lost == 0",))["lateness"]
    assert (check.value, check.note) == (3, "3 events were sent before they were due")
    early.early_sends = 0
    assert checked(early)["lateness"].value == 2, "nor one in a warm-up"


# -- headroom ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "stall_ms", "result", "value", "limit"),
    [
        (0.79, 10, Result.PASS, 0.79, 0.8),
        (0.8, 10, Result.WARN, 0.8, 0.8),
        (0.3, 99, Result.PASS, 0.099, 0.1),
        (0.3, 100, Result.WARN, 0.1, 0.1),
        (None, 50, Result.PASS, 0.05, 0.1),
        (0.5, None, Result.PASS, 0.5, 0.8),
        (None, None, Result.SKIPPED, None, None),
    ],
)
def test_headroom(
    cpu: float | None, stall_ms: int | None, result: Result, value: float | None, limit: float | None
) -> None:
    vitals = Vitals(cpu_share=cpu, longest_stall_ns=None if stall_ms is None else stall_ms * MS)
    check = checked(sound(), vitals=vitals)["headroom"]
    assert (check.result, check.value, check.limit) == (result, value, limit)


def test_headroom_tells_both_figures() -> None:
    assert checked(sound())["headroom"].note == "CPU 30 %, longest stall 5 ms"


# -- resolution ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("undecided", "result"), [(0, Result.PASS), (1, Result.PASS), (2, Result.INVALID)])
def test_resolution_allows_a_tenth_of_the_bad_share(undecided: int, result: Result) -> None:
    coarse = sound()
    # Eight are bad and ten may be: too close to call, so that every event counts.
    coarse.distributions["consistency"] = good_and_bad(992 - undecided, 8, 2 * S, undecided=undecided)
    check = checked(coarse)["resolution"]
    assert (check.result, check.limit) == (result, 0.001)
    assert check.value == undecided / 1000


@pytest.mark.parametrize(("bad", "undecided"), [(0, 3), (100, 50)])
def test_events_that_can_not_be_told_are_no_matter_where_they_change_nothing(bad: int, undecided: int) -> None:
    coarse = sound()
    coarse.distributions["consistency"] = good_and_bad(1000 - bad - undecided, bad, 2 * S, undecided=undecided)
    check = checked(coarse)["resolution"]
    assert (check.result, check.value) == (Result.PASS, undecided / 1000)
    assert check.note.endswith(f"{undecided} of 1000 events can't be told, which changes nothing")


def test_of_objectives_that_are_as_coarse_the_first_is_named() -> None:
    coarse = sound()
    for metric in ("consistency", "end_to_end"):
        coarse.distributions[metric] = good_and_bad(900, 0, 2 * S, undecided=100)
    texts = ("p99(end_to_end) < 2s", "p99(consistency) < 2s")
    for objectives in (texts, texts[::-1]):
        assert checked(coarse, objectives=objectives)["resolution"].note.startswith(f"{objectives[0]}: 100 of 1000")


def test_of_objectives_of_which_one_is_coarser_that_one_is_named() -> None:
    coarse = sound()
    coarse.distributions["consistency"] = good_and_bad(950, 0, 2 * S, undecided=50)
    coarse.distributions["end_to_end"] = good_and_bad(900, 0, 2 * S, undecided=100)
    texts = ("p99(end_to_end) < 2s", "p99(consistency) < 2s")
    for objectives in (texts, texts[::-1]):
        assert checked(coarse, objectives=objectives)["resolution"].note.startswith(f"{texts[0]}: 100 of 1000")


def test_resolution_looks_at_the_critical_threshold_too() -> None:
    one = sound()
    one.distributions["consistency"] = distribution([(S, S + MS)] * 990 + [(9 * S, 11 * S)] * 10, 2 * S, 10 * S)
    check = check_of("resolution", run_of(one), [parse("p99(consistency) < 2s", critical="10s")])
    assert (check.result, check.value) == (Result.INVALID, 0.01)


# -- evidence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "result"), [(299, Result.PASS), (298, Result.INCONCLUSIVE), (0, Result.INCONCLUSIVE)])
def test_too_little_evidence_is_inconclusive_not_invalid(n: int, result: Result) -> None:
    one = sound()
    one.distributions["consistency"] = good_and_bad(n, 0, 2 * S)
    check = checked(one)["evidence"]
    assert (check.result, check.value, check.limit) == (result, n, 299)
    assert checked(one, evidence="warn")["evidence"].result in (Result.PASS, Result.WARN)


def test_evidence_counts_events_that_share_stalls_for_less() -> None:
    one = sound()
    measured = good_and_bad(980, 20, 2 * S)
    measured.thresholds[2 * S].intervals = {number: [100, 100, 0] for number in range(9)} | {9: [100, 80, 20]}
    one.distributions["consistency"] = measured
    check = checked(one)["evidence"]
    assert check.result is Result.INCONCLUSIVE
    assert check.value is not None
    assert check.value < 100
    assert "events share stalls" in check.note


def test_a_few_events_that_can_not_be_told_are_shown_as_they_are() -> None:
    one = sound()
    one.distributions["consistency"] = good_and_bad(999, 0, 2 * S, undecided=1)
    check = checked(one)["resolution"]
    assert (check.result, check.note) == (Result.PASS, "p99(consistency) < 2s: 1 of 1000 events can't be told")


def test_the_events_of_all_scenarios_count_together() -> None:
    half = sound()
    half.distributions["consistency"] = good_and_bad(150, 0, 2 * S)
    check = checked(half, half, objectives=("p99(consistency) < 2s",))["evidence"]
    assert (check.result, check.value, check.limit) == (Result.PASS, 300, 299)
    apart = check_of("evidence", run_of(half, half), [parse("p99(consistency) < 2s", scenario="s1")])
    assert (apart.result, apart.value) == (Result.INCONCLUSIVE, 150)


@pytest.mark.parametrize("text", ["max(consistency) < 2s", "mean(consistency) < 2s", "lost == 0"])
def test_what_is_exact_for_the_run_needs_neither_resolution_nor_evidence(text: str) -> None:
    checks = checked(sound(), objectives=(text,))
    assert checks["resolution"].note == "no objective that has data asks for a share of the events"
    assert checks["evidence"].note == "no objective asks for a share of the events"
    assert {checks[name].result for name in ("resolution", "evidence")} == {Result.SKIPPED}


def test_recovery_needs_no_number_of_events() -> None:
    few = sound()
    few.distributions["consistency"] = good_and_bad(4, 0, 2 * S, undecided=1)
    recovery = [parse("recovery(p99(consistency) < 2s) < 5m", after="20s")]
    assert check_of("evidence", run_of(few), recovery).result is Result.SKIPPED
    coarse = check_of("resolution", run_of(few), recovery)
    assert (coarse.result, coarse.value) == (Result.INVALID, 0.2)


# -- horizon -------------------------------------------------------------------------------------------------


def test_nothing_may_be_first_seen_in_the_last_third_of_its_deadline() -> None:
    check = checked(sound())["horizon"]
    assert (check.result, check.value, check.limit, check.note) == (Result.PASS, 0, 0, "")
    one = scenario(visible=998, lost=2)
    one.late_sightings = 2
    check = checked(sound(), one)["horizon"]
    assert (check.result, check.value, check.limit) == (Result.INVALID, 2, 0)
    assert check.note == "2 events were first seen in the last third of the deadline"
    assert checked(sound(), deadlines={})["horizon"].note == "nothing was probed"


# -- what doesn't apply --------------------------------------------------------------------------------------


def test_objectives_over_time_need_no_number_of_events() -> None:
    small = sound()
    small.distributions["consistency"] = good_and_bad(5, 0, 2 * S)
    over_time = ("p99(consistency) < 2s in any 30s", "p99(consistency) < 2s for 30s")
    assert checked(small, objectives=over_time)["evidence"].result is Result.SKIPPED
    small.distributions["consistency"] = good_and_bad(4, 0, 2 * S, undecided=1)
    assert checked(small, objectives=over_time)["resolution"].result is Result.INVALID


def test_checks_that_do_not_apply_are_skipped_with_a_reason() -> None:
    checks, _ = run(Summary(), Criteria([], SelfCheckPolicy(), {}))
    assert [check.result for check in checks] == [Result.PASS, *[Result.SKIPPED] * 12]
    assert all(check.note for check in checks[1:])
    assert checks[-2].note == "run `evload selftest`"
