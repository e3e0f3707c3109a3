"""Systems whose usage is planted moment by moment, in whole runs in virtual time, to be priced by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import ConfigDict

from evload.clock import Clock
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample


class Planted(GaugeSettings):
    """Values that are functions of the seconds since the schedule began: None is a sample that can't be taken, a
    value that is None isn't there. A sample takes no time, or `takes_ns`, at whose end it is true."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["planted"] = "planted"
    names: tuple[str, ...]
    at: Callable[[float], dict[str, float] | None]
    takes_ns: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.names

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Planted(self, surroundings.clock)


class _Planted:
    def __init__(self, settings: Planted, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._start_ns: int | None = None

    async def sample(self) -> Sample:
        now = self._clock.now_ns()
        self._start_ns = now if self._start_ns is None else self._start_ns
        if self._settings.takes_ns:
            await self._clock.sleep_until_ns(now + self._settings.takes_ns)
        values = self._settings.at((self._clock.now_ns() - self._start_ns) / 1e9)
        if values is None:
            return Sample({}, error="planted")
        absent = tuple(name for name in self._settings.names if name not in values)
        return Sample(values, absent=absent, missing=not values)
