"""Profiles: named changes of a config, in the paths of `--set`, that a run chooses with `--profile`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError, Problem, UsageError
from ..texts import meant
from . import yaml as yamlfile

_SECTION: Final = "profiles"
_ONLY: Final = "only"
"""The key that names the scenarios to run."""
_MORE: Final = "+"
"""Before a path: the list gets these items, too."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The names of all profiles of a config, those that were chosen, and the scenarios that they are about.

    only  what the last of them with an `only:` names; empty: all scenarios
    """

    known: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def take(root: MappingNode, chosen: Sequence[str]) -> Profiles:
    """Take the section out of the tree, and change the rest as the chosen profiles say, one after another.

    Raises UsageError for a name that there isn't, ConfigError for what can't be changed so.
    """
    section = _at(root, _SECTION)
    root.value = [(key, value) for key, value in root.value if key.value != _SECTION]
    found = {
        name: _items(patch, f"the profile {name!r} is", "write paths with the values to put there")
        for name, patch in _items(
            section, "the profiles are", "write names, each with a mapping of paths to values"
        ).items()
    }
    for name in chosen:
        if name not in found:
            cure = meant(name, found, f"choose of {', '.join(found)}" if found else "write it under profiles:")
            raise UsageError(f"--profile {name}: there is no such profile; {cure}")
    only: list[ScalarNode] = []
    for name in chosen:
        for path, value in found[name].items():
            if path == _ONLY:
                only = _names(value)
            elif path.startswith(_MORE):
                _add(root, path.removeprefix(_MORE), value)
            else:
                yamlfile.put(root, path, value, yamlfile.place_of(value))
    known_ones = _at(root, "scenarios")
    scenarios = [key.value for key, _ in known_ones.value] if isinstance(known_ones, MappingNode) else []
    for one in only:
        if one.value not in scenarios:
            cure = meant(one.value, scenarios, f"choose of {', '.join(scenarios)}")
            raise _problem(one, f"there is no scenario {one.value!r}", cure)
    return Profiles(tuple(found), tuple(chosen), tuple(one.value for one in only))


def _add(root: MappingNode, path: str, value: Node) -> None:
    """Put the items of a list behind those that stand at a path."""
    if not isinstance(value, SequenceNode):
        raise _problem(value, f"+{path} is no list", "write the items to add as a list")
    before = yamlfile.find(root, path, yamlfile.place_of(value))
    if before is not None and not isinstance(before, SequenceNode):
        raise _problem(value, f"there is no list at {path}", "leave out the +")
    items = [*(() if before is None else before.value), *value.value]
    longer = SequenceNode(value.tag, items, value.start_mark, value.end_mark, flow_style=value.flow_style)
    yamlfile.put(root, path, longer, yamlfile.place_of(value))


def _names(value: Node) -> list[ScalarNode]:
    nodes = value.value if isinstance(value, SequenceNode) else [value]
    if not nodes or not all(isinstance(node, ScalarNode) for node in nodes):
        raise _problem(value, "only: names no scenarios", "write a list of names")
    return list(nodes)


def _items(node: Node | None, what: str, cure: str) -> dict[str, Node]:
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        raise _problem(node, f"{what} no mapping", cure)
    return {key.value: value for key, value in node.value}


def _at(root: MappingNode, name: str) -> Node | None:
    return next((value for key, value in root.value if key.value == name), None)


def _problem(node: Node, what: str, cure: str) -> ConfigError:
    return ConfigError([Problem(str(yamlfile.place_of(node)), what, cure)])
