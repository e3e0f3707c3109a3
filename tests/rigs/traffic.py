"""Events on their way through one producer: what was published, and what it says became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from evload.clock import Clock
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.spi.producer import Producer, ProducerSettings
from evload.testing import sample_events

S = TypeVar("S", bound=ProducerSettings)


@dataclass
class Traffic(Generic[S]):
    """Events on their way through one producer, and what became of them."""

    producer: Producer
    settings: S
    clock: Clock
    receipts: dict[int, Receipt] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def make(self, count: int) -> list[Event]:
        """Events with numbers of their own; change their `extras`, `key` or `body` as the test needs it."""
        made = sample_events(self.settings.encoding(), len(self.events) + count, self.clock)[len(self.events) :]
        self.events.update((event.seq, event) for event in made)
        return made

    async def publish(self, events: Sequence[Event], batch: int = 50) -> None:
        for first in range(0, len(events), batch):
            await self.producer.publish(events[first : first + batch], self.settle)
            await asyncio.sleep(0)

    def settle(self, receipts: Sequence[Receipt]) -> None:
        assert receipts, "told of nothing"
        for receipt in receipts:
            assert receipt.seq in self.events, f"never published: {receipt}"
            assert receipt.seq not in self.receipts, f"settled twice: {self.receipts[receipt.seq]}, {receipt}"
            self.receipts[receipt.seq] = receipt
        self.settled.set()

    async def until(self, outcome: Outcome, count: int, within_s: float = 60) -> None:
        """Wait until that many events have ended so."""
        async with asyncio.timeout(within_s):
            while self.outcomes()[outcome] < count:
                self.settled.clear()
                await self.settled.wait()

    async def all_settled(self, within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while len(self.receipts) < len(self.events):
                self.settled.clear()
                await self.settled.wait()

    def outcomes(self) -> Counter[Outcome]:
        return Counter(receipt.outcome for receipt in self.receipts.values())

    def ids(self, *outcomes: Outcome) -> set[str]:
        return {self.events[seq].correlation_id for seq, r in self.receipts.items() if r.outcome in outcomes}

    def details(self, outcome: Outcome) -> set[str]:
        return {receipt.detail for receipt in self.receipts.values() if receipt.outcome is outcome}

    def hold_against(self, found: Sequence[str]) -> None:
        """Every event has one receipt, and the receipts say nothing that the ids found in the broker deny."""
        assert self.receipts.keys() == self.events.keys()
        twice = [each for each, count in Counter(found).items() if count > 1]
        assert not twice, f"arrived twice: {twice[:3]}"
        missing = self.ids(Outcome.ACCEPTED) - set(found)
        assert not missing, f"accepted and not there: {len(missing)}, such as {sorted(missing)[:3]}"
        refused = self.ids(Outcome.REJECTED, Outcome.RETURNED, Outcome.UNSENT) & set(found)
        assert not refused, f"refused or never sent, and there: {len(refused)}, such as {sorted(refused)[:3]}"
