"""Counts many values at once that stand in arrays: what `Histogram`, `StepCounts` and `ThresholdCount` do one by one.

Imports numpy, and is itself imported only where a ledger is read back.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .histogram import Histogram
from .thresholds import StepCounts, ThresholdCount

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NONE: Final = -(1 << 63)
"""Stands for None in an array of integers: no time of a run, and no difference of two, is so small."""
_SUB_BUCKET_BITS: Final = 11
_HALF: Final = 1 << (_SUB_BUCKET_BITS - 1)
_LARGEST: Final = (1 << 63) - 1
_FEW: Final = 1 << 16
"""Of so many values that can be, counting all is faster than sorting those that are."""


def total(values: Ints) -> int:
    """The exact sum, also where it doesn't fit into 64 bits."""
    if not len(values):
        return 0
    most = max(abs(int(values.max())), abs(int(values.min())))
    return int(values.sum()) if most * len(values) <= _LARGEST else sum(values.tolist())


def tally(values: Ints) -> Iterator[tuple[int, int]]:
    """The different values, the smallest first, and how often each is there."""
    if len(values):
        least = int(values.min())
        if int(values.max()) - least < max(len(values), _FEW):
            counts = np.bincount(values - least)
            found = np.flatnonzero(counts)
            yield from zip((found + least).tolist(), counts[found].tolist(), strict=True)
        else:
            different, counts = np.unique(values, return_counts=True)
            yield from zip(different.tolist(), counts.tolist(), strict=True)


def record(histogram: Histogram, values: Ints) -> None:
    """Count values, none of them negative; NONE is infinite."""
    finite = values[values != NONE]
    histogram.total += len(values)
    histogram.never += len(values) - len(finite)
    if not len(finite):
        return
    histogram.value_sum += total(finite)
    smallest, largest = int(finite.min()), int(finite.max())
    if histogram.minimum is None or smallest < histogram.minimum:
        histogram.minimum = smallest
    if histogram.maximum is None or largest > histogram.maximum:
        histogram.maximum = largest
    # The number of bits beyond those of a bucket; a double holds what is looked at exactly.
    shift = np.frexp((finite >> _SUB_BUCKET_BITS).astype(np.float64))[1].astype(np.int64)
    number = (finite >> shift) + shift * _HALF
    counts = histogram.counts
    for bucket, events in tally(number):
        beyond = max(0, bucket // _HALF - 1)
        edge = bucket - beyond * _HALF << beyond
        counts[edge] = counts.get(edge, 0) + events


def add_steps(
    steps: StepCounts,
    at_ns: Ints,
    *,
    events: int = 0,
    within: Ints | Flags | None = None,
    beyond: Ints | Flags | None = None,
) -> None:
    """Count something for each of these moments, as `StepCounts.add` does: as many `events`, and of the others as
    many as the array says."""
    if not len(at_ns):
        return
    numbers = np.maximum(at_ns // steps.step_ns, 0)
    least, most = int(numbers.min()), int(numbers.max())
    numbers -= least
    steps.add(most * steps.step_ns, 0, 0, 0)  # so that the step is there
    if events:
        _view(steps.events, least, most)[:] += np.bincount(numbers) * events
    for into, amounts in ((steps.within, within), (steps.beyond, beyond)):
        if amounts is None:
            continue
        if amounts.dtype == np.bool_:
            _view(into, least, most)[:] += np.bincount(numbers[amounts], minlength=most - least + 1)
        else:
            np.add.at(_view(into, least, most), numbers, amounts)


def _view(counts: array[int], least: int, most: int) -> Ints:
    """What is between two numbers, to be written to."""
    return np.frombuffer(counts, dtype=np.int64)[least : most + 1]


def add_thresholds(
    thresholds: Mapping[int, ThresholdCount], lower: Ints, upper: Ints, at_ns: Ints, interval_ns: int
) -> None:
    """Count brackets at thresholds, those of each interval of the moments by themselves."""
    if not thresholds or not len(at_ns):
        return
    numbers, of = _numbered(at_ns // interval_ns)
    for threshold, count in thresholds.items():
        within, beyond = at_threshold(threshold, lower, upper)
        count.within += int(np.count_nonzero(within))
        count.beyond += int(np.count_nonzero(beyond))
        found = [np.bincount(part, minlength=len(numbers)).tolist() for part in (of, of[within], of[beyond])]
        for interval, *counts in zip(numbers, *found, strict=True):
            batch = count.intervals.setdefault(interval, [0, 0, 0])
            for place, events in enumerate(counts):
                batch[place] += events


def at_threshold(threshold: int, lower: Ints, upper: Ints) -> tuple[Flags, Flags]:
    """Which brackets are under a threshold for sure, and which over it."""
    within = (upper != NONE) & (upper <= threshold)
    return within, ~within & ((lower == NONE) | (lower >= threshold))


def _numbered(values: Ints) -> tuple[list[int], Ints]:
    """The different values, and of each value its place among them."""
    least = int(values.min())
    if least == int(values.max()):
        return [least], np.zeros(len(values), dtype=np.int64)
    different, places = np.unique(values, return_inverse=True)
    return different.tolist(), places.astype(np.int64)
