"""A stand-in for a system behind RabbitMQ: consumes a queue, and serves a read model of what it has worked off.

    python queue_consumer.py AMQP_URL QUEUE

Prints the address of the read model, waits for the queue if it isn't there yet, and works until its stdin closes.
`POST /items/query {"ids": [...]}` answers with those of the ids that it knows, `GET /items/ID` with one or 404.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiormq
from aiohttp import web
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity

_LOOK_S: Final = 0.05
_PREFETCH: Final = 500


class Items:
    """The read model: an item for each correlation id, with as many effects as it had deliveries."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}

    async def work_off(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        """One delivery: apply it, then ack."""
        consumed_at = datetime.now(UTC).isoformat()
        event = json.loads(message.body)
        item = self._found.setdefault(event["correlationid"], {"id": event["correlationid"], "effects": 0})
        item["effects"] += 1
        item.update(consumed_at=consumed_at, processed_at=datetime.now(UTC).isoformat())
        assert message.delivery_tag is not None
        await channel.basic_ack(message.delivery_tag)

    async def asked(self, request: web.Request) -> web.Response:
        """POST /items/query"""
        ids = (await request.json())["ids"]
        return web.json_response({"items": [self._found[each] for each in ids if each in self._found]})

    async def asked_for_one(self, request: web.Request) -> web.Response:
        """GET /items/ID"""
        item = self._found.get(request.match_info["id"])
        return web.json_response(item, status=404 if item is None else 200)


@contextmanager
def running_consumer(url: str, queue: str) -> Iterator[str]:
    """The stand-in in a process of its own, until the block ends; yields the address of its read model."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__)), url, queue],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


async def _consume(connection: AbstractConnection, queue: str, items: Items) -> None:
    """Consume the queue as soon as somebody has declared it."""
    while True:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.queue_declare(queue, passive=True)
            break
        except ChannelNotFoundEntity:
            await asyncio.sleep(_LOOK_S)
    await channel.basic_qos(prefetch_count=_PREFETCH)

    async def work_off(message: DeliveredMessage) -> None:
        await items.work_off(channel, message)

    await channel.basic_consume(queue, work_off)


async def _main(url: str, queue: str) -> None:
    items = Items()
    application = web.Application(client_max_size=1 << 24)
    application.router.add_post("/items/query", items.asked)
    application.router.add_get("/items/{id}", items.asked_for_one)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connection = await aiormq.connect(url)
    consuming = asyncio.create_task(_consume(connection, queue, items))
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await connection.close()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
