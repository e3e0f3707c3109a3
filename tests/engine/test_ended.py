"""Whole runs in virtual time in which some events come to another end: each is told, and nobody waits for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evload.ledger.reader import LedgerReader
from evload.model.correlation import CorrelationIds
from evload.model.report import Result
from evload.model.states import State
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.search.courses import FOLLOWED
from evload.search.trial import judge_trial
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulated, Simulation
from tests.rigs import counted
from tests.rigs.contents import contents
from tests.rigs.ledgers import read_back
from tests.rigs.shares import seeds

MS = 1_000_000
S = 1_000 * MS


def run(seed: int, path: Path | None = None, *, ends: float = 0.1, **more: Any) -> tuple[Simulated, MemoryWorld]:
    settings = SandboxSettings.model_validate({"seed": seed, "workers": 50})
    memory = MemoryWorld(settings, ends=ends, ended_after=parse_delay({"exponential": {"mean": "400ms"}}))
    load = ({"rate": "40/s", "for": "20s"},)
    probe = {"bulk": 500, "deadline": "9s", "confirm": {"reads": 1, "over": "1s"}}
    return Simulation(memory, load, probe=probe, seed=seed, ledger_path=path, **more).run(), memory


@pytest.mark.parametrize("seed", seeds(4, 2))
def test_each_is_counted_and_its_bracket_holds_when_it_ended(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ran, memory = run(seed, path, slos=["lost == 0", "rate(ended) <= 25%", "rate(visible) >= 75%"])
    ledger = ran.summary.total().ledger
    assert (ledger["ended"], ledger["visible"], ledger["lost"]) == (len(memory.ended), 800 - len(memory.ended), 0)
    assert 50 < len(memory.ended) < 110
    ids = CorrelationIds.for_run("simulation")
    for seen in ran.observations:
        ended_ns = memory.ended.get(ids.id_of(seen.seq))
        assert (seen.state is State.ENDED) == (ended_ns is not None)
        if ended_ns is not None:
            lower = seen.sent_ns if seen.stable_lower_ns is None else seen.stable_lower_ns
            assert lower is not None
            assert lower < ended_ns <= seen.settled_ns < ended_ns + 2 * S
    assert {one.result for one in ran.report.objectives} <= {Result.PASS, Result.WARN}
    rebuilt = read_back(path).summary
    assert contents(rebuilt) == contents(ran.summary)
    assert counted.ledger(path, 0)["ended"] == len(memory.ended)


def test_they_fail_what_asks_for_them_and_the_worst_are_named(tmp_path: Path) -> None:
    ran, memory = run(1, tmp_path / "events.sqlite", slos=["ended == 0", "lost == 0"])
    asked, lost = ran.report.objectives
    assert (asked.result, asked.observed, lost.result) == (Result.FAIL, (len(memory.ended),) * 2, Result.PASS)
    assert {one.correlation_id for one in asked.worst} <= memory.ended.keys()
    assert asked.worst


def test_where_all_of_them_end_somebody_has_looked_in_the_right_place() -> None:
    ran, _ = run(1, ends=1.0, slos=["ended == 0", "lost == 0"])
    assert [one.result for one in ran.report.objectives] == [Result.FAIL, Result.PASS]


def test_what_has_ended_is_no_backlog(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ran, _ = run(2, path, ends=0.5, slos=["rate(ended) <= 70%"])
    with LedgerReader(path) as reader:
        backlog = judge_trial(ran.report, reader, "main", Fraction(40)).backlogs[FOLLOWED]
    assert backlog.growth is not None
    assert backlog.growth[0] < 0.01
    assert backlog.growth[1] < 0.1
