"""The configs of placements against their stand-in in virtual time: what is found equals what the stand-in remembers.

Where it is quick every objective passes. What is slow or wrong is in test_placements_twins.py.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.report import ObjectiveResult
from evload.stats.histogram import rank_of
from placements.knobs import QUICK
from tests.rigs.virtual_placements import HOURS, Ran, run_placements
from tests.rigs.virtual_runs import PRECISE_S

CONFIGS: Final = ("placements.yaml", "placements-load.yaml")


@pytest.fixture(autouse=True)
def at_the_stand_in(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks AWS for something asks the stand-in."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Runs that several tests look at; made once."""
    return {}


def quick_run(name: str, quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    if name not in quick:
        quick[name] = run_placements(name, tmp_path_factory.mktemp("run"))
    return quick[name]


def found(ran: Ran, expression: str, scenario: str | None = None) -> ObjectiveResult:
    """What came of one objective."""
    (one,) = [
        one for one in ran.report.objectives if one.expression.startswith(expression) and one.scenario == scenario
    ]
    return one


def truths(ran: Ran) -> list[dict[str, Any]]:
    """Each event that somebody watched, by the ledger and by the record; times in seconds since the start."""
    ids = CorrelationIds.for_run("run-1")
    with closing(sqlite3.connect(ran.ledger)) as ledger:
        rows = ledger.execute(
            "SELECT seq, scenario, intended_ns, sent_ns, acked_ns, first_lower_ns, first_upper_ns FROM events"
            " WHERE first_upper_ns IS NOT NULL"
        ).fetchall()
        (began,) = ledger.execute("SELECT value FROM meta WHERE key = 'began_at'").fetchone()
    start = datetime.fromisoformat(began.strip('"')).timestamp()
    times: dict[str, dict[str, float]] = {}
    for line in ran.record.lines:
        if line["kind"] in ("came", "taken", "done"):
            times.setdefault(line["correlation_id"], {}).setdefault(line["kind"], line["at"] - start)
    return [
        {
            "scenario": scenario,
            **dict(zip(("due", "sent", "acked", "missed", "seen"), ((at or 0) / 1e9 for at in at_ns), strict=True)),
            **times[ids.id_of(seq)],
        }
        for seq, scenario, *at_ns in rows
    ]


# --- quick ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_where_it_is_quick_every_objective_is_decided_and_passes(
    name: str, quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran = quick_run(name, quick, tmp_path_factory)
    told = [f"{one.result.value}: {one.expression} {one.observed} {one.note}" for one in ran.report.objectives]
    assert ran.report.verdict.value == "pass", "\n".join(told)
    assert {one.result.value for one in ran.report.objectives} == {"pass"}, "\n".join(told)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_bracket_holds_the_moment_that_the_stand_in_wrote_down(
    name: str, quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = truths(quick_run(name, quick, tmp_path_factory))
    assert len(events) > 700
    for event in events:
        assert event["missed"] - PRECISE_S <= event["done"] <= event["seen"] + PRECISE_S, event
        assert event["sent"] - PRECISE_S <= event["came"] <= event["acked"] + PRECISE_S, event


def test_what_was_counted_is_what_happened(quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory) -> None:
    ran = quick_run("placements.yaml", quick, tmp_path_factory)
    counts, ledger = ran.record.counts, ran.report.summary.total().ledger
    copies = 9 * 8
    assert counts["came"] == ledger["acked"] + copies
    assert counts["done"] == ledger["visible"] == ledger["scheduled"]
    assert (counts["refused"], counts["dead"], ledger["lost"]) == (copies, 0, 0)
    assert found(ran, "duplicates == 0", "idempotency").observed == (0, 0)
    # Of the cold starts, those after the pause: the baseline began cold as well.
    assert 1 <= (found(ran, "rise(cold_starts)").observed[0] or 0) <= counts["cold_start"] - 1
    assert found(ran, "max(cold_start)").observed == pytest.approx((0.15, 0.15))
    assert (found(ran, "max(queue_depth)").observed[1] or 0) <= ran.record.deepest


def test_percentiles_hold_the_true_ones(quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory) -> None:
    ran = quick_run("placements.yaml", quick, tmp_path_factory)
    events = truths(ran)
    baseline = [event for event in events if event["scenario"] == 0]
    cold = [event for event in events if event["scenario"] == 3]
    assert (len(baseline), len(cold)) == (370, 60)
    for one, share, values in (
        (found(ran, "p99(end_to_end)"), 99, [event["done"] - event["due"] for event in events]),
        (found(ran, "p99(end_to_end)", "baseline"), 99, [e["done"] - e["due"] for e in baseline]),
        (found(ran, "p99(queue_lag)"), 99, [event["taken"] - event["came"] for event in events]),
        (found(ran, "max(sent_to_consumed)", "cold-start"), 100, [e["taken"] - e["sent"] for e in cold]),
    ):
        true = sorted(values)[rank_of(Fraction(share, 100), len(values)) - 1]
        lower, upper = one.observed
        assert lower is not None
        assert upper is not None
        assert lower * 0.999 - PRECISE_S <= true <= upper * 1.001 + PRECISE_S, one


def test_the_rate_that_started_another_task_is_named(
    quick: dict[str, Ran], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran = quick_run("placements-load.yaml", quick, tmp_path_factory)
    reached = found(ran, "reach(tasks >= 2)", "scale-up")
    assert "500/s" in reached.note
    tasks = [line for line in ran.record.of("task") if line["wanted"] > line["running"] > 0]
    (first, *_) = tasks
    running = next(line for line in ran.record.of("task") if line["running"] >= 2)
    longest = found(ran, "stretch(starting >= 1)").observed
    assert (longest[0] or 0) <= 0.5 + PRECISE_S or running["at"] - first["at"] >= 0.5
    assert running["at"] - first["at"] == pytest.approx(QUICK["start_ms"] / 1000, abs=0.01)


# --- for hours --------------------------------------------------------------------------------------------


@pytest.mark.long
def test_four_hours_without_a_leak(tmp_path: Path) -> None:
    """As many events as an hour takes to tell, and gauges that look as often as that needs."""
    ran = run_placements("placements.yaml", tmp_path, profiles=["soak"], knobs={}, sets=HOURS)
    told = [f"{one.result.value}: {one.expression} {one.observed} {one.note}" for one in ran.report.objectives]
    assert ran.report.verdict.value == "pass", "\n".join(told)
