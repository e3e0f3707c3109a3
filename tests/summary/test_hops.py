"""Hop brackets against a foreign clock with a planted offset and drift."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evload.judging.checks.generator import clocks
from evload.ledger import replay
from evload.model.states import State
from evload.model.summary import HOPS, Summary
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.clock_offset import DRIFT_PPM, OffsetEstimate, hops
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from tests.rigs.ledgers import begun, read_back

MS = 1_000_000
S = 1_000 * MS
EPOCH = 1_790_000_000 * S


def _observed(
    sent: int,
    seen: int,
    consumed_at: int | None,
    processed_at: int | None,
    stable: tuple[int | None, int | None] = (None, None),
) -> Observation:
    return Observation(
        seq=0,
        scenario=0,
        type=0,
        state=State.VISIBLE,
        intended_ns=sent,
        sent_ns=sent,
        first_upper_ns=seen,
        stable_lower_ns=stable[0],
        stable_upper_ns=stable[1],
        consumed_at=consumed_at,
        processed_at=processed_at,
    )


class _Foreign:
    """A clock that is off by `offset` and gains or loses `ppm`, read with some resolution."""

    def __init__(self, offset: int, ppm: int, resolution: int) -> None:
        self.offset, self.ppm, self.resolution = offset, ppm, resolution

    def read(self, local: int) -> int:
        exact = EPOCH + self.offset + local + local * self.ppm // 1_000_000
        return exact // self.resolution * self.resolution


@given(
    offset=st.integers(-3600 * S, 3600 * S),
    ppm=st.integers(-DRIFT_PPM, DRIFT_PPM),
    resolution=st.sampled_from([1, 1_000, MS, S]),
    seed=st.integers(0, 2**32),
    pace=st.sampled_from([MS, S, 60 * S]),
)
def test_brackets_always_contain_the_truth(offset: int, ppm: int, resolution: int, seed: int, pace: int) -> None:
    clock, estimate, rng = _Foreign(offset, ppm, resolution), OffsetEstimate(), random.Random(seed)
    sent = 5 * S
    for _ in range(60):
        sent += rng.randrange(pace)
        consumed = sent + rng.randrange(20 * MS)
        processed = consumed + rng.choice([0, rng.randrange(50 * MS), rng.randrange(20 * S)])
        first = processed + rng.randrange(20 * MS)
        stable_lower = first + rng.randrange(20 * MS)
        visible = stable_lower + rng.randrange(20 * MS)
        stable_upper = visible + rng.randrange(20 * MS)
        seen = first + rng.randrange(20 * MS)
        observation = _observed(sent, seen, clock.read(consumed), clock.read(processed), (stable_lower, stable_upper))
        found = hops(observation, estimate)
        truth = {
            "sent_to_consumed": consumed - sent,
            "consumed_to_processed": processed - consumed,
            "processed_to_visible": visible - processed,
        }
        assert found.keys() == truth.keys()
        for metric, true in truth.items():
            low, high = found[metric]
            assert high is not None
            assert low <= true <= high
    assert estimate.contradictions == 0
    assert estimate.negative == 0


def test_fast_events_make_tight_brackets_for_slow_ones() -> None:
    clock, estimate = _Foreign(1234 * S, 0, 1), OffsetEstimate()
    for sent in range(0, 100 * MS, 10 * MS):
        at = sent + MS // 2
        hops(_observed(sent, sent + MS, clock.read(at), clock.read(at)), estimate)
    sent = 100 * MS
    consumed, processed, seen = sent + 300 * MS, sent + 700 * MS, sent + 1_000 * MS
    found = hops(
        _observed(sent, seen, clock.read(consumed), clock.read(processed), (seen - 100 * MS, seen)), estimate
    )
    slack = MS  # the offset is known to half a millisecond either way, and to 50 ppm of a second more
    for metric, (least, most) in {
        "sent_to_consumed": (300 * MS - slack, 300 * MS + slack),
        "consumed_to_processed": (400 * MS - slack, 400 * MS + slack),
        "processed_to_visible": (200 * MS - slack, 300 * MS + slack),
    }.items():
        low, high = found[metric]
        assert high is not None
        assert least <= low <= high <= most


def test_bounds_age_with_the_drift() -> None:
    clock, estimate = _Foreign(0, 0, 1), OffsetEstimate()
    estimate.add(1001, 1001, clock.read(1001), clock.read(1001))
    stamped = 1001 + 100 * S
    local = estimate.to_local(clock.read(stamped), stamped - S, stamped + S)
    assert local is not None
    drift = 101 * S * DRIFT_PPM // 1_000_000
    assert abs(local[0] - (stamped - drift)) <= 3
    assert abs(local[1] - (stamped + drift)) <= 3


def test_bounds_age_backwards_too() -> None:
    """A slow event was sent long before the fast ones that told the offset."""
    clock, estimate = _Foreign(0, DRIFT_PPM, 1), OffsetEstimate()
    late = 100 * S
    estimate.add(late, late, clock.read(late), clock.read(late))
    stamp = clock.read(500 * MS)
    # Its clock is 5 ms ahead at 100 s, which may have grown or shrunk by 5 ms since the slow event; it had grown by
    # 4.975 ms. The stamps show microseconds, which count once for the offset and once for the stamp.
    assert hops(_observed(0, S, stamp, stamp), estimate)["sent_to_consumed"] == (490_023_000, 500_027_000)


def test_stamps_are_as_coarse_as_all_of_them_together() -> None:
    """A stamp that happens to be a whole second doesn't make the other one coarse."""
    for consumed_at, processed_at in ((EPOCH, EPOCH + 50_000_003), (EPOCH - 50_000_003, EPOCH)):
        found = hops(_observed(0, S, consumed_at, processed_at), OffsetEstimate())
        # A nanosecond for the resolution, and 50 ppm of the time between.
        assert found["consumed_to_processed"] == (50_000_003 - 1 - 2501, 50_000_003 + 1 + 2501)


def test_the_offset_may_have_drifted_since_any_moment_at_which_it_was_learnt() -> None:
    """From an event of ten seconds: its stamps may be of their first moment as well as of their last."""
    clock, estimate = _Foreign(0, 0, 1), OffsetEstimate()
    stamp = clock.read(5 * S + 1)
    estimate.add(0, 10 * S, stamp, stamp)
    stamp = clock.read(150 * S + 1)
    found = hops(_observed(100 * S, 200 * S, stamp, stamp), estimate)
    # 5 s either way, 10 ms of drift in 200 s, and a nanosecond each for the stamps and their offset.
    assert found["sent_to_consumed"] == (45 * S - 10 * MS - 2, 55 * S + 10 * MS + 2)


def test_a_fast_clock_may_measure_more_than_there_was_between_send_and_sight() -> None:
    estimate = OffsetEstimate()
    for processed_at, contradictions in ((EPOCH + 100 * S + 5 * MS, 0), (EPOCH + 100 * S + 11 * MS, 1)):
        found = hops(_observed(0, 100 * S, EPOCH + 1, processed_at + 1), estimate)
        assert ("sent_to_consumed" in found, estimate.contradictions) == (True, contradictions)


def test_stamps_contradict_each_other_from_the_first_nanosecond_beyond_what_either_may_be_off() -> None:
    """By 5 ms of drift and a nanosecond, at either end."""
    for more, contradictions in ((10 * MS + 2, 0), (10 * MS + 3, 1)):
        estimate = OffsetEstimate()
        hops(_observed(0, 100 * S, EPOCH + 1, EPOCH + 100 * S + more + 1), estimate)
        assert estimate.contradictions == contradictions


def test_the_first_hop_begins_at_the_send() -> None:
    seen = _observed(20 * MS, 50 * MS, EPOCH + 1, None)
    seen.intended_ns = 0
    assert hops(seen, OffsetEstimate()) == {"sent_to_consumed": (0, 30 * MS)}


def test_the_tighter_of_an_old_bound_that_has_aged_and_a_new_one_counts() -> None:
    """The offset was known exactly at first; later only to 3 ms either way, and not better by what is 100 s old."""
    clock = _Foreign(0, 0, 1)

    def error(at: int) -> tuple[int, int]:
        """How far both ends are from the truth, for a slow event two seconds after a moment."""
        estimate = OffsetEstimate()
        stamp = clock.read(1001)
        estimate.add(1001, 1001, stamp, stamp)
        stamp = clock.read(at + 1)
        estimate.add(at + 1 - 3 * MS, at + 1 + 3 * MS, stamp, stamp)
        sent = at + 10 * MS
        consumed = clock.read(sent + S)
        low, high = hops(_observed(sent, sent + 2 * S, consumed, consumed), estimate)["sent_to_consumed"]
        assert high is not None
        return S - low, high - S

    for aged, slack in (
        (10 * S, 12 * S * DRIFT_PPM // 1_000_000),
        (100 * S, 3 * MS + 2 * S * DRIFT_PPM // 1_000_000),
    ):
        early, late = error(aged)
        assert abs(early - slack) < MS // 50
        assert abs(late - slack) < MS // 50


def _errors(slow: tuple[int, int, int], *before: tuple[int, int, int]) -> tuple[int, int]:
    """How far both ends of a slow event's first hop are from the truth, after events that told more of the offset.

    Each is (sent, stamped, seen).
    """
    clock, estimate = _Foreign(0, 0, 1), OffsetEstimate()
    for sent, stamped, seen in (*before, slow):
        stamp = clock.read(stamped + 1)
        found = hops(_observed(sent, seen, stamp, stamp), estimate)
    low, high = found["sent_to_consumed"]
    assert high is not None
    assert estimate.contradictions == 0
    return slow[1] - slow[0] - low, high - (slow[1] - slow[0])


BOTH = 2
"""A nanosecond for the stamp and one for the offset."""


def test_each_bound_ages_from_the_event_that_told_it() -> None:
    """A stamp when an event was sent bounds from below, one when it was seen from above; each 50 us in a second."""
    below, above = (90 * S, 90 * S, 100 * S), (90 * S, 100 * S, 100 * S)
    assert _errors((200 * S, 205 * S, 210 * S), below, above) == (6 * MS + BOTH, 6 * MS + BOTH)
    assert _errors((0, 5 * S, 10 * S), below, above) == (5 * MS + BOTH, 5 * MS + BOTH)
    early, late = (0, 0, 2 * S), (98 * S, 100 * S, 100 * S)
    slow = (201 * S, 206 * S, 211 * S)
    assert _errors(slow, early, late) == (10_550_000 + BOTH, 5_650_000 + BOTH)
    assert _errors(slow, late, early) == (10_550_000 + BOTH, 5_650_000 + BOTH)


def test_each_bound_gives_way_to_one_that_is_tighter_than_it_has_become() -> None:
    """After 200 s the one from below has grown to 10 ms; the one from above is younger, and has to 5 ms."""
    early, late = (0, 0, 2 * S), (98 * S, 100 * S, 100 * S)
    slow = (201 * S, 206 * S, 211 * S)
    # A bound of 7 ms from 200 s is tighter than that of `early` and wider than that of `late`. Until 211 s it has
    # grown by what a clock may drift since the event was sent.
    from_below, from_above = (200 * S - 7 * MS, 200 * S, 202 * S), (198 * S, 200 * S, 200 * S + 7 * MS)
    grown = 7 * MS + 11 * S // 20_000 + 7 * MS // 20_000
    assert _errors(slow, early, late, from_below) == (grown + BOTH, 5_650_000 + BOTH)
    assert _errors(slow, early, late, from_above) == (10_550_000 + BOTH, 5_650_000 + BOTH)
    # So it is where the other bound is too wide to be of use.
    assert _errors(slow, early, from_below)[0] == grown + BOTH
    assert _errors(slow, late, from_above)[1] == 5_650_000 + BOTH
    nearer = (198 * S, 200 * S, 200 * S + 3 * MS)
    assert _errors(slow, late, nearer)[1] == 3 * MS + 13 * S // 20_000 + BOTH


def test_a_bound_that_an_event_of_long_told_may_have_drifted_meanwhile_itself() -> None:
    """In 100 s by 5 ms, so that 7 ms are no tighter than what has grown to 10 ms, and 3 ms are."""
    early, late, slow = (0, 0, 2 * S), (98 * S, 100 * S, 100 * S), (201 * S, 206 * S, 211 * S)
    assert _errors(slow, early, (100 * S - 7 * MS, 100 * S, 200 * S))[0] == 10_550_000 + BOTH
    assert _errors(slow, early, (100 * S - 3 * MS, 100 * S, 200 * S))[0] == 3 * MS + 5_550_150 + BOTH
    # From above: in 90 s by 4.5 ms, against 5.1 ms.
    assert _errors(slow, late, (110 * S, 200 * S, 200 * S + 700_000))[1] == 5_650_000 + BOTH
    assert _errors(slow, late, (110 * S, 200 * S, 200 * S + 500_000))[1] == 500_000 + 5_050_000 + BOTH


def test_a_stamp_has_to_lie_between_the_two_moments_by_no_more_than_it_may_be_off() -> None:
    estimate = OffsetEstimate()
    estimate.add(1001, 1001, EPOCH + 1001, EPOCH + 1001)
    for off in (-2, -1, 0, 1, 2):
        assert estimate.to_local(EPOCH + 1001 + off, 1001, 1001) == (1001, 1001)
    for off in (-3, 3):
        assert estimate.to_local(EPOCH + 1001 + off, 1001, 1001) is None


def test_what_was_seen_the_moment_it_was_made_took_no_time() -> None:
    found = hops(_observed(1001, 1001, EPOCH + 1001, EPOCH + 1001, (1001, 1001)), OffsetEstimate())
    assert found == {
        "sent_to_consumed": (0, 0), "consumed_to_processed": (0, 1), "processed_to_visible": (0, 0),
    }  # fmt: skip


def test_of_an_event_with_an_impossible_stamp_only_the_hops_of_possible_ones_are_told() -> None:
    estimate = OffsetEstimate()
    estimate.add(1001, 1001, EPOCH + 1001, EPOCH + 1001)
    late = _observed(20 * MS, 30 * MS, EPOCH + 25 * MS, EPOCH + 900 * MS, (20 * MS, 30 * MS))
    # In the not quite 30 ms since it was known the offset has drifted by 1.5 us at most, and in 875 ms by 43.8 us.
    assert hops(late, estimate) == {
        "sent_to_consumed": (5 * MS - 1500 - BOTH, 5 * MS + 1500 + BOTH),
        "consumed_to_processed": (875 * MS - 43_753 - 1, 875 * MS + 43_753 + 1),
    }
    assert estimate.contradictions == 1


def test_bounds_that_fine_stamps_show_to_contradict_each_other_tell_nothing() -> None:
    """Two clocks a second apart, which nobody can see while all stamps are whole seconds."""
    estimate = OffsetEstimate()
    for sent, stamp in ((0, EPOCH), (20 * S, EPOCH + 21 * S)):
        found = hops(_observed(sent, sent + 10 * MS, stamp, stamp), estimate)
        assert (found["sent_to_consumed"], estimate.contradictions) == ((0, 10 * MS), 0)
    impossible = _observed(40 * S, 40 * S + 10 * MS, EPOCH + 40 * S + 1, EPOCH + 45 * S + 1)
    assert hops(impossible, estimate).keys() == {"consumed_to_processed"}
    assert estimate.contradictions == 1
    stamp = EPOCH + 60 * S + 5 * MS
    found = hops(_observed(60 * S, 60 * S + 10 * MS, stamp, stamp), estimate)
    assert (found["sent_to_consumed"], estimate.contradictions) == ((0, 10 * MS), 2)


def test_of_several_probes_the_last_to_see_it_says_by_when_the_stamps_were_made() -> None:
    """They were made 200 and 250 ms after the send; a tap had seen the event after ten."""
    stamps = (EPOCH + 200 * MS + 1, EPOCH + 250 * MS + 1)
    between = (50 * MS - 2501 - 1, 50 * MS + 2501 + 1)
    for stable in ((280 * MS, 300 * MS), (None, 300 * MS)):
        seen = _observed(0, 10 * MS, *stamps, stable)
        seen.settled_ns = 10 * S
        latest = 250 * MS + 15_000 + BOTH  # 50 ms between the last stamp and the sight, and the drift of 300 ms
        assert hops(seen, OffsetEstimate(), several=True) == {
            "sent_to_consumed": (0, latest), "consumed_to_processed": between, "processed_to_visible": (0, latest),
        }  # fmt: skip
        estimate = OffsetEstimate()
        assert hops(seen, estimate) == {"consumed_to_processed": between}
        assert estimate.contradictions == 1


def test_of_several_probes_of_which_one_never_saw_it_the_stamps_were_made_before_it_was_settled() -> None:
    seen = _observed(0, 10 * MS, EPOCH + 200 * MS + 1, EPOCH + 250 * MS + 1, (280 * MS, None))
    seen.settled_ns = 10 * S
    found = hops(seen, OffsetEstimate(), several=True)
    assert found["sent_to_consumed"] == (0, 9_950 * MS + 500_000 + BOTH)
    assert found["processed_to_visible"] == (0, None)


def test_the_time_between_two_stamps_of_a_clock_that_is_slow_or_fast_itself() -> None:
    """A second of a clock that loses 50 us in a second of ours is more than 50 us longer."""
    hour = 3600 * S
    for ppm in (-DRIFT_PPM, DRIFT_PPM):
        clock = _Foreign(0, ppm, 1)
        seen = _observed(0, hour + S, clock.read(MS + 1), clock.read(hour + MS + 1))
        low, high = hops(seen, OffsetEstimate())["consumed_to_processed"]
        assert high is not None
        assert low <= hour <= high


def test_stamps_that_go_back_by_no_more_than_they_are_coarse_took_no_time() -> None:
    """By a nanosecond for the resolution and one for the drift."""
    stamp = EPOCH + 12_345
    for back, negative in ((2, 0), (3, 1)):
        estimate = OffsetEstimate()
        found = hops(_observed(0, S, stamp, stamp - back), estimate)
        assert found.get("consumed_to_processed") == (None if negative else (0, 0))
        assert estimate.negative == negative


def test_nothing_is_said_before_anything_is_learnt() -> None:
    estimate = OffsetEstimate()
    assert estimate.to_local(EPOCH, 0, S) is None
    assert hops(_observed(0, S, None, None), estimate) == {}
    unseen = _observed(0, S, EPOCH, EPOCH)
    unseen.first_upper_ns = None
    unseen.settled_ns = 10 * S
    unsent = _observed(0, S, EPOCH, EPOCH)
    unsent.sent_ns = None
    for several in (False, True):
        assert hops(unseen, estimate, several=several) == {}
        assert hops(unsent, estimate, several=several) == {}
    assert estimate.to_local(EPOCH, 0, S) is None


def test_one_stamp_gives_the_hops_on_its_side() -> None:
    clock = _Foreign(7 * S, 0, 1)
    consumed_only = hops(_observed(0, 10 * MS, clock.read(MS), None), OffsetEstimate())
    assert consumed_only.keys() == {"sent_to_consumed"}
    processed_only = hops(_observed(0, 10 * MS, None, clock.read(MS), (None, 10 * MS)), OffsetEstimate())
    assert processed_only == {"processed_to_visible": (0, 10 * MS)}


def test_an_event_that_vanished_again_has_no_upper_end() -> None:
    clock = _Foreign(0, 0, 1)
    found = hops(_observed(0, 10 * MS, clock.read(MS), clock.read(2 * MS), (S, None)), OffsetEstimate())
    low, high = found["processed_to_visible"]
    assert low >= S - 10 * MS
    assert high is None


def test_processed_before_consumed_is_dropped_and_counted() -> None:
    estimate = OffsetEstimate()
    found = hops(_observed(0, 10 * MS, EPOCH + 123_456_789, EPOCH + 121_456_789, (0, 10 * MS)), estimate)
    assert "consumed_to_processed" not in found
    assert estimate.negative == 1


def test_a_clock_that_is_set_is_noticed_and_learnt_again() -> None:
    before, after = _Foreign(0, 0, 1), _Foreign(5 * S, 0, 1)
    estimate = OffsetEstimate()
    for clock, start in ((before, 0), (before, 20 * MS), (after, 40 * MS), (after, 60 * MS), (before, 80 * MS)):
        at = start + 5 * MS
        found = hops(_observed(start, start + 10 * MS, clock.read(at), clock.read(at)), estimate)
        low, high = found["sent_to_consumed"]
        assert high is not None
        assert low <= 5 * MS <= high
    assert estimate.contradictions == 2


def test_an_event_whose_own_stamps_are_impossible_teaches_nothing() -> None:
    clock, estimate = _Foreign(0, 0, 1), OffsetEstimate()
    hops(_observed(0, 10 * MS, clock.read(1), clock.read(MS)), estimate)
    hops(_observed(20 * MS, 30 * MS, clock.read(21 * MS), clock.read(900 * MS)), estimate)
    assert estimate.contradictions == 1
    found = hops(_observed(40 * MS, 50 * MS, clock.read(45 * MS), clock.read(45 * MS)), estimate)
    assert estimate.contradictions == 1
    hops(_observed(60 * MS, 70 * MS, clock.read(61 * MS), clock.read(900 * MS)), estimate)
    assert estimate.contradictions == 2
    assert found["sent_to_consumed"][0] <= 5 * MS


def reported(tmp_path: Path, plan: ScenarioPlan, events: Sequence[Observation]) -> Summary:
    """The summary of a run in whose ledger these events are."""
    criteria = Criteria([], SelfCheckPolicy(), {"read-model": 10 * S})
    meta = replay.meta(
        "r", "r", criteria, plans=[plan], events=["e"], probes=["read-model"], gauges={}, segment=(0, 1), stages=[]
    )
    path = tmp_path / "events.sqlite"
    ledger = begun(path, 0, {**meta, "started_at": "2026-01-31T00:00:00+00:00"}, threaded=False)
    ledger.append(events)
    ledger.close()
    return read_back(path).summary


def test_hops_are_told_of_the_scenario_alone_and_of_what_was_seen(tmp_path: Path) -> None:
    wall = 1_700_000_000 * S + 1
    stamps: dict[str, Any] = {"consumed_at": wall + 40 * MS, "processed_at": wall + 90 * MS}

    def event(seq: int, state: State = State.VISIBLE, **changes: Any) -> Observation:
        seen = {
            "first_lower_ns": 100 * MS, "first_upper_ns": 110 * MS, "stable_lower_ns": 200 * MS,
            "stable_upper_ns": 220 * MS, "sampled": True,
        }  # fmt: skip
        return Observation(seq, 0, 0, state, 0, "a", MS, settled_ns=20 * S, **{"acked_ns": 5 * MS, **seen, **changes})

    events = [
        event(0, **stamps),
        event(1, State.REGRESSED, regressions=1, stable_lower_ns=9 * S, stable_upper_ns=None, **stamps),
        event(2, State.LOST, first_lower_ns=None, first_upper_ns=None, stable_lower_ns=10 * S, stable_upper_ns=None,
              **stamps),
        event(3),
        # One stamp gives the hop on its side.
        event(4, consumed_at=wall + 40 * MS),
        event(5, processed_at=wall + 90 * MS),
        # Seen at its first read, which no other missed.
        event(6, first_lower_ns=None, first_upper_ns=220 * MS, stable_lower_ns=None, **stamps),
        # Those that were read once at their deadline, or not acked, have none.
        event(7, sampled=False, **stamps),
        event(8, State.IN_DOUBT, acked_ns=None, **stamps),
    ]  # fmt: skip
    plan = ScenarioPlan("main", watched=True, deadline_ns=10 * S, slices=(Slice("key=a", key="a"),))
    main = reported(tmp_path, plan, events).scenarios["main"]
    assert {name: (d.count, d.censored) for name, d in main.distributions.items() if name in HOPS} == {
        "sent_to_consumed": (4, 0), "consumed_to_processed": (3, 0), "processed_to_visible": (4, 1),
    }  # fmt: skip
    assert not main.slices["key=a"].distributions.keys() & set(HOPS)


def test_hops_of_a_run_come_from_its_ledger(tmp_path: Path) -> None:
    """Each event waits 40 ms for a consumer and takes 50 ms; the stamps of one contradict each other, and those of
    another all the others."""
    wall = 1_700_000_000 * S

    def seen(seq: int, consumed: int, processed: int) -> Observation:
        at = seq * S
        return Observation(
            seq, 0, 0, State.VISIBLE, at, None, at + MS, at + 5 * MS, True, at + 90 * MS, at + 110 * MS, at + 90 * MS,
            at + 110 * MS, at + 6 * S, consumed_at=wall + at + consumed, processed_at=wall + at + processed,
        )  # fmt: skip

    events = [seen(n, 41 * MS + 1, 91 * MS + 1) for n in range(20)]
    events += [seen(20, 91 * MS + 1, 41 * MS + 1), seen(21, 5041 * MS + 1, 5091 * MS + 1)]
    plan = ScenarioPlan("main", True, 10 * S, Counted((("consumed_to_processed", 60 * MS),)))
    summary = reported(tmp_path, plan, events)
    hop = summary.scenarios["main"].distributions["consumed_to_processed"]
    low, high = hop.bracket(Fraction(1, 2))
    assert low is not None
    assert high is not None
    assert low <= 50 * MS <= high <= low + MS
    assert (hop.count, hop.thresholds[60 * MS].within) == (21, 21)
    assert (summary.negative_hops, summary.contradictions) == (1, 1)
    found = clocks(summary)
    assert (found.ok, found.value) == (False, 2)
    assert found.note == (
        "1 events were processed before they were consumed, 1 events can't be true together with those of others, "
        "by their own stamps"
    )


def test_a_tap_that_hears_an_event_before_a_worker_has_it_contradicts_no_stamp(tmp_path: Path) -> None:
    """Who saw it first says nothing of when the stamps were made that another probe tells."""
    wall = 1_700_000_000 * S

    def seen(seq: int, late: int) -> Observation:
        at = seq * S
        done = at + late + 90 * MS
        return Observation(
            seq, 0, 0, State.VISIBLE, at, None, at + MS, at + 2 * MS, True, at + 2 * MS, at + 3 * MS, done,
            done + 20 * MS, at + 6 * S, consumed_at=wall + done - 49 * MS, processed_at=wall + done + MS,
        )  # fmt: skip

    events = [seen(number, (number % 3) * 100 * MS) for number in range(12)]
    probes = ((0, "tap"), (1, "read-model"))
    for name in ("both", "alone"):
        (tmp_path / name).mkdir()
    both = reported(tmp_path / "both", ScenarioPlan("main", True, 10 * S, probes=probes), events)
    assert (both.contradictions, both.scenarios["main"].distributions["sent_to_consumed"].count) == (0, 12)
    alone = reported(tmp_path / "alone", ScenarioPlan("main", True, 10 * S, probes=probes[:1]), events)
    assert alone.contradictions > 0
