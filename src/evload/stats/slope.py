"""The straight line through a series, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple


class Slope(NamedTuple):
    """`per_unit` is the slope, `t` its ratio to its standard error; infinite for a perfect line that isn't level."""

    per_unit: float
    t: float


def least_squares(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """Ordinary least squares. Raises ValueError unless there are three points with different xs."""
    n = len(xs)
    if n < 3 or n != len(ys) or min(xs) == max(xs):
        raise ValueError(f"no line through {n} points can be judged; it takes three with different xs")
    from scipy.stats import linregress

    line = linregress(xs, ys)
    slope, error = float(line.slope), float(line.stderr)
    if not slope:
        return Slope(0.0, 0.0)  # Of a level line the error is no number.
    if error:
        return Slope(slope, slope / error)
    return Slope(slope, inf if slope > 0 else -inf)
