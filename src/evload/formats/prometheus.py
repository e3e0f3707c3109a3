"""Measures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from .. import texts
from ..model.report import Report
from ..spi.format import Files, Format
from .measures import Measure, of_report

_UNITS: Final = {"s": "_seconds", "": ""}


class PrometheusFormat(Format):
    """The measures of a finished run."""

    def files(self, report: Report) -> Files:
        return {"metrics.prom": text(of_report(report))}


def text(found: Sequence[Measure]) -> bytes:
    """The text exposition format, as node_exporter's textfile collector reads it."""
    registry = CollectorRegistry()
    registry.register(_Fixed(found))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, found: Sequence[Measure]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from metric_families(self._found)


def metric_families(found: Iterable[Measure]) -> Iterator[Metric]:
    for measure in found:
        name = f"evload_{measure.name}{_UNITS[measure.unit]}"
        metric = Metric(name, measure.help, measure.kind)
        suffix = "_total" if measure.kind == "counter" else ""
        for labels, value in measure.points:
            shown = {label: texts.name(text) for label, text in labels.items()}
            metric.add_sample(name + suffix, shown, value)
        yield metric
