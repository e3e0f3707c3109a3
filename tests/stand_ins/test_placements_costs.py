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
