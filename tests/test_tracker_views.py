"""Several probes, replicas with an address each, sessions, versions, copies: what the tracker makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Event, Observation, Read, Receipt
from evload.tracking.profile import is_explorer
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.sampling import is_chosen
from evload.tracking.tracker import Origin, Tracker

MS = 1_000_000
S = 1_000 * MS
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED


def plan(**changes: Any) -> ReadingPlan:
    basis: dict[str, Any] = {
        "deadline_ns": 2 * S, "first_ns": 20 * MS, "resolution": 0.1, "max_gap_ns": None, "sample": 1.0,
        "confirm_reads": 0, "confirm_over_ns": 0,
    }  # fmt: skip
    return ReadingPlan(**basis | changes)


def event(seq: int, key: str | None = None) -> Event:
    return Event(seq, f"id-{seq}", 0, 0, 0, key, b"", (), ())


class World:
    """Readers that see an event from a time on, each its own; `None`: never; a list of (from, seen) otherwise."""

    def __init__(self, shows: Sequence[int | None], origins: Sequence[Origin], **changes: Any) -> None:
        self.shows = shows
        self.origins = origins
        self.tracker = Tracker([dict.fromkeys(range(len(origins)), plan(**changes))], origins)
        self.reads: list[tuple[int, int, Seen]] = []

    def follow(self, acked_ns: int = 5 * MS) -> Observation:
        tracker = self.tracker
        tracker.expect([event(0)], 0)
        tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, acked_ns)], acked_ns)
        while not tracker.settled:
            dues = [(due, reader) for reader in range(len(self.origins)) if (due := tracker.next_due(reader))]
            assert dues, "nothing is due any more"
            at, reader = min(dues)
            for target in tracker.due(reader, at, 10):
                shown = self.shows[reader]
                seen = PRESENT if shown is not None and at >= shown else ABSENT
                self.reads.append((reader, at, seen))
                tracker.observe(reader, [Read(target.seq, seen, at, at + MS)], at + MS)
        (seen_at_last,) = tracker.take()
        return seen_at_last


def test_each_probe_of_a_chain_has_a_part_of_its_own() -> None:
    seen = World([100 * MS, 300 * MS], [Origin(0), Origin(1)]).follow()
    first, second = seen.parts
    for part, truth in ((first, 100 * MS), (second, 300 * MS)):
        assert part.stable_lower_ns is not None
        assert part.stable_upper_ns is not None
        assert part.stable_lower_ns < truth <= part.stable_upper_ns
    assert (first.probe, second.probe, first.replica) == (0, 1, None)
    assert (seen.first_lower_ns, seen.first_upper_ns) == (first.stable_lower_ns, first.stable_upper_ns)
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (second.stable_lower_ns, second.stable_upper_ns)
    assert (seen.state, first.state, second.state) == (State.VISIBLE,) * 3


def test_a_probe_that_never_shows_an_event_is_the_one_that_lost_it() -> None:
    seen = World([100 * MS, None], [Origin(0), Origin(1)]).follow()
    assert seen.state is State.LOST
    assert [part.state for part in seen.parts] == [State.VISIBLE, State.LOST]
    assert seen.parts[1].stable_upper_ns is None


def test_replicas_with_an_address_each_are_one_probe() -> None:
    seen = World([50 * MS, 400 * MS], [Origin(0, "eu"), Origin(0, "us")]).follow()
    whole, eu, us = seen.parts
    assert [(part.probe, part.replica) for part in seen.parts] == [(0, None), (0, "eu"), (0, "us")]
    assert whole.first_upper_ns == eu.stable_upper_ns
    assert (whole.stable_lower_ns, whole.stable_upper_ns) == (us.stable_lower_ns, us.stable_upper_ns)
    assert (seen.agreeing, seen.asked) == (2, 2)


def test_a_lost_replica_says_nothing_and_hides_nothing() -> None:
    """A replica whose reads all fail: the event is neither visible everywhere nor lost."""
    world = World([50 * MS, None], [Origin(0, "eu"), Origin(0, "us")])
    tracker = world.tracker
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    while not tracker.settled:
        at, reader = min((due, reader) for reader in (0, 1) if (due := tracker.next_due(reader)))
        for target in tracker.due(reader, at, 10):
            seen = FAILED if reader else PRESENT if at >= 50 * MS else ABSENT
            tracker.observe(reader, [Read(target.seq, seen, at, at + MS)], at + MS)
    (found,) = tracker.take()
    assert found.state is State.UNOBSERVED
    assert [part.state for part in found.parts] == [State.UNOBSERVED, State.VISIBLE, State.UNOBSERVED]
    assert (found.agreeing, found.asked) == (1, 1)
    assert found.stable_upper_ns is None


def test_reads_that_go_back_in_time_across_replicas_are_not_monotonic() -> None:
    origins = [Origin(0, "eu"), Origin(0, "us")]
    assert World([50 * MS, 400 * MS], origins).follow().non_monotonic
    assert not World([50 * MS, 50 * MS], [Origin(0), Origin(1)]).follow().non_monotonic
    assert not World([50 * MS, 400 * MS], [Origin(0), Origin(1)]).follow().non_monotonic, "two probes are two models"
    assert World([50 * MS, 400 * MS], origins).follow().regressions == 0


@pytest.mark.parametrize(("shown_ns", "expected"), [(0, PRESENT), (8 * MS, ABSENT)])
def test_the_session_that_wrote_reads_right_after_its_ack(shown_ns: int, expected: Seen) -> None:
    world = World([shown_ns], [Origin(0)], session=True, confirm_reads=2, confirm_over_ns=S)
    seen = world.follow(acked_ns=5 * MS)
    assert world.reads[0][:2] == (0, 5 * MS)
    assert seen.session is expected


def test_without_an_ack_there_is_no_session_read() -> None:
    tracker = Tracker([{0: plan(session=True)}], 1)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.IN_DOUBT, 0, None)], MS)
    assert tracker.next_due(0) == 20 * MS


def test_an_answer_before_the_ack_is_no_session_read() -> None:
    tracker = Tracker([{0: plan(session=True)}], 1)
    tracker.expect([event(0)], 0)
    (target,) = tracker.due(0, 20 * MS, 10)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, 25 * MS)], 25 * MS)
    tracker.observe(0, [Read(target.seq, ABSENT, 20 * MS, 26 * MS)], 26 * MS)
    assert tracker.next_due(0) == 25 * MS, "the read that was on its way had begun before the ack"
    tracker.due(0, 26 * MS, 10)
    tracker.observe(0, [Read(0, PRESENT, 26 * MS, 27 * MS)], 27 * MS)
    assert tracker.take()[0].session is PRESENT


def test_staleness_counts_the_acked_writes_that_an_answer_lacks() -> None:
    tracker = Tracker([{0: plan(versions=True)}], 1)
    events = [event(0, "k"), event(1, "k"), event(2, "other")]
    tracker.expect(events, 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, MS) for seq in range(3)], MS)
    tracker.due(0, 30 * MS, 10)
    answers = [
        Read(0, PRESENT, 30 * MS, 31 * MS, version=1),
        Read(1, PRESENT, 30 * MS, 31 * MS, version=2),
        Read(2, PRESENT, 30 * MS, 31 * MS, version=1),
    ]
    tracker.observe(0, answers, 31 * MS)
    assert [seen.staleness for seen in tracker.take()] == [1, 0, 0]


def test_writes_that_are_acked_while_a_read_is_under_way_are_no_staleness() -> None:
    tracker = Tracker([{0: plan(versions=True)}], 1)
    tracker.expect([event(0, "k"), event(1, "k")], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    assert len(tracker.due(0, 30 * MS, 10)) == 2
    tracker.settle([Receipt(1, Outcome.ACCEPTED, 0, 31 * MS)], 31 * MS)
    tracker.observe(0, [Read(0, PRESENT, 30 * MS, 32 * MS, version=1)], 32 * MS)
    assert tracker.take()[0].staleness == 0


def test_an_event_of_which_copies_are_sent_is_watched_until_after_the_last() -> None:
    chosen = next(seq for seq in range(1000) if is_chosen(seq, 0.1, "resend"))
    other = next(seq for seq in range(1000) if not is_chosen(seq, 0.1, "resend"))
    settled = {}
    for seq in (chosen, other):
        tracker = Tracker([{0: plan(resent_for_ns=3 * S, confirm_reads=2, confirm_over_ns=S)}], 1, resent=[0.1])
        tracker.expect([event(seq)], 0)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
        while not tracker.settled:
            at = tracker.next_due(0)
            assert at is not None
            for target in tracker.due(0, at, 1):
                effects = 2 if at > 3 * S else 1
                tracker.observe(0, [Read(target.seq, PRESENT, at, at + MS, effects=effects)], at + MS)
        settled[seq] = tracker.take()[0]
    assert (settled[chosen].resent, settled[chosen].effects) == (True, 2)
    assert settled[chosen].settled_ns > 4 * S
    assert (settled[other].resent, settled[other].effects) == (False, 1)
    assert settled[other].settled_ns < 2 * S


def test_a_pushed_bracket_is_taken_as_it_is() -> None:
    tracker = Tracker([{0: plan(pushed=True, confirm_reads=1, confirm_over_ns=S)}], 1)
    tracker.expect([event(0)], 0)
    tracker.settle([Receipt(0, Outcome.ACCEPTED, 0, MS)], MS)
    tracker.push(0, [Read(0, PRESENT, 100 * MS, 200 * MS, effects=2)])
    tracker.push(0, [Read(0, PRESENT, 200 * MS, 300 * MS)])
    tracker.due(0, 2 * S, 10)
    (seen,) = tracker.take()
    assert (seen.stable_lower_ns, seen.stable_upper_ns) == (100 * MS, 200 * MS)
    assert seen.effects == 2, "brackets are no effects of their own"


def test_a_stretched_grid_reads_less_and_its_brackets_are_still_true() -> None:
    reads, widths = [], []
    for stretch in (1.0, 4.0):
        world = World([500 * MS], [Origin(0)])
        world.tracker.stretch[0] = stretch
        seen = world.follow()
        assert seen.stable_lower_ns is not None
        assert seen.stable_upper_ns is not None
        assert seen.stable_lower_ns < 500 * MS <= seen.stable_upper_ns
        reads.append(seen.reads)
        widths.append(seen.stable_upper_ns - seen.stable_lower_ns)
    assert reads[1] < reads[0] / 2
    assert widths[1] > 2 * widths[0]


def test_a_stretched_grid_still_reads_on_both_sides_of_a_threshold() -> None:
    world = World([900 * MS], [Origin(0)], pins=(("acked", 500 * MS),))
    world.tracker.stretch[0] = 8.0
    seen = world.follow(acked_ns=0)
    starts = [at for _, at, _ in world.reads]
    assert any(at < 500 * MS <= later for at, later in pairwise(starts))
    assert 500 * MS in starts
    assert seen.state is State.VISIBLE


def test_the_backlog_counts_what_is_due() -> None:
    tracker = Tracker([{0: plan()}], 1)
    tracker.expect([event(seq) for seq in range(50)], 0)
    assert (tracker.backlog(0, 19 * MS), tracker.backlog(0, 20 * MS)) == (0, 50)
    tracker.due(0, 20 * MS, 30)
    assert tracker.backlog(0, 20 * MS) == 20


def confirmed(tracker: Tracker, seq: int, hidden: bool = False) -> int:
    """Follow one event that is there at once, and may be missing in its second read; the number of its reads."""
    tracker.expect([event(seq)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
    reads = 0
    while not tracker.settled:
        at = tracker.next_due(0)
        assert at is not None
        for target in tracker.due(0, at, 1):
            reads += 1
            seen = ABSENT if hidden and reads == 2 else PRESENT
            tracker.observe(0, [Read(target.seq, seen, at, at + MS)], at + MS)
    tracker.take()
    return reads


def test_a_plan_that_learns_confirms_less_until_something_disappears() -> None:
    explorer = next(seq for seq in range(1000, 2000) if is_explorer(seq))
    usual = [seq for seq in range(1000, 2000) if not is_explorer(seq)]
    tracker = Tracker([{0: plan(learns=True, confirm_reads=5, confirm_over_ns=S)}], 1)
    assert [confirmed(tracker, seq) for seq in range(300)] == [6] * 300, "until enough were confirmed in full"
    assert (confirmed(tracker, usual[0]), confirmed(tracker, explorer)) == (2, 6)
    assert confirmed(tracker, usual[1], hidden=True) > 2
    assert confirmed(tracker, usual[2]) == 6, "something disappeared, so all are looked at again"


def test_where_an_objective_is_about_regressions_every_event_is_confirmed_in_full() -> None:
    tracker = Tracker([{0: plan(learns=True, confirm_all=True, confirm_reads=5, confirm_over_ns=S)}], 1)
    assert {confirmed(tracker, seq) for seq in range(400)} == {6}
