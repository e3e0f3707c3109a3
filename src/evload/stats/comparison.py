"""How far apart two sets of runs are, from ranks alone; and whether a series of runs drifts.

The unit is the run: events of one run share its machine, its minute and its luck, so that a thousand of them say
no more about the next run than one figure of it does. The shift between two sets is estimated by the median of all
pairwise differences (J. L. Hodges, E. L. Lehmann, "Estimates of location based on rank tests", Annals of Mathematical
Statistics 34 (1963) 598-611). Its interval lies between two of the ordered differences, chosen by the exact
distribution of the Mann-Whitney statistic U (E. L. Lehmann, "Nonparametrics: Statistical Methods Based on Ranks",
1975, chapter 2): P(D(k) <= shift <= D(mn + 1 - k)) >= 1 - 2 P(U <= k - 1), whatever the distribution, ties included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95


class Reading(NamedTuple):
    """One figure of one run: the bracket that it lies in, and the middle of it. Ends may be infinite."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much the new runs lie above the base runs, in the unit of the readings.

    estimate      median of the pairwise differences of the middles; may be infinite
    lower, upper  the interval, widened by the brackets of the readings; infinite where nothing bounds it
    confidence    that of the interval, exact: at least what was asked for; 0 if so few runs give no interval
    direction     1 or -1 where the interval is sure of the sign, else 0
    spread        the interval of the middles alone: what is left of it if readings were points
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    direction: int
    spread: tuple[float, float]


def shift(base: Sequence[Reading], new: Sequence[Reading], *, alpha: float, same_plan: bool) -> Shift:
    """The Hodges-Lehmann shift from `base` to `new` with its two-sided interval of confidence 1 - alpha.

    A reading is a bracket. The lower end of the interval is the k-th of the least possible differences, the upper one
    the k-th last of the greatest possible ones: since order statistics are monotone, the interval of the true values
    lies within, with no model of where in its bracket a value is.

    `same_plan`: all runs were read by the same plan. Then the middle of a bracket is a function of the value that
    never falls, so that middles that differ prove that the values do, in the same direction: the middles alone decide
    the sign, and builds that are alike are exchangeable whatever the width of the brackets. Without it the sign too
    has to be proved by the widened interval. Raises ValueError without readings on either side.
    """
    if not base or not new:
        raise ValueError("nothing to compare")
    pairs = [(b, n) for b in base for n in new]
    middles = sorted(_minus(n.middle, b.middle, 0.0) for b, n in pairs)
    estimate = median(middles)
    k, confidence = interval_rank(len(base), len(new), alpha)
    if not k:
        return Shift(estimate, -math.inf, math.inf, 0.0, 0, (-math.inf, math.inf))
    lower = sorted(_minus(n.low, b.high, -math.inf) for b, n in pairs)[k - 1]
    upper = sorted(_minus(n.high, b.low, math.inf) for b, n in pairs)[-k]
    spread = (middles[k - 1], middles[-k])
    if same_plan and spread[0] > 0:
        lower, direction = max(lower, 0.0), 1
    elif same_plan and spread[1] < 0:
        upper, direction = min(upper, 0.0), -1
    else:
        direction = 1 if lower > 0 else -1 if upper < 0 else 0
    return Shift(estimate, lower, upper, confidence, direction, spread)


def interval_rank(m: int, n: int, alpha: float) -> tuple[int, float]:
    """(k, exact confidence) of the interval from the k-th smallest to the k-th largest of the m · n differences.

    The largest k for which the confidence is at least 1 - alpha; (0, 0.0) if there is none.
    """
    total = comb(m + n, m)
    tail = 0
    k = 0
    for count in mann_whitney_counts(m, n):
        if 2 * (tail + count) > alpha * total:
            break
        tail += count
        k += 1
    return (k, 1 - 2 * tail / total) if k else (0, 0.0)


def mann_whitney_counts(m: int, n: int) -> list[int]:
    """For u = 0 .. m · n: how many of the comb(m + n, m) orders of m and n values have the statistic U = u.

    The coefficients of the Gaussian binomial, the product of (1 - q^(n + i)) / (1 - q^i) for i = 1 .. m.
    """
    few, many = sorted((m, n))
    counts = [1] + [0] * (m * n)
    for i in range(1, few + 1):
        for u in range(m * n, many + i - 1, -1):
            counts[u] -= counts[u - many - i]
        for u in range(i, m * n + 1):
            counts[u] += counts[u - i]
    return counts


def runs_needed(alpha: float, against: int | None = None) -> int:
    """The smallest number of runs on each side, or on one side `against` so many, with an interval of 1 - alpha."""
    n = 1
    while alpha * comb((n if against is None else against) + n, n) < 2:
        n += 1
    return n


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure goes with time: its slope per unit of time, and how likely so clear an order is by chance."""

    slope: float
    p_value: float


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Slope by Theil and Sen (P. K. Sen, JASA 63 (1968) 1379-1389), p-value of Kendall's tau, two-sided.

    The slope is the median of the slopes between all pairs of finite values; pairs of one moment have none. Raises
    ValueError if these are all of one moment.
    """
    finite = [(at, value) for at, value in zip(times, values, strict=True) if math.isfinite(value)]
    if len({at for at, _ in finite}) < 2:
        raise ValueError("a trend takes time")
    from scipy.stats import kendalltau, theilslopes

    slope = theilslopes([value for _, value in finite], [at for at, _ in finite]).slope
    p_value = float(kendalltau(times, values).pvalue)
    return Trend(float(slope), 1.0 if math.isnan(p_value) else p_value)


def median(values: Iterable[float]) -> float:
    """Of values that may be infinite; 0 between the two infinities. Raises IndexError if there are none."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    low, high = ordered[half - 1], ordered[half]
    return low if low == high else 0.0 if math.isinf(low) and math.isinf(high) else (low + high) / 2


def _minus(a: float, b: float, unknown: float) -> float:
    """a - b; `unknown` where both are the same infinity."""
    return unknown if math.isinf(a) and a == b else a - b
