"""By what a run is judged: all of it that has to be kept so that the run can be judged again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from ..model.phases import Course, Ending
from .cost import Service, service
from .grammar import from_data
from .objective import GaugeValues, Objective
from .policy import SelfCheckPolicy
from .scenario import ScenarioCriteria


@dataclass(frozen=True, slots=True)
class Criteria:
    """By what a run is judged.

    deadlines_ns  the deadline of each probe, by its name
    scenarios     what is known of each scenario's schedule, by its name
    costs         the price table
    max_reads     the budget of each probe in event reads per second, by its name; None: without one
    """

    objectives: Sequence[Objective]
    policy: SelfCheckPolicy
    deadlines_ns: Mapping[str, int]
    scenarios: Mapping[str, ScenarioCriteria] = field(default_factory=dict)
    max_reads: Mapping[str, float | None] = field(default_factory=dict)
    costs: tuple[Service, ...] = ()

    def as_it_went(self, endings: Iterable[Ending]) -> Criteria:
        """The same, with each scenario's schedule as it came to be. Only to be asked of what was planned."""
        endings = list(endings)
        if not endings:
            return self
        scenarios = {name: one.as_it_went(Course(name, endings)) for name, one in self.scenarios.items()}
        return replace(self, scenarios=scenarios)

    def as_data(self) -> dict[str, Any]:
        """As JSON can keep it."""
        return {
            "objectives": [objective.as_data() for objective in self.objectives],
            "self_checks": self.policy.model_dump(),
            "deadlines_ns": dict(self.deadlines_ns),
            "scenarios": {name: terms.as_data() for name, terms in self.scenarios.items()},
            "max_reads": dict(self.max_reads),
            **({"costs": [row.as_data() for row in self.costs]} if self.costs else {}),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any], gauges: GaugeValues) -> Criteria:
        """From what `as_data` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            [from_data(objective, gauges) for objective in data["objectives"]],
            SelfCheckPolicy.model_validate(data["self_checks"]),
            data["deadlines_ns"],
            {name: ScenarioCriteria.from_data(terms) for name, terms in data["scenarios"].items()},
            data["max_reads"],
            tuple(service(**row, gauges=gauges) for row in data.get("costs", ())),
        )


_LATENESS: Final = Fraction(1, 100)


def lateness_limit_ns(objectives: Sequence[Objective]) -> Fraction | None:
    """How late sends may be at their 99th percentile; None without an objective about `end_to_end`.

    Everything else begins at the send or at the ack and contains nothing of that delay.
    """
    limits = [
        limit
        for objective in objectives
        if (limit := objective.latency_limit_ns) is not None
        and (objective.inner or objective).subject == "end_to_end"
    ]
    return min(limits) * _LATENESS if limits else None
