"""Why an expression doesn't hold for a document, and what would. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from ...clients.jmes import kind_of, truthy
from ...run.shown_traffic import HIDDEN, hidden_value
from ...texts import near
from .clue import Clue

_SHOWN: Final = 80
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNS: Final = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_MOST_PLACES: Final = 3
_DEPTH: Final = 12
_MOST_VALUES: Final = 20_000
_FOREIGN: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a sum or a comparison raises that can't be done."""

Node = Mapping[str, Any]
Path = tuple[str | int, ...]


def why_false(name: str, text: str, document: Any) -> Iterator[Clue]:
    """Why the expression `text` of the setting `name` finds nothing that counts as true in the document."""
    whole: Node = jmespath.compile(text).parsed
    yield from _why_false(name, whole, whole, document)


def why_null(name: str, text: str, document: Any) -> Iterator[Clue]:
    """The same for one that should find something, such as a list."""
    whole: Node = jmespath.compile(text).parsed
    yield from _missing(name, whole, whole, document, lambda value: value is not None)


def written(path: Path) -> str:
    """A path as an expression."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _IDENTIFIER.fullmatch(step) else json.dumps(step))
    return text


def value_shown(value: Any) -> str:
    """A value as JSON, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def walk(document: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in a document with its path, the outer ones first; of a very large one the first of them."""
    return islice(_walk(document, path, _DEPTH), _MOST_VALUES)


def _walk(document: Any, path: Path, depth: int) -> Iterator[tuple[Path, Any]]:
    yield path, document
    if not depth:
        return
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from _walk(value, (*path, str(key)), depth - 1)
    elif isinstance(document, list):
        for at, value in enumerate(document[:100]):
            yield from _walk(value, (*path, at), depth - 1)


def _why_false(name: str, node: Node, whole: Node, document: Any) -> Iterator[Clue]:
    kind = node["type"]
    if kind == "and_expression":
        left, right = node["children"]
        yield from _why_false(name, right if truthy(_value(left, document)) else left, whole, document)
    elif kind == "or_expression":
        for child in node["children"]:
            yield from _why_false(name, child, whole, document)
    elif kind == "comparator":
        yield from _why_unequal(name, node, whole, document)
    elif _fields(node) is not None:
        yield from _missing(name, node, whole, document, truthy)
    elif kind == "not_expression":
        (child,) = node["children"]
        yield _is(name, child, document)
    else:
        yield _is(name, node, document)


def _is(name: str, node: Node, document: Any) -> Clue:
    return Clue("value", f"{name} doesn't hold: `{_text(node)}` is {_shown(node, document)}")


def _shown(node: Node, document: Any) -> str:
    return HIDDEN if hidden_value(_text(node)) else value_shown(_value(node, document))


def _why_unequal(name: str, node: Node, whole: Node, document: Any) -> Iterator[Clue]:
    left, right = node["children"]
    for side in (left, right):
        if _fields(side) is not None and _value(side, document) is None:
            found = list(_missing(name, side, whole, document, truthy))
            if found:
                yield from found
                return
    ours, theirs = _value(left, document), _value(right, document)
    said = f"{name} doesn't hold: `{_text(node)}` is false"
    facts = [f"`{_text(side)}` is {_shown(side, document)}" for side in (left, right) if side["type"] != "literal"]
    said = f"{said}; {' and '.join(facts)}" if facts else said
    if node["value"] == "eq" and type(ours) is not type(theirs) and _as_text(ours) == _as_text(theirs) is not None:
        given, wanted = (ours, right) if right["type"] == "literal" else (theirs, left)
        cure = f"compare with `{json.dumps(given)}`" if wanted["type"] == "literal" else "compare values of one kind"
        if isinstance(given, str):
            cure = f"compare with '{given}'"
        said = f"{name} doesn't hold: `{_text(left)}` is {kind_of(ours)} and `{_text(right)}` is {kind_of(theirs)}"
        yield Clue("type", f"{said}, which are never equal; {cure}", sure=True)
    elif node["value"] == "eq" and isinstance(ours, str) and isinstance(theirs, str) and _alike(ours, theirs):
        yield Clue("case", f"{said}: only capitals or blanks differ; write it as the answer has it", sure=True)
    else:
        yield Clue("value", said)


def _as_text(value: Any) -> str | None:
    """A number, a truth value or a text as the text that somebody may have written for it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _alike(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _missing(name: str, node: Node, whole: Node, document: Any, enough: Any) -> Iterator[Clue]:
    """Why a path finds nothing, and where the document has what it likely means."""
    path = _fields(node)
    if path is None:
        yield _is(name, node, document)
        return
    parent, at = document, 0
    while at < len(path) and isinstance(parent, Mapping) and parent.get(path[at]) is not None:
        parent = parent[path[at]]
        at += 1
    if at == len(path):
        yield _is(name, node, document)
        return
    text, missing = _text(node), path[at]
    if isinstance(parent, str):
        yield _in_text(name, text, written(path[:at]), missing, parent)
        return
    others = _others(document, parent, path, at)
    works = [other for other in others if enough(_with(whole, node, other, document))]
    first: Path = (*path[:at], 0, *path[at:])
    if isinstance(parent, list) and at and enough(_with(whole, node, first, document)):
        works = [first, *works]
    if works:
        other = works[0]
        cure = _text(_replaced(whole, node, jmespath.compile(written(other)).parsed))
        where = f"`{text}` is null, and the answer has it in `{written(other)}`"
        kind = "name" if len(other) == len(path) and other[:-1] == path[:-1] else "envelope"
        yield Clue(kind, f"{name} doesn't hold: {where}; write {name}: {cure}", sure=True)
    elif others:
        found = " or ".join(f"`{written(other)}`" for other in others[:_MOST_PLACES])
        yield Clue("envelope", f"{name} doesn't hold: `{text}` is null; did you mean {found}?")
    else:
        inside = f"`{written(path[:at])}`" if at else "what it looks at"
        what = f" is {value_shown(parent)}"
        if isinstance(parent, Mapping):
            what = f" has {', '.join(map(str, list(parent)[:10])) or 'no fields'}"
        yield Clue("value", f"{name} doesn't hold: `{text}` is null; {inside}{what}")


def _in_text(name: str, text: str, where: str, missing: str, value: str) -> Clue:
    looked = f"`{where}`" if where else "the value"
    said = f"{name} doesn't hold: {looked} is text, so that `{text}` finds nothing in it"
    try:
        inner = json.loads(value)
    except ValueError:
        return Clue("text", f"{said}: {value_shown(value)}; look at the text itself, or have it answered as JSON")
    has = f" with a field {missing!r}" if isinstance(inner, Mapping) and missing in inner else ""
    piece = json.dumps({missing: inner[missing]})[1:-1] if has else missing
    compact = piece if piece in value else piece.replace(": ", ":", 1)
    cure = f"have it answered as JSON, or look for the text: contains({where or '@'}, '{compact}')"
    return Clue(
        "text", f"{said}; the text is JSON{has}, but expressions don't look into texts: {cure}", sure=bool(has)
    )


def _others(document: Any, parent: Any, path: Sequence[str], at: int) -> list[Path]:
    """Other places where the document has something of that name, the likeliest first."""
    found: list[Path] = []
    if isinstance(parent, Mapping):
        plain = {_plain(str(key)): str(key) for key in parent}
        same = plain.get(_plain(path[at]))
        close = [same] if same else near(path[at], [str(key) for key in parent])
        for key in close:
            other: Path = (*path[:at], key, *path[at + 1 :])
            if _at(document, other) is not None:
                found.append(other)
    for start in range(min(at, 1), len(path)):
        tail = tuple(path[start:])
        for place, value in walk(document):
            if len(place) > len(tail) and place[-len(tail) :] == tail and value is not None and place not in found:
                found.append(place)
    ours = [place for place in found if place[:1] == tuple(path[:1])]
    return (ours or found)[:10]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _at(document: Any, path: Path) -> Any:
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document


def _with(whole: Node, node: Node, other: Path, document: Any) -> Any:
    """What the whole expression finds with another path in place of the node."""
    return _value(_replaced(whole, node, jmespath.compile(written(other)).parsed), document)


def _replaced(tree: Node, node: Node, by: Node) -> Node:
    if tree is node:
        return by
    children = [_replaced(child, node, by) if isinstance(child, dict) else child for child in tree["children"]]
    return {**tree, "children": children}


def _value(node: Node, document: Any) -> Any:
    try:
        return TreeInterpreter().visit(cast(Any, node), document)
    except (JMESPathError, *_FOREIGN):
        return None


def _fields(node: Node) -> tuple[str, ...] | None:
    """The names of a path that is nothing but fields."""
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] == "subexpression":
        parts = [_fields(child) for child in node["children"]]
        if all(part is not None for part in parts):
            return tuple(name for part in parts for name in part or ())
    return None


def _text(node: Node) -> str:
    """An expression as it may have been written."""
    kind, children = node["type"], node["children"]
    texts = [_text(child) if isinstance(child, dict) else "" for child in children]
    if kind == "field":
        return written((str(node["value"]),))
    if kind == "subexpression":
        return ".".join(texts)
    if kind == "index_expression":
        return "".join(texts)
    if kind == "index":
        return f"[{node['value']}]"
    if kind == "literal":
        return f"'{node['value']}'" if isinstance(node["value"], str) else f"`{json.dumps(node['value'])}`"
    if kind == "comparator":
        return f"{texts[0]} {_SIGNS.get(node['value'], node['value'])} {texts[1]}"
    if kind in ("and_expression", "or_expression"):
        sign = "&&" if kind == "and_expression" else "||"
        return f" {sign} ".join(
            f"({text})" if child["type"] == "or_expression" and sign == "&&" else text
            for text, child in zip(texts, children, strict=True)
        )
    if kind == "not_expression":
        return f"!{texts[0]}" if children[0]["type"] == "field" else f"!({texts[0]})"
    if kind == "function_expression":
        return f"{node['value']}({', '.join(texts)})"
    if kind in ("current", "identity"):
        return "@"
    if kind == "pipe":
        return " | ".join(texts)
    return "…"
