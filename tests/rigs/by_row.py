"""Folds a ledger row by row with the recorder of a run: what the fold over columns has to amount to."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from evload.ledger.reader import LedgerReader
from evload.model.states import State
from evload.model.summary import HOPS, Summary
from evload.model.travel import Observation
from evload.model.vitals import Vitals
from evload.summary.clock_offset import OffsetEstimate, hops
from evload.summary.fold_plan import ScenarioPlan
from evload.summary.metric_fold import MetricFold
from evload.summary.recorder import Recorder


def folded(reader: LedgerReader, plans: Sequence[ScenarioPlan], scheduled: Sequence[tuple[int, int]]) -> Summary:
    """What a ledger amounts to. `scheduled` are the events of each scenario, and those of its warm-up."""
    note = reader.last_note()
    assert note is not None
    vitals = Vitals.from_data(note["vitals"])
    recorder = Recorder(plans, 0, vitals)
    recorder.ended(vitals.endings)
    for marker in reader.markers():
        recorder.marked(marker)
    settled: list[tuple[int, int, Observation]] = []
    streams = [reader.observations(scenario) for scenario in range(len(plans))]
    for seen in heapq.merge(*streams, key=lambda row: row.intended_ns):
        while settled and settled[0][0] <= seen.intended_ns:
            recorder.settle([heapq.heappop(settled)[2]])
        recorder.expect(seen.scenario, [(seen.seq, seen.intended_ns, seen.key, seen.type)])
        heapq.heappush(settled, (seen.settled_ns, seen.seq, seen))
    while settled:
        recorder.settle([heapq.heappop(settled)[2]])
    for scenario, (rows, warm_rows) in enumerate(recorder.scheduled()):
        events, warmup = scheduled[scenario]
        if events > rows:
            recorder.unrecorded(scenario, events - rows, max(0, warmup - warm_rows))
    return recorder.summary()


def add_hops(summary: Summary, reader: LedgerReader, plans: Sequence[ScenarioPlan]) -> None:
    """Work out the hops from the stamps of each event."""
    folds = [
        {name: MetricFold(plan.counted.thresholds_of(name), plan.counted.steps_of(name)) for name in HOPS}
        for plan in plans
    ]
    estimate = OffsetEstimate()
    condition = (
        "(consumed_at IS NOT NULL OR processed_at IS NOT NULL) AND first_upper_ns IS NOT NULL"
        f" AND acked_ns IS NOT NULL AND sampled = 1 AND state >= {State.VISIBLE.value}"
    )
    for seen in reader.chosen(condition, "settled_ns, seq", {}, -1):
        plan = plans[seen.scenario]
        told = hops(seen, estimate, several=len(plan.probes) > 1)
        for name, (low, high) in told.items() if plan.judges(seen.intended_ns) else ():
            folds[seen.scenario][name].record(low, high, seen.intended_ns)
    summary.negative_hops, summary.contradictions = estimate.negative, estimate.contradictions
    for plan, metrics in zip(plans, folds, strict=True):
        for name, fold in metrics.items():
            fold.flush()
            if fold.distribution.count:
                summary.scenarios[plan.name].distributions[name] = fold.distribution
