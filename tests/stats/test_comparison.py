"""The shift between two sets of runs and its interval, by hand, by brute force and by its properties."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.stats.comparison import (
    Reading,
    interval_rank,
    mann_whitney_counts,
    median,
    runs_needed,
    shift,
    trend,
)

INF = math.inf


def points(*values: float) -> list[Reading]:
    return [Reading(value, value, value) for value in values]


# -- the distribution of U ---------------------------------------------------------------------------


def test_the_counts_of_u_are_the_textbooks() -> None:
    assert mann_whitney_counts(2, 2) == [1, 1, 2, 1, 1]
    assert mann_whitney_counts(3, 3) == [1, 1, 2, 3, 3, 3, 3, 2, 1, 1]
    assert mann_whitney_counts(1, 4) == mann_whitney_counts(4, 1) == [1] * 5


@pytest.mark.parametrize(("m", "n"), [(1, 6), (2, 5), (3, 4), (4, 3), (5, 5), (6, 2)])
def test_the_counts_of_u_are_those_of_all_orders(m: int, n: int) -> None:
    found = Counter(
        sum(position - rank for rank, position in enumerate(places)) for places in combinations(range(m + n), m)
    )
    assert mann_whitney_counts(m, n) == [found[u] for u in range(m * n + 1)]


@pytest.mark.parametrize(
    ("m", "n", "critical"), [(4, 4, 0), (5, 5, 2), (6, 6, 5), (5, 8, 6), (7, 8, 10), (10, 10, 23), (20, 20, 127)]
)
def test_the_interval_ends_where_the_table_of_critical_values_says(m: int, n: int, critical: int) -> None:
    """The two-sided 5 % table of the Mann-Whitney test rejects for U up to `critical`."""
    k, confidence = interval_rank(m, n, 0.05)
    assert k == critical + 1
    assert 0.95 <= confidence < 1


def test_the_confidence_is_exact() -> None:
    assert interval_rank(5, 5, 0.05) == (3, 1 - 8 / 252)
    assert interval_rank(5, 5, 0.05 / 3) == (2, 1 - 4 / 252)
    assert interval_rank(4, 4, 0.05) == (1, 1 - 2 / 70)


@pytest.mark.parametrize(("m", "n", "alpha"), [(3, 3, 0.05), (1, 1, 0.05), (1, 20, 0.05), (4, 4, 0.05 / 3)])
def test_too_few_runs_have_no_interval(m: int, n: int, alpha: float) -> None:
    assert interval_rank(m, n, alpha) == (0, 0.0)
    moved = shift(points(*[1.0] * m), points(*[9.0] * n), alpha=alpha, same_plan=True)
    assert (moved.estimate, moved.lower, moved.upper) == (8, -INF, INF)
    assert (moved.confidence, moved.direction) == (0, 0)


def test_how_many_runs_it_takes() -> None:
    assert [runs_needed(0.05 / gated) for gated in (1, 2, 3, 6, 7)] == [4, 5, 5, 5, 6]
    assert runs_needed(0.05, 20) == 2
    assert runs_needed(0.05 / 3, 5) == 4, "2/126"
    for alpha in (0.05, 0.01):
        n = runs_needed(alpha)
        assert interval_rank(n, n, alpha)[0] == 1
        assert interval_rank(n - 1, n - 1, alpha)[0] == 0


# -- the shift ---------------------------------------------------------------------------------------


def test_a_shift_by_hand() -> None:
    """Differences of {3, 5, 9} and {1, 2, 4}: -1 1 1 2 3 4 5 7 8."""
    moved = shift(points(1, 2, 4), points(3, 5, 9), alpha=0.2, same_plan=True)
    assert moved.estimate == 3
    assert moved.confidence == 1 - 2 * 2 / 20, "U <= 1 has probability 2/20"
    assert (moved.lower, moved.upper) == (1, 7)
    assert moved.direction == 1


def test_an_interval_by_hand_of_five_against_five() -> None:
    base, new = (10, 11, 12, 13, 14), (12, 14.5, 16, 18, 30)
    differences = sorted(n - b for n in new for b in base)
    moved = shift(points(*base), points(*new), alpha=0.05, same_plan=False)
    assert moved.estimate == differences[12] == 4
    assert (moved.lower, moved.upper) == (differences[2], differences[22]) == (0, 18)
    assert moved.direction == 0, "an interval that touches 0 doesn't exclude it"
    assert shift(points(*base), points(*new), alpha=0.1, same_plan=False).direction == 1


def test_brackets_widen_the_interval_by_all_that_they_leave_open() -> None:
    base = [Reading(v - 1, v, v + 2) for v in (10.0, 11, 12, 13, 14)]
    new = [Reading(v - 3, v, v + 4) for v in (30.0, 31, 32, 33, 34)]
    moved = shift(base, new, alpha=0.05, same_plan=False)
    middles = shift(points(10, 11, 12, 13, 14), points(30, 31, 32, 33, 34), alpha=0.05, same_plan=False)
    assert moved.estimate == middles.estimate == 20
    assert moved.spread == (middles.lower, middles.upper)
    assert (moved.lower, moved.upper) == (middles.lower - 2 - 3, middles.upper + 1 + 4)
    assert moved.direction == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_readings_by_one_plan_prove_the_sign_by_their_middles(sign: int) -> None:
    base = [Reading(v - 5, v, v + 5) for v in (10.0, 11, 12, 13, 14)]
    new = [Reading(v + 6 * sign - 5, v + 6 * sign, v + 6 * sign + 5) for v in (10.0, 11, 12, 13, 14)]
    other_plan = shift(base, new, alpha=0.05, same_plan=False)
    assert other_plan.lower < 0 < other_plan.upper
    assert other_plan.direction == 0
    one_plan = shift(base, new, alpha=0.05, same_plan=True)
    assert one_plan.direction == sign
    assert (one_plan.lower, one_plan.upper)[sign < 0] == 0, "sure of the sign, and of nothing beyond"
    assert (one_plan.lower, one_plan.upper)[sign > 0] == (other_plan.lower, other_plan.upper)[sign > 0]


def test_what_never_came_ranks_last() -> None:
    never = [Reading(15, INF, INF)] * 5
    moved = shift(points(1, 1, 1, 1, 2), never, alpha=0.05, same_plan=False)
    assert (moved.estimate, moved.upper) == (INF, INF)
    assert moved.lower == 13, "the third of five differences of 15 - 2 and twenty of 15 - 1"
    assert moved.direction == 1
    both = shift(never, never, alpha=0.05, same_plan=True)
    assert (both.estimate, both.lower, both.upper, both.direction) == (0, -INF, INF, 0)
    back = shift(never, points(1, 1, 1, 1, 2), alpha=0.05, same_plan=False)
    assert (back.lower, back.upper, back.direction) == (-INF, -13, -1)


def test_the_same_value_everywhere_is_no_shift() -> None:
    moved = shift(points(*[3.0] * 5), points(*[3.0] * 5), alpha=0.05, same_plan=True)
    assert (moved.estimate, moved.lower, moved.upper, moved.direction) == (0, 0, 0, 0)


def test_nothing_has_no_shift() -> None:
    with pytest.raises(ValueError):
        shift([], points(1), alpha=0.05, same_plan=True)


VALUES = st.integers(-1000, 1000).map(float)
BRACKETS = st.tuples(VALUES, st.integers(0, 50), st.integers(0, 50)).map(
    lambda v: Reading(v[0] - v[1], v[0], v[0] + v[2])
)
SETS = st.lists(BRACKETS, min_size=1, max_size=8)


@given(SETS, SETS, st.integers(-500, 500), st.sampled_from([0.05, 0.05 / 3, 0.3]))
def test_moving_the_new_runs_moves_estimate_and_interval(
    base: list[Reading], new: list[Reading], by: int, alpha: float
) -> None:
    moved = shift(base, new, alpha=alpha, same_plan=False)
    further = shift(base, [Reading(*(end + by for end in n)) for n in new], alpha=alpha, same_plan=False)
    assert further.estimate == moved.estimate + by
    assert (further.lower, further.upper) == (moved.lower + by, moved.upper + by)


@given(SETS, SETS, st.sampled_from([0.05, 0.05 / 3, 0.3]), st.booleans())
def test_changing_sides_changes_the_sign(
    base: list[Reading], new: list[Reading], alpha: float, same_plan: bool
) -> None:
    there = shift(base, new, alpha=alpha, same_plan=same_plan)
    back = shift(new, base, alpha=alpha, same_plan=same_plan)
    assert back.estimate == -there.estimate
    assert (back.lower, back.upper) == (-there.upper, -there.lower)
    assert (back.direction, back.confidence) == (-there.direction, there.confidence)


@given(SETS, SETS, st.data())
def test_the_interval_holds_that_of_the_true_values_wherever_they_are_in_their_brackets(
    base: list[Reading], new: list[Reading], data: st.DataObject
) -> None:
    true = [
        points(*(data.draw(st.integers(int(r.low), int(r.high))) for r in side))
        for side in (base, new)
    ]  # fmt: skip
    told = shift(base, new, alpha=0.3, same_plan=False)
    truth = shift(*true, alpha=0.3, same_plan=False)
    assert told.lower <= truth.lower <= truth.upper <= told.upper


@given(st.lists(st.floats(0.1, 100), min_size=4, max_size=9), st.lists(st.floats(0.1, 100), min_size=4, max_size=9))
def test_what_a_common_grid_says_of_the_sign_is_true_of_the_values(base: list[float], new: list[float]) -> None:
    """A grid of reads makes a bracket of a value; if the middles are sure of the sign, the true interval agrees."""

    def read(value: float) -> Reading:
        step = math.floor(math.log(value) / math.log(1.5))
        return Reading(1.5**step, 1.25 * 1.5**step, 1.5 ** (step + 1))

    told = shift([read(v) for v in base], [read(v) for v in new], alpha=0.05, same_plan=True)
    truth = shift(points(*base), points(*new), alpha=0.05, same_plan=False)
    if told.direction:
        assert truth.direction == told.direction


def test_builds_that_are_alike_are_told_apart_in_one_of_twenty_at_most() -> None:
    rng = random.Random(7)
    claims = held = 0
    for _ in range(2000):
        base, new = (points(*(rng.lognormvariate(0, 0.3) for _ in range(5))) for _ in "ab")
        moved = shift(base, new, alpha=0.05, same_plan=True)
        claims += moved.direction != 0
        held += moved.lower <= 0 <= moved.upper
    assert claims == 2000 - held
    assert 0.02 < claims / 2000 < 0.045, "8/252 = 3.2 %"


# -- medians and trends ------------------------------------------------------------------------------


def test_the_median_copes_with_infinities() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert median([1, INF, INF]) == INF
    assert median([1, INF]) == INF
    assert median([-INF, INF]) == 0


def test_a_trend_by_hand() -> None:
    """Slopes between the pairs of (0, 1) (1, 2) (2, 6) (3, 4): 1 2.5 1 4 1 -2; median 1."""
    seen = trend([0, 1, 2, 3], [1, 2, 6, 4])
    assert seen.slope == 1
    # Of 6 pairs 1 is out of order; 4 of the 24 orders have at most one, and as many at least five.
    assert seen.p_value == pytest.approx(8 / comb(24, 1))


def test_a_trend_heeds_the_order_and_not_an_outlier() -> None:
    times = [0, 1, 2, 3, 4, 5, 6, 7]
    assert trend(times, [0, 2, 4, 6, 8, 10, 12, 1000]).slope == 2
    assert trend(times, [0, 2, 4, 6, 8, 10, 12, 14]).p_value < 0.001
    assert trend(times, [1] * 8) == trend(times[::-1], [1] * 8)
    assert trend(times, [1] * 8).p_value == 1
    assert trend([0, 0, 1], [5, 7, 8]).slope == 2


def test_a_figure_that_was_infinite_says_nothing_of_the_slope() -> None:
    """It counts in the order of the values alone."""
    never_at_last = trend([0, 1, 2, 3], [1, 3, 5, INF])
    assert never_at_last.slope == 2
    assert never_at_last.p_value == trend([0, 1, 2, 3], [1, 3, 5, 7]).p_value
    assert trend([0, 1, 2, 3], [-INF, 1, 3, 5]).slope == 2
    for values in ([INF] * 3, [-INF] * 3, [1, INF, INF]):
        with pytest.raises(ValueError):
            trend([0, 1, 2], values)


def test_a_trend_takes_time() -> None:
    with pytest.raises(ValueError):
        trend([1, 1], [2, 3])


@pytest.mark.parametrize("by", [0.001, 0.5, 2.0])
def test_a_direction_is_told_however_small_the_shift(by: float) -> None:
    base = points(*[10 + n * 1e-6 for n in range(5)])
    more, less = points(*[10 + by + n * 1e-6 for n in range(5)]), points(*[10 - by + n * 1e-6 for n in range(5)])
    for same_plan in (False, True):
        assert [shift(base, new, alpha=0.05, same_plan=same_plan).direction for new in (more, base, less)] == [
            1,
            0,
            -1,
        ]
