"""Judges one trial by its report and its ledger: is the rate sustainable, is it not, or can't that be told?

A rate is good if every objective holds, no backlog grows by more than 1 % of the rate, and what is left when the load
ends drains within the longest limit that an objective has on the time until everybody sees an event. It is bad if
one of these is broken for sure. Where the load was not what was asked for, nothing is known of the system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from ..judging.unseen import unseen
from ..ledger.reader import LedgerReader
from ..model.ceiling import Backlog, Judged, Outcome
from ..model.facts import PERCENTILES
from ..model.report import Report, Result
from ..model.states import State
from ..model.summary import ScenarioSummary
from ..objectives.criteria import Criteria
from ..objectives.objective import Objective
from ..report import wording
from ..stats.drift import drift
from ..stats.watches import is_missing
from ..summary.fold_plan import ScenarioPlan
from ..units import NS_PER_S, format_duration, format_rate, format_share

MOST_GROWTH: Final = 0.01
"""Of the offered rate: a backlog that grows by more is that of a system which doesn't keep up."""
_FILLING: Final = 4
"""In the first quarter of a trial the system fills up: until the first events are through, more comes in than out."""
_LATE_SHARE: Final = 0.01
_LONG_STALL_NS: Final = 100_000_000
_HARMLESS: Final = 10
"""A stall that is so many times shorter than a limit didn't break it."""
_POINTS: Final = 160
_PORTION: Final = 50_000
_OF_THE_GENERATOR: Final = frozenset({"ledger closes", "lateness", "arrival shape", "headroom", "clocks"})
"""The self-checks whose failure is evload's."""
_TOLD_OTHERWISE: Final = frozenset({"load as scheduled", "steady state"})
"""Those whose subject is looked at here more closely."""
QUEUE_DEPTH: Final = "queue_depth"
FOLLOWED: Final = "events not seen yet"
PUBLISHES: Final = "unanswered publishes"


@dataclass(frozen=True, slots=True)
class _Course:
    """What was in one place over time: at `times`, in seconds since the schedule began, at least and at most.

    share   of all events how many are looked at there
    drained [lower, upper] of the seconds after the load until it was back at its level
    """

    times: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    share: float = 1.0
    drained: tuple[float, float | None] | None = None


def judge_trial(report: Report, ledger: LedgerReader, scenario: str, rate: Fraction) -> Judged:
    """What a run at a rate of a scenario, in events per second, came to. It was not interrupted."""
    metrics = {name: gauge["metrics"] for name, gauge in ledger.meta["gauges"].items()}
    criteria = Criteria.from_data(ledger.meta["terms"], metrics)
    told = report.summary.scenarios[scenario]
    plans = [ScenarioPlan.from_data(plan) for plan in ledger.meta["plan"]]
    number = [plan.name for plan in plans].index(scenario)
    limits = [wait_ns for one in criteria.objectives if (wait_ns := one.longest_wait_ns) is not None]
    limit_s = max(limits) / NS_PER_S if limits else None
    courses = dict(_courses(ledger, number, plans[number], scenario))
    backlogs = {name: _backlog(course, float(rate), limit_s is not None) for name, course in courses.items()}
    found = told.distributions.get("consistency")
    windows = None
    if found is not None and found.count:
        low, high = found.bracket(PERCENTILES["p95"])
        windows = (None if low is None else low / NS_PER_S, None if high is None else high / NS_PER_S)

    def judged(outcome: Outcome, reasons: Sequence[str] = ()) -> Judged:
        return Judged(outcome, tuple(reasons), backlogs, windows)

    if faults := [*_own_faults(told), *_failed_checks(report, _OF_THE_GENERATOR)]:
        return judged(Outcome.GENERATOR, faults)
    stall_ns = report.summary.vitals.longest_stall_ns or 0
    failed: list[str] = []
    stalled: list[str] = []
    for objective, result in zip(criteria.objectives, report.objectives, strict=True):
        if result.result is Result.FAIL:
            name = wording.title(result)
            reason = f"{name}: {wording.observed(result)}" + (f" ({result.note})" if result.note else "")
            (stalled if _may_be_the_stall(objective, stall_ns) else failed).append(reason)
    bad = [*failed, *_held(told), *_growing(backlogs, rate), *_not_drained(backlogs, limit_s)]
    if bad:
        return judged(Outcome.BAD, bad)
    if stalled:
        told_stall = f"evload itself stood still for {format_duration(stall_ns)}, which may be why"
        return judged(Outcome.GENERATOR, [f"{reason}; {told_stall}" for reason in stalled])
    open_ones = [
        f"{wording.title(result)}: {result.note or result.result.value}"
        for result in report.objectives
        if result.result not in (Result.PASS, Result.WARN)
    ]
    others = {check.name for check in report.checks} - _OF_THE_GENERATOR - _TOLD_OTHERWISE
    open_ones += [*_failed_checks(report, others), *_untold(backlogs, limit_s)]
    open_ones += [f"{one.action}: {one.error or one.undo_error}" for one in report.summary.markers if _failed(one)]
    return judged(Outcome.UNDECIDED if open_ones else Outcome.GOOD, open_ones)


def blind(report: Report, ledger: LedgerReader) -> str:
    """Why nobody saw a single event; empty if somebody did."""
    metrics = {name: gauge["metrics"] for name, gauge in ledger.meta["gauges"].items()}
    return unseen(report.summary, Criteria.from_data(ledger.meta["terms"], metrics).scenarios)


def _failed(marker: object) -> bool:
    return bool(getattr(marker, "error", "") or getattr(marker, "undo_error", ""))


# -- the generator ----------------------------------------------------------------------------------------------


def _own_faults(told: ScenarioSummary) -> Iterator[str]:
    if told.early_sends:
        yield f"{told.early_sends:,} events were sent before they were due"
    for due, _, own in told.phases.values():
        if due and own / due > _LATE_SHARE:
            yield f"evload itself was late with {own:,} of {due:,} events ({format_share(own / due)})"


def _failed_checks(report: Report, names: frozenset[str] | set[str]) -> Iterator[str]:
    for check in report.checks:
        if check.result is Result.INVALID and check.name in names:
            yield f"{check.name}: {wording.check_figures(check)}"


def _may_be_the_stall(objective: Objective, stall_ns: int) -> bool:
    """Whether events that came all at once, after evload stood still, may be why it failed."""
    if stall_ns < _LONG_STALL_NS or not objective.depends_on_load:
        return False
    limit_ns = (objective.inner or objective).latency_limit_ns
    return limit_ns is None or limit_ns < stall_ns * _HARMLESS


# -- what is left over ------------------------------------------------------------------------------------------


def _held(told: ScenarioSummary) -> Iterator[str]:
    """Events that evload had ready and could not hand over."""
    for due, late, own in told.phases.values():
        if due and own / due <= _LATE_SHARE < late / due:
            yield (
                f"{late:,} of {due:,} events ({format_share(late / due)}) were held back: the target, or the limit "
                "on connections or on what is in flight, took no more"
            )
    due = told.ledger["scheduled"]
    if due and told.late_for_order / due > _LATE_SHARE:
        yield (
            f"{told.late_for_order:,} of {due:,} events ({format_share(told.late_for_order / due)}) left late: "
            "their producer is ordered, and others of their key were before them"
        )


def _growing(backlogs: Mapping[str, Backlog], rate: Fraction) -> Iterator[str]:
    for name, backlog in backlogs.items():
        if backlog.growth is not None and backlog.growth[0] > MOST_GROWTH:
            low, high = backlog.growth
            shares = _span(format_share(round(low, 4)), format_share(round(high, 4)))
            each = format_rate(float(f"{float(rate) * (low + high) / 2:.3g}"))
            yield f"{name} grew by {shares} of the rate (about {each})"


def _not_drained(backlogs: Mapping[str, Backlog], limit_s: float | None) -> Iterator[str]:
    for name, backlog in backlogs.items():
        if limit_s is not None and backlog.drain is not None and backlog.drain[0] > limit_s:
            low, high = backlog.drain
            took = "not" if high is None else f"only {format_duration(high * NS_PER_S)} after its end"
            within = f"within {format_duration(low * NS_PER_S)} after the load" if high is None else ""
            limit = format_duration(limit_s * NS_PER_S)
            yield " ".join(f"{name}: back at their level {took} {within}".split()) + f", limit {limit}"


def _untold(backlogs: Mapping[str, Backlog], limit_s: float | None) -> Iterator[str]:
    telling = {name: one for name, one in backlogs.items() if name != PUBLISHES and one.growth is not None}
    if not telling:
        yield "too little was seen of what waits to tell whether it grows"
    for name, backlog in backlogs.items():
        if backlog.growth is not None and backlog.growth[1] > MOST_GROWTH:
            low, high = backlog.growth
            shares = _span(format_share(round(low, 4)), format_share(round(high, 4)))
            yield f"{name} grew by {shares} of the rate, and {format_share(MOST_GROWTH)} is the limit"
        if limit_s is not None and backlog.drain is not None:
            low, last = backlog.drain
            if last is None or last > limit_s:
                until = "the end of the trial" if last is None else format_duration(last * NS_PER_S)
                since = format_duration(low * NS_PER_S)
                yield f"{name}: it can't be told when in {since} to {until} they were back at their level"


def _backlog(course: _Course, rate: float, asked: bool) -> Backlog:
    offered = rate * course.share
    drifts = [drift(course.times, values) for values in (course.low, course.high)]
    growth = None
    if drifts[0] is not None and drifts[1] is not None and offered:
        ends = (*drifts[0][1:], *drifts[1][1:])
        growth = (min(ends) / offered, max(ends) / offered)
    return Backlog(growth, course.drained if asked else None)


def _courses(ledger: LedgerReader, number: int, plan: ScenarioPlan, scenario: str) -> Iterator[tuple[str, _Course]]:
    end_ns = max(end for _, end in plan.phases)
    since_ns = plan.judged_ns + (end_ns - plan.judged_ns) // _FILLING
    if plan.watched and (followed := _followed(ledger, number, since_ns, end_ns)) is not None:
        yield FOLLOWED, followed
    yield PUBLISHES, _unanswered(ledger, number, since_ns, end_ns)
    for name, gauge in ledger.meta["gauges"].items():
        if QUEUE_DEPTH in gauge["metrics"] and scenario in (gauge["scenarios"] or [scenario]):
            yield name, _queue(ledger, name, since_ns, end_ns)


def _followed(ledger: LedgerReader, number: int, since_ns: int, end_ns: int) -> _Course | None:
    """The events that were acked and not seen yet; what is never seen stays among them, but for what came to another
    end."""
    import numpy as np

    over = f"CASE state WHEN {State.ENDED.value} THEN settled_ns ELSE stable_upper_ns END"
    columns = f"sampled, acked_ns, coalesce(stable_lower_ns, sent_ns), {over}, state"
    query = (
        f"SELECT {columns} FROM events WHERE scenario = ? AND state >= {State.VISIBLE.value} AND acked_ns IS NOT NULL"
    )
    parts = [np.array(rows, dtype=np.float64) for rows in ledger.portions(query, _PORTION, (number,))]
    if not parts:
        return None
    rows = np.concatenate(parts)
    followed = rows[rows[:, 0] > 0]
    if not len(followed):
        return None
    seen = followed[np.isin(followed[:, 4], (State.VISIBLE.value, State.ENDED.value))]
    acked, own = np.sort(followed[:, 1]), np.sort(seen[:, 1])
    times = np.linspace(since_ns, end_ns, _POINTS)

    def waiting(since: Any, until: Any) -> Any:
        return np.searchsorted(since, times, "right") - np.searchsorted(until, times, "right")

    # What was seen before its ack, which came late, has never waited.
    lower, upper = (np.sort(np.maximum(ends, seen[:, 1])) for ends in (seen[:, 2], seen[:, 3]))
    # What is never seen has no time at which it drains.
    usual = waiting(own, upper)
    level = float(np.mean(usual[: _POINTS // 20])) if len(seen) else 0.0
    last = len(seen) - int(level) - 1
    drained = (0.0, 0.0)
    if last >= 0:
        first_s, last_s = (
            max(0.0, float(np.sort(ends)[last] - end_ns) / NS_PER_S) for ends in (seen[:, 2], seen[:, 3])
        )
        drained = (first_s, last_s)
    low, high = ([float(count) for count in waiting(acked, left)] for left in (lower, upper))
    return _Course([at / NS_PER_S for at in times.tolist()], low, high, len(followed) / len(rows), drained)


def _unanswered(ledger: LedgerReader, number: int, since_ns: int, end_ns: int) -> _Course:
    """The publishes that were on their way to the broker, or had no answer yet."""
    import numpy as np

    left = f"sent_ns IS NOT NULL AND state != {State.UNSENT.value}"
    query = f"SELECT sent_ns, acked_ns FROM events WHERE scenario = ? AND {left}"
    parts = [np.array(rows, dtype=np.float64) for rows in ledger.portions(query, _PORTION, (number,))]
    rows = np.concatenate(parts) if parts else np.zeros((0, 2))
    sent, acked = np.sort(rows[:, 0]), np.sort(rows[~np.isnan(rows[:, 1]), 1])
    times = np.linspace(since_ns, end_ns, _POINTS)
    counts = np.searchsorted(sent, times, "right") - np.searchsorted(acked, times, "right")
    waiting = [float(count) for count in counts]
    return _Course([at / NS_PER_S for at in times.tolist()], waiting, waiting)


def _queue(ledger: LedgerReader, name: str, since_ns: int, end_ns: int) -> _Course:
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
    return _Course(times, depths, depths, drained=_drained(samples, depths, end_ns))


def _drained(
    samples: Sequence[tuple[int, int, float]], depths: Sequence[float], end_ns: int
) -> tuple[float, float | None] | None:
    """How long after the load the queue was back at its level: that before it, or the usual one if that is higher."""
    if not depths:
        return None
    first = depths[: max(1, len(depths) // 20)]
    level = max(samples[0][2], sum(first) / len(first))
    low = 0.0
    for start_ns, stop_ns, depth in samples:
        if start_ns < end_ns:
            continue
        if depth <= level:
            return low, max(low, (stop_ns - end_ns) / NS_PER_S)
        low = (start_ns - end_ns) / NS_PER_S
    return low, None


def _span(low: str, high: str) -> str:
    return high if low == high else f"{low.removesuffix(' %')} … {high}"
