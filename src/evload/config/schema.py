"""The JSON Schema of a config file, for editors: the settings of all installed adapters included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ..clients.credentials.settings import SecretSettings
from ..objectives.policy import SelfCheckPolicy
from ..sandbox.settings import SandboxSettings
from ..spi import registry
from ..workload.events import EventSettings
from ..workload.journeys.written import WrittenJourney
from .guard import GuardSettings
from .sections import ActionTimes, CompareEntry, ConfigFile, CostEntry, ObjectiveEntry, Scenario

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{.+\}"}
"""Text with an environment variable in it, which may stand wherever a value is expected."""
_TYPED: Final = frozenset({"integer", "number", "boolean"})
_CONSTRAINTS: Final = frozenset({"pattern", "enum", "const", "format"})
_ABOUT: Final = frozenset({"title", "description", "default"})


def json_schema(say: Callable[[str], None]) -> dict[str, Any]:
    """The schema of a whole file, in the 2020-12 dialect. `say` is told what is installed and left out, and why."""
    producers, probes = _installed("evload.producers", say), _installed("evload.probes", say)
    gauges, sinks = _installed("evload.gauges", say), _installed("evload.sinks", say)
    activities = list(dict.fromkeys(_installed("evload.activities", say)))
    sections = (
        ConfigFile, SecretSettings, SandboxSettings, EventSettings, Scenario, ActionTimes, ObjectiveEntry,
        SelfCheckPolicy, GuardSettings, CostEntry, CompareEntry, WrittenJourney,
    )  # fmt: skip
    models: list[type[BaseModel]] = [*sections, *producers, *probes, *gauges, *activities, *sinks]
    references, shared = models_json_schema([(model, "validation") for model in models])
    definitions = shared["$defs"]

    def one(model: type[BaseModel]) -> dict[str, Any]:
        return references[model, "validation"]

    def by_kind(adapters: list[type[BaseModel]]) -> dict[str, Any]:
        return {"additionalProperties": {"oneOf": [one(model) for model in adapters]} if adapters else False}

    for model in probes:
        _complete_at_replicas(definitions[one(model)["$ref"].rpartition("/")[2]])
    step = {"oneOf": [one(model) for model in activities]} if activities else False
    steps: dict[str, Any] = {"anyOf": [step, {"type": "array", "items": step, "minItems": 1}]}
    of_an_action = definitions[one(ActionTimes)["$ref"].rpartition("/")[2]]["properties"]
    of_an_action["do"].update(steps)
    of_an_action["undo"].update({"anyOf": [{"const": "none"}, *steps["anyOf"]]})
    each = {"type": "object", "required": ["each"], "properties": {"each": {"const": "acked"}}}
    whole = definitions.pop(one(ConfigFile)["$ref"].rpartition("/")[2])
    for section, contents in (
        ("guard", one(GuardSettings)),
        ("secrets", {"additionalProperties": one(SecretSettings)}),
        ("sandbox", one(SandboxSettings)),
        ("producers", by_kind(producers)),
        ("events", {"additionalProperties": one(EventSettings)}),
        ("journeys", {"additionalProperties": one(WrittenJourney)}),
        ("probes", by_kind(probes)),
        ("gauges", by_kind(gauges)),
        ("scenarios", {"additionalProperties": one(Scenario), "minProperties": 1}),
        ("actions", {"additionalProperties": one(ActionTimes)}),
        ("setup", {"items": step}),
        ("cleanup", {"items": {"anyOf": [step, each]}}),
        ("slos", {"items": {"anyOf": [{"type": "string"}, one(ObjectiveEntry)]}}),
        ("costs", {"additionalProperties": one(CostEntry)}),
        ("compare", one(CompareEntry)),
        ("reports", by_kind(sinks)),
        ("self_checks", one(SelfCheckPolicy)),
    ):
        whole["properties"][section].update(contents)
    whole["required"] = ["scenarios"]
    schema = _with_references({**whole, "$defs": definitions})
    return {"$schema": DIALECT, **schema, "title": "evload config"}


def _complete_at_replicas(schema: dict[str, Any]) -> None:
    """What a probe must have, each of its replicas under `at` may have instead."""
    required = schema.pop("required", [])
    schema["if"] = {"required": ["at"]}
    schema["then"] = {"required": [name for name in required if name == "kind"]}
    schema["else"] = {"required": required}


def _installed(group: registry.Group, say: Callable[[str], None]) -> list[type[BaseModel]]:
    found = []
    for kind in registry.kinds(group):
        try:
            found.append(registry.load(group, kind))
        except registry.BrokenPlugin as error:
            say(f"left out: {error}")
    return found


def _with_references(schema: Any) -> Any:
    """The schema with `${NAME}` as an alternative wherever something narrower than text is asked for."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if _CONSTRAINTS & schema.keys() or schema.get("type") in _TYPED:
        about = {key: value for key, value in schema.items() if key in _ABOUT}
        narrow = {key: value for key, value in schema.items() if key not in _ABOUT}
        if "string" in schema.get("type", ()) and not isinstance(about.get("default"), str):
            about.pop("default", None)  # a number of nanoseconds, which nobody may write
        return {**about, "anyOf": [narrow, _REFERENCE]}
    if "patternProperties" in schema:
        schema = {"additionalProperties": False, **schema}  # a key that no pattern fits is refused, and not let pass
    return {
        key: _properties(value) if key == "properties" else _with_references(value) for key, value in schema.items()
    }


def _properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """`kind` stays as it is: editors tell adapters apart by it."""
    return {name: dict(schema) if name == "kind" else _with_references(schema) for name, schema in properties.items()}
