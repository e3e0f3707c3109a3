"""OTLP over HTTP: protobuf in the body of a POST."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .._shared.posting import Answer, open_recipient
from .destination import Destination, Signal
from .heard import Export, Heard, taken

_PROTOBUF: Final = "application/x-protobuf"
_AGAIN: Final = (429, 502, 503, 504)
"""Whoever answers so may take the same request later (OTLP specification, "Retryable Response Codes")."""


@asynccontextmanager
async def open_http(signal: Signal, to: Destination) -> AsyncIterator[Export]:
    """Yield what sends; nothing is sent yet."""
    headers = {"content-type": _PROTOBUF, **({"content-encoding": "gzip"} if to.gzip else {}), **to.headers}
    async with open_recipient(to.url, headers, to.timeout_ns, to.tls) as recipient:

        async def export(request: Any) -> Heard:
            body = request.SerializeToString()
            return _heard(signal, await recipient.post(gzip.compress(body) if to.gzip else body))

        yield export


def _heard(signal: Signal, answer: Answer) -> Heard:
    is_protobuf = answer.content_type.startswith(_PROTOBUF)
    if not answer.refusal:
        kind = ExportMetricsServiceResponse if signal == "metrics" else ExportTraceServiceResponse
        try:
            return taken(signal, kind.FromString(answer.body if is_protobuf else b""))
        except DecodeError:
            return Heard(delivered=True)
    if is_protobuf:
        try:
            answer = answer.saying(Status.FromString(answer.body).message.encode())
        except DecodeError:
            answer = answer.saying(b"")
    return Heard(answer.refusal, again=answer.status in _AGAIN)
