"""By how much a quantity grows in a unit of time, when what it does in one span says nothing of the next.

A queue that takes in more than it gives out is a random walk with a drift: its increments over spans that don't
overlap are independent, while its values depend on one another over the whole of its course. So the drift is told
from increments. Those between the means of neighbouring spans are used, which what comes and goes within a span moves
little. Two neighbouring increments share a span, which makes the variance of their sum half again as large as that of
independent ones (of a random walk, whose span means have increments with a correlation of 1/4). A queue that doesn't
grow has increments that take one another back: of such the interval is wider than it would have to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Final, NamedTuple

FEWEST_SPANS: Final = 8
"""With fewer the spread of the increments is too poorly known to say anything."""
_SPANS: Final = 20
_SHARED: Final = 1.5
"""By how much the span that two neighbouring increments share widens the variance of their sum."""
CONFIDENCE: Final = 0.999
"""Of each end by itself."""


class Drift(NamedTuple):
    """A slope in units of the values per unit of the times, and the ends of its interval."""

    slope: float
    low: float
    high: float


def drift(times: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Drift | None:
    """The drift of a quantity that was looked at, at these times, in order; None where too little was seen of it.

    Each end of the interval is on its side of the drift with a probability of about `confidence`.
    """
    means = _span_means(times, values)
    if len(means) < FEWEST_SPANS:
        return None
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(means)]
    lasted = sum(time for time, _ in steps)
    slope = sum(change for _, change in steps) / lasted
    spread = sum((change - slope * time) ** 2 / time for time, change in steps) / (len(steps) - 1)
    error = sqrt(_SHARED * spread / lasted)
    if not error:
        return Drift(slope, slope, slope)
    from scipy.stats import t

    reach = float(t.ppf(confidence, len(steps) - 1)) * error
    return Drift(slope, slope - reach, slope + reach)


def _span_means(times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """The mean time and the mean value of each of twenty equal spans; of as many as there are points, if those are
    fewer."""
    if len(times) < FEWEST_SPANS or times[-1] <= times[0]:
        return []
    first, count = times[0], min(_SPANS, len(times))
    width = (times[-1] - first) / count
    sums = [[0.0, 0.0, 0.0] for _ in range(count)]
    for time, value in zip(times, values, strict=True):
        span = sums[min(int((time - first) / width), count - 1)]
        span[0] += 1
        span[1] += time
        span[2] += value
    return [(time / points, value / points) for points, time, value in sums if points]
