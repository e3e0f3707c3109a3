"""Finds passwords that are written out in a config, so that they stand in none of the files that a run leaves.

What came from the environment is a secret wherever it stands. What is written out is one where the settings of an
adapter say so (`format: password` in their JSON Schema, as pydantic's SecretStr has it), as the password of an
address, as a parameter or a header of a telling name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from pydantic import TypeAdapter
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..texts import TELLING
from .walking import Schemas
from .yaml import DataPath, document

_SURELY: Final = 8
"""From this length on a value is masked wherever it occurs: a shorter one may well be a word of its own."""
_USERINFO: Final = re.compile(r"://(?P<user>[^/?#\s:@]*):(?P<password>[^/?#\s]*(?=@)|(?!\d*[/?#])\S*?(?=@))@")
"""Also where a password holds what should have been escaped: the address is refused then, and not shown either. In a
text without an @ behind it each address would be looked through to the end of the text."""
_SPACE: Final = re.compile(r"(\s+)")
_PARAMETER: Final = re.compile(
    rf"(?P<before>[?&](?:[\w-]*(?:{TELLING})|sig|key|auth)=)(?P<value>[^&#\s}}]+)", re.IGNORECASE
)
_HEADER: Final = re.compile(
    rf"(?:proxy-)?authorization|(?:set-)?cookie|(?:x-)?auth(?:-.*)?|.*(?:{TELLING}).*", re.IGNORECASE
)
_BODIES: Final = frozenset({"json", "form", "params"})
"""Where the settings of a secret, or of an activity, have what is sent."""
_SENDING: Final = ("secrets", "actions", "setup", "cleanup", "journeys")
"""Sections that have such bodies."""
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][\w-]*\s+)?(?P<rest>.*)", re.DOTALL)
"""Of an authorization: `Bearer` and the like are no part of what is secret, nor of how a target quotes it."""
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WITH_DEFAULT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):-[^{}]*\}")
_PUBLIC: Final = frozenset({("guest", "guest")})
"""What a broker has when it is installed, as its manual says, is no secret."""


class Literals:
    """What was found: `given` are the secrets by the names of the variables that are put in their place."""

    def __init__(self, root: MappingNode, substitute: Callable[[str], str]) -> None:
        """In the tree of a config. `substitute` makes a value of what is written."""
        self._root = root
        self._substitute = substitute
        self._names: set[str] = set()
        self._schemas: dict[type[Any], Schemas] = {}
        """Of each kind of settings: many adapters of one may be written, and to make one takes its time."""
        self.given: dict[str, str] = {}

    def hide(self, path: DataPath, model: type[Any], inside: DataPath = ()) -> None:
        """Put variables in the place of the secrets in the settings at `path`, and at `inside` within them, which are
        those of `model`."""
        node = _at(self._root, (*path, *inside))
        if node is not None:
            if model not in self._schemas:
                self._schemas[model] = Schemas.of(TypeAdapter(model))
            self._walk(node, (*path, *inside), self._schemas[model])

    def as_written(self, path: DataPath) -> Any:
        """What stands at a place, with variables left as they are, and in the place of secrets that were found."""
        node = _at(self._root, path)
        assert isinstance(node, MappingNode)
        return document(node, str)[0].data

    def _walk(self, node: Node, path: DataPath, schemas: Schemas) -> None:
        if isinstance(node, MappingNode):
            for key, value in node.value:
                self._walk(value, (*path, key.value), schemas.at(key.value))
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*path, index), schemas.at(index))
        elif isinstance(node, ScalarNode):
            self._hide_in(node, path, whole=schemas.says("format", "password"))

    def _hide_in(self, node: ScalarNode, path: DataPath, *, whole: bool) -> None:
        written = node.value
        # In the body of such a request passwords stand under names as telling as those of headers.
        sends = path[0] in _SENDING or path[2:3] == ("race",)
        asked = sends and not _BODIES.isdisjoint(path[2:-1])
        header = (path[-2:-1] == ("headers",) or asked) and _HEADER.fullmatch(str(path[-1])) is not None
        if whole or header:
            # Braces of another kind are placeholders: what they stand for is nobody's password.
            if "{" not in _VARIABLE.sub("", _WITH_DEFAULT.sub("", written)):
                found = _SCHEME.fullmatch(written) if str(path[-1]).lower().endswith("authorization") else None
                scheme, rest = (found["scheme"] or "", found["rest"]) if found else ("", written)
                node.value = f"{scheme}{self._instead_of(rest, path)}"
            return
        node.value = "".join([self._in_word(word, path) for word in _SPACE.split(written)])
        node.value = _PARAMETER.sub(lambda found: self._in_query(found, path), node.value)

    def _in_word(self, word: str, path: DataPath) -> str:
        end = word.rfind("@") + 1
        return _USERINFO.sub(lambda found: self._in_address(found, path), word[:end]) + word[end:]

    def _in_address(self, found: re.Match[str], path: DataPath) -> str:
        if (found["user"], found["password"]) in _PUBLIC or "{secrets." in found["password"]:
            return found[0]
        return f"://{found['user']}:{self._instead_of(found['password'], (*path, 'password'), decode=unquote)}@"

    def _in_query(self, found: re.Match[str], path: DataPath) -> str:
        if "{" in _VARIABLE.sub("", found["value"]):
            return found[0]
        name = found["before"].strip("?&=")
        return f"{found['before']}{self._instead_of(found['value'], (*path, name), decode=unquote)}"

    def _instead_of(self, written: str, path: DataPath, *, decode: Callable[[str], str] = str) -> str:
        """The variable that takes the place of something written; nothing but a variable needs none."""
        if not written or _VARIABLE.fullmatch(written):
            return written
        default = _WITH_DEFAULT.fullmatch(written)
        name = self._new_name(path) if default is None else default[1]
        try:
            value = decode(self._substitute(written))
        except ValueError:  # it names a variable that isn't set, which is told elsewhere
            value = ""
        if len(value) >= _SURELY:
            self.given[name] = value
        return f"${{{name}}}"

    def _new_name(self, path: DataPath) -> str:
        name = plain = re.sub(r"\W+|-", "_", "_".join(map(str, path))).upper()
        number = 1
        while name in self._names:
            number += 1
            name = f"{plain}_{number}"
        self._names.add(name)
        return name


def _at(node: Node | None, path: DataPath) -> Node | None:
    for step in path:
        if isinstance(node, MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return None
    return node
