"""Publishes to a Redis through the producer, keeps the receipts, and looks at what the streams hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evload import spi
from evload.clock import Clock, SystemClock
from evload.producers.redis_stream import RedisStreamProducerConfig
from evload.spi.context import Surroundings
from tests.rigs.traffic import Traffic
from tests.servers.redis_server import RedisServer


def config(url: str, **settings: Any) -> RedisStreamProducerConfig:
    """The producer's settings, as a config file would give them."""
    return RedisStreamProducerConfig.model_validate(
        {"kind": "redis-stream", "url": url, "stream": "orders", **settings}
    )


@asynccontextmanager
async def traffic(
    url: str, clock: Clock | None = None, onlooker: spi.Traffic | None = None, **settings: Any
) -> AsyncIterator[Traffic[RedisStreamProducerConfig]]:
    """An open producer. After the block everything is settled."""
    clock = clock or SystemClock()
    made = config(url, **settings)
    async with made.open(Surroundings(clock, "conformance", Path.cwd(), traffic=onlooker)) as producer:
        running = Traffic(producer, made, clock)
        yield running
    assert running.receipts.keys() == running.events.keys()


def entries(server: RedisServer, stream: str = "orders") -> list[tuple[str, dict[str, str]]]:
    """Ids and fields of all that a stream holds."""
    found: Any = server.client.xrange(stream)
    return [
        (entry_id.decode(), {name.decode(): value.decode() for name, value in fields.items()})
        for entry_id, fields in found
    ]


def ids_in(server: RedisServer, stream: str = "orders") -> list[str]:
    """The correlation ids in a stream, in its order."""
    return [fields["correlationid"] for _, fields in entries(server, stream)]
