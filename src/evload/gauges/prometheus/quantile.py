"""Quantiles of a classic Prometheus histogram, over what its buckets gained between samples. No I/O.

Between two bounds nobody knows where an observation was: a quantile is the two bounds of its bucket, and no point.
`histogram_quantile` draws a straight line between them; that is a guess, and as good as the buckets are narrow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

Group = frozenset[tuple[str, str]]
"""The labels of a series but `le`: the buckets of one histogram have it in common."""
Buckets = Mapping[float, float]
"""Upper bound to what was counted at or below it."""
INFINITE: Final = math.inf


class Bounds(NamedTuple):
    """Where a quantile lies: above `low`, and at or below `high`. None: without an end."""

    low: float | None
    high: float | None


class Gains:
    """What buckets gained, of all chosen series together: since the sample that was taken `over_ns` before the
    newest, or the last one before that, or the first of all in a run that is younger."""

    def __init__(self, over_ns: int) -> None:
        self._over_ns = over_ns
        self._last: dict[Group, Buckets] = {}
        self._counted: dict[float, float] = {}
        """What they counted so far, whatever began anew meanwhile."""
        self._samples: deque[tuple[int, Buckets]] = deque()

    def add(self, at_ns: int, groups: Mapping[Group, Buckets]) -> Buckets | None:
        """Look at a sample; what was gained then, None if there is none before to compare with."""
        for group, buckets in groups.items():
            last = self._last.get(group, {})
            # A process that began anew counts from 0, in all of its buckets at once.
            if any(buckets.get(bound, 0.0) < count for bound, count in last.items()):
                last = {}
            for bound, count in buckets.items():
                self._counted[bound] = self._counted.get(bound, 0.0) + count - last.get(bound, 0.0)
            self._last[group] = buckets
        samples = self._samples
        samples.append((at_ns, dict(self._counted)))
        while len(samples) > 1 and samples[1][0] <= at_ns - self._over_ns:
            samples.popleft()
        if len(samples) < 2:
            return None
        before = samples[0][1]
        return {bound: count - before.get(bound, 0.0) for bound, count in self._counted.items()}


def quantile_of(gained: Buckets, share: float) -> Bounds | None:
    """The bounds of the bucket in which a quantile lies; None if nothing was observed, or there is no +Inf bucket."""
    bounds = sorted(gained)
    if not bounds or bounds[-1] != INFINITE or gained[INFINITE] <= 0:
        return None
    rank = share * gained[INFINITE]
    below: float | None = 0.0 if bounds[0] > 0 else None
    seen = 0.0
    for bound in bounds:
        # What is counted at or below a bound is at least what is below a smaller one, whatever came in between.
        seen = max(seen, gained[bound])
        if seen >= rank and seen > 0:
            return Bounds(below, None if bound == INFINITE else bound)
        below = bound
    return Bounds(below, None)


def grouped(series: Iterable[tuple[Group, float]]) -> dict[Group, dict[float, float]]:
    """Series of buckets by the histogram that they are of. Raises ValueError for a bound that is no number."""
    found: dict[Group, dict[float, float]] = {}
    for labels, count in series:
        bound = next((value for name, value in labels if name == "le"), None)
        if bound is None:
            raise ValueError("a bucket without le")
        group = frozenset(label for label in labels if label[0] != "le")
        found.setdefault(group, {})[float(bound)] = count
    return found
