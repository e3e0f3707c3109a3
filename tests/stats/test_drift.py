"""The drift of what waits: known series, and how often its interval misses the truth."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from evload.stats.drift import FEWEST_SPANS, Drift, drift
from tests.rigs.shares import seeds

TRIALS = 200


def test_a_straight_line_is_known_exactly() -> None:
    found = drift(range(60), [5 + 0.25 * at for at in range(60)])
    assert found is not None
    assert found == pytest.approx((0.25, 0.25, 0.25))
    assert drift(range(60), [7.0] * 60) == Drift(0, 0, 0)


def test_of_too_little_nothing_is_known() -> None:
    assert drift([], []) is None
    assert drift(range(FEWEST_SPANS - 1), range(FEWEST_SPANS - 1)) is None
    assert drift([3.0] * 50, range(50)) is None
    assert drift(range(FEWEST_SPANS), range(FEWEST_SPANS)) is not None


def test_what_comes_and_goes_is_no_drift_and_what_stays_is() -> None:
    """One pile that is worked off again, and one that isn't: of neither it is sure that it goes on."""
    times = range(400)
    pile = [100.0 if 150 <= at < 200 else 0.0 for at in times]
    step = [100.0 if at >= 200 else 0.0 for at in times]
    for values in (pile, step):
        found = drift(times, values)
        assert found is not None
        assert found.low <= 0 < found.high
    found = drift(times, [value + 2 * at for at, value in zip(times, pile, strict=True)])
    assert found is not None
    assert found.low < 2 < found.high


def test_times_need_not_be_even() -> None:
    rng = random.Random(3)
    times = sorted(rng.uniform(0, 60) for _ in range(200))
    found = drift(times, [3 * at for at in times])
    assert found is not None
    assert found.low == pytest.approx(3)
    assert found.high == pytest.approx(3)


@pytest.mark.parametrize("seed", seeds(20, 2))
def test_of_a_random_walk_it_is_hardly_ever_sure_of_what_isnt_so(seed: int) -> None:
    rng = random.Random(seed)
    missed = 0
    for _ in range(TRIALS):
        truth = rng.uniform(-1, 1)
        found = drift(range(480), list(accumulate(rng.gauss(truth, 1) for _ in range(480))))
        assert found is not None
        missed += not found.low <= truth <= found.high
    # Each side is to be missed once in a thousand; more than four of 200 are less likely than one in ten thousand.
    assert missed <= 4


@pytest.mark.parametrize("seed", seeds(20, 2))
def test_of_a_queue_that_keeps_up_it_is_hardly_ever_sure_that_it_grows(seed: int) -> None:
    rng = random.Random(seed)
    missed = 0
    for _ in range(TRIALS):
        load, waiting, values = rng.uniform(-0.2, -0.01), 0.0, []
        for _ in range(960):
            waiting = max(0.0, waiting + rng.gauss(load, 1))
            values.append(waiting)
        found = drift(range(480), values[480:])
        assert found is not None
        missed += found.low > 0
    assert missed <= 3


def test_the_interval_worked_out_by_hand() -> None:
    """Of eight points seven steps of 1 and -1: their variance is 8/7, and t(6) leaves one in a thousand at 5.2076."""
    found = drift(range(8), [0, 1, 0, 1, 0, 1, 0, 1])
    assert found is not None
    reach = 5.2076 * (1.5 * (8 / 7) / 7) ** 0.5
    assert found == pytest.approx((1 / 7, 1 / 7 - reach, 1 / 7 + reach), rel=1e-4)


def test_it_matters_not_when_the_clock_began() -> None:
    rng = random.Random(5)
    times, values = range(300), [rng.gauss(0.2 * at, 9) for at in range(300)]
    now = drift(times, values)
    assert now is not None
    for since in (100, 10**6):
        later = drift([since + at for at in times], values)
        assert later == pytest.approx(now)
