"""Stands between an adapter and its peer, and makes of it a slow one, a clogged one or one that hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 16_384
_SLOW_S: Final = 0.05
_SLOW_CHUNK: Final = 2_048
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Relay:
    """Listens on a port of its own on the loopback interface and passes all on to `port`, both ways.

    As a context manager; needs a real event loop. `port` is its own port.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = 0
        self._peer = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._slow = False
        self._refusing = False
        self._streams: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def slow(self) -> None:
        """From now on a few bytes at a time, each after a while: some 40 kB a second, 50 ms later."""
        self._slow = True

    def clog(self) -> None:
        """From now on nothing passes. Connections stay, and are accepted, and nobody reads or answers."""
        self._flowing.clear()

    def flow(self) -> None:
        """All passes again, at once."""
        self._slow = self._refusing = False
        self._flowing.set()

    def hang_up(self, *, refuse: bool = False) -> None:
        """Reset all connections. With `refuse` also those that are made from now on, until `flow`."""
        self._refusing = refuse
        for stream in tuple(self._streams):
            _reset(stream)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        try:
            to_peer = await asyncio.open_connection(*self._peer)
        except OSError:
            _reset(writer)
            return
        pumps = [
            asyncio.ensure_future(self._pump(reader, to_peer[1])),
            asyncio.ensure_future(self._pump(to_peer[0], writer)),
        ]
        self._pumps.update(pumps)
        self._streams.update((writer, to_peer[1]))
        try:
            await asyncio.wait(pumps)
        finally:
            self._pumps.difference_update(pumps)
            self._streams.difference_update((writer, to_peer[1]))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._flowing.wait()
                data = await source.read(_SLOW_CHUNK if self._slow else _CHUNK)
                if not data:
                    break
                if self._slow:
                    await asyncio.sleep(_SLOW_S)
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


def _reset(stream: asyncio.StreamWriter) -> None:
    """Close so that the other end gets a reset instead of an orderly end."""
    link = stream.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it may be closed already
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    stream.transport.abort()
