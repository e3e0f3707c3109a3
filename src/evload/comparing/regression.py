"""Judges figures of two sets of runs against each other: what is worse for sure, and by more than is tolerated."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..objectives.change import Kind, kind_of
from ..stats.comparison import CONFIDENCE, Reading, Shift, median, runs_needed, shift
from .figures import Span


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of all runs, in the order of the runs. None where a run doesn't have it."""

    name: str
    base: Sequence[Span | None]
    new: Sequence[Span | None]

    @property
    def kind(self) -> Kind:
        """How it is compared."""
        return kind_of(self.name)

    @property
    def scale(self) -> float:
        """What differences are told as shares of: of a gauge's value the middle of BASE, 1 of all else."""
        if self.kind is not Kind.VALUE:
            return 1.0
        return abs(median(reading_of(span, self.kind).middle for span in self.base if span is not None))

    @property
    def complete(self) -> bool:
        """Every run has it."""
        return None not in (*self.base, *self.new)

    @property
    def constant(self) -> bool:
        """It is the same in every run, exactly."""
        spans = {*self.base, *self.new}
        return len(spans) == 1 and all(span is not None and span.low == span.high for span in spans)


class Outcome(enum.StrEnum):
    """What can be said of a figure."""

    WORSE = "worse"
    """For sure, and by more than is tolerated where there is a tolerance."""
    TOLERATED = "tolerated"
    """Worse for sure, and by no more than is tolerated."""
    BETTER = "better"
    SAME = "same"
    """Not worse by more than is tolerated, for sure."""
    USUAL = "usual"
    """One run among those before: not beyond all of them."""
    EQUAL = "="
    """The same value in every run, exactly."""
    UNKNOWN = "~"


@dataclass(frozen=True, slots=True)
class FigureResult:
    """One figure, judged.

    base, new  medians over the runs of the lower and of the upper ends; None if a run doesn't have the figure
    shift      new against base, as it is (shares) or in logarithms (all others)
    tolerance  how much worse it may be, as a share (of base, but for shares); None: not gated
    reason     why it can't be told; else empty
    scale      what differences are told as shares of
    """

    name: str
    kind: Kind
    base: Span | None
    new: Span | None
    shift: Shift | None
    tolerance: float | None
    outcome: Outcome
    reason: str = ""
    scale: float = 1.0

    @property
    def regression(self) -> bool:
        """Gated, and worse than is tolerated."""
        return self.tolerance is not None and self.outcome is Outcome.WORSE

    @property
    def undecided(self) -> bool:
        """Gated, and it can't be told."""
        return self.tolerance is not None and self.outcome is Outcome.UNKNOWN

    def change(self, value: float) -> float:
        """An end of the shift as people read it: a share of base, or the difference of the shares."""
        if self.kind.is_share or not self.scale:
            return value
        if self.kind is Kind.VALUE:
            return value / self.scale
        return math.inf if value > math.log(1e300) else math.expm1(value)


def unlike(figure: Figure) -> bool:
    """Every run has it, and not all the same."""
    return figure.complete and not figure.constant


def alpha_of(figures: Sequence[Figure], rules: Mapping[str, float]) -> float:
    """Error of each gated interval so that all of them hold together with 95 % (Bonferroni).

    A figure that is constant can't be claimed to differ, whichever runs are taken for new ones, and takes no share of
    the error (R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46 (1990) 515-522).
    """
    claimable = sum(figure.name in rules and unlike(figure) for figure in figures)
    return (1 - CONFIDENCE) / max(1, claimable)


def judge(figures: Sequence[Figure], rules: Mapping[str, float], *, same_plan: bool) -> list[FigureResult]:
    """Each figure; those with a rule are gated.

    The intervals of the gated figures hold together with 95 %, so that among builds that are alike one comparison in
    twenty at most claims anything of them; the interval of another figure has 95 % of its own.
    """
    alpha = alpha_of(figures, rules)
    return [
        _judge(figure, rules[figure.name], alpha, same_plan)
        if figure.name in rules
        else _judge(figure, None, 1 - CONFIDENCE, same_plan)
        for figure in figures
    ]


def _judge(figure: Figure, tolerance: float | None, alpha: float, same_plan: bool) -> FigureResult:
    kind = figure.kind
    base = [span for span in figure.base if span is not None]
    new = [span for span in figure.new if span is not None]
    if not figure.complete:
        reason = "not every run has this figure"
        return FigureResult(figure.name, kind, None, None, None, tolerance, Outcome.UNKNOWN, reason)
    readings = [[reading_of(span, kind) for span in side] for side in (base, new)]
    moved = shift(*readings, alpha=alpha, same_plan=same_plan and not kind.is_share)
    if figure.constant:
        outcome, reason = Outcome.EQUAL, ""
    else:
        outcome, reason = _decide(moved, kind, tolerance, figure.scale)
    if outcome is Outcome.UNKNOWN and not moved.confidence:
        reason = _too_few(len(base), len(new), alpha)
    return FigureResult(
        figure.name, kind, typical(base), typical(new), moved, tolerance, outcome, reason, figure.scale
    )


def _decide(moved: Shift, kind: Kind, tolerance: float | None, scale: float) -> tuple[Outcome, str]:
    sign = kind.sign
    estimate, direction = sign * moved.estimate, sign * moved.direction
    most = moved.upper if sign > 0 else -moved.lower
    most_of_middles = moved.spread[1] if sign > 0 else -moved.spread[0]
    if direction < 0:
        return Outcome.BETTER, ""
    if tolerance is None:
        return (Outcome.WORSE, "") if direction > 0 else (Outcome.UNKNOWN, "")
    limit = limit_of(tolerance, kind, scale)
    if direction > 0:
        return (Outcome.WORSE if estimate > limit else Outcome.TOLERATED), ""
    if most <= limit:
        return Outcome.SAME, ""
    if moved.confidence and most_of_middles <= limit:
        return Outcome.UNKNOWN, "the brackets of the reads are too wide; read more closely (resolution)"
    return Outcome.UNKNOWN, ""


def limit_of(tolerance: float, kind: Kind, scale: float) -> float:
    """The tolerance in the unit of the shift, counted towards worse."""
    match kind:
        case Kind.RATE | Kind.BYTE_RATE:
            return -math.log1p(-tolerance)
        case Kind.SHARE | Kind.SUCCESS:
            return tolerance
        case Kind.VALUE:
            return tolerance * scale
    return math.log1p(tolerance)


def _too_few(base: int, new: int, alpha: float) -> str:
    each = runs_needed(alpha)
    if base >= each:
        return f"needs {runs_needed(alpha, base)} runs of NEW against these {base} of BASE"
    if new >= each:
        return f"needs {runs_needed(alpha, new)} runs of BASE against these {new} of NEW"
    return f"needs {each} runs each"


def reading_of(span: Span, kind: Kind) -> Reading:
    """The bracket with its middle; the arithmetic one, which also exists between 0 and something."""
    high = math.inf if span.high is None else span.high
    ends = (span.low, (span.low + high) / 2, high)
    return (
        Reading(*ends)
        if kind.is_share or kind is Kind.VALUE
        else Reading(*(math.log(x) if x else -math.inf for x in ends))
    )


def typical(spans: Sequence[Span]) -> Span:
    high = median(math.inf if span.high is None else span.high for span in spans)
    return Span(median(span.low for span in spans), None if math.isinf(high) else high)
