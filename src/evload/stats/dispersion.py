"""Whether counts scatter around their expectation as those of a Poisson process do.

The index of dispersion test: R. A. Fisher, "Statistical Methods for Research Workers", § 16; with expectations that
are known beforehand, the sum has as many degrees of freedom as there are counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

FEWEST: Final = 10
"""Counts that it takes."""
LEAST_EXPECTED: Final = 5.0
"""A count whose expectation is smaller is left out: the χ² distribution doesn't fit it."""
_TAIL: Final = 0.005


class Dispersion(NamedTuple):
    """Σ(n - e)² / e by degrees of freedom: 1 on average, and within [low, high] in 99 % of all cases."""

    ratio: float
    low: float
    high: float
    steps: int


def dispersion(pairs: Iterable[tuple[int, float]]) -> Dispersion | None:
    """Of (count, its expectation) pairs. None with fewer than 10 that expect 5 or more."""
    fit = [(n, expected) for n, expected in pairs if expected >= LEAST_EXPECTED]
    if len(fit) < FEWEST:
        return None
    from scipy.special import chdtri

    degrees = len(fit)
    total = sum((n - expected) ** 2 / expected for n, expected in fit)
    low, high = (float(chdtri(degrees, tail)) / degrees for tail in (1 - _TAIL, _TAIL))
    return Dispersion(total / degrees, low, high, degrees)
