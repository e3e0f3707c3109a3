"""Settled events as columns: an array of integers for each of what an `Observation` holds.

Imports numpy, and is itself imported only where a ledger is read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..model.facts import DEFAULTS, FACTS
from ..model.states import State
from ..model.travel import Observation
from ..stats.columns import NONE, Flags, Ints
from .recorder import COUNTED

NUMBERS: Final = (
    "seq", "scenario", "type", "state", "intended_ns", "sent_ns", "acked_ns", "sampled", "first_lower_ns",
    "first_upper_ns", "stable_lower_ns", "stable_upper_ns", "settled_ns",
    "own_delay", *(one.name for one in COUNTED if one.name != "position"),
)  # fmt: skip
"""What the fold looks at and is a number, or stands for one. Of a position it looks at whether there is one: 0."""


class Columns:
    """Settled events of one scenario. In an array NONE stands for None, and for a text its place in `texts`.

    Columns that nobody gave hold what stands for not knowing a fact. What is made of a part of the events takes time
    only for the columns that are asked for.
    """

    __slots__ = ("_given", "_of", "_rows", "count", "texts")

    def __init__(
        self,
        count: int,
        given: Mapping[str, Ints],
        texts: Mapping[str, Sequence[str]] | None = None,
        of: tuple[Columns, Ints | Flags | None] | None = None,
    ) -> None:
        self.count = count
        self.texts: Mapping[str, Sequence[str]] = texts or {}
        """Of each column of texts those that are there."""
        self._given = dict(given)
        self._of: Columns | None = None
        self._rows: Ints | Flags | None = None
        if of is not None:
            self._of, self._rows = of

    def __getitem__(self, name: str) -> Ints:
        found = self._given.get(name)
        if found is None:
            if self._of is None:
                found = np.full(self.count, _unknown(name), dtype=np.int64)
            else:
                found = self._of[name] if self._rows is None else self._of[name][self._rows]
            self._given[name] = found
        return found

    def where(self, rows: Flags | Ints) -> Columns:
        """Some of them: those with a flag, or those at these places."""
        flags = rows.dtype == np.bool_
        count = int(np.count_nonzero(rows)) if flags else len(rows)
        if flags and count == self.count:
            return self
        return Columns(count, {}, self.texts, (self, rows))

    def beside(self, more: Mapping[str, Ints], texts: Mapping[str, Sequence[str]] | None = None) -> Columns:
        """The same events with more columns, or with others in their place."""
        return Columns(self.count, more, {**self.texts, **(texts or {})}, (self, None))

    @property
    def published_ns(self) -> Ints:
        """When each was sent or, where nobody knows that, due."""
        return either(self["sent_ns"], self["intended_ns"])

    def tried(self) -> Iterator[tuple[list[int], Flags]]:
        """What tries before the last were answered, and of which events; of each way in which that went."""
        codes = self["tries"]
        for code in np.unique(codes[codes != NONE]).tolist():
            yield [int(status) for status in self.texts["tries"][code].split()], codes == code

    def observations(self, places: Ints, names: Sequence[str] = NUMBERS) -> list[Observation]:
        """The events at some places, each by itself: what some columns have of it, none of texts among them."""
        columns = [[_value(name, number) for number in self[name][places].tolist()] for name in names]
        return [Observation(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def some(events: Columns, parts: Columns | None, rows: Flags) -> tuple[Columns, Columns | None]:
    """Some of the events, and what is said of these: `place` is that of the event among them."""
    if parts is None:
        return events.where(rows), None
    own = parts.where(rows[parts["place"]])
    return events.where(rows), own.beside({"place": (np.cumsum(rows) - 1)[own["place"]]})


def either(first: Ints, second: Ints) -> Ints:
    """At each place the first, or the second where that is NONE."""
    return np.where(first == NONE, second, first)


def _value(name: str, number: int) -> Any:
    if number == NONE:
        return None
    if name == "state":
        return State(number)
    if name == "sampled":
        return bool(number)
    return fact_of(name, number) if name in FACTS else number


def fact_of(name: str, number: int) -> Any:
    """The value of a fact that is known, by the number in its column."""
    load = FACTS[name].loaded
    return number if load is None else load(number)


def _unknown(name: str) -> int:
    default = DEFAULTS.get(name)
    return int(default) if isinstance(default, int) else NONE
