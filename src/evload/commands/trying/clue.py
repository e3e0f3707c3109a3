"""One reason why an event isn't seen."""

from __future__ import annotations

from typing import NamedTuple


class Clue(NamedTuple):
    """A reason in one sentence: what is so; what to write.

    kind  what scripts know it by
    sure  it was tried, and the event is seen so, or it can't be seen as it is
    """

    kind: str
    text: str
    sure: bool = False

    @property
    def settled(self) -> bool:
        """Waiting longer can't change it. What is in an answer can."""
        return self.sure and self.kind not in ("envelope", "name", "case", "value")
