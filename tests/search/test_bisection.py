"""The search itself, without any run: rates in, outcomes in, the next trial out."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import ceil, log, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.model.ceiling import Bounds, End, Outcome
from evload.search.bisection import MOST_DOUBLINGS, MOST_FAULTS, MOST_HALVINGS, Next, Plan, Tried, so_far, step

GOOD, BAD, UNDECIDED, GENERATOR = Outcome.GOOD, Outcome.BAD, Outcome.UNDECIDED, Outcome.GENERATOR
PLAN = Plan(Fraction(50), Fraction(5000), 0.05)
Oracle = Callable[[Next], Outcome]


def search(plan: Plan, oracle: Oracle, most: int = 500) -> tuple[Bounds, list[Tried]]:
    """The search with somebody who knows what each trial comes to."""
    tried: list[Tried] = []
    while isinstance(found := step(plan, tried), Next):
        assert len(tried) < most, "it comes to no end"
        tried.append(Tried(found.rate, found.doublings, oracle(found)))
    return found, tried


def at(capacity: float) -> Oracle:
    return lambda trial: GOOD if trial.rate <= capacity else BAD


def rates(tried: list[Tried]) -> list[float]:
    return [float(one.rate) for one in tried]


def test_it_doubles_until_bad_parts_the_interval_and_confirms_the_highest_good_rate() -> None:
    found, tried = search(PLAN, at(500))
    assert rates(tried) == [50, 100, 200, 400, 800, 565.7, 475.7, 518.8, 496.8, 496.8]
    assert found == Bounds(End.INTERVAL, Fraction("496.8"), Fraction("518.8"), confirmed=True)


def test_where_the_first_rate_is_bad_it_halves() -> None:
    found, tried = search(PLAN, at(7))
    assert rates(tried)[:4] == [50, 25, 12.5, 6.25]
    assert found.good is not None
    assert found.bad is not None
    assert (found.end, found.good <= 7 < found.bad) == (End.INTERVAL, True)


def test_if_none_is_good_it_says_so() -> None:
    found, tried = search(PLAN, at(0))
    assert rates(tried) == [50, 25, 12.5, 6.25, 3.125, 1.562, 0.781]
    assert found == Bounds(End.NONE, bad=Fraction("0.781"))


def test_if_the_first_rate_cant_be_told_nor_its_double_no_rate_can() -> None:
    found, tried = search(PLAN, lambda _: UNDECIDED)
    assert rates(tried) == [50] * 4 + [100] * 4
    assert found == Bounds(End.NONE, undecided=(Fraction(50), Fraction(100)))


def test_if_the_first_rate_is_the_only_one_that_was_asked_for_its_double_is_not_tried() -> None:
    found, tried = search(PLAN._replace(last=Fraction(50)), lambda _: UNDECIDED)
    assert rates(tried) == [50] * 4
    assert found == Bounds(End.NONE, undecided=(Fraction(50),))


def test_if_the_generator_is_the_limit_of_the_first_rate_lower_ones_say_nothing_of_the_system() -> None:
    found, tried = search(PLAN, lambda _: GENERATOR)
    assert rates(tried) == [50] * 3
    assert found == Bounds(End.NONE, limited=Fraction(50))


def test_if_the_ceiling_is_right_at_the_first_rate_it_is_found_from_both_sides() -> None:
    found, tried = search(PLAN, lambda trial: UNDECIDED if trial.rate == 50 else at(50.3)(trial))
    assert rates(tried)[:6] == [50, 50, 50, 50, 100, 25]
    assert (found.end, found.undecided, found.confirmed) == (End.INTERVAL, (Fraction(50),), True)
    assert found.good is not None
    assert found.bad is not None
    assert found.good < 50.3 < found.bad <= found.good * Fraction("1.0501")


def test_a_first_rate_of_too_few_events_is_left_behind() -> None:
    found, tried = search(PLAN, lambda trial: UNDECIDED if trial.rate < 100 else at(500)(trial))
    assert rates(tried)[:7] == [50, 50, 50, 50, 100, 200, 400]
    assert (found.good, found.bad) == (Fraction("496.8"), Fraction("518.8"))


def test_if_all_are_good_the_last_that_was_asked_for_is_tried_and_confirmed() -> None:
    found, tried = search(PLAN, at(1e9))
    assert rates(tried) == [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]
    assert found == Bounds(End.ASKED, Fraction(5000), confirmed=True)


def test_what_cant_be_told_is_tried_longer_and_then_left_between_the_ends() -> None:
    def oracle(trial: Next) -> Outcome:
        return UNDECIDED if 398 < trial.rate < 402 else at(400)(trial)

    found, tried = search(PLAN, oracle)
    assert [one.doublings for one in tried if one.rate == 400] == [0, 1, 2, 3]
    assert found.undecided == (Fraction(400),)
    assert found.good is not None
    assert found.bad is not None
    assert found.good < 400 < found.bad <= found.good * Fraction("1.0501")
    assert found.confirmed


def test_a_rate_that_is_good_above_one_that_cant_be_told_is_the_lower_end() -> None:
    found, _ = search(PLAN, lambda trial: UNDECIDED if trial.rate == 400 else at(410)(trial))
    assert (found.undecided, found.good, found.confirmed) == ((), found.good, True)
    assert found.good is not None
    assert found.good > 400


def test_the_trial_that_is_confirmed_is_as_long_as_the_one_that_was_good() -> None:
    def oracle(trial: Next) -> Outcome:
        return UNDECIDED if 350 < trial.rate < 450 and trial.doublings < 2 else at(410)(trial)

    found, tried = search(PLAN, oracle)
    assert tried[-1] == (found.good, 2, GOOD)
    assert not found.undecided


def test_a_generator_that_is_at_fault_once_is_asked_again() -> None:
    faults = {Fraction(400): 2, Fraction("565.7"): 1}

    def oracle(trial: Next) -> Outcome:
        if faults.get(trial.rate, 0):
            faults[trial.rate] -= 1
            return GENERATOR
        return at(500)(trial)

    found, tried = search(PLAN, oracle)
    assert rates(tried).count(400) == 3
    assert found == Bounds(End.INTERVAL, Fraction("496.8"), Fraction("518.8"), confirmed=True)


def test_a_generator_that_stays_at_fault_is_the_limit_and_never_the_system() -> None:
    found, tried = search(PLAN, lambda trial: GOOD if trial.rate <= 700 else GENERATOR)
    assert rates(tried).count(800) == MOST_FAULTS
    assert (found.end, found.bad, found.confirmed) == (End.GENERATOR, None, True)
    assert found.good is not None
    assert found.limited is not None
    assert found.good <= 700 < found.limited <= found.good * Fraction("1.0501")


def test_a_generator_at_fault_below_a_rate_that_is_bad_leaves_that_rate_open() -> None:
    def oracle(trial: Next) -> Outcome:
        return GENERATOR if 500 < trial.rate < 600 else at(520)(trial)

    found, _ = search(PLAN, oracle)
    assert (found.end, found.limited) == (End.INTERVAL, None)
    assert found.good is not None
    assert found.bad is not None
    assert found.undecided
    assert all(found.good < rate < found.bad for rate in found.undecided)
    assert found.good < 520 < found.bad


def test_a_rate_that_isnt_good_once_more_is_the_new_upper_end() -> None:
    def oracle(trial: Next) -> Outcome:
        return BAD if trial.confirms and trial.rate == Fraction("496.8") else at(500)(trial)

    found, tried = search(PLAN, oracle)
    assert found.bad == Fraction("496.8")
    assert found.good is not None
    assert (found.good, found.confirmed) == (tried[-1].rate, True)
    assert found.bad <= found.good * Fraction("1.0501")


def test_a_rate_that_is_never_good_twice_is_not_confirmed() -> None:
    found, tried = search(PLAN, lambda trial: BAD if trial.confirms else at(500)(trial))
    assert not found.confirmed
    assert sum(1 for one, other in pairwise(tried) if one.rate == other.rate) <= 3


def test_if_it_cant_be_told_once_more_the_rate_stands_unconfirmed() -> None:
    found, tried = search(PLAN, lambda trial: UNDECIDED if trial.confirms else at(500)(trial))
    assert found == Bounds(End.INTERVAL, Fraction("496.8"), Fraction("518.8"), confirmed=False)
    assert [one.doublings for one in tried[-4:]] == [0, 1, 2, 3]


def test_nothing_that_can_be_told_up_to_the_last_rate_is_open() -> None:
    found, _ = search(PLAN, lambda trial: GOOD if trial.rate < 2000 else UNDECIDED)
    assert (found.end, found.bad) == (End.OPEN, None)
    assert found.good is not None
    assert found.undecided[0] <= found.good * Fraction("1.0065")


def test_what_is_known_so_far_is_told_of_a_search_that_isnt_over() -> None:
    tried = [Tried(Fraction(50), 0, GOOD), Tried(Fraction(100), 0, GOOD), Tried(Fraction(200), 0, BAD)]
    assert so_far(PLAN, tried) == Bounds(End.UNFINISHED, Fraction(100), Fraction(200))
    assert so_far(PLAN, []) == Bounds(End.UNFINISHED)
    found, tried = search(PLAN, at(500))
    assert so_far(PLAN, tried) == found


# --- whatever is planted ------------------------------------------------------------------------------------

firsts = st.integers(10, 9999).map(lambda tenths: Fraction(tenths, 10))
precisions = st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.5])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    first = draw(firsts)
    return Plan(first, first * draw(st.integers(1, 1000)), draw(precisions))


@given(plans(), st.floats(0.3, 2000))
def test_the_interval_holds_the_ceiling_and_is_as_narrow_as_was_asked_for(plan: Plan, times: float) -> None:
    capacity = float(plan.first) * times
    found, tried = search(plan, at(capacity))
    assert found.confirmed
    assert found.good is not None
    assert found.good <= capacity
    if found.end is End.ASKED:
        assert found.good == plan.last <= capacity
    else:
        assert found.bad is not None
        assert capacity < found.bad <= found.good * (1 + Fraction(plan.precision)) or found.bad == plan.last
    doubling = abs(log2(max(float(plan.last / plan.first), 2))) + 4
    assert len(tried) <= doubling + ceil(log2(log(2) / log(1 + plan.precision / 2))) + 2


@given(plans(), st.floats(0.3, 500), st.floats(1, 1.015))
def test_around_a_zone_in_which_nothing_can_be_told_the_interval_is_still_narrow(
    plan: Plan, times: float, zone: float
) -> None:
    plan = plan._replace(precision=0.05)
    capacity = float(plan.first) * times

    def oracle(trial: Next) -> Outcome:
        if capacity / zone <= trial.rate <= capacity * zone:
            return UNDECIDED
        return at(capacity)(trial)

    found, tried = search(plan, oracle)
    if found.end is End.INTERVAL:
        assert found.good is not None
        assert found.bad is not None
        assert found.good <= capacity < found.bad
        assert found.bad <= found.good * Fraction("1.0501")
    for one, other in pairwise(tried):
        if one.outcome is UNDECIDED and one.doublings < MOST_DOUBLINGS:
            assert other[:2] == (one.rate, one.doublings + 1)


@given(plans(), st.data())
def test_it_ends_whatever_trials_come_to_and_asks_for_no_rate_outside(plan: Plan, data: st.DataObject) -> None:
    outcomes = st.sampled_from(Outcome)

    def whatever(_: Next) -> Outcome:
        outcome: Outcome = data.draw(outcomes)
        return outcome

    found, tried = search(plan, whatever)
    least = plan.first / 2**MOST_HALVINGS * Fraction(98, 100)
    assert all(least <= one.rate <= plan.last for one in tried)
    assert tried[0].rate == plan.first
    if found.good is not None and found.bad is not None:
        assert found.good < found.bad
        assert all(found.good < rate < found.bad for rate in found.undecided)
    # A rate at which the generator was at fault alone is never an end for the system.
    fair = {one.rate for one in tried if one.outcome is BAD}
    assert found.bad is None or found.bad in fair


@given(plans(), st.floats(0.3, 2000))
def test_it_goes_on_from_its_notes_wherever_it_was_left(plan: Plan, times: float) -> None:
    _, tried = search(plan, at(float(plan.first) * times))
    for count, one in enumerate(tried):
        following = step(plan, tried[:count])
        assert isinstance(following, Next)
        assert following[:2] == one[:2]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_it_ends_if_all_trials_come_to_the_same(outcome: Outcome) -> None:
    found, tried = search(PLAN, lambda _: outcome)
    assert len(tried) < 80
    assert (found.good is None) is (outcome is not GOOD)
