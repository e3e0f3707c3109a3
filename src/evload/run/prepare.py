"""Prepares a run: from a config to all that `execute` needs, and to all that its ledger has to carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..clients.credentials.opening import Learn
from ..clients.jmes import Expression
from ..config.run_config import Action, RunConfig, Watch
from ..config.sections import Scenario
from ..engine.acting import ActionRun
from ..engine.plan import BULK_TICK_NS, LATE_NS, JourneysRun, Plan, RaceRun, ReaderPlan, ScenarioRun
from ..engine.progress import Span, goal_of
from ..engine.resending import Resend
from ..errors import UsageError
from ..ledger import replay
from ..model.correlation import CorrelationIds
from ..model.facts import ON_DEMAND
from ..model.iteration import Watched
from ..model.summary import slice_label
from ..model.tags import name_of, unanswered
from ..model.travel import Encoding
from ..objectives.condition import parse_condition
from ..objectives.criteria import Criteria, lateness_limit_ns
from ..objectives.objective import GaugeValues, Objective, own_probe
from ..objectives.scenario import ScenarioCriteria, without_warmup
from ..spi.probe import ProbeSettings
from ..summary.fold_plan import Counted, RacePlan, ScenarioPlan, Slice
from ..tracking.reading_plan import ReadingPlan, Reference
from ..tracking.tracker import Origin
from ..units import NS_PER_S
from ..workload.events import EventType, Renderer, stand_ins
from ..workload.journeys.program import Given, Program, events_of
from ..workload.journeys.room import Course
from ..workload.journeys.settings import JourneySettings, Sending, WaitStep
from ..workload.races.program import RaceProgram
from ..workload.races.settings import RaceSettings
from ..workload.schedule import (
    Arrivals,
    Burst,
    Hold,
    Idle,
    Load,
    bursts_of,
    describe,
    duration_ns,
    expected_events,
    expected_in_steps,
    iterations_of,
    longest_hold,
    open_stretches,
    rates_of,
    users_of,
)
from ..workload.segment import WHOLE, Segment
from ..workload.templates import TemplateProblem

_CONFIRM_OVER_NS: Final = 5 * NS_PER_S
_FOR_EVER_NS: Final = 1 << 62
_EVENTS_PER_STEP: Final = 10
_MOST_STEPS: Final = 1000
_MOST_STEPS_APART: Final = 200
"""The same of the steps of a scenario's journeys."""
_MOST_EVENTS: Final = 50
"""Names of events that are counted apart without being asked for: the first of the config."""
_FOUND_BY_CONFIRMING: Final = frozenset({"regressions", "regressed", "non_monotonic"})
_COUNTED_FROM: Final[Mapping[str, Reference]] = {
    "first_seen": "acked",
    "consistency": "acked",
    "end_to_end": "intended",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run, ready to be executed.

    base_dir  where relative paths of the config start
    segment   the part of the schedule that this run sends
    meta      what its ledger has to carry so that the report can be made again from the ledger alone
    redact    takes secrets out of a text
    learn     is given each value of a secret that is got while the run goes on
    """

    config: RunConfig
    run_id: str
    base_dir: Path
    segment: Segment
    plan: Plan
    criteria: Criteria
    meta: Mapping[str, Any]
    redact: Callable[[str], str]
    learn: Learn

    @property
    def gauge_values(self) -> GaugeValues:
        """The names of each gauge's values."""
        return gauge_values(self.config)


def gauge_values(config: RunConfig) -> GaugeValues:
    """The names of each gauge's values."""
    return {name: gauge.metrics for name, gauge in config.gauges.items()}


def prepare(
    config: RunConfig,
    run_id: str,
    segment: Segment = WHOLE,
    *,
    base_dir: Path = Path(),
    redact: Callable[[str], str] = str,
    learn: Learn = lambda shown, value: None,
    captured: Mapping[str, Any] | None = None,
) -> Prepared:
    """A run of a config under a name, or the part of it that a segment has. `captured` is what its set-up got."""
    # Events and answers are judged, kept and shown by keys and replicas without secrets: then so are objectives.
    config = replace(config, slos=tuple(_without_secrets(objective, redact) for objective in config.slos))
    config = with_watches(config)
    plan, criteria = build(config, run_id, segment, redact, captured), criteria_of(config)
    meta = _meta(config, plan, criteria, run_id, segment, redact)
    return Prepared(config, run_id, base_dir, segment, plan, criteria, meta, redact, learn)


def _without_secrets(objective: Objective, redact: Callable[[str], str]) -> Objective:
    parts = (objective.key, objective.tag, objective.replica)
    key, tag, replica = (None if text is None else redact(text) for text in parts)
    return replace(objective, key=key, tag=tag, replica=replica)


def build(
    config: RunConfig,
    run_id: str,
    segment: Segment = WHOLE,
    redact: Callable[[str], str] = str,
    captured: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a config, for a run of that name. Only what a scenario uses is part of it. `redact` takes secrets
    out of what is shown of it. `captured` is what the set-up captured; None: there was none yet, so nothing that the
    plan holds is to be sent.

    Raises UsageError where several are to send parts of a load of which a phase may end early: each would end it at a
    moment of its own, and what they send would be no one schedule.
    """
    config = with_watches(config)
    readers = _readers(config)
    for name, scenario in config.scenarios.items():
        if segment.of > 1 and (scenario.journeys or scenario.race):
            what = "journeys" if scenario.journeys else "a race"
            raise UsageError(
                f"scenario {name!r} has {what}, which {segment.of} senders can't share yet; let one process send "
                "all of it"
            )
        if segment.of > 1 and (found := open_stretches(scenario.load)):
            raise UsageError(
                f"scenario {name!r} has a phase until {found[0].until}, which each of {segment.of} senders would end "
                "at a moment of its own; let one process send all of it, or leave the until out"
            )
    producers = {one for name in config.scenarios for one in senders(config, name)}
    ids = CorrelationIds.for_run(run_id)
    return Plan(
        scenarios=[
            ScenarioRun(
                fold=fold_plan(config, name),
                span=_span(config, name, redact),
                arrivals=Arrivals(_shown(scenario.load, redact), scenario.arrivals, f"{config.seed}/{name}/arrivals"),
                renderer=Renderer(
                    scenario=index,
                    scenarios=len(config.scenarios),
                    types=[] if name in config.watches else _types(config, scenario, captured),
                    encoding=config.producers[scenario.producer].encoding() if scenario.producer else Encoding(),
                    ids=ids,
                    run_id=run_id,
                    seed=f"{config.seed}/{name}",
                    segment=segment,
                ),
                producer=scenario.producer,
                reading={
                    number: _reading(reader.settings, scenario, _objectives_of(config, name, probe))
                    for probe in scenario.probes
                    for number, reader in enumerate(readers)
                    if reader.probe == probe
                },
                resend=_resend(scenario),
                waits={
                    one.number: parse_condition(one.until, gauge_values(config))
                    for one in open_stretches(scenario.load)
                },
                journeys=_journeys(config, name, index, ids, run_id, captured) if scenario.journeys else None,
                race=None if scenario.race is None else _race(config, name, index, ids, run_id, captured),
                watched=_watched(config, name),
            )
            for index, (name, scenario) in enumerate(config.scenarios.items())
        ],
        producers={name: settings for name, settings in config.producers.items() if name in producers},
        readers=readers,
        gauges=config.gauges,
        settle_ns=config.settle,
        goal=goal_of(config.slos, list(config.scenarios)),
        late_ns=None if (late_ns := lateness_limit_ns(config.slos)) is None else float(late_ns),
        actions=[_action(name, action) for name, action in config.actions.items()],
        observe_ns=config.observe,
        wanted=frozenset((one.inner or one).subject for one in config.slos if not one.is_gauged) & ON_DEMAND,
        rises={
            name: frozenset(
                part.subject
                for objective in config.slos
                for part in objective.rising
                if part.gauge in (None, name) and part.subject in gauge.metrics
            )
            | {
                term.value
                for row in config.costs
                for term in row.terms
                if (term.function, term.gauge) == ("rise", name)
            }
            for name, gauge in config.gauges.items()
        },
    )


def _span(config: RunConfig, name: str, redact: Callable[[str], str]) -> Span:
    """When a scenario runs, and what it does then; what is watched does nothing of its own."""
    scenario = config.scenarios[name]
    span = Span.of(name, scenario.start, _shown(scenario.load, redact), scenario.warmup)
    return replace(span, stretches=(), rates=()) if name in config.watches else span


def _journeys(
    config: RunConfig,
    name: str,
    index: int,
    ids: CorrelationIds,
    run_id: str,
    captured: Mapping[str, Any] | None,
) -> JourneysRun:
    """The journeys of a scenario, compiled. Raises TemplateProblem if a template can't be used."""
    scenario = config.scenarios[name]
    load, seed = scenario.load, f"{config.seed}/{name}"
    given = _given(config, name, index, ids, run_id, seed, captured)
    programs = [Program(journey, config.journeys[journey], given) for journey in scenario.journeys]
    for program in programs:
        if program.problems:
            raise program.problems[0]
    course = Course(
        weights=list(scenario.journeys.values()),
        arrivals=Arrivals(load, scenario.arrivals, f"{seed}/arrivals"),
        ramps=users_of(load),
        think=scenario.think or (0, 0),
        every_ns=scenario.every,
        iterations=iterations_of(load),
    )
    numbers = [list(config.journeys).index(journey) for journey in scenario.journeys]
    return JourneysRun(programs, numbers, course, senders(config, name), seed)


def _race(
    config: RunConfig,
    name: str,
    index: int,
    ids: CorrelationIds,
    run_id: str,
    captured: Mapping[str, Any] | None,
) -> RaceRun:
    """The race of a scenario, compiled. Raises TemplateProblem if a template can't be used."""
    scenario, seed = config.scenarios[name], f"{config.seed}/{name}"
    program = RaceProgram(name, config.races[name], _given(config, name, index, ids, run_id, seed, captured))
    if program.problems:
        raise program.problems[0]
    course = Course(weights=[1], arrivals=Arrivals(scenario.load, "constant", seed))
    return RaceRun(program, course, senders(config, name), seed)


def _given(
    config: RunConfig,
    name: str,
    index: int,
    ids: CorrelationIds,
    run_id: str,
    seed: str,
    captured: Mapping[str, Any] | None,
) -> Given:
    """What the journeys of a scenario are compiled with."""
    readers = _readers(config)
    return Given(
        ids=ids,
        run_id=run_id,
        seed=seed,
        scenario=index,
        types={event: number for number, event in enumerate(event_names(config))},
        watches={
            watch.event: number
            for number, one in enumerate(config.scenarios)
            if (watch := config.watches.get(one)) is not None and watch.scenario == name
        },
        readers={
            (watch.event, probe): tuple(number for number, reader in enumerate(readers) if reader.probe == own)
            for watch in config.watches.values()
            for probe, own in watch.probes.items()
        },
        encodings={producer: config.producers[producer].encoding() for producer in senders(config, name)},
        events=config.events,
        records=config.records,
        captured=stand_ins(config.captured) if captured is None else captured,
        uploads=config.uploads,
        expression=Expression,
    )


def event_names(config: RunConfig) -> list[str]:
    """The names of all events, in the order of the numbers by which rows know them: the steps of journeys, and then
    of races, last."""
    made = (*config.journeys.items(), *config.races.items())
    return [*config.events, *(event for name, steps in made for event in events_of(name, steps))]


def sent_by(config: RunConfig, scenario: str) -> list[str]:
    """The names of the events that a scenario sends."""
    own = config.scenarios[scenario].events
    waited = {watch.event for watch in config.watches.values() if watch.kind != "follow"}
    return [event for event in config.events_of(scenario) if event in own or event not in waited]


def senders(config: RunConfig, scenario: str) -> list[str]:
    """The names of the producers through which a scenario sends."""
    if producer := config.scenarios[scenario].producer:
        return [producer]
    return sorted({step.to for steps in config.made_by(scenario).values() for step in steps.sending()})


def with_watches(config: RunConfig) -> RunConfig:
    """A config in which what a step watches, what it waits for or the effect of what it sent, is a scenario too,
    with probes of its own. They have no load, and come after all that have."""
    if config.watches:
        return config
    scenarios, probes, replicas, watches = (
        dict(config.scenarios), dict(config.probes), dict(config.replicas), dict[str, Watch]()
    )  # fmt: skip
    for name, scenario in config.scenarios.items():
        for journey, settings in config.made_by(name).items():
            for step in settings.counted():
                event = f"{journey}.{step.name}"
                if isinstance(step, WaitStep):
                    watch = Watch(name, event, step.kind, {step.probe: event})
                    probes[event] = _awaiting(config.probes[step.probe], settings, step)
                    if places := config.replicas.get(step.probe):
                        replicas[event] = {place: _awaiting(one, settings, step) for place, one in places.items()}
                elif step.probes:
                    own = {probe: own_probe(event, probe) for probe in step.probes}
                    watch = Watch(name, event, "follow", own, step.to)
                    for probe in step.probes:
                        probes[own[probe]] = _following(config.probes[probe], settings, step, probe)
                        if places := config.replicas.get(probe):
                            replicas[own[probe]] = {
                                place: _following(one, settings, step, probe) for place, one in places.items()
                            }
                else:
                    continue
                watches[f"{name}: {event}"] = watch
                scenarios[f"{name}: {event}"] = scenario.model_copy(
                    update={
                        "producer": "", "journeys": {}, "race": None, "rounds": None,
                        "events": {event: 1.0}, "probes": (*watch.probes.values(),),
                        "load": (Idle.model_construct(idle=duration_ns(scenario.load)),), "arrivals": "constant",
                        "think": None, "every": None, "steady": False,
                    }
                )  # fmt: skip
    return replace(config, scenarios=scenarios, probes=probes, replicas=replicas, watches=watches)


def _awaiting(settings: ProbeSettings, journey: JourneySettings, step: WaitStep) -> ProbeSettings:
    """The probe of a step that waits, or a replica of it."""
    captures = {name: one.expression for name, one in step.capture.items()}
    probe = settings.waiting(step.until, step.within, captures)
    match step.kind:
        case "wait":
            return probe.looking_once if journey.lets_go(step.probe, step.of) else probe
        case "absent":
            return probe.asking_that_alone.looking_once
        case "gone":
            return probe.asking_that_alone


def _following(settings: ProbeSettings, journey: JourneySettings, step: Sending, probe: str) -> ProbeSettings:
    """A probe, or a replica of it, that follows what a step sends."""
    followed = settings.following
    return followed.looking_once if journey.lets_go(probe, step.probes[probe]) else followed


def _watched(config: RunConfig, scenario: str) -> Watched | None:
    """What a scenario watches for steps of another one; None: it is one by itself."""
    watch = config.watches.get(scenario)
    return None if watch is None else watch.kind


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event: which event a scenario sends, through which producer, and who looks for it.

    renderer  makes events of this kind alone; their numbers differ from those of the other kinds
    readers   by their numbers in the plan
    """

    scenario: str
    event: str
    producer: str
    renderer: Renderer
    readers: Sequence[int]


def kinds_of(config: RunConfig, run_id: str) -> list[Kind]:
    """Each kind of event once, in the order of the scenarios: what two scenarios send and watch alike is one.

    Nothing is set up for them. Raises UsageError for one that needs what a set-up captures.
    """
    readers = _readers(config)
    found: dict[tuple[str, str, tuple[str, ...]], tuple[str, EventType]] = {}
    for name, scenario in config.scenarios.items():
        if not scenario.producer:
            continue
        for one in _types(config, scenario, {}):
            found.setdefault((scenario.producer, one.name, tuple(scenario.probes)), (name, one))

    def renderer(index: int, scenario: str, producer: str, one: EventType) -> Renderer:
        try:
            return Renderer(
                scenario=index,
                scenarios=len(found),
                types=[one],
                encoding=config.producers[producer].encoding(),
                ids=CorrelationIds.for_run(run_id),
                run_id=run_id,
                seed=f"{config.seed}/{scenario}",
            )
        except TemplateProblem as problem:
            raise _not_set_up(problem, f"event {one.name!r}", f"events.{one.name}") from None

    return [
        Kind(
            scenario=name,
            event=one.name,
            producer=producer,
            renderer=renderer(index, name, producer, one),
            readers=[number for number, reader in enumerate(readers) if reader.probe in probes],
        )
        for index, ((producer, _, probes), (name, one)) in enumerate(found.items())
    ]


def _not_set_up(problem: TemplateProblem, what: str, where: str) -> UsageError:
    """A template asks for what a step of the set-up captures, and nothing is set up."""
    needed = problem.what.removeprefix("unknown placeholder ")
    return UsageError(
        f"{what} needs {needed}, which a step of setup captures, and nothing is set up here; try it with a value in "
        f"its place: --set {where}.{'.'.join(map(str, problem.path))}=VALUE"
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """One iteration of a journey by itself, by one user if it has users in its scenario.

    index  number of the scenario among `scenarios`, for the numbers of its events
    """

    scenario: str
    index: int
    scenarios: int
    journey: str
    settings: JourneySettings
    program: Program
    course: Course
    seed: str
    race: RaceSettings | None = None


def pass_of(config: RunConfig, journey: str, run_id: str) -> Pass:
    """One of a journey, in the first scenario that goes through it; or of a race, by the name of its scenario: its
    set-up, then each contender and each read once, one after another. Nothing is set up for it.

    What is drawn follows from `run_id` as well: what a run with the same seed will send is not sent beforehand.
    Raises UsageError for a journey that needs what a set-up captures.
    """
    config = with_watches(config)
    name, scenario = next(
        found
        for found in config.scenarios.items()
        if journey in found[1].journeys or is_race(config, journey, found[0])
    )
    index, seed = list(config.scenarios).index(name), f"{run_id}/{config.seed}/{name}"
    given = _given(config, name, index, CorrelationIds.for_run(run_id), run_id, seed, {})
    settings = config.journeys[journey] if journey in scenario.journeys else config.races[name].one_by_one()
    program = Program(journey, settings, given)
    for problem in program.problems:
        if journey in scenario.journeys:
            raise _not_set_up(problem, f"journey {journey!r}", f"journeys.{journey}")
        needed = problem.what.removeprefix("unknown placeholder ")
        raise UsageError(
            f"race {journey!r} needs {needed}, which a step of setup captures, and nothing is set up here; draw it "
            "under vars: of the race to try it"
        )
    closed = bool(users_of(scenario.load))
    load = (Idle.model_construct(idle=0),) if closed else (Burst.model_construct(burst=1),)
    course = Course(
        weights=[1],
        arrivals=Arrivals(load, "constant", seed),
        ramps=[(0, _FOR_EVER_NS, 1, 1)] if closed else [],
        iterations=1,
    )
    race = None if journey in scenario.journeys else config.races[name]
    return Pass(name, index, len(config.scenarios), journey, settings, program, course, seed, race)


def is_race(config: RunConfig, name: str, scenario: str) -> bool:
    """Whether it is the race of that scenario; a journey of the same name comes first."""
    return name == scenario and name in config.races and name not in config.journeys


def probe_numbers(config: RunConfig) -> dict[str, int]:
    """The number of each probe that a scenario uses."""
    used = {name for scenario in config.scenarios.values() for name in scenario.probes}
    return {name: number for number, name in enumerate(name for name in config.probes if name in used)}


def fold_plan(config: RunConfig, name: str) -> ScenarioPlan:
    """What the fold has to know of one scenario."""
    scenario = config.scenarios[name]
    numbers = probe_numbers(config)
    events, sent, made = event_names(config), sent_by(config, name), config.made_by(name)
    objectives = _objectives_of(config, name)
    by_slice: dict[str, list[Objective]] = {}
    for objective in objectives:
        by_slice.setdefault(objective.slice, []).append(objective)
    told = tags_told(config, name) | _tags_followed(config, name)
    slices = []
    for label, about in by_slice.items():
        first = about[0]
        if not label or (first.event is not None and first.event not in sent):
            continue
        if first.tag is not None and name_of(first.tag) not in told:
            continue
        probe = None if first.probe is None else _number_of(config, name, first.probe)
        if first.probe is not None and probe is None:
            continue
        slices.append(
            Slice(
                label,
                _counted(about),
                event=None if first.event is None else events.index(first.event),
                key=first.key,
                tag=first.tag,
                probe=probe,
                replica=first.replica,
                during=first.during,
                after=first.after if first.of_later_events else None,
                journey=first.journey if first.of_iterations else None,
                race=first.of_rounds,
            )
        )
    slices += _unanswered(objectives, told, sent, events)
    of_journeys = bool(made) or name in config.watches
    apart = sent[:_MOST_STEPS_APART] if of_journeys else [one for one in events[:_MOST_EVENTS] if one in sent]
    if len(sent) > 1 or made:
        labels = {slice_label(event=event): events.index(event) for event in apart}
        slices += [Slice(label, event=number) for label, number in labels.items() if label not in by_slice]
        # In the order of the config, whatever is asked for.
        slices.sort(key=lambda part: labels.get(part.label, len(events)))
    return ScenarioPlan(
        name=name,
        # Of what is to stay absent nothing is asked but whether it does: there are no times, and nothing is lost.
        watched=bool(scenario.probes) and _watched(config, name) != "absent",
        deadline_ns=max((config.probes[probe].deadline for probe in scenario.probes), default=0),
        counted=_counted(by_slice.get("", [])),
        slices=tuple(slices),
        probes=tuple((numbers[own], probe) for probe, own in _probes_of(config, name).items()),
        arrival_step_ns=arrival_step_ns(scenario),
        flow_step_ns=NS_PER_S if scenario.steady else None,
        phases=tuple(
            (scenario.start + stretch.start_ns, scenario.start + stretch.end_ns)
            for stretch in describe(scenario.load)
        ),
        event=apart[0] if apart and len(sent) == 1 and not made else "",
        warmup=(scenario.start, scenario.start + scenario.warmup) if scenario.warmup else None,
        journeys=tuple((list(config.journeys).index(journey), journey) for journey in scenario.journeys),
        sends=name not in config.watches,
        steps=tuple(f"{one}.{step.name}" for one, steps in made.items() for step in steps.in_order()),
        race=None if scenario.race is None else _race_plan(name, scenario.race.meant(), events),
    )


def _race_plan(scenario: str, race: RaceSettings, events: Sequence[str]) -> RacePlan:
    """What the fold has to know of the race of a scenario."""
    return RacePlan(
        contenders=tuple(one.step.name for one in race.contenders),
        always=tuple(rule.name for rule in race.rules_of("always")),
        holds=tuple(rule.name for rule in race.rules_of("holds")),
        reads=tuple(events.index(f"{scenario}.{read.name}") for read in race.reads),
    )


def _probes_of(config: RunConfig, scenario: str) -> Mapping[str, str]:
    """The probes of a scenario, in the order of their chain, by the names that the config has for them."""
    watch = config.watches.get(scenario)
    return {probe: probe for probe in config.scenarios[scenario].probes} if watch is None else watch.probes


def _number_of(config: RunConfig, scenario: str, probe: str) -> int | None:
    """The number of a probe, by the name that the config has for it, as a scenario asks it; None: the scenario asks
    others, or none."""
    asked = _probes_of(config, scenario)
    own = asked.get(probe, probe if probe in asked.values() else None)
    return None if own is None else probe_numbers(config).get(own)


def _tags_followed(config: RunConfig, scenario: str) -> Set[str]:
    """The names of the tags that a step's answers give what is followed of it."""
    watch = config.watches.get(scenario)
    return config.producers[watch.producer].capabilities.tags if watch is not None and watch.producer else set()


def tags_told(config: RunConfig, scenario: str) -> Set[str]:
    """The names of the tags that answers give the events of a scenario."""
    able = [config.producers[producer].capabilities for producer in senders(config, scenario)]
    able += [config.probes[probe].capabilities for probe in config.scenarios[scenario].probes]
    return {name for one in able for name in one.tags}


def _unanswered(
    objectives: Sequence[Objective], told: Set[str], sent: Sequence[str], events: Sequence[str]
) -> list[Slice]:
    """The events that may have a tag which an objective is about, because no answer said: with all that is counted of
    those that have it."""
    by_part: dict[str, list[Objective]] = {}
    for one in objectives:
        if one.tag is not None and name_of(one.tag) in told and one.event in (None, *sent):
            by_part.setdefault(replace(one, tag=unanswered(one.tag)).slice, []).append(one)
    return [
        Slice(
            label,
            _counted(about),
            event=None if about[0].event is None else events.index(about[0].event),
            key=about[0].key,
            tag=unanswered(about[0].tag or ""),
            during=about[0].during,
            after=about[0].after if about[0].of_later_events else None,
        )
        for label, about in by_part.items()
    ]


def _counted(objectives: Sequence[Objective]) -> Counted:
    return Counted(
        tuple(sorted({about for objective in objectives for about in objective.thresholds})),
        tuple(sorted({about for objective in objectives for about in objective.steps})),
        tuple(sorted({about for objective in objectives for about in objective.counter_steps})),
        on_time=any((objective.inner or objective).subject == "end_to_end" for objective in objectives),
    )


def criteria_of(config: RunConfig) -> Criteria:
    """By what a run of the config is judged."""
    absences = {own for watch in config.watches.values() if watch.kind == "absent" for own in watch.probes.values()}
    return Criteria(
        objectives=config.slos,
        policy=config.self_checks,
        deadlines_ns={name: probe.deadline for name, probe in config.probes.items() if name not in absences},
        scenarios={
            # A probe that never shows what is to stay absent, or that shows all along what is to go, isn't blind.
            name: _scenario_criteria(
                scenario, () if _watched(config, name) in ("absent", "gone") else scenario.probes
            )
            for name, scenario in config.scenarios.items()
        },
        max_reads={
            name: None if probe.max_reads is None else float(probe.max_reads) for name, probe in config.probes.items()
        },
        costs=config.costs,
    )


def _meta(
    config: RunConfig, plan: Plan, criteria: Criteria, run_id: str, segment: Segment, redact: Callable[[str], str]
) -> Mapping[str, Any]:
    return replay.meta(
        run_id,
        redact(config.name),
        criteria,
        plans=[scenario.fold for scenario in plan.scenarios],
        events=event_names(config),
        journeys=list(config.journeys),
        probes=list(probe_numbers(config)),
        gauges={name: (gauge.metrics, gauge.scenarios) for name, gauge in config.gauges.items()},
        segment=(segment.number, segment.of),
        circumstances=config.circumstances.redacted(redact),
        stages=[
            (name, scenario.start + stretch.start_ns, scenario.start + stretch.end_ns, stretch.text)
            for name, scenario in config.scenarios.items()
            if name not in config.watches
            for stretch in describe(_shown(scenario.load, redact))
        ],
    )


def _shown(load: Load, redact: Callable[[str], str]) -> Load:
    """A load whose conditions are without secrets."""
    return tuple(
        phase.model_copy(update={"until": redact(phase.until)})
        if isinstance(phase, Hold | Idle) and phase.until
        else phase
        for phase in load
    )


def _scenario_criteria(scenario: Scenario, probes: Sequence[str]) -> ScenarioCriteria:
    step_ns, warm_ns = arrival_step_ns(scenario), scenario.warmup
    hold = longest_hold(scenario.load) if scenario.steady else None
    expected = [] if step_ns is None else expected_in_steps(scenario.load, scenario.start, step_ns)
    return ScenarioCriteria(
        start_ns=scenario.start,
        end_ns=scenario.start + duration_ns(scenario.load),
        arrival_step_ns=step_ns,
        expected=without_warmup(expected, step_ns, scenario.start + warm_ns if warm_ns else 0),
        steady=None if hold is None else (scenario.start + max(hold[0], warm_ns), scenario.start + hold[1]),
        watched=bool(probes),
        probes=tuple(probes),
        events=_most_events(scenario) if scenario.arrivals == "constant" and scenario.many == "events" else None,
        rates=tuple(
            (scenario.start + start_ns, scenario.start + end_ns, from_rate, to_rate)
            for start_ns, end_ns, from_rate, to_rate in rates_of(scenario.load)
        ),
        bursts=tuple(scenario.start + at_ns for at_ns in bursts_of(scenario.load)),
        warmup_ns=warm_ns,
    )


def _most_events(scenario: Scenario) -> int:
    """The most that can be judged: where a phase ends early, more of those after it are due after the warm-up."""
    return expected_events(scenario.load) if open_stretches(scenario.load) else scenario.judged_events


def arrival_step_ns(scenario: Scenario) -> int | None:
    """Length of the steps in which sends are counted to check their spread; None where arrivals aren't random.

    Long enough for several events on average, and so that there are at most a thousand.
    """
    total_ns = duration_ns(scenario.load)
    if scenario.arrivals != "poisson" or not total_ns:
        return None
    events = max(1, expected_events(scenario.load))
    return max(NS_PER_S, _EVENTS_PER_STEP * total_ns // events, total_ns // _MOST_STEPS)


def _readers(config: RunConfig) -> list[ReaderPlan]:
    """One for each probe, or for each of its replicas that have an address of their own."""
    readers = []
    for name, number in probe_numbers(config).items():
        replicas = config.replicas.get(name)
        if replicas:
            readers += [
                ReaderPlan(f"{name}@{replica}", name, Origin(number, replica), settings)
                for replica, settings in replicas.items()
            ]
        else:
            readers.append(ReaderPlan(name, name, Origin(number), config.probes[name]))
    return readers


def _action(name: str, action: Action) -> ActionRun:
    times = action.times
    return ActionRun(
        name=name,
        do=[step.settings for step in action.do],
        undo=[step.settings for step in action.undo],
        lasting=times.lasting,
        at_ns=times.at_ns,
        after=times.after,
        when=action.when,
        every_ns=times.every,
        until_ns=times.to,
        for_ns=times.for_,
    )


def _resend(scenario: Scenario) -> Resend | None:
    resend = scenario.resend
    return None if resend is None else Resend(resend.share, resend.copies, resend.after)


def _types(config: RunConfig, scenario: Scenario, captured: Mapping[str, Any] | None) -> list[EventType]:
    names = list(config.events)
    values = stand_ins(config.captured) if captured is None else captured
    return [
        EventType(names.index(name), name, config.events[name], weight, config.records[name], values)
        for name, weight in scenario.events.items()
    ]


def _objectives_of(config: RunConfig, scenario: str, probe: str | None = None) -> list[Objective]:
    """Objectives about a scenario's events, or those of them that a probe has to decide."""
    return [
        objective
        for objective in config.slos
        if objective.is_of(scenario) and (probe is None or objective.asks(probe))
    ]


def _reading(settings: ProbeSettings, scenario: Scenario, objectives: Sequence[Objective]) -> ReadingPlan:
    """The reading plan of a probe for a scenario that these objectives are about."""
    limits = [
        limit
        for objective in objectives
        if objective.subject in _COUNTED_FROM and (limit := objective.latency_limit_ns) is not None
    ]
    pins = {
        (_COUNTED_FROM[metric], threshold)
        for objective in objectives
        for metric, threshold in (*objective.thresholds, *(about[:2] for about in objective.steps))
        if metric in _COUNTED_FROM
    }
    can = settings.capabilities
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
        slack_ns=BULK_TICK_NS if settings.bulk > 1 else LATE_NS,
        tick_ns=BULK_TICK_NS if settings.bulk > 1 else 0,
        after_ack=can.asks_by_capture,
        pushed=can.pushes,
        replicas=settings.replicas,
        learns=settings.reading == "adaptive",
        confirm_all=any(objective.subject in _FOUND_BY_CONFIRMING for objective in objectives),
        session=settings.session,
        versions="version" in can.tells,
        resent_for_ns=0 if scenario.resend is None else scenario.resend.copies * scenario.resend.after,
    )
