"""What a probe's reads of one event tell beside whether it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.facts import DEFAULTS, joined
from ..model.travel import Observation, Read


class Particulars:
    """The names are those of `Read`: most effects, last position, first complete stamps, all facts together."""

    __slots__ = ("consumed_at", "effects", "facts", "position", "processed_at")

    def __init__(self) -> None:
        self.effects: int | None = None
        self.position: float | str | None = None
        self.consumed_at: int | None = None
        self.processed_at: int | None = None
        self.facts: dict[str, Any] | None = None
        """By the names of `EventFacts`."""

    def take(self, read: Read) -> None:
        """Note what a read that was answered tells."""
        if read.effects is not None and (self.effects is None or read.effects > self.effects):
            self.effects = read.effects
        if read.position is not None:
            self.position = read.position
        if read.facts:
            self.learn(read.facts)
        if self.processed_at is None:
            self.consumed_at, self.processed_at = read.consumed_at, read.processed_at

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Note facts."""
        known = self.facts = self.facts or {}
        for name, value in facts.items():
            known[name] = joined(name, known.get(name, DEFAULTS[name]), value)

    def has(self, read: Read) -> bool:
        """Whether to take a read would change nothing, also for sure where facts are joined."""
        return (
            (read.effects is None or (self.effects is not None and read.effects <= self.effects))
            and (read.position is None or read.position == self.position)
            and (self.processed_at is not None or (read.consumed_at, read.processed_at) == (self.consumed_at, None))
            and not read.facts
        )

    def tell(self, seen: Observation) -> None:
        """Add it to what is told of the event, by its other probes before."""
        if self.effects is not None and (seen.effects is None or self.effects > seen.effects):
            seen.effects = self.effects
        if self.facts is not None:
            for name, value in self.facts.items():
                setattr(seen, name, joined(name, getattr(seen, name), value))
        if self.position is not None and seen.position is None:
            seen.position = self.position
        if seen.processed_at is None and (self.processed_at is not None or self.consumed_at != seen.consumed_at):
            seen.consumed_at, seen.processed_at = self.consumed_at, self.processed_at
