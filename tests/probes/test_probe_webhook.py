"""The webhook probe: what is posted to it, in every shape, and what it makes of strangers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import gzip
import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clients.host_port import HostPort, parse_host_port
from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import Encoding, Read, ReadResult, Target
from evload.probes._shared.pushed import PushedReader
from evload.probes.webhook import WebhookProbeConfig
from evload.probes.webhook.delivery import BadDelivery, documents_of
from evload.probes.webhook.receiver import WebhookReceiver
from evload.spi.context import Surroundings
from evload.spi.probe import PushProbe
from evload.testing import check_probe, sample_events

IDS: Final = CorrelationIds.for_run("r-1")
A, B, C = (Target(seq, IDS.id_of(seq)) for seq in (1, 2, 3))
ZIPPED: Final = gzip.compress(json.dumps({"correlationid": A.correlation_id}).encode(), mtime=0)
PRESENT, ABSENT, FAILED = Seen.PRESENT, Seen.ABSENT, Seen.FAILED

Post = Callable[..., Awaitable[int]]
"""Posts a body with headers, and gives the status of the answer."""


class Told:
    """What the probe has reported."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.strange, self.example = 0, ""
        self.errors: list[str] = []

    def __call__(self, result: ReadResult) -> None:
        assert result.reads or result.strange or result.error
        self.strange += result.strange
        self.example = self.example or result.example
        self.reads += result.reads
        if result.error:
            self.errors.append(result.error)


def config_of(**settings: Any) -> WebhookProbeConfig:
    return WebhookProbeConfig.model_validate({"kind": "webhook", "listen": "127.0.0.1:0", **settings})


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), "r-1", Path())


def serve(what: Callable[[PushProbe, Post], Awaitable[None]], **settings: Any) -> Told:
    async def run() -> Told:
        told = Told()
        async with config_of(**settings).open(surroundings()) as probe, aiohttp.ClientSession() as session:
            assert isinstance(probe, WebhookReceiver)
            assert isinstance(probe, PushProbe)

            async def post(
                body: object, headers: Mapping[str, str] | None = None, path: str = "/", **more: Any
            ) -> int:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                url = f"http://127.0.0.1:{probe.port}{path}"
                async with session.request(more.get("method", "POST"), url, data=data, headers=headers) as response:
                    return response.status

            listening = asyncio.create_task(probe.listen(told))
            await what(probe, post)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            listening.cancel()
            await asyncio.wait([listening])
            assert listening.cancelled()
        return told

    return asyncio.run(run())


async def looked(probe: PushProbe, *targets: Target) -> tuple[list[Seen], str]:
    result = await probe.read(targets)
    return [read.seen for read in result.reads], result.error


def test_each_delivery_is_exact_and_one_effect() -> None:
    moments: list[int] = []

    async def what(probe: PushProbe, post: Post) -> None:
        moments.append(time.perf_counter_ns())
        for target in (A, B, A):
            assert await post({"correlation_id": target.correlation_id}) == 202
        moments.append(time.perf_counter_ns())
        assert await looked(probe, C) == ([ABSENT], "")

    told = serve(what)
    assert [read.seq for read in told.reads] == [1, 2, 1]
    for read in told.reads:
        assert moments[0] < read.start_ns == read.end_ns < moments[1]
        assert (read.seen, read.exact, read.effects, read.position) == (PRESENT, True, None, None)
    assert told.errors == []


@pytest.mark.parametrize("mode", ["structured", "binary", "plain"])
def test_events_as_evload_itself_would_send_them(mode: Literal["structured", "binary", "plain"]) -> None:
    events = sample_events(Encoding(mode=mode), 3, SystemClock(), "r-1")

    async def what(probe: PushProbe, post: Post) -> None:
        for event in events:
            assert await post(event.body, dict(event.headers)) == 202

    assert [read.seq for read in serve(what).reads] == ([] if mode == "plain" else [0, 1, 2])


def test_a_batch_is_as_many_deliveries() -> None:
    events = sample_events(Encoding(mode="structured"), 3, SystemClock(), "r-1")
    batch = [5, *(json.loads(event.body) for event in events), {"id": "other"}]

    async def what(probe: PushProbe, post: Post) -> None:
        assert await post(batch, {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}) == 202
        assert await post(batch, {"Content-Type": "application/json"}) == 202
        assert await post([], {"Content-Type": "application/cloudevents-batch+json"}) == 202

    assert [read.seq for read in serve(what).reads] == [0, 1, 2]


def test_a_binary_event_may_carry_anything() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        for body in (b"", b"\xff\xfe", b"<xml/>", b'{"a": 1}'):
            headers = {"ce-specversion": "1.0", "CE-CorrelationId": A.correlation_id, "Content-Type": "text/xml"}
            assert await post(body, headers) == 202
        encoded = A.correlation_id.replace("-", "%2d")
        assert await post(b"", {"ce-specversion": "1.0", "ce-correlationid": encoded}) == 202

    assert [read.seq for read in serve(what).reads] == [1] * 5


def test_what_a_delivery_says() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        for number in (4, "many", None):
            body = {"row": [A.correlation_id], "n": number, "at": "2026-01-01T00:00:00Z", "ok": [1]}
            assert await post(body, {"X-Replica": "r-2"}) == 202
        assert await post({"row": [B.correlation_id], "ok": []}) == 202

    told = serve(
        what, match="body.row[0]", visible="body.ok", position="body.n", version="body.n",
        consumed_at="body.at", processed_at="body.at",
    )  # fmt: skip
    first, second, third = told.reads
    at = 1_767_225_600_000_000_000
    assert first[4:11] == (None, None, 4, at, at, True, 4)
    assert second[4:11] == (None, None, None, None, None, True, None)
    assert third[4:11] == (None, None, None, at, at, True, None)
    assert told.errors == ["'body.n' gives text, not a number"]


@pytest.mark.parametrize(
    ("body", "headers", "strange", "example"),
    [
        ({"id": "somebody else's"}, {}, 1, '{"id":"somebody else\'s"}'),
        ({"id": CorrelationIds.for_run("r-2").id_of(1)}, {}, 0, ""),
        ({"correlationId": CorrelationIds.for_run("r-2").id_of(1).upper()}, {}, 0, ""),
        ({"id": 5}, {}, 1, '{"id":5}'),
        ([], {}, 1, "[]"),
        ("text", {}, 1, "text"),
        (None, {}, 1, "null"),
        (5, {}, 1, "5"),
        ({"data": {"password": "hunter2"}}, {}, 1, '{"data":{"password":"***"}}'),
        ({}, {"ce-specversion": "1.0", "ce-correlationid": "%ff%zz"}, 1, "{}"),
    ],
)
def test_what_is_none_of_ours_is_taken_and_counted_unless_it_is_another_runs(
    body: object, headers: dict[str, str], strange: int, example: str
) -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        assert await post(body, headers) == 202
        assert await looked(probe, A) == ([ABSENT], "")

    told = serve(what)
    assert (told.reads, told.errors) == ([], [])
    assert (told.strange, told.example) == (strange, example)


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"", {}, 400, "the body isn't JSON"),
        (b"<html>", {}, 400, "the body isn't JSON: <html>"),
        (b"\xff\x00", {}, 400, "the body isn't JSON"),
        (b"[" * 900, {}, 400, "the body isn't JSON: [["),
        (
            {},
            {"Content-Type": "application/cloudevents-batch+json"},
            400,
            "a batch of CloudEvents must be a JSON list",
        ),
        (b" " * 1001, {}, 413, "the body is longer than 1000 bytes"),
        (
            gzip.compress(b" " * 100_000, mtime=0),
            {"Content-Encoding": "gzip"},
            413,
            "the body is longer than 1000 bytes",
        ),
        (b"plain", {"Content-Encoding": "gzip"}, 400, "the body can't be read"),
    ],
)
def test_what_has_to_be_refused_may_have_been_about_any_event(
    body: object, headers: dict[str, str], status: int, reason: str
) -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        assert await looked(probe, A) == ([ABSENT], "")
        assert await post(body, headers) == status
        seen, error = await looked(probe, A, B)
        assert seen == [FAILED, FAILED]
        assert error.startswith(f"a delivery was refused with HTTP {status}: {reason}")
        assert await post({"id": B.correlation_id}) == 202

    told = serve(what, max_body="1KB")
    assert [read.seq for read in told.reads] == [2]
    assert len(told.errors) == 1


def test_a_delivery_that_grows_beyond_all_bounds() -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 10_000

    async def what(probe: PushProbe, post: Post) -> None:
        assert isinstance(probe, WebhookReceiver)
        async with aiohttp.ClientSession() as session:
            # The client may be cut off before it has read the answer.
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(f"http://127.0.0.1:{probe.port}/", data=endless()) as response:
                    assert response.status == 413
        assert await post({"id": A.correlation_id}) == 202

    told = serve(what, max_body="1MB")
    assert told.errors == ["a delivery was refused with HTTP 413: the body is longer than 1000000 bytes"]
    assert [read.seq for read in told.reads] == [1]


@pytest.mark.parametrize(("callers", "status"), [(5, 202), (6, 503)])
def test_deliveries_that_are_too_much_together(callers: int, status: int) -> None:
    """Each of them is well within the limit; beyond 4 MiB more than one may have, the next one is refused."""
    begun, go_on = 0, asyncio.Event()

    async def what(probe: PushProbe, post: Post) -> None:
        assert isinstance(probe, WebhookReceiver)

        async def body() -> Any:
            nonlocal begun
            yield b" " * 900_000
            begun += 1
            await go_on.wait()
            yield json.dumps({"id": A.correlation_id}).encode()

        async def deliver() -> int:
            async with session.post(f"http://127.0.0.1:{probe.port}/", data=body()) as response:
                return response.status

        async with aiohttp.ClientSession() as session:
            under_way = [asyncio.create_task(deliver()) for _ in range(callers)]
            while begun < callers or (status == 503 and not any(task.done() for task in under_way)):
                await asyncio.sleep(0.01)
            go_on.set()
            assert sorted(await asyncio.gather(*under_way)) == [202] * 5 + [status] * (callers - 5)
        absent = await looked(probe, B)
        assert absent == (([ABSENT], "") if status == 202 else ([FAILED], absent[1]))

    told = serve(what, max_body="1MB")
    assert told.errors == (
        []
        if status == 202
        else ["a delivery was refused with HTTP 503: the bodies under way are together longer than 5194304 bytes"]
    )


def test_other_paths_and_methods() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        body = {"id": A.correlation_id}
        assert await post(body, path="/") == 404
        assert await post(body, path="/hooks/x") == 404
        assert await post(body, path="/hooks?x=1", method="GET") == 405
        assert await looked(probe, A) == ([ABSENT], "")
        assert await post(body, path="/hooks?x=1") == 202

    assert [read.seq for read in serve(what, path="/hooks").reads] == [1]


def test_the_secret() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        body = {"id": A.correlation_id}
        assert await post(body) == 401
        assert await post(body, {"X-Token": "wrong"}) == 401
        assert await post(b"junk", {"X-Token": "gehe\u00efm"}) == 401
        assert await looked(probe, A) == ([ABSENT], "")
        assert await post(body, {"x-token": "geheïm!"}) == 202

    told = serve(what, secret={"header": "X-Token", "value": "geheïm!"})
    assert ([read.seq for read in told.reads], told.errors) == ([1], [])


def test_strangers_neither_end_it_nor_are_heard_of(caplog: pytest.LogCaptureFixture) -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        assert isinstance(probe, WebhookReceiver)
        for said in (
            b"\x16\x03\x01\x02\x00",
            b"GET\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", probe.port)
            writer.write(said)
            await reader.read(100)
            writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", probe.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
        assert await post({"id": A.correlation_id}) == 202

    assert [read.seq for read in serve(what).reads] == [1]
    assert caplog.records == []


def test_nothing_is_left_of_what_strangers_sent() -> None:
    """Not until somebody looks for what nobody needs any more, which takes its time where memory isn't counted."""

    async def what(probe: PushProbe, post: Post) -> None:
        assert isinstance(probe, WebhookReceiver)
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", probe.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100_000)
            # It is refused and hung up on, be it in the middle.
            with contextlib.suppress(OSError):
                await writer.drain()
                await reader.read()
            writer.transport.abort()
        await asyncio.sleep(0)
        assert tracemalloc.get_traced_memory()[0] < 2e6

    gc.disable()
    tracemalloc.start()
    try:
        serve(what)
    finally:
        tracemalloc.stop()
        gc.enable()


def test_what_came_before_listening_is_not_lost() -> None:
    async def run() -> None:
        told = Told()
        async with config_of().open(surroundings()) as probe, aiohttp.ClientSession() as session:
            assert isinstance(probe, WebhookReceiver)
            body = {"id": A.correlation_id}
            async with session.post(f"http://127.0.0.1:{probe.port}/", json=body) as response:
                assert response.status == 202
            listening = asyncio.create_task(probe.listen(told))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            listening.cancel()
        assert [read.seq for read in told.reads] == [1]

    asyncio.run(run())


def test_many_at_the_same_time() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        statuses = await asyncio.gather(*(post({"id": IDS.id_of(seq)}) for seq in range(300)))
        assert statuses == [202] * 300

    assert sorted(read.seq for read in serve(what).reads) == list(range(300))


def test_it_does_what_the_engine_relies_on() -> None:
    reads = asyncio.run(check_probe(config_of(bulk=2), SystemClock(), [A, B, C]))
    assert {read.seen for read in reads.values()} == {ABSENT}


# --- where it listens ---------------------------------------------------------------------------------------


def refused(listen: str) -> str:
    async def run() -> None:
        async with config_of(listen=listen).open(surroundings()):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    return str(caught.value)


def test_a_port_that_can_not_be_had_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused(f"127.0.0.1:{port}") == (
            f"can't listen on 127.0.0.1:{port}: address already in use; end what listens there, or name another port"
        )
    assert refused("192.0.2.1:8099").endswith(
        "cannot assign requested address; name an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    )
    assert refused("no-such-host.invalid:8099") == (
        "can't listen on no-such-host.invalid:8099: the host name can't be resolved; correct listen"
    )


def test_the_port_is_free_again_afterwards() -> None:
    async def run() -> None:
        port = 0
        for _ in range(2):
            async with config_of(listen=f"127.0.0.1:{port}").open(surroundings()) as probe:
                assert isinstance(probe, WebhookReceiver)
                port = probe.port
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:8099", HostPort("127.0.0.1", 8099)),
        ("localhost:0", HostPort("localhost", 0)),
        ("[::1]:65535", HostPort("::1", 65535)),
        ("8099", None), (":8099", None), ("h:", None), ("h:65536", None), ("h:-1", None), ("::1:80", None),
        ("http://h:80", None), ("h:٣", None), ("h:" + "1" * 5000, None), ("[]:1", None), ("u@h:1", None),
    ],
)  # fmt: skip
def test_addresses(text: str, parsed: HostPort | None) -> None:
    if parsed is not None:
        assert parse_host_port(text) == parsed
        return
    with pytest.raises(
        ValueError, match=r"is nowhere to listen; write an address and a port, such as 127.0.0.1:8099"
    ):
        parse_host_port(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"listen": "8099"}, "'8099' is nowhere to listen; write an address and a port, such as 127.0.0.1:8099"),
        ({"path": "hooks"}, "String should match pattern"),
        ({"match": "id"}, "'id' looks at 'id', which isn't there; start with one of headers, body"),
        ({"visible": "bdy.x"}, "did you mean 'body'?"),
        ({"secret": {"header": "X Token", "value": "x"}}, "'X Token' is not a header name"),
        ({"secret": {"header": "X-Token", "value": ""}}, "at least 1 character"),
        ({"secret": "x"}, "valid dictionary or instance of Secret"),
        ({"effects": "body.n"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config_of(**settings)
    assert message in str(caught.value)


# --- deliveries ---------------------------------------------------------------------------------------------

HEADERS: Final = st.dictionaries(
    st.sampled_from(["content-type", "ce-specversion", "ce-id", "ce-correlationid", "x"]),
    st.sampled_from(["application/json", "application/cloudevents-batch+json", "1.0", "%", "%ff", A.correlation_id])
    | st.text(max_size=5),
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(A.correlation_id),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "data", "detail", "correlationid", "correlation_id"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(HEADERS, st.binary(max_size=20) | JSON.map(lambda document: json.dumps(document).encode()))
def test_no_delivery_is_a_crash(headers: dict[str, str], body: bytes) -> None:
    reader = PushedReader(
        surroundings(), match=config_of().match, by_default=True, within="body", visible=None, position=None,
        consumed_at=None, processed_at=None, version=None,
    )  # fmt: skip
    documents: Sequence[dict[str, Any]] = []
    with contextlib.suppress(BadDelivery):
        documents = documents_of(headers, body)
    for document in documents:
        found = reader.read(document)
        assert found is None or found[0] == A.seq


# --- envelopes, and senders that ask first ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"Type": "Notification", "TopicArn": "t", "Message": json.dumps({"correlationid": A.correlation_id})}, {}),
        ({"specversion": "1.0", "id": "x", "data_base64": base64.b64encode(
            json.dumps({"correlationid": A.correlation_id}).encode()).decode()}, {}),
        (ZIPPED, {}),
        (ZIPPED, {"Content-Encoding": "gzip"}),
        (zlib.compress(json.dumps({"correlationid": A.correlation_id}).encode()), {"Content-Encoding": "deflate"}),
        (json.dumps({"correlationid": A.correlation_id}), {}),
        ({"order": {"correlationId": A.correlation_id}}, {}),
        ({"id": A.correlation_id.replace("-", "").upper()}, {}),
        ({}, {"X-Correlation-ID": A.correlation_id}),
        ([{"eventType": "paid", "data": {"correlationid": A.correlation_id}}], {"aeg-event-type": "Notification"}),
    ],
)  # fmt: skip
def test_what_is_wrapped_up_or_written_otherwise_is_ours_all_the_same(body: object, headers: dict[str, str]) -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        assert await post(body, headers) == 202

    told = serve(what)
    assert ([read.seq for read in told.reads], told.errors, told.strange) == ([1], [], 0)


def test_expressions_look_at_what_was_within() -> None:
    inner = {"order": {"id": A.correlation_id, "state": "paid"}, "n": 5}

    async def what(probe: PushProbe, post: Post) -> None:
        for state in ("paid", "new"):
            inner["order"] = {"id": A.correlation_id, "state": state}
            assert await post({"TopicArn": "t", "Message": json.dumps(inner)}) == 202

    told = serve(what, match="body.order.id", visible="body.order.state == 'paid'", position="body.n")
    assert [(read.seq, read.position) for read in told.reads] == [(1, 5)]
    assert told.strange == 0


async def asked(probe: PushProbe, method: str, headers: Mapping[str, str], body: object = None) -> tuple[Any, ...]:
    assert isinstance(probe, WebhookReceiver)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{probe.port}/", headers=headers, json=body) as response,
    ):
        names = ("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate")
        return response.status, [response.headers.get(name) for name in names], await response.text()


def test_a_sender_may_ask_first_whether_it_is_welcome() -> None:
    async def what(probe: PushProbe, post: Post) -> None:
        wanted = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
        assert await asked(probe, "OPTIONS", wanted) == (200, ["POST", "eventgrid.azure.net", "*"], "")
        # One that is no such question, and a GET that claims to be.
        assert (await asked(probe, "OPTIONS", {}))[:2] == (405, ["POST", None, None])
        assert (await asked(probe, "GET", wanted))[0] == 405
        assert await looked(probe, A) == ([ABSENT], "")

    told = serve(what, secret={"header": "X-Token", "value": "s3cret"})
    assert (told.errors, told.strange) == ([], 0)


def test_event_grid_gets_its_code_back() -> None:
    event = {
        "id": "v",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "c-5"},
    }

    async def what(probe: PushProbe, post: Post) -> None:
        headers = {"aeg-event-type": "SubscriptionValidation"}
        status, _, text = await asked(probe, "POST", headers, [event])
        assert (status, json.loads(text)) == (200, {"validationResponse": "c-5"})
        assert (await asked(probe, "POST", headers, [event | {"data": {}}]))[0] == 202
        assert (await asked(probe, "POST", headers, [event | {"eventType": "paid"}]))[0] == 202

    assert serve(what).strange == 2
