"""The gauge of a RabbitMQ queue, against a real broker."""

from __future__ import annotations

import asyncio
import builtins
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiormq
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.rabbitmq_queue import RabbitmqQueueGaugeConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, Sample
from evload.testing import check_gauge
from tests.servers.httpserver import json_answer, serving
from tests.servers.rabbitmq_node import RabbitNode


def gauge_of(url: str, queue: str, **settings: Any) -> RabbitmqQueueGaugeConfig:
    return RabbitmqQueueGaugeConfig.model_validate({"kind": "rabbitmq-queue", "url": url, "queue": queue, **settings})


def surroundings(run_id: str = "r-1") -> Surroundings:
    return Surroundings(SystemClock(), run_id, Path())


@asynccontextmanager
async def queue_with(node: RabbitNode, messages: int) -> AsyncIterator[tuple[AbstractChannel, str]]:
    connection = await aiormq.connect(node.url)
    try:
        channel = await connection.channel()
        name = f"a queue/{uuid.uuid4().hex[:8]}"
        await channel.queue_declare(name)
        for _ in range(messages):
            await channel.basic_publish(b"x", routing_key=name)
        yield channel, name
        await channel.queue_delete(name)
    finally:
        await connection.close()


async def sampled(gauge: Gauge, good: Callable[[Mapping[str, float]], Any], within_s: float = 30) -> Sample:
    """The first sample that is as it should be."""
    async with asyncio.timeout(within_s):
        while not good((sample := await gauge.sample()).values):
            await asyncio.sleep(0.05)
    return sample


async def nothing(message: DeliveredMessage) -> None:
    """Takes a message and never acks it."""


def test_depth_and_consumers_are_those_of_the_moment(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with queue_with(rabbitmq, 5) as (channel, queue):
            config = gauge_of(rabbitmq.url, queue, every="10ms")
            assert config.metrics == ("queue_depth", "queue_consumers")
            for sample in await check_gauge(config, SystemClock()):
                assert sample == Sample({"queue_depth": 5, "queue_consumers": 0})
            async with config.open(surroundings()) as gauge:
                await channel.basic_qos(prefetch_count=2)
                await channel.basic_consume(queue, nothing)
                sample = await sampled(gauge, lambda values: values["queue_depth"] == 3)
                assert sample == Sample({"queue_depth": 3, "queue_consumers": 1})

    asyncio.run(run())


def test_management_adds_what_amqp_does_not_tell(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with queue_with(rabbitmq, 3) as (channel, queue):
            config = gauge_of(rabbitmq.url, queue, management=f"{rabbitmq.management_url}/")
            async with config.open(surroundings()) as gauge:
                await channel.basic_qos(prefetch_count=2)
                await channel.basic_consume(queue, nothing)
                publishing = asyncio.create_task(publish_on(channel, queue))
                settled = await sampled(gauge, lambda v: v.get("queue_unacked") == 2 and v["publish_rate"] > 0)
                publishing.cancel()
                values = settled.values
            assert set(values) == set(config.metrics)
            assert (values["queue_consumers"], values["ack_rate"]) == (1, 0)

    asyncio.run(run())


STATS = {
    "publish_details": {"rate": 5.5}, "deliver_get_details": {"rate": 4}, "ack_details": {"rate": 3.5},
    "deliver_details": {"rate": 99}, "publish": 12,
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sample"),
    [
        (
            {"messages_unacknowledged": 3, "message_stats": STATS},
            {"queue_unacked": 3, "publish_rate": 5.5, "deliver_rate": 4, "ack_rate": 3.5},
        ),
        (
            {"messages_unacknowledged": 0},
            {"queue_unacked": 0, "publish_rate": 0, "deliver_rate": 0, "ack_rate": 0},
        ),
        ({"name": "q"}, {}),
        ([], "what answers under management is no management API"),
        ({"messages_unacknowledged": "many"}, "what answers under management is no management API"),
    ],
)
def test_what_the_management_api_says(rabbitmq: RabbitNode, said: object, sample: object) -> None:
    async def run() -> None:
        async with queue_with(rabbitmq, 1) as (_, queue):
            first = json_answer(b'{"messages_unacknowledged": 0}')
            answers = iter([first, json_answer(json.dumps(said).encode())])
            async with (
                serving(lambda request: [next(answers)]) as api,
                gauge_of(rabbitmq.url, queue, management=api.url).open(surroundings()) as gauge,
            ):
                got = await gauge.sample()
            wanted = {"queue_depth": 1, "queue_consumers": 0}
            assert got == (
                Sample({}, sample) if isinstance(sample, str) else Sample({**wanted, **cast("Any", sample)})
            )
            request = api.requests[0]
            assert request.target == f"/api/queues/%2F/{quote(queue, safe='')}"
            assert request.headers["authorization"] == "Basic Z3Vlc3Q6Z3Vlc3Q=", "the login of the AMQP address"

    asyncio.run(run())


async def publish_on(channel: AbstractChannel, queue: str) -> None:
    while True:
        await channel.basic_publish(b"x", routing_key=queue)
        await asyncio.sleep(0.02)


def test_a_queue_that_goes_and_comes_back(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            queue_with(rabbitmq, 1) as (channel, queue),
            gauge_of(rabbitmq.url, queue).open(surroundings()) as gauge,
        ):
            assert (await gauge.sample()).values["queue_depth"] == 1
            await channel.queue_delete(queue)
            for _ in range(2):
                assert await gauge.sample() == Sample({}, f"there is no queue {queue!r}")
            await channel.queue_declare(queue)
            assert (await gauge.sample()).values["queue_depth"] == 0

    asyncio.run(run())


def close_gauge(node: RabbitNode) -> bool:
    for connection in node.management("/api/connections"):
        if connection.get("client_properties", {}).get("connection_name") == "evload to-cut gauge":
            node.management(f"/api/connections/{quote(connection['name'])}", "DELETE")
            return True
    return False


def test_a_lost_connection_is_had_again(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        async with (
            queue_with(rabbitmq, 1) as (_, queue),
            gauge_of(rabbitmq.url, queue).open(surroundings("to-cut")) as gauge,
        ):
            while not await asyncio.to_thread(close_gauge, rabbitmq):
                await asyncio.sleep(0.1)
            samples = [await gauge.sample() for _ in range(3)]
            assert samples[-1].values == {"queue_depth": 1, "queue_consumers": 0}
            for sample in samples:
                assert bool(sample.error) != bool(sample.values)

    asyncio.run(run())


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("pamqp", "aiormq") or name == "reader":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    text = asyncio.run(refused("amqp://127.0.0.1:1/", "q"))
    assert text == "kind rabbitmq-queue needs aiormq; pip install 'evload[rabbitmq]'"


def test_a_broker_that_says_nothing() -> None:
    async def run() -> None:
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(TargetError, match="no answer within 200 ms"):
            async with gauge_of(f"amqp://127.0.0.1:{port}/", "q", timeout="200ms").open(surroundings()):
                pass
        silent.close()

    asyncio.run(run())


async def refused(url: str, queue: str, **settings: Any) -> str:
    with pytest.raises(TargetError) as caught:
        async with gauge_of(url, queue, **settings).open(surroundings()):
            pass
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    return str(caught.value)


def test_nothing_to_look_at(rabbitmq: RabbitNode) -> None:
    async def run() -> None:
        assert (await refused(rabbitmq.url, "no-such")).startswith("there is no queue 'no-such' in virtual host '/'")
        assert "virtual host 'nowhere'" in await refused(f"{rabbitmq.url}nowhere", "q")
        assert "connection refused" in await refused("amqp://127.0.0.1:1/", "q")
        async with queue_with(rabbitmq, 0) as (_, queue):
            management = rabbitmq.management_url
            assert "correct management" in await refused(rabbitmq.url, queue, management="http://127.0.0.1:1")
            assert "HTTP" in await refused(rabbitmq.url, queue, management=f"{management}/api/overview/nothing")
            login = management.replace("://", "://guest:sesame@")
            text = await refused(rabbitmq.url, queue, management=login)
            assert "refuses the login" in text
            assert "sesame" not in text

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"queue": ""}, "at least 1 "),
        ({"queue": "ü" * 128}, "is longer than 255 bytes"),
        ({"queue": None}, "valid string"),
        ({"management": "localhost:15672"}, "has no scheme"),
        ({"management": "http://localhost/{queue}"}, "a gauge belongs to no event"),
        ({"url": "redis://localhost"}, "is not an amqp or amqps address"),
        ({"ca_file": "ca.pem"}, "is for TLS"),
        ({"every": 5}, "is not a duration"),
        ({"vhost": "/"}, "Extra inputs"),
    ],
)
def test_bad_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RabbitmqQueueGaugeConfig.model_validate(
            {"kind": "rabbitmq-queue", "url": "amqp://localhost/", "queue": "q", **settings}
        )
    assert text in str(caught.value)
