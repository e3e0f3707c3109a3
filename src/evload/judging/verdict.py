"""The verdict of a run, from its objectives and self-checks, and the exit code that says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.report import CheckResult, ObjectiveResult, Result

_WORST_FIRST: Final = (Result.INVALID, Result.FAIL, Result.INCONCLUSIVE, Result.WARN, Result.PASS)
_EXIT_CODES: Final = {
    Result.PASS: 0,
    Result.WARN: 0,
    Result.FAIL: 1,
    Result.INCONCLUSIVE: 4,
    Result.INVALID: 5,
}


def decide(objectives: Sequence[ObjectiveResult], checks: Sequence[CheckResult], *, evidence: bool) -> Result:
    """The worst of all results, in the order INVALID, FAIL, INCONCLUSIVE, WARN, PASS; skipped checks don't count.

    One exception: a violation that was witnessed stays FAIL in an invalid measurement, because a duplicate
    that was seen is a duplicate however late the events were sent. It needs a ledger that closes, and
    `lost` a horizon that was long enough.

    A run without objectives was asked nothing; it passes if its checks do and there is any `evidence`: an
    event was acked and, where somebody looked for effects, a look said something. No data is never a pass.
    """
    if not objectives and not evidence:
        found = {Result.INCONCLUSIVE}
    else:
        found = {Result.PASS, *(objective.result for objective in objectives)}
    found.update(check.result for check in checks)
    if Result.INVALID in found:
        invalid = {check.name for check in checks if check.result is Result.INVALID}
        if any(_stands(objective, invalid) for objective in objectives):
            return Result.FAIL
    return next(result for result in _WORST_FIRST if result in found)


def _stands(objective: ObjectiveResult, invalid: set[str]) -> bool:
    if not objective.witnessed or "ledger closes" in invalid:
        return False
    return not (objective.subject == "lost" and "horizon" in invalid)


def exit_code(verdict: Result) -> int:
    """0 pass (also with warnings), 1 an objective failed, 4 inconclusive, 5 invalid measurement."""
    return _EXIT_CODES[verdict]
