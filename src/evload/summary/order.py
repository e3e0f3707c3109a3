"""Counts the events of each key that were applied out of order.

The definition is that of RFC 4737 section 3.3, taken from packets to applications: an event is out of order
if one that was sent after it, with the same key, was applied before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple


class _Applied(NamedTuple):
    position: float
    horizon: int
    """How many events of the key had been sent when this one was settled."""


class _Line:
    """The events of one key, in the order in which they were sent."""

    __slots__ = ("candidates", "released", "sent", "settled", "waiting")

    def __init__(self) -> None:
        self.sent = 0
        self.released = 0
        self.waiting: deque[int] = deque()
        """Sequence numbers not released yet."""
        self.settled: dict[int, tuple[float | None, int]] = {}
        """Sequence number to position and horizon, of those that wait for an earlier one."""
        self.candidates: deque[_Applied] = deque()
        """Released, in order so far; positions ascend from the left."""


class OrderCounter:
    """Finds out-of-order events while memory follows what is outstanding, not the length of the run.

    Events are released in the order they were sent, once all before them are settled. A released event
    turns the earlier ones with a higher position into out-of-order ones, each of which is counted once. An
    event that is settled was seen, and what is sent after it was seen can't have been applied before it:
    it is dropped when all that had been sent by then is released. A key with nothing outstanding is forgotten.
    """

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    def sent(self, key: Hashable, seq: int) -> None:
        """Event `seq` goes out. Called in the order of sending."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        line.sent += 1
        line.waiting.append(seq)

    def settled(self, key: Hashable, seq: int, position: float | None) -> int:
        """Event `seq` was applied at `position`, or nothing is known of it (None).

        Returns how many events turn out to be out of order by this. Each event that was sent has to be
        settled once, or those after it wait for it for ever. Raises KeyError for a key with nothing outstanding.
        """
        line = self._lines[key]
        line.settled[seq] = (position, line.sent)
        found = 0
        candidates = line.candidates
        while line.waiting and line.waiting[0] in line.settled:
            position, horizon = line.settled.pop(line.waiting.popleft())
            line.released += 1
            if position is None:
                continue
            while candidates and candidates[-1].position > position:
                candidates.pop()
                found += 1
            candidates.append(_Applied(position, horizon))
        while candidates and candidates[0].horizon <= line.released:
            candidates.popleft()
        if not line.waiting:
            del self._lines[key]
        return found
