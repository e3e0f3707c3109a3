"""OTLP over gRPC."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from ...clients.dialing import Dialer
from ...clients.proxies import parse_proxy
from ...clients.web import Endpoint, excerpt, parse_url
from ...errors import TargetError
from .._shared.posting import MOST_OF_ANSWER
from .destination import Destination, Signal
from .heard import Export, Heard, taken
from .relay import relaying

_WHERE: Final = re.compile(r"^.*last error: \w+: \S+ ")
_NO_COLLECTOR: Final = "correct url, or set protocol: http/protobuf for a collector that speaks HTTP"
_NO_ANSWERS: Final[Mapping[str, str]] = {
    "essage larger than max": f"the answer is longer than {MOST_OF_ANSWER} bytes; {_NO_COLLECTOR}",
    "etadata size exceeds": f"the answer's headers are longer than gRPC takes; {_NO_COLLECTOR}",
    "overflows local window": f"more came at once than gRPC lets an answer have; {_NO_COLLECTOR}",
    "Failed parsing HTTP/2": f"what answers there doesn't speak gRPC; {_NO_COLLECTOR}",
}
"""A piece of what gRPC says of answers that no collector gives, and what it means."""
_UNREACHABLE: Final[Mapping[str, str]] = {
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
    """Yield what sends; nothing is sent yet. Raises TargetError for a proxy that can't be used."""
    endpoint = parse_url(to.url)
    stub = MetricsServiceStub if signal == "metrics" else TraceServiceStub
    metadata = tuple(to.headers.items())
    # gRPC tunnels through a proxy also in the clear.
    dialer = Dialer(endpoint.host, endpoint.port, _proxy(endpoint), tunnels=True)
    async with relaying(dialer) as relay, _channel(relay.target, endpoint, to) as channel:
        call = stub(channel).Export

        async def export(request: Any) -> Heard:
            try:
                return taken(signal, await call(request, metadata=metadata))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE and relay.trouble:
                    return Heard(relay.trouble)
                return _refusal(error)
            finally:
                relay.settled()

        yield export


def _channel(target: str, endpoint: Endpoint, to: Destination) -> grpc.aio.Channel:
    options = (
        ("grpc.default_authority", endpoint.authority),
        ("grpc.ssl_target_name_override", endpoint.host),
        ("grpc.enable_http_proxy", 0),
        # Compressed or not: an answer says next to nothing, and gRPC would take 4 MiB.
        ("grpc.max_receive_message_length", MOST_OF_ANSWER),
    )
    compression = grpc.Compression.Gzip if to.gzip else grpc.Compression.NoCompression
    if to.tls is None:
        return grpc.aio.insecure_channel(target, options, compression)
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(*to.pem), options, compression)


def _proxy(endpoint: Endpoint) -> Endpoint | None:
    """What the environment has for gRPC, or else for HTTP. Raises TargetError."""
    known = getproxies()
    found = next((known[name] for name in ("grpc", "https", "http") if known.get(name)), None)
    if found is None or proxy_bypass(endpoint.authority):
        return None
    try:
        return parse_proxy(found if "://" in found else f"http://{found}")
    except ValueError as error:
        raise TargetError(f"the environment's proxy for gRPC can't be used: {error}") from None


def _refusal(error: Any) -> Heard:
    code = error.code()
    said = str(error.details() or "")
    for piece, words in _UNREACHABLE.items():
        if code is grpc.StatusCode.UNAVAILABLE and piece in said:
            return Heard(words)
    for piece, words in _NO_ANSWERS.items():
        if piece in said:
            return Heard(words, again=code in _AGAIN)
    reason = excerpt(_WHERE.sub("", said).encode())
    return Heard(f"{code.name}: {reason}" if reason else code.name, again=code in _AGAIN)
