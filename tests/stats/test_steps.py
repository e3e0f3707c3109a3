"""Counts per step of time: which step a moment belongs to, and what several of them come to together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.stats.thresholds import StepCounts
from tests.rigs.summaries import S

added = st.lists(st.tuples(st.integers(-5, 60), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=20)


def steps(*counts: tuple[float, int, int, int], step_ns: int = S) -> StepCounts:
    """Of (seconds, events, within, beyond)."""
    built = StepCounts(step_ns)
    for at, *three in counts:
        built.add(round(at * S), *three)
    return built


def lists(counted: StepCounts) -> tuple[list[int], list[int], list[int]]:
    return list(counted.events), list(counted.within), list(counted.beyond)


def test_a_step_begins_with_its_first_nanosecond_and_what_was_before_the_start_is_in_the_first() -> None:
    built = StepCounts(S)
    for at_ns, counts in (
        (S, (1, 2, 3)), (2 * S - 1, (10, 20, 30)), (2 * S, (4, 5, 6)), (-1, (7, 0, 1)), (-9 * S, (1, 1, 1)),
    ):  # fmt: skip
        built.add(at_ns, *counts)
    assert lists(built) == ([8, 11, 4], [1, 22, 5], [2, 33, 6])
    assert len(built) == 3
    assert len(StepCounts(S)) == 0


def test_what_nobody_counted_is_zero() -> None:
    assert lists(steps((3, 1, 0, 1))) == ([0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1])


def test_merged_counts_add_up_whichever_is_longer() -> None:
    short, long = steps((0, 5, 3, 1)), steps((0, 10, 9, 0), (2, 4, 1, 2))
    expected = ([15, 0, 4], [12, 0, 1], [1, 0, 2])
    for one, other in ((short, long), (long, short)):
        whole = StepCounts(S)
        whole.merge(one)
        whole.merge(other)
        assert lists(whole) == expected
    assert lists(short) == ([5], [3], [1])
    assert lists(long) == ([10, 0, 4], [9, 0, 1], [0, 0, 2])


@given(added, added)
def test_merging_is_counting_all_at_once(
    one: list[tuple[int, int, int, int]], other: list[tuple[int, int, int, int]]
) -> None:
    merged = steps(*one)
    merged.merge(steps(*other))
    assert merged == steps(*one, *other)


def test_steps_of_another_length_are_not_mixed() -> None:
    whole = steps((0, 5, 3, 1))
    with pytest.raises(ValueError, match="steps of 500000000 ns don't merge into steps of 1000000000 ns"):
        whole.merge(steps((0, 1, 1, 1), step_ns=S // 2))
    assert lists(whole) == ([5], [3], [1])


@pytest.mark.parametrize("other", [(0, 4, 3, 1), (0, 5, 2, 1), (0, 5, 3, 0), (1, 5, 3, 1)])
def test_counts_are_equal_if_all_of_them_are(other: tuple[float, int, int, int]) -> None:
    assert steps((0, 5, 3, 1)) == steps((0, 5, 3, 1))
    assert steps((0, 5, 3, 1)) != steps(other)
    assert steps((0, 5, 3, 1)) != steps((0, 5, 3, 1), step_ns=2 * S)
    assert steps() != []
