"""Events of which a read says that they came to another end: they are over at once, and nobody waits any longer."""

from __future__ import annotations

import pytest

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Read, Receipt
from evload.tracking.tracker import Origin, Tracker
from tests.rigs.following import Follow, event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, ENDED, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.ENDED, Seen.FAILED


def test_it_is_over_with_the_read_that_says_so_and_lies_after_the_last_one_that_did_not() -> None:
    follow = Follow(MS).acked(0).read(ABSENT, ABSENT, ENDED)
    seen = follow.outcome()
    assert seen.state is State.ENDED
    assert (seen.stable_lower_ns, seen.settled_ns) == (follow.starts[1], follow.starts[2] + MS)
    assert (seen.first_upper_ns, seen.stable_upper_ns, seen.reads, seen.regressions) == (None, None, 3, 0)
    assert seen.settled_ns < 10 * S, "its deadline"


def test_the_very_first_read_may_say_so() -> None:
    seen = Follow(MS).acked(0).read(ENDED).outcome()
    assert (seen.state, seen.stable_lower_ns) == (State.ENDED, None)


def test_a_read_that_fails_says_nothing_of_it() -> None:
    assert Follow(MS).acked(0).read(ABSENT, FAILED, ENDED).outcome().state is State.ENDED


def test_what_ended_before_its_ack_waits_for_that_and_no_longer() -> None:
    follow = Follow(MS, deadline_ns=10 * S).read(ENDED, ENDED)
    assert not follow.tracker.settled
    last = follow.starts[-1]
    follow.acked(last + 5 * MS).read(ENDED)
    assert follow.outcome().state is State.ENDED
    assert follow.starts[-1] < last + 2 * S


@pytest.mark.parametrize("outcome", [Outcome.IN_DOUBT, Outcome.REJECTED])
def test_the_publish_has_the_first_word(outcome: Outcome) -> None:
    follow = Follow(MS).read(ENDED).answered(outcome, 500 * MS)
    if outcome is Outcome.IN_DOUBT:
        follow.read(ENDED)
    assert follow.outcome().state.name == outcome.name


def test_what_was_shown_before_has_disappeared_and_ended() -> None:
    seen = Follow(MS, confirm_reads=5).acked(0).read(ABSENT, PRESENT, ENDED).outcome()
    assert (seen.state, seen.regressions, seen.stable_upper_ns) == (State.ENDED, 1, None)
    assert seen.first_upper_ns is not None


def test_an_event_that_is_read_once_may_have_ended() -> None:
    seen = Follow(MS, sample=0.0).acked(0).read(ENDED).outcome()
    assert (seen.state, seen.sampled, seen.settled_ns) == (State.ENDED, False, 10 * S + MS)


def test_other_probes_go_on_and_what_they_never_see_is_not_lost() -> None:
    """The first one shows it after all, the second has seen nothing by its deadline."""
    tracker = Tracker([{n: plan_of(confirm_reads=0) for n in range(3)}], [Origin(n) for n in range(3)])
    tracker.expect([event_of(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)

    def read(reader: int, seen: Seen, at: int) -> None:
        (target,) = tracker.due(reader, at, 9)
        tracker.observe(reader, [Read(target.seq, seen, at, at + MS)], at + MS)

    read(2, ENDED, 100 * MS)
    assert tracker.due(2, 20 * S, 9) == []
    read(0, PRESENT, 200 * MS)
    read(1, ABSENT, 300 * MS)
    assert not tracker.settled
    read(1, ABSENT, 11 * S)
    (event,) = tracker.take()
    assert (event.state, tracker.outstanding) == (State.ENDED, 0)
    assert [part.state for part in event.parts] == [State.VISIBLE, State.ENDED, State.ENDED]


def test_a_replica_that_showed_it_keeps_that_and_the_others_never_will() -> None:
    follow = Follow(MS, replicas=("a", "b")).acked(0)
    follow.read((PRESENT, "a"), (ENDED, "b"))
    seen = follow.outcome()
    assert seen.state is State.ENDED
    states = {part.replica: part.state for part in seen.parts}
    assert states["b"] is State.ENDED


def test_the_read_of_its_session_right_after_the_ack_did_not_show_it() -> None:
    seen = Follow(MS, session=True).acked(5 * MS).read(ENDED).outcome()
    assert (seen.state, seen.session) == (State.ENDED, ABSENT)
