"""Publishes to a RabbitMQ node through the producer, keeps the receipts, and looks at what the queues hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage

from evload import spi
from evload.clock import Clock, SystemClock
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.rabbitmq import RabbitmqProducerConfig
from evload.spi.context import Surroundings
from evload.spi.producer import Producer
from evload.testing import sample_events


def config(url: str, **settings: Any) -> RabbitmqProducerConfig:
    """The producer's settings, as a config file would give them."""
    return RabbitmqProducerConfig.model_validate({"kind": "rabbitmq", "url": url, **settings})


@dataclass
class Traffic:
    """Events on their way through one producer, and what became of them."""

    producer: Producer
    settings: RabbitmqProducerConfig
    clock: Clock
    receipts: dict[int, Receipt] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def make(self, count: int) -> list[Event]:
        """Events with numbers of their own; change their `extras`, `key` or `body` as the test needs it."""
        made = sample_events(self.settings.encoding(), len(self.events) + count, self.clock)[len(self.events) :]
        self.events.update((event.seq, event) for event in made)
        return made

    async def publish(self, events: Sequence[Event], batch: int = 50) -> None:
        for first in range(0, len(events), batch):
            await self.producer.publish(events[first : first + batch], self.settle)
            await asyncio.sleep(0)

    def settle(self, receipts: Sequence[Receipt]) -> None:
        assert receipts, "told of nothing"
        for receipt in receipts:
            assert receipt.seq in self.events, f"never published: {receipt}"
            assert receipt.seq not in self.receipts, f"settled twice: {self.receipts[receipt.seq]}, {receipt}"
            self.receipts[receipt.seq] = receipt
        self.settled.set()

    async def until(self, outcome: Outcome, count: int, within_s: float = 60) -> None:
        """Wait until that many events have ended so."""
        async with asyncio.timeout(within_s):
            while self.outcomes()[outcome] < count:
                self.settled.clear()
                await self.settled.wait()

    async def all_settled(self, within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while len(self.receipts) < len(self.events):
                self.settled.clear()
                await self.settled.wait()

    def outcomes(self) -> Counter[Outcome]:
        return Counter(receipt.outcome for receipt in self.receipts.values())

    def ids(self, *outcomes: Outcome) -> set[str]:
        return {self.events[seq].correlation_id for seq, r in self.receipts.items() if r.outcome in outcomes}

    def details(self, outcome: Outcome) -> set[str]:
        return {receipt.detail for receipt in self.receipts.values() if receipt.outcome is outcome}

    def hold_against(self, found: Sequence[str]) -> None:
        """Every event has one receipt, and the receipts say nothing that the ids found in the queue deny."""
        assert self.receipts.keys() == self.events.keys()
        twice = [each for each, count in Counter(found).items() if count > 1]
        assert not twice, f"arrived twice: {twice[:3]}"
        missing = self.ids(Outcome.ACCEPTED) - set(found)
        assert not missing, f"accepted and not there: {len(missing)}, such as {sorted(missing)[:3]}"
        refused = self.ids(Outcome.REJECTED, Outcome.RETURNED, Outcome.UNSENT) & set(found)
        assert not refused, f"refused or never sent, and there: {len(refused)}, such as {sorted(refused)[:3]}"


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
