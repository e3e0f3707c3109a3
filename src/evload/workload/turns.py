"""Keeps the order of each key: one event of a key is on its way at a time, and the next one waits for its answer."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from ..model.travel import Event


class Turn(NamedTuple):
    """An event that need not wait any longer. `waited_ns` is how long it did."""

    event: Event
    waited_ns: int


class Turns:
    """The turns of the events that one producer is to send, whatever scenario they are of.

    Of the events of a key that wait the one that is due first is next. Those without a key don't wait. Memory follows
    what waits or is on its way: nothing is kept of a key with no such event.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[int, int, int, Event]]] = {}
        """By the key of each event that is on its way, those that wait for it: a heap of (intended, seq, since when
        it waits, event)."""
        self._key_of: dict[int, str] = {}
        """By the number of each event that is on its way."""

    def join(self, events: Iterable[Event], now_ns: int) -> list[Event]:
        """Events are due: those that can be sent at once, in their order. The others wait from now on."""
        free = []
        for event in events:
            key = event.key
            if key is None:
                free.append(event)
            elif (line := self._lines.get(key)) is None:
                self._lines[key] = []
                self._key_of[event.seq] = key
                free.append(event)
            else:
                heappush(line, (event.intended_ns, event.seq, now_ns, event))
        return free

    def answered(self, seq: int, now_ns: int) -> Turn | None:
        """It is known what became of an event, or that it won't be sent: whose turn it is now, if somebody waits.

        What isn't on its way has no answer that anybody waits for.
        """
        key = self._key_of.pop(seq, None)
        if key is None:
            return None
        line = self._lines[key]
        if not line:
            del self._lines[key]
            return None
        *_, since_ns, event = heappop(line)
        self._key_of[event.seq] = key
        return Turn(event, now_ns - since_ns)

    def leave(self, scenario: int, now_ns: int) -> list[Turn]:
        """All events of a scenario that still wait, in the order in which they are due: they don't any more."""
        left = []
        for key, line in self._lines.items():
            if own := [entry for entry in line if entry[-1].scenario == scenario]:
                left += own
                others = [entry for entry in line if entry[-1].scenario != scenario]
                heapify(others)
                self._lines[key] = others
        return [Turn(event, now_ns - since_ns) for *_, since_ns, event in sorted(left, key=lambda entry: entry[:2])]
