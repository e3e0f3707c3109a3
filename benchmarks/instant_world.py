"""A system in memory that keeps nothing of an event, so that what memory a run takes is evload's own.

The broker confirms a batch two milliseconds after it was published, and an event becomes visible a fixed
time after it was due, which follows from its number alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ConfigDict

from evload.clock import Clock
from evload.model.states import Outcome, Seen
from evload.model.travel import Event, Read, ReadResult, Receipt, Target
from evload.spi.context import Surroundings
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.units import NS_PER_S

_CONFIRM_S: Final = 0.002


@dataclass(slots=True)
class InstantWorld:
    """Events of one constant load. `gap_ns` is the time between two of them, 0 for a burst."""

    gap_ns: int
    visible_after_ns: int
    first_ns: int = -1
    """When the first event was due."""

    def visible_at(self, seq: int) -> int:
        return self.first_ns + seq * self.gap_ns + self.visible_after_ns


class InstantProducerSettings(ProducerSettings):
    """Publishes to an InstantWorld."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["instant"] = "instant"
    world: InstantWorld

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        yield _Producer(self.world, surroundings.clock)


class _Producer:
    def __init__(self, world: InstantWorld, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        if self._world.first_ns < 0:
            self._world.first_ns = batch[0].intended_ns
        seqs = [event.seq for event in batch]
        self._loop.call_later(_CONFIRM_S, self._confirm, seqs, self._clock.now_ns(), settle)

    def _confirm(self, seqs: list[int], sent_ns: int, settle: Settle) -> None:
        now = self._clock.now_ns()
        settle([Receipt(seq, Outcome.ACCEPTED, sent_ns, now) for seq in seqs])


class InstantProbeSettings(ProbeSettings):
    """Reads an InstantWorld."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["instant"] = "instant"
    world: InstantWorld

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Probe(self.world, surroundings.clock)


class _Probe:
    def __init__(self, world: InstantWorld, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        now, visible_at = self._clock.now_ns(), self._world.visible_at
        return ReadResult(
            [Read(t.seq, Seen.PRESENT if visible_at(t.seq) <= now else Seen.ABSENT, now, now) for t in targets]
        )


def gap_ns(rate: int) -> int:
    """Time between two events of a rate that divides a second evenly."""
    return NS_PER_S // rate
