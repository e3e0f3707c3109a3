"""What the parts of a config must be to each other: names that lead somewhere, tellers of what is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Final

from .. import files
from ..model.costs import SPANS_S
from ..model.facts import FACTS, MEASURED, QUEUE_LAG, told_as
from ..model.iteration import Awaits
from ..model.tags import MOST as MOST_TAGS
from ..model.tags import name_of
from ..objectives.condition import parse_condition
from ..objectives.cost import Service
from ..objectives.objective import HORIZON, Measure, Objective
from ..spi.gauge import GaugeSettings
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..spi.secrets import is_in_login, names_in
from ..units import format_duration, write_duration
from ..workload import events
from ..workload.events import EventSettings
from ..workload.journeys.settings import Counted, EventStep, JourneySettings, RequestStep, WaitStep
from ..workload.records import Records
from ..workload.schedule import Hold, Idle, duration_ns, events_before, expected_events, longest_hold
from ..workload.templates import OWN_NAMES
from .journeys import event_name, probes_of, producers_of, step_probes
from .problems import Problems, unknown
from .run_config import Action, Step
from .sections import Scenario
from .yaml import DataPath, places, texts

_OF_ANSWERS: Final = frozenset({"answer(2)", "answer(3)", "publish", "retried", "bytes_in", "bytes_out", *MEASURED})
"""What is known of steps that send alone."""
_OF_PROBES: Final = frozenset({"ended", "effects", "position", "version"})
"""Keys of probes without which a counter could never count."""
_REFERENCES: Final = (
    ("producer", "producers"), ("events", "events"), ("journeys", "journeys"), ("probes", "probes"),
)  # fmt: skip
"""Keys of a scenario that name something, and the section in which it stands."""
_LONGEST_DATA_FILE: Final = 100_000_000
"""Bytes. All of it is in memory as long as the run goes on."""
_OF_PRODUCERS: Final = frozenset(fact.of for fact in FACTS.values() if fact.by_producer and fact.of)


class Checks:
    """Notes what doesn't fit together in a document whose sections were read one by one."""

    def __init__(
        self,
        problems: Problems,
        journeys: Mapping[str, JourneySettings] = {},
        races: Mapping[str, JourneySettings] = {},
    ) -> None:
        """`races` are by the names of their scenarios."""
        self._problems = problems
        self._journeys = journeys
        self._races = races
        self._document = problems.document

    def references(self) -> None:
        """Names in scenarios, read from the file itself so that a scenario with another mistake is checked too."""
        scenarios = self._document.data.get("scenarios", {})
        if scenarios == {}:
            self._problems.add(("scenarios",), "there is no scenario", "add one under scenarios:", key=True)
        for scenario, settings in self._document.section("scenarios").items():
            for field, section in _REFERENCES:
                named = settings.get(field) if isinstance(settings, dict) else None
                path: DataPath = ("scenarios", scenario, field)
                if isinstance(named, str) and field == "producer":
                    self._name(named, section, path)
                elif isinstance(named, dict) and field in ("events", "journeys"):
                    for name in named:
                        self._name(name, section, (*path, name), key=True)
                elif isinstance(named, list) and field != "producer":
                    for index, name in enumerate(named):
                        self._name(name, section, (*path, index))

    def _name(self, name: object, section: str, path: DataPath, *, key: bool = False) -> None:
        known = self._document.section(section)
        if isinstance(name, str) and name not in known and not self._problems.full:
            what, cure = unknown(section.removesuffix("s"), name, known, otherwise=f"define it under {section}:")
            self._problems.add(path, what, cure, key=key)

    def warmups(self, scenarios: Mapping[str, Scenario]) -> None:
        """Something has to be left to be judged."""
        for name, scenario in scenarios.items():
            if scenario.closed:
                left = scenario.warmup < duration_ns(scenario.load)
            else:
                left = events_before(scenario.load, scenario.warmup) < expected_events(scenario.load)
            if scenario.warmup and not left:
                what = f"no event is due after a warm-up of {format_duration(scenario.warmup)}, so nothing is judged"
                self._problems.add(("scenarios", name, "warmup"), what, "write a shorter one, or a longer load")

    def gauges(self, gauges: Mapping[str, GaugeSettings]) -> None:
        for name, gauge in gauges.items():
            for index, scenario in enumerate(gauge.scenarios):
                self._name(scenario, "scenarios", ("gauges", name, "scenarios", index))

    def waits(self, scenarios: Mapping[str, Scenario], gauges: Mapping[str, GaugeSettings]) -> None:
        """What phases of a load wait for has to be something that a gauge can show."""
        if len(gauges) < len(self._document.section("gauges")):
            return  # One has a mistake of its own, and nobody knows its values.
        values = {name: gauge.metrics for name, gauge in gauges.items()}
        for name, scenario in scenarios.items():
            for index, phase in enumerate(scenario.load):
                if isinstance(phase, Hold | Idle) and phase.until:
                    try:
                        parse_condition(phase.until, values)
                    except ValueError as error:
                        self._problems.add_text(("scenarios", name, "load", index, "until"), str(error))

    def secrets(self, live: Mapping[DataPath, Set[str]]) -> None:
        """Where secrets are named that may change: they must be there, and whoever is told one must know what to do.

        `live` has, by the place of each adapter, the settings in which one may stand.
        """
        for name in self._document.section("secrets"):
            self._named_by_a_secret(name)
        for section in ("labels", "params"):
            for place, text in texts(self._document.section(section), (section,)):
                for name in names_in(text):
                    what = f"{{secrets.{name}}} would be shown in every report, as all of {section} is"
                    self._problems.add(place, what, "write something that is no secret")
        for path, allowed in live.items():
            for place, text in texts(self._document.value(path), path):
                for name in names_in(text):
                    self._name(name, "secrets", place)
                    self._place(place, place[len(path) :], text, name, allowed)

    def _named_by_a_secret(self, name: str) -> None:
        """What is fetched may need a secret from a file, and no other: so none waits for itself."""
        known = self._document.section("secrets")
        for place, text in texts(known[name], ("secrets", name)):
            for other in names_in(text):
                self._name(other, "secrets", place)
                source = known.get(other)
                if isinstance(source, dict) and "file" not in source:
                    what = f"{{secrets.{other}}} is fetched itself, and a secret can need only those that are read"
                    self._problems.add(place, what, "name one with file:, or a variable such as ${NAME}")

    def _place(self, place: DataPath, inside: DataPath, text: str, name: str, allowed: Set[str]) -> None:
        """`inside` is the place within the settings of the adapter."""
        key = str(inside[2] if inside[0] == "at" and len(inside) > 2 else inside[0])
        if key not in allowed:
            what = f"{{secrets.{name}}} can't stand in {key} of this kind"
            where = " or ".join(sorted(allowed))
            cure = f"write it into {where}" if allowed else "write ${NAME}, a variable of the environment"
            self._problems.add(place, what, cure)
        elif key == "url" and not is_in_login(text):
            what = f"{{secrets.{name}}} can stand in the login of an address alone"
            self._problems.add(place, what, f"write scheme://user:{{secrets.{name}}}@host")

    def asked_by_capture(
        self,
        scenarios: Mapping[str, Scenario],
        producers: Mapping[str, ProducerSettings],
        probes: Mapping[str, ProbeSettings],
    ) -> None:
        for name, scenario in scenarios.items():
            producer = producers.get(scenario.producer)  # journeys have no probes
            if producer is None or producer.capabilities.captures:
                continue
            for index, probe in enumerate(scenario.probes):
                if probe in probes and probes[probe].capabilities.asks_by_capture:
                    what = f"probe {probe!r} asks by {{capture}}, and producer {scenario.producer!r} captures nothing"
                    cure = "give the producer a capture:, or ask by {correlation_id}"
                    self._problems.add(("scenarios", name, "probes", index), what, cure)

    def objectives(
        self,
        objectives: Mapping[DataPath, Objective],
        scenarios: Mapping[str, Scenario],
        probes: Mapping[str, ProbeSettings],
        gauges: Mapping[str, GaugeSettings],
        producers: Mapping[str, ProducerSettings],
    ) -> None:
        """Refuse what could never be decided, or never fail."""
        known = self._document.section("scenarios")
        for path, objective in objectives.items() if known else ():
            if objective.scenario is not None:
                self._name(objective.scenario, "scenarios", (*path, "scenario"))
            chosen = known if objective.scenario is None else [objective.scenario]
            if not all(name in scenarios for name in chosen):
                continue
            step = self._step_of(objective)
            watching = set() if step else {probe for name in chosen for probe in scenarios[name].probes}
            watching |= {
                probe
                for one in ([step] if step else self._counted(chosen, scenarios))
                for probe in step_probes(one)
                if (_kind(one) == "absent") == (objective.subject == "appeared")
            }
            if self._misses_its_step(path, objective, chosen, scenarios):
                continue
            self._named_moments(path, objective, set(scenarios))
            self._scope(path, objective, watching, probes)
            if objective.subject == "unread_writes" and watching and not _reads_own_writes(watching, probes):
                what = f"no probe reads right after the ack, so {objective.expression!r} would always hold"
                self._problems.add(path, what, "give the probe session: true")
            if objective.subject in ("regressions", "regressed") and watching and not _looks_twice(watching, probes):
                what = f"no probe looks again at what it has seen, so {objective.expression!r} would always hold"
                self._problems.add(path, what, "give the probe confirm: {reads: 5}")
            if objective.subject == "retried" and not self._may_be_sent_again(objective, chosen, scenarios):
                what = f"no step of these is sent again, so {objective.expression!r} can only say 0"
                self._problems.add(path, what, "give a step retry: {on: [429], times: 3}")
            if objective.subject == QUEUE_LAG and not any("queue_depth" in g.metrics for g in gauges.values()):
                what = "no gauge has the queue_depth from which queue_lag follows"
                self._problems.add(path, what, "add the gauge of a queue under gauges:")
            for part in objective.rising:
                self._counter(path, part.subject, part.gauge, gauges, instead="max")
            if objective.needs_probe and not watching and self._knows_all_journeys:
                what = f"nobody looks for the effects that {objective.expression!r} is about"
                cure = "give a scenario probes: [...]"
                if step is not None:
                    cure = f'give step {step.name!r} what follows it, probes: {{PROBE: "{{order}}"}}'
                self._problems.add(path, what, cure)
            self._deadline(path, objective, watching, probes)
            needed = told_as(objective.subject)
            tellers = [probes.get(name) for name in watching]
            if needed in _OF_PROBES and tellers and not any(_may_tell(probe, needed) for probe in tellers):
                what = f"no probe could ever tell {objective.subject}, so this would always hold"
                self._problems.add(path, what, f"give the probe {needed}:")
            senders = [producers.get(one) for name in chosen for one in self._producers_of(scenarios[name])]
            if needed in _OF_PRODUCERS and not any(_may_tell(producer, needed) for producer in senders):
                this = "this can't be decided" if needed in MEASURED else "this would always hold"
                what = f"no producer of these events tells {objective.subject}, so {this}"
                self._problems.add(path, what, "name a scenario whose producer does, or leave it out")
            if objective.subject == "bytes_in" and objective.measure is Measure.BYTE_RATE:
                self._count_answers(path, objective, senders)

    @property
    def _knows_all_journeys(self) -> bool:
        """One that has a mistake of its own may wait for what an objective is about."""
        return len(self._journeys) == len(self._document.section("journeys"))

    def _may_be_sent_again(
        self, objective: Objective, chosen: Iterable[str], scenarios: Mapping[str, Scenario]
    ) -> bool:
        """Whether a step that an objective is about has a retry, or may have one."""
        if not self._knows_all_journeys:
            return True
        return any(
            isinstance(step, RequestStep) and step.retry is not None
            for name in self._journeys.keys() & {one for each in chosen for one in scenarios[each].journeys}
            for step in self._journeys[name].counted()
            if objective.event in (None, event_name(name, step))
        )

    def _counted(self, chosen: Iterable[str], scenarios: Mapping[str, Scenario]) -> list[Counted]:
        """The steps of the journeys of some scenarios that send something, or wait for a probe."""
        journeys = [
            self._journeys[one] for name in chosen for one in scenarios[name].journeys if one in self._journeys
        ]
        journeys += [self._races[name] for name in chosen if name in self._races]
        return [step for one in journeys for step in one.counted()]

    def _step_of(self, objective: Objective) -> Counted | None:
        """The step whose events an objective is about, if it is about those of one."""
        if objective.event is None:
            return None
        return next((step for name, step in self._all_steps if event_name(name, step) == objective.event), None)

    def _misses_its_step(
        self, path: DataPath, objective: Objective, chosen: Iterable[str], scenarios: Mapping[str, Scenario]
    ) -> bool:
        """Whether it asks a step for what another kind of step has; or for what no step has."""
        asked, name = (objective.inner or objective).subject, objective.step
        if name is None:
            if asked != "appeared" or not self._knows_all_journeys:
                return False
            if any(_kind(step) == "absent" for step in self._counted(chosen, scenarios)):
                return False
            what = f"no step watches that nothing appears, so {objective.expression!r} can't be decided"
            self._problems.add(path, what, 'add a step such as none: {absent: PROBE, of: "{order}", for: 5s}')
            return True
        journey = self._journeys.get(objective.journey or "")
        step = next((one for one in journey.counted() if one.name == name), None) if journey else None
        if step is None:
            return False
        kind = _kind(step)
        if asked in ("regressions", "regressed") and journey and _is_let_go(journey, step, objective.probe):
            looked = "waits for" if kind else "has followed"
            what = f"another step of {objective.journey} lets go what step {name!r} {looked}"
            self._problems.add((*path, "step"), what, "leave this out, because it is to be missing again")
            return True
        if (kind == "absent") == (asked == "appeared") and (kind is None or asked not in _OF_ANSWERS):
            return False
        match kind:
            case "absent":
                what, cure = "watches that nothing appears, and that alone is known of it", "write appeared == 0"
            case None:
                what, cure = "watches no absence", "name a step that has absent: PROBE"
            case _ if asked == "appeared":
                what, cure = f"has {kind}:, and watches no absence", "write lost == 0, or p95(wait) < 2s"
            case _:
                what, cure = f"has {kind}:, and gets no answers", "write lost == 0, or p95(wait) < 2s"
        self._problems.add((*path, "step"), f"step {name!r} {what}", cure)
        return True

    def costs(
        self,
        costs: Mapping[str, Service],
        objectives: Mapping[DataPath, Objective],
        scenarios: Mapping[str, Scenario],
        probes: Mapping[str, ProbeSettings],
        gauges: Mapping[str, GaugeSettings],
        producers: Mapping[str, ProducerSettings],
    ) -> None:
        """What a price table needs has to be told by somebody, and what is asked of it has to be in it."""
        for name, row in costs.items():
            path: DataPath = ("costs", name, "usage")
            for term in row.terms:
                if term.function == "rise":
                    self._counter(path, term.value, term.gauge, gauges, instead="integral")
                elif term.value == "bytes_in" and not term.function:
                    self._count_bytes(path, scenarios, probes, producers)
        has_hold = any(longest_hold(scenario.load) for scenario in scenarios.values())
        for path, objective in objectives.items():
            if objective.measure is not Measure.COST:
                continue
            if not self._document.section("costs"):
                self._problems.add(path, "nothing says what anything costs", "add a price table under costs:")
            elif objective.function in SPANS_S and scenarios and not has_hold:
                what = f"no phase of the load has one rate, so {objective.expression!r} can't be projected"
                self._problems.add(path, what, "add a phase such as {rate: 100/s, for: 5m}")

    def _count_bytes(
        self,
        path: DataPath,
        scenarios: Mapping[str, Scenario],
        probes: Mapping[str, ProbeSettings],
        producers: Mapping[str, ProducerSettings],
    ) -> None:
        """All that is answered has to be counted: what nobody counts would look like nothing."""
        senders = {name for one in scenarios.values() for name in self._producers_of(one)}
        asked: dict[str, ProducerSettings | ProbeSettings | None] = {
            f"producer {name!r}": producers.get(name) for name in sorted(senders)
        }
        looking = (name for one in scenarios.values() for name in probes_of(one, self._journeys))
        asked |= {f"probe {name!r}": probes.get(name) for name in looking}
        for who, adapter in asked.items():
            if adapter is not None and not adapter.capabilities.counts_bytes:
                self._problems.add(path, f"{who} doesn't count the bytes of its answers", "leave bytes_in out")

    def _count_answers(
        self, path: DataPath, objective: Objective, senders: Sequence[ProducerSettings | None]
    ) -> None:
        """What nobody counts would look like nothing."""
        if senders and not any(one is None or one.capabilities.counts_bytes for one in senders):
            what = f"no producer of these events counts the bytes of its answers, so {objective.expression!r} "
            self._problems.add(
                path, f"{what}can't be decided", "name a scenario whose producer does, or leave it out"
            )

    def _named_moments(self, path: DataPath, objective: Objective, scenarios: Set[str]) -> None:
        """What an objective counts from, or is about: a scenario or an action."""
        actions = self._document.section("actions")
        if objective.during in scenarios and objective.during not in actions:
            what = f"{objective.during!r} is a scenario, and during: is about the time while an action is on"
            self._problems.add((*path, "during"), what, f"write scenario: {objective.during}, or name an action")
        elif objective.during is not None:
            self._name(objective.during, "actions", (*path, "during"))
        after = objective.after_named
        if after is None or after == objective.scenario or after in actions:
            return
        if not actions:
            self._name(after, "scenarios", (*path, "after"))
        elif after not in scenarios and not self._problems.full:
            known = [*scenarios, *actions]
            what, cure = unknown("scenario or action", after, known, otherwise="define it under actions:")
            self._problems.add((*path, "after"), what, cure)
        if after in scenarios and objective.of_later_events:
            what = f"{objective.expression!r} is told of what an action was followed by, and {after!r} is a scenario"
            self._problems.add(
                (*path, "after"), what, "name an action, or write scenario: for events of one scenario"
            )

    def actions(
        self,
        actions: Mapping[str, Action],
        scenarios: Mapping[str, Scenario],
        objectives: Mapping[DataPath, Objective],
        observe_ns: int,
    ) -> None:
        """Actions begin, end while the run goes on, and are what objectives need them to be."""
        known = {**self._document.section("scenarios"), **self._document.section("actions")}
        ends = [scenario.start + duration_ns(scenario.load) for scenario in scenarios.values()]
        over_ns = max(ends, default=0) + observe_ns
        for name, action in actions.items():
            path: DataPath = ("actions", name)
            times = action.times
            if name in scenarios:
                self._problems.add(path, f"{name!r} is the name of a scenario, too", "give it another", key=True)
            if times.after is not None and times.after not in known:
                what, cure = unknown("scenario or action", times.after, [one for one in known if one != name],
                                     otherwise="name one that there is")  # fmt: skip
                self._problems.add((*path, "after"), what, cure)
            elif times.after in actions and self._waits_for_itself(name, actions):
                self._problems.add((*path, "after"), f"{name!r} waits for its own end", "name another action")
            elif not observe_ns and _lasts_to_the_end(actions.get(times.after or "")):
                what = f"{times.after!r} is on until the load is over, so {name!r} would be done when nobody looks"
                self._problems.add((*path, "after"), what, f"give {times.after!r} for:, or write observe: 5m")
            last_ns = times.ends_ns
            if scenarios and last_ns is not None and last_ns > over_ns:
                what = (
                    f"it lasts until {format_duration(last_ns)}, and the run is over after {format_duration(over_ns)}"
                )
                cure = f"write observe: {write_duration(last_ns - over_ns + observe_ns)} or more"
                self._problems.add(path, what, cure)
        for path, objective in objectives.items():
            self._fits(path, objective, actions, observe_ns)

    def _fits(self, path: DataPath, objective: Objective, actions: Mapping[str, Action], observe_ns: int) -> None:
        during = actions.get(objective.during or "")
        if during is not None and not during.times.lasting:
            what = f"{objective.during!r} is done in a moment, so nothing happens during it"
            self._problems.add((*path, "during"), what, "write after:, or give the action for:")
        after = actions.get(objective.after_named or "")
        if after is None:
            return
        if after.times.again and (objective.abort_after_ns is not None or objective.of_later_events):
            what = f"nobody knows which time of {objective.after!r} is the last as long as it goes on"
            self._problems.add((*path, "after"), what, "write during:, or name an action that is done once")
        if objective.measure is Measure.DRAIN and objective.level is None:
            what = f"nobody knows the level of {objective.subject} before {objective.after!r}"
            self._problems.add(path, what, f"write drain({objective.subject} <= 10) < ...")
        if _lasts_to_the_end(after) and not observe_ns:
            what = f"{objective.after!r} lasts until the load is over, and nobody looks after that"
            self._problems.add((*path, "after"), what, "write observe: 5m, or give the action for:")

    @staticmethod
    def _waits_for_itself(name: str, actions: Mapping[str, Action]) -> bool:
        seen = {name}
        at = actions[name].times.after
        while at is not None and at in actions and at not in seen:
            seen.add(at)
            at = actions[at].times.after
        return at == name

    def tags(
        self,
        objectives: Mapping[DataPath, Objective],
        scenarios: Mapping[str, Scenario],
        probes: Mapping[str, ProbeSettings],
        producers: Mapping[str, ProducerSettings],
    ) -> None:
        """A tag that an objective is about has to be one that an answer gives to some of its events."""
        asked = {objective.tag for objective in objectives.values() if objective.tag is not None}
        for path, objective in objectives.items():
            if objective.tag is None:
                continue
            chosen = [one for name, one in scenarios.items() if objective.scenario in (None, name)]
            tellers: list[ProducerSettings | ProbeSettings | None] = [
                producers.get(name) for one in chosen for name in self._producers_of(one)
            ]
            tellers += [probes.get(name) for one in chosen for name in probes_of(one, self._journeys)]
            known = sorted({name for one in tellers if one is not None for name in one.capabilities.tags})
            if None not in tellers and name_of(objective.tag) not in known:
                add = f"write tag: {{{name_of(objective.tag)}: …}} on their producer or probe"
                what, cure = unknown("tag", name_of(objective.tag), known, otherwise=add)
                self._problems.add((*path, "tag"), what, cure)
            elif len(asked) > MOST_TAGS:
                what = f"the objectives are about {len(asked)} tags, and {MOST_TAGS} are told apart"
                self._problems.add((*path, "tag"), what, "ask for fewer")
                break

    def _counter(
        self, path: DataPath, value: str, of: str | None, gauges: Mapping[str, GaugeSettings], *, instead: str
    ) -> None:
        """What rises has to be a counter: of anything else the last value less the first says nothing.

        `of` is the gauge; None: any that has the value. `instead` is the function that serves for the others.
        """
        for name, gauge in gauges.items():
            if of in (None, name) and value in gauge.metrics and value not in gauge.counters:
                what = f"{value} of gauge {name!r} is no counter, so rise({value}) says nothing"
                cure = f"write {instead}({value}), or give the gauge counter: true if it only ever grows"
                self._problems.add(path, what, cure)

    def _deadline(
        self, path: DataPath, objective: Objective, watching: Set[str], probes: Mapping[str, ProbeSettings]
    ) -> None:
        """Nobody may give up looking before the limit."""
        longest_ns = objective.longest_wait_ns
        if longest_ns is not None and isinstance(step := self._step_of(objective), WaitStep):
            self._waits_long_enough(path, step, longest_ns)
            return
        for name in sorted(watching):
            if longest_ns is None or name not in probes or objective.probe not in (None, name):
                continue
            deadline_ns = probes[name].deadline
            if deadline_ns < longest_ns:
                what = (
                    f"probe {name!r} gives up after {format_duration(deadline_ns)}, before the limit of "
                    f"{format_duration(longest_ns)}, so that this can't be kept"
                )
                cure = f"give it deadline: {write_duration(round(HORIZON * longest_ns))}"
                self._problems.add(path, what, cure)

    def _waits_long_enough(self, path: DataPath, step: WaitStep, longest_ns: int) -> None:
        if step.within < longest_ns:
            what = (
                f"step {step.name!r} waits {format_duration(step.within)} at most, and the limit is "
                f"{format_duration(longest_ns)}, so that this can't be kept"
            )
            self._problems.add(path, what, f"give it within: {write_duration(longest_ns)}")

    def _scope(
        self, path: DataPath, objective: Objective, watching: Set[str], probes: Mapping[str, ProbeSettings]
    ) -> None:
        """The part of the events that an objective is about has to be there."""
        if objective.event is not None:
            known = [*self._document.section("events"), *self._steps]
            if objective.event not in known and not self._problems.full:
                what, cure = unknown("event", objective.event, known, otherwise="define it under events:")
                self._problems.add((*path, "event"), what, cure)
        if objective.probe is not None:
            self._name(objective.probe, "probes", (*path, "probe"))
            if objective.probe in probes and objective.probe not in watching and self._knows_all_journeys:
                what = f"probe {objective.probe!r} watches none of these events"
                whose = "scenario" if self._step_of(objective) is None else "step"
                self._problems.add((*path, "probe"), what, f"add it to the {whose}'s probes")
        if objective.replica is not None:
            asked = [probes[name] for name in watching if name in probes and objective.probe in (None, name)]
            known = [name for probe in asked for name in (*probe.at, *probe.replicas)]
            learnt = any("replica" in probe.capabilities.tells for probe in asked)
            if objective.replica not in known and not learnt:
                what, cure = unknown("replica", objective.replica, known, otherwise="name it under at:")
                self._problems.add((*path, "replica"), what, cure)

    def templates(
        self,
        types: Mapping[str, EventSettings],
        scenarios: Mapping[str, Scenario],
        producers: Mapping[str, ProducerSettings],
        base_dir: Path,
        captured: Set[str],
        known: Mapping[str, Set[str]],
    ) -> dict[str, Records | None]:
        """Load data files and try all templates, those of a producer with every event that it is sent.

        `captured` are the names of what the set-up captures; `known` has those that the steps of journeys know which
        send an event, all that do.
        """
        loaded: dict[str, Records | None] = {}
        seen: set[tuple[DataPath, str]] = set()
        for name, settings in types.items():
            senders = {scenario.producer for scenario in scenarios.values() if name in scenario.events}
            names = captured if senders else captured | known.get(name, set())
            senders |= {to for event, to in self._sent_by_steps if event == name}
            if not senders and self._is_unsure:
                continue  # Who sends it may well be what is wrong, and so it isn't known what it may ask for.
            extras = [
                (sender, template)
                for sender, producer in producers.items()
                if sender in senders
                for template in producer.encoding().extras
            ]
            checked = events.check(settings, base_dir, _data_file, [template for _, template in extras], names)
            loaded[name] = checked.records
            for problem in checked.problems:
                path: DataPath = ("events", name, *problem.path)
                what = problem.what
                if problem.path[0] == "extras":
                    sender, template = extras[int(problem.path[1])]
                    section: DataPath = ("producers", sender)
                    path = next(places(self._document.value(section), template, section), section)
                    what = f"{what} (for event {name!r})"
                if (path, problem.what) not in seen:
                    seen.add((path, problem.what))
                    self._problems.add(path, what, problem.cure)
        return loaded

    @property
    def _steps(self) -> list[str]:
        """How the events of all steps are called."""
        return [event_name(name, step) for name, step in self._all_steps]

    @property
    def _all_steps(self) -> Iterator[tuple[str, Counted]]:
        """All steps of journeys and of races, each with the name of what it is a step of."""
        for name, journey in (*self._journeys.items(), *self._races.items()):
            for step in journey.counted():
                yield name, step

    @cached_property
    def _is_unsure(self) -> bool:
        """Whether a step may send an event that isn't known to be sent."""
        misnamed = {event for event, _ in self._sent_by_steps} - self._document.section("events").keys()
        races = [
            name
            for name, scenario in self._document.section("scenarios").items()
            if isinstance(scenario, dict) and "race" in scenario
        ]
        return (
            bool(misnamed)
            or len(self._journeys) < len(self._document.section("journeys"))
            or not self._races.keys() >= set(races)
        )

    @cached_property
    def _sent_by_steps(self) -> frozenset[tuple[str, str]]:
        """Events that steps send, and to whom."""
        steps = [step for _, step in self._all_steps]
        return frozenset((step.event, step.to) for step in steps if isinstance(step, EventStep))

    def _producers_of(self, scenario: Scenario) -> list[str]:
        return producers_of(scenario, self._journeys)

    def captured(self, setup: Sequence[Step]) -> set[str]:
        """The names of what the set-up captures, also in a step that has a mistake of its own."""
        written = self._document.data.get("setup")
        several = written if isinstance(written, list) else [written]
        names = {name for step in setup for name in step.settings.captured_names}
        for number, step in enumerate(several):
            capture = step.get("capture") if isinstance(step, dict) else None
            for name in capture if isinstance(capture, dict) else ():
                names.add(str(name))
                if name in OWN_NAMES:
                    place: DataPath = ("setup", number) if isinstance(written, list) else ("setup",)
                    what = f"{{{name}}} stands for something of each event, which nobody can capture beforehand"
                    cure = f"call it otherwise, such as the_{name}"
                    self._problems.add((*place, "capture", name), what, cure, key=True)
        return names


def _kind(step: Counted) -> Awaits | None:
    """What a step waits for; None: it sends something."""
    return step.kind if isinstance(step, WaitStep) else None


def _is_let_go(journey: JourneySettings, step: Counted, probe: str | None) -> bool:
    """Whether another step lets go all that a step looks for at a probe, or at any."""
    if isinstance(step, WaitStep):
        return step.kind == "wait" and journey.lets_go(step.probe, step.of)
    asked = [(name, of) for name, of in step.probes.items() if probe in (None, name)]
    return bool(asked) and all(journey.lets_go(*one) for one in asked)


def _lasts_to_the_end(action: Action | None) -> bool:
    """It is on until the load is over."""
    return action is not None and action.times.lasting and action.times.for_ is None and not action.times.again


def _data_file(path: Path) -> bytes:
    return files.read(path, _LONGEST_DATA_FILE)


def _looks_twice(watching: Iterable[str], probes: Mapping[str, ProbeSettings]) -> bool:
    return any(name not in probes or probes[name].confirm.reads > 0 for name in watching)


def _reads_own_writes(watching: Iterable[str], probes: Mapping[str, ProbeSettings]) -> bool:
    return any(name not in probes or probes[name].session for name in watching)


def _may_tell(adapter: ProbeSettings | ProducerSettings | None, what: str) -> bool:
    """Whether it can say something; of one that could not be read nobody knows."""
    return adapter is None or what in adapter.capabilities.tells
