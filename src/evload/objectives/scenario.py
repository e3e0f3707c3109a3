"""What judging a run has to know of a scenario's schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..model.phases import Course
from ..workload.schedule import arrivals_in_steps


@dataclass(frozen=True, slots=True)
class ScenarioCriteria:
    """A scenario as it was planned, or `as_it_went`. Times in nanoseconds since the schedule began.

    arrival_step_ns  length of the steps of `expected`; None where arrivals aren't random
    expected         mean number of arrivals in each step since the schedule began, 0 where it says nothing of the
                     spread: before the scenario, and where a burst falls
    steady           the stretch for which it claims a steady state
    watched          whether any probe follows its events
    probes           the names of the probes that follow its events
    events           the most events that its schedule can have; None where arrivals are random
    rates            from when to when it has a rate, and from how many events per second to how many it goes
    bursts           when its bursts fall
    warmup_ns        how long its events are left out, from its start on; `events` and `expected` are of the others
    """

    start_ns: int
    end_ns: int
    arrival_step_ns: int | None = None
    expected: tuple[float, ...] = ()
    steady: tuple[int, int] | None = None
    watched: bool = False
    events: int | None = None
    probes: tuple[str, ...] = ()
    rates: tuple[tuple[int, int, float, float], ...] = ()
    bursts: tuple[int, ...] = ()
    warmup_ns: int = 0

    @property
    def judged_ns(self) -> int:
        """From when its events are judged."""
        return self.start_ns + self.warmup_ns

    @property
    def load_ns(self) -> int:
        """From when it asks for events: after the idle phases that it begins with."""
        begun = [start_ns for start_ns, _, low, high in self.rates if low or high]
        return min([*begun, *self.bursts], default=self.start_ns)

    def rate_at(self, at_ns: float) -> float:
        """How many events per second it offers at a moment; 0 before and after it. A burst has no rate."""
        for start_ns, end_ns, from_rate, to_rate in self.rates:
            if start_ns <= at_ns < end_ns:
                return from_rate + (to_rate - from_rate) * (at_ns - start_ns) / (end_ns - start_ns)
        return 0.0

    def as_it_went(self, course: Course) -> ScenarioCriteria:
        """The same, now that some of its phases ended early. `events` stays the most that there can be."""
        if course.as_planned:
            return self
        moment = course.moment
        rates = tuple((moment(start_ns), moment(end_ns), low, high) for start_ns, end_ns, low, high in self.rates)
        bursts, end_ns, step_ns = tuple(map(moment, self.bursts)), moment(self.end_ns), self.arrival_step_ns
        steady = None if self.steady is None else (moment(self.steady[0]), moment(self.steady[1]))
        expected = [] if step_ns is None else arrivals_in_steps(rates, bursts, end_ns, step_ns)
        return replace(
            self,
            end_ns=end_ns,
            expected=without_warmup(expected, step_ns, self.judged_ns if self.warmup_ns else 0),
            steady=None if steady is None else (max(steady[0], self.judged_ns), steady[1]),
            rates=rates,
            bursts=bursts,
        )

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
                "rates": tuple((start, end, low, high) for start, end, low, high in data.get("rates", ())),
                "bursts": tuple(data.get("bursts", ())),
            }
        )


def without_warmup(expected: Sequence[float], step_ns: int | None, judged_ns: int) -> tuple[float, ...]:
    """What is expected in each step, and 0 in those that begin before events are judged: not all of them count."""
    warm = 0 if step_ns is None else -(-judged_ns // step_ns)
    return (*(0.0 for _ in expected[:warm]), *expected[warm:])
