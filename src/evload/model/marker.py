"""When something was done to the system while a run went on, and when it was undone: plain data."""

from __future__ import annotations

from dataclasses import dataclass

Bracket = tuple[int, int]
"""(before, after), in nanoseconds since the schedule began."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One time that an action was on.

    action, number  its name, and which time of it, from 0
    done        around the doing: its effect began somewhere in it
    undone      around the undoing: its effect ended somewhere in it; None: it is still on, or nothing ends it
    error       why the doing failed; empty if it is done
    undo_error  why it could not be undone; empty if it could, or nothing had to be
    lasting     it is on until it is undone; else it is done in a moment, and that was all
    """

    action: str
    number: int
    done: Bracket
    undone: Bracket | None = None
    error: str = ""
    undo_error: str = ""
    lasting: bool = True

    @property
    def inner(self) -> tuple[int, int | None]:
        """From when to when it was on for sure; without an end as long as it is on."""
        if not self.lasting:
            return self.done[1], self.done[1]
        return self.done[1], None if self.undone is None else self.undone[0]

    @property
    def outer(self) -> tuple[int, int | None]:
        """From when to when it may have been on; without an end as long as it is on."""
        if not self.lasting:
            return self.done
        return self.done[0], None if self.undone is None else self.undone[1]
