"""What is known of acked events before they are settled: who waits for how long, and how long the others took."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from evload.model.states import Outcome, Seen
from evload.model.travel import Event, Read, Receipt
from evload.stats.recent import cell_of
from evload.tracking.outstanding import Moment, Outstanding
from evload.tracking.reading_plan import ReadingPlan
from evload.tracking.tracker import Tracker
from tests.rigs.following import event_of, plan_of

MS = 1_000_000
S = 1_000 * MS
PRESENT, ABSENT = Seen.PRESENT, Seen.ABSENT
CELL_NS = 34 * MS
"""Acks are kept as coarsely as that."""


def tracker_of(readers: int = 1, acked_ms: Sequence[int] = (0,), **changes: Any) -> Tracker:
    basis: dict[str, Any] = {
        "deadline_ns": 10 * S, "first_ns": 20 * MS, "resolution": 0.1, "max_gap_ns": None, "sample": 1.0,
        "confirm_reads": 5, "confirm_over_ns": 5 * S,
    }  # fmt: skip
    tracker = Tracker([dict.fromkeys(range(readers), ReadingPlan(**basis | changes))], readers)
    for seq, ms in enumerate(acked_ms):
        tracker.expect([Event(seq, f"id-{seq}", 0, 0, 0, None, b"", (), ())], 0)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, 0, ms * MS)], ms * MS)
    return tracker


def read(tracker: Tracker, at_ms: int, seen: Seen, reader: int = 0) -> None:
    """Read what is due at a moment, and see it or not."""
    at = at_ms * MS
    due = tracker.due(reader, at, 100)
    assert due, "nothing is due"
    tracker.observe(reader, [Read(one.seq, seen, at, at + MS) for one in due], at + MS)


def counts(moment: Moment) -> tuple[int, int]:
    return moment.waiting(), moment.shown()


def test_an_event_waits_from_its_ack_until_it_is_seen_and_is_gone_when_it_is_settled() -> None:
    tracker = tracker_of(acked_ms=[1_000])
    waiting = tracker.acked.at(4_900 * MS)
    assert counts(waiting) == (1, 0)
    assert waiting.oldest_ns == pytest.approx(3_900 * MS, abs=CELL_NS)
    assert (waiting.waiting(3_800 * MS), waiting.waiting(4_000 * MS)) == (1, 0)
    assert (waiting.waiting(scenario=0), waiting.waiting(scenario=1)) == (1, 0)
    read(tracker, 5_000, ABSENT)
    read(tracker, 6_000, PRESENT)
    seen = tracker.acked.at(7_000 * MS)
    assert (*counts(seen), seen.oldest_ns) == (0, 1, None)
    # It took from 4 s to 5 s.
    assert (seen.shown_beyond(3_900 * MS), seen.shown_beyond(4_100 * MS)) == (1, 0)
    lower, upper, ages = seen.values()
    assert (lower.total, upper.total, ages.total) == (1, 1, 0)
    tracker.close(8 * S)
    assert counts(tracker.acked.at(9 * S)) == (0, 0)


def test_what_disappears_waits_again_as_long_as_since_its_ack() -> None:
    tracker = tracker_of()
    read(tracker, 100, PRESENT)
    assert counts(tracker.acked.at(S)) == (0, 1)
    read(tracker, 2_000, ABSENT)
    moment = tracker.acked.at(3 * S)
    assert counts(moment) == (1, 0)
    assert moment.oldest_ns == pytest.approx(3 * S, abs=CELL_NS)
    read(tracker, 4_000, PRESENT)
    assert counts(tracker.acked.at(5 * S)) == (0, 1)


def test_it_waits_until_every_reader_shows_it() -> None:
    tracker = tracker_of(readers=2)
    read(tracker, 100, PRESENT, reader=0)
    assert counts(tracker.acked.at(S)) == (1, 0)
    read(tracker, 900, PRESENT, reader=1)
    assert counts(tracker.acked.at(S)) == (0, 1)
    assert tracker.acked.at(S).shown_beyond(CELL_NS) == 0
    assert tracker.acked.at(S).values()[1].quantiles([Fraction(1)])[0] == pytest.approx(
        (901 * MS, 901 * MS), rel=0.016
    )


@pytest.mark.parametrize("first", [0, 1])
def test_it_took_as_long_as_the_reader_that_showed_it_last(first: int) -> None:
    """In (800 ms, 901 ms] on the one; the other was read sooner, or had not been looked at for long."""
    for other_missed in ((), (100,), (100, 600)):
        tracker = tracker_of(readers=2)
        for at in other_missed:
            read(tracker, at, ABSENT, reader=first)
        read(tracker, 700, PRESENT, reader=first)
        read(tracker, 800, ABSENT, reader=1 - first)
        read(tracker, 900, PRESENT, reader=1 - first)
        moment = tracker.acked.at(S)
        assert counts(moment) == (0, 1)
        assert (moment.shown_beyond(780 * MS), moment.shown_beyond(820 * MS)) == (1, 0)
        assert moment.values()[1].quantiles([Fraction(1)])[0] == pytest.approx((901 * MS, 901 * MS), rel=0.016)
    late = tracker_of(readers=2)
    read(late, 100, ABSENT, reader=first)
    read(late, 200, ABSENT, reader=1 - first)
    read(late, 250, PRESENT, reader=1 - first)
    read(late, 1_000, PRESENT, reader=first)
    moment = late.acked.at(2 * S)
    assert (moment.shown_beyond(190 * MS), moment.shown_beyond(210 * MS)) == (1, 0)
    assert moment.values()[1].quantiles([Fraction(1)])[0] == pytest.approx((1_001 * MS, 1_001 * MS), rel=0.016)


def test_what_is_of_a_warm_up_says_nothing() -> None:
    """Two scenarios, of which the second warms up for a second."""
    reading = dict.fromkeys(range(1), plan_of())
    tracker = Tracker([reading, reading], 1, warm_until_ns=[0, S])
    for seq, (scenario, due) in enumerate([(0, 0), (1, 0), (1, S - 1), (1, S), (1, 2 * S)]):
        tracker.expect([event_of(seq, due, scenario)], due)
        tracker.settle([Receipt(seq, Outcome.ACCEPTED, due, due)], due)
    moment = tracker.acked.at(3 * S)
    assert [moment.waiting(scenario=scenario) for scenario in (0, 1)] == [1, 2]


def test_how_long_it_took_is_counted_in_cells_of_a_little_more_than_a_hundredth() -> None:
    """What was seen before its ack took no time."""
    outstanding = Outstanding(1)
    for lower, upper in ((-5, -3), (130 * MS, 131 * MS), (128, 256)):
        outstanding.show(0, lower, upper)
    moment = outstanding.at(S)
    assert moment.shown() == 3
    shares = [Fraction(1, 3), Fraction(2, 3), Fraction(1)]
    lower_ends, upper_ends = (ends.quantiles(shares) for ends in moment.values()[:2])
    cells = [cell_of(130 * MS), cell_of(131 * MS)]
    assert [None if ends is None else ends[0] for ends in lower_ends] == [0, 128, cells[0]]
    assert [None if ends is None else ends[0] for ends in upper_ends] == [0, 256, cells[1]]
    assert cells[0] < 130 * MS < cells[0] * 1.016
    # Each end of a cell counts as being as long.
    assert [moment.shown_beyond(limit) for limit in (0, 1, 128, 129, cells[0], cells[0] + 1)] == [3, 2, 2, 1, 1, 0]


def test_who_is_not_followed_closely_waits_for_nobody() -> None:
    assert counts(tracker_of(sample=0.0).acked.at(S)) == (0, 0)


def test_what_has_no_ack_has_no_age() -> None:
    tracker = tracker_of(acked_ms=())
    tracker.expect([Event(seq, f"id-{seq}", 0, 0, 0, None, b"", (), ()) for seq in range(3)], 0)
    tracker.settle([Receipt(0, Outcome.IN_DOUBT, 0, None), Receipt(1, Outcome.REJECTED, 0, 1)], 1)
    assert counts(tracker.acked.at(S)) == (0, 0)


def test_a_look_at_many_costs_as_much_as_one_at_the_time_over_which_they_were_acked() -> None:
    tracker = tracker_of(acked_ms=[ms % 1_000 for ms in range(5_000)])
    moment = tracker.acked.at(2 * S)
    assert moment.waiting() == 5_000
    assert moment.values()[2].total == 5_000
    assert sum(len(ages) for ages in moment._ages) <= 31
