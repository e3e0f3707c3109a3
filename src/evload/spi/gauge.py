"""What a gauge is: something whose value is looked at again and again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from ..units import Duration
from .context import AdapterSettings, Surroundings


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a gauge: values by metric name, or an error with no values.

    missing  it was looked at well and has no such values (yet), which is neither a failure nor a zero
    """

    values: Mapping[str, float]
    error: str = ""
    missing: bool = False


class Gauge(Protocol):
    """Something whose value is looked at again and again: a queue's depth, a counter, a temperature."""

    async def sample(self) -> Sample:
        """The values now. A failure is a Sample with an error, never an exception."""
        ...


class GaugeSettings(AdapterSettings):
    """What every gauge can be told."""

    every: Annotated[Duration, Field(ge=10_000_000, description="time between two samples")] = 500_000_000
    counter: Annotated[
        bool | None,
        Field(description="its values only ever grow, but for a new beginning at 0: then rise(...) may ask of them"),
    ] = None
    scenarios: Annotated[
        tuple[str, ...], Field(description="whose events pass through this queue; all if left out")
    ] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the values that a sample has, which objectives may use."""
        raise NotImplementedError

    @property
    def counters(self) -> tuple[str, ...]:
        """Names of the values that are counters, or that may turn out to be: `Surroundings.rises` asks to look."""
        return self.metrics if self.counter else ()

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Connect, yield the gauge, close. Raises TargetError if there is nothing to look at."""
        raise NotImplementedError
