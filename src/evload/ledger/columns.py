"""Reads the events of a ledger as columns, so many at a time that memory doesn't follow the length of the run.

Imports numpy, and is itself imported only where a ledger is read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np

from ..model.states import State
from ..stats.columns import NONE, Ints
from ..summary.columns import NUMBERS, Columns, some
from ..summary.order import Placed
from .reader import LedgerReader

_PORTION: Final = 25_000
"""Events at a time."""
_PARTS_EACH: Final = 4
"""Where events have parts, so many are reckoned for each."""
_OF_A_PART: Final = (
    "seq", "probe", "state", "first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns",
)  # fmt: skip
_PARTS: Final = (
    f"SELECT {', '.join(f'ifnull({name}, {NONE})' for name in _OF_A_PART)}, replica FROM parts"
    " WHERE seq BETWEEN ? AND ? ORDER BY seq, number"
)
_PLACED: Final = (
    "SELECT key, seq, type, intended_ns, coalesce(sent_ns, intended_ns), acked_ns, position, settled_ns, {tags}"
    " FROM events WHERE scenario = ? AND key IS NOT NULL ORDER BY seq"
)


_STAMPED: Final = (
    "scenario", "intended_ns", "sent_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns", "settled_ns",
)  # fmt: skip
_STAMPS: Final = ("consumed_at", "processed_at")


class Portion(NamedTuple):
    """Settled events of one scenario that follow one another, and what their probes and replicas say."""

    scenario: int
    events: Columns
    parts: Columns | None


def portions(reader: LedgerReader, *, keys: bool) -> Iterator[Portion]:
    """All settled events, those of each scenario in the order of its schedule; with their `keys` if these are asked
    for. Raises UsageError where the file is damaged."""
    numbers = [name for name in NUMBERS if name in reader.columns]
    texts = [name for name, wanted in (("key", keys), ("tags", True)) if wanted and _is_any(reader, name)]
    chosen = [f"ifnull({name}, {NONE})" for name in numbers]
    if "position" in reader.columns:
        numbers.append("position")
        chosen.append(f"CASE WHEN position IS NULL THEN {NONE} ELSE 0 END")
    has_parts = next(reader.rows("SELECT 1 FROM parts LIMIT 1"), None) is not None
    has_tries = "tries" in reader.tables and next(reader.rows("SELECT 1 FROM tries LIMIT 1"), None) is not None
    size = max(1, _PORTION // _PARTS_EACH) if has_parts else _PORTION
    for rows in reader.portions(f"SELECT {', '.join((*chosen, *texts))} FROM events ORDER BY seq", size):
        events = _columns(rows, numbers, texts)
        if has_tries:
            events = _with_tries(reader, events)
        parts = _parts(reader, events) if has_parts else None
        for scenario in np.unique(events["scenario"]).tolist():
            yield Portion(scenario, *some(events, parts, events["scenario"] == scenario))


def placed(reader: LedgerReader, scenario: int) -> Iterator[tuple[str, Placed]]:
    """The events of a scenario that share a key with others, each with it, in the order of the schedule; none where
    no position of any is known. Raises UsageError where the file is damaged."""
    if "position" not in reader.columns or not _is_any(reader, "position"):
        return
    shared = _shared_keys(reader, scenario)
    query = _PLACED.format(tags="ifnull(tags, '')" if "tags" in reader.columns else "''")
    for rows in reader.portions(query, _PORTION, (scenario,)) if len(shared) else ():
        hashes = _hashes(rows)
        known = shared[np.minimum(np.searchsorted(shared, hashes), len(shared) - 1)] == hashes
        for place in np.flatnonzero(known).tolist():
            key, *event = rows[place]
            yield key, Placed(*event)


def _shared_keys(reader: LedgerReader, scenario: int) -> Ints:
    """The hashes of the keys that several events of a scenario have: eight bytes a key, so that memory doesn't follow
    how long they are. One that two keys have does no harm."""
    query = "SELECT key FROM events WHERE scenario = ? AND key IS NOT NULL"
    found = [_hashes(rows) for rows in reader.portions(query, _PORTION, (scenario,))]
    hashes = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    del found
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _hashes(rows: Sequence[Sequence[Any]]) -> Ints:
    """Of the first of each row."""
    return np.fromiter((hash(row[0]) for row in rows), dtype=np.int64, count=len(rows))


def stamped(reader: LedgerReader) -> Iterator[Columns]:
    """The events that the system put stamps on and that were seen, in the order in which they were settled. Raises
    UsageError where the file is damaged."""
    condition = (
        "(consumed_at IS NOT NULL OR processed_at IS NOT NULL) AND first_upper_ns IS NOT NULL"
        f" AND acked_ns IS NOT NULL AND sampled = 1 AND state >= {State.VISIBLE.value}"
    )
    chosen = [f"ifnull({name}, {NONE})" for name in _STAMPED]
    # A stamp may be any integer, that which stands for none too.
    chosen += [f"ifnull(max({name}, {NONE + 1}), {NONE})" for name in _STAMPS]
    query = f"SELECT {', '.join(chosen)} FROM events WHERE {condition} ORDER BY settled_ns, seq"
    for rows in reader.portions(query, _PORTION):
        yield _columns(rows, (*_STAMPED, *_STAMPS), ())


def _is_any(reader: LedgerReader, name: str) -> bool:
    """Whether any event has something in a column."""
    if name not in reader.columns:
        return False
    return next(reader.rows(f"SELECT 1 FROM events WHERE {name} IS NOT NULL LIMIT 1"), None) is not None


def _parts(reader: LedgerReader, events: Columns) -> Columns | None:
    """What probes and replicas say of these events."""
    numbers = events["seq"]
    told = list(reader.portions(_PARTS, _PORTION, (int(numbers[0]), int(numbers[-1]))))
    if not told:
        return None
    parts = _columns(list(chain.from_iterable(told)), _OF_A_PART, ["replica"])
    places = np.searchsorted(numbers, parts["seq"])
    # What is said of an event that isn't there is left out.
    known = numbers[np.minimum(places, len(numbers) - 1)] == parts["seq"]
    return parts.beside({"place": places}).where(known)


def _with_tries(reader: LedgerReader, events: Columns) -> Columns:
    """The events, with a column of what the tries before the last of each were answered: few differ in that."""
    numbers = events["seq"]
    told = dict(reader.earlier_tries(int(numbers[0]), int(numbers[-1])))
    codes, texts = _coded([" ".join(map(str, told[seq])) if seq in told else None for seq in numbers.tolist()])
    return events.beside({"tries": codes}, {"tries": texts})


def _columns(rows: Sequence[Sequence[Any]], numbers: Sequence[str], texts: Sequence[str]) -> Columns:
    """Rows as columns: first the numbers, then the texts."""
    if not texts:
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * len(numbers))
        table = np.ascontiguousarray(flat.reshape(len(rows), len(numbers)).T)
        return Columns(len(rows), dict(zip(numbers, table, strict=True)))
    columns = list(zip(*rows, strict=True))
    given = {
        name: np.fromiter(column, dtype=np.int64, count=len(rows))
        for name, column in zip(numbers, columns, strict=False)
    }
    known: dict[str, Sequence[str]] = {}
    for name, column in zip(texts, columns[len(numbers) :], strict=True):
        given[name], known[name] = _coded(column)
    return Columns(len(rows), given, known)


def _coded(texts: Sequence[str | None]) -> tuple[Ints, Sequence[str]]:
    """The place of each text among those that are there, and these."""
    codes: dict[str | None, int] = {None: NONE}
    found: list[str] = []
    for text in dict.fromkeys(texts):
        if text is not None:
            codes[text] = len(found)
            found.append(text)
    return np.fromiter((codes[text] for text in texts), dtype=np.int64, count=len(texts)), found
