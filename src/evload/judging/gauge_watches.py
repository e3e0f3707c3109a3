"""Which gauges have to be watched sample by sample so that objectives about time can be judged, and the watching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from ..model.marker import Marker, ended_ns, of_action
from ..model.summary import LOWER_END
from ..objectives.objective import UPPER, GaugeValues, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..stats.watches import (
    NOT_YET,
    AnchoredWatch,
    DrainWatch,
    GrowthWatch,
    IntegralWatch,
    MeanWatch,
    ReachWatch,
    Result,
    RiseWatch,
    RiseWithinWatch,
    SampleWatch,
    Spans,
    StretchWatch,
    ValueWatch,
    WithinWatch,
    is_missing,
)
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
        self._after: dict[str, list[AnchoredWatch]] = {}
        self._begun: dict[str, list[AnchoredWatch]] = {}
        self._within: list[tuple[Objective, WithinWatch | RiseWithinWatch]] = []
        self._anchors: dict[str, int] = {}
        self._scenarios = scenarios
        for objective in objectives:
            for part in objective.parts or (objective,):
                for gauge, values in gauges.items():
                    if part.gauge in (None, gauge) and part.subject in values and is_watched(part):
                        ends = [part] if part.subject + LOWER_END not in values else [part, at_lower_end(part)]
                        for limit in part.limits:
                            for end in ends:
                                self._watch(end, gauge, limit, scenarios)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Look at one sample, taken in [start_ns, end_ns] since the schedule began. They come in order of time.

        A value that is no number isn't there (yet).
        """
        for value, figure in values.items():
            for watch in self._fed.get((gauge, value), ()):
                if is_missing(figure):
                    watch.missing(start_ns, end_ns)
                else:
                    watch.add(start_ns, end_ns, figure)

    def acked(self, last_ns: Mapping[str, int | None]) -> None:
        """The last ack of each scenario so far, by its name: what comes after a scenario begins no earlier."""
        for scenario, watches in self._after.items():
            at_ns = last_ns.get(scenario)
            if at_ns is not None:
                for watch in watches:
                    watch.begins(at_ns)

    def marked(self, markers: Sequence[Marker]) -> None:
        """What is known by now of when actions were on. To be told before the samples that come after."""
        for objective, within in self._within:
            spans = _spans(objective, markers)
            if isinstance(within, RiseWithinWatch):
                within.on(spans, _begun_ns(objective, markers))
            else:
                within.on(spans)
        for name, watches in self._after.items():
            if name in self._scenarios:
                continue
            at_ns, known_ns = ended_ns(markers, name), self._anchors.get(name)
            if at_ns is not None and (known_ns is None or at_ns > known_ns):
                self._anchors[name] = at_ns
                for watch in watches:
                    if known_ns is None:
                        watch.counts_from(at_ns)
                    else:
                        watch.begins(at_ns)

    def moved(self, scenarios: Mapping[str, ScenarioCriteria]) -> None:
        """A phase ended early, and with it these scenarios will: what comes after one begins sooner, and so does the
        load of one that waited for that."""
        for scenario, watches in self._after.items():
            if scenario in scenarios:
                for watch in watches:
                    watch.counts_from(scenarios[scenario].end_ns)
        for scenario, watches in self._begun.items():
            if scenario in scenarios:
                for watch in watches:
                    watch.counts_from(scenarios[scenario].load_ns)

    def results(self) -> dict[str, Result]:
        """What each watch came to so far, by its label."""
        return {name: watch.result() for name, watch in self._by_label.items()}

    def notes(self) -> dict[str, str]:
        """What else there is to say of those that have something to say, by their labels: `Summary.watch_notes`."""
        return {name: note for name, watch in self._by_label.items() if (note := watch.note)}

    def _watch(
        self, objective: Objective, gauge: str, limit: Fraction, scenarios: Mapping[str, ScenarioCriteria]
    ) -> None:
        name = label(objective, gauge, limit)
        watch = None if name in self._by_label else _new_watch(objective, limit, scenarios)
        if watch is not None:
            self._by_label[name] = watch
            self._fed.setdefault((gauge, objective.subject), []).append(watch)
            if isinstance(watch, WithinWatch | RiseWithinWatch):
                self._within.append((objective, watch))
            if isinstance(watch, AnchoredWatch) and objective.after_named is not None:
                self._after.setdefault(objective.after_named, []).append(watch)
            elif isinstance(watch, ReachWatch) and objective.after is None and objective.scenario is not None:
                self._begun.setdefault(objective.scenario, []).append(watch)


def at_lower_end(objective: Objective) -> Objective:
    """The same of the lower end of a gauge's value."""
    return replace(objective, subject=objective.subject + LOWER_END)


def is_watched(objective: Objective) -> bool:
    """Whether it takes more than what `Series` keeps of a gauge.

    The largest value in any window is the largest of the run, and so is the smallest.
    """
    if objective.measure is not Measure.GAUGE:
        return objective.is_gauged and not objective.parts
    window = objective.window
    if objective.actions:
        return True
    return window is not None and (window.stretch or objective.function not in ("max", "min"))


def label(objective: Objective, gauge: str, limit: Fraction) -> str:
    """The key in `Summary.watches` of what an objective has watched of one gauge at one of its limits."""
    text = _label(objective, gauge, limit)
    return text if objective.during is None else f"{text} during {objective.during}"


def _label(objective: Objective, gauge: str, limit: Fraction) -> str:
    value = f"{gauge}.{objective.subject}"
    if objective.measure is Measure.DRAIN:
        back = "" if objective.level is None else f" <= {objective.level}"
        return f"drain({value}{back}) after {objective.after or objective.scenario}"
    if objective.measure is not Measure.GAUGE:
        condition = f" {objective.compared} {objective.level}" if objective.compared else ""
        since = f" after {objective.after}" if objective.after is not None else ""
        begun = f" since {objective.scenario}" if objective.scenario is not None else ""
        return f"{objective.measure}({value}{condition}){since}{begun}"
    if objective.window is None:
        return f"{objective.function}({value})" + ("" if objective.after is None else f" after {objective.after}")
    if objective.window.stretch:
        return f"{value} {objective.operator} {limit} for {objective.window.span_ns} ns"
    worst = "largest" if objective.operator in UPPER else "smallest"
    return f"{worst} mean({value}) in any {objective.window.span_ns} ns"


def _spans(objective: Objective, markers: Sequence[Marker]) -> Spans:
    """When what an objective is about was on; or from when it was over, for good."""
    if objective.during is not None:
        own = of_action(markers, objective.during)
        return [(inner, marker.outer) for marker in own if (inner := marker.inner) is not None]
    over_ns = None if objective.after_named is None else ended_ns(markers, objective.after_named)
    return [] if over_ns is None else [((over_ns, None), (over_ns, None))]


def _begun_ns(objective: Objective, markers: Sequence[Marker]) -> int | None:
    """When something was begun that is being done, so that nobody knows yet since when it is on for sure."""
    assert objective.during is not None
    own = of_action(markers, objective.during)
    return own[-1].done[0] if own and own[-1].done[1] is None else None


def _new_watch(
    objective: Objective, limit: Fraction, scenarios: Mapping[str, ScenarioCriteria]
) -> SampleWatch | None:
    if objective.during is not None and objective.measure is Measure.RISE:
        return RiseWithinWatch()
    watch = _whole_watch(objective, limit, scenarios)
    within = objective.during is not None or (objective.measure is Measure.GAUGE and objective.after is not None)
    return watch if watch is None or not within else WithinWatch(watch)


def _whole_watch(
    objective: Objective, limit: Fraction, scenarios: Mapping[str, ScenarioCriteria]
) -> SampleWatch | None:
    if objective.measure is Measure.STRETCH:
        return StretchWatch(objective.fulfils, unseen=True)
    if objective.measure is not Measure.GAUGE:
        from_ns = objective.anchor_ns(scenarios)
        whole = objective.after is None and objective.scenario is None
        if from_ns is None and not whole:
            # After an action, whose end nobody knows beforehand.
            from_ns = NOT_YET
        match objective.measure:
            case Measure.RISE:
                return RiseWatch(from_ns)
            case Measure.INTEGRAL:
                return IntegralWatch(from_ns or 0)
            case Measure.GROWTH:
                return GrowthWatch(from_ns or 0)
        assert from_ns is not None
        if objective.measure is Measure.REACH:
            return ReachWatch(from_ns, objective.fulfils)
        load = scenarios.get(objective.after_named or "")
        level = None if objective.level is None else float(objective.level)
        return DrainWatch(from_ns, level, 0 if load is None else load.start_ns)
    if objective.window is None:
        return ValueWatch(objective.function)
    if not objective.window.stretch:
        return MeanWatch(objective.window.span_ns, largest=objective.operator in UPPER)

    def broken(value: float) -> bool:
        exact = Fraction(value)
        return compare(objective.operator, exact, exact, limit) is False

    return StretchWatch(broken)
