"""CSV read back: percentiles of every scope, and the run over time."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right

import pytest

from evload.formats import csv as tables
from evload.model.timeline import PUBLISH_EDGES_NS, LatencyOverTime, ScenarioOverTime, Timeline, ValueOverTime
from tests.rigs.sink_reports import NASTY, finished
from tests.rigs.summaries import MS, S, bucket_of


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def over_time() -> Timeline:
    """Two intervals of five seconds; all that happens, happens in the first."""
    counts = {
        name: [number, 0]
        for number, name in enumerate(
            ("offered", "sent", "acked", "visible", "given_up", "refused", "lost", "regressed", "duplicated",
             "failed_reads", "late_ns", "late_count", "followed"),
            start=1,
        )
    }  # fmt: skip
    latency = LatencyOverTime([{bucket_of(100 * MS): 2}, {}], [{bucket_of(100 * MS): 1}, {}], [1, 0])
    quick = bisect_right(PUBLISH_EDGES_NS, 400_000) - 1
    publish = LatencyOverTime([{quick: 99}, {30: 1}], [{quick: 99}, {}], [0, 1], PUBLISH_EDGES_NS)
    timeline = Timeline(5 * S, 2, {NASTY: ScenarioOverTime(**counts, latency=latency, publish=publish)})
    timeline.gauges = {("work|queue", "queue_depth"): ValueOverTime([1.0, None], [2.5, None], [4.0, None])}
    return timeline


def test_percentiles_of_the_run_of_scenarios_and_of_slices() -> None:
    rows = read(tables.percentiles(finished()))
    assert list(rows[0]) == [
        "scenario", "slice", "metric", "percentile", "lower_s", "upper_s", "count", "censored",
    ]  # fmt: skip
    scopes = [(row["scenario"], row["slice"], row["metric"]) for row in rows]
    assert list(dict.fromkeys(scopes)) == [
        ("", "", "consistency"),
        ("calm", "", "consistency"),
        (NASTY, "", "consistency"),
        (NASTY, "replica=b", "consistency"),
        ("", "gauge=work|queue", "queue_lag"),
    ]
    assert [row["percentile"] for row in rows[:8]] == ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
    assert len(rows) == 5 * 8
    calm = {row["percentile"]: row for row in rows if row["scenario"] == "calm"}
    assert [(calm[name]["lower_s"], calm[name]["upper_s"]) for name in ("min", "mean")] == [("0.01", "0.011")] * 2


def test_an_end_that_is_infinite() -> None:
    rows = {row["percentile"]: row for row in read(tables.percentiles(finished())) if row["scenario"] == NASTY}
    assert rows["p99"]["lower_s"] == "1.999634432"
    assert float(rows["p99"]["upper_s"]) == pytest.approx(2.2, rel=1e-3)
    assert float(rows["p99.9"]["lower_s"]) == pytest.approx(6, rel=1e-3)
    assert math.isinf(float(rows["p99.9"]["upper_s"]))
    mean = rows["mean"]
    assert float(mean["lower_s"]) == pytest.approx((95 * 0.1 + 4 * 2 + 6) / 100)
    assert mean["upper_s"] == "inf"
    assert (rows["p99.9"]["count"], rows["p99.9"]["censored"]) == ("100", "1")


def test_series_over_time() -> None:
    first, second = read(tables.series(over_time()))
    assert [first[name] for name in ("start_s", "end_s", "scenario")] == ["0.0", "5.0", NASTY]
    names = ("offered", "sent", "acked", "visible", "given_up", "refused", "lost", "regressed", "duplicated")
    assert [int(first[name]) for name in names] == list(range(1, 10))
    assert (first["failed_reads"], first["in_flight"], first["outstanding"]) == ("10", "-1", "4")
    low, high = float(first["consistency_p50_lower_s"]), float(first["consistency_p50_upper_s"])
    assert low <= 0.1 <= high
    assert (high - low) / low < 0.13
    assert (first["consistency_p95_upper_s"], second["consistency_p95_upper_s"]) == ("inf", "")
    low, high = float(first["publish_p99_lower_s"]), float(first["publish_p99_upper_s"])
    assert low <= 0.0004 <= high
    assert (high - low) / low < 0.13
    assert second["publish_p50_upper_s"] == "inf"
    assert float(second["publish_p50_lower_s"]) == pytest.approx(282e-6, rel=0.01)
    assert (second["start_s"], second["sent"]) == ("5.0", "0")


def test_gauges_over_time() -> None:
    assert read(tables.gauges(over_time())) == [
        {"start_s": "0.0", "end_s": "5.0", "gauge": "work|queue", "value": "queue_depth", "min": "1.0", "mean": "2.5",
         "max": "4.0"}
    ]  # fmt: skip
