"""Judges objectives over time: in every window of a length, for how long at a stretch, how soon they hold again.

Exact for what was counted: a window is broken for sure if more of its events are bad for sure than may be, and
possibly if those that can't be told would make it so.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, zip_longest
from typing import Final, NamedTuple

from ..model.report import Result
from ..model.summary import ScenarioSummary
from ..objectives.objective import Measure, Objective, Window
from ..stats.thresholds import StepCounts
from ..stats.windows import Allowance, Counts, Step, View, longest_stretch, sliding, steps_broken, survey
from ..units import NS_PER_S
from .count import count
from .events import question
from .limit_result import NEAR, NEAR_NOTE, LimitResult, compare, exact, no_data
from .moments import moment

_WHEN: Final = (
    "reads were too far apart to tell how many became visible in it; set a finer resolution, or a longer window"
)


class Bad(NamedTuple):
    """What may be bad of an objective's events, over time.

    unplaced  more that may belong to any step; None: nobody knows how many
    """

    counts: Counts
    allowance: Allowance
    unplaced: int | None = 0


def bad_over_time(objective: Objective, scope: ScenarioSummary, limit: Fraction, since: int = 0) -> Bad | None:
    """Of a share, a percentile or a rate with a window, from step `since` on; None without data."""
    window = _window(objective)
    if objective.measure is Measure.RATE:
        steps = scope.counter_steps.get((objective.subject, window.step_ns))
        if steps is None:
            return None
        known = count(scope, objective.subject)
        unplaced = None if known.high is None else known.high - known.low
        allowance = Allowance(limit, strict=objective.operator == "<", sparse=not window.stretch)
        events, beyond = steps.events[since:], steps.beyond[since:]
        if objective.subject == "errors" and (reads := scope.read_steps.get(window.step_ns)) is not None:
            # What fails of the reads of a race is no error of the load.
            events, beyond = _less(events, reads.events[since:]), _less(beyond, reads.beyond[since:])
        return Bad(Counts(events, beyond, beyond), allowance, unplaced)
    distribution = scope.distributions.get(objective.subject)
    threshold, p = question(objective, limit)
    steps = None if distribution is None else distribution.steps.get((threshold, window.step_ns))
    if steps is None:
        return None
    allowance = Allowance(1 - p, strict=objective.operator == ">", sparse=not window.stretch)
    events = steps.events[since:]
    not_within = array("q", (n - within for n, within in zip(events, steps.within[since:], strict=True)))
    return Bad(Counts(events, steps.beyond[since:], not_within), allowance)


def _less(counts: Sequence[int], others: Sequence[int]) -> array[int]:
    return array("q", (count - other for count, other in zip_longest(counts, others, fillvalue=0)))


def judge_window(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """An objective with `for` or `in any` at one of its limits."""
    window = _window(objective)
    if objective.measure is Measure.THROUGHPUT:
        return _judge_throughput(objective, scope, limit)
    bad = bad_over_time(objective, scope, limit)
    if bad is None:
        return no_data(objective.subject)
    known = count(scope, objective.subject) if objective.measure is Measure.RATE else None
    if window.stretch:
        if not any(bad.counts.events):
            return no_data(objective.subject)
        steps = steps_broken(bad.counts, bad.allowance, unplaced=bad.unplaced or 0)
        judged = _judge_stretch(longest_stretch(steps), window)
    else:
        judged = _judge_any(objective, bad, window)
    if known is None or judged.result is Result.FAIL:
        return judged
    if known.high is None or known.blind:
        why = known.doubt or f"{known.blind}, and no data is no pass"
        return LimitResult(Result.INCONCLUSIVE, (judged.observed[0], None), why)
    return judged


def _judge_any(objective: Objective, bad: Bad, window: Window) -> LimitResult:
    found = survey(bad.counts, window.steps, bad.allowance, unplaced=bad.unplaced or 0)
    if found is None:
        return no_data(objective.subject)
    worst, (low, high) = found.worst, found.share
    observed = (low, high) if objective.measure is Measure.RATE else (1 - high, 1 - low)
    where = f"worst from {moment(worst.first * window.step_ns)} to {moment(worst.end * window.step_ns)}"
    if found.broken:
        return LimitResult(Result.FAIL, observed, where)
    if found.doubtful:
        return LimitResult(
            Result.INCONCLUSIVE, observed, f"{where}, where not every event can be told to be good or bad"
        )
    if worst.maybe > 1 and high > NEAR * bad.allowance.bad:
        return LimitResult(Result.WARN, observed, f"{where}; {NEAR_NOTE}")
    return LimitResult(Result.PASS, observed, where if worst.maybe else "")


def _judge_stretch(longest: tuple[int, int], window: Window) -> LimitResult:
    sure, maybe = (Fraction(steps * window.step_ns) for steps in longest)
    if longest[0] >= window.steps:
        return LimitResult(Result.FAIL, (sure, maybe))
    if longest[1] >= window.steps:
        return LimitResult(Result.INCONCLUSIVE, (sure, maybe), "it may have been broken for longer than was seen")
    return LimitResult(Result.PASS, (sure, maybe))


def _judge_throughput(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """Where the schedule asks for as many. A window's edges may cost it one event.

    What became visible did so between two reads: a window has those for sure whose reads both lie in it, and perhaps
    those of which one does.
    """
    window = _window(objective)
    steps = scope.counter_steps.get((objective.subject, window.step_ns))
    if steps is None:
        return no_data("throughput")
    known = count(scope, objective.subject)
    unplaced = 0 if known.high is None else known.high - known.low
    length = 1 if window.stretch else window.steps
    needed = limit * length * window.step_ns / NS_PER_S - 1
    views = [view for view in _happened(steps, length) if view.events > needed]
    if not views:
        note = "the schedule never asks for as much, and no data is no pass"
        return LimitResult(Result.INCONCLUSIVE, note=note)
    if window.stretch:
        return _judge_stretch(longest_stretch(_slow_steps(_happened(steps, 1), needed, unplaced)), window)
    slow = [view for view in views if view.maybe + unplaced <= needed]
    worst = min(slow, key=lambda view: view.maybe) if slow else min(views, key=lambda view: view.sure)
    span = Fraction((worst.end - worst.first) * window.step_ns, NS_PER_S)
    observed = (worst.sure / span, (worst.maybe + unplaced) / span)
    note = f"worst from {moment(worst.first * window.step_ns)} to {moment(worst.end * window.step_ns)}"
    if slow:
        return LimitResult(Result.FAIL, observed, note)
    if worst.sure > needed:
        return LimitResult(Result.PASS, observed, note)
    doubt = known.doubt if worst.maybe <= needed else _WHEN
    return LimitResult(Result.INCONCLUSIVE, observed, f"{note}; {doubt}")


def _happened(steps: StepCounts, length: int) -> Iterator[View]:
    """All windows of `length` steps, with what happened in each for sure and perhaps.

    Begun by the end of a window and not over by its start is what may have happened in it. Over by its end and not
    begun by its start is what did, but where one takes longer than the window: such is taken off, and not there.
    """
    begun, over = ([0, *accumulate(counts)] for counts in (steps.within, steps.beyond))
    for view in sliding(Counts(steps.events, steps.beyond, steps.beyond), length):
        sure = max(0, over[view.end] - begun[view.first])
        yield view._replace(sure=sure, maybe=begun[view.end] - over[view.first])


def _slow_steps(views: Iterator[View], needed: Fraction, unplaced: int) -> Iterator[Step]:
    for view in views:
        if view.events <= needed:
            yield Step.EMPTY
        elif view.sure > needed:
            yield Step.HOLDS
        else:
            yield Step.BROKEN if view.maybe + unplaced <= needed else Step.DOUBTFUL


def judge_recovery(
    objective: Objective,
    scope: ScenarioSummary,
    limit: Fraction,
    anchor_ns: int | None,
    meanwhile: tuple[int, int] | None = None,
) -> LimitResult:
    """From its moment until the inner objective holds in every window that begins later.

    `meanwhile` is when that was on from which it recovers: without an event then, nobody knows what that did.
    """
    inner = objective.inner
    assert inner is not None
    if anchor_ns is None:
        return LimitResult(Result.INCONCLUSIVE, note=f"nobody knows when {objective.after} ended")
    bad = bad_over_time(inner, scope, inner.limit)
    if bad is not None and meanwhile is not None and not _any_due(bad, _window(inner), meanwhile):
        note = f"no event was due while {objective.after} was on, so nothing is known to recover from"
        return LimitResult(Result.INCONCLUSIVE, note=note)
    found = None if bad is None else recovery_ns(bad, _window(inner), anchor_ns)
    if found is None:
        return LimitResult(Result.INCONCLUSIVE, note="no event was due after that moment, and no data is no pass")
    low, high = found
    if high is None and low < limit:
        return LimitResult(Result.INCONCLUSIVE, found, "it did not hold again by the end")
    holds = compare(objective.operator, low, high, limit)
    return exact(holds, found, limit, "not every event can be told to be good or bad")


def _any_due(bad: Bad, window: Window, span: tuple[int, int]) -> bool:
    first, last = (at_ns // window.step_ns for at_ns in span)
    return any(bad.counts.events[first : last + 1])


def recovery_ns(
    bad: Bad, window: Window, anchor_ns: int, since: int = 0, outstanding: int = 0
) -> tuple[int, int | None] | None:
    """[end of the last window that is broken for sure, of the last that may be] since the anchor; None: no data.

    `since` is the step at which the counts begin, `outstanding` as for `survey`.
    """
    first = max(0, -(-anchor_ns // window.step_ns) - since)
    found = survey(bad.counts, window.steps, bad.allowance, first=first, outstanding=outstanding)
    if found is None:
        return None
    low, high = (
        0 if until is None else max(0, (until + since) * window.step_ns - anchor_ns)
        for until in (found.broken_until, found.doubtful_until)
    )
    return low, None if found.open_end else high


def _window(objective: Objective) -> Window:
    assert objective.window is not None
    return objective.window
