"""What one limit of an objective or a self-check came to, and how exact figures are compared with a limit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ..model.iteration import JOURNEY
from ..model.report import Result
from ..model.round import SETTLE
from ..model.summary import Ends
from ..objectives.objective import LOWER, UPPER

NEAR: Final = Fraction(9, 10)
"""A pass above this share of the limit is a warning."""
NEAR_NOTE: Final = "above 90 % of the limit"


@dataclass(frozen=True, slots=True)
class LimitResult:
    """What one limit came to. `observed` in the unit of the limit, times in nanoseconds; None is unbounded."""

    result: Result
    observed: Ends = (None, None)
    note: str = ""


def no_data(what: str) -> LimitResult:
    """Nothing is known of `what`."""
    if what == JOURNEY:
        return LimitResult(Result.INCONCLUSIVE, note="no iteration has a time, and no data is no pass")
    if what == SETTLE:
        return LimitResult(
            Result.INCONCLUSIVE, note="no round was judged in which something has to hold in the end, and no data is "
            "no pass"
        )  # fmt: skip
    return LimitResult(Result.INCONCLUSIVE, note=f"no event has a {what}, and no data is no pass")


def exact(holds: bool | None, observed: Ends, limit: Fraction, doubt: str) -> LimitResult:
    """An upper limit on something known exactly, or not to be told (`holds` is None) for the reason in `doubt`."""
    if holds is None:
        return LimitResult(Result.INCONCLUSIVE, observed, doubt)
    if not holds:
        return LimitResult(Result.FAIL, observed)
    if observed[1] is not None and observed[1] > NEAR * limit:
        return LimitResult(Result.WARN, observed, NEAR_NOTE)
    return LimitResult(Result.PASS, observed)


def is_near(operator: str, low: Fraction | int, high: Fraction | int | None, limit: Fraction, *, share: bool) -> bool:
    """Whether what holds does only just: a share that has to be high by what is missing from 1."""
    if share and operator in LOWER:
        return 1 - low > NEAR * (1 - limit)
    return operator in UPPER and high is not None and 0 < limit < high / NEAR


def compare(operator: str, low: Fraction | int, high: Fraction | int | None, limit: Fraction) -> bool | None:
    """Does `value operator limit` hold for every value in [low, high]: True, for none: False, for some: None."""
    above, at_least = low > limit, low >= limit
    below, at_most = high is not None and high < limit, high is not None and high <= limit
    yes, no = {
        "<": (below, at_least),
        "<=": (at_most, above),
        ">": (above, at_most),
        ">=": (at_least, below),
        "==": (at_least and at_most, above or below),
        "!=": (above or below, at_least and at_most),
    }[operator]
    return True if yes else False if no else None
