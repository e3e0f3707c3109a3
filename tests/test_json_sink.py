"""`summary.json` by values: the documented shape, brackets in seconds, and ends that are open."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from evload.model.report import CheckResult, ObjectiveResult, Report, Result
from evload.model.summary import GaugeSummary, Series
from evload.model.vitals import Vitals
from evload.report.document import document
from evload.sinks.json import JsonSink
from summaries import MS, S, distribution, run_of, scenario


def report() -> Report:
    """Two scenarios; in the first 95 events are seen quickly, 4 slowly, and one never."""
    seen = distribution([(100 * MS, 110 * MS)] * 95 + [(2 * S, 2200 * MS)] * 4 + [(6 * S, None)])
    never = distribution([(None, None)] * 3)  # type: ignore[list-item]
    depth = Series()
    for value in (5, 12, 7):
        depth.add(value)
    vitals = Vitals(
        duration_ns=61_200_000_000,
        cpu_share=0.25,
        longest_stall_ns=5 * MS,
        read_requests=10,
        event_reads=412,
        failed_reads=2,
        errors={"rare": 1, "common": 9},
        replicas={"r": ["a", "b"]},
    )
    run = run_of(
        scenario({"consistency": seen}, visible=99, lost=1),
        scenario({"end_to_end": never}, rejected=3),
        vitals=vitals,
    )
    run.gauges = {"work-queue": GaugeSummary({"queue_depth": depth}, failed=1)}
    return Report(
        run_id="20260131-120000-4f1c",
        name="placements",
        started_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        verdict=Result.FAIL,
        summary=run,
        objectives=[ObjectiveResult("lost == 0", Result.FAIL, (1, None), 0, scenario="s0", note="why")],
        checks=[CheckResult("ledger closes", Result.PASS, 0, 0), CheckResult("horizon", Result.SKIPPED, None, None)],
    )


def written(told: Report) -> dict[str, Any]:
    """What the sink writes, read back."""
    pages: list[bytes] = []
    sink = JsonSink(pages.append)
    sink.finish(told)
    (page,) = pages
    assert page.endswith(b"}\n")
    read: dict[str, Any] = orjson.loads(page)
    return read


def test_the_head() -> None:
    told = written(report())
    assert list(told)[:6] == ["format", "run_id", "name", "started_at", "duration", "verdict"]
    assert {key: told[key] for key in list(told)[:8]} == {
        "format": 1,
        "run_id": "20260131-120000-4f1c",
        "name": "placements",
        "started_at": "2026-01-31T12:00:00Z",
        "duration": 61.2,
        "verdict": "fail",
        "interrupted": False,
        "crashed": False,
    }


def test_the_ledger_of_the_run_is_the_sum_of_its_scenarios() -> None:
    told = written(report())
    assert list(told["scenarios"]) == ["s0", "s1"]
    first, second = (told["scenarios"][name]["ledger"] for name in ("s0", "s1"))
    assert (first["scheduled"], first["acked"], first["visible"], first["lost"]) == (100, 100, 99, 1)
    assert (second["scheduled"], second["rejected"]) == (3, 3)
    assert told["ledger"] == {key: first[key] + second[key] for key in first}


def test_percentiles_are_brackets_in_seconds() -> None:
    consistency = written(report())["distributions"]["consistency"]
    assert (consistency["count"], consistency["censored"]) == (100, 1)
    assert list(consistency)[2:] == ["p50", "p90", "p95", "p99", "p99.9", "max"]
    # The histograms keep three significant digits.
    for name, expected in (("p50", [0.1, 0.11]), ("p95", [0.1, 0.11]), ("p99", [2, 2.2])):
        assert consistency[name] == pytest.approx(expected, rel=2e-3), name
    for name in ("p99.9", "max"):
        low, high = consistency[name]
        assert low == pytest.approx(6, rel=2e-3)
        assert high is None


def test_an_event_that_will_never_be_seen_is_beyond_every_end() -> None:
    end_to_end = written(report())["scenarios"]["s1"]["distributions"]["end_to_end"]
    assert (end_to_end["count"], end_to_end["censored"]) == (3, 3)
    assert {tuple(end_to_end[name]) for name in ("p50", "p99", "max")} == {(None, None)}


def test_a_distribution_without_events_is_left_out() -> None:
    assert list(written(report())["scenarios"]["s0"]["distributions"]) == ["consistency"]


def test_objectives_checks_gauges_and_the_rest() -> None:
    told = written(report())
    assert told["objectives"] == [
        {
            "expression": "lost == 0", "scenario": "s0", "scope": "", "result": "fail", "observed": [1, None],
            "limit": 0, "note": "why", "worst": [],
        }
    ]  # fmt: skip
    assert [(check["name"], check["result"], check["value"], check["limit"]) for check in told["self_checks"]] == [
        ("ledger closes", "pass", 0, 0),
        ("horizon", "skipped", None, None),
    ]
    depth = told["gauges"]["work-queue"]["queue_depth"]
    assert (depth["max"], depth["min"], depth["mean"], depth["last"]) == (12, 5, 8, 7)
    assert told["reads"] == {
        "requests": 10, "events": 412, "per_event": 4, "per_second": pytest.approx(412 / 61.2), "failed_requests": 2,
        "unexpected_ids": 0, "probes": {},
    }  # fmt: skip
    assert told["replicas"] == {"r": ["a", "b"]}
    assert told["generator"] == {"cpu_share": 0.25, "longest_stall": 0.005}
    assert list(told["errors"]) == ["common", "rare"]


def test_an_empty_run() -> None:
    told = document(replace(report(), summary=run_of(), objectives=[], checks=[]))
    assert set(told["ledger"].values()) == {0}
    assert (told["distributions"], told["objectives"], told["scenarios"]) == ({}, [], {})
    assert (told["reads"]["per_event"], told["reads"]["per_second"]) == (None, None)
    assert told["generator"] == {"cpu_share": None, "longest_stall": None}
