"""Rounds of races in a ledger file: kept as they were told, looked at before they are believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from evload.errors import UsageError
from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.model.round import Held, Round, RoundEnd, RuleResult, Tally
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from tests.rigs.ledgers import begun, read_back
from tests.rigs.rounds import EVENTS, MS, RACE, START, S, cut_off, judged, void

PLAN = ScenarioPlan("flash", False, 0, race=RACE)
TOLD = (
    judged(2, {"never both": (Held.VIOLATED, "stock -1"), "sold out": Held.UNKNOWN}, contended=False,
           settled=(9 * S, None), pay=Tally(1, 2, 3, 4, 5), cancel=Tally(refused=1)),
    void(0), judged(1, contended=None, settled=None), cut_off(3),
    replace(cut_off(4), rules=(RuleResult("never both", "always", Held.VIOLATED, "stock -2"),)),
    cut_off(5, begun=False),
)  # fmt: skip


def written(
    path: Path, *rounds: Round, requests: Sequence[Observation] = (), plan: ScenarioPlan = PLAN, final: bool = True
) -> Path:
    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=[plan], events=EVENTS, probes=(), gauges={},
        segment=(0, 1), stages=(),
    )  # fmt: skip
    ledger = begun(path, START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False)
    ledger.append(requests)
    ledger.rounded(rounds)
    ledger.rounded([])
    ledger.note(START, {"scheduled": [len(requests)], "vitals": {}, "final": final})
    ledger.close()
    return path


def since_start(one: Round) -> Round:
    started = None if one.started_ns is None else one.started_ns - START
    return replace(one, intended_ns=one.intended_ns - START, started_ns=started, ended_ns=one.ended_ns - START)


def test_what_was_told_of_rounds_is_read_again_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    with LedgerReader(written(tmp_path / "events.sqlite", *TOLD)) as reader:
        assert list(reader.rounds()) == [since_start(one) for one in TOLD]


def test_whoever_looks_into_the_file_finds_names_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT number, started_ns, round_end, reason, contended, settled_lower, settled_upper FROM rounds"
        assert db.execute(f"{query} WHERE number < 4 ORDER BY number").fetchall() == [
            (0, None, 2, "set-up: item: answered 503", None, None, None), (1, 4 * S, 1, None, None, None, None),
            (2, 7 * S, 1, None, 0, 9 * S, None), (3, 10 * S, 3, "the run was stopped", None, None, None),
        ]  # fmt: skip
        query = "SELECT contender, won, refused, failed, doubt, unsent FROM round_contenders WHERE number = 2"
        assert db.execute(f"{query} ORDER BY place").fetchall() == [("pay", 1, 2, 3, 4, 5), ("cancel", 0, 1, 0, 0, 0)]
        query = "SELECT rule, kind, held, told FROM round_rules WHERE number = 2 ORDER BY place"
        assert db.execute(query).fetchall() == [
            ("never both", "always", 2, "stock -1"), ("books agree", "holds", 1, None),
            ("sold out", "holds", 4, None),
        ]  # fmt: skip
        schema = " ".join(
            sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE name LIKE 'round%' AND sql IS NOT NULL")
        )
    assert "1 judged, 2 void, 3 cut_off" in schema
    assert "1 held, 2 violated, 3 possible, 4 unknown" in schema
    assert "always or holds" in schema


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE rounds SET scenario = 1", "in rounds, scenario is 1"),
        ("UPDATE rounds SET number = -1 WHERE number = 2", "in rounds, number is -1"),
        ("UPDATE rounds SET round_end = 4", "in rounds, round_end is 4"),
        ("UPDATE rounds SET round_end = 0", "in rounds, round_end is 0"),
        ("UPDATE rounds SET contended = 2", "in rounds, contended is 2"),
        ("UPDATE rounds SET settled_upper = -1", "in rounds, settled_upper is -1"),
        ("UPDATE rounds SET ended_ns = 'soon'", "in rounds, ended_ns is 'soon'"),
        ("UPDATE rounds SET reason = x'41'", "in rounds, reason is b'A'"),
        ("UPDATE round_contenders SET won = -1", "in round_contenders, won is -1"),
        ("UPDATE round_contenders SET doubt = 1.5", "in round_contenders, doubt is 1.5"),
        ("UPDATE round_rules SET held = 5", "in round_rules, held is 5"),
        ("UPDATE round_rules SET kind = 'sometimes'", "a rule is of kind 'sometimes'"),
        ("UPDATE round_rules SET told = 7.5 WHERE 0; UPDATE round_rules SET rule = x'41'", "rule is b'A'"),
        ("UPDATE meta SET value = replace(value, '\"reads\":[2]', '\"reads\":\"all\"') WHERE key = 'plan'", "reads"),
    ],
)
def test_what_no_run_writes_is_named(statement: str, what: str, tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", *TOLD)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(statement)
    with pytest.raises(UsageError, match=" is damaged: ") as refused:
        read_back(path)
    assert what in str(refused.value)


def test_steps_so_short_that_a_late_round_has_too_many_are_refused(tmp_path: Path) -> None:
    plan = replace(PLAN, slices=(Slice("race", Counted(steps=(("settle", S, 1),)), race=True),))
    late = replace(void(0), intended_ns=START + 2**60, ended_ns=START + 2**60)
    with pytest.raises(UsageError, match="isn't counted in steps of 1 ns"):
        read_back(written(tmp_path / "events.sqlite", late, plan=plan))


def test_an_older_ledger_has_no_rounds_and_is_read_as_before(tmp_path: Path) -> None:
    path = written(tmp_path / "events.sqlite", plan=replace(PLAN, race=None))
    before = read_back(path).summary
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for table in ("rounds", "round_contenders", "round_rules"):
            db.execute(f"DROP TABLE {table}")
    with LedgerReader(path) as reader:
        assert list(reader.rounds()) == list(reader.rounds_under_way()) == []
    assert read_back(path).summary == before


def request(
    seq: int, number: int, kind: int, due_ms: int, answer: int | None, state: State = State.UNOBSERVED
) -> Observation:
    at = START + due_ms * MS
    seen = Observation(seq, 0, kind, state, at, sent_ns=at, settled_ns=at + 7 * MS)
    seen.iteration, seen.answer = number, answer
    return seen


REQUESTS = [
    request(0, 2, 0, 0, 1), request(1, 7, 0, 9000, 1), request(2, 7, 0, 9000, 2), request(3, 7, 1, 9001, 3),
    request(4, 7, 1, 9001, None, State.IN_DOUBT), request(5, 7, 1, 9001, None, State.UNSENT),
    request(6, 7, 2, 9100, 1), request(7, 8, 2, 12000, 1),
]  # fmt: skip


def test_rounds_under_way_when_a_run_was_killed_count_as_cut_off_if_a_request_of_theirs_is_settled(
    tmp_path: Path,
) -> None:
    """Of round 7 contenders are answered, of round 8 nothing but what came before them; round 2 was told of."""
    path = written(tmp_path / "killed.sqlite", *TOLD, requests=REQUESTS, final=False)
    with LedgerReader(path) as reader:
        assert list(reader.rounds_under_way()) == [
            Round(0, 7, 9000 * MS, 9000 * MS, 9107 * MS, RoundEnd.CUT_OFF, "the run died",
                  {"pay": Tally(won=1, refused=1), "cancel": Tally(failed=1, doubt=1, unsent=1)}),
            Round(0, 8, 12000 * MS, None, 12007 * MS, RoundEnd.CUT_OFF, "the run died"),
        ]  # fmt: skip
    killed = read_back(path).summary.scenarios["flash"].slices["race"]
    assert killed.ledger == {"scheduled": 8, "judged": 2, "void": 1, "cut_off": 5}
    assert killed.rounds is not None
    assert (killed.rounds.open, killed.rounds.reasons["the run died"]) == (2, 2)
    ended = read_back(written(tmp_path / "ended.sqlite", *TOLD, requests=REQUESTS)).summary.scenarios["flash"]
    assert ended.slices["race"].ledger["scheduled"] == 6, "a run that ended has told of all of them"
