"""The ceiling of placements: that of its stand-in, whose own record says how much it did in each second."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.ceiling import Ceiling, Outcome
from evload.model.report import Result
from evload.search.bisection import Plan
from placements.record import Record
from tests.rigs.commands import evload
from tests.rigs.searches_beside import UNHURRIED, Moments, assert_the_record_agrees, searched
from tests.rigs.virtual_placements import Ran, ran_against_placements
from tests.rigs.virtual_searches import CONFIGS, assert_it_holds, search
from tests.servers.placements_server import PROGRAM

NAME: Final = "placements-ceiling.yaml"
ONE_TASK: Final[Mapping[str, Any]] = {"most": 1, "slots": 1, "work_ms": 40}
"""One message at a time, 40 ms each: 25 events per second."""
CAPACITY: Final = 25
BRIEF: Final = "scenarios.steady.warmup=2s"
FEW_READS: Final = (
    "probes.read-model.confirm={reads: 0}", "probes.read-model.resolution=50%", "gauges.platform.every=5s",
    "gauges.counted.every=5s",
)  # fmt: skip


@pytest.fixture
def at_the_stand_in(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")


def virtual_search(
    directory: Path, plan: Plan, length_s: int, knobs: Mapping[str, Any], *sets: str
) -> tuple[Ceiling, list[Ran]]:
    """The search, and the run of each trial with what the stand-in remembers of it."""
    runs: list[Ran] = []

    def trial(config: Any, run: Path) -> Any:
        runs.append(ran_against_placements(config, run, knobs))
        return runs[-1].report

    return search(NAME, directory, plan, length_s, trial, BRIEF, *sets), runs


# --- in virtual time --------------------------------------------------------------------------------------


def test_one_task_is_the_ceiling_and_the_objective_on_it_says_so(at_the_stand_in: None, tmp_path: Path) -> None:
    ceiling, runs = virtual_search(tmp_path, Plan(Fraction(20), Fraction(2000), 1.0), 20, ONE_TASK, *FEW_READS)
    assert_it_holds(ceiling, CAPACITY, "2")
    (asked,) = ceiling.objectives
    assert (asked.expression, asked.result, ceiling.verdict) == ("ceiling > 500/s", Result.FAIL, Result.FAIL)
    # In the one that is bad the stand-in did in each second what it can, by its record, and no more.
    (bad,) = [run for run, one in zip(runs, ceiling.trials, strict=True) if one.outcome is Outcome.BAD]
    done = [line["at"] for line in bad.record.of("done")]
    seconds = [sum(done[0] + n <= at < done[0] + n + 1 for at in done) for n in range(2, 20)]
    assert len(done) == bad.record.counts["came"] == 40 * 22
    assert {CAPACITY - 1, CAPACITY, CAPACITY + 1} >= set(seconds)


@pytest.mark.long
@pytest.mark.parametrize(
    ("knobs", "capacity"),
    [
        ({"most": 1, "slots": 1, "work_ms": 20}, 50),
        ({"most": 1, "slots": 5, "work_ms": 100}, 50),
        ({"most": 3, "slots": 1, "work_ms": 50, "backlog": 5}, 60),
        ({"most": 1, "slots": 4, "work_ms": 40, "delay_ms": 10, "latency_ms": 20}, 80),
    ],
)
def test_the_interval_holds_what_the_tasks_can_do(
    knobs: Mapping[str, Any], capacity: int, at_the_stand_in: None, tmp_path: Path
) -> None:
    ceiling, _ = virtual_search(tmp_path, Plan(Fraction(capacity * 7, 10), Fraction(2000), 0.05), 40, knobs)
    assert_it_holds(ceiling, capacity, "1.05")


# --- as people run it -------------------------------------------------------------------------------------


def test_no_rate_beyond_the_guard_is_tried_and_a_run_says_who_judges_the_ceiling(tmp_path: Path) -> None:
    ended = evload("ceiling", CONFIGS / NAME, "--to", "3000/s", cwd=tmp_path)
    assert ended.code == 2
    assert "--to 3000/s: the guard allows 2000/s at most" in ended.err
    ended = evload("plan", CONFIGS / NAME, cwd=tmp_path)
    assert ended.code == 0
    assert "not asked: ceiling > 500/s (evload ceiling judges it)" in ended.out


@pytest.mark.long
def test_the_record_of_the_stand_in_agrees(tmp_path: Path) -> None:
    """A task that does less than a hundred per second, whatever a busy machine makes of that."""
    record = tmp_path / "stand-in" / "record.jsonl"
    knobs = [f"--set={knob}" for knob in ("most=1", "slots=2", "work_ms=20")]
    found = searched(
        [sys.executable, PROGRAM, *knobs, "--directory", record.parent], CONFIGS / NAME, tmp_path,
        lambda: _moments(record), "--from", "40/s", "--to", "300/s", "--trial", "20s", "--precision", "50%",
        "--set", "scenarios.steady.warmup=4s", "--set", "probes.read-model.deadline=5m",
        # A busy machine must not decide: what is asked is whether anything piles up.
        "--set", "slos=[ceiling > 500/s, rate(errors) < 1%, lost == 0, rise(dead) == 0]",
        "--set", UNHURRIED,
    )  # fmt: skip
    assert_the_record_agrees(found)
    assert found.found["ceiling"]["good"] <= 100 / 0.99
    assert (found.ended.code, found.found["verdict"]) == (1, "fail")


def _moments(path: Path) -> Moments:
    done = {line["correlation_id"]: line["at"] for line in Record.read(path).of("done")}

    def since_the_start(meta: Mapping[str, Any]) -> Mapping[str, float]:
        began = datetime.fromisoformat(meta["began_at"]).timestamp()
        return {one: at - began for one, at in done.items()}

    return since_the_start
