"""The verdict from objectives and checks, and its exit code."""

from __future__ import annotations

import itertools

import pytest

from evload.judging.verdict import decide, exit_code
from evload.model.report import CheckResult, ObjectiveResult, Result

RANKS = (Result.PASS, Result.WARN, Result.INCONCLUSIVE, Result.FAIL, Result.INVALID)


def _objective(result: Result, *, witnessed: bool = False, subject: str = "duplicated") -> ObjectiveResult:
    return ObjectiveResult("…", result, (0, 0), 0, witnessed=witnessed, subject=subject)


def _check(result: Result, name: str = "lateness") -> CheckResult:
    return CheckResult(name, result, 0, 0)


@pytest.mark.parametrize(("one", "other"), list(itertools.product(RANKS, RANKS)))
def test_worst_wins(one: Result, other: Result) -> None:
    worst = max(one, other, key=RANKS.index)
    assert decide([_objective(one), _objective(Result.PASS)], [_check(other)], evidence=True) is worst


def test_skipped_checks_count_for_nothing() -> None:
    assert decide([_objective(Result.PASS)], [_check(Result.SKIPPED)], evidence=True) is Result.PASS


def test_witnessed_violation_stays_a_failure_in_an_invalid_run() -> None:
    seen = [_objective(Result.FAIL, witnessed=True)]
    assert decide(seen, [_check(Result.INVALID)], evidence=True) is Result.FAIL
    assert decide(seen, [_check(Result.INVALID, "horizon")], evidence=True) is Result.FAIL
    assert decide([_objective(Result.FAIL)], [_check(Result.INVALID)], evidence=True) is Result.INVALID


def test_but_not_when_the_ledger_does_not_close() -> None:
    seen = [_objective(Result.FAIL, witnessed=True)]
    assert decide(seen, [_check(Result.INVALID, "ledger closes")], evidence=True) is Result.INVALID


def test_loss_needs_a_horizon_to_be_witnessed() -> None:
    lost = [_objective(Result.FAIL, witnessed=True, subject="lost")]
    assert decide(lost, [_check(Result.INVALID, "lateness")], evidence=True) is Result.FAIL
    assert decide(lost, [_check(Result.INVALID, "horizon")], evidence=True) is Result.INVALID


def test_without_objectives_a_run_passes_only_with_data_and_good_checks() -> None:
    assert decide([], [_check(Result.PASS)], evidence=True) is Result.PASS
    assert decide([], [_check(Result.PASS)], evidence=False) is Result.INCONCLUSIVE
    assert decide([], [_check(Result.INVALID)], evidence=True) is Result.INVALID
    assert decide([], [_check(Result.WARN)], evidence=True) is Result.WARN


def test_exit_codes() -> None:
    assert [exit_code(result) for result in RANKS] == [0, 0, 4, 1, 5]


def test_a_failure_stays_one_where_nothing_else_was_seen() -> None:
    """Nothing was acked, so no run without objectives would pass; what an objective says stands all the same."""
    assert decide([_objective(Result.FAIL)], [_check(Result.PASS)], evidence=False) is Result.FAIL
    assert decide([_objective(Result.PASS)], [_check(Result.PASS)], evidence=False) is Result.PASS


def test_a_check_that_passed_excuses_nothing() -> None:
    seen = [_objective(Result.FAIL, witnessed=True, subject="lost")]
    checks = [_check(Result.PASS, "ledger closes"), _check(Result.INVALID), _check(Result.SKIPPED, "horizon")]
    assert decide(seen, checks, evidence=True) is Result.FAIL
