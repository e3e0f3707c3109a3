"""What was seen is looked at again, for a while: when, how often, and when that is enough."""

from __future__ import annotations

from typing import Any

import pytest

from evload.model.states import Outcome, Seen, State
from evload.model.travel import Read, Receipt
from evload.tracking.profile import is_explorer
from evload.tracking.tracker import Tracker
from tests.rigs.following import Follow, event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
ABSENT, PRESENT, FAILED = Seen.ABSENT, Seen.PRESENT, Seen.FAILED


# -- when it is enough -------------------------------------------------------------------------------------


def test_what_comes_back_late_is_not_confirmed_for_ever() -> None:
    """15 s after its ack, the deadline and the time to confirm, the last word is spoken."""
    follow = Follow().acked(0)
    seen = follow.until_settled(lambda at: ABSENT if at < 9 * S or 12 * S <= at < 13 * S else PRESENT)
    assert (seen.state, seen.regressions) == (State.VISIBLE, 1)
    came_back = next(at for at in follow.starts if at >= 13 * S)
    assert follow.starts[-1] == came_back + MS + S, "the next confirming read after it is past the 15 s"
    assert 15 * S <= follow.starts[-1] < 16 * S


# -- a plan that learns ------------------------------------------------------------------------------------


def starts_of(tracker: Tracker, seq: int, visible_ns: int | None) -> list[int]:
    """Follow one event, published at 0, until it is settled: when it was read."""
    tracker.expect([event_of(seq)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
    starts = []
    while not tracker.settled:
        at = tracker.next_due(0)
        assert at is not None
        for _ in tracker.due(0, at, 1):
            starts.append(at)
            found = PRESENT if visible_ns is not None and at >= visible_ns else ABSENT
            tracker.observe(0, [Read(seq, found, at, at)], at)
    tracker.take()
    return starts


def test_many_that_were_waited_for_in_vain_show_where_nothing_is_to_be_seen() -> None:
    """Every other event is lost, one in fifty of the others needs 3 s: in between nobody has to look, because so many
    were followed all the way."""
    tracker = Tracker([{0: plan_of(learns=True, deadline_ns=4 * S, confirm_reads=0, resolution=0.3)}], 1)
    usual = [seq for seq in range(1_000) if not is_explorer(seq)]
    for number in range(300):
        starts_of(tracker, usual[number], None if number % 2 else 3 * S if number % 100 == 0 else 50 * MS)
    waiting = starts_of(tracker, usual[-1], None)
    assert [at for at in waiting if 100 * MS < at < 2_900 * MS] == []
    assert len(waiting) == 5
    assert waiting[-1] == 4 * S


def taught(replicas: tuple[str, ...] = (), **changes: Any) -> Tracker:
    """A tracker that knows 300 events, each missed at 900 ms and shown at 1 s, and by a second replica 100 ms
    later."""
    tracker = Tracker([{0: plan_of(learns=True, confirm_reads=0, replicas=replicas, **changes)}], 1)
    for seq in range(300):
        tracker.expect([event_of(seq)], 0)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
        shown = [(S + number * 100 * MS, PRESENT, name) for number, name in enumerate(replicas or (None,))]
        # Who misses an event often can't say which replica it is.
        for at, found, replica in ((900 * MS, ABSENT, None), *shown):
            assert len(tracker.due(0, at, 1)) == 1
            tracker.observe(0, [Read(seq, found, at, at, replica=replica)], at)
    assert all(seen.state is State.VISIBLE for seen in tracker.take())
    return tracker


def first_read(tracker: Tracker, explorer: bool = False) -> int:
    """When a new event, acked at 0, is read first."""
    seq = next(seq for seq in range(1_000, 2_000) if is_explorer(seq) is explorer)
    tracker.expect([event_of(seq)], 0)
    tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, 0)], 0)
    while (at := tracker.next_due(0)) is not None and not tracker.due(0, at, 1):
        pass
    assert at is not None
    return at


@pytest.mark.parametrize("replicas", [(), ("a",), ("a", "b")])
def test_nobody_looks_where_none_was_ever_seen_to_become_visible(replicas: tuple[str, ...]) -> None:
    tracker = taught(replicas)
    assert 850 * MS < first_read(tracker) <= 900 * MS
    assert first_read(tracker, explorer=True) == 20 * MS, "but for a few, which would notice if that changed"


def test_the_first_read_after_a_gap_begins_half_its_slack_earlier() -> None:
    assert first_read(taught(slack_ns=100 * MS)) == first_read(taught()) - 50 * MS
