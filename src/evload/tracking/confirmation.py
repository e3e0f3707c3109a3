"""Learns during a run whether what was seen ever disappears again, and how often it is worth looking."""

from __future__ import annotations

from typing import Final

from .profile import is_explorer

_ENOUGH: Final = 300
"""So many without a regression show, with 95 % confidence, that fewer than 1 % have one (the rule of three)."""
_FEW: Final = 1
"""At the end of the time in which an event is looked after: what disappeared for good is noticed of every event."""


class Calm:
    """How many confirming reads an event gets where a probe's plan learns.

    All of them until enough events were confirmed without a regression, and again for good as soon as one is seen.
    In between a fixed pseudo-random share of the events still gets all of them.
    """

    def __init__(self, reads: int) -> None:
        self._reads = reads
        self._confirmed = 0
        self._broken = False

    def reads_for(self, seq: int) -> int:
        """Confirming reads of event `seq`."""
        if self._broken or self._confirmed < _ENOUGH or is_explorer(seq):
            return self._reads
        return min(self._reads, _FEW)

    def confirmed(self, regressions: int) -> None:
        """An event was looked after to the end, and was found missing so many times."""
        self._confirmed += 1
        self._broken = self._broken or regressions > 0
