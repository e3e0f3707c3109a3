"""A Redis with one stream that doesn't count what was ever added to it, as those before version 7; made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.rigs.redis_stream_peer import listening, read_command

Entry = tuple[tuple[int, int], list[bytes]]


class OldRedis:
    """One that listens on a `port`.

    entries  what the stream has, by hand
    waits    it waits for entries where it is asked to
    longer   so many bytes more are in each entry than there should be
    asked    the first words of each command, in turn
    """

    def __init__(self) -> None:
        self.port = 0
        self.entries: list[Entry] = []
        self.waits = True
        self.longer = 0
        self.asked: list[tuple[bytes, ...]] = []
        self._last = (0, 0)
        self._news = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    def add(self, *correlation_ids: str) -> None:
        """An entry for each."""
        for one in correlation_ids:
            self._last = self._last[0] + 1, 0
            self.entries.append((self._last, [b"correlationid", one.encode()]))
        self._news.set()

    def trim(self, left: int) -> None:
        """To so many entries, the newest."""
        del self.entries[: len(self.entries) - left]

    def hang_up(self) -> None:
        """On everybody."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self._writers.append(writer)
        queued: list[list[bytes]] | None = None
        try:
            while command := await read_command(reader):
                name = command[0].upper()
                self.asked.append(tuple(command[:3]))
                if name == b"MULTI":
                    queued, answer = [], b"+OK\r\n"
                elif name == b"EXEC":
                    answers = [self._answer(one) for one in queued or ()]
                    queued, answer = None, b"*%d\r\n%b" % (len(answers), b"".join(answers))
                elif queued is not None:
                    queued.append(command)
                    answer = b"+QUEUED\r\n"
                else:
                    if self.waits and b"BLOCK" in command:
                        await self._wait(command)
                    answer = self._answer(command)
                writer.write(answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def _wait(self, command: list[bytes]) -> None:
        limit_s = int(command[command.index(b"BLOCK") + 1]) / 1000
        try:
            async with asyncio.timeout(limit_s):
                while not self._after(command):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _after(self, command: Sequence[bytes]) -> list[Entry]:
        ms, _, number = command[-1].partition(b"-")
        after = int(ms), int(number)
        return [entry for entry in self.entries if entry[0] > after]

    def _answer(self, command: Sequence[bytes]) -> bytes:
        if command[0] == b"CLIENT":
            return b"+OK\r\n"
        if command[0] == b"XINFO":
            return self._info()
        found = self._after(command)[: int(command[command.index(b"COUNT") + 1])]
        if not found:
            return b"*-1\r\n"
        return b"*1\r\n*2\r\n+s\r\n*%d\r\n" % len(found) + b"".join(map(self._told, found))

    def _told(self, entry: Entry) -> bytes:
        (ms, number), fields = entry
        fields = [*fields, b"x", bytes(self.longer)] if self.longer else fields
        texts = b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in fields)
        return b"*2\r\n+%d-%d\r\n*%d\r\n%b" % (ms, number, len(fields), texts)

    def _info(self) -> bytes:
        if self._last == (0, 0):
            return b"-ERR no such key\r\n"
        first = self._told((self.entries[0][0], [b"a", b"b"])) if self.entries else b"*-1\r\n"
        return b"*6\r\n+length\r\n:%d\r\n+last-generated-id\r\n+%d-%d\r\n+first-entry\r\n%b" % (
            len(self.entries), *self._last, first,
        )  # fmt: skip


@asynccontextmanager
async def old_redis() -> AsyncIterator[OldRedis]:
    """One that listens until the end of the block."""
    old = OldRedis()
    async with listening(old.serve, 1) as old.port:
        yield old
