"""Templates: text and JSON with placeholders, compiled once into constants and slots, then filled per event.

A compiled template is a flat row of parts, each a constant or the number of a slot; JSON quoting and
escaping are done while compiling. Per event every slot is filled once, in one list that all templates of
the event share: that is what makes `{data.video_id}` in a key the very value that stands in the data.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import cycle, islice, repeat
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..texts import near
from ..units import parse_duration
from . import draws
from .draws import DIGITS, FAKES, Draw
from .records import Records

TemplatePath = tuple[str | int, ...]
"""Keys and indexes from the settings of an event to one text in them."""
Parts = tuple[str | int, ...]
"""Constants, and numbers of slots."""
Fill = Callable[[Sequence[str]], str]
"""From the filled slots of one event to the text."""
Column = Sequence[str]
"""A slot of some events that are filled together, one at least."""
FillAll = Callable[[Sequence[Column]], Column]
"""From the filled slots of some events to the text of each."""
SEQ_DIGITS: Final = 0
NOW: Final = 1
SEQ: Final = 2
GIVEN_SLOTS: Final = 3
"""Slots that the caller fills first: the last 12 digits of the correlation id, the time, the seq; then the draws."""

_NAMED: Final = (
    r"(?:(?:uuid|now(?:\s*[+-][^{}]*)?|seq(?::\d+)?|run_id|correlation_id)\s*"
    r"|(?:int|float|hex|choice|weighted|fake):[^{}]*|(?:data|record)\.[^{}]*)"
)
_SPECIAL: Final = re.compile(r'["\\]')
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_DOUBLED: Final = re.compile(rf"(?<!\{{)\{{\{{\s*({_NAMED})\}}\}}(?!\}})")
"""What other tools write for a placeholder, and what would be the same text in every event here."""
_DOUBLED_NAME: Final = re.compile(r"(?<!\{)\{\{\s*([a-z_]\w*)\s*\}\}(?!\})")
_PLACEHOLDER: Final = re.compile(rf"\{{{_NAMED}\}}")
_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANGE: Final = re.compile(r"\s*(-?\d{1,18})\s*\.\.\s*(-?\d{1,18})\s*")
_DECIMAL: Final = rf"(-?)(\d{{1,{18 - DIGITS}}})(?:\.(\d{{1,{DIGITS}}}))?"
_DECIMALS: Final = re.compile(rf"\s*{_DECIMAL}\s*\.\.\s*{_DECIMAL}\s*", re.ASCII)
_WEIGHT: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_WIDTH: Final = re.compile(r"0([1-9]\d?)", re.ASCII)
_LATER: Final = re.compile(r"now\s*([+-])\s*(.*)", re.DOTALL)
_MOST_HEX: Final = 10_000
_DEEPEST: Final = 50
"""Most references that follow on one another."""
_MOST_PARTS: Final = 10_000
_MOST_CHARACTERS: Final = 4_000_000
"""What the texts of an event may amount to, each with all that it refers to: references to references double."""
_MOST_PROBLEMS: Final = 100
_MOST_NAMES: Final = 1000
_LONGEST_SHOWN: Final = 60
_SUGGESTIONS: Final = (
    "correlation_id", "run_id", "seq", "seq:06", "uuid", "now", "now+1h", "int:1..100", "float:0.99..9.99", "hex:8",
    "choice:a,b", "weighted:a=3,b=1", *(f"fake:{kind}" for kind in FAKES),
)  # fmt: skip
EVENT_ATTRIBUTES: Final = ("type", "source", "subject", "key")
"""Settings of an event to which its own templates can refer."""
OWN_NAMES: Final = frozenset(
    {
        "correlation_id", "run_id", "seq", "uuid", "now", "int", "float", "hex", "choice", "weighted", "fake", "data",
        "record", "secrets", *EVENT_ATTRIBUTES,
    }
)  # fmt: skip
"""What stands for something of each event, so that nothing else can be called so."""
_NAME: Final = re.compile(r"[a-z_][A-Za-z0-9_]*")


def is_placeholder(text: str) -> bool:
    """Whether a text is a placeholder and nothing else, by its name."""
    return _PLACEHOLDER.fullmatch(text) is not None


class Late:
    """Values that are known only while the run goes on, such as what an earlier answer held.

    names   all that there may ever be
    values  those of the moment, by name: whoever fills a template sets them before
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self.values: Mapping[str, Any] = _NOTHING

    def texts(self, name: str) -> tuple[str, str, str]:
        """One of them: as text, inside the quotes of a JSON string, and as a JSON value. Raises KeyError."""
        value = self.values[name]
        if value.__class__ is str and value.isascii() and value.isprintable() and not _SPECIAL.search(value):
            return value, value, f'"{value}"'  # what nearly all of them are
        return _cell(value)


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
    late     what is known only when a template is filled
    random   draws all that is drawn, in place of the generators: whoever fills a template has seeded it

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
        late: Late | None = None,
        random: random.Random | None = None,
    ) -> None:
        self.draws: list[Draw] = []
        self.problems: list[TemplateProblem] = []
        self.used: dict[str, _Value] = {}
        """Of what is late, what the templates need."""
        self.draws_at_random = False
        self._late = late or Late(())
        self._random = random
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
        if doubled is None and (self._captured or self._late.names):
            given = self._captured.keys() | self._late.names
            doubled = next((one for one in _DOUBLED_NAME.finditer(template) if one[1] in given), None)
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
            return _plain_text((self._slots(draws.uuids(self._rng(slot)), 1),))
        if later := _LATER.fullmatch(inner):
            return self._moment(inner, *later.groups())
        if (drawn := self._DRAWN.get(name)) is not None:
            return drawn(self, inner, argument, slot)
        if inner in self._late.names and self._fields.get(inner) is None:
            return self._of_late(inner)
        head, dot, rest = inner.partition(".")
        if head == "record" and dot:
            return self._record(rest)
        if inner in EVENT_ATTRIBUTES or head == "data":
            return self._reference(inner)
        if head == "secrets" and dot:
            raise _Unusable(
                f"the placeholder {{{inner}}} would put a secret into an event, which is kept and shown",
                "write it into headers or auth of the producer",
            )
        if inner in self._captured:
            return _given(self._captured[inner])
        raise _Unusable(f"unknown placeholder {{{inner}}}", self._cure(inner))

    def _of_late(self, name: str) -> _Value:
        if name not in self.used:
            first = self._slots(lambda _: self._late.texts(name), 3)
            self.used[name] = _Value((first,), (first + 1,), (first + 2,))
        return self.used[name]

    def _int(self, inner: str, argument: str, slot: str) -> _Value:
        match = _RANGE.fullmatch(argument)
        if not match:
            raise _Unusable(f"{{{inner}}} isn't a range of whole numbers", "write one such as {int:1..100}")
        low, high = int(match[1]), int(match[2])
        if low > high:
            raise _Unusable(f"the range of {{{inner}}} is empty", f"write {{int:{high}..{low}}}")
        return self._number(draws.integers(self._rng(slot), low, high))

    def _float(self, inner: str, argument: str, slot: str) -> _Value:
        match = _DECIMALS.fullmatch(argument)
        if not match:
            raise _Unusable(
                f"{{{inner}}} isn't a range of numbers with at most {DIGITS} digits behind the point",
                "write one such as {float:9.99..299.99}",
            )
        digits = max(1, len(match[3] or ""), len(match[6] or ""))
        low, high = (
            int(f"{sign}{whole}{part or '':0<{digits}}")
            for sign, whole, part in (match.group(1, 2, 3), match.group(4, 5, 6))
        )
        if low > high:
            low_text, high_text = (end.strip() for end in argument.split(".."))
            raise _Unusable(f"the range of {{{inner}}} is empty", f"write {{float:{high_text}..{low_text}}}")
        return self._number(draws.decimals(self._rng(slot), low, high, digits))

    def _number(self, draw: Draw) -> _Value:
        index = self._slots(draw, 1)
        return _Value((index,), (index,), (index,))

    def _hex(self, inner: str, argument: str, slot: str) -> _Value:
        text = argument.strip()
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= _MOST_HEX and len(text) < 6):
            raise _Unusable(
                f"{{{inner}}} isn't a number of digits from 1 to {_MOST_HEX}", "write one such as {hex:8}"
            )
        return _plain_text((self._slots(draws.hexadecimals(self._rng(slot), int(text)), 1),))

    def _padded(self, inner: str, argument: str, slot: str) -> _Value:
        match = _WIDTH.fullmatch(argument.strip())
        if not match:
            raise _Unusable(f"{{{inner}}} doesn't say how wide", "write a width with a 0 before it, such as {seq:06}")
        return _plain_text((self._slots(draws.padded(SEQ, int(match[1])), 1),))

    def _moment(self, inner: str, sign: str, written: str) -> _Value:
        try:
            ns = parse_duration(written.strip())
        except ValueError:
            raise _Unusable(
                f"{{{inner}}} isn't a time that far from now", "write a duration, such as {now+1h} or {now-30s}"
            ) from None
        later = timedelta(microseconds=ns // 1_000)
        return _plain_text((self._slots(draws.moments(NOW, later if sign == "+" else -later), 1),))

    def _choice(self, inner: str, argument: str, slot: str) -> _Value:
        return self._options(draws.choices(self._rng(slot), _texts(inner, argument, "{choice:a,b}")))

    def _weighted(self, inner: str, argument: str, slot: str) -> _Value:
        written = [option.rpartition("=") for option in _written(inner, argument, "{weighted:a=3,b=1}")]
        if wrong := next((option for option in written if not _WEIGHT.fullmatch(option[2].strip())), None):
            raise _Unusable(
                f"{''.join(wrong).strip()!r} in {{{inner}}} has no weight",
                "write one behind it, such as {weighted:a=3,b=1}",
            )
        weights = [float(weight) for *_, weight in written]
        if not sum(weights):
            raise _Unusable(f"all weights of {{{inner}}} are 0", "write one above 0")
        texts = [(text.strip(), _escape(text.strip())) for text, *_ in written]
        return self._options(draws.weighted(self._rng(slot), texts, weights))

    def _fake(self, inner: str, argument: str, slot: str) -> _Value:
        kind = argument.strip()
        if kind not in FAKES:
            known = [f"fake:{one}" for one in FAKES]
            cure = (kind and _suggest(inner, known)) or "what there is: " + _list(known)
            raise _Unusable(f"nobody makes up {{{inner}}}", cure)
        try:
            self.draws_at_random = True
            return self._options(draws.fakes(self._random or f"{self._seed}/{slot}", kind, _escape))
        except ImportError:
            raise _Unusable(
                f"{{{inner}}} needs the package mimesis", "install it, with pip install 'evload[data]'"
            ) from None

    def _options(self, draw: Draw) -> _Value:
        """What gives a text, and the same as it stands in JSON."""
        first = self._slots(draw, 2)
        return _Value((first,), (first + 1,), ('"', first + 1, '"'))

    _DRAWN: Final[Mapping[str, Callable[[Compiler, str, str, str], _Value]]] = MappingProxyType(
        {
            "int": _int, "float": _float, "hex": _hex, "seq": _padded, "choice": _choice, "weighted": _weighted,
            "fake": _fake,
        }
    )  # fmt: skip
    """What is drawn, by what stands before the colon."""

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
                draws.turns(cycle(cells).__next__)
                if self._records.order == "sequential"
                else draws.choices(self._rng("records"), cells)
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
        known = [*_SUGGESTIONS, *EVENT_ATTRIBUTES]
        here = {".".join(map(str, path)) for path in self._under_way}  # that would refer to itself
        known += [name for name in islice(_names(self._fields.get("data"), "data"), _MOST_NAMES) if name not in here]
        known += [f"record.{column}" for column in (self._records.columns if self._records else ())]
        known += [*self._captured, *self._late.names]
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
        self.draws_at_random = True
        return self._random or random.Random(f"{self._seed}/{slot}")


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


def fill_all(parts: Parts) -> FillAll:
    """As `fill`, for some events at a time: to join what stands side by side in columns takes half as long."""
    parts = tuple(part for part in parts if part != "")
    if len(parts) == 1 and isinstance(parts[0], int):
        return itemgetter(parts[0])
    if all(isinstance(part, str) for part in parts):
        constant = "".join(map(str, parts))
        return lambda columns: [constant] * len(columns[0])
    pieces: list[Iterable[str]] = [repeat(part) if isinstance(part, str) else () for part in parts]
    slots = [(place, part) for place, part in enumerate(parts) if isinstance(part, int)]

    def write(columns: Sequence[Column]) -> Column:
        filled = pieces.copy()
        for place, slot in slots:
            filled[place] = columns[slot]
        return list(map("".join, zip(*filled, strict=False)))

    return write


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


def _written(inner: str, argument: str, example: str) -> list[str]:
    """What there is to choose from, as it is written. Raises _Unusable if that is nothing, or too much."""
    if not argument.strip():
        raise _Unusable(f"{{{inner}}} has nothing to choose from", f"write what, such as {example}")
    written = argument.split(",")
    if len(written) > _MOST_PARTS:
        name = inner.partition(":")[0]
        raise _Unusable(f"{{{name}:…}} has more than {_MOST_PARTS} options", "use a data file under records:")
    return written


def _texts(inner: str, argument: str, example: str) -> list[tuple[str, str]]:
    return [(text.strip(), _escape(text.strip())) for text in _written(inner, argument, example)]


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
