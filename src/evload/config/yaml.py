"""YAML as a config file needs it: plain data, with the line and column of every key and value.

Scalars are resolved by the YAML 1.2 core schema, so `on`, `no`, `1:30` and dates stay text. Digits with a
leading zero stay text as well: whether `0755` is octal or an id is not for a parser to guess.
Aliases and `<<` merges are written out, so that each place of the document can be changed by itself.

What a config may hold is bounded here, once for all that reads it: its length, how many values there are and how long
they are together, and how deep they are nested.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from yaml.composer import Composer
from yaml.emitter import Emitter
from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner
from yaml.serializer import Serializer

from ..errors import ConfigError, Problem
from ..texts import near

DataPath: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of a document down to one value."""

_TAG: Final = "tag:yaml.org,2002:"
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,999})")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
LONGEST: Final = 1_000_000
"""Most characters of a config as it is written, and of all its values together once aliases are written out."""
MOST_VALUES: Final = 10_000
"""Most values, keys included: more than any config needs, and few enough to be read in a second."""
DEEPEST: Final = 50
"""Most levels of values within values."""
_OPTION: Final = "--set "
_NO_LINE: Final = -1
"""Lines are counted from 0 here, and from 1 where they are told; 0 is none."""
_SHOWN: Final = 100
"""Characters of the path of such an option."""
_LONGEST_WHAT: Final = 400


class Position(NamedTuple):
    """A place in a file, lines and columns from 1; or, with line 0, the command-line option that `source` is."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(slots=True)
class Document:
    """The data of a file, and where its keys and values stand.

    numbers  of variables whose values are text because no number is written so: `1e5` may be a password, `1.10` a
             version. Where a number is wanted it is this
    """

    data: Any
    values: dict[DataPath, Position] = field(default_factory=dict)
    keys: dict[DataPath, Position] = field(default_factory=dict)
    numbers: dict[DataPath, float] = field(default_factory=dict)

    def position(self, path: DataPath, *, key: bool = False) -> Position:
        """Of the value at `path` (or of its key); of the nearest value around it if there is none."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def section(self, name: str) -> dict[str, Any]:
        """The items of a section as they are in the file; none if it isn't a mapping."""
        section = self.data.get(name)
        return section if isinstance(section, dict) else {}

    def value(self, path: DataPath) -> Any:
        """The data at `path`, or None if there is none."""
        data = self.data
        for step in path:
            if isinstance(data, dict):
                data = data.get(step)
            elif isinstance(data, list) and isinstance(step, int) and step < len(data):
                data = data[step]
            else:
                return None
        return data

    def take_number(self, path: DataPath) -> bool:
        """Put the number in the place of the text at `path`; False if there is none."""
        number = self.numbers.pop(path, None)
        if number is not None:
            self.value(path[:-1])[path[-1]] = number
        return number is not None


def scalar(text: str) -> Any:
    """What an unquoted scalar means: None, a bool, an int, a float or text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def parse(text: str, source: str) -> MappingNode:
    """The tree of a file whose top is a mapping.

    Raises ConfigError with the first syntax error, or with everything that is wrong with keys and tags.
    """
    node = _compose(text, source)
    if node is None:
        _refuse(Position(source, 1, 1), "the file is empty", "write at least producers:, events: and scenarios:")
    if not isinstance(node, MappingNode):
        _refuse(place_of(node), "the file is not a mapping", "write keys such as producers: at its top level")
    return node


def assign(root: MappingNode, assignment: str) -> None:
    """Apply the `PATH=VALUE` of an option `--set` to the tree. Raises ConfigError.

    PATH is dotted, with list indices; a key with dots in it is quoted (`"a.b"`) or escaped (`a\\.b`). The
    last step may be new, and so may the mappings on the way unless their name looks like a slip.
    """
    path_text, equals, value_text = assignment.partition("=")
    shown = path_text if len(path_text) <= _SHOWN else f"{path_text[:_SHOWN]}…"
    where = Position(_OPTION + shown, 0, 0)
    if not equals:
        _refuse(where, "there is no '=' in it", "write --set PATH=VALUE, such as --set seed=7")
    nowhere = Mark(where.source, 0, 0, 0, None, 0)
    value = _compose(value_text, where.source) or ScalarNode(_TAG + "null", "", nowhere, nowhere)
    put(root, path_text, value, where)


def put(root: MappingNode, path_text: str, value: Node, where: Position) -> None:
    """Put a value at a path, which is written as for `--set`. Raises ConfigError at `where`."""
    parent: Node = root
    steps = _split(path_text, where)
    if len(steps) > DEEPEST:
        _refuse(where, "it is nested too deeply", f"use at most {DEEPEST} levels")
    for depth, step in enumerate(steps, 1):
        around = ".".join(steps[: depth - 1]) or "the config"
        new = value if depth == len(steps) else None
        if isinstance(parent, MappingNode):
            parent = _assign_key(parent, step, new, where, around)
        elif isinstance(parent, SequenceNode):
            parent = _assign_item(parent, step, new, where, around)
        else:
            _refuse(where, f"{around} is a single value", "leave out what comes after it in the path")


def find(root: MappingNode, path_text: str, where: Position) -> Node | None:
    """What stands at a path, which is written as for `--set`; None if nothing does."""
    node: Node | None = root
    for step in _split(path_text, where):
        if isinstance(node, MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, SequenceNode) and step.isdecimal() and int(step) < len(node.value):
            node = node.value[int(step)]
        else:
            return None
    return node


def came_from(root: MappingNode, path: DataPath, option: str) -> None:
    """Remember that what stands at `path`, if anything, came from a command-line option, so that it is told by its
    name instead of a line."""
    node: Node | None = root
    for step in path:
        if isinstance(node, MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            node = None
    waiting = [] if node is None else [node]
    while waiting:
        node = waiting.pop()
        node.start_mark = Mark(option, 0, _NO_LINE, _NO_LINE, None, 0)
        if isinstance(node, MappingNode):
            waiting += [each for pair in node.value for each in pair]
        elif isinstance(node, SequenceNode):
            waiting += node.value


def bare_braces(node: Node, path: DataPath = ()) -> Iterator[tuple[DataPath, str]]:
    """Mappings that are written `{a}` or `{a,b}`, without a value: where they stand, and their text."""
    if isinstance(node, MappingNode):
        bare = [key.value for key, value in node.value if isinstance(value, ScalarNode) and _is_empty(value)]
        if bare and node.flow_style and len(bare) == len(node.value):
            yield path, "{" + ",".join(bare) + "}"
        for key, value in node.value:
            yield from bare_braces(value, (*path, key.value))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from bare_braces(item, (*path, index))


def _is_empty(node: ScalarNode) -> bool:
    return node.value == "" and node.style is None


def document(root: MappingNode, substitute: Callable[[str], str]) -> tuple[Document, dict[DataPath, str]]:
    """Data and positions of a tree, with `substitute` applied to the text of every scalar value.

    The second of the pair says where `substitute` raised ValueError, with its text; the value there is None. Raises
    ConfigError if there is more than a config may hold.
    """
    found = Document(None)
    refused: dict[DataPath, str] = {}
    bounds = _Bounds()

    def build(node: Node, path: DataPath) -> Any:
        found.values[path] = place_of(node)
        with bounds.value(found.values[path]):
            return built(node, path)

    def built(node: Node, path: DataPath) -> Any:
        if isinstance(node, MappingNode):
            mapping = {}
            for key, value in node.value:
                found.keys[*path, key.value] = place_of(key)
                mapping[key.value] = build(value, (*path, key.value))
            return mapping
        if isinstance(node, SequenceNode):
            return [build(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            text = substitute(node.value)
        except ValueError as error:
            refused[path] = str(error)
            return None
        bounds.text(text, found.values[path])
        if cast(ScalarNode, node).style is not None or node.tag != _tag(node.value):
            return text
        value = scalar(text)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and text != node.value and str(value) != text:
            found.numbers[path] = value
            return text
        return value

    found.data = build(root, ())
    return found, refused


def substituted(data: Any, unquoted: Collection[DataPath], substitute: Callable[[str], str]) -> Any:
    """Plain data as it is written, with `substitute` applied to each text.

    `unquoted` are the places of texts that stood without quotes: what comes out there may be a number.
    """

    def build(data: Any, path: DataPath) -> Any:
        if isinstance(data, Mapping):
            return {key: build(value, (*path, key)) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [build(item, (*path, index)) for index, item in enumerate(data)]
        if not isinstance(data, str):
            return data
        text = substitute(data)
        value = scalar(text) if path in unquoted else text
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return text if is_number and str(value) != text else value

    return build(data, ())


def dump(root: MappingNode) -> str:
    """The tree as YAML text: quotes and order as they were, comments gone."""
    out = io.StringIO()
    writer = _Writer(out)
    writer.open()
    writer.serialize(root)
    writer.close()
    return out.getvalue()


class _CoreResolver(BaseResolver):
    """Gives scalars their tags by `scalar` above, for reading and for writing alike."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _tag(value) if implicit[0] else _TAG + "str"
        return _TAG + ("seq" if kind is SequenceNode else "map")


class _Composer(Reader, Scanner, Parser, Composer, _CoreResolver):
    """PyYAML's own reader, because libyaml words its errors otherwise and may not be there."""

    def __init__(self, text: str, source: str) -> None:
        Reader.__init__(self, text)
        self.name = source
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)
        self._bounds = _Bounds()

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        begins: Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        with self._bounds.value(_place(begins)):
            found: Node | None = super().compose_node(parent, index)
        return found


class _Writer(Emitter, Serializer, _CoreResolver):
    def __init__(self, out: io.StringIO) -> None:
        Emitter.__init__(self, out, width=1_000_000, allow_unicode=True)
        Serializer.__init__(self)
        _CoreResolver.__init__(self)


class _Bounds:
    """Counts what was found so far, and refuses what is too much of it."""

    def __init__(self) -> None:
        self._values = self._depth = self._characters = 0

    @contextmanager
    def value(self, where: Position) -> Iterator[None]:
        """A value, with what is inside it."""
        self._values += 1
        if self._values > MOST_VALUES:
            _refuse(where, f"there are more than {MOST_VALUES} values", "use fewer, and a data file under records:")
        if self._depth > DEEPEST:
            _refuse(where, "it is nested too deeply", f"use at most {DEEPEST} levels")
        self._depth += 1
        yield
        self._depth -= 1

    def text(self, text: str, where: Position) -> None:
        """The text of a value."""
        self._characters += len(text)
        if self._characters > LONGEST:
            _refuse(where, f"the values up to here are longer than {LONGEST} characters", "use fewer aliases")


class _Copy:
    """Copies a tree so that nothing in it is shared, and collects what a config can't have."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._bounds = _Bounds()

    def node(self, node: Node, around: tuple[Node, ...] = ()) -> Node:
        if any(node is other for other in around):
            _refuse(place_of(node), "an alias stands within its own anchor", "write the value out")
        with self._bounds.value(place_of(node)):
            return self._copied(node, around)

    def _copied(self, node: Node, around: tuple[Node, ...]) -> Node:
        if isinstance(node, MappingNode):
            self._check_tag(node, "map")
            return self._mapping(node, (*around, node))
        if isinstance(node, SequenceNode):
            self._check_tag(node, "seq")
            items = [self.node(item, (*around, node)) for item in node.value]
            return SequenceNode(node.tag, items, node.start_mark, node.end_mark, node.flow_style)
        style = cast(ScalarNode, node).style
        self._bounds.text(node.value, place_of(node))
        self._check_tag(node, "str", *([] if style else [_tag(node.value).removeprefix(_TAG)]))
        return ScalarNode(node.tag, self._whole_characters(node), node.start_mark, node.end_mark, style)

    def _mapping(self, node: MappingNode, around: tuple[Node, ...]) -> MappingNode:
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._add(key, "a key is a list or a mapping", "write a name; texts with { or [ need quotes")
            elif key.value == "<<" and key.style is None:
                for name, pair in self._merge(value, around):
                    merged.setdefault(name, pair)
            elif key.value in own:
                first = own[key.value][0].start_mark.line + 1
                self._add(key, f"the key {key.value!r} is already on line {first}", "keep one of the two")
            else:
                own[key.value] = (self.node(key, around), self.node(value, around))
        pairs = [*own.values(), *(pair for name, pair in merged.items() if name not in own)]
        return MappingNode(node.tag, pairs, node.start_mark, node.end_mark, node.flow_style)

    def _merge(self, value: Node, around: tuple[Node, ...]) -> Iterator[tuple[str, tuple[Node, Node]]]:
        for source in value.value if isinstance(value, SequenceNode) else [value]:
            copy = self.node(source, around)
            if isinstance(copy, MappingNode):
                for pair in copy.value:
                    yield pair[0].value, pair
            else:
                self._add(
                    source, "'<<' merges something that is not a mapping", "write <<: *name of an anchored mapping"
                )

    def _whole_characters(self, node: Node) -> str:
        """Escapes such as "\\ud83d\\ude00", which JSON has for one character, are two for PyYAML."""
        try:
            return cast(str, node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._add(node, "half of a surrogate pair stands here", "write the whole character")
            return ""

    def _check_tag(self, node: Node, *allowed: str) -> None:
        if node.tag.removeprefix(_TAG) not in allowed:
            self._add(node, f"the tag {node.tag.replace(_TAG, '!!')} is not supported", "leave it out")

    def _add(self, node: Node, what: str, cure: str) -> None:
        self.problems.append(Problem(str(place_of(node)), what, cure))


def _tag(text: str) -> str:
    value = scalar(text)
    return _TAG + ("null" if value is None else type(value).__name__)


def _compose(text: str, source: str) -> Node | None:
    """The tree of a text, aliases and merges written out. Raises ConfigError."""
    if len(text) > LONGEST:
        cure = f"use at most {LONGEST}, and a data file under records:"
        _refuse(_at(source, 0, 0), f"it is longer than {LONGEST} characters", cure)
    try:
        node = _Composer(text, source).get_single_node()
    except ReaderError as error:
        before = text[: error.position]
        where = _at(source, before.count("\n"), len(before) - before.rfind("\n") - 1)
        _refuse(where, f"the character U+{ord(text[error.position]):04X} can't stand in YAML", "remove it")
    except MarkedYAMLError as error:
        _refuse(*_explain(error, source))
    if node is None:
        return None
    copy = _Copy()
    whole = copy.node(node)
    if copy.problems:
        raise ConfigError(dict.fromkeys(copy.problems))
    return whole


_QUOTES: Final = "put a text that begins with { [ * & ! or has ': ' in it in quotes"
_SYNTAX: Final = (
    (r"found character '\\t'", "a tab stands where YAML wants spaces", "indent with spaces"),
    (r"found character '(.)'", "a text can't begin with <x>", "put it in quotes"),
    (r"mapping values are not", "a ':' stands where no key can be", f"check the indentation, or {_QUOTES}"),
    (r"expected <block end>", "this doesn't fit what is around it", f"check the indentation, or {_QUOTES}"),
    (r"could not find expected ':'", "a key has no ':' after it", "write key: value"),
    (r"expected ',' or '(.)'", "a bracket isn't closed by <x>", f"close it, put ',' between its items, or {_QUOTES}"),
    (r"found unexpected end of stream", "a quote is opened and never closed", "close it"),
    (
        r"found undefined alias '(.*)'",
        "the alias *<x> has no anchor",
        "write &<x> at the value it stands for, above it",
    ),
    (r"found duplicate anchor|second occurrence", "an anchor has this name already", "give it another name"),
    (r"found unknown escape character '(.*)'", "'\\<x>' is no escape", "put the text in single quotes"),
    (r"but found another document", "a second document begins", "keep one document in a file"),
)
"""What PyYAML says about a syntax error, what a person is told, and what would be right."""


def _explain(error: MarkedYAMLError, source: str) -> tuple[Position, str, str]:
    problem = error.problem or "not valid YAML"
    mark = error.problem_mark or error.context_mark
    opened = ("expected ',' or", "found unexpected end of stream", "could not find expected ':'")
    if problem.startswith(opened) and error.context_mark is not None:
        mark = error.context_mark
    where = _at(source, mark.line, mark.column) if mark else _at(source, 0, 0)
    for pattern, what, cure in _SYNTAX:
        if match := re.match(pattern, problem):
            name = match[1] or "" if match.re.groups else ""
            return where, what.replace("<x>", name), cure.replace("<x>", name)
    return where, f"this is not valid YAML ({problem})", "check the syntax here"


def _assign_key(parent: MappingNode, step: str, new: Node | None, where: Position, around: str) -> Node:
    names = [key.value for key, _ in parent.value]
    if step in names:
        index = names.index(step)
        if new is None:
            child: Node = parent.value[index][1]
            return child
        parent.value[index] = (parent.value[index][0], new)
        return new
    if new is None:
        if close := near(step, names):
            _refuse(where, f"there is no {step!r} in {around}", f"did you mean {close[0]!r}?")
        # What isn't in the file stands where it was asked for.
        here = Mark(where.source, 0, max(0, where.line - 1), max(0, where.column - 1), None, 0)
        new = MappingNode(_TAG + "map", [], here, here, flow_style=False)
    parent.value.append((ScalarNode(_tag(step), step, new.start_mark, new.end_mark), new))
    return new


def _assign_item(parent: SequenceNode, step: str, new: Node | None, where: Position, around: str) -> Node:
    count = len(parent.value)
    room = count if new is None else count + 1
    if not step.isdecimal() or len(step) > len(str(MOST_VALUES)) or int(step) >= room:
        cure = f"write a number from 0 to {room - 1}" if room else "set the whole list"
        _refuse(where, f"{step!r} is not an index of {around}, which is a list of {count}", cure)
    index = int(step)
    if new is None:
        child: Node = parent.value[index]
        return child
    parent.value[index : index + 1] = [new]
    return new


_STEP: Final = re.compile(r'(?:"((?:[^"\\]|\\.)+)"|((?:[^."\\]|\\.)+))(\.|$)')


def _split(text: str, where: Position) -> list[str]:
    steps: list[str] = []
    at = 0
    while at < len(text) or not steps or text[at - 1] == ".":
        match = _STEP.match(text, at)
        if match is None:
            _refuse(
                where,
                f"{text!r} is not a path",
                "write names and indices with dots between them, such as load.0.rate",
            )
        steps.append(re.sub(r"\\(.)", r"\1", match[1] or match[2]))
        at = match.end()
    return steps


def place_of(node: Node) -> Position:
    """Where a node stands."""
    return _place(node.start_mark)


def _place(mark: Mark) -> Position:
    return _at(mark.name, mark.line, mark.column)


def _at(source: str, line: int, column: int) -> Position:
    return Position(source, 0, 0) if source.startswith(_OPTION) else Position(source, line + 1, column + 1)


def _refuse(where: Position, what: str, cure: str) -> NoReturn:
    raise ConfigError([Problem(str(where), what if len(what) <= _LONGEST_WHAT else f"{what[:_LONGEST_WHAT]}…", cure)])


def places(value: Any, text: str, path: DataPath) -> Iterator[DataPath]:
    """Where in a tree of data a text stands, the whole of it before a part of it."""
    leaves = list(texts(value, path))
    yield from (place for place, leaf in leaves if leaf == text)
    yield from (place for place, leaf in leaves if text in leaf)


def texts(value: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
