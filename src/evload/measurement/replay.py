"""Rebuilds the summary of a run from its ledger file, by the very fold that the run itself used.

Works for a run that ended, for one that is still going on, and for one that was killed: events that were
outstanding then are known by number only, and count as in doubt.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..gate import slo
from ..gate.reporting import Terms
from ..gate.selfcheck import SelfCheckPolicy
from ..model import Observation
from ..ports import GaugeSettings
from ..summary import Summary, Vitals
from .ledger import LedgerReader
from .queues import add_lag
from .recorder import Recorder, ScenarioPlan


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A run, read back."""

    run_id: str
    name: str
    started_at: datetime
    terms: Terms
    summary: Summary


def meta(
    run_id: str,
    name: str,
    started_at: datetime,
    plans: Sequence[ScenarioPlan],
    terms: Terms,
    gauges: Mapping[str, GaugeSettings],
) -> Mapping[str, Any]:
    """What the ledger file has to carry so that `rebuild` needs nothing else."""
    return {
        "run_id": run_id,
        "name": name,
        "started_at": started_at.isoformat(),
        "plan": [
            {
                "name": plan.name,
                "watched": plan.watched,
                "deadline_ns": plan.deadline_ns,
                "thresholds": [list(about) for about in plan.thresholds],
            }
            for plan in plans
        ],
        "objectives": [
            {
                "objective": o.expression,
                "critical": None if o.critical is None else str(o.critical),
                "scenario": o.scenario,
            }
            for o in terms.objectives
        ],
        "self_checks": terms.policy.model_dump(),
        "deadlines_ns": dict(terms.deadlines_ns),
        "gauges": {
            name: {"metrics": list(gauge.metrics), "scenarios": list(gauge.scenarios)}
            for name, gauge in gauges.items()
        },
    }


def rebuild(path: Path) -> Rebuilt:
    """Read back the run in a ledger file. Raises UsageError if it can't be."""
    with LedgerReader(path) as reader:
        try:
            return _rebuild(reader)
        except (KeyError, TypeError, ValueError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise UsageError(f"{path} is damaged: {what}; use an undamaged copy") from error


def _rebuild(reader: LedgerReader) -> Rebuilt:
    written = reader.meta
    plans = [
        ScenarioPlan(p["name"], p["watched"], p["deadline_ns"], tuple((m, x) for m, x in p["thresholds"]))
        for p in written["plan"]
    ]
    metrics = {name: gauge["metrics"] for name, gauge in written["gauges"].items()}
    terms = Terms(
        [
            replace(
                slo.parse(o["objective"], scenario=o["scenario"], gauges=metrics),
                critical=None if o["critical"] is None else Fraction(o["critical"]),
            )
            for o in written["objectives"]
        ],
        SelfCheckPolicy.model_validate(written["self_checks"]),
        written["deadlines_ns"],
    )
    summary = _fold(reader, plans)
    add_lag(summary, reader, terms.objectives)
    return Rebuilt(
        written["run_id"],
        written["name"],
        datetime.fromisoformat(written["started_at"]),
        terms,
        summary,
    )


def _fold(reader: LedgerReader, plans: Sequence[ScenarioPlan]) -> Summary:
    note = reader.last_note() or {"scheduled": [0] * len(plans), "vitals": {}, "final": False}
    vitals = Vitals(**note["vitals"])
    vitals.crashed = not note["final"]
    recorder = Recorder(plans, 0, vitals)
    # Event n of scenario i has seq n * scenarios + i: what was scheduled last is known from the rows as well.
    highest, rows = [-1] * len(plans), [0] * len(plans)
    settled: list[tuple[int, int, Observation]] = []
    streams = [reader.observations(scenario) for scenario in range(len(plans))]
    for seen in heapq.merge(*streams, key=lambda row: row.intended_ns):
        # Events come in the order of the schedule, and are settled in the order in which they were settled.
        while settled and settled[0][0] <= seen.intended_ns:
            recorder.settle([heapq.heappop(settled)[2]])
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key)])
        heapq.heappush(settled, (seen.settled_ns, seen.seq, seen))
        highest[seen.scenario] = seen.seq // len(plans)
        rows[seen.scenario] += 1
    while settled:
        recorder.settle([heapq.heappop(settled)[2]])
    for gauge, _, _, values in reader.samples():
        recorder.sampled(gauge, values)
    for scenario, scheduled in enumerate(note["scheduled"]):
        missing = max(scheduled, highest[scenario] + 1) - rows[scenario]
        if missing:
            recorder.unrecorded(scenario, missing)
    return recorder.summary()
