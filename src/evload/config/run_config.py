"""A config that holds together, and what of it may be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from yaml.nodes import MappingNode

from ..clients.credentials.settings import SecretSettings
from ..model.iteration import Watched
from ..model.report import Circumstances
from ..objectives.ceiling import CeilingObjective
from ..objectives.condition import Condition
from ..objectives.cost import Service
from ..objectives.objective import Objective
from ..objectives.policy import SelfCheckPolicy
from ..sandbox.settings import SandboxSettings
from ..spi.activity import ActivitySettings
from ..spi.gauge import GaugeSettings
from ..spi.guard import NO_GUARD, Guard
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..spi.sink import SinkSettings
from ..workload.events import EventSettings
from ..workload.journeys.settings import JourneySettings
from ..workload.journeys.uploads import Uploads
from ..workload.races.settings import RaceSettings
from ..workload.records import Records
from . import yaml as yamlfile
from .journeys import events_of, made_by, probes_of, producers_of
from .profiles import Profiles
from .secrets import Redactor
from .sections import ActionTimes, Scenario
from .yaml import Document

SANDBOX: Final = "{sandbox}"
"""What stands for the address of the embedded pipeline in the settings of adapters."""


def with_sandbox(value: Any, url: str) -> Any:
    """Plain data with an address in place of `{sandbox}`."""
    if isinstance(value, dict):
        return {key: with_sandbox(item, url) for key, item in value.items()}
    if isinstance(value, list):
        return [with_sandbox(item, url) for item in value]
    return value.replace(SANDBOX, url) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Step:
    """One activity of an action.

    given    its settings as plain data, with the values of variables in them
    written  the same as they were written, with `${NAME}` for a variable
    each     of a clean-up: it is done for each acked event
    """

    settings: ActivitySettings
    given: Mapping[str, Any]
    written: Mapping[str, Any]
    each: bool = False

    def at_sandbox(self, url: str) -> Step:
        """With the address of the embedded pipeline where it is named."""
        fields = type(self.settings).model_fields
        named = {name: one.default for name, one in fields.items() if one.default == SANDBOX}
        if SANDBOX not in json.dumps([self.given, named]):
            return self
        given = with_sandbox({**named, **self.given}, url)
        return replace(self, settings=type(self.settings).model_validate(given), given=given)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is done to the system, and undone. `when` is the condition that it waits for."""

    times: ActionTimes
    do: tuple[Step, ...]
    undo: tuple[Step, ...]
    when: Condition | None = None

    def at_sandbox(self, url: str) -> Action:
        """With the address of the embedded pipeline where it is named."""
        do, undo = (tuple(step.at_sandbox(url) for step in steps) for steps in (self.do, self.undo))
        return replace(self, do=do, undo=undo)


@dataclass(frozen=True, slots=True)
class Watch:
    """A scenario that is what a step of another one's journeys watches.

    scenario  that one
    event     the name of the step's events
    kind      what is watched of it
    probes    the probes of its own with which it does so, by the names of those that the config has
    producer  to whom the step sends what is followed; empty where nothing is sent
    """

    scenario: str
    event: str
    kind: Watched
    probes: Mapping[str, str]
    producer: str = ""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """A config that holds together: every name in it leads somewhere, every template and data file is good.

    replicas  settings of each replica that has an address of its own, by the name of its probe
    records   the loaded data file of each event, by the event's name; None where it has none
    uploads   the contents of the files that steps of journeys send
    settle    longest drain after an interrupt, in nanoseconds
    secrets   where those values come from that may change while the run goes on
    actions   what is done to the system while the run goes on
    setup, cleanup  what is done before the run, and after it
    costs     the price table
    observe   how long it goes on after its load, in nanoseconds
    circumstances  what reports show of it beside its name
    guard     whom it may load, by itself; `guard.held` has the say of everybody else
    ceilings  what is asked of its ceiling, which no single run can tell
    journeys  steps that depend on one another, which scenarios make
    """

    name: str
    seed: int
    sandbox: SandboxSettings | None
    producers: Mapping[str, ProducerSettings]
    events: Mapping[str, EventSettings]
    probes: Mapping[str, ProbeSettings]
    gauges: Mapping[str, GaugeSettings]
    scenarios: Mapping[str, Scenario]
    replicas: Mapping[str, Mapping[str, ProbeSettings]]
    slos: tuple[Objective, ...]
    reports: Mapping[str, SinkSettings]
    self_checks: SelfCheckPolicy
    settle: int
    records: Mapping[str, Records | None]
    uploads: Uploads = field(default_factory=dict)
    secrets: Mapping[str, SecretSettings] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    observe: int = 0
    setup: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()
    costs: tuple[Service, ...] = ()
    circumstances: Circumstances = field(default_factory=Circumstances)
    guard: Guard = NO_GUARD
    ceilings: tuple[CeilingObjective, ...] = ()
    watches: Mapping[str, Watch] = field(default_factory=dict)
    """Of scenarios that are what steps of others watch; no config says so, and a run is prepared with them."""
    journeys: Mapping[str, JourneySettings] = field(default_factory=dict)

    def producers_of(self, scenario: Scenario) -> list[str]:
        """The names of all producers to which a scenario sends something, each once."""
        return producers_of(scenario, self.journeys)

    def probes_of(self, scenario: Scenario) -> list[str]:
        """The names of all probes that a scenario asks, each once."""
        return probes_of(scenario, self.journeys)

    def events_of(self, scenario: str) -> list[str]:
        """The names of all that a scenario sends: of events, and of the steps of its journeys (`order.pay`)."""
        return events_of(scenario, self.scenarios[scenario], self.journeys)

    @property
    def races(self) -> dict[str, RaceSettings]:
        """The races, by the names of their scenarios."""
        return {name: one.race.meant() for name, one in self.scenarios.items() if one.race is not None}

    def made_by(self, scenario: str) -> Mapping[str, JourneySettings]:
        """The journeys that a scenario makes, by their names; a race is one by the name of its scenario."""
        return made_by(scenario, self.scenarios[scenario], self.journeys)

    @property
    def captured(self) -> tuple[str, ...]:
        """The names of what its set-up captures, for placeholders in events and in what is done later."""
        return tuple(name for step in self.setup for name in step.settings.captured_names)


@dataclass(frozen=True, slots=True)
class LateAddress:
    """Settings that name the embedded pipeline: those of adapter `name` in `section`, as they were written.

    A probe with an address for each replica is read once for each.
    """

    section: str
    name: str
    model: type[BaseModel]
    written: Mapping[str, Any]

    def put(self, url: str, sections: Mapping[str, dict[str, Any]]) -> None:
        """Put the settings with the address into their section."""
        written = with_sandbox(dict(self.written), url)
        places = written.pop("at", None) if self.section == "probes" else None
        if places:
            own = {str(name): self.model.model_validate({**written, **place}) for name, place in places.items()}
            sections["replicas"][self.name] = own
            sections[self.section][self.name] = next(iter(own.values())).model_copy(update={"at": places})
        else:
            sections[self.section][self.name] = self.model.model_validate(written)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A config, where it came from, and what of it may be shown. Relative paths in it start at `base_dir`.

    document  what was read, with the place of each value
    """

    config: RunConfig
    path: Path
    base_dir: Path
    document: Document
    _tree: MappingNode
    _redactor: Redactor
    _late: tuple[LateAddress, ...] = ()
    profiles: Profiles = field(default_factory=Profiles)

    @property
    def sandboxed(self) -> frozenset[tuple[str, str]]:
        """Section and name of the adapters that name the embedded pipeline."""
        return frozenset((address.section, address.name) for address in self._late)

    def at_sandbox(self, url: str) -> RunConfig:
        """The config with the address of the embedded pipeline, which is known only once that runs."""
        sections: dict[str, Any] = {
            name: dict(getattr(self.config, name)) for name in ("producers", "probes", "gauges", "replicas")
        }
        for address in self._late:
            if address.name in sections[address.section]:
                address.put(url, sections)
        for name, gauge in self.config.gauges.items():
            # Of a part of a config fewer scenarios pass through a queue than are written.
            sections["gauges"][name] = sections["gauges"][name].model_copy(update={"scenarios": gauge.scenarios})
        sections["actions"] = {name: one.at_sandbox(url) for name, one in self.config.actions.items()}
        for name in ("setup", "cleanup"):
            sections[name] = tuple(step.at_sandbox(url) for step in getattr(self.config, name))
        return replace(self.config, **sections)

    def redact(self, text: str) -> str:
        """`text` with `${NAME}` in place of every value that came from the environment, and `{secrets.NAME}` in place
        of what was learnt."""
        return self._redactor(text)

    def learn(self, name: str, value: str) -> None:
        """From now on `redact` puts `name` in the place of another value, which the run has just got."""
        self._redactor.learn(name, value)

    @property
    def hidden(self) -> Mapping[str, str]:
        """The values that `redact` takes out, by the names that stand in their place."""
        return self._redactor.given

    @property
    def written_secrets(self) -> dict[str, Any]:
        """Where secrets come from, as it is written: variables stay as they are, and passwords are variables."""
        section = next((value for key, value in self._tree.value if key.value == "secrets"), None)
        return yamlfile.document(section, str)[0].data if isinstance(section, MappingNode) else {}

    def as_run(self) -> str:
        """The config as YAML, `--set` applied and references to the environment left as they are.

        Loads again to the same config. Comments are gone, aliases written out, and in the place of each password that
        was written out there is a variable, which has to be set then.
        """
        about = self.config.circumstances
        options = [("profile", name) for name in about.profiles] + [("scenario", name) for name in about.scenarios]
        options += [("i-may-load", host) for host in sorted(self.config.guard.passed)]
        told = " ".join(f"--{option} {json.dumps(name)}" for option, name in options)
        remark = f"# run with {told}\n" if told else ""
        return remark + yamlfile.dump(self._tree)
