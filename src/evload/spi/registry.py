"""Finds adapters by kind through entry points, and imports only those that a config names."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

Group = Literal["evload.producers", "evload.probes", "evload.gauges", "evload.sinks"]


class UnknownKind(LookupError):
    """No adapter of that kind is installed. The text says what is wrong and what would be right."""


def kinds(group: Group) -> dict[str, EntryPoint]:
    """All installed kinds of a group by name, nothing imported."""
    return {point.name: point for point in entry_points(group=group)}


def load(group: Group, kind: str) -> type[Any]:
    """The settings model of one kind. Raises UnknownKind."""
    known = kinds(group)
    if kind not in known:
        close = difflib.get_close_matches(kind, known, n=1)
        cure = f"did you mean {close[0]!r}?" if close else f"installed kinds: {', '.join(sorted(known)) or 'none'}"
        raise UnknownKind(f"unknown kind {kind!r}; {cure}")
    model: type[Any] = known[kind].load()
    return model
