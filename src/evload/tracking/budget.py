"""How much may be read: keeps a probe within its reads per second and the generator within its core, and spares a
read model that can't keep up.

No clock and no I/O: time is an argument, in nanoseconds, and must not go backwards.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import exp, floor, inf
from typing import Final

_S: Final = 1_000_000_000
_BURST: Final = 20
"""A twentieth of a second's budget may be read at once: what a late timer misses is made up for."""
_SLOT_NS: Final = _S // 10
"""The second with most reads is looked for in steps of this."""

_STEP_NS: Final = _S // 4
"""How often the stretch is considered anew."""
_WIDEST: Final = 16.0
"""With the usual resolution of a tenth each gap is then twice the time elapsed; wider ones save next to nothing."""
_LONGEST_PATIENCE_NS: Final = 5 * _S
_PATIENCES: Final = 4
"""What is read and what waits is averaged over so many times the patience."""
_LATE_NS: Final = 20_000_000
_LATE_READS: Final = 4
"""Reads that wait longer than this for the budget, and than so many reads take, are too many: those at a threshold
have to be in time."""
_EASY: Final = 0.85
"""With less than this share of the budget used there is room for narrower gaps, and waiting is a passing thing."""
_GAIN: Final = 0.1
"""How much of a ratio between what is and what should be is made up for in one step, in logarithms."""
_RELIEF: Final = 0.02
"""By how much the stretch shrinks in one step at most, as a share of it."""

_FIRST_PAUSE_NS: Final = _S // 10
_LONGEST_PAUSE_NS: Final = 30 * _S
_PAUSES: Final = 16
"""Doublings after which a pause is the longest for sure."""
_WARY_NS: Final = 10 * _S
"""After reads were refused or slow the stretch doesn't shrink for this long."""

_BUSY: Final = 0.7
"""The share of its core that the generator may use before it reads less. At 80 % its own figures are in doubt."""
_IDLE: Final = 0.9
"""With less than this share of that used there is room for narrower gaps."""
_BUSY_NS: Final = 2 * _S
"""How long what was said of the core holds; it is said anew every second."""

_SLOW: Final = 3.0
"""Answers that take this many times as long as the best are slow."""
_STRAIN: Final = 0.1
"""By how much the stretch grows in one step while answers are slow, as a share of it."""
_WIDEST_SLOW: Final = 8.0
"""How wide slow answers alone make it, or a busy core."""
_ANSWERS: Final = 32
"""Latency is averaged over about this many answers."""
_QUICK_NS: Final = 5_000_000
"""No answer is slow that takes less than three times this."""
_BEST_HELD_NS: Final = 120 * _S
"""The best latency drifts to the present one over about this long: what lasts becomes the rule."""


class ReadBudget:
    """What one probe may read. `per_second` is the limit of event reads in any second; None: no limit.

    Reads are let through by the generic cell rate algorithm (ITU-T I.371): with a burst of n reads and one more every
    T, a half-open second sees fewer than n + 1 s / T of them, and T is chosen so that this is at most the limit.
    """

    def __init__(self, per_second: Fraction | float | None) -> None:
        self._burst, self._interval_ns = 0, 0
        if per_second is not None:
            whole = max(1, floor(per_second))
            self._burst = max(1, whole // _BURST)
            self._interval_ns = max(-(-_S // (whole - self._burst + 1)), -(-_S // Fraction(per_second)))
        self._spent_until_ns = 0
        """When a whole burst may be read again: the theoretical arrival time."""
        self._busy = _BusiestSecond()
        self._demand = _Demand()
        self._pace = _Pace()
        self.paused_until_ns = 0
        """Nothing is read before this moment."""
        self._pauses = 0
        self._doubled_ns = -_S
        self._wary_until_ns = 0
        self._considered_ns: int | None = None
        self._patience_ns: float = _STEP_NS
        """How long a step takes to show: reads that wait long belong to gaps that are long."""
        self._settled_ns = 0
        self.stretch = 1.0
        """By how much the gaps of the grid should be widened now."""
        self.widest = 1.0
        """The largest stretch so far."""

    @property
    def busiest(self) -> int:
        """Most event reads in one second, of the seconds that begin at whole tenths."""
        return self._busy.most

    def take_slots(self, before_ns: int) -> list[tuple[int, int]]:
        """(start of a tenth of a second, event reads that began in it), of those over by then and not taken yet."""
        return self._busy.take(before_ns)

    def allow(self, now_ns: int, wanted: int, at_most: int | None = None) -> int:
        """How many event reads may start now; they count as started.

        `wanted` is how many are due, those that were held back before included: the stretch follows it.
        `at_most` is how many of them can be started.
        """
        allowed = wanted if at_most is None else min(wanted, at_most)
        if now_ns < self.paused_until_ns:
            allowed = 0
        elif self._interval_ns:
            ahead_ns = max(self._spent_until_ns - now_ns, 0)
            allowed = min(allowed, (self._burst * self._interval_ns - ahead_ns) // self._interval_ns)
            self._spent_until_ns = now_ns + ahead_ns + allowed * self._interval_ns
        self._busy.add(now_ns, allowed)
        self._demand.add(allowed, wanted - allowed)
        self._consider(now_ns)
        return allowed

    def next_ns(self, now_ns: int, reads: int = 1) -> int:
        """When `reads` event reads may start, or as many as may ever start together; `now_ns` if they may now."""
        if not self._interval_ns:
            return max(now_ns, self.paused_until_ns)
        together = min(reads, self._burst)
        free_ns = self._spent_until_ns - (self._burst - together) * self._interval_ns
        return max(now_ns, free_ns, self.paused_until_ns)

    def throttled(self, now_ns: int, retry_ns: int) -> None:
        """A read was refused because there are too many; `retry_ns` is how long the read model asks to be left alone.

        0: it doesn't say; the pauses then double each time. None is longer than half a minute. What had begun
        before a pause and is refused in it makes it no worse, and the stretch doubles once a second at most.
        """
        if now_ns < self.paused_until_ns:
            self.paused_until_ns = max(self.paused_until_ns, now_ns + min(retry_ns, _LONGEST_PAUSE_NS))
        else:
            pause_ns = retry_ns or _FIRST_PAUSE_NS << min(self._pauses, _PAUSES)
            self._pauses += 1
            self.paused_until_ns = now_ns + min(pause_ns, _LONGEST_PAUSE_NS)
            if now_ns >= self._doubled_ns + _S:
                self._doubled_ns = now_ns
                self._widen(2.0)
        self._wary_until_ns = self.paused_until_ns + _WARY_NS

    def answered(self, now_ns: int, latency_ns: int, events: int) -> None:
        """A read of so many events was answered."""
        self._pace.add(now_ns, latency_ns, events)
        if self._pauses and now_ns >= self._wary_until_ns:
            self._pauses = 0
        self._consider(now_ns)

    def strained(self, now_ns: int, share: float) -> None:
        """The generator used this share of its core in the last second. Call it once a second.

        Reads are the only part of its work that can be done less often. Fewer of them give wider brackets, which
        are true; a core at its limit gives stamps that are late.
        """
        if share > _BUSY and self.stretch < _WIDEST_SLOW:
            # Squared, since not all reads become fewer: those at thresholds stay, and those that confirm.
            self._widen((share / _BUSY) ** 2)
        if share > _BUSY * _IDLE:
            self._wary_until_ns = max(self._wary_until_ns, now_ns + _BUSY_NS)

    def _consider(self, now_ns: int) -> None:
        """Every so often, go a step of the way to the right stretch."""
        if self._considered_ns is None:
            self._considered_ns = now_ns
        lasted_ns = now_ns - self._considered_ns
        if lasted_ns < _STEP_NS:
            return
        self._considered_ns = now_ns
        started, waiting = self._demand.take(lasted_ns, _PATIENCES * self._patience_ns)
        used, late_ns = started * self._interval_ns, waiting * self._interval_ns
        if self._pace.strain > _SLOW:
            self._wary_until_ns = max(self._wary_until_ns, now_ns + _WARY_NS)
            if self.stretch < _WIDEST_SLOW:
                self._widen(1 + _STRAIN)
        elif used > _EASY and late_ns > (most_ns := max(_LATE_NS, _LATE_READS * self._interval_ns)):
            if now_ns >= self._settled_ns:
                self._patience_ns = min(max(self._patience_ns, late_ns), _LONGEST_PATIENCE_NS)
                self._settled_ns = now_ns + int(self._patience_ns)
                self._widen(min(late_ns / most_ns, 4.0) ** _GAIN)
        elif used < _EASY and now_ns >= max(self._wary_until_ns, self._settled_ns):
            narrower = max((used / _EASY) ** _GAIN, 1 - _RELIEF)
            self.stretch = max(1.0, self.stretch * narrower ** (lasted_ns / self._patience_ns))

    def _widen(self, factor: float) -> None:
        self.stretch = min(self.stretch * factor, _WIDEST)
        self.widest = max(self.widest, self.stretch)


class _Demand:
    """Reads started per nanosecond, and reads waiting, both averaged."""

    __slots__ = ("_backlog", "_rate", "_started", "_waiting")

    def __init__(self) -> None:
        self._started = 0
        self._waiting = 0
        self._rate = 0.0
        self._backlog = 0.0

    def add(self, started: int, waiting: int) -> None:
        """So many were started, and so many wait now."""
        self._started += started
        self._waiting = waiting

    def take(self, lasted_ns: int, over_ns: float) -> tuple[float, float]:
        """(rate, number waiting) at the end of a step of this length, averaged over about `over_ns`."""
        share = 1 - exp(-lasted_ns / over_ns)
        self._rate += (self._started / lasted_ns - self._rate) * share
        self._backlog += (self._waiting - self._backlog) * share
        self._started = 0
        return self._rate, self._backlog


class _Pace:
    """How long answers take, against the best there were. `strain` is the ratio of the two."""

    __slots__ = ("_sizes", "strain")

    def __init__(self) -> None:
        self._sizes: dict[int, tuple[int, float, float, int]] = {}
        """By the size of a read in powers of two: answers, mean and best latency in ns, time of the last."""
        self.strain = 1.0

    def add(self, now_ns: int, latency_ns: int, events: int) -> None:
        """Take one answer. A single one that takes very long counts for four usual ones at most."""
        size = events.bit_length()
        answers, mean, best, last_ns = self._sizes.get(size, (0, float(latency_ns), inf, now_ns))
        answers += 1
        # Asked for every answer: a call of min or max takes as long as all the rest of a line.
        most_ns = 4 * mean
        sample_ns = latency_ns if latency_ns <= most_ns else most_ns
        if answers < _ANSWERS:
            mean += (sample_ns - mean) / answers
        else:
            mean += (sample_ns - mean) / _ANSWERS
            if best > mean:
                best = mean
            best += (mean - best) * (1 - exp((last_ns - now_ns) / _BEST_HELD_NS))
            self.strain = mean / (best if best > _QUICK_NS else _QUICK_NS)
        self._sizes[size] = (answers, mean, best, now_ns)


class _BusiestSecond:
    """The most event reads in a second, of the seconds that begin at whole tenths."""

    __slots__ = ("_kept", "_now", "_slots", "_sum", "most")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        """(number of a tenth, reads in it), of those that make up the last second."""
        self._kept: list[list[int]] = []
        """Those of them, and older ones, that were not taken yet."""
        self._now = [-1, 0]
        """The last one."""
        self._sum = 0
        self.most = 0

    def take(self, before_ns: int) -> list[tuple[int, int]]:
        """(start of a slot, reads in it) of the slots that are over by then."""
        over = [slot for slot in self._kept if (slot[0] + 1) * _SLOT_NS <= before_ns]
        if over:
            self._kept = self._kept[len(over) :]
            if self._now is over[-1]:
                self._now = [-1, 0]  # what else is read in it is told by itself
        return [(slot * _SLOT_NS, reads) for slot, reads in over]

    def add(self, now_ns: int, reads: int) -> None:
        """So many reads start now."""
        if not reads:
            return
        slot = now_ns // _SLOT_NS
        if self._now[0] != slot:
            self._begin(slot)
        self._now[1] += reads
        self._sum += reads
        if self._sum > self.most:
            self.most = self._sum

    def _begin(self, slot: int) -> None:
        slots = self._slots
        while slots and slots[0][0] <= slot - _S // _SLOT_NS:
            self._sum -= slots.popleft()[1]
        self._now = [slot, 0]
        slots.append(self._now)
        self._kept.append(self._now)
