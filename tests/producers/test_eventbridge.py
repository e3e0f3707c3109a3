"""The EventBridge producer against moto, and against a bus that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoRegionError
from pydantic import ValidationError

from evload.clients.aws import AwsSettings, explain
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.eventbridge import EventBridgeProducerConfig
from evload.producers.eventbridge.calls import Refusal, call_refusal, entry_refusals
from evload.spi.context import Surroundings
from evload.testing import check_producer, sample_events
from tests.servers.aws_server import REGION, AwsServer
from tests.servers.httpserver import Request, Script, Server, Step, json_answer, serving

Steps = Sequence[bytes | float | Step]
Reply = Callable[[list[dict[str, Any]]], Steps]


pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second attempt is made soon."""
    monkeypatch.setattr("evload.producers.eventbridge.publisher.random.random", lambda: 0.02)


def config_of(**settings: Any) -> EventBridgeProducerConfig:
    return EventBridgeProducerConfig.model_validate({"kind": "eventbridge", **settings})


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), "r-1", Path())


def event(seq: int = 0, body: bytes = b"{}", extras: Sequence[str] = ("b", "s", "t", "")) -> Event:
    return Event(seq, f"c-{seq}", 0, 0, 0, None, body, (("content-type", "application/json"),), extras)


def taken(entries: Sequence[Any], refused: dict[int, tuple[str, str]] | None = None) -> bytes:
    """An answer of EventBridge; `refused` has code and message by number of the entry."""
    results = [
        {"ErrorCode": refused[at][0], "ErrorMessage": refused[at][1]}
        if refused and at in refused
        else {"EventId": "x"}
        for at in range(len(entries))
    ]
    return json_answer(json.dumps({"FailedEntryCount": len(refused or ()), "Entries": results}).encode())


def error(code: str, message: str = "", status: int = 400) -> bytes:
    return json_answer(json.dumps({"__type": f"com.amazonaws.events#{code}", "message": message}).encode(), status)


def numbers(entries: Sequence[dict[str, Any]]) -> list[int]:
    """The seqs of events whose body is `{"n": seq}`."""
    return [json.loads(entry["Detail"])["n"] for entry in entries]


def bus(reply: Reply, described: bytes | None = None) -> Script:
    """A bus that exists and answers calls like that."""

    def script(request: Request) -> Steps:
        if request.headers["x-amz-target"].endswith("DescribeEventBus"):
            return [described or json_answer(b'{"Name": "b"}')]
        return reply(json.loads(request.body)["Entries"])

    return script


def calls(server: Server) -> list[list[dict[str, Any]]]:
    """The entries of each call."""
    return [
        json.loads(request.body)["Entries"]
        for request in server.requests
        if request.headers["x-amz-target"] == "AWSEvents.PutEvents"
    ]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def receipts_from(reply: Reply, events: Sequence[Event], **settings: Any) -> tuple[list[Receipt], Server]:
    """Publish in one batch; the receipts in order of seq."""

    async def run() -> tuple[list[Receipt], Server]:
        receipts: list[Receipt] = []
        async with serving(bus(reply)) as server:
            async with config_of(endpoint=server.url, **settings).open(surroundings()) as producer:
                await producer.publish(events, receipts.extend)
                await until(lambda: len(receipts) >= len(events))
            return sorted(receipts), server

    return asyncio.run(run())


def numbered(count: int) -> list[Event]:
    return [event(seq, b'{"n": %d}' % seq) for seq in range(count)]


# --- what arrives -----------------------------------------------------------------------------------------


def arrived(aws: AwsServer, name: str, **settings: Any) -> list[dict[str, Any]]:
    """Publish twenty events to a bus of moto with a rule to a queue, and return what the queue holds."""
    queue = aws.queue(name)
    aws.bus_into(name, queue)
    receipts = asyncio.run(
        check_producer(config_of(endpoint=aws.url, bus=name, **settings), SystemClock(), events=20)
    )
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.ACCEPTED}
    assert {receipt.detail for receipt in receipts.values()} == {""}
    sqs, messages = aws.client("sqs"), []
    while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        messages += [json.loads(message["Body"]) for message in found]
    return sorted(messages, key=lambda message: str(message["resources"]))


def test_the_whole_cloudevent_is_the_detail(aws: AwsServer) -> None:
    messages = arrived(aws, "whole")
    expected = sample_events(config_of().encoding(), 20, SystemClock())
    details = {message["detail"]["id"]: message["detail"] for message in messages}
    assert len(messages) == 20
    assert details == {e.correlation_id: json.loads(e.body) for e in expected}
    assert {(m["source"], m["detail-type"]) for m in messages} == {("/evload/testing", "conformance.checked")}


def test_the_envelope_carries_who_and_when(aws: AwsServer) -> None:
    message, *_ = arrived(
        aws, "envelope", detail="envelope", resources=["arn:aws:x:{seq}"], source="nedlia.perf-test"
    )
    expected = sample_events(config_of(detail="data").encoding(), 1, SystemClock())[0]
    detail = message["detail"]
    stamps = detail.pop("timestamps")
    assert detail == {
        "id": expected.correlation_id,
        "correlation_id": expected.correlation_id,
        "test_run_id": "conformance",
        "data": json.loads(expected.body),
    }
    assert stamps["produced_at"] == "2026-01-01T00:00:00.000000Z"
    assert stamps["published_at"].endswith("Z")
    assert stamps["published_at"] > "2026-01-01T00:00:00.000001Z"
    assert (message["resources"], message["source"]) == (["arn:aws:x:0"], "nedlia.perf-test")


def test_the_data_alone_is_the_detail(aws: AwsServer) -> None:
    messages = arrived(aws, "data", detail="data", detail_type="{data.group}-{type}")
    assert {frozenset(message["detail"]) for message in messages} == {frozenset({"group", "number", "text"})}
    assert all(m["detail-type"] == f"{m['detail']['group']}-conformance.checked" for m in messages)


def test_an_entry_has_what_was_asked_for_and_nothing_else() -> None:
    extras = ("büs", 'a "source"', "type", "Root=1-5759e988-bd862e3fe1be46a994272793", "arn:1", "arn:2")
    settings = {"resources": ["arn:1", "arn:2"], "trace_header": "{data.trace}"}
    _, server = receipts_from(
        lambda entries: [taken(entries)], [event(0, '{"ü": "\\n"}'.encode(), extras)], **settings
    )
    assert calls(server) == [
        [
            {
                "EventBusName": "büs",
                "Source": 'a "source"',
                "DetailType": "type",
                "Detail": '{"ü": "\\n"}',
                "Resources": ["arn:1", "arn:2"],
                "TraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
            }
        ]
    ]
    _, server = receipts_from(lambda entries: [taken(entries)], [event()])
    assert set(calls(server)[0][0]) == {"EventBusName", "Source", "DetailType", "Detail"}


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b"[1]", [1]),
        ("application/json", b"", None),
        ("text/plain", b'say "hi"', 'say "hi"'),
        ("application/vnd.x+json; charset=utf-8", b'{"a": 1}', {"a": 1}),
    ],
)
def test_any_data_fits_into_the_envelope(content_type: str, body: bytes, data: object) -> None:
    sent = Event(7, "c-7", 0, 0, 0, None, body, (("content-type", content_type),), ("b", "s", "t", "", "NOW"))
    _, server = receipts_from(lambda entries: [taken(entries)], [sent], detail="envelope")
    detail = json.loads(calls(server)[0][0]["Detail"])
    assert detail["data"] == data
    assert detail["timestamps"]["produced_at"] == "NOW"


# --- the signature ----------------------------------------------------------------------------------------


def signature(request: Request, secret: str, region: str) -> str:
    """Signature Version 4 of a request that arrived, from the specification alone."""
    fields = dict(part.strip().split("=", 1) for part in request.headers["authorization"].split(" ", 1)[1].split(","))
    signed = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            request.target,
            "",
            *[f"{name}:{request.headers[name].strip()}" for name in signed],
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    stamp = request.headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/events/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(signed)
    assert request.headers["content-length"] == str(len(request.body))
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("token", ["", "a/session+token=="])
def test_calls_are_signed(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    _, server = receipts_from(lambda entries: [taken(entries)], numbered(25), region="eu-central-1")
    puts = [request for request in server.requests if request.headers["x-amz-target"] == "AWSEvents.PutEvents"]
    assert len(puts) == 3
    for request in puts:
        authorization = request.headers["authorization"]
        assert authorization.startswith("AWS4-HMAC-SHA256 Credential=testing/")
        assert authorization.endswith(f"Signature={signature(request, 'wJalrXUtnFEMI/K7MDENG', 'eu-central-1')}")
        assert request.headers.get("x-amz-security-token", "") == token
        assert ("x-amz-security-token" in authorization) == bool(token)


def test_a_profile_assumes_a_role(aws: AwsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = base-key\naws_secret_access_key = s\n"
        "[profile tester]\nrole_arn = arn:aws:iam::123456789012:role/tester\nsource_profile = base\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    receipts, server = receipts_from(lambda entries: [taken(entries)], [event()], profile="tester")
    assert [r.outcome for r in receipts] == [Outcome.ACCEPTED]
    put = server.requests[-1]
    assert put.headers["x-amz-security-token"]
    assert "Credential=base-key/" not in put.headers["authorization"]


def test_renewed_credentials_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import Credentials

    keys = iter(f"key-{number}" for number in range(10_000))

    async def frozen(self: Credentials) -> Any:
        return Credentials(next(keys), "secret").get_frozen_credentials()

    monkeypatch.setattr("aiobotocore.credentials.AioCredentials.get_frozen_credentials", frozen)
    monkeypatch.setattr("evload.producers.eventbridge.calls._RENEW_NS", 1_000_000)

    async def run() -> list[Request]:
        receipts: list[Receipt] = []
        async with serving(bus(lambda entries: [taken(entries)])) as server:
            async with config_of(endpoint=server.url).open(surroundings()) as producer:
                for seq in range(2):
                    await producer.publish([event(seq)], receipts.extend)
                    await until(lambda: len(receipts) == seq + 1)  # noqa: B023 (awaited at once)
                    await asyncio.sleep(0.05)
            return server.requests[-2:]

    first, second = asyncio.run(run())
    assert first.headers["authorization"].split("/")[0] != second.headers["authorization"].split("/")[0]


# --- calls and their size ---------------------------------------------------------------------------------


def test_ten_entries_go_into_a_call() -> None:
    receipts, server = receipts_from(lambda entries: [taken(entries)], numbered(25))
    assert [len(entries) for entries in calls(server)] == [10, 10, 5]
    assert sorted(n for entries in calls(server) for n in numbers(entries)) == list(range(25))
    assert Counter(r.outcome for r in receipts) == {Outcome.ACCEPTED: 25}
    _, server = receipts_from(lambda entries: [taken(entries)], numbered(5), batch=2)
    assert [len(entries) for entries in calls(server)] == [2, 2, 1]


def test_a_call_holds_no_more_bytes_than_eventbridge_takes() -> None:
    """Source and detail type count 2 bytes; the details are made so that two fill a call to the last byte."""

    def sized(seq: int, size: int) -> Event:
        return event(seq, b'"%b"' % (b"x" * (size - 4)))

    half = 256 * 1024 // 2
    _, server = receipts_from(lambda e: [taken(e)], [sized(seq, half) for seq in range(4)])
    assert [len(entries) for entries in calls(server)] == [2, 2]
    _, server = receipts_from(lambda e: [taken(e)], [sized(0, half), sized(1, half + 1), sized(2, half - 1)])
    assert [len(entries) for entries in calls(server)] == [1, 2]


def test_an_entry_that_is_too_large_is_rejected_and_not_sent() -> None:
    extras = ("b", "söurce", "type", "", "arn:aws:ü")
    fixed = len("söurce".encode()) + len("type") + len("arn:aws:ü".encode())

    def sized(seq: int, size: int) -> Event:
        return event(seq, b'"%b"' % (b"x" * (size - fixed - 2)), extras)

    receipts, server = receipts_from(
        lambda e: [taken(e)], [sized(0, 2001), sized(1, 2000)], max_size="2KB", resources=["arn:aws:ü"]
    )
    assert [len(entries) for entries in calls(server)] == [1]
    assert [r.outcome for r in receipts] == [Outcome.REJECTED, Outcome.ACCEPTED]
    assert receipts[0].detail == "the entry has 2001 bytes, and EventBridge takes 2000; it was not sent"
    assert receipts[0].sent_ns == receipts[0].acked_ns is not None


# --- outcomes ---------------------------------------------------------------------------------------------


def test_entries_that_fail_in_a_call_that_succeeds_are_settled_one_by_one() -> None:
    refused = {3: ("MalformedDetail", "Detail is malformed."), 7: ("NotAuthorizedForSourceException", "")}
    receipts, server = receipts_from(lambda entries: [taken(entries, refused)], numbered(10))
    assert len(calls(server)) == 1
    assert [r.seq for r in receipts if r.outcome is Outcome.REJECTED] == [3, 7]
    assert [r.detail for r in receipts if r.detail] == [
        "MalformedDetail: Detail is malformed.",
        "NotAuthorizedForSourceException",
    ]
    assert all(r.acked_ns is not None and r.sent_ns is not None and r.sent_ns < r.acked_ns for r in receipts)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_throttled_entries_are_sent_again_and_say_so(code: str) -> None:
    seen: Counter[int] = Counter()

    def reply(entries: list[dict[str, Any]]) -> Steps:
        seen.update(numbers(entries))
        return [taken(entries, {at: (code, "slow down") for at, n in enumerate(numbers(entries)) if seen[n] <= n})]

    receipts, server = receipts_from(reply, numbered(4))
    assert [numbers(entries) for entries in calls(server)] == [[0, 1, 2, 3], [1, 2, 3], [2, 3]]
    assert [(r.outcome, r.detail) for r in receipts] == [
        (Outcome.ACCEPTED, ""),
        (Outcome.ACCEPTED, f"accepted after {code}, once"),
        (Outcome.ACCEPTED, f"accepted after {code}, 2 times"),
        (Outcome.REJECTED, f"{code}: slow down (after 3 attempts)"),
    ]
    assert len({r.sent_ns for r in receipts}) == 1, "sent_ns is that of the first attempt"


@pytest.mark.parametrize(
    ("answers", "outcome", "detail"),
    [
        ([error("ThrottlingException", "Rate exceeded"), b""], Outcome.ACCEPTED, "after ThrottlingException, once"),
        ([json_answer(b"<html>", 503), b""], Outcome.ACCEPTED, "accepted after HTTP 503, once"),
        ([error("InternalException", "", 500)] * 2 + [b""], Outcome.ACCEPTED, "InternalException, 2 times"),
        (
            [json_answer(b"{}", 400, "x-amzn-ErrorType: SlowDown:http://x/")] * 3,
            Outcome.REJECTED,
            "SlowDown (after 3",
        ),
        ([error("AccessDeniedException", "no\n right")], Outcome.REJECTED, "AccessDeniedException: no right"),
        ([error("ExpiredTokenException", "expired")], Outcome.REJECTED, "ExpiredTokenException: expired"),
        (
            [error("InvalidSignatureException", "Signature expired: 20261120T1 is now earlier than 20261120T2")],
            Outcome.REJECTED,
            "InvalidSignatureException: Signature expired: 20261120T1 is now earlier",
        ),
        ([json_answer(b"[]", 404)], Outcome.REJECTED, "HTTP 404"),
    ],
)
def test_a_refused_call(answers: list[bytes], outcome: Outcome, detail: str) -> None:
    left = iter(answers)
    receipts, server = receipts_from(lambda entries: [next(left) or taken(entries)], numbered(3))
    assert {r.outcome for r in receipts} == {outcome}
    assert detail in receipts[0].detail
    assert len(calls(server)) == len(answers)
    assert all(r.acked_ns is not None for r in receipts)


@pytest.mark.parametrize("status", [400, 429, 499, 500, 501, 502, 503, 504, 505])
def test_the_statuses_after_which_a_call_is_made_again(status: int) -> None:
    again = status in (429, 500, 502, 503, 504)
    assert call_refusal(status, [], b"") == Refusal(f"HTTP {status}", "", again)


def test_what_is_refused_is_refused_also_where_nobody_counts_it() -> None:
    entries = [
        {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"},
        {"ErrorCode": "Denied"},
        {"EventId": "1"},
    ]
    told = [Refusal("InternalFailure", "try again", True), Refusal("Denied", "", False), None]
    for count in (0, 2, None):
        for answered in (entries, entries[:2], entries[2:]):
            document = {"Entries": answered} | ({} if count is None else {"FailedEntryCount": count})
            found = entry_refusals(json.dumps(document).encode(), len(answered))
            assert found == [told[entries.index(entry)] for entry in answered]
    with pytest.raises(ValueError, match="not an answer of EventBridge"):
        entry_refusals(b'{"FailedEntryCount": 0, "Entries": ["taken"]}', 1)


def test_no_retries_are_an_option() -> None:
    receipts, server = receipts_from(lambda _: [error("ThrottlingException", "x")], numbered(1), retries=0)
    assert [(r.outcome, r.detail) for r in receipts] == [(Outcome.REJECTED, "ThrottlingException: x")]
    assert len(calls(server)) == 1


def test_the_retry_quota_of_the_sdk_ends_a_storm_of_retries() -> None:
    """500 tokens at 5 a call: a hundred calls are sent again, and no more."""
    _, server = receipts_from(lambda _: [error("ThrottlingException")], numbered(150), batch=1, retries=1)
    assert len(calls(server)) == 250


@pytest.mark.parametrize(
    ("steps", "detail"),
    [
        ([Step.RESET], "connection reset"),
        ([Step.CLOSE], "connection closed without an answer"),
        ([Step.STALL], "no answer within 1 s"),
        ([json_answer(b"not json")], "answered with 200 and not an answer of EventBridge"),
        ([json_answer(b'{"FailedEntryCount": 0, "Entries": []}')], "answered with 200 and 0 results for 3 entries"),
        ([json_answer(b'{"Entries": [1, 2, 3]}')], "answered with 200 and not an answer of EventBridge"),
    ],
)
def test_what_has_no_answer_is_in_doubt_and_never_sent_again(steps: Steps, detail: str) -> None:
    receipts, server = receipts_from(lambda _: steps, numbered(3), timeout="1s" if "1 s" in detail else "20s")
    assert [(r.outcome, r.detail, r.acked_ns) for r in receipts] == [(Outcome.IN_DOUBT, detail, None)] * 3
    assert all(r.sent_ns is not None for r in receipts)
    assert len(calls(server)) == 1


# --- open loop --------------------------------------------------------------------------------------------


def test_a_slow_call_holds_up_nothing() -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        stall: list[bytes | float | Step] = [Step.STALL]
        script = bus(lambda entries: stall if 0 in numbers(entries) else [taken(entries)])
        async with serving(script) as server, config_of(endpoint=server.url).open(surroundings()) as producer:
            for item in numbered(20):
                await producer.publish([item], receipts.extend)
            await until(lambda: len(receipts) == 19)
            assert 0 not in [r.seq for r in receipts]
        return receipts

    receipts = asyncio.run(run())
    assert [r.outcome for r in sorted(receipts)] == [Outcome.IN_DOUBT] + [Outcome.ACCEPTED] * 19


def test_calls_at_a_time_are_limited_and_what_waits_is_gathered() -> None:
    async def run() -> Server:
        receipts: list[Receipt] = []
        script = bus(lambda entries: [0.02, taken(entries)])
        async with serving(script) as server:
            settings = config_of(endpoint=server.url, concurrency=2)
            async with settings.open(surroundings()) as producer:
                for item in numbered(42):
                    await producer.publish([item], receipts.extend)
                await until(lambda: len(receipts) == 42)
            return server

    server = asyncio.run(run())
    assert [len(entries) for entries in calls(server)] == [1, 1, 10, 10, 10, 10]
    assert server.most_open == 2


def test_what_waits_longer_than_the_timeout_is_unsent() -> None:
    receipts, server = receipts_from(lambda _: [Step.STALL], numbered(3), batch=1, concurrency=1, timeout="1s")
    assert [r.outcome for r in receipts] == [Outcome.IN_DOUBT, Outcome.UNSENT, Outcome.UNSENT]
    assert receipts[1].detail == "1 calls were under way for 1 s"
    assert receipts[1].sent_ns is None
    assert len(calls(server)) == 1


def test_a_refused_connection_leaves_events_unsent() -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        script = bus(lambda entries: [taken(entries)])
        async with serving(script) as server, config_of(endpoint=server.url).open(surroundings()) as producer:
            await server.stop()
            await asyncio.sleep(0.05)
            await producer.publish(numbered(15), receipts.extend)
            await until(lambda: len(receipts) == 15)
        return receipts

    receipts = asyncio.run(run())
    assert {(r.outcome, r.detail, r.acked_ns) for r in receipts} == {(Outcome.UNSENT, "connection refused", None)}
    assert all(r.sent_ns is not None for r in receipts), "it was tried"


def test_what_is_left_on_close_is_settled() -> None:
    """One in flight, one refused and resting, the others waiting; and one published too late."""

    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []

        def reply(entries: list[dict[str, Any]]) -> Steps:
            return [error("ThrottlingException")] if numbers(entries) == [0] else [Step.STALL]

        async with serving(bus(reply)) as server:
            settings = config_of(endpoint=server.url, batch=1, concurrency=1, retries=20)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("evload.producers.eventbridge.publisher.random.random", lambda: 60.0)
                async with settings.open(surroundings()) as producer:
                    await producer.publish(numbered(4), receipts.extend)
                    await until(lambda: len(calls(server)) == 2)
                    assert receipts == []
            await producer.publish([event(4)], receipts.extend)
            await until(lambda: len(receipts) == 5)
        return sorted(receipts)

    receipts = asyncio.run(run())
    assert [(r.outcome, r.detail) for r in receipts] == [
        (Outcome.REJECTED, "ThrottlingException"),
        (Outcome.IN_DOUBT, "no answer before the end"),
        (Outcome.UNSENT, "not sent before the end"),
        (Outcome.UNSENT, "not sent before the end"),
        (Outcome.UNSENT, "not sent before the end"),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_every_event_is_settled_exactly_once_in_chaos(seed: int) -> None:
    """What the bus says it took is accepted, or in doubt if it couldn't be heard; nothing else is accepted."""
    rng = random.Random(seed)
    took: set[int] = set()

    def reply(entries: list[dict[str, Any]]) -> Steps:
        kind = rng.randrange(8)
        if kind == 0:
            return [error(rng.choice(["ThrottlingException", "AccessDeniedException", "InternalFailure"]))]
        if kind == 1:
            return [rng.choice([Step.RESET, Step.CLOSE])]
        if kind == 2:
            return [b"HTTP/1.1 200 OK\r\nContent-Le", Step.CLOSE]
        codes = [("ThrottlingException", ""), ("MalformedDetail", "")]
        refused = {at: rng.choice(codes) for at in range(len(entries)) if rng.random() < 0.2}
        took.update(n for at, n in enumerate(numbers(entries)) if at not in refused)
        return [0.001, taken(entries, refused)] if kind < 6 else [0.001, taken(entries, refused), Step.CLOSE]

    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        async with (
            serving(bus(reply)) as server,
            config_of(endpoint=server.url, concurrency=4).open(surroundings()) as producer,
        ):
            events = numbered(400)
            while events:
                count = rng.randrange(1, 30)
                batch, events = events[:count], events[count:]
                await producer.publish(batch, receipts.extend)
                await asyncio.sleep(rng.random() * 0.002)
            if seed % 2:
                await until(lambda: len(receipts) >= 400)
        return receipts

    receipts = asyncio.run(run())
    assert sorted(r.seq for r in receipts) == list(range(400))
    accepted = {r.seq for r in receipts if r.outcome is Outcome.ACCEPTED}
    in_doubt = {r.seq for r in receipts if r.outcome is Outcome.IN_DOUBT}
    assert accepted <= took
    assert took <= accepted | in_doubt
    assert accepted


# --- before the run ---------------------------------------------------------------------------------------


def opening(**settings: Any) -> str:
    """The error with which opening fails."""

    async def run() -> None:
        async with config_of(**settings).open(surroundings()):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opening_with(described: bytes, **settings: Any) -> str:
    async def run() -> str:
        async with serving(bus(lambda entries: [taken(entries)], described)) as server:
            return await asyncio.to_thread(opening, endpoint=server.url, **settings)

    return asyncio.run(run())


def test_a_missing_bus_is_noticed(aws: AwsServer) -> None:
    expected = f"there is no event bus 'nowhere' in {REGION}; create it, or correct bus or region"
    assert opening(endpoint=aws.url, bus="nowhere") == expected


def test_a_bus_that_may_not_be_described_may_still_take_events() -> None:
    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        script = bus(lambda entries: [taken(entries)], error("AccessDeniedException", "not authorized"))
        async with serving(script) as server, config_of(endpoint=server.url).open(surroundings()) as producer:
            await producer.publish([event()], receipts.extend)
            await until(lambda: len(receipts) == 1)
        return receipts

    assert [r.outcome for r in asyncio.run(run())] == [Outcome.ACCEPTED]


def test_a_bus_of_a_template_is_not_looked_for(aws: AwsServer) -> None:
    queue = aws.queue("templated-a")
    aws.bus_into("templated-a", queue)
    settings = config_of(endpoint=aws.url, bus="templated-{choice:a}")
    receipts = asyncio.run(check_producer(settings, SystemClock(), events=3))
    assert {r.outcome for r in receipts.values()} == {Outcome.ACCEPTED}


def over_tls(certificate: Path) -> list[Receipt]:
    """Publish an event to a bus behind this certificate. The bus is a template's, so that the SDK calls nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def run() -> list[Receipt]:
        receipts: list[Receipt] = []
        async with (
            serving(bus(lambda entries: [taken(entries)]), context) as server,
            config_of(endpoint=server.url, bus="b-{choice:a}").open(surroundings()) as producer,
        ):
            await producer.publish([event()], receipts.extend)
            await until(lambda: len(receipts) == 1)
        return receipts

    return asyncio.run(run())


def test_the_bundle_of_the_sdk_is_trusted_and_nobody_else(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match=r"can't connect to https://.*: TLS: certificate not accepted: self-signed"):
        over_tls(certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    assert [receipt.outcome for receipt in over_tls(certificate)] == [Outcome.ACCEPTED]
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(TargetError) as caught:
        over_tls(certificate)
    assert str(caught.value) == "can't use AWS_CA_BUNDLE /nowhere.pem: no such file or directory; name a PEM file"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UnrecognizedClientException", "AWS doesn't know these credentials"),
        ("ExpiredTokenException", "the AWS credentials have expired"),
        ("InvalidSignatureException", "check the secret key, and this machine's clock"),
    ],
)
def test_credentials_that_are_no_use_are_noticed(code: str, text: str) -> None:
    said = opening_with(error(code, "The security token\nis invalid."), bus="b")
    assert said.startswith("can't look at event bus 'b': ")
    assert text in said


def test_nobody_to_call_as(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert opening(endpoint="http://127.0.0.1:9").startswith("no AWS credentials: ")


def test_an_unknown_profile() -> None:
    assert opening(profile="nobody").startswith("there is no AWS profile 'nobody'; correct profile")


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert opening() == "no AWS region is set; add region: to the config, or set AWS_REGION"
    assert "no AWS region" in explain(NoRegionError(), AwsSettings())


def test_an_endpoint_that_nobody_listens_on() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        said = opening(endpoint=url)
    assert said == (
        f"can't look at event bus 'default': can't connect to {url}/; "
        "start what should listen there, or correct endpoint"
    )


def test_an_unknown_region() -> None:
    trouble = EndpointConnectionError(endpoint_url="https://events.eu-west-9.amazonaws.com/")
    said = explain(trouble, AwsSettings(region="eu-west-9"))
    assert said.startswith("can't connect to https://events.eu-west-9.amazonaws.com/, and the SDK knows no region")
    assert "did you mean 'eu-west-" in said
    assert explain(trouble, AwsSettings(region="eu-west-1")).endswith("check the network and the region")


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioboto3", None)
    assert opening() == "kind eventbridge needs aioboto3; pip install 'evload[aws]'"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bus": "my bus"}, "'my bus' is not an event bus; write its name, or an ARN such as arn:aws:events:"),
        ({"bus": "arn:aws:sqs:eu-west-1:123456789012:q"}, "is not an event bus;"),
        ({"bus": ""}, "at least 1 character"),
        ({"region": "Ireland"}, "'Ireland' is not the name of a region; write one such as eu-west-1"),
        ({"profile": ""}, "at least 1 character"),
        ({"endpoint": "localhost:4566"}, "'localhost:4566' has no scheme; write an address"),
        ({"detail": "body"}, "Input should be 'event', 'envelope' or 'data'"),
        ({"source": ""}, "at least 1 character"),
        ({"batch": 11}, "less than or equal to 10"),
        ({"max_size": "1MBit"}, "'1MBit' is not a size; write a size such as"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"timeout": 5}, "5 is not a duration; write a number with a unit"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"detailtype": "x"}, "Extra inputs are not permitted"),
        ({"role": "arn:aws:iam::1:role/x"}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config_of(**settings)
    assert message in str(caught.value)


def test_what_is_left_out_is_as_eventbridge_takes_it() -> None:
    assert EventBridgeProducerConfig.model_validate({"kind": "eventbridge"}).model_dump(mode="json") == {
        "kind": "eventbridge", "region": None, "profile": None, "endpoint": None, "bus": "default",
        "source": "{source}", "detail_type": "{type}", "detail": "event", "resources": [], "trace_header": None,
        "batch": 10, "max_size": 262_144, "concurrency": 64, "timeout": "10s", "retries": 2,
        "in_flight": 100_000, "when_full": "wait", "ordered": False,
    }  # fmt: skip
