"""Whether a ledger holds what a run writes: looked at before a report is made of a file that somebody hands us.

SQLite finds pages that are broken. A row in which a number is a text, or leads to a scenario that there isn't, would
only be noticed where a fold stumbles over it, or nowhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, NamedTuple

from ..model.states import Seen, State
from .reader import LedgerReader
from .schema import SCHEMA

_FURTHEST_NS: Final = 1 << 61
"""73 years: no time of a run is so far from its start, and sums of some of them fit into 64 bits."""
_KINDS: Final[Mapping[str, str]] = {
    "INTEGER": "typeof({name}) = 'integer' AND {name} BETWEEN {low} AND {high}",
    "REAL": "typeof({name}) IN ('real', 'integer')",
    "TEXT": "typeof({name}) = 'text'",
    "": "typeof({name}) IN ('real', 'integer', 'text')",
}
"""What a column of each type holds, in SQL."""


class _Column(NamedTuple):
    """One of the schema: its type, and whether it always holds something."""

    kind: str
    required: bool


def check(reader: LedgerReader) -> None:
    """Raises UsageError for the first thing that no run writes, KeyError and the like where something is missing.

    One pass over each table, in SQLite alone: a twentieth of what the fold takes.
    """
    meta = reader.meta
    among = {
        "seq": (0, _FURTHEST_NS),
        "scenario": (0, len(meta["plan"]) - 1),
        "type": (0, len(meta["events"]) - 1),
        "probe": (-1, len(meta["probes"]) - 1),
        "state": (min(State), max(State)),
        "session": (min(Seen), max(Seen)),
        "sampled": (0, 1),
    }
    if not meta["plan"]:
        raise reader.damaged("its plan has no scenario")
    for table, columns in _schema().items():
        if table == "events":
            columns = {name: columns[name] for name in reader.columns}  # an older format has fewer
        if table != "reads" or meta["format"] > 2:
            _check_table(reader, table, columns, among)


def _schema() -> dict[str, dict[str, _Column]]:
    """The tables that a run fills, and their columns."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return {
            table: {
                name: _Column(kind, bool(not_null or key))
                for _, name, kind, not_null, _, key in db.execute(f"PRAGMA table_info({table})")
            }
            for table in ("events", "parts", "samples", "reads", "vitals")
        }


def _check_table(
    reader: LedgerReader, table: str, columns: Mapping[str, _Column], among: Mapping[str, tuple[int, int]]
) -> None:
    rules = {name: _rule(name, column, among) for name, column in columns.items()}
    sound = " AND ".join(rules.values())
    for row in reader.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE NOT ({sound}) LIMIT 1"):
        for name, value in zip(columns, row, strict=True):
            ((holds,),) = reader.rows(f"SELECT {rules[name]} FROM (SELECT ? AS {name})", (value,))
            if not holds:
                raise reader.damaged(f"in {table}, {name} is {_shown(value)}")


def _rule(name: str, column: _Column, among: Mapping[str, tuple[int, int]]) -> str:
    # A probe is a number in one table, and a name in another.
    low, high = among.get(name, (-_FURTHEST_NS, _FURTHEST_NS))
    rule = _KINDS[column.kind].format(name=name, low=low, high=high)
    return f"({rule})" if column.required else f"({name} IS NULL OR {rule})"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
