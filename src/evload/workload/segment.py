"""Splits a schedule among several senders, by the keys of the events.

Each event belongs to exactly one segment, whoever asks and in whatever order, so that the segments together are the
whole schedule: the same events with the same ids and contents, due at the same times. What has one key stays
together, because order, staleness and effects are judged for each key.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from zlib import crc32


class Segment(NamedTuple):
    """Part `number` (from 0) of so many."""

    number: int = 0
    of: int = 1

    def has(self, event: int, key: str | None) -> bool:
        """Whether an event belongs to it: by its key, or by its number in its scenario (from 0) if it has none."""
        drawn = event if key is None else crc32(key.encode())
        return drawn % self.of == self.number


WHOLE: Final = Segment()
"""All of a schedule."""
