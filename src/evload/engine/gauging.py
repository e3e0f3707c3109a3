"""Looks at a gauge at fixed times, for as long as the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..clock import Clock
from ..spi.gauge import Gauge, GaugeSettings
from ..stats.watches import MISSING
from .bookkeeping import Bookkeeping
from .failures import Failures

Heed = Callable[[str, int, Mapping[str, float]], None]
"""Is told of a sample: the gauge, when it began, and its values; none where it could not be taken."""


async def gauging(
    name: str, gauge: Gauge, settings: GaugeSettings, *,
    start_ns: int, clock: Clock, books: Bookkeeping, failures: Failures, heed: Heed,
) -> None:  # fmt: skip
    """Sample a gauge every so often from `start_ns` on, at fixed times and not at fixed pauses, until cancelled."""
    every_ns = settings.every
    nothing = dict.fromkeys(settings.metrics, MISSING)
    due = start_ns
    while True:
        await clock.sleep_until_ns(due)
        start = clock.now_ns()
        sample = await gauge.sample()
        end = clock.now_ns()
        if sample.error:
            failures.look_failed(name, sample.error)
        values = nothing if sample.missing else sample.values
        books.sampled(name, start, end, values)
        heed(name, start, values)
        due += every_ns * max(1, -(-(end - due) // every_ns))
