"""What one item, row or value of an answer says about its event."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...model.states import Seen
from ...model.travel import Read


class Facts(NamedTuple):
    """As in `model.travel.Read`, without the event and the time."""

    seen: Seen
    effects: int | None = None
    replica: str | None = None
    position: float | None = None
    consumed_at: int | None = None
    processed_at: int | None = None
    version: float | None = None

    def read(self, seq: int, start_ns: int, end_ns: int) -> Read:
        """The read of an answer to a question of ours: between the two times."""
        return Read(
            seq, self.seen, start_ns, end_ns, effects=self.effects, replica=self.replica, position=self.position,
            consumed_at=self.consumed_at, processed_at=self.processed_at, version=self.version,
        )  # fmt: skip

    def pushed(self, seq: int, at_ns: int) -> Read:
        """The read of what the system said by itself at that moment: one effect."""
        return Read(
            seq, self.seen, at_ns, at_ns, replica=self.replica, position=self.position,
            consumed_at=self.consumed_at, processed_at=self.processed_at, exact=True, version=self.version,
        )  # fmt: skip


ABSENT: Final = Facts(Seen.ABSENT)
