"""`summary.json` by values: the documented shape, brackets in seconds, and ends that are open."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from evload.model.report import CheckResult, ObjectiveResult, Report, Result
from evload.model.summary import GaugeSummary, Series
from evload.model.vitals import Incident, ReadVitals, Vitals
from evload.report.document import document
from evload.sinks.json import JsonSink
from tests.rigs.sink_reports import NASTY, WORST
from tests.rigs.summaries import MS, S, distribution, run_of, scenario


def report() -> Report:
    """Two scenarios; in the first 95 events are seen quickly, 4 slowly, and one never."""
    seen = distribution([(100 * MS, 110 * MS)] * 95 + [(2 * S, 2200 * MS)] * 4 + [(6 * S, None)])
    never = distribution([(None, None)] * 3)  # type: ignore[list-item]
    depth = Series()
    for at_s, value in enumerate((5, 12, 7)):
        depth.add(value, at_s * S)
    vitals = Vitals(
        duration_ns=61_200_000_000,
        cpu_share=0.25,
        longest_stall_ns=5 * MS,
        read_requests=10,
        event_reads=412,
        failed_reads=2,
        errors={"a rare one": 1, "common": 9},
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
        checks=[
            CheckResult("ledger closes", Result.PASS, 0, 0),
            CheckResult("horizon", Result.SKIPPED, None, None, "no probe"),
        ],
    )


def written(told: Report) -> dict[str, Any]:
    """What the sink writes, read back."""
    pages: list[bytes] = []
    sink = JsonSink(pages.append)
    asyncio.run(sink.finish(told))
    (page,) = pages
    assert page.endswith(b"}\n")
    read: dict[str, Any] = orjson.loads(page)
    return read


def test_the_head() -> None:
    told = written(report())
    assert list(told)[:6] == ["format", "run_id", "name", "started_at", "duration", "verdict"]
    assert {key: told[key] for key in list(told)[:12]} == {
        "format": 1,
        "run_id": "20260131-120000-4f1c",
        "name": "placements",
        "started_at": "2026-01-31T12:00:00Z",
        "duration": 61.2,
        "verdict": "fail",
        "labels": {},
        "params": {},
        "profiles": [],
        "part": None,
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
    assert list(consistency)[2:] == ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
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
    assert {tuple(end_to_end[name]) for name in ("min", "mean", "p50", "p99", "max")} == {(None, None)}


def test_the_largest_value_is_open_only_where_an_event_has_no_end() -> None:
    told = report()
    told.summary.scenarios["s0"].distributions["publish"] = distribution([(10 * MS, 20 * MS), (30 * MS, 40 * MS)])
    told.summary.scenarios["s0"].distributions["hop"] = distribution([(10 * MS, 20 * MS), (None, None)])  # type: ignore[list-item]
    shown = written(told)["scenarios"]["s0"]["distributions"]
    assert shown["publish"]["max"] == [0.03, 0.04]
    assert (shown["hop"]["max"], shown["hop"]["censored"]) == ([None, None], 1)


def test_smallest_and_mean_are_exact_and_the_mean_is_open_where_an_event_has_no_end() -> None:
    told = report()
    distributions = told.summary.scenarios["s0"].distributions
    distributions["publish"] = distribution([(10 * MS, 20 * MS), (30 * MS, 40 * MS), (35 * MS, 63 * MS)])
    distributions["hop"] = distribution([(10 * MS, 20 * MS), (40 * MS, None)])
    shown = written(told)["scenarios"]["s0"]["distributions"]
    assert (shown["publish"]["min"], shown["publish"]["mean"]) == ([0.01, 0.02], [0.025, 0.041])
    assert (shown["hop"]["min"], shown["hop"]["mean"]) == ([0.01, 0.02], [0.025, None])


def test_a_run_that_ended_early_says_by_what() -> None:
    assert written(report())["aborted"] is None
    told = report()
    told.summary.vitals.aborted, told.summary.vitals.abort_note = "lost == 0", "ended after 40s: lost is 3"
    assert written(told)["aborted"] == {"objective": "lost == 0", "note": "ended after 40s: lost is 3"}


def test_what_became_of_copies_that_were_sent_on_purpose() -> None:
    told = report()
    told.summary.vitals.copies = {"accepted": 7, "rejected": 2}
    assert written(told)["copies"] == {"accepted": 7, "rejected": 2}


def test_a_gauge_with_a_queue_has_the_time_in_it() -> None:
    told = report()
    often, seldom = Series(), Series()
    for series, samples in ((often, 5), (seldom, 2)):
        for value in range(samples):
            series.add(value)
    lag = distribution([(S, 2 * S)] * 9)
    told.summary.gauges = {
        "work": GaugeSummary({"queue_depth": often, "age": seldom}, failed=4, lag=lag),
        "idle": GaugeSummary({"queue_depth": seldom}, lag=distribution([])),
        "away": GaugeSummary(failed=9),
    }
    shown = written(told)["gauges"]
    assert shown["work"].keys() == {"queue_depth", "age", "queue_lag", "samples"}
    assert (shown["work"]["queue_lag"]["count"], shown["work"]["queue_lag"]["max"]) == (9, [1, 2])
    assert shown["work"]["samples"] == {"taken": 5, "failed": 4}
    assert shown["idle"].keys() == {"queue_depth", "samples"}
    assert shown["away"] == {"samples": {"taken": 0, "failed": 9}}


def test_a_distribution_without_events_is_left_out() -> None:
    told = report()
    told.summary.scenarios["s0"].distributions["publish"] = distribution([], S)
    assert list(written(told)["scenarios"]["s0"]["distributions"]) == ["consistency"]
    assert list(written(report())["scenarios"]["s0"]["distributions"]) == ["consistency"]


def test_objectives_checks_gauges_and_the_rest() -> None:
    told = written(report())
    assert told["objectives"] == [
        {
            "expression": "lost == 0", "scenario": "s0", "scope": "", "result": "fail", "observed": [1, None],
            "limit": 0, "note": "why", "worst": [],
        }
    ]  # fmt: skip
    assert told["self_checks"] == [
        {"name": "ledger closes", "result": "pass", "value": 0, "limit": 0, "note": ""},
        {"name": "horizon", "result": "skipped", "value": None, "limit": None, "note": "no probe"},
    ]
    depth = told["gauges"]["work-queue"]["queue_depth"]
    assert (depth["max"], depth["min"], depth["mean"], depth["last"]) == (12, 5, 8, 7)
    assert told["reads"] == {
        "requests": 10, "events": 412, "per_event": 4, "per_second": pytest.approx(412 / 61.2), "failed_requests": 2,
        "unexpected_ids": 0, "probes": {},
    }  # fmt: skip
    assert told["replicas"] == {"r": ["a", "b"]}
    assert told["generator"] == {"cpu_share": 0.25, "longest_stall": 0.005}
    assert list(told["errors"].items()) == [("common", 9), ("a rare one", 1)]


def test_when_something_failed_and_how_often() -> None:
    told = report()
    told.summary.vitals.incidents = [
        Incident("read-model", "HTTP 500", 3 * S, 13_500 * MS, 40),
        Incident("broker", "refused", 20 * S, 20 * S),
    ]
    assert written(told)["incidents"] == [
        {"source": "read-model", "reason": "HTTP 500", "first": 3, "last": 13.5, "count": 40},
        {"source": "broker", "reason": "refused", "first": 20, "last": 20, "count": 1},
    ]


def test_the_reads_of_each_probe() -> None:
    told = report()
    told.summary.vitals.probes = {
        "index": ReadVitals(requests=100, events=4_000, failed=7, throttled=5, busiest=90, stretch=2.5)
    }
    assert written(told)["reads"]["probes"] == {
        "index": {
            "requests": 100, "events": 4_000, "failed": 7, "throttled": 5, "busiest_second": 90, "widened": 2.5,
            "strange": 0, "unread_stamps": 0,
        }
    }  # fmt: skip


def test_the_worst_events_have_the_names_under_which_they_are_found_elsewhere() -> None:
    told = report()
    judged = replace(told.objectives[0], worst=(WORST,))
    assert written(replace(told, objectives=[judged]))["objectives"][0]["worst"] == [
        {
            "correlation_id": "01234567-89ab-8cde-8000-000000000007",
            "traceparent": "00-0123456789ab8cde8000000000000007-8000000000000007-01",
            "scenario": NASTY, "event": "created", "key": "k|1", "state": "lost",
            "timeline": [
                {"at": 0.07, "what": "due"}, {"at": 0.071, "what": "sent"},
                {"at": 15.071, "what": "absent | for good"},
            ],
        }
    ]  # fmt: skip


def test_the_figure_that_was_judged_is_told_of_a_worst_event_that_has_one() -> None:
    told = report()
    judged = replace(told.objectives[0], worst=(replace(WORST, figure="consistency 1.9 … 2 s"), WORST))
    first, second = written(replace(told, objectives=[judged]))["objectives"][0]["worst"]
    assert first["figure"] == "consistency 1.9 … 2 s"
    assert "figure" not in second


def test_what_was_looked_for_in_a_scenario_is_there_and_nothing_else() -> None:
    told = report()
    first = told.summary.scenarios["s0"]
    for versions in (1, 0, 4, 1):
        first.ranges.setdefault("staleness", Series()).add(versions)
    first.tallies["effects"] = {2: 3, 1: 97}
    first.known["session"] = 12
    first.agreeing, first.asked = 3, 4
    first.late_hops = {"index": 2, "search": 9}
    first.slices = {"event=a": scenario({}, visible=5)}
    first.first_intended_ns, first.last_intended_ns = 500 * MS, 2 * S
    scenarios = written(told)["scenarios"]
    shown = scenarios["s0"]
    assert (shown["span"], scenarios["s1"]["span"]) == (1.5, None)
    assert shown["staleness"] == {"events": 4, "max": 4, "mean": 1.5}
    assert list(shown["effects"].items()) == [("1", 97), ("2", 3)]
    assert (shown["session_reads"], shown["replicas_that_agree"]) == (12, 0.75)
    assert list(shown["late_hops"].items()) == [("search", 9), ("index", 2)]
    assert shown["slices"]["event=a"]["ledger"]["visible"] == 5
    assert scenarios["s1"].keys() == {"ledger", "span", "behind", "distributions"}


def test_an_empty_run() -> None:
    told = document(replace(report(), summary=run_of(), objectives=[], checks=[]))
    assert set(told["ledger"].values()) == {0}
    assert (told["distributions"], told["objectives"], told["scenarios"]) == ({}, [], {})
    assert (told["reads"]["per_event"], told["reads"]["per_second"]) == (None, None)
    assert told["generator"] == {"cpu_share": None, "longest_stall": None}
