"""One run against many before it: whether it is beyond all of them, in whichever figure.

Nights that are alike are exchangeable, so that each of m + 1 is as likely as any other to be the oddest: the newest
is odder than all m others with a probability of 1 / (m + 1) at most (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic
Learning in a Random World", 2005, section 2.2). That holds for whatever a night is ranked by, as long as it treats
all m + 1 alike: for the largest exceedance over several figures at once, and for that beyond what is tolerated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .comparison import Reading, median

FEWEST: Final = 19
"""Nights before, from which on a false alarm is one in twenty at most."""
_SIGMA: Final = 1.4826
"""Standard deviations to a median distance, of a normal distribution: so that figures of both kinds compare."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One figure of all nights, the newest the last.

    centre  the middle of all of them
    excess  how far each is above it
    unit    how far nights usually are from it
    """

    centre: float
    excess: Sequence[float]
    unit: float

    def scores(self, tolerated: float = -math.inf) -> list[float]:
        """How odd each night is: its excess in units, of those that are beyond what is tolerated."""
        return [excess / self.unit if excess > tolerated else -math.inf for excess in self.excess]

    @property
    def stands_out(self) -> bool:
        """The newest is above all others."""
        *before, newest = self.excess
        return newest > max(before)


def ranked(readings: Sequence[Reading], *, exact: bool) -> Ranked | None:
    """A figure of all nights, the newest the last; None where more than half of them are infinite.

    Centre and unit are of all nights alike, by the middles of their brackets. With `exact` a night counts with its
    middle; otherwise those before count with their upper ends and the newest with its lower one, which can only make
    it look less odd.
    """
    middles = [one.middle for one in readings]
    centre = median(middles)
    if math.isinf(centre):
        return None
    away = [abs(value - centre) for value in middles]
    # Where most nights are exactly alike their median distance is 0, and those which aren't say what is usual.
    unit = _SIGMA * median(away) or _deviation([value for value in middles if math.isfinite(value)]) or 1.0
    *before, newest = readings
    values = middles if exact else [*(one.high for one in before), newest.low]
    return Ranked(centre, [value - centre for value in values], unit)


def threshold(figures: Sequence[Sequence[float]]) -> float:
    """The largest score of any of the nights before, in whichever figure; the newest is the last of each."""
    return max((max(figure[:-1]) for figure in figures), default=-math.inf)


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
