"""Measures as OpenTelemetry's metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ...formats.measures import Measure


def request(
    found: Sequence[Measure], resource: Resource, scope: InstrumentationScope, start_ns: int, at_ns: int
) -> Any:
    """An ExportMetricsServiceRequest. Times are nanoseconds since 1970; counters count from `start_ns`."""
    metrics = [_metric(measure, start_ns, at_ns) for measure in found]
    return encode_metrics(MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")]))


def in_portions(found: Sequence[Measure], most: int) -> Iterator[list[Measure]]:
    """The same measures, at most so many points at a time."""
    portion, room = [], most
    for measure in found:
        points = measure.points
        while points:
            portion.append(replace(measure, points=points[:room]))
            points, room = points[room:], room - len(portion[-1].points)
            if not room:
                yield portion
                portion, room = [], most
    if portion:
        yield portion


def _metric(measure: Measure, start_ns: int, at_ns: int) -> Metric:
    counts = measure.kind == "counter"
    points = [
        NumberDataPoint(
            # A label without a value is the same as none.
            {name: text for name, text in labels.items() if text},
            start_ns,
            at_ns,
            int(value) if counts else float(value),
        )
        for labels, value in measure.points
    ]
    data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if counts else Gauge(points)
    return Metric(f"evload.{measure.name}", measure.help, measure.unit, data)
