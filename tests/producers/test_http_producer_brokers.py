"""The HTTP producer with what brokers over HTTP ask for: logins, certificates, RabbitMQ's management API, Knative."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.http import HttpProducerConfig
from evload.spi.context import Surroundings
from evload.testing import check_producer
from tests.servers.httpserver import Request, Script, Server, Step, always, answer, json_answer, serving
from tests.servers.rabbitmq_node import RabbitNode

STRUCTURED = "application/cloudevents+json; charset=utf-8"


def event(seq: int = 0, body: bytes = b"{}", extras: Sequence[str] = (), kind: str = STRUCTURED) -> Event:
    return Event(seq, f"c-{seq}", 0, 0, 0, None, body, (("content-type", kind),), extras)


def config_of(url: str, **settings: Any) -> HttpProducerConfig:
    return HttpProducerConfig.model_validate({"kind": "http", "url": url, **settings})


async def publish(config: HttpProducerConfig, events: Sequence[Event]) -> list[Receipt]:
    """Publish one after another, and return the receipts."""
    receipts: list[Receipt] = []
    async with config.open(Surroundings(SystemClock(), "r-1", Path())) as producer, asyncio.timeout(20):
        for number, each in enumerate(events, 1):
            await producer.publish([each], receipts.extend)
            while len(receipts) < number:
                await asyncio.sleep(0.001)
    return receipts


def published(config: HttpProducerConfig, *events: Event) -> list[Receipt]:
    return asyncio.run(publish(config, events))


def answered(
    script: Script, events: Sequence[Event], tls: ssl.SSLContext | None = None, path: str = "/events", **settings: Any
) -> tuple[list[Receipt], Server]:
    async def run() -> tuple[list[Receipt], Server]:
        async with serving(script, tls) as server:
            return await publish(config_of(server.url + path, **settings), events), server

    return asyncio.run(run())


# --- logins and connections -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"bearer": "abc.def"}, "Bearer abc.def"),
        (
            {"basic": {"user": "länge", "password": "a:b c"}},
            "Basic " + base64.b64encode("länge:a:b c".encode()).decode(),
        ),
    ],
)
@pytest.mark.parametrize("mode", ["structured", "batched"])
def test_every_request_says_who_sends_it(auth: dict[str, Any], header: str, mode: str) -> None:
    _, server = answered(always(answer()), [event(0), event(1)], auth=auth, mode=mode)
    assert [request.headers["authorization"] for request in server.requests] == [header, header]


def test_a_connection_carries_only_so_many_requests() -> None:
    """The server would close it without a word, and what it was sent last would be in doubt."""

    def script(request: Request) -> Sequence[bytes | Step]:
        seen[request.connection] = seen.get(request.connection, 0) + 1
        return [answer()] if seen[request.connection] <= 3 else [Step.CLOSE]

    for limit, outcomes in ((3, {Outcome.ACCEPTED}), (4, {Outcome.ACCEPTED, Outcome.IN_DOUBT})):
        seen: dict[int, int] = {}
        receipts, _ = answered(script, [event(seq) for seq in range(8)], requests_per_connection=limit)
        assert {receipt.outcome for receipt in receipts} == outcomes
        assert max(seen.values()) == limit


@pytest.fixture(scope="module")
def demanding(rabbitmq: RabbitNode) -> ssl.SSLContext:
    """A server that lets nobody in without a certificate of the test authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=rabbitmq.ca_file)
    context.load_cert_chain(rabbitmq.directory / "server.pem", rabbitmq.directory / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    # In TLS 1.3 a client learns only with the first answer that it isn't let in.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_a_client_certificate_opens_the_door(rabbitmq: RabbitNode, demanding: ssl.SSLContext, tmp_path: Path) -> None:
    authority: dict[str, Any] = {"ca_file": rabbitmq.ca_file}
    own: dict[str, Any] = {"cert_file": rabbitmq.client_cert, "key_file": rabbitmq.client_key}
    receipts, _ = answered(always(answer()), [event()], demanding, **authority, **own)
    assert receipts[0].outcome is Outcome.ACCEPTED
    both = tmp_path / "both.pem"
    both.write_bytes(rabbitmq.client_cert.read_bytes() + rabbitmq.client_key.read_bytes())
    receipts, _ = answered(always(answer()), [event()], demanding, **authority, cert_file=both)
    assert receipts[0].outcome is Outcome.ACCEPTED
    with pytest.raises(TargetError, match="can't connect to https://"):
        answered(always(answer()), [event()], demanding, **authority)


def test_a_certificate_without_its_key_is_one_line(rabbitmq: RabbitNode, demanding: ssl.SSLContext) -> None:
    with pytest.raises(TargetError, match=r"can't use cert_file .*client.pem: .*; name PEM files, and key_file"):
        answered(always(answer()), [event()], demanding, cert_file=rabbitmq.client_cert)


# --- a Knative broker -------------------------------------------------------------------------------------


def test_a_broker_that_answers_202_without_a_body() -> None:
    receipts, server = answered(always(answer(202)), [event(body=b'{"id": "e"}')], expect=[200, 202])
    assert receipts[0].outcome is Outcome.ACCEPTED
    assert server.requests[0].headers["content-type"] == STRUCTURED
    assert server.bodies == [b'{"id": "e"}']


@pytest.mark.parametrize("status", [204, 400, 404, 503])
def test_a_broker_that_takes_nothing(status: int) -> None:
    receipts, _ = answered(always(answer(status)), [event()], expect=[200, 202])
    assert receipts[0].outcome is Outcome.REJECTED
    assert receipts[0].detail == f"HTTP {status}"


# --- RabbitMQ's management API ----------------------------------------------------------------------------


@pytest.fixture
def name(rabbitmq: RabbitNode) -> Iterator[str]:
    """A topic exchange, and a durable queue of the same name bound to it with `wanted.#`."""
    name = f"publish-{uuid4().hex[:8]}"
    rabbitmq.management(f"/api/exchanges/%2F/{name}", "PUT", {"type": "topic"})
    rabbitmq.management(f"/api/queues/%2F/{name}", "PUT", {"durable": True})
    rabbitmq.management(f"/api/bindings/%2F/e/{name}/q/{name}", "POST", {"routing_key": "wanted.#"})
    yield name
    rabbitmq.management(f"/api/queues/%2F/{name}", "DELETE")
    rabbitmq.management(f"/api/exchanges/%2F/{name}", "DELETE")


def endpoint(node: RabbitNode, exchange: str, vhost: str = "%2F") -> str:
    return f"{node.management_url}/api/exchanges/{vhost}/{exchange}/publish"


def api(node: RabbitNode, exchange: str, **settings: Any) -> HttpProducerConfig:
    guest = {"basic": {"user": "guest", "password": "guest"}}
    return config_of(**{"url": endpoint(node, exchange), "auth": guest, "rabbitmq_api": {}, **settings})


def taken(node: RabbitNode, queue: str) -> list[dict[str, Any]]:
    asked = {"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
    messages: list[dict[str, Any]] = node.management(f"/api/queues/%2F/{queue}/get", "POST", asked)
    return messages


def test_what_is_published_lies_in_the_queue_as_amqp_would_have_put_it(rabbitmq: RabbitNode, name: str) -> None:
    body = json.dumps({"id": "ü€😀", "data": 'a "quote"'}, ensure_ascii=False).encode()
    config = api(
        rabbitmq, name, rabbitmq_api={"properties": {"priority": 4, "headers": {"x-team": "shop"}, "app_id": "e"}}
    )
    assert config.encoding().extras == ("{type}",)
    receipts = published(config, event(7, body, ["wanted.x"]))
    assert [(receipt.outcome, receipt.detail) for receipt in receipts] == [(Outcome.ACCEPTED, "")]
    assert receipts[0].sent_ns is not None
    assert receipts[0].acked_ns is not None
    assert receipts[0].sent_ns < receipts[0].acked_ns
    (message,) = taken(rabbitmq, name)
    assert message["payload"].encode() == body
    assert (message["exchange"], message["routing_key"]) == (name, "wanted.x")
    assert message["properties"] == {
        "content_type": STRUCTURED, "delivery_mode": 2, "message_id": "c-7", "correlation_id": "c-7", "priority": 4,
        "headers": {"x-team": "shop"}, "app_id": "e",
    }  # fmt: skip


def test_properties_win_over_what_they_would_be(rabbitmq: RabbitNode, name: str) -> None:
    other = {"routing_key": "wanted", "properties": {"delivery_mode": 1, "content_type": "text/x"}}
    config = api(rabbitmq, name, mode="plain", rabbitmq_api=other)
    assert config.encoding().extras == ()
    assert published(config, event(0, b"text", kind="text/plain"))[0].outcome is Outcome.ACCEPTED
    (message,) = taken(rabbitmq, name)
    assert (message["payload"], message["properties"]["delivery_mode"]) == ("text", 1)
    assert message["properties"]["content_type"] == "text/x"


def test_an_event_without_a_queue_is_returned_and_those_around_it_are_not(rabbitmq: RabbitNode, name: str) -> None:
    keys = ("wanted.a", "unwanted", "wanted.b")
    receipts = published(api(rabbitmq, name), *(event(seq, b"{}", [key]) for seq, key in enumerate(keys)))
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED, Outcome.RETURNED, Outcome.ACCEPTED]
    assert receipts[1].detail == "NO_ROUTE"
    assert [message["routing_key"] for message in taken(rabbitmq, name)] == ["wanted.a", "wanted.b"]


def test_a_full_queue_rejects(rabbitmq: RabbitNode) -> None:
    full = f"full-{uuid4().hex[:8]}"
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    rabbitmq.management(f"/api/queues/%2F/{full}", "PUT", {"durable": True, "arguments": limits})
    config = api(rabbitmq, "amq.default", rabbitmq_api={"routing_key": full})
    receipts = published(config, *(event(seq) for seq in range(3)))
    assert Outcome.REJECTED in {receipt.outcome for receipt in receipts}
    assert "Check queue limits" in receipts[-1].detail
    accepted = sum(receipt.outcome is Outcome.ACCEPTED for receipt in receipts)
    assert len(taken(rabbitmq, full)) == accepted
    rabbitmq.management(f"/api/queues/%2F/{full}", "DELETE")


def test_templates_of_url_and_headers_stand_beside_the_routing_key(rabbitmq: RabbitNode, name: str) -> None:
    url = endpoint(rabbitmq, "{data.exchange}")
    config = api(rabbitmq, name, url=url, headers={"x-a": "{seq}"}, rabbitmq_api={"routing_key": "{data.key}"})
    target = url.removeprefix(rabbitmq.management_url)
    assert config.encoding().extras == (target, "{seq}", "{data.key}")
    extras = [target.replace("{data.exchange}", name), "0", "wanted.t"]
    assert published(config, event(0, b"{}", extras))[0].outcome is Outcome.ACCEPTED
    assert [message["routing_key"] for message in taken(rabbitmq, name)] == ["wanted.t"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"auth": {"basic": {"user": "guest", "password": "wrong"}}}, "refuses the login; correct it, and give"),
        ({"auth": None}, "refuses the login"),
    ],
)
def test_a_login_that_can_not_work_is_said_before_the_run(
    rabbitmq: RabbitNode, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(TargetError) as raised:
        published(api(rabbitmq, "amq.topic", **settings), event(0, b"{}", ["k"]))
    assert said in str(raised.value)
    assert "guest:" not in str(raised.value)


@pytest.mark.parametrize(
    ("vhost", "exchange", "said"),
    [
        ("%2F", "nowhere", "knows no exchange 'nowhere' in virtual host '/'; create it, or correct url"),
        ("no%2Fsuch", "amq.topic", "knows no exchange 'amq.topic' in virtual host 'no/such'; create it"),
    ],
)
def test_an_exchange_that_is_not_there_is_said_before_the_run(
    rabbitmq: RabbitNode, vhost: str, exchange: str, said: str
) -> None:
    with pytest.raises(TargetError) as raised:
        published(api(rabbitmq, exchange, url=endpoint(rabbitmq, exchange, vhost)), event(0, b"{}", ["k"]))
    assert said in str(raised.value)


API_PATH = "/api/exchanges/%2F/x/publish"


@pytest.mark.parametrize(
    ("body", "outcome", "detail"),
    [
        (b'{"routed":true}', Outcome.ACCEPTED, ""),
        (b'{"routed":false}', Outcome.RETURNED, "NO_ROUTE"),
        (b"{}", Outcome.IN_DOUBT, "the answer doesn't say whether it was routed: {}"),
        (b"<html>", Outcome.IN_DOUBT, "the answer doesn't say whether it was routed: <html>"),
        (b"[1]", Outcome.IN_DOUBT, "the answer doesn't say whether it was routed: [1]"),
    ],
)
def test_what_an_answer_means(body: bytes, outcome: Outcome, detail: str) -> None:
    receipts, server = answered(
        always(json_answer(body)), [event(extras=["k"])], path=API_PATH, rabbitmq_api={}, auth={"bearer": "t"}
    )
    assert (receipts[0].outcome, receipts[0].detail) == (outcome, detail)
    assert (receipts[0].acked_ns is None) == (outcome is Outcome.IN_DOUBT)
    assert [(request.method, request.target) for request in server.requests] == [
        ("GET", API_PATH.removesuffix("/publish")), ("POST", API_PATH),
    ]  # fmt: skip
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer t"}
    assert server.requests[1].headers["content-type"] == "application/json"


def test_something_else_in_its_place_is_said_before_the_run() -> None:
    with pytest.raises(TargetError, match="answers HTTP 418 when asked for exchange 'x'; correct url"):
        answered(always(answer(418)), [event()], path=API_PATH, rabbitmq_api={})
    with pytest.raises(TargetError, match=r"no answer by .*: connection closed without an answer; look after"):
        answered(always(Step.CLOSE), [event()], path=API_PATH, rabbitmq_api={})


def test_it_does_what_the_engine_relies_on(rabbitmq: RabbitNode, name: str) -> None:
    asyncio.run(check_producer(api(rabbitmq, name, rabbitmq_api={"routing_key": "wanted"}), SystemClock()))
    rabbitmq.management(f"/api/queues/%2F/{name}/contents", "DELETE")


# --- settings ---------------------------------------------------------------------------------------------


def test_what_is_left_out_is_a_cloudevent_by_post_that_any_2xx_accepts() -> None:
    assert config_of("http://h/").model_dump(mode="json") == {
        "kind": "http", "url": "http://h/", "mode": "structured", "method": "POST", "headers": {}, "expect": ["2xx"],
        "capture": None, "tag": {}, "timeout": "10s", "connections": 1000, "max_idle": "4s",
        "requests_per_connection": None, "batch": 100, "auth": None, "rabbitmq_api": None, "proxy": None,
        "ca_file": None, "verify": True, "cert_file": None, "key_file": None, "in_flight": 100_000,
        "when_full": "wait", "ordered": False, "cookies": False,
    }  # fmt: skip


def test_properties_are_those_that_were_written() -> None:
    written = {"priority": 4, "headers": {"x-team": "shop"}, "app_id": "e"}
    api = config_of("http://h/api/exchanges/%2F/x/publish", rabbitmq_api={"properties": written}).rabbitmq_api
    assert api is not None
    assert (api.routing_key, api.properties) == ("{type}", written)


# --- bad settings -----------------------------------------------------------------------------------------

PUBLISH = "http://h/api/exchanges/%2F/x/publish"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auth": {}}, "auth is one of bearer and basic; write {bearer: ...}"),
        ({"auth": {"bearer": "t", "basic": {"user": "u", "password": "p"}}}, "auth is one of bearer and basic"),
        ({"auth": {"bearer": "abc\n"}}, "the token is empty or holds a space or a line break; write the token alone"),
        ({"auth": {"bearer": ""}}, "the token is empty"),
        ({"auth": {"basic": {"user": "a:b", "password": "p"}}}, "the user holds what basic authentication can't"),
        (
            {"auth": {"basic": {"user": "u", "password": "a\nb"}}},
            "the password holds what basic authentication can't",
        ),
        (
            {"auth": {"bearer": "t"}, "headers": {"Authorization": "x"}},
            "header authorization, which is there already",
        ),
        ({"auth": {"bearer": "t"}, "url": "http://u:p@h/"}, "auth and the user in url are two logins; leave one"),
        ({"cert_file": "c.pem"}, "cert_file is for TLS, which http://h/ is not; write https://…"),
        ({"key_file": "c.pem", "url": "https://h/"}, "key_file without a cert_file is of no use; name both"),
        ({"requests_per_connection": 0}, "greater than or equal to 1"),
        (
            {"rabbitmq_api": {}},
            "http://h/ is not where the management API publishes; write http://localhost:15672/api",
        ),
        (
            {"rabbitmq_api": {}, "url": PUBLISH, "mode": "binary"},
            "has no mode binary; write mode: structured, or plain",
        ),
        ({"rabbitmq_api": {}, "url": PUBLISH, "mode": "batched"}, "has no mode batched; write mode: structured"),
        ({"rabbitmq_api": {}, "url": PUBLISH, "method": "PUT"}, "the management API publishes by POST; leave method"),
        ({"rabbitmq_api": {}, "url": PUBLISH, "capture": "body.id"}, "answers with no id of an event; leave capture"),
        (
            {"rabbitmq_api": {}, "url": PUBLISH, "mode": "plain", "headers": {"Content-Type": "text/x"}},
            "the header content-type is that of the API; write properties: {content_type: ...}",
        ),
        ({"rabbitmq_api": {"properties": {"colour": "red"}}, "url": PUBLISH}, "'priority', 'reply_to'"),
        ({"rabbitmq_api": {"properties": {"priority": "4"}}, "url": PUBLISH}, "can't be '4'; write a whole number"),
        ({"rabbitmq_api": {"properties": {"type": 4}}, "url": PUBLISH}, "the property type can't be 4; write text"),
        (
            {"rabbitmq_api": {"properties": {"headers": "x"}}, "url": PUBLISH},
            "write a mapping such as {x-team: shop}",
        ),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        config_of(**{"url": "http://h/", **settings})
    assert message in str(raised.value)
