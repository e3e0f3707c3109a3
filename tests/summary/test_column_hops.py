"""Hops of many events at a time are those of each by itself, whatever the stamps are."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evload.model.states import State
from evload.model.summary import HOPS
from evload.model.travel import Observation
from evload.stats.columns import NONE
from evload.summary.clock_offset import OffsetEstimate, hops
from evload.summary.column_hops import column_hops
from evload.summary.columns import Columns

MS = 1_000_000
S = 1_000 * MS
EPOCH: Final = 1_770_000_000 * S
FAR: Final = (-(1 << 63) + 1, 1 << 62, (1 << 63) - 1)


def drawn(rng: Random, count: int) -> list[Observation]:
    """Events of a system whose clock is ahead, may be set on the way, and is read more or less coarsely."""
    offset, coarse, pace = EPOCH, rng.choice((1, 1, 1_000, S)), rng.choice((MS, S, 900 * S))
    odd, missing, sent = rng.choice((0.0, 0.0, 0.02, 0.5)), rng.choice((0.0, 0.3)), 5 * S
    events = []
    for seq in range(count):
        sent += rng.randrange(pace)
        consumed = sent + rng.randrange(20 * MS)
        processed = consumed + rng.choice((0, rng.randrange(50 * MS), rng.randrange(20 * S)))
        seen = processed + rng.randrange(20 * MS)
        if rng.random() < odd:
            offset += rng.choice((0, 0, MS, -S, 7 * S))
            processed -= rng.choice((0, 30 * MS, 2 * S))
        stamps: list[int | None] = [(at + offset) // coarse * coarse for at in (consumed, processed)]
        if rng.random() < odd / 4:
            stamps[rng.randrange(2)] = rng.choice(FAR)
        if rng.random() < missing:
            stamps[rng.randrange(2)] = None
        lower, upper = rng.choice(((None, seen), (seen - MS, seen + MS), (seen, None)))
        events.append(Observation(
            seq, 0, 0, State.VISIBLE, sent, None, None if rng.random() < odd / 4 else sent, sent, True,
            first_upper_ns=seen, stable_lower_ns=lower, stable_upper_ns=upper,
            consumed_at=stamps[0], processed_at=stamps[1],
        ))  # fmt: skip
    return events


def column(events: list[Observation], name: str) -> Any:
    values = [getattr(seen, name) for seen in events]
    return np.array([NONE if value is None else value for value in values], dtype=np.int64)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 700), st.integers(1, 700))
def test_hops_of_columns_are_those_of_each_event(seed: int, count: int, portion: int) -> None:
    events = drawn(Random(seed), count)
    by_row, by_column = OffsetEstimate(), OffsetEstimate()
    names = ("sent_ns", "consumed_at", "processed_at", "stable_lower_ns", "stable_upper_ns")
    for first in range(0, count, portion):
        some = events[first : first + portion]
        given = {name: column(some, name) for name in names} | {"seen_ns": column(some, "first_upper_ns")}
        found = column_hops(by_column, Columns(len(some), given))
        for place, seen in enumerate(some):
            told = {
                name: (int(low[place]), None if high[place] == NONE else int(high[place]))
                for name in HOPS
                for low, high in [found.together[name]]
                if low[place] != NONE
            } | {name: (low, high) for at, name, low, high in found.apart if at == place}
            assert told == hops(seen, by_row)
    assert by_column.bounds == by_row.bounds
    assert by_column.resolution_ns == by_row.resolution_ns
    assert (by_column.negative, by_column.contradictions) == (by_row.negative, by_row.contradictions)
