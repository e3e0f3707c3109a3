"""What the live page is told: moments of the run, what stays the same, what somebody asked for, how it ended."""

from __future__ import annotations

from typing import Any, Final

import orjson

from ...formats.html.drawings import gauging
from ...model.progress import ActionNow, Progress
from ...model.report import ObjectiveResult, Report, Result
from ...report import actions, wording

_TEXT: Final = 300
"""Longest text of a trouble; what fails may have a whole document as its reason."""


_NAME: Final = 40


def event(name: str, data: bytes) -> bytes:
    """One server-sent event. `data` is JSON, which has no line breaks."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def plan(now: Progress) -> bytes:
    """What is the same from moment to moment, unless a phase ends early, as JSON."""
    return orjson.dumps({
        "total": now.total, "spans": now.spans, "warmups": now.warmups, "limits": now.limits, "recent": now.RECENT_S,
    })  # fmt: skip


def moment(now: Progress) -> bytes:
    """A moment without what is in `plan` or in earlier moments, as JSON. Times in seconds; None: never."""
    return orjson.dumps({
        "at": now.elapsed,
        "phase": now.phase,
        "offered": now.offered_rate,
        "achieved": now.achieved_rate,
        "scheduled": now.scheduled,
        "in_flight": now.in_flight,
        "outstanding": now.outstanding,
        "states": now.states,
        "visible": now.visible,
        "waiting": wording.waiting(now),
        "overdue": now.overdue,
        "objectives": [(one.state, wording.standing(one)[:_TEXT]) for one in now.objectives],
        "percentiles": now.percentiles,
        "recent": now.recent,
        "watched": now.watched,
        "late": now.lateness,
        "gauges": now.gauges,
        "worries": [text[:_TEXT] for text in now.worries],
        "incidents": [(text[:_TEXT], since, count) for text, since, count in now.incidents],
        "journeys": [f"{one.scenario}: {one}"[:_TEXT] for one in now.journeys]
        + [f"{one.scenario}: {one}"[:_TEXT] for one in now.races],
        "actions": [_action(one, now.elapsed) for one in now.actions],
    })  # fmt: skip


def _action(one: ActionNow, elapsed: float) -> dict[str, Any]:
    """For the list of what is on, and for its band in the charts."""
    failed = one.state in ("failed", "stuck")
    return {
        "name": one.name[:_NAME],
        "number": one.number,
        "since": one.since,
        "until": one.until,
        "kind": "bad" if failed else "warning",
        "text": "" if one.state == "over" else actions.now(one, elapsed)[:_TEXT],
    }


def ended(report: Report, *, report_is_served: bool) -> bytes:
    """How the run ended, as JSON."""
    return orjson.dumps({
        "verdict": report.verdict.value,
        "headline": wording.headline(report),
        "objectives": [_objective(one) for one in report.objectives],
        "checks": [
            f"{check.name}: {wording.check_figures(check)}"
            for check in report.checks
            if check.result not in (Result.PASS, Result.SKIPPED)
        ],
        "findings": [(one.severity.value, one.sentence) for one in report.insights],
        "directory": "" if report.directory is None else str(report.directory),
        "report": report_is_served,
    })  # fmt: skip


def _objective(objective: ObjectiveResult) -> dict[str, Any]:
    drawing = gauging(objective)
    return {
        "result": objective.result.value,
        "title": wording.title(objective),
        "observed": wording.observed(objective),
        "note": objective.note,
        "drawing": drawing and [*drawing.shaded, drawing.low, drawing.high, drawing.limit],
    }
