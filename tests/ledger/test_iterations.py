"""Iterations of journeys in a ledger file: kept as they were told, looked at before they are believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evload.errors import UsageError
from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.model.iteration import End, Iteration
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from tests.rigs.ledgers import begun, read_back

S = 1_000_000_000
START = 77 * S
TOLD = (
    Iteration(
        0, 1, 4, 3, START + S, START + 2 * S, START + 5 * S, End.FAILED, "pay", "answered 503", ("same", "sum")
    ),
    Iteration(0, 0, 0, None, START, START, START + 6 * S, End.COMPLETED),
    Iteration(0, 1, 9, 0, START + 7 * S, None, START + 8 * S, End.STARVED, "", "nothing in jobs for 1s"),
)


def written(
    path: Path, *iterations: Iteration, journeys: Sequence[str] = ("order", "browse"), final: bool = True
) -> Path:
    plans = [ScenarioPlan("main", False, 0, journeys=tuple(enumerate(journeys)))]
    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=plans, events=["order.pay"], probes=(),
        gauges={}, segment=(0, 1), stages=(), journeys=journeys,
    )  # fmt: skip
    ledger = begun(path, START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False)
    seen = Observation(0, 0, 0, State.UNOBSERVED, START, sent_ns=START, acked_ns=START + 5, settled_ns=START + 5)
    seen.iteration, seen.answer = 4, 3
    ledger.append([seen])
    ledger.iterated(iterations)
    ledger.iterated([])
    ledger.note(START, {"scheduled": [1], "vitals": {}, "final": final})
    ledger.close()
    return path


def test_what_was_told_of_iterations_is_read_again_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with LedgerReader(path) as reader:
        found = list(reader.iterations())
        (step,) = reader.observations(0)
    assert [(one.number, one.intended_ns, one.started_ns, one.ended_ns) for one in found] == [
        (4, S, 2 * S, 5 * S), (0, 0, 0, 6 * S), (9, 7 * S, None, 8 * S)
    ]  # fmt: skip
    assert [(one.journey, one.user, one.end) for one in found] == [
        (1, 3, End.FAILED), (0, None, End.COMPLETED), (1, 0, End.STARVED)
    ]  # fmt: skip
    assert [(one.step, one.reason, one.failed_checks) for one in found] == [
        ("pay", "answered 503", ("same", "sum")), ("", "", ()), ("", "nothing in jobs for 1s", ())
    ]  # fmt: skip
    assert (step.iteration, step.answer) == (4, 3)
    assert read_back(path).summary.scenarios["main"].tallies == {"answer": {3: 1}}


def test_whoever_looks_into_the_file_finds_names_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with closing(sqlite3.connect(path)) as db:
        query = (
            "SELECT number, user, started_ns, ended_as, step, reason, failed_checks FROM iterations ORDER BY number"
        )
        assert db.execute(query).fetchall() == [
            (0, None, 0, 1, None, None, None), (4, 3, 2 * S, 3, "pay", "answered 503", '["same","sum"]'),
            (9, 0, None, 6, None, "nothing in jobs for 1s", None),
        ]  # fmt: skip
        (schema,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'iterations'").fetchone()
    assert "1 completed, 2 refused, 3 failed, 4 cut off, 5 unsent, 6 starved" in schema


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE iterations SET journey = 2", "in iterations, journey is 2"),
        ("UPDATE iterations SET journey = -1", "in iterations, journey is -1"),
        ("UPDATE iterations SET scenario = 1", "in iterations, scenario is 1"),
        ("UPDATE iterations SET ended_as = 7", "in iterations, ended_as is 7"),
        ("UPDATE iterations SET ended_as = 0", "in iterations, ended_as is 0"),
        ("UPDATE iterations SET user = -1", "in iterations, user is -1"),
        ("UPDATE iterations SET ended_ns = 'soon'", "in iterations, ended_ns is 'soon'"),
        ("UPDATE iterations SET reason = x'41'", "in iterations, reason is b'A'"),
        ("UPDATE iterations SET failed_checks = 'same'", "unexpected character"),
        ("UPDATE iterations SET failed_checks = '[1]'", "failed checks are [1]"),
        ("UPDATE iterations SET failed_checks = '7'", "not iterable"),
        ("UPDATE iterations SET checks = 'same'", "unexpected character"),
        ("UPDATE iterations SET checks = '[1]'", "checks are [1]"),
        ("UPDATE iterations SET checks = '{\"pay: same\": 1}'", 'checks are {"pay: same": 1}'),
        ("UPDATE events SET appeared = 3", "in events, appeared is 3"),
        ("UPDATE events SET gone = -1", "in events, gone is -1"),
        ("UPDATE events SET answer = 4", "in events, answer is 4"),
        ("UPDATE events SET iteration = -1", "in events, iteration is -1"),
        ("UPDATE meta SET value = '[\"order\"]' WHERE key = 'journeys'", "in iterations, journey is 1"),
        ("UPDATE meta SET value = '{}' WHERE key = 'journeys'", "journeys: Input should be a valid array"),
    ],
)
def test_what_no_run_writes_is_named(statement: str, what: str, tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    with pytest.raises(UsageError, match=" is damaged: ") as refused:
        read_back(path)
    assert what in str(refused.value)


def test_steps_so_short_that_a_long_wait_has_too_many_are_refused(tmp_path: Path) -> None:
    """One iteration that was due in seventy years, and counts for each nanosecond until then."""
    path = tmp_path / "events.sqlite"
    plans = [ScenarioPlan("main", False, 0, Counted(counter_steps=(("failed", 1),)), journeys=((0, "order"),))]
    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=plans, events=["e"], probes=(), gauges={},
        segment=(0, 1), stages=(), journeys=["order"],
    )  # fmt: skip
    ledger = begun(path, START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False)
    ledger.iterated([Iteration(0, 0, 0, None, START + 2**60, None, START + 2**60, End.UNSENT)])
    ledger.close()
    with pytest.raises(UsageError, match="isn't counted in steps of 1 ns"):
        read_back(path)


def test_a_ledger_from_before_checks_were_counted_has_all_else_of_its_iterations(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE iterations DROP COLUMN checks")
    with LedgerReader(path) as reader:
        found = list(reader.iterations())
    assert [(one.number, one.failed_checks, one.checks) for one in found] == [
        (4, ("same", "sum"), ()), (0, (), ()), (9, (), ()),
    ]  # fmt: skip
    told = read_back(path).summary.scenarios["main"].journeys()["browse"]
    assert told.tallies["checks"] == {"same": 1, "sum": 1}


def test_an_older_ledger_has_no_iterations_and_is_read_as_before(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", journeys=())
    before = read_back(path).summary
    assert before.scenarios["main"].tallies == {"answer": {3: 1}}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE iterations")
        db.execute("DELETE FROM meta WHERE key = 'journeys'")
        db.execute("ALTER TABLE events DROP COLUMN iteration")
        db.execute("ALTER TABLE events DROP COLUMN answer")
    with LedgerReader(path) as reader:
        assert list(reader.iterations()) == []
        (seen,) = reader.observations(0)
    assert (seen.iteration, seen.answer) == (None, None)
    after = read_back(path).summary
    before.scenarios["main"].tallies.clear()
    before.scenarios["main"].known.pop("answer")
    assert after == before


def test_an_earlier_version_finds_nothing_that_it_does_not_know_in_the_plan_of_a_scenario_without_journeys() -> None:
    plan: Any = ScenarioPlan("main", True, 5, slices=(Slice("event=a", event=0),)).as_data()
    assert "journeys" not in plan
    assert "journey" not in plan["slices"][0]
    with_journeys = ScenarioPlan(
        "main", True, 5, slices=(Slice("journey=order", journey="order"),), journeys=((0, "order"),)
    )
    assert ScenarioPlan.from_data(with_journeys.as_data()) == with_journeys


def test_iterations_under_way_when_a_run_was_killed_count_as_cut_off_if_a_request_of_theirs_is_settled(
    tmp_path: Path,
) -> None:
    """Number 4 is told of, or it isn't; its request to pay was settled after 5 ns."""
    over = read_back(written(tmp_path / "over.sqlite", *TOLD, final=False)).summary.scenarios["main"]
    assert over.journeys()["order"].ledger["scheduled"] == 1
    open_ones = [one for one in TOLD if one.number != 4]
    killed = read_back(written(tmp_path / "killed.sqlite", *open_ones, final=False)).summary.scenarios["main"]
    order = killed.journeys()["order"]
    assert {name: n for name, n in order.ledger.items() if n} == {
        "scheduled": 2, "started": 2, "completed": 1, "cut_off": 1
    }  # fmt: skip
    assert order.tallies["reasons"] == {"the run died": 1}
    assert order.distributions["journey"].censored == 1
    ended = read_back(written(tmp_path / "ended.sqlite", *open_ones)).summary.scenarios["main"]
    assert ended.journeys()["order"].ledger["scheduled"] == 1, "a run that ended has told of all of them"
