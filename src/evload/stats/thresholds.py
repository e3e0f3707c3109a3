"""Counts per step of time, kept compactly so that hours of short steps cost little memory."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

K = TypeVar("K")

_TYPE: Final = "q"


class StepCounts:
    """Three counts for each step of `step_ns` since the start of the schedule: events, within, beyond.

    Step i covers [i · step_ns, (i + 1) · step_ns). What the counts mean is up to who fills them; for a threshold they
    are all events, those under it for sure, and those over it for sure. What lies before the start counts in
    step 0.
    """

    __slots__ = ("beyond", "events", "step_ns", "within")

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self.events = array(_TYPE)
        self.within = array(_TYPE)
        self.beyond = array(_TYPE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StepCounts) and all(
            getattr(self, name) == getattr(other, name) for name in StepCounts.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """Steps up to the last one that has a count."""
        return len(self.events)

    def add(self, at_ns: int, events: int, within: int, beyond: int) -> None:
        """Count something that belongs to the moment `at_ns`."""
        step = max(0, at_ns // self.step_ns)
        if step >= len(self.events):
            self._reach(step + 1)
        self.events[step] += events
        self.within[step] += within
        self.beyond[step] += beyond

    def merge(self, other: StepCounts) -> None:
        """Add another's counts. Raises ValueError if its steps are of another length."""
        if other.step_ns != self.step_ns:
            raise ValueError(f"steps of {other.step_ns} ns don't merge into steps of {self.step_ns} ns")
        self._reach(len(other))
        for mine, theirs in ((self.events, other.events), (self.within, other.within), (self.beyond, other.beyond)):
            for step, count in enumerate(theirs):
                mine[step] += count

    def _reach(self, length: int) -> None:
        missing = length - len(self.events)
        if missing > 0:
            zeros = bytes(missing * self.events.itemsize)
            for counts in (self.events, self.within, self.beyond):
                counts.frombytes(zeros)


@dataclass(slots=True)
class ThresholdCount:
    """Exact counts at one threshold X of one metric, over the run and per interval of intended time."""

    within: int = 0
    """Events whose upper end is at most X: good for sure."""
    beyond: int = 0
    """Events whose lower end is at least X: bad for sure."""
    intervals: dict[int, list[int]] = field(default_factory=dict)
    """Number of an interval to [events, within, beyond]."""

    def merge(self, other: ThresholdCount) -> None:
        """Add another's counts."""
        self.within += other.within
        self.beyond += other.beyond
        add_intervals(self.intervals, other.intervals)


def add_intervals(into: dict[K, list[int]], more: Mapping[K, list[int]]) -> None:
    """Add lists of counts to others with the same keys, number by number."""
    for interval, counts in more.items():
        have = into.setdefault(interval, [0] * len(counts))
        for i, count in enumerate(counts):
            have[i] += count
