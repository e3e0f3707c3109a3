"""From when an objective counts, and how a moment of a run is said."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.marker import ended_ns, of_action
from ..model.summary import Summary
from ..objectives.objective import Objective
from ..objectives.scenario import ScenarioCriteria
from ..units import NS_PER_S


def anchor_of(objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> int | None:
    """From when `drain` and `recovery` count, in nanoseconds since the schedule began; None: nobody knows.

    After a scenario that is its outer end: the last ack of its load, if that came after its last event was due. After
    an action it is the outer end of its undo.
    """
    due_ns = objective.anchor_ns(scenarios)
    named = objective.after_named or ""
    if due_ns is None and named not in scenarios:
        return ended_ns(summary.markers, named)
    scenario = summary.scenarios.get(named)
    if due_ns is None or scenario is None or scenario.last_acked_ns is None:
        return due_ns
    return max(due_ns, scenario.last_acked_ns)


def meanwhile(objective: Objective, summary: Summary) -> tuple[int, int] | None:
    """From when to when the action was on, perhaps, after which an objective counts; None: it counts after no action,
    or nobody knows."""
    markers = of_action(summary.markers, objective.after_named or "")
    if not markers:
        return None
    until_ns = markers[-1].outer[1]
    return None if until_ns is None else (markers[0].outer[0], until_ns)


def why_untold(objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria]) -> str:
    """Why nothing can be said of an objective about an action; empty if it is about none, or all is known of it."""
    for action in objective.actions:
        if action in summary.scenarios or action in scenarios:
            continue
        markers = of_action(summary.markers, action)
        if not markers:
            return f"{action} never began"
        for marker in markers:
            if marker.error:
                return f"{action} could not be done: {marker.error}"
        if action != objective.during and markers[-1].outer[1] is None:
            return f"{action} was not over when the run ended"
    return ""


def moment(ns: int) -> str:
    """A time since the schedule began, as a person would say it: `1m20s`, `3.4s`."""
    minutes, rest = divmod(round(ns / NS_PER_S, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if hours or minutes else "", f"{round(rest, 1):g}s"]
    return "".join(parts)
