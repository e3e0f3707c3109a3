"""Cuts, back-off and gaps for whoever listens."""

from __future__ import annotations

from ..clock import Clock
from ..units import format_duration


class _Cuts:
    """When the tap could not receive, by poller. One that fails is a gap even while the others go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing: set[int] = set()
        self._since_ns = 0
        self._total_ns = 0
        self._reason = ""

    def failed(self, poller: int, reason: str) -> None:
        if not self._failing:
            self._since_ns = self._clock.now_ns()
        self._failing.add(poller)
        self._reason = reason

    def went_well(self, poller: int) -> None:
        if poller in self._failing:
            self._failing.discard(poller)
            if not self._failing:
                self._total_ns += self._clock.now_ns() - self._since_ns

    @property
    def gap(self) -> str:
        """What a person should know about it; empty if there never was any."""
        if not self._reason:
            return ""
        if self._failing:
            return f"the tap is cut off: {self._reason}"
        return f"the tap was cut off for {format_duration(self._total_ns)}: {self._reason}"
