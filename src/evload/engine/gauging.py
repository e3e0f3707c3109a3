"""Looks at a gauge at fixed times, for as long as the run goes on, and at what comes late once more after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ..clock import Clock
from ..spi.gauge import Gauge, GaugeSettings, LateGauge, Sample
from ..stats.watches import MISSING
from ..units import NS_PER_S
from .bookkeeping import Bookkeeping
from .control import RunControl
from .failures import Failures

Heed = Callable[[str, int, Mapping[str, float]], None]
"""Is told of a sample: the gauge, when it began, and its values; none where it could not be taken."""
_AGAIN_NS: Final = 15 * NS_PER_S
_STEP_NS: Final = NS_PER_S // 2


class Gauging:
    """Takes down the samples of one gauge. `heed` is told of each that is about the time at which it was taken."""

    def __init__(
        self, name: str, gauge: Gauge, settings: GaugeSettings, *,
        start_ns: int, clock: Clock, books: Bookkeeping, failures: Failures, heed: Heed,
    ) -> None:  # fmt: skip
        self._name = name
        self._gauge = gauge
        self._settings = settings
        self._start_ns = start_ns
        self._clock = clock
        self._books = books
        self._failures = failures
        self._heed = heed
        self._nothing = dict.fromkeys(settings.metrics, MISSING)

    async def run(self) -> None:
        """Sample every so often from the start of the schedule on, at fixed times and not at fixed pauses, until
        cancelled."""
        every_ns = self._settings.every
        due = self._start_ns
        while True:
            await self._clock.sleep_until_ns(due)
            start = self._clock.now_ns()
            sample = await self._gauge.sample()
            end = self._clock.now_ns()
            for one in (*sample.earlier, sample):
                self._take_down(one, start, end)
            due += every_ns * max(1, -(-(end - due) // every_ns))

    async def look_again(self, control: RunControl, show: Callable[[], None]) -> None:
        """After the load: ask for what comes late, until all about the run is there, or it is late enough. Whoever
        interrupts the run has enough."""
        gauge, late_ns = self._gauge, self._settings.late_ns
        if late_ns is None or not isinstance(gauge, LateGauge):
            return
        end_ns = self._clock.now_ns()
        while True:
            now = self._clock.now_ns()
            last = now >= end_ns + late_ns or control.interrupted
            found = await gauge.look_again(self._start_ns, end_ns, last=last)
            for one in found.samples:
                self._take_down(one, now, self._clock.now_ns())
            if found.complete or last:
                return
            again_ns = min(now + _AGAIN_NS, end_ns + late_ns)
            while (now := self._clock.now_ns()) < again_ns and not control.interrupted:
                show()
                await self._clock.sleep_until_ns(min(now + _STEP_NS, again_ns))

    def _take_down(self, sample: Sample, start: int, end: int) -> None:
        if sample.unchanged:
            return
        if sample.error:
            self._failures.look_failed(self._name, sample.error)
        values = self._nothing if sample.missing else sample.values
        if sample.absent:
            values = {**values, **dict.fromkeys(sample.absent, MISSING)}
        self._books.sampled(self._name, *(sample.span or (start, end)), values)
        self._heed(self._name, start if sample.span is None else sample.span[0], values)
