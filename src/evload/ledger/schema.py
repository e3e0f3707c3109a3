"""The tables of a ledger file, and how an observation becomes a row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from ..model.travel import Observation

FORMAT: Final = 2

_COLUMNS: Final = (
    "seq", "scenario", "type", "state", "intended_ns", "key", "sent_ns", "acked_ns", "sampled",
    "first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns", "reads", "failed_reads", "effects",
    "regressions", "position", "consumed_at", "processed_at", "settled_ns", "detail",
    "resent", "non_monotonic", "session", "staleness",
)  # fmt: skip

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vitals (at_ns INTEGER PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE samples (          -- of gauges; a row without metric and value: it could not be taken
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, gauge TEXT NOT NULL, metric TEXT, value REAL
);
CREATE TABLE states (state INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,      -- number within the run; the correlation id ends in it (hexadecimal)
    scenario INTEGER NOT NULL,    -- index into meta.plan
    type INTEGER NOT NULL,        -- index into the scenario's events
    state INTEGER NOT NULL,       -- see states
    intended_ns INTEGER NOT NULL, -- all *_ns: nanoseconds since the schedule began
    key TEXT,
    sent_ns INTEGER, acked_ns INTEGER,
    sampled INTEGER NOT NULL,     -- 1: followed closely, 0: read once at its deadline
    first_lower_ns INTEGER, first_upper_ns INTEGER,   -- first seen in (lower, upper]
    stable_lower_ns INTEGER, stable_upper_ns INTEGER, -- stable-visible in (lower, upper]
    reads INTEGER NOT NULL, failed_reads INTEGER NOT NULL,
    effects INTEGER, regressions INTEGER NOT NULL, position REAL,
    consumed_at INTEGER, processed_at INTEGER,        -- the system's own stamps, ns since 1970
    settled_ns INTEGER NOT NULL,
    detail TEXT,
    resent INTEGER NOT NULL,      -- 1: copies of it were sent
    non_monotonic INTEGER NOT NULL, -- 1: a read missed it after an earlier one had shown it
    session INTEGER,              -- its session's read right after the ack: 0 absent, 1 present, 2 failed
    staleness INTEGER             -- writes of its key that the most stale answer had not applied
);
CREATE TABLE parts (              -- what each probe and each replica says, where there are several
    seq INTEGER NOT NULL, number INTEGER NOT NULL,
    probe INTEGER NOT NULL, replica TEXT, -- index into meta.probes; no replica: the probe as a whole
    state INTEGER NOT NULL,
    first_lower_ns INTEGER, first_upper_ns INTEGER, stable_lower_ns INTEGER, stable_upper_ns INTEGER,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;
"""

_NULL: Final = math.nan
INSERT: Final = f"INSERT INTO events VALUES ({', '.join('?' * len(_COLUMNS))})"
INSERT_PART: Final = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def row_of(seen: Observation, start: int) -> tuple[object, ...]:
    sent, acked = seen.sent_ns, seen.acked_ns
    first_lower, first_upper = seen.first_lower_ns, seen.first_upper_ns
    stable_lower, stable_upper = seen.stable_lower_ns, seen.stable_upper_ns
    # sqlite3 looks for an adapter, which takes longer than all the rest, for whatever isn't exactly an int, a float
    # or a str: for an enum, a bool and None. SQLite itself stores a NaN as NULL.
    row = (
        seen.seq,
        seen.scenario,
        seen.type,
        int(seen.state),
        seen.intended_ns - start,
        seen.key,
        None if sent is None else sent - start,
        None if acked is None else acked - start,
        int(seen.sampled),
        None if first_lower is None else first_lower - start,
        None if first_upper is None else first_upper - start,
        None if stable_lower is None else stable_lower - start,
        None if stable_upper is None else stable_upper - start,
        seen.reads,
        seen.failed_reads,
        seen.effects,
        seen.regressions,
        seen.position,
        seen.consumed_at,
        seen.processed_at,
        seen.settled_ns - start,
        seen.detail or None,
        int(seen.resent),
        int(seen.non_monotonic),
        None if seen.session is None else int(seen.session),
        seen.staleness,
    )
    return tuple([_NULL if value is None else value for value in row])


def part_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    for number, part in enumerate(seen.parts):
        brackets = [None if at is None else at - start for at in part[3:]]
        yield (seen.seq, number, part.probe, part.replica, int(part.state), *brackets)
