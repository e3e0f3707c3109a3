"""Rebuilds the summary of a run from its ledger file, by the very fold that the run itself used.

Works for a run that ended, for one that is still going on, and for one that was killed: events that were
outstanding then are known by number only, and count as in doubt.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..gate.terms import Terms
from ..gate.watching import Watches
from ..model import Observation
from ..ports import GaugeSettings
from ..summary import Summary, Vitals
from .foldplan import ScenarioPlan
from .ledger import LedgerReader
from .queues import add_lag
from .recorder import Recorder


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
    terms: Terms,
    *,
    plans: Sequence[ScenarioPlan],
    events: Sequence[str],
    probes: Sequence[str],
    gauges: Mapping[str, GaugeSettings],
    stages: Sequence[tuple[str, int, int, str]],
) -> Mapping[str, Any]:
    """What the ledger file has to carry so that `rebuild` needs nothing else. Names are in the order of the numbers
    by which the rows know them. `stages` are the phases of the load: scenario, start and end in nanoseconds since the
    schedule began, and what happens.
    """
    return {
        "run_id": run_id,
        "name": name,
        "started_at": started_at.isoformat(),
        "plan": [plan.as_data() for plan in plans],
        "events": list(events),
        "probes": list(probes),
        "terms": terms.as_data(),
        "stages": [list(stage) for stage in stages],
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
    plans = [ScenarioPlan.from_data(plan) for plan in written["plan"]]
    metrics = {name: gauge["metrics"] for name, gauge in written["gauges"].items()}
    terms = Terms.from_data(written["terms"], metrics)
    summary = _fold(reader, plans, Watches(terms.objectives, terms.scenarios, metrics))
    add_lag(summary, reader, terms.objectives)
    return Rebuilt(
        written["run_id"],
        written["name"],
        datetime.fromisoformat(written["started_at"]),
        terms,
        summary,
    )


def _fold(reader: LedgerReader, plans: Sequence[ScenarioPlan], watches: Watches) -> Summary:
    note = reader.last_note() or {"scheduled": [0] * len(plans), "vitals": {}, "final": False}
    vitals = Vitals.from_data(note["vitals"])
    vitals.crashed = not note["final"]
    recorder = Recorder(plans, 0, vitals, watches)
    # Event n of scenario i has seq n * scenarios + i: what was scheduled last is known from the rows as well.
    highest, rows = [-1] * len(plans), [0] * len(plans)
    settled: list[tuple[int, int, Observation]] = []
    streams = [reader.observations(scenario) for scenario in range(len(plans))]
    for seen in heapq.merge(*streams, key=lambda row: row.intended_ns):
        # Events come in the order of the schedule, and are settled in the order in which they were settled.
        while settled and settled[0][0] <= seen.intended_ns:
            recorder.settle([heapq.heappop(settled)[2]])
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key, seen.type)])
        heapq.heappush(settled, (seen.settled_ns, seen.seq, seen))
        highest[seen.scenario] = seen.seq // len(plans)
        rows[seen.scenario] += 1
    while settled:
        recorder.settle([heapq.heappop(settled)[2]])
    for gauge, start_ns, end_ns, values in reader.samples():
        recorder.sampled(gauge, start_ns, end_ns, values)
    for scenario, scheduled in enumerate(note["scheduled"]):
        missing = max(scheduled, highest[scenario] + 1) - rows[scenario]
        if missing:
            recorder.unrecorded(scenario, missing)
    return recorder.summary()
