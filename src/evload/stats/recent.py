"""Percentiles of what came into growing histograms: of the last seconds and of all, cheap enough to ask all the time.

A look compares each bucket's count with the one before, which is a pass over a list; only what changed is worked on.
The values are kept in cells of 1.6 % at most, and a bracket's ends are the outer edges of its cells.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import accumulate, compress, count, islice, repeat
from operator import is_not
from types import MappingProxyType
from typing import Final

from .histogram import Histogram, rank_of

_CELL_BITS: Final = 7
_CHUNK: Final = 64


class RecentValues:
    """Follows histograms, each by its name: what was added in the last `span_ns`, and all of it."""

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        self._seen: dict[tuple[str, bool], _Seen] = {}
        self._cells = _Cells()
        self._added: deque[tuple[int, Values]] = deque()
        self.last = Values()
        self.all = Values()

    def look(
        self, at_ns: int, histograms: Mapping[str, Histogram], passing: Mapping[str, Histogram] = MappingProxyType({})
    ) -> None:
        """Take in what was added since the look before. Histograms only grow, and looks go forward in time. Those
        that are `passing` count for the last seconds alone."""
        added, to_all = Values(), Values()
        for into, found in ((to_all, histograms), (added, passing)):
            for name, histogram in found.items():
                seen = self._seen.setdefault((name, found is passing), _Seen())
                if histogram.total != seen.total:
                    seen.take(histogram, into, self._cells)
        if to_all.total:
            self.all.add(to_all)
            added.add(to_all)
        if added.total:
            self._added.append((at_ns, added))
            self.last.add(added)
        while self._added and self._added[0][0] <= at_ns - self._span_ns:
            self.last.remove(self._added.popleft()[1])


class Values:
    """How many values there are in each cell, by its lower edge, and how many are infinite."""

    __slots__ = ("counts", "never")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.never = 0

    def add(self, more: Values) -> None:
        """Add the values of another."""
        self.counts.update(more.counts)
        self.never += more.never

    def remove(self, gone: Values) -> None:
        """Take away values that were added before."""
        self.counts -= gone.counts
        self.never -= gone.never

    @property
    def total(self) -> int:
        """All values, the infinite ones included."""
        return self.counts.total() + self.never

    def quantiles(self, shares: Iterable[Fraction]) -> list[tuple[int, int] | None]:
        """Edges of the cells that hold these quantiles; None for one that is infinite.

        Raises ValueError if there are no values.
        """
        total = self.total
        if not total:
            raise ValueError("there are no values yet")
        cells = sorted(self.counts)
        seen = [*accumulate(map(self.counts.__getitem__, cells))]
        places = [bisect_left(seen, rank_of(p, total)) for p in shares]
        return [_edges(cells[place]) if place < len(cells) else None for place in places]


class _Seen:
    """What a histogram was like when it was last looked at: its buckets in their order, with their counts."""

    __slots__ = ("counts", "edges", "never", "total")

    def __init__(self) -> None:
        self.edges: list[int] = []
        self.counts: list[int] = []
        self.never = 0
        self.total = 0

    def take(self, histogram: Histogram, added: Values, cells: _Cells) -> None:
        """Add what is new to `added`."""
        added.never += histogram.never - self.never
        self.never, self.total = histogram.never, histogram.total
        # A dict keeps its order, so that new buckets come last.
        fresh = [*islice(reversed(histogram.counts), len(histogram.counts) - len(self.edges))]
        self.edges += reversed(fresh)
        self.counts += repeat(0, len(fresh))
        before, now = self.counts, list(histogram.counts.values())
        for start in range(0, len(now), _CHUNK):
            chunk, old = now[start : start + _CHUNK], before[start : start + _CHUNK]
            if chunk != old:  # far quicker than a look at each, and of many nothing has changed
                # A count that is the same is the same object.
                for bucket in compress(count(start), map(is_not, chunk, old)):
                    added.counts[cells[self.edges[bucket]]] += now[bucket] - before[bucket]
        self.counts = now


class _Cells(dict[int, int]):
    """Lower edge of a bucket to the lower edge of its cell."""

    def __missing__(self, edge: int) -> int:
        cell = self[edge] = cell_of(edge)
        return cell


def cell_of(value: int) -> int:
    """Lower edge of the cell that a value of 0 or more belongs to."""
    shift = value.bit_length() - _CELL_BITS
    return value >> shift << shift if shift > 0 else value


def _edges(cell: int) -> tuple[int, int]:
    shift = cell.bit_length() - _CELL_BITS
    return cell, cell + (1 << shift) - 1 if shift > 0 else cell
