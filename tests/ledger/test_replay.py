"""A ledger file written by hand, and what the run read back from it amounts to: each figure from the rows alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evload.errors import UsageError
from evload.ledger import replay
from evload.model.states import State
from evload.model.summary import Summary
from evload.model.travel import Observation, Part
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.summary.fold_plan import Counted, ScenarioPlan
from tests.rigs.ledgers import begun, read_back

MS = 1_000_000
S = 1_000 * MS
START = 7_000 * S
"""The schedule doesn't begin at the clock's zero."""
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def written(
    path: Path,
    *rows: Observation,
    scenarios: Sequence[str] = ("main",),
    slos: Sequence[str | Mapping[str, Any]] = (),
    note: Mapping[str, Any] | None = None,
    samples: Sequence[tuple[float, float, float | None]] = (),
    passing: tuple[str, ...] = (),
    probes: Sequence[tuple[int, str]] = (),
) -> Path:
    """A ledger file of these rows. Samples of the gauge `queue` are (start, end, depth) in seconds; without a depth
    it could not be taken. `passing` are the scenarios whose events go through its queue."""
    values = {"queue": ("queue_depth",)}
    criteria = Criteria(
        [parse(**({"text": slo} if isinstance(slo, str) else slo), gauges=values) for slo in slos],
        SelfCheckPolicy(),
        {"read-model": 10 * S},
        {name: ScenarioCriteria(0, 5 * S, watched=True, events=100) for name in scenarios},
    )
    counted = Counted((("consistency", S),))
    meta = replay.meta(
        "r-1", "by hand", criteria,
        plans=[ScenarioPlan(name, True, 10 * S, counted, probes=tuple(probes)) for name in scenarios],
        events=["event"], probes=[name for _, name in probes] or ["read-model"],
        gauges={"queue": (("queue_depth",), passing)}, segment=(0, 1), stages=[],
    )  # fmt: skip
    ledger = begun(path, START, {**meta, "started_at": BEGAN.isoformat()}, threaded=False)
    ledger.append(rows)
    for start, end, depth in samples:
        figures = {} if depth is None else {"queue_depth": depth}
        ledger.sampled("queue", START + round(start * S), START + round(end * S), figures)
    if note is not None:
        ledger.note(START + S, {"vitals": {}, "final": True, **note})
    ledger.close()
    return path


def row(seq: int, at: float, state: State = State.VISIBLE, scenario: int = 0, **changes: Any) -> Observation:
    """An event due at so many seconds: sent after 1 ms, acked after 10 ms, seen after 100 ms, settled after a second.

    Other times are given as seconds since the schedule began."""
    seconds: dict[str, float | None] = {"sent_ns": at + 0.001, "settled_ns": at + 1}
    if state >= State.VISIBLE:
        seconds["acked_ns"] = at + 0.01
    if state is State.VISIBLE:
        seconds |= dict.fromkeys(("first_upper_ns", "stable_upper_ns"), at + 0.1)
    seconds |= {name: changes.pop(name) for name in list(changes) if name.endswith("_ns")}
    times = {name: None if value is None else START + round(value * S) for name, value in seconds.items()}
    return Observation(
        seq, scenario, 0, state, START + round(at * S), **{"sampled": True, **times, **changes}
    )  # fmt: skip


def summary_of(path: Path) -> Summary:
    return read_back(path).summary


def counts(summary: Summary, scenario: str = "main") -> dict[str, int]:
    """The counts of the ledger that aren't 0."""
    return {name: n for name, n in summary.scenarios[scenario].ledger.items() if n}


# -- what is in the rows -----------------------------------------------------------------------------------


def test_the_figures_of_a_run_are_those_of_its_rows(tmp_path: Path) -> None:
    path = written(
        tmp_path / "events.sqlite",
        row(0, 0.0, effects=1),
        row(1, 0.1, effects=2),
        row(2, 0.2, State.LOST, stable_lower_ns=10.3, settled_ns=10.4),
        row(3, 0.3, State.REJECTED, acked_ns=0.31, detail="503"),
        row(4, 12.0, regressions=1, stable_lower_ns=12.9, stable_upper_ns=13.5, settled_ns=15.0),
        note={"scheduled": [5], "vitals": {"event_reads": 40, "duration_ns": 15 * S}},
    )
    rebuilt = read_back(path)
    assert (rebuilt.run_id, rebuilt.name, rebuilt.started_at) == ("r-1", "by hand", BEGAN)
    summary = rebuilt.summary
    assert counts(summary) == {
        "scheduled": 5, "acked": 4, "rejected": 1, "visible": 3, "lost": 1, "duplicated": 1, "regressions": 1,
    }  # fmt: skip
    main = summary.scenarios["main"]
    assert main.offered == {0: [4, 4], 1: [1, 1]}
    assert (main.first_intended_ns, main.last_intended_ns) == (0, 12 * S)
    assert main.tallies["effects"] == {1: 1, 2: 1}
    consistency = main.distributions["consistency"]
    assert (consistency.count, consistency.censored) == (4, 1)
    assert consistency.upper.minimum == 90 * MS
    assert consistency.upper.maximum == 1_490 * MS
    at_limit = consistency.thresholds[S]
    assert (at_limit.within, at_limit.beyond, at_limit.intervals) == (2, 1, {0: [3, 2, 1], 1: [1, 0, 0]})
    assert main.distributions["publish"].upper.maximum == 9 * MS
    assert (summary.vitals.event_reads, summary.vitals.duration_ns) == (40, 15 * S)


def test_each_scenario_has_its_own_rows(tmp_path: Path) -> None:
    """Of two scenarios one has the even numbers and the other the odd ones."""
    path = written(
        tmp_path / "events.sqlite",
        row(1, 0.0, scenario=1), row(0, 1.0), row(3, 2.0, State.UNSENT, scenario=1, sent_ns=None),
        row(5, 3.0, scenario=1), scenarios=("first", "second"), note={"scheduled": [1, 3]},
    )  # fmt: skip
    summary = summary_of(path)
    assert counts(summary, "first") == {"scheduled": 1, "acked": 1, "visible": 1}
    assert counts(summary, "second") == {"scheduled": 3, "acked": 2, "visible": 2, "unsent": 1}
    assert summary.scenarios["second"].offered == {0: [3, 2]}


def test_what_each_replica_showed_is_read_back(tmp_path: Path) -> None:
    parts = (
        Part(0, None, State.REGRESSED, None, START + 100 * MS, START + 900 * MS, None),
        Part(0, "eu", State.VISIBLE, None, START + 100 * MS, None, START + 100 * MS),
        Part(0, "us", State.REGRESSED, None, START + 200 * MS, START + 900 * MS, None),
    )
    path = written(
        tmp_path / "events.sqlite", row(0, 0.0, State.REGRESSED, parts=parts), probes=[(0, "read-model")],
        note={"scheduled": [1]},
    )  # fmt: skip
    main = summary_of(path).scenarios["main"]
    assert (main.agreeing, main.asked) == (1, 2)
    eu, us = main.slices["replica=eu"], main.slices["replica=us"]
    assert (eu.ledger["visible"], us.ledger["visible"], us.ledger["regressed"]) == (1, 0, 1)
    assert eu.distributions["consistency"].upper.minimum == 90 * MS
    assert us.distributions["consistency"].censored == 1


def swapped(path: Path, seen: float, *others: Observation) -> int:
    """Of two events of a key the later one was applied first; the earlier was settled at a time. Out of order are:"""
    rows = row(0, 0.0, key="k", position=5.0, settled_ns=seen), row(2, 2.0, key="k", position=3.0, settled_ns=4.0)
    written(path, *rows, *others, scenarios=("main", "other"), note={"scheduled": [2, len(others)]})
    return counts(summary_of(path)).get("out_of_order", 0)


def test_order_was_owed_only_to_what_was_outstanding_when_the_next_was_due(tmp_path: Path) -> None:
    assert swapped(tmp_path / "outstanding", 3.0) == 1
    assert swapped(tmp_path / "later", 5.0) == 1, "also if it was settled last"
    assert swapped(tmp_path / "before", 1.0) == 0, "whoever was seen before the other was sent came first"
    assert swapped(tmp_path / "then", 2.0) == 0, "or at that very moment"


def test_events_of_another_scenario_change_nothing_about_it(tmp_path: Path) -> None:
    long, between = row(1, 0.5, scenario=1, settled_ns=9.0), row(1, 3.5, scenario=1, settled_ns=3.6)
    assert swapped(tmp_path / "long", 1.0, long) == 0
    assert swapped(tmp_path / "between", 3.0, between) == 1


# -- what is in no row -------------------------------------------------------------------------------------


def test_what_was_scheduled_and_has_no_row_is_in_doubt(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", row(0, 0.0), row(2, 0.2), note={"scheduled": [5]})
    summary = summary_of(path)
    assert counts(summary) == {"scheduled": 5, "acked": 2, "visible": 2, "in_doubt": 3}
    end_to_end = summary.scenarios["main"].distributions["end_to_end"]
    assert (end_to_end.count, end_to_end.censored) == (5, 3), "and was never seen"


@pytest.mark.parametrize(
    ("noted", "numbers", "found"),
    [
        (5, (0, 1, 2, 3, 4, 5, 6), {"scheduled": 7, "acked": 7, "visible": 7}),
        (5, (0, 6), {"scheduled": 7, "acked": 2, "visible": 2, "in_doubt": 5}),
        (2, (1,), {"scheduled": 2, "acked": 1, "visible": 1, "in_doubt": 1}),
        (1, (), {"scheduled": 1, "in_doubt": 1}),
        (0, (), {}),
    ],
)
def test_what_was_scheduled_after_the_last_note_is_known_from_its_rows(
    tmp_path: Path, noted: int, numbers: Sequence[int], found: Mapping[str, int]
) -> None:
    """Numbers go up with the schedule, so whoever has a higher one was scheduled before it."""
    rows = [row(n, n / 10) for n in numbers]
    path = written(tmp_path / "events.sqlite", *rows, note={"scheduled": [noted], "final": False})
    assert counts(summary_of(path)) == found


def test_the_numbers_of_several_scenarios_take_turns(tmp_path: Path) -> None:
    """Number 9 is the fifth event of the second of two scenarios, and 4 the third of the first."""
    path = written(
        tmp_path / "events.sqlite", row(4, 0.4), row(9, 0.4, scenario=1), scenarios=("first", "second"),
        note={"scheduled": [1, 2], "final": False},
    )  # fmt: skip
    summary = summary_of(path)
    assert counts(summary, "first") == {"scheduled": 3, "acked": 1, "visible": 1, "in_doubt": 2}
    assert counts(summary, "second") == {"scheduled": 5, "acked": 1, "visible": 1, "in_doubt": 4}


@pytest.mark.parametrize(
    ("note", "crashed"),
    [({"scheduled": [1], "final": True}, False), ({"scheduled": [1], "final": False}, True), (None, True)],
)
def test_a_run_without_its_last_word_has_crashed(
    tmp_path: Path, note: Mapping[str, Any] | None, crashed: bool
) -> None:
    summary = summary_of(written(tmp_path / "events.sqlite", row(0, 0.0), note=note))
    assert summary.vitals.crashed is crashed
    assert counts(summary) == {"scheduled": 1, "acked": 1, "visible": 1}


def test_a_run_that_died_at_once_had_no_events(tmp_path: Path) -> None:
    summary = summary_of(written(tmp_path / "events.sqlite", scenarios=("first", "second")))
    assert summary.vitals.crashed
    assert counts(summary, "first") == counts(summary, "second") == {}
    assert summary.scenarios["first"].distributions == {}


# -- gauges ------------------------------------------------------------------------------------------------


def test_the_samples_of_a_gauge_are_counted(tmp_path: Path) -> None:
    samples = [(0.5, 0.6, 3.0), (1.0, 1.1, 8.0), (1.5, 1.6, None), (2.0, 2.1, 1.0)]
    gauge = summary_of(written(tmp_path / "events.sqlite", samples=samples, note={"scheduled": [0]})).gauges["queue"]
    depth = gauge.series["queue_depth"]
    assert (depth.count, depth.minimum, depth.maximum, depth.last, gauge.failed) == (3, 1, 8, 1, 1)


def test_what_a_gauge_was_watched_for_counts_from_both_ends_of_its_samples(tmp_path: Path) -> None:
    """A sample that took a tenth of a second shows one moment of it. The depth was too high from the end of the first
    such sample to the start of the last for sure, and from the start of the good one before to the end of the one
    after at most; it was back, after the end of the scenario at 5 s, between the last that is high and the first that
    is not."""
    samples = [(1.0, 1.1, 0.0), (2.0, 2.1, 50.0), (5.5, 5.6, 50.0), (6.0, 6.1, 0.0)]
    slos: list[str | Mapping[str, Any]] = [
        "max(queue_depth) < 5 for 10s",
        {"text": "drain(queue_depth <= 5) < 60s", "after": "main"},
    ]
    path = written(tmp_path / "events.sqlite", samples=samples, slos=slos, note={"scheduled": [0]})
    assert list(summary_of(path).watches.values()) == [(3.4, 5.1), (0.5, 1.1)]


def test_a_sample_that_could_not_be_taken_is_no_empty_queue(tmp_path: Path) -> None:
    samples = [(0.0, 0.1, 0.0), (1.0, 1.1, 50.0), (2.0, 2.1, None), (3.0, 3.1, 50.0), (4.0, 4.1, 0.0)]
    path = written(
        tmp_path / "events.sqlite", samples=samples, slos=["max(queue_depth) < 5 for 10s"], note={"scheduled": [0]}
    )
    assert list(summary_of(path).watches.values()) == [(1.9, 4.1)]


def test_the_time_in_a_queue_is_worked_out_anew(tmp_path: Path) -> None:
    """Two events acked at 10 and 510 ms; a sample at 1 s still finds both in the queue, the one at 2 s finds none."""
    samples = [(1.0, 1.0, 2.0), (2.0, 2.0, 0.0)]
    path = written(
        tmp_path / "events.sqlite", row(0, 0.0), row(1, 0.5), samples=samples, slos=["p95(queue_lag) < 1800ms"],
        note={"scheduled": [2]},
    )  # fmt: skip
    lag = summary_of(path).gauges["queue"].lag
    assert lag is not None
    assert (lag.count, lag.censored) == (2, 0)
    assert (lag.lower.minimum, lag.upper.maximum) == (490 * MS, 1_990 * MS)
    counted = lag.thresholds[1_800 * MS]
    assert (counted.within, counted.beyond) == (1, 0)


def test_only_the_scenarios_that_pass_a_queue_were_in_it(tmp_path: Path) -> None:
    path = written(
        tmp_path / "events.sqlite", row(0, 0.0), row(1, 0.5, scenario=1), row(3, 0.5, scenario=1),
        scenarios=("past", "through"), passing=("through",), samples=[(1.0, 1.0, 0.0)], note={"scheduled": [1, 2]},
    )  # fmt: skip
    lag = summary_of(path).gauges["queue"].lag
    assert lag is not None
    assert lag.count == 2


# -- damage ------------------------------------------------------------------------------------------------


def test_a_file_without_what_it_takes_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    begun(path, START, {"run_id": "r-1"}, threaded=False).close()
    with pytest.raises(UsageError, match=r"events\.sqlite is damaged: no 'plan'; use an undamaged copy"):
        read_back(path)


def test_what_makes_no_sense_is_damaged_too(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = '\"yesterday\"' WHERE key = 'started_at'")
    with pytest.raises(UsageError, match=r"is damaged: Invalid isoformat string: 'yesterday'; use an undamaged copy"):
        read_back(path)
