"""Judges the figures of one new run against those of many before: which are beyond all of these, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from ..objectives.change import Kind
from ..stats.comparison import Reading, Shift, median
from ..stats.nights import FEWEST, Ranked, ranked, threshold
from .regression import Figure, FigureResult, Outcome, limit_of, reading_of, typical, unlike

_ODDER: Final = "it is beyond all runs before, of which one was odder in another figure, or as odd"


def applies(base: int, new: int) -> bool:
    """Whether there is one new run, and enough before it."""
    return new == 1 and base >= FEWEST


def judge(figures: Sequence[Figure], rules: Mapping[str, float], *, same_plan: bool) -> list[FigureResult]:
    """Each figure; those with a rule are gated.

    Each night is ranked by its largest exceedance beyond what is tolerated, over all gated figures: among nights that
    are alike one in m + 1 at most is called a regression. What is said of a figure beside that is by its own ranks.
    """
    worse = {one.name: found for one in figures if unlike(one) and (found := _ranked(one, 1, same_plan=same_plan))}
    scores = {
        figure.name: worse[figure.name].scores(_tolerated(figure, worse[figure.name], rules[figure.name]))
        for figure in figures
        if figure.name in worse and figure.name in rules
    }
    oddest = threshold(list(scores.values()))
    return [
        _judge(
            figure, worse.get(figure.name), _ranked(figure, -1, same_plan=same_plan), rules.get(figure.name),
            odd=figure.name in scores and scores[figure.name][-1] > oddest,
        )
        for figure in figures
    ]  # fmt: skip


def _ranked(figure: Figure, towards: int, *, same_plan: bool) -> Ranked | None:
    """All nights, the worse the higher, or the better (`towards` is -1)."""
    if not unlike(figure):
        return None
    readings = [reading_of(span, figure.kind) for span in (*figure.base, *figure.new) if span is not None]
    # The middle of a bracket goes with the value where all were read by one plan; a share has no such plan.
    exact = (same_plan and not figure.kind.is_share) or all(one.low == one.high for one in readings)
    up = figure.kind.sign * towards > 0
    return ranked(readings if up else [Reading(-one.high, -one.middle, -one.low) for one in readings], exact=exact)


def _tolerated(figure: Figure, found: Ranked, tolerance: float) -> float:
    """How far a night may be above the middle of all."""
    return limit_of(tolerance, figure.kind, abs(found.centre) if figure.kind is Kind.VALUE else 1.0)


def _judge(
    figure: Figure, worse: Ranked | None, better: Ranked | None, tolerance: float | None, *, odd: bool
) -> FigureResult:
    kind = figure.kind
    base, new = ([span for span in side if span is not None] for side in (figure.base, figure.new))
    if not figure.complete:
        reason = "not every run has this figure"
        return FigureResult(figure.name, kind, None, None, None, tolerance, Outcome.UNKNOWN, reason)
    ends = (figure.name, kind, typical(base), typical(new))
    if figure.constant:
        return FigureResult(*ends, Shift(0.0, 0.0, 0.0, 0.0, 0, (0.0, 0.0)), tolerance, Outcome.EQUAL)
    if worse is None or better is None:
        return FigureResult(*ends, None, tolerance, Outcome.UNKNOWN, "most runs have no upper end of it")
    middles = [[reading_of(span, kind).middle for span in side] for side in (base, new)]
    change = middles[1][0] - median(middles[0])
    outcome, direction, reason = Outcome.USUAL, 0, ""
    if worse.stands_out:
        direction = kind.sign
        outcome = Outcome.WORSE
        if tolerance is not None and direction * change <= limit_of(tolerance, kind, figure.scale):
            outcome = Outcome.TOLERATED
        elif tolerance is not None and not odd:
            outcome, direction, reason = Outcome.UNKNOWN, 0, _ODDER
    elif better.stands_out:
        outcome, direction = Outcome.BETTER, -kind.sign
    moved = Shift(change, -math.inf, math.inf, 0.0, direction, (-math.inf, math.inf))
    return FigureResult(*ends, moved, tolerance, outcome, reason, figure.scale)
