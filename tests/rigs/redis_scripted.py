"""Something that listens where Redis should, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.rigs.redis_stream_peer import read_command

_EMPTY: Final = {
    b"GET": b"$-1\r\n", b"EXISTS": b":0\r\n", b"HGET": b"$-1\r\n", b"XRANGE": b"*0\r\n",
    b"XINFO": b"-ERR no such key\r\n", b"XREAD": b"*-1\r\n", b"XPENDING": b"*0\r\n", b"XLEN": b":0\r\n",
    b"TYPE": b"+none\r\n", b"XADD": b"$3\r\n1-1\r\n",
}  # fmt: skip
_GROUPS: Final = (
    b"*1\r\n*8\r\n$4\r\nname\r\n$1\r\ng\r\n$7\r\npending\r\n:0\r\n$9\r\nconsumers\r\n:0\r\n$3\r\nlag\r\n:0\r\n"
)
"""Of any stream: one that is called g."""
_NO_ID: Final = b"-ERR The ID specified in XADD must be greater than 0-0\r\n"
_BLOCK_S: Final = 0.3
"""How long it waits for entries that never come, whatever it is asked."""


class ScriptedRedis:
    """A Redis that holds nothing; or `said`, in place of each of its answers. The handshake is always well.

    A connection over which it has `said` anything is out of step afterwards, if it `slips`: a text comes before each
    answer.
    """

    def __init__(self) -> None:
        self.port = 0
        self.said: bytes | None = None
        self.slips = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        queued: list[list[bytes]] | None = None
        out_of_step = False
        while command := await read_command(reader):
            match command[0].upper():
                case b"CLIENT":
                    answer = b"+OK\r\n"
                case b"MULTI":
                    queued, answer = [], b"+OK\r\n"
                case b"EXEC":
                    answers = [self._answer(one) for one in queued or ()]
                    answer = b"*%d\r\n%b" % (len(answers), b"".join(answers)) if self.said is None else self.said
                    queued = None
                case _ if queued is not None:
                    queued.append(command)
                    answer = b"+QUEUED\r\n"
                case _:
                    if b"BLOCK" in command:
                        await asyncio.sleep(_BLOCK_S)
                    answer = self._answer(command) if self.said is None else self.said
            writer.write(b"$4\r\nlate\r\n" + answer if out_of_step else answer)
            out_of_step |= self.slips and answer == self.said
        writer.close()

    def _answer(self, command: list[bytes]) -> bytes:
        if command[0] in (b"MGET", b"HMGET"):
            count = len(command) - (1 if command[0] == b"MGET" else 2)
            return b"*%d\r\n%b" % (count, b"$-1\r\n" * count)
        if command[:2] == [b"XINFO", b"GROUPS"]:
            return _GROUPS
        if command[0] == b"XADD" and command[2] == b"0-0":
            return _NO_ID
        return _EMPTY[command[0]]


@asynccontextmanager
async def scripted_redis() -> AsyncIterator[ScriptedRedis]:
    """One that listens until the end of the block."""
    scripted = ScriptedRedis()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    async with server:
        yield scripted
