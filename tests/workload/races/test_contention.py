"""Who was in flight with whom."""

from __future__ import annotations

import pytest

from evload.workload.races.contention import contended


@pytest.mark.parametrize(
    ("flights", "together"),
    [
        ([("pay", 0, 10), ("cancel", 5, 15)], True),
        ([("pay", 0, 10), ("cancel", 10, 15)], False),  # it was answered when the other was sent
        ([("pay", 0, 10), ("cancel", 9, 15)], True),
        ([("pay", 0, 10), ("pay", 5, 15), ("cancel", 15, 20)], False),  # only those of one name
        ([("pay", 0, 30), ("cancel", 5, 5)], False),  # no time at all
        ([("pay", 0, 10)], False),
        ([], False),
    ],
)
def test_of_two_contenders_one_of_each_is_enough(flights: list[tuple[str, int, int]], together: bool) -> None:
    assert contended(flights, {"pay": 2, "cancel": 1}) is together


@pytest.mark.parametrize(
    ("flights", "times", "together"),
    [
        ([(0, 10), (5, 15)], 4, True),
        ([(0, 10), (10, 15), (15, 20), (20, 25)], 4, False),
        ([(0, 10), (5, 15)], 5, False),  # two of five are less than half
        ([(0, 10), (5, 15), (9, 20)], 5, True),
        ([(0, 10), (5, 15), (11, 20)], 5, False),  # never three at once
        ([(0, 10), (5, 15)], 3, True),
        ([(0, 10), (15, 25)], 3, False),
    ],
)
def test_of_one_contender_half_of_all_that_were_due_have_to_be(
    flights: list[tuple[int, int]], times: int, together: bool
) -> None:
    assert contended([("buy", *one) for one in flights], {"buy": times}) is together
