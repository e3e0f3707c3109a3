"""One row for each counter and metric; the rest derives from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

STATES: Final = (
    "unsent", "acked", "rejected", "returned", "in_doubt",
    "visible", "lost", "regressed", "pending", "unobserved",
)  # fmt: skip
COUNTERS: Final = (
    "regressions", "recovered", "duplicated", "out_of_order", "resent", "non_monotonic", "unread_writes",
)  # fmt: skip
LEDGER_KEYS: Final = ("scheduled", *STATES, *COUNTERS)

METRICS: Final = (
    "schedule_delay", "publish", "first_seen", "consistency", "end_to_end", "hop",
    "sent_to_consumed", "consumed_to_processed", "processed_to_visible",
)  # fmt: skip
"""Names of the distributions a scenario can have; those without a value are left out of the summary."""

EXACT: Final = frozenset({"schedule_delay", "publish"})
"""Those that are points and not brackets: both stamps are evload's own."""

QUEUE_LAG: Final = "queue_lag"
"""The distribution that belongs to a queue instead: the time events spent in it."""

PERCENTILES: Final = {
    "p50": Fraction(50, 100),
    "p90": Fraction(90, 100),
    "p95": Fraction(95, 100),
    "p99": Fraction(99, 100),
    "p99.9": Fraction(999, 1000),
}
"""The percentiles that a report shows."""

WINDOW_NS: Final = 10_000_000_000
"""Length of the windows in which the offered rate is checked and events are batched."""

_ERRORS: Final = ("unsent", "rejected", "returned", "in_doubt")
COUNTER_NAMES: Final = (*LEDGER_KEYS, "sent", "errors")
"""The keys of the ledger; `sent`, which is all that left the generator; `errors`, all that was not acked."""
PUBLISH_COUNTERS: Final = frozenset({"scheduled", "sent", "acked", "errors", "resent", *_ERRORS})
"""Those that the publish alone decides; the others need somebody who watches the read model."""


STALENESS: Final = "staleness"
"""How many writes of its key an answer had not applied."""


LEDGER_SUMS: Final[Mapping[str, Sequence[str]]] = {
    "scheduled": ("acked", "unsent", "rejected", "returned", "in_doubt"),
    "acked": ("visible", "lost", "regressed", "pending", "unobserved"),
}
"""The two sums of the ledger."""
