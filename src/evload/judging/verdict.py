"""The verdict of a run, from its objectives and self-checks, and the exit code that says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..model.report import CheckResult, ObjectiveResult, Result

_WORST_FIRST: Final = (Result.FAIL, Result.INVALID, Result.INCONCLUSIVE, Result.WARN, Result.PASS)
_EXIT_CODES: Final = {
    Result.PASS: 0,
    Result.WARN: 0,
    Result.FAIL: 1,
    Result.INCONCLUSIVE: 4,
    Result.INVALID: 5,
}


def decide(
    objectives: Sequence[ObjectiveResult],
    checks: Sequence[CheckResult],
    *,
    evidence: bool,
    blind: bool = False,
    undone: bool = True,
) -> Result:
    """The worst of all results, in the order FAIL, INVALID, INCONCLUSIVE, WARN, PASS; skipped checks don't count.

    An objective that failed though no self-check could have changed it is a failure, however noisy the rest was; what
    a check could have changed is INVALID already. A run without objectives was asked nothing; it passes if its checks
    do and there is any `evidence`. No data is never a pass, and neither is a probe that is `blind`: it never saw
    anything. Nor does a run pass in which something was to be done to the system and could not be, or could not be
    `undone`.
    """
    found = {Result.PASS, *(objective.result for objective in objectives), *(check.result for check in checks)}
    if blind or not undone or not (objectives or evidence):
        found.add(Result.INCONCLUSIVE)
    return worst(found)


def worst(results: Iterable[Result]) -> Result:
    """In the order FAIL, INVALID, INCONCLUSIVE, WARN, PASS; PASS if there are none."""
    found = {Result.PASS, *results}
    return next(result for result in _WORST_FIRST if result in found)


def exit_code(verdict: Result) -> int:
    """0 pass (also with warnings), 1 an objective failed, 4 inconclusive, 5 invalid measurement."""
    return _EXIT_CODES[verdict]
