"""A config that is data of a program and no file: the same tree, in which each place is told by its path."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError, Problem
from ..units import told
from .yaml import DEEPEST, DataPath

_TAG: Final = "tag:yaml.org,2002:"
_TOP: Final = "the config"
_PLAIN: Final = re.compile(r"[^.\"\\]+")
_NO_LINE: Final = -1


def tree_of(data: Mapping[str, Any]) -> MappingNode:
    """The tree of plain data: mappings, lists, texts, numbers, true and false, None, and paths, which are texts.

    Raises ConfigError with everything in it that a config can't hold.
    """
    problems: list[Problem] = []
    tree = _node(data, (), problems)
    if not problems and not isinstance(tree, MappingNode):
        problems.append(Problem(_TOP, f"{told(data)} is not a mapping", "give a dict, a path, or YAML text"))
    if problems or not isinstance(tree, MappingNode):
        raise ConfigError(problems)
    return tree


def place(path: DataPath) -> str:
    """How a place in the data is told, as `--set` writes it: `scenarios.spike.load.0`."""
    steps = [str(step) for step in path]
    return ".".join(step if _PLAIN.fullmatch(step) else json.dumps(step) for step in steps) or _TOP


def _node(data: Any, path: DataPath, problems: list[Problem]) -> Node:
    mark = Mark(place(path), 0, _NO_LINE, _NO_LINE, None, 0)

    def refuse(what: str, cure: str) -> Node:
        problems.append(Problem(place(path), what, cure))
        return ScalarNode(_TAG + "null", "null", mark, mark)

    if len(path) > DEEPEST:
        return refuse("it is nested too deeply", f"use at most {DEEPEST} levels")
    if isinstance(data, Mapping):
        pairs = []
        for key, value in data.items():
            if not isinstance(key, str | int) or isinstance(key, bool):
                refuse(f"the key {told(key)} is not text", "write a name")
                continue
            name = str(key)
            pairs.append((_text(name, mark), _node(value, (*path, name), problems)))
        return MappingNode(_TAG + "map", pairs, mark, mark, flow_style=False)
    if isinstance(data, list | tuple):
        items = [_node(item, (*path, index), problems) for index, item in enumerate(data)]
        return SequenceNode(_TAG + "seq", items, mark, mark, flow_style=False)
    if isinstance(data, str | PurePath):
        text = str(data)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            return refuse("half of a surrogate pair stands here", "write the whole character")
        return _text(text, mark)
    if data is None:
        return ScalarNode(_TAG + "null", "null", mark, mark)
    if isinstance(data, bool):
        return ScalarNode(_TAG + "bool", str(data).lower(), mark, mark)
    if isinstance(data, int):
        return ScalarNode(_TAG + "int", str(int(data)), mark, mark)
    if isinstance(data, float) and math.isfinite(data):
        return ScalarNode(_TAG + "float", repr(float(data)), mark, mark)
    what = told(data) if isinstance(data, float) else f"a value of the type {type(data).__name__}"
    return refuse(f"{what} can't stand here", "give text, such as 5s, a number, a list or a mapping")


def _text(text: str, mark: Mark) -> ScalarNode:
    # Without quotes, as variables in it may well be numbers; a text that looks like a number keeps its tag.
    return ScalarNode(_TAG + "str", text, mark, mark)
