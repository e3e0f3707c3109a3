"""Says before a run what it will amount to: how many events, and which objectives it can decide."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ..config.run_config import Action, RunConfig
from ..config.sections import Scenario
from ..objectives.objective import HORIZON, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..stats.binomial import clopper_pearson_upper, smallest_n
from ..stats.trend import FEWEST_POINTS
from ..units import NS_PER_S, format_duration, format_rate, write_duration
from ..workload.journeys.program import events_of
from ..workload.journeys.settings import WaitStep
from ..workload.schedule import (
    duration_ns,
    expected_between,
    expected_events,
    fewest_events,
    iterations_of,
    open_stretches,
    rates_of,
)

_CALM: Final = 10
"""Events of one key per second that any target takes one at a time."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """Whether a run is long enough for one objective.

    events     that it will be judged by, as many as the schedule asks for
    fewest     the same if each phase that may end early ends at once
    needed     events it takes to pass with none bad; None where any number decides
    decidable  whether the run can end in a pass, as far as can be told
    unknown    why the number of events can't be told beforehand, or why nothing will be; empty if they can
    """

    objective: Objective
    events: int
    needed: int | None
    decidable: bool
    unknown: str = ""
    fewest: int | None = None

    @property
    def many(self) -> str:
        """What it is judged by, for people."""
        return "rounds" if self.objective.of_rounds else "events"

    @property
    def has(self) -> str:
        """The events, for people."""
        if self.fewest is None or self.fewest == self.events:
            return f"{self.events:,}"
        return f"{self.fewest:,} to {self.events:,}"

    @property
    def bad(self) -> int | None:
        """How many events may be bad so that it still passes; None: not even 0."""
        if not self.decidable:
            return None
        if self.needed is None or self.objective.share is None or self.unknown:
            return 0
        allowed, events = float(1 - self.objective.share), self.events
        # The more are bad, the higher the bound: the first number that doesn't pass any more, less one.
        return bisect_left(range(events + 1), True, key=lambda k: clopper_pearson_upper(k, events) >= allowed) - 1


def total_ns(config: RunConfig) -> int:
    """From the start of the schedule to the end of its last phase, in nanoseconds, if none ends early."""
    return max(scenario.start + duration_ns(scenario.load) for scenario in config.scenarios.values())


def times_of(action: Action, load_ns: int) -> Iterator[tuple[int, int]]:
    """From when to when an action is to be on, each time, in nanoseconds since the schedule began.

    Empty where it waits for something of which nobody knows when it comes. The load ends after `load_ns`.
    """
    times = action.times
    if times.at_ns is None:
        return
    if not times.again or times.every is None or times.to is None:
        lasts_ns = times.for_ if times.for_ is not None else load_ns - times.at_ns if times.lasting else 0
        yield times.at_ns, times.at_ns + max(0, lasts_ns)
        return
    for due_ns in range(times.at_ns, times.to, times.every):
        yield due_ns, min(due_ns + times.every, times.to) if times.for_ is None else due_ns + times.for_


def _due_meanwhile(config: RunConfig, scenario: Scenario, objective: Objective) -> float | None:
    """How many events of a scenario an objective about an action is about; None: nobody knows."""
    named = objective.during or objective.after_named or ""
    action, load_ns = config.actions.get(named), total_ns(config)
    spans = [] if action is None else list(times_of(action, load_ns))
    if not spans:
        return None
    if objective.during is None:
        spans = [(spans[-1][1], load_ns)]
    return sum(
        expected_between(scenario.load, max(since - scenario.start, scenario.warmup), until - scenario.start)
        for since, until in spans
    )


def may_end_early(config: RunConfig) -> bool:
    """Whether a phase waits for a gauge, or users have so many iterations to make: the run may be over sooner."""
    return any(
        open_stretches(scenario.load) or (scenario.closed and iterations_of(scenario.load) is not None)
        for scenario in config.scenarios.values()
    )


def prospects(config: RunConfig) -> list[Prospect]:
    """One for each objective, in the order of the config."""
    most = {name: scenario.judged_events for name, scenario in config.scenarios.items()}
    fewest = {name: _fewest(scenario) for name, scenario in config.scenarios.items()}
    found = [_prospect(config, objective, most) for objective in config.slos]
    if fewest == most:
        return found
    least = [_prospect(config, objective, fewest).events for objective in config.slos]
    return [replace(one, fewest=events) for one, events in zip(found, least, strict=True)]


def _fewest(scenario: Scenario) -> int:
    """The fewest events of a scenario that are judged, if each phase that may end early ends at once."""
    warm = expected_events(scenario.load) - scenario.judged_events
    return max(0, fewest_events(scenario.load) - warm)


def cautions(config: RunConfig) -> list[str]:
    """What is allowed and yet may leave objectives undecided, in sentences."""
    told = {}
    for objective in config.slos:
        over_ns = total_ns(config) + config.observe
        if (since := _counts_from(config, objective)) is not None and since >= over_ns:
            told[objective.title, 0] = (
                f"{objective.title} counts from when the schedule is over, and the run may end by then; write "
                "observe: 1m, and the run goes on for so long after its load"
            )
        longest_ns = objective.longest_wait_ns
        scenarios = {name: one for name, one in config.scenarios.items() if objective.scenario in (None, name)}
        followed = {probe for scenario in scenarios for probe in _following(config, scenario, objective.event)}
        for name in followed | {probe for scenario in scenarios.values() for probe in scenario.probes}:
            deadline_ns = config.probes[name].deadline
            if longest_ns is None or objective.probe not in (None, name) or deadline_ns >= HORIZON * longest_ns:
                continue
            told[name, longest_ns] = (
                f"probe {name!r} gives up after {format_duration(deadline_ns)}, less than {HORIZON} times the limit "
                f"of {format_duration(longest_ns)}: what comes late may pass for lost; better "
                f"deadline: {write_duration(round(HORIZON * longest_ns))}"
            )
    return [told[key] for key in sorted(told)] + [*_about_order(config)]


def _about_order(config: RunConfig) -> Iterator[str]:
    """Where an ordered producer has nothing to keep in order, or one key more than can be sent one at a time."""
    for name, producer in config.producers.items():
        scenarios = {one: scenario for one, scenario in config.scenarios.items() if scenario.producer == name}
        if not producer.ordered or not scenarios:
            continue
        if all(config.events[event].key is None for scenario in scenarios.values() for event in scenario.events):
            yield (
                f"producer {name!r} is ordered, and no event that it sends has a key, so there is no order to keep; "
                'give the events one, such as key: "{data.id}"'
            )
        for one, scenario in scenarios.items():
            weights: dict[str, float] = {}
            for event, weight in scenario.events.items():
                key = config.events[event].key
                if key is not None and "{" not in key:
                    weights[key] = weights.get(key, 0.0) + weight
            fastest = max((float(max(rates[2:])) for rates in rates_of(scenario.load)), default=0.0)
            for key, weight in weights.items():
                rate = fastest * weight / sum(scenario.events.values())
                if rate > _CALM:
                    yield (
                        f"scenario {one!r} sends up to {format_rate(rate)} with the key {key!r}, one at a time: it "
                        f"keeps up only where a publish takes less than {format_duration(NS_PER_S / rate)}"
                    )


def _counts_from(config: RunConfig, objective: Objective) -> int | None:
    """From when an objective about gauges counts, as planned; None: it is about the whole run, or about events."""
    terms = {
        name: ScenarioCriteria(scenario.start, scenario.start + duration_ns(scenario.load))
        for name, scenario in config.scenarios.items()
    }
    if not objective.is_gauged:
        return None
    action = config.actions.get(objective.after_named or "")
    if action is not None:
        return max((until for _, until in times_of(action, total_ns(config))), default=None)
    return objective.anchor_ns(terms)


def _why_not(config: RunConfig, objective: Objective) -> str:
    """Why the samples of gauges will say nothing of it; empty if they may."""
    since_ns, total = _counts_from(config, objective) or 0, total_ns(config) + config.observe
    if since_ns > total and objective.measure is not Measure.DRAIN:
        return f"it counts from {format_duration(since_ns)}, and the schedule is over after {format_duration(total)}"
    if objective.measure is Measure.GROWTH:
        every_ns = min(
            gauge.every
            for name, gauge in config.gauges.items()
            if objective.gauge in (None, name) and objective.subject in gauge.metrics
        )
        samples = (total - since_ns) // every_ns + 1
        if samples < FEWEST_POINTS:
            return f"a trend takes {FEWEST_POINTS} samples, and there will be {samples}"
    return ""


def _prospect(config: RunConfig, objective: Objective, expected: Mapping[str, int]) -> Prospect:
    if objective.is_gauged and (why := _why_not(config, objective)):
        return Prospect(objective, 0, None, decidable=False, unknown=why)
    inferred = objective.share is not None and objective.window is None
    followed = objective.share is not None or objective.inner is not None
    scenarios = {
        name: scenario
        for name, scenario in config.scenarios.items()
        if objective.scenario in (None, name)
        if objective.step is None or objective.event in (None, *_steps(config, name))
        if not objective.of_rounds or scenario.race is not None
    }
    if objective.needs_probe:
        watched = {
            name: one
            for name, one in scenarios.items()
            if (one.probes and objective.probe in (None, *one.probes)) or _watches(config, name)
        }
        of_all = objective.subject != "appeared"  # of others nobody asks whether they do
        if of_all and not followed and objective.measure is not Measure.STALENESS and len(watched) < len(scenarios):
            # Of the unwatched events nobody could say what became of them.
            return Prospect(objective, 0, None, decidable=False)
        scenarios = watched
    around = objective.during is not None or objective.of_later_events
    due = {
        name: _due_meanwhile(config, scenario, objective) if around else expected[name]
        for name, scenario in scenarios.items()
    }
    events = sum(
        round((due[name] or 0) * _share(config, name, scenario, objective, sampled=followed))
        for name, scenario in scenarios.items()
    )
    needed = smallest_n(objective.share, 0) if inferred and objective.share is not None else None
    if None in due.values():
        unknown = f"nobody knows when {objective.during or objective.after} will be on"
        return Prospect(objective, events, needed, decidable=True, unknown=unknown)
    if unknown := _unknown_steps(config, scenarios, objective):
        # How many samples there will be depends on no journey.
        return Prospect(objective, events, needed, decidable=True, unknown="" if objective.is_gauged else unknown)
    if (objective.key is not None or objective.tag is not None) and events:
        about = f"are {objective.tag}" if objective.key is None else f"have a key like {objective.key}"
        unknown = f"nobody knows how many events {about}"
        return Prospect(objective, events, needed, decidable=True, unknown=unknown)
    return Prospect(objective, events, needed, decidable=events > 0 if needed is None else events >= needed)


def _unknown_steps(config: RunConfig, scenarios: Mapping[str, Scenario], objective: Objective) -> str:
    """Why nobody knows how many events of journeys, or of races, there will be; empty: it is about none of these, or
    about contenders."""
    if objective.of_rounds:
        return ""
    if any(scenario.journeys for scenario in scenarios.values()):
        return "nobody knows how often the steps of journeys are done"
    for name, scenario in scenarios.items():
        if scenario.race is not None and not _times(name, scenario, objective.event):
            return "nobody knows how often races read, and how often their set-up is done to its end"
    return ""


def _times(name: str, scenario: Scenario, event: str | None) -> int:
    """How often the contender of a race whose events these are is sent in a round; 0: they are no contender's."""
    contenders = () if scenario.race is None else scenario.race.meant().contenders
    return sum(one.times for one in contenders if event == f"{name}.{one.step.name}")


def _steps(config: RunConfig, scenario: str) -> list[str]:
    """The names of the events that the steps of its journeys, or of its race, are."""
    return [event for name, steps in config.made_by(scenario).items() for event in events_of(name, steps)]


def _watches(config: RunConfig, scenario: str) -> bool:
    """Whether steps of its journeys wait for what a probe shows, or are followed by one."""
    steps = [step for one in config.made_by(scenario).values() for step in one.counted()]
    return any(isinstance(step, WaitStep) or step.probes for step in steps)


def _following(config: RunConfig, scenario: str, event: str | None) -> Iterator[str]:
    """The names of the probes that follow steps of its journeys, or that one whose event this is."""
    for name, steps in config.made_by(scenario).items():
        for step in steps.sending():
            if event in (None, f"{name}.{step.name}"):
                yield from step.probes


def _share(config: RunConfig, name: str, scenario: Scenario, objective: Objective, *, sampled: bool) -> float:
    """Share of the events of a scenario that an objective is about, by the weights of its events; of a race how often
    there are any in a round."""
    share = 1.0
    if scenario.race is not None:
        return 1.0 if objective.of_rounds else float(_times(name, scenario, objective.event))
    if objective.event is not None:
        share = scenario.events.get(objective.event, 0.0) / (sum(scenario.events.values()) or 1)
    if sampled and objective.needs_probe:
        # Only events that are followed closely have a place in a distribution.
        share *= min((config.probes[p].sample for p in scenario.probes if objective.probe in (None, p)), default=1.0)
    return share
