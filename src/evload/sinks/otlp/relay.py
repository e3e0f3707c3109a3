"""A way to a collector by which little can come back: gRPC takes headers of 16 MiB until less is agreed upon."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ...clients.bounded import Allowance, Bounded
from ...clients.dialing import Dialer
from ...clients.web import reason_of

_LONGEST: Final = 1 << 18
"""Most that a collector may say until a request is answered, in bytes, and by far more than it has to say."""
_CONNECT_S: Final = 15.0
_PIECE: Final = 1 << 16


class Relay:
    """Passes bytes on between a socket of this machine and the collector.

    target   the socket, as gRPC names it
    trouble  why there is no way to the collector, or none any more; empty if there is
    """

    def __init__(self, socket: Path, dialer: Dialer) -> None:
        self.target = f"unix:{socket}"
        self.trouble = ""
        self._dialer = dialer
        self._allowance = Allowance(_LONGEST)
        self._ways: dict[asyncio.Task[None], Bounded | None] = {}

    def settled(self) -> None:
        """What has come was an answer, and is dealt with."""
        for bounded in self._ways.values():
            if bounded is not None:
                bounded.settled()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes here, and what comes back."""
        way = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="otlp relay")
        self._ways[way] = None
        way.add_done_callback(self._ways.pop)

    async def close(self) -> None:
        """End all connections."""
        ways = list(self._ways)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                back, out = await self._dialer.streams(None)
        except (OSError, UnicodeError) as error:
            late = isinstance(error, TimeoutError) and not error.errno
            self.trouble = f"no connection within {_CONNECT_S:g} s" if late else reason_of(error)
            writer.transport.abort()
            return
        self.trouble = ""
        way = asyncio.current_task()
        assert way is not None
        self._ways[way] = bounded = Bounded(out.transport, self._allowance)
        passing = [asyncio.create_task(_pass(reader, out)), asyncio.create_task(_pass(back, writer))]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            if bounded.cut:
                self.trouble = f"more than {_LONGEST} bytes came in place of an answer; correct url"
        finally:
            for one in passing:
                one.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            out.transport.abort()
            writer.transport.abort()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_PIECE):
        sink.write(data)
        await sink.drain()


@asynccontextmanager
async def relaying(dialer: Dialer) -> AsyncIterator[Relay]:
    """Listen, for whoever may read the socket's directory, which is this user."""
    with tempfile.TemporaryDirectory(prefix="evload-") as directory:
        relay = Relay(Path(directory) / "otlp", dialer)
        server = await asyncio.start_unix_server(relay.serve, Path(directory) / "otlp")
        try:
            yield relay
        finally:
            server.close()
            await relay.close()
