"""Percentiles of what was added lately: held against a plain sort."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.stats.histogram import Histogram, rank_of
from evload.stats.recent import RecentValues

P: list[Fraction] = [Fraction(1, 100), Fraction(1, 2), Fraction(95, 100), Fraction(1)]
VALUES = st.lists(st.one_of(st.none(), st.integers(0, 10**11), st.integers(10**8, 10**8 + 500)), max_size=40)


def true_quantiles(values: list[int | None]) -> list[float]:
    ordered = sorted(inf if value is None else value for value in values)
    return [ordered[rank_of(p, len(ordered)) - 1] for p in P]


@settings(max_examples=200)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12))
def test_quantiles_are_in_their_cells_and_cells_are_narrow(
    looks: list[tuple[list[int | None], list[int | None]]],
) -> None:
    recent, histograms = RecentValues(3), {"a": Histogram(), "b": Histogram()}
    last: deque[list[int | None]] = deque(maxlen=3)
    whole: list[int | None] = []
    for at, (more_a, more_b) in enumerate(looks):
        histograms["a"].record_all(more_a)
        histograms["b"].record_all(more_b)
        recent.look(at, histograms)
        last.append([*more_a, *more_b])
        whole += last[-1]
        for found, values in ((recent.last, [value for part in last for value in part]), (recent.all, whole)):
            assert found.total == len(values)
            if not values:
                continue
            for true, edges in zip(true_quantiles(values), found.quantiles(P), strict=True):
                assert (edges is None) == (true == inf)
                if edges is not None:
                    # A histogram keeps values to 0.1 %, by the lower edge of their bucket.
                    assert edges[0] <= true <= edges[1]
                    assert edges[1] <= edges[0] * (1 + 1 / 64)


def test_what_is_passing_counts_for_the_last_seconds_alone() -> None:
    recent, settled, passing = RecentValues(5), Histogram(), Histogram()
    settled.record(7)
    passing.record_all([9, None])
    recent.look(0, {"a": settled}, {"a": passing})
    assert (recent.last.total, recent.all.total) == (3, 1)
    assert recent.last.quantiles([Fraction(1, 3), Fraction(2, 3), Fraction(1)]) == [(7, 7), (9, 9), None]
    passing.record(8)
    recent.look(3, {"a": settled}, {"a": passing})
    assert (recent.last.total, recent.all.total) == (4, 1)
    recent.look(5, {"a": settled}, {"a": passing})
    assert (recent.last.total, recent.all.total) == (1, 1)


def test_without_values_there_are_no_quantiles() -> None:
    recent = RecentValues(5)
    with pytest.raises(ValueError, match="no values"):
        recent.last.quantiles(P)
    recent.look(0, {"a": Histogram()})
    assert recent.all.total == 0


def test_what_lies_back_too_far_is_forgotten_without_anything_new() -> None:
    recent, histogram = RecentValues(5), Histogram()
    histogram.record(7)
    recent.look(0, {"a": histogram})
    recent.look(4, {"a": histogram})
    assert recent.last.total == 1
    recent.look(5, {"a": histogram})
    assert (recent.last.total, recent.all.total) == (0, 1)
