"""Templates: text and JSON with placeholders, compiled once into constants and slots, then filled per event.

A compiled template is a flat row of parts, each a constant or the number of a slot; JSON quoting and
escaping are done while compiling. Per event every slot is filled once, in one list that all templates of
the event share: that is what makes `{data.video_id}` in a key the very value that stands in the data.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..texts import near
from .records import Records

TemplatePath = tuple[str | int, ...]
"""Keys and indexes from the settings of an event to one text in them."""
Parts = tuple[str | int, ...]
"""Constants, and numbers of slots."""
Fill = Callable[[Sequence[str]], str]
"""From the filled slots of one event to the text."""
Draw = Callable[[], tuple[str, ...]]
"""The next values of neighbouring slots."""

SEQ_DIGITS: Final = 0
NOW: Final = 1
SEQ: Final = 2
GIVEN_SLOTS: Final = 3
"""Slots that the caller fills first: the last 12 digits of the correlation id, the time, the seq; then the draws."""

_NAMED: Final = r"(?:(?:uuid|now|seq|run_id|correlation_id)\s*|(?:int|choice):[^{}]*|(?:data|record)\.[^{}]*)"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_DOUBLED: Final = re.compile(rf"(?<!\{{)\{{\{{\s*({_NAMED})\}}\}}(?!\}})")
"""What other tools write for a placeholder, and what would be the same text in every event here."""
_DOUBLED_NAME: Final = re.compile(r"(?<!\{)\{\{\s*([a-z_]\w*)\s*\}\}(?!\})")
_PLACEHOLDER: Final = re.compile(rf"\{{{_NAMED}\}}")
_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANGE: Final = re.compile(r"\s*(-?\d{1,18})\s*\.\.\s*(-?\d{1,18})\s*")
_DEEPEST: Final = 50
"""Most references that follow on one another."""
_MOST_PARTS: Final = 10_000
_MOST_CHARACTERS: Final = 4_000_000
"""What the texts of an event may amount to, each with all that it refers to: references to references double."""
_MOST_PROBLEMS: Final = 100
_MOST_NAMES: Final = 1000
_LONGEST_SHOWN: Final = 60
_SUGGESTIONS: Final = ("correlation_id", "run_id", "seq", "uuid", "now", "int:1..100", "choice:a,b")
_ATTRIBUTES: Final = ("type", "source", "subject", "key")
OWN_NAMES: Final = frozenset(
    {"correlation_id", "run_id", "seq", "uuid", "now", "int", "choice", "data", "record", "secrets", *_ATTRIBUTES}
)
"""What stands for something of each event, so that nothing else can be called so."""
_NAME: Final = re.compile(r"[a-z_][A-Za-z0-9_]*")


def is_placeholder(text: str) -> bool:
    """Whether a text is a placeholder and nothing else, by its name."""
    return _PLACEHOLDER.fullmatch(text) is not None


class TemplateProblem(ValueError):
    """One template can't be used. `path` leads to it from the settings of its event; the text is `what; cure`."""

    def __init__(self, path: TemplatePath, what: str, cure: str) -> None:
        self.path = path
        self.what = what
        self.cure = cure
        super().__init__(f"{what}; {cure}")


class _Value(NamedTuple):
    """What a placeholder or a whole template stands for, in the three places in which it can stand."""

    text: Parts
    """On its own, as text."""
    escaped: Parts
    """Inside the quotes of a JSON string."""
    json: Parts
    """As a JSON value."""


class _Unusable(Exception):
    """What is wrong with a placeholder and what would be right, before it is known where it stands."""


class Compiler:
    """The templates of one event type.

    fields   the event's settings by name (`type`, `source`, `subject`, `key`, `data`), to which placeholders refer
    prefix   the constant part of the correlation ids
    seed     text from which all that is drawn derives; every slot has a generator of its own, seeded with
             its place in the settings too, so that a new placeholder leaves the others' values alone
    captured what the set-up of the run has captured, by the names that stand for it

    Wrong templates are collected in `problems`; what is compiled from them is empty.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        prefix: str,
        run_id: str,
        seed: str,
        records: Records | None,
        captured: Mapping[str, Any] = _NOTHING,
    ) -> None:
        self.draws: list[Draw] = []
        self.problems: list[TemplateProblem] = []
        self._fields = fields
        self._prefix = prefix
        self._run_id = run_id
        self._seed = seed
        self._records = records
        self._captured = captured
        self._width = GIVEN_SLOTS
        self._values: dict[TemplatePath, _Value] = {}
        self._columns: dict[str, _Value] = {}
        self._under_way: list[TemplatePath] = []
        self._parts = self._characters = 0

    def text(self, template: str, path: TemplatePath) -> Parts:
        """The text of a template."""
        return self._value(template, path).text

    def string(self, template: str, path: TemplatePath) -> Parts:
        """The same as a JSON string."""
        return ('"', *self._value(template, path).escaped, '"')

    def json(self, value: Any, path: TemplatePath) -> Parts:
        """A JSON value in which every text is a template. The keys of objects are not."""
        return tuple(self._json(value, path))

    def _json(self, value: Any, path: TemplatePath) -> Iterator[str | int]:
        if isinstance(value, Mapping):
            comma = "{"
            for key, item in value.items():
                if not isinstance(key, str):
                    self._report((*path, key), f"the key {key!r} of a JSON object isn't text", "put it in quotes")
                    continue
                yield f"{comma}{self._key(key, path)}:"
                yield from self._json(item, (*path, key))
                comma = ","
            yield "}" if comma == "," else "{}"
        elif isinstance(value, (list, tuple)):
            yield "["
            for index, item in enumerate(value):
                if index:
                    yield ","
                yield from self._json(item, (*path, index))
            yield "]"
        else:
            yield from self._value(value, path).json

    def _key(self, key: str, path: TemplatePath) -> str:
        try:
            return _dump(key)
        except _Unusable as error:
            self._report((*path, key), *error.args)
            return '""'

    def _value(self, leaf: Any, path: TemplatePath) -> _Value:
        """Compiled once for each place, so that whoever refers to it shares its slots."""
        if path not in self._values:
            if len(self._under_way) > _DEEPEST:
                raise _Unusable(
                    f"{_shown(leaf)} is referred to over more than {_DEEPEST} others", "refer to it more directly"
                )
            self._under_way.append(path)
            try:
                self._values[path] = self._compile(leaf, path) if isinstance(leaf, str) else _scalar(leaf)
            except _Unusable as error:
                self._report(path, *error.args)
                self._values[path] = _constant("")
            finally:
                self._under_way.pop()
        return self._values[path]

    def _report(self, path: TemplatePath, what: str, cure: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(TemplateProblem(path, what, cure))

    def _compile(self, template: str, path: TemplatePath) -> _Value:
        doubled = _DOUBLED.search(template)
        if doubled is None and self._captured:
            doubled = next((one for one in _DOUBLED_NAME.finditer(template) if one[1] in self._captured), None)
        if doubled:
            name = f"{{{doubled[1].strip()}}}"
            raise _Unusable(f"{doubled[0]} is the text {name} in every event", f"write {name}, in single braces")
        pieces: list[_Value] = []
        end = 0
        for token in _TOKEN.finditer(template):
            if token.start() > end:
                pieces.append(_constant(template[end : token.start()]))
            end = token.end()
            if token[0] in ("{{", "}}"):
                pieces.append(_constant(token[0][0]))
            elif token[1] is None:
                raise _Unusable(f"a lone {token[0]} in {template!r}", f"write {token[0] * 2} for the brace itself")
            else:
                inner = token[1].removesuffix("!s")
                value = self._placeholder(inner.strip(), f"{path!r}#{token.start()}")
                if token[0] == template and inner == token[1]:
                    self._count((value,), template)
                    return value
                pieces.append(value)
            if len(pieces) > _MOST_PARTS:
                break
        if end < len(template) or not pieces:
            pieces.append(_constant(template[end:]))
        self._count(pieces, template)
        escaped = tuple(part for piece in pieces for part in piece.escaped)
        return _Value(tuple(part for piece in pieces for part in piece.text), escaped, ('"', *escaped, '"'))

    def _count(self, pieces: Sequence[_Value], template: str) -> None:
        self._parts += sum(len(piece.text) for piece in pieces)
        if self._parts <= _MOST_PARTS:
            self._characters += sum(len(part) for piece in pieces for part in piece.text if isinstance(part, str))
        if self._parts > _MOST_PARTS or self._characters > _MOST_CHARACTERS:
            self._parts = self._characters = 0  # what refers to this one is good once this one is mended
            most = f"{_MOST_PARTS} placeholders and texts between them, or {_MOST_CHARACTERS} characters"
            raise _Unusable(
                f"up to {_shown(template)} this event has more than {most}, with all that it refers to",
                "refer to less, or to shorter texts",
            )

    def _placeholder(self, inner: str, slot: str) -> _Value:
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _Unusable("", "")
        name, _, argument = inner.partition(":")
        if inner == "correlation_id":
            return _plain_text((self._prefix, SEQ_DIGITS))
        if inner == "run_id":
            return _constant(self._run_id)
        if inner == "seq":
            return _Value((SEQ,), (SEQ,), (SEQ,))
        if inner == "now":
            return _plain_text((NOW,))
        if inner == "uuid":
            return _plain_text((self._slots(_uuids(self._rng(slot)), 1),))
        if name == "int":
            return self._int(inner, argument, slot)
        if name == "choice":
            if not argument.strip():
                raise _Unusable(f"{{{inner}}} has nothing to choose from", "write what, such as {choice:a,b}")
            written = argument.split(",")
            if len(written) > _MOST_PARTS:
                raise _Unusable(f"{{choice:…}} has more than {_MOST_PARTS} options", "use a data file under records:")
            options = tuple((option.strip(), _escape(option.strip())) for option in written)
            first = self._slots(_choices(self._rng(slot), options), 2)
            return _Value((first,), (first + 1,), ('"', first + 1, '"'))
        head, dot, rest = inner.partition(".")
        if head == "record" and dot:
            return self._record(rest)
        if inner in _ATTRIBUTES or head == "data":
            return self._reference(inner)
        if head == "secrets" and dot:
            raise _Unusable(
                f"the placeholder {{{inner}}} would put a secret into an event, which is kept and shown",
                "write it into headers or auth of the producer",
            )
        if inner in self._captured:
            return _given(self._captured[inner])
        raise _Unusable(f"unknown placeholder {{{inner}}}", self._cure(inner))

    def _int(self, inner: str, argument: str, slot: str) -> _Value:
        match = _RANGE.fullmatch(argument)
        if not match:
            raise _Unusable(f"{{{inner}}} isn't a range of whole numbers", "write one such as {int:1..100}")
        low, high = int(match[1]), int(match[2])
        if low > high:
            raise _Unusable(f"the range of {{{inner}}} is empty", f"write {{int:{high}..{low}}}")
        index = self._slots(_integers(self._rng(slot), low, high), 1)
        return _Value((index,), (index,), (index,))

    def _record(self, column: str) -> _Value:
        if self._records is None:
            raise _Unusable(f"{{record.{column}}} without a data file", "name one under records:")
        if column not in self._records.columns:
            known = [f"record.{name}" for name in self._records.columns]
            raise _Unusable(
                f"the data file has no {column!r}",
                _suggest(f"record.{column}", known) or "its fields: " + _list(known),
            )
        if column not in self._columns:
            at = self._records.columns.index(column)
            cells = [_cell(row[at]) for row in self._records.rows]
            # All columns draw alike (in turn, or from equal generators), so that they stay on the same record.
            draw = (
                cycle(cells).__next__
                if self._records.order == "sequential"
                else _choices(self._rng("records"), cells)
            )
            first = self._slots(draw, 3)
            self._columns[column] = _Value((first,), (first + 1,), (first + 2,))
        return self._columns[column]

    def _reference(self, inner: str) -> _Value:
        head, *steps = inner.split(".")
        path: TemplatePath = (head,)
        value = self._fields.get(head)
        if value is None and (not steps or head == "data"):
            raise _Unusable(f"{{{inner}}} in an event without {head}", f"add {head}: to the event, or leave this out")
        for step in steps:
            try:
                key, value = _inside(value, step)
            except LookupError:
                known = list(islice(_names(self._fields["data"], "data"), _MOST_NAMES)) if head == "data" else []
                raise _Unusable(
                    f"there is no {{{inner}}}", _suggest(inner, known) or "what there is: " + _list(known)
                ) from None
            path = (*path, key)
        if isinstance(value, (Mapping, list, tuple)):
            raise _Unusable(
                f"{{{inner}}} isn't a single value",
                "name one inside it: " + _list(list(islice(_names(value, inner), _MOST_NAMES))),
            )
        if path in self._under_way:
            raise _Unusable(f"{{{inner}}} refers to itself in the end", "give one of them a value of its own")
        return self._value(value, path)

    def _cure(self, inner: str) -> str:
        known = [*_SUGGESTIONS, *_ATTRIBUTES]
        here = {".".join(map(str, path)) for path in self._under_way}  # that would refer to itself
        known += [name for name in islice(_names(self._fields.get("data"), "data"), _MOST_NAMES) if name not in here]
        known += [f"record.{column}" for column in (self._records.columns if self._records else ())]
        known += self._captured
        braces = "write {{ and }} for braces that are no placeholder"
        if _NAME.fullmatch(inner) and inner not in OWN_NAMES:
            braces = f"capture it in a step of setup:, capture: {{{inner}: …}}, or {braces}"
        return _suggest(inner, known) or braces

    def _slots(self, draw: Draw, count: int) -> int:
        """Number of the first of `count` new slots which `draw` fills."""
        first = self._width
        self._width += count
        self.draws.append(draw)
        return first

    def _rng(self, slot: str) -> random.Random:
        return random.Random(f"{self._seed}/{slot}")


def fill(parts: Parts) -> Fill:
    """A function that writes the parts out."""
    parts = tuple(part for part in parts if part != "")
    slots = [part for part in parts if isinstance(part, int)]
    if not slots:
        constant = "".join(map(str, parts))
        return lambda values: constant
    if len(parts) == 1:
        return itemgetter(slots[0])
    layout = "".join("%s" if isinstance(part, int) else part.replace("%", "%%") for part in parts)
    if len(slots) == 1:
        slot = slots[0]
        return lambda values: layout % (values[slot],)
    pick = itemgetter(*slots)
    return lambda values: layout % pick(values)


def _constant(text: str) -> _Value:
    escaped = _escape(text)
    return _Value((text,), (escaped,), (f'"{escaped}"',))


def _plain_text(parts: Parts) -> _Value:
    """Text that never needs escaping."""
    return _Value(parts, parts, ('"', *parts, '"'))


def _scalar(value: Any) -> _Value:
    """A constant that isn't text: a number, true, false, null."""
    text = _dump(value)
    return _Value((text,), (text,), (text,))


def _given(value: Any) -> _Value:
    """A value that is the same in every event."""
    if isinstance(value, str):
        return _constant(value)
    as_json = _dump(value)
    return _Value((as_json,), (_escape(as_json),), (as_json,))


def _cell(value: Any) -> tuple[str, str, str]:
    as_json = _dump(value)
    if isinstance(value, str):
        return value, as_json[1:-1], as_json
    return as_json, _escape(as_json), as_json


def _escape(text: str) -> str:
    return _dump(text)[1:-1]


def _dump(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError:
        raise _Unusable(f"{value!r} has half of a surrogate pair", "write the whole character") from None
    except (TypeError, ValueError):
        raise _Unusable(f"{value!r} has no place in JSON", "write text, a number, true, false or null") from None
    return text


def _uuids(rng: random.Random) -> Draw:
    bits = rng.getrandbits

    def draw() -> tuple[str]:
        # 122 random bits, version 4, and the variant in the top two bits of the fourth group. An f-string would
        # take half as long again.
        return ("%08x-%04x-4%03x-%04x-%012x" % (bits(32), bits(16), bits(12), 0x8000 | bits(14), bits(48)),)  # noqa: UP031

    return draw


def _integers(rng: random.Random, low: int, high: int) -> Draw:
    return lambda: (str(rng.randint(low, high)),)


def _choices(rng: random.Random, options: Sequence[tuple[str, ...]]) -> Draw:
    return lambda: rng.choice(options)


def _inside(value: Any, step: str) -> tuple[str | int, Any]:
    """One step down: the key or index, and what is there. Raises LookupError."""
    if isinstance(value, Mapping):
        return step, value[step]
    if isinstance(value, (list, tuple)) and re.fullmatch(r"[0-9]{1,9}", step):
        return int(step), value[int(step)]
    raise LookupError(step)


def _names(value: Any, name: str) -> Iterator[str]:
    """The dotted names of all single values inside `value`, which itself is called `name`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _names(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _names(item, f"{name}.{index}")
    elif value is not None:
        yield name


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _suggest(name: str, known: Sequence[str]) -> str:
    close = near(name, known)
    return f"did you mean {{{close[0]}}}?" if close else ""


def _list(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(f"{{{name}}}" for name in names[:most]) or "nothing"
    return shown + (", ..." if len(names) > most else "")
