"""What is wrong with a config, collected with its place, and pydantic's errors put into plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError, Problem
from ..texts import near
from ..units import parse_duration, told, write_duration
from .walking import Schemas
from .yaml import DataPath, Document

T = TypeVar("T")

_LONGEST: Final = 400
"""Characters of a problem: an error that quotes a whole data tree helps nobody."""
_MOST: Final = 100
"""Problems that are told of one config. To explain ten thousand takes minutes, and nobody reads them."""
_DEFAULT_CURE: Final = "`evload schema` says what can stand here"
_NUMBERS: Final = frozenset(
    {"int_type", "int_parsing", "int_from_float", "int_parsing_size", "float_type", "float_parsing", "finite_number"}
)
_MAPPINGS: Final = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})
_LISTS: Final = frozenset({"list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"})
_TEXTS: Final = frozenset({"string_type", "string_sub_type", "url_type"})
_BOOLS: Final = frozenset({"bool_type", "bool_parsing"})
_WRONG_TYPES: Final = _NUMBERS | _MAPPINGS | _LISTS | _TEXTS | _BOOLS
_LOAD: Final = ("load", "[{rate: 10/s, for: 1m}]")
_SLOS: Final = ("slos", "[p99(end_to_end) < 5s, lost == 0]")
_ELSEWHERE: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("stages", "phases", "rate", "duration", "vus", "users", "arrivalRate", "iterations"), _LOAD),
    **dict.fromkeys(("thresholds", "objectives", "assertions", "ensure", "checks"), _SLOS),
}
"""Keys of other tools: what takes their place here, with an example."""
_EXAMPLES: Final[Mapping[Any, str]] = dict([_LOAD])
"""Of keys that have to be there: what could stand there."""
_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "is too small; write more than {limit}"),
    "greater_than_equal": ("ge", "is too small; write {limit} or more"),
    "less_than": ("lt", "is too large; write less than {limit}"),
    "less_than_equal": ("le", "is too large; write {limit} or less"),
    "multiple_of": ("multiple_of", "doesn't fit; write a multiple of {limit}"),
}


class _Found(NamedTuple):
    path: DataPath
    key: bool
    what: str
    cure: str


class Problems:
    """Collects all that is wrong with a document, instead of stopping at the first.

    What is found at a place in `refused` (paths, each with its `what; cure`) is left out: there is no value.
    """

    def __init__(self, document: Document, refused: Mapping[DataPath, str]) -> None:
        self.document = document
        self._found: list[_Found] = []
        self._refused: set[DataPath] = set()
        self._schemas: dict[TypeAdapter[Any], Schemas] = {}
        for path, text in refused.items():
            self.add_text(path, text)
        self._refused.update(refused)

    @property
    def full(self) -> bool:
        """There are so many that no more are told."""
        return len(self._found) > _MOST

    def add(self, path: DataPath, what: str, cure: str, *, key: bool = False) -> None:
        """Note a problem with the value at `path`, or with its key."""
        self._note(_Found(path, key, what, cure))

    def add_text(self, path: DataPath, text: str, *, key: bool = False) -> None:
        """The same from the text of an error, `what is wrong; what would be right`."""
        what, _, cure = text.partition("; ")
        self.add(path, what, cure or _DEFAULT_CURE, key=key)

    def validate(self, adapter: TypeAdapter[T], path: DataPath) -> T | None:
        """The value at `path` as `adapter` reads it; None if it can't, which is then noted."""
        try:
            return adapter.validate_python(self.document.value(path))
        except ValidationError as error:
            located = self._errors_of(error)
            if self._take_numbers(located, path):
                return self.validate(adapter, path)
            self._note_all(self._in_plain_words(located, adapter, path))
            return None

    def _take_numbers(self, errors: Iterable[ErrorDetails], path: DataPath) -> bool:
        """Whether a text was found to be a number where one is wanted."""
        wanted = {_locate(error, self.document, path).path for error in errors if error["type"] in _NUMBERS}
        return sum(map(self.document.take_number, wanted)) > 0

    def validate_as(self, adapter: TypeAdapter[T], value: Any, path: DataPath, base: DataPath) -> T | None:
        """`value`, which is put together from what stands at `path` and at `base`, as `adapter` reads it.

        A mistake in what stands at `path` is told there, any other at `base`.
        """
        own = self.document.value(path)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            located = self._errors_of(error)
            for place in (path, base):
                mine = [e for e in located if bool(e["loc"] and e["loc"][0] in own) == (place == path)]
                self._note_all(self._in_plain_words(mine, adapter, place))
            return None

    def _errors_of(self, error: ValidationError) -> list[ErrorDetails]:
        """As many as there is room for, and one more, so that it is known that there are more."""
        return [] if self.full else error.errors(include_url=False)[: _MOST + 1]

    def _in_plain_words(
        self, errors: Iterable[ErrorDetails], adapter: TypeAdapter[Any], path: DataPath
    ) -> Iterator[_Found]:
        def known_keys(at: DataPath) -> list[str]:
            if adapter not in self._schemas:
                self._schemas[adapter] = Schemas.of(adapter)
            schemas = self._schemas[adapter]
            for step in at:
                schemas = schemas.at(step)
            return schemas.keys()

        return _in_plain_words(errors, known_keys, self.document, path)

    def _note_all(self, found: Iterable[_Found]) -> None:
        for one in found:
            self._note(one)

    def _note(self, found: _Found) -> None:
        if (found.key or found.path not in self._refused) and not self.full:
            self._found.append(found)

    def close(self, redact: Callable[[str], str]) -> None:
        """Raise ConfigError if anything was found, in the order of the lines, secrets taken out."""
        if self._found:
            found = sorted(dict.fromkeys(self._found), key=self._order)
            told = [self._problem(one, redact) for one in found[:_MOST]]
            if self.full:
                told.append(Problem(told[-1].where, "there are more problems than these", "correct these first"))
            raise ConfigError(told)

    def _order(self, found: _Found) -> tuple[bool, int, int]:
        position = self.document.position(found.path, key=found.key)
        return (not position.line, position.line, position.column)

    def _problem(self, found: _Found, redact: Callable[[str], str]) -> Problem:
        position = self.document.position(found.path, key=found.key)
        return Problem(str(position), _one_line(redact(found.what)), _one_line(redact(found.cure)))


def unknown(what: str, name: str, known: Iterable[str], *, otherwise: str) -> tuple[str, str]:
    """What is wrong and what would be right, where `name` isn't among the `known`."""
    close = near(name, known := list(known))
    here, example = _ELSEWHERE.get(name, ("", ""))
    if not close and here in known:
        return f"unknown {what} {name!r}", f"here it is {here!r}: write {here}: {example}"
    listed = f"what there is: {', '.join(known)}" if known else otherwise
    return f"unknown {what} {name!r}", f"did you mean {close[0]!r}?" if close else listed


def _one_line(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


class _Located(NamedTuple):
    """One of pydantic's errors. `branch` is the place of a union in the data and which of its types was tried."""

    path: DataPath
    branch: tuple[DataPath, str] | None
    error: ErrorDetails


def _in_plain_words(
    errors: Iterable[ErrorDetails], known_keys: Callable[[DataPath], list[str]], document: Document, base: DataPath
) -> Iterator[_Found]:
    located = [_locate(details, document, base) for details in errors]
    chosen = list(_without_unions(located))
    missing = {(item.path, item.error["loc"][-1]) for item in chosen if item.error["type"] == "missing"}
    for item in chosen:
        if item.error["type"] == "extra_forbidden":
            *around, name = item.path
            here = [str(key) for path, key in missing if path == tuple(around)]
            meant = near(str(name), here) or [key for key in here if _ELSEWHERE.get(str(name), ("",))[0] == key]
            missing -= {(tuple(around), key) for key in meant}
            known = meant or known_keys(tuple(around)[len(base) :])
            what, cure = unknown("key", str(name), known, otherwise="leave it out")
            yield _Found(item.path, True, what, cure)
    for item in chosen:
        if item.error["type"] == "missing" and (item.path, name := item.error["loc"][-1]) in missing:
            example = f", such as {name}: {_EXAMPLES[name]}" if name in _EXAMPLES else ""
            cure = f"add it to the mapping that begins here{example}"
            yield _Found(item.path, False, f"the key {name!r} is missing", cure)
        elif item.error["type"] not in ("missing", "extra_forbidden"):
            yield _explain(item, document)


def _without_unions(located: Iterable[_Located]) -> Iterator[_Located]:
    """Of the errors of all types that a union tried, those of the one that was meant."""
    by_union: dict[DataPath | None, dict[str, list[_Located]]] = {}
    for item in located:
        place, tried = item.branch or (None, "")
        by_union.setdefault(place, {}).setdefault(tried, []).append(item)
    for place, branches in by_union.items():
        meant = [errors for errors in branches.values() if not _is_wrong_type(errors)]
        if len(branches) == 1 or meant:
            # One of a few values was hardly meant, where another type has more to say of what was written.
            yield from min(meant or branches.values(), key=lambda errors: (len(errors), _is_no_choice(errors)))
        else:
            # No type fits the value's shape: ask for any of them, once.
            every = [item for errors in branches.values() for item in errors]
            cures = dict.fromkeys(_words(item.error, None).partition("; ")[2] for item in every)
            text = f"{told(every[0].error['input'])} can't stand here; {_any_of(list(cures))}"
            details = {**every[0].error, "type": "value_error", "ctx": {"error": text}}
            yield _Located(place or (), None, cast(ErrorDetails, details))


def _any_of(cures: Sequence[str]) -> str:
    """Several ways to put something right, of which one does; what all of them would write is said of the first."""
    first, *others = (cure.replace("write one, such as", "write a number, such as") for cure in cures)
    if all(cure.startswith("write ") for cure in (first, *others)):
        others = [other.removeprefix("write ") for other in others]
    return " or ".join([first, *others])


def _is_wrong_type(errors: list[_Located]) -> bool:
    return all(item.branch and item.path == item.branch[0] and item.error["type"] in _WRONG_TYPES for item in errors)


def _locate(error: ErrorDetails, document: Document, path: DataPath) -> _Located:
    """Follow pydantic's location into the data; the names of union members in it lead nowhere there."""
    steps = error["loc"]
    if error["type"] == "missing":
        steps = steps[:-1]
    branch = None
    for step in steps:
        data = document.value(path)
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            path = (*path, step)
        elif branch is None:
            branch = (path, str(step))
    return _Located(path, branch, error)


def _is_no_choice(errors: list[_Located]) -> bool:
    return all(item.error["type"] == "literal_error" for item in errors)


def _explain(item: _Located, document: Document) -> _Found:
    error = item.error
    if error["input"] is None:
        name = item.path[-1] if item.path else "the file"
        return _Found(item.path, False, f"{name!r} has no value", "give it one, or remove the line")
    if error["type"] in _LISTS and item.path and item.path[-1] in _EXAMPLES:
        written = error["input"]
        cure = f"[{_flow(written)}]" if isinstance(written, dict) and written else _EXAMPLES[item.path[-1]]
        return _Found(item.path, False, f"{told(written)} is not a list", f"write {cure}")
    own_words = error["type"] in ("value_error", "assertion_error")
    text = str(error["ctx"]["error"]) if own_words else _words(error, document.value(item.path))
    what, _, cure = text.partition("; ")
    return _Found(item.path, "[key]" in error["loc"], what, cure or _DEFAULT_CURE)


def _words(error: ErrorDetails, written: Any) -> str:
    """`what is wrong; what would be right` for one of pydantic's own types of error."""
    kind, shown, context = error["type"], told(error["input"]), error.get("ctx", {})
    if kind in _LIMITS:
        name, text = _LIMITS[kind]
        return f"{told(written)} {text.format(limit=_limit(context[name], written))}"
    if kind in _TEXTS:
        return f"{shown} is not text; {_quoting(error['input'])}"
    if kind in ("int_type", "int_parsing", "int_from_float", "int_parsing_size"):
        return f"{shown} is not a whole number; write one, such as 5"
    if kind in _NUMBERS:
        return f"{shown} is not a number; write one, such as 0.5"
    if kind in _BOOLS:
        return f"{shown} is neither true nor false; write true or false"
    if kind in _MAPPINGS:
        return f"{shown} is not a mapping; write keys and values, such as {{key: value}}"
    if kind in _LISTS:
        return f"{shown} is not a list; write [{error['input'] if isinstance(error['input'], str) else '...'}]"
    if kind in ("literal_error", "enum"):
        close = near(str(error["input"]), re.findall("'([^']*)'", context["expected"]))
        return f"{shown} is no choice here; " + (
            f"did you mean {close[0]!r}?" if close else f"write {context['expected']}"
        )
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = re.findall("'([^']*)'", context["discriminator"])[-1]
        choices = context.get("expected_tags", "add it to the mapping that begins here")
        return f"the key {tag!r} is missing, or is no choice here; " + (
            f"write {choices}" if "tag" in context else choices
        )
    if kind in ("too_short", "string_too_short"):
        return f"{shown} is too short; write {context['min_length']} or more"
    if kind in ("too_long", "string_too_long"):
        return f"{shown} is too long; write {context['max_length']} or less"
    if kind == "string_pattern_mismatch":
        return f"{shown} doesn't fit; write something that matches {context['pattern']}"
    return f"{shown} can't stand here; {_DEFAULT_CURE}"


def _limit(limit: Any, written: Any) -> str:
    """A limit in the unit in which the value was written."""
    if isinstance(written, str):
        try:
            parse_duration(written)
        except ValueError:
            return str(limit)
        return write_duration(limit)
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _flow(value: Any) -> str:
    """A value as it can be written on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value)


def _quoting(value: Any) -> str:
    """How to write as text what YAML reads as something else."""
    if isinstance(value, dict) and len(value) == 1 and None in value.values():
        return f'put it in quotes: "{{{next(iter(value))}}}"'
    if isinstance(value, dict | list):
        return "write text"
    return f'put it in quotes: "{told(value)}"'
