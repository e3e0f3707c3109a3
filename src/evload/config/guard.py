"""Holds a config against what may be loaded: the guard that it has itself, and the one of the machine.

Asked of what a run would open, so that an adapter that no scenario of it names does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from .. import files
from ..clients.web import reach_of
from ..errors import UsageError
from ..settings import Settings
from ..spi.context import AdapterSettings
from ..spi.guard import Guard, Reach, Rules, check_pattern
from ..spi.secrets import names_in
from ..units import NS_PER_S, Rate, format_rate
from ..workload.schedule import Hold, Phase, duration_ns, paced, peak
from . import yaml as yamlfile
from .journeys import most_sent
from .problems import Problems
from .races import most_sent_per_s
from .run_config import SANDBOX, LoadedConfig, RunConfig, Step
from .sections import Scenario
from .yaml import DataPath, Document, texts

VARIABLE: Final = "EVLOAD_GUARD"
"""Names the file of the machine."""
OPTION: Final = "--i-may-load"
_LONGEST: Final = 1_000_000
_ADAPTER: Final[Mapping[str, str]] = {
    "producers": "producer", "probes": "probe", "gauges": "gauge", "actions": "action",
}  # fmt: skip

_Reaching = tuple[DataPath, Reach | None, bool]
"""Where it stands, whom it speaks to, and whether the embedded pipeline is among them, which is evload's own."""
Pattern = Annotated[str, AfterValidator(check_pattern)]


class GuardSettings(Settings):
    """Whom a run may load, and how much at most."""

    allow: Annotated[
        tuple[Pattern, ...] | None,
        Field(description="hosts (*.staging.example.com, 10.1.0.0/16) and AWS accounts; all if left out"),
    ] = None
    deny: Annotated[tuple[Pattern, ...], Field(description="those of them that may not be, whoever says so")] = ()
    most: Annotated[Rate | None, Field(description="events per second, of all scenarios together")] = None
    shell: Annotated[
        Literal["allowed", "refused"], Field(description="commands, of which nobody can tell whom they speak to")
    ] = "refused"

    def rules(self, source: str) -> Rules:
        """What it says, under the name that it has in errors."""
        return Rules(source, self.allow, self.deny, self.most, self.shell == "allowed")


def held(loaded: LoadedConfig, environ: Mapping[str, str], may_load: Sequence[str] = ()) -> LoadedConfig:
    """The config with all guards that hold for it. `may_load` are the values of `--i-may-load`.

    Raises ConfigError for what is outside of them, each at its place; UsageError for what can't be asked for so.
    """
    return _held(loaded, environ, may_load, list(_reaches(loaded)), sends=True)


def held_for_clean_up(loaded: LoadedConfig, environ: Mapping[str, str], may_load: Sequence[str] = ()) -> LoadedConfig:
    """The same for its clean-up alone, which may come long after the run, with other values of variables."""
    steps = loaded.config.cleanup
    reaches = [
        *_of_steps(_placed(("cleanup",), steps, loaded.document)),
        *_of_secrets(loaded, [step.settings for step in steps]),
    ]
    return _held(loaded, environ, may_load, reaches, sends=False)


def _held(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    may_load: Sequence[str],
    reaches: Sequence[_Reaching],
    *,
    sends: bool,
) -> LoadedConfig:
    """`sends`: its load is held against the guards as well."""
    passed = frozenset(map(_one, may_load))
    machine = environ.get(VARIABLE, "")
    rules = (*loaded.config.guard.rules, *([_of_machine(Path(machine))] if machine else []))
    if not rules:
        return loaded
    document = loaded.document
    places = {
        f"{_ADAPTER[section]} {name}": str(document.position((section, name)))
        for section in _ADAPTER
        for name in document.section(section)
    }
    guard = Guard(rules, passed, places)
    problems = Problems(document, {})
    for path, reach, is_own in reaches:
        for refusal in guard.refusals(_without_own(reach) if is_own else reach):
            problems.add_text(_place(document, path, reach, refusal), refusal)
    if sends:
        _check_peak(loaded.config, rules, problems)
    problems.close(loaded.redact)
    return replace(loaded, config=replace(loaded.config, guard=guard))


def _one(host: str) -> str:
    try:
        check_pattern(host)
    except ValueError as error:
        raise UsageError(f"{OPTION} {error}") from None
    if set(host) & set("*?[/") - set("[" if host.endswith("]") else ""):
        raise UsageError(f"{OPTION} {host}: it is for one host; name each that you may load")
    return host


def _of_machine(path: Path) -> Rules:
    """Raises UsageError if the file can't be read, ConfigError for what is wrong in it."""
    try:
        text = files.read(path, _LONGEST, regular=False).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        cure = "correct the variable, or the file"
        raise UsageError(f"{VARIABLE}={path}: the guard of this machine can't be read ({reason}); {cure}") from None
    document, refused = yamlfile.document(yamlfile.parse(text, str(path)), str)
    problems = Problems(document, refused)
    settings = problems.validate(TypeAdapter(GuardSettings), ())
    problems.close(str)
    assert settings is not None
    return settings.rules(f"the guard of this machine ({path})")


def _reaches(loaded: LoadedConfig) -> Iterator[_Reaching]:
    """Each adapter that a run would open."""
    config = loaded.config
    producers = {name for scenario in config.scenarios.values() for name in config.producers_of(scenario)}
    probes = {probe for scenario in config.scenarios.values() for probe in config.probes_of(scenario)}
    used: list[AdapterSettings] = []
    for section, adapters in (
        ("producers", {name: one for name, one in config.producers.items() if name in producers}),
        ("probes", {name: one for name, one in config.probes.items() if name in probes}),
        ("gauges", config.gauges),
        ("reports", config.reports),
    ):
        settings: AdapterSettings
        for name, settings in adapters.items():
            own = (section, name) in loaded.sandboxed
            replicas = config.replicas.get(name, {}) if section == "probes" else {}
            used.append(settings)
            for replica, one in replicas.items():
                yield (section, name, "at", replica), one.reach, own
            if not replicas:
                yield (section, name), settings.reach, own
    steps = list(_steps(config, loaded.document))
    yield from _of_steps(steps)
    yield from _of_secrets(loaded, [*used, *(step.settings for _, step in steps)])


def _of_steps(steps: Iterable[tuple[DataPath, Step]]) -> Iterator[_Reaching]:
    for path, step in steps:
        yield path, step.settings.reach, SANDBOX in repr(step.given)


def _of_secrets(loaded: LoadedConfig, used: Iterable[AdapterSettings]) -> Iterator[_Reaching]:
    """Of the secrets that these adapters name."""
    secrets = loaded.config.secrets
    named = {name for one in used for name in names_in(one.model_dump())}
    named |= {other for name in named & secrets.keys() for other in names_in(secrets[name].model_dump())}
    for name in secrets:
        if name in named:
            yield ("secrets", name), reach_of(secrets[name].url), False


def _steps(config: RunConfig, document: Document) -> Iterator[tuple[DataPath, Step]]:
    """All that is done to the system, with its place."""
    places: list[tuple[DataPath, Sequence[Step]]] = [(("setup",), config.setup), (("cleanup",), config.cleanup)]
    for name, action in config.actions.items():
        places += [(("actions", name, "do"), action.do), (("actions", name, "undo"), action.undo)]
    for path, steps in places:
        yield from _placed(path, steps, document)


def _placed(path: DataPath, steps: Sequence[Step], document: Document) -> Iterator[tuple[DataPath, Step]]:
    """A list of steps, each with its place."""
    several = isinstance(document.value(path), list)
    for number, step in enumerate(steps):
        yield (*path, number) if several else path, step


def _without_own(reach: Reach | None) -> Reach | None:
    """Without the address of the embedded pipeline, which isn't known yet."""
    return reach and replace(reach, hosts=tuple(host for host in reach.hosts if host != "127.0.0.1"))


def _place(document: Document, path: DataPath, reach: Reach | None, refusal: str) -> DataPath:
    """Where the host stands that is refused; the adapter as a whole, if nothing in it names one."""
    hosts = () if reach is None else (*reach.hosts, *reach.accounts)
    names = [host for host in hosts if host in refusal]
    for place, text in texts(document.value(path), path):
        if any(name.lower() in text.lower() for name in names):
            return place
    return path


def _check_peak(config: RunConfig, rules: Sequence[Rules], problems: Problems) -> None:
    limits = [(one.most, one.source) for one in rules if one.most is not None]
    if not limits:
        return
    scenarios = list(config.scenarios.items())
    most, source = min(limits)
    for name, scenario in scenarios:
        if scenario.closed and not _apart_ns(scenario):
            what = f"nobody knows how often users ask who never wait, and {source} allows {format_rate(most)}"
            cure = "write think: or every:, the least time between two iterations of a user, or a load of rates"
            problems.add(("scenarios", name, "load"), what, cure)
            return
    found = peak([_offered(config, one) for _, one in scenarios])
    if found.rate > most:
        what = f"the schedule offers up to {format_rate(found.rate)}, and {source} allows {format_rate(most)} at most"
        if len(scenarios) > 1:
            what = what.replace("offers", "of all scenarios together offers")
        name, scenario = scenarios[found.whose]
        cure = "write fewer users, or a longer think: or every:" if scenario.closed else "write a lower rate"
        if scenario.race is not None:
            cure = "write fewer times:, or a longer every:"
        problems.add(("scenarios", name, "rounds" if scenario.race is not None else "load"), what, cure)


def _offered(config: RunConfig, scenario: Scenario) -> tuple[int, Sequence[Phase], Fraction]:
    """When a scenario begins, its load, and how often each of its events, or iterations, sends something at most.

    Users may all begin at the same moment, and send all of an iteration in a second: a target may answer at once. In
    any second each of them begins as many iterations as fit in, each so long after the one before as it has to be.
    """
    if scenario.race is not None and scenario.rounds is not None:
        race = scenario.race.meant()
        rate = Fraction(most_sent_per_s(race, scenario.rounds.every))
        lasts_ns = duration_ns(scenario.load) + race.within + race.confirm
        return scenario.start, [Hold.model_construct(rate=rate, for_=lasts_ns)], Fraction(1)
    times = _most_sent(config, scenario)
    if not scenario.closed:
        return scenario.start, scenario.load, times
    begun = -(-NS_PER_S // _apart_ns(scenario))
    return scenario.start, paced(scenario.load, Fraction(NS_PER_S, begun)), times


def sends_at_most(config: RunConfig, scenario: str) -> Fraction:
    """How often each event of a scenario, or each iteration of its journeys, sends something at most."""
    return _most_sent(config, config.scenarios[scenario])


def _most_sent(config: RunConfig, scenario: Scenario) -> Fraction:
    if not scenario.journeys:
        return _times(scenario.resend)
    return Fraction(max(most_sent(config.journeys[name]) for name in scenario.journeys))


def _apart_ns(scenario: Scenario) -> int:
    """How long after one iteration of a user its next one begins, at least: the pauses within an iteration are left
    out where it fails before them. 0: at once."""
    return scenario.every or (scenario.think or (0, 0))[0]


def _times(resend: Any) -> Fraction:
    """How often an event is sent, on average, with the copies that are sent on purpose."""
    return Fraction(1) if resend is None else 1 + Fraction(resend.share).limit_denominator(10**9) * resend.copies
