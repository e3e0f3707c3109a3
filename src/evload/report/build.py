"""Builds the whole report of a run: worked out, judged, put into sentences, and secrets taken out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ..judging import verdict
from ..judging.checks.run import run as run_checks
from ..judging.judge import judge
from ..judging.unseen import unseen
from ..ledger.reader import LedgerReader
from ..ledger.replay import rebuild, sound
from ..ledger.timeline import read_timeline
from ..ledger.work_out import work_out
from ..ledger.worst_events import worst_events
from ..model.report import Circumstances, ObjectiveResult, Report, Result
from ..model.summary import Summary
from ..objectives.criteria import Criteria
from ..objectives.objective import Objective
from .insights import connections, find, phases, warmups
from .redaction import Redact, redacted


@dataclass(frozen=True, slots=True)
class About:
    """What a report says of its run beside what the run amounts to. `config_text` is the config as run."""

    run_id: str
    name: str
    started_at: datetime
    directory: Path | None = None
    config_text: str = ""
    circumstances: Circumstances = field(default_factory=Circumstances)


def build(
    summary: Summary, criteria: Criteria, about: About, ledger: LedgerReader | None = None, *, redact: Redact = str
) -> Report:
    """The report of a run that amounts to `summary`. Without its ledger, what only that knows is left out."""
    timeline = None
    endings = summary.vitals.endings
    criteria = criteria.as_it_went(endings)
    if ledger is not None:
        work_out(summary, ledger, criteria)
        names = [plan["name"] for plan in ledger.meta["plan"]]
        timeline = read_timeline(ledger, names, markers=summary.markers, endings=endings)
    judged = [judge(objective, summary, criteria.scenarios) for objective in criteria.objectives]
    checks, judged = run_checks(summary, criteria, judged)
    objectives = [_with_worst(*pair, summary, ledger) for pair in zip(criteria.objectives, judged, strict=True)]
    report = Report(
        run_id=about.run_id,
        name=about.name,
        started_at=about.started_at,
        verdict=verdict.decide(
            objectives,
            checks,
            evidence=_is_evidence(summary),
            blind=bool(unseen(summary, criteria.scenarios)),
            undone=not any(marker.error or marker.undo_error for marker in summary.markers),
        ),
        summary=summary,
        objectives=objectives,
        checks=checks,
        directory=about.directory,
        insights=[
            *([] if timeline is None else find(summary, objectives, checks, timeline)),
            *phases(summary.vitals),
            *warmups(summary),
            *connections(summary.vitals),
        ],
        timeline=timeline,
        config_text=about.config_text,
        circumstances=about.circumstances,
    )
    return redacted(report, redact)


def build_again(ledger: LedgerReader, directory: Path, config_text: str = "") -> Report:
    """The report of a run from its ledger alone. Raises UsageError where that is damaged."""
    rebuilt = rebuild(ledger)
    about = About(rebuilt.run_id, rebuilt.name, rebuilt.started_at, directory, config_text, rebuilt.circumstances)
    with sound(ledger):
        return build(rebuilt.summary, rebuilt.criteria, about, ledger)


def _with_worst(
    objective: Objective, judged: ObjectiveResult, summary: Summary, ledger: LedgerReader | None
) -> ObjectiveResult:
    """The result of an objective, with the worst events of one that didn't pass."""
    if ledger is None or judged.result is Result.PASS:
        return judged
    return replace(judged, worst=tuple(worst_events(objective, ledger, objective.judged(summary))))


def _is_evidence(summary: Summary) -> bool:
    """An event was acked and, where somebody looked for effects, a look said something."""
    total = summary.total()
    ledger, told = total.ledger, total.known.get("appeared", 0)
    told += sum(ledger[state] for state in ("visible", "ended", "lost", "regressed"))
    if summary.vitals.event_reads and not told:
        return False
    return ledger["acked"] > 0
