"""Joins failures that follow on one another into incidents with a beginning and an end."""

from __future__ import annotations

from typing import Final

from .summary import Incident

_PAUSE_NS: Final = 5_000_000_000
"""Failures of one kind that are further apart than this belong to two incidents."""
_MOST: Final = 200


class IncidentLog:
    """Appends to `incidents`, in the order in which they began; bounded, so that a flood of reasons costs nothing."""

    def __init__(self, incidents: list[Incident]) -> None:
        self._incidents = incidents
        self._open: dict[tuple[str, str], Incident] = {}

    def add(self, source: str, reason: str, at_ns: int) -> None:
        """Something that `source` wanted failed at `at_ns` since the schedule began."""
        known = self._open.get((source, reason))
        if known is not None and at_ns - known.last_ns <= _PAUSE_NS:
            known.last_ns = at_ns
            known.count += 1
        elif len(self._incidents) < _MOST:
            incident = self._open[source, reason] = Incident(source, reason, at_ns, at_ns)
            self._incidents.append(incident)
