"""Publishes events on confirmed channels and turns what the broker says of them into receipts.

A publisher has links (connections), a link has lanes (channels). Events wait in their lane until the link may
write: it is up, the broker doesn't block it, the socket takes bytes, and fewer than `window` events are
unconfirmed. They are written many at a time, and settled by delivery tag.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple
from zlib import crc32

from ...clients.amqp import parse_url, refusal
from ...clients.amqp_connection import ConnectionClosed
from ...clients.dialing import Dialer
from ...clients.web import reason_of
from ...clock import Clock
from ...model.states import Outcome
from ...model.travel import Event, Receipt
from ...spi.context import Surroundings
from ...spi.producer import Settle
from ...spi.traffic import Message, Traffic
from ...units import NS_PER_S, format_duration
from .._shared.receipts import Gathered, Receipts, Waiting
from .._shared.watching import shown
from . import topology
from .frames import Publishes, described
from .settings import RabbitmqProducerSettings
from .wire import Connection

_WRITE: Final = 128
"""Most events in one write to the socket: about 70 KB."""
_CONNECT_S: Final = 15.0
_BACKOFF_S: Final = (0.1, 2.0)
"""First and longest pause between two attempts to connect, before the jitter of a half each way."""
_EXCHANGE: Final = re.compile(r"exchange '([^']*)'")
_KNOWN_LIMIT: Final = 10_000
"""Most names of exchanges remembered as existing. With so many, any other may have been there too."""
_SAID: Final = {Outcome.ACCEPTED: "basic.ack", Outcome.REJECTED: "basic.nack", Outcome.RETURNED: "basic.return"}
"""What the broker answers."""
_NACK: Final = "nack: a queue refused it, being full or in trouble"
_HELD_UP: Final = "accepted, but it had to wait until the broker no longer blocked publishing"


@dataclass(slots=True)
class Blocked:
    """How often and how long, in nanoseconds, the broker asked not to publish (memory or disk alarm)."""

    times: int = 0
    duration_ns: int = 0
    reason: str = ""


class _Sent(NamedTuple):
    """An event that is written and not yet answered. `note` is the detail of its receipt if it is accepted."""

    event: Event
    into: Gathered
    sent_ns: int
    note: str


class _Lane:
    """One channel: what waits for it, and what it has sent and the broker has not yet answered."""

    __slots__ = ("oldest", "publishes", "ready", "returned", "tag", "unconfirmed", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.unconfirmed: dict[int, _Sent] = {}
        self.returned: dict[str, str] = {}
        self.publishes: Publishes | None = None
        self.ready = False
        self.tag = 0
        self.oldest = 1
        """No tag below this one is unconfirmed."""

    def open(self) -> None:
        """The channel is new: its delivery tags start at 1."""
        self.tag = 0
        self.oldest = 1
        self.ready = True

    def take(self, tag: int, multiple: bool) -> Iterable[_Sent]:
        """What one confirm answers."""
        if multiple:
            first, self.oldest = self.oldest, max(self.oldest, tag + 1)
            found = [self.unconfirmed.pop(each, None) for each in range(first, tag + 1)]
            return [sent for sent in found if sent is not None]
        sent = self.unconfirmed.pop(tag, None)
        return () if sent is None else (sent,)

    def take_overdue(self, at_ns: int) -> Iterator[_Sent]:
        """What was sent at `at_ns` or before and has no answer."""
        while self.oldest <= self.tag:
            sent = self.unconfirmed.get(self.oldest)
            if sent is not None:
                if sent.sent_ns > at_ns:
                    return
                del self.unconfirmed[self.oldest]
                yield sent
            self.oldest += 1

    def take_all(self) -> list[_Sent]:
        """Everything that has no answer, in the order in which it was sent: none will come any more."""
        sent = list(self.unconfirmed.values())
        self.unconfirmed.clear()
        self.returned.clear()
        self.ready = False
        return sent


Login = Callable[[RabbitmqProducerSettings], RabbitmqProducerSettings]


class _Link:
    """One connection and its lanes; comes back by itself when it is lost. Listens to its connection."""

    def __init__(self, publisher: RabbitmqPublisher, name: str) -> None:
        config = publisher.config
        self._publisher = publisher
        self._config = config
        self._clock = publisher.clock
        self._name = name
        self._connection: Connection | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._known: set[str] | None = set() if "{" in config.exchange else None
        self._unconfirmed = 0
        self._up_since_ns = 0
        self._down_reason = ""
        self._blocked_since_ns = 0
        self._unblocked_ns = 0
        self._heard_ns = 0
        self.lanes = [_Lane() for _ in range(config.channels)]
        self.up = False
        self.blocked_reason = ""

    async def open(self) -> None:
        """Connect. Raises OSError (TimeoutError and ssl.SSLError are such) and ConnectionClosed."""
        address = parse_url(self._publisher.login(self._config).url)
        async with asyncio.timeout(_CONNECT_S):
            connection = await Connection.open(
                self, self._publisher.dialer, address, self._publisher.tls,
                external=self._config.auth == "external", channels=self._config.channels, name=self._name,
            )  # fmt: skip
        self._connection = connection
        self._up_since_ns = self._clock.now_ns()
        self.up = True
        for number, lane in enumerate(self.lanes, 1):
            lane.publishes = Publishes(self._config, number, connection.frame_max)
            lane.open()

    async def close(self) -> None:
        """Settle what is unsettled and let go of the connection."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        self._end_blocked()
        self._give_up("no answer before the end")
        self._drop_waiting("still waiting to be sent at the end" if self.up else self._no_connection())
        self.up = False
        if self._connection is not None:
            await self._connection.close()

    # -- what goes out -------------------------------------------------------------------------------

    def holds_back(self) -> bool:
        """Whether events wait here, and whoever publishes should wait with them.

        While the broker blocks, the schedule goes on instead, and each event waits for at most `timeout`.
        """
        if not any(lane.waiting for lane in self.lanes):
            return False
        return not self.blocked_reason if self.up else self._config.on_connection_lost == "pause"

    def pump(self) -> None:
        """Write what may be written."""
        if self.up:
            for lane in self.lanes:
                if lane.waiting and lane.ready:
                    self._write(lane)
        elif self._config.on_connection_lost == "go-on":
            self._drop_waiting(self._no_connection(), tried_ns=self._clock.now_ns())

    def _write(self, lane: _Lane) -> None:
        connection, publishes, waiting, window = self._connection, lane.publishes, lane.waiting, self._config.window
        assert connection is not None
        assert publishes is not None
        while waiting and connection.can_write and self._unconfirmed < window and not self.blocked_reason:
            now_ns = self._clock.now_ns()
            frames: list[bytes] = []
            first = lane.tag
            for _ in range(min(len(waiting), _WRITE, window - self._unconfirmed)):
                event, into, queued_ns = waiting.popleft()
                try:
                    publishes.add(event, frames)
                except ValueError as error:
                    self._publisher.settle(into, event, Outcome.UNSENT, None, None, str(error))
                    continue
                lane.tag += 1
                note = _HELD_UP if queued_ns <= self._unblocked_ns else ""
                lane.unconfirmed[lane.tag] = _Sent(event, into, now_ns, note)
            self._unconfirmed += lane.tag - first
            connection.write(b"".join(frames))

    def sweep(self, now_ns: int) -> None:
        """Settle what has waited longer than `timeout`, for its confirm or for being sent."""
        overdue_ns = now_ns - self._config.timeout
        timeout = format_duration(self._config.timeout)
        for lane in self.lanes:
            for sent in lane.take_overdue(overdue_ns):
                self._settle(sent, Outcome.IN_DOUBT, None, f"no confirm within {timeout}")
            if not lane.unconfirmed:
                lane.returned.clear()
            if not self.up:
                continue
            why = f"blocked publishing ({self.blocked_reason})" if self.blocked_reason else "took nothing more"
            while lane.waiting and max(lane.waiting[0].queued_ns, self._up_since_ns) <= overdue_ns:
                event, into, _ = lane.waiting.popleft()
                self._publisher.settle(into, event, Outcome.UNSENT, None, None, f"the broker {why} for {timeout}")
        self.pump()

    def _drop_waiting(self, reason: str, tried_ns: int | None = None) -> None:
        for lane in self.lanes:
            while lane.waiting:
                event, into, _ = lane.waiting.popleft()
                self._publisher.settle(into, event, Outcome.UNSENT, tried_ns, None, reason)

    def _give_up(self, reason: str) -> None:
        for lane in self.lanes:
            for sent in lane.take_all():
                self._settle(sent, Outcome.IN_DOUBT, None, reason)

    def _settle(self, sent: _Sent, outcome: Outcome, at_ns: int | None, detail: str) -> None:
        self._unconfirmed -= 1
        self._publisher.settle(sent.into, sent.event, outcome, sent.sent_ns, at_ns, detail)

    def _no_connection(self) -> str:
        return f"no connection: {self._down_reason}"

    # -- what the connection tells, as rabbitmq_wire.Listener has it -----------------------------------

    def confirmed(self, channel: int, tag: int, multiple: bool, accepted: bool) -> None:
        lane = self.lanes[channel - 1]
        if not self._heard_ns:
            self._heard_ns = self._clock.now_ns()
        for sent in lane.take(tag, multiple):
            if self._known is not None and len(self._known) < _KNOWN_LIMIT and lane.publishes is not None:
                self._known.add(lane.publishes.exchange_of(sent.event))
            if lane.returned and (reason := lane.returned.pop(sent.event.correlation_id, None)) is not None:
                self._settle(sent, Outcome.RETURNED, self._heard_ns, reason)
            elif accepted:
                self._settle(sent, Outcome.ACCEPTED, self._heard_ns, sent.note)
            else:
                self._settle(sent, Outcome.REJECTED, self._heard_ns, _NACK)

    def returned(self, channel: int, message_id: str, reason: str) -> None:
        self.lanes[channel - 1].returned[message_id] = reason

    def channel_opened(self, channel: int) -> None:
        self.lanes[channel - 1].open()

    def channel_closed(self, channel: int, code: int, reason: str) -> None:
        """The broker closes a channel at a message that it can't take and ignores all that was sent after it.

        Its text names the exchange, if that is what was wrong. Where no message to that exchange was ever
        confirmed, the first one sent there is the culprit; else it may be any of them. What was sent after the
        culprit has certainly not arrived and is sent again; of what was sent before, confirms may be missing.
        """
        lane = self.lanes[channel - 1]
        publishes = lane.publishes
        assert publishes is not None
        now_ns = self._clock.now_ns()
        named = _EXCHANGE.search(reason) if code in (403, 404) else None
        sent = lane.take_all()
        culprits = [i for i, each in enumerate(sent) if named and publishes.exchange_of(each.event) == named[1]]
        known = (
            self._known is None or len(self._known) >= _KNOWN_LIMIT or (named is not None and named[1] in self._known)
        )
        again: list[Waiting] = []
        for i, each in enumerate(sent):
            if not culprits or i < culprits[0] or (known and len(culprits) > 1 and i <= culprits[-1]):
                self._settle(each, Outcome.IN_DOUBT, None, f"channel closed: {reason}")
            elif i in culprits:
                self._settle(each, Outcome.REJECTED, now_ns, reason)
            else:
                self._unconfirmed -= 1
                again.append(Waiting(each.event, each.into, now_ns))
        lane.waiting.extendleft(reversed(again))

    def blocked(self, reason: str) -> None:
        if reason and not self.blocked_reason:
            self._blocked_since_ns = self._clock.now_ns()
            self._publisher.blocked.times += 1
            self._publisher.blocked.reason = reason
        elif not reason:
            self._end_blocked()
        self.blocked_reason = reason

    def heard(self) -> None:
        self._heard_ns = 0
        self.pump()
        self._publisher.turn()

    def writable(self) -> None:
        self.pump()
        self._publisher.turn()

    def lost(self, reason: str) -> None:
        self.up = False
        self._down_reason = reason
        self._heard_ns = 0
        self._end_blocked()
        self.blocked_reason = ""
        self._give_up(f"connection lost: {reason}")
        self.pump()
        self._publisher.turn()
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    def _end_blocked(self) -> None:
        if self.blocked_reason:
            self._unblocked_ns = self._clock.now_ns()
            self._publisher.blocked.duration_ns += self._unblocked_ns - self._blocked_since_ns

    async def _reconnect(self) -> None:
        pause_s, longest_s = _BACKOFF_S
        while not self.up:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, longest_s)
            try:
                await self.open()
            except (OSError, ConnectionClosed) as error:
                self._down_reason = _why(error)
        self.pump()
        self._publisher.turn()


class RabbitmqPublisher:
    """The producer. `blocked` says how often and how long the broker asked not to publish.

    `login` gives the settings with the login of the moment; whoever connects asks it.
    """

    def __init__(
        self,
        config: RabbitmqProducerSettings,
        tls: ssl.SSLContext | None,
        clock: Clock,
        name: str,
        login: Login = lambda config: config,
    ) -> None:
        self.config = config
        self.login = login
        self.tls = tls
        address = parse_url(config.url)
        self.dialer = Dialer(address.host, address.port)
        self.clock = clock
        self.blocked = Blocked()
        self._loop = asyncio.get_running_loop()
        self._links = [_Link(self, name) for _ in range(config.connections)]
        self._lanes = [(link, lane) for link in self._links for lane in link.lanes]
        self._next = 0
        self._receipts = Receipts()
        self._room = asyncio.Event()
        self._period_s = min(max(config.timeout / NS_PER_S / 20, 0.005), 0.5)
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open all connections. Raises OSError and ConnectionClosed."""
        for link in self._links:
            await link.open()
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)

    async def close(self) -> None:
        """Settle what is unsettled and close all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for link in self._links:
            await link.close()
        self.turn()

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Write the events, or have them wait; see `Producer.publish`. Waits while the window is full."""
        into = self._receipts.of(settle)
        now_ns = self.clock.now_ns()
        if len(self._lanes) == 1:
            self._lanes[0][1].waiting.extend([Waiting(event, into, now_ns) for event in batch])
        else:
            for event in batch:
                self._lane_for(event).waiting.append(Waiting(event, into, now_ns))
        for link in self._links:
            link.pump()
        self.turn()
        while any(link.holds_back() for link in self._links):
            self._room.clear()
            await self._room.wait()

    def _lane_for(self, event: Event) -> _Lane:
        """Always the same for the same key; else the next that is up and not blocked, or just the next."""
        lanes = self._lanes
        if event.key is not None:
            return lanes[crc32(event.key.encode()) % len(lanes)][1]
        for _ in lanes:
            self._next = (self._next + 1) % len(lanes)
            link, lane = lanes[self._next]
            if link.up and not link.blocked_reason:
                return lane
        # A whole turn has led back to where it began.
        self._next = (self._next + 1) % len(lanes)
        return lanes[self._next][1]

    def settle(
        self, into: Gathered, event: Event, outcome: Outcome, sent_ns: int | None, acked_ns: int | None, detail: str
    ) -> None:
        """Note a receipt; `turn` hands it over."""
        self._receipts.add(into, Receipt(event.seq, outcome, sent_ns, acked_ns, detail))

    def turn(self) -> None:
        """Hand over the receipts that have gathered, and let publishers see whether there is room again."""
        self._receipts.hand_over()
        self._room.set()

    def _sweep(self) -> None:
        now_ns = self.clock.now_ns()
        for link in self._links:
            link.sweep(now_ns)
        self.turn()
        self._sweeper = self._loop.call_later(self._period_s, self._sweep)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {_CONNECT_S:g} s"
    return error.reason if isinstance(error, ConnectionClosed) else reason_of(error)


class _WatchedPublisher(RabbitmqPublisher):
    """The same, and somebody looks on."""

    def __init__(
        self,
        config: RabbitmqProducerSettings,
        tls: ssl.SSLContext | None,
        clock: Clock,
        name: str,
        login: Login,
        traffic: Traffic,
    ) -> None:
        super().__init__(config, tls, clock, name, login)
        self._traffic = traffic

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        sent = partial(described, self.config)
        await super().publish(batch, shown(batch, settle, self._traffic, sent=sent, came=_came))


def _came(receipt: Receipt) -> Message:
    said = _SAID[receipt.outcome]
    return Message(f"{said}: {receipt.detail}" if receipt.detail else said)


@asynccontextmanager
async def open_publisher(
    config: RabbitmqProducerSettings, surroundings: Surroundings
) -> AsyncIterator[RabbitmqPublisher]:
    """Connect, declare, yield the producer, settle what is left, remove what was declared. Raises TargetError."""
    name = f"evload {surroundings.run_id}"
    tls, clock, traffic = config.tls(surroundings.base_dir), surroundings.clock, surroundings.traffic
    publisher = (
        RabbitmqPublisher(config, tls, clock, name, surroundings.with_login)
        if traffic is None
        else _WatchedPublisher(config, tls, clock, name, surroundings.with_login, traffic)
    )
    declared = topology.Topology()
    try:
        try:
            await publisher.open()
        except ConnectionClosed as error:
            raise refusal(config, error.reason, error.code) from None
        except (OSError, UnicodeError) as error:
            raise refusal(config, _why(error)) from None
        declared = await topology.declare(surroundings.with_login(config), surroundings.base_dir, name)
        yield publisher
    finally:
        await publisher.close()
        if config.declare is not None and config.declare.remove:
            await topology.remove(surroundings.with_login(config), surroundings.base_dir, name, declared)
