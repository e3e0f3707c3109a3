"""Judges one trial by its report and its ledger: is the rate sustainable, is it not, or can't that be told?

A rate is good if every objective holds, no backlog grows by more than 1 % of the rate, and what is left when the load
ends drains within the longest limit that an objective has on the time until everybody sees an event. It is bad if
one of these is broken for sure. Where the load was not what was asked for, nothing is known of the system. Of
journeys it is the rate of iterations, and what is left is that after their last send.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from ..judging.unseen import unseen
from ..ledger.reader import LedgerReader
from ..model.ceiling import Backlog, Judged, Outcome
from ..model.facts import PERCENTILES
from ..model.iteration import JOURNEY
from ..model.report import Report, Result
from ..model.summary import Distribution, ScenarioSummary
from ..objectives.criteria import Criteria
from ..objectives.objective import Objective
from ..report import wording
from ..summary.fold_plan import ScenarioPlan
from ..units import NS_PER_S, format_duration, format_rate, format_share
from . import courses, journey_courses
from .courses import PUBLISHES, Course

MOST_GROWTH: Final = 0.01
"""Of the offered rate: a backlog that grows by more is that of a system which doesn't keep up."""
_RARE: Final = 0.1
"""Of a step to which fewer of the iterations come there are too few to tell whether 1 % of them stays. Not to know of
one iteration in a thousand is little enough; what is sure counts of each step alike."""
_LATE_SHARE: Final = 0.01
_LONG_STALL_NS: Final = 100_000_000
_HARMLESS: Final = 10
"""A stall that is so many times shorter than a limit didn't break it."""
_OF_THE_GENERATOR: Final = frozenset({"ledger closes", "lateness", "arrival shape", "headroom", "clocks"})
"""The self-checks whose failure is evload's."""
_TOLD_OTHERWISE: Final = frozenset({"load as scheduled", "steady state"})
"""Those whose subject is looked at here more closely."""


def judge_trial(report: Report, ledger: LedgerReader, scenario: str, rate: Fraction) -> Judged:
    """What a run at a rate of a scenario, in events per second, came to. It was not interrupted."""
    metrics = {name: gauge["metrics"] for name, gauge in ledger.meta["gauges"].items()}
    criteria = Criteria.from_data(ledger.meta["terms"], metrics)
    told = report.summary.scenarios[scenario]
    plans = [ScenarioPlan.from_data(plan) for plan in ledger.meta["plan"]]
    number = [plan.name for plan in plans].index(scenario)
    limits = [wait_ns for one in criteria.objectives if (wait_ns := one.longest_wait_ns) is not None]
    limit_s = max(limits) / NS_PER_S if limits else None
    usual = journey_courses.usual_ns(ledger, number, plans[number]) if plans[number].journeys else None
    looked_at = dict(
        courses.courses(ledger, number, plans[number], scenario)
        if usual is None
        else journey_courses.courses(ledger, number, plans[number], scenario, usual)
    )
    backlogs = {name: course.backlog(float(rate), draining=limit_s is not None) for name, course in looked_at.items()}
    windows = _windows(told)

    def judged(outcome: Outcome, reasons: Sequence[str] = ()) -> Judged:
        return Judged(outcome, tuple(reasons), backlogs, windows, usual)

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
    growing = _growing(backlogs, looked_at, rate)
    left = _not_drained(backlogs, limit_s, of_journeys=usual is not None)
    bad = [*failed, *_held(told), *_starved(told), *growing, *left]
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
    open_ones += [*_failed_checks(report, others), *_filling(plans[number], usual)]
    open_ones += _untold(backlogs, looked_at, limit_s)
    open_ones += [f"{one.action}: {one.error or one.undo_error}" for one in report.summary.markers if _failed(one)]
    return judged(Outcome.UNDECIDED if open_ones else Outcome.GOOD, open_ones)


def blind(report: Report, ledger: LedgerReader) -> str:
    """Why nobody saw a single event; empty if somebody did."""
    metrics = {name: gauge["metrics"] for name, gauge in ledger.meta["gauges"].items()}
    return unseen(report.summary, Criteria.from_data(ledger.meta["terms"], metrics).scenarios)


def _windows(told: ScenarioSummary) -> tuple[float | None, float | None] | None:
    """p95 of how long it takes until everybody sees an event, or until an iteration is over, in seconds."""
    journeys = told.journeys().values()
    whole = Distribution()
    for found in (one.distributions.get(JOURNEY if journeys else "consistency") for one in journeys or (told,)):
        if found is not None:
            whole.merge(found)
    if not whole.count:
        return None
    low, high = whole.bracket(PERCENTILES["p95"])
    return (None if low is None else low / NS_PER_S, None if high is None else high / NS_PER_S)


def _failed(marker: object) -> bool:
    return bool(getattr(marker, "error", "") or getattr(marker, "undo_error", ""))


# -- the generator ----------------------------------------------------------------------------------------------


def _own_faults(told: ScenarioSummary) -> Iterator[str]:
    if told.early_sends:
        yield f"{told.early_sends:,} {_sent(told)} were sent before they were due"
    for due, _, own in told.phases.values():
        if due and own / due > _LATE_SHARE:
            yield f"evload itself was late with {own:,} of {due:,} {_sent(told)} ({format_share(own / due)})"


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
                f"{late:,} of {due:,} {_sent(told)} ({format_share(late / due)}) were held back: the target, or the "
                "limit on connections or on what is in flight, took no more"
            )
    due = told.ledger["scheduled"]
    if due and told.late_for_order / due > _LATE_SHARE:
        yield (
            f"{told.late_for_order:,} of {due:,} events ({format_share(told.late_for_order / due)}) left late: "
            "their producer is ordered, and others of their key were before them"
        )


def _starved(told: ScenarioSummary) -> Iterator[str]:
    """Iterations that were due and never begun: the load as it was asked for was never there."""
    for name, one in told.journeys().items():
        due, never = one.ledger["scheduled"], one.ledger["starved"] + one.ledger["unsent"]
        if due and never / due > _LATE_SHARE:
            yield (
                f"{never:,} of {due:,} iterations of {name} ({format_share(never / due)}) were never begun: what "
                "they take from others wasn't there in time"
            )


def _sent(told: ScenarioSummary) -> str:
    return "steps" if told.journeys() else "events"


def _growing(backlogs: Mapping[str, Backlog], looked_at: Mapping[str, Course], rate: Fraction) -> Iterator[str]:
    for name, backlog in backlogs.items():
        if backlog.growth is not None and backlog.growth[0] > MOST_GROWTH:
            low, high = backlog.growth
            shares = _span(format_share(round(low, 4)), format_share(round(high, 4)))
            each = format_rate(float(f"{float(rate) * looked_at[name].each * (low + high) / 2:.3g}"))
            yield f"{name} grew by {shares} of {_its(looked_at[name])} rate (about {each})"


def _its(course: Course) -> str:
    """Whose rate it is of which something is a share: the load's, or that of a step."""
    return "the" if course.each == 1 else "its"


def _filling(plan: ScenarioPlan, usual: int | None) -> Iterator[str]:
    """Iterations that were due early met a system that wasn't under the whole load yet."""
    start_ns, judged_ns, _ = courses.load_of(plan)
    if usual is not None and start_ns + usual > courses.filled_ns(plan):
        yield (
            f"iterations take {format_duration(usual)}, and the warm-up had {format_duration(judged_ns - start_ns)}, "
            "so that it was too short a time under the whole load; the next trial warms up for as long as they take"
        )


def _not_drained(backlogs: Mapping[str, Backlog], limit_s: float | None, *, of_journeys: bool) -> Iterator[str]:
    end, load = ("the last send", "the last send") if of_journeys else ("its end", "the load")
    for name, backlog in backlogs.items():
        if limit_s is not None and backlog.drain is not None and backlog.drain[0] > limit_s:
            low, high = backlog.drain
            took = "not" if high is None else f"only {format_duration(high * NS_PER_S)} after {end}"
            within = f"within {format_duration(low * NS_PER_S)} after {load}" if high is None else ""
            limit = format_duration(limit_s * NS_PER_S)
            yield " ".join(f"{name}: back at their level {took} {within}".split()) + f", limit {limit}"


def _untold(backlogs: Mapping[str, Backlog], looked_at: Mapping[str, Course], limit_s: float | None) -> Iterator[str]:
    telling = {name: one for name, one in backlogs.items() if name != PUBLISHES and one.growth is not None}
    if not telling:
        yield "too little was seen of what waits to tell whether it grows"
    for name, backlog in backlogs.items():
        course = looked_at[name]
        most = max(MOST_GROWTH, MOST_GROWTH * _RARE / course.each) if course.each else 1.0
        if backlog.growth is not None and backlog.growth[1] > most:
            low, high = backlog.growth
            shares = _span(format_share(round(low, 4)), format_share(round(high, 4)))
            yield f"{name} grew by {shares} of {_its(course)} rate, and {format_share(round(most, 4))} is the limit"
        if limit_s is not None and backlog.drain is not None:
            low, last = backlog.drain
            if last is None or last > limit_s:
                until = "the end of the trial" if last is None else format_duration(last * NS_PER_S)
                since = format_duration(low * NS_PER_S)
                yield f"{name}: it can't be told when in {since} to {until} they were back at their level"


def _span(low: str, high: str) -> str:
    return high if low == high else f"{low.removesuffix(' %')} … {high}"
