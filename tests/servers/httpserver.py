"""A scriptable HTTP server on the loopback that can misbehave in every way that a test asks for."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `connection` counts the connections from 0, header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Step(enum.Enum):
    """What a script can do beside writing bytes."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"
    """Say nothing more, and leave the connection open."""


Script = Callable[[Request], Sequence[bytes | float | Step]]
"""What to do about a request, step by step: write bytes, wait for seconds, or a Step."""


def answer(status: int = 202, body: bytes = b"", *headers: str) -> bytes:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_answer(body: bytes, status: int = 200, *headers: str) -> bytes:
    """A well-formed answer with a JSON body."""
    return answer(status, body, "Content-Type: application/json", *headers)


@dataclass
class Server:
    """A running server and what it has seen."""

    script: Script
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: asyncio.Server | None = None
    _tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of all requests, in order of arrival."""
        return [request.body for request in self.requests]

    def stop_listening(self) -> None:
        """Refuse new connections; the open ones go on."""
        if self._listener is not None:
            self._listener.close()

    async def start(self, tls: ssl.SSLContext | None, port: int = 0) -> None:
        """Listen, on a free port unless one is named."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", port, ssl=tls, limit=1 << 26)
        port = self._listener.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Close everything."""
        self.stopped.set()
        self.stop_listening()
        tasks = dict(self._tasks)
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()  # a task that never ran can't close its connection
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.stopped.is_set():
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, self.connections))
        self.connections += 1
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while True:
                request = await _read_request(reader, connection)
                self.requests.append(request)
                for step in self.script(request):
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    elif isinstance(step, float):
                        await asyncio.sleep(step)
                    elif step is Step.STALL:
                        await self.stopped.wait()
                    elif step is Step.RESET:
                        linger = struct.pack("ii", 1, 0)
                        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        writer.transport.abort()
                        return
                    else:
                        return
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.open_now -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1"
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers
        headers[name.lower()] = value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, connection)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Server]:
    """A server that does what the script says, for as long as the block lasts; on a free port unless one is named."""
    server = Server(script)
    await server.start(tls, port)
    try:
        yield server
    finally:
        await server.stop()


def always(*steps: bytes | float | Step) -> Script:
    """The same steps for every request."""
    return lambda request: steps
