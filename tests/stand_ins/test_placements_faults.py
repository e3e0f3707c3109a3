"""What the stand-in of placements is put through by `configs/placements-faults.yaml`, and what is found of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.rigs.virtual_placements import Ran, run_placements

NAME: Final = "placements-faults.yaml"
ADMIN: Final = "http://localhost:8790/admin"


@pytest.fixture(autouse=True)
def at_the_stand_in(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks AWS for something asks the stand-in."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")


def told(ran: Ran) -> dict[str, tuple[str, Any, str]]:
    """Of each objective what came of it, what was observed, and why."""
    return {
        f"{one.expression} {one.scope or one.scenario or ''}".strip(): (one.result.value, one.observed, one.note)
        for one in ran.report.objectives
    }


def failing(ran: Ran) -> set[str]:
    """The objectives that failed."""
    return {name for name, (result, *_) in told(ran).items() if result == "fail"}


def changes(ran: Ran) -> list[tuple[Any, float]]:
    """What was changed about the stand-in, and when by its own clock."""
    return [(line["knobs"], line["at"]) for line in ran.record.of("changed")]


def test_where_faults_are_undone_it_recovers_and_nothing_is_lost(tmp_path: Path) -> None:
    ran = run_placements(NAME, tmp_path)

    assert {result for result, *_ in told(ran).values()} == {"pass"}, told(ran)
    assert ran.report.verdict.value == "pass"
    (slow, slow_at), (_, quick_at), (down, down_at), (up, up_at) = changes(ran)
    assert (slow, down, up) == ({"delay_ms": 500}, {"database": False}, {"database": True})
    assert quick_at - slow_at == pytest.approx(4, abs=0.05)
    assert up_at - down_at == pytest.approx(3, abs=0.05)
    counts, ledger = ran.record.counts, ran.report.summary.total().ledger
    assert counts["done"] == ledger["visible"] == ledger["scheduled"]
    assert counts["dead"] == counts["redriven"] > 0
    # What was found is what is written down of the time between.
    dead = sum(down_at <= line["at"] <= up_at for line in ran.record.of("dead"))
    least, most = told(ran)["rise(dead) >= 1 during=database-down"][1]
    assert least <= dead <= most
    deepest = max(line["depth"] for line in ran.record.lines if "depth" in line and slow_at <= line["at"] <= quick_at)
    assert told(ran)["max(queue_depth) < 5000 during=slow-workers"][1][1] <= deepest


def test_dead_letters_that_nobody_puts_back_are_lost(tmp_path: Path) -> None:
    left = [f"actions.redrive.do={{post: '{ADMIN}/database', json: {{up: true}}}}"]
    ran = run_placements(NAME, tmp_path, sets=left)
    assert failing(ran) == {"lost == 0", "last(dead_letters) == 0"}
    assert ran.report.summary.total().ledger["lost"] == ran.record.counts["dead"] > 0


def test_a_database_that_is_away_for_a_moment_leaves_no_dead_letter(tmp_path: Path) -> None:
    """Then retries were not tried to their end, and the run says so."""
    ran = run_placements(NAME, tmp_path, sets=["actions.database-down.for=300ms"])
    assert failing(ran) == {"rise(dead) >= 1 during=database-down"}


@pytest.mark.long
def test_chaos(tmp_path: Path) -> None:
    """All faults of the profile, with a fifth of its events."""
    slower = [
        f"scenarios.{name}.load=[{{rate: {rate}, for: 4m}}]"
        for name, rate in (("failover", "10/s"), ("throttled", "30/s"), ("latency", "10/s"), ("no-queue", "10/s"))
    ]
    ran = run_placements(NAME, tmp_path, profiles=["chaos"], knobs={}, sets=slower)
    assert {result for result, *_ in told(ran).values()} == {"pass"}, told(ran)
    counts, ledger = ran.record.counts, ran.report.summary.total().ledger
    assert counts["done"] == ledger["acked"] == ledger["scheduled"] - ledger["rejected"]
    assert ledger["rejected"] > 0
