"""Turns a config into a plan that the engine can run: which arrivals, which events, which reads when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .config import RunConfig, Scenario
from .engine import BULK_TICK_NS, Plan, ScenarioRun
from .gate.slo import Objective
from .measurement.recorder import ScenarioPlan
from .measurement.tracker import ReadingPlan, Reference
from .ports import ProbeSettings
from .progress import Span
from .units import NS_PER_S
from .workload.correlation import CorrelationIds
from .workload.events import EventType, Renderer
from .workload.schedule import Arrivals, describe, duration_ns

_CONFIRM_OVER_NS: Final = 5 * NS_PER_S
_COUNTED_FROM: Final[Mapping[str, Reference]] = {
    "first_seen": "acked",
    "consistency": "acked",
    "end_to_end": "intended",
}


def build(config: RunConfig, run_id: str) -> Plan:
    """The plan of a config, for a run of that name. Only what a scenario uses is part of it."""
    used = {name for scenario in config.scenarios.values() for name in scenario.probes}
    probes = {name: settings for name, settings in config.probes.items() if name in used}
    producers = {scenario.producer for scenario in config.scenarios.values()}
    numbers = {name: number for number, name in enumerate(probes)}
    ids = CorrelationIds.for_run(run_id)
    return Plan(
        scenarios=[
            ScenarioRun(
                fold=fold_plan(config, name),
                span=Span(name, scenario.start, scenario.start + duration_ns(scenario.load), describe(scenario.load)),
                arrivals=Arrivals(scenario.load, scenario.arrivals, f"{config.seed}/{name}/arrivals"),
                renderer=Renderer(
                    scenario=index,
                    scenarios=len(config.scenarios),
                    types=_types(config, scenario),
                    encoding=config.producers[scenario.producer].encoding(),
                    ids=ids,
                    run_id=run_id,
                    seed=f"{config.seed}/{name}",
                ),
                producer=scenario.producer,
                reading={
                    numbers[probe]: _reading(config.probes[probe], _objectives_of(config, name))
                    for probe in scenario.probes
                },
            )
            for index, (name, scenario) in enumerate(config.scenarios.items())
        ],
        producers={name: settings for name, settings in config.producers.items() if name in producers},
        probes=probes,
        gauges=config.gauges,
        settle_ns=config.settle,
    )


def fold_plan(config: RunConfig, name: str) -> ScenarioPlan:
    """What the fold has to know of one scenario."""
    scenario = config.scenarios[name]
    thresholds = {about for objective in _objectives_of(config, name) for about in objective.thresholds}
    return ScenarioPlan(
        name=name,
        watched=bool(scenario.probes),
        deadline_ns=max((config.probes[probe].deadline for probe in scenario.probes), default=0),
        thresholds=tuple(sorted(thresholds)),
    )


def _types(config: RunConfig, scenario: Scenario) -> list[EventType]:
    names = list(config.events)
    return [
        EventType(names.index(name), name, config.events[name], weight, config.records[name])
        for name, weight in scenario.events.items()
    ]


def _objectives_of(config: RunConfig, scenario: str) -> list[Objective]:
    return [objective for objective in config.slos if objective.scenario in (None, scenario)]


def _reading(settings: ProbeSettings, objectives: Sequence[Objective]) -> ReadingPlan:
    """The reading plan of a probe for a scenario that these objectives are about."""
    limits = [
        limit
        for objective in objectives
        if objective.subject in _COUNTED_FROM and (limit := objective.latency_limit_ns) is not None
    ]
    pins = {
        (_COUNTED_FROM[metric], threshold)
        for objective in objectives
        for metric, threshold in objective.thresholds
        if metric in _COUNTED_FROM
    }
    over = settings.confirm.over
    if over is None:
        over = max(2 * min(limits, default=0), _CONFIRM_OVER_NS)
    return ReadingPlan(
        deadline_ns=settings.deadline,
        first_ns=settings.first,
        resolution=settings.resolution,
        max_gap_ns=settings.max_gap,
        sample=settings.sample,
        confirm_reads=settings.confirm.reads,
        confirm_over_ns=over,
        pins=tuple(sorted(pins)),
        slack_ns=BULK_TICK_NS if settings.bulk > 1 else 0,
        after_ack=settings.asks_by_capture,
        pushed=settings.pushes,
        replicas=settings.replicas,
    )
