"""What can be changed about the shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stand_in.knobs import Knobs, at_least_one, share


@dataclass(slots=True)
class ShopKnobs(Knobs):
    """All of them, as they are when nobody says otherwise. Times are in milliseconds."""

    pool: int = at_least_one(20)
    """Connections to the database that commands and reads have. Heeded when it starts."""
    latency_ms: float = 0.0
    """What each answer takes longer."""
    batch: int = at_least_one(100)
    """Rows of the outbox that the engine takes at a time, and entries of a stream that a projector does."""
    engine_ms: float = 0.0
    """What the engine takes for each row: 10 are 100 rows per second."""
    project_ms: float = 0.0
    """What a projector takes for each entry of its stream."""
    race_ms: float = 5.0
    """How long those bugs take between what they read and what they write that are about two at once."""
    refuse: float = share()
    """Share of the commands and reads that are answered with 503."""
    idempotent: bool = True
    """False is a bug: a creation with a key that is known makes another one."""
    oversell: float = share()
    """A bug: share of the reservations that read what there is, and write what is left later, without a lock."""
    both_win: float = share()
    """A bug: share of the cancellations, and of the payments, that don't see what came meanwhile."""
    stale_modify: float = share()
    """A bug: share of the modifications of orders that don't see that the order was confirmed meanwhile."""
    charge_again: float = share()
    """A bug: share of the payments that are booked once more when they are told of again."""
    forget: float = share()
    """A bug: share of the failed payments after which nothing is released and nothing is cancelled."""
    lose: float = share()
    """A bug: share of the rows of the outbox that count as sent and never are."""
    swap: float = share()
    """A bug: share of the rows that are sent after the next one of their aggregate."""
    skip: float = share()
    """A bug: share of the entries of the streams that projectors leave out."""
    twice: float = share()
    """A bug: share of the entries that projectors apply twice."""
    trim: bool = True
    """False is a bug: no stream is ever trimmed, and each grows without bound."""


QUICK: Mapping[str, Any] = {}
"""Nothing: all of it is a matter of milliseconds."""
