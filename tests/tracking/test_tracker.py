"""The tracker, one event or a few at a time: what it makes of receipts and reads, by values."""

from __future__ import annotations

import tracemalloc
from itertools import count, pairwise

import pytest

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Event, Read, Receipt
from evload.tracking.sampling import is_chosen
from evload.tracking.tracker import Tracker
from tests.rigs.following import Follow, event_of, from_time, plan_of

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED


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


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_the_transport_said_is_kept(outcome: Outcome) -> None:
    follow = Follow(sent_ns=3 * MS)
    sent = None if outcome is Outcome.UNSENT else 4 * MS
    acked = None if outcome in (Outcome.UNSENT, Outcome.IN_DOUBT) else 9 * MS
    follow.tracker.settle([Receipt(0, outcome, sent, acked, "503 for now")], 10 * MS)
    follow.tracker.close(11 * MS)
    seen = follow.outcome()
    assert (seen.sent_ns, seen.detail) == (sent, "503 for now")
    assert seen.acked_ns == (9 * MS if outcome is Outcome.ACCEPTED else None)


def test_an_event_without_a_receipt_says_so() -> None:
    follow = Follow(sent_ns=3 * MS)
    follow.tracker.close(11 * MS)
    seen = follow.outcome()
    assert (seen.state, seen.sent_ns, seen.acked_ns) == (State.IN_DOUBT, 3 * MS, None)
    assert (seen.settled_ns, seen.detail) == (11 * MS, "no answer when the run ended")


def test_a_second_receipt_is_a_bug_in_the_producer() -> None:
    follow = Follow().acked()
    with pytest.raises(ValueError, match="settled twice"):
        follow.acked()
    follow.until_settled(lambda at: PRESENT)
    with pytest.raises(KeyError):
        follow.acked()


def test_a_second_receipt_is_a_bug_where_nobody_reads_too() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([Event(0, "id-0", 0, 0, 5, None, b"body", (), ())], 5)
    assert (tracker.outstanding, tracker.unanswered) == (1, 1)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 6, 7)], 8)
    assert (tracker.outstanding, tracker.unanswered, tracker.settled) == (0, 0, 1)
    with pytest.raises(KeyError):
        tracker.settle([Receipt(0, Outcome.ACCEPTED, 6, 7)], 9)
    tracker.close(10)
    assert [(seen.state, seen.bytes_out) for seen in tracker.take()] == [(State.UNOBSERVED, 4)]


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


def test_what_the_target_called_an_event_is_kept() -> None:
    follow = Follow()
    follow.answered(Outcome.ACCEPTED, 3 * S, capture="order-7")
    assert follow.until_settled(lambda at: PRESENT).capture == "order-7"
    assert Follow().acked().until_settled(lambda at: PRESENT).capture is None


def test_nobody_reads_what_nobody_probes() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([event_of(n) for n in range(2)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 1), Receipt(1, Outcome.IN_DOUBT, 0, None)], 5)
    assert [(seen.state, seen.sampled) for seen in tracker.take()] == [
        (State.UNOBSERVED, False),
        (State.IN_DOUBT, False),
    ]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.ACCEPTED, State.UNOBSERVED), (Outcome.REJECTED, State.REJECTED), (Outcome.IN_DOUBT, State.IN_DOUBT)],
)
def test_copies_of_what_nobody_probes_are_told(outcome: Outcome, state: State) -> None:
    tracker = Tracker([{}], 0, resent=[1.0])
    tracker.expect([event_of(0)], 0)
    tracker.settle([Receipt(0, outcome, 0, 1)], 5)
    assert [(seen.seq, seen.state, seen.resent) for seen in tracker.take()] == [(0, state, True)]
    assert tracker.outstanding == tracker.unanswered == 0


# -- events that are not followed closely --------------------------------------------------------------


@pytest.mark.parametrize(("found", "state"), [(ABSENT, State.LOST), (PRESENT, State.VISIBLE)])
def test_an_unsampled_event_is_read_once_at_its_deadline(found: Seen, state: State) -> None:
    follow = Follow(sample=0.0).acked(5 * MS)
    seen = follow.until_settled(lambda at: found)
    assert follow.starts == [5 * MS + 10 * S]
    assert (seen.state, seen.sampled, seen.reads) == (state, False, 1)


@pytest.mark.parametrize("replicas", [(), ("a", "b")])
def test_of_an_unsampled_event_failed_reads_show_nothing(replicas: tuple[str, ...]) -> None:
    seen = Follow(sample=0.0, replicas=replicas).acked().until_settled(lambda at: FAILED)
    assert (seen.state, seen.stable_upper_ns, seen.reads == seen.failed_reads) == (State.UNOBSERVED, None, True)


def test_an_unsampled_event_is_not_lost_by_a_read_before_its_deadline() -> None:
    follow = Follow(sample=0.0).read(ABSENT)
    assert follow.starts == [10 * S]
    seen = follow.acked(10 * S).until_settled(lambda at: FAILED)
    assert seen.state is State.UNOBSERVED


def test_an_unsampled_event_whose_receipt_came_late_is_asked_about_again_at_its_own_deadline() -> None:
    """It was acked at 4 s, but that was only told after the question at 10 s had begun."""
    follow = Follow(sample=0.0)
    assert follow.start() == 10 * S
    follow.acked(4 * S)
    follow.end(ABSENT)
    seen = follow.until_settled(lambda at: ABSENT)
    assert follow.starts == [10 * S, 14 * S]
    assert seen.state is State.LOST


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_the_sample_has_its_share_and_is_always_the_same(share: float) -> None:
    chosen = [is_chosen(seq, share, "sample") for seq in range(20_000)]
    assert chosen == [is_chosen(seq, share, "sample") for seq in range(20_000)]
    assert abs(sum(chosen) / 20_000 - share) < 0.01
    assert all(abs(sum(chosen[k::10]) / 2_000 - share) < 0.04 for k in range(10)), "in step with no period"


def test_who_chooses_again_with_another_version_chooses_the_same() -> None:
    sampled = [seq for seq in range(400) if is_chosen(seq, 0.03, "sample")]
    resent = [seq for seq in range(400) if is_chosen(seq, 0.03, "resend")]
    assert sampled == [2, 33, 53, 94, 203, 230, 249, 254, 319, 366]
    assert resent == [62, 95, 162, 201, 220, 309, 325, 346, 360, 367, 394, 398]
    assert [seq for seq in range(30) if is_chosen(seq, 0.5, "sample")] == [1, 2, 4, 5, 6, 8, 10, 16, 18, 23, 26, 27]


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


def test_what_was_missed_before_its_replica_had_a_name_bounds_it_all_the_same() -> None:
    follow = Follow().acked().read(ABSENT)
    seen = follow.until_settled(lambda at: (PRESENT, "a"))
    assert (seen.state, seen.stable_lower_ns) == (State.VISIBLE, follow.starts[0])
    assert seen.first_upper_ns == seen.stable_upper_ns == follow.starts[1] + MS
    assert seen.first_lower_ns is None, "it may have been another one"


def test_what_was_answered_before_any_replica_had_a_name_belongs_to_none() -> None:
    """Event 0 is missed by somebody, then shown by `a` alone; that there is a `b` is learned from event 1."""
    tracker = Tracker([{0: plan_of()}], 1)
    tracker.expect([event_of(0), event_of(1)], 0)
    tracker.settle([Receipt(n, Outcome.ACCEPTED, 0, 0) for n in range(2)], 0)
    answers = {0: iter([(ABSENT, None), *[(PRESENT, "a")] * 1_000]), 1: iter([(ABSENT, "b")] * 1_000)}
    while tracker.outstanding:
        at = tracker.next_due(0)
        assert at is not None
        for target in tracker.due(0, at, 1):
            seen, replica = next(answers[target.seq])
            tracker.observe(0, [Read(target.seq, seen, at, at + MS, replica=replica)], at + MS)
    shown = next(seen for seen in tracker.take() if seen.seq == 0)
    assert (shown.state, shown.first_lower_ns, shown.stable_upper_ns) == (State.UNOBSERVED, None, None)
    assert [(part.replica, part.state) for part in shown.parts] == [
        (None, State.UNOBSERVED), ("a", State.VISIBLE), ("b", State.UNOBSERVED),
    ]  # fmt: skip


def test_who_missed_it_at_its_deadline_was_none_of_the_replicas_that_are_known_since() -> None:
    """Its ack is told late: it was missed by somebody before, and can't be read any more when there is a replica."""
    for named, state in ((None, State.LOST), ("b", State.UNOBSERVED)):
        tracker = Tracker([{0: plan_of()}], 1)
        tracker.expect([event_of(0), event_of(1)], 0)
        told = False
        while not tracker.settled:
            at = tracker.next_due(0)
            assert at is not None
            for target in tracker.due(0, at, 1):
                answer, replica = (FAILED if told else ABSENT, None) if target.seq == 0 else (ABSENT, named)
                if target.seq == 1 and at < 12 * S:
                    replica = None
                tracker.observe(0, [Read(target.seq, answer, at, at + MS, replica=replica)], at + MS)
                if target.seq == 1 and at >= 12 * S and not told:
                    told = True
                    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 5 * MS)], at + MS)
        (first,) = tracker.take()
        assert (first.seq, first.state) == (0, state)


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


@pytest.mark.parametrize(("met", "other"), ["ab", "ba"])
def test_a_negative_answer_without_a_name_after_all_showed_it_is_a_regression(met: str, other: str) -> None:
    follow = Follow(replicas=("a", "b")).acked().read((PRESENT, "a"), (PRESENT, "b"), ABSENT, (PRESENT, met))
    seen = follow.until_settled(lambda at: (PRESENT, other))
    assert (seen.regressions, seen.stable_lower_ns) == (1, follow.starts[2])
    assert seen.stable_upper_ns == follow.starts[4] + MS, "each has to be met anew"


def test_where_one_replica_is_known_an_answer_without_a_name_is_its_own() -> None:
    follow = Follow(replicas=("only",)).acked().read(ABSENT)
    seen = follow.until_settled(lambda at: PRESENT)
    assert (seen.state, seen.first_lower_ns) == (State.VISIBLE, follow.starts[0])


def test_a_positive_answer_without_a_name_moves_no_end() -> None:
    """Each replica showed it; who answers after that says nothing new."""
    follow = Follow(replicas=("a", "b")).acked().read((ABSENT, "a"), (PRESENT, "a"), (PRESENT, "b"), PRESENT)
    seen = follow.until_settled(lambda at: PRESENT)
    assert (seen.state, seen.regressions) == (State.VISIBLE, 0)
    assert seen.first_upper_ns == follow.starts[1] + MS
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (follow.starts[0], follow.starts[2] + MS)


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


def test_what_was_settled_first_is_handed_out_first_whatever_its_number() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([event_of(n) for n in range(4)], 0)
    for seq, now_ns in ((2, 5), (3, 5), (0, 7), (1, 9)):
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 1)], now_ns)
    assert [(seen.seq, seen.settled_ns) for seen in tracker.take()] == [(2, 5), (3, 5), (0, 7), (1, 9)]


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
            tracker.expect([event_of(n, key=f"key-{n}")], now)
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


# -- what is told of an event that is settled ------------------------------------------------------------


def test_a_secret_in_a_key_is_told_nobody() -> None:
    tracker = Tracker([{}], 0, hide=lambda text: text.replace("hunter2", "***"))
    tracker.expect([event_of(0, key="a-hunter2"), event_of(1)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 1) for seq in range(2)], 1)
    assert [seen.key for seen in tracker.take()] == ["a-***", None]


def test_the_share_that_is_followed_closely_is_that_which_was_asked_for() -> None:
    for share in (0.0, 0.3, 1.0):
        tracker = Tracker([{0: plan_of(sample=share, confirm_reads=0)}], 1)
        for seq in range(60):
            tracker.expect([event_of(seq)], 0)
            tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
        while (at := tracker.next_due(0)) is not None:
            tracker.observe(0, [Read(one.seq, PRESENT, at, at + MS) for one in tracker.due(0, at, 99)], at + MS)
        seen = tracker.take()
        assert [one.seq for one in seen if one.sampled] == [n for n in range(60) if is_chosen(n, share, "sample")]
        assert {one.state for one in seen} == {State.VISIBLE}


def test_an_event_of_which_copies_are_sent_is_looked_after_until_they_had_time() -> None:
    """Also where nothing is confirmed: a copy may have an effect of its own until then."""
    for resent, settled in ((0.0, 26 * MS), (1.0, 3_026 * MS)):
        tracker = Tracker([{0: plan_of(confirm_reads=0, resent_for_ns=3 * S)}], 1, resent=[resent])
        tracker.expect([event_of(0)], 0)
        tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 5 * MS)], 5 * MS)
        while (at := tracker.next_due(0)) is not None:
            effects = 2 if at > S else 1
            reads = [Read(one.seq, PRESENT, at, at + MS, effects=effects) for one in tracker.due(0, at, 99)]
            tracker.observe(0, reads, at + MS)
        (seen,) = tracker.take()
        assert seen.settled_ns == pytest.approx(settled, abs=2 * MS)
        assert (seen.resent, seen.effects) == (bool(resent), 2 if resent else 1)


@pytest.mark.parametrize(
    ("outcome", "state", "size"),
    [
        (Outcome.ACCEPTED, State.UNOBSERVED, 300),
        (Outcome.REJECTED, State.REJECTED, 300),
        (Outcome.RETURNED, State.RETURNED, 300),
        (Outcome.IN_DOUBT, State.IN_DOUBT, 300),
        (Outcome.UNSENT, State.UNSENT, None),
        # The run ended before there was an answer.
        (None, State.IN_DOUBT, 300),
    ],
)
def test_the_size_of_what_was_sent(outcome: Outcome | None, state: State, size: int | None) -> None:
    tracker = Tracker([{}], 0)
    event = Event(0, "id-0", 0, 0, 0, None, b"x" * 300, (), ())
    tracker.expect([event], 0)
    if outcome is not None:
        tracker.settle([Receipt(0, outcome, 0, 1 if outcome is Outcome.ACCEPTED else None)], 1)
    tracker.close(2)
    (seen,) = tracker.take()
    assert (seen.state, seen.bytes_out) == (state, size)


def test_what_the_answer_to_a_publish_told_besides_is_known_of_its_event() -> None:
    tracker = Tracker([{}], 0)
    tracker.expect([event_of(0), event_of(1)], 0)
    told = {"status": 202, "bytes_in": 17, "tags": "cold"}
    answers = (
        Receipt(0, Outcome.ACCEPTED, 0, 1, "", "server-1", told),
        Receipt(1, Outcome.REJECTED, 0, 1, "too large"),
    )
    tracker.settle(answers, 1)
    first, second = tracker.take()
    assert (first.status, first.bytes_in, first.tags, first.detail, first.capture) == (
        202,
        17,
        "cold",
        "",
        "server-1",
    )
    assert (second.status, second.bytes_in, second.tags, second.detail, second.capture) == (
        None, None, "", "too large", None,
    )  # fmt: skip
