"""The sinks that a config can name: opened from their settings, and every format by its name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import OutputError
from evload.model.report import EventSample, Insight, Severity
from evload.sinks import report_files as settings
from evload.sinks._shared.files import FilesSink
from evload.sinks.otlp import OtlpConfig
from evload.sinks.prometheus import PrometheusConfig
from evload.sinks.webhook import WebhookConfig
from evload.spi.registry import kinds, load_format
from evload.spi.sink import SinkSettings, SinkSurroundings
from evload.testing import check_sink
from tests.rigs.sink_reports import finished, moment, without_anything
from tests.servers.collector import Collector, collecting

KINDS: dict[str, type[SinkSettings]] = {
    "html": settings.HtmlConfig,
    "junit": settings.JunitConfig,
    "markdown": settings.MarkdownConfig,
    "csv": settings.CsvConfig,
    "hlog": settings.HlogConfig,
    "files": settings.FilesConfig,
    "prometheus": PrometheusConfig,
    "otlp": OtlpConfig,
    "webhook": WebhookConfig,
}


def run_through(kind: str, results: Path, /, **options: Any) -> list[str]:
    """Open a sink, give it what a run would, close it. Returns what it said."""
    said: list[str] = []

    async def main() -> None:
        sample = EventSample(datetime(2026, 1, 31, tzinfo=UTC), [], [], [], [])
        surroundings = SinkSurroundings(SystemClock(), "run", results, said.append, lambda count: sample)
        async with KINDS[kind].model_validate({"kind": kind, **options}).open(surroundings) as sink:
            await check_sink(sink, [moment()], finished())

    asyncio.run(main())
    return said


@pytest.mark.parametrize(
    ("kind", "options", "files"),
    [
        ("junit", {}, ["junit.xml"]),
        ("junit", {"file": "ci/results.xml"}, ["ci/results.xml"]),
        ("markdown", {}, ["report.md"]),
        ("csv", {"directory": "tables"}, ["tables/percentiles.csv"]),
        ("prometheus", {}, ["metrics.prom"]),
        ("files", {"format": "junit", "directory": "ci"}, ["ci/junit.xml"]),
    ],
)
def test_files_are_written_beside_the_results(
    kind: str, options: dict[str, str], files: list[str], tmp_path: Path
) -> None:
    assert run_through(kind, tmp_path, **options) == []
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == files
    name = options.get("format") or {"markdown": "md", "prometheus": "prom"}.get(kind, kind)
    assert written[0].read_bytes() == next(iter(load_format(name).files(finished()).values()))


def test_the_log_comes_with_its_tables(tmp_path: Path) -> None:
    run_through("hlog", tmp_path)
    assert len(list(tmp_path.glob("*.hlog"))) == 1
    assert len(list(tmp_path.glob("*.hgrm"))) == 8


def test_prometheus_says_where_to_scrape(tmp_path: Path) -> None:
    (said,) = run_through("prometheus", tmp_path, listen="127.0.0.1:0")
    assert said.startswith("metrics at http://127.0.0.1:")
    assert said.endswith("/metrics")
    assert (tmp_path / "metrics.prom").exists()


@pytest.mark.parametrize(("kind", "paths"), [("otlp", ["/v1/metrics"]), ("webhook", ["/"])])
def test_those_who_are_told_over_http(kind: str, paths: list[str], tmp_path: Path) -> None:
    with collecting(Collector()) as collector:
        assert run_through(kind, tmp_path, url=collector.url) == []
    assert [path for path, *_ in collector.got] == paths
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("prometheus", {"listen": "9464"}, "'9464' is not an address to listen on; write host and port, such as"),
        ("prometheus", {"listen": "localhost:99999"}, "is not an address to listen on"),
        ("otlp", {"url": "localhost:4318"}, "has no scheme; write an address"),
        ("otlp", {"headers": {"a b": "c"}}, "'a b' is not a header name"),
        ("webhook", {"url": "http://h/", "headers": {"X-A": "1\r\nX-B: 2"}}, "holds a line break"),
        ("webhook", {}, "Field required"),
        ("junit", {"fil": "x"}, "Extra inputs are not permitted"),
        ("otlp", {"protocol": "http/json"}, "Input should be 'grpc' or 'http/protobuf'"),
        ("files", {"format": "jnit"}, "unknown format 'jnit'; did you mean 'junit'?"),
    ],
)
def test_bad_settings(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        KINDS[kind].model_validate({"kind": kind, **options})
    assert words in str(raised.value)


def test_the_documented_example() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    example = yaml.safe_load(
        page.partition("```yaml\n")[2].partition("```")[0].replace("${WEBHOOK_URL}", "http://h/")
    )
    assert {report["kind"] for report in example["reports"].values()} == set(KINDS)
    for report in example["reports"].values():
        KINDS[report["kind"]].model_validate(report)


@pytest.mark.parametrize("name", kinds("evload.formats"))
def test_every_format_takes_every_report(name: str) -> None:
    for told in (finished(), without_anything()):
        files = load_format(name).files(told)
        assert files
        assert all(content.endswith(b"\n") and content.decode() for content in files.values())


def test_json_and_otlp_are_json() -> None:
    assert orjson.loads(load_format("json").files(finished())["summary.json"])["run_id"] == finished().run_id
    assert "resourceMetrics" in orjson.loads(load_format("otlp").files(finished())["metrics.otlp.json"])


def test_findings_reach_the_markdown() -> None:
    finding = Insight("saturated", Severity.WARNING, "the backlog began to grow", {})
    assert (
        b"the backlog began to grow" in load_format("md").files(replace(finished(), insights=[finding]))["report.md"]
    )


def test_a_file_is_replaced_and_nothing_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text("old")
    asyncio.run(FilesSink(load_format("junit"), tmp_path).finish(finished()))
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]


def test_a_name_is_that_of_the_first_file_alone(tmp_path: Path) -> None:
    usual = list(load_format("hlog").files(finished()))
    asyncio.run(FilesSink(load_format("hlog"), tmp_path, "run.hlog").finish(finished()))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["run.hlog", *usual[1:]])


def test_a_file_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"can't write .*taken/report.md: (Not a directory|File exists); free"):
        asyncio.run(FilesSink(load_format("md"), tmp_path / "taken").finish(finished()))


@pytest.mark.parametrize("name", ["events.sqlite", "summary.json", "deeper/config.yaml"])
def test_a_report_never_overwrites_the_run(name: str) -> None:
    with pytest.raises(ValidationError, match="is a file of the run itself; choose another name"):
        settings.MarkdownConfig.model_validate({"kind": "markdown", "file": name})
