"""What comparisons know of journeys: their figures by step, and whether they are the same journeys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from statistics import mode
from typing import Any, Final

import orjson

from ..objectives.change import JOURNEYED, check_journey, settling
from .figures import RunFigures, Scope

_OF_A_JOURNEY: Final = ("completed", "refused", "failed", "p50", "p95")
_OF_A_STEP: Final = ("p50", "p95")
"""What is shown; other percentiles where a rule names them."""


def with_steps(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says, with how long the steps of its journeys took: `steps` of the run and of each scenario.

    A step that waits for something is a scenario of its own, `SCENARIO: JOURNEY.STEP`.
    """
    stored = _with_races(stored)
    scenarios = _mapping(stored.get("scenarios"))
    own = {name: _steps_of(name, scenarios) for name, told in scenarios.items() if _mapping(told).get("journeys")}
    if not own:
        return dict(stored)
    events = _mapping(stored.get("events"))
    whole = {step: _times(events.get(step), metric) for steps in own.values() for step, (_, metric) in steps.items()}
    told = {
        name: {**scenario, "steps": {step: _times(*found) for step, found in own[name].items()}}
        if name in own
        else scenario
        for name, scenario in scenarios.items()
    }
    return {**stored, "steps": {**_mapping(stored.get("steps")), **whole}, "scenarios": told}


def _with_races(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a summary says, with `races` of the run and of each scenario that is one, and how long they took to settle
    among `steps`."""
    scenarios = _mapping(stored.get("scenarios"))
    races = {name: race for name, told in scenarios.items() if (race := _mapping(_mapping(told).get("race")))}
    if not races:
        return stored
    settled = {name: {settling(name): race.get("settle")} for name, race in races.items()}
    told = {
        name: {**scenario, "races": {name: races[name]}, "steps": settled[name]} if name in races else scenario
        for name, scenario in scenarios.items()
    }
    steps = {about: times for own in settled.values() for about, times in own.items()}
    return {**stored, "races": races, "steps": steps, "scenarios": told}


def _steps_of(scenario: str, scenarios: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """The steps of the journeys of a scenario: what is known of their events, and which of their times is theirs."""
    told = _mapping(scenarios[scenario])
    journeys = _mapping(told["journeys"])
    sent = {
        label.removeprefix("event="): (part, "publish")
        for label, part in _mapping(told.get("slices")).items()
        if label.startswith("event=") and "," not in label
    }
    prefix = f"{scenario}: "
    waited = {
        name.removeprefix(prefix): (part, "first_seen") for name, part in scenarios.items() if name.startswith(prefix)
    }
    waited = {step: found for step, found in waited.items() if step not in sent}  # the others follow what is sent
    return {step: found for step, found in {**sent, **waited}.items() if step.rpartition(".")[0] in journeys}


def _times(part: Any, metric: str) -> Any:
    """None where there are none."""
    return _mapping(_mapping(part).get("distributions")).get(metric)


def _mapping(found: Any) -> Mapping[str, Any]:
    """Empty for what is none, and should be: that is told where it is read as figures."""
    return found if isinstance(found, Mapping) else {}


def digest(written: Any) -> str:
    """Alike for what is written alike; empty for what no JSON can hold."""
    try:
        told = orjson.dumps(written, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return ""
    return hashlib.sha256(told).hexdigest()[:16]


def digests(config: Mapping[str, Any]) -> dict[str, str]:
    """How a config has its journeys, and the scenarios that go through them."""
    journeys = {f"journey {name}": digest(one) for name, one in _mapping(config.get("journeys")).items()}
    return {**journeys, **{f"scenario {name}": digest(one) for name, one in _of_journeys(config)}}


def scenarios_of_users(config: Mapping[str, Any]) -> list[str]:
    """The scenarios of a config with a closed load."""
    return [
        name
        for name, one in _of_journeys(config)
        if isinstance(load := one.get("load"), list | tuple) and any("users" in _words(phase) for phase in load)
    ]


def _of_journeys(config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found = ((name, _mapping(one)) for name, one in _mapping(config.get("scenarios")).items())
    return [(name, one) for name, one in found if one.get("journeys") or one.get("race")]


def _words(phase: Any) -> str:
    """Keys and values of a phase of a load, of which `users: 50` is one, and `from: 0 users` another."""
    return " ".join(f"{key} {value}" for key, value in _mapping(phase).items())


def waits(config: Mapping[str, Any]) -> list[Any]:
    """The steps of a config that wait, with until when."""
    return [[name, step.get("wait"), step.get("within")] for name, step in _waits(config.get("journeys"))]


def _waits(written: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    inside = written.items() if isinstance(written, Mapping) else ()
    for name, one in inside:
        if isinstance(one, Mapping) and isinstance(one.get("wait"), str):
            yield name, one
    for one in written.values() if isinstance(written, Mapping) else written if isinstance(written, list) else ():
        yield from _waits(one)


def figures_of(scopes: Sequence[Scope]) -> list[str]:
    """The names of the figures of all journeys that some of them have, and of their steps."""
    found = _known(scopes)
    races = [
        figure
        for race in _races(scopes)
        for figure in (f"violated({race})", *(f"{function}({settling(race)})" for function in _OF_A_STEP))
    ]
    return races + [
        f"{function}({about})"
        for journey, steps in found.items()
        for about, functions in ((journey, _OF_A_JOURNEY), *((step, _OF_A_STEP) for step in steps))
        for function in functions
    ]


def check_named(rule: str, scopes: Sequence[Scope]) -> None:
    """Raise ValueError for a rule about a journey or a step that none of them has."""
    name = rule.partition("=")[0].strip()
    if JOURNEYED.fullmatch(name):
        check_journey(name, _known(scopes), _races(scopes))


def _races(scopes: Sequence[Scope]) -> list[str]:
    return list(dict.fromkeys(race for scope in scopes for race in scope.races))


def _known(scopes: Sequence[Scope]) -> dict[str, list[str]]:
    """Journeys, each with its steps."""
    journeys = list(dict.fromkeys(journey for scope in scopes for journey in scope.journeys))
    steps = dict.fromkeys(step for scope in scopes for step in scope.steps)
    return {journey: [step for step in steps if step.rpartition(".")[0] == journey] for journey in journeys}


def differences(base: Sequence[RunFigures], new: Sequence[RunFigures]) -> list[str]:
    """Runs that had other journeys, or went through them otherwise, than most of NEW."""
    most = mode(_told(each) for each in new)
    usual = next(each for each in new if _told(each) == most)
    odd: dict[str, list[str]] = {}
    for each in (*base, *new):
        if told := "; ".join(_unlike(each, usual)):
            odd.setdefault(told, []).append(each.id)
    runs = [f"{', '.join(ids)} ({told})" for told, ids in odd.items()]
    what = "journeys or races" if any(each.races for each in (*base, *new)) else "journeys"
    return [f"other {what} than with most of NEW: {', '.join(runs)}"] if runs else []


def _told(run: RunFigures) -> tuple[Any, ...]:
    return (*sorted(run.written.items()), *sorted(run.journeys))


def _unlike(run: RunFigures, usual: RunFigures) -> list[str]:
    """What of the journeys of a run is another than of the usual one. Without their configs the names are known."""
    mine, others = run.written, usual.written
    if not mine or not others:
        mine, others = ({f"journey {name}": "" for name in each.journeys} for each in (run, usual))
    return [
        f"{about} is written otherwise" if about in mine and about in others
        else f"there is {'' if about in mine else 'no '}{about}"
        for about in {**others, **mine}
        if mine.get(about) != others.get(about)
    ]  # fmt: skip
