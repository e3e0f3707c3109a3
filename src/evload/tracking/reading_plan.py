"""When a probe reads an event: the settings of the grid, the pins, the confirming reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Reference = Literal["intended", "acked"]

GRACE_NS: Final = 1_000_000_000
"""How long past the last regular read an event is still asked for while reads fail."""


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """How one probe reads one scenario's events. Durations in nanoseconds.

    pins        thresholds to decide by reads on both sides: (counted from, threshold)
    slack_ns    reads are gathered for so long: the grid counts with half of it, a pin with all of it, where the
                tracker isn't told that less is left
    tick_ns     all but pins are due at its multiples, and go together; 0: whenever they are due
    after_ack   the probe needs something out of the receipt before it can ask
    pushed      effects are pushed to the probe: it is asked only about what has not come by its deadline
    learns      reads are left out where no event was seen to become visible so far, and confirming reads of most
                events while none was ever missed again
    confirm_all every event gets all its confirming reads all the same: an objective is about what they find
    session     read each event right after its ack, too
    versions    answers say how many writes of the event's key they reflect
    resent_for_ns  how long after an event the last of its copies is sent, if copies of it are
    """

    deadline_ns: int
    first_ns: int
    resolution: float
    max_gap_ns: int | None
    sample: float
    confirm_reads: int
    confirm_over_ns: int
    pins: tuple[tuple[Reference, int], ...] = ()
    slack_ns: int = 0
    tick_ns: int = 0
    after_ack: bool = False
    pushed: bool = False
    replicas: tuple[str, ...] = ()
    learns: bool = False
    confirm_all: bool = False
    session: bool = False
    versions: bool = False
    resent_for_ns: int = 0

    def gathered(self, due_ns: int) -> int:
        """When a read goes out with all others that are due about then: then or later."""
        tick_ns = self.tick_ns
        return due_ns if not tick_ns else -(-due_ns // tick_ns) * tick_ns

    @property
    def patience_ns(self) -> int:
        """How long after its ack an event of which no copies are sent is watched at the very most."""
        return self.deadline_ns + max(self.confirm_over_ns if self.confirm_reads else 0, GRACE_NS)
