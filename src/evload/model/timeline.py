"""What a run looked like over time, and what is worth saying about it: plain data.

`ledger.timeline` fills a Timeline from a ledger, `report.insights` says what stands out in it, formats draw it.
Its size depends on the number of intervals alone, not on how long the run was. All times are nanoseconds since
the schedule began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Final, Literal

from ..stats.histogram import rank_of

PER_DECADE: Final = 20


def _edges(shortest_ns: int, decades: int) -> tuple[int, ...]:
    return (0, *(round(shortest_ns * 10 ** (step / PER_DECADE)) for step in range(PER_DECADE * decades)))


EDGES_NS: Final = _edges(1_000_000, 8)
"""Lower edges of the latency buckets: all below a millisecond, then 12 % wide each, the last one without an end."""
PUBLISH_EDGES_NS: Final = _edges(10_000, 10)
"""The same for answers to a publish, which take less: from ten microseconds on."""

Bounds = tuple[int | None, int | None]
"""[lower, upper] in nanoseconds; None: infinite."""


@dataclass(slots=True)
class LatencyOverTime:
    """Times per interval of intended time: bucket to the number of lower and of upper ends in it."""

    lower: list[dict[int, int]]
    upper: list[dict[int, int]]
    never: list[int]
    """Events without an upper end, per interval: never seen, or never answered."""
    edges_ns: tuple[int, ...] = EDGES_NS
    """Lower edges of the buckets."""

    def bounds(self, p: Fraction, first: int = 0, last: int | None = None) -> Bounds | None:
        """[lower, upper] around the p-quantile over intervals first..last (without `last`), as wide as its buckets.

        None if there is no event in them.
        """
        intervals = slice(first, last)
        highs, never = _merged(self.upper[intervals]), sum(self.never[intervals])
        total = sum(highs.values()) + never
        if not total:
            return None
        rank = rank_of(p, total)
        low, high = _at_rank(_merged(self.lower[intervals]), rank), _at_rank(highs, rank)
        # In the last bucket an event is later than its lower edge, and nobody counted by how much.
        edges = self.edges_ns
        upper = edges[high + 1] if high is not None and high + 1 < len(edges) else None
        return (None if low is None else edges[low]), upper

    def count(self, first: int = 0, last: int | None = None) -> int:
        """Events in intervals first..last (without `last`)."""
        intervals = slice(first, last)
        return sum(sum(counts.values()) for counts in self.upper[intervals]) + sum(self.never[intervals])


@dataclass(slots=True)
class ScenarioOverTime:
    """Counts per interval, each by the time at which it happened unless it says otherwise."""

    offered: list[int]
    """By intended time."""
    sent: list[int]
    acked: list[int]
    visible: list[int]
    """Of the events that were followed: by the upper end of the bracket."""
    given_up: list[int]
    """Of the followed and acked: settled without being visible."""
    refused: list[int]
    """By intended time: unsent, rejected, returned, in doubt."""
    lost: list[int]
    """By intended time."""
    regressed: list[int]
    """By intended time: seen and then missed at least once."""
    duplicated: list[int]
    """By intended time."""
    failed_reads: list[int]
    """By the time at which the event was settled: event reads that said nothing."""
    late_ns: list[int]
    """By intended time: the longest that an event was sent after it was due."""
    late_count: list[int]
    """By intended time: events sent more than 10 ms after they were due."""
    followed: list[int]
    """By the time of the ack: events that were followed closely."""
    latency: LatencyOverTime
    """From the ack to stable-visible."""
    publish: LatencyOverTime
    """From the send to the answer, which those in doubt never had."""

    @property
    def outstanding(self) -> list[int]:
        """Followed events that were acked and not yet visible nor given up, at the end of each interval."""
        changes = (a - v - g for a, v, g in zip(self.followed, self.visible, self.given_up, strict=True))
        return list(accumulate(changes))

    @property
    def in_flight(self) -> list[int]:
        """Events that were sent and not yet acked, at the end of each interval; what is never acked stays in it."""
        return list(accumulate(s - a for s, a in zip(self.sent, self.acked, strict=True)))


@dataclass(frozen=True, slots=True)
class Standstill:
    """A time in which events waited and none came through.

    waiting  events at its end
    usual    the median of that at other times at which events came in
    """

    what: Literal["acks", "visibility"]
    start_ns: int
    end_ns: int
    waiting: int
    usual: float


@dataclass(slots=True)
class ValueOverTime:
    """One value of a gauge: the samples of each interval; NaN-free, None where there was no sample."""

    minimum: list[float | None]
    mean: list[float | None]
    maximum: list[float | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase of the load of one scenario."""

    scenario: str
    start_ns: int
    end_ns: int
    text: str


@dataclass(slots=True)
class CloseUp:
    """Some figures in intervals that begin and end with what was done to the system, however short that was.

    edges_ns  where intervals begin; the last one ends with the run
    offered, refused  events by intended time, of each scenario; refused: unsent, rejected, returned, in doubt
    latency   of each scenario, from the ack to stable-visible
    depths    of each queue that was watched the samples of an interval as [smallest, sum, number, largest]; None:
              there was none
    """

    edges_ns: Sequence[int]
    offered: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)
    latency: dict[str, LatencyOverTime] = field(default_factory=dict)
    depths: dict[str, list[tuple[float, float, int, float] | None]] = field(default_factory=dict)

    def within(self, first_ns: int, last_ns: int | None) -> list[int]:
        """The intervals that lie between two moments with all of their length. None: to the end of the run."""
        ends = [*self.edges_ns[1:], None]
        return [
            number
            for number, (start, end) in enumerate(zip(self.edges_ns, ends, strict=True))
            if start >= first_ns and (last_ns is None or (end is not None and end <= last_ns))
        ]


@dataclass(slots=True)
class Timeline:
    """A run in `count` intervals of `step_ns`."""

    step_ns: int
    count: int
    scenarios: dict[str, ScenarioOverTime] = field(default_factory=dict)
    gauges: dict[tuple[str, str], ValueOverTime] = field(default_factory=dict)
    """(gauge, value) to its samples."""
    failed_samples: dict[str, list[int]] = field(default_factory=dict)
    parts: dict[tuple[str, str, str], LatencyOverTime] = field(default_factory=dict)
    """(scenario, probe, replica) to what it said; replica is empty for the probe as a whole."""
    standstills: list[Standstill] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    keys: dict[tuple[str, str], Sequence[tuple[str, int]]] = field(default_factory=dict)
    """(scenario, what befell them: lost, regressed or duplicated) to the keys that it befell most, with counts."""
    warmups: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Scenario to start and end of its warm-up, whose events are in what is told here, and in no objective."""
    began_at: datetime | None = None
    """When the schedule began by the wall clock, if that is known."""
    close_up: CloseUp | None = None
    """Of a run in which something was done to the system."""

    def judged(self, scenario: str, counts: Sequence[int]) -> Sequence[int]:
        """Counts of a scenario by when events were due, without those of its warm-up."""
        warm = self.warmups.get(scenario, (0, 0))[1] // self.step_ns
        return [0] * min(warm, len(counts)) + list(counts[warm:])

    @property
    def total(self) -> ScenarioOverTime:
        """All scenarios together."""
        return _sum_of(self.scenarios.values(), self.count)


def _merged(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    whole: dict[int, int] = {}
    for part in counts:
        for bucket, count in part.items():
            whole[bucket] = whole.get(bucket, 0) + count
    return whole


def _at_rank(counts: Mapping[int, int], rank: int) -> int | None:
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return bucket
    return None


_COUNTS: Final = (
    "offered", "sent", "acked", "visible", "given_up", "refused", "lost", "regressed", "duplicated", "failed_reads",
    "late_count", "followed",
)  # fmt: skip


def _sum_of(scenarios: Iterable[ScenarioOverTime], count: int) -> ScenarioOverTime:
    found = list(scenarios)
    sums = {name: [sum(column) for column in zip(*(getattr(one, name) for one in found), strict=True)] or [0] * count
            for name in _COUNTS}  # fmt: skip
    late = [max((one.late_ns[i] for one in found), default=0) for i in range(count)]
    return ScenarioOverTime(
        **sums,
        late_ns=late,
        latency=_all([one.latency for one in found], count, EDGES_NS),
        publish=_all([one.publish for one in found], count, PUBLISH_EDGES_NS),
    )


def _all(latencies: Sequence[LatencyOverTime], count: int, edges_ns: tuple[int, ...]) -> LatencyOverTime:
    return LatencyOverTime(
        [_merged(one.lower[i] for one in latencies) for i in range(count)],
        [_merged(one.upper[i] for one in latencies) for i in range(count)],
        [sum(one.never[i] for one in latencies) for i in range(count)],
        edges_ns,
    )
