"""What evload's RabbitMQ producer is held against, each run as a process of its own that prints its rate.

`tasks` is what one writes with aio-pika: a task for each `exchange.publish`, at most 1,000 of them at a time.
`bare` is the least that can be done in Python: the same marshalled frames again and again, written a hundred at
a time, and the confirms counted; it renders nothing and keeps no account.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from typing import Final

import aio_pika
import aiormq
import pamqp.frame
import uvloop
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

TASKS: Final = 1000
WINDOW: Final = 5000
BATCH: Final = 100
SIZE: Final = 300
"""Bytes of a body."""
_PROPERTIES: Final = commands.Basic.Properties(
    content_type="application/json", delivery_mode=1, correlation_id="0" * 36, message_id="0" * 36
)
"""As evload has them, so that the broker has the same work with every message."""
_CONFIRM: Final = struct.Struct(">IQB")


async def tasks(url: str, queue: str, count: int) -> float:
    """Events per second of aio-pika's own publish."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        room = asyncio.Semaphore(TASKS)
        body = b"x" * SIZE

        async def publish() -> None:
            try:
                message = aio_pika.Message(body, content_type="application/json", correlation_id="0" * 36)
                await exchange.publish(message, routing_key=queue)
            finally:
                room.release()

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await room.acquire()
                group.create_task(publish())
        return count / (time.perf_counter() - began)


class _Counter(asyncio.Protocol):
    """Takes over a connection after the handshake and counts what is confirmed on it."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.confirmed = 0
        self.news = asyncio.Event()
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= 8:
            size = int.from_bytes(data[at + 3 : at + 7])
            if len(data) - at < size + 8:
                break
            if size == 13:
                _, tag, multiple = _CONFIRM.unpack_from(data, at + 7)
                self.confirmed = tag if multiple else self.confirmed + 1
            at += size + 8
        self._rest = data[at:]
        self.news.set()


class _Keep(aiormq.connection.TransportFactory):
    """Opens aiormq's transport and keeps it, for the loop to take over."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None

    async def create(self, url: object, **_: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self.writer = await asyncio.open_connection(url.host, url.port)  # type: ignore[attr-defined]
        return reader, self.writer


async def bare(url: str, queue: str, count: int) -> float:
    """Events per second of frames that were marshalled beforehand."""
    keep = _Keep()
    connection = aiormq.Connection(url, transport_factory=keep)
    await connection.connect()
    channel = await connection.channel(publisher_confirms=True)
    assert keep.writer is not None
    transport = keep.writer.transport
    counter = _Counter()
    transport.set_protocol(counter)
    number = channel.number
    message = b"".join(
        (
            pamqp.frame.marshal(commands.Basic.Publish(routing_key=queue, mandatory=True), number),
            pamqp.frame.marshal(ContentHeader(body_size=SIZE, properties=_PROPERTIES), number),
            pamqp.frame.marshal(ContentBody(b"x" * SIZE), number),
        )
    )
    batch = message * BATCH
    began = time.perf_counter()
    sent = 0
    while counter.confirmed < count:
        while sent < count and sent - counter.confirmed <= WINDOW - BATCH:
            transport.write(batch)
            sent += BATCH
        counter.news.clear()
        await counter.news.wait()
    rate = count / (time.perf_counter() - began)
    transport.abort()
    return rate


if __name__ == "__main__":
    _, peer, peer_url, peer_queue, peer_count = sys.argv
    chosen = {"tasks": tasks, "bare": bare}[peer]
    print(uvloop.run(chosen(peer_url, peer_queue, int(peer_count))), flush=True)
