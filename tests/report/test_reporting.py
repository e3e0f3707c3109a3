"""The verdict on a whole run: its objectives, its checks, and whether there was anything to see at all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evload.model.report import ObjectiveResult, Report, Result
from evload.model.summary import ScenarioSummary, Summary
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.report import wording
from evload.report.build import About, build
from evload.stats.thresholds import StepCounts
from tests.rigs.checked_runs import sound, sound_vitals
from tests.rigs.summaries import S, run_of, scenario

AT = datetime(2026, 1, 2, tzinfo=UTC)


def told(
    *scenarios: ScenarioSummary, objectives: tuple[str, ...] = (), reads: int = 100,
    spans: dict[str, ScenarioCriteria] | None = None, after: str | None = None,
) -> Report:  # fmt: skip
    run: Summary = run_of(*scenarios, vitals=sound_vitals(event_reads=reads))
    judged = [parse(text, after=after) for text in objectives]
    criteria = Criteria(judged, SelfCheckPolicy(), {"index": 15 * S}, spans or {})
    return build(run, criteria, About("r1", "a run", AT, Path("/runs/r1")))


def test_a_report_has_all_of_a_run() -> None:
    made = told(sound(), objectives=("lost == 0", "p99(consistency) < 2s"))
    assert (made.run_id, made.name, made.started_at, made.directory) == ("r1", "a run", AT, Path("/runs/r1"))
    assert [(one.expression, one.result) for one in made.objectives] == [
        ("lost == 0", Result.PASS), ("p99(consistency) < 2s", Result.PASS),
    ]  # fmt: skip
    assert (len(made.checks), made.checks[0].name, made.checks[-1].name) == (13, "ledger closes", "attribution")
    assert made.summary.scenarios["s0"].ledger["visible"] == 1000
    assert made.verdict is Result.PASS


def test_the_verdict_is_that_of_objectives_and_checks() -> None:
    assert told(sound(), objectives=("visible < 5",)).verdict is Result.FAIL
    early = sound()
    early.early_sends = 1
    assert told(early, objectives=("acked >= 1000",)).verdict is Result.INVALID


@pytest.mark.parametrize(
    ("ledger", "reads", "verdict"),
    [
        ({"visible": 5}, 9, Result.PASS),
        ({"lost": 5}, 9, Result.PASS),
        ({"regressed": 5}, 9, Result.PASS),
        ({"unobserved": 5}, 9, Result.INCONCLUSIVE),
        ({"pending": 5}, 9, Result.INCONCLUSIVE),
        ({"unobserved": 5}, 0, Result.PASS),
        ({"rejected": 5}, 0, Result.INCONCLUSIVE),
        ({"rejected": 5}, 9, Result.INCONCLUSIVE),
        ({"rejected": 4, "visible": 1}, 9, Result.PASS),
        ({}, 0, Result.INCONCLUSIVE),
    ],
)
def test_a_run_that_was_asked_nothing_passes_if_anything_was_seen(
    ledger: dict[str, Any], reads: int, verdict: Result
) -> None:
    """An event was acked, and where somebody looked, a look said something."""
    assert told(scenario(**ledger), reads=reads).verdict is verdict
    assert told(scenario(), scenario(**ledger), reads=reads).verdict is verdict


def test_how_long_something_took_to_recover_is_told_by_the_schedule() -> None:
    one = sound()
    steps = StepCounts(S)
    for second in range(60):
        steps.add(second * S, 10, 10 if second > 20 else 0, 0 if second > 20 else 10)
    one.distributions["consistency"].steps = {(2 * S, S): steps}
    spans = {"s0": ScenarioCriteria(0, 15 * S)}
    text = "recovery(p95(consistency) < 2s) < 30s"
    (judged,) = told(one, objectives=(text,), spans=spans, after="s0").objectives
    assert (judged.result, judged.observed) == (Result.PASS, (15, 15))
    (unknown,) = told(one, objectives=(text,), after="s0").objectives
    assert unknown.note == "nobody knows when s0 ended"


@pytest.mark.parametrize(
    ("expression", "subject", "seen", "told"),
    [
        ("max(cold_start) < 500ms", "cold_start", (0.169, 0.17), "169 … 170 ms"),
        ("last(work-queue.oldest) <= 1m30s", "oldest", (75.0, 75.0), "75 s"),
        ("mean(cpu) < 80%", "cpu", (0.5, 0.5), "50 %"),
        ("max(queue_depth) < 100", "queue_depth", (7.0, 7.0), "7"),
        ("max(memory) < 500MB", "memory", (4e8, 4e8), "4e+08"),
        ("growth(memory) < 10MB/h", "memory", (1.0, 2.0), "1 … 2"),
        ("rise(dead) / rise(handled) < 1%", "dead", (0.001, 0.001), "0.1 %"),
        ("lost == 0", "lost", (0.0, 0.0), "0"),
    ],
)
def test_a_gauge_is_told_in_the_unit_of_its_limit(
    expression: str, subject: str, seen: tuple[float, float], told: str
) -> None:
    one = ObjectiveResult(expression, Result.PASS, seen, 1.0, subject=subject)
    assert wording.observed(one) == told
