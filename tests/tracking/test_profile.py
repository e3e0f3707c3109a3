"""The plan that learns: fewer reads, the same brackets, nothing that isn't true."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.tracking.profile import VisibilityProfile, is_explorer
from evload.tracking.sampling import is_chosen

MS = 1_000_000
S = 1_000 * MS
FIRST = 20 * MS
DEADLINE = 15 * S
RESOLUTION = 0.1

World = Callable[[random.Random, float], int | None]
"""The time at which an event becomes visible, at so much of the run; None: never."""


@dataclass
class Readings:
    """What came of reading all events of a run."""

    reads: list[int]
    brackets: list[tuple[int, int | None]]
    profile: VisibilityProfile

    def reads_per_event(self, part: slice = slice(None)) -> float:
        return sum(self.reads[part]) / len(self.reads[part])

    def width_at(self, p: float) -> float:
        """Of the bracket around a percentile, as a share of its upper end."""
        rank = ceil(p * len(self.brackets)) - 1
        lower = sorted(low for low, _ in self.brackets)[rank]
        upper = sorted(high or 10**15 for _, high in self.brackets)[rank]
        return 1 - lower / upper


def read_all(world: World, *, adaptive: bool, events: int = 3_000, rate: int = 100) -> Readings:
    """Read every event of a run by the plan; the profile learns of each when it was seen, or given up."""
    rng = random.Random(11)
    readings = Readings([], [], VisibilityProfile(RESOLUTION))
    profile = readings.profile
    seen: list[tuple[int, int, int, int | None]] = []
    for seq in range(events):
        sent = seq * S // rate
        while seen and seen[0][0] <= sent:
            profile.learn(*heapq.heappop(seen)[2:])
        visible = world(rng, seq / events)
        learns = adaptive and not is_explorer(seq)
        lower, reads, upper = 0, 1, None
        at = profile.next_read(0, FIRST) if learns else FIRST
        while visible is None or at < visible:
            lower = at
            if at >= DEADLINE:
                break
            planned = int(at / (1 - RESOLUTION))
            at = min(profile.next_read(at, planned) if learns else planned, DEADLINE)
            reads += 1
        else:
            upper = at
            assert lower < visible <= upper
        readings.reads.append(reads)
        readings.brackets.append((lower, upper))
        heapq.heappush(seen, (sent + at, seq, lower, upper))
    return readings


def lognormal(median: float, sigma: float) -> World:
    return lambda rng, _: int(median * MS * exp(rng.gauss(0, sigma)))


def bimodal(rng: random.Random, _: float) -> int:
    return int((60 * MS if rng.random() < 0.7 else 2 * S) * exp(rng.gauss(0, 0.1)))


def pareto(rng: random.Random, _: float) -> int:
    return int(100 * MS * rng.paretovariate(1.5))


def uniform(rng: random.Random, _: float) -> int:
    return int(rng.uniform(1, 2) * S)


def lossy(rng: random.Random, _: float) -> int | None:
    return None if rng.random() < 0.02 else int(250 * MS * exp(rng.gauss(0, 0.4)))


def doubles(rng: random.Random, done: float) -> int:
    return int(250 * MS * 2 ** (2 * done) * exp(rng.gauss(0, 0.4)))


def halves(rng: random.Random, done: float) -> int:
    return int(S * 0.5 ** (2 * done) * exp(rng.gauss(0, 0.4)))


def stalls(rng: random.Random, done: float) -> int:
    held = max(0.0, 5 - 30 * (done - 1 / 3)) if done >= 1 / 3 else 0.0
    return int(max(held * S, 250 * MS * exp(rng.gauss(0, 0.4))))


@pytest.mark.parametrize(
    ("world", "of_the_grid"),
    [
        (lognormal(250, 0.4), 0.5),
        (lognormal(250, 1.0), 1.0),
        (bimodal, 0.45),
        (pareto, 0.5),
        (uniform, 0.3),
        (lossy, 0.5),
        (doubles, 0.5),
        (halves, 0.5),
        (stalls, 0.65),
    ],
    ids=["lognormal", "wide", "bimodal", "pareto", "uniform", "lossy", "doubles", "halves", "stalls"],
)
def test_fewer_reads_locate_events_as_well_as_the_grid(world: World, of_the_grid: float) -> None:
    grid, learned = read_all(world, adaptive=False), read_all(world, adaptive=True)
    assert learned.reads_per_event() <= of_the_grid * grid.reads_per_event()
    for p in (0.5, 0.95, 0.99):
        assert learned.width_at(p) == pytest.approx(grid.width_at(p), rel=0.05)
    narrow = 1 - RESOLUTION - 0.01
    wide = sum(high is not None and low < narrow * high for low, high in learned.brackets)
    wide_on_the_grid = sum(high is not None and low < narrow * high for low, high in grid.brackets)
    assert wide - wide_on_the_grid <= 0.015 * len(learned.brackets)


def test_a_system_that_turns_twice_as_quick_at_once_is_noticed_within_some_events() -> None:
    def quickens(rng: random.Random, done: float) -> int:
        return int((1_000 if done < 0.5 else 300) * MS * exp(rng.gauss(0, 0.3)))

    learned = read_all(quickens, adaptive=True)
    wide = [high is not None and low < 0.85 * high for low, high in learned.brackets]
    assert sum(wide[1_500:1_700]) > 50, "those that nobody expected"
    assert sum(wide[1_700:]) < 0.02 * 1_300


def test_a_system_that_turns_twice_as_slow_is_read_later_soon() -> None:
    def slackens(rng: random.Random, done: float) -> int:
        return int((250 if done < 0.5 else 1_000) * MS * exp(rng.gauss(0, 0.3)))

    learned = read_all(slackens, adaptive=True, events=6_000)
    before = learned.profile.gaps[0][1]
    assert before > 350 * MS
    assert learned.reads_per_event(slice(5_500, 6_000)) < 12


def test_explorers_are_a_fiftieth_and_their_own_choice() -> None:
    explorers = [seq for seq in range(100_000) if is_explorer(seq)]
    assert 1_850 < len(explorers) < 2_150
    sampled = sum(is_chosen(seq, 0.2, "sample") for seq in explorers)
    assert 0.16 < sampled / len(explorers) < 0.24
    assert explorers == [seq for seq in range(100_000) if is_explorer(seq)]
    assert [seq for seq in explorers if seq < 400] == [9, 36, 58, 75, 81, 100, 139, 285, 365]


@pytest.mark.parametrize("at", [0, 1, MS, 20 * MS])
def test_what_is_known_to_the_nanosecond_is_learned_too(at: int) -> None:
    """As of what is pushed."""
    profile = VisibilityProfile(RESOLUTION)
    for _ in range(400):
        profile.learn(at, at)
    assert all(end <= max(at, MS) for _, end in profile.gaps)
    assert profile.next_read(0, FIRST) == FIRST


def test_until_enough_is_known_the_grid_is_read() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for _ in range(95):
        profile.learn(900 * MS, S)
    assert profile.gaps == []
    assert profile.next_read(FIRST, 22 * MS) == 22 * MS
    for _ in range(400):
        profile.learn(900 * MS, S)
    ((start, end),) = profile.gaps
    assert start == 0
    assert 850 * MS < end <= 900 * MS
    assert profile.next_read(0, FIRST) == profile.next_read(FIRST, 22 * MS) == end


def test_what_is_past_the_last_that_is_known_is_read_by_the_grid() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for _ in range(500):
        profile.learn(900 * MS, S)
    for elapsed in (S, 2 * S, 14 * S, 10**17):
        assert profile.next_read(elapsed, elapsed * 10 // 9) == elapsed * 10 // 9


def test_events_that_are_never_seen_hide_no_others() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(4_000):
        if number % 2:
            profile.learn(14 * S, None)
        elif number % 40:
            profile.learn(90 * MS, 100 * MS)
        else:
            profile.learn(45 * MS, 50 * MS)
    assert profile.gaps[0][1] <= 48 * MS, "one in twenty of those that are seen"


def test_events_that_are_never_seen_show_where_there_is_nothing_to_see() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(2_000):
        if number % 3 == 0:
            profile.learn(14 * S, None)
        elif number % 100 == 1:
            profile.learn(1_900 * MS, 2 * S)
        else:
            profile.learn(45 * MS, 50 * MS)
    assert profile.gaps[1][1] > 1_700 * MS, "many wait that long in vain, so that the gap is well known"


def test_losses_of_long_ago_are_forgotten() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(6_000):
        if number < 1_000:
            profile.learn(14 * S, None)
        elif number % 100 == 0:
            profile.learn(1_900 * MS, 2 * S)
        else:
            profile.learn(45 * MS, 50 * MS)
    assert len(profile.gaps) == 1, "too few wait past the quick ones"


def test_the_last_that_is_known_is_looked_for() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(1_000):
        if number % 10 == 0:
            profile.learn(14 * S, None)
        else:
            profile.learn(45 * MS, 50 * MS)
    profile.learn(1_990 * MS, 2 * S)
    for _ in range(60):
        profile.learn(45 * MS, 50 * MS)
    assert [end <= 2 * S for _, end in profile.gaps] == [True, True]


def test_where_nearly_all_are_lost_the_few_that_are_seen_are_looked_for() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(800):
        if number % 200 == 0:
            profile.learn(90 * MS, 100 * MS)
        else:
            profile.learn(14 * S, None)
    assert all(end <= 95 * MS for _, end in profile.gaps)


def test_a_tail_of_a_few_events_is_no_reason_to_leave_reads_out() -> None:
    profile = VisibilityProfile(RESOLUTION)
    for number in range(1_000):
        slow = number % 100 == 0
        profile.learn(1_900 * MS if slow else 50 * MS, 2 * S if slow else 55 * MS)
    assert len(profile.gaps) == 1
    for number in range(2_000):
        slow = number % 10 == 0
        profile.learn(1_900 * MS if slow else 50 * MS, 2 * S if slow else 55 * MS)
    (_, (start, end)) = profile.gaps
    assert 55 * MS <= start < 62 * MS
    assert 1_750 * MS < end <= 1_900 * MS


def test_all_gaps_together_leave_out_hardly_more_than_one_event_in_a_hundred() -> None:
    rng = random.Random(5)
    profile = VisibilityProfile(RESOLUTION)
    times = []
    for number in range(4_000):
        mode = number % 10 // 3
        time = (50, 200, 800, 3_200)[mode] * MS
        if rng.random() < 0.04 and mode < 3:
            time = int(time * 4 ** rng.uniform(0.2, 0.8))
        times.append(time)
        profile.learn(int(time * 0.95), time)
    inside = sum(any(start < time <= end for start, end in profile.gaps) for time in times)
    assert len(profile.gaps) > 1
    assert inside <= 0.02 * len(times)


BRACKETS = st.lists(
    st.tuples(st.integers(0, 20 * S) | st.integers(0, 50 * MS), st.none() | st.floats(1, 1.2) | st.floats(1, 50)),
    min_size=10,
    max_size=60,
)


@given(BRACKETS, st.floats(0.01, 0.6), st.lists(st.tuples(st.integers(0, 30 * S), st.floats(1, 2)), min_size=20))
def test_a_read_is_never_earlier_than_planned_and_skips_hardly_anybody(
    learned: Sequence[tuple[int, float | None]], resolution: float, asked: Sequence[tuple[int, float]]
) -> None:
    profile = VisibilityProfile(resolution)
    brackets = [(low, None if factor is None else int(low * factor) + 1) for low, factor in learned]
    for _ in range(12):
        for bracket in brackets:
            profile.learn(*bracket)
    gaps = profile.gaps
    assert all(start < end for start, end in gaps)
    assert all(end <= start for (_, end), (start, _) in pairwise(gaps))
    for elapsed, factor in asked:
        planned = int(elapsed * factor) + 1
        then = profile.next_read(elapsed, planned)
        assert then >= planned
        if then > planned:
            assert any(start <= elapsed and then == end for start, end in gaps)
    inside = sum(
        any(start <= low and high <= end for start, end in gaps) for low, high in brackets if high is not None
    )
    assert inside == 0, "each of them is more than a sixtieth of what is known"


@given(st.floats(0.02, 0.5), st.integers(30 * MS, 10 * S))
def test_the_first_bracket_after_a_gap_is_as_narrow_as_any(resolution: float, visible: int) -> None:
    profile = VisibilityProfile(resolution)
    for _ in range(500):
        profile.learn(int(visible * (1 - resolution)), visible)
    ((_, end),) = profile.gaps
    assert end < visible
    assert log(visible * (1 - resolution) / end) < -log(1 - resolution)
