"""OTLP as a collector gets it: metrics and spans by the proto's JSON mapping, and a collector that is no help."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector import Collector, collecting
from evload import __version__
from evload.clock import SystemClock
from evload.formats.otlp import in_batches, spans, unix_ns
from evload.model.correlation import CorrelationIds
from evload.model.report import EventSample
from evload.model.states import State
from evload.model.travel import Encoding, Observation, Part
from evload.sinks._shared.posting import Recipient
from evload.sinks.otlp.sink import OtlpSink
from evload.spi.sink import SinkSurroundings
from evload.testing import sample_events
from evload.units import NS_PER_S
from sink_reports import NASTY, finished, moment
from summaries import MS, S

RUN = "20260131-120000-4f1c"
BEGAN = datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
BEGAN_NS = 1_769_860_801 * S


class SetClock(SystemClock):
    """Shows what it is set to."""

    at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def wall(self, at_ns: int) -> datetime:
        return BEGAN + timedelta(microseconds=at_ns / 1000)


@dataclass
class World:
    """An open sink with what it says; `observations` is what the run has to show."""

    collector: Collector
    every_ns: int = 10 * S
    events: int = 1000
    timeout_ns: int = 10 * NS_PER_S
    observations: Sequence[Observation] = ()
    said: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    clock: SetClock = field(default_factory=SetClock)

    def sample(self, count: int) -> EventSample:
        self.asked.append(count)
        return sample_of(self.observations)

    def sink(self) -> OtlpSink:
        surroundings = SinkSurroundings(self.clock, RUN, Path(), self.said.append, self.sample)
        return OtlpSink(Recipient(self.collector.url, {"X-Key": "k"}, self.timeout_ns), surroundings, self.every_ns,
                        self.events)  # fmt: skip


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


def points(request: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], dict[str, Any]]:
    """The points of a metrics request by name and attributes, with the kind of their metric."""
    (resource,) = request["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    assert scope["scope"] == {"name": "evload", "version": __version__}
    found = {}
    for metric in scope["metrics"]:
        (kind,) = metric.keys() & {"gauge", "sum"}
        for point in metric[kind]["dataPoints"]:
            assert re.fullmatch(r"\d{19}", point["timeUnixNano"])
            about = metric["name"], frozenset(attributes(point).items())
            assert about not in found
            found[about] = point | {"kind": kind, "unit": metric["unit"]}
            if kind == "sum":
                assert metric["sum"]["aggregationTemporality"] == 2
                assert metric["sum"]["isMonotonic"] is True
    return found


def attributes(part: Any) -> dict[str, str]:
    return {pair["key"]: pair["value"]["stringValue"] for pair in part["attributes"]}


def point(found: Any, name: str, **labels: str) -> Any:
    return found[name, frozenset(labels.items())]


def spans_of(*observations: Observation) -> list[Any]:
    return [span for event in spans(sample_of(observations), RUN) for span in event]


def test_the_metrics_of_a_finished_run() -> None:
    with collecting(Collector()) as collector:
        world = World(collector, events=0)
        sink = world.sink()
        world.clock.at_ns = 61 * S
        sink.finish(finished())
    ((path, headers, _),) = collector.got
    assert (path, headers["content-type"], headers["x-key"]) == ("/v1/metrics", "application/json", "k")
    (request,) = collector.bodies("/v1/metrics")
    assert attributes(request["resourceMetrics"][0]["resource"]) == {
        "service.name": "evload", "service.version": __version__, "service.instance.id": RUN,
    }  # fmt: skip
    found = points(request)
    lost = point(found, "evload.events", state="lost", scenario=NASTY)
    assert lost["asInt"] == "1"
    assert (lost["startTimeUnixNano"], lost["timeUnixNano"]) == (str(BEGAN_NS), str(BEGAN_NS + 61 * S))
    bound = {"quantile": "0.999", "scenario": NASTY, "slice": "replica=b"}
    low, high = (point(found, "evload.consistency", **bound, bound=end) for end in ("lower", "upper"))
    assert low["asDouble"] == pytest.approx(6, rel=1e-3)
    assert (high["asDouble"], high["kind"], high["unit"]) == ("Infinity", "gauge", "s")
    assert world.said == []
    assert world.asked == []


def test_metrics_while_the_run_goes_on() -> None:
    with collecting(Collector()) as collector:
        world = World(collector, events=0)
        sink = world.sink()
        for at_ns in (S, 9 * S, 10 * S, 15 * S, 20 * S, 21 * S):
            world.clock.at_ns = at_ns
            sink.progress(moment(at_ns / S))
            if sink._under_way is not None:
                sink._under_way.result(10)
        sink.finish(finished())
    *during, last = map(points, collector.bodies("/v1/metrics"))
    assert [point(found, "evload.elapsed")["asDouble"] for found in during] == [10, 20]
    assert point(during[0], "evload.events", state="visible")["asInt"] == "460"
    assert ("evload.elapsed", frozenset()) not in last


def test_a_slow_collector_does_not_hold_up_the_run() -> None:
    with collecting(Collector(silent=threading.Event())) as collector:
        world = World(collector, events=0, timeout_ns=50 * MS)
        sink = world.sink()
        for at_ns in range(10 * S, 100 * S, 10 * S):
            world.clock.at_ns = at_ns
            sink.progress(moment())
        sink.finish(finished())
        assert len(collector.got) <= 3
    assert world.said == [f"otlp {sink_host(collector)}: no answer within 50 ms; metrics were not delivered"]


def sink_host(collector: Collector) -> str:
    return collector.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (503, b"busy", "HTTP 503: busy"),
        (200, b'{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}', "3 rejected: too old"),
    ],
)
def test_a_collector_that_refuses_is_told_of_once_while_the_run_goes_on(
    status: int, answer: bytes, expected: str
) -> None:
    with collecting(Collector(status=status, answer=answer)) as collector:
        world = World(collector, events=0)
        sink = world.sink()
        for at_ns in (10 * S, 20 * S, 30 * S):
            world.clock.at_ns = at_ns
            sink.progress(moment())
            assert sink._under_way is not None
            sink._under_way.result(10)
        sink.progress(moment())
        complaint = f"otlp {sink_host(collector)}: {expected}; metrics were not delivered"
        assert world.said == [complaint]
        sink.finish(finished())
    assert world.said == [complaint, complaint]


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"partialSuccess":{}}', b'{"partialSuccess":null}'])
def test_answers_that_are_as_good_as_yes(answer: bytes) -> None:
    with collecting(Collector(answer=answer)) as collector:
        world = World(collector, observations=[seen()])
        world.sink().finish(finished())
    assert world.said == []
    assert [path for path, *_ in collector.got] == ["/v1/metrics", "/v1/traces"]


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    world = World(Collector(url=f"http://{address}"), observations=[seen()])
    world.sink().finish(finished())
    assert world.said == [f"otlp {address}: connection refused; metrics were not delivered"]
    assert world.asked == []


def test_spans_are_sent_in_portions() -> None:
    with collecting(Collector()) as collector:
        world = World(collector, events=1200, observations=[seen(seq) for seq in range(1200)])
        world.sink().finish(finished())
    sent = [request["resourceSpans"][0]["scopeSpans"][0]["spans"] for request in collector.bodies("/v1/traces")]
    assert [len(batch) for batch in sent] == [1000, 1000, 400]
    ids = [(span["traceId"], span["spanId"]) for batch in sent for span in batch]
    assert len(set(ids)) == 2400
    assert world.asked == [1200]


def test_a_span_for_the_publish_and_one_for_the_wait() -> None:
    publish, wait = spans_of(seen())
    assert (publish["name"], publish["kind"], wait["name"], wait["kind"]) == ("publish changed", 4, "visible", 1)
    times = [[int(span[f"{end}TimeUnixNano"]) - BEGAN_NS for end in ("start", "end")] for span in (publish, wait)]
    assert times == [[71 * MS, 80 * MS], [80 * MS, 580 * MS]]
    assert attributes(publish) == {
        "messaging.message.id": CorrelationIds.for_run(RUN).id_of(7), "evload.scenario": NASTY,
        "evload.event": "changed", "evload.state": "visible", "evload.key": "k",
    }  # fmt: skip
    assert "status" not in publish
    assert "status" not in wait
    assert [(int(e["timeUnixNano"]) - BEGAN_NS, e["name"]) for e in wait["events"]] == [
        (500 * MS, "not there yet"), (550 * MS, "first seen"), (560 * MS, "missing for the last time"),
    ]  # fmt: skip


def test_the_ids_are_those_that_the_event_carried() -> None:
    (*_, event) = sample_events(Encoding(mode="binary"), 8, SystemClock(), RUN)
    version, trace, parent, flags = dict(event.headers)["ce-traceparent"].split("-")
    publish, wait = spans_of(seen(event.seq))
    assert (version, flags) == ("00", "01")
    assert (publish["traceId"], publish["spanId"]) == (trace, parent)
    assert (wait["traceId"], wait["parentSpanId"]) == (trace, parent)
    assert re.fullmatch(r"[0-9a-f]{16}", wait["spanId"])
    assert wait["spanId"] != parent


def test_a_wait_for_each_probe_and_replica() -> None:
    parts = (
        Part(0, None, State.VISIBLE, 100 * MS, 110 * MS, 100 * MS, 110 * MS),
        Part(0, "b", State.LOST, 14 * S, None, 14 * S, None),
        Part(1, None, State.UNOBSERVED, None, None, None, None),
    )
    _, *waits = spans_of(seen(state=State.LOST, settled_ns=15 * S, parts=parts))
    assert [span["name"] for span in waits] == ["visible table", "visible table b"]
    assert [int(span["endTimeUnixNano"]) - BEGAN_NS for span in waits] == [110 * MS, 15 * S]
    assert "status" not in waits[0]
    assert waits[1]["status"] == {"code": 2, "message": "lost"}
    assert len({span["spanId"] for span in waits}) == 2


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
    assert publish["status"] == {"code": 2, "message": message}
    assert int(publish["endTimeUnixNano"]) >= int(publish["startTimeUnixNano"])


def test_an_effect_before_the_ack_was_waited_for_since_the_sending() -> None:
    _, wait = spans_of(seen(acked_ns=900 * MS))
    assert [int(wait[f"{end}TimeUnixNano"]) - BEGAN_NS for end in ("start", "end")] == [71 * MS, 580 * MS]


def test_times_are_exact_to_the_microsecond() -> None:
    assert unix_ns(datetime(2026, 1, 31, 12, 0, 1, 123_457, tzinfo=UTC)) == BEGAN_NS + 123_457_000


def test_batches_tear_no_event_apart() -> None:
    groups = [[{"n": n}] * 3 for n in range(5)]
    batches = list(in_batches(groups, 4))
    assert [len(batch) for batch in batches] == [6, 6, 3]
    assert [item for batch in batches for item in batch] == [item for group in groups for item in group]
