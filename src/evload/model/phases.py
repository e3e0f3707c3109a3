"""Phases of a load: how late an event may leave and still belong to one, and how they move when one ends early."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LEAST_NS: Final = 100_000_000
_MOST_NS: Final = 1_000_000_000


def tolerance_ns(phase: tuple[int, int]) -> int:
    """A tenth of the phase (start, end), at least 100 ms and at most 1 s, in nanoseconds; of a burst 100 ms."""
    return min(max((phase[1] - phase[0]) // 10, LEAST_NS), _MOST_NS)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a phase went that was to end when a gauge says so. Times in nanoseconds since the schedule began.

    phase    its number among all phases of the load of its scenario
    until    the condition
    due_ns   when it would have ended by itself
    at_ns    when it ended; None: what was waited for never came, and it lasted its time
    """

    scenario: str
    phase: int
    until: str
    start_ns: int
    due_ns: int
    at_ns: int | None = None


class Course:
    """Where the moments of a plan came to lie, of one scenario, now that some of its phases ended early."""

    def __init__(self, scenario: str, endings: Iterable[Ending]) -> None:
        own = [one for one in endings if one.scenario == scenario and one.at_ns is not None]
        self._early: list[tuple[int, int]] = []
        """The end of each as it was planned at first, and as it came."""
        shift_ns = 0
        for one in sorted(own, key=lambda one: one.phase):
            at_ns = one.due_ns if one.at_ns is None else one.at_ns
            self._early.append((one.due_ns + shift_ns, at_ns))
            shift_ns += one.due_ns - at_ns

    @property
    def as_planned(self) -> bool:
        """Nothing ended early."""
        return not self._early

    def moment(self, planned_ns: int) -> int:
        """When that came which was planned for a moment since the schedule began."""
        shift_ns = 0
        for due_ns, at_ns in self._early:
            if planned_ns < due_ns:
                return min(planned_ns - shift_ns, at_ns)
            shift_ns = due_ns - at_ns
        return planned_ns - shift_ns

    def phases(self, planned: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """When phases were, in the order of the plan."""
        return [(self.moment(start_ns), self.moment(end_ns)) for start_ns, end_ns in planned]


def planned_length(phase: tuple[int, int], endings: Iterable[Ending]) -> tuple[int, int]:
    """The phase as long as it was to last, where it ended early. By that it is told what is late: while it went on
    nobody knew better."""
    due = {(one.start_ns, one.at_ns): one.due_ns for one in endings}
    return phase[0], due.get(phase, phase[1])
