"""In which phase of the load events were due, and which of them left so late that it was another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from evload.model.phases import Ending
from evload.model.states import State
from evload.model.travel import Observation
from evload.summary.fold_plan import ScenarioPlan
from evload.summary.recorder import Recorder

MS = 1_000_000
S = 1_000 * MS
START = 40 * S

RAMP, BURST, LONG, REST = (1 * S, 3 * S), (3 * S, 3 * S), (3 * S, 23 * S), (23 * S, 24 * S)
PHASES = (RAMP, BURST, LONG, REST)
"""Later than a tenth of a phase, 100 ms at least and 1 s at most, is too late: 200 ms, 100 ms, 1 s, 100 ms."""


def sent(seq: int, due: int, late: int | None, own: int | None = None, scenario: int = 0) -> Observation:
    """An event that was due then and left so much later, `own` of it by evload's own fault; None: never."""
    state = State.UNSENT if late is None else State.UNOBSERVED
    seen = Observation(seq, scenario, 0, state, START + due)
    if late is not None:
        seen.sent_ns = seen.acked_ns = START + due + late
    seen.settled_ns, seen.own_delay = START + 99 * S, own
    return seen


def counts(
    events: Sequence[Observation], phases: Sequence[tuple[int, int]] = PHASES
) -> Mapping[tuple[int, int], list[int]]:
    """Phase to the events due in it, those of them that were too late, and those that evload alone was late with."""
    recorder = Recorder([ScenarioPlan("main", watched=False, deadline_ns=0, phases=tuple(phases))], START)
    recorder.expect(0, [(seen.seq, seen.intended_ns, None, 0) for seen in events])
    recorder.settle(events)
    return recorder.summary().scenarios["main"].phases


@pytest.mark.parametrize(
    ("due", "phase", "allowed"),
    [
        (1 * S, RAMP, 200 * MS),
        (3 * S - 1, RAMP, 200 * MS),
        (3 * S, BURST, 100 * MS),
        (3 * S + 1, LONG, S),
        (22 * S, LONG, S),
        (23 * S, REST, 100 * MS),
        (31 * S, REST, 100 * MS),
    ],
)
def test_what_left_later_than_its_phase_allows_is_late(due: int, phase: tuple[int, int], allowed: int) -> None:
    for late, own, expected in [
        (0, None, [1, 0, 0]),
        (allowed, None, [1, 0, 0]),
        # All of it was evload's own where nobody measured.
        (allowed + 1, None, [1, 1, 1]),
        (allowed + 1, 0, [1, 1, 0]),
        (allowed + 1, allowed, [1, 1, 0]),
        (5 * S, allowed + 1, [1, 1, 1]),
        (None, None, [1, 1, 0]),
    ]:
        assert counts([sent(0, due, late, own)]) == {phase: expected}, (late, own)


def test_what_was_due_before_any_phase_belongs_to_none() -> None:
    assert counts([sent(0, S - 1, 9 * S), sent(1, S, 9 * S)]) == {RAMP: [1, 1, 1]}
    assert counts([sent(0, 5 * S, 9 * S)], ()) == {}


@pytest.mark.parametrize("phases", [PHASES, (RAMP, LONG, REST)])
def test_events_of_several_phases_are_counted_each_in_its_own(phases: Sequence[tuple[int, int]]) -> None:
    moments = [1 * S, 2 * S, 2_500 * MS, 3 * S, 4 * S, 22 * S, 23 * S]
    late = [None, 150 * MS, 250 * MS, 150 * MS, 500 * MS, 2 * S, 99 * MS]
    events = [sent(seq, due, by) for seq, (due, by) in enumerate(zip(moments, late, strict=True))]
    in_long = {BURST: [1, 1, 1], LONG: [2, 1, 1]} if BURST in phases else {LONG: [3, 1, 1]}
    assert counts(events, phases) == {RAMP: [3, 2, 1], **in_long, REST: [1, 0, 0]}
    # Sends of one phase alone, or of one burst.
    assert counts([sent(seq, 3 * S, 150 * MS) for seq in range(3)]) == {BURST: [3, 3, 3]}
    assert counts(events[:3], phases) == {RAMP: [3, 2, 1]}


def test_phases_move_when_one_ends_early_and_what_is_late_is_told_by_how_long_it_was_to_last() -> None:
    """The third ends after three seconds, not after twenty; the other scenario goes on as planned."""
    plans = [ScenarioPlan(name, watched=False, deadline_ns=0, phases=PHASES) for name in ("moved", "other")]
    recorder = Recorder(plans, START)
    moments = [1 * S, 3 * S, 4 * S, 5 * S]
    for scenario in (0, 1):
        events = [sent(4 * scenario + n, at, 400 * MS, scenario=scenario) for n, at in enumerate(moments)]
        recorder.expect(scenario, [(seen.seq, seen.intended_ns, None, 0) for seen in events])
        recorder.settle(events[:3])
    recorder.ended([Ending("moved", 2, "depth > 5", 3 * S, 23 * S, 6 * S)])
    for scenario in (0, 1):
        later = [
            sent(100 + 10 * scenario + n, at, 400 * MS, scenario=scenario) for n, at in enumerate((6 * S, 9 * S))
        ]
        recorder.expect(scenario, [(seen.seq, seen.intended_ns, None, 0) for seen in later])
        # Of the phase that ended early one is still to be settled.
        recorder.settle([sent(4 * scenario + 3, 5 * S, 900 * MS, scenario=scenario), *later])
    found = {name: one.phases for name, one in recorder.summary().scenarios.items()}
    assert found["moved"] == {RAMP: [1, 1, 1], BURST: [1, 1, 1], (3 * S, 6 * S): [2, 0, 0], (6 * S, 7 * S): [2, 2, 2]}
    assert found["other"] == {RAMP: [1, 1, 1], BURST: [1, 1, 1], LONG: [4, 0, 0]}


def test_a_phase_that_never_ended_early_leaves_the_others_where_they_are() -> None:
    recorder = Recorder([ScenarioPlan("main", watched=False, deadline_ns=0, phases=PHASES)], START)
    recorder.ended([Ending("main", 2, "depth > 5", 3 * S, 23 * S), Ending("other", 0, "x == 0", S, 3 * S, 2 * S)])
    recorder.expect(0, [(0, START + 22 * S, None, 0)])
    assert recorder.summary().scenarios["main"].phases == {LONG: [1, 0, 0]}


def test_events_are_late_in_their_phase_also_where_the_warm_up_is_told_apart() -> None:
    plan = ScenarioPlan("main", watched=False, deadline_ns=0, phases=PHASES, warmup=(1 * S, 2 * S))
    recorder = Recorder([plan], START)
    events = [sent(seq, due, S + 1) for seq, due in enumerate([1 * S, 2 * S - 1, 2 * S, 3 * S])]
    recorder.expect(0, [(seen.seq, seen.intended_ns, None, 0) for seen in events])
    recorder.settle(events)
    summary = recorder.summary().scenarios["main"]
    assert summary.phases == {RAMP: [1, 1, 1], BURST: [1, 1, 1]}
    assert summary.warmup is not None
    assert (summary.warmup.ledger["scheduled"], summary.ledger["scheduled"]) == (2, 2)
    assert (summary.first_intended_ns, summary.warmup.last_intended_ns) == (2 * S, 2 * S - 1)
    assert recorder.scheduled() == [(4, 2)]
