"""The tables of a ledger file, and how an observation becomes a row and a row an observation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from ..model.facts import DEFAULTS, FACTS
from ..model.states import State
from ..model.travel import Observation, Part

FORMAT: Final = 3
READS: Final = frozenset({2, FORMAT})
"""The formats that this version reads. What an older one has no column for isn't known of its events."""

_CORE: Final[Mapping[str, tuple[str, str]]] = {
    "seq": ("INTEGER PRIMARY KEY", "number within the run; the correlation id ends in it (hexadecimal)"),
    "scenario": ("INTEGER NOT NULL", "index into meta.plan"),
    "type": ("INTEGER NOT NULL", "index into the scenario's events"),
    "state": ("INTEGER NOT NULL", "see states"),
    "intended_ns": ("INTEGER NOT NULL", "all *_ns: nanoseconds since the schedule began"),
    "key": ("TEXT", "its ordering key"),
    "sent_ns": ("INTEGER", ""),
    "acked_ns": ("INTEGER", ""),
    "sampled": ("INTEGER NOT NULL", "1: followed closely, 0: read once at its deadline"),
    "first_lower_ns": ("INTEGER", ""),
    "first_upper_ns": ("INTEGER", "first seen in (lower, upper]"),
    "stable_lower_ns": ("INTEGER", ""),
    "stable_upper_ns": ("INTEGER", "stable-visible in (lower, upper]"),
    "settled_ns": ("INTEGER NOT NULL", "nothing more was looked for"),
}
_KEPT: Final = {name: fact for name, fact in FACTS.items() if fact.column is not None}
COLUMNS: Final = (*_CORE, *_KEPT)
_TO_LOAD: Final = tuple(
    (name, fact.loaded, DEFAULTS[name])
    for name, fact in _KEPT.items()
    if fact.loaded is not None or (DEFAULTS[name] is not None and "NOT NULL" not in (fact.column or ""))
)
"""Facts that aren't what their column holds. All others are, and where there is no column they keep their default."""


def _events_table() -> str:
    declared = {**_CORE, **{name: (fact.column or "", fact.meaning) for name, fact in _KEPT.items()}}
    last = COLUMNS[-1]
    lines = [
        f"    {name} {kind}{'' if name == last else ','}{f' -- {meaning}' if meaning else ''}"
        for name, (kind, meaning) in declared.items()
    ]
    return "\n".join(("CREATE TABLE events (", *lines, ");"))


SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vitals (at_ns INTEGER PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE samples (            -- of gauges; without metric and value: not taken; without value: there was none
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, gauge TEXT NOT NULL, metric TEXT, value REAL
);
CREATE TABLE reads (              -- event reads of a probe that began in the tenth of a second from at_ns on
    at_ns INTEGER NOT NULL, probe TEXT NOT NULL, events INTEGER NOT NULL
);
CREATE TABLE read_times (         -- requests of a probe in the ten seconds before at_ns, by how long they took
    at_ns INTEGER NOT NULL, probe TEXT NOT NULL,
    took_ns INTEGER NOT NULL,     -- lower edge of a bucket that is 0.8 % wide at most
    answered INTEGER NOT NULL, requests INTEGER NOT NULL
);
CREATE TABLE markers (            -- of actions: done and undone are brackets; no end: it was being done
    action TEXT NOT NULL, number INTEGER NOT NULL,
    done_from_ns INTEGER NOT NULL, done_to_ns INTEGER, undone_from_ns INTEGER, undone_to_ns INTEGER,
    error TEXT NOT NULL, undo_error TEXT NOT NULL,
    lasting INTEGER NOT NULL,     -- 0: done in a moment, and that was all
    PRIMARY KEY (action, number)
) WITHOUT ROWID;
CREATE TABLE states (state INTEGER PRIMARY KEY, name TEXT NOT NULL);
{_events_table()}
CREATE TABLE parts (              -- what each probe and each replica says, where there are several
    seq INTEGER NOT NULL, number INTEGER NOT NULL,
    probe INTEGER NOT NULL, replica TEXT, -- index into meta.probes; no replica: the probe as a whole
    state INTEGER NOT NULL,
    first_lower_ns INTEGER, first_upper_ns INTEGER, stable_lower_ns INTEGER, stable_upper_ns INTEGER,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;
"""

TABLES: Final = frozenset(
    {"meta", "vitals", "samples", "reads", "read_times", "markers", "states", "events", "parts"}
)

INSERT: Final = f"INSERT INTO events VALUES ({', '.join('?' * len(COLUMNS))})"
INSERT_PART: Final = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_READS: Final = "INSERT INTO reads VALUES (?, ?, ?)"
INSERT_READ_TIMES: Final = "INSERT INTO read_times VALUES (?, ?, ?, ?, ?)"
INSERT_MARKER: Final = "INSERT OR REPLACE INTO markers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_SAMPLE: Final = "INSERT INTO samples VALUES (?, ?, ?, ?, ?)"

_NULL: Final = math.nan
_PLAIN: Final = frozenset({int, float})
_FACTS_OF: Final = attrgetter(*_KEPT)


def row_of(seen: Observation, start: int) -> tuple[object, ...]:
    """The row of one event; `start` is when the schedule began."""
    sent, acked = seen.sent_ns, seen.acked_ns
    first_lower, first_upper = seen.first_lower_ns, seen.first_upper_ns
    stable_lower, stable_upper = seen.stable_lower_ns, seen.stable_upper_ns
    # sqlite3 looks for an adapter, which takes longer than all the rest, for whatever isn't exactly an int, a float
    # or a str: for an enum, a bool and None. SQLite itself stores a NaN as NULL.
    null = _NULL
    return (
        seen.seq,
        seen.scenario,
        seen.type,
        int(seen.state),
        seen.intended_ns - start,
        null if seen.key is None else seen.key,
        null if sent is None else sent - start,
        null if acked is None else acked - start,
        int(seen.sampled),
        null if first_lower is None else first_lower - start,
        null if first_upper is None else first_upper - start,
        null if stable_lower is None else stable_lower - start,
        null if stable_upper is None else stable_upper - start,
        seen.settled_ns - start,
        *[
            value if value.__class__ in _PLAIN else null if value is None else _stored(value)
            for value in _FACTS_OF(seen)
        ],
    )


def _stored(value: Any) -> object:
    """A fact as a column holds it; a text that says nothing isn't kept."""
    if value == "":
        return _NULL
    return value if isinstance(value, str) else int(value)


def part_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    """The rows of what each probe and each replica says of one event."""
    for number, part in enumerate(seen.parts):
        brackets = [None if at is None else at - start for at in part[3:]]
        yield (seen.seq, number, part.probe, part.replica, int(part.state), *brackets)


def observation_of(columns: Sequence[str], row: Sequence[Any], parts: tuple[Part, ...]) -> Observation:
    """The event that a row, of some columns, tells of."""
    values = dict(zip(columns, row, strict=True))
    values["state"] = State(values["state"])
    values["sampled"] = bool(values["sampled"])
    for name, loaded, default in _TO_LOAD:
        value = values.get(name)
        values[name] = default if value is None else value if loaded is None else loaded(value)
    return Observation(**values, parts=parts)
