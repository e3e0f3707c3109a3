"""What a config takes from the environment and shows: `params`, which `${params.NAME}` stands for, and `labels`.

Every other value from the environment is a secret. What a param or a label is made of isn't, wherever it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..settings import Settings
from .environment import Environment
from .yaml import DataPath, Document

MOST: Final = 50
"""Labels, and params: each stands in every report."""
_LONGEST: Final = 200
_SECTIONS: Final = ("labels", "params")
_KEYS: Final = frozenset({"from", "default"})
_PLAIN: Final[Mapping[str, Any]] = {
    "anyOf": [{"type": "string", "maxLength": _LONGEST}, {"type": "number"}, {"type": "boolean"}]
}
_PARAM: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"from": {"type": "string"}, "default": _PLAIN},
    "additionalProperties": False,
}
_PARAMS: Final[Mapping[str, Any]] = {"type": "object", "additionalProperties": {"anyOf": [_PARAM, _PLAIN]}}


def _as_text(value: Any) -> Any:
    """A number or a truth value as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if isinstance(value, int | float) else value
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(f"this is no short text; write a text of up to {_LONGEST} characters, or a number")
    return text


Label = Annotated[str, BeforeValidator(_as_text), WithJsonSchema(dict(_PLAIN))]


class Param(Settings):
    """A value that the environment may change, and that reports show."""

    from_: Annotated[
        str | None,
        Field(
            alias="from", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that gives it"
        ),
    ] = None
    default: Annotated[Label | None, Field(description="what it is where that isn't set")] = None


def _as_params(written: Any) -> Any:
    """A value alone is a default."""
    if not isinstance(written, dict):
        return written
    return {name: one if isinstance(one, dict | None) else {"default": one} for name, one in written.items()}


Params = Annotated[dict[str, Param], BeforeValidator(_as_params), WithJsonSchema(dict(_PARAMS))]


class Shown:
    """What of the environment may be shown: the params by name, and the variables that no secret is made of."""

    def __init__(self, root: MappingNode, variables: Mapping[str, str]) -> None:
        """In the tree of a config. What is wrong with its sections is told by whoever reads them."""
        environment = Environment(variables)
        self.params: dict[str, str] = {}
        self.refused: dict[DataPath, str] = {}
        sections = {key.value: value for key, value in root.value if key.value in _SECTIONS}
        for name, node in _items(sections.get("params")):
            if not {key for key, _ in _items(node)} <= _KEYS:
                continue
            try:
                self.params[name] = _value(node, environment)
            except ValueError as error:
                self.refused["params", name] = str(error)
        for text in _texts(sections.get("labels")):
            try:
                environment.substitute(text)
            except ValueError:  # it is told where it stands
                continue
        self.variables = frozenset(environment.given)

    def refuse(self, document: Document, refused: dict[DataPath, str]) -> None:
        """Add the params that have no value to what is refused."""
        for path, why in self.refused.items():
            if not any(place[:2] == path for place in refused):
                refused[path] = why
                document.value(path[:-1])[path[-1]] = None


def _value(node: Node, environment: Environment) -> str:
    if isinstance(node, ScalarNode):
        return environment.substitute(node.value)
    written = {name: each.value for name, each in _items(node) if isinstance(each, ScalarNode)}
    variable, default = written.get("from"), written.get("default")
    if variable is None and default is None:
        raise ValueError("it has no value; write default:, or from: with the name of an environment variable")
    try:
        return environment.take(variable, default)
    except ValueError as error:
        what, _, cure = str(error).partition("; ")
        raise ValueError(f"{what}; {cure if default else 'set it, or give the param a default:'}") from None


def _items(node: Node | None) -> list[tuple[str, Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, MappingNode) else []


def _texts(node: Node | None) -> list[str]:
    if isinstance(node, ScalarNode):
        return [node.value]
    if isinstance(node, SequenceNode):
        return [text for each in node.value for text in _texts(each)]
    return [text for _, value in _items(node) for text in _texts(value)]
