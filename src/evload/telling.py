"""Makes the whole report of a run from its summary and its ledger: the verdict, and all there is to know beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from .gate.findings import find
from .gate.reporting import redacted, report
from .gate.terms import Terms
from .measurement import replay
from .measurement.culprits import name_worst
from .measurement.ledger import LedgerReader
from .measurement.queues import add_lag
from .measurement.timeline import read_timeline
from .ports import EventSample
from .rundir import RunDirectory
from .summary import Report, Summary


def tell(
    summary: Summary,
    terms: Terms,
    *,
    run_id: str,
    name: str,
    started_at: datetime,
    directory: RunDirectory,
    readable: bool = True,
    redact: Callable[[str], str] = str,
) -> Report:
    """The report of a run that has just ended. What needs the ledger is left out if that isn't `readable`."""

    def judged() -> Report:
        return report(summary, terms, run_id=run_id, name=name, started_at=started_at, directory=directory.path)

    if not readable:
        return redacted(replace(judged(), config_text=_config(directory)), redact)
    with LedgerReader(directory.ledger) as reader:
        add_lag(summary, reader, terms.objectives)
        return redacted(_with_details(judged(), terms, reader, directory), redact)


def tell_again(directory: RunDirectory) -> Report:
    """The report of a run from its directory. Raises UsageError if the ledger can't be read."""
    rebuilt = replay.rebuild(directory.ledger)
    told = report(
        rebuilt.summary,
        rebuilt.terms,
        run_id=rebuilt.run_id,
        name=rebuilt.name,
        started_at=rebuilt.started_at,
        directory=directory.path,
    )
    with LedgerReader(directory.ledger) as reader:
        return _with_details(told, rebuilt.terms, reader, directory)


def sample(path: Path, count: int) -> EventSample:
    """At most `count` of the events in a ledger that were followed closely, spread evenly over the run."""
    with LedgerReader(path) as reader:
        return EventSample(
            began_at=datetime.fromisoformat(reader.meta["began_at"]),
            scenarios=[plan["name"] for plan in reader.meta["plan"]],
            events=reader.meta["events"],
            probes=reader.meta["probes"],
            observations=reader.spread(count),
        )


def _with_details(told: Report, terms: Terms, reader: LedgerReader, directory: RunDirectory) -> Report:
    timeline = read_timeline(reader, [plan["name"] for plan in reader.meta["plan"]])
    told = replace(
        told,
        objectives=name_worst(told.objectives, terms.objectives, reader),
        timeline=timeline,
        config_text=_config(directory),
    )
    return replace(told, findings=find(told, timeline))


def _config(directory: RunDirectory) -> str:
    try:
        return directory.config.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
