"""Makes the report of a run: judges the objectives, runs the self-checks, decides the verdict.

The same for a run that has just ended and for one that is read back from its directory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ..summary import Report, Summary
from . import selfcheck, slo, verdict
from .terms import Terms


def report(
    summary: Summary, terms: Terms, *, run_id: str, name: str, started_at: datetime, directory: Path | None = None
) -> Report:
    """Everything that can be said of a run."""
    objectives = [slo.judge(objective, summary, terms.scenarios) for objective in terms.objectives]
    checks = selfcheck.run(summary, terms)
    return Report(
        run_id=run_id,
        name=name,
        started_at=started_at,
        verdict=verdict.decide(objectives, checks, evidence=_is_evidence(summary)),
        summary=summary,
        objectives=objectives,
        checks=checks,
        directory=directory,
    )


def _is_evidence(summary: Summary) -> bool:
    ledger = summary.total().ledger
    if summary.vitals.event_reads and not ledger["visible"] + ledger["lost"] + ledger["regressed"]:
        return False
    return ledger["acked"] > 0


def redacted(report: Report, redact: Callable[[str], str]) -> Report:
    """The report with secrets taken out of its texts. Figures stay: a limit is part of every result."""
    return replace(
        report,
        name=redact(report.name),
        objectives=[
            replace(
                objective,
                expression=redact(objective.expression),
                note=redact(objective.note),
                worst=tuple(
                    replace(event, timeline=tuple((at, redact(what)) for at, what in event.timeline))
                    for event in objective.worst
                ),
            )
            for objective in report.objectives
        ],
        checks=[replace(check, note=redact(check.note)) for check in report.checks],
        findings=[
            replace(
                finding,
                sentence=redact(finding.sentence),
                evidence={
                    name: redact(value) if isinstance(value, str) else value
                    for name, value in finding.evidence.items()
                },
            )
            for finding in report.findings
        ],
    )
