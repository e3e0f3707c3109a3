"""The fold by values: hand-made settled events in, counts and histograms out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.facts import INTERVAL_NS
from evload.model.states import State
from evload.model.summary import ScenarioSummary, merged
from evload.model.travel import Observation
from evload.stats.histogram import Histogram
from evload.stats.thresholds import StepCounts, ThresholdCount
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.summary.recorder import Recorder
from tests.rigs.contents import contents

MS = 1_000_000
S = 1_000 * MS
START = 1_000 * S
"""The schedule doesn't begin at the clock's zero."""

PLAN = ScenarioPlan(
    "main", watched=True, deadline_ns=10 * S, counted=Counted((("consistency", S), ("end_to_end", 2 * S)))
)


def observed(state: State, seq: int = 0, *, intended: int = 0, **changes: Any) -> Observation:
    """An event intended at an offset from START, sent 1 ms late; other times given as offsets too."""
    times = {"sent_ns": intended + MS, "settled_ns": intended + 20 * S}
    if state >= State.VISIBLE or state in (State.REJECTED, State.RETURNED):
        times["acked_ns"] = intended + 5 * MS
    times.update({name: changes.pop(name) for name in list(changes) if name.endswith("_ns")})
    absolute = {name: None if at is None else START + at for name, at in times.items()}
    return Observation(seq, 0, 0, state, START + intended, **{"sampled": True, **absolute, **changes})


def fold(*events: Observation, plan: ScenarioPlan = PLAN) -> ScenarioSummary:
    recorder = Recorder([plan], START)
    recorder.expect(0, [(seen.seq, seen.intended_ns, seen.key, seen.type) for seen in events])
    recorder.settle(events)
    return recorder.summary().scenarios[plan.name]


def values(histogram: Histogram) -> tuple[dict[int, int], int]:
    """What is in a histogram whose values are exact: below 2048 ns, or multiples of their bucket."""
    return histogram.counts, histogram.never


def only(histogram: Histogram) -> int | None:
    """The one value that was recorded; None if it is infinite."""
    assert histogram.total == 1
    return histogram.minimum


SEEN: dict[str, Any] = {
    "first_lower_ns": 100 * MS, "first_upper_ns": 110 * MS, "stable_lower_ns": 200 * MS, "stable_upper_ns": 220 * MS,
}  # fmt: skip


def test_what_was_late_for_the_order_of_its_key_alone_is_told_apart_from_what_was_late_anyway() -> None:
    """A phase of 3 s allows 300 ms. [how late, how long of that it waited for its turn, how much was evload's own]"""
    plan = replace(PLAN, phases=((0, 3 * S),))
    events = [
        (200, 200, 0),
        (300, 300, 0),
        (301, 1, 0),
        (301, 301, 0),
        (900, 500, 0),
        (900, 500, 400),
        (900, None, 0),
    ]
    told = fold(
        *(
            observed(
                State.VISIBLE, seq, intended=seq * MS, sent_ns=(seq + late) * MS, acked_ns=S, own_delay=own * MS,
                order_wait=None if waited is None else waited * MS, **SEEN,
            )
            for seq, (late, waited, own) in enumerate(events)
        ),
        plan=plan,
    )  # fmt: skip
    assert told.phases == {(0, 3 * S): [7, 3, 1]}
    assert told.late_for_order == 2
    waits = told.ranges["order_wait"]
    assert (waits.count, waits.minimum, waits.maximum) == (6, 1 * MS, 500 * MS)


def test_a_visible_event_is_in_every_distribution() -> None:
    summary = fold(observed(State.VISIBLE, **SEEN))
    found = {name: (only(d.lower), only(d.upper)) for name, d in summary.distributions.items()}
    assert found == {
        "schedule_delay": (MS, MS),
        "publish": (4 * MS, 4 * MS),
        "first_seen": (95 * MS, 105 * MS),
        "consistency": (195 * MS, 215 * MS),
        "end_to_end": (200 * MS, 220 * MS),
    }


def test_an_event_seen_at_once_is_bounded_by_its_publish() -> None:
    summary = fold(observed(State.VISIBLE, first_upper_ns=30 * MS, stable_upper_ns=30 * MS))
    found = {name: (only(d.lower), only(d.upper)) for name, d in summary.distributions.items()}
    assert found["first_seen"] == found["consistency"] == (0, 25 * MS)
    assert found["end_to_end"] == (MS, 30 * MS)


def test_windows_are_counted_to_the_nanosecond() -> None:
    ack = 5 * MS
    one = {
        "first_lower_ns": ack + 1,
        "first_upper_ns": ack + 1,
        "stable_lower_ns": ack + 1,
        "stable_upper_ns": ack + 2,
    }
    summary = fold(observed(State.VISIBLE, **one))
    found = {name: (only(d.lower), only(d.upper)) for name, d in summary.distributions.items()}
    assert (found["first_seen"], found["consistency"]) == ((1, 1), (1, 2))


def test_an_effect_before_the_ack_took_no_time() -> None:
    early = {"first_upper_ns": 3 * MS, "stable_lower_ns": 2 * MS, "stable_upper_ns": 3 * MS}
    distributions = fold(observed(State.VISIBLE, **early)).distributions
    assert (only(distributions["consistency"].lower), only(distributions["consistency"].upper)) == (0, 0)
    assert only(distributions["end_to_end"].upper) == 3 * MS


@pytest.mark.parametrize("state", [State.LOST, State.PENDING, State.UNOBSERVED])
def test_what_was_never_seen_stays_in_the_percentiles(state: State) -> None:
    distributions = fold(observed(state, first_lower_ns=9 * S, stable_lower_ns=10 * S)).distributions
    for name, lower in (("first_seen", 8_995), ("consistency", 9_995), ("end_to_end", 10_000)):
        assert (distributions[name].count, distributions[name].censored) == (1, 1)
        assert only(distributions[name].lower) == lower * MS


def test_what_was_seen_and_lost_again_has_a_first_sighting_only() -> None:
    lost_again = {**SEEN, "stable_lower_ns": 15 * S, "stable_upper_ns": None}
    summary = fold(observed(State.REGRESSED, regressions=1, **lost_again))
    assert (summary.ledger["regressed"], summary.ledger["regressions"]) == (1, 1)
    assert only(summary.distributions["first_seen"].upper) == 105 * MS
    assert summary.distributions["consistency"].censored == 1


@pytest.mark.parametrize("state", [State.REJECTED, State.RETURNED, State.UNSENT])
def test_what_was_refused_is_never_seen_end_to_end_and_beyond_every_limit(state: State) -> None:
    sent: dict[str, Any] = {"sent_ns": None} if state is State.UNSENT else {}
    summary = fold(observed(state, **sent))
    end_to_end = summary.distributions["end_to_end"]
    assert (end_to_end.lower.never, end_to_end.upper.never) == (1, 1)
    assert (end_to_end.thresholds[2 * S].within, end_to_end.thresholds[2 * S].beyond) == (0, 1)
    assert "consistency" not in summary.distributions
    assert "publish" not in summary.distributions
    assert ("schedule_delay" in summary.distributions) is (state is not State.UNSENT)


@pytest.mark.parametrize("seen", [True, False])
def test_an_event_in_doubt_counts_end_to_end_and_has_no_ack_to_count_from(seen: bool) -> None:
    summary = fold(observed(State.IN_DOUBT, **(SEEN if seen else {"stable_lower_ns": 10 * S})))
    assert (summary.ledger["in_doubt"], summary.ledger["acked"], summary.ledger["recovered"]) == (1, 0, int(seen))
    assert only(summary.distributions["end_to_end"].upper) == (220 * MS if seen else None)
    assert summary.distributions["publish"].censored == 1
    assert "consistency" not in summary.distributions


def test_an_unsampled_event_counts_in_the_ledger_alone() -> None:
    summary = fold(observed(State.LOST, sampled=False), observed(State.VISIBLE, 1, sampled=False, **SEEN))
    assert (summary.ledger["lost"], summary.ledger["visible"]) == (1, 1)
    assert summary.distributions.keys() == {"schedule_delay", "publish"}


def test_without_a_probe_there_is_nothing_to_see() -> None:
    unwatched = ScenarioPlan("main", watched=False, deadline_ns=0)
    for sampled in (False, True):
        summary = fold(observed(State.UNOBSERVED, sampled=sampled), plan=unwatched)
        assert summary.ledger["unobserved"] == 1
        assert summary.distributions.keys() == {"schedule_delay", "publish"}
    recorder = Recorder([unwatched], START)
    recorder.unrecorded(0, 2)
    assert recorder.summary().scenarios["main"].distributions == {}


def test_effects_positions_and_sightings_near_the_deadline_are_counted() -> None:
    late = {"first_upper_ns": 7 * S, "stable_upper_ns": 7 * S}
    summary = fold(
        observed(State.VISIBLE, 0, effects=2, position=1.0, **SEEN),
        observed(State.VISIBLE, 1, effects=1, **SEEN),
        observed(State.IN_DOUBT, 2, effects=3, **SEEN),
        observed(State.VISIBLE, 3, **late),
        observed(State.VISIBLE, 4, regressions=3, **SEEN),
    )
    assert (summary.known["effects"], summary.ledger["duplicated"]) == (3, 2)
    assert (summary.known["position"], summary.late_sightings) == (1, 1)
    assert summary.ledger["regressions"] == 1, "events, not occasions"


def test_the_last_third_of_the_deadline_begins_after_two_thirds_of_it() -> None:
    plan = ScenarioPlan("main", watched=True, deadline_ns=3 * S)
    moments = [1_900 * MS, 2 * S, 2 * S + 1, 2_500 * MS]
    events = [
        observed(State.VISIBLE, seq, acked_ns=5 * MS, first_upper_ns=5 * MS + at, stable_upper_ns=5 * MS + at)
        for seq, at in enumerate(moments)
    ]
    assert [fold(seen, plan=plan).late_sightings for seen in events] == [0, 0, 1, 1]
    assert fold(*events, plan=plan).late_sightings == 2


def test_swaps_are_counted_by_key_and_scenario() -> None:
    plans = [ScenarioPlan(name, watched=True, deadline_ns=S) for name in ("a", "b")]
    recorder = Recorder(plans, START)
    events = [
        observed(State.VISIBLE, seq, intended=10 * MS * seq, key="k", position=at, **SEEN)
        for seq, at in enumerate((1, 4, 3, 2))
    ]
    for seen in events:
        seen.scenario = seen.seq % 2
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key, seen.type)])
    recorder.settle(events)
    assert {name: s.ledger["out_of_order"] for name, s in recorder.summary().scenarios.items()} == {"a": 0, "b": 1}


def test_early_sends_are_counted_and_take_no_time() -> None:
    summary = fold(observed(State.VISIBLE, sent_ns=-1, **SEEN))
    assert summary.early_sends == 1
    assert only(summary.distributions["schedule_delay"].upper) == 0


def test_an_answer_before_the_send_took_no_time() -> None:
    """Stamps of another thread may cross by a hair."""
    summary = fold(
        observed(State.VISIBLE, sent_ns=5 * MS, acked_ns=4 * MS, **SEEN),
        observed(State.IN_DOUBT, 1, sent_ns=5 * MS, settled_ns=4 * MS),
    )
    publish = summary.distributions["publish"]
    assert (values(publish.lower), values(publish.upper)) == (({0: 2}, 0), ({0: 1}, 1))


# -- windows and thresholds ----------------------------------------------------------------------------


def test_windows_are_those_of_the_intended_time() -> None:
    summary = fold(*(observed(State.VISIBLE, n, intended=n * 4 * S, **SEEN) for n in range(5)))
    assert summary.offered == {0: [3, 3], 1: [2, 2]}
    counts = summary.distributions["consistency"].thresholds[S].intervals
    assert {window: batch[0] for window, batch in counts.items()} == {0: 3, 1: 2}


def test_an_event_sent_much_later_is_offered_in_the_window_of_its_sending() -> None:
    summary = fold(observed(State.VISIBLE, sent_ns=INTERVAL_NS + S, acked_ns=INTERVAL_NS + 2 * S))
    assert summary.offered == {0: [1, 0], 1: [0, 1]}


@pytest.mark.parametrize(("late_ns", "offered"), [(100 * MS, {0: [1, 1]}), (100 * MS + 1, {0: [1, 0], 1: [0, 1]})])
def test_an_event_that_crosses_a_window_by_a_hair_is_offered_where_it_was_due(
    late_ns: int, offered: dict[int, list[int]]
) -> None:
    """Due a nanosecond before the window ends; a tenth of a second later it counts as offered in the next one."""
    due = INTERVAL_NS - 1
    times = {"sent_ns": due + late_ns, "acked_ns": due + late_ns}
    assert fold(observed(State.VISIBLE, intended=due, **times)).offered == offered


def test_the_span_of_the_schedule_counts_from_its_start() -> None:
    summary = fold(*(observed(State.VISIBLE, n, intended=n * S, **SEEN) for n in range(2, 5)))
    assert (summary.first_intended_ns, summary.last_intended_ns) == (2 * S, 4 * S)


@pytest.mark.parametrize(
    ("low", "high", "within", "beyond"),
    [(0, S, 1, 0), (0, S + 1, 0, 0), (S - 1, 2 * S, 0, 0), (S, 2 * S, 0, 1), (S, None, 0, 1), (S - 1, None, 0, 0)],
)
def test_the_threshold_itself_belongs_to_both_sides(low: int, high: int | None, within: int, beyond: int) -> None:
    """What took X at most is good, and what took longer than X, as a read at X has shown, is bad."""
    times: dict[str, Any] = {
        "stable_lower_ns": 5 * MS + low,
        "stable_upper_ns": None if high is None else 5 * MS + high,
    }
    counts = fold(observed(State.VISIBLE, **times)).distributions["consistency"].thresholds[S]
    assert (counts.within, counts.beyond, counts.intervals) == (within, beyond, {0: [1, within, beyond]})


BRACKETS = st.tuples(st.integers(0, 3 * S), st.none() | st.integers(0, 3 * S)).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(BRACKETS, st.integers(0, 3 * INTERVAL_NS)), max_size=20), st.integers(1, 3 * S))
def test_thresholds_are_counted_exactly(
    brackets: Sequence[tuple[tuple[int, int | None], int]], threshold: int
) -> None:
    plan = ScenarioPlan("main", watched=True, deadline_ns=10 * S, counted=Counted((("consistency", threshold),)))
    events = [
        observed(
            State.LOST if high is None else State.VISIBLE, seq, intended=at, acked_ns=at, stable_lower_ns=at + low,
            first_upper_ns=None if high is None else at + high, stable_upper_ns=None if high is None else at + high,
        )
        for seq, ((low, high), at) in enumerate(brackets)
    ]  # fmt: skip
    expected = ThresholdCount()
    for (low, high), at in brackets:
        within, beyond = high is not None and high <= threshold, low >= threshold
        beyond = beyond and not within
        expected.within += within
        expected.beyond += beyond
        batch = expected.intervals.setdefault(at // INTERVAL_NS, [0, 0, 0])
        for i, one in enumerate((True, within, beyond)):
            batch[i] += one
    found = fold(*events, plan=plan).distributions
    assert not events or found["consistency"].thresholds == {threshold: expected}


# -- gauges --------------------------------------------------------------------------------------------


def test_samples_of_gauges_are_kept() -> None:
    recorder = Recorder([PLAN], START)
    recorder.sampled("queue", START + 10, START + 12, {"queue_depth": 5.0, "unacked": 1.0})
    recorder.sampled("queue", START + 20, START + 23, {})
    recorder.sampled("queue", START + 30, START + 34, {})
    recorder.sampled("queue", START + 40, START + 45, {"queue_depth": 3.0})
    recorder.sampled("dead", START + 50, START + 55, {})
    summary = recorder.summary()
    queue, dead = summary.gauges["queue"], summary.gauges["dead"]
    assert (queue.failed, dead.failed, dead.series) == (2, 1, {})
    assert {
        name: (one.count, one.minimum, one.maximum, one.last, one.last_ns, float(one.value_sum))
        for name, one in queue.series.items()
    } == {
        "queue_depth": (2, 3, 5, 3, 45, 8), "unacked": (1, 1, 1, 1, 12, 1),
    }  # fmt: skip


# -- over time, and while the run goes on ---------------------------------------------------------------


def steps_of(steps: StepCounts) -> dict[int, tuple[int, int, int]]:
    """Step to its events, within and beyond, where there are any."""
    counts = enumerate(zip(steps.events, steps.within, steps.beyond, strict=True))
    return {step: told for step, told in counts if any(told)}


def test_many_events_over_several_windows_and_an_early_look_at_them() -> None:
    """5,000 events, folded a portion at a time: every tenth is in doubt, every hundredth came late."""
    plan = ScenarioPlan(
        "main", watched=True, deadline_ns=10 * S,
        counted=Counted(
            (("consistency", S), ("publish", 2 * MS)), (("consistency", S, 20 * S),), (("lost", 20 * S),),
        ),
    )  # fmt: skip
    recorder = Recorder([plan], START)
    for seq in range(5_000):
        # A hundred a second, from one window into the next and back again.
        intended = (seq * 10 * MS) if seq % 2 else (seq * 10 * MS + 5 * S)
        late = seq % 100 == 1
        seen = observed(
            State.IN_DOUBT if seq % 10 == 0 else State.VISIBLE, seq, intended=intended,
            acked_ns=intended + 2 * MS, settled_ns=intended + 6 * MS,
            stable_lower_ns=intended + (3 * S if late else MS),
            stable_upper_ns=intended + (4 * S if late else 502 * MS),
        )  # fmt: skip
        if seen.state is State.IN_DOUBT:
            seen.acked_ns = None
        recorder.expect(0, [(seq, seen.intended_ns, None, 0)])
        recorder.settle([seen])
        if seq in (1, 700, 701, 3_000):
            early = recorder.summary().scenarios["main"]
            assert early.distributions["schedule_delay"].count == early.ledger["scheduled"] == seq + 1
    summary = recorder.summary().scenarios["main"]
    assert summary is recorder.summary().scenarios["main"]
    publish, consistency = summary.distributions["publish"], summary.distributions["consistency"]
    # 1 ms until the ack; 5 ms and no end where none came.
    assert (publish.upper.total, publish.upper.never, publish.upper.maximum) == (5_000, 500, MS)
    assert (publish.lower.total, publish.lower.never, publish.lower.maximum) == (5_000, 0, 5 * MS)
    assert publish.lower.value_sum == 4_500 * MS + 500 * 5 * MS
    counts = publish.thresholds[2 * MS]
    assert (counts.within, counts.beyond) == (4_500, 500)
    # Of each ten, five are due 5 s later; of the tens of a window one in two is in doubt, and none of the others.
    assert counts.intervals == {
        0: [750, 700, 50], 1: [1_000, 900, 100], 2: [1_000, 900, 100], 3: [1_000, 900, 100], 4: [1_000, 900, 100],
        5: [250, 200, 50],
    }  # fmt: skip
    assert (consistency.count, consistency.censored) == (4_500, 0)
    counts = consistency.thresholds[S]
    assert (counts.within, counts.beyond) == (4_450, 50)
    late_in = {interval: batch[2] for interval, batch in counts.intervals.items()}
    assert late_in == {0: 10, 1: 10, 2: 10, 3: 10, 4: 10, 5: 0}
    assert steps_of(consistency.steps[S, 20 * S]) == {
        0: (1_600, 1_580, 20), 1: (1_800, 1_780, 20), 2: (1_100, 1_090, 10),
    }  # fmt: skip
    assert steps_of(summary.counter_steps["lost", 20 * S]) == {0: (1_750, 0, 0), 1: (2_000, 0, 0), 2: (1_250, 0, 0)}


# -- sums ----------------------------------------------------------------------------------------------


def some_observation(rng: random.Random, seq: int) -> Observation:
    state = rng.choice(list(State))
    intended = seq * 100 * MS
    sent = None if state is State.UNSENT and rng.random() < 0.5 else intended + rng.randrange(S)
    seen = rng.random() < 0.7
    changes: dict[str, Any] = {"sent_ns": sent, "key": rng.choice((None, "a", "b"))}
    if state >= State.VISIBLE:
        changes["acked_ns"] = (sent or 0) + rng.randrange(S)
    if seen and state not in (State.UNSENT, State.REJECTED, State.RETURNED, State.LOST):
        lower = intended + rng.randrange(5 * S)
        upper = lower + rng.randrange(S)
        changes |= {"first_lower_ns": lower, "first_upper_ns": upper, "stable_lower_ns": lower}
        changes["stable_upper_ns"] = upper if state in (State.VISIBLE, State.IN_DOUBT) else None
        changes |= {"effects": rng.choice((None, 1, 2)), "position": float(seq), "regressions": rng.randrange(2)}
    return observed(state, seq, intended=intended, sampled=rng.random() < 0.8, **changes)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 5))
def test_both_sums_always_close(seed: int, number: int, unrecorded: int) -> None:
    rng = random.Random(seed)
    events = [some_observation(rng, seq) for seq in range(number)]
    recorder = Recorder([PLAN], START)
    recorder.expect(0, [(seen.seq, seen.intended_ns, seen.key, seen.type) for seen in events])
    recorder.settle(events)
    recorder.unrecorded(0, unrecorded)
    ledger = recorder.summary().scenarios["main"].ledger
    assert ledger["scheduled"] == number + unrecorded
    assert ledger["scheduled"] == sum(
        ledger[name] for name in ("unsent", "acked", "rejected", "returned", "in_doubt")
    )
    assert ledger["acked"] == sum(
        ledger[name] for name in ("visible", "ended", "lost", "regressed", "pending", "unobserved")
    )
    by_state = Counter(seen.state.name.lower() for seen in events)
    by_state["in_doubt"] += unrecorded
    assert all(ledger[name.lower()] == by_state[name.lower()] for name in State.__members__)


def test_events_known_by_number_only_are_in_doubt_and_never_seen() -> None:
    recorder = Recorder([PLAN], START)
    recorder.unrecorded(0, 3)
    summary = recorder.summary().scenarios["main"]
    assert (summary.ledger["scheduled"], summary.ledger["in_doubt"]) == (3, 3)
    end_to_end = summary.distributions["end_to_end"]
    assert (values(end_to_end.lower), values(end_to_end.upper)) == (({0: 3}, 0), ({}, 3))
    assert end_to_end.thresholds[2 * S].intervals == {0: [3, 0, 0]}
    assert (end_to_end.thresholds[2 * S].within, end_to_end.thresholds[2 * S].beyond) == (0, 0), "nobody knows"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_two_summaries_merge_to_that_of_all(seed: int, number: int) -> None:
    rng = random.Random(seed)
    events = [some_observation(rng, seq) for seq in range(number)]
    for seen in events:
        seen.key = None  # Order is a matter of one recorder: a key doesn't span two generators.
    cut = rng.randint(0, number)
    assert contents(merged([fold(*events[:cut]), fold(*events[cut:])])) == contents(merged([fold(*events)]))


def test_scenarios_are_kept_apart() -> None:
    recorder = Recorder([ScenarioPlan("a", True, S), ScenarioPlan("b", True, S)], START)
    seen = observed(State.VISIBLE, 1, **SEEN)
    seen.scenario = 1
    recorder.expect(1, [(1, seen.intended_ns, None, 0)])
    recorder.settle([seen])
    scenarios = recorder.summary().scenarios
    assert scenarios["a"] == ScenarioSummary()
    assert scenarios["b"].ledger["visible"] == 1
