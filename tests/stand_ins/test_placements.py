"""The configs of placements against their stand-in in virtual time: what is found equals what the stand-in remembers.

Where it is quick every objective passes; where it is made slow those fail that are about that, and no others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.report import ObjectiveResult
from evload.stats.histogram import rank_of
from placements.knobs import QUICK
from tests.rigs.virtual_placements import Ran, run_placements

CONFIGS: Final = ("placements.yaml", "placements-load.yaml")
PRECISE_S: Final = 2e-6
"""What is lost where a time of day is one number."""


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


def failing(ran: Ran) -> set[str]:
    """The objectives that failed, with their scenarios."""
    return {
        f"{one.expression}{f' [{one.scenario}]' if one.scenario else ''}"
        for one in ran.report.objectives
        if one.result.value == "fail"
    }


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
    assert (len(baseline), len(cold)) == (380, 60)
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


# --- slow -------------------------------------------------------------------------------------------------

BRIEF: Final = "scenarios.baseline.load=[{rate: 40/s, for: 4s}]"
"""Enough to fail by, in less time."""
PATIENT: Final = "probes.read-model.deadline=90s"
"""So that what is late isn't lost."""


@dataclass(frozen=True)
class Slow:
    """A stand-in that is slow, or wrong, in one way; and what fails of these parts of a config."""

    knobs: Mapping[str, Any]
    parts: tuple[str, ...]
    fails: set[str]
    sets: tuple[str, ...] = ()
    name: str = "placements.yaml"


SLOW: Final = {
    "workers that take six seconds": Slow(
        {"delay_ms": 6000},
        ("baseline",),
        {
            "p99(end_to_end) < 5s", "p99(end_to_end) < 5s [baseline]", "share(consistency < 2s) >= 95% [baseline]",
            "max(queue_depth) < 100", "p99(queue_lag) < 1s", "rise(gb_seconds) / rise(handled) < 0.05",
        },
        (BRIEF, PATIENT),
    ),
    # With some events before them, by which the distance of the clocks is known.
    "functions that start slowly": Slow(
        {"cold_ms": 800, "visibility_ms": 9000},
        ("idempotency", "cold-start"),
        {
            "max(cold_start) < 500ms", "max(sent_to_consumed) < 500ms [cold-start]",
            "rise(gb_seconds) / rise(handled) < 0.05",
        },
    ),
    "functions that start very slowly": Slow(
        {"cold_ms": 2500, "visibility_ms": 9000},
        ("idempotency", "cold-start"),
        {
            "max(cold_start) < 500ms", "max(sent_to_consumed) < 500ms [cold-start]",
            "share(consistency < 2s) >= 95% [cold-start]", "rise(gb_seconds) / rise(handled) < 0.05",
        },
    ),
    "an API that takes 300 ms": Slow(
        {"latency_ms": 300}, ("consistency",), {"p50(publish) < 100ms [consistency]"}
    ),
    "an API that takes two seconds": Slow(
        {"latency_ms": 2000},
        ("consistency",),
        {
            "p50(publish) < 100ms [consistency]", "p99(publish) < 500ms [consistency]",
        },
    ),
    "workers that make another placement each time": Slow(
        {"idempotent": False}, ("idempotency", "cold-start"), {"duplicates == 0 [idempotency]"}
    ),
    "a bus that throttles": Slow(
        {"refused": 0.5},
        ("baseline",),
        {"rate(errors) < 0.1%", "p99(end_to_end) < 5s", "p99(end_to_end) < 5s [baseline]"},
        (BRIEF,),
    ),
    "messages that are given up while somebody works on them": Slow(
        {"attempts": 1, "visibility_ms": 20, "least": 2}, ("baseline",), {"rise(dead) == 0"}, (BRIEF,)
    ),
    "tasks that take 70 seconds to start": Slow(
        {"start_ms": 70_000},
        ("scale-up", "ceiling", "calm"),
        {
            "stretch(starting >= 1) < 60s", "throughput(visible) > 500/s for 2s [ceiling]",
            "share(consistency < 2s) >= 95% [ceiling]",
        },
        ("scenarios.calm.load=[{rate: 1/s, for: 80s}]",),
        "placements-load.yaml",
    ),
    "a limit of one task": Slow(
        {"most": 1},
        ("scale-up", "ceiling"),
        {
            "rise(throttles) == 0", "throughput(visible) > 500/s for 2s [ceiling]",
            "share(consistency < 2s) >= 95% [ceiling]",
        },
        name="placements-load.yaml",
    ),
}  # fmt: skip


def marked(what: str) -> Any:
    """What takes its time, or says much the same as another, is for `make long`."""
    late = SLOW[what].name == "placements-load.yaml" or "very" in what or "two seconds" in what
    return pytest.param(what, marks=pytest.mark.long if late else ())


@pytest.mark.parametrize("what", [marked(what) for what in SLOW])
def test_where_it_is_slow_those_fail_that_are_about_it(what: str, tmp_path: Path) -> None:
    slow = SLOW[what]
    knobs = {**QUICK, **slow.knobs}
    ran = run_placements(slow.name, tmp_path, knobs=knobs, sets=slow.sets, parts=slow.parts)
    assert failing(ran) == slow.fails
    assert ran.report.verdict.value == "fail"


# --- for hours --------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(("leak", "fails"), [(0, set()), (20_000, {"growth(memory) < 10MB/h"})])
def test_four_hours_tell_a_leak(leak: int, fails: set[str], tmp_path: Path) -> None:
    """As many events as an hour takes to tell, and gauges that look as often as that needs."""
    ran = run_placements(
        "placements.yaml",
        tmp_path,
        profiles=["soak"],
        knobs={"leak": leak},
        sets=[
            "scenarios.baseline.load=[{from: 0/min, to: 20/min, for: 5m}, {rate: 20/min, for: 4h}]",
            *(f"gauges.{name}.every=10s" for name in ("placements-queue", "platform", "counted")),
            "slos.6=p99(queue_lag) < 1m",
        ],
    )
    assert failing(ran) == fails
    assert ran.report.verdict.value == ("fail" if fails else "pass")
