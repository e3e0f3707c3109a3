"""Hop brackets against a foreign clock with a planted offset and drift."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evload.judging.checks.generator import clocks
from evload.ledger import replay
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.clock_offset import DRIFT_PPM, OffsetEstimate, hops
from evload.summary.fold_plan import Counted, ScenarioPlan
from ledgers import begun, read_back

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


def test_nothing_is_said_before_anything_is_learnt() -> None:
    estimate = OffsetEstimate()
    assert estimate.to_local(EPOCH, 0, S) is None
    assert hops(_observed(0, S, None, None), estimate) == {}
    unseen = _observed(0, S, EPOCH, EPOCH)
    unseen.first_upper_ns = None
    assert hops(unseen, estimate) == {}
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
    for clock, start in ((before, 0), (before, 20 * MS), (after, 40 * MS), (after, 60 * MS)):
        at = start + 5 * MS
        found = hops(_observed(start, start + 10 * MS, clock.read(at), clock.read(at)), estimate)
        low, high = found["sent_to_consumed"]
        assert high is not None
        assert low <= 5 * MS <= high
    assert estimate.contradictions == 1


def test_an_event_whose_own_stamps_are_impossible_teaches_nothing() -> None:
    clock, estimate = _Foreign(0, 0, 1), OffsetEstimate()
    hops(_observed(0, 10 * MS, clock.read(1), clock.read(MS)), estimate)
    hops(_observed(20 * MS, 30 * MS, clock.read(21 * MS), clock.read(900 * MS)), estimate)
    assert estimate.contradictions == 1
    found = hops(_observed(40 * MS, 50 * MS, clock.read(45 * MS), clock.read(45 * MS)), estimate)
    assert estimate.contradictions == 1
    assert found["sent_to_consumed"][0] <= 5 * MS


def test_hops_of_a_run_come_from_its_ledger(tmp_path: Path) -> None:
    """Each event waits 40 ms for a consumer and takes 50 ms; one has stamps that contradict each other."""
    wall = 1_700_000_000 * S

    def seen(seq: int, consumed: int, processed: int) -> Observation:
        at = seq * S
        return Observation(
            seq, 0, 0, State.VISIBLE, at, None, at + MS, at + 5 * MS, True, at + 90 * MS, at + 110 * MS, at + 90 * MS,
            at + 110 * MS, at + 6 * S, consumed_at=wall + at + consumed, processed_at=wall + at + processed,
        )  # fmt: skip

    events = [seen(n, 41 * MS + 1, 91 * MS + 1) for n in range(20)] + [seen(20, 91 * MS + 1, 41 * MS + 1)]
    plan = ScenarioPlan("main", True, 10 * S, Counted((("consumed_to_processed", 60 * MS),)))
    criteria = Criteria([], SelfCheckPolicy(), {"read-model": 10 * S})
    meta = replay.meta(
        "r", "r", criteria, plans=[plan], events=["e"], probes=["read-model"], gauges={}, segment=(0, 1), stages=[]
    )
    path = tmp_path / "events.sqlite"
    ledger = begun(path, 0, {**meta, "started_at": "2026-01-31T00:00:00+00:00"}, threaded=False)
    ledger.append(events)
    ledger.close()
    summary = read_back(path).summary
    hop = summary.scenarios["main"].distributions["consumed_to_processed"]
    low, high = hop.bracket(Fraction(1, 2))
    assert low is not None
    assert high is not None
    assert low <= 50 * MS <= high <= low + MS
    assert (hop.count, hop.thresholds[60 * MS].within) == (20, 20)
    assert (summary.negative_hops, summary.contradictions) == (1, 1)
    found = clocks(summary)
    assert (found.ok, found.value) == (False, 2)
    assert found.note == (
        "1 events were processed before they were consumed, 1 events can't be true together with those of others, "
        "by their own stamps"
    )
