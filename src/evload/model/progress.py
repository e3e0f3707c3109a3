"""A moment of a run, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


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
