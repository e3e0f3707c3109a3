"""Whether a noisy series rises or falls over time, when what it shows at one moment depends on the moment before.

The slope is that of Theil and Sen, the median of the slopes between all pairs of points, which a few outliers don't
move. Its usual interval takes the points for independent, and memory, queues and temperatures are not: under noise
that lasts it calls far too many level series a leak. Two things make up for that. The points are means over equal
spans of time, a few dozen however long the run was: most of the dependence is gone within a span (batch means, e.g.
A. M. Law, "Simulation Modeling and Analysis", chapter 9). What is left between neighbours widens the interval: the
variance of Kendall's S, on whose quantiles the interval stands (P. K. Sen, JASA 63 (1968) 1379-1389), grows by
(1 + r) / (1 - r) under noise of first order with correlation r (K. H. Hamed and A. R. Rao, J. Hydrology 204 (1998)
182-196; S. Yue and C. Y. Wang, Water Resources Management 18 (2004) 201-218), where r is corrected for what a fitted
line takes away from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, inf, sqrt
from statistics import NormalDist, median
from typing import Final, NamedTuple

FEWEST_POINTS: Final = 10
"""With fewer the dependence between them is too poorly known to say anything."""
_MOST_SPANS: Final = 64
_FIRST_SPAN_NS: Final = 100_000_000
_CONFIDENCE: Final = 0.95
_MOST_DEPENDENT: Final = 0.95


class Trend(NamedTuple):
    """A slope, and the ends of its 95 % interval; infinite where the points say nothing of them."""

    slope: float
    low: float
    high: float


def theil_sen(xs: Sequence[float], ys: Sequence[float]) -> Trend:
    """The slope through points in order of x. Raises ValueError with fewer than ten, or where two have one x."""
    n = len(xs)
    if n < FEWEST_POINTS or n != len(ys) or any(b <= a for a, b in pairwise(xs)):
        raise ValueError(f"no trend can be told from {n} points; it takes {FEWEST_POINTS} with rising xs")
    slopes = sorted((ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(n) for j in range(i + 1, n))
    slope = median(slopes)
    r = _dependence([y - slope * x for x, y in zip(xs, ys, strict=True)])
    variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + r) / (1 - r)
    reach = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2) * sqrt(variance)
    low, high = floor((len(slopes) - reach) / 2) - 1, ceil((len(slopes) + reach) / 2)
    return Trend(slope, slopes[low] if low >= 0 else -inf, slopes[high] if high < len(slopes) else inf)


def _dependence(rest: Sequence[float]) -> float:
    """The correlation of neighbours around a line, never below 0: what alternates isn't taken for better known.

    Around a fitted line that of n points is too small by about (2 + 4r) / n (as J. Marriott and J. Pope have it for
    a mean and a line, Biometrika 41 (1954) 390-402).
    """
    n = len(rest)
    mean = sum(rest) / n
    off = [value - mean for value in rest]
    spread = sum(value * value for value in off)
    if not spread:
        return 0.0
    seen = sum(a * b for a, b in pairwise(off)) / spread
    return min(_MOST_DEPENDENT, max(0.0, (seen * n + 2) / (n - 4)))


class Spans:
    """Means of a series over equal spans of time: between 32 and 64 of them, however long it gets.

    Where there are more, two neighbours become one. Times are in nanoseconds, in order.
    """

    def __init__(self) -> None:
        self._span_ns = _FIRST_SPAN_NS
        self._first_ns: int | None = None
        self._sums: dict[int, tuple[int, int, float]] = {}
        """Number of a span to [points in it, sum of their times since the first, sum of their values]."""

    def add(self, at_ns: int, value: float) -> None:
        """Count one point."""
        if self._first_ns is None:
            self._first_ns = at_ns
        since = at_ns - self._first_ns
        while since // self._span_ns >= _MOST_SPANS:
            self._span_ns *= 2
            halves, self._sums = self._sums, {}
            for number, sums in halves.items():
                self._count(number // 2, *sums)
        self._count(since // self._span_ns, 1, since, value)

    def _count(self, number: int, points: int, times: int, values: float) -> None:
        before = self._sums.get(number, (0, 0, 0.0))
        self._sums[number] = (before[0] + points, before[1] + times, before[2] + values)

    def points(self) -> tuple[list[float], list[float]]:
        """The mean time, in nanoseconds since the first point, and the mean value of each span that has points."""
        spans = [self._sums[number] for number in sorted(self._sums)]
        return [times / points for points, times, _ in spans], [values / points for points, _, values in spans]
