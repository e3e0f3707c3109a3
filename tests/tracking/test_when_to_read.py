"""When the tracker wants an event read: the grid, the reads at thresholds, and who comes first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise
from typing import Literal

import pytest

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Read, Receipt
from evload.tracking.profile import is_explorer
from evload.tracking.tracker import Tracker
from tests.rigs.following import Follow, event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
AT: tuple[tuple[Literal["acked"], int]] = (("acked", 3_333 * MS),)
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED


@pytest.mark.parametrize("resolution", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("took_ns", [MS // 10, 2 * MS])
def test_brackets_stay_within_the_resolution(resolution: float, took_ns: int) -> None:
    follow = Follow(took_ns, resolution=resolution).acked(0)
    follow.until_settled(lambda at: ABSENT)
    for before, after in pairwise(follow.starts):
        elapsed = after + took_ns
        assert after - before + took_ns <= max(resolution * elapsed * 1.001, took_ns + 20 * MS * resolution)


def test_the_grid_is_no_denser_than_the_resolution_asks_for() -> None:
    follow = Follow(0).acked(0)
    follow.until_settled(lambda at: ABSENT)
    gaps = [after / before for before, after in pairwise(follow.starts[:-1])]
    assert all(1.11 <= gap <= 1.1112 for gap in gaps[5:]), "each gap is resolution / (1 - resolution) of what passed"


def test_reads_that_are_gathered_in_bulk_begin_half_their_slack_earlier() -> None:
    follow = Follow(0, slack_ns=100 * MS).acked(0)
    follow.until_settled(lambda at: ABSENT)
    late = [(before, after) for before, after in pairwise(follow.starts[:-1]) if before > 2 * S]
    assert len(late) > 10
    for before, after in late:
        assert after - before == pytest.approx(before / 9 - 50 * MS, abs=2)


def test_reads_go_out_on_ticks_and_those_at_a_threshold_when_they_have_to() -> None:
    """Half of a tick is how much later than planned they are on average, so the grid is no coarser for it."""
    tick = 100 * MS
    follow = Follow(0, slack_ns=tick, tick_ns=tick, confirm_reads=2, confirm_over_ns=310 * MS, pins=AT)
    follow.acked(0)
    follow.until_settled(lambda at: PRESENT if at > 6 * S else ABSENT)
    off_ticks = [start for start in follow.starts if start % tick]
    assert off_ticks == [3_233 * MS, 3_333 * MS], "one that ends before, and one from there on"
    gaps = [(before, after) for before, after in pairwise(follow.starts) if 4 * S < before < after < 6 * S]
    assert len(gaps) >= 2
    assert all(abs(after - before - before / 9) <= tick / 2 + 2 for before, after in gaps)


@pytest.mark.parametrize("late_ns", [10 * MS, 30 * MS, 100 * MS, 10 * S])
def test_a_read_before_a_threshold_is_as_near_as_the_reader_is_punctual_just_then(late_ns: int) -> None:
    follow = Follow(0, slack_ns=100 * MS, tick_ns=100 * MS, pins=AT)
    follow.tracker.late[0] = late_ns
    follow.acked(0)
    follow.until_settled(lambda at: ABSENT)
    before = max(start for start in follow.starts if start < 3_333 * MS)
    assert before == 3_333 * MS - min(late_ns, 100 * MS)


def test_what_is_only_looked_for_at_its_deadline_is_asked_for_on_ticks() -> None:
    follow = Follow(0, slack_ns=100 * MS, tick_ns=300 * MS, sample=0.0).acked(0)
    assert follow.until_settled(lambda at: ABSENT).state is State.LOST
    assert follow.starts == [10_200 * MS]


def test_several_replicas_share_the_reads_so_the_gaps_are_narrower() -> None:
    def reads(*names: str) -> int:
        turns = count()
        answers = [(ABSENT, name) for name in names]
        follow = Follow(MS // 10, replicas=names).acked(0)
        follow.until_settled(lambda at: answers[next(turns) % len(answers)])
        return len(follow.starts)

    alone, three = reads("a"), reads("a", "b", "c")
    assert 2.5 < three / alone < 3.5


@pytest.mark.parametrize(("first_ns", "starts"), [(4 * S, 4 * S), (10 * S, 10 * S), (25 * S, 10 * S)])
def test_the_first_read_is_no_later_than_the_deadline(first_ns: int, starts: int) -> None:
    follow = Follow(first_ns=first_ns).acked(0)
    assert follow.until_settled(lambda at: ABSENT).state is State.LOST
    assert (follow.starts[0], follow.starts[-1]) == (starts, 10 * S)


def test_a_longest_gap_can_be_set() -> None:
    follow = Follow(max_gap_ns=200 * MS).acked(0)
    follow.until_settled(lambda at: ABSENT)
    assert max(after - before for before, after in pairwise(follow.starts)) <= 200 * MS


def test_a_read_that_failed_is_repeated_no_sooner_than_where_gaps_are_widened() -> None:
    """Otherwise those that fail would be read as often as if nothing had to be spared."""
    for stretch, again in ((1.0, 120 * MS), (100.0, 200 * MS)):
        follow = Follow(0).acked(0)
        follow.tracker.stretch[0] = stretch
        follow.start()
        follow.end(FAILED)
        assert (follow.starts[0], follow.start()) == (20 * MS, again)


def test_a_read_that_failed_is_repeated_within_the_deadline_however_much_gaps_are_widened() -> None:
    """Of an event that was there once and is gone, so that it is looked for beyond its deadline."""
    follow = Follow(0, confirm_over_ns=60 * S).acked(0).read(PRESENT)
    while follow.starts[-1] < 11 * S:
        follow.read(ABSENT)
    follow.tracker.stretch[0] = 1_000.0
    follow.tracker.due(0, follow.starts[-1] + 5 * S, 9)
    failed = follow.starts[-1] + 5 * S
    follow.tracker.observe(0, [Read(0, FAILED, failed, failed)], failed)
    assert follow.tracker.next_due(0) == failed + 10 * S


def test_a_confirming_read_that_failed_is_repeated_no_sooner_either() -> None:
    """By when the last one was answered: four seconds after the ack, a gap of 0.44 s that is widened to 7.1 s, or
    to the deadline if that comes first."""
    follow = Follow(0, confirm_reads=5, confirm_over_ns=5 * S, tick_ns=S).acked(0).read(*[PRESENT] * 4)
    assert follow.starts[-1] == 4 * S
    follow.tracker.stretch[0] = 16.0
    follow.start()
    follow.end(FAILED)
    assert follow.start() == 10 * S


def test_what_nobody_could_read_is_not_taken_for_never_seen_by_a_plan_that_learns() -> None:
    """A third of the events can't be read at all, and few wait for longer than the others: on the whole grid."""
    tracker = Tracker([{0: plan_of(learns=True, confirm_reads=0)}], 1)
    for seq in range(700):
        slow, starts = seq % 50 == 1, []
        acked = seq * 20 * S
        tracker.expect([event_of(seq, acked)], acked)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, acked, acked)], acked)
        while tracker.outstanding and (at := tracker.next_due(0)) is not None:
            for target in tracker.due(0, at, 1):
                starts.append(at - acked)
                shown = at >= acked + (2 * S if slow else 50 * MS)
                answer = FAILED if seq % 3 == 0 else PRESENT if shown else ABSENT
                tracker.observe(0, [Read(target.seq, answer, at, at + MS)], at + MS)
        tracker.take()
        if seq > 500 and slow and seq % 3 and not is_explorer(seq):
            assert len([start for start in starts if start > 60 * MS]) > 20


@pytest.mark.parametrize("slack_ns", [0, 20 * MS])
def test_a_plan_that_learns_doesnt_read_long_before_events_were_ever_seen(slack_ns: int) -> None:
    """They show a second after their ack, a quarter of an hour after the clock began. Brackets stay as narrow."""
    tracker = Tracker([{0: plan_of(learns=True, confirm_reads=0, slack_ns=slack_ns)}], 1)
    narrow = 0
    for seq in range(400):
        published = 900 * S + seq * 20 * S
        acked, starts = published + 5 * MS, []
        tracker.expect([event_of(seq, published)], published)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, published, acked)], acked)
        while tracker.outstanding and (at := tracker.next_due(0)) is not None:
            for target in tracker.due(0, at, 1):
                starts.append(at - acked)
                answer = PRESENT if at >= acked + S else ABSENT
                tracker.observe(0, [Read(target.seq, answer, at, at + MS)], at + MS)
        (seen,) = tracker.take()
        assert seen.state is State.VISIBLE
        assert seen.stable_lower_ns is not None
        assert seen.stable_upper_ns is not None
        lower, upper = seen.stable_lower_ns - acked, seen.stable_upper_ns - acked
        assert lower < S <= upper
        assert upper - lower <= 0.1 * upper + slack_ns
        if seq < 100 or is_explorer(seq):
            assert starts[0] == 20 * MS
            assert len(starts) > 20
        elif seq >= 200:
            assert 0.8 * S <= starts[0] < S
            assert len(starts) <= 4
            narrow += 1
    assert narrow > 190


@pytest.mark.parametrize("limit_ns", [7 * MS, 150 * MS, 2 * S, 9_999 * MS])
@pytest.mark.parametrize("counted_from", ["acked", "intended"])
@pytest.mark.parametrize("slack_ns", [0, 2 * MS])
def test_a_threshold_is_decided_by_reads_on_both_of_its_sides(
    limit_ns: int, counted_from: Literal["acked", "intended"], slack_ns: int
) -> None:
    took, acked = MS, 2 * MS
    plan = plan_of(pins=((counted_from, limit_ns), ("acked", 500 * MS)), slack_ns=slack_ns, confirm_reads=0)
    tracker = Tracker([{0: plan}], 1)
    for n in range(1, 50):  # Others first, from whom the tracker learns how long reads take.
        published = (n - 100) * S
        tracker.expect([event_of(n, published)], published)
        tracker.settle([Receipt(n, Outcome.ACCEPTED, published, published)], published)
        for target in tracker.due(0, published + 20 * MS, 9):
            start = published + 20 * MS
            tracker.observe(0, [Read(target.seq, PRESENT, start, start + took)], start + took)
    tracker.expect([event_of(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, acked)], acked)
    starts = []
    while tracker.outstanding and (due := tracker.next_due(0)) is not None:
        for target in tracker.due(0, due, 9):
            starts.append(due)
            tracker.observe(0, [Read(target.seq, ABSENT, due, due + took)], due + took)
    at = limit_ns + (acked if counted_from == "acked" else 0)
    assert at in starts, "one starts at the threshold"
    assert any(at - took - slack_ns - 10 <= start <= at - took - slack_ns for start in starts), "one ends before it"


@pytest.mark.parametrize(
    ("took_ms", "ahead_us"),
    [
        ([[8]], 24_000),
        ([[8], [16]], 29_000),
        ([[8], [16], [16]], 31_875),
        ([[16], [8]], 47_000),
        ([[8, 40, 40], [16]], 29_000),
        ([[-500, 8], [-500], [16]], 29_000),
    ],
)
def test_a_read_before_a_threshold_begins_as_early_as_reads_take_long(
    took_ms: Sequence[Sequence[int]], ahead_us: int
) -> None:
    """As long as a round trip is waited for in TCP (RFC 6298), from the first answer of each bulk read; what failed
    (below 0) tells nothing."""
    tracker = Tracker([{0: plan_of(first_ns=2 * S, pins=(("acked", S),), confirm_reads=0)}], 1)
    for number, bulk in enumerate(took_ms):
        published, took = (number - 100) * 20 * S, {number * 10 + place: ms for place, ms in enumerate(bulk)}
        tracker.expect([event_of(seq, published) for seq in took], published)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, published, published) for seq in took], published)
        start = published + S
        reads = [
            Read(
                target.seq,
                FAILED if took.get(target.seq, -1) < 0 else PRESENT,
                start,
                start + abs(took[target.seq]) * MS,
            )
            for target in tracker.due(0, start, 10)
            if target.seq in took
        ]
        tracker.observe(0, sorted(reads, key=lambda read: read.seq), start + S)
    tracker.expect([event_of(1_000)], 0)
    tracker.settle([Receipt(1_000, Outcome.ACCEPTED, 0, 0)], 0)
    begins = S - ahead_us * 1_000
    assert 1_000 not in [target.seq for target in tracker.due(0, begins - 1, 10)]
    assert 1_000 in [target.seq for target in tracker.due(0, begins, 10)]


def test_reads_are_handed_out_in_order_and_no_more_than_asked_for() -> None:
    tracker = Tracker([{0: plan_of()}], 1)
    for n in range(10):
        tracker.expect([event_of(n)], n * MS)
    assert tracker.next_due(0) == 20 * MS
    assert [t.seq for t in tracker.due(0, 25 * MS, 4)] == [0, 1, 2, 3]
    assert [t.seq for t in tracker.due(0, 25 * MS, 100)] == [4, 5]
    assert tracker.due(0, 25 * MS, 100) == []
    assert tracker.next_due(0) == 26 * MS
