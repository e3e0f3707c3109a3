"""What can be changed about leases, payments and their ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stand_in.knobs import Knobs, at_least_one, share


@dataclass(slots=True)
class LeaseKnobs(Knobs):
    """All of them, as they are when nobody says otherwise. Times are in milliseconds."""

    pool: int = at_least_one(20)
    """Connections to its database that each service has; a request holds one while it reads or writes."""
    patience_ms: float = 2000.0
    """How long a request waits for a connection before it is answered with 503."""
    create_ms: float = 10.0
    """For how long a creation holds it: of a lease, or of a payment."""
    append_ms: float = 6.0
    """For how long an entry that is appended does."""
    read_ms: float = 3.0
    """For how long a read does, beside its rows."""
    row_ms: float = 0.2
    """What each row takes that a read has to look at."""
    projectors: int = at_least_one(4)
    """How many apply entries; one of them has all of a ledger that waits. Heeded when it starts."""
    apply_ms: float = 10.0
    """What a projector takes for an entry: four do 400 per second of many ledgers, and 100 of a single one."""
    slow_ms: float = 200.0
    """A request that took so long is in the log of slow ones."""
    latency_ms: float = 0.0
    """What each answer takes longer."""
    idempotent: bool = True
    """False is a bug: a creation with a key that is known makes another one."""
    racy: bool = False
    """A bug: a key is known only once what it made is written, so that requests with one key at once make several."""
    lose: float = share()
    """A bug: share of the entries that are never applied."""
    twice: float = share()
    """A bug: share of the entries that are applied twice."""
    swap: float = share()
    """A bug: share of the entries that are applied after the next one of their ledger."""
    refuse: float = share()
    """Share of the requests that are answered with 503."""
    leak_kb: int = 0
    """A bug: kilobytes that are counted as kept of each request for no reason."""


QUICK: Mapping[str, Any] = {}
"""Nothing: all of it is a matter of milliseconds."""
