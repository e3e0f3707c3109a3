"""Learns during a run how long after its ack an event becomes visible, and which reads can be left out.

Most reads of the geometric grid only confirm "not yet", long before any event was ever visible. A read that is
left out can widen a bracket and never makes it wrong, and where brackets come out wide that is learned at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import log
from typing import Final

from .sampling import is_chosen

_FINEST_NS: Final = 1_000_000
_COARSEST_NS: Final = 7 * 86_400 * 1_000_000_000
_SMALLEST_RATIO: Final = 1.02
"""Of the end of a cell to its start: finer cells would cost more than they tell."""
_HALF_LIFE: Final = 400
"""In events: what was learned this many events ago counts half."""
_FEWEST: Final = 100
"""With fewer learned the whole grid is read."""
_REBUILD: Final = 32
_EXPLORERS: Final = 0.02
_LEFT_OUT: Final = 0.015
"""Of the events that become visible, most that may do so where nobody reads, with one more than were seen to. As
counts scatter, about 1 % do."""
_OF_THOSE_WAITING: Final = 0.05
"""Of the events still waiting where a gap begins, most that may become visible in it, again with one more than
were seen to: a tail of which only a few events are known is read on the whole grid."""
_NARROWEST: Final = 1.5
"""Of the end of a gap to its start: an empty cell or two among a few events in the tail mean nothing."""
_TRACE: Final = 0.05
"""Past the last cell with at least this many events nothing is known, and the grid is read."""


class VisibilityProfile:
    """Where, in time since the ack, a probe's events become visible. All times in nanoseconds.

    Cells are geometric like the grid of reads, two for each of its steps. Counts are forgotten exponentially, so
    that a system that changes is followed.
    """

    def __init__(self, resolution: float) -> None:
        ratio = max((1 - resolution) ** -0.5, _SMALLEST_RATIO)
        self._edges = [_FINEST_NS]
        """Upper ends of the cells; the first begins at 0."""
        while self._edges[-1] < _COARSEST_NS:
            self._edges.append(int(self._edges[-1] * ratio) + 1)
        self._counts = [0.0] * (len(self._edges) + 1)
        self._never = 0.0
        self._weight = 1.0
        """What the next event counts, while counts wait to be scaled back."""
        self._learned = 0
        self._starts: list[int] = []
        self._ends: list[int] = []

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """(start, end) of the times in which reads are left out, in order."""
        return list(zip(self._starts, self._ends, strict=True))

    def next_read(self, elapsed_ns: int, planned_ns: int) -> int:
        """When it is worth reading an event again that was not visible `elapsed_ns` after its ack.

        `planned_ns` is when the grid would read it next; the answer is that or later, and then the start of the
        next cell in which events become visible.
        """
        index = bisect_right(self._ends, planned_ns)
        if index < len(self._ends) and self._starts[index] <= elapsed_ns:
            return self._ends[index]
        return planned_ns

    def learn(self, lower_ns: int, upper_ns: int | None) -> None:
        """An event became visible in (lower_ns, upper_ns]; None: never.

        Whoever became visible in a gap has a bracket as wide as the gap, whose cells share it evenly.
        """
        if upper_ns is None:
            self._never += self._weight
        else:
            self._spread(lower_ns, upper_ns)
        self._weight *= 2 ** (1 / _HALF_LIFE)
        self._learned += 1
        if self._learned >= _FEWEST and self._learned % _REBUILD == 0:
            self._rebuild()

    def _spread(self, lower: int, upper: int) -> None:
        edges, counts, weight = self._edges, self._counts, self._weight
        last = bisect_left(edges, upper)
        first = min(bisect_right(edges, lower), last)
        if first == last:
            counts[last] += weight
            return
        lower = max(lower, _FINEST_NS // 2)
        of_each = weight / log(upper / lower)
        counts[first] += of_each * log(edges[first] / lower)
        for cell in range(first + 1, last):
            counts[cell] += of_each * log(edges[cell] / edges[cell - 1])
        counts[last] += of_each * log(upper / edges[last - 1])

    def _rebuild(self) -> None:
        """Scale the counts back to events, and find the gaps anew."""
        scale, self._weight = 1 / self._weight, 1.0
        self._never *= scale
        counts = self._counts = [count * scale for count in self._counts]
        self._starts, self._ends = [], []
        last = max((cell for cell, count in enumerate(counts) if count >= _TRACE), default=-1)
        seen = sum(counts)
        waiting, allowed = seen + self._never, _LEFT_OUT * seen
        cell = self._extent(0, last, allowed - 1)
        self._leave_out(0, cell)
        hidden = sum(counts[:cell])
        waiting, allowed = waiting - hidden, allowed - hidden
        while cell < last:
            end = self._extent(cell, last, min(_OF_THOSE_WAITING * waiting - 1, allowed))
            hidden = sum(counts[cell:end])
            if self._edge(end) >= _NARROWEST * self._edge(cell):
                self._leave_out(cell, end)
                allowed -= hidden
            end = max(end, cell + 1)
            waiting -= sum(counts[cell:end])
            cell = end

    def _extent(self, first: int, last: int, most: float) -> int:
        """The end of the cells from `first` on, before `last`, that together hold at most `most`."""
        held, cell = 0.0, first
        while cell < last and (held := held + self._counts[cell]) <= most:
            cell += 1
        return cell

    def _edge(self, cell: int) -> int:
        """Where a cell begins."""
        return self._edges[cell - 1] if cell else 0

    def _leave_out(self, first: int, end: int) -> None:
        if end > first:
            self._starts.append(self._edge(first))
            self._ends.append(self._edge(end))


def is_explorer(seq: int) -> bool:
    """Whether an event is read on the whole grid all the same: a fixed pseudo-random fiftieth of them.

    Explorers show where in a gap events become visible, so that the gap can end there.
    """
    return is_chosen(seq, _EXPLORERS, "explore")
