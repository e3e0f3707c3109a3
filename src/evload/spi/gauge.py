"""What a gauge is: something whose value is looked at again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from ..model.summary import LOWER_END
from ..units import Duration
from .context import AdapterSettings, Surroundings


def lower_end(value: str) -> str:
    """What the lower end of a value is called that is known as a bracket; the value itself is its upper end.

    A gauge that has both in `metrics` gives both: objectives about the value are judged by either.
    """
    return f"{value}{LOWER_END}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a gauge: values by metric name, or an error with no values.

    missing    it was looked at well and has no such values (yet), which is neither a failure nor a zero
    absent     names of values that aren't there (yet), where others are
    span       what the values are about, on the clock of the run; None: the time of the look
    earlier    others that came with it, the earliest first
    unchanged  there is nothing that an earlier one hadn't said
    """

    values: Mapping[str, float]
    error: str = ""
    missing: bool = False
    absent: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    earlier: tuple[Sample, ...] = ()
    unchanged: bool = False


class Gauge(Protocol):
    """Something whose value is looked at again and again: a queue's depth, a counter, a temperature."""

    async def sample(self) -> Sample:
        """The values now. A failure is a Sample with an error, never an exception."""
        ...


class Late(NamedTuple):
    """What a second look gave: samples that came late, and whether all are there now."""

    samples: Sequence[Sample]
    complete: bool


@runtime_checkable
class LateGauge(Gauge, Protocol):
    """A gauge whose values come late, so that some about the run aren't there when it ends."""

    async def look_again(self, start_ns: int, end_ns: int, *, last: bool) -> Late:
        """What wasn't there yet of what is about this time, on the clock of the run. A failure is a Sample, too.

        It is asked again until all of it is there; with `last` no more: what isn't there is missing.
        """
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

    @property
    def late_ns(self) -> int | None:
        """For how long after the load it is asked again, as a LateGauge; None: it isn't."""
        return None

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Connect, yield the gauge, close. Raises TargetError if there is nothing to look at."""
        raise NotImplementedError
