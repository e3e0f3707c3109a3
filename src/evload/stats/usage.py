"""How much a counter rose or a gauge added up to, over a run and per second of a part of it, from samples.

Times are in nanoseconds since the schedule began, samples come in order, as in `stats.watches`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from ..units import NS_PER_S
from .watches import IntegralWatch, RiseWatch

Amounts = tuple[Fraction, Fraction | None]
_WHOLE: Final = Fraction(9, 10)
"""So much of the run has to lie between the first sample and the last."""
_PART: Final = Fraction(1, 2)
"""The same of a part of it, of which only the usage per second is asked."""


class UsageWatch:
    """Watches one value of a gauge: `counter` says that it rises, otherwise it is integrated over time.

    `part`: from when to when its usage per second is asked as well; None: it isn't.
    """

    def __init__(self, *, counter: bool, part: tuple[int, int] | None) -> None:
        self._counter = counter
        self._run = _Watched(counter)
        self._part = None if part is None else _Watched(counter)
        self._part_ns = (0, 0) if part is None else part
        self._missing = 0

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        """Look at one sample."""
        for watched in self._about(start_ns, end_ns):
            watched.add(start_ns, end_ns, value)

    def missing(self, start_ns: int, end_ns: int) -> None:
        """Look at one answer that has no such value (yet): a counter that comes later hasn't counted anything yet."""
        self._missing += 1
        if self._counter:
            for watched in self._about(start_ns, end_ns):
                watched.missing(start_ns, end_ns)

    def _about(self, start_ns: int, end_ns: int) -> list[_Watched]:
        """What a sample at this time is about."""
        inside = start_ns >= self._part_ns[0] and end_ns < self._part_ns[1]
        return [self._run, self._part] if self._part is not None and inside else [self._run]

    def run(self, duration_ns: int, failed: int) -> tuple[Amounts | None, str]:
        """The usage over a run that took so long, or None and why; so many samples could not be taken."""
        watched = self._run
        if reason := self._blind(failed) or _uncovered(watched, duration_ns, _WHOLE, "the run"):
            return None, reason
        low, high = watched.amounts()
        if self._counter:
            return (low, high), ""
        less, more = watched.beyond(duration_ns)
        return (low + less, None if high is None else high + more), ""

    def rate(self, failed: int) -> tuple[Amounts | None, str]:
        """The usage per second between the first and the last sample in the part, or None and why."""
        watched = self._part
        if watched is None:
            return None, ""
        length_ns = self._part_ns[1] - self._part_ns[0]
        if reason := self._blind(failed) or _uncovered(watched, length_ns, _PART, "the longest hold"):
            return None, reason
        if not watched.valued and self._run.valued_ns < self._part_ns[0]:
            return None, "it wasn't there in the longest hold, and had been before"
        low, high = watched.amounts()
        shortest_ns, longest_ns = watched.between_ns
        least_ns = longest_ns if low >= 0 else shortest_ns
        if not shortest_ns:
            return (low * NS_PER_S / longest_ns, None), ""
        return (low * NS_PER_S / least_ns, None if high is None else high * NS_PER_S / shortest_ns), ""

    @property
    def note(self) -> str:
        """What else there is to say of the usage over the run, for people."""
        return self._run.note

    def _blind(self, failed: int) -> str:
        taken = self._run.valued
        if not taken:
            return f"none of {failed + self._missing} samples says anything of it"
        if 10 * failed > self._run.count:
            return f"{failed} samples could not be taken"
        return f"{self._missing} samples had no value" if not self._counter and 10 * self._missing > taken else ""


class _Watched:
    """The samples of a stretch of time."""

    def __init__(self, counter: bool) -> None:
        self._watch = RiseWatch() if counter else IntegralWatch()
        self.count = 0
        self.valued = 0
        """Those of them that had a value."""
        self.valued_ns = 0
        """When the first of these was taken."""
        self._first = self._last = (0, 0)
        self._values = (Fraction(0), Fraction(0))
        """The first and the last."""

    def add(self, start_ns: int, end_ns: int, value: float) -> None:
        self._watch.add(start_ns, end_ns, value)
        exact = Fraction(value)
        self._values = (self._values[0] if self.valued else exact, exact)
        self.valued_ns = self.valued_ns if self.valued else end_ns
        self.valued += 1
        self._looked(start_ns, end_ns)

    def missing(self, start_ns: int, end_ns: int) -> None:
        self._watch.missing(start_ns, end_ns)
        self._looked(start_ns, end_ns)

    def _looked(self, start_ns: int, end_ns: int) -> None:
        self._last = (start_ns, end_ns)
        if not self.count:
            self._first = self._last
        self.count += 1

    @property
    def note(self) -> str:
        return self._watch.note

    @property
    def between_ns(self) -> tuple[int, int]:
        """The shortest and the longest time between the first and the last of them."""
        return max(0, self._last[0] - self._first[1]), self._last[1] - self._first[0]

    def beyond(self, duration_ns: int) -> tuple[Fraction, Fraction]:
        """What is used before the first sample and after the last one: from nothing to as much as at that sample."""
        gaps_ns = (max(0, self._first[1]), max(0, duration_ns - self._last[0]))
        used = [value * gap_ns / NS_PER_S for value, gap_ns in zip(self._values, gaps_ns, strict=True)]
        return sum((min(one, Fraction(0)) for one in used), Fraction(0)), sum(
            (max(one, Fraction(0)) for one in used), Fraction(0)
        )

    def amounts(self) -> Amounts:
        low, high = self._watch.result()
        if low is None:  # a counter that comes after this stretch of time
            return Fraction(0), Fraction(0)
        return Fraction(low), None if high is None else Fraction(high)


def _uncovered(watched: _Watched, length_ns: int, share: Fraction, what: str) -> str:
    """Why the samples are too few to speak of a stretch of time; empty if they aren't."""
    covered_ns = watched.between_ns[1]
    if watched.count < 2:
        return f"it takes two samples in {what}, and there {'is one' if watched.count else 'are none'}"
    if covered_ns < share * length_ns:
        return f"its samples cover {covered_ns / length_ns:.0%} of {what}; it takes {float(share):.0%}"
    return ""
