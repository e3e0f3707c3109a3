"""Histograms read back with HdrHistogram's own reader: the same percentiles, nothing missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from evload.formats import hlog
from evload.model.facts import PERCENTILES
from tests.rigs.sink_reports import NASTY, finished, without_anything
from tests.rigs.summaries import MS, S, distribution, run_of, scenario

WEEK_NS = 7 * 86_400 * S
ENDS = ("lower", "upper")


def read_back(path: Path) -> dict[str, Any]:
    """Tag to histogram."""
    reader = HistogramLogReader(str(path), HdrHistogram(1, WEEK_NS, 3))
    try:
        found = {}
        while (histogram := reader.get_next_interval_histogram()) is not None:
            assert histogram.get_tag() not in found
            found[histogram.get_tag()] = histogram
        return found
    finally:
        reader.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "histograms.hlog"
    path.write_bytes(hlog.log(finished()))
    return path


def test_two_histograms_for_each_metric(log: Path) -> None:
    nasty = (
        "sp%22ik%27e%20%3Cb%3E%26amp%3B%20100%25%20%7Ca%7C%60b%60%5C%2Ac%2A%2C%0Anext%3A%20%C3%BCmlaut%20%F0%9F%8E%89"
    )
    tags = ["consistency", "calm/consistency", f"{nasty}/consistency", "queue_lag/work%7Cqueue"]
    assert list(read_back(log)) == [f"{tag}.{end}" for tag in tags for end in ENDS]


def test_the_percentiles_are_the_same(log: Path) -> None:
    found = read_back(log)
    total = finished().summary.total().distributions["consistency"]
    for name, p in PERCENTILES.items():
        low, high = total.bracket(p)
        assert low is not None
        first, seen = (found[f"consistency.{end}"].get_value_at_percentile(float(p * 100)) for end in ENDS)
        assert first == pytest.approx(low, rel=1e-3), name
        assert seen >= WEEK_NS if high is None else seen == pytest.approx(high, rel=1e-3), name


def test_what_was_never_seen_keeps_its_place(log: Path) -> None:
    upper = read_back(log)["consistency.upper"]
    assert upper.get_total_count() == 150
    assert upper.get_value_at_percentile(100) >= WEEK_NS
    text = log.read_text()
    assert f"\n#[consistency.upper: 1 of 150 values are infinite (never seen); they stand at {WEEK_NS} ns]\n" in text
    assert "consistency.lower: " not in text


def test_the_interval_is_the_run(log: Path) -> None:
    histogram = read_back(log)["consistency.lower"]
    began = finished().started_at.timestamp() * 1000
    assert histogram.get_start_time_stamp() == pytest.approx(began)
    assert histogram.get_end_time_stamp() == pytest.approx(began + 61_200)


def test_comments_say_what_it_is_and_stay_on_their_lines(log: Path) -> None:
    lines = log.read_text().splitlines()
    assert lines[0] == f"#[evload run 20260131-120000-4f1c: {NASTY.replace(chr(10), ' ')}]"
    assert lines[1].startswith("#[values in nanoseconds, Interval_Max in milliseconds;")
    assert [line for line in lines if not line.startswith(("#", '"Start', "Tag="))] == []
    intervals = [line.split(",") for line in lines if line.startswith("Tag=")]
    assert {len(parts) for parts in intervals} == {5}
    assert all(parts[4].startswith("HIST") for parts in intervals)
    assert float(intervals[2][3]) == pytest.approx(10, rel=1e-3)


def test_one_scenario_needs_no_tags_of_its_own(tmp_path: Path) -> None:
    exact = distribution([(5 * MS, 5 * MS)])
    path = tmp_path / "log"
    path.write_bytes(hlog.log(replace(finished(), summary=run_of(scenario({"publish": exact}, visible=1)))))
    assert list(read_back(path)) == ["publish.lower", "publish.upper"]


def test_an_empty_run_has_no_intervals(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(hlog.log(without_anything()))
    assert read_back(path) == {}


def test_percentile_tables() -> None:
    tables = hlog.percentile_tables(finished())
    assert "calm_consistency.upper.hgrm" in tables
    assert all("/" not in name for name in tables)
    lines = tables["consistency.upper.hgrm"].decode().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    table = [tuple(map(float, line.split())) for line in lines[1:] if line and not line.startswith("#")]
    values, shares, counts = ([row[i] for row in table] for i in range(3))
    assert (values, shares, counts) == (sorted(values), sorted(shares), sorted(counts))
    # In milliseconds: 50 at 11, 95 at 110, 4 at 2,200, and one never.
    assert values[0] == pytest.approx(11, rel=2e-3)
    assert 145 in counts
    assert [row[0] for row in table if row[2] == 145] == pytest.approx([110] * counts.count(145), rel=2e-3)
    assert (counts[-1], values[-1] >= WEEK_NS / MS) == (150, True)
    assert lines[-1] == "#[1 of 150 values are infinite (never seen) and stand at the maximum]"
