"""The feed probe against feeds that behave and feeds that don't."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from evload.clients.web import Answer
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.probes._shared.fact_expressions import BadAnswer
from evload.probes._shared.sightings import Sightings
from evload.probes.http_feed import HttpFeedConfig
from evload.probes.http_feed.pages import Page, PageReader
from evload.spi.context import Surroundings
from evload.spi.probe import PushProbe
from evload.testing import check_probe
from tests.rigs.told import Told
from tests.servers.httpserver import Request, Server, Step, answer, json_answer, serving

IDS: Final = CorrelationIds.for_run("r-1")
A, B, C = (Target(seq, IDS.id_of(seq)) for seq in (1, 2, 3))
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED
SETTINGS: Final = {"kind": "http-feed", "items": "body.items", "next": "body.next", "every": "10ms"}


class Feed:
    """A log of entries, of which each request lists at most three from its cursor on."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.cursors: list[str] = []
        self.trouble: list[Sequence[bytes | float | Step]] = []
        """What is answered instead, for as long as there is any."""
        self.repeat: Sequence[bytes | float | Step] = ()
        """The same, for good."""
        self.asked = asyncio.Event()

    def __call__(self, request: Request) -> Sequence[bytes | float | Step]:
        self.asked.set()
        if self.trouble:
            return self.trouble.pop(0)
        if self.repeat:
            return self.repeat
        (cursor,) = parse_qs(urlsplit(request.target).query, keep_blank_values=True)["since"]
        self.cursors.append(cursor)
        first = int(cursor or "0")
        page = self.log[first : first + 3]
        return [json_answer(json.dumps({"items": page, "next": str(first + len(page))}).encode())]

    def add(self, *targets: Target, **fields: Any) -> int:
        """Entries of these events; when that was done."""
        self.log += [{"id": target.correlation_id, **fields} for target in targets]
        return time.perf_counter_ns()

    async def looks(self, times: int = 1) -> None:
        """Wait for so many requests from now on."""
        for _ in range(times):
            self.asked.clear()
            await self.asked.wait()


def config_of(address: str, **settings: Any) -> HttpFeedConfig:
    return HttpFeedConfig.model_validate(SETTINGS | {"url": address + "/changes?since={cursor}&n=3"} | settings)


@asynccontextmanager
async def opened(config: HttpFeedConfig) -> AsyncIterator[PushProbe]:
    clock = SystemClock()
    try:
        async with config.open(Surroundings(clock, "r-1", Path())) as probe:
            assert isinstance(probe, PushProbe)
            yield probe
    finally:
        clock.close()


def follow(feed: Feed, what: Callable[[PushProbe, Told, Server], Awaitable[None]], **settings: Any) -> Told:
    async def run() -> Told:
        told = Told()
        async with serving(feed) as server, opened(config_of(server.url, **settings)) as probe:
            listening = asyncio.create_task(probe.listen(told))
            try:
                async with asyncio.timeout(20):
                    await what(probe, told, server)
            finally:
                listening.cancel()
                await asyncio.wait([listening])
            assert listening.cancelled()
        return told

    return asyncio.run(run())


def seen(result: ReadResult) -> list[Seen]:
    return [read.seen for read in result.reads]


# --- what is new --------------------------------------------------------------------------------------------


def test_each_event_is_told_once_with_the_bracket_in_which_it_came() -> None:
    feed = Feed()
    feed.log = [{"id": "of another run"}] * 7
    moments: dict[int, tuple[int, int]] = {}

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        assert feed.cursors == ["", "3", "6", "7"]
        for target in (A, B, C):
            before = time.perf_counter_ns()
            moments[target.seq] = (before, feed.add(target))
            await feed.looks(3)
        feed.add(A)
        await feed.looks(3)

    told = follow(feed, what)
    assert [read.seq for read in told.reads] == [1, 2, 3]
    for read in told.reads:
        before, after = moments[read.seq]
        assert read.start_ns < after
        assert before < read.end_ns
        assert (read.seen, read.exact, read.effects) == (PRESENT, False, None)
    ends = [(read.start_ns, read.end_ns) for read in told.reads]
    assert ends[0][1] < ends[1][0] < ends[1][1] < ends[2][0]
    assert told.failures == []


def test_what_comes_while_a_request_is_answered_lies_in_its_bracket() -> None:
    feed = Feed()
    moments: list[int] = []

    def late(request: Request) -> Sequence[bytes | float | Step]:
        steps = feed(request)
        if len(feed.cursors) == 3:
            moments.append(feed.add(A))
        return [0.02, *steps]

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        server.script = late
        await told.until(1)

    (read,) = follow(feed, what).reads
    assert read.start_ns < moments[0] < read.end_ns


def test_all_pages_of_one_look_have_the_bracket_of_the_look_before() -> None:
    feed = Feed()
    targets = [Target(seq, IDS.id_of(seq)) for seq in range(8)]

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(*targets)
        await told.until(8)

    told = follow(feed, what)
    assert [read.seq for read in told.reads] == list(range(8))
    assert len({read.start_ns for read in told.reads}) == 1
    assert len({read.end_ns for read in told.reads}) == 3


def test_what_an_entry_says() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(A, on="r-2", at=7, writes=3, begun="2026-01-01T00:00:00Z", done=1767225601, n=2)
        feed.add(B, hidden=True, on="r-2")
        await told.until(1)
        feed.add(B)
        await told.until(2)

    told = follow(
        feed, what, position="item.at", consumed_at="item.begun",
        processed_at="item.done", effects="item.n", visible="!(item.hidden)",
    )  # fmt: skip
    assert told.reads[0][4:11] == (2, None, 7, 1_767_225_600_000_000_000, 1_767_225_601_000_000_000, False, None)
    assert (told.reads[1].seq, told.reads[1].effects) == (2, None)


def test_an_event_that_is_listed_again_has_as_many_effects_as_it_says() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        for effects in (1, 1, 3, 2):
            feed.add(A, n=effects)
            await feed.looks(3)
        feed.log += [{"id": B.correlation_id, "n": effects} for effects in (1, 3, 2)]
        await told.until(3)

    told = follow(feed, what, effects="item.n")
    assert [(read.seq, read.effects) for read in told.reads] == [(1, 1), (1, 3), (2, 3)]


def test_a_constant_makes_each_entry_an_effect() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(A, B, A)
        await told.until(2)
        feed.add(A)
        await told.until(3)
        feed.add(C, C, C, C)
        await told.until(5)

    told = follow(feed, what, effects="`1`")
    assert [(read.seq, read.effects) for read in told.reads] == [(1, 2), (2, 1), (1, 3), (3, 3), (3, 4)]


def test_a_page_that_is_read_again_is_no_further_effect() -> None:
    """A feed without a next cursor on its last page: the same page grows until it is full."""
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(A)
        await feed.looks(4)
        feed.add(A)
        await feed.looks(4)
        feed.add(A, B)
        await told.until(4)
        assert feed.cursors[-1] == "3"

    told = follow(feed, what, effects="`1`", next="length(body.items) == `3` && body.next || `null`")
    assert [(read.seq, read.effects) for read in told.reads] == [(1, 1), (1, 2), (1, 3), (2, 1)]


def test_a_feed_that_never_seems_to_end_says_so_and_tells_what_it_has() -> None:
    feed = Feed()
    targets = [Target(seq, IDS.id_of(seq)) for seq in range(7)]

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(*targets)
        await told.until(7)

    told = follow(feed, what, max_pages=2)
    assert {failure.error for failure in told.failures} == {"the feed did not end within 2 pages"}
    # The pages of the second look are still bracketed from the last time that the end was reached.
    assert len({read.start_ns for read in told.reads}) == 1


def test_more_says_which_page_is_the_last() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.cursors.clear()
        feed.add(A)
        await told.until(1)
        await feed.looks(2)
        assert feed.cursors[: feed.cursors.index("1") + 1] == ["0"] * feed.cursors.index("1") + ["1"]
        assert len(feed.cursors) == len(server.requests) - 1

    follow(feed, what, more="length(body.items) >= `3`", max_pages=1)


# --- the question at the deadline ---------------------------------------------------------------------------


def test_what_did_not_come_is_absent_after_one_more_look() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(A)
        before = time.perf_counter_ns()
        results = await asyncio.gather(*(probe.read([A, B]) for _ in range(20)))
        for result in results:
            assert (seen(result), result.error) == ([PRESENT, ABSENT], "")
            assert before <= result.reads[1].start_ns < result.reads[1].end_ns
        assert len({result.reads[1].start_ns for result in results}) <= 2
        assert [read.seq for read in told.reads] == [1]

    follow(feed, what)


def test_a_question_is_not_kept_waiting_by_a_feed_that_is_seldom_read() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.add(A)
        assert seen(await probe.read([A, B])) == [PRESENT, ABSENT]
        assert [read.seq for read in told.reads] == [1]

    follow(feed, what, every="1h")


def test_questions_do_not_ask_more_often_than_the_feed_is_read() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        begun, already = time.perf_counter_ns(), len(feed.cursors)
        for _ in range(3):
            assert seen(await probe.read([A])) == [ABSENT]
        assert len(feed.cursors) - already <= (time.perf_counter_ns() - begun) // 50_000_000 + 1

    follow(feed, what, every="50ms")


def test_it_does_what_the_engine_relies_on() -> None:
    feed = Feed()
    targets = [Target(seq, IDS.id_of(seq)) for seq in range(30)]

    async def run() -> None:
        async with serving(feed) as server:
            clock = SystemClock()
            conformance = Surroundings(clock, "conformance", Path()).ids
            feed.log = [{"id": conformance.id_of(4)}]
            reads = await check_probe(config_of(server.url, bulk=7), clock, targets)
            assert [seq for seq, read in reads.items() if read.seen is PRESENT] == [4]
            feed.trouble = [[json_answer(b'{"items": [], "next": null}')], [answer(500)], [answer(502)]]
            reads = await check_probe(config_of(server.url, bulk=10, every="1m"), clock, targets)
            assert [reads[seq].seen for seq in (0, 10, 20)] == [FAILED, FAILED, ABSENT]

    asyncio.run(run())


# --- failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([answer(500, b"oops")], "HTTP 500"),
        ([answer(404)], "HTTP 404"),
        ([answer(200, b"<html>")], "HTTP 200 with a body that isn't JSON: <html>"),
        ([json_answer(b'{"items": 1}')], "items 'body.items' gives a number, not a list"),
        ([json_answer(b'{"items": [], "next": true}')], "next 'body.next' gives a boolean, not a cursor"),
        ([json_answer(b'{"items": [], "next": 1e300}')], "next 'body.next' gives a number too large to be exact"),
        ([Step.RESET], "connection reset"),
        ([Step.CLOSE], "connection closed without an answer"),
        ([json_answer(b'{"items": []'), Step.CLOSE], "isn't JSON"),
        ([Step.STALL], "no answer within 1 s"),
    ],
)
def test_a_look_that_fails_widens_the_bracket_and_misses_nothing(
    steps: Sequence[bytes | float | Step], error: str
) -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        await feed.looks(2)
        feed.repeat = steps
        await told.until(failures=1)
        failed_ns = time.perf_counter_ns()
        result = await probe.read([A])
        assert seen(result) == [FAILED]
        assert error in result.error
        assert not result.throttled
        feed.add(A)
        await told.until(failures=2)
        assert told.reads == []
        feed.repeat = ()
        await told.until(reads=1)
        assert told.reads[0].start_ns < failed_ns < told.reads[0].end_ns
        assert seen(await probe.read([A, B])) == [PRESENT, ABSENT]

    told = follow(feed, what, timeout="1s" if "1 s" in error else "20s")
    assert error in told.failures[0].error


def test_a_page_that_fails_does_not_lose_the_pages_before() -> None:
    feed = Feed()
    targets = [Target(seq, IDS.id_of(seq)) for seq in range(6)]

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        await feed.looks(2)
        first = json_answer(
            json.dumps({"items": [{"id": t.correlation_id} for t in targets[:3]], "next": "3"}).encode()
        )
        feed.trouble = [[first], [answer(502)]]
        feed.add(*targets)
        await told.until(6)

    told = follow(feed, what)
    assert [read.seq for read in told.reads] == list(range(6))
    assert [failure.error for failure in told.failures] == ["HTTP 502"]
    assert len({read.start_ns for read in told.reads}) == 1


def test_a_server_that_dies_and_returns() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        port = int(server.url.rpartition(":")[2])
        feed.add(A)
        await told.until(1)
        await server.stop()
        await told.until(1, failures=2)
        assert seen(await probe.read([B])) == [FAILED]
        feed.add(B)
        server.stopped.clear()
        await server.start(None, port)
        await told.until(2)
        assert seen(await probe.read([C])) == [ABSENT]

    told = follow(feed, what)
    assert [read.seq for read in told.reads] == [1, 2]
    assert told.failures[-1].error == "connection refused"


@pytest.mark.parametrize(
    ("reply", "retry_ns"),
    [
        (answer(429, b"", "Retry-After: 3600"), 3_600_000_000_000),
        (answer(503, b"", "Retry-After: 3600"), 3_600_000_000_000),
        (answer(429, b"", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), 0),
        (answer(429), 0),
    ],
)
def test_a_service_says_that_it_is_asked_too_much(reply: bytes, retry_ns: int) -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.repeat = [reply]
        await told.until(failures=1)
        assert (told.failures[0].throttled, told.failures[0].retry_ns) == (True, retry_ns)
        asked = len(server.requests)
        result = await probe.read([A])
        assert (seen(result), result.throttled) == ([FAILED], True)
        if retry_ns:
            assert 0 < result.retry_ns < retry_ns
            assert len(server.requests) == asked

    follow(feed, what)


def test_a_service_is_left_alone_for_as_long_as_it_asks() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        await feed.looks(2)
        feed.trouble = [[answer(429, b"", "Retry-After: 1")]]
        await told.until(failures=1)
        feed.add(A)
        await told.until(1)
        assert told.reads[0].end_ns - told.reads[0].start_ns > 1_000_000_000

    follow(feed, what)


def test_503_without_retry_after_is_a_failure_like_any_other() -> None:
    feed = Feed()

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.trouble = [[answer(503)]]
        await told.until(failures=1)

    assert not follow(feed, what).failures[0].throttled


# --- the beginning ------------------------------------------------------------------------------------------


def refused(feed: Feed | Callable[[Request], Sequence[bytes | float | Step]], **settings: Any) -> str:
    async def run() -> None:
        async with serving(feed) as server, opened(config_of(server.url, **settings)):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_feed_that_can_not_be_followed() -> None:
    feed = Feed()
    feed.log = [{"id": "old"}] * 30
    told = refused(feed, max_pages=10)
    assert "/changes: the feed did not end within 10 pages; give start a later cursor, say with more which" in told
    told = refused(lambda request: [answer(403)])
    assert told.startswith("can't read the feed http://127.0.0.1:")
    assert told.endswith("/changes: HTTP 403; correct url, or the expressions")
    assert "length(), invalid type" in refused(feed, next="length(body.next.x)", start="20")

    async def nobody() -> None:
        async with opened(config_of("http://127.0.0.1:1")):
            pass

    with pytest.raises(TargetError, match=r"can't connect to http://127.0.0.1:1/changes: connection refused; start"):
        asyncio.run(nobody())


def test_it_begins_where_it_is_told_to_and_sends_what_it_is_told() -> None:
    feed = Feed()
    feed.log = [{"id": "old"}] * 20

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        assert feed.cursors[0] == "19"
        assert server.requests[0].headers["x-team"] == "a"
        assert server.requests[0].headers["accept"] == "application/json"

    follow(feed, what, start=19, headers={"X-Team": "a"})


def test_cursors_are_encoded() -> None:
    targets: list[str] = []

    def script(request: Request) -> Sequence[bytes | float | Step]:
        targets.append(request.target)
        return [json_answer(b'{"items": [1], "next": "a/b &\\u00e9+"}')]

    async def run() -> None:
        async with serving(script) as server, opened(config_of("", url=server.url + "/{cursor}?c={cursor}")):
            pass

    asyncio.run(run())
    assert targets == ["/?c=", "/a%2Fb%20%26%C3%A9%2B?c=a%2Fb%20%26%C3%A9%2B"]


def test_sightings_are_forgotten_in_time() -> None:
    sightings = Sightings(100)
    sightings.note(1, 5, 0)
    sightings.note(2, 6, 101)
    assert [sightings.get(seq) for seq in (1, 2, 3)] == [5, 6, None]
    sightings.note(3, 7, 202)
    assert [sightings.get(seq) for seq in (1, 2, 3)] == [None, 6, 7]
    sightings.note(2, 8, 203)
    assert sightings.get(2) == 8


# --- pages --------------------------------------------------------------------------------------------------


def page_of(document: object, cursor: str = "7", status: int = 200, **settings: Any) -> Page:
    reader = PageReader(config_of("http://h", **settings), IDS)
    return reader.read(Answer(status, [(b"X-Next", b"h-1")], json.dumps(document).encode()), cursor)


@pytest.mark.parametrize(
    ("document", "settings", "cursor", "last"),
    [
        ({"items": [{}], "next": "8"}, {}, "8", False),
        ({"items": [{}], "next": 8}, {}, "8", False),
        ({"items": [{}], "next": 8.5}, {}, "8.5", False),
        ({"items": [{}], "next": "7"}, {}, "7", True),
        ({"items": [{}], "next": None}, {}, "7", True),
        ({"items": []}, {}, "7", True),
        ({"items": [], "next": "8"}, {}, "8", True),
        ({"items": [], "next": "8", "go_on": True}, {"more": "body.go_on"}, "8", False),
        ({"items": [{}], "next": "8", "go_on": False}, {"more": "body.go_on"}, "8", True),
        ({"items": [{}]}, {"next": 'headers."x-next"'}, "h-1", False),
    ],
)
def test_where_the_next_page_begins(document: object, settings: dict[str, Any], cursor: str, last: bool) -> None:
    assert page_of(document, **settings)[:3] == ({}, cursor, last)


def test_an_answer_without_content_has_nothing_new() -> None:
    assert page_of("anything", status=304) == page_of("anything", status=204) == Page({}, "7", True)


def test_what_is_none_of_ours_is_passed_over() -> None:
    items = [None, 5, "x", {"id": None}, {"id": 5}, {"id": ["a"]}, {}, {"id": A.correlation_id.upper()}]
    assert list(page_of({"items": items}).found) == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://h/changes"}, "url holds no {cursor}, so it would list the same again and again; put"),
        ({"url": "http://h/{cursor}/{id}"}, "unknown placeholder {id} in url; known: {cursor}"),
        ({"items": "item.x"}, "'item.x' looks at 'item', which isn't there; start with one of status"),
        ({"next": "body.next ="}, "is not JMESPath"),
        ({"more": "item.x"}, "looks at 'item'"),
        ({"visible": "items.x"}, "'items.x' looks at 'items', which isn't there; did you mean 'item'?"),
        ({"position": "lenght(item)"}, "did you mean 'length'?"),
        ({"every": "10us"}, "greater than or equal to 1000000"),
        ({"expect": ["2xx", "503"]}, "status 503 says nothing about an event"),
        ({"headers": {"x": "a\nb"}}, "the header 'x' holds a line break"),
        ({"method": "GET"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpFeedConfig.model_validate(SETTINGS | {"url": "http://h/{cursor}"} | settings)
    assert message in str(caught.value)


def test_items_and_next_are_needed() -> None:
    with pytest.raises(ValidationError, match="2 validation errors"):
        HttpFeedConfig.model_validate({"kind": "http-feed", "url": "http://h/{cursor}"})


# --- addresses, and entries of nobody -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("following", "cursor"),
    [
        ("http://h/changes?since=8&n=3", "http://h/changes?since=8&n=3"),
        ("HTTP://h:80/changes?since=8", "http://h/changes?since=8"),
        ("http://u:p@h/changes?since=8#there", "http://h/changes?since=8"),
        ("/changes?since=a%2Fb", "http://h/changes?since=a%2Fb"),
        ("?since=8", "http://h/changes?since=8"),
        ("/changes/8", "http://h/changes/8"),
        ("/elsewhere?page=8", "http://h/elsewhere?page=8"),
        # Cursors, though they look a little like it.
        ("/w==", "/w=="),
        ("8", "8"),
        ("a?b", "a?b"),
        ("changes", "changes"),
    ],
)
def test_the_next_page_may_be_an_address(following: str, cursor: str) -> None:
    page = page_of({"items": [{}], "next": following})
    assert (page.cursor, page.last) == (cursor, False)
    # The same one again is the end, also if it is told in another way.
    assert page_of({"items": [{}], "next": following}, cursor).last


@pytest.mark.parametrize("following", ["http://other/changes?since=8", "https://h/changes?since=8", "http://h:81/x"])
def test_an_address_that_leads_elsewhere_is_not_followed(following: str) -> None:
    with pytest.raises(BadAnswer, match=r"next leads to http.*sent nowhere else"):
        page_of({"items": [{}], "next": following})


def test_pages_are_asked_for_as_the_feed_says() -> None:
    addresses = PageReader(config_of("http://h"), IDS).addresses
    assert str(addresses.of("a/b")) == "http://h/changes?since=a%2Fb&n=3"
    assert str(addresses.of("http://h/changes?since=a%2Fb")) == "http://h/changes?since=a%2Fb"


def test_entries_that_are_about_no_event_of_any_run_are_counted_once() -> None:
    entries = [
        {"id": "x"},
        {"id": CorrelationIds.for_run("r-2").id_of(1)},
        {"id": A.correlation_id.upper()},
        {"n": 5},
    ]
    page = page_of({"items": entries})
    assert (list(page.found), page.strange, page.example) == ([1], 2, '{"id":"x"}')

    async def what(probe: PushProbe, told: Told, server: Server) -> None:
        feed.log.append({"id": "stranger"})
        feed.add(A)
        await told.until(1)
        # The last page is read again and again.
        await feed.looks(4)

    feed = Feed()
    feed.log.append({"id": "there before"})
    told = follow(feed, what)
    assert ([read.seq for read in told.reads], told.strange, told.example) == ([1], 1, '{"id":"stranger"}')
