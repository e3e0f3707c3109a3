"""How much of something a run used, by the samples of a gauge: what they show, and what they leave possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

import pytest

from evload.stats.usage import UsageWatch
from tests.rigs.summaries import MS, S

TOOK = 100 * MS
Found = tuple[tuple[Fraction, Fraction | None] | None, str]


def watched(
    seconds: Iterable[int],
    value: Callable[[int], float | None],
    *,
    counter: bool,
    part: tuple[int, int] | None = None,
    took: int = TOOK,
) -> UsageWatch:
    """Sampled at these seconds; None: there is no such value. `part` in seconds."""
    watch = UsageWatch(counter=counter, part=None if part is None else (part[0] * S, part[1] * S))
    for second in seconds:
        found = value(second)
        if found is None:
            watch.missing(second * S, second * S + took)
        else:
            watch.add(second * S, second * S + took, found)
    return watch


def figures(found: Found) -> tuple[float, float | None]:
    amounts, why = found
    assert why == ""
    assert amounts is not None
    return float(amounts[0]), None if amounts[1] is None else float(amounts[1])


def why(found: Found) -> str:
    assert found[0] is None
    return found[1]


# -- over the run ----------------------------------------------------------------------------------------------------


def test_a_counter_used_what_it_rose_by() -> None:
    watch = watched(range(11), lambda second: 100 + 3 * second, counter=True)
    assert figures(watch.run(10 * S, 0)) == (30, 30)
    assert watch.note == ""
    anew = watched(range(11), lambda second: 3 * second if second < 5 else second - 5, counter=True)
    assert figures(anew.run(10 * S, 0)) == (17, 17)
    assert anew.note == "it began anew once, and what it counted right before that is not in it"


def test_a_counter_that_comes_later_has_counted_from_nothing() -> None:
    watch = watched(range(11), lambda second: None if second < 4 else 2 * second, counter=True)
    assert figures(watch.run(10 * S, 0)) == (20, 20)
    never = watched(range(11), lambda second: None, counter=True)
    assert why(never.run(10 * S, 3)) == "none of 14 samples says anything of it"


@pytest.mark.parametrize("value", [4.0, 0.5, -4.0])
def test_a_gauge_used_its_value_for_as_long_as_it_may_have_been_that(value: float) -> None:
    """Between the samples it was that; before the first and after the last it was nothing, or as much as there."""
    watch = watched(range(1, 20), lambda second: value, counter=False, took=500 * MS)
    least, most = 17.5, 18.5 + 1.5 + 1.0
    assert figures(watch.run(20 * S, 0)) == (
        (value * least, value * most) if value > 0 else (value * most, value * least)
    )


def test_what_a_gauge_used_before_its_first_sample_is_told_by_that_and_after_its_last_by_that() -> None:
    """Between 2 and 6 for 18 seconds, and one second before and after that."""
    watch = watched((1, 19), lambda second: 2 if second == 1 else 6, counter=False, took=0)
    assert figures(watch.run(20 * S, 0)) == (36, 108 + 2 + 6)


@pytest.mark.parametrize(
    ("last", "duration_s", "reason"),
    [
        (9, 10, ""), (9, 11, "its samples cover 83% of the run; it takes 90%"), (100, 111, ""),
        (100, 112, "its samples cover 89% of the run; it takes 90%"), (1, 1, ""),
    ],
)  # fmt: skip
def test_samples_have_to_cover_most_of_the_run(last: int, duration_s: int, reason: str) -> None:
    for counter in (True, False):
        found = watched(range(last + 1), lambda second: 5.0, counter=counter).run(duration_s * S, 0)
        assert found[1] == reason
        assert (found[0] is None) is bool(reason)


def test_one_sample_shows_nothing() -> None:
    for counter in (True, False):
        one = watched([0], lambda second: 5.0, counter=counter)
        assert why(one.run(S, 0)) == "it takes two samples in the run, and there is one"
        none = watched([], lambda second: 5.0, counter=counter)
        assert why(none.run(S, 7)) == "none of 7 samples says anything of it"


@pytest.mark.parametrize(("failed", "blind"), [(0, False), (2, False), (3, True)])
def test_more_than_one_sample_in_ten_that_failed_leaves_it_unknown(failed: int, blind: bool) -> None:
    for counter in (True, False):
        watch = watched(range(20), lambda second: 5.0, counter=counter, part=(0, 30))
        for found in (watch.run(20 * S, failed), watch.rate(failed)):
            assert found[1] == (f"{failed} samples could not be taken" if blind else "")


@pytest.mark.parametrize("missing", [0, 2, 3])
def test_a_gauge_that_had_no_value_too_often_is_unknown_and_a_counter_is_not(missing: int) -> None:
    """One in ten of those that had one."""

    def value(second: int) -> float | None:
        return None if 5 <= second < 5 + missing else 5.0

    seconds = range(20 + missing)
    gauge = watched(seconds, value, counter=False, part=(0, 30))
    expected = "3 samples had no value" if missing == 3 else ""
    assert (gauge.run(len(seconds) * S, 0)[1], gauge.rate(0)[1]) == (expected, expected)
    assert watched(seconds, value, counter=True).run(len(seconds) * S, 0)[1] == ""
    fewer = watched(seconds[:-1], value, counter=False)
    assert fewer.run(len(seconds) * S, 0)[1] == (f"{missing} samples had no value" if missing else "")


def test_of_a_gauge_that_had_no_value_any_more_nothing_is_known_of_then() -> None:
    seconds = [*range(0, 86, 2), 90, 98]
    gauge = watched(seconds, lambda second: None if second > 84 else 5.0, counter=False)
    assert why(gauge.run(100 * S, 0)) == "its samples cover 84% of the run; it takes 90%"
    counter = watched(seconds, lambda second: None if second > 84 else 5.0, counter=True)
    assert counter.run(100 * S, 0)[1] == ""


# -- per second of a part --------------------------------------------------------------------------------------------


def test_without_a_part_nothing_is_told_of_one() -> None:
    assert watched(range(11), lambda second: 5.0, counter=True).rate(0) == (None, "")


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_the_usage_per_second_is_that_between_the_first_and_the_last_sample_in_the_part(scale: float) -> None:
    """Nine seconds, or as much less or more as two samples take: from 10 s, and the one at 20 s isn't in it."""

    def steps(second: int) -> float:
        return scale * 3 * second if 10 <= second < 20 else scale * 1000 * second

    counter = watched(range(30), steps, counter=True, part=(10, 20))
    assert figures(counter.rate(0)) == pytest.approx((scale * 27 / 9.1, scale * 27 / 8.9))
    gauge = watched(range(30), lambda second: scale if 10 <= second < 20 else 99, counter=False, part=(10, 20))
    assert figures(gauge.rate(0)) == pytest.approx((scale * 8.9 / 9.1, scale * 9.1 / 8.9))


def test_a_sample_that_ends_with_the_part_is_not_in_it() -> None:
    ends = watched((10, 15, 19), lambda second: float(second), counter=True, part=(10, 20), took=S)
    assert figures(ends.rate(0)) == pytest.approx((5 / 6, 5 / 4))
    ends = watched((10, 15, 18), lambda second: float(second), counter=True, part=(10, 20), took=S)
    assert figures(ends.rate(0)) == pytest.approx((8 / 9, 8 / 7))


def test_two_samples_that_touch_leave_the_usage_per_second_open() -> None:
    watch = watched((10, 13), lambda second: float(second), counter=True, part=(10, 17), took=3 * S)
    assert figures(watch.rate(0)) == (3 / 6, None)


def test_samples_have_to_cover_half_of_the_part() -> None:
    half = watched((10, 15), lambda second: float(second), counter=True, part=(10, 20), took=0)
    assert figures(half.rate(0)) == (1, 1)
    less = watched((10, 14), lambda second: float(second), counter=True, part=(10, 20), took=0)
    assert why(less.rate(0)) == "its samples cover 40% of the longest hold; it takes 50%"
    one = watched((5, 15, 25), lambda second: float(second), counter=True, part=(10, 20), took=0)
    assert why(one.rate(0)) == "it takes two samples in the longest hold, and there is one"
    none = watched((5, 25), lambda second: float(second), counter=True, part=(10, 20), took=0)
    assert why(none.rate(0)) == "it takes two samples in the longest hold, and there are none"


def test_a_counter_that_is_gone_in_the_part_says_nothing_and_one_that_comes_later_used_nothing() -> None:
    gone = watched(range(30), lambda second: None if 10 <= second < 20 else 5.0, counter=True, part=(10, 20))
    assert why(gone.rate(0)) == "it wasn't there in the longest hold, and had been before"
    later = watched(range(30), lambda second: None if second < 20 else 5.0, counter=True, part=(10, 20))
    assert figures(later.rate(0)) == (0, 0)
