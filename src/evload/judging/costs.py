"""Fills in a price table by what was used, and judges objectives about what a run cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from ..model.costs import Amounts, Cost, Costs, Hold, Usage
from ..model.report import Result
from ..model.summary import Summary
from ..objectives.cost import Service
from ..objectives.objective import Objective
from .limit_result import LimitResult, compare, exact

TOTAL = "total"


def priced(
    services: Sequence[Service], usages: Mapping[str, Usage], accepted: tuple[int, int], hold: Hold | None
) -> Costs:
    """The price table, filled in. `usages` has one for each service, by its name."""
    found = []
    for row in services:
        used = usages[row.name]
        found.append(
            Cost(
                row.name, row.usage, row.price_text, row.per_text, used.run,
                _times(used.run, row.of), _times(used.rate, row.of), used.run_reason, used.rate_reason,
                used.note,
            )
        )  # fmt: skip
    run, run_reason = _sum([(one.name, one.run, one.run_reason) for one in found])
    second, second_reason = _sum([(one.name, one.second, one.second_reason) for one in found])
    return Costs(tuple(found), Cost(TOTAL, "", "", "", None, run, second, run_reason, second_reason), accepted, hold)


def _times(used: Amounts | None, price: Callable[[Fraction], Fraction]) -> Amounts | None:
    if used is None:
        return None
    low, high = used
    return price(low), None if high is None else price(high)


def _sum(parts: Sequence[tuple[str, Amounts | None, str]]) -> tuple[Amounts | None, str]:
    """All of them together; None and why, where one isn't known: what is left out would look like nothing."""
    unknown = [f"{name}: {reason}" for name, amounts, reason in parts if amounts is None]
    if unknown:
        return None, "; ".join(unknown)
    known = [amounts for _, amounts, _ in parts if amounts is not None]
    highs = [high for _, high in known if high is not None]
    whole = sum(highs, Fraction(0)) if len(highs) == len(known) else None
    return (sum((low for low, _ in known), Fraction(0)), whole), ""


def judge_cost(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """What the run, so many of its events, or a day or a month at the rate of its longest hold cost."""
    costs = summary.costs
    if costs is None:
        return LimitResult(Result.INCONCLUSIVE, note="what a run costs is known when it is over")
    total = costs.total
    if objective.function == "events":
        assert objective.level is not None
        amounts, reason = costs.of_events(total, int(objective.level)), costs.why_not_of_events(total)
    elif objective.function == "run":
        amounts, reason = total.run, total.run_reason
    else:
        amounts, reason = total.over(objective.function), total.second_reason
    if amounts is None:
        return LimitResult(Result.INCONCLUSIVE, note=reason)
    holds = compare(objective.operator, *amounts, limit)
    return exact(holds, amounts, limit, "what was used is known as a bracket, and the limit lies in it")
