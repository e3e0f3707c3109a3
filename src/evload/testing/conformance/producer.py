"""Holds a producer against what the engine relies on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ...clock import Clock, SystemClock
from ...model.states import Outcome
from ...model.travel import Event, Receipt
from ...spi.context import Surroundings
from ...spi.producer import Producer, ProducerSettings
from ...units import NS_PER_S
from ..relay import Relay
from .peers import Peer, disturb
from .promises import Promises
from .samples import RUN_ID, sample_events

BATCH: Final = 50
_ANSWERED: Final = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETURNED)


class _Books:
    """Keeps the receipts of the events that were published, and what is wrong with them."""

    def __init__(self, batch: Sequence[Event], clock: Clock) -> None:
        self.receipts: dict[int, Receipt] = {}
        self.promises = Promises()
        self._known = {event.seq for event in batch}
        self._clock = clock
        self._began_ns = clock.now_ns()

    def settle(self, settled: Sequence[Receipt]) -> None:
        for receipt in settled:
            if receipt.seq not in self._known:
                self.promises.broken(f"event {receipt.seq} was settled and never published")
            if receipt.seq in self.receipts:
                both = f"{self.receipts[receipt.seq]} and {receipt}"
                self.promises.broken(f"event {receipt.seq} was settled twice: {both}")
            self.receipts[receipt.seq] = receipt

    def close(self, handed: Sequence[Event]) -> None:
        """The producer has closed; `handed` are the events whose `publish` came back."""
        if missing := {event.seq for event in handed} - self.receipts.keys():
            self.promises.broken(
                f"{len(missing)} of {len(handed)} events were never settled, not even when the producer closed"
            )
        ended_ns = self._clock.now_ns()
        for receipt in self.receipts.values():
            stamps = [at for at in (receipt.sent_ns, receipt.acked_ns) if at is not None]
            if stamps != sorted(stamps) or any(not self._began_ns <= at <= ended_ns for at in stamps):
                self.promises.broken(f"stamps out of order or not on the clock given: {receipt}")
            if (receipt.acked_ns is not None) != (receipt.outcome in _ANSWERED):
                self.promises.broken(f"acked_ns belongs to events with an answer, and to those alone: {receipt}")
            if receipt.sent_ns is None and receipt.outcome is not Outcome.UNSENT:
                self.promises.broken(f"an event that was sent has a sent_ns: {receipt}")


async def check_producer(
    settings: ProducerSettings,
    clock: Clock,
    *,
    events: int = 200,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Mapping[int, Receipt]:
    """Publish `events` events and hold the receipts against what the engine relies on.

    Returns the receipts by seq, for further checks. Raises AssertionError that says what is wrong: an event
    settled twice or never, a receipt for an event that wasn't published, stamps that contradict its outcome.
    """
    batch = sample_events(settings.encoding(), events, clock)
    books = _Books(batch, clock)
    async with settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd())) as producer:
        await _publish(producer, batch, books)
        deadline = clock.now_ns() + int(within_s * NS_PER_S)
        while len(books.receipts) < events and clock.now_ns() < deadline:
            await asyncio.sleep(0.01)
    books.close(batch)
    books.promises.hold()
    return books.receipts


async def check_producer_peer(
    settings_at: Callable[[int], ProducerSettings],
    port: int,
    peer: Peer,
    *,
    events: int = 200,
    within_s: float = 30.0,
    base_dir: Path | None = None,
) -> Mapping[int, Receipt]:
    """As `check_producer`, with a peer that is at fault from the middle of the events on.

    settings_at  makes settings for a port on 127.0.0.1, through which the target is reached
    port         where the target listens on 127.0.0.1
    within_s     how long it takes at most until all is settled, and again for the producer to close; take
                 settings with a short time limit

    Also wrong: an exception out of `publish`, one that is still waiting for a clogged peer after `within_s` when it
    is cancelled and then doesn't end, an event accepted although a clogged peer said nothing of it.
    """
    clock = SystemClock()
    async with Relay(port) as relay:
        settings = settings_at(relay.port)
        batch = sample_events(settings.encoding(), events, clock)
        first, second = batch[: events // 2], batch[events // 2 :]
        books = _Books(batch, clock)
        opened = settings.open(Surroundings(clock, RUN_ID, base_dir or Path.cwd()))
        producer = await opened.__aenter__()
        await _publish(producer, first, books)
        await _until(lambda: len(books.receipts) == len(first), within_s)
        at_fault_ns = clock.now_ns()
        disturb(relay, peer)
        publishing = asyncio.ensure_future(_publish(producer, second, books))
        await asyncio.wait([publishing], timeout=within_s)
        handed = list(batch) if publishing.done() else first
        publishing.cancel()
        if not (await asyncio.wait([publishing], timeout=within_s))[0]:
            books.promises.broken("publish goes on after it was cancelled")
        elif not publishing.cancelled() and publishing.exception() is not None:
            books.promises.broken(f"publish raised {publishing.exception()!r}; a peer's failure is a receipt")
        await _until(lambda: len(books.receipts) == len(handed), within_s)
        try:
            async with asyncio.timeout(within_s):
                await opened.__aexit__(None, None, None)
        except TimeoutError:
            books.promises.broken(f"the producer didn't close within {within_s:g} s")
    if peer == "clogged":
        for receipt in books.receipts.values():
            if receipt.outcome in _ANSWERED and (receipt.acked_ns or 0) > at_fault_ns:
                books.promises.broken(f"an answer that a silent peer can't have given: {receipt}")
    books.close(handed)
    books.promises.hold()
    return books.receipts


async def _publish(producer: Producer, events: Sequence[Event], books: _Books) -> None:
    for first in range(0, len(events), BATCH):
        await producer.publish(events[first : first + BATCH], books.settle)


async def _until(happened: Callable[[], bool], within_s: float) -> None:
    """Wait until it has happened, at most that long."""
    try:
        async with asyncio.timeout(within_s):
            while not happened():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass
