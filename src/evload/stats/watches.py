"""Watches the samples of a gauge as they come and tells how long something lasted.

A sample taken in [start, end] tells the value at some moment in between, and nothing of the time until the next one.
So every duration is an interval: what the samples show for sure, and what they leave possible. Times are in
nanoseconds since the schedule began, samples come in order, and results are in seconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isinf, nan
from typing import Final, Protocol

from ..units import NS_PER_S
from .trend import FEWEST_POINTS, Trend, theil_sen
from .trend import Spans as TrendSpans

Result = tuple[float | None, float | None]
_BEFORE_NS: Final = 10 * NS_PER_S
_NEWEST: Final = 16
"""Samples that are kept without a look at what hangs on them."""
MISSING: Final = nan
"""What stands for a value in a sample that was taken and had no such value (yet)."""


def is_missing(value: float) -> bool:
    """Whether it stands for a value that wasn't there."""
    return value != value


class SampleWatch(Protocol):
    """Something that watches one value of a gauge."""

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        ...

    def missing(self, start_ns: int, end_ns: int) -> None:
        """Look at one answer that has no such value (yet)."""
        ...

    def result(self) -> Result:
        """[lower, upper] so far; None: no data, or without end."""
        ...

    @property
    def note(self) -> str:
        """What else there is to say of the result, for people."""
        ...


class _Watch:
    """What a value that isn't there says to most watches: nothing."""

    def missing(self, start_ns: int, end_ns: int) -> None:
        """Look at one answer that has no such value (yet)."""

    @property
    def note(self) -> str:
        """What else there is to say of the result, for people."""
        return ""


class AnchoredWatch(_Watch):
    """Something that counts from a moment, `from_ns`, and may learn that it came later."""

    def __init__(self, from_ns: int) -> None:
        self._from_ns = from_ns

    def begins(self, from_ns: int) -> None:
        """What it counts from ended no earlier than this."""
        if from_ns > self._from_ns:
            self._from_ns = from_ns
            self._moved()

    def counts_from(self, from_ns: int) -> None:
        """It is known now from when it counts, which nobody knew before, or which is sooner than was thought: no
        sample so far began later."""
        self._from_ns = from_ns

    def _moved(self) -> None:
        """Give up what was found and lies before the moment."""


NOT_YET: Final = 1 << 62
"""For `from_ns` of what counts from a moment that nobody knows yet."""


class ValueWatch(_Watch):
    """The largest, the smallest, the mean or the last of the values: `function` is max, min, mean or last."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._count = 0
        self._kept = Fraction(0)

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        exact = Fraction(value)
        self._count += 1
        if self._count == 1 or self._function == "last":
            self._kept = exact
        elif self._function == "mean":
            self._kept += exact
        else:
            self._kept = (max if self._function == "max" else min)(self._kept, exact)

    def result(self) -> Result:
        """The value, twice; (None, None) without a sample."""
        if not self._count:
            return None, None
        value = float(self._kept / self._count if self._function == "mean" else self._kept)
        return value, value


class StretchWatch(_Watch):
    """The longest time, in seconds, for which every sample was `broken`. Keeps one sample.

    For sure it lasted from the end of the first broken sample to the start of the last one; possibly from the start
    of the good one before to the end of the good one after. With `unseen` it also counts as possible that it was so
    between two good samples, where nobody looked.
    """

    def __init__(self, broken: Callable[[float], bool], *, unseen: bool = False) -> None:
        self._broken = broken
        self._unseen = unseen
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
        if self._unseen or self._first_end_ns is not None:
            self._maybe_ns = max(self._maybe_ns, end_ns - self._good_ns)
        if not self._broken(value):
            self._first_end_ns = None
            self._good_ns = start_ns

    def begins(self, at_ns: int) -> None:
        """What was before this moment is no part of a stretch."""
        self._good_ns, self._first_end_ns = at_ns, None

    def ends(self, at_ns: int) -> None:
        """What is after this moment is no part of a stretch."""
        if self._any and (self._unseen or self._first_end_ns is not None):
            self._maybe_ns = max(self._maybe_ns, at_ns - self._good_ns)

    def result(self) -> Result:
        """The longest stretch so far; (None, None) without a sample."""
        return (self._sure_ns / NS_PER_S, self._maybe_ns / NS_PER_S) if self._any else (None, None)


class MeanWatch(_Watch):
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


Spans = Sequence[tuple[tuple[int, int | None], tuple[int, int | None]]]
"""Of each time that something was on: from when to when for sure, and from when to when perhaps; None: no end yet."""


class WithinWatch(_Watch):
    """What another watch finds in the samples that were taken while something was on for sure."""

    def __init__(self, inner: SampleWatch) -> None:
        self._inner = inner
        self._spans: Spans = ()
        self._in: int | None = None

    def on(self, spans: Spans) -> None:
        """When it was on, in order of time: of the last span the end may come later, and spans may be added."""
        self._spans = spans

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        number = bisect_right(self._spans, start_ns, key=lambda span: span[0][0]) - 1
        if number < 0:
            return
        from_ns, to_ns = self._spans[number][0]
        if to_ns is not None and end_ns > to_ns:
            return
        if number != self._in:
            self._leave()
            self._in = number
            if isinstance(self._inner, StretchWatch):
                self._inner.begins(from_ns)
        self._inner.add(start_ns, end_ns, value)

    def _leave(self) -> None:
        to_ns = None if self._in is None else self._spans[self._in][0][1]
        if to_ns is not None and isinstance(self._inner, StretchWatch):
            self._inner.ends(to_ns)

    def result(self) -> Result:
        """What the other watch says; (None, None) if no sample was taken then."""
        self._leave()
        return self._inner.result()

    @property
    def note(self) -> str:
        """What the other watch says beside it."""
        return self._inner.note


class RiseWithinWatch(_Watch):
    """How much a counter rose while something was on.

    At least by what it counted between the first and the last sample that were taken while it was on for sure, and at
    most by what it did between the last sample before it may have been on and the first one after.

    Keeps the samples on which that hangs, a few for each time that it was on, and the newest ones.
    """

    def __init__(self) -> None:
        self._spans: Spans = ()
        self._since_ns: int | None = None
        self._last: Fraction | None = None
        self._risen = Fraction(0)
        self._samples: list[tuple[int, int, Fraction]] = []
        self._most = _NEWEST

    def on(self, spans: Spans, since_ns: int | None = None) -> None:
        """When it was on, in order of time; and since when it may be on besides, which is no span yet.

        As in `WithinWatch` spans may be added and the last one may end. What is told so late is about a moment after
        all samples so far: it begins no earlier than `since_ns` had it, or else than the newest sample ended.
        """
        self._spans = spans
        self._since_ns = since_ns

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        exact = Fraction(value)
        if self._last is not None:
            self._risen += exact if exact < self._last else exact - self._last
        self._last = exact
        self._samples.append((start_ns, end_ns, self._risen))
        if len(self._samples) > self._most:
            self._forget()
            self._most = 2 * len(self._samples) + _NEWEST

    def missing(self, start_ns: int, end_ns: int) -> None:
        """A counter that isn't there: it will begin at 0."""
        self.add(start_ns, end_ns, 0.0)

    def result(self) -> Result:
        """[for sure, perhaps]; (None, None) if it rose and no sample was taken while it was on."""
        low, high, any_inside = Fraction(0), Fraction(0), False
        unknown = False
        samples = self._samples
        for (from_ns, to_ns), (first_ns, last_ns) in self._spans:
            first, end = self._begun(from_ns), len(samples) if to_ns is None else self._ended(to_ns)
            if first < end:
                any_inside = True
                low += samples[end - 1][2] - samples[first][2]
            before, after = self._ended(first_ns), len(samples) if last_ns is None else self._begun(last_ns)
            if before and after < len(samples):
                rise = samples[after][2] - samples[before - 1][2]
                high += rise
                # What is level around it was level in it.
                any_inside = any_inside or not rise
            else:
                unknown = True
        if not any_inside:
            return None, None
        return float(low), None if unknown else float(high)

    def _forget(self) -> None:
        """Forget the samples that no result hangs on any more, whatever comes."""
        samples = self._samples
        kept = {len(samples) - 1}
        for (from_ns, to_ns), (first_ns, last_ns) in self._spans:
            kept |= {self._begun(from_ns), self._ended(first_ns) - 1}
            kept |= set() if to_ns is None else {self._ended(to_ns) - 1}
            kept |= set() if last_ns is None else {self._begun(last_ns)}
        if self._since_ns is not None:
            kept.add(self._ended(self._since_ns) - 1)
        self._samples = [samples[number] for number in sorted(kept) if 0 <= number < len(samples)]

    def _begun(self, at_ns: int) -> int:
        """The place of the first sample that began no earlier."""
        return bisect_left(self._samples, at_ns, key=lambda sample: sample[0])

    def _ended(self, at_ns: int) -> int:
        """How many samples had ended by then."""
        return bisect_right(self._samples, at_ns, key=lambda sample: sample[1])


class DrainWatch(AnchoredWatch):
    """The time in seconds from `from_ns` until the value is at or under its level again for the first time.

    `begins` moves that moment, before samples from then on are added. The level is `level`, or else the largest
    value sampled in the ten seconds before `level_before_ns`, 0 if there was none.
    """

    def __init__(self, from_ns: int, level: float | None, level_before_ns: int = 0) -> None:
        super().__init__(from_ns)
        self._fixed = level
        self._before_ns = level_before_ns
        self._seen_before: float | None = None
        self._above_ns = from_ns
        """Start of the last sample above the level."""
        self._back: tuple[int, int] | None = None
        """The first sample at it."""
        self._any = False

    def counts_from(self, from_ns: int) -> None:
        super().counts_from(from_ns)
        self._above_ns = from_ns

    def _moved(self) -> None:
        """What was back before then hadn't been away yet."""
        self._above_ns = max(self._above_ns, self._from_ns)
        if self._back is not None and self._back[0] < self._from_ns:
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


class ReachWatch(AnchoredWatch):
    """The time in seconds from `from_ns` until the value is `reached` for the first time.

    Where it was so before that moment already, or where no sample says that it wasn't, nothing can be told.
    """

    ALREADY: Final = "it was so already at the moment from which this counts"

    def __init__(self, from_ns: int, reached: Callable[[float], bool]) -> None:
        super().__init__(from_ns)
        self._reached = reached
        self._not_yet_ns: int | None = None
        """Start of the last sample that had not reached it."""
        self._found: tuple[int, int] | None = None
        self._already = False

    def _moved(self) -> None:
        if self._found is not None and self._found[0] < self._from_ns:
            self._already = True

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        reached = self._reached(value)
        if start_ns < self._from_ns:
            self._already = reached
            self._not_yet_ns = None if reached else start_ns
        elif self._found is None and not self._already:
            if not reached:
                self._not_yet_ns = start_ns
            elif self._not_yet_ns is None:
                self._already = True
            else:
                self._found = (start_ns, end_ns)

    def result(self) -> Result:
        """[last sample that had not reached it, first one that has]; without an end while none has."""
        if self._already or self._not_yet_ns is None:
            return None, None
        low_ns = max(0, self._not_yet_ns - self._from_ns)
        return low_ns / NS_PER_S, None if self._found is None else (self._found[1] - self._from_ns) / NS_PER_S

    @property
    def note(self) -> str:
        """Why nothing can be told, where samples were taken."""
        return self.ALREADY if self._already else ""


class RiseWatch(AnchoredWatch):
    """How much a counter rose from `from_ns` on, None: from the first sample on, to the last.

    What it counts after it began anew at 0 is added; what it counted between the last sample before that and then,
    nobody knows. A counter that isn't there yet has counted nothing. From a moment on it rose at least by what was
    counted since the first sample after it, and at most by what was since the last one before.
    """

    def __init__(self, from_ns: int | None = None) -> None:
        super().__init__(0 if from_ns is None else from_ns)
        self._whole = from_ns is None
        self._last: Fraction | None = None
        self._risen = Fraction(0)
        self._resets = 0
        self._any = False
        """It was there at least once."""
        self._before: Fraction | None = None
        self._after: Fraction | None = None
        """How much it had risen by the last sample before the moment, and by the first one after it."""

    def _moved(self) -> None:
        if self._after is not None:
            self._before, self._after = self._after, None

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        self._any = True
        self._count(start_ns, end_ns, Fraction(value))

    def missing(self, start_ns: int, end_ns: int) -> None:
        """A counter that isn't there: it will begin at 0."""
        self._count(start_ns, end_ns, Fraction(0))

    def _count(self, start_ns: int, end_ns: int, value: Fraction) -> None:
        if self._last is not None:
            reset = value < self._last
            self._resets += reset
            self._risen += value if reset else value - self._last
        self._last = value
        if self._whole:
            self._before = self._after = Fraction(0)
        elif end_ns <= self._from_ns:
            self._before = self._risen
        elif start_ns >= self._from_ns and self._after is None:
            self._after = self._risen

    def result(self) -> Result:
        """[since the first sample after the moment, since the last one before it]."""
        if not self._any or self._after is None:
            return None, None
        return float(self._risen - self._after), None if self._before is None else float(self._risen - self._before)

    @property
    def note(self) -> str:
        """That it began anew."""
        if not self._resets:
            return ""
        times = "once" if self._resets == 1 else f"{self._resets} times"
        return f"it began anew {times}, and what it counted right before that is not in it"


class IntegralWatch(AnchoredWatch):
    """The value times the seconds for which it lasted, from `from_ns` to the last sample.

    Between two samples it is taken to be between their values; at which moment each was true is not known either.
    With m(i) the least of the values around the gap from t(i) to t(i + 1), the sum of m(i) (t(i + 1) - t(i)) is that
    of t(i) (m(i - 1) - m(i)): each t(i) counts once, at that end of its sample at which this is least, and what stays
    the same is known as well as the first moment and the last.
    """

    def __init__(self, from_ns: int = 0) -> None:
        super().__init__(from_ns)
        self._last: tuple[int, int, Fraction] | None = None
        self._moved()

    def _moved(self) -> None:
        self._low = self._high = Fraction(0)
        self._least = self._most = Fraction(0)
        """Of the values around the last gap."""
        self._any = False

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        exact, before = Fraction(value), self._last
        self._last = (start_ns, end_ns, exact)
        if before is None or end_ns <= self._from_ns:
            return
        self._any = True
        least, most = min(before[2], exact), max(before[2], exact)
        self._low += min(self._at(before, self._least - least))
        self._high += max(self._at(before, self._most - most))
        self._least, self._most = least, most

    def _at(self, sample: tuple[int, int, Fraction], change: Fraction) -> tuple[Fraction, Fraction]:
        """A change times the moment of a sample, which is at one of its ends or in between."""
        return change * max(sample[0], self._from_ns), change * max(sample[1], self._from_ns)

    def result(self) -> Result:
        """[least, most] that the samples leave; (None, None) with fewer than two."""
        if not self._any or self._last is None:
            return None, None
        low = self._low + min(self._at(self._last, self._least))
        high = self._high + max(self._at(self._last, self._most))
        return float(low / NS_PER_S), float(high / NS_PER_S)


class GrowthWatch(AnchoredWatch):
    """How much the value grows in an hour, from `from_ns` on: the 95 % interval of its slope (see `stats.trend`)."""

    _HOUR_NS: Final = 3600 * NS_PER_S

    def __init__(self, from_ns: int) -> None:
        super().__init__(from_ns)
        self._spans = TrendSpans()
        self._known: Trend | None = None

    def _moved(self) -> None:
        self._spans, self._known = TrendSpans(), None

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        if start_ns >= self._from_ns:
            self._spans.add((start_ns + end_ns) // 2, value)
            self._known = None

    def result(self) -> Result:
        """The interval of the slope; (None, None) while there are too few samples for one."""
        trend = self._trend()
        if trend is None:
            return None, None
        return None if isinf(trend.low) else trend.low, None if isinf(trend.high) else trend.high

    @property
    def note(self) -> str:
        """The slope itself."""
        trend = self._trend()
        return "" if trend is None else f"{trend.slope:+.4g} per hour by the line through the samples"

    def _trend(self) -> Trend | None:
        if self._known is None:
            xs, ys = self._spans.points()
            if len(xs) >= FEWEST_POINTS:
                self._known = theil_sen([x / self._HOUR_NS for x in xs], ys)
        return self._known
