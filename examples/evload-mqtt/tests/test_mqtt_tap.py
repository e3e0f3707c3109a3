"""The probe that listens: what it reports, and that it says so when it could not hear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import ValidationError

from evload.spi import ReadResult, Seen, Surroundings, TargetError
from evload.testing import Relay, SystemClock, check_probe, check_push_peer, check_push_probe, sample_targets
from evload_mqtt import MqttTapConfig
from mosquitto import Bystander, bystander, running_broker

RUN = "conformance"
"""The run to which the samples belong."""


@pytest.fixture(scope="module")
def broker() -> Iterator[int]:
    with running_broker() as port:
        yield port


@pytest.fixture
def system(broker: int) -> Iterator[Bystander]:
    """What shows events: it publishes to `shop/done`."""
    with bystander(broker, "shop/nothing") as who:
        yield who


def config(port: int, **settings: Any) -> MqttTapConfig:
    url = f"mqtt://127.0.0.1:{port}"
    return MqttTapConfig.model_validate({"kind": "mqtt-tap", "url": url, "topic": "shop/done/#", **settings})


def in_payload(system: Bystander) -> Callable[[Sequence[str]], Awaitable[None]]:
    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            payload = json.dumps({"correlationid": correlation_id})
            await asyncio.to_thread(system.publish, "shop/done/orders", payload)

    return push


def in_property(system: Bystander) -> Callable[[Sequence[str]], Awaitable[None]]:
    async def push(ids: Sequence[str]) -> None:
        for correlation_id in ids:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.UserProperty = ("correlationid", correlation_id)
            system.client.publish("shop/done", b"\xff not JSON", qos=0, properties=properties)

    return push


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(
    ("pushes", "match"),
    [
        (in_payload, {}),
        (in_property, {}),
        (in_payload, {"match": "payload.correlationid"}),
        (in_property, {"match": "properties.correlationid"}),
    ],
    ids=["payload", "property", "payload only", "property only"],
)
def test_what_is_published_is_reported_and_the_rest_is_absent(
    broker: int, system: Bystander, pushes: Any, match: dict[str, Any], qos: int
) -> None:
    reads = asyncio.run(check_push_probe(config(broker, qos=qos, **match), SystemClock(), pushes(system)))
    assert sorted(read.seq for read in reads) == list(range(10))
    assert [read.position for read in reads] == sorted(range(4, 14))


def test_a_tap_that_is_cut_off_says_so_and_comes_back(broker: int, system: Bystander) -> None:
    reads = asyncio.run(check_push_peer(config, broker, in_payload(system), events=30))
    seqs = [read.seq for read in reads]
    assert set(range(10)) <= set(seqs)
    assert max(seqs) >= 10


def test_after_a_cut_silence_proves_nothing_any_more(broker: int) -> None:
    async def run() -> list[str]:
        clock, said = SystemClock(), list[str]()
        async with (
            Relay(broker) as relay,
            config(relay.port).open(Surroundings(clock, RUN, Path.cwd())) as probe,
            asyncio.timeout(30),
        ):
            listening = asyncio.ensure_future(probe.listen(lambda result: None))
            await asyncio.sleep(0)

            async def until(word: str) -> None:
                while word not in (error := (await probe.read(sample_targets(1))).error):
                    await asyncio.sleep(0.01)
                said.append(error)

            await until("")
            relay.hang_up(refuse=True)
            await until("is cut off")
            relay.flow()
            await until("was cut off")
            listening.cancel()
        return said

    before, during, after = asyncio.run(run())
    assert before == ""
    assert during.startswith("the tap is cut off: connection lost")
    assert after.startswith("the tap was cut off for ")
    assert after.endswith(": connection lost")


def test_before_anybody_listens_nothing_is_called_absent(broker: int) -> None:
    async def run() -> ReadResult:
        async with config(broker).open(Surroundings(SystemClock(), RUN, Path.cwd())) as probe:
            return await probe.read(sample_targets(2))

    result = asyncio.run(run())
    assert [read.seen for read in result.reads] == [Seen.FAILED, Seen.FAILED]
    assert result.error == "the tap isn't listened to yet"


def test_what_was_retained_is_no_news(broker: int, system: Bystander) -> None:
    (target,) = sample_targets(1)
    payload = json.dumps({"correlationid": target.correlation_id})
    system.publish("shop/done/retained", payload, retain=True)
    try:
        reads = asyncio.run(check_probe(config(broker), SystemClock(), [target]))
        pushed = asyncio.run(check_push_probe(config(broker), SystemClock(), in_payload(system)))
    finally:
        system.publish("shop/done/retained", "", retain=True)
    assert reads[0].seen is Seen.ABSENT
    assert len(pushed) == 10


def test_no_broker_is_one_line() -> None:
    with running_broker() as port:
        pass
    with pytest.raises(TargetError, match=f"can't use mqtt://127.0.0.1:{port}: connection refused; start the broker"):
        asyncio.run(check_probe(config(port), SystemClock(), sample_targets(1)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"topic": "shop/done#"}, "'shop/done#' is no filter; let + or # stand for whole levels"),
        ({"topic": "#/done"}, "'#/done' is no filter; let # be the last of its levels"),
        ({"topic": "$share/group/shop/#"}, "a shared subscription takes messages away from others"),
        ({"match": "payload.id ||"}, "is not JMESPath: it ends too early"),
        ({"match": "body.id"}, "'body.id' looks at 'body', which isn't there; start with one of topic"),
    ],
)
def test_settings_that_can_not_be_used_say_what_would_be_right(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        config(1883, **settings)
    assert said in str(raised.value)
