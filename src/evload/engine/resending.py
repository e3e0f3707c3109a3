"""Sends copies of events on purpose, because idempotency is only exercised by what arrives more than once."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..clock import Clock
from ..model.travel import Event, Receipt
from ..spi.producer import Producer
from ..tracking.sampling import is_chosen

_SCENARIOS: Final = 1 << 16
"""More than there are in any run. Each has a resender of its own, and one producer may send the copies of all."""


@dataclass(frozen=True, slots=True)
class Resend:
    """Of which share of the events how many copies are sent, each `after_ns` behind the one before it."""

    share: float
    copies: int
    after_ns: int


class Resender:
    """Sends the copies of one scenario's events.

    A copy is the same event to the last byte, source and id included. Its receipts go to `settle` and never into the
    ledger: they carry numbers of their own, all of them negative, and no two in a run the same.
    """

    def __init__(self, plan: Resend, producer: Producer, clock: Clock, settle: Callable[[Sequence[Receipt]], None]):
        self._plan = plan
        self._producer = producer
        self._clock = clock
        self._settle = settle
        self._due: list[tuple[int, int, Event]] = []
        self._news = asyncio.Event()
        self._last = 0
        self._given_up = False
        self.open = 0
        """Copies that are planned, or were sent and have no answer."""

    def plan(self, events: Iterable[Event], now_ns: int) -> None:
        """Plan the copies of those of `events` that are chosen. Called before they are published."""
        if self._given_up:
            return
        plan = self._plan
        for event in events:
            if is_chosen(event.seq, plan.share, "resend"):
                for number in range(1, plan.copies + 1):
                    self._last += 1
                    heapq.heappush(self._due, (now_ns + number * plan.after_ns, self._last, self._copy(event)))
                    self.open += 1
                self._news.set()

    def _copy(self, event: Event) -> Event:
        number = -(self._last * _SCENARIOS + event.scenario)
        return Event(
            number, event.correlation_id, event.scenario, event.type, event.intended_ns, event.key, event.body,
            event.headers, event.extras,
        )  # fmt: skip

    def give_up(self) -> None:
        """Send no more copies, nor any of what is still published."""
        self._given_up = True
        self.open -= len(self._due)
        self._due.clear()

    async def run(self) -> None:
        """Send copies as they come due, until cancelled."""
        while True:
            if not self._due:
                self._news.clear()
                await self._news.wait()
            if self._due[0][0] > self._clock.now_ns():
                # What is planned later is due later, except by a hair: so nothing has to cut this short.
                await self._clock.sleep_until_ns(self._due[0][0])
            now = self._clock.now_ns()
            batch = []
            while self._due and self._due[0][0] <= now:
                batch.append(heapq.heappop(self._due)[2])
            if batch:
                await self._producer.publish(batch, self._take)

    def _take(self, receipts: Sequence[Receipt]) -> None:
        self.open -= len(receipts)
        self._settle(receipts)
