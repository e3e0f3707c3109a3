"""Settings of the sinks that a config can name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from ..clients.web import Url, check_headers
from ..ports import Progress, Sink, SinkSettings, SinkSurroundings
from ..summary import Report
from ..units import NS_PER_S, Duration

_OWN: Final = frozenset({"events.sqlite", "summary.json", "config.yaml", "truth.jsonl"})
_LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")


def _check_listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{text!r} is not an address to listen on; write host and port, such as 127.0.0.1:9464")
    return text


def _check_place(place: Path) -> Path:
    if place.name in _OWN:
        raise ValueError(f"{place.name} is a file of the run itself; choose another name")
    return place


Place = Annotated[Path, AfterValidator(_check_place), Field(description="where to write; relative to the results")]


class _FileSettings(SinkSettings):
    """Of a sink that writes one file in the format `form`."""

    form: ClassVar[str]
    file: Place

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        yield self.file_sink(surroundings)

    def file_sink(self, surroundings: SinkSurroundings) -> Sink:
        """The sink that writes the file when the run has ended."""
        from .formats import FORMATS, FilesSink

        path = surroundings.directory / self.file
        return FilesSink(FORMATS[self.form], path.parent, path.name)


class _FilesSettings(SinkSettings):
    """Of a sink that writes several files in the format `form`."""

    form: ClassVar[str]
    directory: Place = Path()

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        from .formats import FORMATS, FilesSink

        yield FilesSink(FORMATS[self.form], surroundings.directory / self.directory)


class _HttpSettings(SinkSettings):
    """Of a sink that tells somebody over HTTP."""

    headers: Annotated[
        Mapping[str, str], AfterValidator(check_headers), Field(description="further headers, such as a token")
    ] = {}
    timeout: Annotated[Duration, Field(ge=10_000_000, description="longest wait for an answer")] = 10 * NS_PER_S


class HtmlConfig(_FileSettings):
    """The report as one page that opens offline."""

    form = "html"
    kind: Literal["html"]
    file: Place = Path("report.html")


class JunitConfig(_FileSettings):
    """JUnit XML, with a test case for each objective."""

    form = "junit"
    kind: Literal["junit"]
    file: Place = Path("junit.xml")


class MarkdownConfig(_FileSettings):
    """The report in Markdown."""

    form = "md"
    kind: Literal["markdown"]
    file: Place = Path("report.md")


class CsvConfig(_FilesSettings):
    """Percentiles and time series as CSV."""

    form = "csv"
    kind: Literal["csv"]


class HlogConfig(_FilesSettings):
    """A log of histograms and percentile tables for HdrHistogram's tools."""

    form = "hlog"
    kind: Literal["hlog"]


class PrometheusConfig(_FileSettings):
    """A text file of the finished run and, if asked for, an address to scrape while it goes on."""

    form = "prom"
    kind: Literal["prometheus"]
    file: Place = Path("metrics.prom")
    listen: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else _check_listen(text)),
        Field(description="host and port to scrape at /metrics while the run goes on"),
    ] = None

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        file = self.file_sink(surroundings)
        if self.listen is None:
            yield file
            return
        from .prometheus import scraped

        host, _, port = self.listen.rpartition(":")
        async with scraped(host.strip("[]"), int(port)) as (endpoint, address):
            surroundings.say(f"metrics at {address}")
            yield _Both(endpoint, file)


class OtlpConfig(_HttpSettings):
    """Metrics and spans for an OpenTelemetry collector, by OTLP over HTTP in JSON."""

    kind: Literal["otlp"]
    url: Annotated[Url, Field(description="the collector; /v1/metrics and /v1/traces are added")] = (
        "http://localhost:4318"
    )
    every: Annotated[Duration, Field(ge=NS_PER_S, description="time between two exports of metrics")] = 10 * NS_PER_S
    spans: Annotated[int, Field(ge=0, le=100_000, description="most events that are sent as spans at the end")] = 1000

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        from .otlp_sink import OtlpSink
        from .posting import Recipient

        yield OtlpSink(Recipient(self.url, self.headers, self.timeout), surroundings, self.every, self.spans)


class WebhookConfig(_HttpSettings):
    """A POST with the verdict when the run has ended."""

    kind: Literal["webhook"]
    url: Annotated[Url, Field(description="whom to tell")]

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        from .posting import Recipient
        from .webhook import WebhookSink

        yield WebhookSink(Recipient(self.url, self.headers, self.timeout), surroundings.say)


class _Both:
    """Two sinks as one."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self._sinks = (first, second)

    def progress(self, now: Progress) -> None:
        for sink in self._sinks:
            sink.progress(now)

    def finish(self, report: Report) -> None:
        for sink in self._sinks:
            sink.finish(report)
