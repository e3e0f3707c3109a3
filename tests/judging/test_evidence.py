"""What the counts at a threshold say of the rate of bad events: some can't be told, and some share a stall."""

from __future__ import annotations

import pytest

from evload.stats.evidence import weigh
from evload.stats.thresholds import ThresholdCount


def counted(*intervals: tuple[int, int]) -> ThresholdCount:
    """A hundred events in each interval: (within, beyond)."""
    return ThresholdCount(
        within=sum(within for within, _ in intervals),
        beyond=sum(beyond for _, beyond in intervals),
        intervals={number: [100, *interval] for number, interval in enumerate(intervals)},
    )


def test_events_that_are_spread_evenly_are_all_independent() -> None:
    weighed = weigh(counted(*[(97, 2)] * 10), 1000)
    assert (weighed.pessimistic, weighed.optimistic) == (30, 20)
    assert (weighed.size_pessimistic, weighed.size_optimistic, weighed.size) == (1000, 1000, 1000)
    assert weighed.dependence_note(1000) == ""


def test_events_that_may_be_bad_and_share_a_stall_are_worth_less() -> None:
    """One is bad in each window, and thirty more of one window can't be told."""
    weighed = weigh(counted(*[(99, 1)] * 9, (69, 1)), 1000)
    assert (weighed.pessimistic, weighed.optimistic) == (40, 10)
    assert weighed.size_optimistic == 1000
    assert weighed.size == weighed.size_pessimistic == pytest.approx(42.7, abs=0.1)
    assert weighed.dependence_note(1000) == "events share stalls: 1000 of them count as 43"


def test_events_that_are_bad_for_sure_and_share_a_stall_are_worth_less() -> None:
    """Ten may be bad in each window; those that are for sure are all in one."""
    weighed = weigh(counted(*[(90, 0)] * 9, (90, 10)), 1000)
    assert (weighed.pessimistic, weighed.optimistic) == (100, 10)
    assert weighed.size_pessimistic == 1000
    assert weighed.size == weighed.size_optimistic == pytest.approx(99, abs=0.1)


def test_the_bounds_are_those_of_the_events_that_they_are_worth() -> None:
    """Twenty bad events in one of ten windows: the thousand count as 49, and one of them is bad.

    The bounds are quantiles of Beta(21, 980), Beta(20, 981), and Beta(1.98, 48.02), Beta(0.98, 49.02).
    """
    spread, together = weigh(counted(*[(98, 2)] * 10), 1000), weigh(counted(*[(100, 0)] * 9, (80, 20)), 1000)
    assert [spread.highest, spread.lowest] == pytest.approx([0.0289, 0.0133], abs=1e-4)
    assert together.size == pytest.approx(49)
    assert [together.highest, together.lowest] == pytest.approx([0.0926, 0.00097], abs=1e-4)
