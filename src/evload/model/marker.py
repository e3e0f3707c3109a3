"""When something was done to the system while a run went on, and when it was undone: plain data."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Bracket = tuple[int, int | None]
"""(before, after) something that was done, in nanoseconds since the schedule began; no after: it is being done."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One time that an action was on.

    action, number  its name, and which time of it, from 0
    done        around the doing: its effect began somewhere in it
    undone      around the undoing: its effect ended somewhere in it; None: it is on, or nothing ends it
    error       why the doing failed; empty if it is done
    undo_error  why it could not be undone; empty if it could, or nothing had to be
    lasting     it is on until it is undone, or until its time is over; else it is done in a moment, and that was all
    """

    action: str
    number: int
    done: Bracket
    undone: Bracket | None = None
    error: str = ""
    undo_error: str = ""
    lasting: bool = True

    @property
    def inner(self) -> Bracket | None:
        """From when to when it was on for sure, without an end as long as it is on; None: that can't be said."""
        if self.error or not self.lasting or self.done[1] is None:
            return None
        return self.done[1], None if self.undone is None else self.undone[0]

    @property
    def outer(self) -> Bracket:
        """From when to when it may have been on; without an end as long as it may be."""
        if not self.lasting:
            return self.done
        return self.done[0], None if self.undone is None or self.undo_error else self.undone[1]

    def covers(self, at_ns: int) -> bool:
        """Whether it was on at a moment, for sure."""
        inner = self.inner
        return inner is not None and inner[0] <= at_ns and (inner[1] is None or at_ns <= inner[1])


def in_order(markers: Iterable[Marker]) -> list[Marker]:
    """Markers in order of time."""
    return sorted(markers, key=lambda marker: (marker.done[0], marker.action, marker.number))


def was_on(own: Sequence[Marker], at_ns: int) -> bool:
    """Whether an action was on at a moment, for sure. `own` are its markers in order: none begins before the one
    before it is over, though it may at that very instant."""
    last = bisect_right(own, at_ns, key=lambda marker: marker.done[0])
    return any(marker.covers(at_ns) for marker in own[max(0, last - 2) : last])


def of_action(markers: Iterable[Marker], action: str) -> list[Marker]:
    """The markers of one action, in order."""
    return sorted((marker for marker in markers if marker.action == action), key=lambda marker: marker.number)


def ended_ns(markers: Iterable[Marker], action: str) -> int | None:
    """The outer end of the last time that an action was on; None: nobody knows, or it is on."""
    own = of_action(markers, action)
    return own[-1].outer[1] if own else None
