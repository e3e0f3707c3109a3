"""Judges what is asked of the ceiling by the bounds that a search found."""

from __future__ import annotations

from fractions import Fraction

from ..model.ceiling import Bounds, End
from ..model.report import ObjectiveResult, Result
from ..objectives.ceiling import CeilingObjective
from .limit_result import compare

_WHY: dict[End, str] = {
    End.GENERATOR: "above that the generator was the limit",
    End.ASKED: "no higher rate was tried",
    End.OPEN: "above that it couldn't be told",
    End.NONE: "no rate is known to be good",
    End.UNFINISHED: "the search isn't over",
    End.INTERVAL: "the limit lies between the ends",
}


def judge_ceiling(objective: CeilingObjective, bounds: Bounds) -> ObjectiveResult:
    """PASS, WARN, FAIL or INCONCLUSIVE. The ceiling is at least the rate that is good, and below the one that is bad.

    A good rate that was not good once more shows nothing.
    """
    low, high = bounds.good or Fraction(0), bounds.bad
    result = _weigh(objective, bounds, objective.limit)
    note = "" if result is Result.PASS else _note(objective, bounds, result)
    if objective.critical is not None and result is not Result.PASS:
        at_critical = _weigh(objective, bounds, objective.critical)
        tighter, looser = ("limit", "critical one") if objective.target_text is None else ("target", "limit")
        if at_critical is Result.PASS:
            how = f"below the {tighter}" if result is Result.FAIL else f"not shown to keep the {tighter}"
            result, note = Result.WARN, f"{how}, but within the {looser}"
        elif at_critical is Result.INCONCLUSIVE:
            result, note = Result.INCONCLUSIVE, f"at the {looser}: {_note(objective, bounds, at_critical)}"
    return ObjectiveResult(
        expression=objective.expression,
        result=result,
        observed=(float(low), None if high is None else float(high)),
        limit=float(objective.shown_limit),
        scenario=objective.scenario,
        note=note,
        subject="ceiling",
    )


def _weigh(objective: CeilingObjective, bounds: Bounds, limit: Fraction) -> Result:
    good, bad = bounds.good or Fraction(0), bounds.bad
    if bad is not None and bad <= limit:
        return Result.FAIL
    # What was good is sustained; how much more is, nobody knows.
    if compare(objective.operator, good, None, limit) and bounds.confirmed:
        return Result.PASS
    return Result.INCONCLUSIVE


def _note(objective: CeilingObjective, bounds: Bounds, result: Result) -> str:
    if result is Result.FAIL:
        return ""
    if not bounds.confirmed and bounds.good is not None and bounds.end is not End.UNFINISHED:
        return "the highest good rate could not be confirmed"
    return _WHY[bounds.end]
