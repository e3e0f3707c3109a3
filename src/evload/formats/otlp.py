"""OpenTelemetry's OTLP message of metrics in its JSON form.

Field names and types follow opentelemetry-proto's JSON mapping: 64-bit integers and infinity are text, ids are
hexadecimal, enums are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from .. import __version__
from ..model.report import Report
from ..spi.format import Files, Format
from ..texts import plain_json
from .measures import Measure, of_report

Json = dict[str, Any]

SCOPE: Final[Mapping[str, str]] = {"name": "evload", "version": __version__}
_CUMULATIVE: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OtlpFormat(Format):
    """The measures of a finished run."""

    def files(self, report: Report) -> Files:
        start_ns = unix_ns(report.started_at)
        end_ns = start_ns + report.summary.vitals.duration_ns
        found = metrics(of_report(report), report.run_id, start_ns, end_ns)
        return {"metrics.otlp.json": plain_json(found) + b"\n"}


def unix_ns(at: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond that a datetime has."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def metrics(found: Sequence[Measure], run_id: str, start_ns: int, at_ns: int) -> bytes:
    """An ExportMetricsServiceRequest. Times are nanoseconds since 1970; counters count from `start_ns`."""
    scope = {"scope": SCOPE, "metrics": [_metric(measure, start_ns, at_ns) for measure in found]}
    resource = {"attributes": _attributes(resource_of(run_id))}
    return orjson.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]})


def _metric(measure: Measure, start_ns: int, at_ns: int) -> Json:
    points = [
        {
            "attributes": _attributes(labels),
            **({"startTimeUnixNano": str(start_ns)} if measure.kind == "counter" else {}),
            "timeUnixNano": str(at_ns),
            **_value(value, measure.kind == "counter"),
        }
        for labels, value in measure.points
    ]
    metric: Json = {"name": f"evload.{measure.name}", "description": measure.help, "unit": measure.unit}
    if measure.kind == "counter":
        metric["sum"] = {"dataPoints": points, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}
    else:
        metric["gauge"] = {"dataPoints": points}
    return metric


def _value(value: float, whole: bool) -> Json:
    if whole:
        return {"asInt": str(int(value))}
    return {"asDouble": "Infinity" if math.isinf(value) else value}


def _attributes(labels: Mapping[str, str]) -> list[Json]:
    """Empty ones are left out: a label without a value is the same as none."""
    return [{"key": name, "value": {"stringValue": value}} for name, value in labels.items() if value]


def resource_of(run_id: str) -> Mapping[str, str]:
    """What a run says of itself."""
    return {"service.name": "evload", "service.version": __version__, "service.instance.id": run_id}
