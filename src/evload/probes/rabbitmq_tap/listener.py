"""The queue probe: what is delivered becomes sightings, and a cut in the listening is never taken for absence."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ...clients.amqp import parse_url, refusal
from ...clients.web import reason_of
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .consumer import CONNECT_S, Closed, Consumer, Delivered, connect
from .delivery import DeliveryReader
from .settings import RabbitmqTapSettings

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_NOT_FOUND: Final = 404
_REFUSED: Final = 403

Report = Callable[[ReadResult], None]


class Listener:
    """The probe."""

    def __init__(self, config: RabbitmqTapSettings, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._deliveries = DeliveryReader(config, surroundings.ids)
        self._acks = config.queue is not None and config.afterwards == "ack"
        self._unacked: deque[int] = deque(maxlen=_most_unacked(config))
        """Events whose last deliveries the broker may hold to be unsettled."""
        self._comes_again: set[int] = set()
        """Those of them that a cut has left so: their next delivery is the same effect, not a second one."""
        self._consumer: Consumer | None = None
        self._number = 0
        self._fresh: list[Read] = []
        self._news = asyncio.Event()
        self._report: Report | None = None
        self._cut_since_ns: int | None = None
        self._cut_ns = 0
        self._cut_reason = ""
        self._hindrance = ""
        """Why the last attempt to come back failed."""

    async def attach(self) -> None:
        """Connect and begin to consume. Raises Closed, TimeoutError, OSError or TargetError."""
        config = self._config
        tls = config.tls(self._surroundings.base_dir)
        name = f"evload {self._surroundings.run_id} tap"
        consumer = await connect(parse_url(config.url), tls, config.auth, name, self._arrived)
        try:
            if config.exchange is not None:
                queue = await consumer.declare_private_queue()
                for key in config.routing_key:
                    await consumer.bind(queue, config.exchange, key)
            else:
                assert config.queue is not None
                queue = config.queue
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

    async def listen(self, report: Report) -> None:
        """Report sightings until cancelled; reconnect when the broker goes away."""
        assert self._consumer is not None
        self._report = report
        self._consumer.ended.add_done_callback(self._ended)
        while True:
            await self._news.wait()
            self._news.clear()
            self._tell()
            if self._consumer.ended.done():
                await self._return()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless there was a cut in which it could have."""
        self._tell()
        now_ns = self._clock.now_ns()
        error = self._deafness()
        seen = Seen.FAILED if error else Seen.ABSENT
        return ReadResult([Read(target.seq, seen, now_ns, now_ns) for target in targets], error=error)

    def _deafness(self) -> str:
        """Why an absence proves nothing; empty if it does prove something."""
        if self._report is None:
            return "the tap doesn't listen yet"
        if self._cut_since_ns is not None:
            return f"the tap is cut off: {self._cut_reason}{self._hindrance and f' ({self._hindrance})'}"
        if self._cut_reason:
            return f"the tap was cut off for {format_duration(self._cut_ns)}: {self._cut_reason}"
        return ""

    def _arrived(self, deliveries: Sequence[Delivered]) -> None:
        now_ns = self._clock.now_ns()
        read, number, fresh = self._deliveries.read, self._number, self._fresh
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
        if self._acks and self._consumer is not None:
            self._consumer.ack(deliveries[-1].tag)
        if fresh:
            self._news.set()

    def _tell(self) -> None:
        if self._fresh and self._report is not None:
            reads, self._fresh = self._fresh, []
            self._report(ReadResult(reads, error=self._deliveries.complaint))
            self._deliveries.complaint = ""

    def _ended(self, ended: asyncio.Future[Closed]) -> None:
        self._cut_since_ns = self._clock.now_ns()
        self._cut_reason = str(ended.result())
        self._comes_again.update(self._unacked)
        self._unacked.clear()
        self._news.set()

    async def _return(self) -> None:
        """Connect again, however long it takes."""
        assert self._cut_since_ns is not None
        pause_s = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.attach()
                break
            except (Closed, OSError, TargetError) as error:
                self._hindrance = _reason(error)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._cut_ns += self._clock.now_ns() - self._cut_since_ns
        self._cut_since_ns = None
        self._hindrance = ""
        assert self._consumer is not None
        self._consumer.ended.add_done_callback(self._ended)


@asynccontextmanager
async def open_listener(config: RabbitmqTapSettings, surroundings: Surroundings) -> AsyncIterator[Listener]:
    """Consume, yield the probe, stop. Raises TargetError."""
    listener = Listener(config, surroundings)
    try:
        await listener.attach()
    except Closed as error:
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


def _refused(config: RabbitmqTapSettings, error: Closed) -> TargetError:
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
