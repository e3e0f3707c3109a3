"""Stubs on the loopback that take POSTs, or OTLP calls over gRPC, from threads of their own, and remember them."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import grpc
import orjson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import add_MetricsServiceServicer_to_server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server

METRICS: Final = "/v1/metrics"
TRACES: Final = "/v1/traces"


@dataclass
class Collector:
    """What it answers, and what it got: (path, headers in lower case, body).

    answers  by path, where not all are the same
    refused  the status by path, in the same way
    """

    status: int = 200
    answer: bytes = b"{}"
    answer_type: str = "application/json"
    answers: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    silent: threading.Event | None = None
    """Says nothing until this is set."""
    url: str = ""
    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    def bodies(self, path: str) -> list[Any]:
        """The JSON of all requests to a path, in order."""
        return [orjson.loads(body) for at, _, body in self.got if at == path]

    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """What a collector would have read of all requests with metrics, in order."""
        return [ExportMetricsServiceRequest.FromString(body) for body in self._protobuf(METRICS)]

    def traces(self) -> list[ExportTraceServiceRequest]:
        """The same of those with spans."""
        return [ExportTraceServiceRequest.FromString(body) for body in self._protobuf(TRACES)]

    def _protobuf(self, path: str) -> Iterator[bytes]:
        for at, headers, body in self.got:
            if at == path:
                assert headers["content-type"] == "application/x-protobuf"
                yield gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body


@contextmanager
def collecting(collector: Collector, key: Path | None = None, certificate: Path | None = None) -> Iterator[Collector]:
    """The stub, for as long as the block lasts; with TLS if it has a key and a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if collector.silent is not None:
                collector.silent.wait(10)
            self.send_response(collector.refused.get(self.path, collector.status))
            if collector.status in (301, 307):
                self.send_header("Location", "/elsewhere")
            answer = collector.answers.get(self.path, collector.answer)
            self.send_header("Content-Type", collector.answer_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has)
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # whoever closes it waits until all that came was remembered

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever hung up didn't want to know."""

    server = Server(("127.0.0.1", 0), Handler)
    if key is not None and certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    collector.url = f"{'http' if key is None else 'https'}://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        if collector.silent is not None:
            collector.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class GrpcCollector:
    """The same for OTLP over gRPC: what it answers or refuses with, and what it got, with the metadata of each call.

    refusal  a code and its details
    """

    metrics_answer: ExportMetricsServiceResponse = field(default_factory=ExportMetricsServiceResponse)
    traces_answer: ExportTraceServiceResponse = field(default_factory=ExportTraceServiceResponse)
    refusal: tuple[grpc.StatusCode, str] | None = None
    silent: threading.Event | None = None
    url: str = ""
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    only_plain: bool = False
    """Takes no compressed messages."""

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]


@contextmanager
def collecting_grpc(
    collector: GrpcCollector, key: Path | None = None, certificate: Path | None = None
) -> Iterator[None]:
    """The stub, for as long as the block lasts; with TLS if it has a key and a certificate."""

    class Service:
        def __init__(self, got: list[Any], answer: Any) -> None:
            self._got = got
            self._answer = answer

        def Export(self, request: Any, context: Any) -> Any:
            self._got.append(request)
            collector.metadata.append(dict(context.invocation_metadata()))
            if collector.silent is not None:
                collector.silent.wait(10)
            if collector.refusal is not None:
                context.abort(*collector.refusal)
            return self._answer

    identity = 1
    options = [("grpc.compression_enabled_algorithms_bitset", identity)] if collector.only_plain else []
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    add_MetricsServiceServicer_to_server(Service(collector.metrics, collector.metrics_answer), server)  # type: ignore[no-untyped-call]
    add_TraceServiceServicer_to_server(Service(collector.traces, collector.traces_answer), server)  # type: ignore[no-untyped-call]
    if key is not None and certificate is not None:
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
        collector.url = f"https://127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    else:
        collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield
    finally:
        if collector.silent is not None:
            collector.silent.set()
        server.stop(None).wait()
