"""OTLP as a collector gets it, over HTTP and gRPC: metrics and spans, and a collector that is no help."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from evload import __version__
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.formats.measures import Measure
from evload.formats.otlp import unix_ns
from evload.model.correlation import CorrelationIds
from evload.model.marker import Marker
from evload.model.progress import actions_now
from evload.model.report import EventSample
from evload.model.states import State
from evload.model.travel import Encoding, Observation, Part
from evload.sinks.otlp import OtlpConfig
from evload.sinks.otlp.metrics import in_portions
from evload.sinks.otlp.sink import OtlpSink, in_batches
from evload.sinks.otlp.spans import Spans
from evload.spi.sink import SinkSurroundings
from evload.testing import sample_events
from tests.rigs.hostile import ENDLESS, IN_GRPC, LONG, MANY, NONSENSE, TRICKLE, Hostile
from tests.rigs.sink_reports import NASTY, finished, moment
from tests.rigs.summaries import MS, S
from tests.servers.collector import METRICS, TRACES, Collector, GrpcCollector, collecting, collecting_grpc

RUN = "20260131-120000-4f1c"
BEGAN = datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
BEGAN_NS = 1_769_860_801 * S
PROTOBUF = "application/x-protobuf"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the machine's own variables has a say."""
    for name in ("ENDPOINT", "HEADERS", "PROTOCOL", "COMPRESSION", "TIMEOUT", "CERTIFICATE"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


class SetClock(SystemClock):
    """Shows what it is set to."""

    at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def wall(self, at_ns: int) -> datetime:
        return BEGAN + timedelta(microseconds=at_ns / 1000)


@dataclass
class World:
    """A sink as a config would open it, and what it says; `observations` is what the run has to show."""

    url: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    observations: Sequence[Observation] = ()
    base_dir: Path = Path()
    said: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    clock: SetClock = field(default_factory=SetClock)

    def sample(self, count: int) -> EventSample:
        self.asked.append(count)
        return sample_of(self.observations)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OtlpSink]:
        to = {} if self.url is None else {"url": self.url}
        settings = OtlpConfig.model_validate({"kind": "otlp", **to, **self.options})
        surroundings = SinkSurroundings(self.clock, RUN, Path(), self.said.append, self.sample, self.base_dir)
        async with settings.open(surroundings) as sink:
            yield cast(OtlpSink, sink)

    async def run(self, *progress_ns: int, markers: Sequence[Marker] = ()) -> None:
        """Show it moments of a run in which this was done, each once the export before is over, and then the end."""
        report = finished()
        report.summary.markers = list(markers)
        async with self.open() as sink:
            for at_ns in progress_ns:
                self.clock.at_ns = at_ns
                sink.progress(replace(moment(at_ns / S), actions=actions_now(markers)))
                await others()
            self.clock.at_ns = 61 * S
            await sink.finish(report)


async def others() -> None:
    """Wait for all tasks of the sink's own."""
    if rest := [task for task in asyncio.all_tasks() if task.get_name() == "otlp metrics"]:
        await asyncio.wait(rest)


def sample_of(observations: Sequence[Observation]) -> EventSample:
    return EventSample(BEGAN, ["calm", NASTY], ["created", "changed"], ["table", "index"], observations)


def seen(seq: int = 7, **changes: Any) -> Observation:
    """An event that was visible half a second after its ack."""
    facts: dict[str, Any] = {
        "state": State.VISIBLE, "intended_ns": 70 * MS, "sent_ns": 71 * MS, "acked_ns": 80 * MS, "sampled": True,
        "first_lower_ns": 500 * MS, "first_upper_ns": 550 * MS, "stable_lower_ns": 560 * MS,
        "stable_upper_ns": 580 * MS, "settled_ns": 6 * S, "key": "k",
    }  # fmt: skip
    return Observation(**{"seq": seq, "scenario": 1, "type": 1, **facts, **changes})


Points = dict[tuple[str, frozenset[tuple[str, str]]], Any]


def points(request: Any) -> Points:
    """The points of a metrics request by name and attributes."""
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("evload", __version__)
    found: Points = {}
    for metric in scope.metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            about = metric.name, frozenset(attributes(point).items())
            assert about not in found
            found[about] = point
        if kind == "sum":
            assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (2, True)
    return found


def attributes(part: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in part.attributes}


def point(found: Points, name: str, **labels: str) -> Any:
    return found[name, frozenset(labels.items())]


def spans_in(request: Any) -> list[Any]:
    return list(request.resource_spans[0].scope_spans[0].spans)


def spans_of(*observations: Observation) -> list[Any]:
    """The spans of events, as they are sent."""
    events = Spans(sample_of(observations), RUN, Resource({}), InstrumentationScope("evload"))
    return spans_in(encode_spans([span for event in events for span in event]))


def times(span: Any) -> list[int]:
    return [span.start_time_unix_nano - BEGAN_NS, span.end_time_unix_nano - BEGAN_NS]


def status(span: Any) -> tuple[int, str]:
    return span.status.code, span.status.message


def check_metrics(request: Any) -> None:
    """What the finished report amounts to."""
    resource = request.resource_metrics[0].resource
    assert attributes(resource) == {
        "service.name": "evload", "service.version": __version__, "service.instance.id": RUN,
    }  # fmt: skip
    found = points(request)
    lost = point(found, "evload.events", state="lost", scenario=NASTY)
    assert lost.as_int == 1
    assert (lost.start_time_unix_nano, lost.time_unix_nano) == (BEGAN_NS, BEGAN_NS + 61 * S)
    bound = {"quantile": "0.999", "scenario": NASTY, "slice": "replica=b"}
    low, high = (point(found, "evload.consistency", **bound, bound=end) for end in ("lower", "upper"))
    assert low.as_double == pytest.approx(6, rel=1e-3)
    assert high.as_double == float("inf")
    units = {metric.name: metric.unit for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    assert (units["evload.consistency"], units["evload.events"]) == ("s", "")


# -- over HTTP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_metrics_of_a_finished_run(compression: str) -> None:
    with collecting(Collector()) as collector:
        world = World(collector.url, {"spans": 0, "headers": {"X-Key": "k"}, "compression": compression})
        asyncio.run(world.run())
    ((path, headers, _),) = collector.got
    assert (path, headers["content-type"], headers["x-key"]) == (METRICS, PROTOBUF, "k")
    assert headers.get("content-encoding", "none") == compression
    (request,) = collector.metrics()
    check_metrics(request)
    assert world.said == []
    assert world.asked == []


def test_metrics_while_the_run_goes_on() -> None:
    with collecting(Collector()) as collector:
        world = World(collector.url, {"spans": 0})
        asyncio.run(world.run(S, 9 * S, 10 * S, 15 * S, 20 * S, 21 * S))
    *during, last = map(points, collector.metrics())
    assert [point(found, "evload.elapsed").as_double for found in during] == [10, 20]
    assert point(during[0], "evload.events", state="visible").as_int == 460
    assert ("evload.elapsed", frozenset()) not in last


def test_a_slow_collector_does_not_hold_up_the_run() -> None:
    async def main() -> None:
        async with world.open() as sink:
            for at_ns in range(10 * S, 100 * S, 10 * S):
                world.clock.at_ns = at_ns
                sink.progress(moment())
            await sink.finish(finished())

    with collecting(Collector(silent=threading.Event())) as collector:
        world = World(collector.url, {"timeout": "1s"})
        asyncio.run(main())
    assert len(collector.got) == 2
    assert world.said == [f"otlp {collector.host}: no answer within 1 s; metrics were not delivered"]
    assert world.asked == []


def test_a_run_that_ends_without_a_report_leaves_nothing_under_way() -> None:
    async def main() -> set[Any]:
        async with world.open() as sink:
            world.clock.at_ns = 10 * S
            sink.progress(moment())
            await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    with collecting(Collector(silent=threading.Event())) as collector:
        world = World(collector.url)
        assert asyncio.run(main()) == set()
    assert world.said == []


REJECTED = ExportMetricsServiceResponse(
    partial_success=ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "expected"),
    [
        (400, b"no such\ntenant", "text/plain", "HTTP 400: no such tenant; metrics were not delivered"),
        (401, Status(message="who?").SerializeToString(), PROTOBUF, "HTTP 401: who?; metrics were not delivered"),
        (403, b"\xff\xff", PROTOBUF, "HTTP 403; metrics were not delivered"),
        (503, b"busy", "text/plain", "HTTP 503: busy; metrics were not delivered"),
        (307, b"", "text/plain", "HTTP 307; metrics were not delivered"),
        (200, REJECTED.SerializeToString(), PROTOBUF, "3 data points rejected: too old"),
    ],
)
def test_a_collector_that_refuses_is_told_of_once_while_the_run_goes_on(
    status: int, answer: bytes, kind: str, expected: str
) -> None:
    with collecting(Collector(status=status, answers={METRICS: answer}, answer_type=kind)) as collector:
        world = World(collector.url, {"spans": 0, "timeout": "1s"})
        asyncio.run(world.run(10 * S, 20 * S, 30 * S))
    assert world.said == [f"otlp {collector.host}: {expected}"] * 2


def test_what_a_busy_collector_turns_away_is_sent_again() -> None:
    def recover() -> None:
        while not collector.got:
            done.wait(0.005)
        collector.status = 200

    done = threading.Event()
    with collecting(Collector(status=503, answer=b"busy")) as collector:
        world = World(collector.url, {"spans": 0})
        thread = threading.Thread(target=recover)
        thread.start()
        asyncio.run(world.run())
        done.set()
        thread.join()
    assert world.said == []
    assert len(collector.got) == 2
    assert collector.got[0][2] == collector.got[1][2]


@pytest.mark.parametrize("answer", [b"", b"{}", b"\xff\xff", ExportMetricsServiceResponse().SerializeToString()])
@pytest.mark.parametrize("kind", ["application/json", PROTOBUF])
def test_answers_that_are_as_good_as_yes(answer: bytes, kind: str) -> None:
    with collecting(Collector(answer=answer, answer_type=kind)) as collector:
        world = World(collector.url, observations=[seen()])
        asyncio.run(world.run())
    assert world.said == []
    assert [path for path, *_ in collector.got] == [METRICS, TRACES]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nobody_there(protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    world = World(f"http://{address}", {"protocol": protocol}, observations=[seen()])
    asyncio.run(world.run())
    assert world.said == [f"otlp {address}: connection refused; metrics were not delivered"]
    assert world.asked == []


def test_spans_are_sent_in_portions() -> None:
    with collecting(Collector()) as collector:
        world = World(collector.url, {"spans": 1200}, observations=[seen(seq) for seq in range(1200)])
        asyncio.run(world.run())
    sent = [spans_in(request) for request in collector.traces()]
    assert [len(batch) for batch in sent] == [1000, 1000, 400]
    ids = [(span.trace_id, span.span_id) for batch in sent for span in batch]
    assert len(set(ids)) == 2400
    assert world.asked == [1200]


def test_spans_that_are_refused_are_not_followed_by_more() -> None:
    async def main() -> None:
        async with world.open() as sink:
            await sink.finish(finished())

    with collecting(Collector()) as collector:
        collector.refused = {TRACES: 400}
        world = World(collector.url, {"spans": 1200}, observations=[seen(seq) for seq in range(1200)])
        asyncio.run(main())
    assert [path for path, *_ in collector.got] == [METRICS, TRACES]
    assert world.said == [f"otlp {collector.host}: HTTP 400: {{}}; spans were not delivered"]


# -- what was done to the system -----------------------------------------------------------------------------

DONE: Final = (
    Marker("slow-workers", 0, (10 * S, 11 * S), (20 * S, 21 * S)),
    Marker("pods", 0, (25 * S, 26 * S), lasting=False),
    Marker("block", 0, (30 * S, 30 * S), (31 * S, 32 * S), undo_error="HTTP 500"),
    Marker("cut", 0, (40 * S, None)),
)


def check_actions(during: Any, last: Any, traces: Any) -> None:
    """What a collector is told of them, over either protocol."""
    for request in (during, last):
        told = points(request)
        on = {
            name: point(told, "evload.action_on", action=name).as_double for name in ("slow-workers", "pods", "block")
        }
        assert on == {"slow-workers": 0, "pods": 0, "block": 1}
    begun = point(points(last), "evload.action_begun", action="slow-workers", number="0", bound="upper")
    assert begun.as_double == 11
    acted = [span for span in spans_in(traces) if span.name.startswith("action ")]
    assert [span.name for span in acted] == ["action slow-workers", "action pods", "action block", "action cut"]
    assert [times(span) for span in acted] == [
        [10 * S, 21 * S], [25 * S, 26 * S], [30 * S, 61_200 * MS], [40 * S, 61_200 * MS],
    ]  # fmt: skip
    assert [(event.name, event.time_unix_nano - BEGAN_NS) for event in acted[0].events] == [
        ("done", 11 * S), ("being undone", 20 * S),
    ]  # fmt: skip
    assert attributes(acted[0]) == {"evload.action": "slow-workers", "evload.number": "0"}
    assert [status(span) for span in acted] == [(0, ""), (0, ""), (2, "HTTP 500"), (0, "")]
    assert len({span.trace_id for span in acted}) == 1
    assert len({span.span_id for span in acted}) == 4
    assert {span.kind for span in acted} == {1}


def test_actions_over_http() -> None:
    with collecting(Collector()) as collector:
        world = World(collector.url, observations=[seen()])
        asyncio.run(world.run(50 * S, markers=DONE))
    (traces,) = collector.traces()
    during, last = collector.metrics()
    check_actions(during, last, traces)
    assert world.said == []


def test_actions_over_grpc() -> None:
    collector = GrpcCollector()
    with collecting_grpc(collector):
        asyncio.run(World(collector.url, {"protocol": "grpc"}, [seen()]).run(50 * S, markers=DONE))
    (traces,) = collector.traces
    during, last = collector.metrics
    check_actions(during, last, traces)


# -- over gRPC -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_metrics_and_spans_over_grpc(compression: str) -> None:
    collector = GrpcCollector()
    with collecting_grpc(collector):
        options = {"protocol": "grpc", "headers": {"X-Key": "k"}, "compression": compression}
        world = World(collector.url, options, [seen()])
        asyncio.run(world.run(10 * S))
    during, last = collector.metrics
    assert point(points(during), "evload.elapsed").as_double == 10
    check_metrics(last)
    (traces,) = collector.traces
    assert [span.name for span in spans_in(traces)] == ["publish changed", "visible"]
    assert [metadata["x-key"] for metadata in collector.metadata] == ["k"] * 3
    assert world.said == []


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_is_compressed_over_grpc(compression: str) -> None:
    collector = GrpcCollector(only_plain=True)
    with collecting_grpc(collector):
        world = World(collector.url, {"protocol": "grpc", "compression": compression, "spans": 0})
        asyncio.run(world.run())
    assert len(collector.metrics) == (1 if compression == "none" else 0)
    assert [said.partition(": UNIMPLEMENTED: ")[1] != "" for said in world.said] == [True] * (compression == "gzip")


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        (GrpcCollector(refusal=(grpc.StatusCode.UNAUTHENTICATED, "who are you?")),
         "UNAUTHENTICATED: who are you?; metrics were not delivered"),
        (GrpcCollector(refusal=(grpc.StatusCode.UNAVAILABLE, "busy")),
         "UNAVAILABLE: busy; metrics were not delivered"),
        (GrpcCollector(silent=threading.Event()), "no answer within 1 s; metrics were not delivered"),
        (GrpcCollector(metrics_answer=REJECTED), "3 data points rejected: too old"),
    ],
    ids=["refuses", "busy", "silent", "takes a part"],
)  # fmt: skip
def test_a_grpc_collector_that_is_no_help(collector: GrpcCollector, expected: str) -> None:
    with collecting_grpc(collector):
        world = World(collector.url, {"protocol": "grpc", "timeout": "1s", "spans": 0})
        asyncio.run(world.run())
    assert world.said == [f"otlp {collector.host}: {expected}"]


TOO_MUCH: Final = "more than 262144 bytes came in place of an answer; correct url"
CURE: Final = "correct url, or set protocol: http/protobuf for a collector that speaks HTTP"

OVERFLOWS: Final = f"more came at once than gRPC lets an answer have; {CURE}"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (LONG, [f"the answer is longer than 65536 bytes; {CURE}", TOO_MUCH, OVERFLOWS]),
        (MANY, [f"the answer's headers are longer than gRPC takes; {CURE}", TOO_MUCH]),
        (ENDLESS, [f"the answer is longer than 65536 bytes; {CURE}", TOO_MUCH, OVERFLOWS]),
        (TRICKLE, ["no answer within 3 s"]),
        (NONSENSE, [f"what answers there doesn't speak gRPC; {CURE}"]),
    ],
)
def test_a_grpc_collector_that_means_harm(way: str, expected: Sequence[str]) -> None:
    """gRPC itself would take headers of 16 MiB, and messages of 4. Whichever limit is met first is told."""

    async def main(collector: GrpcCollector) -> World:
        port = urlsplit(collector.url).port or 0
        async with Hostile(port, IN_GRPC, way) as peer:
            peer.turn()
            world = World(f"http://127.0.0.1:{peer.port}", {"protocol": "grpc", "timeout": "3s", "spans": 0})
            await world.run()
            return world

    with collecting_grpc(collector := GrpcCollector()):
        world = asyncio.run(main(collector))
    (said,) = world.said
    assert said.partition(": ")[2].removesuffix("; metrics were not delivered") in expected


def test_a_grpc_collector_through_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(collector: GrpcCollector) -> bytes:
        asked = b""

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked = await reader.readuntil(b"\r\n\r\n")
            back, out = await asyncio.open_connection("127.0.0.1", urlsplit(collector.url).port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(copied(reader, out), copied(back, writer))

        async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.delenv("no_proxy", raising=False)
            await World("http://collector.example:4317", {"protocol": "grpc", "spans": 0}).run()
        return asked

    with collecting_grpc(collector := GrpcCollector()):
        asked = asyncio.run(main(collector))
    assert asked.startswith(b"CONNECT collector.example:4317 HTTP/1.1\r\n")
    assert len(collector.metrics) == 1


async def copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
    sink.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a key and a certificate for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=collector", "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip
    return directory


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("named", ["config", "environment", "nowhere"])
def test_the_certificate_of_a_collector(
    protocol: str, named: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named == "environment":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate / "ca.pem"))
    options = {"protocol": protocol, "spans": 0, **({"ca_file": "ca.pem"} if named == "config" else {})}
    both = {"key": certificate / "key.pem", "certificate": certificate / "ca.pem"}
    collector: Collector | GrpcCollector
    if protocol == "grpc":
        collector, serving = GrpcCollector(), cast(Any, collecting_grpc)
    else:
        collector, serving = Collector(), cast(Any, collecting)
    with serving(collector, **both):
        world = World(collector.url, options, base_dir=certificate)
        asyncio.run(world.run())
    assert collector.url.startswith("https://")
    got = collector.metrics if isinstance(collector, GrpcCollector) else collector.metrics()
    assert len(got) == (0 if named == "nowhere" else 1)
    (said,) = world.said or [""]
    trouble = f"otlp {collector.host}: TLS: certificate not accepted" if named == "nowhere" else ""
    assert said.startswith(trouble)
    assert bool(said) is bool(trouble)


# -- the environment -----------------------------------------------------------------------------------------


def test_the_environment_says_what_the_config_leaves_open(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = GrpcCollector()
    with collecting_grpc(collector):
        variables = {
            "ENDPOINT": collector.url, "HEADERS": "X-Key=k%20k,x-other=o", "PROTOCOL": "grpc", "TIMEOUT": "9000",
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-load")
        world = World(None, {"spans": 0, "headers": {"X-Other": "mine"}})
        asyncio.run(world.run())
    (metadata,) = collector.metadata
    assert (metadata["x-key"], metadata["x-other"]) == ("k k", "mine")
    assert attributes(collector.metrics[0].resource_metrics[0].resource)["service.name"] == "shop-load"
    assert world.said == []


@pytest.mark.parametrize(("name", "encoding"), [("COMPRESSION", "gzip"), ("TRACES_COMPRESSION", None)])
def test_the_compression_of_the_environment(name: str, encoding: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(Collector()) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", "gzip")
        asyncio.run(World(None, observations=[seen()]).run())
    assert [(path, headers.get("content-encoding")) for path, headers, _ in collector.got] == [
        (METRICS, encoding), (TRACES, "gzip"),
    ]  # fmt: skip
    assert len(collector.metrics()) == len(collector.traces()) == 1


def test_the_time_limit_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(Collector(silent=threading.Event())) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "70")
        world = World(collector.url)
        asyncio.run(world.run())
    assert world.said == [f"otlp {collector.host}: no answer within 70 ms; metrics were not delivered"]


def test_the_config_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(Collector()) as collector:
        variables = {"ENDPOINT": "http://127.0.0.1:9/x", "PROTOCOL": "grpc", "COMPRESSION": "gzip", "TIMEOUT": "1"}
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        options = {"protocol": "http/protobuf", "compression": "none", "timeout": "10s", "spans": 0}
        world = World(collector.url + "/base/", options)
        asyncio.run(world.run())
    ((path, headers, _),) = collector.got
    assert (path, headers.get("content-encoding")) == ("/base/v1/metrics", None)


def test_each_signal_may_have_a_destination_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = GrpcCollector()
    with collecting(Collector()) as collector, collecting_grpc(spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{collector.url}/as/it/is")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", spans.host)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true")
        world = World(None, observations=[seen()])
        asyncio.run(world.run())
    assert [path for path, *_ in collector.got] == ["/as/it/is"]
    assert [len(spans.traces), len(spans.metrics)] == [1, 0]
    assert world.said == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' is not supported; write grpc or http/"),
        ("METRICS_COMPRESSION", "zstd", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: 'zstd' is not supported; write"),
        ("TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT: '10s' is no time; write milliseconds, such as 10000"),
        ("ENDPOINT", "localhost:4318", "OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318/v1/metrics' has no scheme;"),
        ("HEADERS", "content-length=1", "OTEL_EXPORTER_OTLP_HEADERS: the header 'content-length' is set for you"),
        ("CERTIFICATE", "/nowhere.pem", "can't use /nowhere.pem: no such file or directory; name a PEM file"),
    ],
)
def test_variables_that_can_not_be_used(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with pytest.raises(TargetError) as raised:
        asyncio.run(World(None).run())
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("headers", [{"x-bin": "1"}, {"x-key": "ü"}, {"x!": "1"}])
def test_headers_that_grpc_can_not_send(headers: dict[str, str]) -> None:
    with pytest.raises(TargetError, match="can't be sent by gRPC; write it in ASCII"):
        asyncio.run(World("http://127.0.0.1:9", {"protocol": "grpc", "headers": headers}).run())


# -- without the extra ---------------------------------------------------------------------------------------


CONFIG = """
name: told
producers: {out: {kind: http, url: "http://127.0.0.1:9/"}}
events: {e: {type: t, source: /s}}
scenarios: {main: {producer: out, events: [e], load: [{rate: 1/s, for: 1s}]}}
reports: {traces: {kind: otlp, protocol: grpc}}
"""


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("validate", 0, ""),
        ("run", 3, "kind otlp needs OpenTelemetry's SDK; pip install 'evload[otel]'"),
    ],
)
def test_only_a_run_needs_the_extra(command: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    program = (
        "import sys\n"
        "for name in ('opentelemetry', 'grpc', 'google'): sys.modules[name] = None\n"
        f"sys.argv = ['evload', {command!r}, 'c.yaml']\n"
        "from evload.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip().removeprefix("evload: ")) == (code, said), done


# -- spans and portions --------------------------------------------------------------------------------------


def test_a_span_for_the_publish_and_one_for_the_wait() -> None:
    publish, wait = spans_of(seen())
    assert (publish.name, publish.kind, wait.name, wait.kind) == ("publish changed", 4, "visible", 1)
    assert [times(publish), times(wait)] == [[71 * MS, 80 * MS], [80 * MS, 580 * MS]]
    assert attributes(publish) == {
        "messaging.message.id": CorrelationIds.for_run(RUN).id_of(7), "evload.scenario": NASTY,
        "evload.event": "changed", "evload.state": "visible", "evload.key": "k",
    }  # fmt: skip
    assert attributes(wait) == {"evload.state": "visible"}
    assert status(publish) == status(wait) == (0, "")
    assert [(event.time_unix_nano - BEGAN_NS, event.name) for event in wait.events] == [
        (500 * MS, "not there yet"), (550 * MS, "first seen"), (560 * MS, "missing for the last time"),
    ]  # fmt: skip


def test_what_goes_has_a_span_until_it_was_gone() -> None:
    gone = seen()
    gone.gone = 1
    _, wait = spans_of(gone)
    assert (wait.name, [event.name for event in wait.events]) == (
        "gone", ["still there", "gone first", "there for the last time"],
    )  # fmt: skip


def test_the_ids_are_those_that_the_event_carried() -> None:
    (*_, event) = sample_events(Encoding(mode="binary"), 8, SystemClock(), RUN)
    version, trace, parent, flags = dict(event.headers)["ce-traceparent"].split("-")
    publish, wait = spans_of(seen(event.seq))
    assert (version, flags) == ("00", "01")
    assert (publish.trace_id.hex(), publish.span_id.hex(), publish.parent_span_id) == (trace, parent, b"")
    assert (wait.trace_id.hex(), wait.parent_span_id.hex()) == (trace, parent)
    assert re.fullmatch(r"[0-9a-f]{16}", wait.span_id.hex())
    assert wait.span_id.hex() != parent


def test_a_wait_for_each_probe_and_replica() -> None:
    parts = (
        Part(0, None, State.VISIBLE, 100 * MS, 110 * MS, 100 * MS, 110 * MS),
        Part(0, "b", State.LOST, 14 * S, None, 14 * S, None),
        Part(1, None, State.UNOBSERVED, None, None, None, None),
    )
    _, *waits = spans_of(seen(state=State.LOST, settled_ns=15 * S, parts=parts))
    assert [span.name for span in waits] == ["visible table", "visible table b"]
    assert [times(span)[1] for span in waits] == [110 * MS, 15 * S]
    assert [status(span) for span in waits] == [(0, ""), (2, "lost")]
    assert len({span.span_id for span in waits}) == 2


@pytest.mark.parametrize(
    ("state", "changes", "message"),
    [
        (State.REJECTED, {"detail": "HTTP 422"}, "HTTP 422"),
        (State.UNSENT, {"sent_ns": None, "acked_ns": None}, "unsent"),
        (State.IN_DOUBT, {"acked_ns": None}, "in doubt"),
    ],
)
def test_a_publish_that_failed(state: State, changes: dict[str, Any], message: str) -> None:
    unseen: dict[str, Any] = dict.fromkeys(("first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns"))
    (publish,) = spans_of(seen(state=state, **unseen, **changes))
    assert status(publish) == (2, message)
    assert publish.end_time_unix_nano >= publish.start_time_unix_nano


def test_an_effect_before_the_ack_was_waited_for_since_the_sending() -> None:
    _, wait = spans_of(seen(acked_ns=900 * MS))
    assert times(wait) == [71 * MS, 580 * MS]


def test_times_are_exact_to_the_microsecond() -> None:
    assert unix_ns(datetime(2026, 1, 31, 12, 0, 1, 123_457, tzinfo=UTC)) == BEGAN_NS + 123_457_000


def test_batches_tear_no_event_apart() -> None:
    groups: list[list[Any]] = [[{"n": n}] * 3 for n in range(5)]
    batches = list(in_batches(groups, 4))
    assert [len(batch) for batch in batches] == [6, 6, 3]
    assert [item for batch in batches for item in batch] == [item for group in groups for item in group]


def test_portions_hold_all_points_and_no_more_than_they_may() -> None:
    found = [Measure(name, "", points=[({"n": str(n)}, n) for n in range(count)]) for name, count in
             (("a", 3), ("b", 0), ("c", 8))]  # fmt: skip
    portions = [[(one.name, len(one.points)) for one in portion] for portion in in_portions(found, 4)]
    assert portions == [[("a", 3), ("c", 1)], [("c", 4)], [("c", 3)]]
    values = [value for portion in in_portions(found, 4) for one in portion for _, value in one.points]
    assert values == [*range(3), *range(8)]
