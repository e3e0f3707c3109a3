"""The producer: against a real broker, and against one that is at fault."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from evload.spi import Outcome, Receipt, Surroundings, TargetError
from evload.testing import (
    PEERS,
    Peer,
    Relay,
    SystemClock,
    check_producer,
    check_producer_peer,
    sample_events,
)
from evload_mqtt import MqttProducerConfig
from mosquitto import bystander, properties_of, running_broker

EVENTS: Final = 200
_PATIENCE_S: Final = 30.0
"""How long a test waits before it is given up; never what decides one."""


@pytest.fixture(scope="module")
def broker() -> Iterator[int]:
    with running_broker() as port:
        yield port


def config(port: int, **settings: Any) -> MqttProducerConfig:
    url = f"mqtt://127.0.0.1:{port}"
    return MqttProducerConfig.model_validate({"kind": "mqtt", "url": url, "topic": "shop/in", **settings})


def published(settings: MqttProducerConfig) -> Mapping[int, Receipt]:
    return asyncio.run(check_producer(settings, SystemClock(), events=EVENTS))


def outcomes(receipts: Mapping[int, Receipt]) -> dict[tuple[str, str], int]:
    """How many there are of each outcome, with what is said for people."""
    return dict(Counter((receipt.outcome.name, receipt.detail) for receipt in receipts.values()))


def test_a_structured_event_is_a_cloudevent_in_the_payload(broker: int) -> None:
    with bystander(broker, "shop/#") as who:
        assert outcomes(published(config(broker))) == {("ACCEPTED", ""): EVENTS}
        events = [json.loads(payload) for payload in who.payloads(EVENTS)]
    assert len({event["correlationid"] for event in events}) == len(events) == EVENTS
    assert {message.topic for message in who.messages} == {"shop/in"}
    for event, message in zip(events, who.messages, strict=True):
        assert (event["specversion"], event["type"]) == ("1.0", "conformance.checked")
        assert properties_of(message).ContentType == "application/cloudevents+json; charset=utf-8"


def test_the_attributes_of_a_binary_event_are_user_properties(broker: int) -> None:
    with bystander(broker, "shop/#") as who:
        assert outcomes(published(config(broker, mode="binary"))) == {("ACCEPTED", ""): EVENTS}
        who.payloads(EVENTS)
    ids = set()
    for message in who.messages:
        attributes = dict(properties_of(message).UserProperty)
        ids.add(attributes["correlationid"])
        assert properties_of(message).ContentType == "application/json"
        assert (attributes["specversion"], attributes["source"]) == ("1.0", "/evload/testing")
        assert json.loads(message.payload)["text"] == "plain"
    assert len(ids) == EVENTS


def test_a_topic_can_be_a_template(broker: int) -> None:
    with bystander(broker, "shop/#") as who:
        published(config(broker, topic="shop/{type}/{key}"))
        who.payloads(EVENTS)
    topics = {message.topic for message in who.messages}
    assert topics == {"shop/conformance.checked/a", "shop/conformance.checked/b"}


def test_what_can_not_be_sent_is_unsent_and_the_others_are_not(broker: int) -> None:
    async def run() -> list[Receipt]:
        chosen, clock, receipts = config(broker, topic="shop/{type}"), SystemClock(), list[Receipt]()
        events = sample_events(chosen.encoding(), 3, clock)
        events[1].extras = ["shop/#"]
        async with chosen.open(Surroundings(clock, "run", Path.cwd())) as producer:
            await producer.publish(events, receipts.extend)
            while len(receipts) < 3:
                await asyncio.sleep(0.01)
        return sorted(receipts)

    with bystander(broker, "shop/#"):
        said = [(receipt.outcome.name, receipt.detail) for receipt in asyncio.run(run())]
    assert said == [("ACCEPTED", ""), ("UNSENT", "Publish topic cannot contain wildcards."), ("ACCEPTED", "")]


def test_a_window_of_one_publishes_all_the_same_in_order(broker: int) -> None:
    with bystander(broker, "shop/#") as who:
        assert outcomes(published(config(broker, window=1))) == {("ACCEPTED", ""): EVENTS}
        ids = [json.loads(payload)["correlationid"] for payload in who.payloads(EVENTS)]
    assert ids == sorted(ids)


def test_a_broker_that_wants_few_unanswered_events_gets_no_more() -> None:
    """It lets us in with a Receive Maximum of 5, and answers to nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x05")
        await reader.read(-1)
        writer.close()

    async def run() -> Sequence[Receipt]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, publishing(server.sockets[0].getsockname()[1], timeout="2s") as (_, publish):
            receipts: Sequence[Receipt] = await publish(20)
            return receipts

    assert Counter(receipt.outcome.name for receipt in asyncio.run(run())) == {"IN_DOUBT": 5, "UNSENT": 15}


def test_what_nobody_subscribes_to_is_returned(broker: int) -> None:
    assert outcomes(published(config(broker))) == {("RETURNED", "nobody subscribes to its topic"): EVENTS}


def test_what_may_not_be_published_is_rejected(broker: int) -> None:
    refused = {("REJECTED", "the broker refused it: not authorized"): EVENTS}
    assert outcomes(published(config(broker, topic="secret/in"))) == refused


def test_at_qos_0_every_event_stays_in_doubt_and_arrives(broker: int) -> None:
    with bystander(broker, "shop/#") as who:
        doubtful = {("IN_DOUBT", "nobody answers at QoS 0"): EVENTS}
        assert outcomes(published(config(broker, qos=0))) == doubtful
        assert len(who.payloads(EVENTS)) == EVENTS


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("peer", PEERS)
def test_it_survives_a_broker_at_fault(broker: int, peer: Peer, qos: int) -> None:
    with bystander(broker, "shop/#"):
        receipts = asyncio.run(
            check_producer_peer(
                lambda port: config(port, qos=qos, timeout="5s" if peer == "clogged" else "30s"), broker, peer,
                events=EVENTS, within_s=60,
            )
        )  # fmt: skip
    counts = outcomes(receipts)
    if qos == 0:
        assert counts["IN_DOUBT", "nobody answers at QoS 0"] >= EVENTS // 2
    elif peer == "slow":
        assert counts == {("ACCEPTED", ""): EVENTS}
    elif peer == "clogged":
        assert counts["ACCEPTED", ""] == EVENTS // 2
        assert counts["IN_DOUBT", "connection lost: no answer within 5 s"] > 0
    else:
        assert counts["ACCEPTED", ""] >= EVENTS // 2


@asynccontextmanager
async def publishing(port: int, **settings: Any) -> AsyncIterator[tuple[Relay, Any]]:
    """A relay, and a function that publishes so many events through it and gives what became of them."""
    clock = SystemClock()
    async with Relay(port) as relay:
        chosen = config(relay.port, **settings)
        events = iter(sample_events(chosen.encoding(), 10 * EVENTS, clock))
        async with chosen.open(Surroundings(clock, "run", Path.cwd())) as producer:

            async def publish(count: int) -> Sequence[Receipt]:
                receipts: list[Receipt] = []
                async with asyncio.timeout(_PATIENCE_S):
                    await producer.publish([next(events) for _ in range(count)], receipts.extend)
                    while len(receipts) < count:
                        await asyncio.sleep(0.01)
                return receipts

            yield relay, publish


def test_a_lost_connection_leaves_events_in_doubt_or_unsent_and_comes_back(broker: int) -> None:
    async def run() -> None:
        async with publishing(broker) as (relay, publish):
            assert {receipt.outcome for receipt in await publish(10)} == {Outcome.ACCEPTED}
            relay.clog()
            in_doubt = asyncio.ensure_future(publish(10))
            await asyncio.sleep(0.1)
            relay.hang_up(refuse=True)
            assert {(receipt.outcome, receipt.detail) for receipt in await in_doubt} == {
                (Outcome.IN_DOUBT, "connection lost: connection lost")
            }
            unsent = await publish(10)
            assert {receipt.outcome for receipt in unsent} == {Outcome.UNSENT}
            assert all(receipt.detail.startswith("no connection: ") for receipt in unsent)
            relay.flow()
            while (await publish(1))[0].outcome is not Outcome.ACCEPTED:
                await asyncio.sleep(0.05)

    with bystander(broker, "shop/#") as who:
        asyncio.run(run())
        ids = [json.loads(message.payload)["correlationid"] for message in who.messages]
        assert len(ids) == len(set(ids)), "something was sent twice"


def refused(port: int, **settings: Any) -> str:
    async def open_it() -> None:
        async with config(port, **settings).open(Surroundings(SystemClock(), "run", Path.cwd())):
            pass

    with pytest.raises(TargetError) as raised:
        asyncio.run(open_it())
    return str(raised.value)


def test_a_broker_that_lets_nobody_in_is_one_line() -> None:
    with running_broker(anonymous=False) as port:
        assert refused(port) == (
            f"can't use mqtt://127.0.0.1:{port}: the broker refused to let us in: not authorized; "
            "start the broker, or correct url, user and password"
        )
    assert f"can't use mqtt://127.0.0.1:{port}: connection refused; " in refused(port)


def test_a_server_that_speaks_something_else_is_one_line() -> None:
    async def main() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await asyncio.to_thread(refused, server.sockets[0].getsockname()[1])

    assert "can't use mqtt://127.0.0.1:" in asyncio.run(main())


def test_a_silent_server_is_one_line() -> None:
    async def main() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await asyncio.to_thread(refused, server.sockets[0].getsockname()[1], timeout="300ms")

    assert "no answer within 300 ms" in asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://localhost"}, "the address is not one of MQTT; write an address such as mqtt://"),
        ({"url": "mqtt://u:secret@host:99999"}, "the address has an unusable host or port; write"),
        ({"url": "mqtt://host/shop"}, "the address goes on after the port; write"),
        ({"topic": "shop/+"}, "'shop/+' is a filter; name the topic without"),
        ({"ca_file": "ca.pem"}, "ca_file is for TLS, which mqtt is not; write mqtts://"),
        ({"qos": 2}, "Input should be 0 or 1"),
        ({"retain": True}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_can_not_be_used_say_what_would_be_right(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        config(1883, **settings)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value.errors()[0]["msg"])
