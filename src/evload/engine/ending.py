"""Ends phases of the load before their time: where a sample of a gauge says what they wait for, or all is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..clock import Clock
from ..model.phases import Ending
from ..workload.schedule import Open
from .control import RunControl
from .plan import ScenarioRun


class Endings:
    """The phases of all scenarios that wait for a gauge, in a run whose schedule begins at `start_ns`.

    `ended` is told each time one ended early: the number of its scenario. `found` gets what is known of each.
    """

    def __init__(
        self,
        scenarios: Sequence[ScenarioRun],
        found: list[Ending],
        *,
        start_ns: int,
        clock: Clock,
        control: RunControl,
        ended: Callable[[int], None],
    ) -> None:
        self._scenarios = scenarios
        self._found = found
        self._start_ns = start_ns
        self._clock = clock
        self._control = control
        self._ended = ended
        self._waiting = [number for number, one in enumerate(scenarios) if one.waits]

    def sampled(self, gauge: str, start_ns: int, values: Mapping[str, float]) -> None:
        """Look at a sample that was just taken, and begun at `start_ns`."""
        if not self._waiting or self._control.stopped_ns is not None:
            return
        now = self._clock.now_ns()
        for number in self._waiting:
            scenario = self._scenarios[number]
            origin_ns = self._start_ns + scenario.span.start_ns
            phase = scenario.arrivals.open_at(now - origin_ns)
            if phase is None or start_ns - origin_ns < phase.start_ns:
                # Of what it was before the phase nobody asks.
                continue
            condition = scenario.waits[phase.number]
            if condition.gauge == gauge and condition.holds(values):
                at_ns = scenario.arrivals.end_early(phase, now - origin_ns)
                if at_ns is not None:
                    self._note(number, phase, at_ns)
                    self._ended(number)

    def done(self, number: int, iterations: int) -> None:
        """All iterations of a scenario that are to be made are over: the last phase of its load ends with them."""
        span = self._scenarios[number].span
        at_ns = self._clock.now_ns() - self._start_ns
        start_ns, due_ns = span.start_ns + span.stretches[-1].start_ns, span.end_ns
        if self._control.stopped_ns is None and start_ns < at_ns < due_ns:
            what = f"the end of the last of {iterations:,} iterations"
            self._found.append(Ending(span.name, len(span.stretches) - 1, what, start_ns, due_ns, at_ns))
            self._ended(number)

    def close(self) -> None:
        """The run is over: those that are, and never got what they waited for, lasted their time."""
        over_ns = self._clock.now_ns() if self._control.stopped_ns is None else self._control.stopped_ns
        for number in self._waiting:
            scenario = self._scenarios[number]
            for phase in scenario.arrivals.open_stretches():
                if self._start_ns + scenario.span.start_ns + phase.end_ns <= over_ns:
                    self._note(number, phase, None)
        self._found.sort(key=lambda one: (one.start_ns, one.scenario))

    def _note(self, number: int, phase: Open, at_ns: int | None) -> None:
        scenario = self._scenarios[number]
        since_ns = scenario.span.start_ns
        self._found.append(
            Ending(
                scenario.fold.name,
                phase.number,
                phase.until,
                since_ns + phase.start_ns,
                since_ns + phase.end_ns,
                None if at_ns is None else since_ns + at_ns,
            )
        )
