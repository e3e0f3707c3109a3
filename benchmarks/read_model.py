"""A read model in a process of its own, which answers as fast as it can.

    python -m benchmarks.read_model

Prints its port and serves until its stdin closes. POST /events takes a structured event, which becomes visible two
seconds later: GET /items/ID then answers 200 instead of 404, POST /items/query lists it if it is among
{"ids": [...]}, and GET /feed?after=CURSOR lists what became visible since.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

import httptools
import orjson
import uvloop

VISIBLE_AFTER_S: Final = 2.0
_GET_ITEM: Final = b"GET /items/"
_FOUND: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
_MISSING: Final = b'HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"no":1}'
_TAKEN: Final = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


class Items:
    """What was written, and when."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._order: list[str] = []

    def write(self, ident: str, now: float) -> None:
        self._at[ident] = now
        self._order.append(ident)

    def has(self, ident: str, now: float) -> bool:
        at = self._at.get(ident)
        return at is not None and now - at >= VISIBLE_AFTER_S

    def after(self, cursor: int, now: float) -> list[str]:
        end = cursor
        while end < len(self._order) and self.has(self._order[end], now):
            end += 1
        return self._order[cursor:end]


class ReadModel(asyncio.Protocol):
    """One connection."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(_GET_ITEM) and data.endswith(b"\r\n\r\n"):
            # A core of its own has to keep up with those that it is asked by, which have another.
            self._transport.write(self._item(data[len(_GET_ITEM) : data.index(b" ", len(_GET_ITEM))].decode()))
        else:
            self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._transport.write(self._answer(time.monotonic()))

    def _answer(self, now: float) -> bytes:
        path, _, query = self._url.decode().partition("?")
        if path == "/events":
            self._items.write(orjson.loads(self._body)["correlationid"], now)
            return _TAKEN
        if path == "/feed":
            cursor = int(query.rpartition("=")[2])
            found = self._items.after(cursor, now)
            document = {"items": [{"id": ident} for ident in found], "next": cursor + len(found)}
            return _ok(orjson.dumps(document))
        if path == "/items/query":
            ids = orjson.loads(self._body)["ids"]
            return _ok(orjson.dumps({"items": [{"id": ident} for ident in ids if self._items.has(ident, now)]}))
        return self._item(path.rpartition("/")[2])

    def _item(self, ident: str) -> bytes:
        if self._items.has(ident, time.monotonic()):
            return _ok(b'{"id":"%b","status":"done"}' % ident.encode())
        return _MISSING


def _ok(body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (_FOUND, len(body), body)


async def serve() -> None:
    """Serve until stdin closes."""
    items = Items()
    server = await asyncio.get_running_loop().create_server(lambda: ReadModel(items), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
