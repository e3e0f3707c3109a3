"""What journeys must be in themselves and to each other: names that lead somewhere, values that are there in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from random import Random
from typing import Any, Final

import jmespath

from ..clients.jmes import check_expression
from ..clients.web import check_header
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..texts import near
from ..workload.journeys.placeholders import OF_ITERATIONS, OF_STEPS, SUGGESTED, is_drawn, is_of_rows, placeholders
from ..workload.journeys.settings import (
    Choose,
    Continue,
    Counted,
    EventStep,
    FileSettings,
    JourneySettings,
    RequestStep,
    Sending,
    Step,
    WaitStep,
    counted,
    sending,
)
from ..workload.templates import Compiler, Late
from .problems import Problems, unknown
from .sections import Scenario
from .yaml import DataPath, texts

FIELDS: Final = ("status", "headers", "body", "vars")
"""What an expression on an answer looks at."""
_HTTP: Final = "http"
"""The kind of producer that can be sent requests."""
_USER: Final = frozenset({"user"})
_OF_EVENTS: Final = ("data.", "record.")
Names = frozenset[str]


def event_name(journey: str, step: Counted) -> str:
    """How the events of a step are called, beside those of `events:`."""
    return f"{journey}.{step.name}"


def made_by(name: str, scenario: Scenario, journeys: Mapping[str, JourneySettings]) -> dict[str, JourneySettings]:
    """The journeys that a scenario of that name makes; a race is one by the name of its scenario."""
    made = {one: journeys[one] for one in scenario.journeys if one in journeys}
    return made if scenario.race is None else {name: scenario.race.meant()}


def events_of(name: str, scenario: Scenario, journeys: Mapping[str, JourneySettings]) -> list[str]:
    """The names of all that a scenario of that name sends."""
    made = made_by(name, scenario, journeys)
    return [*scenario.events, *(event_name(one, step) for one, steps in made.items() for step in steps.counted())]


def producers_of(scenario: Scenario, journeys: Mapping[str, JourneySettings]) -> list[str]:
    """The names of all producers of a scenario, each once."""
    if scenario.producer:
        return [scenario.producer]
    used = (step.to for one in made_by("", scenario, journeys).values() for step in one.sending())
    return list(dict.fromkeys(used))


def probes_of(scenario: Scenario, journeys: Mapping[str, JourneySettings]) -> list[str]:
    """The names of all probes that a scenario asks, each once: also those that steps of its journeys wait for, and
    that follow them."""
    steps = (step for one in made_by("", scenario, journeys).values() for step in one.counted())
    return list(dict.fromkeys([*scenario.probes, *(probe for step in steps for probe in step_probes(step))]))


def step_probes(step: Counted) -> list[str]:
    """The names of the probes that a step has look for something."""
    return [step.probe] if isinstance(step, WaitStep) else [*step.probes]


def most_sent(journey: JourneySettings) -> int:
    """How often at most one iteration sends something, the first and last of a user, if all is sent again as often as
    it may be."""
    return sum(map(_most_sent, journey.sections.values()))


def _most_sent(steps: Iterable[Step]) -> int:
    most = 0
    for step in steps:
        if isinstance(step, Choose):
            most += max(_most_sent(branch.steps) for branch in step.branches)
        elif isinstance(step, RequestStep):
            most += 1 + (step.retry.times if step.retry else 0) + _most_sent(step.else_ or ())
        elif isinstance(step, EventStep):
            most += 1
    return most


def learn(known: dict[str, Names], told: Iterable[tuple[str, Names]]) -> None:
    """Of an event that is sent in several places its templates can ask for what is known in all of them."""
    for event, names in told:
        known[event] = known[event] & names if event in known else names


def check_journeys(
    problems: Problems,
    journeys: Mapping[str, JourneySettings],
    scenarios: Mapping[str, Scenario],
    producers: Mapping[str, ProducerSettings],
    probes: Mapping[str, ProbeSettings],
    captured: Set[str],
) -> dict[str, Names]:
    """Note what is wrong with the journeys that could be read. `captured` are the names of what the set-up captures.

    Gives, by its name, what the templates of each event can ask for wherever a step sends it.
    """
    known: dict[str, Names] = {}
    for name, journey in journeys.items():
        checked = StepChecks(problems, ("journeys", name), name, journey, producers, probes, frozenset(captured))
        learn(known, checked.check())
    _check_pools(problems, journeys, scenarios)
    _check_users(problems, journeys, scenarios)
    _check_cookies(problems, journeys, producers)
    return known


def _check_pools(
    problems: Problems, journeys: Mapping[str, JourneySettings], scenarios: Mapping[str, Scenario]
) -> None:
    """What is taken has to be given by somebody."""
    if len(journeys) < len(problems.document.section("journeys")):
        return  # One has a mistake of its own, and nobody knows what it gives.
    all_known = len(scenarios) == len(problems.document.section("scenarios"))
    made = {name for scenario in scenarios.values() for name in scenario.journeys}
    givers: dict[str, list[str]] = {}
    for name, journey in journeys.items():
        for sent in journey.sending():
            for pool in sent.give:
                givers.setdefault(pool, []).append(name)
    for name, journey in journeys.items():
        for place, step in placed(("journeys", name), journey):
            for variable, pool in () if isinstance(step, WaitStep) else step.take.items():
                path: DataPath = (*place, "take", variable)
                if pool not in givers:
                    cure = "give it in another step, give: {" + pool + ': "{id}"}'
                    what, cure = unknown("pool", pool, givers, otherwise=cure)
                    problems.add(path, what.replace("unknown pool", "nothing gives to the pool"), cure)
                elif all_known and name in made and made.isdisjoint(givers[pool]):
                    others = " or ".join(dict.fromkeys(givers[pool]))
                    what = f"no scenario makes the journey {others}, which alone gives to the pool {pool!r}"
                    problems.add(path, what, "add it to the journeys of a scenario")


def _check_users(
    problems: Problems, journeys: Mapping[str, JourneySettings], scenarios: Mapping[str, Scenario]
) -> None:
    """What is done once for each user needs users."""
    for name, scenario in scenarios.items():
        written = problems.document.value(("scenarios", name)).get("journeys")
        for journey in scenario.journeys if not scenario.closed else ():
            for section in ("begin", "end"):
                if journey in journeys and journeys[journey].sections[section]:  # told once of the two
                    what = f"journey {journey!r} has {section}:, done once for each user, and this load has no users"
                    path: DataPath = ("scenarios", name, "journeys")
                    at = written.index(journey) if isinstance(written, list) else journey
                    cure = f"write a load such as {{users: 50, for: 5m}}, or a journey without {section}:"
                    problems.add((*path, at), what, cure, key=isinstance(written, dict))
                    break


def _check_cookies(
    problems: Problems, journeys: Mapping[str, JourneySettings], producers: Mapping[str, ProducerSettings]
) -> None:
    """Cookies are kept for users, and only requests are theirs."""
    if len(journeys) < len(problems.document.section("journeys")):
        return  # One has a mistake of its own, and nobody knows where it sends.
    asked = {step.to for one in journeys.values() for step in one.sending() if isinstance(step, RequestStep)}
    for name, producer in producers.items():
        if getattr(producer, "cookies", False) and name not in asked:
            what = f"cookies are kept for users of journeys, and no step sends a request to {name!r}"
            problems.add(("producers", name, "cookies"), what, f"leave cookies out, or write to: {name} in a step")


def placed(path: DataPath, journey: JourneySettings) -> Iterator[tuple[DataPath, Counted]]:
    """All steps that are events, with their places."""
    for section, steps in journey.sections.items():
        yield from placed_in((*path, section), steps)


def placed_in(path: DataPath, steps: Iterable[Step]) -> Iterator[tuple[DataPath, Counted]]:
    for index, step in enumerate(steps):
        at: DataPath = (*path, index)
        if isinstance(step, Choose):
            for number, branch in enumerate(step.branches):
                yield from placed_in((*at, "choose", number, "steps"), branch.steps)
        elif isinstance(step, Counted):
            yield (*at, step.name), step
            if isinstance(step, RequestStep):
                yield from placed_in((*at, step.name, "else"), step.else_ or ())
            elif isinstance(step, WaitStep):
                yield from placed_in((*at, step.name, "on_failed"), step.on_failed or ())


class StepChecks:
    """Follows the ways through one journey, which stands at a place, with the names that are known at each step."""

    kind = "journey"

    def __init__(
        self,
        problems: Problems,
        path: DataPath,
        name: str,
        journey: JourneySettings,
        producers: Mapping[str, ProducerSettings],
        probes: Mapping[str, ProbeSettings],
        captured: Names,
    ) -> None:
        self._problems = problems
        self._path = path
        self._document = problems.document
        self._name = name
        self._journey = journey
        self._producers = producers
        self._probes = probes
        self._captured = captured
        self._makers: dict[str, str] = {}
        """The step that captures or takes a name, the first one."""
        self._files = frozenset(one.known_as for one in journey.files() if one.known_as)
        """Names of the files that it sends, for expressions; templates ask for what is known of them."""
        self._secret: set[str] = set()
        self._of_user = frozenset(
            name for step in counted((*journey.begin, *journey.end)) for name in _names_of(step)
        )
        """Names that are known outside of iterations."""
        self._events: list[tuple[str, Names]] = []

    def check(self) -> list[tuple[str, Names]]:
        """Note what is wrong. Gives the names that each event can ask for where it is sent."""
        path, journey = self._path, self._journey
        self._learn_names()
        self._check_names()
        if not any(True for _ in sending(journey.steps)):
            what = "no step of this journey sends anything"
            self._problems.add((*path, "steps"), what, "add a request or an event")
        drawn = self._vars((*path, "vars"))
        files = frozenset(f"{name}.{what}" for name in self._files for what in ("sha256", "size"))
        begun = self._steps((*path, "begin"), journey.begin, self._captured | _USER | files)
        iteration = self._captured | files | OF_ITERATIONS | drawn | begun
        self._steps((*path, "steps"), journey.steps, iteration)
        anywhere = frozenset(name for step in counted(journey.steps) for name in _names_of(step))
        self._steps((*path, "finally"), journey.finally_, iteration | anywhere)
        self._steps((*path, "end"), journey.end, begun)
        return self._events

    def _learn_names(self) -> None:
        for step in self._journey.counted():
            for name in _names_of(step):
                self._makers.setdefault(name, step.name)
            if isinstance(step, RequestStep | WaitStep):
                self._secret |= {name for name, capture in step.capture.items() if capture.secret}

    def _placed(self) -> Iterator[tuple[DataPath, Counted]]:
        """All steps that are events, with their places."""
        return placed(self._path, self._journey)

    def _check_names(self) -> None:
        """Names of steps are for one each, and variables aren't called as what is there already."""
        times = Counter(step.name for step in self._journey.counted())
        taken = {
            **dict.fromkeys(self._document.section("events"), "an event"),
            **dict.fromkeys(self._document.section("journeys"), "a journey"),
        }
        for place, step in self._placed():
            if times[step.name] > 1:
                times[step.name] = -times[step.name]
            elif times[step.name] < 0:
                what = f"another step of this {self.kind} is called {step.name!r}, too"
                self._problems.add(place, what, "give each of them a name of its own", key=True)
            if (name := event_name(self._name, step)) in taken:
                what = f"what this step sends is called {name!r}, as {taken[name]} is"
                self._problems.add(place, what, "give one of them another name", key=True)
            for variable in () if isinstance(step, WaitStep) else step.take:
                self._check_new((*place, "take", variable), variable)
            for variable in () if isinstance(step, EventStep) else step.capture:
                self._check_new((*place, "capture", variable), variable)
        for variable in self._journey.vars:
            self._check_new((*self._path, "vars", variable), variable)
        self._check_files()

    def _check_files(self) -> None:
        """A file's name stands for one file, and for nothing else."""
        known: dict[str, FileSettings] = {}
        for place, step in self._placed():
            written = {"file": step.file, **step.files} if isinstance(step, RequestStep) else {}
            for field, one in written.items():
                if one is None or not (name := one.known_as):
                    continue
                at: DataPath = (*place, "file") if one is getattr(step, "file", None) else (*place, "files", field)
                first = known.setdefault(name, one)
                if name in self._journey.vars or name in self._makers or name in self._captured:
                    what = f"this file is called {name!r}, as something else is that is known here"
                elif (first.path, first.size) != (one.path, one.size):
                    what = f"another file of this {self.kind} is called {name!r}, too"
                else:
                    continue
                self._problems.add(at, what, "give it another name, as: NAME")

    def _check_new(self, place: DataPath, name: str) -> None:
        if name in self._captured:
            what = f"{{{name}}} is what the set-up captures, so nobody would know which of them is meant"
            self._problems.add(place, what, "call one of them otherwise", key=True)
        if place[-2] == "take" and name in self._journey.vars:
            what = f"{{{name}}} is drawn under vars:, so nobody would know which of them is meant"
            self._problems.add(place, what, "call one of them otherwise", key=True)

    def _vars(self, path: DataPath) -> Names:
        """What is drawn, all of it at once: so none can ask for another."""
        known = self._captured | OF_ITERATIONS
        for name, value in self._journey.vars.items():
            self._templates((*path, name), value, known, sent=False)
            self._bare((*path, name), value, known)
        return frozenset(self._journey.vars)

    def _steps(self, path: DataPath, steps: Iterable[Step], known: Names) -> Names:
        """Check some steps. Gives what is known behind them, on whatever way."""
        steps = tuple(steps)
        for index, step in enumerate(steps):
            at: DataPath = (*path, index)
            if isinstance(step, Continue):
                if path[-1] not in ("else", "on_failed") or index != len(steps) - 1:
                    what = "continue: true can stand as the last step under else: or on_failed: alone"
                    self._problems.add((*at, "continue"), what, "leave it out, or move it there", key=True)
            elif isinstance(step, Choose):
                ends = [
                    self._steps((*at, "choose", number, "steps"), branch.steps, known)
                    for number, branch in enumerate(step.branches)
                ]
                known = frozenset.intersection(*ends)
            elif isinstance(step, WaitStep):
                known = self._wait((*at, step.name), step, known)
            elif isinstance(step, Sending):
                known = self._sending((*at, step.name), step, known)
        return known

    def _wait(self, place: DataPath, step: WaitStep, known: Names) -> Names:
        self._refer((*place, step.kind), step.probe, "probes")
        self._templates((*place, "of"), step.of, known | OF_STEPS)
        if (probe := self._probes.get(step.probe)) is not None:
            captures = {name: one.expression for name, one in step.capture.items()}
            asked: list[tuple[str, str | None, dict[str, str]]] = [
                (step.kind, None, {}), ("until", step.until, {}), ("capture", None, captures)
            ]  # fmt: skip
            for key, until, some in asked:
                try:
                    probe.waiting(until, step.within, some)
                except ValueError as error:
                    self._problems.add_text((*place, key), str(error))
                    break
        after = known.union(step.capture)
        if step.on_failed is not None:
            failed = self._steps((*place, "on_failed"), step.on_failed, known)
            if isinstance(step.on_failed[-1], Continue):
                after &= failed
        return after

    def _sending(self, place: DataPath, step: Sending, known: Names) -> Names:
        self._refer((*place, "to"), step.to, "producers")
        known = known.union(step.take)
        inside = known | OF_STEPS
        if isinstance(step, EventStep):
            self._refer((*place, "event"), step.event, "events")
            self._events.append((step.event, inside))
            self._give(place, step, inside)
            self._follow(place, step, inside)
            return known
        kind = getattr(self._producers.get(step.to), "kind", _HTTP)
        if kind != _HTTP:
            what = f"producer {step.to!r} is of kind {kind}, and a request goes to one of kind http"
            self._problems.add((*place, "to"), what, "name one of kind http, or write event: NAME")
        self._request(place, step, inside)
        self._expressions(place, step, known)
        after = known.union(step.capture)
        self._give(place, step, inside.union(step.capture))
        self._follow(place, step, inside.union(step.capture))
        if step.else_ is not None:
            refused = self._steps((*place, "else"), step.else_, known)
            if isinstance(step.else_[-1], Continue):
                after &= refused
        return after

    def _request(self, place: DataPath, step: RequestStep, known: Names) -> None:
        parts = {step.method.lower(): step.path, "form": step.form, "body": step.body, "headers": step.headers}
        wanted = {"size": step.size, "sha256": step.sha256}
        for key, written in {**parts, **wanted, "json": step.json, "query": step.query}.items():
            self._templates((*place, key), written, known)
        self._bare((*place, "json"), step.json, known)
        for name, value in step.headers.items():
            try:
                check_header(name, value)
            except ValueError as error:
                self._problems.add_text((*place, "headers", name), str(error), key=True)

    def _follow(self, place: DataPath, step: Sending, known: Names) -> None:
        """Who looks for the effect of a step has to be able to, and to know what to ask for."""
        for name, text in step.probes.items():
            at: DataPath = (*place, "probes", name)
            known_probes = self._document.section("probes")
            if name not in known_probes and not self._problems.full:
                self._problems.add(
                    at, *unknown("probe", name, known_probes, otherwise="define it under probes:"), key=True
                )
            self._templates(at, text, known)
            if (probe := self._probes.get(name)) is not None:
                try:
                    _ = probe.following
                except ValueError as error:
                    self._problems.add_text(at, str(error), key=True)

    def _give(self, place: DataPath, step: Sending, known: Names) -> None:
        for pool, text in step.give.items():
            at: DataPath = (*place, "give", pool)
            self._templates(at, text, known)
            for name in self._secret.intersection(placeholders(text)):
                what = f"{{{name}}} is a secret, and what is taken out of a pool is none"
                self._problems.add(at, what, "capture it anew where it is needed")

    def _expressions(self, place: DataPath, step: RequestStep, known: Names) -> None:
        for name, capture in step.capture.items():
            at: DataPath = (*place, "capture", name)
            if name in self._secret and not capture.secret:
                what = f"{{{name}}} is captured as a secret elsewhere, and isn't one here"
                self._problems.add(at, what, f"write {{from: {capture.expression}, secret: true}}")
            written = self._document.value(at)
            self._expression((*at, "from") if isinstance(written, dict) else at, capture.expression, known)
        for name, expression in step.check.items():
            self._expression((*place, "check", name), expression, known)

    def _expression(self, place: DataPath, text: str, known: Names) -> None:
        try:
            check_expression(text, FIELDS)
        except ValueError as error:
            self._problems.add_text(place, str(error))
            return
        for name in sorted(fields_in("vars", jmespath.compile(text).parsed) - (known - self._captured) - self._files):
            what, cure = self._why_not(place, name, f"vars.{name}", known)
            self._problems.add(place, what, cure)

    def _templates(self, place: DataPath, value: Any, known: Names, *, sent: bool = True) -> None:
        """The templates in a value. `sent`: it is of what is sent, and not of what is drawn beforehand."""
        named: set[str] = set()
        wrong: set[DataPath] = set()
        for at, text in texts(value, place):
            for asked in dict.fromkeys(placeholders(text)):
                if is_drawn(asked) or (sent and is_of_rows(asked)):
                    continue
                named.add(asked)
                if asked not in known:
                    wrong.add(at)
                    what, cure = self._why_not(at, asked, f"{{{asked}}}", known)
                    self._problems.add(at, what, cure)
        late = Late(known | named)
        compiler = Compiler({}, prefix="", run_id="", seed="", records=None, late=late, random=Random())
        compiler.json(value, ())
        for problem in compiler.problems:
            if (at := (*place, *problem.path)) not in wrong:
                self._problems.add(at, problem.what, problem.cure)

    def _bare(self, place: DataPath, value: Any, known: Names) -> None:
        """Mappings that were meant to be placeholders: YAML takes {order} for a key without a value."""
        if isinstance(value, dict):
            if len(value) == 1 and None in value.values() and (name := next(iter(value))) in known:
                what = f"{{{name}}} without quotes is a mapping, and no placeholder"
                self._problems.add(place, what, f'write "{{{name}}}"')
            for key, item in value.items():
                self._bare((*place, key), item, known)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._bare((*place, index), item, known)

    def _why_not(self, place: DataPath, asked: str, shown: str, known: Names) -> tuple[str, str]:
        """What is wrong with a name that nobody knows at this step, and what would be right."""
        section = place[len(self._path)]
        if asked in self._makers and section in ("begin", "end") and asked not in self._of_user:
            what = f"{shown} is captured in an iteration, and this is done once for each user, outside of them"
            return what, f"capture it in {section}:"
        if asked in self._makers:
            maker = self._makers[asked]
            what = f"{shown} is known from step {maker!r} on, and this may be done before that, or without it"
            return what, f"move it behind {maker!r}, or capture it on each way that leads here"
        if asked in self._captured:
            return (
                f"{shown} isn't there: what the set-up captures is for templates",
                f"write {{{asked}}} in a template",
            )
        if asked in self._journey.vars and section == "vars":
            return f"{shown} is drawn at the same time as this", "draw here what stands there"
        if asked in self._journey.vars:
            what = f"{shown} is drawn for each iteration, and this isn't part of one"
            return what, "write here what stands under vars:"
        if asked in OF_ITERATIONS | OF_STEPS:
            return f"{shown} isn't known here", "leave it out"
        if asked.startswith("secrets."):
            what = f"the placeholder {shown} would put a secret into what is kept and shown"
            return what, "write it into headers or auth of the producer"
        if asked.startswith(_OF_EVENTS):
            what = f"{shown} stands for something of an event, and this is none"
            return what, "write the value, or draw it under vars:"
        if is_of_rows(asked):
            return f"{shown} is of what is sent, and this is drawn before", "write it where it is sent"
        close = near(asked, sorted({*known, *SUGGESTED}))
        if close and shown.startswith("{"):
            return f"unknown placeholder {shown}", f"did you mean {{{close[0]}}}?"
        if close:
            return f"unknown variable {shown}", f"did you mean vars.{close[0]}?"
        cure = f"draw it, vars: {{{asked}: …}}, or capture it in a step before, capture: {{{asked}: …}}"
        if not shown.startswith("{"):
            return f"unknown variable {shown}", cure
        braces = "write {{ and }} for braces that are no placeholder"
        return f"unknown placeholder {shown}", f"{cure}, or {braces}" if asked.isidentifier() else braces

    def _refer(self, place: DataPath, name: str, section: str) -> None:
        known = self._document.section(section)
        if name not in known and not self._problems.full:
            what, cure = unknown(section.removesuffix("s"), name, known, otherwise=f"define it under {section}:")
            self._problems.add(place, what, cure)


def _names_of(step: Counted) -> list[str]:
    """Names under which later steps know something by this one."""
    taken = () if isinstance(step, WaitStep) else step.take
    return [*taken, *(() if isinstance(step, EventStep) else step.capture)]


def fields_in(of: str, node: Mapping[str, Any]) -> set[str]:
    """The fields of one of the things that a parsed expression looks at, by their names: `vars.NAME`."""
    children = [child for child in node["children"] if isinstance(child, dict)]
    found = {name for child in children for name in fields_in(of, child)}
    if node["type"] == "subexpression" and [child["type"] for child in children[:2]] == ["field", "field"]:
        head, name = children[:2]
        found |= {name["value"]} if head["value"] == of else set()
    return found
