"""The tracker against made-up read models: every event settled once, and every bracket around its truth."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Event, Observation, Read, Receipt
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.sampling import is_chosen
from evload.tracking.tracker import Tracker

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED

USUAL: Mapping[str, Any] = {
    "deadline_ns": 10 * S, "first_ns": 20 * MS, "resolution": 0.1, "max_gap_ns": None, "sample": 1.0,
    "confirm_reads": 5, "confirm_over_ns": 5 * S,
}  # fmt: skip


def plan_of(**changes: Any) -> ReadingPlan:
    return ReadingPlan(**{**USUAL, **changes})


def event_of(seq: int, intended_ns: int = 0, scenario: int = 0) -> Event:
    return Event(seq, f"id-{seq}", scenario, 0, intended_ns, None, b"", (), ())


class Follow:
    """One event, published at 0 and read whenever the tracker wants it."""

    def __init__(self, took_ns: int = MS, sent_ns: int = 0, **plan: Any) -> None:
        self.plan = plan_of(**plan)
        self.tracker = Tracker([{0: self.plan}], 1)
        self.took_ns = took_ns
        self.sent_ns = sent_ns
        self.starts: list[int] = []
        self.tracker.expect([event_of(0)], sent_ns)

    def answered(self, outcome: Outcome, at_ns: int, capture: str | None = None) -> Follow:
        acked = at_ns if outcome not in (Outcome.IN_DOUBT, Outcome.UNSENT) else None
        sent = None if outcome is Outcome.UNSENT else self.sent_ns
        self.tracker.settle([Receipt(0, outcome, sent, acked, "", capture)], at_ns)
        return self

    def acked(self, at_ns: int = 5 * MS) -> Follow:
        return self.answered(Outcome.ACCEPTED, at_ns)

    def start(self) -> int:
        """Begin the next read; the answer is when."""
        due = self.tracker.next_due(0)
        while due is not None:
            if self.tracker.due(0, due, 10):
                self.starts.append(due)
                return due
            due = self.tracker.next_due(0)
        raise AssertionError("nothing is due any more")

    def end(self, seen: Seen, replica: str | None = None, **more: Any) -> int:
        end = self.starts[-1] + self.took_ns
        self.tracker.observe(0, [Read(0, seen, self.starts[-1], end, replica=replica, **more)], end)
        return end

    def read(self, *answers: Seen | tuple[Seen, str | None], **more: Any) -> Follow:
        """Read once for each answer."""
        for answer in answers:
            seen, replica = answer if isinstance(answer, tuple) else (answer, None)
            self.start()
            self.end(seen, replica, **more)
        return self

    def until_settled(self, answer: Callable[[int], Seen | tuple[Seen, str | None]]) -> Observation:
        """Go on reading; `answer` says what a read that starts at a time finds."""
        for _ in range(10_000):
            if self.tracker.settled:
                return self.outcome()
            at = self.start()
            found = answer(at)
            seen, replica = found if isinstance(found, tuple) else (found, None)
            self.end(seen, replica)
        raise AssertionError("never settled")

    def outcome(self) -> Observation:
        (seen,) = self.tracker.take()
        assert self.tracker.outstanding == self.tracker.unanswered == 0
        return seen


def from_time(visible_ns: int) -> Callable[[int], Seen]:
    return lambda at: PRESENT if at >= visible_ns else ABSENT


# -- one event, by values ------------------------------------------------------------------------------


def test_the_bracket_is_the_last_negative_read_and_the_first_positive_one() -> None:
    follow = Follow().acked(5 * MS)
    seen = follow.until_settled(from_time(100 * MS))
    before = max(at for at in follow.starts if at < 100 * MS)
    after = min(at for at in follow.starts if at >= 100 * MS)
    assert follow.starts[0] == 25 * MS, "the first read is due `first` after the ack"
    assert (seen.state, seen.sent_ns, seen.acked_ns) == (State.VISIBLE, 0, 5 * MS)
    assert (seen.first_lower_ns, seen.first_upper_ns) == (before, after + MS)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (before, after + MS)
    assert seen.reads == len(follow.starts)
    assert seen.settled_ns == follow.starts[-1] + MS


def test_confirming_reads_are_spread_evenly_after_the_first_sighting() -> None:
    follow = Follow(confirm_reads=5, confirm_over_ns=5 * S).acked()
    follow.until_settled(lambda at: PRESENT)
    first_end = follow.starts[0] + MS
    assert follow.starts[1:] == [first_end + k * S for k in range(1, 6)]


@pytest.mark.parametrize(("reads", "over_ns", "made"), [(0, 5 * S, 1), (1, 2 * S, 2), (3, 0, 2)])
def test_confirmation_can_be_shortened_and_switched_off(reads: int, over_ns: int, made: int) -> None:
    seen = Follow(confirm_reads=reads, confirm_over_ns=over_ns).acked().until_settled(lambda at: PRESENT)
    assert (seen.state, seen.reads) == (State.VISIBLE, made)


def test_an_event_visible_at_once_has_no_lower_end() -> None:
    seen = Follow().acked().until_settled(lambda at: PRESENT)
    assert (seen.first_lower_ns, seen.stable_lower_ns) == (None, None)
    assert seen.first_upper_ns == seen.stable_upper_ns == 26 * MS


def test_what_disappears_and_returns_is_stable_only_after_its_last_negative_read() -> None:
    follow = Follow().acked().read(ABSENT, PRESENT, ABSENT, ABSENT)
    lost_again = follow.starts[-1]
    seen = follow.until_settled(lambda at: PRESENT)
    assert seen.state is State.VISIBLE
    assert seen.regressions == 1
    assert (seen.first_lower_ns, seen.first_upper_ns) == (follow.starts[0], follow.starts[1] + MS)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (lost_again, follow.starts[4] + MS)
    assert follow.starts[-1] >= follow.starts[4] + 5 * S, "after its return it is confirmed anew"


def test_what_disappears_for_good_is_regressed() -> None:
    follow = Follow().acked().read(PRESENT)
    seen = follow.until_settled(lambda at: ABSENT)
    assert (seen.state, seen.regressions) == (State.REGRESSED, 1)
    assert (seen.first_upper_ns, seen.stable_upper_ns) == (26 * MS, None)
    assert seen.stable_lower_ns == follow.starts[-1] >= 5 * MS + follow.plan.patience_ns


def test_each_disappearance_counts_once() -> None:
    seen = Follow().acked().read(PRESENT, ABSENT, ABSENT, PRESENT, ABSENT).until_settled(lambda at: PRESENT)
    assert seen.regressions == 2


def test_an_event_never_seen_is_lost_by_a_read_at_its_deadline() -> None:
    follow = Follow().acked(5 * MS)
    seen = follow.until_settled(lambda at: ABSENT)
    assert (seen.state, seen.stable_upper_ns, seen.first_upper_ns) == (State.LOST, None, None)
    assert follow.starts[-1] == 5 * MS + 10 * S
    assert seen.stable_lower_ns == seen.first_lower_ns == follow.starts[-1]


def test_an_event_seen_at_its_deadline_is_not_lost() -> None:
    seen = Follow().acked(0).until_settled(from_time(10 * S))
    assert seen.state is State.VISIBLE


def test_without_a_read_at_the_deadline_nobody_knows() -> None:
    follow = Follow().acked().read(ABSENT, ABSENT)
    seen = follow.until_settled(lambda at: FAILED)
    assert seen.state is State.UNOBSERVED
    assert seen.stable_lower_ns == follow.starts[1], "failed reads move nothing"
    assert seen.failed_reads == seen.reads - 2 > 0


def test_failed_reads_alone_are_unobserved_and_not_repeated_without_end() -> None:
    follow = Follow().acked()
    seen = follow.until_settled(lambda at: FAILED)
    assert seen.state is State.UNOBSERVED
    assert (seen.first_lower_ns, seen.stable_lower_ns, seen.stable_upper_ns) == (None, None, None)
    assert all(after - before >= 100 * MS for before, after in pairwise(follow.starts))
    assert follow.plan.patience_ns <= seen.settled_ns - 5 * MS <= follow.plan.patience_ns * 1.2


def test_a_deadline_missed_by_failures_is_made_up_for() -> None:
    outage = (9 * S, 12 * S)
    seen = Follow().acked(0).until_settled(lambda at: FAILED if outage[0] <= at < outage[1] else ABSENT)
    assert seen.state is State.LOST
    assert seen.stable_lower_ns is not None
    assert seen.stable_lower_ns >= 12 * S


def test_an_effect_may_be_visible_long_before_the_ack() -> None:
    follow = Follow().read(ABSENT, *[PRESENT] * 12)
    assert follow.tracker.settled == 0, "a receipt is still to come"
    follow.acked(60 * S)
    seen = follow.until_settled(lambda at: PRESENT)
    assert (seen.state, seen.acked_ns) == (State.VISIBLE, 60 * S)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (20 * MS, follow.starts[1] + MS)


def test_times_count_from_the_ack_once_it_is_there() -> None:
    follow = Follow()
    while follow.start() < 3 * S:
        follow.end(ABSENT)
    follow.end(ABSENT)
    follow.acked(4 * S)
    follow.until_settled(lambda at: ABSENT)
    assert follow.starts[-1] == 14 * S


@pytest.mark.parametrize("confirm_reads", [0, 5])
@pytest.mark.parametrize("sample", [1.0, 0.0])
@pytest.mark.parametrize(
    ("found", "pushed"), [(PRESENT, False), (ABSENT, False), (FAILED, False), (ABSENT, True), (FAILED, True)]
)
def test_an_answer_that_does_not_come_does_not_cause_a_storm_of_reads(
    confirm_reads: int, sample: float, found: Seen, pushed: bool
) -> None:
    follow = Follow(confirm_reads=confirm_reads, sample=sample, pushed=pushed)
    while not follow.starts or follow.starts[-1] < 60 * S:
        follow.read(found)
    assert sum(at >= 20 * S for at in follow.starts) <= 400
    assert follow.acked(61 * S).until_settled(lambda at: found).sent_ns == 0


def test_an_in_doubt_event_is_still_looked_for() -> None:
    seen = Follow().read(ABSENT).answered(Outcome.IN_DOUBT, 2 * S).until_settled(from_time(3 * S))
    assert (seen.state, seen.recovered, seen.acked_ns) == (State.IN_DOUBT, True, None)
    assert seen.stable_lower_ns is not None
    assert seen.stable_upper_ns is not None
    assert seen.stable_lower_ns < 3 * S <= seen.stable_upper_ns


def test_an_in_doubt_event_that_never_shows_up_stays_in_doubt() -> None:
    follow = Follow().answered(Outcome.IN_DOUBT, 2 * S)
    seen = follow.until_settled(lambda at: ABSENT)
    assert (seen.state, seen.recovered, seen.stable_upper_ns) == (State.IN_DOUBT, False, None)
    assert follow.starts[-1] == 10 * S, "without an ack the deadline counts from the publish"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.REJECTED, State.REJECTED),
        (Outcome.RETURNED, State.RETURNED),
        (Outcome.UNSENT, State.UNSENT),
    ],
)
def test_a_refusal_settles_at_once_even_while_a_read_is_under_way(outcome: Outcome, state: State) -> None:
    follow = Follow()
    follow.start()
    seen = follow.answered(outcome, 21 * MS).outcome()
    assert (seen.state, seen.settled_ns, seen.reads) == (state, 21 * MS, 0)
    follow.end(PRESENT)
    assert follow.tracker.take() == []
    assert follow.tracker.due(0, 100 * S, 10) == []


def test_a_second_receipt_is_a_bug_in_the_producer() -> None:
    follow = Follow().acked()
    with pytest.raises(ValueError, match="settled twice"):
        follow.acked()
    follow.until_settled(lambda at: PRESENT)
    with pytest.raises(KeyError):
        follow.acked()


def test_effects_positions_and_stamps_are_kept() -> None:
    follow = Follow().acked().read(ABSENT)
    follow.read(PRESENT, effects=1, position=7, consumed_at=100, processed_at=200)
    follow.read(PRESENT, effects=2, position=7, consumed_at=300, processed_at=400)
    follow.read(PRESENT, effects=1)
    seen = follow.until_settled(lambda at: PRESENT)
    assert (seen.effects, seen.duplicated, seen.position) == (2, True, 7)
    assert (seen.consumed_at, seen.processed_at) == (100, 200), "stamps belong to the first sighting"


def test_a_probe_that_needs_the_answer_waits_for_it() -> None:
    follow = Follow(after_ack=True)
    assert follow.tracker.next_due(0) is None
    follow.answered(Outcome.ACCEPTED, 3 * S, capture="order-7")
    (target,) = follow.tracker.due(0, 3 * S + 20 * MS, 10)
    assert (target.seq, target.correlation_id, target.capture) == (0, "id-0", "order-7")


def test_nobody_reads_what_nobody_probes() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([event_of(n) for n in range(2)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 1), Receipt(1, Outcome.IN_DOUBT, 0, None)], 5)
    assert [(seen.state, seen.sampled) for seen in tracker.take()] == [
        (State.UNOBSERVED, False),
        (State.IN_DOUBT, False),
    ]


# -- events that are not followed closely --------------------------------------------------------------


@pytest.mark.parametrize(("found", "state"), [(ABSENT, State.LOST), (PRESENT, State.VISIBLE)])
def test_an_unsampled_event_is_read_once_at_its_deadline(found: Seen, state: State) -> None:
    follow = Follow(sample=0.0).acked(5 * MS)
    seen = follow.until_settled(lambda at: found)
    assert follow.starts == [5 * MS + 10 * S]
    assert (seen.state, seen.sampled, seen.reads) == (state, False, 1)


def test_an_unsampled_event_is_not_lost_by_a_read_before_its_deadline() -> None:
    follow = Follow(sample=0.0).read(ABSENT)
    assert follow.starts == [10 * S]
    seen = follow.acked(10 * S).until_settled(lambda at: FAILED)
    assert seen.state is State.UNOBSERVED


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_the_sample_has_its_share_and_is_always_the_same(share: float) -> None:
    chosen = [is_chosen(seq, share, "sample") for seq in range(20_000)]
    assert chosen == [is_chosen(seq, share, "sample") for seq in range(20_000)]
    assert abs(sum(chosen) / 20_000 - share) < 0.01
    assert all(abs(sum(chosen[k::10]) / 2_000 - share) < 0.04 for k in range(10)), "in step with no period"


# -- effects that are pushed ---------------------------------------------------------------------------


def pushed(*at_ns: int) -> list[Read]:
    return [Read(0, PRESENT, at, at, exact=True) for at in at_ns]


def test_what_is_pushed_is_known_to_the_nanosecond_and_waited_on_for_duplicates() -> None:
    follow = Follow(pushed=True).acked()
    assert follow.tracker.due(0, 5 * MS + 10 * S - 1, 10) == [], "nothing is asked before the deadline"
    follow.tracker.push(0, pushed(30 * MS, 900 * MS))
    assert follow.tracker.due(0, 30 * MS + 5 * S - 1, 10) == []
    assert follow.tracker.take() == []
    assert follow.tracker.due(0, 30 * MS + 5 * S, 10) == []
    seen = follow.outcome()
    assert (seen.state, seen.effects, seen.duplicated, seen.reads) == (State.VISIBLE, 2, True, 0)
    assert seen.first_lower_ns == seen.first_upper_ns == 30 * MS
    assert seen.stable_lower_ns == seen.stable_upper_ns == 30 * MS


@pytest.mark.parametrize(("found", "state"), [(ABSENT, State.LOST), (FAILED, State.UNOBSERVED)])
def test_what_is_not_pushed_is_asked_about_at_its_deadline(found: Seen, state: State) -> None:
    follow = Follow(pushed=True).acked()
    assert follow.until_settled(lambda at: found).state is state
    assert follow.starts[0] == 5 * MS + 10 * S


@pytest.mark.parametrize("confirm_reads", [0, 5])
@pytest.mark.parametrize("found", [ABSENT, FAILED])
def test_a_push_while_the_question_is_under_way_is_what_counts(confirm_reads: int, found: Seen) -> None:
    follow = Follow(took_ns=9 * S, pushed=True, confirm_reads=confirm_reads).acked()
    start = follow.start()
    follow.tracker.push(0, pushed(start + MS))
    assert follow.tracker.due(0, start + 8 * S, 10) == []
    end = follow.end(found)
    assert follow.tracker.due(0, end, 10) == []
    seen = follow.outcome()
    assert (seen.state, seen.stable_upper_ns) == (State.VISIBLE, start + MS)


def test_pushes_about_events_that_are_settled_or_unknown_are_ignored() -> None:
    tracker = Tracker([{0: plan_of(pushed=True)}], 1)
    tracker.push(0, pushed(1))
    assert tracker.take() == []


# -- replicas and probes -------------------------------------------------------------------------------


def test_each_named_replica_has_a_bracket_of_its_own() -> None:
    follow = Follow(replicas=("a", "b")).acked()
    follow.read((ABSENT, "a"), (ABSENT, "b"), (PRESENT, "a"), (ABSENT, "b"), (PRESENT, "a"), (PRESENT, "b"))
    starts = follow.starts.copy()
    turns = count()
    seen = follow.until_settled(lambda at: (PRESENT, "ab"[next(turns) % 2]))
    assert (seen.state, seen.regressions) == (State.VISIBLE, 0)
    assert (seen.first_lower_ns, seen.first_upper_ns) == (starts[0], starts[2] + MS)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (starts[3], starts[5] + MS)


def test_a_replica_that_lost_the_event_is_a_regression_though_others_have_it() -> None:
    follow = Follow(replicas=("a", "b")).acked()
    seen = follow.read((PRESENT, "a"), (PRESENT, "b"), (ABSENT, "b")).until_settled(lambda at: (PRESENT, "b"))
    assert (seen.state, seen.regressions) == (State.VISIBLE, 1)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (follow.starts[2], follow.starts[3] + MS)


def test_a_replica_that_never_shows_the_event_keeps_it_from_being_visible() -> None:
    turns = count()
    follow = Follow(replicas=("a", "b")).acked()
    seen = follow.until_settled(lambda at: ((PRESENT, "a"), (ABSENT, "b"))[next(turns) % 2])
    assert (seen.state, seen.regressions, seen.stable_upper_ns) == (State.REGRESSED, 0, None)
    assert seen.first_upper_ns == follow.starts[0] + MS


def test_a_replica_that_was_never_met_leaves_the_event_unobserved() -> None:
    seen = Follow(replicas=("a", "b")).acked().until_settled(lambda at: (PRESENT, "a"))
    assert (seen.state, seen.stable_upper_ns) == (State.UNOBSERVED, None)
    assert seen.first_lower_ns is None, "the other one may have shown it from the start"


def test_replicas_are_learned_from_the_answers() -> None:
    follow = Follow().acked().read((PRESENT, "a"), (ABSENT, "b"))
    assert follow.tracker.replicas(0) == ["a", "b"]
    seen = follow.read((PRESENT, "a"), (PRESENT, "a")).until_settled(lambda at: (PRESENT, "b"))
    assert (seen.state, seen.stable_lower_ns) == (State.VISIBLE, follow.starts[1])
    assert seen.stable_upper_ns == follow.starts[4] + MS


def test_an_event_that_is_visible_has_an_upper_end_though_a_replica_turns_up_later() -> None:
    tracker = Tracker([{0: plan_of(confirm_reads=0), 1: plan_of(confirm_reads=0)}], 2)
    tracker.expect([event_of(0), event_of(1)], 0)
    tracker.settle([Receipt(n, Outcome.ACCEPTED, 0, 1) for n in range(2)], 1)
    for probe, at in ((0, 21 * MS), (1, 30 * MS)):
        assert len(tracker.due(probe, at, 10)) == 2
    tracker.observe(0, [Read(0, PRESENT, 21 * MS, 22 * MS, replica="a")], 22 * MS)
    tracker.observe(0, [Read(1, ABSENT, 21 * MS, 23 * MS, replica="late")], 23 * MS)
    tracker.observe(1, [Read(0, PRESENT, 30 * MS, 31 * MS)], 31 * MS)
    (seen,) = tracker.take()
    assert (seen.state, seen.stable_upper_ns) == (State.VISIBLE, 31 * MS)


def test_a_negative_answer_without_a_name_bounds_the_slowest_replica_and_not_the_first() -> None:
    follow = Follow(replicas=("a", "b")).acked()
    follow.read((ABSENT, "a"), (ABSENT, "b"), ABSENT, (PRESENT, "a"), ABSENT, (PRESENT, "b"))
    seen = follow.until_settled(lambda at: (PRESENT, "a"))
    starts = follow.starts
    assert (seen.first_lower_ns, seen.first_upper_ns) == (starts[0], starts[3] + MS)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (starts[4], starts[5] + MS)
    assert seen.regressions == 0


def test_a_negative_answer_without_a_name_after_all_showed_it_is_a_regression() -> None:
    follow = Follow(replicas=("a", "b")).acked().read((PRESENT, "a"), (PRESENT, "b"), ABSENT, (PRESENT, "a"))
    seen = follow.until_settled(lambda at: (PRESENT, "b"))
    assert (seen.regressions, seen.stable_lower_ns) == (1, follow.starts[2])
    assert seen.stable_upper_ns == follow.starts[4] + MS, "each has to be met anew"


def test_where_one_replica_is_known_an_answer_without_a_name_is_its_own() -> None:
    follow = Follow(replicas=("only",)).acked().read(ABSENT)
    seen = follow.until_settled(lambda at: PRESENT)
    assert (seen.state, seen.first_lower_ns) == (State.VISIBLE, follow.starts[0])


@pytest.mark.parametrize("before", [[], [ABSENT, ABSENT]])
def test_positive_answers_without_a_name_are_neither_visible_everywhere_nor_lost(before: list[Seen]) -> None:
    seen = Follow(replicas=("a", "b")).acked().read(*before).until_settled(lambda at: PRESENT)
    assert (seen.state, seen.stable_upper_ns) == (State.UNOBSERVED, None)
    assert seen.first_upper_ns is not None


def test_the_worst_of_several_probes_decides_and_their_brackets_span_all() -> None:
    plans = {0: plan_of(confirm_reads=0), 1: plan_of(confirm_reads=0, first_ns=50 * MS)}
    tracker = Tracker([plans], 2)
    tracker.expect([event_of(n) for n in range(2)], 0)
    tracker.settle([Receipt(n, Outcome.ACCEPTED, 0, 1) for n in range(2)], 1)
    fast = tracker.due(0, 21 * MS, 10)
    tracker.observe(0, [Read(t.seq, PRESENT, 21 * MS, 22 * MS, effects=1) for t in fast], 22 * MS)
    assert tracker.settled == 0
    now, slow = 51 * MS, {0: 90 * MS, 1: 1000 * S}
    while tracker.outstanding:
        reads = [Read(t.seq, from_time(slow[t.seq])(now), now, now + MS, effects=2) for t in tracker.due(1, now, 10)]
        tracker.observe(1, reads, now + MS)
        now += MS
    done, missing = sorted(tracker.take(), key=lambda seen: seen.seq)
    assert (done.state, missing.state) == (State.VISIBLE, State.LOST)
    assert (done.first_lower_ns, done.first_upper_ns) == (None, 22 * MS)
    assert done.stable_lower_ns is not None
    assert done.stable_upper_ns is not None
    assert done.stable_lower_ns < 90 * MS <= done.stable_upper_ns
    assert done.effects == 2


# -- when to read --------------------------------------------------------------------------------------


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


def test_several_replicas_share_the_reads_so_the_gaps_are_narrower() -> None:
    def reads(*names: str) -> int:
        turns = count()
        answers = [(ABSENT, name) for name in names]
        follow = Follow(MS // 10, replicas=names).acked(0)
        follow.until_settled(lambda at: answers[next(turns) % len(answers)])
        return len(follow.starts)

    alone, three = reads("a"), reads("a", "b", "c")
    assert 2.5 < three / alone < 3.5


def test_a_longest_gap_can_be_set() -> None:
    follow = Follow(max_gap_ns=200 * MS).acked(0)
    follow.until_settled(lambda at: ABSENT)
    assert max(after - before for before, after in pairwise(follow.starts)) <= 200 * MS


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


def test_reads_are_handed_out_in_order_and_no_more_than_asked_for() -> None:
    tracker = Tracker([{0: plan_of()}], 1)
    for n in range(10):
        tracker.expect([event_of(n)], n * MS)
    assert tracker.next_due(0) == 20 * MS
    assert [t.seq for t in tracker.due(0, 25 * MS, 4)] == [0, 1, 2, 3]
    assert [t.seq for t in tracker.due(0, 25 * MS, 100)] == [4, 5]
    assert tracker.due(0, 25 * MS, 100) == []
    assert tracker.next_due(0) == 26 * MS


# -- leaving memory ------------------------------------------------------------------------------------


def test_what_is_settled_is_handed_out_by_time_and_number_across_calls() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([event_of(n) for n in range(4)], 0)
    tracker.settle([Receipt(3, Outcome.ACCEPTED, 0, 1)], 5)
    tracker.settle([Receipt(2, Outcome.ACCEPTED, 0, 1)], 9)
    assert tracker.settled == 2
    assert [seen.seq for seen in tracker.take(9)] == [3]
    tracker.settle([Receipt(1, Outcome.ACCEPTED, 0, 1)], 9)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 1)], 12)
    assert [seen.seq for seen in tracker.take(12)] == [1, 2]
    assert [seen.seq for seen in tracker.take()] == [0]
    assert tracker.settled == 0


def test_closing_settles_everything_as_it_stands() -> None:
    tracker = Tracker([{0: plan_of()}], 1)
    tracker.expect([event_of(n) for n in range(3)], 7)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 8, 9), Receipt(1, Outcome.IN_DOUBT, 8, None)], 9)
    tracker.close(10)
    observed = sorted(tracker.take(), key=lambda seen: seen.seq)
    assert [seen.state for seen in observed] == [State.PENDING, State.IN_DOUBT, State.IN_DOUBT]
    assert [seen.sent_ns for seen in observed] == [8, 8, 7]
    assert tracker.outstanding == tracker.unanswered == 0
    tracker.close(11)
    assert tracker.take() == []


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.REJECTED])
def test_a_long_run_leaves_nothing_behind(outcome: Outcome) -> None:
    tracker = Tracker([{0: plan_of(deadline_ns=500 * MS, confirm_reads=1, confirm_over_ns=100 * MS, sample=0.5)}], 1)

    def events(first: int, until: int) -> None:
        for n in range(first, until):
            now = n * MS
            tracker.expect([event_of(n)], now)
            tracker.settle([Receipt(n, outcome, now, now)], now)
            reads = [Read(t.seq, PRESENT, now, now) for t in tracker.due(0, now, 1000)]
            tracker.observe(0, reads, now)
            tracker.take()

    tracemalloc.start()
    try:
        events(0, 3_000)
        before, _ = tracemalloc.get_traced_memory()
        events(3_000, 12_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000, "memory follows what is outstanding, not the length of the run"


# -- any order of things -------------------------------------------------------------------------------


@dataclass
class Life:
    """What is planned for one event. Times from its publish; `visible` and `hidden` per replica."""

    outcome: Outcome
    answer_after_ns: int
    visible: Sequence[int | None]
    hidden: tuple[int, int] | None
    sent_ns: int = 0

    def shows(self, replica: int, at_ns: int) -> bool:
        since = self.visible[replica]
        if since is None or at_ns - self.sent_ns < since:
            return False
        return self.hidden is None or not self.hidden[0] <= at_ns - self.sent_ns < self.hidden[1]

    def rises(self) -> list[int]:
        """When some replica begins to show it."""
        times = [since for since in self.visible if since is not None]
        if self.hidden is not None and times:
            times.append(self.hidden[1])
        return [self.sent_ns + time for time in times]


@dataclass
class ReadModel:
    """A read model in front of which the tracker is played through, to the end or to `close_ns`."""

    lives: Sequence[Life]
    names: Sequence[str | None]
    rng: random.Random
    failing: float = 0.0
    close_ns: int | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)

    def play(self) -> list[Observation]:
        known = tuple(name for name in self.names if name is not None)
        tracker = Tracker([{0: plan_of(replicas=known, **self.plan)}], 1)
        turn = count()
        agenda: list[tuple[int, int, Callable[[int], None]]] = []
        settled: list[Observation] = []
        for seq, life in enumerate(self.lives):

            def publish(now: int, seq: int = seq, life: Life = life) -> None:
                life.sent_ns = now
                tracker.expect([event_of(seq, now)], now)
                heappush(agenda, (now + life.answer_after_ns, next(turn), lambda at: answer(at, seq, life)))

            heappush(agenda, (seq * 3 * MS, next(turn), publish))

        def answer(now: int, seq: int, life: Life) -> None:
            answered = life.outcome in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED)
            sent = None if life.outcome is Outcome.UNSENT else life.sent_ns
            tracker.settle([Receipt(seq, life.outcome, sent, now if answered else None)], now)

        def read(now: int) -> None:
            targets = tracker.due(0, now, self.rng.choice((1, 7, 500)))
            if not targets:
                return
            looked, ends = now + self.rng.randrange(2 * MS), now + 2 * MS + self.rng.randrange(2 * MS)
            replica = self.rng.randrange(len(self.names))
            failed = self.rng.random() < self.failing
            reads = []
            for target in targets:
                shown = self.lives[target.seq].shows(replica, looked)
                seen = FAILED if failed else PRESENT if shown else ABSENT
                reads.append(Read(target.seq, seen, now, ends, replica=None if failed else self.names[replica]))
            self.rng.shuffle(reads)
            heappush(agenda, (ends, next(turn), lambda at: tracker.observe(0, reads, at)))

        now = 0
        while agenda or tracker.outstanding:
            due = tracker.next_due(0)
            if due is not None and (not agenda or due <= agenda[0][0]):
                now = max(now, due)
                if self.close_ns is None or now < self.close_ns:
                    read(now)
                    continue
            if self.close_ns is not None and (not agenda or agenda[0][0] >= self.close_ns):
                tracker.close(self.close_ns)
                settled += tracker.take()
                break
            now, _, action = heappop(agenda)
            action(now)
            settled += tracker.take()
        assert tracker.outstanding == tracker.unanswered == 0
        return settled


def lives(replicas: int, *, hidden: bool, outcomes: Sequence[Outcome]) -> st.SearchStrategy[list[Life]]:
    times = st.integers(0, 3 * S) | st.integers(0, 40 * MS)
    return st.lists(
        st.builds(
            Life,
            outcome=st.sampled_from(outcomes),
            answer_after_ns=st.integers(0, 12 * S) | st.integers(0, 60 * MS),
            visible=st.lists(times, min_size=replicas, max_size=replicas) | st.just([None] * replicas),
            hidden=st.tuples(st.integers(3 * S, 4 * S), st.integers(4 * S, 20 * S)) if hidden else st.none(),
        ),
        min_size=1,
        max_size=8,
    )


QUICK: Mapping[str, Any] = {"deadline_ns": 4 * S, "confirm_over_ns": 2 * S, "confirm_reads": 3}
ANY = list(Outcome)
SENT = [Outcome.ACCEPTED, Outcome.IN_DOUBT]


@settings(max_examples=60, deadline=None)
@given(
    lives(2, hidden=True, outcomes=ANY), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 1.0]),
    st.none() | st.integers(0, 20 * S), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([("a", "b"), (None, None)]),
)  # fmt: skip
def test_every_event_is_settled_once_whatever_comes_in_which_order(
    planned: list[Life], seed: int, failing: float, close_ns: int | None, sample: float, names: Sequence[str | None]
) -> None:
    model = ReadModel(planned, names, random.Random(seed), failing, close_ns, {**QUICK, "sample": sample})
    settled = model.play()
    published = [seq for seq in range(len(planned)) if close_ns is None or seq * 3 * MS < close_ns]
    assert sorted(seen.seq for seen in settled) == published
    decided = {
        Outcome.REJECTED: State.REJECTED, Outcome.RETURNED: State.RETURNED, Outcome.UNSENT: State.UNSENT,
        Outcome.IN_DOUBT: State.IN_DOUBT,
    }  # fmt: skip
    followed = {State.VISIBLE, State.LOST, State.REGRESSED, State.UNOBSERVED}
    for seen in settled:
        life = planned[seen.seq]
        answered = close_ns is None or life.sent_ns + life.answer_after_ns < close_ns
        if not answered:
            assert seen.state is State.IN_DOUBT
        elif life.outcome is Outcome.ACCEPTED:
            assert seen.state in (followed if close_ns is None else followed | {State.PENDING})
            assert seen.acked_ns == life.sent_ns + life.answer_after_ns
        else:
            assert seen.state is decided[life.outcome]
        if seen.state is State.LOST:
            last = seen.stable_lower_ns
            assert last is not None
            assert seen.acked_ns is not None
            assert last >= seen.acked_ns + QUICK["deadline_ns"], "lost needs a read at or after the deadline"
        if failing == 1.0:
            assert seen.state not in (State.VISIBLE, State.LOST, State.REGRESSED)
            assert (seen.first_lower_ns, seen.stable_upper_ns) == (None, None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3).flatmap(lambda n: lives(n, hidden=False, outcomes=SENT)), st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3]), st.none() | st.integers(0, 10 * S),
)  # fmt: skip
def test_brackets_contain_the_truth(planned: list[Life], seed: int, failing: float, close_ns: int | None) -> None:
    """Named replicas, and a single one without a name: first and stable contain what they are about."""
    replicas = {len(life.visible) for life in planned}.pop()
    names = ["a", "b", "c"][:replicas] if replicas > 1 or seed % 2 else [None]
    for seen in ReadModel(planned, names, random.Random(seed), failing, close_ns, QUICK).play():
        life = planned[seen.seq]
        rises = life.rises()
        low, high = seen.first_lower_ns or life.sent_ns - 1, seen.first_upper_ns
        stable_low, stable_high = seen.stable_lower_ns or life.sent_ns - 1, seen.stable_upper_ns
        if not rises:
            assert high is None
            assert stable_high is None
            continue
        assert low < min(rises)
        assert stable_low < max(rises)
        assert high is None or min(rises) <= high
        assert stable_high is None or max(rises) <= stable_high
        assert seen.regressions == 0
        if seen.state is State.VISIBLE:
            assert high is not None
            assert stable_high is not None


@settings(max_examples=60, deadline=None)
@given(lives(2, hidden=True, outcomes=SENT), st.integers(0, 2**32), st.sampled_from([("a", "b"), (None, None)]))
def test_a_stable_bracket_contains_a_moment_from_which_reads_found_it(
    planned: list[Life], seed: int, names: Sequence[str | None]
) -> None:
    """Also where events disappear, and where replicas can't be told apart: within (L, R] one began to show it.

    Without names more can't be said: that it is the last one to do so would need to know who answered.
    """
    for seen in ReadModel(planned, names, random.Random(seed), 0.0, None, QUICK).play():
        life = planned[seen.seq]
        low, high = seen.stable_lower_ns or life.sent_ns - 1, seen.stable_upper_ns
        rises = life.rises()
        if rises:
            assert low < max(rises)
            assert seen.first_upper_ns is None or min(rises) <= seen.first_upper_ns
            if high is not None:
                assert any(low < rise for rise in rises)
                assert min(rises) <= high
        if seen.regressions:
            assert life.hidden is not None or names[0] is None
        if names[0] is not None and high is not None:
            assert any(low < rise <= high for rise in rises)


def test_outcomes_are_spread_over_all_states() -> None:
    """The random plays above are worth something: together they meet every state."""
    met: Counter[State] = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        planned = [
            Life(
                rng.choice(ANY), rng.randrange(2 * S),
                [rng.choice((None, rng.randrange(3 * S))), rng.choice((None, rng.randrange(3 * S)))],
                (3 * S, rng.choice((4 * S, 90 * S))) if rng.random() < 0.4 else None,
            )
            for _ in range(6)
        ]  # fmt: skip
        close_ns = rng.choice((None, None, 2 * S))
        met.update(s.state for s in ReadModel(planned, "ab", rng, rng.choice((0, 0.9)), close_ns, QUICK).play())
    assert met.keys() == set(State)
