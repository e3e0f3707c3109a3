"""One run with every kind of report: all of them come out of the real command, and again from its directory."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector import Collector, collecting
from commands import evload, summary_of

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
    assert collector.bodies("/v1/metrics")
    (traces,) = collector.bodies("/v1/traces")
    spans = traces["resourceSpans"][0]["scopeSpans"][0]["spans"]
    named = {event["traceparent"].split("-")[1] for event in summary["objectives"][0]["worst"]}
    assert len({span["traceId"] for span in spans}) == 20
    assert all(len(trace) == 32 for trace in named)
    assert "lost == 0" in (directory / "step.md").read_text()
    assert "::error title=" in said


@pytest.mark.parametrize("form", ["html", "md", "json", "junit", "csv", "hlog", "prom", "otlp", "text"])
def test_each_report_again_from_the_ledger_alone(run: tuple[Path, Collector, str], form: str, tmp_path: Path) -> None:
    directory, _, _ = run
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/events.sqlite").write_bytes((directory / "out/events.sqlite").read_bytes())
    ended = evload("report", "alone", "--format", form, "--out", f"told.{form}", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    told = tmp_path / f"told.{form}"
    if form in ("csv", "hlog"):
        assert told.is_file() or any(told.iterdir())
    else:
        assert len(told.read_bytes()) > 500
    if form == "json":
        again, first = orjson.loads(told.read_bytes()), summary_of(directory / "out")
        for key in ("ledger", "distributions", "objectives", "self_checks", "scenarios", "incidents", "verdict"):
            assert again[key] == first[key], key


def test_an_unknown_format_is_one_line(run: tuple[Path, Collector, str]) -> None:
    ended = evload("report", "out", "--format", "hmtl", cwd=run[0])
    assert (ended.code, ended.err) == (2, "--format hmtl: no such format; did you mean html?\n")
