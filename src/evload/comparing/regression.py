"""Judges figures of two sets of runs against each other: what is worse for sure, and by more than is tolerated."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import UsageError
from ..stats.comparison import CONFIDENCE, Reading, Shift, median, runs_needed, shift
from ..texts import near
from .figures import Span


class Kind(enum.Enum):
    """How a figure is compared."""

    TIME = "time"
    """By ratio; up is worse."""
    RATE = "rate"
    """By ratio; down is worse."""
    SHARE = "share"
    """By difference; up is worse."""


FIGURES: Final = {
    "p50": Kind.TIME,
    "p90": Kind.TIME,
    "p95": Kind.TIME,
    "p99": Kind.TIME,
    "throughput": Kind.RATE,
    "lost": Kind.SHARE,
    "duplicates": Kind.SHARE,
}
DEFAULT_RULES: Final[Mapping[str, float]] = {"p50": 0.20, "p99": 0.50, "throughput": 0.20}
"""How much worse each gated figure may be, unless told otherwise."""

_TOLERANCE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*%")
_RULE_HELP: Final = "write for example p99=10%, lost=0.1% or p50=off"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of all runs, in the order of the runs. None where a run doesn't have it."""

    name: str
    base: Sequence[Span | None]
    new: Sequence[Span | None]

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
    EQUAL = "="
    """The same value in every run, exactly."""
    UNKNOWN = "~"


@dataclass(frozen=True, slots=True)
class FigureResult:
    """One figure, judged.

    base, new  medians over the runs of the lower and of the upper ends; None if a run doesn't have the figure
    shift      new against base, in logarithms (TIME, RATE) or as it is (SHARE)
    tolerance  how much worse it may be, as a share (of base: TIME, RATE); None: not gated
    reason     why it can't be told; else empty
    """

    name: str
    kind: Kind
    base: Span | None
    new: Span | None
    shift: Shift | None
    tolerance: float | None
    outcome: Outcome
    reason: str = ""

    @property
    def regression(self) -> bool:
        """Gated, and worse than is tolerated."""
        return self.tolerance is not None and self.outcome is Outcome.WORSE

    @property
    def undecided(self) -> bool:
        """Gated, and it can't be told."""
        return self.tolerance is not None and self.outcome is Outcome.UNKNOWN

    def change(self, value: float) -> float:
        """An end of the shift as people read it: a share of base (TIME, RATE), or the difference of the shares."""
        if self.kind is Kind.SHARE:
            return value
        return math.inf if value > math.log(1e300) else math.expm1(value)


def rules_of(texts: Sequence[str]) -> dict[str, float]:
    """The default rules with what `FIGURE=TOLERANCE` texts replace, add or take away (`off`).

    Raises UsageError for a text that is no rule.
    """
    rules = dict(DEFAULT_RULES)
    for text in texts:
        name, equals, tolerance = (part.strip() for part in text.partition("="))
        if name not in FIGURES:
            close = near(name, FIGURES)
            cure = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(FIGURES)}"
            raise UsageError(f"--max-regression {text}: {name!r} isn't a figure; {cure}")
        if tolerance == "off":
            rules.pop(name, None)
        elif match := _TOLERANCE.fullmatch(tolerance):
            rules[name] = float(match[1]) / 100
        elif equals and tolerance == "0":
            rules[name] = 0.0
        else:
            raise UsageError(f"--max-regression {text}: {tolerance!r} isn't a tolerance; {_RULE_HELP}")
        if FIGURES[name] is not Kind.TIME and rules.get(name, 0.0) >= 1:
            raise UsageError(f"--max-regression {text}: nothing can be worse than that; write less than 100%")
    return rules


def alpha_of(figures: Sequence[Figure], rules: Mapping[str, float]) -> float:
    """Error of each gated interval so that all of them hold together with 95 % (Bonferroni).

    A figure that is constant can't be claimed to differ, whichever runs are taken for new ones, and takes no share of
    the error (R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46 (1990) 515-522).
    """
    claimable = sum(figure.name in rules and figure.complete and not figure.constant for figure in figures)
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
    kind = FIGURES[figure.name]
    base = [span for span in figure.base if span is not None]
    new = [span for span in figure.new if span is not None]
    if not figure.complete:
        reason = "not every run has this figure"
        return FigureResult(figure.name, kind, None, None, None, tolerance, Outcome.UNKNOWN, reason)
    readings = [[_reading(span, kind) for span in side] for side in (base, new)]
    moved = shift(*readings, alpha=alpha, same_plan=same_plan and kind is not Kind.SHARE)
    if figure.constant:
        outcome, reason = Outcome.EQUAL, ""
    else:
        outcome, reason = _decide(moved, kind, tolerance)
    if outcome is Outcome.UNKNOWN and not moved.confidence:
        reason = _too_few(len(base), len(new), alpha)
    return FigureResult(figure.name, kind, _typical(base), _typical(new), moved, tolerance, outcome, reason)


def _decide(moved: Shift, kind: Kind, tolerance: float | None) -> tuple[Outcome, str]:
    sign = -1 if kind is Kind.RATE else 1
    estimate, direction = sign * moved.estimate, sign * moved.direction
    most = moved.upper if sign > 0 else -moved.lower
    most_of_middles = moved.spread[1] if sign > 0 else -moved.spread[0]
    if direction < 0:
        return Outcome.BETTER, ""
    if tolerance is None:
        return (Outcome.WORSE, "") if direction > 0 else (Outcome.UNKNOWN, "")
    limit = _limit(tolerance, kind)
    if direction > 0:
        return (Outcome.WORSE if estimate > limit else Outcome.TOLERATED), ""
    if most <= limit:
        return Outcome.SAME, ""
    if moved.confidence and most_of_middles <= limit:
        return Outcome.UNKNOWN, "the brackets of the reads are too wide; read more closely (resolution)"
    return Outcome.UNKNOWN, ""


def _limit(tolerance: float, kind: Kind) -> float:
    """The tolerance in the unit of the shift, counted towards worse."""
    match kind:
        case Kind.TIME:
            return math.log1p(tolerance)
        case Kind.RATE:
            return -math.log1p(-tolerance)
        case Kind.SHARE:
            return tolerance


def _too_few(base: int, new: int, alpha: float) -> str:
    each = runs_needed(alpha)
    if base >= each:
        return f"needs {runs_needed(alpha, base)} runs of NEW against these {base} of BASE"
    if new >= each:
        return f"needs {runs_needed(alpha, new)} runs of BASE against these {new} of NEW"
    return f"needs {each} runs each"


def _reading(span: Span, kind: Kind) -> Reading:
    """The bracket with its middle; the arithmetic one, which also exists between 0 and something."""
    high = math.inf if span.high is None else span.high
    ends = (span.low, (span.low + high) / 2, high)
    return Reading(*ends) if kind is Kind.SHARE else Reading(*(math.log(x) if x else -math.inf for x in ends))


def _typical(spans: Sequence[Span]) -> Span:
    high = median(math.inf if span.high is None else span.high for span in spans)
    return Span(median(span.low for span in spans), None if math.isinf(high) else high)
