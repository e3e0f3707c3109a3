"""A part of a config: some of its scenarios, and what is asked of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import ConfigError, UsageError
from ..model.facts import QUEUE_LAG
from ..objectives.condition import parse_condition
from ..objectives.objective import Measure, Objective
from ..spi.gauge import GaugeSettings
from ..texts import meant
from ..workload.journeys.settings import RequestStep
from ..workload.schedule import duration_ns, open_stretches
from .guard import held
from .load import load
from .run_config import Action, LoadedConfig, RunConfig
from .sections import Scenario

_OPTION: Final = "--scenario"
_DEPTH: Final = "queue_depth"


def part_of(loaded: LoadedConfig, names: Sequence[str]) -> LoadedConfig:
    """The config with these of its scenarios alone, each when it would have begun; without a name those that its
    profiles are about, or all.

    Gauges of queues through which nothing else passes go with the scenarios that are left out, and so do actions that
    wait for these, or would begin when all else is over. An objective about what is left out isn't asked, and is
    named as such. Raises UsageError for a name that there isn't, and for a part that lacks what it can't do without.
    """
    config = loaded.config
    names = names or loaded.profiles.only
    for name in names:
        if name not in config.scenarios:
            cure = meant(name, config.scenarios, f"choose of {', '.join(config.scenarios)}")
            raise UsageError(f"{_OPTION} {name}: there is no such scenario; {cure}")
    if not names:
        return loaded
    scenarios = {name: scenario for name, scenario in config.scenarios.items() if name in names}
    gauges = {
        name: gauge.model_copy(update={"scenarios": tuple(one for one in gauge.scenarios if one in scenarios)})
        for name, gauge in config.gauges.items()
        if not gauge.scenarios or set(gauge.scenarios) & scenarios.keys()
    }
    _keep_what_ends_phases(config, scenarios, gauges)
    _keep_who_gives(config, scenarios)
    actions = _actions_of(config, scenarios)
    # Without one of its services a price table would tell too little.
    told = all(not term.gauge or term.gauge in gauges for row in config.costs for term in row.terms)
    costs = config.costs if told else ()
    asked = [
        objective
        for objective in config.slos
        if (costs if objective.measure is Measure.COST else _is_asked(objective, config, scenarios, gauges, actions))
    ]
    left_out = [objective for objective in config.slos if objective not in asked and not objective.implied]
    about = replace(
        config.circumstances,
        scenarios=tuple(scenarios),
        not_asked=(*config.circumstances.not_asked, *(objective.title for objective in left_out)),
    )
    part = replace(
        config,
        scenarios=scenarios,
        gauges=gauges,
        actions=actions,
        slos=tuple(asked),
        costs=costs,
        circumstances=about,
    )
    return replace(loaded, config=part)


def _keep_what_ends_phases(
    config: RunConfig, scenarios: Mapping[str, Scenario], gauges: Mapping[str, GaugeSettings]
) -> None:
    """Raises UsageError if a phase waits for a gauge that goes with the scenarios that are left out."""
    values = {name: gauge.metrics for name, gauge in config.gauges.items()}
    for name, scenario in scenarios.items():
        for phase in open_stretches(scenario.load):
            gauge = parse_condition(phase.until, values).gauge
            if gauge not in gauges:
                others = " and ".join(config.gauges[gauge].scenarios)
                raise UsageError(
                    f"{_OPTION} {name}: it has a phase until {phase.until}, and the gauge {gauge} goes with "
                    f"{others}; choose {others}, too, or name {name} under the gauge's scenarios:"
                )


def _keep_who_gives(config: RunConfig, scenarios: Mapping[str, Scenario]) -> None:
    """Raises UsageError if a journey would starve: it takes what only journeys that are left out give."""
    kept = {journey for scenario in scenarios.values() for journey in scenario.journeys}
    given = {pool for journey in kept for step in config.journeys[journey].sending() for pool in step.give}
    for name, scenario in scenarios.items():
        for journey in scenario.journeys:
            taken = (pool for step in config.journeys[journey].sending() for pool in step.take.values())
            for pool in taken:
                if pool in given:
                    continue
                giving = [
                    (other, one)
                    for one, left_out in config.scenarios.items()
                    for other in left_out.journeys
                    if any(pool in step.give for step in config.journeys[other].sending())
                ]
                others, where = (" or ".join(dict.fromkeys(each)) for each in zip(*giving, strict=True))
                raise UsageError(
                    f"{_OPTION} {name}: its journey {journey} takes {pool}, which {others} of {where} gives, "
                    f"and that is left out; choose {where}, too"
                )


def check_profiles(loaded: LoadedConfig, path: Path, sets: Sequence[str], environ: Mapping[str, str]) -> None:
    """Whether the config in a file holds together with each of its profiles by itself, and is within what may be
    loaded. Raises ConfigError."""
    problems = []
    for name in loaded.profiles.known:
        try:
            held(part_of(load(path, sets=sets, profiles=[name], environ=environ), ()), environ)
        except ConfigError as error:
            problems += [one._replace(what=f"with the profile {name}: {one.what}") for one in error.problems]
    if problems:
        raise ConfigError(problems)


def _actions_of(config: RunConfig, scenarios: Mapping[str, Scenario]) -> dict[str, Action]:
    """Those that don't wait for what is left out, and would begin while there is something left."""
    over_ns = max(scenario.start + duration_ns(scenario.load) for scenario in scenarios.values()) + config.observe
    left = {name: action for name, action in config.actions.items() if (action.times.at_ns or 0) < over_ns}
    while late := [
        name
        for name, action in left.items()
        if action.times.after is not None and action.times.after not in {*scenarios, *left}
    ]:
        for name in late:
            del left[name]
    return left


def _is_in_race(objective: Objective, config: RunConfig, scenario: str) -> bool:
    """Whether a scenario is a race that has the rule and the contender which an objective names, if it names any."""
    race = config.races.get(scenario)
    if race is None:
        return False
    contenders, rules = [one.step.name for one in race.contenders], [one.name for one in race.rules]
    return objective.rule in (None, *rules) and objective.contender in (None, *contenders)


def _is_asked(
    objective: Objective,
    config: RunConfig,
    scenarios: Mapping[str, Scenario],
    gauges: Mapping[str, GaugeSettings],
    actions: Mapping[str, Action],
) -> bool:
    """Whether there is something left that it is about, and from which it counts."""
    if objective.scenario not in {None, *scenarios}:
        return False
    if objective.after_named is not None and objective.after_named not in {*scenarios, *actions}:
        return False
    if objective.during is not None and objective.during not in actions:
        return False
    asked = objective.inner or objective
    if asked.is_gauged:
        return all(
            any(one.subject in gauge.metrics for name, gauge in gauges.items() if one.gauge in (None, name))
            for one in asked.parts or (asked,)
        )
    if asked.subject == QUEUE_LAG:
        return any(_DEPTH in gauge.metrics for gauge in gauges.values())
    return any(
        (objective.event is None or objective.event in config.events_of(name))
        and asked.journey in (None, *scenario.journeys)
        and (bool(scenario.journeys) or not asked.of_iterations)
        and (not asked.of_rounds or _is_in_race(asked, config, name))
        and objective.probe in (None, *config.probes_of(scenario))
        and (bool(config.probes_of(scenario)) or not asked.needs_probe)
        and _has_check(asked, config, scenario)
        for name, scenario in scenarios.items()
        if objective.scenario in (None, name)
    )


def _has_check(objective: Objective, config: RunConfig, scenario: Scenario) -> bool:
    """Whether a scenario holds answers against the check that an objective is about, if it is about one."""
    return objective.check is None or any(
        objective.check in step.check
        for journey in scenario.journeys
        if objective.journey in (None, journey)
        for step in config.journeys[journey].sending()
        if isinstance(step, RequestStep) and objective.step in (None, step.name)
    )
