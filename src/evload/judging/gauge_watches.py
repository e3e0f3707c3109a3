"""Which gauges have to be watched sample by sample so that objectives about time can be judged, and the watching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..objectives.objective import UPPER, GaugeValues, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..stats.watches import DrainWatch, MeanWatch, Result, SampleWatch, StretchWatch
from .limit_result import compare


class GaugeWatches:
    """One watch for each limit of each objective that needs one, and each gauge that it is about.

    `scenarios` and `gauges` are those of the whole run. `results` is what `Summary.watches` has to hold.
    """

    def __init__(
        self, objectives: Sequence[Objective], scenarios: Mapping[str, ScenarioCriteria], gauges: GaugeValues
    ) -> None:
        self._by_label: dict[str, SampleWatch] = {}
        self._fed: dict[tuple[str, str], list[SampleWatch]] = {}
        self._after: dict[str, list[DrainWatch]] = {}
        for objective in objectives:
            for gauge, values in gauges.items():
                if objective.gauge in (None, gauge) and objective.subject in values and is_watched(objective):
                    for limit in objective.limits:
                        self._watch(objective, gauge, limit, scenarios)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Look at one sample, taken in [start_ns, end_ns] since the schedule began. They come in order of time."""
        for value, figure in values.items():
            for watch in self._fed.get((gauge, value), ()):
                watch.add(start_ns, end_ns, figure)

    def acked(self, last_ns: Mapping[str, int | None]) -> None:
        """The last ack of each scenario so far, by its name: what comes after a scenario begins no earlier."""
        for scenario, watches in self._after.items():
            at_ns = last_ns.get(scenario)
            if at_ns is not None:
                for watch in watches:
                    watch.begins(at_ns)

    def results(self) -> dict[str, Result]:
        """What each watch came to so far, by its label."""
        return {name: watch.result() for name, watch in self._by_label.items()}

    def _watch(
        self, objective: Objective, gauge: str, limit: Fraction, scenarios: Mapping[str, ScenarioCriteria]
    ) -> None:
        name = label(objective, gauge, limit)
        watch = None if name in self._by_label else _new_watch(objective, limit, scenarios)
        if watch is not None:
            self._by_label[name] = watch
            self._fed.setdefault((gauge, objective.subject), []).append(watch)
            if isinstance(watch, DrainWatch) and objective.after_scenario is not None:
                self._after.setdefault(objective.after_scenario, []).append(watch)


def is_watched(objective: Objective) -> bool:
    """Whether it takes more than what `Series` keeps of a gauge.

    The largest value in any window is the largest of the run, and so is the smallest.
    """
    if objective.measure is Measure.DRAIN:
        return True
    window = objective.window
    return (
        objective.measure is Measure.GAUGE
        and window is not None
        and (window.stretch or objective.function not in ("max", "min"))
    )


def label(objective: Objective, gauge: str, limit: Fraction) -> str:
    """The key in `Summary.watches` of what an objective has watched of one gauge at one of its limits."""
    value = f"{gauge}.{objective.subject}"
    if objective.measure is Measure.DRAIN:
        back = "" if objective.level is None else f" <= {objective.level}"
        return f"drain({value}{back}) after {objective.after or objective.scenario}"
    assert objective.window is not None
    if objective.window.stretch:
        return f"{value} {objective.operator} {limit} for {objective.window.span_ns} ns"
    worst = "largest" if objective.operator in UPPER else "smallest"
    return f"{worst} mean({value}) in any {objective.window.span_ns} ns"


def _new_watch(
    objective: Objective, limit: Fraction, scenarios: Mapping[str, ScenarioCriteria]
) -> SampleWatch | None:
    if objective.measure is Measure.DRAIN:
        from_ns = objective.anchor_ns(scenarios)
        if from_ns is None:
            return None
        load = scenarios.get(objective.after_scenario or "")
        level = None if objective.level is None else float(objective.level)
        return DrainWatch(from_ns, level, 0 if load is None else load.start_ns)
    assert objective.window is not None
    if not objective.window.stretch:
        return MeanWatch(objective.window.span_ns, largest=objective.operator in UPPER)

    def broken(value: float) -> bool:
        exact = Fraction(value)
        return compare(objective.operator, exact, exact, limit) is False

    return StretchWatch(broken)
