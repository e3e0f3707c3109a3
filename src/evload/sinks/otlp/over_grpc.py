"""OTLP over gRPC."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from ...clients.web import excerpt
from .destination import Destination, Signal
from .heard import Export, Heard, taken

_WHERE: Final = re.compile(r"^.*last error: \w+: \S+ ")
_UNREACHABLE: Final[Mapping[str, str]] = {
    "Connection refused": "connection refused",
    "hostname lookup error": "the host name can't be resolved",
    "CERTIFICATE_VERIFY_FAILED": "TLS: certificate not accepted",
    "handshake failed": "TLS: the handshake failed",
}
"""A piece of what gRPC says of a connection that can't be had, and the same in the words of the field."""
_AGAIN: Final = (
    grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNAVAILABLE,
)  # fmt: skip
"""Whoever answers so may take the same request later (OTLP specification, "Failures")."""


@asynccontextmanager
async def open_grpc(signal: Signal, to: Destination) -> AsyncIterator[Export]:
    """Yield what sends; nothing is sent yet."""
    how = {"compression": grpc.Compression.Gzip if to.gzip else grpc.Compression.NoCompression}
    if to.tls is None:
        channel = grpc.aio.insecure_channel(to.shown, **how)
    else:
        channel = grpc.aio.secure_channel(to.shown, grpc.ssl_channel_credentials(*to.pem), **how)
    stub = MetricsServiceStub if signal == "metrics" else TraceServiceStub
    metadata = tuple(to.headers.items())
    async with channel:
        call = stub(channel).Export

        async def export(request: Any) -> Heard:
            try:
                return taken(signal, await call(request, metadata=metadata))
            except grpc.aio.AioRpcError as error:
                return _refusal(error)

        yield export


def _refusal(error: Any) -> Heard:
    code = error.code()
    said = str(error.details() or "")
    for piece, words in _UNREACHABLE.items():
        if code is grpc.StatusCode.UNAVAILABLE and piece in said:
            return Heard(words)
    reason = excerpt(_WHERE.sub("", said).encode())
    return Heard(f"{code.name}: {reason}" if reason else code.name, again=code in _AGAIN)
