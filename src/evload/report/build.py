"""Builds the whole report of a run in one pass: worked out, judged, and put into sentences, secrets taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ..judging import verdict
from ..judging.checks.run import run as run_checks
from ..judging.judge import judge
from ..ledger.reader import LedgerReader
from ..ledger.replay import rebuild
from ..ledger.timeline import read_timeline
from ..ledger.work_out import work_out
from ..ledger.worst_events import worst_events
from ..model.report import CheckResult, Insight, ObjectiveResult, Report, Result, WorstEvent
from ..model.summary import Summary
from ..objectives.criteria import Criteria
from ..objectives.objective import Objective
from .insights import find

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class About:
    """What a report says of its run beside what the run amounts to. `config_text` is the config as run."""

    run_id: str
    name: str
    started_at: datetime
    directory: Path | None = None
    config_text: str = ""


def build(
    summary: Summary, criteria: Criteria, about: About, ledger: LedgerReader | None = None, *, redact: Redact = str
) -> Report:
    """The report of a run that amounts to `summary`. Without its ledger, what only that knows is left out."""
    timeline = None
    if ledger is not None:
        work_out(summary, ledger, criteria)
        timeline = read_timeline(ledger, [plan["name"] for plan in ledger.meta["plan"]])
    objectives = [_objective(objective, summary, criteria, ledger, redact) for objective in criteria.objectives]
    checks = [_check(check, redact) for check in run_checks(summary, criteria)]
    insights = [] if timeline is None else find(summary, objectives, checks, timeline)
    return Report(
        run_id=about.run_id,
        name=redact(about.name),
        started_at=about.started_at,
        verdict=verdict.decide(objectives, checks, evidence=_is_evidence(summary)),
        summary=summary,
        objectives=objectives,
        checks=checks,
        directory=about.directory,
        insights=[_insight(insight, redact) for insight in insights],
        timeline=timeline,
        config_text=about.config_text,
    )


def build_again(ledger: LedgerReader, directory: Path, config_text: str = "") -> Report:
    """The report of a run from its ledger alone. Raises UsageError where that is damaged."""
    rebuilt = rebuild(ledger)
    about = About(rebuilt.run_id, rebuilt.name, rebuilt.started_at, directory, config_text)
    return build(rebuilt.summary, rebuilt.criteria, about, ledger)


def _objective(
    objective: Objective, summary: Summary, criteria: Criteria, ledger: LedgerReader | None, redact: Redact
) -> ObjectiveResult:
    """One objective, judged, with the worst events of one that didn't pass."""
    judged = judge(objective, summary, criteria.scenarios)
    wanted = ledger is not None and judged.result is not Result.PASS
    worst = tuple(_worst(event, redact) for event in worst_events(objective, ledger)) if wanted and ledger else ()
    return replace(judged, expression=redact(judged.expression), note=redact(judged.note), worst=worst)


def _worst(event: WorstEvent, redact: Redact) -> WorstEvent:
    return replace(event, log=tuple((at, redact(what)) for at, what in event.log))


def _check(check: CheckResult, redact: Redact) -> CheckResult:
    return replace(check, note=redact(check.note))


def _insight(insight: Insight, redact: Redact) -> Insight:
    evidence = {name: redact(said) if isinstance(said, str) else said for name, said in insight.evidence.items()}
    return replace(insight, sentence=redact(insight.sentence), evidence=evidence)


def _is_evidence(summary: Summary) -> bool:
    ledger = summary.total().ledger
    if summary.vitals.event_reads and not ledger["visible"] + ledger["lost"] + ledger["regressed"]:
        return False
    return ledger["acked"] > 0
