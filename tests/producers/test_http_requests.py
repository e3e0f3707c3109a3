"""Requests of journeys through the HTTP producer, in virtual time: what is sent, and what is told of the answers."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from evload.clients.jmes import Expression, NoDocument
from evload.clock import Clock, SystemClock
from evload.model.states import Outcome
from evload.model.travel import Event, Pieces, Receipt, Request, RequestEvent
from evload.producers.http import HttpProducerConfig
from evload.spi.context import Surroundings
from evload.spi.secrets import Secrets
from evload.spi.traffic import Exchange
from evload.testing import virtual_clock
from tests.rigs.memory_network import run
from tests.rigs.turned_secret import TurnedSecret
from tests.servers.httpserver import Request as Sent
from tests.servers.httpserver import Script, Server, Step, always, answer, json_answer, serving

ACCEPTED, REJECTED, IN_DOUBT, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IN_DOUBT, Outcome.UNSENT
OK: Final = frozenset(range(200, 300))
JSON: Final = (("content-type", "application/json"),)
LIMIT: Final = 1 << 20
NOISE: Final = random.Random(1).randbytes(LIMIT + 1000)
CHUNKED: Final = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
Published = Sequence[Event] | Event


def request(
    method: str = "GET",
    target: str = "/orders",
    seq: int = 0,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | Pieces = b"",
    expect: frozenset[int] = OK,
    refused: frozenset[int] = frozenset(),
    reads: bool = True,
    memory: dict[str, Any] | None = None,
) -> RequestEvent:
    asks = Request(method, target, headers, body, expect, refused, reads, memory)
    return RequestEvent(seq, f"c-{seq}", 0, 0, 0, asks)


def plain(seq: int, body: bytes = b"{}") -> Event:
    return Event(seq, f"c-{seq}", 0, 0, 0, None, body, (("content-type", "application/cloudevents+json"),), ())


class Told:
    """What became of events, in the order in which it was told."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self._news = asyncio.Event()

    def settle(self, receipts: Sequence[Receipt]) -> None:
        self.receipts += receipts
        self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(600):
            while len(self.receipts) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def producing(
    url: str, surroundings: Mapping[str, Any] | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Callable[..., Any]]:
    """Yields what publishes events, one after another or those of a list together, and returns their receipts."""
    config = HttpProducerConfig.model_validate({"kind": "http", "url": url, **settings})
    around = Surroundings(clock or virtual_clock(), "r-1", Path(), **(surroundings or {}))
    async with config.open(around) as producer:

        async def publish(*events: Published) -> list[Receipt]:
            told = Told()
            count = 0
            for one in events:
                batch = [one] if isinstance(one, Event) else one
                count += len(batch)
                await producer.publish(batch, told.settle)
                await told.until(count)
            return told.receipts

        yield publish


def asked(
    script: Script, *events: Published, path: str = "/api", secrets: Secrets | None = None, traffic: Any = None,
    **settings: Any,
) -> tuple[list[Receipt], Server]:  # fmt: skip
    """The receipts of events, and the server to which they went."""

    async def main() -> tuple[list[Receipt], Server]:
        async with serving(script) as server:
            around = {"secrets": secrets or {}, "traffic": traffic}
            async with producing(server.url + path, around, **settings) as publish:
                return await publish(*events), server

    return run(main())


def sent(event: RequestEvent, **settings: Any) -> Sent:
    """The request as it arrived."""
    _, server = asked(always(answer(200)), event, **settings)
    (one,) = server.requests
    return one


def answered(*steps: bytes | float | Step, **asking: Any) -> Receipt:
    (receipt,), _ = asked(always(*steps), request(**asking), timeout="5s")
    return receipt


def body_of(receipt: Receipt) -> Any:
    assert receipt.answer is not None
    return receipt.answer.get("body")


class TestRequestLine:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
    def test_the_method_is_that_of_the_request(self, method: str) -> None:
        assert sent(request(method), method="PUT").method == method
        assert sent(request(method.lower())).method == method

    @pytest.mark.parametrize(
        ("path", "target", "expected"),
        [
            ("", "/orders", "/orders"),
            ("/", "/orders", "/orders"),
            ("/api", "/orders?x=1", "/api/orders?x=1"),
            ("/api/", "/orders", "/api/orders"),
            ("/api", "orders", "/api/orders"),
            ("/api/", "", "/api/"),
            ("/api", "", "/api"),
            ("", "", "/"),
            ("/api", "/", "/api/"),
            ("/api", "?x=1", "/api?x=1"),
            ("/api", "/a?", "/api/a?"),
            ("/api", "/a//b/../c", "/api/a//b/../c"),
            ("/api?tenant=7", "/orders", "/api/orders?tenant=7"),
            ("/api?tenant=7", "/orders?x=1", "/api/orders?tenant=7&x=1"),
            ("?tenant=7", "/orders?x=1&y=2", "/orders?tenant=7&x=1&y=2"),
            ("/api?tenant=7", "", "/api?tenant=7"),
            ("/ä b", "/ü?q=ö ö", "/%C3%A4%20b/%C3%BC?q=%C3%B6%20%C3%B6"),
            ("/api", "/100%/%41/a+b?q=\"<>'&r=%zz", "/api/100%25/%41/a+b?q=%22%3C%3E'&r=%25zz"),
            ("/api", "/x#top", "/api/x%23top"),
            ("/api", "/x\r\nHost: evil\r\n\r\n\t\x00", "/api/x%0D%0AHost:%20evil%0D%0A%0D%0A%09%00"),
        ],
    )
    def test_the_target_is_below_the_address_of_the_producer(self, path: str, target: str, expected: str) -> None:
        assert sent(request("GET", target), path=path).target == expected

    def test_through_a_proxy_it_is_an_address(self) -> None:
        async def main() -> Sent:
            async with serving(always(answer(200))) as proxy:
                url = proxy.url.replace("//", "//me:pw@")
                async with producing("http://192.0.2.1/api", None, SystemClock(), proxy=url) as publish:
                    await publish(request("GET", "/orders?x=1"))
                return proxy.requests[0]

        one = asyncio.run(main())  # Whoever goes through a proxy needs sockets.
        assert one.target == "http://192.0.2.1/api/orders?x=1"
        assert one.headers["host"] == "192.0.2.1"
        assert one.headers["proxy-authorization"] == "Basic bWU6cHc="


class TestHeaders:
    def test_it_is_sent_with_these_headers_and_no_others(self) -> None:
        settings = {"headers": {"X-Team": "shop", "X-Event": "{data.id}"}, "mode": "binary", "method": "{data.verb}"}
        one = sent(request("POST", "/orders", headers=[*JSON, ("X-Own", "ü")], body=b"{}"), **settings)
        assert dict(one.headers) == {
            "host": one.headers["host"], "user-agent": "evload", "x-team": "shop", "content-type": "application/json",
            "x-own": "ü", "content-length": "2",
        }  # fmt: skip
        assert one.headers["host"].startswith("127.0.0.1:")

    def test_its_own_headers_win_whatever_their_case(self) -> None:
        own = [("Authorization", "Bearer mine"), ("x-TEAM", "mine"), ("Host", "mine"), ("User-Agent", "mine")]
        one = sent(request(headers=own), auth={"bearer": "theirs"}, headers={"X-Team": "theirs", "X-More": "theirs"})
        assert dict(one.headers) == {
            "authorization": "Bearer mine", "x-team": "mine", "host": "mine", "user-agent": "mine",
            "x-more": "theirs",
        }  # fmt: skip

    def test_a_header_of_the_producer_is_there_where_its_template_would_stand(self) -> None:
        one = sent(request(), headers={"Host": "{data.host}", "User-Agent": "{data.agent}"})
        assert one.headers["host"].startswith("127.0.0.1:")
        assert one.headers["user-agent"] == "evload"

    def test_requests_with_other_names_of_headers_have_their_own(self) -> None:
        events = [request(seq=n, headers=[(name, str(n))]) for n, name in enumerate(["x-team", "x-b", "x-team"])]
        events.append(request(seq=3))
        _, server = asked(always(answer(200)), events, headers={"x-team": "shop"}, connections=1)
        got = [(one.headers["x-team"], one.headers.get("x-b")) for one in server.requests]
        assert got == [("0", None), ("shop", "1"), ("2", None), ("shop", None)]

    @pytest.mark.parametrize(
        ("settings", "login"),
        [
            ({"auth": {"bearer": "t0k"}}, "Bearer t0k"),
            ({"auth": {"basic": {"user": "me", "password": "p@ss"}}}, "Basic bWU6cEBzcw=="),
            ({"headers": {"authorization": "Custom 1"}}, "Custom 1"),
        ],
    )
    def test_the_login_of_the_producer_is_the_requests(self, settings: dict[str, Any], login: str) -> None:
        assert sent(request(), **settings).headers["authorization"] == login

    @pytest.mark.parametrize(
        ("method", "body", "length"),
        [
            ("GET", b"", None), ("HEAD", b"", None), ("DELETE", b"", None), ("OPTIONS", b"", None),
            ("POST", b"", "0"), ("PUT", b"", "0"), ("PATCH", b"", "0"),
            ("GET", b"q", "1"), ("DELETE", b"abc", "3"), ("POST", "ü".encode(), "2"),
        ],
    )  # fmt: skip
    def test_the_length_of_a_body_is_said_where_there_is_one_or_could_be(
        self, method: str, body: bytes, length: str | None
    ) -> None:
        one = sent(request(method, body=body))
        assert (one.headers.get("content-length"), one.body) == (length, body)
        assert "content-type" not in one.headers

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", b'{"qty":  3, "mail":"\xc3\xbc@example.com"}\n'),
            ("application/x-www-form-urlencoded", urlencode({"a b": "ü&=", "c": ""}).encode()),
            ("application/octet-stream", bytes(range(256)) * 400),
            ("text/plain", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        ],
        ids=["json", "form", "bytes", "a request"],
    )
    @pytest.mark.parametrize("mode", ["structured", "batched", "plain"])
    def test_a_body_arrives_byte_for_byte(self, mode: str, kind: str, body: bytes) -> None:
        one = sent(request("POST", headers=[("Content-Type", kind)], body=body), mode=mode)
        assert (one.headers["content-type"], one.body) == (kind, body)


class TestWhatCanNotBeSent:
    @pytest.mark.parametrize(
        ("event", "detail"),
        [
            (
                request("GE T"),
                "'GE T' is not a method of HTTP that can be sent; write GET, POST, PUT, PATCH or DELETE",
            ),
            (request(""), "'' is not a method of HTTP"),
            (request("CONNECT"), "'CONNECT' is not a method of HTTP"),
            (request("GET / HTTP/1.1\r\nX: y\r\n\r\n"), "is not a method of HTTP"),
            (request(headers=[("x-a", "a\r\nx-evil: 1")]), "the header 'x-a' would hold a line break or a control"),
            (request(headers=[("x-a", "\x00")]), "the header 'x-a' would hold a line break or a control character"),
            (request(headers=[("x\r\na", "1")]), "is not a header name"),
            (request(headers=[("Content-Length", "9")]), "the header 'content-length' is set for you; leave it out"),
            (request(headers=[("Transfer-Encoding", "chunked")]), "'transfer-encoding' is set for you"),
            (request(headers=[("x-a", "\ud800")]), "surrogates not allowed"),
            (request(target="/\ud800"), "surrogates not allowed"),
        ],
    )
    @pytest.mark.parametrize("mode", ["structured", "batched"])
    def test_it_stays_here_and_says_why(self, mode: str, event: RequestEvent, detail: str) -> None:
        (bad, good), server = asked(always(answer(200)), [event, request("GET", "/fine", 1)], mode=mode)
        assert (bad.outcome, bad.sent_ns, bad.acked_ns, bad.answer) == (UNSENT, None, None, None)
        assert detail in bad.detail
        assert good.outcome is ACCEPTED
        assert [one.target for one in server.requests] == ["/api/fine"]

    def test_no_request_is_below_a_template(self) -> None:
        (receipt,), server = asked(always(answer(200)), request(), path="/items/{data.id}")
        assert receipt.outcome is UNSENT
        assert receipt.detail == "the url of its producer holds placeholders, so no request can be sent below it"
        assert server.requests == []


class TestStatuses:
    @pytest.mark.parametrize(
        ("status", "outcome", "detail"),
        [
            (201, ACCEPTED, ""),
            (409, ACCEPTED, ""),
            (200, REJECTED, "HTTP 200: no stock"),
            (404, REJECTED, "HTTP 404: no stock"),
            (500, REJECTED, "HTTP 500: no stock"),
        ],
    )
    @pytest.mark.parametrize("reads", [True, False])
    @pytest.mark.parametrize("mode", ["structured", "batched"])
    def test_it_is_ok_refused_or_neither_by_the_statuses_of_the_request(
        self, mode: str, status: int, outcome: Outcome, detail: str, *, reads: bool
    ) -> None:
        event = request(expect=frozenset({201}), refused=frozenset({409}), reads=reads)
        said = answer(status, b"no\n stock", "Retry-After: 7", "X-A: 1", "x-a: 2")
        (receipt,), _ = asked(always(said), event, expect="5xx", mode=mode, capture=None)
        assert (receipt.outcome, receipt.detail) == (outcome, detail)
        assert receipt.facts == {"status": status, "bytes_in": 9}
        assert receipt.capture is None
        assert receipt.sent_ns is not None
        assert receipt.acked_ns is not None
        assert receipt.sent_ns < receipt.acked_ns
        assert receipt.answer is not None
        assert receipt.answer.get("status") == status
        assert receipt.answer.get("headers") == {"content-length": "9", "retry-after": "7", "x-a": "1, 2"}
        assert receipt.answer.get("vars") is None

    def test_the_settings_for_events_are_for_events(self) -> None:
        """What a capture would look for is here, and nobody looks for it."""
        (receipt,), _ = asked(always(json_answer(b'{"id": "7"}')), request(), capture="body.id")
        assert (receipt.outcome, receipt.detail, receipt.capture) == (ACCEPTED, "", None)
        (receipt, one), _ = asked(always(json_answer(b'{"id": "7"}')), request(), plain(1), capture="body.id")
        assert (receipt.capture, one.capture, one.answer) == (None, "7", None)

    def test_answers_give_tags(self) -> None:
        tags = {"region": "headers.region", "size": "body.size"}
        said = json_answer(b'{"size": "xl"}', 200, "Region: eu")
        for reads in (True, False):
            (receipt,), _ = asked(always(said), request(reads=reads), tag=tags)
            assert receipt.facts == {"status": 200, "bytes_in": 14, "tags": "region=eu\nsize=xl"}


class TestBodies:
    @pytest.mark.parametrize(
        ("steps", "body"),
        [
            ([json_answer(b'{"id": 7, "total": 9.5}')], {"id": 7, "total": 9.5}),
            ([json_answer(b'{"id": 12345678901234567890123}')], {"id": 12345678901234567890123}),
            ([json_answer(b"[1, null]", 201)], [1, None]),
            ([json_answer(b'"x"')], "x"),
            ([answer(200, b'{"no": "content type"}')], {"no": "content type"}),
            ([json_answer(b'\xef\xbb\xbf{"bom": true}')], {"bom": True}),
            ([answer(200, b'"\xfc"', "Content-Type: application/json; charset=latin1")], "ü"),
            ([json_answer(gzip.compress(b'{"z": 1}', mtime=0), 200, "Content-Encoding: gzip")], {"z": 1}),
            ([json_answer(zlib.compress(b'{"z": 2}'), 200, "Content-Encoding: deflate")], {"z": 2}),
            ([CHUNKED + b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"], [1, 2]),
            ([CHUNKED + b"3\r\n[1,\r\n", 1.0, b"2\r\n2]\r\n0\r\n\r\n"], [1, 2]),
            ([b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", 0.1, json_answer(b"3")], 3),
            ([b"HTTP/1.1 200 X\r\n\r\n[4]", Step.CLOSE], [4]),
            ([json_answer(b"1" + b" " * (LIMIT - 1))], 1),
            ([json_answer(gzip.compress(b"2" + b" " * (LIMIT - 1), mtime=0), 200, "Content-Encoding: gzip")], 2),
        ],
        ids=[
            "json", "a long number", "a list", "a text", "no type", "mark", "latin-1", "gzip", "deflate", "chunks",
            "chunks in pieces", "hints", "to the end", "as long as may be", "unpacked as long as may be",
        ],
    )  # fmt: skip
    def test_what_is_in_a_body(self, steps: Sequence[bytes | float | Step], body: object) -> None:
        receipt = answered(*steps)
        assert receipt.outcome is ACCEPTED
        assert body_of(receipt) == body
        assert body_of(receipt) == body

    @pytest.mark.parametrize(
        ("reply", "why"),
        [
            (answer(200, b"<html>"), "HTTP 200 with a body that isn't JSON: <html>"),
            (json_answer(b'{"cut": '), "HTTP 200 with a body that isn't JSON: {\"cut\":"),
            (answer(204), "HTTP 204 with an empty body, not JSON"),
            (json_answer(b"1" + b" " * LIMIT), f"HTTP 200 with a body longer than {LIMIT} bytes"),
            (
                json_answer(gzip.compress(b"1" + b" " * LIMIT, mtime=0), 200, "Content-Encoding: gzip"),
                f"HTTP 200 with a body longer than {LIMIT} bytes",
            ),
            (
                json_answer(gzip.compress(NOISE, mtime=0), 200, "Content-Encoding: gzip"),
                f"HTTP 200 with a body longer than {LIMIT} bytes",
            ),
            (json_answer(b"{}", 200, "Content-Encoding: gzip"), "HTTP 200, but the answer is cut off or garbled"),
            (
                json_answer(gzip.compress(b'{"z": 1}', mtime=0)[:-9], 200, "Content-Encoding: gzip"),
                "HTTP 200, but the answer is cut off or garbled",
            ),
            (json_answer(gzip.compress(b"{}", mtime=0)), "HTTP 200 with a body in gzip, which it doesn't declare"),
            (json_answer(b"\x8b\x01", 200, "Content-Encoding: br"), "in 'br', a content-encoding"),
        ],
        ids=[
            "html", "cut", "empty", "long", "long unpacked", "long packed", "garbled", "cut gzip", "undeclared", "br",
        ],
    )  # fmt: skip
    def test_a_body_that_can_not_be_read_says_why_when_it_is_asked_for(self, reply: bytes, why: str) -> None:
        receipt = answered(reply)
        assert (receipt.outcome, receipt.detail) == (ACCEPTED, "")
        assert receipt.answer is not None
        for _ in range(2):
            with pytest.raises(ValueError, match="HTTP 20") as caught:
                receipt.answer.get("body")
            assert why in str(caught.value)
        assert receipt.answer.get("status") in (200, 204)
        with pytest.raises(NoDocument):
            Expression("body.id").search(receipt.answer)

    def test_what_comes_beyond_an_answer_is_none_of_it(self) -> None:
        twice = json_answer(b'{"id": 1}', 200, "X-A: 1") + json_answer(b'{"id": 2}', 500, "X-A: 2")
        receipt = answered(twice, Step.STALL)
        assert (receipt.outcome, body_of(receipt)) == (ACCEPTED, {"id": 1})
        assert receipt.facts == {"status": 200, "bytes_in": 9}
        assert receipt.answer is not None
        assert receipt.answer.get("headers") == {
            "content-length": "9",
            "content-type": "application/json",
            "x-a": "1",
        }

    def test_a_body_is_read_whatever_the_status(self) -> None:
        for status, outcome in ((409, ACCEPTED), (500, REJECTED)):
            said = json_answer(json.dumps({"why": "x" * 5000}).encode(), status)
            receipt = answered(said, refused=frozenset({409}))
            assert receipt.outcome is outcome
            assert body_of(receipt) == {"why": "x" * 5000}

    @pytest.mark.parametrize(("status", "outcome"), [(200, ACCEPTED), (500, REJECTED)])
    def test_a_body_that_is_not_looked_into_is_not_kept(self, status: int, outcome: Outcome) -> None:
        receipt = answered(json_answer(b'{"id": 1}', status), reads=False)
        assert receipt.outcome is outcome
        assert receipt.facts == {"status": status, "bytes_in": 9}
        with pytest.raises(ValueError, match=f"HTTP {status} with a body that wasn't to be kept"):
            body_of(receipt)


class TestNoAnswer:
    @pytest.mark.parametrize(
        ("steps", "detail"),
        [
            ([Step.STALL], "no answer within 5 s"),
            ([b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{", Step.STALL], "no answer within 5 s: its body was"),
            ([b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", Step.CLOSE], "truncated: connection closed before"),
            ([CHUNKED + b"2\r\n{}\r\n", Step.CLOSE], "truncated: connection closed before the last chunk"),
            ([Step.CLOSE], "connection closed without an answer"),
            ([Step.RESET], "connection reset"),
            ([b"<html>\r\n\r\n", Step.STALL], "not HTTP: "),
        ],
        ids=["timeout", "stall in the middle", "short", "short chunks", "close", "reset", "no http"],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_it_is_in_doubt(self, method: str, steps: Sequence[bytes | Step], detail: str) -> None:
        receipt = answered(*steps, method=method)
        assert (receipt.outcome, receipt.acked_ns, receipt.answer) == (IN_DOUBT, None, None)
        assert receipt.detail.startswith(detail)
        assert receipt.sent_ns is not None
        # Of an answer that broke off, its status is known.
        broke_off = detail.startswith("truncated") or ": its body was" in detail
        assert receipt.facts == ({"status": 200} if broke_off else None)

    def test_a_target_that_takes_no_connection_gets_nothing(self) -> None:
        async def main() -> list[Receipt]:
            closing = always(answer(200, b"", "Connection: close"))
            async with serving(closing) as server, producing(server.url) as publish:
                first = await publish(request())
                await server.stop()
                return [*first, *await publish(request(seq=1))]

        first, second = run(main())
        assert first.outcome is ACCEPTED
        assert (second.outcome, second.detail, second.answer) == (UNSENT, "connection refused", None)
        assert second.sent_ns is not None

    def test_what_waits_for_a_connection_too_long_is_unsent(self) -> None:
        receipts, _ = asked(always(Step.STALL), [request(), request(seq=1)], connections=1, timeout="5s")
        assert [(one.outcome, one.detail) for one in sorted(receipts)] == [
            (IN_DOUBT, "no answer within 5 s"), (UNSENT, "no free connection within 5 s"),
        ]  # fmt: skip


class TestHead:
    @pytest.mark.parametrize(
        "lines",
        [
            "Content-Length: 5000", "Content-Length: 0", "Transfer-Encoding: chunked", "X-No: length",
            "Content-Length: 5000\r\nContent-Encoding: gzip",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("status", [200, 204, 404])
    def test_its_answer_has_no_body_and_leaves_the_connection_open(self, status: int, lines: str) -> None:
        def script(one: Sent) -> Sequence[bytes | float]:
            head = f"HTTP/1.1 {status} X\r\n{lines}\r\n\r\n".encode()
            return [head[:20], 0.1, head[20:]] if one.method == "HEAD" else [json_answer(b'{"n": 1}')]

        events = [request("HEAD"), request("GET", seq=1), request("HEAD", seq=2), request("head", seq=3)]
        receipts, server = asked(script, *events, timeout="5s")
        assert [one.outcome for one in receipts] == [
            ACCEPTED if one.seq == 1 or status < 300 else REJECTED for one in receipts
        ]
        assert [(one.facts or {})["bytes_in"] for one in receipts] == [0, 8, 0, 0]
        assert body_of(receipts[1]) == {"n": 1}
        with pytest.raises(ValueError, match=f"HTTP {status} with an empty body, not JSON"):
            body_of(receipts[0])
        assert receipts[0].answer is not None
        assert receipts[0].answer.get("headers")
        assert server.connections == 1

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 X\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            b"HTTP/1.0 200 X\r\nContent-Length: 5\r\n\r\n",
            answer(200, b"stray"),
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstray\r\n0\r\n\r\n",
        ],
        ids=["close", "1.0", "a body", "chunks"],
    )
    def test_a_connection_is_not_used_again_where_it_can_not_be(self, said: bytes) -> None:
        def script(one: Sent) -> Sequence[bytes | Step]:
            return [said, Step.STALL] if one.method == "HEAD" else [answer(202)]

        receipts, server = asked(script, [request("HEAD"), request("GET", seq=1)], connections=1, timeout="5s")
        assert [(one.outcome, (one.facts or {}).get("status")) for one in receipts] == [
            (ACCEPTED, 200),
            (ACCEPTED, 202),
        ]
        assert (receipts[0].facts or {})["bytes_in"] == 0
        assert [one.connection for one in server.requests] == [0, 1]

    def test_hints_are_no_answer_yet(self) -> None:
        receipt = answered(
            b"HTTP/1.1 100 Continue\r\n\r\n", 0.1, b"HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\n", method="HEAD"
        )
        assert (receipt.outcome, receipt.detail) == (REJECTED, "HTTP 404")


ANSWERS: Final = (
    json_answer(b'{"id": "1"}'),
    json_answer(b'{"id": "2"}'),
    json_answer(b'{"id": "3"}', 409),
    json_answer(b'{"id": "4"}', 500),
    b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b'{"id": "5"}' + b"\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("capture", ["body.id", None], ids=["all is kept of events", "nothing is"])
def test_events_and_requests_share_connections_and_nothing_else(capture: str | None, seed: int) -> None:
    """Whatever went before it on its connection, and in whatever pieces it comes, each gets its own answer: what is
    known of an answer to an event, of which less is kept, doesn't stand for one to a request, nor the other way."""
    rng = random.Random(seed)
    said: dict[str, bytes] = {}

    def script(one: Sent) -> Sequence[bytes | float]:
        number = one.headers["x-number"] if "x-number" in one.headers else one.body.decode()
        whole = rng.choice(ANSWERS)
        said[number] = whole
        if one.method == "HEAD":
            whole = whole[: whole.index(b"\r\n\r\n") + 4]
        at = rng.choice([0, 0, 0, whole.index(b"\r\n\r\n") + 4, rng.randrange(len(whole))])
        return [whole[:at], 0.01, whole[at:]] if at else [whole]

    events: list[Event] = []
    for seq in range(150):
        kind = rng.choice(["event", "GET", "HEAD", "POST"])
        own = [("x-number", str(seq))]
        reads = rng.random() < 0.6
        refused = frozenset({409})
        one = plain(seq, b"%d" % seq) if kind == "event" else request(
            kind, "/x", seq, headers=own, reads=reads, refused=refused
        )  # fmt: skip
        events.append(one)
    batches = [events[first : first + 3] for first in range(0, len(events), 3)]
    receipts, server = asked(script, *batches, connections=2, capture=capture, expect=["2xx", 409])
    assert sorted(one.seq for one in receipts) == list(range(150))
    assert server.connections == 2
    for receipt in receipts:
        event, whole = events[receipt.seq], said[str(receipt.seq)]
        status = int(whole[9:12])
        assert receipt.outcome is (REJECTED if status == 500 else ACCEPTED), receipt
        number = whole.partition(b'"id": "')[2][:1].decode()
        if not isinstance(event, RequestEvent):
            assert receipt.answer is None
            assert receipt.capture == (None if status == 500 or capture is None else number)
            continue
        assert receipt.answer is not None
        bodiless = event.request.method == "HEAD"
        assert receipt.facts == {"status": status, "bytes_in": 0 if bodiless else 11}
        if event.request.reads and not bodiless:
            assert receipt.answer.get("body") == {"id": number}
        else:
            with pytest.raises(ValueError, match="empty body" if event.request.reads else "wasn't to be kept"):
                receipt.answer.get("body")


def test_a_batch_of_events_goes_out_beside_the_requests() -> None:
    events = [plain(0), request("GET", "/a", 1), plain(2), request("GET", "/b", 3)]
    receipts, server = asked(always(answer(200)), events, mode="batched")
    assert sorted((one.seq, one.outcome) for one in receipts) == [(seq, ACCEPTED) for seq in range(4)]
    assert sorted((one.method, one.target, one.body) for one in server.requests) == [
        ("GET", "/api/a", b""), ("GET", "/api/b", b""), ("POST", "/api", b"[{},{}]"),
    ]  # fmt: skip


def test_a_request_is_sent_again_under_its_number_once_it_is_settled() -> None:
    steps = iter([answer(503, b"busy", "Retry-After: 2"), answer(429, b"", "Retry-After: 1"), json_answer(b"1")])
    receipts, server = asked(lambda one: [next(steps)], request("POST"), request("POST"), request("POST"))
    assert [(one.seq, one.outcome, one.detail) for one in receipts] == [
        (0, REJECTED, "HTTP 503: busy"), (0, REJECTED, "HTTP 429"), (0, ACCEPTED, ""),
    ]  # fmt: skip
    told = [one.answer.get("headers").get("retry-after") for one in receipts if one.answer is not None]
    assert told == ["2", "1", None]
    assert len(server.requests) == 3


class Renewing(TurnedSecret):
    """Turns into another one when it is refused."""

    renewals = 0

    async def renewed(self, refused: str) -> bool:
        self.renewals += 1
        if self.value == refused:
            self.turn("new")
        return True


def guarded(one: Sent) -> Sequence[bytes]:
    """Lets in the new token, and says to whoever has another one which it was."""
    token = one.headers.get("authorization", "")
    return [answer(204)] if token == "Bearer new" else [answer(401, token.encode())]


LIVE: Final[Mapping[str, Any]] = {
    "auth": {"bearer": "{secrets.token}"},
    "headers": {"x-key": "{secrets.key}", "x-team": "shop"},
}


class TestLiveSecrets:
    def test_it_is_sent_with_the_secrets_of_the_moment(self) -> None:
        token, key = TurnedSecret("new"), TurnedSecret("k1")

        def script(one: Sent) -> Sequence[bytes]:
            key.turn(f"k{int(key.value[1:]) + 1}")
            return guarded(one)

        events = [request(seq=seq) for seq in range(3)]
        receipts, server = asked(script, *events, secrets={"token": token, "key": key}, **LIVE)
        assert [one.outcome for one in receipts] == [ACCEPTED] * 3
        assert [one.headers["x-key"] for one in server.requests] == ["k1", "k2", "k3"]
        assert server.requests[0].headers["x-team"] == "shop"

    @pytest.mark.parametrize("body", [b"", b"\r\nauthorization: Bearer mine\r\n"])
    def test_after_a_401_it_is_sent_once_more_with_renewed_secrets(self, body: bytes) -> None:
        token = Renewing("old")
        secrets = {"token": token, "key": TurnedSecret("k")}
        (receipt,), server = asked(guarded, request("PUT", body=body), secrets=secrets, **LIVE)
        assert (receipt.outcome, receipt.detail) == (ACCEPTED, "accepted after HTTP 401, once")
        assert receipt.answer is not None
        assert receipt.answer.get("status") == 204
        assert [one.headers["authorization"] for one in server.requests] == ["Bearer old", "Bearer new"]
        assert [one.body for one in server.requests] == [body] * 2

    @pytest.mark.parametrize("name", ["expect", "refused"])
    def test_a_401_that_the_request_knows_is_an_answer_like_any(self, name: str) -> None:
        token = Renewing("old")
        event = request(**{name: frozenset({401})})  # type: ignore[arg-type]
        (receipt,), server = asked(guarded, event, secrets={"token": token, "key": TurnedSecret("k")}, **LIVE)
        assert (receipt.outcome, receipt.detail, len(server.requests)) == (ACCEPTED, "", 1)
        assert token.renewals == 0

    def test_a_401_that_events_may_get_is_none_that_requests_may(self) -> None:
        token = Renewing("old")
        secrets = {"token": token, "key": TurnedSecret("k")}
        (event, asks), server = asked(guarded, plain(0), request(seq=1), secrets=secrets, expect=["2xx", 401], **LIVE)
        assert (event.outcome, event.detail) == (ACCEPTED, "")
        assert (asks.outcome, asks.detail) == (ACCEPTED, "accepted after HTTP 401, once")
        assert [one.headers["authorization"] for one in server.requests] == ["Bearer old", "Bearer old", "Bearer new"]

    def test_its_own_login_is_nobody_elses(self) -> None:
        """What is refused is the login of a user, for which the producer's must not stand in."""
        token, key = Renewing("new"), Renewing("k")
        event = request(headers=[("authorization", "Bearer mine"), ("X-KEY", "my key")])
        (receipt,), server = asked(guarded, event, secrets={"token": token, "key": key}, **LIVE)
        assert (receipt.outcome, receipt.detail) == (REJECTED, "HTTP 401: Bearer mine")
        assert [one.headers["authorization"] for one in server.requests] == ["Bearer mine"]
        assert (token.renewals, key.renewals) == (0, 0)

    def test_what_is_renewed_leaves_its_own_headers_alone(self) -> None:
        token, key = Renewing("old"), Renewing("k")
        event = request(headers=[("authorization", "Bearer mine")])
        (receipt,), server = asked(guarded, event, secrets={"token": token, "key": key}, **LIVE)
        assert receipt.outcome is REJECTED
        assert [(one.headers["authorization"], one.headers["x-key"]) for one in server.requests] == [
            ("Bearer mine", "k"), ("Bearer mine", "new"),
        ]  # fmt: skip


class Onlooker:
    """See `spi.traffic.Traffic`."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def exchanged(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def found(self, name: str, expression: str, document: Any, value: Any) -> None: ...


def test_whoever_looks_on_sees_requests_and_answers_and_changes_nothing() -> None:
    onlooker = Onlooker()
    long = json.dumps({"id": "x" * 100_000}).encode()

    def script(one: Sent) -> Sequence[bytes]:
        return [json_answer(long)] if one.method != "HEAD" else [b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n"]

    events = [
        request("POST", "/orders", headers=JSON, body=b'{"a": 1}'),
        request("HEAD", "/orders", 1),
        request("GET", "/orders", 2, reads=False),
    ]
    receipts, server = asked(script, *events, traffic=onlooker)
    assert [one.outcome for one in receipts] == [ACCEPTED] * 3
    assert body_of(receipts[0]) == json.loads(long)
    with pytest.raises(ValueError, match="wasn't to be kept"):
        body_of(receipts[2])
    assert server.connections == 1
    sent_0, sent_1, _ = (one.sent() for one in onlooker.exchanges if one.sent is not None)
    assert sent_0.head.split("\n")[0] == "POST /api/orders HTTP/1.1"
    assert sent_0.body == b'{"a": 1}'
    assert sent_1.head.split("\n")[0] == "HEAD /api/orders HTTP/1.1"
    came = [one.came() for one in onlooker.exchanges if one.came is not None]
    assert [one.head.split("\n")[0] for one in came] == ["HTTP 200"] * 3
    assert (came[0].body[:9], came[1].body) == (long[:9], b"")


class TestCookies:
    SET: Final = answer(401, b"", "Set-Cookie: a=caf\xe9; Path=/", "set-cookie: b=2", "Set-Cookie: c=3; Secure")

    @pytest.mark.parametrize(
        ("settings", "own", "expected"),
        [
            ({"cookies": True}, (), "b=2; a=caf\xe9"), ({}, (), None),
            ({"cookies": True}, (("Cookie", "mine=1"),), "mine=1"),
        ],
    )  # fmt: skip
    def test_what_any_answer_sets_is_sent_back_byte_by_byte(
        self, settings: Any, own: Any, expected: str | None
    ) -> None:
        memory: dict[str, Any] = {}
        first, second = request(memory=memory), request(seq=1, memory=memory, headers=own)
        set_it = self.SET.replace("é".encode(), b"\xe9")
        receipts, server = asked(always(set_it), first, second, **settings)
        assert [receipt.outcome for receipt in receipts] == [REJECTED, REJECTED]
        before, after = (one.headers.get("cookie") for one in server.requests)
        assert before is None
        # The bytes that came: no UTF-8.
        assert after == (None if expected is None else expected.encode("latin-1").decode("utf-8", "surrogateescape"))
        assert bool(memory) == bool(settings)

    def test_events_and_requests_of_nobody_have_none(self) -> None:
        _, server = asked(always(self.SET), request(), request(seq=1), plain(2), plain(3), cookies=True)
        assert {one.headers.get("cookie") for one in server.requests} == {None}

    def test_producers_of_one_host_share_them_whatever_the_port(self) -> None:
        memory: dict[str, Any] = {}
        asked(always(self.SET), request(memory=memory), cookies=True)
        _, server = asked(always(answer(200)), request(memory=memory), cookies=True)
        assert server.requests[0].headers["cookie"].startswith("b=2; a=")


class TestUploads:
    FILE: Final = random.Random(2).randbytes(4_000_000)

    def uploads(self, count: int) -> list[Event]:
        return [
            request("POST", seq=seq, body=Pieces((b"--b\r\n", self.FILE, b"\r\n--b--\r\n"))) for seq in range(count)
        ]

    def told(
        self, early: bool, count: int, connections: int = 100
    ) -> tuple[list[Receipt], list[tuple[int, bytes]], int]:
        """Receipts, what each connection brought (bytes of bodies, and their sha256), and the most memory in use."""
        came: list[tuple[int, bytes]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, OSError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    left, size, held = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]), 0, sha256()
                    await asyncio.sleep(1)
                    if early:
                        writer.write(answer(413))
                        break
                    while left and (portion := await reader.read(min(left, 1 << 16))):
                        left, size = left - len(portion), size + len(portion)
                        held.update(portion)
                    came.append((size, held.digest()))
                    writer.write(answer(201))
                await asyncio.sleep(1)
            writer.close()

        async def main() -> tuple[list[Receipt], int]:
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with producing(f"http://127.0.0.1:{port}", timeout="60s", connections=connections) as publish:
                tracemalloc.start()
                try:
                    receipts = await publish(self.uploads(count))
                    most = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
            server.close()
            await asyncio.sleep(5)  # so that it has noticed
            return receipts, most

        receipts, most = run(main())
        return receipts, came, most

    def test_a_large_body_goes_as_the_target_takes_it_and_no_request_has_a_copy(self) -> None:
        receipts, came, most = self.told(early=False, count=20)
        assert {receipt.outcome for receipt in receipts} == {ACCEPTED}
        whole = b"--b\r\n" + self.FILE + b"\r\n--b--\r\n"
        assert came == [(len(whole), sha256(whole).digest())] * 20
        assert most < 20_000_000, "80 MB if each had its own; a tenth of a MB is on the way to each"

    def test_an_answer_before_all_is_sent_counts_and_ends_the_connection(self) -> None:
        receipts, _, _ = self.told(early=True, count=3, connections=1)
        assert [(receipt.outcome, receipt.detail) for receipt in receipts] == [(REJECTED, "HTTP 413")] * 3

    def test_a_small_one_goes_at_once_and_the_connection_is_used_again(self) -> None:
        small = [request("POST", seq=seq, body=Pieces((b"a", b"bc"))) for seq in range(3)]
        receipts, server = asked(always(answer(201)), *small)
        assert [receipt.outcome for receipt in receipts] == [ACCEPTED] * 3
        assert [(one.body, one.connection) for one in server.requests] == [(b"abc", 0)] * 3

    def test_it_is_sent_again_whole(self) -> None:
        event = request("POST", body=Pieces((self.FILE,)))
        _, server = asked(always(answer(503)), event, event)
        assert [one.body == self.FILE for one in server.requests] == [True, True]
