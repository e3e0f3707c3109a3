"""The tables of a ledger file, and how an observation becomes a row and a row an observation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import orjson

from ..model.facts import DEFAULTS, FACTS
from ..model.iteration import End, Iteration
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
CREATE TABLE scheduled (          -- events of a scenario that were scheduled when its last rows were written
    scenario INTEGER PRIMARY KEY, -- index into meta.plan
    events INTEGER NOT NULL, warmup INTEGER NOT NULL -- all of them, and those of the warm-up
);
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
CREATE TABLE iterations (         -- of journeys, those that are over, in the order in which they ended
    scenario INTEGER NOT NULL, journey INTEGER NOT NULL, -- indices into meta.plan and meta.journeys
    number INTEGER NOT NULL,      -- within its scenario; the rows in events of its steps have it, too
    user INTEGER,                 -- of closed load: whose it was
    intended_ns INTEGER NOT NULL, started_ns INTEGER, ended_ns INTEGER NOT NULL, -- due, begun if ever, over
    ended_as INTEGER NOT NULL,    -- {", ".join(f"{end.value} {end.name.lower().replace('_', ' ')}" for end in End)}
    step TEXT, reason TEXT,       -- where and why it ended, if it didn't complete
    failed_checks TEXT,           -- names of checks that its answers didn't pass: a list in JSON
    PRIMARY KEY (scenario, number)
);
"""

TABLES: Final = frozenset(
    {
        "meta", "vitals", "scheduled", "samples", "reads", "read_times", "markers", "states", "events", "parts",
        "iterations",
    }
)  # fmt: skip

INSERT_SCHEDULED: Final = "INSERT OR REPLACE INTO scheduled VALUES (?, ?, ?)"
INSERT_PART: Final = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_READS: Final = "INSERT INTO reads VALUES (?, ?, ?)"
INSERT_READ_TIMES: Final = "INSERT INTO read_times VALUES (?, ?, ?, ?, ?)"
INSERT_MARKER: Final = "INSERT OR REPLACE INTO markers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ITERATION: Final = "INSERT INTO iterations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_SAMPLE: Final = "INSERT INTO samples VALUES (?, ?, ?, ?, ?)"

_NULL: Final = math.nan
_PLAIN: Final = frozenset({int, float})
_VALUES: Final = attrgetter(*COLUMNS)


def insertion(observations: Sequence[Observation], start: int) -> tuple[str, Iterable[tuple[object, ...]]]:
    """A statement that inserts these events, one at least, and its rows; `start` is when the schedule began.

    What isn't known of any of them stands in the statement: to bind a value takes as long as to store it.
    """
    places: list[str] = []
    bound: list[Iterable[object]] = []
    columns = zip(*map(_VALUES, observations), strict=True)
    for column, (unknown, omitted, bindable) in zip(columns, _STORED, strict=True):
        if column[0] == unknown and column.count(unknown) == len(column):
            places.append(omitted)
        else:
            places.append("?")
            bound.append(bindable(column, start))
    return f"INSERT INTO events VALUES ({', '.join(places)})", zip(*bound, strict=True)


# sqlite3 looks for an adapter, which takes longer than all the rest, for whatever isn't exactly an int, a float or a
# str: for an enum, a bool and None. SQLite itself stores a NaN as NULL.


def _numbers(column: Sequence[Any], start: int) -> Iterable[object]:
    return map(int, column)


def _moments(column: Sequence[Any], start: int) -> Iterable[object]:
    return [_NULL if at is None else at - start for at in column]


def _texts(column: Sequence[Any], start: int) -> Iterable[object]:
    return [_NULL if text is None else text for text in column]


def _facts(column: Sequence[Any], start: int) -> Iterable[object]:
    return [value if value.__class__ in _PLAIN else _NULL if value is None else _fact(value) for value in column]


def _fact(value: Any) -> object:
    """One that isn't a number; a text that says nothing isn't kept."""
    if value == "":
        return _NULL
    return value if isinstance(value, str) else int(value)


_CONVERTED: Final = {name: _moments if name.endswith("_ns") else _numbers for name in _CORE} | {"key": _texts}
_STORED: Final = tuple(
    (DEFAULTS.get(name), "0" if DEFAULTS.get(name) in (False, 0) else "NULL", _CONVERTED.get(name, _facts))
    for name in COLUMNS
)
"""Of each column what stands for not knowing it, how that is stored, and what makes values that can be bound."""


def part_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    """The rows of what each probe and each replica says of one event."""
    for number, part in enumerate(seen.parts):
        brackets = [None if at is None else at - start for at in part[3:]]
        yield (seen.seq, number, part.probe, part.replica, int(part.state), *brackets)


def iteration_row(one: Iteration, start: int) -> tuple[object, ...]:
    """The row of an iteration that is over."""
    return (
        one.scenario,
        one.journey,
        one.number,
        _NULL if one.user is None else one.user,
        one.intended_ns - start,
        _NULL if one.started_ns is None else one.started_ns - start,
        one.ended_ns - start,
        int(one.end),
        one.step or _NULL,
        one.reason or _NULL,
        orjson.dumps(one.failed_checks).decode() if one.failed_checks else _NULL,
    )


def iteration_of(row: Sequence[Any]) -> Iteration:
    """The iteration that a row tells of. Raises ValueError where its checks are no list in JSON."""
    scenario, journey, number, user, intended_ns, started_ns, ended_ns, ended_as, step, reason, checks = row
    failed = () if checks is None else tuple(orjson.loads(checks))
    if not all(isinstance(name, str) for name in failed):
        raise ValueError(f"failed checks are {checks}")
    return Iteration(
        scenario, journey, number, user, intended_ns, started_ns, ended_ns, End(ended_as), step or "", reason or "",
        failed,
    )  # fmt: skip


def observation_of(columns: Sequence[str], row: Sequence[Any], parts: tuple[Part, ...]) -> Observation:
    """The event that a row, of some columns, tells of."""
    values = dict(zip(columns, row, strict=True))
    values["state"] = State(values["state"])
    values["sampled"] = bool(values["sampled"])
    for name, loaded, default in _TO_LOAD:
        value = values.get(name)
        values[name] = default if value is None else value if loaded is None else loaded(value)
    return Observation(**values, parts=parts)
