"""One run with every kind of report: all of them come out of the real command, and again from its directory."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from prometheus_client.parser import text_string_to_metric_families

from tests.rigs.commands import evload, summary_of
from tests.servers.collector import Collector, collecting

CONFIG = """\
name: reported
sandbox: {visibility: 40ms, loss: 5%}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  e: {type: t, source: /s, key: "{int:1..5}"}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query"
    ids: {in: body, at: ids}
    items: body.items
    deadline: 2s
    confirm: {reads: 1, over: 500ms}
gauges:
  work: {kind: http-json, url: "{sandbox}/queue", value: body.depth, as: queue_depth, every: 100ms}
scenarios:
  main: {producer: broker, events: [e], probes: [read-model], load: [{rate: 100/s, for: 3s}]}
slos: [lost == 0, p95(publish) < 5s]
self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn, horizon: warn}
reports:
  page: {kind: html}
  ci: {kind: junit}
  text: {kind: markdown, file: told.md}
  sheet: {kind: csv, directory: tables}
  histograms: {kind: hlog, directory: hdr}
  metrics: {kind: prometheus, listen: "127.0.0.1:0"}
  traces: {kind: otlp, url: "URL", spans: 20}
  chat: {kind: webhook, url: "URL/hook"}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collector, str]:
    """A run of it, what was collected, and what it said."""
    directory = tmp_path_factory.mktemp("reports")
    with collecting(Collector()) as collector:
        (directory / "config.yaml").write_text(CONFIG.replace("URL", collector.url))
        env = {"GITHUB_STEP_SUMMARY": str(directory / "step.md"), "GITHUB_ACTIONS": "true"}
        ended = evload("run", "config.yaml", "--out", "out", cwd=directory, env=env)
        assert ended.code == 1, ended
        return directory, collector, ended.out


def test_every_report_is_there(run: tuple[Path, Collector, str]) -> None:
    directory, collector, said = run
    out = directory / "out"
    summary = summary_of(out)
    lost = summary["ledger"]["lost"]
    assert lost > 0
    assert f"{lost} of 300 acked events were never seen" in (out / "report.html").read_text()
    assert "never seen" in (out / "told.md").read_text()
    suites = ElementTree.parse(out / "junit.xml").getroot()
    assert sum(int(suite.get("failures", "0")) for suite in suites) == 1
    assert (out / "tables/percentiles.csv").read_text().startswith("scenario,slice,metric")
    assert len((out / "tables/series.csv").read_text().splitlines()) > 5
    assert (out / "hdr/histograms.hlog").read_text().startswith("#")
    families = {f.name: f for f in text_string_to_metric_families((out / "metrics.prom").read_text())}
    states = {s.labels["state"]: s.value for s in families["evload_events"].samples if s.labels["scenario"] == ""}
    assert (states["lost"], states["scheduled"]) == (lost, 300)
    assert "metrics at http://127.0.0.1:" in said
    assert collector.bodies("/hook")[0]["verdict"] == "fail"
    assert collector.metrics()
    (traces,) = collector.traces()
    spans = traces.resource_spans[0].scope_spans[0].spans
    named = {event["traceparent"].split("-")[1] for event in summary["objectives"][0]["worst"]}
    assert len({span.trace_id.hex() for span in spans}) == 20
    assert all(len(trace) == 32 for trace in named)
    assert "lost == 0" in (directory / "step.md").read_text()
    assert "::error title=" in said


@pytest.fixture(scope="module")
def alone(run: tuple[Path, Collector, str]) -> Path:
    """A directory in which there is nothing of the run but its ledger, in `ledger`."""
    directory = run[0] / "alone"
    (directory / "ledger").mkdir(parents=True)
    (directory / "ledger/events.sqlite").write_bytes((run[0] / "out/events.sqlite").read_bytes())
    return directory


def again(alone: Path, form: str, out: str) -> Path:
    """The report in a format, from the ledger."""
    ended = evload("report", "ledger", "--format", form, "--out", out, cwd=alone)
    assert (ended.code, ended.err) == (0, "")
    return alone / out


@pytest.mark.parametrize(
    ("form", "own"),
    [
        ("md", "told.md"), ("junit", "junit.xml"), ("prom", "metrics.prom"),
        ("csv", "tables/percentiles.csv"), ("hlog", "hdr/histograms.hlog"),
    ],
)  # fmt: skip
def test_a_file_made_again_from_the_ledger_alone_is_the_one_of_the_run(
    run: tuple[Path, Collector, str], alone: Path, form: str, own: str
) -> None:
    assert again(alone, form, f"told.{form}").read_bytes() == (run[0] / "out" / own).read_bytes()


def test_the_summary_again_from_the_ledger_alone(run: tuple[Path, Collector, str], alone: Path) -> None:
    told = orjson.loads(again(alone, "json", "told.json").read_bytes())
    assert told == summary_of(run[0] / "out")
    assert told["gauges"]["work"]["queue_lag"]["count"] > 250


@pytest.mark.parametrize(("form", "own"), [("csv", "tables"), ("hlog", "hdr")])
def test_all_files_of_a_format_again_from_the_ledger_alone(
    run: tuple[Path, Collector, str], alone: Path, form: str, own: str
) -> None:
    (alone / form).mkdir()
    made = {path.name: path.read_bytes() for path in again(alone, form, form).iterdir()}
    assert made == {path.name: path.read_bytes() for path in (run[0] / "out" / own).iterdir()}
    assert len(made) >= 3


def test_the_page_again_from_the_ledger_alone_has_all_but_the_config(
    run: tuple[Path, Collector, str], alone: Path
) -> None:
    """Charts have names of their own each time."""
    pages = [again(alone, "html", "told.html").read_text(), (run[0] / "out/report.html").read_text()]
    made, first = (text_of(page.split("<script")[0]) for page in pages)
    assert ("Config" in made, "Config" in first) == (False, True)
    assert [line for line in made if line not in first] == []
    assert len(made) > 100
    charts = [re.findall(r'role="img" aria-label="([^"]+)"', page) for page in pages]
    assert len(charts[0]) >= 4
    assert charts[0] == charts[1]


def test_metrics_for_a_collector_again_from_the_ledger_alone(run: tuple[Path, Collector, str], alone: Path) -> None:
    """The same as it got when the run had ended, but for the time at which it was told."""
    told = orjson.loads(again(alone, "otlp", "told.otlp").read_bytes())
    assert points(told) == points(MessageToDict(run[1].metrics()[-1], use_integers_for_enums=True))
    assert len(points(told)) > 50


def test_the_text_again_from_the_ledger_alone(run: tuple[Path, Collector, str], alone: Path) -> None:
    told = " ".join(again(alone, "text", "told.text").read_text().split())
    lost = summary_of(run[0] / "out")["ledger"]["lost"]
    for line in (
        f"FAIL reported: 1 of 2 objectives failed: lost {lost}, limit == 0",
        f"fail lost == 0 {lost} pass p95(publish) < 5s",
        f"{lost} of 300 acked events were never seen", f"300 acked = {300 - lost} visible + {lost} lost",
    ):  # fmt: skip
        assert line in told, line


def text_of(page: str) -> list[str]:
    """The lines of text in a page."""
    return [line for line in map(str.strip, re.sub(r"<[^>]*>", "\n", page).splitlines()) if line]


def points(told: Any) -> dict[tuple[str, str], Any]:
    """Values of all points in OTLP's metrics, by name and attributes; without times."""
    found = {}
    for metric in told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]:
        (kind,) = metric.keys() & {"gauge", "sum", "histogram", "summary"}
        for point in metric[kind]["dataPoints"]:
            value = {name: value for name, value in point.items() if "UnixNano" not in name and name != "attributes"}
            found[metric["name"], str(point.get("attributes", []))] = value
    return found


def test_an_unknown_format_is_one_line(run: tuple[Path, Collector, str]) -> None:
    ended = evload("report", "out", "--format", "hmtl", cwd=run[0])
    assert (ended.code, ended.err) == (2, "--format hmtl: no such format; did you mean html?\n")
