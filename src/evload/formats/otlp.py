"""OpenTelemetry's OTLP messages in their JSON form: measures as metrics, and settled events as spans.

Field names and types follow opentelemetry-proto's JSON mapping: 64-bit integers and infinity are text, ids are
hexadecimal, enums are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import orjson

from .. import __version__
from ..model.correlation import CorrelationIds
from ..model.report import EventSample
from ..model.states import State
from ..model.travel import Observation, Part
from .measures import Measure

Json = dict[str, Any]

_CUMULATIVE: Final = 2
_INTERNAL: Final = 1
_PRODUCER: Final = 4
_ERROR: Final = 2
_NEVER_SENT: Final = (State.UNSENT, State.REJECTED, State.RETURNED)
_FAILED: Final = (State.LOST, State.REGRESSED)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ns(at: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond that a datetime has."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def metrics(found: Sequence[Measure], run_id: str, start_ns: int, at_ns: int) -> bytes:
    """An ExportMetricsServiceRequest. Times are nanoseconds since 1970; counters count from `start_ns`."""
    scope = {"scope": _SCOPE, "metrics": [_metric(measure, start_ns, at_ns) for measure in found]}
    return orjson.dumps({"resourceMetrics": [{"resource": _resource(run_id), "scopeMetrics": [scope]}]})


def traces(spans: Sequence[Json], run_id: str) -> bytes:
    """An ExportTraceServiceRequest."""
    scope = {"scope": _SCOPE, "spans": spans}
    return orjson.dumps({"resourceSpans": [{"resource": _resource(run_id), "scopeSpans": [scope]}]})


def spans(sample: EventSample, run_id: str) -> Iterator[list[Json]]:
    """The spans of each event: its publish, and below it the wait until each probe and replica showed it.

    Trace and publish have the ids that the event's `traceparent` carried, so that the spans of the system itself are
    found in the same trace, below the publish.
    """
    ids = CorrelationIds.for_run(run_id)
    origin_ns = unix_ns(sample.began_at)
    for seen in sample.observations:
        yield list(_spans_of(seen, sample, ids.id_of(seen.seq), origin_ns))


def _spans_of(seen: Observation, sample: EventSample, correlation_id: str, origin_ns: int) -> Iterator[Json]:
    trace = correlation_id.replace("-", "")
    scenario, event = sample.scenarios[seen.scenario], sample.events[seen.type]
    about = {
        "messaging.message.id": correlation_id,
        "evload.scenario": scenario,
        "evload.event": event,
        "evload.state": seen.state.name.lower(),
    }
    if seen.key is not None:
        about["evload.key"] = seen.key
    sent_ns = seen.intended_ns if seen.sent_ns is None else seen.sent_ns
    publish = _span(trace, trace[-16:], f"publish {event}", _PRODUCER, origin_ns, sent_ns, _publish_end(seen), about)
    if seen.acked_ns is None or seen.state in _NEVER_SENT:
        publish["status"] = {"code": _ERROR, "message": seen.detail or seen.state.name.lower().replace("_", " ")}
    yield publish
    whole = Part(-1, None, seen.state, seen.first_lower_ns, seen.first_upper_ns, seen.stable_lower_ns,
                 seen.stable_upper_ns)  # fmt: skip
    for number, part in enumerate(seen.parts or (whole,)):
        looked_in_vain = part.state in (*_FAILED, State.PENDING)
        if part.stable_upper_ns is None and not looked_in_vain:
            continue
        names = [sample.probes[part.probe]] if part.probe >= 0 else []
        names += [part.replica] if part.replica is not None else []
        end_ns = seen.settled_ns if part.stable_upper_ns is None else part.stable_upper_ns
        start_ns = sent_ns if seen.acked_ns is None or seen.acked_ns > end_ns else seen.acked_ns
        span_id = blake2b(f"{trace}/{number}".encode(), digest_size=8).hexdigest()
        state = {"evload.state": part.state.name.lower()}
        span = _span(trace, span_id, " ".join(["visible", *names]), _INTERNAL, origin_ns, start_ns, end_ns, state)
        span["parentSpanId"] = trace[-16:]
        span["events"] = [
            {"timeUnixNano": str(origin_ns + at), "name": what}
            for at, what in (
                (part.first_lower_ns, "not there yet"),
                (part.first_upper_ns, "first seen"),
                (part.stable_lower_ns, "missing for the last time"),
            )
            if at is not None
        ]
        if part.state in _FAILED:
            span["status"] = {"code": _ERROR, "message": part.state.name.lower()}
        yield span


def _publish_end(seen: Observation) -> int:
    if seen.acked_ns is not None:
        return seen.acked_ns
    return seen.settled_ns if seen.state is State.IN_DOUBT else (seen.sent_ns or seen.intended_ns)


def _span(
    trace: str, span_id: str, name: str, kind: int, origin_ns: int, start_ns: int, end_ns: int,
    attributes: Mapping[str, str],
) -> Json:  # fmt: skip
    return {
        "traceId": trace,
        "spanId": span_id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(origin_ns + start_ns),
        "endTimeUnixNano": str(origin_ns + end_ns),
        "attributes": _attributes(attributes),
    }


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


def _resource(run_id: str) -> Json:
    names = {"service.name": "evload", "service.version": __version__, "service.instance.id": run_id}
    return {"attributes": _attributes(names)}


_SCOPE: Final = {"name": "evload", "version": __version__}


def in_batches(groups: Iterable[list[Json]], size: int) -> Iterator[list[Json]]:
    """Groups joined until there are `size` items or more; none is torn apart."""
    batch: list[Json] = []
    for group in groups:
        batch += group
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
