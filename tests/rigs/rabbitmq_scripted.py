"""The RabbitMQ producer on a scripted peer, in virtual time: what the tests of both have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from evload.model.states import Outcome
from evload.model.travel import Event
from evload.testing import virtual_clock
from tests.rigs.rabbitmq_traffic import Traffic, traffic
from tests.servers.amqp_peer import Peer, Published, amqp_peer

MS: Final = 1_000_000
S: Final = 1_000_000_000
TEMPLATED: Final = "x-{choice:a,b}"
"""An exchange whose name is rendered for each event; `publish_to` puts another one in its place."""


@asynccontextmanager
async def publishing(
    manners: dict[str, Any] | None = None, query: str = "", **settings: Any
) -> AsyncIterator[tuple[Traffic, Peer]]:
    """A producer that is open, and the peer that it is open to."""
    async with (
        amqp_peer(**(manners or {})) as peer,
        traffic(peer.url + query, virtual_clock(), routing_key="q", **settings) as load,
    ):
        yield load, peer


async def moment(milliseconds: float = 2) -> None:
    """Let what is on the wire arrive."""
    await asyncio.sleep(milliseconds / 1000)


def made(load: Traffic, count: int) -> list[Event]:
    """Events without a key."""
    events = load.make(count)
    for event in events:
        event.key = None
    return events


async def publish(load: Traffic, count: int) -> list[Event]:
    """Publish in one batch, and let it arrive."""
    events = made(load, count)
    await load.publish(events, count)
    await moment()
    return events


async def publish_to(load: Traffic, *exchanges: str) -> list[Event]:
    """Publish an event to each of these exchanges, in one batch."""
    events = load.make(len(exchanges))
    for event, exchange in zip(events, exchanges, strict=True):
        event.extras = [exchange]
    await load.publish(events, len(events))
    await moment()
    return events


def settled(load: Traffic) -> list[tuple[int, Outcome, str]]:
    """Number, outcome and detail, in the order in which they were settled."""
    return [(receipt.seq, receipt.outcome, receipt.detail) for receipt in load.receipts.values()]


def outcomes(load: Traffic) -> list[tuple[int, Outcome]]:
    return [(receipt.seq, receipt.outcome) for receipt in load.receipts.values()]


def numbers(load: Traffic, messages: Sequence[Published]) -> list[int]:
    """The numbers of the events that arrived, in order of arrival."""
    seqs = {event.correlation_id: event.seq for event in load.events.values()}
    return [seqs[message.id] for message in messages]
