"""What waited where over the course of a trial, from its ledger: in queues, and between evload and what answers it.

Times are in nanoseconds since the schedule began where they are called so, and in seconds otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ..ledger.reader import LedgerReader
from ..model.ceiling import Backlog
from ..model.states import State
from ..stats.drift import drift
from ..stats.watches import is_missing
from ..summary.fold_plan import ScenarioPlan
from ..units import NS_PER_S

_FILLING: Final = 4
"""In the first quarter of a trial the system fills up: until the first events are through, more comes in than out."""
_STEEPEST_FALL: Final = -0.9
POINTS: Final = 160
PORTION: Final = 50_000
QUEUE_DEPTH: Final = "queue_depth"
FOLLOWED: Final = "events not seen yet"
PUBLISHES: Final = "unanswered publishes"


@dataclass(frozen=True, slots=True)
class Course:
    """What was in one place over time: at `times`, in seconds since the schedule began, at least and at most.

    share    of all events how many are looked at there
    each     how many of them there are for each event, or iteration, of the load
    drained  [lower, upper] of the seconds after the load until it was back at its level
    took     for how many seconds each was there that was due then, where that is known to be the same for all but for
             the system: (when they were due, how long they took)
    """

    times: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    share: float = 1.0
    each: float = 1.0
    drained: tuple[float, float | None] | None = None
    took: tuple[Sequence[float], Sequence[float]] | None = None

    def backlog(self, rate: float, *, draining: bool) -> Backlog:
        """What it came to at a rate of the load, per second; with how it drained, if somebody asks for that."""
        offered = rate * self.share * self.each
        drifts = [drift(self.times, values) for values in (self.low, self.high)]
        growth = None
        if drifts[0] is not None and drifts[1] is not None and offered:
            ends = (*drifts[0][1:], *drifts[1][1:])
            growth = self._narrowed(min(ends) / offered, max(ends) / offered)
        return Backlog(growth, self.drained if draining else None)

    def _narrowed(self, low: float, high: float) -> tuple[float, float]:
        """The interval of the growth, with what is known by how long each took.

        Where one takes a second more than the one that was due a second before, one leaves for two that come. What is
        served out of turn takes another time, and then the two don't meet: how many there are counts.
        """
        lengthening = None if self.took is None else drift(*self.took)
        if lengthening is None:
            return low, high
        least, most = (slope / (1 + max(slope, _STEEPEST_FALL)) for slope in lengthening[1:])
        return (max(low, least), min(high, most)) if least <= high and low <= most else (low, high)


def load_of(plan: ScenarioPlan) -> tuple[int, int, int]:
    """When the load of a scenario begins, from when it is judged, and when it ends, in nanoseconds."""
    return min(start for start, _ in plan.phases), plan.judged_ns, max(end for _, end in plan.phases)


def filled_ns(plan: ScenarioPlan) -> int:
    """From when the course of a backlog is looked at, in nanoseconds: the last three quarters of what is judged."""
    _, judged_ns, end_ns = load_of(plan)
    return judged_ns + (end_ns - judged_ns) // _FILLING


def courses(ledger: LedgerReader, number: int, plan: ScenarioPlan, scenario: str) -> Iterator[tuple[str, Course]]:
    """Of a scenario that sends events, which has this number."""
    since_ns, (_, _, end_ns) = filled_ns(plan), load_of(plan)
    if plan.watched and (seen := followed(ledger, number, since_ns, end_ns, end_ns)) is not None:
        yield FOLLOWED, seen
    yield PUBLISHES, _unanswered(ledger, number, since_ns, end_ns)
    yield from queues(ledger, scenario, since_ns, end_ns, end_ns)


def queues(
    ledger: LedgerReader, scenario: str, since_ns: int, end_ns: int, last_ns: int
) -> Iterator[tuple[str, Course]]:
    """Of the queues through which the events of a scenario pass, of which the last was sent then."""
    for name, gauge in ledger.meta["gauges"].items():
        if QUEUE_DEPTH in gauge["metrics"] and scenario in (gauge["scenarios"] or [scenario]):
            yield name, _queue(ledger, name, since_ns, end_ns, last_ns)


def followed(
    ledger: LedgerReader, number: int, since_ns: int, end_ns: int, last_ns: int, *, once: bool = False
) -> Course | None:
    """The events of a scenario that were acked and not seen yet; what is never seen stays among them, but for what
    came to another end. The last of them was sent at `last_ns`. `once`: nobody waits for more than to see it once."""
    import numpy as np

    seen_as = "first" if once else "stable"
    over = f"CASE state WHEN {State.ENDED.value} THEN settled_ns ELSE {seen_as}_upper_ns END"
    columns = f"sampled, acked_ns, coalesce({seen_as}_lower_ns, sent_ns), {over}, state"
    query = (
        f"SELECT {columns} FROM events WHERE scenario = ? AND state >= {State.VISIBLE.value} AND acked_ns IS NOT NULL"
    )
    rows = table(ledger, query, number)
    looked_at = rows[rows[:, 0] > 0]
    if not len(looked_at):
        return None
    states = (State.VISIBLE.value, State.ENDED.value, *((State.REGRESSED.value,) if once else ()))
    seen = looked_at[np.isin(looked_at[:, 4], states)]
    acked, own = looked_at[:, 1], seen[:, 1]
    times, edges = _spans(since_ns, end_ns)
    # What was seen before its ack, which came late, has never waited.
    lower, upper = (np.maximum(ends, seen[:, 1]) for ends in (seen[:, 2], seen[:, 3]))
    # What is never seen has no time at which it drains.
    usual = _waiting(own, upper, edges)
    level = float(np.mean(usual[: POINTS // 20])) if len(seen) else 0.0
    last = len(seen) - int(level) - 1
    drained = (0.0, 0.0)
    if last >= 0:
        first_s, last_s = (
            max(0.0, float(np.sort(ends)[last] - last_ns) / NS_PER_S) for ends in (seen[:, 2], seen[:, 3])
        )
        drained = (first_s, last_s)
    low, high = (_waiting(acked, left, edges).tolist() for left in (lower, upper))
    return Course(times, low, high, len(looked_at) / len(rows), drained=drained)


def _unanswered(ledger: LedgerReader, number: int, since_ns: int, end_ns: int) -> Course:
    """The publishes that were on their way to the broker, or had no answer yet."""
    left = f"sent_ns IS NOT NULL AND state != {State.UNSENT.value}"
    return between(
        table(ledger, f"SELECT sent_ns, acked_ns FROM events WHERE scenario = ? AND {left}", number), since_ns, end_ns
    )


def table(ledger: LedgerReader, query: str, number: int) -> Any:
    """What a query about a scenario finds, as an array with a column for each value; without rows there are two."""
    import numpy as np

    parts = [np.array(rows, dtype=np.float64) for rows in ledger.portions(query, PORTION, (number,))]
    return np.concatenate(parts) if parts else np.zeros((0, 2))


def between(rows: Any, since_ns: int, end_ns: int, each: float = 1.0) -> Course:
    """How many have come and not gone: of each when it came and when it went, if ever. `each` as in `Course`."""
    import numpy as np

    times, edges = _spans(since_ns, end_ns)
    waiting = _waiting(rows[:, 0], rows[~np.isnan(rows[:, 1]), 1], edges).tolist()
    return Course(times, waiting, waiting, each=each)


def _spans(since_ns: int, end_ns: int) -> tuple[list[float], Any]:
    """The middles of so many spans, in seconds, and their edges in nanoseconds."""
    import numpy as np

    edges = np.linspace(since_ns, end_ns, POINTS + 1)
    return ((edges[1:] + edges[:-1]) / 2 / NS_PER_S).tolist(), edges


def _waiting(came: Any, gone: Any, edges: Any) -> Any:
    """How many have come and not gone, on average over each span: a look now and then would see of what comes and
    goes at a steady pace now more, now less."""
    import numpy as np

    def time_since(moments: Any) -> Any:
        """The time that has passed since each of these, all together, by each edge."""
        passed = np.sort(moments) - edges[0]
        before = np.searchsorted(passed, edges - edges[0], "right")
        return before * (edges - edges[0]) - np.concatenate(([0.0], np.cumsum(passed)))[before]

    return np.diff(time_since(came) - time_since(gone)) / np.diff(edges)


def _queue(ledger: LedgerReader, name: str, since_ns: int, end_ns: int, last_ns: int) -> Course:
    """The depth of a queue, by its samples."""
    samples = [
        (start_ns, stop_ns, values[QUEUE_DEPTH])
        for gauge, start_ns, stop_ns, values in ledger.samples()
        if gauge == name and QUEUE_DEPTH in values and not is_missing(values[QUEUE_DEPTH])
    ]
    inside = [one for one in samples if since_ns <= one[0] and one[1] <= end_ns]
    # Two samples of one moment are one: some gauges look again at what came late.
    inside = [
        one for one, after in pairwise([*inside, None]) if one is not None and (after is None or one[1] < after[1])
    ]
    times = [(start_ns + stop_ns) / 2 / NS_PER_S for start_ns, stop_ns, _ in inside]
    depths = [depth for *_, depth in inside]
    return Course(times, depths, depths, drained=_drained(samples, depths, last_ns))


def _drained(
    samples: Sequence[tuple[int, int, float]], depths: Sequence[float], last_ns: int
) -> tuple[float, float | None] | None:
    """How long after the last send the queue was back at its level: that before all, or the usual one if that is
    higher."""
    if not depths:
        return None
    first = depths[: max(1, len(depths) // 20)]
    level = max(samples[0][2], sum(first) / len(first))
    low = 0.0
    for start_ns, stop_ns, depth in samples:
        if start_ns < last_ns:
            continue
        if depth <= level:
            return low, max(low, (stop_ns - last_ns) / NS_PER_S)
        low = (start_ns - last_ns) / NS_PER_S
    return low, None
