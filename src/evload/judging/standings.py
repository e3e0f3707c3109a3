"""How each objective stands while the run goes on: kept so far, not kept so far, not to be told yet, broken for good.

What is settled is judged as at the end. Acked events that aren't settled, and took or have waited for longer than the
limit, count against it already. A limit from below on what is still counted is open until it is reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from ..model.progress import Standing
from ..model.report import ObjectiveResult, Result
from ..model.summary import Summary
from ..objectives.objective import UPPER, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..tracking.outstanding import Moment
from .abort import broken_for_good
from .judge import judge

_STATES: Final = {Result.PASS: "holds", Result.WARN: "holds", Result.FAIL: "fails"}
_COUNTED: Final = (Measure.COUNT, Measure.RATE, Measure.THROUGHPUT, Measure.BYTE_RATE, Measure.RISE, Measure.INTEGRAL)
_FROM_ACK: Final = ("consistency", "end_to_end")
"""What takes as long at least as an event has waited since its ack."""


def prepare(objectives: Iterable[Objective]) -> None:
    """Load what `standing` needs, which takes longer than a run may stand still. Call it before the run."""
    if any(objective.measure in (Measure.PERCENTILE, Measure.SHARE) for objective in objectives):
        import scipy.special  # noqa: F401


def standing(
    objective: Objective, summary: Summary, offset_ns: int, scenarios: Mapping[str, ScenarioCriteria], acked: Moment
) -> Standing:
    """How it stands `offset_ns` after the schedule began; `acked` are the events that aren't settled."""
    why = broken_for_good(objective, summary, offset_ns, scenarios)
    in_steps = (*objective.steps, *objective.counter_steps)
    if in_steps or (objective.window is not None and objective.measure is not Measure.GAUGE) or objective.inner:
        # All the steps of a long run are too many to be looked at while the load waits.
        result = ObjectiveResult(
            objective.expression, Result.INCONCLUSIVE, (None, None), float(objective.shown_limit / objective.unit),
            objective.scenario, subject=objective.subject, scope=objective.about,
        )  # fmt: skip
        return Standing("broken", result, why) if why else Standing("open", result, "not broken so far")
    result = judge(objective, summary, scenarios)
    if why:
        return Standing("broken", result, why)
    state = _STATES.get(result.result, "open")
    if state == "fails" and objective.measure in _COUNTED and objective.operator not in UPPER:
        state = "open"
    return _with_waiting(objective, summary, acked, Standing(state, result, result.note))


def _with_waiting(objective: Objective, summary: Summary, acked: Moment, so_far: Standing) -> Standing:
    limit_ns = objective.latency_limit_ns
    names = list(summary.scenarios)
    if limit_ns is None or not objective.needs_probe or (objective.scenario or names[0]) not in names:
        return so_far
    scenario = None if objective.scenario is None else names.index(objective.scenario)
    shown = acked.shown(scenario)
    over = acked.waiting(limit_ns, scenario) + acked.shown_beyond(limit_ns, scenario)
    if shown and so_far.result.observed == (None, None):
        so_far = so_far._replace(note=f"{shown:,} events are seen, and looked after before they count")
    if not over or so_far.state == "fails":
        return so_far
    note = f"{over:,} unsettled events are beyond the limit already"
    share = _share(objective)
    if objective.slice or objective.subject not in _FROM_ACK or share is None:
        return so_far._replace(state="open", note=note)
    known = objective.distribution(summary)
    beyond = known.thresholds[limit_ns].beyond if limit_ns in known.thresholds else 0
    whole = known.count + shown + acked.waiting(limit_ns, scenario)
    return so_far._replace(state="fails", note=note) if beyond + over > (1 - share) * whole else so_far


def _share(objective: Objective) -> Fraction | None:
    """The share of the events that has to be within its limit; None if it isn't about one."""
    if objective.measure is Measure.MAX:
        return Fraction(1)
    return objective.limit if objective.measure is Measure.SHARE else objective.share
