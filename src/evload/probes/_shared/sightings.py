"""How many effects of which events were seen lately. No I/O."""

from __future__ import annotations


class Sightings:
    """Effects by event. What nothing was noted of for longer than `memory_ns` is forgotten, sooner or later."""

    def __init__(self, memory_ns: int) -> None:
        self._memory_ns = memory_ns
        self._recent: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._turned_ns: int | None = None

    def get(self, seq: int) -> int | None:
        """Effects noted of an event, None if it isn't remembered."""
        effects = self._recent.get(seq)
        return self._older.get(seq) if effects is None else effects

    def note(self, seq: int, effects: int, now_ns: int) -> None:
        """Remember so many effects of an event from now on."""
        if self._turned_ns is None:
            self._turned_ns = now_ns
        elif now_ns - self._turned_ns > self._memory_ns:
            self._older, self._recent = self._recent, {}
            self._turned_ns = now_ns
        self._recent[seq] = effects
