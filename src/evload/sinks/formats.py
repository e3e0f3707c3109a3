"""The formats of a finished report: files by name, and the sink that writes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..errors import OutputError
from ..ports import Progress
from ..summary import Report
from ..timeline import Timeline
from ..units import NS_PER_S

Files = Mapping[str, bytes]
"""Name to content; the first is the one to print where only one can be shown."""

Format = Callable[[Report], Files]
"""Renders a report; one without a timeline has no time series."""


class FilesSink:
    """Writes a finished report in one format into a directory, the first file under a name of its own if given."""

    def __init__(self, form: Format, directory: Path, name: str | None = None) -> None:
        self._format = form
        self._directory = directory
        self._name = name

    def progress(self, now: Progress) -> None:
        """Nothing is written before the end."""

    def finish(self, report: Report) -> None:
        name = self._name
        for usual, content in self._format(report).items():
            replace(self._directory / (name or usual), content)
            name = None


def replace(path: Path, content: bytes) -> None:
    """Write a file at once, so that nobody reads half of it. Raises OutputError if it can't be."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; free some space or choose another file") from error


def _json(report: Report) -> Files:
    from .json import JsonSink

    written: list[bytes] = []
    JsonSink(written.append).finish(report)
    return {"summary.json": b"".join(written)}


def _html(report: Report) -> Files:
    from .html import render

    timeline = report.timeline or Timeline(NS_PER_S, 1)
    return {"report.html": render(report, timeline, report.findings, report.config_text).encode() + b"\n"}


def _markdown(report: Report) -> Files:
    from .markdown import markdown

    return {"report.md": markdown(report).encode()}


def _junit(report: Report) -> Files:
    from .junit import junit

    return {"junit.xml": junit(report)}


def _csv(report: Report) -> Files:
    from . import tables

    files = {"percentiles.csv": tables.percentiles(report)}
    if report.timeline is not None:
        files |= {"series.csv": tables.series(report.timeline), "gauges.csv": tables.gauges(report.timeline)}
    return files


def _hlog(report: Report) -> Files:
    from . import hlog

    return {"histograms.hlog": hlog.log(report), **hlog.percentile_tables(report)}


def _prom(report: Report) -> Files:
    from . import measures, prometheus

    return {"metrics.prom": prometheus.text(measures.of_report(report))}


def _otlp(report: Report) -> Files:
    from . import measures, otlp

    start_ns = otlp.unix_ns(report.started_at)
    end_ns = start_ns + report.summary.vitals.duration_ns
    return {"metrics.otlp.json": otlp.metrics(measures.of_report(report), report.run_id, start_ns, end_ns) + b"\n"}


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "html": _html,
        "md": _markdown,
        "json": _json,
        "junit": _junit,
        "csv": _csv,
        "hlog": _hlog,
        "prom": _prom,
        "otlp": _otlp,
    }
)
"""By the name that `evload report --format` knows."""
