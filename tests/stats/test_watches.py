"""Watches of gauges: the truth lies in the interval that the samples leave."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.stats.watches import (
    NOT_YET,
    DrainWatch,
    GrowthWatch,
    IntegralWatch,
    MeanWatch,
    ReachWatch,
    RiseWatch,
    RiseWithinWatch,
    SampleWatch,
    Spans,
    StretchWatch,
    ValueWatch,
    WithinWatch,
)
from tests.rigs.summaries import MS, S

Result = tuple[float | None, float | None]


def _watched(watch: SampleWatch, *samples: tuple[float, float], took_ms: int = 10) -> Result:
    """Of (seconds, value) samples that took 10 ms each."""
    for at, value in samples:
        start = round(at * S)
        watch.add(start, start + took_ms * MS, value)
    return watch.result()


# -- stretches -----------------------------------------------------------------------------------------------


def _beyond(value: float) -> bool:
    return value >= 100


def test_without_a_sample_nothing_is_known() -> None:
    assert StretchWatch(_beyond).result() == (None, None)
    assert MeanWatch(S, largest=True).result() == (None, None)
    assert DrainWatch(S, 5).result() == (None, None)


def test_a_stretch_lasts_between_the_broken_samples_and_the_good_ones_around_them() -> None:
    found = _watched(StretchWatch(_beyond), (1, 5), (2, 100), (3, 150), (4, 200), (5, 99), (6, 100), (7, 0))
    assert found == (1.99, 4.01)
    assert _watched(StretchWatch(_beyond), (1, 5), (2, 6)) == (0, 0)
    assert _watched(StretchWatch(_beyond), (1, 5), (2, 100), (3, 6)) == (0, 2.01)


def test_a_stretch_that_nobody_saw_is_possible_where_that_is_asked() -> None:
    """It is no longer than the longest pause between two looks."""
    assert _watched(StretchWatch(_beyond, unseen=True), (1, 5), (2, 6), (4, 7)) == (0, 2.01)
    assert _watched(StretchWatch(_beyond, unseen=True), (1, 5), (2, 100), (4, 100), (5, 7)) == (1.99, 4.01)


def test_a_stretch_may_have_begun_before_the_first_sample_and_goes_on_to_the_last() -> None:
    assert _watched(StretchWatch(_beyond), (1, 100), (4, 100)) == (2.99, 4.01)


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=30), st.integers(1, 900))
def test_the_true_stretch_is_in_the_interval(phases: list[tuple[int, bool]], every_ms: int) -> None:
    """Phases in steps of a second, looked at at a moment within each sample, of phases longer than the pause."""
    truth, run = 0, 0
    for length, broken in phases:
        run = run + length if broken else 0
        truth = max(truth, run)
    watch = StretchWatch(_beyond)
    total_ms = 1000 * sum(length for length, _ in phases)
    states = [broken for length, broken in phases for _ in range(length)]
    for at_ms in range(0, total_ms, every_ms):
        watch.add(at_ms * MS, at_ms * MS, 100 if states[at_ms // 1000] else 0)
    low, high = watch.result()
    assert low is not None
    assert high is not None
    assert low <= truth <= high + every_ms / 1000
    assert high - low <= 2 * every_ms / 1000 + 1e-9


# -- means ---------------------------------------------------------------------------------------------------


def test_the_worst_mean_of_any_window() -> None:
    samples = [(n, value) for n, value in enumerate([0.0, 0, 9, 9, 9, 0, 0, 3])]
    assert _watched(MeanWatch(3 * S, largest=True), *samples) == (9, 9)
    assert _watched(MeanWatch(3 * S, largest=False), *samples) == (1, 1)
    assert _watched(MeanWatch(4 * S, largest=True), *samples) == (27 / 4, 27 / 4)


def test_the_first_window_is_over_a_whole_span_after_the_first_sample() -> None:
    """However late that was; what lies three seconds back at the start of a sample is no part of its window."""
    assert _watched(MeanWatch(3 * S, largest=True), (5, 9), (6, 0), (7, 0), (8, 0)) == (0, 0)
    assert _watched(MeanWatch(3 * S, largest=True), (5, 9), (6, 0), (7.99, 0)) == (3, 3)
    assert _watched(MeanWatch(3 * S, largest=True), (0, 0), (2, 9), (4.995, 0)) == (4.5, 4.5)
    assert _watched(MeanWatch(3 * S, largest=True), (0, 0), (2, 9), (5, 0)) == (0, 0)
    assert _watched(MeanWatch(3 * S, largest=True), (5, 0), (6, 9), (7, 9), (8, 9), (9, 0)) == (9, 9)


def test_a_run_shorter_than_the_window_is_the_only_window() -> None:
    assert _watched(MeanWatch(60 * S, largest=True), (0, 1), (1, 2), (2, 6)) == (3, 3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 10))
def test_means_are_exact(values: list[float], span: int) -> None:
    watch = MeanWatch(span * S, largest=True)
    for number, value in enumerate(values):
        watch.add(number * S, number * S, value)
    windows = [values[end - span : end] for end in range(span + 1, len(values) + 1)] or [values[-span:]]
    low, high = watch.result()
    assert low == high == pytest.approx(max(sum(window) / len(window) for window in windows), abs=1e-6)


# -- drain ---------------------------------------------------------------------------------------------------


def test_drain_lasts_until_the_first_sample_at_the_level() -> None:
    depth = [(8, 40.0), (9, 90), (10, 80), (12, 30), (14, 11), (16, 10), (18, 300)]
    assert _watched(DrainWatch(9 * S, 10), *depth) == (5, 7.01)
    assert _watched(DrainWatch(9 * S, 5), *depth) == (9, None)
    assert _watched(DrainWatch(9 * S, 100), *depth) == (0, 0.01)
    assert _watched(DrainWatch(19 * S, 100), *depth) == (None, None)


def test_the_level_is_the_largest_of_the_ten_seconds_before() -> None:
    before = [(1, 50.0), (9, 7), (15, 12), (19, 3), (20.5, 90)]
    after = [(31, 40.0), (33, 13), (35, 12), (37, 0)]
    assert _watched(DrainWatch(30 * S, None, 20 * S), *before, *after) == (3, 5.01)
    assert _watched(DrainWatch(30 * S, None, 0), *before, *after) == (5, 7.01)


@pytest.mark.parametrize(("at", "counts"), [(9.995, False), (10, True), (10.5, True), (19.98, True), (19.995, False)])
def test_a_sample_of_the_ten_seconds_before_lies_wholly_in_them(at: float, counts: bool) -> None:
    """Back at 50 if that was seen before, else only at 7."""
    found = _watched(DrainWatch(30 * S, None, 20 * S), (at, 50), (15, 7), (31, 40), (35, 7))
    assert found == ((0, 1.01) if counts else (1, 5.01))


def test_without_a_moment_before_which_it_is_looked_for_the_level_is_nothing() -> None:
    assert _watched(DrainWatch(S, None), (0, 50), (1, 20), took_ms=0) == (0, None)


def test_a_sample_that_begins_before_the_moment_says_nothing_of_what_comes_after() -> None:
    watch = DrainWatch(10 * S, 5)
    watch.add(10 * S - 1, 11 * S, 0)
    assert watch.result() == (None, None)


# -- reaching, rising, adding up ------------------------------------------------------------------------------


def _enough(value: float) -> bool:
    return value >= 10


def test_it_is_reached_between_the_last_sample_below_and_the_first_at_it() -> None:
    assert _watched(ReachWatch(0, _enough), (0, 0), (1, 5), (2, 9), (3, 10), (4, 0)) == (2, 3.01)
    assert _watched(ReachWatch(2 * S, _enough), (0, 0), (1, 5), (2, 9), (3, 10)) == (0, 1.01)
    assert _watched(ReachWatch(0, _enough), (1, 0), (2, 9)) == (2, None)
    assert ReachWatch(0, _enough).result() == (None, None)


def test_a_sample_that_was_under_way_at_the_moment_says_nothing_of_later() -> None:
    watch = ReachWatch(2 * S, _enough)
    watch.add(1 * S, 4 * S, 5)
    assert _watched(watch, (5, 10)) == (0, 3.01)


def test_what_was_reached_is_no_more_than_that() -> None:
    watch = ReachWatch(0, _enough)
    assert watch.note == ""
    assert _watched(watch, (0, 0), (1, 10)) == (0, 1.01)
    assert watch.note == ""


@pytest.mark.parametrize("samples", [((1, 20), (3, 20)), ((3, 20), (4, 0)), ((1, 20), (3, 0), (4, 20))])
def test_what_may_have_been_there_already_was_not_reached(samples: tuple[tuple[float, float], ...]) -> None:
    watch = ReachWatch(2 * S, _enough)
    assert _watched(watch, *samples) == (None, None)
    assert watch.note == "it was so already at the moment from which this counts"


def test_a_moment_that_comes_later_makes_what_was_reached_by_then_there_already() -> None:
    watch = ReachWatch(2 * S, _enough)
    assert _watched(watch, (1, 0), (2, 5), (4, 10)) == (0, 2.01)
    watch.begins(3 * S)
    assert watch.result() == (0, 1.01)
    watch.begins(5 * S)
    assert watch.result() == (None, None)


def test_what_was_reached_while_the_moment_came_was_there_already() -> None:
    """As far as anybody can tell: the sample began before it."""
    watch = ReachWatch(0, _enough)
    _watched(watch, (0, 0), (4, 10))
    watch.begins(4 * S + 5 * MS)
    assert (watch.result(), watch.note) == ((None, None), ReachWatch.ALREADY)


def test_a_counter_rises_from_its_first_to_its_last_sample_and_what_it_counts_anew_is_added() -> None:
    watch = RiseWatch()
    assert _watched(watch, (0, 100), (1, 107), (2, 3), (3, 5), (4, 5)) == (12, 12)
    assert watch.note == "it began anew once, and what it counted right before that is not in it"
    assert RiseWatch().result() == (None, None)
    assert RiseWatch().note == ""


def test_how_often_a_counter_began_anew_is_told() -> None:
    watch = RiseWatch()
    assert _watched(watch, (0, 5), (1, 1), (2, 4), (3, 2), (4, 0)) == (6, 6)
    assert watch.note == "it began anew 3 times, and what it counted right before that is not in it"


def test_a_counter_that_is_not_there_yet_has_counted_nothing() -> None:
    watch = RiseWatch()
    for second in range(3):
        watch.missing(second * S, second * S)
    assert watch.result() == (None, None), "nobody ever saw it"
    watch.add(3 * S, 3 * S, 2)
    assert watch.result() == (2, 2)


def test_a_counter_that_was_not_there_when_the_moment_came_says_nothing_of_it() -> None:
    watch = RiseWatch(S + 5 * MS)
    watch.missing(S, S + 10 * MS)
    assert _watched(watch, (2, 5), (3, 7)) == (2, None)
    before = RiseWatch(S + 10 * MS)
    before.missing(S, S + 10 * MS)
    assert _watched(before, (2, 5), (3, 7)) == (2, 7)


def test_from_a_moment_on_a_counter_rose_by_what_the_samples_around_it_leave() -> None:
    samples = ((0, 10), (1, 20), (2, 50), (3, 51))
    assert _watched(RiseWatch(round(1.5 * S)), *samples) == (1, 31)
    assert _watched(RiseWatch(S), *samples) == (31, 41), "10 ms later it was known to be 20"
    assert _watched(RiseWatch(0), *samples) == (41, None), "nobody saw it before"
    assert _watched(RiseWatch(9 * S), *samples) == (None, None)
    assert _watched(RiseWatch(round(1.5 * S)), (0, 10), (1, 20), (2, 5), (3, 6)) == (1, 6)


def test_a_value_adds_up_between_the_least_and_the_most_that_its_samples_leave() -> None:
    assert _watched(IntegralWatch(), (0, 2), (10, 2), (20, 4), took_ms=0) == (40, 60)
    assert _watched(IntegralWatch(5 * S), (0, 2), (10, 2), (20, 4), took_ms=0) == (30, 50)
    assert _watched(IntegralWatch(), (0, -2), (10, -2), took_ms=0) == (-20, -20)
    assert _watched(IntegralWatch(), (0, 3), (10, 3), took_ms=1000) == (27, 33)
    assert _watched(IntegralWatch(), (0, 3), (10, 3), (20, 3), took_ms=1000) == (57, 63), "each moment counts once"
    assert _watched(IntegralWatch(), (0, 3), (10, 3), (20, 5), took_ms=1000) == (57, 85)
    assert _watched(IntegralWatch(), (0, -3), (10, -3), took_ms=1000) == (-33, -27)
    assert _watched(IntegralWatch(), (0, -1), (10, 2), took_ms=1000) == (-11, 22)
    assert _watched(IntegralWatch(), (0, 3)) == (None, None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-3, 9), min_size=2, max_size=12),
    st.integers(1, 900), st.integers(0, 90), st.integers(0, 6000), st.integers(0, 90),
)  # fmt: skip
def test_what_a_value_adds_up_to_is_in_the_interval(
    values: list[int], pause_ms: int, took_ms: int, from_ms: int, when_ms: int
) -> None:
    """It changes each second, and is looked at at some moment within each sample: at most one change between two."""
    watch, at_ms = IntegralWatch(from_ms * MS), 0
    seen: list[int] = []
    while at_ms + took_ms < 1000 * len(values):
        seen.append(at_ms + when_ms * len(seen) % (took_ms + 1))
        watch.add(at_ms * MS, (at_ms + took_ms) * MS, values[seen[-1] // 1000])
        at_ms += took_ms + pause_ms
    low, high = watch.result()
    if low is not None and high is not None and from_ms <= seen[-1]:

        def until(ms: int) -> float:
            return sum(values[: ms // 1000]) + values[ms // 1000] * (ms % 1000) / 1000

        truth = until(seen[-1]) - until(max(seen[0], from_ms))
        assert low - 1e-9 <= truth <= high + 1e-9


def test_growth_counts_the_samples_that_begin_at_its_moment_or_later() -> None:
    ten = [(second, 3.0 * second) for second in range(10, 20)]
    assert _watched(GrowthWatch(10 * S), (9, 0), *ten) == pytest.approx([10800, 10800])
    assert _watched(GrowthWatch(10 * S + 1), (9, 0), *ten) == (None, None), "nine are too few"


def test_growth_says_the_slope_and_its_interval_by_the_hour() -> None:
    watch = GrowthWatch(10 * S)
    for second in range(100):
        watch.add(second * S, second * S, 1e9 if second < 10 else 3.0 * second)
    low, high = watch.result()
    assert [low, high] == pytest.approx([10800, 10800])
    assert watch.note == "+1.08e+04 per hour by the line through the samples"
    watch.begins(95 * S)
    assert watch.result() == (None, None)
    assert watch.note == ""


# -- while something is on -----------------------------------------------------------------------------------


def _rise_within(*spans: tuple[float, float], samples: list[tuple[float, float]]) -> Result:
    """While something was on from one second to another, each with 100 ms around them."""
    watch = RiseWithinWatch()
    watch.on([
        ((round(at * S), round(to * S)), (round(at * S) - 100 * MS, round(to * S) + 100 * MS)) for at, to in spans
    ])  # fmt: skip
    return _watched(watch, *samples)


def test_a_counter_that_is_level_for_long_didn_t_rise_while_something_was_on() -> None:
    """Of a level stretch only the ends are kept, and neither of them lies in that time."""
    level = [(float(second), 5.0) for second in range(30)]
    assert _rise_within((10.2, 14.5), samples=level) == (0, 0)
    assert _rise_within((10.2, 14.5), (20.2, 21.5), samples=level) == (0, 0)


def test_what_rose_with_no_sample_meanwhile_is_not_known() -> None:
    samples = [(0.0, 5.0), (10.0, 5.0), (20.0, 7.0), (30.0, 7.0)]
    assert _rise_within((12, 18), samples=samples) == (None, None)
    assert _rise_within((12, 18), samples=[(0.0, 5.0), (10.0, 5.0)]) == (None, None)


def test_what_a_counter_counts_after_it_began_anew_is_added_while_something_was_on_too() -> None:
    samples = [(0.0, 50.0), (10.5, 52.0), (11.0, 3.0), (12.0, 4.0), (20.0, 4.0)]
    assert _rise_within((10.2, 14.5), samples=samples) == (4, 6)


class NaiveRiseWithin:
    """The same by its definition, from all samples."""

    def __init__(self) -> None:
        self.spans: Spans = ()
        self.samples: list[tuple[int, int, int]] = []

    def result(self) -> Result:
        low, high, known, inside = 0, 0, True, False
        for (from_ns, to_ns), (first_ns, last_ns) in self.spans:
            within = [n for start, end, n in self.samples if start >= from_ns and (to_ns is None or end <= to_ns)]
            before = [n for _, end, n in self.samples if end <= first_ns]
            after = [n for start, _, n in self.samples if last_ns is not None and start >= last_ns]
            if within:
                inside, low = True, low + within[-1] - within[0]
            if before and after:
                high += after[0] - before[-1]
                inside = inside or after[0] == before[-1]
            else:
                known = False
        return (float(low), float(high) if known else None) if inside else (None, None)


@given(st.integers(0, 10**9), st.sampled_from([0.05, 0.2, 0.5]), st.booleans())
def test_what_is_forgotten_of_a_counter_is_nothing_that_matters(seed: int, turns: float, again: bool) -> None:
    """Samples and an action that goes on and off take turns, at any moment and of any length, in the order in which a
    run is told of them; or all of the action is known before, as where a report is made again."""
    rng = random.Random(seed)
    naive, watch, now, value = NaiveRiseWithin(), RiseWithinWatch(), 0, 0
    moments: list[int] = []  # each time: do begins, do is done, undo begins, it is undone
    for _ in range(200):
        now += rng.randrange(4)
        if rng.random() < turns:
            moments.append(now)
            naive.spans, since = spans_of(moments)
            if not again:
                watch.on(naive.spans, since)
                assert watch.result() == naive.result()
        else:
            took, value = rng.randrange(4), value + rng.randrange(4)
            naive.samples.append((now, now + took, value))
            now += took
            if not again:
                watch.add(*naive.samples[-1])
    if again:
        watch.on(*spans_of(moments))
        for sample in naive.samples:
            watch.add(*sample)
    assert watch.result() == naive.result()
    assert len(watch._samples) <= 3 * (16 + 4 * len(naive.spans) + 2)


def spans_of(moments: list[int]) -> tuple[Spans, int | None]:
    """What a watch is told when so much has happened, and since when something is being done."""
    spans: list[tuple[tuple[int, int | None], tuple[int, int | None]]] = []
    for at in range(0, len(moments), 4):
        begun, *then = moments[at : at + 4]
        done, undoing, undone = [*then, None, None, None][:3]
        if done is not None:
            spans.append(((done, undoing), (begun, undone)))
    return spans, moments[-1] if len(moments) % 4 == 1 else None


def test_a_counter_that_isn_t_there_yet_stands_at_0() -> None:
    watch = RiseWithinWatch()
    watch.on([((10 * S, 14 * S), (10 * S, 14 * S))])
    for second in range(12):
        watch.missing(second * S, second * S)
    assert _watched(watch, (12, 3), (13, 3), (14, 3), (15, 3)) == (3, 3)


def test_an_answer_without_the_counter_that_was_under_way_when_something_came_on_lies_before_it() -> None:
    watch = RiseWithinWatch()
    watch.on([((10 * S + 5 * MS, 14 * S), (9 * S, 15 * S))])
    for second in (8, 10):
        watch.missing(second * S, second * S + 10 * MS)
    assert _watched(watch, (12, 3), (13, 4), (16, 5)) == (1, 5)


def test_a_counter_is_kept_by_how_often_something_was_on_and_not_by_how_long() -> None:
    watch = RiseWithinWatch()
    for second in range(20_000):
        if second % 5_000 == 100:
            watch.on([((at * S, (at + 50) * S),) * 2 for at in range(100, second + 1, 5_000)])
        watch.add(second * S, second * S + MS, float(second))
    assert watch.result() == (4 * 49, 4 * 51)
    assert len(watch._samples) < 100


# -- from a moment that is known later, or only then -----------------------------------------------------------------

Anchored = DrainWatch | ReachWatch | RiseWatch | IntegralWatch | GrowthWatch
ANCHORED: dict[str, Callable[[int], Anchored]] = {
    "drain": lambda from_ns: DrainWatch(from_ns, 5),
    "reach": lambda from_ns: ReachWatch(from_ns, _enough),
    "rise": RiseWatch,
    "integral": IntegralWatch,
    "growth": GrowthWatch,
}
COURSE = [(float(second), float(value)) for second, value in enumerate([8, 3, 7, 2, 9, 4, 8, 3, 6, 9, 20, 12, 5, 11])]
COURSE += [(float(second), 7.0 + second % 5) for second in range(14, 40)]


def _anchored(kind: str, from_ns: int) -> Anchored:
    return ANCHORED[kind](from_ns)


@pytest.mark.parametrize(
    ("kind", "moment"),
    [(kind, moment) for moment in (2.5, 9.0, 12.995) for kind in ANCHORED if (kind, moment) != ("reach", 12.995)],
)
def test_a_moment_that_moves_on_comes_to_the_same_as_one_that_was_known(kind: str, moment: float) -> None:
    """Such as the last ack so far: it moves on between two samples, and never back. What was reached meanwhile is
    there already to whoever watches: that may be told better afterwards."""
    known, moving = _anchored(kind, round(moment * S)), _anchored(kind, 0)
    for at, value in COURSE:
        if at <= moment + 1:
            moving.begins(min(round(at * S), round(moment * S)))
        moving.begins(S)
        _watched(known, (at, value))
        _watched(moving, (at, value))
    assert known.result() != (None, None)
    assert (moving.result(), moving.note) == (known.result(), known.note)


@pytest.mark.parametrize("kind", ANCHORED)
def test_of_what_counts_from_a_moment_that_never_came_nothing_is_known(kind: str) -> None:
    assert _watched(_anchored(kind, NOT_YET), *COURSE) in ((None, None), (0, None))


@pytest.mark.parametrize("kind", ANCHORED)
@pytest.mark.parametrize("moment", [3.5, 9.5])
def test_a_moment_that_is_known_when_it_comes_is_as_good_as_one_that_was_known_before(
    kind: str, moment: float
) -> None:
    known, late = _anchored(kind, round(moment * S)), _anchored(kind, NOT_YET)
    told = False
    for at, value in COURSE:
        if at > moment and not told:
            late.counts_from(round(moment * S))
            told = True
        _watched(known, (at, value))
        _watched(late, (at, value))
    assert known.result() != (None, None)
    assert (late.result(), late.note) == (known.result(), known.note)


def test_what_was_back_while_the_moment_came_was_not_back_after_it() -> None:
    """The sample began before that."""
    watch = DrainWatch(0, 5)
    assert _watched(watch, (1, 9), (4, 5)) == (1, 4.01)
    watch.begins(4 * S + 5 * MS)
    assert watch.result() == (None, None)


def test_what_was_back_before_the_moment_had_not_been_away_yet() -> None:
    watch = DrainWatch(10 * S, 5)
    assert _watched(watch, (10, 9), (11, 5)) == (0, 1.01)
    watch.begins(11 * S)
    assert watch.result() == (0, 0.01), "that sample began at the moment"
    watch.begins(12 * S)
    assert watch.result() == (None, None), "no sample began since"
    assert _watched(watch, (13, 9), (14, 9), (16, 2)) == (2, 4.01)
    watch.begins(13 * S)
    assert watch.result() == (1, 3.01), "what was seen above the level after the moment still counts"


def test_a_counter_rose_at_most_by_what_it_did_since_the_last_sample_before_the_moment_moved() -> None:
    watch = RiseWatch(round(1.5 * S))
    assert _watched(watch, (0, 10), (1, 20), (2, 50)) == (0, 30)
    watch.begins(round(2.5 * S))
    assert watch.result() == (None, None)
    assert _watched(watch, (3, 51), (4, 60)) == (9, 10)


# -- values, and what another watch finds while something is on ------------------------------------------------------


@pytest.mark.parametrize(("function", "expected"), [("max", 9), ("min", -2), ("mean", 2.5), ("last", 3)])
def test_a_value_of_all_samples(function: str, expected: float) -> None:
    samples = [(0.0, 0.0), (1.0, 9.0), (2.0, -2.0), (3.0, 3.0)]
    watch = ValueWatch(function)
    assert watch.result() == (None, None)
    assert _watched(watch, *samples) == (expected, expected)
    assert _watched(ValueWatch(function), *[(at, -5 - value) for at, value in samples])[0] == {
        "max": -3, "min": -14, "mean": -7.5, "last": -8,
    }[function]  # fmt: skip
    assert _watched(ValueWatch(function), (0, 4)) == (4, 4)


ON: Spans = (
    ((2 * S, 4 * S), (S, 5 * S)),
    ((10 * S, 12 * S), (9 * S, 13 * S)),
)
"""On for sure from 2 s to 4 s and from 10 s to 12 s."""


@pytest.mark.parametrize(
    ("moments", "within"),
    [
        ([0, 1.5, 1.995], []),
        ([2, 2.5, 3.99], [2, 2.5, 3.99]),
        ([3.995, 4, 7, 9.99], []),
        ([10, 11.99, 11.995], [10, 11.99]),
        ([1, 3, 5, 11, 12.5], [3, 11]),
    ],
)
def test_what_was_sampled_while_it_was_on_for_sure(moments: list[float], within: list[float]) -> None:
    """A sample takes 10 ms, and lies in it wholly."""
    for function, chosen in (("min", min), ("max", max)):
        watch = WithinWatch(ValueWatch(function))
        watch.on(ON)
        expected = chosen(within, default=None)
        assert _watched(watch, *[(at, at) for at in moments]) == (expected, expected)
    never = WithinWatch(ValueWatch("max"))
    assert _watched(never, *[(at, at) for at in moments]) == (None, None)


def test_what_is_on_without_an_end_yet_takes_every_sample_since() -> None:
    watch = WithinWatch(ValueWatch("min"))
    watch.on([((2 * S, None), (S, None))])
    assert _watched(watch, (1, 1), (2, 9), (3, 7)) == (7, 7)
    watch.on([((2 * S, 4 * S), (S, 5 * S))])
    assert _watched(watch, (4, 2), (5, 3)) == (7, 7)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        # From its beginning, or from the last good sample in it, to its end, or to the next good one.
        ([(1, 100), (2.5, 100), (3.5, 100), (5, 0)], (0.99, 2)),
        ([(1, 0), (2.5, 0), (3.0, 100), (3.5, 100), (5, 0)], (0.49, 1.5)),
        ([(2, 100), (3, 100), (3.5, 0), (4.5, 100)], (0.99, 1.51)),
        # Two times are not one stretch.
        ([(2.5, 100), (3.9, 100), (5, 100), (9, 100), (10.1, 100), (11.9, 100)], (1.79, 2)),
        ([(2.5, 100), (3.9, 100), (5, 100), (9, 100), (10.1, 0), (11.9, 0)], (1.39, 2)),
        ([(2.5, 0), (3.9, 0), (5, 100), (9, 100), (10.1, 0)], (0, 0)),
        ([(5, 100), (9, 100)], (None, None)),
    ],
)
def test_a_stretch_while_it_was_on_ends_with_it(samples: list[tuple[float, float]], expected: Result) -> None:
    watch = WithinWatch(StretchWatch(_beyond))
    watch.on(ON)
    assert _watched(watch, *samples) == (pytest.approx(expected) if expected[0] is not None else expected)


def test_a_stretch_goes_on_as_long_as_what_is_on() -> None:
    watch = WithinWatch(StretchWatch(_beyond))
    watch.on([((2 * S, None), (S, None))])
    assert _watched(watch, (1, 100), (3, 100), (5, 100)) == (1.99, 3.01)
    assert _watched(watch, (7, 100)) == (3.99, 5.01)


def test_a_stretch_that_nobody_saw_is_possible_to_the_end_of_what_was_on() -> None:
    watch = WithinWatch(StretchWatch(_beyond, unseen=True))
    watch.on(ON)
    assert _watched(watch, (1, 0), (2.5, 0), (3, 0), (11, 0), (11.5, 0)) == (0, 1.01)
    assert _watched(watch, (20, 0)) == (0, 1.01)


def test_what_is_said_beside_it_is_said_of_it_while_it_was_on() -> None:
    watch = WithinWatch(ReachWatch(0, _enough))
    watch.on(ON)
    assert watch.note == ""
    _watched(watch, (2.5, 20))
    assert watch.note == ReachWatch.ALREADY
