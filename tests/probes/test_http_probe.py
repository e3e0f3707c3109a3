"""The HTTP probe against read models that behave and read models that don't."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import re
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clients.jmes import Expression, truthy
from evload.clients.stamps import parse_stamp, read_stamp
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes.http import HttpProbeConfig
from evload.spi.context import Surroundings
from evload.testing import check_probe
from tests.servers.httpserver import Request, Script, Server, Step, always, answer, json_answer, serving

A, B, C = Target(1, "a"), Target(2, "b"), Target(3, "c")
BULK: dict[str, Any] = {"ids": {"in": "body"}, "items": "body.items"}


def config_of(url: str, **settings: Any) -> HttpProbeConfig:
    return HttpProbeConfig.model_validate({"kind": "http", "url": url, **settings})


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), "r-1", Path())


def read_from(
    script: Script, targets: Sequence[Target] = (A,), path: str = "/items/{correlation_id}", **settings: Any
) -> tuple[ReadResult, Server]:
    async def run() -> tuple[ReadResult, Server]:
        async with serving(script) as server, config_of(server.url + path, **settings).open(surroundings()) as probe:
            return await probe.read(targets), server

    return asyncio.run(run())


def single(*steps: bytes | float | Step, **settings: Any) -> Read:
    """What the probe makes of these steps, which must not be a failure."""
    result, _ = read_from(always(*steps), **settings)
    assert result.error == ""
    assert result.unexpected == 0
    (read,) = result.reads
    assert read.start_ns < read.end_ns
    return read


def bulk(document: object, targets: Sequence[Target] = (A, B, C), **settings: Any) -> ReadResult:
    reply = json_answer(json.dumps(document).encode(), 200, "X-Replica: r-1")
    return read_from(always(reply), targets, "/items/query", **(BULK | settings))[0]


def seen(result: ReadResult) -> list[Seen]:
    return [read.seen for read in result.reads]


def test_the_bytes_of_answers_are_counted_whatever_they_are_worth() -> None:
    """Also those of a read that failed, and of one answer about many events once."""
    assert read_from(always(answer(404, b"not found")))[0].bytes_in == 9
    failed = read_from(always(answer(500, b"out of order")))[0]
    assert (seen(failed), failed.bytes_in) == ([Seen.FAILED], 12)
    assert read_from(always(answer(204)))[0].bytes_in == 0
    items = [{"id": A.correlation_id}, {"id": B.correlation_id}]
    assert bulk({"items": items}).bytes_in == len(json.dumps({"items": items}))
    assert config_of("http://localhost/{correlation_id}").capabilities.counts_bytes


# --- single reads -----------------------------------------------------------------------------------------


def test_the_default_is_status_200() -> None:
    assert single(answer(200)).seen is Seen.PRESENT
    assert single(answer(204)).seen is Seen.ABSENT
    assert single(answer(404, b"<html>no such thing</html>")).seen is Seen.ABSENT


@pytest.mark.parametrize(
    ("visible", "reply", "expected"),
    [
        ("status == `200` && body.file_url", json_answer(b'{"file_url": "x"}'), Seen.PRESENT),
        ("status == `200` && body.file_url", json_answer(b'{"file_url": ""}'), Seen.ABSENT),
        ("status == `200` && body.file_url", json_answer(b'{"file_url": null}'), Seen.ABSENT),
        ("status == `200` && body.file_url", answer(404, b"not found"), Seen.ABSENT),
        ("body.count", json_answer(b'{"count": 0}'), Seen.PRESENT),
        ("body.done", json_answer(b'{"done": false}'), Seen.ABSENT),
        ("body.state == 'done'", json_answer(b'{"state": "done"}'), Seen.PRESENT),
        ("headers.\"x-state\" == 'done'", answer(200, b"", "X-State: done"), Seen.PRESENT),
        ("contains(keys(body), 'a')", json_answer(b'{"a": 1}'), Seen.PRESENT),
        ("@.status == `200`", json_answer(b"{}"), Seen.PRESENT),
        ("body.deep.er", json_answer(b'{"deep": "text"}'), Seen.ABSENT),
    ],
)
def test_visible(visible: str, reply: bytes, expected: Seen) -> None:
    assert single(reply, visible=visible).seen is expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (json_answer(b'{"state": "failed"}'), Seen.ENDED),
        (json_answer(b'{"state": "failed"}', 404), Seen.ENDED),
        (json_answer(b'{"state": "done"}'), Seen.PRESENT),
        (json_answer(b'{"state": "running"}'), Seen.ABSENT),
        # What shows the event has shown it, whatever else is said.
        (json_answer(b'{"state": "done", "failed": true}'), Seen.PRESENT),
        (json_answer(b'{"failed": true}'), Seen.ENDED),
        (answer(404, b"<html>no such job</html>"), Seen.ABSENT),
        (answer(404), Seen.ABSENT),
    ],
)
def test_an_event_may_come_to_another_end(reply: bytes, expected: Seen) -> None:
    read = single(
        reply, visible="status == `200` && body.state == 'done'", ended="body.state == 'failed' || body.failed"
    )
    assert read.seen is expected


def test_without_visible_a_status_of_200_shows_it_and_another_one_may_say_that_it_ended() -> None:
    assert single(json_answer(b'{"gone": true}', 404), ended="body.gone").seen is Seen.ENDED
    assert single(json_answer(b'{"gone": true}'), ended="body.gone").seen is Seen.PRESENT


def test_in_a_list_each_item_says_whether_its_event_ended_and_what_is_not_in_it_did_not() -> None:
    items = [{"id": A.correlation_id, "state": "failed"}, {"id": B.correlation_id, "state": "done"}]
    told: dict[str, Any] = {"visible": "item.state == 'done'", "ended": "item.state == 'failed' || body.over"}
    assert seen(bulk({"items": items, "over": True}, **told)) == [Seen.ENDED, Seen.PRESENT, Seen.ABSENT]


def test_of_two_items_of_one_event_the_one_that_shows_it_counts() -> None:
    items = [{"id": A.correlation_id, "state": state} for state in ("failed", "done")]
    told: dict[str, Any] = {"visible": "item.state == 'done'", "ended": "item.state == 'failed'"}
    assert seen(bulk({"items": items}, (A,), **told)) == [Seen.PRESENT]


def test_all_that_an_answer_can_say() -> None:
    body = {"items": [1, 2], "pos": 17.5, "t": "2026-01-01T00:00:00.000000001Z", "done": 1767225601.5}
    read = single(
        json_answer(json.dumps(body).encode(), 200, "X-Replica: r-2"),
        effects="length(body.items)", position="body.pos", replica='headers."x-replica"',
        consumed_at="body.t", processed_at="body.done",
    )  # fmt: skip
    assert read[4:9] == (2, "r-2", 17.5, 1_767_225_600_000_000_001, 1_767_225_601_500_000_000)


def test_an_answer_gives_its_event_tags_whether_or_not_it_shows_it() -> None:
    tag = {"cold": "headers.\"x-cold\" == 'true'", "shard": "body.shard"}
    assert single(json_answer(b'{"shard": 3}', 200, "X-Cold: true"), tag=tag).facts == {"tags": "cold\nshard=3"}
    absent = single(json_answer(b'{"shard": null}', 404), tag=tag)
    assert (absent.seen, absent.facts) == (Seen.ABSENT, {"tags": "cold=\nshard="})
    # A body that isn't JSON leaves open what it would have said; the status is enough for the rest.
    page = single(answer(404, b"<html>"), tag=tag)
    assert (page.seen, page.facts) == (Seen.ABSENT, {"tags": "cold="})
    assert single(answer(200, b"<html>"), tag={"shard": "body.shard"}).facts is None
    assert config_of("http://localhost/{correlation_id}", tag=tag).capabilities.tags == {"cold", "shard"}


def test_what_an_absent_event_says_is_only_its_replica_and_its_version() -> None:
    reply = json_answer(b'{"replica": 3, "version": 7}', 404)
    read = single(reply, effects="length(body.items)", replica="body.replica", version="body.version")
    assert (read.seen, read.effects, read.replica, read.version) == (Seen.ABSENT, None, "3", 7)
    assert not read.exact


def test_how_many_writes_an_answer_reflects() -> None:
    version = {"version": "body.version"}
    assert single(json_answer(b'{"version": 7}'), **version)[4:11] == (None, None, None, None, None, False, 7)
    assert single(json_answer(b"{}"), **version).version is None
    # There is no version in an error page, but the event isn't there all the same.
    missing = single(answer(404, b"<html>no such thing</html>"), **version)
    assert (missing.seen, missing.version) == (Seen.ABSENT, None)
    assert single(answer(200, b"", "X-Version: 7"), version='to_number(headers."x-version")').version == 7


def test_figures_that_are_missing_are_none() -> None:
    read = single(json_answer(b"{}"), effects="body.n", position="body.p", replica="body.r", consumed_at="body.c")
    assert read.seen is Seen.PRESENT
    assert read[4:9] == (None, None, None, None, None)


@pytest.mark.parametrize(
    ("steps", "settings", "error"),
    [
        ([answer(500, b"oops")], {}, "HTTP 500"),
        ([answer(503)], {"expect": ["2xx", "404"]}, "HTTP 503"),
        ([answer(429)], {"expect": "4xx"}, "HTTP 429"),
        ([answer(403)], {}, "HTTP 403"),
        ([answer(404)], {"expect": [200]}, "HTTP 404"),
        ([answer(302, b"", "Location: http://h/login?t=1")], {}, "HTTP 302: a redirect to 'http://h/login', which"),
        (
            [answer(302, b"", f"Location: /{'x' * 79}")],
            {},
            f"HTTP 302: a redirect to '/{'x' * 79}', which",
        ),
        (
            [answer(302, b"", f"Location: /{'x' * 80}")],
            {},
            f"HTTP 302: a redirect to '/{'x' * 78}…', which",
        ),
        ([answer(200, b"<html>hi</html>")], {"visible": "body.id"}, "HTTP 200 with a body that isn't JSON: <html>hi"),
        ([json_answer(b'{"id": "x')], {"visible": "body.id"}, "HTTP 200 with a body that isn't JSON:"),
        ([answer(200)], {"effects": "body.n"}, "HTTP 200 with an empty body, not JSON"),
        ([json_answer(b'{"n": "3"}')], {"effects": "body.n"}, "'body.n' gives text, not a number"),
        ([json_answer(b'{"n": true}')], {"effects": "body.n"}, "'body.n' gives a boolean, not a number"),
        ([json_answer(b'{"p": []}')], {"position": "body.p"}, "'body.p' gives a list, not a number"),
        ([json_answer(b'{"r": {}}')], {"replica": "body.r"}, "'body.r' gives an object, not a name"),
        ([json_answer(b'{"v": "3"}', 404)], {"version": "body.v"}, "'body.v' gives text, not a number"),
        ([answer(200, b"ok")], {"version": "body.v"}, "HTTP 200 with a body that isn't JSON: ok"),
        ([json_answer(b'{"n": null}')], {"effects": "length(body.n)"}, "invalid type for value: None"),
        ([answer(200, b"x" * 2001)], {"max_body": "2KB"}, "HTTP 200 with a body longer than 2000 bytes"),
        (
            [answer(200, gzip.compress(b"x" * 1_000_000, mtime=0), "Content-Encoding: gzip")],
            {"max_body": "2KB"},
            "HTTP 200 with a body longer than 2000 bytes",
        ),
        ([answer(200, b"plain", "Content-Encoding: gzip")], {}, "the answer is cut off or garbled"),
        ([b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", Step.CLOSE], {}, "the answer is cut off or garbled"),
        ([b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", Step.RESET], {}, "the answer is cut off or garbled"),
        ([Step.RESET], {}, "connection reset"),
        ([Step.CLOSE], {}, "connection closed without an answer"),
        ([b"<html>\r\n\r\n", Step.CLOSE], {}, "not HTTP: "),
        ([Step.STALL], {"timeout": "50ms"}, "no answer within 50 ms"),
        (
            [b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{", Step.STALL],
            {"timeout": "50ms"},
            "no answer within 50 ms",
        ),
    ],
)
def test_a_failed_read_says_nothing_about_the_event(
    steps: Sequence[bytes | Step], settings: dict[str, Any], error: str
) -> None:
    result, _ = read_from(always(*steps), **settings)
    assert seen(result) == [Seen.FAILED]
    assert result.error.startswith(error) or error in result.error
    assert "\n" not in result.error
    assert result.throttled is (error == "HTTP 429")


@pytest.mark.parametrize(
    ("status", "after", "throttled", "retry_ns"),
    [
        (429, "Retry-After: 30", True, 30_000_000_000),
        (429, "Retry-After: 0", True, 0),
        (503, "Retry-After: 5", True, 5_000_000_000),
        (503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", True, 0),
        (429, "Retry-After: -5", True, 0),
        (429, "Retry-After: 99999999999999", True, 0),
        (429, "X: y", True, 0),
        (503, "X: y", False, 0),
        (500, "Retry-After: 5", False, 0),
    ],
)
def test_a_read_model_that_is_asked_too_much_says_so(status: int, after: str, throttled: bool, retry_ns: int) -> None:
    for path, targets, settings in (("/{capture}", [Target(1, "a", "x")], {}), ("/q", [A, B], BULK)):
        result, _ = read_from(always(answer(status, b"", after)), targets, path, **settings)
        assert (seen(result), result.error) == ([Seen.FAILED] * len(targets), f"HTTP {status}")
        assert (result.throttled, result.retry_ns) == (throttled, retry_ns)


def test_a_read_model_that_dies_is_a_failed_read() -> None:
    async def run() -> ReadResult:
        async with serving(always(answer(200), Step.CLOSE)) as server:
            config = config_of(server.url + "/{correlation_id}")
            async with config.open(surroundings()) as probe:
                await server.stop()
                return await probe.read([A])

    result = asyncio.run(run())
    assert seen(result) == [Seen.FAILED]
    assert result.error == "connection refused"


def test_ids_are_encoded_in_the_address() -> None:
    _, server = read_from(
        always(answer(200)), [Target(1, "a/b ?#%é&")], path="/ü/{correlation_id}?x={correlation_id}"
    )
    encoded = "a%2Fb%20%3F%23%25%C3%A9%26"
    assert server.requests[0].target == f"/%C3%BC/{encoded}?x={encoded}"
    assert server.requests[0].method == "GET"


def test_a_captured_id_is_asked_for() -> None:
    path = "/items/{capture}"
    result, server = read_from(always(answer(200)), [Target(1, "a", "srv/1")], path)
    assert server.requests[0].target == "/items/srv%2F1"
    assert seen(result) == [Seen.PRESENT]
    result, server = read_from(always(answer(200)), [A], path)
    assert seen(result) == [Seen.FAILED]
    assert result.error == "the producer captured no id to ask for"
    assert server.requests == []


def test_headers_can_hold_the_ids_of_the_event() -> None:
    headers = {"X-Session": "t={capture};{correlation_id}", "X-Team": '{"a": 1}'}
    path = "/items/{correlation_id}"
    result, server = read_from(always(answer(200)), [Target(1, "a", "tök/1")], path, headers=headers)
    assert server.requests[0].headers["x-session"] == "t=tök/1;a"
    assert server.requests[0].headers["x-team"] == '{"a": 1}'
    assert seen(result) == [Seen.PRESENT]

    result, server = read_from(always(answer(200)), [A], path, headers=headers)
    assert (result.error, server.requests) == ("the producer captured no id to ask for", [])

    result, server = read_from(always(answer(200)), [Target(1, "a", "x\r\nHost: y")], path, headers=headers)
    assert (seen(result), server.requests) == ([Seen.FAILED], [])
    assert result.error == "an id that the producer captured can't stand in the header 'x-session'"


def test_what_asks_by_a_captured_id_has_to_wait_for_it() -> None:
    by_header = {"headers": {"X-Session": "{capture}"}}
    assert config_of("http://h/{correlation_id}", **by_header).capabilities.asks_by_capture
    assert config_of("http://h/{capture}").capabilities.asks_by_capture
    assert config_of("http://h/", by="capture", **BULK).capabilities.asks_by_capture
    assert not config_of("http://h/{correlation_id}", headers={"X": "{correlation_id}"}).capabilities.asks_by_capture
    assert not config_of("http://h/", **BULK).capabilities.asks_by_capture


def test_headers_method_and_credentials_are_sent() -> None:
    async def run() -> Request:
        async with serving(always(answer(200))) as server:
            url = server.url.replace("//", "//me:p%40ss@") + "/{correlation_id}"
            settings = {"headers": {"X-Team": "a", "Accept": "text/json"}, "method": "options"}
            async with config_of(url, **settings).open(surroundings()) as probe:
                await probe.read([A])
            return server.requests[0]

    request = asyncio.run(run())
    assert request.method == "OPTIONS"
    assert request.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert (request.headers["x-team"], request.headers["accept"]) == ("a", "text/json")


def test_reads_run_side_by_side() -> None:
    """Each read gets a connection at once, however many there are."""

    async def run() -> int:
        async with serving(always(0.05, answer(200))) as server:
            async with config_of(server.url + "/{correlation_id}").open(surroundings()) as probe:
                await asyncio.gather(*(probe.read([Target(n, str(n))]) for n in range(90)))
            return server.most_open

    assert asyncio.run(run()) == 90


def test_a_read_model_that_cannot_be_reached_is_one_line() -> None:
    async def run() -> None:
        async with config_of("http://u:pw@127.0.0.1:1/{capture}?k=s").open(surroundings()):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    assert str(caught.value) == (
        "can't connect to http://127.0.0.1:1/{capture}: connection refused; start the read model, or correct url"
    )


# --- bulk reads -------------------------------------------------------------------------------------------


def test_what_is_in_the_list_is_present_and_the_rest_absent() -> None:
    result = bulk({"items": [{"id": "b"}]})
    assert seen(result) == [Seen.ABSENT, Seen.PRESENT, Seen.ABSENT]
    assert [read.seq for read in result.reads] == [1, 2, 3]
    assert result.unexpected == 0
    assert [read.effects for read in result.reads] == [None, 1, None], "as with the rows of a table, each item is one"


def test_fields_of_items() -> None:
    items = [
        {"key": 7, "n": 2, "p": 5, "c": 1767225600123, "done": "2026-01-01T01:00:00+01:00", "on": "r-9"},
        {"key": "b", "n": 1, "p": 6, "hidden": True, "on": "r-9"},
    ]
    result = bulk(
        {"items": items}, [Target(1, "7"), B],
        id="key", effects="item.n", position="item.p", consumed_at="item.c", processed_at="item.done",
        replica="item.on", visible="status == `200` && !(item.hidden)",
    )  # fmt: skip
    first, second = result.reads
    assert first[4:9] == (2, "r-9", 5, 1_767_225_600_123_000_000, 1_767_225_600_000_000_000)
    assert (second.seen, second.effects, second.replica) == (Seen.ABSENT, None, "r-9")


def test_an_empty_text_is_no_position() -> None:
    items = [{"id": "a", "p": ""}, {"id": "b", "p": "0"}]
    assert [read.position for read in bulk({"items": items}, position="item.p").reads] == [None, 0, None]


def test_in_a_bulk_answer_each_item_may_give_its_event_tags() -> None:
    document = {"items": [{"id": "a", "on": "x"}, {"id": "b"}]}
    result = bulk(document, tag={"on": "item.on", "by": 'headers."x-replica"'})
    assert [(read.facts or {}).get("tags") for read in result.reads] == [
        "by=r-1\non=x", "by=r-1\non=", "by=r-1\non=",
    ]  # fmt: skip


def test_one_replica_answers_for_all_of_them() -> None:
    result = bulk({"items": [{"id": "a"}]}, replica='headers."x-replica"')
    assert [read.replica for read in result.reads] == ["r-1"] * 3


def test_an_id_that_nobody_asked_for_is_counted() -> None:
    result = bulk({"items": [{"id": "a"}, {"id": "x"}, {"id": "y"}, {"id": "x"}]})
    assert result.unexpected == 2
    assert seen(result) == [Seen.PRESENT, Seen.ABSENT, Seen.ABSENT]


def test_an_id_that_comes_twice_is_two_effects() -> None:
    items = [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b", "n": 1}]
    assert [r.effects for r in bulk({"items": items}).reads] == [2, 1, None]
    assert [r.effects for r in bulk({"items": items}, effects="item.n").reads] == [3, 1, None]
    hidden = bulk({"items": [{"id": "a"}, {"id": "a", "ok": 1}, {"id": "b"}, {"id": "b"}]}, visible="item.ok")
    assert [(r.seen, r.effects) for r in hidden.reads] == [(1, 1), (0, None), (0, None)]


@pytest.mark.parametrize(
    ("document", "settings", "error"),
    [
        ({"items": {"a": 1}}, {}, "items 'body.items' gives an object, not a list"),
        ({}, {}, "items 'body.items' gives null, not a list"),
        ({"items": [{"key": "a"}]}, {}, "id 'id' gives null in an item of the answer, not an id"),
        ({"items": ["a"]}, {}, "id 'id' gives null in an item of the answer, not an id"),
        ({"items": [{"id": "a", "n": "x"}]}, {"effects": "item.n"}, "'item.n' gives text, not a number"),
        ({"items": [{"id": "a"}]}, {"effects": "length(item.n)"}, "invalid type for value: None"),
    ],
)
def test_a_bulk_answer_that_makes_no_sense_fails_for_all(
    document: object, settings: dict[str, Any], error: str
) -> None:
    result = bulk(document, **settings)
    assert seen(result) == [Seen.FAILED] * 3
    assert error in result.error
    assert result.unexpected == 0


def test_a_failed_bulk_read_fails_for_all() -> None:
    result, _ = read_from(always(answer(500)), (A, B), "/q", **BULK)
    assert seen(result) == [Seen.FAILED] * 2
    assert result.error == "HTTP 500"


def test_ids_in_the_body() -> None:
    settings = BULK | {"ids": {"in": "body", "at": "query.ids"}}
    _, server = read_from(always(json_answer(b'{"items": []}')), (A, B), "/q?x=1", **settings)
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/q?x=1")
    assert json.loads(request.body) == {"query": {"ids": ["a", "b"]}}
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/q", "/q?x=1"])
def test_ids_in_the_query(path: str) -> None:
    settings = BULK | {"ids": {"in": "query", "name": "id in", "separator": "|"}}
    targets = (Target(1, "a|,&"), B)
    result, server = read_from(always(json_answer(b'{"items": [{"id": "a|,&"}]}')), targets, path, **settings)
    request = server.requests[0]
    assert request.method == "GET"
    assert request.body == b""
    joint = "&" if "?" in path else "?"
    assert request.target == f"{path}{joint}id%20in=a%7C%2C%26%7Cb"
    assert unquote(request.target).endswith("id in=a|,&|b")
    assert seen(result) == [Seen.PRESENT, Seen.ABSENT]


@pytest.mark.parametrize("path", ["/q", "/q?x=1"])
def test_ids_in_a_parameter_each(path: str) -> None:
    settings = BULK | {"ids": {"in": "query", "name": "id[]", "repeat": True}}
    targets = (Target(1, "a,&"), B, C)
    result, server = read_from(always(json_answer(b'{"items": [{"id": "b"}]}')), targets, path, **settings)
    joint = "&" if "?" in path else "?"
    assert server.requests[0].target == f"{path}{joint}id%5B%5D=a%2C%26&id%5B%5D=b&id%5B%5D=c"
    assert seen(result) == [Seen.ABSENT, Seen.PRESENT, Seen.ABSENT]


UUIDS = [Target(seq, str(uuid.UUID(int=seq))) for seq in range(500)]


@pytest.mark.parametrize("ids", [{}, {"separator": "|"}, {"name": "id[]", "repeat": True}])
@pytest.mark.parametrize(
    ("path", "headers", "least", "longest"),
    [
        ("/q", {}, 150, 8192 - 512),
        ("/q?" + "x" * 3000, {}, 90, 8192 - 512),
        ("/q", {"Authorization": "Bearer " + "x" * 4000}, 75, 8192 - 512 - 4000),
        ("/q", {"Authorization": "Bearer " + "x" * 20_000}, 20, 1024),
    ],
)
def test_ids_in_the_query_stay_below_8_kib(
    ids: dict[str, Any], path: str, headers: dict[str, str], least: int, longest: int
) -> None:
    """However many are asked for at once; all of them are asked for, each once."""
    settings = BULK | {"ids": {"in": "query", **ids}, "bulk": 500, "headers": headers}
    asked: list[str] = []

    def script(request: Request) -> Sequence[bytes | float | Step]:
        found = re.findall(r"[0-9a-f-]{36}", request.target)
        assert len(request.target) <= longest
        asked.extend(found)
        return [
            json_answer(json.dumps({"items": [{"id": each} for each in found if each[-1] in "02468ace"]}).encode())
        ]

    result, server = read_from(script, UUIDS, path, **settings)
    assert asked == [target.correlation_id for target in UUIDS]
    assert [read.seq for read in result.reads] == list(range(500))
    assert seen(result) == [Seen.PRESENT, Seen.ABSENT] * 250
    # The plan counts requests, and each read that it makes is one.
    most = config_of(f"http://h{path}", **settings).bulk
    assert len(server.requests) == math.ceil(500 / most)
    assert most >= least


def test_a_portion_that_fails_fails_alone_and_whoever_is_asked_too_much_is_left_alone() -> None:
    def script(bad: bytes) -> Script:
        def answers(request: Request) -> Sequence[bytes | float | Step]:
            found = re.findall(r"[0-9a-f-]{36}", request.target)
            return [bad if UUIDS[0].correlation_id in found else json_answer(b'{"items": []}')]

        return answers

    settings = BULK | {"ids": {"in": "query"}}
    most = config_of("http://h/q", **settings).bulk
    result, server = read_from(script(answer(500)), UUIDS[: 2 * most], "/q", **settings)
    assert seen(result) == [Seen.FAILED] * most + [Seen.ABSENT] * most
    assert result.error == "HTTP 500"
    assert result.reads[0].end_ns <= result.reads[-1].start_ns
    result, server = read_from(script(answer(429, b"", "Retry-After: 2")), UUIDS[: 2 * most], "/q", **settings)
    assert seen(result) == [Seen.FAILED] * 2 * most
    assert (result.throttled, result.retry_ns, len(server.requests)) == (True, 2 * 10**9, 1)


def test_ids_of_any_length_have_their_room() -> None:
    """Those that a producer captured are as long as the system likes."""
    targets = [Target(seq, f"c-{seq}", capture=f"{seq}-" + "ü" * 300) for seq in range(20)]
    settings = BULK | {"ids": {"in": "query"}, "by": "capture", "bulk": 20}
    result, server = read_from(always(json_answer(b'{"items": []}')), targets, "/q", **settings)
    assert seen(result) == [Seen.ABSENT] * 20
    assert [request.target.count("%2C") + request.target.count(",") + 1 for request in server.requests] == [4] * 5
    huge = Target(1, "c-1", capture="x" * 9000)
    result, server = read_from(always(json_answer(b'{"items": []}')), [huge, huge], "/q", **settings)
    assert [len(request.target) for request in server.requests] == [9007, 9007]


def test_what_isnt_in_the_query_needs_no_room() -> None:
    assert config_of("http://h/q?" + "x" * 9000, bulk=500, **BULK).bulk == 500
    settings = BULK | {"ids": {"in": "query"}}
    assert config_of("http://h/q?" + "x" * 9000, bulk=500, **settings).bulk == 1
    assert config_of("http://h/q", bulk=7, **settings).bulk == 7


def test_versions_in_a_bulk_answer() -> None:
    items = [{"id": "a", "v": 3}, {"id": "b", "v": 4, "hidden": True}]
    result = bulk({"items": items, "all": 9}, visible="!(item.hidden)", version="item.v || body.all")
    assert [(read.seen, read.version) for read in result.reads] == [
        (Seen.PRESENT, 3), (Seen.ABSENT, 4), (Seen.ABSENT, 9)
    ]  # fmt: skip


def test_bulk_by_captured_id() -> None:
    targets = (Target(1, "a", "s-1"), B, Target(3, "c", "s-3"))
    reply = json_answer(b'{"items": [{"id": "s-3"}, {"id": "b"}]}')
    result, server = read_from(always(reply), targets, "/q", by="capture", **BULK)
    assert json.loads(server.requests[0].body) == {"ids": ["s-1", "s-3"]}
    assert {read.seq: read.seen for read in result.reads} == {1: Seen.ABSENT, 2: Seen.FAILED, 3: Seen.PRESENT}
    assert result.error == "the producer captured no id to ask for"
    assert result.unexpected == 1


def test_it_does_what_the_engine_relies_on() -> None:
    targets = [Target(n, str(n), str(n) if n % 3 else None) for n in range(30)]
    steps = iter(([answer(500)], [json_answer(b'{"items": [{"id": "4"}]}')], [Step.RESET]) * 50)

    async def run() -> None:
        async with serving(lambda request: next(steps)) as server:
            clock = SystemClock()
            await check_probe(config_of(server.url + "/{correlation_id}"), clock, targets)
            await check_probe(config_of(server.url, bulk=4, by="capture", **BULK), clock, targets)

    asyncio.run(run())


def test_the_size_of_a_bulk_read() -> None:
    assert config_of("http://h/q", **BULK).bulk == 500
    assert config_of("http://h/q", bulk=7, **BULK).bulk == 7
    assert config_of("http://h/{correlation_id}").bulk == 1


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://h/items"}, "url asks for no event; put {correlation_id} or {capture} into it, or add ids"),
        ({"url": "http://h/{id}"}, "unknown placeholder {id} in url; known: {correlation_id} and {capture}"),
        ({"url": "h/{capture}"}, "has no scheme;"),
        (BULK, "a bulk read has many ids, but url holds {correlation_id};"),
        ({"url": "http://h/", "ids": {"in": "body"}}, "ids without items; say with items where"),
        ({"items": "body"}, "items without ids; add ids for a bulk read"),
        ({"by": "capture"}, "by without ids;"),
        ({"bulk": 5}, "bulk is 5, but a read asks for one id;"),
        ({"visible": "body.x =="}, "'body.x ==' is not JMESPath: it ends too early; complete it"),
        ({"visible": "item.x"}, "'item.x' looks at 'item', which isn't there; start with one of status"),
        ({"effects": "lenght(body)"}, "calls the unknown function 'lenght'; did you mean 'length'?"),
        ({"replica": "headers.x-replica"}, 'write a name with a dash in double quotes, such as headers."x-replica"'),
        ({"expect": ["5xx"]}, "status 5xx says nothing about an event; leave it out of expect"),
        ({"expect": [429]}, "status 429 says nothing about an event;"),
        ({"headers": {"x": "a\nb"}}, "the header 'x' holds a line break"),
        (
            {"headers": {"x": "{captured}"}},
            "unknown placeholder {captured} in the header 'x'; known: {correlation_id}",
        ),
        (
            BULK | {"url": "http://h/", "headers": {"x": "{capture}"}},
            "a bulk read has many ids, but the header 'x' is made of one; leave it out, or leave ids out",
        ),
        (
            BULK | {"url": "http://h/", "ids": {"in": "query", "separator": ";", "repeat": True}},
            "separator with repeat, which has nothing between two ids; leave one of them out",
        ),
        ({"method": "GE T"}, "is not a method"),
        ({"timeout": 5}, "5 is not a duration;"),
        ({"max_body": "8"}, "'8' is not a size;"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpProbeConfig.model_validate({"kind": "http", "url": "http://h/{correlation_id}", **settings})
    assert message in str(caught.value)


# --- expressions and stamps -------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "items", "0"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(NAMES, children, max_size=4),
    max_leaves=12,
)


@given(JSON, st.lists(NAMES, min_size=1, max_size=4))
def test_the_short_way_gives_what_the_library_gives(document: Any, path: list[str]) -> None:
    text = ".".join(f'"{name}"' for name in path)
    assert Expression(text).search(document) == jmespath.search(text, document)


@given(JSON)
def test_truth_is_that_of_the_library(value: Any) -> None:
    assert truthy(value) is (jmespath.search("a && `1` || `0`", {"a": value}) == 1)


@pytest.mark.parametrize(
    ("text", "roots", "whole"),
    [
        ("status == `200` && body.x", {"status", "body"}, False),
        ("body.items[?headers].status", {"body"}, False),
        ("length(body.a) > `1` || not_null(headers.x)", {"body", "headers"}, False),
        ("sort_by(body.list, &status)[0].item", {"body"}, False),
        ("{a: status, b: [body, item.x]}", {"status", "body", "item"}, False),
        ("body | headers", {"body"}, False),
        ("@", set(), True),
        ("*.x", set(), True),
        ("`1`", set(), False),
    ],
)
def test_what_an_expression_looks_at(text: str, roots: set[str], whole: bool) -> None:
    expression = Expression(text)
    assert expression.roots == roots
    assert expression.whole is whole


NS_2026 = 1_767_225_600_000_000_000


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-01-01T00:00:00Z", NS_2026),
        ("2026-01-01t00:00:00.5z", NS_2026 + 500_000_000),
        ("2026-01-01 01:30:00.123456789+01:30", NS_2026 + 123_456_789),
        ("2025-12-31T19:00:00.1234567891-05:00", NS_2026 + 123_456_789),
        ("2025-12-31T23:59:60Z", NS_2026),
        (1_767_225_600, NS_2026),
        (1_767_225_600.25, NS_2026 + 250_000_000),
        (1_767_225_600_001, NS_2026 + 1_000_000),
        (1_767_225_600_000_001, NS_2026 + 1_000),
        (NS_2026 + 1, NS_2026 + 1),
        (str(NS_2026 + 1), NS_2026 + 1),
        ("2026-01-01T00:00:00", NS_2026),
        ("2026-01-01T00:00:00.25", NS_2026 + 250_000_000),
        ("2026-01-01 00:00:00,250", NS_2026 + 250_000_000),
        ("2026-01-01T00:00", NS_2026),
        ("2026-01-01T00:00Z", NS_2026),
        ("2026-01-01T01:00:00+0100", NS_2026),
        ("2026-01-01T00:00:00.000+0000", NS_2026),
        ("2026-01-01 01:00:00+01", NS_2026),
        ("2025-12-31T18:30:00-05:30", NS_2026),
        ("2026-01-01 01:00:00.5 +0100 CET", NS_2026 + 500_000_000),
        ("2026-01-01 00:00:00 +0000 UTC", NS_2026),
        ("2026-01-01 00:00:00 UTC", NS_2026),
        ("2026-01-01T01:00+01:00[Europe/Paris]", NS_2026),
        ("2026-01-01T00:00:00Z[UTC]", NS_2026),
        ("20260101T000000Z", NS_2026),
        ("Thu, 01 Jan 2026 00:00:00 GMT", NS_2026),
        ("Thu, 1 Jan 2026 01:00:00 +0100", NS_2026),
        ("1767225600.25", NS_2026 + 250_000_000),
        (" 1767225600.123456789 ", NS_2026 + 123_456_789),
        ("1767225600001.5", NS_2026 + 1_500_000),
        ("1.7672256E9", NS_2026),
        (Decimal("1767225600.000000001"), NS_2026 + 1),
        ("0001-01-01T00:00:00Z", None),
        ("0000-00-00 00:00:00", None),
        ("0", None),
        ("-1", None),
        ("99999999999999999999", None),
        ("1e30", None),
        ("-62135596800", None),
        ("2026-02-30T00:00:00", None),
        ("2026-01-01T24:00:01Z", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("2026-01-01T0000:00Z", None),
        ("Thu, 31 Feb 2026 00:00:00 GMT", None),
        ("01/02/2026", None),
        ("2026-01-01", None),
        ("2026-13-01T00:00:00Z", None),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("2262-04-11T23:47:16.854775808Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        (0, None),
        (-5, None),
        (math.inf, None),
        ([1], None),
        (10**30, None),
    ],
)
def test_stamps(stamp: object, expected: int | None) -> None:
    assert parse_stamp(stamp) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, "", "  ", 0, -5, 0.0, "0", "-1", "9999-12-31T23:59:59Z", "9999-12-31 23:59:59.999999", 10**30,
        "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00", "0000-00-00 00:00:00", math.inf,
        "Wed, 31 Dec 1969 23:59:59 GMT", "2026-01-01T00:00:00", 1_767_225_600, "1767225600.5",
    ],
)  # fmt: skip
def test_what_is_a_stamp_or_means_that_there_is_none_is_not_called_unread(value: object) -> None:
    assert read_stamp(value).unread == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("yesterday", "yesterday"),
        ("01/02/2026 10:00", "01/02/2026 10:00"),
        ("2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"),
        ("2026-01-01", "2026-01-01"),
        (True, "True"),
        ([1], "[1]"),
        ({"$date": 1}, "{'$date': 1}"),
        (math.nan, "nan"),
        ("x" * 10**6, "x" * 399 + "…"),
        ("a\n b", "a b"),
    ],
)
def test_what_stands_where_a_stamp_should_is_shown(value: object, shown: str) -> None:
    assert read_stamp(value) == (None, shown)


def test_a_read_tells_the_stamp_that_cannot_be_read_and_keeps_the_other() -> None:
    body = json.dumps({"c": "01/02/2026", "p": "2026-01-01T00:00:00+0000"}).encode()
    read = single(json_answer(body), consumed_at="body.c", processed_at="body.p")
    assert (read.seen, read.consumed_at, read.processed_at) == (Seen.PRESENT, None, NS_2026)
    assert read.unread_stamp == "01/02/2026"
    items = [{"id": "a", "c": "x"}, {"id": "b", "c": None}, {"id": "c", "c": "2026-01-01T00:00:00"}]
    assert [one.unread_stamp for one in bulk({"items": items}, consumed_at="item.c").reads] == ["x", "", ""]
    # What isn't there yet has no stamps, whatever its answer says.
    assert single(json_answer(body, 404), consumed_at="body.c").unread_stamp == ""


@given(st.text(max_size=30) | JSON)
def test_a_stamp_is_never_an_error(value: object) -> None:
    stamp = parse_stamp(value)
    assert stamp is None or (isinstance(stamp, int) and 0 < stamp < 2**63)
