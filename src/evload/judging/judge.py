"""Judges a Summary by an objective, or by both of its limits where it has a critical one.

Absence of data is never a pass. Who judges what is in `_finder`; `objectives.grammar` reads the expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Final

from ..model.facts import COUNTERS
from ..model.report import ObjectiveResult, Result
from ..model.rounds import VIOLATIONS, counter_of
from ..model.summary import Summary, merged
from ..model.tags import unanswered
from ..objectives.objective import UPPER, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from .answers import judge_silence, judge_span
from .byte_rates import judge_byte_rate
from .costs import judge_cost
from .counters import judge_counter
from .events import judge_extreme, judge_mean, judge_share, judge_staleness
from .gauges import judge_bracketed, judge_drain, judge_gauge, judge_ratio, judge_reach, judge_watched
from .limit_result import NEAR_NOTE, LimitResult
from .moments import anchor_of, meanwhile, why_untold
from .rounds import judge_rounds
from .unseen import unseen
from .windows import judge_recovery, judge_window

_WITNESSES: Final = frozenset(
    {
        "lost",
        "regressed",
        VIOLATIONS,
        counter_of("violated"),
        *(name for name, counter in COUNTERS.items() if counter.witness),
    }
)
_JUDGES: Final = {
    Measure.PERCENTILE: judge_share,
    Measure.SHARE: judge_share,
    Measure.MAX: judge_extreme,
    Measure.MIN: judge_extreme,
    Measure.MEAN: judge_mean,
    Measure.STALENESS: judge_staleness,
    Measure.COUNT: judge_counter,
    Measure.RATE: judge_counter,
    Measure.THROUGHPUT: judge_counter,
    Measure.BYTE_RATE: judge_byte_rate,
    Measure.STRETCH: judge_silence,
    Measure.SPAN: judge_span,
}


_GOOD: Final = (Result.PASS, Result.WARN)


def judge(objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria] = {}) -> ObjectiveResult:
    """PASS, WARN, FAIL or INCONCLUSIVE, with what was observed and why.

    An objective without a scenario is about all of them together. WARN is a pass above 90 % of the limit, or
    one that holds at the looser of two limits only. A lower limit has no 90 %, except on a rate, whose complement
    has. One that ended the run before its time has failed. What hangs on a probe that never saw anything is
    INCONCLUSIVE; `scenarios` are needed for that, for `recovery` and for `reach`.
    """
    if objective.tag is not None:
        return _judge_tagged(objective, summary, scenarios)
    return _judge(objective, summary, scenarios)


def _judge_tagged(
    objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria]
) -> ObjectiveResult:
    """Events that nobody answered may have the tag or not: what is asked has to come out alike either way."""
    judged = _judge(objective, summary, scenarios)
    mine, open_ones = objective.slice, replace(objective, tag=unanswered(objective.tag or "")).slice
    found = {
        name: replace(one, slices={**one.slices, mine: merged(one.slices[label] for label in (mine, open_ones))})
        for name, one in summary.scenarios.items()
        if mine in one.slices and open_ones in one.slices
    }
    if not found:
        return judged
    with_them = _judge(objective, replace(summary, scenarios={**summary.scenarios, **found}), scenarios)
    if judged.result in _GOOD and with_them.result in _GOOD:
        return judged if judged.result is Result.WARN else with_them
    if judged.result in (Result.INCONCLUSIVE, with_them.result):
        return judged
    count = sum(summary.scenarios[name].slices[open_ones].ledger["scheduled"] for name in found)
    note = f"no answer says of {count:,} events whether they are {objective.tag}, and with them this is otherwise"
    return replace(judged, result=Result.INCONCLUSIVE, note=note, witnessed=False)


def _judge(objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> ObjectiveResult:
    find = _finder(objective, summary, scenarios)
    judged = find(objective.limit)
    if objective.critical is not None and judged.result in (Result.FAIL, Result.INCONCLUSIVE):
        judged = _weigh_critical(objective, judged, find(objective.critical))
    elif objective.target_text is not None and judged.note == NEAR_NOTE:
        judged = LimitResult(judged.result, judged.observed, "above 90 % of the target")
    witnessed = judged.result is Result.FAIL and _is_witnessed(objective, judged.observed[0])
    if summary.vitals.aborted == objective.title:
        judged = LimitResult(Result.FAIL, judged.observed, summary.vitals.abort_note)
    if objective.needs_probe and (blind := unseen(summary, scenarios, objective)):
        judged, witnessed = LimitResult(Result.INCONCLUSIVE, judged.observed, blind), False
    if untold := why_untold(objective, summary, scenarios):
        judged, witnessed = LimitResult(Result.INCONCLUSIVE, note=untold), False
    unit = objective.unit
    low, high = judged.observed
    return ObjectiveResult(
        expression=objective.expression,
        result=judged.result,
        observed=(None if low is None else float(low / unit), None if high is None else float(high / unit)),
        limit=float(objective.shown_limit / unit),
        scenario=objective.scenario,
        note=judged.note,
        witnessed=witnessed,
        subject=objective.subject,
        scope=objective.about,
    )


def _finder(
    objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria]
) -> Callable[[Fraction], LimitResult]:
    if objective.is_gauged:
        return partial(judge_bracketed, objective, summary, judge=partial(_judge_gauged, summary, scenarios))
    if objective.measure is Measure.COST:
        return partial(judge_cost, objective, summary)
    if objective.of_rounds and objective.measure in (Measure.COUNT, Measure.RATE):
        return partial(judge_rounds, objective, objective.judged(summary))
    scope = objective.scope(summary)
    if objective.measure is Measure.RECOVERY:
        return partial(
            judge_recovery, objective, scope, anchor_ns=anchor_of(objective, summary, scenarios),
            meanwhile=meanwhile(objective, summary),
        )  # fmt: skip
    if objective.window is not None:
        return partial(judge_window, objective, scope)
    return partial(_JUDGES[objective.measure], objective, scope)


def _judge_gauged(
    summary: Summary, scenarios: Mapping[str, ScenarioCriteria], objective: Objective, limit: Fraction
) -> LimitResult:
    match objective.measure:
        case Measure.GAUGE:
            return judge_gauge(objective, summary, limit)
        case Measure.DRAIN:
            return judge_drain(objective, summary, limit)
        case Measure.REACH:
            return judge_reach(objective, summary, scenarios, limit)
        case Measure.RATIO:
            return judge_ratio(objective, summary, limit)
    return judge_watched(objective, summary, limit)


def _weigh_critical(objective: Objective, at_limit: LimitResult, at_critical: LimitResult) -> LimitResult:
    tighter, looser = ("limit", "critical one") if objective.target_text is None else ("target", "limit")
    match at_critical.result:
        case Result.PASS | Result.WARN:
            how = f"above the {tighter}" if at_limit.result is Result.FAIL else f"not shown to keep the {tighter}"
            return LimitResult(Result.WARN, at_limit.observed, f"{how}, but within the {looser}")
        case Result.FAIL:
            beyond = "beyond the critical limit" if objective.target_text is None else "beyond the limit"
            return LimitResult(Result.FAIL, at_limit.observed, at_critical.note or beyond)
        case _:
            looser = "critical limit" if objective.target_text is None else "limit"
            return LimitResult(Result.INCONCLUSIVE, at_limit.observed, f"at the {looser}: {at_critical.note}")


def _is_witnessed(objective: Objective, low: Fraction | int | None) -> bool:
    if objective.subject not in _WITNESSES or objective.measure not in (Measure.COUNT, Measure.RATE):
        return False
    if objective.window is not None:
        return True
    return objective.operator in (*UPPER, "==") and low is not None and low >= objective.limit
