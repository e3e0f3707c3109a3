"""Adds to a summary how long events waited, were processed and took to be seen, by the system's own stamps.

Done after the run from its ledger file, in the order in which events were settled, because the estimate of a foreign
clock begins anew where that was set. Imports numpy, and is itself imported only then.
"""

from __future__ import annotations

import numpy as np

from ..model.summary import HOPS, Summary
from ..stats.columns import NONE
from ..summary.clock_offset import OffsetEstimate
from ..summary.column_counts import measure
from ..summary.column_hops import column_hops
from ..summary.columns import either
from ..summary.fold_plan import ScenarioPlan
from ..summary.metric_fold import MetricFold
from .columns import stamped
from .reader import LedgerReader


def add_hops(summary: Summary, reader: LedgerReader) -> None:
    """Fill in the distributions of the hops. Raises UsageError where the ledger is damaged."""
    plans = [ScenarioPlan.from_data(plan) for plan in reader.meta["plan"]]
    folds = [
        {name: MetricFold(plan.counted.thresholds_of(name), plan.counted.steps_of(name)) for name in HOPS}
        for plan in plans
    ]
    # Of several probes nobody knows which one told the stamps: they were there when all of them had seen it.
    several = np.array([len(plan.probes) > 1 for plan in plans])
    judged_ns = np.array([0 if plan.warmup is None else plan.warmup[1] for plan in plans])
    estimate = OffsetEstimate()
    for events in stamped(reader):
        scenario, due_ns, first_ns = events["scenario"], events["intended_ns"], events["first_upper_ns"]
        by_all = either(events["stable_upper_ns"], events["settled_ns"])
        seen_ns = np.where(several[scenario], by_all, first_ns)
        told = column_hops(estimate, events.beside({"seen_ns": seen_ns}))
        for number, metrics in enumerate(folds):
            judged = (scenario == number) & (due_ns >= judged_ns[number])
            for place, name, lower, upper in told.apart:
                if judged[place]:
                    metrics[name].record(lower, upper, int(due_ns[place]))
            for name, (low, high) in told.together.items():
                rows = judged & (low != NONE)
                if rows.any():
                    measure(metrics[name], low[rows], high[rows], due_ns[rows])
    summary.negative_hops, summary.contradictions = estimate.negative, estimate.contradictions
    for plan, metrics in zip(plans, folds, strict=True):
        distributions = summary.scenarios[plan.name].distributions
        for name, fold in metrics.items():
            fold.flush()
            if fold.distribution.count:
                distributions[name] = fold.distribution
