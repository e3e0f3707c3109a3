"""An AMQP 0-9-1 connection that does one thing: ask how a queue is, by a passive declare.

aiormq makes a task and a reader for each connection. Where a broker answers nonsense, again and again, those that
failed stay in memory: they end by an error inside a task, which holds all that was said. Here nothing is left.
"""

from __future__ import annotations

from typing import Final

from pamqp import commands
from pamqp.base import Frame
from pamqp.header import ContentHeader

from ...clients.amqp import Address
from ...clients.amqp_connection import FRAME, FRAME_END, KINDS, METHOD, AskingConnection, ConnectionClosed

_LONGEST: Final = 1 << 18
"""Most that a broker may say to one question, in bytes: by far more than it has to say."""


class NoQueueError(Exception):
    """The broker has no queue of that name."""


class Asker(AskingConnection):
    """The connection, and a channel on it while it is good."""

    def __init__(self, address: Address, *, external: bool, name: str) -> None:
        super().__init__(address, external=external, name=name)
        self._has_channel = False
        self._rest = b""
        self._came = 0
        """Bytes since the last question."""

    async def look(self, queue: str) -> tuple[int, int]:
        """Messages that are ready, and consumers. Raises NoQueueError, after which it can be asked again, or
        ConnectionClosed."""
        self._came = 0
        if not self._has_channel:
            await self.ask(commands.Channel.Open())
            self._has_channel = True
        said = await self.ask(commands.Queue.Declare(queue=queue, passive=True))
        match said:
            case commands.Queue.DeclareOk():
                return said.message_count or 0, said.consumer_count or 0
            case commands.Channel.Close(reply_code=404):
                raise NoQueueError
            case commands.Channel.Close():
                self.end(said.reply_text, said.reply_code)
            case _:
                self.end(f"the broker answered {said.name} where Queue.DeclareOk was due")
        raise self.ended.result()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        self.heard()
        self._came += len(data)
        if self._came > _LONGEST:
            self.end(f"more than {_LONGEST} bytes came")
            return
        data = self._rest + data
        at, end = 0, len(data)
        while end - at >= FRAME.size:
            kind, channel, size = FRAME.unpack_from(data, at)
            stop = at + FRAME.size + size
            if kind not in KINDS or (stop < end and data[stop] != FRAME_END):
                self.end("it doesn't speak AMQP 0-9-1")
                return
            if stop >= end:
                break
            if kind == METHOD and not self.take(channel, data[at : stop + 1]):
                return
            at = stop + 1
        self._rest = data[at:]

    # What the connection tells.

    def said(self, channel: int, frame: Frame | ContentHeader) -> None:
        if isinstance(frame, commands.Channel.Close):
            # It closes the channel on which it was asked for what isn't there.
            self._has_channel = False
            self.send(channel, commands.Channel.CloseOk())
        if isinstance(frame, Frame):
            self.answer(frame)

    def over(self, error: ConnectionClosed) -> None:
        self._rest = b""
        super().over(error)
