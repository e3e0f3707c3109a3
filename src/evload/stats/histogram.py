"""A sparse HDR histogram of nanoseconds that also counts what never happened.

The buckets are those of HdrHistogram with three significant digits (2048 sub-buckets), kept in a dict
instead of an array: recording costs a fifth of the package's `record_value`, and memory follows the
distinct values. `HdrHistogram.get_value_at_percentile` rounds the rank to the nearest whole one; a
bracket needs the order statistic itself and both edges of its bucket, which is what `at_rank` gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram


_SUB_BUCKET_BITS: Final = 11
_BUCKET_OF: Final = tuple(-1 << max(0, bits - _SUB_BUCKET_BITS) for bits in range(129))
"""By the bits of a value, a mask that leaves its bucket's lower edge. What fits into 64 bits differs by less."""
_COARSE_BITS: Final = 8
_HDR_MAX_NS: Final = 7 * 86_400 * 1_000_000_000


class Histogram:
    """Counts of non-negative values in nanoseconds, plus `never`: those that are infinite."""

    __slots__ = ("counts", "maximum", "minimum", "never", "total", "value_sum")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        """Lower edge of a bucket to the number of values in it."""
        self.never = 0
        self.total = 0
        """All values, the infinite ones included."""
        self.minimum: int | None = None
        self.maximum: int | None = None
        self.value_sum = 0
        """Exact sum of the finite values."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and all(
            getattr(self, name) == getattr(other, name) for name in Histogram.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def record(self, value: int | None, times: int = 1) -> None:
        """Count a value once, or so many times; None is infinite. Raises ValueError for a negative one."""
        self.total += times
        if value is None:
            self.never += times
            return
        if value < 0:
            self.total -= times
            raise ValueError(f"a duration can't be negative: {value}")
        self.value_sum += value * times
        if self.maximum is None or value > self.maximum:
            self.maximum = value
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        shift = value.bit_length() - _SUB_BUCKET_BITS
        if shift > 0:
            value = value >> shift << shift
        counts = self.counts
        counts[value] = counts.get(value, 0) + times

    def record_all(self, values: Sequence[int | None]) -> None:
        """Count many values, none of them negative, at a third of the cost of one by one."""
        finite = [value for value in values if value is not None]
        self.total += len(values)
        self.never += len(values) - len(finite)
        if not finite:
            return
        self.value_sum += sum(finite)
        largest, smallest = max(finite), min(finite)
        if self.maximum is None or largest > self.maximum:
            self.maximum = largest
        if self.minimum is None or smallest < self.minimum:
            self.minimum = smallest
        bits = largest.bit_length()
        if bits == smallest.bit_length():
            mask = _BUCKET_OF[bits]
            self.counts.update([value & mask for value in finite])
        else:
            self.counts.update([value & _BUCKET_OF[value.bit_length()] for value in finite])

    def copy(self) -> Histogram:
        """A histogram of its own with the same counts."""
        same = Histogram()
        same.merge(self)
        return same

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one."""
        for edge, count in other.counts.items():
            self.counts[edge] = self.counts.get(edge, 0) + count
        self.never += other.never
        self.total += other.total
        self.value_sum += other.value_sum
        self.minimum = min((v for v in (self.minimum, other.minimum) if v is not None), default=None)
        self.maximum = max((v for v in (self.maximum, other.maximum) if v is not None), default=None)

    def at_rank(self, rank: int) -> tuple[int, int] | None:
        """Edges [lower, upper] of the bucket that holds the `rank`-th smallest value (from 1).

        None if that value is infinite. The edges are narrowed by the exact minimum and maximum. Raises
        ValueError for a rank outside 1..total.
        """
        if not 1 <= rank <= self.total:
            raise ValueError(f"rank {rank} of {self.total} values")
        seen = 0
        for edge in sorted(self.counts):
            seen += self.counts[edge]
            if seen >= rank:
                assert self.minimum is not None
                assert self.maximum is not None
                return max(edge, self.minimum), min(_upper_edge(edge), self.maximum)
        return None

    def to_hdr(self) -> HdrHistogram:
        """The finite values as an HdrHistogram from 1 ns to a week, for its encoders and log writers."""
        from hdrh.histogram import HdrHistogram

        histogram = HdrHistogram(1, _HDR_MAX_NS, 3)
        for edge, count in self.counts.items():
            if not histogram.record_value(min(edge, _HDR_MAX_NS), count):
                raise OverflowError(f"{edge} ns doesn't fit an HdrHistogram")
        return histogram


def coarse(value: int) -> tuple[int, int]:
    """Both edges of a bucket that is 0.8 % wide at most, for what is kept in a row for each bucket."""
    edge = coarse_edge(value)
    return edge, edge + (1 << max(0, value.bit_length() - _COARSE_BITS)) - 1


def coarse_edge(value: int) -> int:
    """The lower edge of that bucket."""
    shift = value.bit_length() - _COARSE_BITS
    return value >> shift << shift if shift > 0 else value


def rank_of(p: Fraction, n: int) -> int:
    """Rank (from 1) of the p-quantile among n values: the smallest k with k/n >= p."""
    return max(1, -(-p.numerator * n // p.denominator))


def bracket(p: Fraction, lower: Histogram, upper: Histogram) -> tuple[int | None, int | None]:
    """[L(k), R(k)] around the p-quantile, from the histograms of the brackets' lower and upper ends.

    Since L <= T <= R holds for each event, it holds for the k-th smallest of each (no model needed).
    Either end is None where it is infinite. Raises ValueError if there are no values.
    """
    low = lower.at_rank(rank_of(p, lower.total))
    high = upper.at_rank(rank_of(p, upper.total))
    return (low[0] if low else None), (high[1] if high else None)


def _upper_edge(edge: int) -> int:
    shift = edge.bit_length() - _SUB_BUCKET_BITS
    return edge + (1 << shift) - 1 if shift > 0 else edge
