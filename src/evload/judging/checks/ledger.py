"""The self-check of the books."""

from __future__ import annotations

from ...model.facts import LEDGER_SUMS
from ...model.summary import Summary
from .check import Check, everything


def ledger_closes(summary: Summary) -> Check:
    """The sums close, and no answer names an event that was never sent."""
    residuals = 0
    warmups = [one.warmup for one in summary.scenarios.values() if one.warmup is not None]
    for scenario in (*summary.scenarios.values(), *warmups):
        has = scenario.ledger
        residuals += sum(abs(has[whole] - sum(has[part] for part in parts)) for whole, parts in LEDGER_SUMS.items())
    unexpected = summary.vitals.unexpected_ids
    parts = ((residuals, "events missing from the sums"), (unexpected, "unexpected ids in answers"))
    note = ", ".join(f"{count} {what}" for count, what in parts if count)
    return Check(residuals + unexpected == 0, residuals + unexpected, 0, note, everything)
