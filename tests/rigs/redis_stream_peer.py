"""A Redis that keeps what it is told to a stream until a test answers it, in a network that stays in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

_REFUSED_ID: Final = b"-ERR The ID specified in XADD must be greater than 0-0\r\n"


class PeerLink:
    """One connection to the peer. `added` are the fields of the entries that were to be added over it, in turn."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.added: list[list[bytes]] = []

    def say(self, text: bytes) -> None:
        """Whatever it is."""
        self.writer.write(text)

    def hang_up(self) -> None:
        """At once."""
        self.writer.transport.abort()


class StreamPeer:
    """The peer. What it is asked beside XADD is well.

    links  all connections over which something was to be added or may yet be
    shut   it closes each new connection at once
    says   what it says before a run to an entry that it has to refuse
    """

    def __init__(self) -> None:
        self.port = 0
        self.links: list[PeerLink] = []
        self.shut = False
        self.says = _REFUSED_ID
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        if self.shut:
            writer.transport.abort()
            return
        link = PeerLink(writer)
        self.links.append(link)
        try:
            while command := await read_command(reader):
                match command[0].upper():
                    case b"CLIENT":
                        link.say(b"+OK\r\n")
                    case b"TYPE":
                        link.say(b"+none\r\n")
                    case b"XADD" if command[2] == b"0-0":
                        link.say(self.says)
                        # The connection of the look before the run.
                        self.links.remove(link)
                    case b"XADD":
                        link.added.append(command[command.index(b"*") + 1 :])
                        self.news.set()
                    case _:
                        link.say(b"-ERR unknown command\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command; nothing if there is none any more."""
    try:
        count = int((await reader.readline())[1:] or b"0")
        return [(await reader.readexactly(int((await reader.readline())[1:]) + 2))[:-2] for _ in range(count)]
    except ConnectionError:
        return []


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], leave_s: float
) -> AsyncIterator[int]:
    """Serves on the port that it gives. After that it waits until those that were hung up on know of it."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(leave_s)


@asynccontextmanager
async def stream_peer() -> AsyncIterator[StreamPeer]:
    """One that listens until the end of the block."""
    peer = StreamPeer()
    async with listening(peer.serve, 0.01) as peer.port:
        yield peer
