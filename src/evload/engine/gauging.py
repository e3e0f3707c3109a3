"""Looks at a gauge at fixed times, for as long as the run goes on."""

from __future__ import annotations

from ..clock import Clock
from ..spi.gauge import Gauge
from .bookkeeping import Bookkeeping
from .failures import Failures


async def gauging(
    name: str, gauge: Gauge, every_ns: int, *, start_ns: int, clock: Clock, books: Bookkeeping, failures: Failures
) -> None:
    """Sample a gauge every so often from `start_ns` on, at fixed times and not at fixed pauses, until cancelled."""
    due = start_ns
    while True:
        await clock.sleep_until_ns(due)
        start = clock.now_ns()
        sample = await gauge.sample()
        end = clock.now_ns()
        if sample.error:
            failures.look_failed(name, sample.error)
        books.sampled(name, start, end, sample.values)
        due += every_ns * max(1, -(-(end - due) // every_ns))
