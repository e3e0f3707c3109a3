"""Counts what failed around a run by its reasons, and joins failures that follow on one another into incidents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..clock import Clock
from ..model.vitals import INCIDENT_GAP_NS, Incident, Vitals

_MOST: Final = 200
"""Most incidents that are kept, so that a flood of reasons costs nothing."""
_REASONS: Final = 40
"""Most distinct reasons that are kept."""


class Failures:
    """Fills `errors` and `incidents` of the vitals. `redact` takes secrets out of what adapters say.

    `start_ns` is the clock reading at which the schedule began.
    """

    def __init__(self, vitals: Vitals, clock: Clock, start_ns: int, redact: Callable[[str], str]) -> None:
        self._vitals = vitals
        self._clock = clock
        self._start_ns = start_ns
        self._redact = redact
        self._open: dict[tuple[str, str], Incident] = {}

    def publish_failed(self, producer: str, reason: str) -> str:
        """An event met `reason` on its way out. Returns it as it may be shown."""
        shown = self._redact(reason)
        self._incident(producer, shown)
        self._count(shown)
        return shown

    def look_failed(self, source: str, reason: str) -> None:
        """A probe's read or a gauge's sample failed."""
        shown = self._redact(reason)
        self._incident(source, shown)
        self._count(f"{source}: {shown}")

    def _incident(self, source: str, reason: str) -> None:
        at_ns = max(0, self._clock.now_ns() - self._start_ns)
        incidents = self._vitals.incidents
        known = self._open.get((source, reason))
        if known is not None and at_ns - known.last_ns <= INCIDENT_GAP_NS:
            known.last_ns = at_ns
            known.count += 1
        elif len(incidents) < _MOST:
            incident = self._open[source, reason] = Incident(source, reason, at_ns, at_ns)
            incidents.append(incident)

    def _count(self, reason: str) -> None:
        errors = self._vitals.errors
        if reason not in errors and len(errors) >= _REASONS:
            reason = "other reasons"
        errors[reason] = errors.get(reason, 0) + 1
