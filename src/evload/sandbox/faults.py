"""When the planted outages and slow-downs are in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .settings import Fault

_FOR_GOOD: Final = 1 << 62
"""Longer than any clock goes on."""


class Timetable:
    """Faults with their places in time. All times in nanoseconds on the caller's clock."""

    def __init__(self, faults: Iterable[Fault], origin_ns: int) -> None:
        """`origin_ns` is the moment from which each fault's `at` counts."""
        self._windows: dict[str, list[tuple[int, int, Fault]]] = {}
        for fault in sorted(faults, key=lambda fault: fault.at or 0):
            since = origin_ns + (fault.at or 0)
            until = since + fault.lasting if fault.lasting is not None else _FOR_GOOD
            self._windows.setdefault(fault.what, []).append((since, until, fault))

    def _active(self, what: str, at_ns: int) -> Sequence[Fault]:
        windows = self._windows.get(what)
        return [fault for since, until, fault in windows if since <= at_ns < until] if windows else ()

    def broker_open(self, at_ns: int) -> bool:
        """Whether publishes are taken."""
        return not self._active("broker-down", at_ns)

    def read_model_open(self, at_ns: int) -> bool:
        """Whether reads are answered."""
        return not self._active("read-model-down", at_ns)

    def workers_up_ns(self, at_ns: int) -> int:
        """The first moment at or after `at_ns` at which workers begin work."""
        for since, until, _ in self._windows.get("workers-down", ()):
            if since <= at_ns < until:
                at_ns = until
        return at_ns

    def service_factor(self, at_ns: int) -> float:
        """By how much the service time of work begun at `at_ns` is multiplied."""
        factor = 1.0
        for fault in self._active("slow-workers", at_ns):
            factor *= fault.factor or 1.0
        return factor

    def answer_delay_ns(self, at_ns: int) -> int:
        """How much later a publish is answered."""
        return sum(fault.delay or 0 for fault in self._active("slow-broker", at_ns))
