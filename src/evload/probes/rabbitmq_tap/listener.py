"""The queue probe: what is delivered becomes sightings, and a cut in the listening is never taken for absence."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from ...clients.amqp import parse_url, refusal
from ...clients.amqp_connection import ConnectionClosed
from ...clients.bounded import LONGEST
from ...clients.dialing import Dialer
from ...clients.web import reason_of
from ...errors import TargetError
from ...model.travel import ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import Cuts, Inbox, Tell, come_back, nothing_of
from ...units import NS_PER_S, format_duration
from .consumer import CONNECT_S, Consumer, Delivered, connect
from .delivery import DeliveryReader, WatchedDeliveryReader
from .settings import RabbitmqTapSettings

_NOT_FOUND: Final = 404
_REFUSED: Final = 403
_CUTS: Final = (ConnectionClosed, OSError, TargetError)
"""What an attempt to come back may fail with."""


class Listener:
    """The probe."""

    def __init__(self, config: RabbitmqTapSettings, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._deliveries = (
            DeliveryReader(config, surroundings.ids)
            if surroundings.traffic is None
            else WatchedDeliveryReader(config, surroundings.ids, surroundings.traffic)
        )
        self._acks = config.queue is not None and config.afterwards == "ack"
        self._unacked: deque[int] = deque(maxlen=_most_unacked(config))
        """Events whose last deliveries the broker may hold to be unsettled."""
        self._comes_again: set[int] = set()
        """Those of them that a cut has left so: their next delivery is the same effect, not a second one."""
        self._consumer: Consumer | None = None
        self._number = 0
        self._shared = ""
        """Who else consumes the queue, so that what the tap didn't get proves nothing."""
        self._unread = ""
        """Why a delivery wasn't looked at that may have been about any event."""
        self._asking = asyncio.Lock()
        self._inbox = Inbox()
        self._cuts = Cuts(self._clock, "tap")
        self._address = parse_url(config.url)
        self._dialer = Dialer(self._address.host, self._address.port)

    async def attach(self) -> None:
        """Connect and begin to consume. Raises ConnectionClosed, TimeoutError, OSError or TargetError."""
        config = self._config
        tls = config.tls(self._surroundings.base_dir)
        name = f"evload {self._surroundings.run_id} tap"
        address = parse_url(self._surroundings.with_login(config).url)
        consumer = await connect(self._dialer, address, tls, config.auth, name, self._arrived)
        try:
            if config.exchange is not None:
                queue = await consumer.declare_private_queue()
                for key in config.routing_key:
                    await consumer.bind(queue, config.exchange, key)
            else:
                assert config.queue is not None
                queue = config.queue
                self._note_others(await consumer.consumers_of(queue))
                if self._acks:
                    await consumer.prefetch(config.prefetch)
            self._consumer = consumer
            await consumer.consume(queue, no_ack=config.exchange is not None)
        except BaseException:
            await consumer.close()
            raise

    async def detach(self) -> None:
        """Stop consuming."""
        if self._consumer is not None:
            await self._consumer.close()

    async def listen(self, report: Tell) -> None:
        """Report sightings until cancelled; reconnect when the broker goes away."""
        assert self._consumer is not None
        self._inbox.attend(report)
        self._consumer.ended.add_done_callback(self._ended)
        while True:
            await self._inbox.news()
            self._inbox.tell()
            if self._consumer.ended.done():
                await come_back(self.attach, _CUTS, lambda error: self._cuts.hindered(_reason(error)))
                self._cuts.heal()
                self._consumer.ended.add_done_callback(self._ended)

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless there was a cut in which it could have."""
        self._inbox.tell()
        if self._config.queue is not None:
            await self._look_for_others(self._config.queue)
            self._inbox.tell()
        self._note_overlong()
        now_ns = self._clock.now_ns()
        error = (
            (self._cuts.gap or self._shared or self._unread) if self._inbox.listened else "the tap doesn't listen yet"
        )
        return nothing_of(targets, now_ns, now_ns, error)

    async def _look_for_others(self, queue: str) -> None:
        """Others may have begun to consume the tap's queue while it did."""
        async with self._asking:
            consumer = self._consumer
            if consumer is None or consumer.ended.done() or self._shared:
                return
            # What ended the connection is told as a cut.
            with suppress(ConnectionClosed):
                self._note_others(await consumer.consumers_of(queue) - 1)

    def _note_others(self, count: int) -> None:
        if count > 0:
            others = "another consumer" if count == 1 else f"{count} other consumers"
            self._shared = (
                f"{others} of queue {self._config.queue!r} may have had it: they share its messages, and a single "
                "active consumer has them all"
            )

    def _note_overlong(self) -> None:
        if self._consumer is not None and self._consumer.overlong:
            self._unread = f"a message is longer than {LONGEST >> 20} MiB, and isn't looked at"

    def _arrived(self, deliveries: Sequence[Delivered]) -> None:
        now_ns = self._clock.now_ns()
        read, number = self._deliveries.read, self._number
        fresh = []
        for delivery in deliveries:
            number += 1
            sighting = read(delivery.properties, delivery.body, now_ns, number)
            if sighting is None:
                continue
            if delivery.redelivered and sighting.seq in self._comes_again:
                self._comes_again.discard(sighting.seq)
            else:
                fresh.append(sighting)
            self._unacked.append(sighting.seq)
        self._number = number
        self._note_overlong()
        if self._acks and self._consumer is not None:
            self._consumer.ack(deliveries[-1].tag)
        if fresh:
            self._inbox.complaint = self._deliveries.complaint or self._inbox.complaint
            self._deliveries.complaint = ""
            self._inbox.put(fresh)
        self._inbox.put_strange(*self._deliveries.attribution.take())

    def _ended(self, ended: asyncio.Future[ConnectionClosed]) -> None:
        self._note_overlong()
        self._cuts.cut(str(ended.result()))
        self._comes_again.update(self._unacked)
        self._unacked.clear()
        self._inbox.wake()


@asynccontextmanager
async def open_listener(config: RabbitmqTapSettings, surroundings: Surroundings) -> AsyncIterator[Listener]:
    """Consume, yield the probe, stop. Raises TargetError."""
    listener = Listener(config, surroundings)
    try:
        await listener.attach()
    except ConnectionClosed as error:
        raise _refused(config, error) from None
    except OSError as error:
        raise refusal(config, _reason(error)) from None
    try:
        yield listener
    finally:
        await listener.detach()


def _most_unacked(config: RabbitmqTapSettings) -> int | None:
    if config.exchange is not None:
        return 0
    return config.prefetch if config.afterwards == "ack" else None


def _refused(config: RabbitmqTapSettings, error: ConnectionClosed) -> TargetError:
    address = parse_url(config.url)
    what = f"exchange {config.exchange!r}" if config.exchange is not None else f"queue {config.queue!r}"
    where = f"{what} in virtual host {address.vhost!r} of {address.shown}"
    key = "exchange" if config.exchange is not None else "queue"
    reason = str(error)
    if error.code == _NOT_FOUND:
        return TargetError(f"there is no {where}; create it, or correct {key}")
    if error.code == _REFUSED and "access to" in reason:
        return TargetError(f"user {address.user!r} may not read {where}; give it the permissions, or name another")
    if error.code in (405, 406):
        return TargetError(f"can't consume {where}: {reason.partition(' - ')[2] or reason}; name another {key}")
    return refusal(config, reason, error.code)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {format_duration(CONNECT_S * NS_PER_S)}"
    return reason_of(error)
