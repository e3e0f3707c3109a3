"""A run as named measures with labels, for monitoring systems: what Prometheus and OpenTelemetry are told alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ..model.costs import SPANS_S, Costs
from ..model.facts import LEDGER_KEYS, METRICS, PERCENTILES, QUEUE_LAG
from ..model.iteration import DUE, JOURNEY
from ..model.marker import Marker
from ..model.progress import ActionNow, Progress, actions_now
from ..model.report import CheckResult, ObjectiveResult, Report
from ..model.round import SETTLE, TALLIES
from ..model.summary import Distribution, ScenarioSummary, Summary, slice_label
from ..report.races import races
from ..units import NS_PER_S

Labels = Mapping[str, str]

_QUANTILES: Final = {name: f"{float(p):g}" for name, p in PERCENTILES.items()}


@dataclass(slots=True)
class Measure:
    """One measure with all its points.

    name    in words joined by underscores, without a prefix or a unit
    unit    s: seconds; empty: a number
    kind    a counter only grows
    points  (labels, value); an infinite value is a percentile of which too many events were never seen
    """

    name: str
    help: str
    unit: Literal["s", ""] = ""
    kind: Literal["gauge", "counter"] = "gauge"
    points: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float, /, **labels: str) -> None:
        """One more point."""
        self.points.append((labels, value))


def of_progress(now: Progress) -> list[Measure]:
    """A moment of a run that goes on."""
    found = [
        Measure("elapsed", "Time since the schedule began", "s", points=[({}, now.elapsed)]),
        Measure("planned", "Length of the schedule", "s", points=[({}, now.total)]),
        Measure("offered_rate", "Events per second that the schedule asks for", points=[({}, now.offered_rate)]),
        Measure("achieved_rate", "Events per second that the target answered", points=[({}, now.achieved_rate)]),
        Measure("in_flight", "Events sent and not yet answered", points=[({}, now.in_flight)]),
        Measure("outstanding", "Events not yet settled", points=[({}, now.outstanding)]),
        Measure("waiting", "Acked events not yet seen", points=[({}, now.waiting)]),
        Measure("overdue", "Those of them beyond the limit on the consistency window", points=[({}, now.overdue)]),
        Measure("oldest_waiting", "How long the oldest of them waits", "s", points=[({}, now.oldest or 0.0)]),
    ]
    events = _events()
    for state in LEDGER_KEYS:
        events.add(now.states.get(state, 0), state=state, scenario="")
    consistency = _percentiles_of("consistency")
    for name, (low, high) in now.percentiles.items():
        for bound, value in (("lower", low), ("upper", math.inf if high is None else high)):
            consistency.add(value, quantile=_QUANTILES[name], bound=bound, scenario="", slice="")
    return _with_points([*found, events, consistency, _on(now.actions)])


def of_report(report: Report) -> list[Measure]:
    """A run that has ended. An empty scenario is all of them, an empty slice the whole of a scenario."""
    vitals = report.summary.vitals
    run = Measure("run_info", "The run and its verdict; always 1")
    run.add(1, run_id=report.run_id, name=report.name, verdict=report.verdict.value)
    label = Measure("label", "A label, a param or a profile of the run; always 1")
    for name, value in report.circumstances.labels.items():
        label.add(1, kind="label", label=name, value=value)
    for name in report.circumstances.profiles:
        label.add(1, kind="profile", label=name, value="")
    for name, value in report.circumstances.params.items():
        label.add(1, kind="param", label=name, value=value)
    started = Measure("started_timestamp", "When the run began, in seconds since 1970", "s")
    started.add(report.started_at.timestamp())
    duration = Measure("duration", "How long it took", "s")
    duration.add(vitals.duration_ns / NS_PER_S)
    events = _events()
    for name, scenario in {"": report.summary.total(), **report.summary.scenarios}.items():
        for state, count in scenario.ledger.items():
            events.add(count, state=state, scenario=name)
    warmup = Measure("warmup_events", "Events of the warm-up, which are in no other figure", kind="counter")
    for name, scenario in {"": report.summary.total(), **report.summary.scenarios}.items():
        for state, count in {} if scenario.warmup is None else scenario.warmup.ledger.items():
            warmup.add(count, state=state, scenario=name)
    reads = Measure("reads", "Events asked about, one for each in each read", kind="counter")
    reads.add(vitals.event_reads)
    requests = Measure("read_requests", "Requests to the read model", kind="counter")
    failed = Measure("failed_read_requests", "Requests to the read model that failed", kind="counter")
    requests.add(vitals.read_requests)
    failed.add(vitals.failed_reads)
    took = Measure("read", "Percentiles of the time that a request of a probe took, without an end if it failed", "s")
    for probe, distribution in report.summary.reads.items():
        if distribution.count:
            _add_percentiles(took, distribution, probe=probe)
    return _with_points(
        [run, label, started, duration, events, warmup, *_iterations(report.summary), *_rounds(report.summary),
         *_distributions(report.summary), *_gauges(report.summary),
         _costs(report.summary.costs), reads, requests, failed, took, *_objectives(report.objectives),
         *_checks(report.checks), *_actions(report.summary.markers)]
    )  # fmt: skip


def _costs(costs: Costs | None) -> Measure:
    """Those that are known: a service without a point isn't free."""
    measure = Measure(
        "cost", "What the run cost, in the money of its prices: of the run, 1000 events, a day, a month"
    )
    if costs is None:
        return measure
    for one in (*costs.services, costs.total):
        amounts = {"run": one.run, "events": costs.of_events(one)} | {span: one.over(span) for span in SPANS_S}
        for of, bracket in amounts.items():
            for bound, end in zip(("lower", "upper"), bracket or (), strict=False):
                if end is not None:
                    measure.add(float(end), service=one.name, of=of, bound=bound)
    return measure


def _events() -> Measure:
    return Measure("events", "Events by state, and those of them that a counter counts", kind="counter")


def _percentiles_of(metric: str) -> Measure:
    return Measure(metric, f"Percentiles of {metric}, each between its lower and its upper bound", "s")


def _iterations(summary: Summary) -> Iterator[Measure]:
    """Of journeys."""
    counted = Measure("iterations", "Iterations of a journey, by what became of them", kind="counter")
    took = Measure(JOURNEY, "Percentiles of the time from when an iteration was due until it was done", "s")
    for name, scenario in summary.scenarios.items():
        for journey, told in scenario.journeys().items():
            for key, count in told.ledger.items():
                state = DUE if key == "scheduled" else key
                counted.add(count, scenario=name, journey=journey, state=state)
            if told.distributions[JOURNEY].count:
                _add_percentiles(took, told.distributions[JOURNEY], scenario=name, journey=journey)
    yield from (counted, took)


def _rounds(summary: Summary) -> Iterator[Measure]:
    """Of races."""
    counted = Measure("rounds", "Rounds of a race, by how they ended", kind="counter")
    rules = Measure("rule_rounds", "Rounds of a race, by what became of a rule", kind="counter")
    who = Measure("contenders", "Contenders of a race, by what became of them", kind="counter")
    contended = Measure("contended_rounds", "Rounds of a race with contenders in flight at once", kind="counter")
    took = Measure(SETTLE, "Percentiles of the time from the last answer to a contender until all rules held", "s")
    for race in races(summary):
        labels = {"scenario": race.scenario}
        for key, count in race.counts.items():
            counted.add(count, state=DUE if key == "scheduled" else key, **labels)
        for rule in race.rules:
            for state in ("held", "violated", "possible", "unknown"):
                rules.add(getattr(rule, state), rule=rule.name, state=state, **labels)
        for one in race.contenders:
            for state in TALLIES:
                who.add(getattr(one, state), contender=one.name, state=state, **labels)
        contended.add(race.rounds.contended, **labels)
        if race.settle is not None:
            _add_percentiles(took, race.settle, **labels)
    yield from (counted, rules, who, contended, took)


def _distributions(summary: Summary) -> Iterator[Measure]:
    scopes = list(_scopes(summary))
    lags = {name: gauge.lag for name, gauge in summary.gauges.items() if gauge.lag is not None}
    found: dict[str, list[tuple[Labels, Distribution]]] = {
        metric: [(labels, scope.distributions[metric]) for labels, scope in scopes if metric in scope.distributions]
        for metric in METRICS
    }
    found[QUEUE_LAG] = [({"gauge": name}, lag) for name, lag in lags.items()]
    for metric, distributions in found.items():
        percentiles = _percentiles_of(metric)
        measured = Measure(f"{metric}_events", f"Events of which {metric} is known or bounded")
        never = Measure(f"{metric}_never_seen_events", f"Events of which {metric} has no upper bound")
        for labels, distribution in distributions:
            if not distribution.count:
                continue
            measured.add(distribution.count, **labels)
            never.add(distribution.censored, **labels)
            _add_percentiles(percentiles, distribution, **labels)
        yield from (percentiles, measured, never)


def _add_percentiles(into: Measure, distribution: Distribution, **labels: str) -> None:
    for name, p in PERCENTILES.items():
        for bound, ns in zip(("lower", "upper"), distribution.bracket(p), strict=True):
            into.add(math.inf if ns is None else ns / NS_PER_S, quantile=_QUANTILES[name], bound=bound, **labels)


def _scopes(summary: Summary) -> Iterator[tuple[Labels, ScenarioSummary]]:
    yield {"scenario": "", "slice": ""}, summary.total()
    for event, of_event in summary.events().items():
        yield {"scenario": "", "slice": slice_label(event=event)}, of_event
    for name, scenario in summary.scenarios.items():
        yield {"scenario": name, "slice": ""}, scenario
        for label, part in scenario.slices.items():
            yield {"scenario": name, "slice": label}, part


def _gauges(summary: Summary) -> Iterator[Measure]:
    values = Measure("gauge", "What a gauge showed over the run")
    failed = Measure("gauge_failed_samples", "Samples of a gauge that could not be taken", kind="counter")
    for name, gauge in summary.gauges.items():
        failed.add(gauge.failed, gauge=name)
        for value, series in gauge.series.items():
            if series.count:
                figures = {"min": series.minimum, "mean": series.mean, "max": series.maximum, "last": series.last}
                for statistic, figure in figures.items():
                    values.add(figure, gauge=name, value=value, statistic=statistic)
    yield from (values, failed)


def _objectives(objectives: Iterable[ObjectiveResult]) -> Iterator[Measure]:
    result = Measure("objective_result", "An objective and its result; always 1")
    limit = Measure("objective_limit", "Limit of an objective: seconds, a share, events per second or a number")
    seen = Measure("objective_observed", "What was observed of an objective, in the unit of its limit")
    for objective in objectives:
        labels = {
            "objective": objective.expression,
            "scenario": objective.scenario or "",
            "slice": objective.scope,
        }
        result.add(1, result=objective.result.value, **labels)
        limit.add(objective.limit, **labels)
        for bound, value in zip(("lower", "upper"), objective.observed, strict=True):
            if value is not None:
                seen.add(value, bound=bound, **labels)
    yield from (result, limit, seen)


def _checks(checks: Iterable[CheckResult]) -> Iterator[Measure]:
    result = Measure("self_check_result", "A self-check and its result; always 1")
    for check in checks:
        result.add(1, check=check.name, result=check.result.value)
    yield result


def _on(actions: Iterable[ActionNow]) -> Measure:
    """Those that are over stay, so that whoever watches sees the end."""
    on = Measure("action_on", "Whether an action on the system may be on: 1 or 0")
    for one in actions:
        on.add(1 if one.may_be_on else 0, action=one.name)
    return on


def _actions(markers: Iterable[Marker]) -> Iterator[Measure]:
    begun = Measure("action_begun", "When an action on the system was done, since the schedule began", "s")
    ended = Measure("action_ended", "When it was over, since the schedule began", "s")
    failed = Measure("action_failed", "Whether it could not be done, or not be undone: 1 or 0")
    for marker in markers:
        labels = {"action": marker.action, "number": str(marker.number)}
        ends = marker.done if not marker.lasting else marker.undone
        for measure, bracket in ((begun, marker.done), (ended, ends)):
            for bound, ns in zip(("lower", "upper"), bracket or (), strict=False):
                if ns is not None:
                    measure.add(ns / NS_PER_S, bound=bound, **labels)
        for what, error in (("do", marker.error), ("undo", marker.undo_error)):
            failed.add(1 if error else 0, what=what, **labels)
    yield from (_on(actions_now(markers)), begun, ended, failed)


def _with_points(measures: Iterable[Measure]) -> list[Measure]:
    return [measure for measure in measures if measure.points]
