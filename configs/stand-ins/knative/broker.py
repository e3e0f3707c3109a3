"""The RabbitMQ behind the broker: an exchange, a queue for each function, those who publish and those who consume."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from pamqp import commands as spec

from knative.functions import TICK_S, Delivery, Function

EXCHANGE: Final = "cloud-events"
TYPES: Final[Mapping[str, str]] = {
    "builders": "network.notifi.lambda.build.start",
    "parsers": "network.notifi.lambda.parser.start",
}
"""Functions, and the type of the events that each is for, which is the routing key too."""
GONE: Final = (aiormq.exceptions.AMQPError, RuntimeError, OSError)
"""What aiormq raises where there is no connection, or no channel any more."""
_PREFETCH: Final = 200
"""What a dispatcher takes beyond what it has settled: the rest waits in RabbitMQ."""


def queue_of(function: str) -> str:
    """The queue that a function's events wait in."""
    return f"knative-{function}"


class Broker:
    """Two connections: one for those who publish over HTTP, one for the dispatchers."""

    def __init__(self, publishing: AbstractConnection, consuming: AbstractConnection) -> None:
        self._connections = (publishing, consuming)
        self._consuming = consuming
        self._publishing = publishing
        self._publisher: AbstractChannel | None = None
        self._looker: AbstractChannel | None = None
        self._dispatchers: list[Dispatcher] = []
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @classmethod
    async def connected(cls, url: str) -> Broker:
        """Connect. Raises OSError or aiormq.AMQPError."""
        return cls(await aiormq.connect(url), await aiormq.connect(url))

    async def declare(self, backlog: int) -> None:
        """The exchange and the queues. A queue that has `backlog` events refuses those who publish to it."""
        self._publisher = await self._publishing.channel(publisher_confirms=True)
        self._looker = await self._consuming.channel()
        channel = self._publisher
        await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        for function, kind in TYPES.items():
            limits: dict[str, Any] = {"x-max-length": backlog, "x-overflow": "reject-publish"}
            await channel.queue_declare(queue_of(function), durable=True, arguments=limits)
            await channel.queue_bind(queue_of(function), EXCHANGE, routing_key=kind)
        self._looking = asyncio.create_task(self._look())

    async def consume(self, function: Function) -> None:
        """Hand a function what comes for it."""
        channel = await self._consuming.channel()
        await channel.basic_qos(prefetch_count=_PREFETCH)
        dispatcher = Dispatcher(function, channel)
        self._dispatchers.append(dispatcher)
        await channel.basic_consume(queue_of(function.name), dispatcher.got)

    async def publish(self, event: bytes, kind: str) -> str:
        """Publish an event and wait for the confirm: empty, or why RabbitMQ didn't take it."""
        assert self._publisher is not None
        properties = spec.Basic.Properties(content_type="application/cloudevents+json", delivery_mode=2)
        try:
            await self._publisher.basic_publish(
                event, exchange=EXCHANGE, routing_key=kind, properties=properties, mandatory=True
            )
        except aiormq.exceptions.PublishError:
            return "no function is for events of this type"
        except aiormq.exceptions.DeliveryError:
            return "the queue is full"
        return ""

    async def _look(self) -> None:
        """Keep looking how many events are in each queue, until it is closed or RabbitMQ is gone."""
        assert self._looker is not None
        with suppress(*GONE):
            while not self._closing.is_set():
                for dispatcher in self._dispatchers:
                    declared = await self._looker.queue_declare(queue_of(dispatcher.function.name), passive=True)
                    dispatcher.function.queued = declared.message_count or 0
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), TICK_S)

    async def close(self) -> None:
        """Remove what was declared, but for an exchange that somebody else uses, and hang up."""
        self._closing.set()
        if self._looking is not None:
            await self._looking
        with suppress(*GONE):
            if self._looker is not None:
                for dispatcher in self._dispatchers:
                    await dispatcher.close()
                for function in TYPES:
                    await self._looker.queue_delete(queue_of(function))
                await self._looker.exchange_delete(EXCHANGE, if_unused=True)
            for connection in self._connections:
                await connection.close()


class Dispatcher:
    """Takes events off a queue for a function, and settles them once they are done."""

    def __init__(self, function: Function, channel: AbstractChannel) -> None:
        self.function = function
        self._channel = channel
        self._settled: list[tuple[int, bool]] = []
        self._settling: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Take no more: what isn't settled is back in its queue."""
        await self._channel.close()

    async def got(self, message: DeliveredMessage) -> None:
        """A delivery. What is no event for this function is done at once: nobody could ever do it."""
        tag = message.delivery_tag or 0
        try:
            event = json.loads(message.body)
            event_id = event.get("correlationid") or event["id"]
            known = event["type"] == TYPES[self.function.name] and isinstance(event["data"], dict)
        except (ValueError, KeyError, TypeError, AttributeError):
            known = False
        if known:
            self.function.take(Delivery(str(event_id), event, partial(self._settle, tag)))
        else:
            self._settle(tag, True)

    def _settle(self, tag: int, done: bool) -> None:
        self._settled.append((tag, done))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._settled and not self._channel.is_closed:
            settled, self._settled = self._settled, []
            for tag, done in settled:
                if done:
                    await self._channel.basic_ack(tag, wait=False)
                else:
                    await self._channel.basic_nack(tag, requeue=True, wait=False)
