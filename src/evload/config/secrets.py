"""Takes values of the environment, and the passwords of a config, out of whatever is about to be shown."""

from __future__ import annotations

import base64
import html.entities
import json
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .yaml import scalar

_SURELY: Final = 8
"""From this length on a value is hidden wherever it occurs, in any encoding. A shorter one may well be part of a
word, and is hidden as a word alone."""
_SHORTEST: Final = 3
"""Still shorter values are left alone: hiding every `5` would hide the report."""
_LONGEST: Final = 1000
"""Letters of a value that are looked at one by one. Of a longer one its beginning is, and its end."""
_END: Final = 50
_CUT: Final = "…"
"""Behind what is left of a text that was too long."""
_CUTS: Final = re.compile(r"(?<=\S)(?:…|\.\.\.|$)")
_SEED: Final = 6
"""Letters of a token by which it is looked for."""
_TOKEN: Final = re.compile(rf"[\w.~+/=-]{{{_SEED + 1},}}", re.ASCII)
"""Of such letters none is the beginning of another one's escape."""
_REMEMBERED_VALUES: Final = 20
"""Of one name. Each is in use for a second at least, mostly for minutes: longer than anybody waits for an answer."""
_ESCAPES: Final = frozenset("%&\\+")
"""Without any of them nothing in a text is escaped for a URL, for HTML, for JSON, for Python."""
_REMEMBERED: Final = 4096
"""Texts that were looked at: a target that is down says the same of each event."""
_AS_LETTERS: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a", "\0": "0"}
"""What stands behind a backslash for them."""
_NAMED: Final[Mapping[str, str]] = {
    letter: name.removesuffix(";") for name, letter in html.entities.html5.items() if name.endswith(";")
}


class Redactor:
    """Replaces values by `${NAME}`, however they are quoted: escaped for Python, JSON, HTML or a URL, in base64 or in
    hexadecimal, in other case, or cut short.

    The password of a URL is a secret by itself, because an SDK may name it alone. So is what basic
    authentication makes of an address in `texts` that holds a value, because a server may quote it. Values
    that YAML reads as true, false or null are no secrets.
    """

    def __init__(self, given: Mapping[str, str], texts: Iterable[str] = ()) -> None:
        self.given = given
        self._rows: dict[str, _Rows] = {}
        """By the values, what each of them is found by."""
        for name, value in given.items():
            self._add(f"${{{name}}}", value)
        for text in texts:
            for name in [name for name, value in given.items() if value and value in text]:
                for form in _basic_auth_of(text):
                    self._rows.setdefault(form, _Rows.of_encoded(form, f"${{{name}}}"))
        self._learnt: dict[str, deque[list[str]]] = {}
        self._tables = _Tables(self._rows.values())
        self._look = lru_cache(_REMEMBERED)(self._tables.without)

    def __call__(self, text: str) -> str:
        """`text` without any secret; the longest is replaced first."""
        return self._look(text) if self._rows else text

    def learn(self, shown: str, value: str) -> None:
        """Another value has come, in whose place `shown` stands from now on.

        Of those that came before it under that name the last few are known as well: a target can quote a token only
        in its answer to a request with it, and what was said earlier was looked through when it was said. To look for
        all tokens of a week in each text would cost the run more than its events.
        """
        values = self._learnt.setdefault(shown, deque())
        if any(value in each for each in values):
            return
        values.append(self._add(shown, value))
        if len(values) > _REMEMBERED_VALUES:
            for each in values.popleft():
                del self._rows[each]
        self._tables = _Tables(self._rows.values())
        self._look = lru_cache(_REMEMBERED)(self._tables.without)

    def _add(self, shown: str, value: str) -> list[str]:
        """What of a value is a secret, as far as it wasn't known."""
        added = []
        for part in (value, value.strip(), *_parts_of_url(value)):
            if len(part) >= _SHORTEST and part not in self._rows and not isinstance(scalar(part), bool | None):
                self._rows[part] = _Rows.of(part, shown)
                added.append(part)
        return added


class _Tables:
    """All that is looked for in a text."""

    def __init__(self, rows: Iterable[_Rows]) -> None:
        rows = sorted(rows, key=lambda row: len(row.value), reverse=True)
        self._long = [long for row in rows for long in row.long]
        self._encoded = sorted((form for row in rows for form in row.encoded), key=lambda form: -len(form.low))
        self._lengths = [-len(form.low) for form in self._encoded]
        self._short = [short for row in rows for short in row.short]
        self._beginnings = [beginning for row in rows for beginning in row.beginnings]
        self._heads = {
            least: frozenset(beginning.form[:least] for beginning in self._beginnings)
            for least in (_SHORTEST, _SURELY)
        }

    def without(self, text: str) -> str:
        """The text without any of it."""
        low = text.lower()
        doubtful = not text.isascii() or not _ESCAPES.isdisjoint(text)
        for value in self._long:
            if doubtful or value.low in low:
                text = value.taken_out(text)
        # What is longer than the text isn't in it.
        for at in range(bisect_left(self._lengths, -len(low)), len(self._encoded)):
            if self._encoded[at].low in low:
                text = self._encoded[at].taken_out(text)
        for short in self._short:
            if short.form in text:
                text = short.pattern.sub(short.name, text)
        return self._without_beginnings(text)

    def _without_beginnings(self, text: str) -> str:
        """`text` without the beginnings of secrets where it was cut: by us, or by whoever said it, at its end."""
        parts, at = [], 0
        for cut in _CUTS.finditer(text):
            before, ours = text[at : cut.start()], cut[0] == _CUT
            parts += [self._without_beginning(before, _SHORTEST if ours else _SURELY), cut[0]]
            at = cut.end()
        return "".join(parts) + text[at:]

    def _without_beginning(self, text: str, least: int) -> str:
        """`text` without the beginning of a secret at its end, the longest that has `least` letters or more."""
        low = text.lower()
        if len(low) != len(text):
            low = text
        heads, begin = self._heads[least], max(0, len(low) - _LONGEST)
        if not any(low[at : at + least] in heads for at in range(begin, len(low) - least + 1)):
            return text
        found, instead = 0, ""
        for form, name, from_ in self._beginnings:
            for length in range(min(len(form) - 1, len(low), _LONGEST), max(from_, least, found + 1) - 1, -1):
                if low.endswith(form[:length]):
                    found, instead = length, name
                    break
        return text[:-found] + instead if found else text


class _Rows(NamedTuple):
    """What one value is found by."""

    value: str
    long: Sequence[_Long]
    encoded: Sequence[_Encoded]
    short: Sequence[_Short]
    beginnings: Sequence[_Beginning]

    @classmethod
    def of(cls, value: str, name: str) -> _Rows:
        escaped = dict.fromkeys(_escaped(value[:_LONGEST]))
        if len(value) < _SURELY:
            short = [_Short.of(form, name) for form in dict.fromkeys(_escaped(value))]
            return cls(value, [], [], short, [_Beginning.of(form, name) for form in escaped])
        encoded = dict.fromkeys(_encoded(value[:_LONGEST]))
        beginnings = [_Beginning.of(form, name) for form in dict.fromkeys([*escaped, *encoded])]
        return cls(value, [_Long(value, name)], [_Encoded(form, name) for form in encoded], [], beginnings)

    @classmethod
    def of_encoded(cls, form: str, name: str) -> _Rows:
        """Of what somebody else has encoded."""
        return cls(form, [], [_Encoded(form, name)], [], [_Beginning.of(form, name)])


class _Short(NamedTuple):
    """A value that is hidden as a word of its own."""

    form: str
    pattern: re.Pattern[str]
    name: str

    @classmethod
    def of(cls, form: str, name: str) -> _Short:
        return cls(form, re.compile(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])"), name)


class _Beginning(NamedTuple):
    """A form of a value whose beginning is hidden where it was cut, from so many letters on.

    How an address begins is no secret, but what comes behind `https://` may be.
    """

    form: str
    name: str
    least: int

    @classmethod
    def of(cls, form: str, name: str) -> _Beginning:
        return cls(form.lower(), name, max(_SHORTEST, form.find("://") + 4))


class _Encoded:
    """A value in base64 or in hexadecimal. The pattern is made when it is found for the first time: nearly never."""

    def __init__(self, form: str, name: str) -> None:
        self.low = form.lower()
        self._form = form
        self._name = name
        self._pattern: re.Pattern[str] | None = None

    def taken_out(self, text: str) -> str:
        if self._pattern is None:
            self._pattern = _within_base64(self._form)
        return self._pattern.sub(lambda _: self._name, text)


class _Long:
    """A value that is hidden wherever it occurs.

    A pattern of all forms of a thousand letters takes half a second to make, and a token comes in the middle of a
    run: of one whose letters stand for nothing else, as those of tokens do, only the beginning is a pattern, and
    the others are looked at one by one where that is found.
    """

    def __init__(self, value: str, name: str) -> None:
        self.low = value[:_LONGEST].lower()
        self._least = min(len(value), _LONGEST)
        self._name = name
        self._pattern: re.Pattern[str] | None = None
        self._value = value
        self._rest = value[_SEED:_LONGEST] if _TOKEN.fullmatch(value) else ""

    def taken_out(self, text: str) -> str:
        if len(text) < self._least:
            return text
        if self._pattern is None:
            self._pattern = self._compiled()
        if not self._rest:
            return self._pattern.sub(lambda _: self._name, text)
        parts, at, look = [], 0, 0
        while found := self._pattern.search(text, look):
            end = self._end(text, found.end())
            if end is None:
                look = found.start() + 1
            else:
                parts += [text[at : found.start()], self._name]
                at = look = end
        return "".join(parts) + text[at:]

    def _compiled(self) -> re.Pattern[str]:
        value = self._value
        if self._rest:
            return re.compile("".join(map(_any_form, value[:_SEED])), re.IGNORECASE)
        pattern = "".join(map(_any_form, value[:_LONGEST]))
        if len(value) > _LONGEST:
            pattern += rf"(?:[\s\S]*?{''.join(map(_any_form, value[-_END:]))}|[\s\S]*)"
        return re.compile(pattern, re.IGNORECASE)

    def _end(self, text: str, at: int) -> int | None:
        """Where the value ends of which the first letters end at `at`; None if it is another one."""
        for letter in self._rest:
            found = _form_of(letter).match(text, at)
            if found is None:
                return None
            at = found.end()
        if len(self._value) <= _LONGEST:
            return at
        tail = re.compile("".join(map(_any_form, self._value[-_END:])), re.IGNORECASE).search(text, at)
        return len(text) if tail is None else tail.end()


@lru_cache(256)
def _form_of(letter: str) -> re.Pattern[str]:
    return re.compile(_any_form(letter), re.IGNORECASE)


def _any_form(letter: str) -> str:
    """A pattern for a letter and all that it may be escaped to, once or several times over."""
    code = ord(letter)
    forms = [
        re.escape(letter),
        "".join(f"%(?:25)*{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass")),
        rf"&(?:amp;)*\#(?:0*{code}|x0*{code:x});?",
        r"\\+".join(["", *(f"u{unit:04x}" for unit in _utf16(letter))]),
    ]
    if code < 256:
        forms.append(rf"\\+x{code:02x}")
    if code > 0xFFFF:
        forms.append(rf"\\+U{code:08x}")
    if letter in _NAMED:
        forms.append(rf"&(?:amp;)*{_NAMED[letter]};")
    if letter == " ":
        forms.append(r"\+")
    if letter == "\\":
        forms.append(r"\\+")
    elif letter in _AS_LETTERS:
        forms.append(rf"\\+{_AS_LETTERS[letter]}")
    elif not letter.isalnum():
        forms.append(rf"\\+{re.escape(letter)}")
    # What is escaped comes first: a backslash before a letter belongs to it.
    return f"(?:{'|'.join(reversed(forms))})"


def _utf16(letter: str) -> Iterator[int]:
    units = letter.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))


def _escaped(value: str) -> Iterator[str]:
    """A value as Python, JSON and URLs have it."""
    yield from (value, repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (quote(value), quote(value, safe=""), quote_plus(value))


def _encoded(value: str) -> Iterator[str]:
    """What base64 makes of a value wherever it begins, as far as that doesn't depend on what is around it; and
    hexadecimal digits."""
    content = value.encode("utf-8", "surrogatepass")
    yield content.hex()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + content).decode()
        own = whole[-(-8 * before // 6) : (8 * (before + len(content))) // 6]
        yield own
        yield own.replace("+", "-").replace("/", "_")


def _within_base64(form: str) -> re.Pattern[str]:
    """Such a form with the letters at its ends that say something of the value and of its surroundings alike.

    Where it is only the beginning of a longer one it is all that follows.
    """
    after = r"[a-z0-9+/_-]*={0,2}" if len(form) > _LONGEST else "(?:[a-z0-9+/_-]{0,3}={1,2}|[a-z0-9+/_-]?)"
    return re.compile(rf"[a-z0-9+/_-]?{re.escape(form)}{after}", re.IGNORECASE)


def _basic_auth_of(text: str) -> Iterator[str]:
    """The credentials of an address as the Authorization header has them."""
    try:
        url = urlsplit(text)
    except ValueError:
        return
    if url.username is not None:
        yield base64.b64encode(f"{unquote(url.username)}:{unquote(url.password or '')}".encode()).decode()


def _parts_of_url(value: str) -> Iterator[str]:
    """What is shown of an address where its credentials and its query are left out; and its password."""
    try:
        url = urlsplit(value)
        password = url.password or ""
    except ValueError:
        return
    if url.scheme and url.netloc:
        bare = url._replace(netloc=url.netloc.rpartition("@")[2])
        yield from (bare.geturl(), bare._replace(query="", fragment="").geturl(), password, unquote(password))
