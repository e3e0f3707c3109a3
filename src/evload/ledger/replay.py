"""Rebuilds the summary of a run from its ledger file, into the very folds that the run itself filled.

Works for a run that ended, for one that is still going on, and for one that was killed: events that were
outstanding then are known by number only, and count as in doubt; iterations and rounds under way of which a request
is settled count as cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..model.report import Circumstances
from ..model.summary import Summary
from ..model.vitals import Vitals
from ..objectives.criteria import Criteria
from ..summary.fold_plan import ScenarioPlan
from .reader import LedgerReader
from .soundness import check


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A run, read back."""

    run_id: str
    name: str
    started_at: datetime
    criteria: Criteria
    summary: Summary
    circumstances: Circumstances


def meta(
    run_id: str,
    name: str,
    criteria: Criteria,
    *,
    plans: Sequence[ScenarioPlan],
    events: Sequence[str],
    probes: Sequence[str],
    gauges: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    segment: tuple[int, int],
    stages: Sequence[tuple[str, int, int, str]],
    journeys: Sequence[str] = (),
    circumstances: Circumstances | None = None,
) -> Mapping[str, Any]:
    """What the ledger file has to carry so that `rebuild` needs nothing else. Names are in the order of the numbers
    by which the rows know them. `stages` are the phases of the load: scenario, start and end in nanoseconds since the
    schedule began, and what happens. Of each gauge its metrics and the scenarios whose events pass through it;
    `segment` is the part of the schedule that the run has, and of how many.
    """
    return {
        "run_id": run_id,
        "name": name,
        "plan": [plan.as_data() for plan in plans],
        "events": list(events),
        "probes": list(probes),
        "journeys": list(journeys),
        "terms": criteria.as_data(),
        "stages": [list(stage) for stage in stages],
        "gauges": {
            name: {"metrics": list(metrics), "scenarios": list(scenarios)}
            for name, (metrics, scenarios) in gauges.items()
        },
        "segment": list(segment),
        "circumstances": (circumstances or Circumstances()).as_data(),
    }


def rebuild(reader: LedgerReader) -> Rebuilt:
    """Read back the run in a ledger file. Raises UsageError if it can't be."""
    with sound(reader):
        return _rebuild(reader)


@contextmanager
def sound(reader: LedgerReader) -> Iterator[None]:
    """Inside the block something is made of a file that somebody has handed us. Raises UsageError where it holds
    something else than a run writes, and that wasn't noticed before."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise reader.damaged(f"no {error}" if isinstance(error, KeyError) else error) from error


def _rebuild(reader: LedgerReader) -> Rebuilt:
    written = reader.meta
    check(reader)
    plans = [_plan(plan, written["stages"]) for plan in written["plan"]]
    metrics = {name: gauge["metrics"] for name, gauge in written["gauges"].items()}
    criteria = Criteria.from_data(written["terms"], metrics)
    summary = _fold(reader, plans)
    return Rebuilt(
        written["run_id"],
        written["name"],
        datetime.fromisoformat(written["started_at"]),
        criteria,
        summary,
        Circumstances.from_data(written.get("circumstances", {})),
    )


def _plan(data: Mapping[str, Any], stages: Sequence[Sequence[Any]]) -> ScenarioPlan:
    """The plan of a scenario. Before format 3 its phases stood in the stages alone."""
    plan = ScenarioPlan.from_data(data)
    if plan.phases:
        return plan
    return replace(plan, phases=tuple((start, end) for name, start, end, _ in stages if name == plan.name))


def _fold(reader: LedgerReader, plans: Sequence[ScenarioPlan]) -> Summary:
    # They import numpy.
    from ..summary.column_recorder import ColumnRecorder
    from .columns import placed, portions

    note = reader.last_note() or {"scheduled": [0] * len(plans), "vitals": {}, "final": False}
    vitals = Vitals.from_data(note["vitals"])
    vitals.crashed = not note["final"]
    told = _scheduled(reader, note, plans)
    recorder = ColumnRecorder(plans, 0, vitals)
    recorder.ended(vitals.endings)
    for marker in reader.markers():
        recorder.marked(marker)
    keys = any(part.key is not None for plan in plans for part in plan.slices)
    for scenario, events, parts in portions(reader, keys=keys):
        recorder.add(scenario, events, parts)
    recorder.sort()
    for scenario in range(len(plans)):
        recorder.place(scenario, placed(reader, scenario))
    for iteration in reader.iterations():
        recorder.iterated([iteration])
    if vitals.crashed:
        for iteration in reader.under_way():
            recorder.iterated([iteration])
    for one in reader.rounds():
        recorder.rounded([one])
    if vitals.crashed:
        for one in reader.rounds_under_way():
            recorder.rounded([one])
    for gauge, start_ns, end_ns, values in reader.samples():
        recorder.sampled(gauge, start_ns, end_ns, values)
    for probe, times in reader.read_times():
        recorder.read_times(probe, times)
    for scenario, (rows, warm_rows) in enumerate(recorder.scheduled()):
        scheduled, warmup = told[scenario]
        missing = max(0, scheduled - rows)
        if missing:
            recorder.unrecorded(scenario, missing, min(missing, max(0, warmup - warm_rows)))
    return recorder.summary()


def _scheduled(reader: LedgerReader, note: Mapping[str, Any], plans: Sequence[ScenarioPlan]) -> list[tuple[int, int]]:
    """How many events of each scenario were scheduled for sure, and how many of them in its warm-up: by the last
    note, with the last rows or by the numbers in the rows, whichever was later."""
    none = [0] * len(plans)
    written = reader.scheduled()
    # Event n of scenario i has seq n * scenarios + i: where a run has the whole schedule, what was scheduled last is
    # known from the rows as well. A part of it has only some of the numbers.
    whole = reader.meta.get("segment", (0, 1))[1] == 1
    told = []
    for number, plan in enumerate(plans):
        known = [(note["scheduled"][number], note.get("warmup", none)[number]), written.get(number, (0, 0))]
        if whole:
            last, last_warm = reader.last_seq(number), -1
            if plan.warmup is not None:
                last_warm = reader.last_seq(number, plan.warmup[1])
            known.append((last // len(plans) + 1, last_warm // len(plans) + 1))
        told.append((max(events for events, _ in known), max(warmup for _, warmup in known)))
    return told
