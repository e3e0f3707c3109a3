"""Effects that are pushed to a probe: exact moments, counted deliveries, and a closing question for the rest."""

from __future__ import annotations

from dataclasses import replace

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Event, Read, Receipt
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.tracker import Tracker

S = 1_000_000_000
PLAN = ReadingPlan(
    deadline_ns=10 * S,
    first_ns=S // 50,
    resolution=0.1,
    max_gap_ns=None,
    sample=1.0,
    confirm_reads=5,
    confirm_over_ns=4 * S,
    pushed=True,
)


def followed(*, acked: int | None = 100) -> Tracker:
    tracker = Tracker([{0: PLAN}], 1)
    tracker.expect([Event(0, "id", 0, 0, 0, None, b"", (), ())], 0)
    if acked is not None:
        tracker.settle([Receipt(0, Outcome.ACCEPTED, 10, acked)], acked)
    return tracker


def delivery(at: int, position: int = 1) -> Read:
    return Read(0, Seen.PRESENT, at, at, position=position, exact=True)


def test_a_delivery_is_an_exact_moment_and_settles_after_the_confirming_time() -> None:
    tracker = followed()
    tracker.push(0, [delivery(S)])
    assert tracker.due(0, 4 * S, 10) == []
    assert tracker.take() == []
    assert tracker.due(0, 5 * S, 10) == []
    (seen,) = tracker.take()
    assert seen.state is State.VISIBLE
    assert (seen.first_lower_ns, seen.first_upper_ns) == (S, S)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (S, S)
    assert (seen.effects, seen.reads) == (1, 0)
    assert tracker.outstanding == 0


def test_a_version_that_nobody_asks_for_says_nothing_of_how_old_an_answer_was() -> None:
    for versions, staleness in ((False, None), (True, 1)):
        tracker = Tracker([{0: replace(PLAN, versions=versions)}], 1)
        tracker.expect([Event(seq, f"id-{seq}", 0, 0, 0, "k", b"", (), ()) for seq in range(2)], 0)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 10, 100) for seq in range(2)], 100)
        tracker.push(0, [Read(0, Seen.PRESENT, S, S, exact=True, version=1.0)])
        tracker.due(0, 5 * S, 10)
        assert [seen.staleness for seen in tracker.take()] == [staleness]


def test_each_delivery_is_one_effect() -> None:
    tracker = followed()
    tracker.push(0, [delivery(S), delivery(2 * S, position=9), delivery(3 * S)])
    tracker.due(0, 5 * S, 10)
    (seen,) = tracker.take()
    assert seen.effects == 3
    assert seen.duplicated
    assert seen.position == 1
    assert seen.stable_upper_ns == S


def test_what_did_not_come_is_asked_about_at_its_deadline_and_lost() -> None:
    tracker = followed()
    assert tracker.next_due(0) is not None
    assert tracker.due(0, 10 * S, 10) == []
    (target,) = tracker.due(0, 10 * S + 100, 10)
    assert target.seq == 0
    tracker.observe(0, [Read(0, Seen.ABSENT, 10 * S + 100, 10 * S + 200)], 10 * S + 200)
    (seen,) = tracker.take()
    assert seen.state is State.LOST
    assert seen.stable_upper_ns is None


def test_what_is_acked_after_it_was_asked_about_is_asked_about_again_at_its_deadline() -> None:
    tracker = followed(acked=None)
    assert tracker.due(0, 10 * S, 10)
    tracker.observe(0, [Read(0, Seen.ABSENT, 10 * S, 10 * S + 1)], 10 * S + 1)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 10, 6 * S)], 10 * S + 2)
    asked = []
    while tracker.outstanding:
        at = tracker.next_due(0)
        assert at is not None
        if tracker.due(0, at, 10):
            asked.append(at)
            tracker.observe(0, [Read(0, Seen.ABSENT, at, at + 1)], at + 1)
    assert asked == [16 * S]
    assert [seen.state for seen in tracker.take()] == [State.LOST]


def test_a_tap_that_was_cut_off_proves_no_absence() -> None:
    tracker = followed()
    now = 10 * S + 100
    while tracker.outstanding and now < 100 * S:
        if tracker.due(0, now, 10):
            tracker.observe(0, [Read(0, Seen.FAILED, now, now)], now)
        now += S // 10
    (seen,) = tracker.take()
    assert seen.state is State.UNOBSERVED


def test_a_delivery_while_the_question_is_under_way_is_no_regression() -> None:
    tracker = followed()
    now = 10 * S + 100
    assert tracker.due(0, now, 10)
    tracker.push(0, [delivery(now + 5)])
    tracker.observe(0, [Read(0, Seen.ABSENT, now, now + 10)], now + 10)
    tracker.due(0, now + 5 * S, 10)
    (seen,) = tracker.take()
    assert seen.state is State.VISIBLE
    assert seen.regressions == 0


def test_a_delivery_before_the_confirm_waits_for_it() -> None:
    tracker = followed(acked=None)
    tracker.push(0, [delivery(5)])
    assert tracker.due(0, 5 * S, 10) == []
    assert tracker.take() == []
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 1, 6 * S)], 6 * S)
    tracker.due(0, 7 * S, 10)
    (seen,) = tracker.take()
    assert seen.state is State.VISIBLE
    assert seen.stable_upper_ns == 5


def test_a_bracket_is_looked_after_from_its_end() -> None:
    tracker = followed()
    tracker.push(0, [Read(0, Seen.PRESENT, S, 3 * S)])
    assert tracker.next_due(0) == 7 * S
    assert tracker.due(0, 7 * S - 1, 10) == []
    assert tracker.take() == []
    assert tracker.due(0, 7 * S, 10) == []
    (seen,) = tracker.take()
    assert (seen.state, seen.stable_lower_ns, seen.stable_upper_ns, seen.settled_ns) == (
        State.VISIBLE,
        S,
        3 * S,
        7 * S,
    )
