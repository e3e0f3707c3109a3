"""Summaries of the parts of a run add up to that of the whole, every field of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evload.model.facts import FACTS, METRICS, NEVER_CAME
from evload.model.phases import Ending
from evload.model.round import Held
from evload.model.rounds import ContenderSummary, Example, RoundsSummary, RuleSummary
from evload.model.states import Seen, State
from evload.model.summary import (
    FROM_LEDGER,
    HOPS,
    Distribution,
    GaugeSummary,
    ScenarioSummary,
    Series,
    Summary,
)
from evload.model.travel import Observation, Part
from evload.model.vitals import Incident, ReadVitals, Vitals
from evload.stats.histogram import Histogram
from evload.stats.thresholds import StepCounts, ThresholdCount
from evload.stats.watches import MISSING
from evload.summary.fold_plan import Counted, RacePlan, ScenarioPlan, Slice
from evload.summary.recorder import Recorder
from evload.workload.segment import Segment
from tests.rigs.contents import contents

MS = 1_000_000
S = 1_000 * MS
START = 77 * S

COUNTED = Counted(
    (("consistency", 300 * MS), ("end_to_end", S), ("publish", 5 * MS)),
    (("consistency", 300 * MS, S),),
    (("errors", S), ("visible", S), ("sent", S), ("duplicated", S), ("out_of_order", S), ("status(409)", S)),
    on_time=True,
)
PLANS = [
    ScenarioPlan(
        "chain", True, 10 * S, COUNTED,
        (Slice("key=1*", COUNTED, key="1*"), Slice("event=e1", COUNTED, event=1), Slice("event=e0", event=0),
         Slice("replica=b", replica="b"),
         Slice("key=1*,probe=first", COUNTED, key="1*", probe=0),
         Slice("tag=cold", COUNTED, tag="cold"), Slice("tag=cold?", COUNTED, tag="cold?"),
         Slice("event=e1,tag=region=eu", COUNTED, event=1, tag="region=eu")),
        ((0, "first"), (1, "second")), arrival_step_ns=S, flow_step_ns=S, phases=((0, 9 * S), (9 * S, 40 * S)),
        warmup=(0, 1200 * MS), race=RacePlan(("pay",), ("never both",), ("agree",), reads=(1,)),
    ),
    ScenarioPlan("alone", True, 10 * S, COUNTED, (Slice("probe=first", COUNTED, probe=0),), ((0, "first"),)),
    ScenarioPlan("unwatched", False, 0, event="e0"),
]  # fmt: skip


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """Events of three scenarios as a tracker might tell of them, in the order of the schedule."""
    events = []
    due = START
    for number in range(draw(st.integers(0, 25))):
        due += draw(st.integers(0, 1500)) * MS
        scenario = draw(st.integers(0, 2))
        state = draw(st.sampled_from(State))
        key = draw(st.sampled_from([None, "1", "12", "2"]))
        seen = Observation(number * 3 + scenario, scenario, draw(st.integers(0, 1)), state, due, key)
        seen.settled_ns = due + 20 * S
        if state is not State.UNSENT or draw(st.booleans()):
            seen.sent_ns = due + draw(st.integers(-1, 30)) * MS
            seen.order_wait = draw(st.sampled_from([None, None, 0, 2 * S]))
            seen.sent_ns += seen.order_wait or 0
        if state in (State.REJECTED, State.RETURNED) or state >= State.VISIBLE:
            seen.sent_ns = seen.sent_ns or due
            seen.acked_ns = seen.sent_ns + draw(st.integers(0, 30)) * MS
        if state in (State.REJECTED, State.RETURNED):
            seen.status, seen.detail = draw(st.sampled_from([409, 500])), "refused"
        if scenario != 2 and (state >= State.VISIBLE or state is State.IN_DOUBT):
            look(draw, seen)
        events.append(seen)
    return events


def look(draw: st.DrawFn, seen: Observation) -> None:
    """What reads made of an event that may be visible."""
    seen.sampled = draw(st.booleans())
    seen.reads, seen.failed_reads = draw(st.integers(1, 9)), draw(st.integers(0, 2))
    since = seen.acked_ns or seen.intended_ns
    if seen.state in (State.VISIBLE, State.REGRESSED) or draw(st.booleans()):
        low = since + draw(st.integers(-10, 9000)) * MS
        seen.first_lower_ns = draw(st.sampled_from([None, low]))
        seen.first_upper_ns = low + draw(st.integers(0, 200)) * MS
        seen.stable_lower_ns = seen.first_upper_ns
        if seen.state is not State.REGRESSED:
            seen.stable_upper_ns = seen.first_upper_ns + draw(st.integers(0, 500)) * MS
        seen.effects = draw(st.sampled_from([None, 1, 1, 2, 3]))
        seen.position = draw(st.one_of(st.none(), st.integers(1, 50)))
    seen.regressions = draw(st.integers(0, 2))
    seen.resent, seen.non_monotonic = draw(st.booleans()), draw(st.booleans())
    seen.session = draw(st.sampled_from([None, *Seen]))
    seen.staleness = draw(st.sampled_from([None, 0, 1, 4]))
    seen.status = draw(st.sampled_from([None, 202, 201]))
    seen.bytes_out, seen.bytes_in = draw(st.sampled_from([None, 0, 310])), draw(st.sampled_from([None, 0, 12]))
    seen.first_byte = draw(st.sampled_from([None, NEVER_CAME, 0, 7 * MS]))
    seen.tags = draw(st.sampled_from(["", "cold", "cold=", "cold\nregion=eu", "cold=\nregion=us", "region=eu"]))
    if seen.scenario == 0:
        brackets = (seen.first_lower_ns, seen.first_upper_ns, seen.stable_lower_ns, seen.stable_upper_ns)
        replica = draw(st.sampled_from(["a", "b"]))
        state = seen.state if seen.state >= State.VISIBLE else State.LOST
        parts = [Part(0, None, state, *brackets), Part(0, replica, state, *brackets), Part(1, None, state, *brackets)]
        seen.parts = tuple(draw(st.sampled_from([(), tuple(parts)])))


def fold(events: Sequence[Observation], samples: Sequence[tuple[int, float]], at_once: int = 1) -> Summary:
    recorder = Recorder(PLANS, START)
    for seen in events:
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key, seen.type)])
    settled = sorted(events, key=lambda one: (one.settled_ns, one.seq))
    for first in range(0, len(settled), at_once):
        recorder.settle(settled[first : first + at_once])
    for at, value in samples:
        recorder.sampled("queue", START + at, START + at + 1, {"queue_depth": value} if value else {})
    return recorder.summary()


@given(observations(), st.integers(2, 25))
def test_events_that_are_settled_together_count_as_they_do_one_by_one(
    events: list[Observation], at_once: int
) -> None:
    assert contents(fold(events, (), at_once)) == contents(fold(events, ()))


SAMPLES = st.lists(st.tuples(st.integers(0, 10**10), st.floats(-1e9, 1e9)), max_size=8, unique_by=lambda one: one[0])


@given(observations(), SAMPLES, st.integers(2, 4))
def test_the_fold_of_the_whole_is_the_sum_of_the_folds_of_its_parts(
    events: list[Observation], samples: list[tuple[int, float]], count: int
) -> None:
    owners = [next(n for n in range(count) if Segment(n, count).has(seen.seq // 3, seen.key)) for seen in events]
    parts = [
        fold([seen for seen, owner in zip(events, owners, strict=True) if owner == n], samples[n::count])
        for n in range(count)
    ]
    together = Summary()
    for part in parts:
        together.merge(part)
    whole = fold(events, sorted(samples))
    assert together == whole
    backwards = Summary()
    for part in reversed(parts):
        backwards.merge(part)
    assert backwards == whole


def rich() -> Summary:
    """A fold in which every field holds something."""
    events = []
    for n in range(40):
        at = START + S + n * 400 * MS
        state = [State.VISIBLE, State.LOST, State.REJECTED, State.IN_DOUBT][n % 4]
        acked = None if state is State.IN_DOUBT else at + 5 * MS
        stable = None if state is State.LOST else at + 7 * S
        seen = Observation(
            n * 3, 0, n % 2, state, at, "1", at - (n < 8), acked, True, at + 90 * MS, at + 7 * S, at + 90 * MS,
            stable, at + 20 * S, regressions=n % 3, effects=n % 3, position=-n, session=Seen(n % 3),
            staleness=n % 5, status=202, bytes_out=300, bytes_in=n, resent=n % 2 == 0, non_monotonic=n % 3 == 0,
            answer=1 + n % 3, retried=1 + n % 2, appeared=n % 3, gone=n % 3, first_byte=n * MS,
        )  # fmt: skip
        if n == 36:
            seen.order_wait = 3 * S
            seen.sent_ns, seen.acked_ns = at + 3 * S, at + 3 * S + 5 * MS
        if state >= State.VISIBLE:
            brackets = (at + 90 * MS, at + 110 * MS, at + 90 * MS, stable)
            seen.parts = (
                Part(0, None, state, *brackets), Part(0, "b", state, *brackets), Part(1, None, state, *brackets)
            )  # fmt: skip
        events.append(seen)
    found = fold(events, [(1, 5.0), (2, 7.0), (3, 0.0), (4, MISSING)])
    found.reads["first"] = Distribution()
    found.scenarios["chain"].event = "e0"
    found.scenarios["chain"].rounds = rounds = RoundsSummary(1, 2, 3, 4, 5, 6, 7, 8, 9, reasons={"503": 1})
    rounds.rules["agree"] = RuleSummary("holds", 1, 2, 3, 4, 5)
    rounds.rules["agree"].tell(Held.VIOLATED, Example(1, "chain", 2, "stock -1"))
    rounds.contenders["pay"] = ContenderSummary(1, 2, 3, 4, 5, 6)
    return found


def test_no_field_can_be_added_without_being_added_up() -> None:
    """A new field fails here until it is filled above, and so is held against the whole, or named in FROM_LEDGER."""
    summary = rich()
    chain = summary.scenarios["chain"]
    gauge = summary.gauges["queue"]
    one = next(iter(chain.distributions.values()))
    rounds = chain.rounds
    assert rounds is not None
    of_rounds = (rounds, rounds.rules["agree"], rounds.contenders["pay"])
    for holder in (summary, chain, gauge, one, gauge.series["queue_depth"], one.thresholds or chain, *of_rounds):
        if not dataclasses.is_dataclass(holder):
            continue
        for field in dataclasses.fields(holder):
            if field.name in FROM_LEDGER or field.name in ("vitals", "is_view"):
                continue
            if isinstance(holder, Distribution) and field.name in ("thresholds", "steps", "exact"):
                continue  # Of the metrics that are asked for; see the property above.
            value = getattr(holder, field.name)
            assert value not in (0, None, {}, Fraction(0)), f"{type(holder).__name__}.{field.name} holds nothing here"
    twice = Summary()
    twice.merge(summary)
    twice.merge(rich())
    again = Summary()
    again.merge(summary)
    assert again == summary
    assert twice.scenarios["chain"].ledger == {name: 2 * n for name, n in chain.ledger.items()}
    assert twice.scenarios["chain"].rounds == RoundsSummary(
        2, 4, 6, 8, 10, 12, 14, 16, 18,
        {"agree": RuleSummary("holds", 2, 4, 6, 8, 10, {Held.VIOLATED: (Example(1, "chain", 2, "stock -1"),) * 2})},
        {"pay": ContenderSummary(2, 4, 6, 8, 10, 12)}, {"503": 2},
    )  # fmt: skip
    assert chain.slices["replica=b"].is_view
    assert set(METRICS) - set(HOPS) == set(chain.distributions) | {"hop"}
    known = {name for name, fact in FACTS.items() if fact.column and (fact.counters or fact.tallied or fact.ranged)}
    told = {*chain.known, *chain.tallies, *chain.ranges, "resent", "regressions", "non_monotonic"}
    assert known <= told


def test_what_is_to_be_folded_is_read_back_as_it_was_written_down() -> None:
    plans = [*PLANS, ScenarioPlan("old", True, 5, Counted((("end_to_end", 7),), on_time=False))]
    assert [ScenarioPlan.from_data(json.loads(json.dumps(plan.as_data()))) for plan in plans] == plans
    # Of a ledger that is older than these.
    data = PLANS[0].as_data()
    del data["warmup"], data["phases"], data["counted"]["on_time"]
    assert ScenarioPlan.from_data(data) == dataclasses.replace(PLANS[0], warmup=None, phases=())
    for metric, on_time in (("end_to_end", True), ("consistency", False)):
        older = {"thresholds": [[metric, 7]], "steps": [], "counter_steps": []}
        assert Counted.from_data(older) == Counted(((metric, 7),), on_time=on_time)


KINDS = (
    Summary, ScenarioSummary, RoundsSummary, RuleSummary, ContenderSummary, Distribution, GaugeSummary, Series,
    ThresholdCount, Vitals, ReadVitals,
)  # fmt: skip


def test_every_kind_of_summary_can_be_merged() -> None:
    for kind in (*KINDS, Histogram, StepCounts):
        assert callable(kind.merge), kind


FIRST = Ending("a", 0, "x == 0", 0, 9, 4)
SECOND = Ending("a", 2, "x == 0", 5, 9)
THIRD = Ending("b", 0, "x == 1", 1, 9, 3)


def test_vitals_add_up_or_the_worst_counts() -> None:
    def vitals(**changes: Any) -> Vitals:
        return Vitals(**{field.name: changes.pop(field.name) for field in dataclasses.fields(Vitals)})

    one = vitals(
        duration_ns=9, cpu_share=0.5, longest_stall_ns=None, read_requests=1, event_reads=10, failed_reads=2,
        unexpected_ids=3, interrupted=False, crashed=False, replicas={"p": ["b"], "q": []}, errors={"x": 1, "y": 2},
        incidents=[Incident("bus", "x", 1 * S, 2 * S, 2)], probes={"p": ReadVitals(1, 10, 2, 1, 9, 1.5)},
        copies={"accepted": 2}, aborted="", abort_note="", wall_drift_ns=5,
        remarks=["probe p: in the clear", "probe r: unchecked"], endings=[FIRST, SECOND],
    )  # fmt: skip
    other = vitals(
        duration_ns=7, cpu_share=0.75, longest_stall_ns=4, read_requests=2, event_reads=20, failed_reads=1,
        unexpected_ids=1, interrupted=True, crashed=True, replicas={"p": ["a"]}, errors={"y": 5, "z": 1},
        incidents=[Incident("bus", "x", 6 * S, 8 * S, 3), Incident("bus", "z", 0, 0, 1)],
        probes={"p": ReadVitals(3, 20, 1, 0, 7, 1.25), "q": ReadVitals(1, 1)}, copies={"accepted": 1, "rejected": 1},
        aborted="lost == 0", abort_note="ten are", wall_drift_ns=3,
        remarks=["probe p: in the clear", "probe a: unchecked"], endings=[SECOND, THIRD],
    )  # fmt: skip
    one.merge(other)
    assert one == vitals(
        duration_ns=9, cpu_share=0.75, longest_stall_ns=4, read_requests=3, event_reads=30, failed_reads=3,
        unexpected_ids=4, interrupted=True, crashed=True, replicas={"p": ["a", "b"], "q": []},
        errors={"x": 1, "y": 7, "z": 1},
        incidents=[Incident("bus", "z", 0, 0, 1), Incident("bus", "x", 1 * S, 8 * S, 5)],
        probes={"p": ReadVitals(4, 30, 3, 1, 0, 1.5), "q": ReadVitals(1, 1)},
        copies={"accepted": 3, "rejected": 1}, aborted="lost == 0", abort_note="ten are", wall_drift_ns=5,
        remarks=["probe a: unchecked", "probe p: in the clear", "probe r: unchecked"],
        endings=[FIRST, SECOND, THIRD],
    )  # fmt: skip


def test_the_last_value_of_a_series_is_the_latest_whoever_took_it() -> None:
    one, other = Series(), Series()
    one.add(0.1, 10)
    one.add(0.2, 30)
    other.add(0.3, 20)
    other.merge(one)
    assert (other.last, other.last_ns, other.minimum, other.maximum, other.count) == (0.2, 30, 0.1, 0.3, 3)
    assert other.value_sum == Fraction(0.1) + Fraction(0.2) + Fraction(0.3)


def test_what_only_the_ledger_knows_is_taken_out() -> None:
    one = Summary(watches={"x": (1, 2)}, negative_hops=3, contradictions=4)
    one.scenarios["main"] = ScenarioSummary(distributions={name: Distribution() for name in (*HOPS, "publish")})
    one.gauges["q"] = GaugeSummary(lag=Distribution(), contradictions=2)
    one.vitals.probes["p"] = ReadVitals(busiest=9)
    whole = Summary()
    whole.merge(one)
    assert list(whole.scenarios["main"].distributions) == ["publish"]
    assert (whole.watches, whole.negative_hops, whole.contradictions) == ({}, 0, 0)
    assert (whole.gauges["q"].lag, whole.gauges["q"].contradictions, whole.vitals.probes["p"].busiest) == (None, 0, 0)
