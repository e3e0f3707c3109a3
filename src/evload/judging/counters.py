"""Judges counts, their share of what was scheduled, and their rate per second, over the whole run.

They are exact for the run, but some of them are intervals while events are in doubt or unsettled.
"""

from __future__ import annotations

from fractions import Fraction

from ..model.report import Result
from ..model.summary import ScenarioSummary
from ..objectives.objective import Measure, Objective
from ..stats.binomial import CONFIDENCE
from ..units import NS_PER_S, format_share
from .count import counted, tried
from .limit_result import NEAR_NOTE, LimitResult, compare, is_near
from .moments import moment


def judge_counter(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """A count, its share of what was scheduled, or its rate per second."""
    known = counted(scope, objective)
    behind_ns = scope.behind_ns if (objective.measure, objective.subject) == (Measure.THROUGHPUT, "acked") else 0
    unit = _counter_unit(objective, scope, behind_ns, known.of)
    if unit is None:
        return LimitResult(
            Result.INCONCLUSIVE, note=known.blind or "all events were due at once, so there is no rate"
        )
    low, high = known.low * unit, None if known.high is None else known.high * unit
    holds = compare(objective.operator, low, high, limit)
    if holds is None:
        return LimitResult(Result.INCONCLUSIVE, (low, high), known.blind or known.doubt)
    if holds and known.blind:
        return LimitResult(Result.INCONCLUSIVE, (low, high), f"{known.blind}, and no data is no pass")
    if not holds:
        note = f"the broker was {moment(behind_ns)} behind at the end" if behind_ns else ""
        return LimitResult(Result.FAIL, (low, high), note)
    if is_near(objective.operator, low, high, limit, share=objective.measure is Measure.RATE):
        return LimitResult(Result.WARN, (low, high), NEAR_NOTE)
    return LimitResult(Result.PASS, (low, high), _what_none_shows(scope) if _no_duplicate(objective, high) else "")


def _no_duplicate(objective: Objective, high: Fraction | None) -> bool:
    return objective.subject == "duplicated" and high == 0


def _what_none_shows(scope: ScenarioSummary) -> str:
    """None of n events was duplicated: the rate may still be as high as 1 - 0.05^(1/n)."""
    n = scope.known["effects"]
    bound = 1 - (1 - CONFIDENCE) ** (1 / n)
    note = f"0 of {n} events bounds the rate at {format_share(bound)}"
    if scope.ledger["resent"]:
        return note
    return f"{note}; no copy was sent on purpose, so idempotency was not exercised"


def _counter_unit(objective: Objective, scope: ScenarioSummary, behind_ns: int, of: int | None) -> Fraction | None:
    """What one event counts for in the unit of the limit; None if that can't be said. `of` is of how many it is a
    share, where that isn't all that was scheduled.

    Throughput: n events span n - 1 gaps, so the schedule's rate is (n - 1) / (last - first), of which each event
    contributes an n-th. Stamps are whole nanoseconds: the span may be one too long, which is taken off so that
    rounding never costs a run its objective. A broker that falls behind takes `behind_ns` longer than the schedule.
    """
    if objective.measure is Measure.COUNT:
        return Fraction(1)
    scheduled = scope.ledger["scheduled"]
    if objective.measure is Measure.RATE and of is not None:
        return Fraction(1, of) if of else None
    if objective.measure is Measure.RATE:
        among = tried(scope, objective.subject)
        return Fraction(1, among) if among else None
    if scope.first_intended_ns is None:
        return None
    assert scope.last_intended_ns is not None
    span = scope.last_intended_ns - scope.first_intended_ns - 1
    if not scheduled or span <= 0:
        return None
    return Fraction((scheduled - 1) * NS_PER_S, scheduled * (span + behind_ns))
