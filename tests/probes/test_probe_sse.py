"""Server-sent events: the parser against the standard's rules, the probe against streams that break."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import Target
from evload.probes.sse import SseProbeConfig
from evload.probes.sse.event_stream import EventStream, ServerEvent, TooLong
from evload.spi.context import Surroundings
from evload.spi.probe import PushProbe
from evload.testing import check_probe
from tests.rigs.told import Told

IDS: Final = CorrelationIds.for_run("r-1")
A, B, C = (Target(seq, IDS.id_of(seq)) for seq in (1, 2, 3))
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED

# --- the parser ---------------------------------------------------------------------------------------------


def parsed(*chunks: bytes, **settings: Any) -> list[ServerEvent]:
    stream = EventStream(**settings)
    return [event for chunk in chunks for event in stream.feed(chunk)]


def by_the_standard(data: bytes) -> list[tuple[str, str, str]]:
    """Name, data and last event id of each event, line by line as section 9.2.6 tells it, from the whole text."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    found, name, buffer, last_id, id_buffer = [], "", "", "", ""
    for line in lines:
        if line == "":
            last_id = id_buffer
            if buffer:
                found.append((name or "message", buffer.removesuffix("\n"), last_id))
            name = buffer = ""
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        if value.startswith(" "):
            value = value[1:]
        if field == "event":
            name = value
        elif field == "data":
            buffer += value + "\n"
        elif field == "id" and "\0" not in value:
            id_buffer = value
    return found


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


TEXT: Final = st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])
LINES: Final = st.sampled_from(
    [b"data", b"data:", b"data: x", b"data:  y", b"data:a:b", b"data: \xc3\xa9\xff\xc3", b"event: done", b"event:",
     b"", b"id: 7", b"id:", b"id: a\0b", b"id", b": hello", b":", b"retry: 10", b"retry: x",
     b"Data: no", b" data: no", b"\xef\xbb\xbfdata: bom"]
)  # fmt: skip
STREAMS: Final = st.lists(
    st.tuples(st.sampled_from([b"", b"data:  x", b"event: done"]) | LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])),
    max_size=14,
).map(lambda lines: b"".join(part for line in lines for part in line))


@given(st.sampled_from([b"", b"\xef\xbb\xbf"]), STREAMS, LINES, st.lists(st.integers(0, 400), max_size=12))
def test_it_reads_what_the_standard_says_however_the_bytes_are_cut(
    bom: bytes, lines: bytes, rest: bytes, cuts: list[int]
) -> None:
    data = bom + lines + rest
    stream = EventStream()
    events, ids = [], []
    for chunk in cut(data, cuts):
        for event in stream.feed(chunk):
            events.append(event)
            ids.append(event.id)
    wanted = by_the_standard(data)
    assert [(event.name, event.data) for event in events] == [(name, text) for name, text, _ in wanted]
    last = ""
    for own, (_, _, wanted_id) in zip(ids, wanted, strict=True):
        last = wanted_id if own is None else own
        assert last == wanted_id


@given(
    st.lists(
        st.tuples(
            st.text(TEXT, max_size=5).filter(lambda name: name != ""),
            st.lists(st.text(TEXT, max_size=6), min_size=1, max_size=3),
            st.text(TEXT, max_size=4).map(lambda text: text.replace("\0", "")),
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r", "\r\n"]),
)
def test_what_is_written_is_read(events: list[tuple[str, list[str], str]], end: str) -> None:
    text = "".join(
        "".join(f"{line}{end}" for line in (f"event: {name}", f"id: {own}", *(f"data: {part}" for part in data), ""))
        for name, data, own in events
    )
    stream = EventStream()
    assert stream.feed(text.encode()) == [ServerEvent(name, "\n".join(data), own) for name, data, own in events]
    assert stream.last_event_id == (events[-1][2] if events else "")


def test_a_line_end_that_is_cut_in_two_is_one() -> None:
    assert parsed(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [ServerEvent("message", "a\nb", None)]
    assert parsed(b"data: a\r", b"", b"\n", b"\n") == [ServerEvent("message", "a", None)]
    assert parsed(b"data: a\r", b"\r") == [ServerEvent("message", "a", None)]


def test_an_id_counts_once_its_event_is_whole_and_outlives_the_connection() -> None:
    stream = EventStream("5")
    stream.feed(b"data: x\n\nid: 6\ndata: y\n")
    assert stream.last_event_id == "5"
    assert stream.feed(b"\n") == [ServerEvent("message", "y", "6")]
    assert stream.last_event_id == "6"
    assert stream.feed(b"id: 7\n\nid\ndata: z\n\n") == [ServerEvent("message", "z", "")]
    assert stream.last_event_id == ""


@pytest.mark.parametrize(
    ("line", "retry_ms"),
    [
        (b"retry: 250", 250), (b"retry:0", 0), (b"retry: 2.5", None), (b"retry: -1", None), (b"retry:", None),
        (b"retry: " + b"9" * 5000, 10**9), ("retry: ٣".encode(), None),
    ],
)  # fmt: skip
def test_retry(line: bytes, retry_ms: int | None) -> None:
    stream = EventStream()
    stream.feed(line + b"\n")
    assert stream.retry_ms == retry_ms


@pytest.mark.parametrize("end", [b"", b"\n", b"\ndata: x"])
def test_an_event_without_an_end_is_refused(end: bytes) -> None:
    with pytest.raises(TooLong, match="an event is longer than 1000 bytes"):
        parsed(*[b"data:" + end] * 1001, longest=1000)


def test_events_that_are_over_take_no_room() -> None:
    for chunks in ([b"data: x\n\n"], [b"data", b": x", b"\n\n"]):
        assert parsed(*chunks * 200, longest=100) == [ServerEvent("message", "x", None)] * 200


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert parsed(b"\xef", b"\xbb\xbfdata: \xef\xbb\xbf\n\n") == [ServerEvent("message", "\ufeff", None)]


def test_comments_may_go_on_for_ever() -> None:
    assert parsed(*[b":\n"] * 2000, b"data: x\n\n", longest=1000) == [ServerEvent("message", "x", None)]


# --- the probe ----------------------------------------------------------------------------------------------


class Stream:
    """A server with one stream that several may listen to, one after another."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.replies: list[web.Response] = []
        """What is answered instead of the stream, for as long as there is any."""
        self.greeting = b": hello\n\n"
        self.content_type = "text/event-stream"
        self.port = 0
        self._runner: web.ServerRunner | None = None
        self._open: web.StreamResponse | None = None
        self._request: web.BaseRequest | None = None
        self._connected = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events?run=1"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if self.replies:
            return self.replies.pop(0)
        response = web.StreamResponse(headers={"Content-Type": self.content_type, "Cache-Control": "no-store"})
        await response.prepare(request)
        self._open, self._request = response, request
        self._closing = closing = asyncio.Event()
        await response.write(self.greeting)
        self._connected.set()
        await closing.wait()
        return response

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.end()
        assert self._runner is not None
        await self._runner.cleanup()

    async def connected(self, times: int) -> None:
        """Wait until so many requests have come, and the last of them listens."""
        while len(self.requests) < times or not self._connected.is_set():
            await asyncio.sleep(0.005)

    async def send(self, *lines: str) -> None:
        """Say something, in lines of its own."""
        await self._connected.wait()
        assert self._open is not None
        await self._open.write("".join(f"{line}\n" for line in lines).encode())

    async def show(self, *targets: Target, first_id: int | None = None) -> None:
        """A message about each of them, with ids from `first_id` on."""
        for number, target in enumerate(targets):
            own = [] if first_id is None else [f"id: {first_id + number}"]
            await self.send(*own, f"data: {json.dumps({'correlationid': target.correlation_id})}", "")

    def end(self) -> None:
        """End the connection in good order."""
        self._connected.clear()
        self._closing.set()

    def cut(self) -> None:
        """Cut it off."""
        assert self._request is not None
        assert self._request.transport is not None
        self._connected.clear()
        self._request.transport.abort()
        self._closing.set()


What = Callable[[PushProbe, Told, Stream], Awaitable[None]]


def config_of(url: str, **settings: Any) -> SseProbeConfig:
    return SseProbeConfig.model_validate({"kind": "sse", "url": url, **settings})


@asynccontextmanager
async def opened(config: SseProbeConfig) -> AsyncIterator[PushProbe]:
    async with config.open(Surroundings(SystemClock(), "r-1", Path())) as probe:
        assert isinstance(probe, PushProbe)
        yield probe


@asynccontextmanager
async def streaming() -> AsyncIterator[Stream]:
    stream = Stream()
    await stream.start()
    try:
        yield stream
    finally:
        await stream.stop()


async def _hear(what: What, prepare: Callable[[Stream], None] | None, settings: dict[str, Any]) -> Told:
    told = Told()
    async with streaming() as stream:
        if prepare is not None:
            prepare(stream)
        async with opened(config_of(stream.url, **settings)) as probe:
            listening = asyncio.create_task(probe.listen(told))
            try:
                async with asyncio.timeout(20):
                    await what(probe, told, stream)
            finally:
                listening.cancel()
                await asyncio.wait([listening])
            assert listening.cancelled()
    return told


def hear(what: What, prepare: Callable[[Stream], None] | None = None, **settings: Any) -> Told:
    return asyncio.run(_hear(what, prepare, settings))


async def looked(probe: PushProbe, *targets: Target) -> tuple[list[Seen], str]:
    result = await probe.read(targets)
    return [read.seen for read in result.reads], result.error


def test_each_message_of_this_run_is_an_exact_effect() -> None:
    moments: list[int] = []

    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        moments.append(time.perf_counter_ns())
        await stream.show(A)
        await stream.send("data: x", "", f"data: {B.correlation_id}", "", 'data: {"id": 5}', "", "data: {broken", "")
        await stream.send('data: {"detail":', f'data: {{"correlation_id": "{A.correlation_id.upper()}"}}}}', "")
        await told.until(3)
        moments.append(time.perf_counter_ns())
        assert await looked(probe, C) == ([ABSENT], "")

    told = hear(what)
    assert [read.seq for read in told.reads] == [1, 2, 1]
    for read in told.reads:
        assert (read.seen, read.exact, read.effects, read.position) == (PRESENT, True, None, None)
        assert moments[0] < read.start_ns == read.end_ns < moments[1]
    assert told.failures == []
    assert (told.strange, told.example) == (3, "x")


def test_it_works_on_the_loop_that_runs_use() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A)
        await told.until(1)
        stream.cut()
        await told.until(1, failures=1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(_hear(what, None, {}))
    assert [read.seq for read in told.reads] == [1]


def test_what_a_message_says() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        for name, number in (("done", 1), ("begun", 2), ("done", "many"), ("done", None)):
            data = {"row": [A.correlation_id], "n": number, "at": "2026-01-01T00:00:00Z", "on": "r-2", "ok": True}
            await stream.send(f"event: {name}", f"data: {json.dumps(data)}", "")
        await stream.send("event: done", f'data: {{"row": ["{B.correlation_id}"], "ok": false}}', "")
        await told.until(3)

    told = hear(
        what, event="done", match="row[0]", visible="ok", position="n", version="n",
        consumed_at="at", processed_at="at",
    )  # fmt: skip
    first, second, third = told.reads
    at = 1_767_225_600_000_000_000
    assert first[4:11] == (None, None, 1, at, at, True, 1)
    assert second[4:11] == (None, None, None, None, None, True, None)
    assert third[4:11] == (None, None, None, at, at, True, None)
    assert [failure.error for failure in told.failures] == ["'n' gives text, not a number"]


def test_a_message_that_can_not_be_judged_makes_silence_worth_nothing() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.send(f'data: {{"id": "{A.correlation_id}"}}', "")
        await told.until(failures=1)
        seen, error = await looked(probe, A)
        assert seen == [FAILED]
        assert "invalid type for value: None" in error

    assert hear(what, visible="length(rows)").reads == []


def test_the_request_is_as_it_should_be() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        headers = stream.requests[0].headers
        assert headers["accept"] == "text/event-stream"
        assert headers["accept-encoding"] == "identity"
        assert headers["x-team"] == "a"
        assert "last-event-id" not in headers
        assert stream.requests[0].rel_url.query["run"] == "1"

    hear(what, headers={"X-Team": "a"})


# --- cuts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_order", [True, False])
def test_a_cut_without_a_replay_is_never_taken_for_absence(in_order: bool) -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A, first_id=1)
        await told.until(1)
        (stream.end if in_order else stream.cut)()
        await told.until(1, failures=1)
        seen, error = await looked(probe, B)
        assert (seen, error.partition(":")[0]) == ([FAILED], "the listener is cut off")
        await stream.connected(2)
        assert stream.requests[1].headers["last-event-id"] == "1"
        stream.cut()
        await stream.connected(3)
        assert stream.requests[2].headers["last-event-id"] == "1"
        await stream.show(C, first_id=2)
        await told.until(2)
        seen, error = await looked(probe, B)
        assert seen == [FAILED]
        assert re.fullmatch(r"the listener was cut off for [\d.]+ m?s: connection lost", error)

    told = hear(what)
    assert [(read.seq, read.exact) for read in told.reads] == [(1, True), (3, True)]
    reason = "the server closed the stream" if in_order else "connection lost"
    assert told.failures[0].error == f"the listener is cut off: {reason}"


def test_what_is_replayed_may_have_come_since_the_cut() -> None:
    moments: list[int] = []

    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A, first_id=1)
        await told.until(1)
        stream.cut()
        moments.append(time.perf_counter_ns())
        await stream.connected(2)
        # The first is the one that the server was told it may leave out, the last has come before the cut too.
        await stream.show(A, B, A, first_id=1)
        await told.until(3)
        seen, error = await looked(probe, C)
        assert seen == [FAILED]
        assert error == "the listener was cut off, and the server may still replay: connection lost"

    told = hear(what, replays="1h")
    first, second, third = told.reads
    assert (first.seq, first.exact, first.effects) == (1, True, None)
    assert (second.seq, second.exact, second.effects) == (2, False, 1)
    assert first.end_ns <= second.start_ns < moments[0] < second.end_ns
    assert (third.seq, third.exact, third.effects, third.start_ns) == (1, False, 2, second.start_ns)


def test_a_second_cut_while_replaying_hides_as_much_as_the_first() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A, first_id=1)
        await told.until(1)
        for connection in (2, 3):
            stream.cut()
            await stream.connected(connection)
            await stream.show(B, first_id=connection)
            await told.until(connection)

    told = hear(what, replays="1h")
    assert told.reads[1].start_ns == told.reads[2].start_ns
    assert [read.effects for read in told.reads] == [None, 1, 2]


def test_after_the_replay_moments_are_exact_and_silence_counts_again() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A, first_id=1)
        await told.until(1)
        stream.cut()
        await stream.connected(2)
        while (await looked(probe, B))[0] == [FAILED]:
            await asyncio.sleep(0.01)
        assert await looked(probe, B) == ([ABSENT], "")
        await stream.show(B, first_id=2)
        await told.until(2)

    told = hear(what, replays="50ms")
    assert told.reads[1].exact
    assert told.reads[1].start_ns == told.reads[1].end_ns


def test_without_an_id_there_is_nothing_to_replay_from() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A)
        await told.until(1)
        stream.cut()
        await stream.connected(2)
        await stream.show(B)
        await told.until(2)
        seen, error = await looked(probe, C)
        assert (seen, error.startswith("the listener was cut off for ")) == ([FAILED], True)

    assert [read.exact for read in hear(what, replays="1ms").reads] == [True, True]


def test_a_server_that_dies_and_returns() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A, first_id=1)
        await told.until(1)
        await stream.stop()
        await told.until(1, failures=3)
        seen, error = await looked(probe, B)
        assert seen == [FAILED]
        assert error.startswith("the listener is cut off: ")
        assert error.endswith(" (connection refused)")
        await stream.start()
        await stream.connected(2)
        await stream.show(B, first_id=2)
        await told.until(2)

    told = hear(what)
    assert [read.seq for read in told.reads] == [1, 2]
    assert told.failures[-1].error == "connection refused"


def test_the_server_says_when_to_come_again() -> None:
    def ask(stream: Stream) -> None:
        stream.greeting = b"retry: 300\n\n"

    moments: list[int] = []

    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A)
        await told.until(1)
        moments.append(time.perf_counter_ns())
        stream.cut()
        await stream.connected(2)
        moments.append(time.perf_counter_ns())

    hear(what, ask)
    assert moments[1] - moments[0] > 300_000_000


def test_a_return_that_is_refused_is_tried_again() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.connected(1)
        stream.replies = [
            web.Response(status=500),
            web.Response(status=503, headers={"Retry-After": "1"}),
            web.Response(text="<html>"),
        ]
        stream.cut()
        await stream.connected(5)
        await stream.show(A)
        await told.until(1)

    told = hear(what)
    assert [(failure.error, failure.throttled, failure.retry_ns) for failure in told.failures[1:]] == [
        ("HTTP 500", False, 0),
        ("HTTP 503", True, 1_000_000_000),
        ("HTTP 200 with text/plain, not text/event-stream", False, 0),
    ]


def test_http_204_ends_it() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.connected(1)
        stream.replies = [web.Response(status=204)]
        stream.cut()
        await told.until(failures=2)
        error = "the server says that there is no more (HTTP 204)"
        assert told.failures[1].error == error
        assert await looked(probe, A) == ([FAILED], f"the listener is cut off: connection lost ({error})")

    hear(what)


def test_silence_beyond_the_heartbeat_is_a_cut() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.connected(2)

    told = hear(what, heartbeat="100ms")
    assert told.failures[0].error == "the listener is cut off: no sign of life for 100 ms"


def test_with_a_heartbeat_absence_needs_a_sign_of_life() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.show(A)
        await told.until(1)
        asked = asyncio.create_task(looked(probe, B))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done()
        await stream.send(":")
        assert await asked == ([ABSENT], "")
        asked = asyncio.create_task(looked(probe, B))
        await asyncio.sleep(0)
        stream.cut()
        seen, error = await asked
        assert (seen, error) == ([FAILED], "the listener is cut off: connection lost")

    hear(what, heartbeat="1h")


def test_garbage_is_passed_over_and_a_message_without_end_is_a_cut() -> None:
    async def what(probe: PushProbe, told: Told, stream: Stream) -> None:
        await stream.send("\0\x1b[2J", "<html>", "data: \ufffd", "", "id: 9\0", "")
        await stream.show(A)
        await told.until(1)
        await stream.send("data: " + "x" * (9 << 20), "")
        await told.until(1, failures=1)

    assert hear(what).failures[0].error == "the listener is cut off: an event is longer than 8388608 bytes"


# --- the beginning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (web.Response(status=404), "HTTP 404; correct url"),
        (web.Response(status=204), "the server says that there is no more (HTTP 204); correct url"),
        (web.Response(text="{}", content_type="application/json"), "HTTP 200 with application/json, not text/event"),
        (web.Response(status=302, headers={"Location": "/login"}), "HTTP 302: a redirect to '/login', which is not"),
    ],
)
def test_what_is_no_stream_is_one_line(reply: web.Response, told: str) -> None:
    async def run() -> None:
        async with streaming() as stream:
            stream.replies = [reply]
            async with opened(config_of(stream.url)):
                pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    assert str(caught.value).startswith("can't listen to http://127.0.0.1:")
    assert f"/events: {told}" in str(caught.value)


def test_a_server_that_is_not_there_or_does_not_answer() -> None:
    async def run(url: str) -> None:
        async with opened(config_of(url, timeout="100ms")):
            pass

    async def silent() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with server:
            await run(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    with pytest.raises(TargetError, match=r"can't connect to http://127.0.0.1:1/: connection refused; start"):
        asyncio.run(run("http://127.0.0.1:1/"))
    with pytest.raises(TargetError, match="no answer within 100 ms"):
        asyncio.run(silent())


def test_it_does_what_the_engine_relies_on() -> None:
    async def run() -> None:
        async with streaming() as stream:
            reads = await check_probe(config_of(stream.url, bulk=2), SystemClock(), [A, B, C])
            assert {read.seen for read in reads.values()} == {ABSENT}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://h/{id}"}, "unknown placeholder {id} in url; write %7B and %7D for braces"),
        ({"url": "h/x"}, "has no scheme"),
        ({"match": "a ="}, "is not JMESPath"),
        ({"position": "lenght(a)"}, "did you mean 'length'?"),
        ({"replays": "0s"}, "greater than 0"),
        ({"replays": True}, "is not a duration"),
        ({"heartbeat": "1us"}, "greater than or equal to 1000000"),
        ({"event": ""}, "at least 1 character"),
        ({"effects": "n"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SseProbeConfig.model_validate({"kind": "sse", "url": "http://h/"} | settings)
    assert message in str(caught.value)
