"""The doors through which adapters come in: what a producer, a probe and a sink must be able to do.

An adapter is a pydantic settings model with a `kind` and one method, `open`. The settings are validated
without the adapter's SDK; `open` imports it, connects, and yields the object that does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from .clock import Clock
from .model import Event, Observation, ReadResult, Receipt, Target
from .units import Duration, Rate, Share
from .workload.correlation import CorrelationIds

if TYPE_CHECKING:
    from .summary import Report

Settle = Callable[[Sequence[Receipt]], None]
"""Hands receipts back to the engine; each published event must appear exactly once."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an adapter is given when it opens. `base_dir` is where relative paths of the config start."""

    clock: Clock
    run_id: str
    base_dir: Path

    @property
    def ids(self) -> CorrelationIds:
        """The correlation ids of this run, for adapters that have to tell whose event it is."""
        return CorrelationIds.for_run(self.run_id)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a producer wants its events rendered.

    mode    structured: the whole CloudEvent as JSON in the body; binary: attributes in `Event.headers`,
            data in the body; plain: the data alone
    header_prefix  what attribute names get in binary mode (`ce-` for HTTP)
    extras  the producer's own templates (a routing key, a path, header values), rendered into
            `Event.extras` in this order
    """

    mode: Literal["structured", "binary", "plain"] = "structured"
    header_prefix: str = "ce-"
    extras: tuple[str, ...] = ()


class Producer(Protocol):
    """Hands events to a broker."""

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Give `batch` to the transport and return; waiting here is back-pressure.

        Every event is settled exactly once, now or later, also when the connection dies; what is unsettled
        when the producer closes is settled then, as IN_DOUBT if it was sent and UNSENT if not. A broker's
        failure is a Receipt, never an exception.
        """
        ...


class Probe(Protocol):
    """Reads the read model."""

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One read about all `targets` (at most `ProbeSettings.bulk`).

        Returns one Read for each of them. A failure is `Seen.FAILED`, never an exception.
        """
        ...


@runtime_checkable
class PushProbe(Probe, Protocol):
    """A probe to which the system pushes what becomes visible, so that nothing has to be polled.

    `read` is called for events of which nothing has come by their deadline: ABSENT if the probe has
    listened without a gap since it opened, FAILED with the reason if it has not.
    """

    async def listen(self, report: Callable[[ReadResult], None]) -> None:
        """Report what arrives, as `Read`s that are PRESENT and exact, until cancelled.

        Ids of this run (`Surroundings.ids`) are reported, others ignored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a gauge: values by metric name, or an error with no values."""

    values: Mapping[str, float]
    error: str = ""


class Gauge(Protocol):
    """Something whose value is looked at again and again: a queue's depth, a counter, a temperature."""

    async def sample(self) -> Sample:
        """The values now. A failure is a Sample with an error, never an exception."""
        ...


class Sink(Protocol):
    """Receives what a run has to say."""

    def progress(self, now: Progress) -> None:
        """Called a few times a second while the run goes on. Must not block."""
        ...

    def finish(self, report: Report) -> None:
        """Called once, when the report is complete. Raises OutputError if it can't be written."""
        ...


@dataclass(slots=True)
class Progress:
    """A moment of a run, for whoever shows it. Times in seconds since the schedule began, rates per second.

    percentiles  of the consistency window, over all events settled so far, as [lower, upper]; None: never
    spans        scenario to its stretches: start, end, the rate at both; one without a length is a burst
    recent       like `percentiles`, of the events settled in the last RECENT_S
    watched      which of these the limit on the consistency window is about
    lateness     p99 of the delays of the same events between due and sent; None if there are none
    limits       metric to its limit in seconds: `consistency`, `schedule_delay`
    gauges       gauge and value to the last sample: `work-queue queue_depth`
    worries      self-checks that begin to fail, as texts
    incidents    what fails just now: text, since when, how often
    history      one value each second, a minute at most, the newest last: `offered`, `achieved`, `consistency`
                 (upper end of the watched percentile; infinite: never; None: no event) and the gauges by name
    """

    RECENT_S: ClassVar[float] = 5.0

    phase: str
    elapsed: float
    total: float
    offered_rate: float
    achieved_rate: float
    scheduled: int
    in_flight: int
    outstanding: int
    states: Mapping[str, int]
    percentiles: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    spans: Mapping[str, Sequence[tuple[float, float, float, float]]] = field(default_factory=dict)
    recent: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    recent_events: int = 0
    watched: str = "p95"
    lateness: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    worries: Sequence[str] = ()
    incidents: Sequence[tuple[str, float, int]] = ()
    history: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


class AdapterSettings(BaseModel):
    """Base of all settings models: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProducerSettings(AdapterSettings):
    """What every producer can be told."""

    in_flight: Annotated[int, Field(ge=1, description="most events without an answer at a time")] = 100_000
    when_full: Annotated[
        Literal["wait", "drop"],
        Field(description="at that limit: send late, or count the event as unsent"),
    ] = "wait"

    def encoding(self) -> Encoding:
        """How this producer wants its events rendered."""
        return Encoding()

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Connect, yield the producer, close. Raises TargetError if the target can't be reached."""
        raise NotImplementedError


class Confirm(AdapterSettings):
    """Reads after the first positive one, to notice what disappears again."""

    reads: Annotated[int, Field(ge=0, le=1000, description="how many; 0 switches them off")] = 5
    over: Annotated[
        Duration | None,
        Field(description="spread over this long; default: the longer of twice the tightest objective and 5s"),
    ] = None


class ProbeSettings(AdapterSettings):
    """What every probe can be told: when to read, and how much."""

    deadline: Annotated[Duration, Field(description="an event not seen this long after its ack is lost")] = (
        15 * 1_000_000_000
    )
    first: Annotated[
        Duration, Field(ge=1_000_000, description="the first read, this long after the event was sent")
    ] = 20_000_000
    resolution: Annotated[Share, Field(gt=0, lt=1, description="widest bracket, as a share of the time elapsed")] = (
        0.1
    )
    max_gap: Annotated[Duration | None, Field(description="longest pause between two reads of one event")] = None
    sample: Annotated[
        Share,
        Field(description="share of the events followed closely; the others are read once, at their deadline"),
    ] = 1.0
    confirm: Confirm = Confirm()
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one read")] = 1
    parallel: Annotated[int, Field(ge=1, le=10_000, description="most reads at the same time")] = 64
    replicas: Annotated[
        tuple[str, ...],
        Field(description="names of the replicas behind the address; learned from the answers if left out"),
    ] = ()
    at: Annotated[
        Mapping[str, Mapping[str, Any]],
        Field(description="replicas or regions with an address each: name to the settings that differ there"),
    ] = {}
    reading: Annotated[
        Literal["geometric", "adaptive"],
        Field(description="the whole grid for every event, or only where events were seen to become visible"),
    ] = "geometric"
    max_reads: Annotated[
        Rate | None,
        Field(description="most event reads per second; gaps grow, and brackets with them, where it is not enough"),
    ] = None
    session: Annotated[
        bool, Field(description="read each event right after its ack too, as the session that wrote it would")
    ] = False

    @property
    def pushes(self) -> bool:
        """Whether it yields a PushProbe."""
        return False

    @property
    def asks_by_capture(self) -> bool:
        """Whether it asks with the id that the target gave an event, which is known only after the ack."""
        return False

    @property
    def tells_versions(self) -> bool:
        """Whether its answers may say how many writes of an event's key they reflect."""
        return getattr(self, "version", None) is not None

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect, yield the probe, close. Raises TargetError if the read model can't be reached."""
        raise NotImplementedError


class GaugeSettings(AdapterSettings):
    """What every gauge can be told."""

    every: Annotated[Duration, Field(ge=10_000_000, description="time between two samples")] = 500_000_000
    scenarios: Annotated[
        tuple[str, ...], Field(description="whose events pass through this queue; all if left out")
    ] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the values that a sample has, which objectives may use."""
        raise NotImplementedError

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Connect, yield the gauge, close. Raises TargetError if there is nothing to look at."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class EventSample:
    """Some settled events of a run, with the names that belong to their numbers.

    began_at      wall time at which the schedule began; the times of the observations are relative to it
    scenarios     by Observation.scenario
    events        by Observation.type
    probes        by Part.probe
    observations  of events that were followed closely
    """

    began_at: datetime
    scenarios: Sequence[str]
    events: Sequence[str]
    probes: Sequence[str]
    observations: Iterable[Observation]


@dataclass(frozen=True, slots=True)
class SinkSurroundings:
    """What a sink is given when it opens.

    directory  that of the run's results, where relative paths start
    say        a remark for a person, such as that something could not be delivered
    sample     at most so many events, spread evenly over the run; to be called when the run has ended
    """

    clock: Clock
    run_id: str
    directory: Path
    say: Callable[[str], None]
    sample: Callable[[int], EventSample]


class SinkSettings(AdapterSettings):
    """Base of the settings of all sinks that a config can name."""

    def open(self, surroundings: SinkSurroundings) -> AbstractAsyncContextManager[Sink]:
        """Set up, yield the sink, close. Raises TargetError if that can't be.

        The run goes on if a report can't be delivered later: the sink says so and leaves it at that. What can't be
        written to a file raises OutputError.
        """
        raise NotImplementedError
