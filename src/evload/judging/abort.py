"""Finds an objective that can't be kept any more while the run still goes on, so that it may end the run.

What is claimed here has to stay true however often it is asked. Counts and extremes only ever grow, so a violation
that was witnessed stays one. Windows are broken for sure only if they were even if everything outstanding belonged to
them and was good. A share of events is judged by a confidence sequence (see `stats.sequence`), for which all
outstanding events count as good; or it is out of reach: even if all events that are still to come were good, the
verdict would be a failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest
from typing import Final, NamedTuple

from ..model.facts import INTERVAL_NS, STALENESS, ByValue
from ..model.report import Result
from ..model.summary import Distribution, Summary
from ..objectives.objective import Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..stats.binomial import clopper_pearson_lower
from ..stats.dependence import FEWEST_BATCHES, effective_size
from ..stats.sequence import lower_bound, rejects
from ..stats.windows import Counts, longest_stretch, steps_broken, survey
from ..units import NS_PER_S, format_duration, format_share
from .count import count, counted
from .events import question
from .gauge_watches import at_lower_end
from .gauges import judge_drain, judge_gauge, judge_reach, judge_watched
from .moments import anchor_of, moment
from .rounds import counted as counted_rounds
from .windows import Bad, bad_over_time, recovery_ns

_LOOKBACK: Final = 2000
"""Steps that are looked at again each time: what lies further back was, while it was recent."""
_SETTLED: Final = ("unsent", "acked", "rejected", "returned", "in_doubt")


class _State(NamedTuple):
    """The run as far as it went."""

    summary: Summary
    offset_ns: int
    scenarios: Mapping[str, ScenarioCriteria]

    def outstanding(self, objective: Objective) -> int:
        """Events that are scheduled and not settled, in all scenarios that an objective is about."""
        return sum(
            one.ledger["scheduled"] - sum(one.ledger[state] for state in _SETTLED)
            for name, one in self.summary.scenarios.items()
            if objective.scenario in (None, name)
        )

    def goes_on(self, scenario: str | None) -> bool:
        """Whether events of a scenario are without an answer, so that nobody knows yet when it ends."""
        one = self.summary.scenarios.get(scenario or "")
        return one is not None and one.ledger["scheduled"] > sum(one.ledger[state] for state in _SETTLED)

    def tries(self, objective: Objective) -> bool:
        """Whether it counts how often events were sent that journeys may send again."""
        by_value = ByValue.named(objective.subject)
        if by_value is None or not by_value.of_tries:
            return False
        return any(
            one.journeys() for name, one in self.summary.scenarios.items() if objective.scenario in (None, name)
        )

    def terms(self, objective: Objective) -> list[ScenarioCriteria]:
        """The terms of those scenarios."""
        return [terms for name, terms in self.scenarios.items() if objective.scenario in (None, name)]

    def events(self, objective: Objective) -> int | None:
        """The most events that they can have; None if that isn't known."""
        known = [terms.events for terms in self.terms(objective)]
        return sum(n for n in known if n is not None) if known and None not in known else None


def prepare(objectives: Sequence[Objective]) -> None:
    """Load what `reason_to_abort` needs, which takes longer than a run may stand still. Call it before the run."""
    if any(objective.abort_after_ns is not None for objective in objectives):
        import scipy.special  # noqa: F401


def reason_to_abort(
    objectives: Sequence[Objective],
    summary: Summary,
    offset_ns: int,
    scenarios: Mapping[str, ScenarioCriteria] = {},
) -> tuple[Objective, str] | None:
    """The first objective that is worth ending the run `offset_ns` after the schedule began, and why; None: go on.

    Only those that ask for it are looked at, after their delay. Of an objective with two limits the looser counts.
    `Summary.watches` has to be up to date. Without `scenarios` less can be said.
    """
    state = _State(summary, offset_ns, scenarios)
    for objective in objectives:
        if objective.abort_after_ns is not None and offset_ns >= objective.abort_after_ns:
            note = _violation(objective, state, objective.limits[-1])
            if note:
                return objective, f"ended after {moment(offset_ns)}: {note}"
    return None


def broken_for_good(
    objective: Objective, summary: Summary, offset_ns: int, scenarios: Mapping[str, ScenarioCriteria]
) -> str:
    """Why an objective can't be kept any more, whether or not it may end the run; empty: it still can."""
    return _violation(objective, _State(summary, offset_ns, scenarios), objective.limits[-1])


def _violation(objective: Objective, state: _State, limit: Fraction) -> str:
    """Why the objective is broken for good; empty if it isn't. Of a value that is a bracket both ends have to be."""
    if objective.bracketed and not _violated(at_lower_end(objective), state, limit):
        return ""
    return _violated(objective, state, limit)


def _violated(objective: Objective, state: _State, limit: Fraction) -> str:
    if objective.of_iterations and (objective.measure not in (Measure.COUNT, Measure.MAX) or objective.window):
        return ""  # Iterations count when they are over, and how many are under way isn't known here.
    if objective.of_rounds and objective.measure not in (Measure.COUNT, Measure.MAX):
        return ""  # So do rounds.
    about = objective.inner or objective
    if about.measure is Measure.RATE and state.tries(about):
        return ""  # A share of tries; nobody knows how often what is under way is sent.
    match objective.measure:
        case Measure.GAUGE | Measure.DRAIN:
            return _gauge(objective, state, limit)
        case Measure.REACH | Measure.RISE | Measure.INTEGRAL | Measure.STRETCH if objective.is_gauged:
            return _watched(objective, state, limit)
        case Measure.SPAN:
            return _span(objective, state, limit)
        case Measure.RECOVERY:
            return _recovery(objective, state, limit)
        case Measure.COUNT:
            return _count(objective, state, limit)
        case Measure.MAX:
            beyond = sum(one.thresholds[int(limit)].beyond for one in _measured(objective, state))
            what = "iteration" if objective.of_iterations else "round" if objective.of_rounds else "event"
            what += "s" if beyond != 1 else ""
            return f"{beyond} {what} took longer than {format_duration(float(limit))}" if beyond else ""
        case Measure.STALENESS:
            return _staleness(objective, state, limit)
        case Measure.RATE | Measure.SHARE | Measure.PERCENTILE if objective.window is not None:
            return _window(objective, state, limit)
        case Measure.RATE:
            return _rate(objective, state, limit)
        case Measure.SHARE | Measure.PERCENTILE:
            return _share(objective, state, limit)
    return ""


def _measured(objective: Objective, state: _State) -> list[Distribution]:
    metric = objective.subject
    return [one.distributions[metric] for one in objective.pieces(state.summary) if metric in one.distributions]


def _is_over(operator: str, value: Fraction | int, limit: Fraction) -> bool:
    """Whether a value that can only grow has broken an upper limit for good."""
    return value > limit if operator in ("<=", "==") else operator == "<" and value >= limit


def _count(objective: Objective, state: _State, limit: Fraction) -> str:
    count_of = counted_rounds if objective.of_rounds else counted
    seen = sum(count_of(one, objective).low for one in objective.pieces(state.summary))
    return f"{objective.subject} is {seen}" if _is_over(objective.operator, seen, limit) else ""


def _rate(objective: Objective, state: _State, limit: Fraction) -> str:
    """A share of all that will have been scheduled, which is known beforehand unless arrivals are random."""
    total = state.events(objective)
    seen = sum(count(one, objective.subject).low for one in objective.pieces(state.summary))
    if not total or not _is_over(objective.operator, Fraction(seen, total), limit):
        return ""
    return f"{objective.subject} is {seen}, too many for all {total:,} events of the schedule"


def _staleness(objective: Objective, state: _State, limit: Fraction) -> str:
    told = [one.ranges[STALENESS].maximum for one in objective.pieces(state.summary) if STALENESS in one.ranges]
    most = Fraction(max(told, default=0.0))
    if objective.function != "max" or not _is_over(objective.operator, most, limit):
        return ""
    return f"an answer was {float(most):g} versions behind"


def _gauge(objective: Objective, state: _State, limit: Fraction) -> str:
    """A sample beyond its limit stays one; the mean of the run may still turn, and so may the last value."""
    grows = (objective.function, objective.operator) in {("max", "<"), ("max", "<="), ("min", ">"), ("min", ">=")}
    if objective.measure is Measure.DRAIN and state.goes_on(objective.after_named):
        return ""
    if objective.measure is Measure.DRAIN:
        judged = judge_drain(objective, state.summary, limit)
    elif grows or objective.window is not None:
        judged = judge_gauge(objective, state.summary, limit)
    else:
        return ""
    # A value is known exactly; how long it was beyond its limit, or is away from its level, at least so well.
    worst = judged.observed[0]
    if judged.result is not Result.FAIL or worst is None:
        return ""
    if objective.unit == NS_PER_S:
        how_long = moment(int(worst))
        return (
            f"{objective.subject} is not back after {how_long}"
            if objective.after_named or objective.after
            else (f"{objective.subject} was beyond its limit for {how_long}")
        )
    return f"{objective.subject} came to {float(worst):g}"


def _watched(objective: Objective, state: _State, limit: Fraction) -> str:
    """What a counter rose stays, and so does what a gauge added up to unless it can fall below 0; a time that is over
    stays over. What a trend or a ratio comes to may still turn."""
    if state.goes_on(objective.after_named):
        return ""
    if objective.measure is Measure.REACH:
        judged = judge_reach(objective, state.summary, state.scenarios, limit)
    elif objective.measure is Measure.INTEGRAL and any(
        gauge.series[objective.subject].minimum < 0
        for gauge in state.summary.gauges.values()
        if objective.subject in gauge.series
    ):
        return ""
    else:
        judged = judge_watched(objective, state.summary, limit)
    low = judged.observed[0]
    if judged.result is not Result.FAIL or low is None or not _is_over(objective.operator, Fraction(low), limit):
        return ""
    match objective.measure:
        case Measure.REACH if judged.observed[1] is None:
            return f"{objective.subject} is not there after {moment(int(low))}"
        case Measure.REACH:
            return f"{objective.subject} took {moment(int(low))} to get there"
        case Measure.STRETCH:
            return (
                f"{objective.subject} was {objective.compared} {float(objective.level or 0):g} for {moment(int(low))}"
            )
        case Measure.RISE:
            return f"{objective.subject} rose by {float(low):g}"
    return f"{objective.subject} added up to {float(low):g}"


def _span(objective: Objective, state: _State, limit: Fraction) -> str:
    scope = objective.scope(state.summary)
    if scope.first_intended_ns is None or scope.last_acked_ns is None:
        return ""
    took = scope.last_acked_ns - scope.first_intended_ns
    return f"the last answer came after {moment(took)}" if _is_over(objective.operator, took, limit) else ""


def _window(objective: Objective, state: _State, limit: Fraction) -> str:
    window = objective.window
    assert window is not None
    since = max(0, state.offset_ns // window.step_ns - _LOOKBACK)
    bad = _recent(objective, state, limit, since)
    if bad is None:
        return ""
    outstanding = state.outstanding(objective)
    if window.stretch:
        longest, _ = longest_stretch(steps_broken(bad.counts, bad.allowance, outstanding=outstanding))
        return f"broken for {moment(longest * window.step_ns)} at a stretch" if longest >= window.steps else ""
    found = survey(bad.counts, window.steps, bad.allowance, outstanding=outstanding)
    if found is None or not found.broken:
        return ""
    first, end = ((since + step) * window.step_ns for step in (found.worst.first, found.worst.end))
    return f"broken from {moment(first)} to {moment(end)}"


def _recovery(objective: Objective, state: _State, limit: Fraction) -> str:
    inner, anchor_ns = objective.inner, anchor_of(objective, state.summary, state.scenarios)
    assert inner is not None
    assert inner.window is not None
    if anchor_ns is None or state.goes_on(objective.after_named):
        return ""
    since = max(0, state.offset_ns // inner.window.step_ns - _LOOKBACK)
    bad = _recent(inner, state, inner.limit, since)
    found = None if bad is None else recovery_ns(bad, inner.window, anchor_ns, since, state.outstanding(inner))
    if found is None or not _is_over(objective.operator, found[0], limit):
        return ""
    return f"not recovered {moment(found[0])} after {moment(anchor_ns)}"


def _recent(objective: Objective, state: _State, limit: Fraction, since: int) -> Bad | None:
    """What may be bad from step `since` on, added up over the scenarios."""
    found = [
        bad
        for piece in objective.pieces(state.summary)
        if (bad := bad_over_time(objective, piece, limit, since)) is not None
    ]
    if len(found) < 2:
        return found[0] if found else None
    events, sure, maybe = (
        [sum(at_step) for at_step in zip_longest(*columns, fillvalue=0)]
        for columns in zip(*(bad.counts for bad in found), strict=True)
    )
    return Bad(Counts(events, sure, maybe), found[0].allowance)


def _share(objective: Objective, state: _State, limit: Fraction) -> str:
    threshold, p = question(objective, limit)
    allowed = float(1 - p)
    measured = _measured(objective, state)
    n = sum(one.count for one in measured) + state.outstanding(objective)
    bad = sum(one.thresholds[threshold].beyond for one in measured)
    if bad <= allowed * n:
        return ""
    worth = _worth(measured, threshold, state, state.terms(objective))
    seen = f"{bad} of {n} events are beyond {format_duration(threshold)}"
    total = state.events(objective)
    if total is not None and clopper_pearson_lower(bad * worth, max(bad, total) * worth) > allowed:
        return f"{seen}, too many for all {total:,} events of the schedule"
    if not rejects(bad * worth, n * worth, allowed):
        return ""
    least = format_share(lower_bound(bad * worth, n * worth))
    return f"{seen}: at least {least} exceed it for sure; {format_share(allowed)} allowed"


def _worth(
    measured: Sequence[Distribution], threshold: int, state: _State, terms: Sequence[ScenarioCriteria]
) -> float:
    """How many independent events one event is worth, by the spread between windows.

    While there are too few windows to tell, each of them counts as one event. Where the schedule is too short ever to
    tell, events count as independent, as they do in the verdict.
    """
    batches: dict[int, list[int]] = {}
    for one in measured:
        for window, (events, _, beyond) in one.thresholds[threshold].intervals.items():
            batch = batches.setdefault(window, [0, 0])
            batch[0] += events
            batch[1] += beyond
    size = effective_size((batches[window][0], batches[window][1]) for window in sorted(batches))
    if size is None:
        planned_ns = max((one.end_ns for one in terms), default=0) - min((one.judged_ns for one in terms), default=0)
        if planned_ns < FEWEST_BATCHES * INTERVAL_NS:
            return 1.0
        size = min(len(batches), state.offset_ns // INTERVAL_NS)
    return size / max(1, sum(events for events, _ in batches.values()))
