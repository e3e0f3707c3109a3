"""Counts the events of each key that were applied out of order, and those between which no order was owed.

Order is owed between two events of one key if the one was acked before the other was sent: real-time order, as
linearizability has it. An event is out of order if one that was sent after its ack was applied before it; that is
RFC 4737 section 3.3, taken from packets to applications. Sends that overlapped are concurrent, and either order of
them is right.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import deque
from collections.abc import Hashable
from typing import Any, Final, Literal, NamedTuple

Position = int | float | str
Kind = Literal["out_of_order", "order_unknown", "order"]

_PRUNE: Final = 64
"""So many candidates are kept before those that have been seen are looked for."""


class Placed(NamedTuple):
    """One settled event of a key. Times in nanoseconds.

    type         index of its event in the plan
    intended_ns  when it was due: it was not sent before that
    acked_ns     None: nobody knows whether it was
    settled_ns   it had been seen by then, and what was sent later can't have been applied before it
    """

    seq: int
    type: int
    intended_ns: int
    sent_ns: int
    acked_ns: int | None
    position: Position | None
    settled_ns: int
    tags: str = ""


class Found(NamedTuple):
    """What was found of an event: it is out of order; it was sent beside another; its order was owed."""

    kind: Kind
    event: Placed


class _Line:
    """The events of one key."""

    __slots__ = ("acked", "limit", "on_the_way", "open", "settled", "textual", "waiting")

    def __init__(self) -> None:
        self.open: deque[tuple[int, int]] = deque()
        """(intended, seq) of the events that are not settled, and of settled ones behind such, in order."""
        self.settled: set[int] = set()
        """Of these, the settled ones."""
        self.waiting: list[tuple[int, int, Placed]] = []
        """(sent, seq, event) of settled events before which another may turn out to have been sent: a heap."""
        self.on_the_way: list[tuple[int, int, Placed]] = []
        """(acked, seq, event) of those that were not acked when the last one was sent: a heap."""
        self.acked: list[tuple[Any, int, Placed]] = []
        """(position, seq, event) of those that were, in order of position, none of them out of order so far."""
        self.limit = _PRUNE
        self.textual: bool | None = None
        """Its positions are texts; None: none is known yet. What is of the other kind can't be compared with them."""


class OrderCounter:
    """Finds out-of-order events while memory follows what is outstanding, not the length of the run.

    The events of a key are looked at in the order in which they were sent: a settled one waits until nothing can turn
    up any more that was sent before it. What had been seen when another was sent is forgotten, and so is a key with
    nothing outstanding; neither changes what is found.
    """

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    def expect(self, key: Hashable, seq: int, intended_ns: int) -> None:
        """Event `seq` goes out. Called in the order of the schedule."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        line.open.append((intended_ns, seq))

    def settle(self, key: Hashable, event: Placed) -> list[Found]:
        """An event is settled: what is found by this, of it and of others.

        Each event that was expected has to be settled once, or those after it wait for it for ever. Raises KeyError
        for a key with nothing outstanding.
        """
        line = self._lines[key]
        line.settled.add(event.seq)
        while line.open and line.open[0][1] in line.settled:
            line.settled.remove(line.open.popleft()[1])
        if event.position is not None and line.textual is None:
            line.textual = isinstance(event.position, str)
        if event.position is not None and isinstance(event.position, str) is line.textual:
            heapq.heappush(line.waiting, (event.sent_ns, event.seq, event))
        found: list[Found] = []
        while line.waiting and (not line.open or line.waiting[0] < line.open[0]):
            self._look(line, heapq.heappop(line.waiting)[2], found)
        if not line.open:
            del self._lines[key]
        return found

    def _look(self, line: _Line, event: Placed, found: list[Found]) -> None:
        """Compare an event with those that were sent before it."""
        position, sent_ns = event.position, event.sent_ns
        assert position is not None
        while line.on_the_way and line.on_the_way[0][0] <= sent_ns:
            earlier = heapq.heappop(line.on_the_way)[2]
            assert earlier.position is not None
            insort(line.acked, (earlier.position, earlier.seq, earlier))
        if len(line.acked) > line.limit:
            line.acked = [entry for entry in line.acked if entry[2].settled_ns > sent_ns]
            line.limit = max(_PRUNE, 2 * len(line.acked))
        if any(earlier.settled_ns > sent_ns for *_, earlier in reversed(line.acked)):
            found.append(Found("order", event))
        else:
            line.acked.clear()
        while line.acked and line.acked[-1][0] > position:
            earlier = line.acked.pop()[2]
            if earlier.settled_ns > sent_ns:
                found.append(Found("out_of_order", earlier))
        if line.on_the_way:
            found.append(Found("order_unknown", event))
        if event.acked_ns is not None:
            heapq.heappush(line.on_the_way, (event.acked_ns, event.seq, event))
