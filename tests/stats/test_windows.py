"""Windows that slide over counts, and stretches of broken steps: against what one would work out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.stats.windows import Allowance, Counts, Step, View, longest_stretch, sliding, steps_broken, survey

E, H, D, B = Step.EMPTY, Step.HOLDS, Step.DOUBTFUL, Step.BROKEN
TENTH = Allowance(Fraction(1, 10))

step_counts = st.lists(
    st.integers(0, 30).flatmap(
        lambda n: st.integers(0, n).flatmap(
            lambda most: st.integers(0, most).map(lambda sure: (n, sure, most))
        )
    ),
    max_size=25,
)  # fmt: skip


def counts(*steps: tuple[int, int, int]) -> Counts:
    """Of (events, bad for sure, maybe bad) per step."""
    events, sure, maybe = zip(*steps, strict=True) if steps else ((), (), ())
    return Counts(events, sure, maybe)


@given(step_counts, st.integers(1, 12), st.integers(0, 10))
def test_every_window_is_looked_at_once_with_its_own_sums(
    steps: list[tuple[int, int, int]], length: int, first: int
) -> None:
    views = list(sliding(counts(*steps), length, first))
    ends = range(min(first + length, len(steps)), len(steps) + 1) if len(steps) > first else range(0)
    expected = []
    for end in ends:
        start = max(first, end - length)
        expected.append(View(start, end, *(sum(column) for column in zip(*steps[start:end], strict=True))))
    assert views == expected


@pytest.mark.parametrize(
    ("share", "strict", "events", "allowed"),
    [
        ("1/100", False, 0, 1), ("1/100", False, 99, 1), ("1/100", False, 199, 1), ("1/100", False, 200, 2),
        ("1/100", True, 200, 1), ("1/100", True, 201, 2), ("1/100", True, 100, 1), ("1/10", False, 35, 3),
        ("0", False, 50, 0), ("0", True, 50, 0),
    ],
)  # fmt: skip
def test_one_bad_event_never_breaks_a_sparse_window(share: str, strict: bool, events: int, allowed: int) -> None:
    assert Allowance(Fraction(share), strict).allowed(events) == allowed


@pytest.mark.parametrize(
    ("share", "events", "counted"),
    [("1/100", 0, 100), ("1/100", 99, 100), ("1/100", 101, 101), ("2/25", 5, 13), ("2/25", 14, 14), ("0", 5, 5)],
)
def test_a_sparse_window_counts_as_if_it_had_just_enough_events_for_one_bad(
    share: str, events: int, counted: int
) -> None:
    assert Allowance(Fraction(share)).counted(events) == counted
    assert Allowance(Fraction(share), sparse=False).counted(events) == events


def test_where_the_length_guards_a_single_event_breaks_its_step() -> None:
    assert Allowance(Fraction(1, 100), sparse=False).allowed(99) == 0
    assert Allowance(Fraction(1, 100), sparse=False).allowed(200) == 2
    assert Allowance(Fraction(1, 100), strict=True, sparse=False).allowed(200) == 1


@given(step_counts, st.integers(1, 12), st.booleans(), st.integers(0, 9), st.integers(0, 9))
def test_a_survey_says_what_a_look_at_every_window_says(
    steps: list[tuple[int, int, int]], length: int, strict: bool, unplaced: int, outstanding: int
) -> None:
    allowance = Allowance(Fraction(1, 10), strict)
    views = [view for view in sliding(counts(*steps), length) if view.events]
    found = survey(counts(*steps), length, allowance, unplaced=unplaced, outstanding=outstanding)
    if not views:
        assert found is None
        return
    assert found is not None
    sure = [view for view in views if view.sure > allowance.allowed(view.events + outstanding)]
    maybe = [view for view in views if view.maybe + unplaced > allowance.allowed(view.events)]
    assert (found.broken, found.doubtful) == (bool(sure), bool(maybe))
    assert found.broken_until == (sure[-1].end if sure else None)
    assert found.doubtful_until == (maybe[-1].end if maybe else None)
    assert found.open_end == (views[-1] in maybe)
    among = [(view.sure if sure else view.maybe, view) for view in sure or maybe or views]
    assert found.worst == max(among, key=lambda one: Fraction(one[0], allowance.counted(one[1].events)))[1]
    shares = [(view.sure, min(view.maybe + unplaced, view.events)) for view in views]
    most = [allowance.counted(view.events) for view in views]
    assert found.share == tuple(
        max(Fraction(bad, counted) for bad, counted in zip(side, most, strict=True))
        for side in zip(*shares, strict=True)
    )


def test_of_broken_windows_the_worst_is_the_one_that_is_worst_for_sure() -> None:
    broken = survey(counts((10, 2, 9), (10, 3, 3), (10, 0, 8)), 1, TENTH)
    assert broken is not None
    assert (broken.broken, broken.worst) == (True, View(1, 2, 10, 3, 3))
    doubtful = survey(counts((10, 1, 4), (10, 0, 5), (10, 0, 0)), 1, TENTH)
    assert doubtful is not None
    assert (doubtful.broken, doubtful.worst, doubtful.open_end) == (False, View(1, 2, 10, 0, 5), False)


def test_what_may_lie_anywhere_is_the_largest_share_of_the_smallest_window() -> None:
    found = survey(counts((100, 10, 10), (10, 0, 0)), 1, TENTH, unplaced=5)
    assert found is not None
    assert found.share == (Fraction(10, 100), Fraction(5, 10))


def test_of_windows_that_are_equally_bad_the_first_is_the_worst() -> None:
    broken = survey(counts((10, 0, 0), (10, 3, 3), (20, 6, 6), (10, 3, 3)), 1, TENTH)
    assert broken is not None
    assert (broken.broken, broken.worst) == (True, View(1, 2, 10, 3, 3))
    assert (broken.broken_until, broken.doubtful_until, broken.open_end) == (4, 4, True)
    doubtful = survey(counts((10, 0, 0), (10, 1, 3), (10, 0, 3), (20, 0, 6)), 1, TENTH)
    assert doubtful is not None
    assert (doubtful.broken, doubtful.worst) == (False, View(1, 2, 10, 1, 3))
    good = survey(counts((10, 0, 0), (0, 0, 0), (20, 0, 0)), 1, TENTH)
    assert good is not None
    assert (good.doubtful, good.worst) == (False, View(0, 1, 10, 0, 0))


def test_a_window_that_holds_is_not_the_worst_where_another_is_broken() -> None:
    """Neither if it has as large a share, nor if it has a larger one that what is outstanding may make up for."""
    tie = survey(counts((10, 1, 1), (20, 2, 2)), 1, Allowance(Fraction(1, 10), strict=True))
    assert tie is not None
    assert (tie.broken, tie.worst) == (True, View(1, 2, 20, 2, 2))
    made_up = survey(counts((10, 2, 2), (100, 13, 13)), 1, TENTH, outstanding=20)
    assert made_up is not None
    assert (made_up.broken, made_up.worst) == (True, View(1, 2, 100, 13, 13))


def test_the_worst_window_has_the_largest_share_and_not_the_most_bad_events() -> None:
    broken = survey(counts((10, 5, 5), (100, 20, 20)), 1, TENTH)
    doubtful = survey(counts((10, 0, 5), (100, 1, 20)), 1, TENTH)
    assert broken is not None
    assert doubtful is not None
    assert (broken.worst, doubtful.worst) == (View(0, 1, 10, 5, 5), View(0, 1, 10, 0, 5))
    sparse = survey(counts((2, 0, 2), (20, 0, 5)), 1, TENTH)
    assert sparse is not None
    assert sparse.worst == View(1, 2, 20, 0, 5), "two of two count as two of ten"


@pytest.mark.parametrize(
    ("step", "broken", "doubtful"),
    [
        ((19, 2, 2), True, True),  # with one more event it would not be broken
        ((20, 2, 2), False, False),  # with one less it would be
        ((10, 1, 1), False, False),  # with one more bad event it might be
        ((10, 0, 2), False, True),  # with one less it could not be
    ],
)
def test_nothing_is_outstanding_and_nothing_without_a_place_unless_it_is_said(
    step: tuple[int, int, int], broken: bool, doubtful: bool
) -> None:
    found = survey(counts(step), 1, TENTH)
    assert found is not None
    assert (found.broken, found.doubtful) == (broken, doubtful)
    assert list(steps_broken(counts(step), TENTH)) == [B if broken else D if doubtful else H]


def test_what_is_outstanding_may_have_been_good_and_what_has_no_place_may_be_anywhere() -> None:
    one = counts((20, 3, 3))
    sure = survey(one, 5, TENTH)
    later = survey(one, 5, TENTH, outstanding=10)
    spread = survey(counts((20, 1, 1), (20, 0, 0)), 1, TENTH, unplaced=2)
    assert sure is not None
    assert later is not None
    assert spread is not None
    assert (sure.broken, later.broken) == (True, False)
    assert (spread.broken, spread.doubtful) == (False, True)


@pytest.mark.parametrize(
    ("steps", "sure", "maybe"),
    [
        ([], 0, 0),
        ([H, H], 0, 0),
        ([B, B, H, B], 2, 2),
        ([B, D, B], 1, 3),
        ([B, E, B], 2, 3),
        ([E, B, E, E], 1, 1),
        ([B, E, E, E, E, E, H], 1, 1),
        ([B, B, E, H, E, B], 2, 2),
        ([D, D, D, H, B, B], 2, 3),
        ([B, E, D, E, B, B], 2, 6),
    ],
)
def test_the_longest_stretch_is_between_what_is_sure_and_what_is_possible(
    steps: list[Step], sure: int, maybe: int
) -> None:
    assert longest_stretch(steps) == (sure, maybe)


@given(st.lists(st.sampled_from([H, D, B])), st.data())
def test_doubt_settled_either_way_stays_between_the_two(steps: list[Step], data: st.DataObject) -> None:
    sure, maybe = longest_stretch(steps)
    settled, same = longest_stretch(data.draw(st.sampled_from([H, B])) if step is D else step for step in steps)
    assert sure <= settled == same <= maybe


def test_steps_are_judged_by_their_own_events() -> None:
    planted = counts((10, 1, 1), (10, 2, 2), (10, 0, 2), (0, 0, 0), (1, 1, 1))
    assert list(steps_broken(planted, Allowance(Fraction(1, 10), sparse=False))) == [H, B, D, E, B]
    assert list(steps_broken(planted, TENTH)) == [H, B, D, E, H]
    assert list(steps_broken(planted, TENTH, first=3)) == [E, H]
    assert next(steps_broken(planted, TENTH, unplaced=1)) is D
    assert list(steps_broken(planted, TENTH, outstanding=9)) == [H, B, D, E, H]
    assert list(steps_broken(planted, TENTH, outstanding=10)) == [H, D, D, E, H]
