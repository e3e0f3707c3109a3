"""From YAML text to a frozen RunConfig, or to everything that is wrong with it, each with line and column."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from yaml.nodes import MappingNode

from .. import files
from ..clients.credentials.settings import SecretSettings
from ..errors import ConfigError, Problem, UsageError
from ..model.report import Circumstances
from ..model.round import TALLIES
from ..objectives import grammar
from ..objectives.ceiling import CeilingObjective, is_about_ceiling, parse_ceiling
from ..objectives.change import RULES, check_gauge, check_journey, warning
from ..objectives.condition import parse_condition
from ..objectives.cost import Service, parse_per, parse_price, parse_usage, service
from ..objectives.objective import DEFAULT_DELAY_NS, GaugeValues, Objective
from ..objectives.policy import SelfCheckPolicy
from ..sandbox.settings import SandboxKnobs, SandboxSettings
from ..spi import registry
from ..spi.guard import NO_GUARD, Guard
from ..spi.probe import ProbeSettings
from ..spi.sink import SinkSettings
from ..texts import near
from ..units import told
from ..workload.events import EventSettings
from ..workload.journeys.settings import JourneySettings, RequestStep
from ..workload.journeys.written import WrittenJourney
from ..workload.races.written import WrittenRace
from ..workload.templates import is_placeholder
from . import yaml as yamlfile
from .checks import Checks
from .data import tree_of
from .environment import Environment
from .guard import GuardSettings
from .journeys import check_journeys, event_name, learn
from .literals import Literals
from .params import Shown
from .problems import Problems, unknown
from .profiles import take
from .races import check_races
from .run_config import SANDBOX, Action, LateAddress, LoadedConfig, RunConfig, Step, with_sandbox
from .secrets import Redactor
from .sections import MOST, ActionTimes, CompareEntry, ConfigFile, CostEntry, Kind, ObjectiveEntry, Scenario
from .uploads import uploads_of
from .yaml import DataPath, Document, texts

_NO_SANDBOX_YET: Final = "http://127.0.0.1:9"
"""Stands in for it where nothing is started: the discard port, on which nothing listens."""
_LONGEST: Final = 4 * yamlfile.LONGEST
"""Bytes of a file. No character has more than four of them."""
_ADD_RACE: Final = "add a scenario with race:"
_LARGEST: Final = 2**63 - 1
"""What databases and protocols have room for. The data of an event may hold any number."""
_JSON: Final = frozenset({"json", "vars"})
"""Keys of a journey behind which there is JSON."""
_ACTIVITIES: Final = "evload.activities"


def _name_from(stem: str) -> str:
    return re.sub(r"[^\w .-]", "-", stem).lstrip(" .-")[:100] or "run"


M = TypeVar("M")


def load(
    path: Path, *, sets: Sequence[str] = (), profiles: Sequence[str] = (), environ: Mapping[str, str]
) -> LoadedConfig:
    """The config in a file, changed by these of its profiles. `sets` is the `PATH=VALUE` of each option `--set`,
    which come after them.

    Where it names the embedded pipeline a placeholder takes the place of the address, until `at_sandbox`. Raises
    ConfigError with every problem found, UsageError if the file can't be read.
    """
    return load_text(read(path), str(path), base_dir=path.parent, sets=sets, profiles=profiles, environ=environ)


def load_text(
    text: str,
    name: str,
    *,
    base_dir: Path = Path(),
    sets: Sequence[str] = (),
    profiles: Sequence[str] = (),
    environ: Mapping[str, str],
    options: Mapping[DataPath, str] = {},
) -> LoadedConfig:
    """The same from text; `name` is what the text is called in errors. Raises ConfigError.

    `options` says which values came from the command line, and by which option; what is inside of others comes later.
    """
    tree = yamlfile.parse(text, name)
    for path, option in options.items():
        yamlfile.came_from(tree, path, option)
    return _loaded(tree, name, base_dir, sets, profiles, environ)


def load_data(
    data: Mapping[str, Any],
    name: str,
    *,
    base_dir: Path = Path(),
    sets: Sequence[str] = (),
    profiles: Sequence[str] = (),
    environ: Mapping[str, str],
) -> LoadedConfig:
    """The same from plain data. Problems are told by their path in it, such as `scenarios.spike.load.0`. Raises
    ConfigError."""
    return _loaded(tree_of(data), name, base_dir, sets, profiles, environ)


def _loaded(
    tree: MappingNode,
    name: str,
    base_dir: Path,
    sets: Sequence[str],
    profiles: Sequence[str],
    environ: Mapping[str, str],
) -> LoadedConfig:
    profiled = take(tree, profiles)
    _assign_all(tree, sets)
    shown = Shown(tree, environ)
    environment = Environment(environ, shown.params)
    document, refused = yamlfile.document(tree, environment.substitute)
    shown.refuse(document, refused)
    _refuse_large_numbers(document, refused)
    problems = Problems(document, refused)
    for path, braces in yamlfile.bare_braces(tree):
        if _is_json(path) and is_placeholder(braces):
            problems.add(path, f"{braces} without quotes is a mapping, and no placeholder", f'write "{braces}"')
    for path in document.values:
        if path[:1] == ("guard",) and not document.position(path).line:
            what = "the guard of a config can't be changed from outside"
            problems.add(path, what, "correct the file, or say --i-may-load HOST")
            break
    literals = Literals(tree, environment.substitute)
    reader = _Reader(problems, base_dir, literals, shown.params)
    written = [text for _, text in texts(document.data, ())]
    config = reader.read(Path(name).stem)
    config = replace(config, circumstances=replace(config.circumstances, profiles=profiled.chosen))
    secret = {name: value for name, value in environment.given.items() if name not in shown.variables}
    redactor = Redactor({**literals.given, **secret}, written)
    problems.close(redactor)
    if "name" not in document.data:
        # The config as run may lie in a file of another name.
        yamlfile.assign(tree, f'name="{config.name}"')
    return LoadedConfig(config, Path(name), base_dir, document, tree, redactor, tuple(reader.late), profiled)


def read(path: Path) -> str:
    """The text of a config. Raises UsageError if it can't be read, ConfigError if it isn't UTF-8."""
    try:
        content = files.read(path, _LONGEST, regular=False)  # it may well come through a pipe
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a directory; name the config file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise UsageError(f"{path}: {reason}; write less, and use a data file under records:") from None
        raise UsageError(f"{path}: the file can't be read ({reason}); check the path and its permissions") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        where = f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        what = f"the byte 0x{content[error.start]:02X} is not UTF-8"
        raise ConfigError([Problem(where, what, "save the file as UTF-8")]) from None


def asked_elsewhere(objective: CeilingObjective) -> str:
    """How a run names an objective that it doesn't judge."""
    return f"{objective.title} (evload ceiling judges it)"


def _assign_all(tree: MappingNode, sets: Sequence[str]) -> None:
    problems: list[Problem] = []
    for assignment in sets:
        try:
            yamlfile.assign(tree, assignment)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def _is_json(path: DataPath) -> bool:
    """Whether it stands in what is sent as JSON."""
    sends = path[:1] == ("journeys",) or path[::2][:2] == ("scenarios", "race")
    return path[::2][:2] == ("events", "data") or (sends and not _JSON.isdisjoint(path[2:]))


def _refuse_large_numbers(document: Document, refused: dict[DataPath, str]) -> None:
    for path in document.values:
        value = document.value(path)
        if isinstance(value, int) and abs(value) > _LARGEST and not _is_json(path):
            refused[path] = f"{str(value)[:20]}… is too large a number; write at most {_LARGEST}"
            *around, last = path
            document.value(tuple(around))[last] = None


class _Reader:
    """Reads a document section by section and item by item, so that one mistake doesn't hide another."""

    def __init__(
        self, problems: Problems, base_dir: Path, literals: Literals, params: Mapping[str, str] = {}
    ) -> None:
        self._problems = problems
        self._document = problems.document
        self._base_dir = base_dir
        self._literals = literals
        self._params = params
        self._written: dict[DataPath, Mapping[str, Any]] = {}
        """The settings that name the embedded pipeline, as they were written."""
        self.late: list[LateAddress] = []
        """The same, with the model that reads them."""
        self._live: dict[DataPath, frozenset[str]] = {}
        """The settings of each adapter in which a secret may stand that changes, by the adapter's place."""
        self._steps_of: Mapping[str, Sequence[str]] = {}
        """The steps of each journey that objectives may be about."""
        self._checks_of: Mapping[str, Sequence[tuple[str, str]]] = {}
        """The checks of each journey: of which step, and their names."""
        self._readers: dict[type[Any], TypeAdapter[Any]] = {}
        self._sandbox: SandboxSettings | None = None
        self._models: dict[tuple[str, str], type[Any] | str] = {}
        """The settings model of each kind, or why there is none: to look for what is installed takes its time."""

    def read(self, stem: str) -> RunConfig:
        """The config. If anything was noted in the problems, it is good for nothing."""
        top = self._problems.validate(TypeAdapter(ConfigFile), ()) or ConfigFile()
        name = top.name if "name" in top.model_fields_set else _name_from(stem)
        sandbox = self._item(SandboxSettings, ("sandbox",)) if "sandbox" in self._document.data else None
        self._sandbox = sandbox
        secrets = self._secrets()
        self._insert_placeholders()
        producers = self._adapters("producers", "evload.producers")
        replicas: dict[str, dict[str, ProbeSettings]] = {}
        probes = self._adapters("probes", "evload.probes", replicas)
        gauges = self._adapters("gauges", "evload.gauges")
        types = self._items("events", EventSettings)
        scenarios = self._scenarios()
        journeys = self._journeys()
        self._steps_of = {name: [step.name for step in one.counted()] for name, one in journeys.items()}
        self._checks_of = {
            name: [
                (step.name, check) for step in one.sending() if isinstance(step, RequestStep) for check in step.check
            ]
            for name, one in journeys.items()
        }
        objectives, ceilings = self._objectives({name: gauge.metrics for name, gauge in gauges.items()})
        costs = self._costs({name: gauge.metrics for name, gauge in gauges.items()})
        policy = self._item(SelfCheckPolicy, ("self_checks",)) if "self_checks" in self._document.data else None
        guard = self._item(GuardSettings, ("guard",)) if "guard" in self._document.data else None
        races = {name: one.race.meant() for name, one in scenarios.items() if one.race is not None}
        checks = Checks(self._problems, journeys, races)
        checks.references()
        checks.asked_by_capture(scenarios, producers, probes)
        checks.warmups(scenarios)
        checks.gauges(gauges)
        checks.waits(scenarios, gauges)
        checks.objectives(objectives, scenarios, probes, gauges, producers)
        checks.costs(costs, objectives, scenarios, probes, gauges, producers)
        self._compare({name: gauge.metrics for name, gauge in gauges.items()}, journeys)
        checks.tags(objectives, scenarios, probes, producers)
        actions = self._actions({name: gauge.metrics for name, gauge in gauges.items()})
        setup, cleanup = self._around("setup"), self._around("cleanup")
        checks.actions(actions, scenarios, objectives, top.observe)
        reports = self._reports()
        captured = checks.captured(setup)
        known = check_journeys(self._problems, journeys, scenarios, producers, probes, captured)
        learn(known, check_races(self._problems, scenarios, journeys, producers, probes, captured).items())
        checks.secrets(self._live)
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
            slos=self._asked(objectives, ceilings, scenarios, journeys),
            ceilings=tuple(ceilings.values()),
            reports=reports,
            self_checks=policy or SelfCheckPolicy(),
            settle=top.settle,
            records=checks.templates(types, scenarios, producers, self._base_dir, captured, known),
            journeys=journeys,
            uploads=uploads_of(self._problems, journeys, scenarios, str(top.seed), self._base_dir),
            secrets=secrets,
            actions=actions,
            costs=tuple(costs.values()),
            observe=top.observe,
            setup=setup,
            cleanup=cleanup,
            circumstances=Circumstances(
                labels=top.labels, params=self._params, not_asked=tuple(map(asked_elsewhere, ceilings.values()))
            ),
            guard=NO_GUARD if guard is None else Guard((guard.rules("the guard of this config"),)),
        )

    def _secrets(self) -> dict[str, SecretSettings]:
        for name in self._document.section("secrets"):
            self._literals.hide(("secrets", name), SecretSettings)
        return self._items("secrets", SecretSettings)

    def _scenarios(self) -> dict[str, Scenario]:
        for name in self._document.section("scenarios"):
            self._literals.hide(("scenarios", name, "race"), WrittenRace)
        return self._items("scenarios", Scenario)

    def _journeys(self) -> dict[str, JourneySettings]:
        for name in self._document.section("journeys"):
            self._literals.hide(("journeys", name), WrittenJourney)
        return {name: written.meant() for name, written in self._items("journeys", WrittenJourney).items()}

    def _item(self, model: type[M], path: DataPath) -> M | None:
        return self._problems.validate(self._reader(model), path)

    def _reader(self, model: type[M]) -> TypeAdapter[M]:
        if model not in self._readers:
            self._readers[model] = TypeAdapter(model)
        return self._readers[model]

    def _items(self, section: str, model: type[M]) -> dict[str, M]:
        read = {name: self._item(model, (section, name)) for name in self._document.section(section)}
        return {name: item for name, item in read.items() if item is not None}

    def _adapters(
        self, section: str, group: registry.Group, replicas: dict[str, dict[str, ProbeSettings]] | None = None
    ) -> dict[str, Any]:
        """The settings of a section by name; those of replicas with an address each go into `replicas`."""
        found: dict[str, Any] = {}
        for name in self._document.section(section):
            path: DataPath = (section, name)
            model = self._model(path, group)
            if model is None:
                continue
            self._literals.hide(path, model)
            self._live[path] = model.live
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
            return {"html": registry.load("evload.sinks", "html")(kind="html")}
        found = self._adapters("reports", "evload.sinks")
        writes: dict[Path, str] = {}
        for name, settings in found.items():
            if settings.place is not None and (other := writes.setdefault(settings.place, name)) != name:
                what = f"it writes {settings.place}, as {other!r} does"
                self._problems.add(("reports", name), what, "give one of them another file or directory")
        return found

    def _replicas(self, model: type[Any], path: DataPath, written: Mapping[str, Any]) -> dict[str, ProbeSettings]:
        """One probe's settings for each replica under `at`: what is written there replaces what they share."""
        found = {}
        common = {key: value for key, value in written.items() if key != "at"}
        for replica, differing in written["at"].items():
            place: DataPath = (*path, "at", replica)
            self._literals.hide(path, model, ("at", replica))
            if not isinstance(differing, dict):
                self._problems.add(place, f"{replica!r} has no settings of its own", "give it a url")
                continue
            for key in differing.keys() & ProbeSettings.model_fields.keys():
                self._problems.add((*place, key), f"{key} belongs to the probe as a whole", "move it up", key=True)
            settings = self._problems.validate_as(self._reader(model), {**common, **differing}, place, path)
            if settings is not None and settings.capabilities.pushes:
                self._problems.add(
                    path, f"{written['kind']} is a push probe, which doesn't ask", "define a probe for each place"
                )
            elif settings is not None:
                found[str(replica)] = settings
        return found if len(found) == len(written["at"]) else {}

    def _model(self, path: DataPath, group: registry.Group) -> type[Any] | None:
        """The settings model of the kind that stands at `path`."""
        value = self._document.value(path)
        if isinstance(value, dict) and "kind" not in value:
            kinds = ", ".join(registry.kinds(group))
            self._problems.add(path, "the key 'kind' is missing", f"add kind: and one of those installed: {kinds}")
            return None
        entry = self._item(Kind, path)
        if entry is None:
            return None
        return self._installed(group, entry.kind, (*path, "kind"))

    def _installed(self, group: registry.Group, kind: str, path: DataPath, *, key: bool = False) -> type[Any] | None:
        """The settings model of a kind, which is named at a place, or by its key."""
        if (group, kind) not in self._models:
            try:
                self._models[group, kind] = registry.load(group, kind)
            except (registry.UnknownKind, registry.BrokenPlugin) as error:
                self._models[group, kind] = str(error)
        found = self._models[group, kind]
        if isinstance(found, str):
            self._problems.add_text(path, found, key=key)
            return None
        return found

    @cached_property
    def _activities(self) -> Sequence[str]:
        """The names of what can be done. To look for what is installed takes its time."""
        return sorted(registry.kinds(_ACTIVITIES))

    def _actions(self, gauges: GaugeValues) -> dict[str, Action]:
        found = {}
        for name in self._document.section("actions"):
            path: DataPath = ("actions", name)
            written = self._document.value(path)
            meant = isinstance(written, dict) and any("undo" in near(str(key), ["undo", "do"]) for key in written)
            if isinstance(written, dict) and "do" in written and "undo" not in written and not meant:
                cure = "write what puts it back, or undo: none if nothing has to be put back"
                self._problems.add(path, "nothing undoes what this does", cure)
                continue
            times = self._item(ActionTimes, path)
            if times is None:
                continue
            do = self._steps((*path, "do"))
            undo = () if times.undo == "none" else self._steps((*path, "undo"))
            when = None
            if times.when is not None:
                try:
                    when = parse_condition(times.when, gauges, "when: {}")
                except ValueError as error:
                    self._problems.add_text((*path, "when"), str(error))
            found[name] = Action(times, do, undo, when)
        return found

    def _around(self, section: str) -> tuple[Step, ...]:
        """The activities before or after the run; something else than a list was told before."""
        return self._steps((section,)) if isinstance(self._document.data.get(section), list) else ()

    def _steps(self, path: DataPath) -> tuple[Step, ...]:
        """The activities at a place, one or a list of them."""
        written = self._document.value(path)
        places: list[DataPath] = [(*path, n) for n in range(len(written))] if isinstance(written, list) else [path]
        if not places and path[0] == "actions":
            none = ", or undo: none" if path[-1] == "undo" else ""
            cure = f"write an activity such as {{shell: COMMAND}}{none}"
            self._problems.add(path, "there is nothing to do", cure)
        return tuple(step for place in places if (step := self._step(place)) is not None)

    def _step(self, path: DataPath) -> Step | None:
        written, kinds = self._document.value(path), self._activities
        if not isinstance(written, dict):
            cure = "write one such as {post: URL} or {shell: COMMAND}"
            if path[-1] == "undo":
                cure += ", or undo: none if nothing has to be put back"
            what = f"{path[-1]!r} has no value" if written is None else f"{told(written)} is no activity"
            self._problems.add(path, what, cure)
            return None
        each = written.pop("each", None) if path[0] == "cleanup" else None
        if each not in (None, "acked"):
            what = f"each: {told(each)} is nothing that can be cleaned up"
            self._problems.add((*path, "each"), what, "write each: acked")
        named = [key for key in written if key in kinds]
        if len(named) != 1:
            what = f"{' and '.join(named)} are two things to do" if named else "nothing says what is done"
            close = [one for key in written for one in near(str(key), kinds)]
            known = f"write one of {', '.join(kinds)}"
            cure = "make them a list" if named else f"did you mean {close[0]!r}?" if close else known
            self._problems.add(path, what, cure)
            return None
        model = self._installed(_ACTIVITIES, named[0], (*path, named[0]), key=True)
        if model is None:
            return None
        self._literals.hide(path, model)
        self._live[path] = model.live
        given = with_sandbox(written, _NO_SANDBOX_YET)
        acts_on_it = any(one.default == SANDBOX and key not in written for key, one in model.model_fields.items())
        if (given != written or acts_on_it) and "sandbox" not in self._document.data:
            self._problems.add(path, "there is no embedded pipeline to act on", "add sandbox: {} at the top level")
        self._document.value(path[:-1])[path[-1]] = given
        settings = self._item(model, path)
        if acts_on_it:
            self._can_be_changed(path, settings)
        return (
            None if settings is None else Step(settings, written, self._literals.as_written(path), each is not None)
        )

    def _can_be_changed(self, path: DataPath, settings: object) -> None:
        """What the embedded pipeline would refuse is told before it runs."""
        knobs = getattr(settings, "sandbox", None)
        if self._sandbox is not None and isinstance(knobs, SandboxKnobs):
            try:
                self._sandbox.changed(knobs.model_dump(mode="json", exclude_unset=True))
            except ValueError as error:
                self._problems.add_text((*path, "sandbox"), str(error))

    def _insert_placeholders(self) -> None:
        """Where the embedded pipeline is named, and remember it: its address isn't known yet."""
        for section in ("producers", "probes", "gauges"):
            for name, written in self._document.section(section).items():
                named = [path for path, text in texts(written, (section, name)) if SANDBOX in text]
                if "sandbox" not in self._document.data:
                    for path in named:
                        what = f"{SANDBOX} without an embedded pipeline"
                        self._problems.add(path, what, "add sandbox: {} at the top level")
                if named:
                    self._written[section, name] = written
                    self._document.data[section][name] = with_sandbox(written, _NO_SANDBOX_YET)

    def _costs(self, gauges: GaugeValues) -> dict[str, Service]:
        """The price table. Where a gauge has a mistake of its own nobody knows its values."""
        found = {}
        for name in self._document.section("costs"):
            path: DataPath = ("costs", name)
            entry = self._item(CostEntry, path)
            if entry is None:
                continue
            at = "usage"
            try:
                terms = parse_usage(entry.usage, gauges)
                at = "price"
                parse_price(entry.price)
                at = "per"
                parse_per(entry.per, terms)
            except ValueError as error:
                if at != "usage" or len(gauges) == len(self._document.section("gauges")):
                    self._problems.add_text((*path, at), str(error))
            else:
                found[name] = service(name, entry.usage, entry.price, entry.per, gauges)
        return found

    def _compare(self, gauges: GaugeValues, journeys: Mapping[str, JourneySettings]) -> None:
        """By what runs are compared. Nothing of it matters to a run: it is read again where runs are compared."""
        if "compare" not in self._document.data or (entry := self._item(CompareEntry, ("compare",))) is None:
            return
        known = len(gauges) == len(self._document.section("gauges"))
        all_journeys = len(journeys) == len(self._document.section("journeys"))
        steps = {name: [event_name(name, step) for step in one.counted()] for name, one in journeys.items()}
        races = self._written_races()
        for name, parse in RULES.items():
            for index, text in enumerate(getattr(entry, name)):
                path: DataPath = ("compare", name, index)
                try:
                    figure, _ = parse(text)
                    if known:
                        check_gauge(figure, gauges)
                    if all_journeys:
                        check_journey(figure, steps, races)
                except ValueError as error:
                    self._problems.add_text(path, str(error))
        try:
            warning(entry.warn_above)
        except ValueError as error:
            self._problems.add_text(("compare", "warn_above"), str(error))

    def _implied(
        self, scenarios: Mapping[str, Scenario], journeys: Mapping[str, JourneySettings]
    ) -> tuple[Objective, ...]:
        """What is asked where nothing is written. Events that nobody watches can't be asked for."""
        followed = {name for name, one in journeys.items() if any(step.probes for step in one.sending())}
        watched = [name for name, one in scenarios.items() if one.probes or followed & one.journeys.keys()]
        places: Sequence[str | None] = (None,) if watched and len(watched) == len(scenarios) else watched
        asked = [grammar.parse("errors == 0"), *(grammar.parse("lost == 0", scenario=place) for place in places)]
        if any(scenario.journeys for scenario in scenarios.values()):
            asked.append(grammar.parse("failed == 0"))
        if any(scenario.race is not None for scenario in scenarios.values()):
            asked.append(grammar.parse("violations == 0"))
        return tuple(replace(objective, implied=True) for objective in asked)

    def _asked(
        self,
        objectives: Mapping[DataPath, Objective],
        ceilings: Mapping[DataPath, CeilingObjective],
        scenarios: Mapping[str, Scenario],
        journeys: Mapping[str, JourneySettings],
    ) -> tuple[Objective, ...]:
        """What a run is asked. Where objectives on the ceiling are all that is written, nothing is written for it."""
        if objectives or ("slos" in self._document.data and not ceilings):
            return tuple(objectives.values())
        return self._implied(scenarios, journeys)

    def _objectives(
        self, gauges: Mapping[str, Sequence[str]]
    ) -> tuple[dict[DataPath, Objective], dict[DataPath, CeilingObjective]]:
        """Those that a run judges, and those on the ceiling."""
        entries = self._document.data.get("slos")
        found: dict[DataPath, Objective] = {}
        ceilings: dict[DataPath, CeilingObjective] = {}
        for index, written in enumerate(entries[:MOST] if isinstance(entries, list) else ()):
            path: DataPath = ("slos", index)
            if isinstance(written, str):
                entry: ObjectiveEntry | None = ObjectiveEntry(objective=written)
                place = path
            elif isinstance(written, dict):
                entry, place = self._item(ObjectiveEntry, path), (*path, "objective")
            else:
                self._problems.add(path, f"{written!r} is not an objective", "write one such as p99(end_to_end) < 5s")
                continue
            if entry is not None and is_about_ceiling(entry.objective):
                if (ceiling := self._ceiling(entry, place, path)) is not None:
                    ceilings[path] = ceiling
            elif entry is not None and (objective := self._objective(entry, gauges, place, path)) is not None:
                found[path] = objective
        return found, ceilings

    def _ceiling(self, entry: ObjectiveEntry, place: DataPath, path: DataPath) -> CeilingObjective | None:
        allowed = {"objective", "target", "critical", "scenario"}
        if wrong := sorted(entry.model_fields_set - allowed):
            self._problems.add((*path, wrong[0]), f"a ceiling belongs to no {wrong[0]}", f"leave {wrong[0]} out")
            return None
        if entry.scenario is not None and entry.scenario not in self._document.section("scenarios"):
            known = self._document.section("scenarios")
            what, cure = unknown("scenario", entry.scenario, known, otherwise="define it under scenarios:")
            self._problems.add((*path, "scenario"), what, cure)
            return None
        given = {name: str(value) for name in ("target", "critical") if (value := getattr(entry, name)) is not None}
        try:
            parse_ceiling(entry.objective)
            place = next(((*path, name) for name in given), path)
            return parse_ceiling(entry.objective, scenario=entry.scenario, **given)
        except ValueError as error:
            self._problems.add_text(place, str(error))
            return None

    def _has_check(self, objective: Objective, path: DataPath) -> bool:
        """Whether somebody holds answers against the check that an objective is about, if it is about one."""
        if objective.check is None:
            return True
        known = [
            check
            for journey, checks in self._checks_of.items()
            for step, check in checks
            if objective.journey in (None, journey) and objective.step in (None, step)
        ]
        if objective.check not in known:
            of = f"of step {objective.step!r}" if objective.step else "of a step"
            cure = f"add check: {{{objective.check}: EXPRESSION}} to a step"
            what, cure = unknown("check", objective.check, dict.fromkeys(known), otherwise=cure)
            self._problems.add((*path, "check"), f"{what} {of}", cure)
        return objective.check in known

    def _written_races(self) -> dict[str, Mapping[str, Any]]:
        """The races as they are written, by the names of their scenarios."""
        return {
            name: race
            for name, scenario in self._document.section("scenarios").items()
            if isinstance(scenario, dict) and isinstance(race := scenario.get("race"), dict)
        }

    def _has_race(self, objective: Objective, path: DataPath) -> bool:
        """Whether there is a race that an objective on rounds is about, with the rule and the contender that it
        names. What isn't read as it should be has a mistake of its own."""
        found = self._written_races()
        if objective.of_iterations and objective.scenario in found:
            what = f"{objective.expression!r} is about journeys, and {objective.scenario!r} is a race"
            told = objective.subject in TALLIES
            cure = "add contender: NAME" if told else "leave scenario out, or name one with journeys"
            self._problems.add((*path, "scenario"), what, cure)
            return False
        if not objective.of_rounds:
            return True
        if objective.scenario is not None and objective.scenario not in found:
            if objective.scenario in self._document.section("scenarios"):
                what = f"scenario {objective.scenario!r} has no race"
                cure = f"write one of {', '.join(found)}" if found else _ADD_RACE
                self._problems.add((*path, "scenario"), what, cure)
                return False
            return True
        if not found:
            what = f"{objective.expression!r} is about rounds of a race, and there is none"
            self._problems.add(path, what, _ADD_RACE)
            return False
        own = [race for name, race in found.items() if objective.scenario in (None, name)]
        for word, parts in (("rule", ("always", "holds")), ("contender", ("contenders",))):
            written = getattr(objective, word)
            named = [names for race in own for part in parts if isinstance(names := race.get(part), dict)]
            known = dict.fromkeys(name for names in named for name in names)
            if written is not None and written not in known:
                cure = f"write it under race: {' or '.join(f'{part}:' for part in parts)}"
                what, cure = unknown(word, written, known, otherwise=cure)
                self._problems.add((*path, word), what, cure)
                return False
        return True

    def _objective(
        self, entry: ObjectiveEntry, gauges: Mapping[str, Sequence[str]], place: DataPath, path: DataPath
    ) -> Objective | None:
        scope = {
            name: value
            for name in (
                "scenario",
                "event",
                "key",
                "tag",
                "probe",
                "replica",
                "journey",
                "step",
                "check",
                "rule",
                "contender",
                "after",
                "during",
            )
            if (value := getattr(entry, name)) is not None
        }
        given = {name: str(value) for name in ("target", "critical") if (value := getattr(entry, name)) is not None}
        abort = entry.abort
        delay_ns = (DEFAULT_DELAY_NS if abort is True else abort.after) if abort else None
        try:
            # Once without what has a place of its own, so that a mistake is told where it stands.
            objective = grammar.parse(entry.objective, gauges=gauges, **scope)
            if entry.journey is not None and entry.journey not in self._document.section("journeys"):
                known = self._document.section("journeys")
                what, cure = unknown("journey", entry.journey, known, otherwise="define it under journeys:")
                self._problems.add((*path, "journey"), what, cure)
                return None
            # One that has a mistake of its own may be the one that is meant.
            whole = len(self._steps_of) == len(self._document.section("journeys"))
            if whole:
                place = (*path, "step") if entry.step is not None else path
                objective = grammar.with_step(objective, self._steps_of)
                if not self._has_check(objective, path):
                    return None
            if not self._has_race(objective, path):
                return None
            place = next(((*path, name) for name in given), path)
            if given or abort:
                objective = grammar.parse(entry.objective, gauges=gauges, abort_after_ns=delay_ns, **scope, **given)
            return grammar.with_step(objective, self._steps_of) if whole else objective
        except ValueError as error:
            self._problems.add_text(place, str(error))
            return None
