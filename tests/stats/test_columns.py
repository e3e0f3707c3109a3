"""What is counted by the array is what is counted one by one, at the edges of all that fits."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evload.stats.columns import NONE, add_steps, add_thresholds, record, tally, total
from evload.stats.histogram import Histogram
from evload.stats.thresholds import StepCounts, ThresholdCount

EDGES = [
    edge + by for bits in (0, 1, 10, 11, 12, 31, 52, 53, 54, 61, 62) for edge in (1 << bits,) for by in (-1, 0, 1)
]
VALUES = st.lists(st.none() | st.sampled_from(EDGES) | st.integers(0, 1 << 62), max_size=40)


def array(values: list[int | None]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([NONE if value is None else value for value in values], dtype=np.int64)


@given(VALUES, VALUES)
def test_a_histogram_of_an_array_is_that_of_its_values(first: list[int | None], second: list[int | None]) -> None:
    by_value, by_array = Histogram(), Histogram()
    for values in (first, second):
        record(by_array, array(values))
        for value in values:
            by_value.record(value)
    assert by_array == by_value


@given(st.lists(st.integers(-(1 << 62), 1 << 62), max_size=20))
def test_a_sum_is_exact_where_it_fits_into_64_bits_and_where_it_does_not(values: list[int]) -> None:
    assert total(np.array(values, dtype=np.int64)) == sum(values)


@given(st.lists(st.integers(-9, 9) | st.sampled_from([-(1 << 40), 1 << 40]), max_size=40))
def test_values_are_tallied_in_order(values: list[int]) -> None:
    assert list(tally(np.array(values, dtype=np.int64))) == sorted(Counter(values).items())


MOMENTS = st.lists(st.tuples(st.integers(-50, 3_000), st.integers(0, 3), st.booleans()), max_size=40)


@given(MOMENTS, st.integers(1, 900))
def test_steps_of_an_array_are_those_of_its_moments(moments: list[tuple[int, int, bool]], step_ns: int) -> None:
    by_moment, by_array = StepCounts(step_ns), StepCounts(step_ns)
    add_steps(by_array, array([]), events=1)
    for times in (1, 2):
        at_ns, within, beyond = (
            (np.array(column) for column in zip(*moments, strict=True)) if moments else [array([])] * 3
        )
        add_steps(by_array, at_ns, events=times, within=within, beyond=beyond)
        for at, some, flag in moments:
            by_moment.add(at, times, some, int(flag))
    assert by_array == by_moment


def test_a_bracket_is_counted_at_a_threshold_by_both_of_its_ends() -> None:
    counts = {10: ThresholdCount()}
    lower, upper = array([0, 5, 10, 3, None, 9]), array([10, 11, 12, None, None, 10])
    add_thresholds(counts, lower, upper, np.array([0, 7, 8, 15, 15, 3], dtype=np.int64), 8)
    assert (counts[10].within, counts[10].beyond) == (2, 2)
    assert counts[10].intervals == {0: [3, 2, 0], 1: [3, 0, 2]}
