"""JMESPath expressions: checked when the config is, compiled once, with a short way for plain field paths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import jmespath
from jmespath.exceptions import IncompleteExpressionError, JMESPathError, ParseError
from jmespath.functions import Functions

from ..texts import meant

_WHOLE: Final = "@"
_LONGEST: Final = 10_000
_SHOWN: Final = 80
"""Most characters of a value that are shown."""
_SCOPED: Final = frozenset(
    {"subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection", "flatten"}
)
"""Nodes whose first child looks at the same value as they do, while the others look at its result."""


class CannotTell(JMESPathError):
    """What an expression does can't be done with the values at hand."""


class NoDocument(ValueError):
    """There is no document to look at. For documents that find out only when they are looked into."""


class Expression:
    """One compiled expression. `search` raises JMESPathError, and what the document raises as NoDocument.

    roots  the fields of the document that it looks at
    whole  it looks at the document as a whole (`@`, `*`), so the document must be a real dict; otherwise
           anything with `get(name)` will do
    """

    __slots__ = ("_compiled", "roots", "search", "text", "whole")

    def __init__(self, text: str) -> None:
        """Raises ValueError, `what is wrong; what would be right`."""
        try:
            node = _parse(text)
            for call in _calls(node):
                _check_call(text, call)
            names = set(_roots(node))
            path = _field_path(node)
        except RecursionError:
            raise ValueError(f"{text[:_SHOWN]!r} is nested too deeply; write a simpler expression") from None
        self.text = text
        self.whole = _WHOLE in names
        self.roots = frozenset(names - {_WHOLE})
        self.search: Callable[[Any], Any] = self._search if path is None else _path_search(path)
        self._compiled = jmespath.compile(text)

    def looks_at(self, field: str) -> bool:
        """Whether it looks at that field of the document."""
        return self.whole or field in self.roots

    def _search(self, value: Any) -> Any:
        """What jmespath finds. It lets through what Python says of a comparison or a sum that can't be done."""
        try:
            return self._compiled.search(value)
        except (JMESPathError, NoDocument):
            raise
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            raise CannotTell(f"{self.text!r} can't be worked out{self._at_hand(value)}: {error}") from error

    def _at_hand(self, value: Any) -> str:
        """The values that it looks at, cut short."""
        if not self.roots:
            return ""
        told = ", ".join(f"{root} = {str(value.get(root))[:_SHOWN]}" for root in sorted(self.roots))
        return f" where {told}"


def check_expression(text: str, fields: Collection[str] | None) -> str:
    """The text itself, if it compiles and starts from `fields` only (None: from any). Raises ValueError."""
    expression = Expression(text)
    if fields is None:
        return text
    for root in sorted(expression.roots - set(fields)):
        cure = meant(root, fields, f"start with one of {', '.join(fields)}")
        raise ValueError(f"{text!r} looks at {root!r}, which isn't there; {cure}")
    return text


def truthy(value: Any) -> bool:
    """Truth as JMESPath has it: null, false, and empty text, list or object are false; 0 is true."""
    return bool(value) or (isinstance(value, int | float) and value is not False)


def kind_of(value: Any) -> str:
    """What JSON calls it."""
    for types, name in (
        (bool, "a boolean"), (dict, "an object"), (list, "a list"), (str, "text"), ((int, float), "a number"),
    ):  # fmt: skip
        if isinstance(value, types):
            return name
    return "null"


def _parse(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST:
        raise ValueError(f"an expression is longer than {_LONGEST} characters; write a shorter one")
    try:
        parsed: Any = jmespath.compile(text).parsed
    except ParseError as error:
        if isinstance(error, IncompleteExpressionError) or error.token_type == "EOF":
            raise ValueError(f"{text!r} is not JMESPath: it ends too early; complete it") from error
        at = f"unexpected {error.token_value!r} at character {error.lex_position + 1}"
        cure = "write text in single quotes, numbers in backticks, comparisons as ==, !=, < or >"
        if error.token_type == "NUMBER":
            cure = "write a number in backticks, such as `200`"
        elif error.token_value == "-":
            cure = 'write a name with a dash in double quotes, such as headers."x-replica"'
        raise ValueError(f"{text!r} is not JMESPath: {at}; {cure}") from error
    except JMESPathError as error:
        raise ValueError(f"{text!r} is not JMESPath; write an expression such as status == `200`") from error
    return dict(parsed)


def _calls(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node["type"] == "function_expression":
        yield node
    for child in _children(node):
        yield from _calls(child)


def _check_call(text: str, call: dict[str, Any]) -> None:
    name, given = call["value"], len(call["children"])
    table = Functions.FUNCTION_TABLE
    if name not in table:
        cure = meant(name, table, f"known functions: {', '.join(sorted(table))}")
        raise ValueError(f"{text!r} calls the unknown function {name!r}; {cure}")
    signature = table[name]["signature"]
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    wanted = len(signature)
    if given < wanted or (given > wanted and not variadic):
        count = f"at least {wanted}" if variadic else str(wanted)
        raise ValueError(f"{text!r} gives {name}() {given} arguments; it takes {count}")


def _roots(node: dict[str, Any]) -> Iterator[str]:
    """Fields that are looked up in the document itself, and `@` where it is looked at as a whole."""
    kind = node["type"]
    if kind == "field":
        yield node["value"]
    elif kind in ("current", "identity"):
        yield _WHOLE
    elif kind in _SCOPED:
        yield from _roots(node["children"][0])
    elif kind != "expref":
        for child in _children(node):
            yield from _roots(child)


def _children(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [child for child in node["children"] if isinstance(child, dict)]


def _field_path(node: dict[str, Any]) -> tuple[str, ...] | None:
    """The names of an expression that is nothing but fields joined by dots, or None."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] == "subexpression":
        parts = [_field_path(child) for child in node["children"]]
        if None not in parts:
            return tuple(name for part in parts if part is not None for name in part)
    return None


def _path_search(path: tuple[str, ...]) -> Callable[[Any], Any]:
    def search(value: Any) -> Any:
        for name in path:
            try:
                value = value.get(name)
            except AttributeError:
                return None
        return value

    return search
