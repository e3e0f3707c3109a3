"""Tags: what the answers about an event say that it is, such as `cold` or `region=eu`.

All tags of an event are one text, a line for each name that an answer was asked about. `NAME=` alone says that it was
answered and is none: that tells such an event from one that nobody answered, which may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..texts import printable

MOST: Final = 8
"""Most tags of a run that are told apart, values of all names together."""
OTHER: Final = "other"
"""Stands for the values beyond."""
_LONGEST: Final = 60
_CACHED: Final = 1000


def tag_of(name: str, value: Any) -> str:
    """The line of one name by what an answer gave: the name itself for true, `NAME=VALUE` for a text or a number."""
    if value is True:
        return name
    if isinstance(value, str | int | float) and value is not False:
        return f"{name}={' '.join(printable(str(value)).split())[:_LONGEST]}"
    return f"{name}="


def name_of(tag: str) -> str:
    """The name of a tag."""
    return tag.partition("=")[0]


def unanswered(tag: str) -> str:
    """What stands for the events of which nobody knows whether they have a tag of that name."""
    return f"{name_of(tag)}?"


def is_unanswered(tag: str) -> bool:
    """Whether it stands for those."""
    return tag.endswith("?") and "=" not in tag


def tags_of(text: str) -> list[str]:
    """The tags that an event has."""
    return [line for line in text.split("\n") if line and not line.endswith("=")]


def names_in(text: str) -> set[str]:
    """The names that an answer told of, whether or not the event has such a tag."""
    return {name_of(line) for line in text.split("\n") if line}


def together(known: str, more: str) -> str:
    """What several answers say: of each name the first that gave it a value."""
    if not known or not more or known == more:
        return known or more
    by_name: dict[str, str] = {}
    for line in (*known.split("\n"), *more.split("\n")):
        name = name_of(line)
        if by_name.get(name, f"{name}=") == f"{name}=":
            by_name[name] = line
    return "\n".join(by_name[name] for name in sorted(by_name))


class KnownTags:
    """The tags of a run that are told apart: those that are `asked` for, and the first of the others."""

    def __init__(self, asked: Iterable[str] = ()) -> None:
        self._known = set(asked)
        self._made: dict[str, str] = {}

    def capped(self, text: str) -> str:
        """The tags of an event, `NAME=other` in the place of those beyond."""
        made = self._made.get(text)
        if made is None:
            if len(self._made) >= _CACHED:
                self._made.clear()
            made = self._made[text] = "\n".join(self._one(line) for line in text.split("\n"))
        return made

    def _one(self, line: str) -> str:
        if line in self._known or line.endswith("="):
            return line
        if len(self._known) < MOST:
            self._known.add(line)
            return line
        return f"{name_of(line)}={OTHER}"
