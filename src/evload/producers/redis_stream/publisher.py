"""Writes XADD commands many at a time and turns what Redis answers into receipts.

Redis answers in the order of the commands, so that the oldest event without an answer is the one that the next reply
is about. Events wait until they may be written: there is a connection, the socket takes bytes, and fewer than
`window` events are without an answer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

from ...clients.databases import shown_address
from ...clients.redis import explain, one_line, usable
from ...clients.redis_answers import Nonsense
from ...clients.redis_connection import ConnectionLost, Connector, RedisAsker, RedisConnection
from ...clients.redis_replies import ErrorReply, Reply, command
from ...errors import TargetError
from ...model.states import Outcome
from ...model.travel import Event, Receipt
from ...spi.context import Surroundings
from ...spi.producer import Settle
from ...spi.traffic import Message, Traffic
from ...units import NS_PER_S, format_duration
from .._shared.receipts import Gathered, Receipts, Waiting
from .._shared.watching import shown
from .entries import Entries, described
from .settings import RedisStreamProducerSettings

_WRITE: Final = 128
"""Most events in one write to the socket: about 70 KB."""
_BACKOFF_S: Final = (0.1, 2.0)
"""First and longest pause between two attempts to connect, before the jitter of a half each way."""
_SILENT: Final = 3
"""A Redis that says nothing at all for so many times `timeout`, while it should, is taken for gone."""
_NO_ENTRY: Final = "0-0"
"""The id that no entry can have: Redis refuses it last of all, once it has found that the user may add entries, and
that this server takes them."""


class _Sent(NamedTuple):
    """An event that is written and not yet answered."""

    event: Event
    into: Gathered
    sent_ns: int


class RedisStreamPublisher:
    """The producer. It comes back by itself when the connection is lost. Listens to its connection."""

    def __init__(self, config: RedisStreamProducerSettings, surroundings: Surroundings) -> None:
        self._config = config
        self._connector = Connector(config, surroundings, config.timeout)
        self._clock = surroundings.clock
        self._entries = Entries(config)
        self._waiting: deque[Waiting] = deque()
        self._sent: deque[_Sent] = deque()
        self._late = 0
        """So many of the next replies are to events that are settled already."""
        self._connection: RedisConnection | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._down_reason = ""
        self._up_since_ns = 0
        self._heard_ns = 0
        self._receipts = Receipts()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._period_s = min(max(config.timeout / NS_PER_S / 20, 0.005), 0.5)
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """See whether entries could be added, and connect. Raises one of `_errors()`."""
        await _look(self._config, self._connector)
        await self._connect()
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    async def close(self) -> None:
        """Settle what is unsettled and let go of the connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        self._give_up("no answer before the end")
        self._drop_waiting(
            self._no_connection() if self._connection is None else "still waiting to be sent at the end"
        )
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._turn()

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Write the events, or have them wait; see `Producer.publish`. Waits while the window is full."""
        into, now_ns = self._receipts.of(settle), self._clock.now_ns()
        self._waiting.extend([Waiting(event, into, now_ns) for event in batch])
        self._pump()
        self._turn()
        while self._waiting:
            self._room.clear()
            await self._room.wait()

    # -- what goes out -----------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Write what may be written; without a connection nothing waits for one."""
        connection, waiting, sent, window = self._connection, self._waiting, self._sent, self._config.window
        if connection is None:
            self._drop_waiting(self._no_connection(), tried_ns=self._clock.now_ns())
            return
        while waiting and connection.can_write and len(sent) < window:
            now_ns = self._clock.now_ns()
            commands: list[bytes] = []
            if not sent and not self._late:
                # The silence before this was nobody's fault.
                self._heard_ns = now_ns
            for _ in range(min(len(waiting), _WRITE, window - len(sent))):
                event, into, _queued_ns = waiting.popleft()
                try:
                    self._entries.add(event, commands)
                except ValueError as error:
                    self._settle(into, event, Outcome.UNSENT, None, None, one_line(str(error)))
                    continue
                sent.append(_Sent(event, into, now_ns))
            connection.write(b"".join(commands))

    def _sweep(self) -> None:
        """Settle what has waited longer than `timeout`, for its answer or for being sent."""
        now_ns, timeout_ns = self._clock.now_ns(), self._config.timeout
        overdue_ns, limit = now_ns - timeout_ns, format_duration(timeout_ns)
        sent, waiting = self._sent, self._waiting
        while sent and sent[0].sent_ns <= overdue_ns:
            event, into, sent_ns = sent.popleft()
            self._late += 1
            self._settle(into, event, Outcome.IN_DOUBT, sent_ns, None, f"no answer within {limit}")
        while waiting and max(waiting[0].queued_ns, self._up_since_ns) <= overdue_ns:
            event, into, _ = waiting.popleft()
            self._settle(into, event, Outcome.UNSENT, None, None, f"Redis took nothing more for {limit}")
        silent_ns = now_ns - self._heard_ns
        if self._connection is not None and self._late and silent_ns > _SILENT * timeout_ns:
            self._connection.end(f"nothing was heard of Redis for {format_duration(silent_ns)}")
        self._pump()
        self._turn()
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    # -- what the connection tells -----------------------------------------------------------------------

    def replied(self, replies: Sequence[Reply]) -> None:
        """A reply for each of the oldest events."""
        now_ns = self._heard_ns = self._clock.now_ns()
        for reply in replies:
            if self._late:
                self._late -= 1
                continue
            if not self._sent or not _is_answer(reply):
                self._end(reply)
                break
            event, into, sent_ns = self._sent.popleft()
            if isinstance(reply, ErrorReply):
                self._settle(into, event, Outcome.REJECTED, sent_ns, now_ns, _said(reply.text))
            else:
                self._receipts.add(
                    into, Receipt(event.seq, Outcome.ACCEPTED, sent_ns, now_ns, capture=reply.decode())
                )
        self._pump()
        self._turn()

    def writable(self) -> None:
        """There is room again."""
        self._pump()
        self._turn()

    def lost(self, error: ConnectionLost) -> None:
        """Whatever has no answer will get none."""
        self._connection = None
        self._down_reason = str(error)
        self._late = 0
        self._give_up(f"connection lost: {error}")
        self._pump()
        self._turn()
        self._reconnecting = self._loop.create_task(self._reconnect())

    def _end(self, reply: Reply) -> None:
        what = "it answers what nobody asked" if not self._sent else f"XADD was answered with {str(reply)[:80]}"
        assert self._connection is not None
        self._connection.end(f"what answers there isn't Redis: {what}")

    # -- the rest ----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        self._connection = await self._connector.connect(self)
        self._up_since_ns = self._heard_ns = self._clock.now_ns()

    async def _reconnect(self) -> None:
        pause_s, longest_s = _BACKOFF_S
        while self._connection is None:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, longest_s)
            try:
                await self._connect()
            except _errors() as error:
                self._down_reason = explain(error, self._config.timeout).reason
        self._pump()
        self._turn()

    def _drop_waiting(self, reason: str, tried_ns: int | None = None) -> None:
        while self._waiting:
            event, into, _ = self._waiting.popleft()
            self._settle(into, event, Outcome.UNSENT, tried_ns, None, reason)

    def _give_up(self, reason: str) -> None:
        while self._sent:
            event, into, sent_ns = self._sent.popleft()
            self._settle(into, event, Outcome.IN_DOUBT, sent_ns, None, reason)

    def _no_connection(self) -> str:
        return f"no connection: {self._down_reason}"

    def _settle(
        self, into: Gathered, event: Event, outcome: Outcome, sent_ns: int | None, acked_ns: int | None, detail: str
    ) -> None:
        self._receipts.add(into, Receipt(event.seq, outcome, sent_ns, acked_ns, detail))

    def _turn(self) -> None:
        """Hand over the receipts that have gathered, and let publishers see whether there is room again."""
        self._receipts.hand_over()
        self._room.set()


class _WatchedPublisher(RedisStreamPublisher):
    """The same, and somebody looks on."""

    def __init__(self, config: RedisStreamProducerSettings, surroundings: Surroundings, traffic: Traffic) -> None:
        super().__init__(config, surroundings)
        self._traffic = traffic

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        sent = partial(described, self._config)
        await super().publish(batch, shown(batch, settle, self._traffic, sent=sent, came=_came))


def _came(receipt: Receipt) -> Message:
    return Message(receipt.capture or f"(error) {receipt.detail}")


@asynccontextmanager
async def open_publisher(
    config: RedisStreamProducerSettings, surroundings: Surroundings
) -> AsyncIterator[RedisStreamPublisher]:
    """Connect, see whether entries may be added, yield the producer, settle what is left. Raises TargetError."""
    traffic, where = surroundings.traffic, shown_address(config.url)
    with usable(config.url):
        publisher = (
            RedisStreamPublisher(config, surroundings)
            if traffic is None
            else _WatchedPublisher(config, surroundings, traffic)
        )
    try:
        try:
            await publisher.open()
        except TargetError:
            raise
        except _errors() as error:
            reason, cure = explain(error, config.timeout)
            raise TargetError(f"can't add to streams of {where}: {reason}; {cure}") from error
        yield publisher
    finally:
        await publisher.close()


async def _look(config: RedisStreamProducerSettings, connector: Connector) -> None:
    """See whether entries could be added, to a stream whose name is known. Raises one of `_errors()`."""
    asker = await RedisAsker.open(connector)
    try:
        if "{" in config.stream:
            await asker.ask([command("PING")], config.timeout)
            return
        asked = [command("TYPE", config.stream), command("XADD", config.stream, _NO_ENTRY, config.field, "")]
        kind, refused = (await asker.ask(asked, config.timeout)).replies
    finally:
        asker.close()
    what = f"can't add to stream {config.stream!r} of {shown_address(config.url)}"
    if isinstance(kind, bytes) and kind not in (b"stream", b"none"):
        raise TargetError(f"{what}: it is a {kind.decode('utf-8', 'replace')}; correct stream, or remove that key")
    if not isinstance(refused, ErrorReply):
        raise Nonsense(f"XADD was answered with {str(refused)[:80]}, not as Redis does")
    if not (refused.text.startswith("ERR ") and " ID " in refused.text):
        reason, cure = explain(_Refused(refused.text), config.timeout)
        raise TargetError(f"{what}: {reason}; {cure}")


def _said(text: str) -> str:
    """Redis's own words, and more where they say little."""
    if text.startswith(("MOVED ", "ASK ")):
        return f"{text}: another node of this cluster has the stream"
    return text


class _Refused(Exception):
    """Redis's own words."""


def _is_answer(reply: Reply) -> bool:
    """Whether it is an error, or the id of an entry."""
    if isinstance(reply, bytes):
        ms, dash, number = reply.partition(b"-")
        return bool(dash) and ms.isdigit() and number.isdigit()
    return isinstance(reply, ErrorReply)


def _errors() -> tuple[type[Exception], ...]:
    """What an attempt to connect and to ask may fail with."""
    from redis.exceptions import RedisError

    return RedisError, OSError, ConnectionLost, Nonsense, TargetError
