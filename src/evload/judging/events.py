"""Judges how long events took, or how far behind answers were, over the whole run.

A share of events has three answers. With n events, of which `within` are under the limit for sure and `beyond` are
over it for sure, it passes if even the pessimistic count of bad events (n - within) shows, with 95 % confidence, a
share below the allowed one; it fails if even the optimistic count (beyond) shows one above; otherwise the run can't
tell.
"""

from __future__ import annotations

from fractions import Fraction

from ..model.facts import STALENESS
from ..model.report import Result
from ..model.summary import Ends, ScenarioSummary
from ..objectives.objective import Measure, Objective
from ..stats.binomial import clopper_pearson_lower, clopper_pearson_upper, smallest_n
from ..stats.evidence import Evidence, weigh
from ..units import format_share
from .limit_result import NEAR, NEAR_NOTE, LimitResult, compare, exact, no_data


def judge_share(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """`share` of the events within a time; a percentile objective is the same question."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return no_data(objective.subject)
    threshold, p = question(objective, limit)
    n = distribution.count
    evidence = weigh(distribution.thresholds[threshold], n)
    observed: Ends
    if objective.measure is Measure.SHARE:
        observed = (1 - Fraction(evidence.pessimistic, n), 1 - Fraction(evidence.optimistic, n))
        near = evidence.pessimistic > NEAR * (1 - p) * n
    else:
        observed = distribution.bracket(p)
        near = observed[1] is None or observed[1] > NEAR * limit
    allowed = float(1 - p)
    if evidence.highest < allowed:
        if near:
            return LimitResult(Result.WARN, observed, NEAR_NOTE)
        return LimitResult(Result.PASS, observed, evidence.dependence_note(n))
    if evidence.lowest > allowed:
        return LimitResult(Result.FAIL, observed, evidence.dependence_note(n))
    what = "iterations" if objective.of_iterations else "rounds" if objective.of_rounds else "events"
    return LimitResult(Result.INCONCLUSIVE, observed, _why_open(evidence, n, p, what))


def question(objective: Objective, limit: Fraction) -> tuple[int, Fraction]:
    """(time in nanoseconds that makes an event good, share of them that has to be) at one of the limits."""
    if objective.measure is Measure.SHARE:
        assert objective.within_ns is not None
        return objective.within_ns, limit
    assert objective.share is not None
    return int(limit), objective.share


def _why_open(evidence: Evidence, n: int, p: Fraction, what: str) -> str:
    needed = smallest_n(p, 0)
    worth = evidence.size_pessimistic
    if n < needed:
        return f"needs {needed} {what}, has {n}"
    if worth < needed:
        return f"needs {needed} independent {what}; {what} share stalls, and {n} of them count as {worth:.0f}"
    undecided = evidence.pessimistic - evidence.optimistic
    optimistic_bound = clopper_pearson_upper(evidence.optimistic * worth / n, worth)
    pessimistic_bound = clopper_pearson_lower(evidence.pessimistic * worth / n, worth)
    allowed = float(1 - p)
    if optimistic_bound < allowed or pessimistic_bound > allowed:
        return f"{undecided} of {n} {what} can't be told to be on either side"
    note = (
        f"too close to call: between {format_share(evidence.lowest)} and {format_share(evidence.highest)} of the "
        f"{what} are beyond, {format_share(allowed)} may be"
    )
    dependence = evidence.dependence_note(n)
    return f"{note}; {dependence}" if dependence else note


def judge_extreme(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """`max` and `min`: exact for the run, as far as the brackets tell."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return no_data(objective.subject)
    counts = distribution.thresholds[int(limit)]
    n = distribution.count
    if objective.measure is Measure.MAX:
        holds, broken = counts.within >= n, counts.beyond > 0
        observed = distribution.maximum
    else:
        holds, broken = counts.within > 0, counts.beyond >= n
        observed = distribution.minimum
    verdict = True if holds else False if broken else None
    return exact(verdict, observed, limit, "the reads can't tell the two sides apart")


def judge_mean(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """`mean`: between the mean of the lower ends and that of the upper ones, infinite if one was never seen."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return no_data(objective.subject)
    low, high = distribution.mean
    holds = False if low is None else compare(objective.operator, low, high, limit)
    note = "an event that was never seen has no upper end" if distribution.censored else "the reads are too coarse"
    return exact(holds, (low, high), limit, note)


def judge_staleness(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """The most stale answer about each event: exact for the reads that told a version."""
    staleness = scope.ranges.get(STALENESS)
    if staleness is None:
        return LimitResult(Result.INCONCLUSIVE, note="no answer told its version, and no data is no pass")
    value = Fraction(staleness.maximum) if objective.function == "max" else staleness.value_sum / staleness.count
    return exact(compare(objective.operator, value, value, limit), (value, value), limit, "")
