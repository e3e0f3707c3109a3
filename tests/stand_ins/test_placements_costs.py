"""What a run of placements costs, against what its stand-in remembers of its tasks, priced by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from evload.report.document import document
from placements.record import Record
from tests.rigs.virtual_placements import run_placements

PRICE_S = 0.04493 / 3600
"""Of a task for a second."""
DATABASE_S = 0.29 / 3600
COMPUTE = 0.0000166667
"""Of a gigabyte for a second."""
MONTH_S = 30 * 86_400


@pytest.fixture(autouse=True)
def at_the_stand_in(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8790")


def task_seconds(record: Record, until_s: float) -> float:
    """Tasks times the seconds for which they ran, until a moment, by the stand-in's own record."""
    lines = record.of("task")
    moments = [(line["at"], line["running"]) for line in lines if line["at"] <= until_s]
    return float(sum(running * (after - at) for (at, running), (after, _) in pairwise([*moments, (until_s, 0)])))


def test_tasks_and_the_database_cost_what_the_record_says(tmp_path: Path) -> None:
    ran = run_placements("placements-load.yaml", tmp_path, parts=("scale-up",))
    costs = document(ran.report)["costs"]
    lasted = ran.report.summary.vitals.duration_ns / 1e9
    low, high = costs["services"]["tasks"]["run"]
    by_hand = task_seconds(ran.record, ran.report.started_at.timestamp() + lasted) * PRICE_S
    assert low <= by_hand <= high < 1.15 * low
    assert costs["services"]["database"]["run"] == pytest.approx([lasted * 0.29 / 3600] * 2)


def gigabyte_seconds(record: Record, since_s: float, until_s: float) -> float:
    """Of half a gigabyte, while a task had messages in hand."""
    return 0.5 * float(sum(line["s"] for line in record.of("worked") if since_s < line["at"] <= until_s))


def test_each_service_1000_events_and_a_month_at_the_steady_rate_cost_what_the_record_says(tmp_path: Path) -> None:
    """420 events at 30 per second, of which the last twelve seconds are the hold."""
    ran = run_placements("placements-nightly.yaml", tmp_path)
    costs = document(ran.report)["costs"]
    assert costs["hold"] == {"scenario": "steady", "start": 2, "end": 14, "events": 360, "rate": 30}
    began, lasted = ran.report.started_at.timestamp(), ran.report.summary.vitals.duration_ns / 1e9
    tasks_s = task_seconds(ran.record, began + 14) - task_seconds(ran.record, began + 2)
    run = {
        "compute": gigabyte_seconds(ran.record, began - 9, began + lasted) * COMPUTE,
        "tasks": task_seconds(ran.record, began + lasted) * PRICE_S,
        "database": lasted * DATABASE_S,
        "bus": 420 / 1e6,
    }
    month = {
        "compute": gigabyte_seconds(ran.record, began + 2, began + 14) / 12 * MONTH_S * COMPUTE,
        "tasks": tasks_s / 12 * MONTH_S * PRICE_S,
        "database": MONTH_S * DATABASE_S,
        "bus": 30 * MONTH_S / 1e6,
    }
    assert ran.record.counts["done"] == 420
    for name, told in costs["services"].items():
        assert_holds(told["run"], run[name])
        assert_holds(told["per_1000_events"], run[name] / 0.420)
        assert_holds(told["month"], month[name], within=0.005)
        assert_holds(told["day"], month[name] / 30, within=0.005)
    assert costs["services"].keys() == run.keys()
    assert_holds(costs["total"]["run"], sum(run.values()))
    assert_holds(costs["total"]["per_1000_events"], sum(run.values()) / 0.420)
    assert_holds(costs["total"]["month"], sum(month.values()), within=0.005)
    # The objectives are about these figures.
    judged = {one.expression: one for one in ran.report.objectives if "cost" in one.expression}
    assert {name: one.result.value for name, one in judged.items()} == {
        "cost(1000 events) < 0.05": "pass", "cost(month) < 600": "pass",
    }  # fmt: skip
    assert list(judged["cost(month) < 600"].observed) == pytest.approx(costs["total"]["month"])


def assert_holds(bracket: list[float], true: float, *, within: float = 1e-6) -> None:
    """The bracket holds it, or is so near as one batch of messages at the ends of the hold is a share of it."""
    low, high = bracket
    assert low * (1 - within) <= true <= high * (1 + within), (bracket, true)
    assert high <= 1.03 * low
