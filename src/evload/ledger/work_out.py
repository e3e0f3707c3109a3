"""Works out what of a run doesn't add up event by event, from its ledger: `summary.FROM_LEDGER` names it.

The same for a run that has just ended and for one that is read back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ..judging.gauge_watches import GaugeWatches
from ..model.summary import Summary
from ..objectives.criteria import Criteria
from .queue_lag import add_lag
from .reader import LedgerReader
from .usage import add_costs

_SECOND_NS: Final = 1_000_000_000


def work_out(summary: Summary, reader: LedgerReader, criteria: Criteria) -> None:
    """Fill in what the ledger tells. Raises UsageError where it is damaged."""
    from .hops import add_hops  # it imports numpy

    add_lag(summary, reader, criteria.objectives)
    add_hops(summary, reader)
    _add_watches(summary, reader, criteria)
    _add_busiest(summary, reader)
    add_costs(summary, reader, criteria)


def _add_watches(summary: Summary, reader: LedgerReader, criteria: Criteria) -> None:
    """What objectives about time find in the samples of the gauges."""
    metrics = {name: gauge["metrics"] for name, gauge in reader.meta["gauges"].items()}
    watches = GaugeWatches(criteria.objectives, criteria.scenarios, metrics)
    watches.marked(summary.markers)
    watches.acked({name: scenario.last_acked_ns for name, scenario in summary.scenarios.items()})
    for gauge, start_ns, end_ns, values in reader.samples():
        watches.sampled(gauge, start_ns, end_ns, values)
    summary.watches, summary.watch_notes = watches.results(), watches.notes()


def _add_busiest(summary: Summary, reader: LedgerReader) -> None:
    """The most event reads in a second, of the seconds that begin at whole tenths."""
    recent: dict[str, deque[tuple[int, int]]] = {}
    for probe, at_ns, events in reader.reads():
        slots = recent.setdefault(probe, deque())
        slots.append((at_ns, events))
        while slots[0][0] <= at_ns - _SECOND_NS:
            slots.popleft()
        reads = summary.vitals.probes.get(probe)
        if reads is not None:
            reads.busiest = max(reads.busiest, sum(events for _, events in slots))
