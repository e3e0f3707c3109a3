"""What judging a run has to know of a scenario's schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScenarioCriteria:
    """A scenario as it was planned. Times in nanoseconds since the schedule began.

    arrival_step_ns  length of the steps of `expected`; None where arrivals aren't random
    expected         mean number of arrivals in each step since the schedule began, 0 where it says nothing of the
                     spread: before the scenario, and where a burst falls
    steady           the stretch for which it claims a steady state
    watched          whether any probe follows its events
    probes           the names of the probes that follow its events
    events           the most events that its schedule can have; None where arrivals are random
    """

    start_ns: int
    end_ns: int
    arrival_step_ns: int | None = None
    expected: tuple[float, ...] = ()
    steady: tuple[int, int] | None = None
    watched: bool = False
    events: int | None = None
    probes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As JSON can keep it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ScenarioCriteria:
        """From what `as_data` gave and JSON kept. Raises KeyError or TypeError for anything else."""
        steady = data["steady"]
        return cls(
            **{
                **data,
                "expected": tuple(data["expected"]),
                "steady": None if steady is None else (steady[0], steady[1]),
                "probes": tuple(data.get("probes", ())),
            }
        )
