"""What races must be in themselves and to the rest: names that lead somewhere, rules that can be true, room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

import jmespath

from ..clients.jmes import check_expression, kind_of
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..units import NS_PER_S
from ..workload.journeys.placeholders import OF_ITERATIONS
from ..workload.journeys.settings import Counted, EventStep, JourneySettings
from ..workload.races.settings import COUNTS, VARS, RaceSettings
from .journeys import Names, StepChecks, event_name, fields_in, learn, most_sent, placed_in
from .problems import Problems, unknown
from .sections import Scenario
from .yaml import DataPath

_ORDERED: Final = frozenset({"lt", "lte", "gt", "gte"})
_NO_RULE: Final = frozenset({"multi_select_list", "multi_select_dict", "projection", "value_projection", "flatten"})
"""What gives a list or an object, and so neither true nor false."""
_BOOLEAN: Final = frozenset({"contains", "starts_with", "ends_with", "not_null", "max_by", "min_by"})
"""Functions that give true or false, or what they were given."""
_READS_PER_S: Final = 50
"""Most reads of one kind that a round makes in its first second, and in that after the last answer."""
_LATER_READS_PER_S: Final = 10
"""The same in any second after."""


def placed_in_race(scenario: str, race: RaceSettings) -> Iterator[tuple[DataPath, Counted]]:
    """All steps of a race that are events, with their places."""
    path: DataPath = ("scenarios", scenario, "race")
    yield from placed_in((*path, "setup"), race.steps)
    for one in race.contenders:
        yield (*path, "contenders", one.step.name), one.step
    for read in race.reads:
        yield (*path, "reads", read.name), read


def most_sent_per_s(race: RaceSettings, every_ns: int) -> int:
    """How much all rounds of a race together send in any second at most, if each takes all of its time."""
    fresh = -(-NS_PER_S // every_ns)
    going_on = -(-(race.within + race.confirm) // every_ns)
    setup = most_sent(JourneySettings(race.steps))
    reads = len(race.reads) * (2 * fresh * _READS_PER_S + going_on * _LATER_READS_PER_S)
    return fresh * (setup + race.most) + reads


def check_races(
    problems: Problems,
    scenarios: Mapping[str, Scenario],
    journeys: Mapping[str, JourneySettings],
    producers: Mapping[str, ProducerSettings],
    probes: Mapping[str, ProbeSettings],
    captured: Set[str],
) -> dict[str, Names]:
    """Note what is wrong with the races that could be read. Gives what `check_journeys` does."""
    known: dict[str, Names] = {}
    steps = {event_name(name, step) for name, journey in journeys.items() for step in journey.counted()}
    for name, scenario in scenarios.items():
        if scenario.race is None:
            continue
        checked = _RaceChecks(problems, name, scenario.race.meant(), producers, probes, frozenset(captured), steps)
        learn(known, checked.check())
    return known


class _RaceChecks(StepChecks):
    """The checks of one race."""

    kind = "race"

    def __init__(
        self,
        problems: Problems,
        name: str,
        race: RaceSettings,
        producers: Mapping[str, ProducerSettings],
        probes: Mapping[str, ProbeSettings],
        captured: Names,
        steps: Set[str],
    ) -> None:
        super().__init__(problems, ("scenarios", name, "race"), name, race, producers, probes, captured)
        self._race = race
        self._steps_of_journeys = steps

    def check(self) -> list[tuple[str, Names]]:
        """Note what is wrong. Gives the names that each event can ask for where it is sent."""
        path, race = self._path, self._race
        self._learn_names()
        self._check_names()
        for place, step in self._placed():
            if (name := event_name(self._name, step)) in self._steps_of_journeys:
                what = f"what is sent here is called {name!r}, as a step of journey {self._name!r} is"
                self._problems.add(place, what, "give the scenario, or one of them, another name", key=True)
        drawn = self._vars((*path, "vars"))
        files = frozenset(f"{name}.{what}" for name in self._files for what in ("sha256", "size"))
        known = self._steps((*path, "setup"), race.steps, self._captured | files | OF_ITERATIONS | drawn)
        for contender in race.contenders:
            self._sending((*path, "contenders", contender.step.name), contender.step, known)
        for read in race.reads:
            self._sending((*path, "reads", read.name), read, known)
        for rule in race.rules:
            self._rule((*path, rule.kind, rule.name), rule.expression, known)
        self._room()
        return self._events

    def _placed(self) -> Iterator[tuple[DataPath, Counted]]:
        return placed_in_race(self._name, self._race)

    def _rule(self, place: DataPath, text: str, known: Names) -> None:
        """A rule has to look at something that is there, and to be able to be true."""
        fields = (*(read.name for read in self._race.reads), *COUNTS, VARS)
        try:
            check_expression(text, fields)
        except ValueError as error:
            self._problems.add_text(place, str(error))
            return
        parsed = jmespath.compile(text).parsed
        contenders = [one.step.name for one in self._race.contenders]
        for count in COUNTS:
            for name in sorted(fields_in(count, parsed) - set(contenders)):
                what, cure = unknown("contender", name, contenders, otherwise="add it under contenders:")
                self._problems.add(place, f"{what} in {count}.{name}", cure)
        for name in sorted(fields_in(VARS, parsed) - (known - self._captured) - self._files):
            what, cure = self._why_not(place, name, f"vars.{name}", known)
            self._problems.add(place, what, cure)
        if not _looks(parsed):
            what = f"{text!r} looks at nothing that could change"
            self._problems.add(place, what, f"start with one of {', '.join(fields)}")
        elif given := _never_boolean(parsed):
            cure = "compare it with something, such as stock.available >= `0`"
            self._problems.add(place, f"{text!r} gives {given}, and neither true nor false", cure)
        elif wrong := _null_comparison(parsed):
            what = f"{text!r} gives null, because {wrong} has no order"
            self._problems.add(place, what, "write a number in backticks, such as `10`")

    def _room(self) -> None:
        """What is sent at one instant must not wait for one another."""
        times: Counter[str] = Counter()
        for one in self._race.contenders:
            times[one.step.to] += one.times
            producer = self._producers.get(one.step.to)
            if isinstance(one.step, EventStep) and one.times > 1 and getattr(producer, "mode", "") == "batched":
                what = f"producer {one.step.to!r} is batched, and would send these {one.times} events in one request"
                place: DataPath = (*self._path, "contenders", one.step.name, "to")
                self._problems.add(place, what, "name a producer with another mode, or write a request")
        for to, count in times.items():
            room = {key: getattr(self._producers.get(to), key, None) for key in ("connections", "in_flight")}
            if small := {key: most for key, most in room.items() if isinstance(most, int) and most < count}:
                first = next(one for one in self._race.contenders if one.step.to == to)
                has = " and ".join(f"{key}: {most}" for key, most in small.items())
                what = f"{count} go to {to!r} at one instant, and it has {has}, so that some would wait for others"
                cure = f"write {' and '.join(f'{key}: {count}' for key in small)} or more for {to!r}, or fewer times:"
                self._problems.add((*self._path, "contenders", first.step.name), what, cure, key=True)


def _children(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [child for child in node["children"] if isinstance(child, dict)]


def _looks(node: Mapping[str, Any]) -> bool:
    """Whether it looks at anything of what it is given."""
    return node["type"] in ("field", "current", "identity") or any(map(_looks, _children(node)))


def _never_boolean(node: Mapping[str, Any]) -> str:
    """What an expression gives where that is neither true nor false whatever it is given; empty: it may be."""
    kind = node["type"]
    if kind in _NO_RULE or "projection" in kind:
        return "a list or an object"
    if kind == "literal":
        return "" if isinstance(node["value"], bool) else kind_of(node["value"])
    if kind == "function_expression" and node["value"] not in _BOOLEAN:
        return f"what {node['value']}() does"
    if kind == "pipe":
        return _never_boolean(_children(node)[-1])
    if kind == "subexpression":
        head = _children(node)[0]
        if head["type"] == "field" and head["value"] in COUNTS and len(_children(node)) == 2:
            return "a number"
    return ""


def _null_comparison(node: Mapping[str, Any]) -> str:
    """What in it is compared by order and has none, so that the comparison gives null; empty: nothing."""
    children = _children(node)
    if node["type"] == "comparator" and node["value"] in _ORDERED:
        for child in children:
            if child["type"] == "literal" and (
                isinstance(child["value"], bool) or not isinstance(child["value"], int | float)
            ):
                return f"{kind_of(child['value'])} ({child['value']!r})"
    return next((found for child in children if (found := _null_comparison(child))), "")
