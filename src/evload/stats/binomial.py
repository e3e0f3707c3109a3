"""Exact one-sided bounds on a rate, and how many events it takes to show one.

The bounds are those of C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
illustrated in the case of the binomial", Biometrika 26 (1934) 404-413, written with the quantiles of the
beta distribution (L. D. Brown, T. T. Cai, A. DasGupta, "Interval estimation for a binomial proportion",
Statistical Science 16 (2001) 101-133, section 4.2.1). They never cover less than they claim.

Where none or all are bad the quantiles have a closed form. Most runs are of that kind, and need no library, whose
import takes as long as the rest of their start.
"""

from __future__ import annotations

from fractions import Fraction
from math import exp, expm1, log1p
from typing import Final

CONFIDENCE: Final = 0.95


def clopper_pearson_upper(k: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The largest rate that `k` bad events of `n` leave possible. Both may be effective sizes, not whole.

    Without any events every rate is possible: 1. Raises ValueError unless 0 <= k <= n.
    """
    _check(k, n)
    if k >= n:
        return 1.0
    if k == 0:
        return -expm1(log1p(-confidence) / n)
    from scipy.special import betaincinv

    return float(betaincinv(k + 1, n - k, confidence))


def clopper_pearson_lower(k: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The smallest rate that `k` bad events of `n` leave possible. Both may be effective sizes, not whole.

    Without any bad events it is 0. Raises ValueError unless 0 <= k <= n.
    """
    _check(k, n)
    if k <= 0:
        return 0.0
    if k == n:
        return exp(log1p(-confidence) / n)
    from scipy.special import betaincinv

    return float(betaincinv(k, n - k + 1, 1 - confidence))


def smallest_n(p: Fraction, bad: int) -> int:
    """How many events it takes to show that a share `p` of them is good when `bad` are not.

    The smallest n with `clopper_pearson_upper(bad, n) < 1 - p`. For no bad event that is the success-run
    rule n > ln 0.05 / ln p. Raises ValueError unless 0 < p < 1, because no sample can show 100 %.
    """
    if not 0 < p < 1:
        raise ValueError(f"no number of events decides a share of {float(p):.6g}; it has to be between 0 and 1")
    allowed = float(1 - p)
    enough = bad + 1
    while clopper_pearson_upper(bad, enough) >= allowed:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if clopper_pearson_upper(bad, max(middle, bad)) < allowed:
            enough = middle
        else:
            too_few = middle
    return enough


def _check(k: float, n: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} events")
