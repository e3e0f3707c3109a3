"""The load generator itself as a gauge: what it takes of this machine, and how long its event loop stood still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

from ..clock import Clock
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings, Sample
from ..spi.guard import NOBODY, Reach
from ..units import NS_PER_S

if TYPE_CHECKING:
    from psutil import Process


_TICK_NS: Final = 20_000_000


class GeneratorGaugeConfig(GaugeSettings):
    """Settings of the gauge: none beside `every`.

    `generator_cpu` is the share of one core since the last sample, `generator_memory` the resident bytes,
    `generator_stall` the seconds for which the event loop was busy at a stretch, at most, since the last
    sample, and `generator_descriptors` the open sockets and files, of which the system allows only so many.
    """

    kind: Literal["generator"]

    @property
    def reach(self) -> Reach:
        return NOBODY

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("generator_cpu", "generator_memory", "generator_stall", "generator_descriptors")

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Watch the loop as long as the gauge is open."""
        from psutil import Process

        gauge = _GeneratorGauge(Process(), surroundings.clock)
        ticking = asyncio.create_task(gauge.tick())
        try:
            yield gauge
        finally:
            ticking.cancel()


class _GeneratorGauge:
    def __init__(self, process: Process, clock: Clock) -> None:
        self._process = process
        self._clock = clock
        self._stall_ns = 0
        process.cpu_percent()

    async def tick(self) -> None:
        """Note how much later than asked for the loop comes back, until cancelled."""
        while True:
            due_ns = self._clock.now_ns() + _TICK_NS
            await asyncio.sleep(_TICK_NS / NS_PER_S)
            self._stall_ns = max(self._stall_ns, self._clock.now_ns() - due_ns)

    async def sample(self) -> Sample:
        """What it took since the last sample."""
        stall_ns, self._stall_ns = self._stall_ns, 0
        process = self._process
        # Sockets alone would mean to read the table of all connections of the machine, with which this
        # would stall the very loop that it watches.
        with process.oneshot():
            return Sample(
                {
                    "generator_cpu": process.cpu_percent() / 100,
                    "generator_memory": process.memory_info().rss,
                    "generator_stall": stall_ns / NS_PER_S,
                    "generator_descriptors": process.num_fds(),
                }
            )
