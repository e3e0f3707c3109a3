"""A run and `evload report` from its ledger say the same to the last digit, whatever was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.model.states import Seen, State
from evload.model.travel import Observation
from evload.model.vitals import Vitals
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.report.build import About, build, build_again
from evload.report.document import as_json, document
from evload.stats.watches import MISSING
from evload.summary.fold_plan import Counted, ScenarioPlan
from evload.summary.recorder import Recorder
from tests.rigs.contents import contents
from tests.rigs.ledgers import begun

MS = 1_000_000
S = 1_000 * MS
START: Final = 7_000 * S
BEGAN: Final = datetime(2026, 1, 31, tzinfo=UTC)
PLANS: Final = [
    ScenarioPlan(
        name, True, 10 * S, Counted(
            (("consistency", S), ("end_to_end", 3 * S)), (), (("acked", 100 * MS), ("errors", 100 * MS)),
            on_time=True,
        ),
        probes=((0, "read-model"),), phases=((0, 5 * S), (5 * S, 40 * S)),
    )
    for name in ("first", "second")
]  # fmt: skip
OBJECTIVES: Final = (
    "p95(consistency) < 1s", "p99(end_to_end) < 3s", "lost == 0", "duplicates == 0", "out_of_order == 0",
    "regressions == 0", "rate(errors) < 1%", "max(staleness) < 3", "stretch(errors) < 5s", "span(publish) < 50s",
    "rise(depth) <= 3", "integral(depth) < 1h", "growth(depth) < 9/h", "stretch(depth > 5) < 9s", "max(depth) < 20",
    "rise(depth) / integral(depth) < 5%",
)  # fmt: skip
GAUGES: Final = {"queue": ["depth"]}
CRITERIA: Final = Criteria(
    [
        *(parse(text, gauges=GAUGES) for text in OBJECTIVES),
        parse("reach(depth > 5) < 9s", scenario="second", gauges=GAUGES),
        parse("reach(depth > 5) < 9s", after="first", gauges=GAUGES),
        parse("drain(depth <= 5) < 9s", after="5s", gauges=GAUGES),
        parse("rise(depth) == 0", after="first", gauges=GAUGES),
    ],
    SelfCheckPolicy(),
    {"read-model": 10 * S},
    {
        plan.name: ScenarioCriteria(0, 40 * S, watched=True, events=20, rates=((0, 40 * S, 0.0, 1.0),))
        for plan in PLANS
    },
)

# A read model's own order: whole numbers of any size, those between two that a double can't tell apart, and texts.
NUMBERS: Final = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(2**53, 2**53 + 9), st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS: Final = st.text("0123456789abcXYZ-ä", min_size=1, max_size=30)
STAMPS: Final = st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1])


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """What was made of the events of two scenarios that follow one another."""
    positions = st.none() | draw(st.sampled_from([NUMBERS, TEXTS]))
    events, due = [], START
    for seq in range(draw(st.integers(0, 20))):
        due += draw(st.integers(0, 3 * S))
        state = draw(st.sampled_from(State))
        seen = Observation(seq, seq % 2, 0, state, due, draw(st.sampled_from([None, "k", "l"])))
        seen.settled_ns = due + draw(st.integers(S, 20 * S))
        seen.sampled = draw(st.booleans())
        if state is not State.UNSENT or draw(st.booleans()):
            seen.sent_ns = due + draw(st.integers(-MS, S))
        if state in (State.REJECTED, State.RETURNED) or state >= State.VISIBLE:
            seen.acked_ns = (seen.sent_ns or due) + draw(st.integers(0, S))
        if state >= State.VISIBLE or state is State.IN_DOUBT:
            looked_at(draw, seen, positions)
        events.append(seen)
    return events


def looked_at(draw: st.DrawFn, seen: Observation, positions: st.SearchStrategy[int | float | str | None]) -> None:
    """What reads made of an event that may have been visible."""
    seen.reads, seen.failed_reads = draw(st.integers(1, 99)), draw(st.integers(0, 9))
    since = seen.acked_ns or seen.intended_ns
    if seen.state in (State.VISIBLE, State.REGRESSED):
        low = since + draw(st.integers(-S, 9 * S))
        seen.first_lower_ns, seen.first_upper_ns = low, low + draw(st.integers(0, S))
        seen.stable_lower_ns = seen.first_upper_ns
        if seen.state is State.VISIBLE:
            seen.stable_upper_ns = seen.first_upper_ns + draw(st.integers(0, S))
        seen.effects = draw(st.none() | st.integers(0, 2**31))
        seen.position = draw(positions)
        seen.consumed_at, seen.processed_at = draw(STAMPS), draw(STAMPS)
    seen.regressions = draw(st.integers(0, 3))
    seen.session = draw(st.sampled_from([None, Seen.ABSENT, Seen.PRESENT, Seen.FAILED]))
    seen.staleness = draw(st.none() | st.integers(0, 2**40))
    seen.status = draw(st.sampled_from([None, 200, 202]))


@settings(max_examples=60, deadline=None)
@given(observations(), st.lists(st.none() | st.just(MISSING) | st.floats(-9, 9), max_size=60))
def test_a_run_and_the_report_from_its_ledger_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, events: Sequence[Observation], depths: Sequence[float | None]
) -> None:
    """Of a gauge some samples failed, and some had no value."""
    directory = tmp_path_factory.mktemp("run")
    vitals = Vitals(duration_ns=60 * S)
    recorder = Recorder(PLANS, START, vitals)
    meta = replay.meta(
        "r-1", "any", CRITERIA, plans=PLANS, events=["event"], probes=["read-model"],
        gauges={"queue": (("depth",), ())}, segment=(0, 1),
        stages=[],
    )  # fmt: skip
    ledger = begun(directory / "events.sqlite", START, {**meta, "started_at": BEGAN.isoformat()}, threaded=False)
    for seen in events:
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key, seen.type)])
    settled = sorted(events, key=lambda one: (one.settled_ns, one.seq))
    ledger.append(settled)
    for seen in settled:
        recorder.settle([seen])
    for second, depth in enumerate(depths):
        start_ns, values = START + second * S, {} if depth is None else {"depth": depth}
        recorder.sampled("queue", start_ns, start_ns + MS, values)
        ledger.sampled("queue", start_ns, start_ns + MS, values)
    live = recorder.summary()
    scheduled = [scenario.ledger["scheduled"] for scenario in live.scenarios.values()]
    ledger.note(START + 60 * S, {"scheduled": scheduled, "vitals": asdict(vitals), "final": True})
    ledger.close()
    with LedgerReader(directory / "events.sqlite") as reader:
        run = build(live, CRITERIA, About("r-1", "any", BEGAN, directory), reader)
        report = build_again(reader, directory)
    assert contents(report.summary) == contents(run.summary)
    assert told(report) == told(run)
    assert as_json(report) == as_json(run)


def told(report: Any) -> Mapping[str, Any]:
    """All that is said of a run, down to its timelines."""
    return {"document": document(report), "insights": report.insights, "checks": report.checks}
