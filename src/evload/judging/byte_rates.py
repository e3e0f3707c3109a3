"""Judges how many bytes were sent or answered in a second, over the whole run.

What is counted are the bodies of events that were answered, and the bodies of whole answers: of what broke off,
nobody knows how much arrived. The time is that of the schedule, or until the last answer if that is longer: few
transfers that take long are not made quicker by being due soon after one another.
"""

from __future__ import annotations

from fractions import Fraction

from ..model.facts import in_doubt
from ..model.report import Result
from ..model.summary import ScenarioSummary
from ..objectives.objective import Objective
from ..units import NS_PER_S
from .limit_result import LimitResult, compare


def judge_byte_rate(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """`throughput(bytes_out)` or `throughput(bytes_in)`."""
    name = objective.subject
    observed = byte_rate(scope, name)
    if observed is None:
        why = "nobody counted the bytes of these answers" if _answered(scope) else "nothing was answered"
        return LimitResult(Result.INCONCLUSIVE, note=f"{why}, and no data is no pass")
    holds = compare(objective.operator, *observed, limit)
    if holds is None:
        return LimitResult(Result.INCONCLUSIVE, observed, _doubt(scope, name))
    return LimitResult(Result.PASS if holds else Result.FAIL, observed)


def byte_rate(scope: ScenarioSummary, name: str) -> tuple[Fraction, Fraction | None] | None:
    """[lower, upper] of `bytes_out` or `bytes_in` per second; no upper end where some aren't known. None: no answer
    says anything of them."""
    took_ns = _took_ns(scope)
    if not scope.known.get(name) or not _answered(scope) or took_ns is None:
        return None
    per_s, most = Fraction(NS_PER_S) / took_ns, scope.sums[name]
    low = (most - scope.sums.get(in_doubt(name), 0)) * per_s
    return low, None if _unknown(scope, name) else most * per_s


def _answered(scope: ScenarioSummary) -> int:
    return scope.ledger["acked"] + scope.ledger["rejected"] + scope.ledger["returned"]


def _unknown(scope: ScenarioSummary, name: str) -> int:
    """Of how many events the bytes aren't known that may count."""
    sent = _answered(scope) + (scope.ledger["in_doubt"] if name == "bytes_out" else 0)
    return max(0, sent - scope.known.get(name, 0))


def _doubt(scope: ScenarioSummary, name: str) -> str:
    if unknown := _unknown(scope, name):
        return f"the bytes of {unknown} events aren't known"
    return f"nobody knows how much of {scope.ledger['in_doubt']} events in doubt was sent"


def _took_ns(scope: ScenarioSummary) -> Fraction | None:
    """The time that the rate is about; None: there was no answer.

    n events span n - 1 gaps; stamps are whole nanoseconds, so the span may be one too long.
    """
    first_ns, last_ns, answered_ns = scope.first_intended_ns, scope.last_intended_ns, scope.last_acked_ns
    if first_ns is None or last_ns is None or answered_ns is None:
        return None
    events = scope.ledger["scheduled"]
    schedule_ns = Fraction(max(0, last_ns - first_ns - 1) * events, events - 1) if events > 1 else Fraction(0)
    took_ns = max(schedule_ns, Fraction(answered_ns - first_ns))
    return took_ns if took_ns > 0 else None
