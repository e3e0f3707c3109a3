"""What is known of one event on one replica, and what several views of it amount to together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.states import State
from ..model.travel import Part

WORST: Final = {State.VISIBLE: 0, State.UNOBSERVED: 1, State.REGRESSED: 2, State.LOST: 3, State.ENDED: 4}
"""Of several views the worst one is the event's."""


class Side:
    """What is known of one event on one replica (or on the read model as a whole)."""

    __slots__ = ("first_lower", "lower", "present", "seen", "upper")

    def __init__(self) -> None:
        self.lower: int | None = None
        """Start of the last negative read."""
        self.upper: int | None = None
        """End of the first positive read after it."""
        self.first_lower: int | None = None
        """Start of the last negative read before it was first seen here, if surely this replica answered."""
        self.seen = False
        self.present = False


def part_of(probe: int, replica: str | None, state: State, side: Side | None, first_upper: int | None) -> Part:
    if side is None:
        return Part(probe, replica, state, None, first_upper, None, None)
    if first_upper is None and side.seen:
        # Of a replica that was never missed again, the first sighting is the one that stands.
        first_upper = side.upper
    return Part(probe, replica, state, side.first_lower, first_upper, side.lower, side.upper)


def together(probe: int, views: Sequence[Part]) -> Part:
    """A probe's view from its replicas': first seen at the earliest of them, stable with the latest."""
    firsts = [view.first_lower_ns for view in views]
    uppers = [view.stable_upper_ns for view in views]
    return Part(
        probe,
        None,
        max((view.state for view in views), key=WORST.__getitem__),
        min((lower for lower in firsts if lower is not None), default=None) if None not in firsts else None,
        min((view.first_upper_ns for view in views if view.first_upper_ns is not None), default=None),
        max((view.stable_lower_ns for view in views if view.stable_lower_ns is not None), default=None),
        max(upper for upper in uppers if upper is not None) if None not in uppers else None,
    )
