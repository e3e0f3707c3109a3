"""Folds a ledger into a Timeline in one pass: however long the run was, as many intervals and as much memory.

Rows are fetched in portions and counted with numpy, which takes a third of the time that grouping in SQLite
takes: SQLite would sort all rows for each of the times by which they are counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from ..model.marker import Marker
from ..model.phases import Course, Ending
from ..model.states import State
from ..model.timeline import (
    EDGES_NS,
    PUBLISH_EDGES_NS,
    CloseUp,
    LatencyOverTime,
    ScenarioOverTime,
    Stage,
    Standstill,
    Timeline,
    ValueOverTime,
)
from ..stats.watches import is_missing
from ..units import NS_PER_S
from .reader import LedgerReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]


INTERVALS: Final = 240
"""Intervals at most."""
_ROUND_S: Final = (
    0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200,
    86_400,
)  # fmt: skip
_PORTION: Final = 50_000
"""Rows at a time."""
_FINE_NS: Final = 100_000_000
_FINE_BINS: Final = 30_000
"""A standstill is looked for in bins of 100 ms, or of longer ones in runs over 50 minutes."""
_STANDSTILL_BINS: Final = 5
_STANDSTILLS: Final = 12
"""Of acks and of visibility each: the longest are kept."""
_LATE_NS: Final = 10_000_000
_MARKERS: Final = 100
"""Of what was done more often only the first times are looked at closely."""
_BEFORE_NS: Final = 30 * NS_PER_S
_STEP_NS: Final = NS_PER_S
_WIDER: Final = 10
"""After an action intervals are a second long, or a tenth of the time since then."""
_KEYS: Final = 3
_KEY_ROWS: Final = 100_000
"""Of so many events the keys are counted, so that a run that lost everything doesn't take longer."""
_BEFELL: Final = {"lost": f"state = {State.LOST.value}", "regressed": "regressions > 0", "duplicated": "effects > 1"}
_LAST: Final = "SELECT max(settled_ns) AS n FROM events UNION SELECT max(end_ns) FROM samples"
_QUERY: Final = (
    "SELECT scenario, state, intended_ns, sent_ns, acked_ns, sampled, stable_lower_ns, stable_upper_ns, "
    "failed_reads, effects, regressions, settled_ns FROM events"
)
_PARTS: Final = (
    "SELECT e.scenario, p.probe, {replica}, e.intended_ns, e.sent_ns, e.acked_ns, p.stable_lower_ns, "
    "p.stable_upper_ns FROM parts p JOIN events e ON e.seq = p.seq "
    "WHERE p.seq % ? = 0 AND e.sampled = 1 AND e.acked_ns IS NOT NULL"
)
_REPLICAS: Final = "SELECT DISTINCT replica FROM (SELECT replica FROM parts LIMIT 100000) ORDER BY replica"
"""A replica that first answers later than that counts with the probe as a whole."""
_PART_ROWS: Final = 3_000_000
"""Of runs with more parts than this, replicas are compared by every n-th event."""


def read_timeline(
    reader: LedgerReader,
    scenarios: Sequence[str],
    *,
    markers: Sequence[Marker] = (),
    endings: Sequence[Ending] = (),
    intervals: int = INTERVALS,
) -> Timeline:
    """The timeline of a run. `scenarios` are the names by their number in the ledger, `markers` what was done to the
    system, which is looked at closely, `endings` the phases that were to end when a gauge says so.

    Raises UsageError where the file is damaged.
    """
    end_ns = next((last for ((last,),) in reader.portions(f"SELECT max(n) FROM ({_LAST})", 1) if last is not None), 0)
    step_ns = step_for(end_ns, intervals)
    timeline = Timeline(step_ns, max(1, -(-end_ns // step_ns)))
    edges_ns = closer(markers, end_ns)
    fold = _Fold(timeline.step_ns, timeline.count, end_ns, len(scenarios), edges_ns)
    for rows in reader.portions(_QUERY, _PORTION):
        fold.add(rows)
    timeline.scenarios = dict(zip(scenarios, fold.scenarios(), strict=True))
    timeline.standstills = fold.standstills()
    if edges_ns:
        timeline.close_up = fold.close_up(scenarios)
    _add_gauges(timeline, reader)
    _add_parts(timeline, reader, scenarios)
    _add_keys(timeline, reader, scenarios)
    began_at = reader.meta.get("began_at")
    timeline.began_at = None if began_at is None else datetime.fromisoformat(began_at)
    courses = {name: Course(name, endings) for name in scenarios}
    timeline.stages = [
        Stage(name, courses[name].moment(start_ns), courses[name].moment(stage_end_ns), text)
        for name, start_ns, stage_end_ns, text in reader.meta.get("stages", ())
    ]
    plans = dict(zip(scenarios, reader.meta.get("plan", ()), strict=False))
    timeline.warmups = {name: (span[0], span[1]) for name, plan in plans.items() if (span := plan.get("warmup"))}
    return timeline


def step_for(end_ns: int, intervals: int) -> int:
    """The shortest round interval of which `intervals` reach to `end_ns`; beyond a day whole days."""
    for seconds in _ROUND_S:
        step_ns = round(seconds * NS_PER_S)
        if step_ns * intervals >= end_ns:
            return step_ns
    day_ns = round(_ROUND_S[-1] * NS_PER_S)
    return day_ns * -(-end_ns // (day_ns * intervals))


def closer(markers: Sequence[Marker], end_ns: int) -> list[int]:
    """Where the intervals of a close-up begin; nothing without a marker.

    They begin and end with all that was done and undone. Each has a stretch before it that is as long as it was on,
    or half a minute; after the last time of each action they are short at first.
    """
    markers = sorted(markers, key=lambda one: one.done[0])[:_MARKERS]
    found = {0} if markers else set()
    last = {one.action: one for one in markers}
    for one in markers:
        first, over = one.outer
        found |= {ns for bracket in (one.done, one.undone or ()) for ns in bracket if ns is not None}
        if over is None:
            over = end_ns
        found |= {first - max(_BEFORE_NS, over - first), over + _BEFORE_NS}
        if last[one.action] is one:
            at = over
            while at < end_ns:
                at += max(_STEP_NS, (at - over) // _WIDER)
                found.add(at)
    return sorted(ns for ns in found if 0 <= ns < max(end_ns, 1))


class _Latency:
    """Windows of one scenario or of one replica, or times of its answers, being counted."""

    def __init__(self, count: int, edges_ns: tuple[int, ...] = EDGES_NS) -> None:
        import numpy as np

        self._np = np
        self._count = count
        self._edges_ns = edges_ns
        self._edges = np.array(edges_ns, dtype=np.float64)
        self._lower = np.zeros(count * len(edges_ns), dtype=np.int64)
        self._upper = np.zeros_like(self._lower)
        self._never = np.zeros(count, dtype=np.int64)

    def add(self, interval: Ints, sent: Floats, since: Floats, lower: Floats, upper: Floats) -> None:
        """Count events from a moment on, such as the ack; a missing lower end means that the first read saw it, so
        that `sent` bounds it."""
        np = self._np
        lower = np.where(np.isnan(lower), sent, lower)
        seen = ~np.isnan(upper)
        self._never += np.bincount(interval[~seen], minlength=self._count)
        for counts, when, ends in ((self._lower, interval, lower - since),
                                   (self._upper, interval[seen], (upper - since)[seen])):  # fmt: skip
            bucket = np.searchsorted(self._edges, np.maximum(ends, 0), side="right") - 1
            counts += np.bincount(when * len(self._edges) + bucket, minlength=len(counts))

    def told(self) -> LatencyOverTime:
        return LatencyOverTime(
            self._sparse(self._lower), self._sparse(self._upper), self._never.tolist(), self._edges_ns
        )

    def _sparse(self, counts: Ints) -> list[dict[int, int]]:
        rows = counts.reshape(self._count, len(self._edges)).tolist()
        return [{bucket: n for bucket, n in enumerate(row) if n} for row in rows]


class _Fold:
    """All scenarios, being counted."""

    def __init__(self, step_ns: int, count: int, end_ns: int, scenarios: int, edges_ns: Sequence[int] = ()) -> None:
        import numpy as np

        self._np = np
        self._edges_ns = edges_ns
        self._edges = np.array(edges_ns, dtype=np.float64)
        self._close = [
            (
                np.zeros(len(edges_ns), dtype=np.int64),
                np.zeros(len(edges_ns), dtype=np.int64),
                _Latency(len(edges_ns)),
            )
            for _ in range(scenarios if edges_ns else 0)
        ]
        self._step_ns, self._count = step_ns, count
        self._counts = [{name: np.zeros(count, dtype=np.int64) for name in _COUNTED} for _ in range(scenarios)]
        self._late = [np.zeros(count) for _ in range(scenarios)]
        self._latency = [_Latency(count) for _ in range(scenarios)]
        self._publish = [_Latency(count, PUBLISH_EDGES_NS) for _ in range(scenarios)]
        self._fine_ns = max(_FINE_NS, -(-end_ns // _FINE_BINS))
        bins = -(-end_ns // self._fine_ns) + 1
        self._fine = {name: np.zeros(bins, dtype=np.int64) for name in ("sent", "acked", "due", "visible")}

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        np = self._np
        table = np.array(rows, dtype=np.float64)
        for number in np.unique(table[:, 0]).astype(int).tolist():
            self._add(number, table[table[:, 0] == number].T)

    def _add(self, number: int, columns: Floats) -> None:
        np = self._np
        _, state, intended, sent, acked, sampled, lower, upper, failed, effects, regressions, settled = columns
        due = self._interval(intended)
        followed = (sampled > 0) & (state >= State.VISIBLE)
        seen = followed & ~np.isnan(upper)
        left = ~np.isnan(sent) & (state != State.UNSENT)
        late = np.where(left, np.maximum(sent - intended, 0), 0)
        counts = self._counts[number]
        for name, when in (
            ("offered", due),
            ("sent", self._interval(sent[left])),
            ("acked", self._interval(acked[state >= State.VISIBLE])),
            ("followed", self._interval(acked[followed])),
            ("visible", self._interval(upper[seen])),
            ("given_up", self._interval(settled[followed & ~seen])),
            ("refused", due[state <= State.IN_DOUBT]),
            ("lost", due[state == State.LOST]),
            ("regressed", due[regressions > 0]),
            ("duplicated", due[effects > 1]),
            ("late_count", due[late > _LATE_NS]),
        ):
            counts[name] += np.bincount(when, minlength=self._count)
        reads = np.bincount(self._interval(settled), weights=failed, minlength=self._count)
        counts["failed_reads"] += reads.astype(np.int64)
        np.maximum.at(self._late[number], due, late)
        self._latency[number].add(due[followed], sent[followed], acked[followed], lower[followed], upper[followed])
        if self._close:
            offered, refused, closer = self._close[number]
            near = np.maximum(np.searchsorted(self._edges, intended, side="right") - 1, 0)
            offered += np.bincount(near, minlength=len(offered))
            refused += np.bincount(near[state <= State.IN_DOUBT], minlength=len(refused))
            closer.add(near[followed], sent[followed], acked[followed], lower[followed], upper[followed])
        answered = left & (state >= State.VISIBLE)
        # Of what is in doubt it is known how long no answer had come.
        told = (answered & ~np.isnan(acked)) | (left & (state == State.IN_DOUBT))
        until = np.where(state == State.IN_DOUBT, np.nan, acked)
        waited = np.where(state == State.IN_DOUBT, settled, acked)
        self._publish[number].add(due[told], sent[told], sent[told], waited[told], until[told])
        for name, at in (("sent", sent[answered]), ("acked", acked[answered]),
                         ("due", acked[seen]), ("visible", upper[seen])):  # fmt: skip
            fine = self._fine[name]
            fine += np.bincount(self._clipped(at, self._fine_ns, len(fine)), minlength=len(fine))

    def _interval(self, at_ns: Floats) -> Ints:
        return self._clipped(at_ns, self._step_ns, self._count)

    def _clipped(self, at_ns: Floats, step_ns: int, count: int) -> Ints:
        np = self._np
        steps: Ints = np.clip(np.nan_to_num(at_ns) // step_ns, 0, count - 1).astype(np.int64)
        return steps

    def scenarios(self) -> Iterator[ScenarioOverTime]:
        found = zip(self._counts, self._late, self._latency, self._publish, strict=True)
        for counts, late, latency, publish in found:
            told = {name: column.tolist() for name, column in counts.items()}
            late_ns = late.astype(int).tolist()
            yield ScenarioOverTime(**told, late_ns=late_ns, latency=latency.told(), publish=publish.told())

    def close_up(self, scenarios: Sequence[str]) -> CloseUp:
        """What was looked at closely, of scenarios with these names."""
        told = CloseUp(self._edges_ns)
        for name, (offered, refused, latency) in zip(scenarios, self._close, strict=True):
            told.offered[name], told.refused[name] = offered.tolist(), refused.tolist()
            told.latency[name] = latency.told()
        return told

    def standstills(self) -> list[Standstill]:
        found = self._standing("acks", self._fine["sent"], self._fine["acked"])
        found += self._standing("visibility", self._fine["due"], self._fine["visible"])
        return sorted(found, key=lambda one: one.start_ns)

    def _standing(self, what: Literal["acks", "visibility"], entered: Ints, left: Ints) -> list[Standstill]:
        np = self._np
        waiting = np.cumsum(entered) - np.cumsum(left)
        still = np.flatnonzero((left == 0) & (waiting > 0))
        if not len(still):
            return []
        found = []
        for run in np.split(still, np.flatnonzero(np.diff(still) > 1) + 1):
            first, last = int(run[0]), int(run[-1])
            if len(run) >= _STANDSTILL_BINS:
                busy = entered > 0
                busy[first : last + 1] = False
                usual = float(np.median(waiting[busy])) if busy.any() else 0.0
                start_ns, end_ns = first * self._fine_ns, (last + 1) * self._fine_ns
                found.append(Standstill(what, start_ns, end_ns, int(waiting[last]), usual))
        return sorted(found, key=lambda one: one.start_ns - one.end_ns)[:_STANDSTILLS]


_COUNTED: Final = (
    "offered", "sent", "acked", "visible", "given_up", "refused", "lost", "regressed", "duplicated", "failed_reads",
    "late_count", "followed",
)  # fmt: skip


def _add_gauges(timeline: Timeline, reader: LedgerReader) -> None:
    count = timeline.count
    seen: dict[tuple[str, str], list[list[float]]] = {}
    for gauge, _, end_ns, values in reader.samples():
        interval = min(max(end_ns // timeline.step_ns, 0), count - 1)
        if not values:
            timeline.failed_samples.setdefault(gauge, [0] * count)[interval] += 1
        for metric, value in values.items():
            if is_missing(value):
                continue
            told = seen.setdefault((gauge, metric), [[] for _ in range(count)])[interval]
            if timeline.close_up is not None and metric == "queue_depth":
                _look_closer(timeline.close_up, gauge, end_ns, value)
            # minimum, sum, number, maximum
            told[:] = [min(told[0], value), told[1] + value, told[2] + 1, max(told[3], value)] if told else [
                value, value, 1, value,
            ]  # fmt: skip
    for about, intervals in seen.items():
        timeline.gauges[about] = ValueOverTime(
            minimum=_each(intervals, lambda told: told[0]),
            mean=_each(intervals, lambda told: told[1] / told[2]),
            maximum=_each(intervals, lambda told: told[3]),
        )


def _look_closer(close_up: CloseUp, gauge: str, at_ns: int, value: float) -> None:
    depths = close_up.depths.setdefault(gauge, [None] * len(close_up.edges_ns))
    number = max(bisect_right(close_up.edges_ns, at_ns) - 1, 0)
    least, total, count, most = depths[number] or (value, 0.0, 0, value)
    depths[number] = min(least, value), total + value, count + 1, max(most, value)


T = TypeVar("T")


def _each(intervals: Sequence[T], figure: Callable[[T], float]) -> list[float | None]:
    return [figure(told) if told else None for told in intervals]


def _add_parts(timeline: Timeline, reader: LedgerReader, scenarios: Sequence[str]) -> None:
    """What each probe and replica said, where there is more than one."""
    import numpy as np

    (((last,),),) = reader.portions("SELECT max(seq) FROM parts", 1)
    if last is None:
        return
    probes = reader.meta.get("probes", ())
    replicas = [name for ((name,),) in reader.portions(_REPLICAS, 1) if name is not None]
    cases = "".join(f" WHEN ? THEN {number}" for number in range(len(replicas)))
    query = _PARTS.format(replica=f"CASE p.replica WHEN NULL THEN -1{cases} ELSE -1 END")
    nth = max(1, int(last) * (len(replicas) + 1) // _PART_ROWS)
    found: dict[tuple[int, int, int], _Latency] = {}
    for rows in reader.portions(query, _PORTION, (*replicas, nth)):
        table = np.array(rows, dtype=np.float64)
        whose = table[:, :3].astype(np.int64)
        # As one number each: to sort rows of three takes longer than all the rest.
        numbers = np.ravel_multi_index(tuple((whose + 1).T), tuple(whose.max(axis=0) + 2))
        for number, example in zip(*np.unique(numbers, return_index=True), strict=True):
            about = whose[example].tolist()
            _, _, _, intended, sent, acked, lower, upper = table[numbers == number].T
            interval = np.clip(intended // timeline.step_ns, 0, timeline.count - 1).astype(np.int64)
            into = found.setdefault(tuple(about), _Latency(timeline.count))
            into.add(interval, sent, acked, lower, upper)
    for (scenario, probe, replica), latency in sorted(found.items()):
        name = probes[probe] if probe < len(probes) else f"probe {probe}"
        part = scenarios[scenario], name, replicas[replica] if replica >= 0 else ""
        timeline.parts[part] = latency.told()


def _add_keys(timeline: Timeline, reader: LedgerReader, scenarios: Sequence[str]) -> None:
    for what, condition in _BEFELL.items():
        query = (
            f"SELECT scenario, key, count(*) AS n FROM (SELECT scenario, key FROM events WHERE {condition} "
            f"AND {reader.judged} AND key IS NOT NULL LIMIT {_KEY_ROWS}) "
            "GROUP BY scenario, key ORDER BY scenario, n DESC"
        )
        for rows in reader.portions(query, _PORTION):
            for scenario, key, count in rows:
                kept = list(timeline.keys.get((scenarios[scenario], what), ()))
                if len(kept) < _KEYS:
                    timeline.keys[scenarios[scenario], what] = [*kept, (key, count)]
