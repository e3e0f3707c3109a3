"""Watches the samples of a gauge as they come and tells how long something lasted.

A sample taken in [start, end] tells the value at some moment in between, and nothing of the time until the next one.
So every duration is an interval: what the samples show for sure, and what they leave possible. Times are in
nanoseconds since the schedule began, samples come in order, and results are in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final, Protocol

from ..units import NS_PER_S

Result = tuple[float | None, float | None]
_BEFORE_NS: Final = 10 * NS_PER_S


class SampleWatch(Protocol):
    """Something that watches one value of a gauge."""

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        ...

    def result(self) -> Result:
        """[lower, upper] so far; None: no data, or without end."""
        ...


class StretchWatch:
    """The longest time, in seconds, for which every sample was `broken`. Keeps one sample.

    For sure it lasted from the end of the first broken sample to the start of the last one; possibly from the start
    of the good one before to the end of the good one after.
    """

    def __init__(self, broken: Callable[[float], bool]) -> None:
        self._broken = broken
        self._sure_ns = self._maybe_ns = 0
        self._good_ns = 0
        """Start of the last good sample, or of the schedule."""
        self._first_end_ns: int | None = None
        self._any = False

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        self._any = True
        if self._broken(value):
            if self._first_end_ns is None:
                self._first_end_ns = end_ns
            self._sure_ns = max(self._sure_ns, start_ns - self._first_end_ns)
        if self._first_end_ns is not None:
            self._maybe_ns = max(self._maybe_ns, end_ns - self._good_ns)
        if not self._broken(value):
            self._first_end_ns = None
            self._good_ns = start_ns

    def result(self) -> Result:
        """The longest stretch so far; (None, None) without a sample."""
        return (self._sure_ns / NS_PER_S, self._maybe_ns / NS_PER_S) if self._any else (None, None)


class MeanWatch:
    """The worst mean of the samples in any window of `span_ns`. Keeps the samples of one window.

    Windows end at a sample and hold those that began less than the span before. Before a whole span is over there is
    none; if the samples end earlier, the only window has them all.
    """

    def __init__(self, span_ns: int, *, largest: bool) -> None:
        self._span_ns = span_ns
        self._pick: Callable[[Fraction, Fraction], Fraction] = max if largest else min
        self._samples: deque[tuple[int, Fraction]] = deque()
        self._sum = Fraction(0)
        self._first_ns: int | None = None
        self._worst: Fraction | None = None

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        samples = self._samples
        exact = Fraction(value)
        samples.append((start_ns, exact))
        self._sum += exact
        self._first_ns = start_ns if self._first_ns is None else self._first_ns
        full = start_ns - self._first_ns >= self._span_ns
        while samples[0][0] <= start_ns - self._span_ns:
            self._sum -= samples.popleft()[1]
        if full:
            mean = self._sum / len(samples)
            self._worst = mean if self._worst is None else self._pick(self._worst, mean)

    def result(self) -> Result:
        """The worst mean, twice; (None, None) without a sample."""
        if not self._samples:
            return None, None
        worst = float(self._sum / len(self._samples) if self._worst is None else self._worst)
        return worst, worst


class DrainWatch:
    """The time in seconds from `from_ns` until the value is at or under its level again for the first time.

    `begins` moves that moment, before samples from then on are added. The level is `level`, or else the largest
    value sampled in the ten seconds before `level_before_ns`, 0 if there was none.
    """

    def __init__(self, from_ns: int, level: float | None, level_before_ns: int = 0) -> None:
        self._from_ns = from_ns
        self._fixed = level
        self._before_ns = level_before_ns
        self._seen_before: float | None = None
        self._above_ns = from_ns
        """Start of the last sample above the level."""
        self._back: tuple[int, int] | None = None
        """The first sample at it."""
        self._any = False

    def begins(self, from_ns: int) -> None:
        """What it counts from ended no earlier than this. What was back before then hadn't been away yet."""
        if from_ns <= self._from_ns:
            return
        self._from_ns = from_ns
        self._above_ns = max(self._above_ns, from_ns)
        if self._back is not None and self._back[0] < from_ns:
            self._back = None
            self._any = False

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        if self._before_ns - _BEFORE_NS <= start_ns and end_ns < self._before_ns:
            self._seen_before = value if self._seen_before is None else max(self._seen_before, value)
        if start_ns < self._from_ns or self._back is not None:
            return
        self._any = True
        level = self._fixed if self._fixed is not None else self._seen_before or 0.0
        if value <= level:
            self._back = (start_ns, end_ns)
        else:
            self._above_ns = start_ns

    def result(self) -> Result:
        """[last sample above the level, first one at it]; without an end while it isn't back."""
        if not self._any:
            return None, None
        low_ns = self._above_ns - self._from_ns
        return low_ns / NS_PER_S, None if self._back is None else (self._back[1] - self._from_ns) / NS_PER_S
