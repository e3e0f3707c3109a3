"""From YAML text to a frozen RunConfig, or to everything that is wrong with it, each with line and column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from yaml.nodes import MappingNode

from ..errors import ConfigError, Problem, UsageError
from ..judging import judge as slo
from ..model.facts import QUEUE_LAG
from ..objectives.objective import DEFAULT_DELAY_NS, Objective
from ..objectives.policy import SelfCheckPolicy
from ..sandbox.settings import SandboxSettings
from ..spi import registry as plugins
from ..spi.gauge import GaugeSettings
from ..spi.probe import ProbeSettings
from ..spi.producer import ProducerSettings
from ..spi.sink import SinkSettings
from ..workload import events
from ..workload.events import EventSettings
from ..workload.records import Records
from . import yaml as yamlfile
from .checks import PROBE_KEYS, looks_twice, may_tell, reads_own_writes
from .environment import Environment
from .problems import Problems, unknown
from .run_config import SANDBOX, LateAddress, LoadedConfig, RunConfig, with_sandbox
from .secrets import Redactor
from .sections import ConfigFile, Kind, ObjectiveEntry, Scenario
from .yaml import DataPath, places, texts

_NO_SANDBOX_YET: Final = "http://127.0.0.1:9"
"""Stands in for it where nothing is started: the discard port, on which nothing listens."""


def _name_from(stem: str) -> str:
    return re.sub(r"[^\w .-]", "-", stem).lstrip(" .-")[:100] or "run"


M = TypeVar("M")


def load(path: Path, *, sets: Sequence[str] = (), environ: Mapping[str, str]) -> LoadedConfig:
    """The config in a file. `sets` is the `PATH=VALUE` of each option `--set`.

    Where it names the embedded pipeline a placeholder takes the place of the address, until `at_sandbox`. Raises
    ConfigError with every problem found, UsageError if the file can't be read.
    """
    return load_text(_read(path), str(path), base_dir=path.parent, sets=sets, environ=environ)


def load_text(
    text: str,
    name: str,
    *,
    base_dir: Path = Path(),
    sets: Sequence[str] = (),
    environ: Mapping[str, str],
) -> LoadedConfig:
    """The same from text; `name` is what the text is called in errors. Raises ConfigError."""
    tree = yamlfile.parse(text, name)
    _assign_all(tree, sets)
    environment = Environment(environ)
    document, refused = yamlfile.document(tree, environment.substitute)
    problems = Problems(document, refused)
    redactor = Redactor(environment.given, (text for _, text in texts(document.data, ())))
    reader = _Reader(problems, base_dir)
    config = reader.read(Path(name).stem)
    problems.close(redactor)
    if "name" not in document.data:
        # The config as run may lie in a file of another name.
        yamlfile.assign(tree, f'name="{config.name}"')
    return LoadedConfig(config, Path(name), base_dir, tree, redactor, tuple(reader.late))


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a directory; name the config file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: the file can't be read ({reason}); check the path and its permissions") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        where = f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        what = f"the byte 0x{content[error.start]:02X} is not UTF-8"
        raise ConfigError([Problem(where, what, "save the file as UTF-8")]) from None


def _assign_all(tree: MappingNode, sets: Sequence[str]) -> None:
    problems: list[Problem] = []
    for assignment in sets:
        try:
            yamlfile.assign(tree, assignment)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


class _Reader:
    """Reads a document section by section and item by item, so that one mistake doesn't hide another."""

    def __init__(self, problems: Problems, base_dir: Path) -> None:
        self._problems = problems
        self._document = problems.document
        self._base_dir = base_dir
        self._written: dict[DataPath, Mapping[str, Any]] = {}
        """The settings that name the embedded pipeline, as they were written."""
        self.late: list[LateAddress] = []
        """The same, with the model that reads them."""

    def read(self, stem: str) -> RunConfig:
        """The config. If anything was noted in the problems, it is good for nothing."""
        top = self._problems.validate(TypeAdapter(ConfigFile), ()) or ConfigFile()
        name = top.name if "name" in top.model_fields_set else _name_from(stem)
        sandbox = self._item(SandboxSettings, ("sandbox",)) if "sandbox" in self._document.data else None
        self._insert_placeholders()
        producers = self._adapters("producers", "evload.producers")
        replicas: dict[str, dict[str, ProbeSettings]] = {}
        probes = self._adapters("probes", "evload.probes", replicas)
        gauges = self._adapters("gauges", "evload.gauges")
        types = self._items("events", EventSettings)
        scenarios = self._items("scenarios", Scenario)
        objectives = self._objectives({name: gauge.metrics for name, gauge in gauges.items()})
        policy = self._item(SelfCheckPolicy, ("self_checks",)) if "self_checks" in self._document.data else None
        self._check_references()
        self._check_captures(scenarios, producers, probes)
        self._check_gauges(gauges)
        self._check_objectives(objectives, scenarios, probes, gauges)
        return RunConfig(
            name=name,
            seed=top.seed,
            sandbox=sandbox,
            producers=producers,
            events=types,
            probes=probes,
            gauges=gauges,
            scenarios=scenarios,
            replicas=replicas,
            slos=tuple(objectives.values()),
            reports=self._reports(),
            self_checks=policy or SelfCheckPolicy(),
            settle=top.settle,
            records=self._check_templates(types, scenarios, producers),
        )

    def _section(self, name: str) -> dict[str, Any]:
        """The items of a section as they are in the file; none if it isn't a mapping."""
        section = self._document.data.get(name)
        return section if isinstance(section, dict) else {}

    def _item(self, model: type[M], path: DataPath) -> M | None:
        return self._problems.validate(TypeAdapter(model), path)

    def _items(self, section: str, model: type[M]) -> dict[str, M]:
        read = {name: self._item(model, (section, name)) for name in self._section(section)}
        return {name: item for name, item in read.items() if item is not None}

    def _adapters(
        self, section: str, group: plugins.Group, replicas: dict[str, dict[str, ProbeSettings]] | None = None
    ) -> dict[str, Any]:
        """The settings of a section by name; those of replicas with an address each go into `replicas`."""
        found: dict[str, Any] = {}
        for name in self._section(section):
            path: DataPath = (section, name)
            model = self._model(path, group)
            if model is None:
                continue
            if path in self._written:
                self.late.append(LateAddress(section, name, model, self._written[path]))
            written = self._document.value(path)
            if replicas is not None and isinstance(written.get("at"), dict) and written["at"]:
                own = self._replicas(model, path, written)
                if own:
                    replicas[name] = own
                    found[name] = next(iter(own.values())).model_copy(update={"at": written["at"]})
            elif (settings := self._item(model, path)) is not None:
                found[name] = settings
        return found

    def _reports(self) -> dict[str, SinkSettings]:
        if "reports" not in self._document.data:
            return {"html": plugins.load("evload.sinks", "html")(kind="html")}
        return self._adapters("reports", "evload.sinks")

    def _replicas(self, model: type[Any], path: DataPath, written: Mapping[str, Any]) -> dict[str, ProbeSettings]:
        """One probe's settings for each replica under `at`: what is written there replaces what they share."""
        found = {}
        common = {key: value for key, value in written.items() if key != "at"}
        for replica, differing in written["at"].items():
            place: DataPath = (*path, "at", replica)
            if not isinstance(differing, dict):
                self._problems.add(place, f"{replica!r} has no settings of its own", "give it a url")
                continue
            for key in differing.keys() & ProbeSettings.model_fields.keys():
                self._problems.add((*place, key), f"{key} belongs to the probe as a whole", "move it up", key=True)
            adapter = TypeAdapter(model)
            settings = self._problems.validate_as(adapter, {**common, **differing}, place, path)
            if settings is not None and settings.pushes:
                self._problems.add(
                    path, f"{written['kind']} is told and doesn't ask", "define a probe for each place"
                )
            elif settings is not None:
                found[str(replica)] = settings
        return found if len(found) == len(written["at"]) else {}

    def _model(self, path: DataPath, group: plugins.Group) -> type[Any] | None:
        """The settings model of the kind that stands at `path`."""
        value = self._document.value(path)
        if isinstance(value, dict) and "kind" not in value:
            kinds = ", ".join(plugins.kinds(group))
            self._problems.add(path, "the key 'kind' is missing", f"add kind: and one of those installed: {kinds}")
            return None
        entry = self._item(Kind, path)
        if entry is None:
            return None
        try:
            return plugins.load(group, entry.kind)
        except plugins.UnknownKind as error:
            self._problems.add_text((*path, "kind"), str(error))
        except (ImportError, AttributeError) as error:
            what = f"kind {entry.kind!r} is installed but can't be imported ({error})"
            self._problems.add((*path, "kind"), what, "install what it needs")
        return None

    def _insert_placeholders(self) -> None:
        """Where the embedded pipeline is named, and remember it: its address isn't known yet."""
        for section in ("producers", "probes", "gauges"):
            for name, written in self._section(section).items():
                named = [path for path, text in texts(written, (section, name)) if SANDBOX in text]
                if "sandbox" not in self._document.data:
                    for path in named:
                        what = f"{SANDBOX} without an embedded pipeline"
                        self._problems.add(path, what, "add sandbox: {} at the top level")
                if named:
                    self._written[section, name] = written
                    self._document.data[section][name] = with_sandbox(written, _NO_SANDBOX_YET)

    def _objectives(self, gauges: Mapping[str, Sequence[str]]) -> dict[DataPath, Objective]:
        entries = self._document.data.get("slos")
        found = {}
        for index, written in enumerate(entries if isinstance(entries, list) else ()):
            path: DataPath = ("slos", index)
            if isinstance(written, str):
                entry: ObjectiveEntry | None = ObjectiveEntry(objective=written)
                place = path
            elif isinstance(written, dict):
                entry, place = self._item(ObjectiveEntry, path), (*path, "objective")
            else:
                self._problems.add(path, f"{written!r} is not an objective", "write one such as p99(end_to_end) < 5s")
                continue
            if entry is not None and (objective := self._objective(entry, gauges, place, path)) is not None:
                found[path] = objective
        return found

    def _objective(
        self, entry: ObjectiveEntry, gauges: Mapping[str, Sequence[str]], place: DataPath, path: DataPath
    ) -> Objective | None:
        scope = {
            name: value
            for name in ("scenario", "event", "key", "probe", "replica", "after")
            if (value := getattr(entry, name)) is not None
        }
        given = {name: str(value) for name in ("target", "critical") if (value := getattr(entry, name)) is not None}
        abort = entry.abort
        delay_ns = (DEFAULT_DELAY_NS if abort is True else abort.after) if abort else None
        try:
            # Once without what has a place of its own, so that a mistake is told where it stands.
            objective = slo.parse(entry.objective, gauges=gauges, **scope)
            place = next(((*path, name) for name in given), path)
            return (
                slo.parse(entry.objective, gauges=gauges, abort_after_ns=delay_ns, **scope, **given)
                if given or abort
                else objective
            )
        except ValueError as error:
            self._problems.add_text(place, str(error))
            return None

    def _check_references(self) -> None:
        """Names in scenarios, read from the file itself so that a scenario with another mistake is checked too."""
        scenarios = self._document.data.get("scenarios", {})
        if scenarios == {}:
            self._problems.add(("scenarios",), "there is no scenario", "add one under scenarios:", key=True)
        for scenario, settings in self._section("scenarios").items():
            for field, section in (("producer", "producers"), ("events", "events"), ("probes", "probes")):
                named = settings.get(field) if isinstance(settings, dict) else None
                path: DataPath = ("scenarios", scenario, field)
                if isinstance(named, str) and field == "producer":
                    self._check_name(named, section, path)
                elif isinstance(named, dict) and field == "events":
                    for name in named:
                        self._check_name(name, section, (*path, name), key=True)
                elif isinstance(named, list) and field != "producer":
                    for index, name in enumerate(named):
                        self._check_name(name, section, (*path, index))

    def _check_name(self, name: object, section: str, path: DataPath, *, key: bool = False) -> None:
        known = self._section(section)
        if isinstance(name, str) and name not in known:
            what, cure = unknown(section.removesuffix("s"), name, known, otherwise=f"define it under {section}:")
            self._problems.add(path, what, cure, key=key)

    def _check_gauges(self, gauges: Mapping[str, GaugeSettings]) -> None:
        for name, gauge in gauges.items():
            for index, scenario in enumerate(gauge.scenarios):
                self._check_name(scenario, "scenarios", ("gauges", name, "scenarios", index))

    def _check_captures(
        self,
        scenarios: Mapping[str, Scenario],
        producers: Mapping[str, ProducerSettings],
        probes: Mapping[str, ProbeSettings],
    ) -> None:
        for name, scenario in scenarios.items():
            producer = producers.get(scenario.producer)
            if producer is None or getattr(producer, "capture", None) is not None:
                continue
            for index, probe in enumerate(scenario.probes):
                if probe in probes and probes[probe].asks_by_capture:
                    what = f"probe {probe!r} asks by {{capture}}, and producer {scenario.producer!r} captures nothing"
                    cure = "give the producer a capture:, or ask by {correlation_id}"
                    self._problems.add(("scenarios", name, "probes", index), what, cure)

    def _check_objectives(
        self,
        objectives: Mapping[DataPath, Objective],
        scenarios: Mapping[str, Scenario],
        probes: Mapping[str, ProbeSettings],
        gauges: Mapping[str, GaugeSettings],
    ) -> None:
        """Refuse what could never be decided, or never fail."""
        known = self._section("scenarios")
        for path, objective in objectives.items() if known else ():
            if objective.scenario is not None:
                self._check_name(objective.scenario, "scenarios", (*path, "scenario"))
            chosen = known if objective.scenario is None else [objective.scenario]
            if not all(name in scenarios for name in chosen):
                continue
            watching = {probe for name in chosen for probe in scenarios[name].probes}
            if objective.after_scenario is not None and objective.after_scenario != objective.scenario:
                self._check_name(objective.after_scenario, "scenarios", (*path, "after"))
            self._check_scope(path, objective, watching, probes)
            if objective.subject == "unread_writes" and watching and not reads_own_writes(watching, probes):
                what = f"no probe reads right after the ack, so {objective.expression!r} would always hold"
                self._problems.add(path, what, "give the probe session: true")
            if objective.subject in ("regressions", "regressed") and watching and not looks_twice(watching, probes):
                what = f"no probe looks again at what it has seen, so {objective.expression!r} would always hold"
                self._problems.add(path, what, "give the probe confirm: {reads: 5}")
            if objective.subject == QUEUE_LAG and not any("queue_depth" in g.metrics for g in gauges.values()):
                what = "no gauge has the queue_depth from which queue_lag follows"
                self._problems.add(path, what, "add the gauge of a queue under gauges:")
            if objective.needs_probe and not watching:
                what = f"nobody looks for the effects that {objective.expression!r} is about"
                self._problems.add(path, what, "give a scenario probes: [...]")
            needed = PROBE_KEYS.get(objective.subject)
            if needed and watching and not any(may_tell(probes.get(probe), needed) for probe in watching):
                what = f"no probe could ever tell {objective.subject}, so this would always hold"
                self._problems.add(path, what, f"give the probe {needed}:")

    def _check_scope(
        self, path: DataPath, objective: Objective, watching: Set[str], probes: Mapping[str, ProbeSettings]
    ) -> None:
        """The part of the events that an objective is about has to be there."""
        if objective.event is not None:
            self._check_name(objective.event, "events", (*path, "event"))
        if objective.probe is not None:
            self._check_name(objective.probe, "probes", (*path, "probe"))
            if objective.probe in probes and objective.probe not in watching:
                what = f"probe {objective.probe!r} watches none of these events"
                self._problems.add((*path, "probe"), what, "add it to the scenario's probes")
        if objective.replica is not None:
            asked = [probes[name] for name in watching if name in probes and objective.probe in (None, name)]
            known = [name for probe in asked for name in (*probe.at, *probe.replicas)]
            learnt = any(getattr(probe, "replica", None) is not None for probe in asked)
            if objective.replica not in known and not learnt:
                what, cure = unknown("replica", objective.replica, known, otherwise="name it under at:")
                self._problems.add((*path, "replica"), what, cure)

    def _check_templates(
        self,
        types: Mapping[str, EventSettings],
        scenarios: Mapping[str, Scenario],
        producers: Mapping[str, ProducerSettings],
    ) -> dict[str, Records | None]:
        """Load data files and try all templates, those of a producer with every event that it is sent."""
        loaded = {}
        seen: set[tuple[DataPath, str]] = set()
        for name, settings in types.items():
            senders = {scenario.producer for scenario in scenarios.values() if name in scenario.events}
            extras = [
                (sender, template)
                for sender, producer in producers.items()
                if sender in senders
                for template in producer.encoding().extras
            ]
            checked = events.check(settings, self._base_dir, [template for _, template in extras])
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
