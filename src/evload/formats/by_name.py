"""The formats of a finished report: files by name, and the sink that writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ..model.report import Report
from ..model.timeline import Timeline
from ..units import NS_PER_S

Files = Mapping[str, bytes]
"""Name to content; the first is the one to print where only one can be shown."""

Format = Callable[[Report], Files]
"""Renders a report; one without a timeline has no time series."""


def _json(report: Report) -> Files:
    from ..report.document import as_json

    return {"summary.json": as_json(report)}


def _html(report: Report) -> Files:
    from .html.render import render

    timeline = report.timeline or Timeline(NS_PER_S, 1)
    return {"report.html": render(report, timeline, report.insights, report.config_text).encode() + b"\n"}


def _markdown(report: Report) -> Files:
    from .markdown import markdown

    return {"report.md": markdown(report).encode()}


def _junit(report: Report) -> Files:
    from .junit import junit

    return {"junit.xml": junit(report)}


def _csv(report: Report) -> Files:
    from . import csv as tables

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
