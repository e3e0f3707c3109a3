"""The tables of a ledger file, and how an observation becomes a row and a row an observation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, get_args

import orjson

from ..model.facts import DEFAULTS, FACTS
from ..model.iteration import End, Iteration
from ..model.round import TALLIES, Held, Round, RoundEnd, RuleKind, RuleResult, Tally
from ..model.states import State
from ..model.travel import OPTIONAL, Observation, Part, Try, told_of

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
CREATE TABLE tries (              -- of events that were sent more than once, as an answer said: each time
    seq INTEGER NOT NULL, number INTEGER NOT NULL, -- from 0; the last one is what their rows in events are about
    sent_ns INTEGER, acked_ns INTEGER, status INTEGER, -- no answer, and no status of one: none came
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
    checks TEXT,                  -- by STEP: NAME whether it held, of all checks of its answers: an object in JSON
    PRIMARY KEY (scenario, number)
);
CREATE TABLE rounds (             -- of races, those that are over, in the order in which they ended
    scenario INTEGER NOT NULL,    -- index into meta.plan
    number INTEGER NOT NULL,      -- within its scenario; the rows in events of its requests have it as iteration
    intended_ns INTEGER NOT NULL, started_ns INTEGER, ended_ns INTEGER NOT NULL, -- due, contenders due if ever, over
    round_end INTEGER NOT NULL,   -- {", ".join(f"{end.value} {end.name.lower()}" for end in RoundEnd)}
    reason TEXT,                  -- why it is void or was cut off
    contended INTEGER,            -- 1: requests of different contenders were in flight at once, 0: they were not
    settled_lower INTEGER, settled_upper INTEGER, -- ns after the last answer; no upper: not in time
    PRIMARY KEY (scenario, number)
);
CREATE TABLE round_contenders (   -- what became of the contenders of each name in a round
    scenario INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, contender TEXT NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL" for name in TALLIES)},
    PRIMARY KEY (scenario, number, place)
) WITHOUT ROWID;
CREATE TABLE round_rules (        -- what became of each rule in a round that was judged
    scenario INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, rule TEXT NOT NULL,
    kind TEXT NOT NULL,           -- {" or ".join(get_args(RuleKind))}
    held INTEGER NOT NULL,        -- {", ".join(f"{held.value} {held.name.lower()}" for held in Held)}
    told TEXT,                    -- what the reads and the contenders were, if it didn't hold for sure
    PRIMARY KEY (scenario, number, place)
) WITHOUT ROWID;
"""

TABLES: Final = frozenset(
    {
        "meta", "vitals", "scheduled", "samples", "reads", "read_times", "markers", "states", "events", "parts",
        "iterations", "tries", "rounds", "round_contenders", "round_rules",
    }
)  # fmt: skip

INSERT_SCHEDULED: Final = "INSERT OR REPLACE INTO scheduled VALUES (?, ?, ?)"
INSERT_PART: Final = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_TRY: Final = "INSERT INTO tries VALUES (?, ?, ?, ?, ?)"
INSERT_READS: Final = "INSERT INTO reads VALUES (?, ?, ?)"
INSERT_READ_TIMES: Final = "INSERT INTO read_times VALUES (?, ?, ?, ?, ?)"
INSERT_MARKER: Final = "INSERT OR REPLACE INTO markers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ITERATION: Final = "INSERT INTO iterations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ROUND: Final = "INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_CONTENDER: Final = "INSERT INTO round_contenders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_RULE: Final = "INSERT INTO round_rules VALUES (?, ?, ?, ?, ?, ?, ?)"
INSERT_SAMPLE: Final = "INSERT INTO samples VALUES (?, ?, ?, ?, ?)"

_NULL: Final = math.nan
_PLAIN: Final = frozenset({int, float})
_ALWAYS_TOLD: Final = tuple(name for name in COLUMNS if name not in OPTIONAL)
_ALWAYS_OF: Final = attrgetter(*_ALWAYS_TOLD)
_Use = Literal["unknown", "shared", "own"]
"""Of a column: it is unknown of all events, the same of all, or each has its own value."""
_ROWS: Final = (16, 8, 4, 2, 1)
"""In a statement: as many as there are left to insert."""


def insertions(observations: Sequence[Observation], start: int) -> Iterator[tuple[str, Sequence[object]]]:
    """Statements that insert these events, one at least, and the values of each; `start` is when the schedule began.

    To bind a value takes as long as to store it, and to begin a statement as long as to store a row. So a statement
    has many rows, what isn't known of any event stands in it, and what is the same of all is bound once.
    """
    uses: list[_Use] = []
    shared: list[object] = []
    own: list[Sequence[object]] = []
    count, told = len(observations), told_of(observations)
    columns: dict[str, Sequence[Any]] = dict(
        zip(_ALWAYS_TOLD, zip(*map(_ALWAYS_OF, observations), strict=True), strict=True)
    )
    columns |= {name: list(map(_VALUE_OF[name], observations)) for name in told & _VALUE_OF.keys()}
    for stored in _STORED:
        column = columns.get(stored.name)
        if column is None or ((first := column[0]) == stored.default and column.count(first) == count):
            uses.append("unknown")
        elif stored.may_share and count >= _ROWS[0] and column[-1] == first and column.count(first) == count:
            uses.append("shared")
            shared += stored.bindable(column[:1], start)
        else:
            uses.append("own")
            own.append(stored.bindable(column, start))
    values = list(chain.from_iterable(zip(*own, strict=True)))
    width = len(own)
    used, row = tuple(uses), 0
    for rows in _ROWS:
        while count - row >= rows:
            yield _insertion(used, rows), [*shared, *values[row * width : (row + rows) * width]]
            row += rows


@lru_cache(maxsize=128)
def _insertion(uses: Sequence[_Use], rows: int) -> str:
    """A statement that inserts so many rows. The values that they share come first."""
    common, number = uses.count("shared"), 1
    places: list[str] = []
    for _ in range(rows):
        shared = 1
        row: list[str] = []
        for stored, use in zip(_STORED, uses, strict=True):
            if use == "unknown":
                row.append(stored.omitted)
            elif use == "shared":
                row.append(f"?{shared}")
                shared += 1
            else:
                row.append(f"?{common + number}")
                number += 1
        places.append(f"({', '.join(row)})")
    return f"INSERT INTO events VALUES {', '.join(places)}"


# sqlite3 looks for an adapter, which takes longer than all the rest, for whatever isn't exactly an int, a float or a
# str: for an enum, a bool and None. SQLite itself stores a NaN as NULL.


def _as_they_are(column: Sequence[Any], start: int) -> Sequence[object]:
    return column


def _numbers(column: Sequence[Any], start: int) -> Sequence[object]:
    return list(map(int, column))


def _moments(column: Sequence[Any], start: int) -> Sequence[object]:
    try:
        return [at - start for at in column]
    except TypeError:
        return [_NULL if at is None else at - start for at in column]


def _texts(column: Sequence[Any], start: int) -> Sequence[object]:
    return [_NULL if text is None else text for text in column]


def _facts(column: Sequence[Any], start: int) -> Sequence[object]:
    if _PLAIN.issuperset(map(type, column)):
        return column
    return [value if value.__class__ in _PLAIN else _NULL if value is None else _fact(value) for value in column]


def _fact(value: Any) -> object:
    """One that isn't a number; a text that says nothing isn't kept."""
    if value == "":
        return _NULL
    return value if isinstance(value, str) else int(value)


_CONVERTED: Final = {name: _moments if name.endswith("_ns") else _numbers for name in _CORE} | {
    "seq": _as_they_are, "scenario": _as_they_are, "type": _as_they_are, "key": _texts
}  # fmt: skip


class _Stored(NamedTuple):
    """A column of the events, by its name.

    default   what stands for not knowing it
    omitted   how that is stored
    may_share whether values that are equal are stored alike: 1 and 1.0 are where the column has a type
    bindable  makes values that can be bound, of a column and of when the schedule began
    """

    name: str
    default: Any
    omitted: str
    may_share: bool
    bindable: Callable[[Sequence[Any], int], Sequence[object]]


def _stored(name: str) -> _Stored:
    default = DEFAULTS.get(name)
    omitted = "0" if default in (False, 0) else "NULL"
    may_share = name != "seq" and (name in _CORE or bool(FACTS[name].column))
    return _Stored(name, default, omitted, may_share, _CONVERTED.get(name, _facts))


_STORED: Final = tuple(map(_stored, COLUMNS))
_VALUE_OF: Final = {name: attrgetter(name) for name in COLUMNS if name in OPTIONAL}


def part_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    """The rows of what each probe and each replica says of one event."""
    for number, part in enumerate(seen.parts):
        brackets = [None if at is None else at - start for at in part[3:]]
        yield (seen.seq, number, part.probe, part.replica, int(part.state), *brackets)


def try_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    """The rows of the tries of one event."""
    for number, (sent_ns, acked_ns, status) in enumerate(seen.tries):
        stamps = [None if at is None else at - start for at in (sent_ns, acked_ns)]
        yield (seen.seq, number, *stamps, status)


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
        orjson.dumps(dict(one.checks)).decode() if one.checks else _NULL,
    )


def iteration_of(row: Sequence[Any]) -> Iteration:
    """The iteration that a row tells of. Raises ValueError where its checks are no list, or no object, in JSON."""
    scenario, journey, number, user, intended_ns, started_ns, ended_ns, ended_as, step, reason, names, checks = row
    failed = () if names is None else tuple(orjson.loads(names))
    if not all(isinstance(name, str) for name in failed):
        raise ValueError(f"failed checks are {names}")
    held = {} if checks is None else orjson.loads(checks)
    if not isinstance(held, dict) or not all(isinstance(holds, bool) for holds in held.values()):
        raise ValueError(f"checks are {checks}")
    return Iteration(
        scenario, journey, number, user, intended_ns, started_ns, ended_ns, End(ended_as), step or "", reason or "",
        failed, tuple(held.items()),
    )  # fmt: skip


def round_row(one: Round, start: int) -> tuple[object, ...]:
    """The row of a round that is over."""
    lower, upper = one.settled or (None, None)
    return (
        one.scenario,
        one.number,
        one.intended_ns - start,
        _NULL if one.started_ns is None else one.started_ns - start,
        one.ended_ns - start,
        int(one.end),
        one.reason or _NULL,
        _NULL if one.contended is None else int(one.contended),
        _NULL if lower is None else lower,
        _NULL if upper is None else upper,
    )


def contender_rows(one: Round) -> Iterator[tuple[object, ...]]:
    """The rows of what became of its contenders."""
    for place, (name, tally) in enumerate(one.tallies.items()):
        yield (one.scenario, one.number, place, name, *(getattr(tally, what) for what in TALLIES))


def rule_rows(one: Round) -> Iterator[tuple[object, ...]]:
    """The rows of what became of its rules."""
    for place, rule in enumerate(one.rules):
        yield (one.scenario, one.number, place, rule.rule, rule.kind, int(rule.held), rule.told or _NULL)


def round_of(row: Sequence[Any], contenders: Sequence[Sequence[Any]], rules: Sequence[Sequence[Any]]) -> Round:
    """The round that a row tells of, with the rows of its contenders and rules, in order and from `contender` and
    `rule` on. Raises ValueError where a rule is of no kind that there is."""
    scenario, number, intended_ns, started_ns, ended_ns, end, reason, contended, lower, upper = row
    for _, kind, *_ in rules:
        if kind not in get_args(RuleKind):
            raise ValueError(f"a rule is of kind {kind!r}")
    return Round(
        scenario, number, intended_ns, started_ns, ended_ns, RoundEnd(end), reason or "",
        {name: Tally(*counts) for name, *counts in contenders},
        tuple(RuleResult(name, kind, Held(held), told or "") for name, kind, held, told in rules),
        None if contended is None else bool(contended),
        None if lower is None else (lower, upper),
    )  # fmt: skip


def observation_of(
    columns: Sequence[str], row: Sequence[Any], parts: tuple[Part, ...], tries: tuple[Try, ...] = ()
) -> Observation:
    """The event that a row, of some columns, tells of."""
    values = dict(zip(columns, row, strict=True))
    values["state"] = State(values["state"])
    values["sampled"] = bool(values["sampled"])
    for name, loaded, default in _TO_LOAD:
        value = values.get(name)
        values[name] = default if value is None else value if loaded is None else loaded(value)
    if tries:
        values["tries"] = tries
    return Observation(**values, parts=parts)
