"""Whether a ledger holds what a run writes: looked at before a report is made of a file that somebody hands us.

SQLite finds pages that are broken. A row in which a number is a text, or leads to a scenario that there isn't, would
only be noticed where a fold stumbles over it, or nowhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Annotated, Any, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..model.facts import NEVER_CAME
from ..model.iteration import End
from ..model.round import TALLIES, Held, RoundEnd
from ..model.states import Seen, State
from ..model.vitals import Vitals
from ..objectives.scenario import ScenarioCriteria
from ..summary.fold_plan import ScenarioPlan
from ..units import format_duration
from .reader import LedgerReader
from .schema import SCHEMA

_FURTHEST_NS: Final = 1 << 61
"""73 years: no time of a run is so far from its start, and sums of some of them fit into 64 bits."""
_ANY_INTEGER: Final = (-(1 << 63), (1 << 63) - 1)
"""Stamps come from others' clocks, in the year 2200 too."""
_MOST_TEXT: Final = 1_000_000
_LONGEST: Final = 60
_MOST_STEPS: Final = 20_000_000
_KINDS: Final[Mapping[str, str]] = {
    "INTEGER": "typeof({name}) = 'integer' AND {name} BETWEEN {low} AND {high}",
    "REAL": "typeof({name}) IN ('real', 'integer')",
    # SQLite refuses to look at a text that is too big, also one that no fold would look at.
    "TEXT": "typeof({name}) = 'text' AND length({name}) < {most}",
    "": "typeof({name}) IN ('real', 'integer', 'text')",
}
"""What a column of each type holds, in SQL."""


class _Column(NamedTuple):
    """One of the schema: its type, and whether it always holds something."""

    kind: str
    required: bool


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True)


class _Gauge(_Model):
    metrics: list[str]
    scenarios: list[str]


class _Terms(_Model):
    deadlines_ns: dict[str, int]
    scenarios: dict[str, ScenarioCriteria]
    max_reads: dict[str, float | None]


class _Part(_Model):
    scenarios: list[str]
    not_asked: list[str]


class _Circumstances(_Model):
    labels: dict[str, str]
    params: dict[str, str]
    profiles: list[str]
    part: _Part | None


class _Meta(_Model):
    """What a ledger says of its run, as far as others rely on it."""

    plan: Annotated[list[ScenarioPlan], Field(min_length=1)]
    run_id: str
    name: str
    started_at: str
    began_at: str | None = None
    events: list[str]
    probes: list[str]
    journeys: list[str] = []
    stages: list[tuple[str, int, int, str]]
    segment: tuple[int, int] = (0, 1)
    gauges: dict[str, _Gauge]
    terms: _Terms
    circumstances: _Circumstances | None = None


class _Note(_Model):
    scheduled: list[Annotated[int, Field(ge=0, le=_FURTHEST_NS)]]
    warmup: list[Annotated[int, Field(ge=0, le=_FURTHEST_NS)]] = []
    vitals: Vitals
    final: bool


def check(reader: LedgerReader) -> None:
    """Raises UsageError for the first thing that no run writes.

    One pass over each table, in SQLite alone: a twentieth of what the fold takes.
    """
    meta = reader.meta
    _check_document(reader, _Meta, meta)
    among = {
        "seq": (0, _FURTHEST_NS),
        "scenario": (0, len(meta["plan"]) - 1),
        "type": (0, len(meta["events"]) - 1),
        "probe": (-1, len(meta["probes"]) - 1),
        "state": (min(State), max(State)),
        "session": (Seen.ABSENT, Seen.FAILED),
        "sampled": (0, 1),
        "took_ns": (0, _FURTHEST_NS),
        "answered": (0, 1),
        "lasting": (0, 1),
        "requests": (1, _FURTHEST_NS),
        "events": (0, _FURTHEST_NS),
        "warmup": (0, _FURTHEST_NS),
        "first_byte": (NEVER_CAME, _FURTHEST_NS),
        "bytes_out": (0, _FURTHEST_NS),
        "bytes_in": (0, _FURTHEST_NS),
        "consumed_at": _ANY_INTEGER,
        "processed_at": _ANY_INTEGER,
        "iteration": (0, _FURTHEST_NS),
        "answer": (1, 3),
        "appeared": (0, 2),
        "gone": (0, 2),
        "journey": (0, len(meta.get("journeys", ())) - 1),
        "number": (0, _FURTHEST_NS),
        "user": (0, _FURTHEST_NS),
        "ended_as": (min(End), max(End)),
        "round_end": (min(RoundEnd), max(RoundEnd)),
        "contended": (0, 1),
        "settled_lower": (0, _FURTHEST_NS),
        "settled_upper": (0, _FURTHEST_NS),
        "held": (min(Held), max(Held)),
        **dict.fromkeys(TALLIES, (0, _FURTHEST_NS)),
    }
    for table, columns in _schema().items():
        if table == "events":
            columns = {name: columns[name] for name in reader.columns}  # an older format has fewer
        elif table == "iterations":
            there = reader.columns_of(table)
            columns = {name: column for name, column in columns.items() if name in there}
        if table in reader.tables and (table != "reads" or meta["format"] > 2):
            _check_table(reader, table, columns, among)
    _check_steps(reader)
    if (note := reader.last_note()) is not None:
        _check_document(reader, _Note, note)
        _check_endings(reader, note["vitals"].get("endings", ()))


def _check_document(reader: LedgerReader, kind: type[BaseModel], document: Any) -> None:
    try:
        kind.model_validate_json(orjson.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        *around, last = first["loc"] or ("it",)
        if first["type"] == "missing":
            raise reader.damaged(f"no {last!r}") from error
        raise reader.damaged(f"{'.'.join(map(str, (*around, last)))}: {first['msg']}") from error


def _check_endings(reader: LedgerReader, endings: Sequence[Mapping[str, Any]]) -> None:
    """A phase that ended early did so while it went on: what comes after it moves by the rest."""
    for one in endings:
        at_ns = one["due_ns"] if one.get("at_ns") is None else one["at_ns"]
        if not 0 <= one["start_ns"] <= at_ns <= one["due_ns"] <= _FURTHEST_NS:
            what = f"a phase from {one['start_ns']} to {one['due_ns']} ns can't end early at {at_ns} ns"
            raise reader.damaged(what)


def _check_steps(reader: LedgerReader) -> None:
    """What is counted in steps of time takes memory for each of them."""
    counted = [part["counted"] for plan in reader.meta["plan"] for part in (plan, *plan["slices"])]
    steps = [about[-1] for one in counted for about in (*one["steps"], *one["counter_steps"])]
    steps += [
        plan[name] for plan in reader.meta["plan"] for name in ("arrival_step_ns", "flow_step_ns") if plan[name]
    ]
    ((last,),) = reader.rows("SELECT max(settled_ns) FROM events")
    last_ns = last or 0
    for table in ("iterations", "rounds"):
        if table in reader.tables:
            ((due,),) = reader.rows(f"SELECT max(intended_ns) FROM {table}")
            last_ns = max(last_ns, due or 0)
    if steps and (min(steps) <= 0 or last_ns // min(steps) > _MOST_STEPS):
        raise reader.damaged(f"a run of {format_duration(last_ns)} isn't counted in steps of {min(steps)} ns")


def _schema() -> dict[str, dict[str, _Column]]:
    """The tables that a run fills, and their columns."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return {
            table: {
                name: _Column(kind, bool(not_null or key))
                for _, name, kind, not_null, _, key in db.execute(f"PRAGMA table_info({table})")
            }
            for table in (
                "events",
                "parts",
                "scheduled",
                "samples",
                "reads",
                "read_times",
                "markers",
                "vitals",
                "iterations",
                "tries",
                "rounds",
                "round_contenders",
                "round_rules",
            )
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
    rule = _KINDS[column.kind].format(name=name, low=low, high=high, most=_MOST_TEXT)
    return f"({rule})" if column.required else f"({name} IS NULL OR {rule})"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
