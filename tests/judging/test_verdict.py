"""The verdict from objectives and checks, and its exit code."""

from __future__ import annotations

import itertools

import pytest

from evload.judging.verdict import decide, exit_code
from evload.model.report import CheckResult, ObjectiveResult, Result

RANKS = (Result.PASS, Result.WARN, Result.INCONCLUSIVE, Result.INVALID, Result.FAIL)


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


def test_a_failure_stays_one_however_noisy_the_rest_was() -> None:
    assert decide([_objective(Result.FAIL)], [_check(Result.INVALID)], evidence=True) is Result.FAIL
    spoilt = [_objective(Result.INVALID), _objective(Result.INCONCLUSIVE)]
    assert decide(spoilt, [_check(Result.INVALID)], evidence=True) is Result.INVALID


def test_what_a_blind_probe_leaves_open_is_no_pass() -> None:
    assert decide([_objective(Result.PASS)], [_check(Result.PASS)], evidence=True, blind=True) is Result.INCONCLUSIVE
    assert decide([_objective(Result.FAIL)], [_check(Result.PASS)], evidence=True, blind=True) is Result.FAIL
    assert decide([], [_check(Result.PASS)], evidence=True, blind=True) is Result.INCONCLUSIVE


def test_what_was_done_to_the_system_and_not_undone_leaves_it_open() -> None:
    for results, verdict in (
        ([_objective(Result.PASS)], Result.INCONCLUSIVE),
        ([], Result.INCONCLUSIVE),
        ([_objective(Result.FAIL)], Result.FAIL),
    ):
        assert decide(results, [_check(Result.PASS)], evidence=True, undone=False) is verdict


def test_without_objectives_a_run_passes_only_with_data_and_good_checks() -> None:
    assert decide([], [_check(Result.PASS)], evidence=True) is Result.PASS
    assert decide([], [_check(Result.PASS)], evidence=False) is Result.INCONCLUSIVE
    assert decide([], [_check(Result.INVALID)], evidence=True) is Result.INVALID
    assert decide([], [_check(Result.WARN)], evidence=True) is Result.WARN


def test_exit_codes() -> None:
    assert [exit_code(result) for result in RANKS] == [0, 0, 4, 5, 1]


def test_a_failure_stays_one_where_nothing_else_was_seen() -> None:
    """Nothing was acked, so no run without objectives would pass; what an objective says stands all the same."""
    assert decide([_objective(Result.FAIL)], [_check(Result.PASS)], evidence=False) is Result.FAIL
    assert decide([_objective(Result.PASS)], [_check(Result.PASS)], evidence=False) is Result.PASS
