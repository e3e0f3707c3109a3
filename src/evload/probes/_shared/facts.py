"""What one item, row or value of an answer says about its event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ...model.states import Seen
from ...model.travel import Read

_DIGITS: Final = 60
"""Most digits of a position."""


class Facts(NamedTuple):
    """As in `model.travel.Read`, without the event and the time."""

    seen: Seen
    effects: int | None = None
    replica: str | None = None
    position: float | str | None = None
    consumed_at: int | None = None
    processed_at: int | None = None
    version: float | None = None
    unread_stamp: str = ""
    tags: str = ""
    captured: Mapping[str, Any] | None = None

    def read(self, seq: int, start_ns: int, end_ns: int) -> Read:
        """The read of an answer to a question of ours: between the two times."""
        return Read(
            seq, self.seen, start_ns, end_ns, effects=self.effects, replica=self.replica, position=self.position,
            consumed_at=self.consumed_at, processed_at=self.processed_at, version=self.version,
            unread_stamp=self.unread_stamp, facts={"tags": self.tags} if self.tags else None,
            captured=self.captured,
        )  # fmt: skip

    def pushed(self, seq: int, at_ns: int) -> Read:
        """The read of what the system said by itself at that moment: one effect."""
        return Read(
            seq, self.seen, at_ns, at_ns, replica=self.replica, position=self.position,
            consumed_at=self.consumed_at, processed_at=self.processed_at, exact=True, version=self.version,
            unread_stamp=self.unread_stamp,
        )  # fmt: skip


def position_of(value: float | str) -> float | str | None:
    """A position as it can be compared and kept; an empty text is none. Raises NonsenseError.

    A text of digits is the number that it says. What has no place in 64 bits is a text, as wide as all such.
    """
    if value == "":
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) <= _DIGITS:
        value = int(value)
    if not isinstance(value, int) or -(2**63) <= value < 2**63:
        return value
    if not 0 < value < 10**_DIGITS:
        raise NonsenseError(f"{str(value)[:40]}, which is no position")
    return f"{value:0{_DIGITS}d}"


class NonsenseError(ValueError):
    """A figure that can't be. The text says what it is, and what it is none of."""


MOST_EFFECTS: Final = 2**31
"""More than so many effects of one event are nonsense."""


def effects_of(value: float | None) -> int | None:
    """A number of effects. Raises NonsenseError for what is none."""
    if value is None:
        return None
    if not 0 <= value <= MOST_EFFECTS or value != int(value):
        raise NonsenseError(f"{value}, which is no number of effects")
    return int(value)


ABSENT: Final = Facts(Seen.ABSENT)
