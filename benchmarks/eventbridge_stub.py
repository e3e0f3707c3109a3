"""A bus in a process of its own that takes every entry as quickly as it can.

    python -m benchmarks.eventbridge_stub

Prints its port, serves until its stdin closes, then prints how many entries it took.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Final, cast

import uvloop

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MOST: Final = 10


def _answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _taken(count: int) -> bytes:
    ids = [{"EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860"}] * count
    return _answer(json.dumps({"FailedEntryCount": 0, "Entries": ids}).encode())


_TAKEN: Final = [_taken(count) for count in range(_MOST + 1)]
_DESCRIBED: Final = _answer(b'{"Name": "default"}')


class _Bus:
    """What was taken on all connections."""

    entries = 0


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport

    def __init__(self, bus: _Bus) -> None:
        self._bus = bus
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[: end + 2]
            length = _LENGTH.search(head)
            body_end = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < body_end:
                return
            # Quotes in a Detail are escaped, so this finds the key of an entry and nothing else.
            count = self._received.count(b'"Detail":', end, body_end)
            self._received = self._received[body_end:]
            self._bus.entries += count
            self._transport.write(_TAKEN[count] if b"PutEvents" in head else _DESCRIBED)


async def _serve() -> None:
    bus, loop = _Bus(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(bus), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(bus.entries, flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
