"""Publishes to a RabbitMQ node through the producer, keeps the receipts, and looks at what the queues hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage

from evload import spi
from evload.clock import Clock, SystemClock
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.spi.context import Surroundings
from tests.rigs import traffic as rig

Traffic = rig.Traffic[RabbitmqProducerConfig]


def config(url: str, **settings: Any) -> RabbitmqProducerConfig:
    """The producer's settings, as a config file would give them."""
    return RabbitmqProducerConfig.model_validate({"kind": "rabbitmq", "url": url, **settings})


@asynccontextmanager
async def traffic(
    url: str, clock: Clock | None = None, onlooker: spi.Traffic | None = None, **settings: Any
) -> AsyncIterator[Traffic]:
    """An open producer. After the block everything is settled."""
    clock = clock or SystemClock()
    made = config(url, **settings)
    async with made.open(Surroundings(clock, "conformance", Path.cwd(), traffic=onlooker)) as producer:
        running = Traffic(producer, made, clock)
        yield running
    assert running.receipts.keys() == running.events.keys()


@asynccontextmanager
async def broker(url: str) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """A channel of the test's own."""
    async with aiormq.connect(url) as connection:
        yield await connection.channel()


async def make_queue(url: str, name: str, bind: tuple[str, str] | None = None, **arguments: Any) -> None:
    """A durable queue with `x-` arguments, bound to (exchange, routing key)."""
    async with broker(url) as channel:
        wanted = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        await channel.queue_declare(name, durable=True, arguments=wanted)
        if bind is not None:
            await channel.queue_bind(name, bind[0], routing_key=bind[1])


async def drain(url: str, queue: str) -> list[DeliveredMessage]:
    """All messages that the queue holds; it is empty afterwards."""
    async with broker(url) as channel:
        count = (await channel.queue_declare(queue, passive=True)).message_count or 0
        messages: list[DeliveredMessage] = []
        enough = asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            messages.append(message)
            if len(messages) >= count:
                enough.set()

        if count:
            await channel.basic_consume(queue, take, no_ack=True)
            async with asyncio.timeout(30):
                await enough.wait()
        return messages


async def drain_ids(url: str, queue: str) -> list[str]:
    """The message ids in the queue, in its order."""
    return [message.header.properties.message_id or "" for message in await drain(url, queue)]
