"""Rebuilds the summary of a run from its ledger file, by the very fold that the run itself used.

Works for a run that ended, for one that is still going on, and for one that was killed: events that were
outstanding then are known by number only, and count as in doubt; iterations under way of which a request is settled
count as cut off.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ..model.report import Circumstances
from ..model.summary import Summary
from ..model.travel import Observation
from ..model.vitals import Vitals
from ..objectives.criteria import Criteria
from ..summary.fold_plan import ScenarioPlan
from ..summary.recorder import Recorder
from .reader import LedgerReader
from .soundness import check

_HELD: Final = 256
"""Most events that are held to be counted together, each once as scheduled and once as settled."""


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
    note = reader.last_note() or {"scheduled": [0] * len(plans), "vitals": {}, "final": False}
    vitals = Vitals.from_data(note["vitals"])
    vitals.crashed = not note["final"]
    recorder = Recorder(plans, 0, vitals)
    recorder.ended(vitals.endings)
    for marker in reader.markers():
        recorder.marked(marker)
    told = _scheduled(reader, note, len(plans))
    rows, warm_rows = [0] * len(plans), [0] * len(plans)
    # Event n of scenario i has seq n * scenarios + i: where a run has the whole schedule, what was scheduled last is
    # known from the rows as well. A part of it has only some of the numbers.
    whole = reader.meta.get("segment", (0, 1))[1] == 1
    highest, highest_warm = [-1] * len(plans), [-1] * len(plans)
    settled: list[tuple[int, int, Observation]] = []
    together = _Together(recorder, len(plans))
    streams = [reader.observations(scenario) for scenario in range(len(plans))]
    for seen in heapq.merge(*streams, key=lambda row: row.intended_ns):
        # Events come in the order of the schedule, and are settled in the order in which they were settled.
        while settled and settled[0][0] <= seen.intended_ns:
            together.settle(heapq.heappop(settled)[2])
        together.expect(seen)
        heapq.heappush(settled, (seen.settled_ns, seen.seq, seen))
        number = rows[seen.scenario]
        rows[seen.scenario] += 1
        highest[seen.scenario] = seen.seq // len(plans) if whole else number
        if not plans[seen.scenario].judges(seen.intended_ns):
            highest_warm[seen.scenario] = highest[seen.scenario]
            warm_rows[seen.scenario] += 1
    while settled:
        together.settle(heapq.heappop(settled)[2])
    together.count()
    for iteration in reader.iterations():
        recorder.iterated([iteration])
    if vitals.crashed:
        for iteration in reader.under_way():
            recorder.iterated([iteration])
    for gauge, start_ns, end_ns, values in reader.samples():
        recorder.sampled(gauge, start_ns, end_ns, values)
    for probe, times in reader.read_times():
        recorder.read_times(probe, times)
    for scenario, (scheduled, warmup) in enumerate(told):
        missing = max(scheduled, highest[scenario] + 1) - rows[scenario]
        if missing:
            warm = max(warmup, highest_warm[scenario] + 1) - warm_rows[scenario]
            recorder.unrecorded(scenario, missing, min(missing, max(0, warm)))
    return recorder.summary()


class _Together:
    """Has events counted many at a time, as a run does: one by one each would take twice as long."""

    def __init__(self, recorder: Recorder, scenarios: int) -> None:
        self._recorder = recorder
        self._expected: list[list[tuple[int, int, str | None, int]]] = [[] for _ in range(scenarios)]
        self._settled: list[Observation] = []
        self._held = 0

    def expect(self, seen: Observation) -> None:
        """The next one in the order of the schedule."""
        self._expected[seen.scenario].append((seen.seq, seen.intended_ns, seen.key, seen.type))
        self._hold()

    def settle(self, seen: Observation) -> None:
        """The next one in the order in which they were settled."""
        self._settled.append(seen)
        self._hold()

    def _hold(self) -> None:
        self._held += 1
        if self._held >= _HELD:
            self.count()

    def count(self) -> None:
        """Have those counted that are held."""
        for scenario, expected in enumerate(self._expected):
            if expected:
                self._recorder.expect(scenario, expected)
        self._recorder.settle(self._settled)
        self._expected = [[] for _ in self._expected]
        self._settled = []
        self._held = 0


def _scheduled(reader: LedgerReader, note: Mapping[str, Any], scenarios: int) -> list[tuple[int, int]]:
    """How many events of each scenario were scheduled for sure, and how many of them in its warm-up: by the last note
    or with the last rows, whichever was later."""
    none = [0] * scenarios
    noted = zip(note["scheduled"], note.get("warmup", none), strict=True)
    written = reader.scheduled()
    return [
        (max(events, written.get(number, (0, 0))[0]), max(warmup, written.get(number, (0, 0))[1]))
        for number, (events, warmup) in enumerate(noted)
    ]
