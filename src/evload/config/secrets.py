"""Takes values of the environment, and the passwords of a config, out of whatever is about to be shown."""

from __future__ import annotations

import base64
import html.entities
import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
        values: dict[str, str] = {}
        for name, value in given.items():
            for part in (value, value.strip(), *_parts_of_url(value)):
                if len(part) >= _SHORTEST and not isinstance(scalar(part), bool | None):
                    values.setdefault(part, f"${{{name}}}")
        encoded: dict[str, str] = {}
        for text in texts:
            for name in [name for name, value in given.items() if value and value in text]:
                for form in _basic_auth_of(text):
                    encoded.setdefault(form, f"${{{name}}}")
        for value, name in values.items():
            if len(value) >= _SURELY:
                for form in _encoded(value[:_LONGEST]):
                    encoded.setdefault(form, name)
        ordered = sorted(values.items(), key=lambda item: len(item[0]), reverse=True)
        self._long = [_Long.of(value, name) for value, name in ordered if len(value) >= _SURELY]
        self._encoded = [
            (form, _within_base64(form), name)
            for form, name in sorted(encoded.items(), key=lambda item: len(item[0]), reverse=True)
        ]
        self._short = [
            (form, re.compile(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])"), name)
            for value, name in ordered
            if len(value) < _SURELY
            for form in dict.fromkeys(_escaped(value))
        ]
        escaped = [(form, name) for value, name in ordered for form in dict.fromkeys(_escaped(value[:_LONGEST]))]
        # How an address begins is no secret, but what comes behind `https://` may be.
        self._beginnings = [
            (form.lower(), name, max(_SHORTEST, form.find("://") + 4)) for form, name in (*escaped, *encoded.items())
        ]
        self._all = "\0".join(form for form, *_ in self._beginnings)
        self._look = lru_cache(_REMEMBERED)(self._without)

    def __call__(self, text: str) -> str:
        """`text` without any secret; the longest is replaced first."""
        return self._look(text) if self._beginnings else text

    def _without(self, text: str) -> str:
        low = text.lower()
        doubtful = not text.isascii() or not _ESCAPES.isdisjoint(text)
        for value in self._long:
            if doubtful or value.low in low:
                text = value.pattern.sub(value.name, text)
        for form, within, name in self._encoded:
            if form.lower() in low:
                text = within.sub(name, text)
        for form, alone, name in self._short:
            if form in text:
                text = alone.sub(name, text)
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
        if low[-least:] not in self._all:
            return text
        found, instead = 0, ""
        for form, name, from_ in self._beginnings:
            for length in range(min(len(form) - 1, len(low), _LONGEST), max(from_, least, found + 1) - 1, -1):
                if low.endswith(form[:length]):
                    found, instead = length, name
                    break
        return text[:-found] + instead if found else text


class _Long(NamedTuple):
    """A value that is hidden wherever it occurs."""

    low: str
    pattern: re.Pattern[str]
    name: str

    @classmethod
    def of(cls, value: str, name: str) -> _Long:
        pattern = "".join(map(_any_form, value[:_LONGEST]))
        if len(value) > _LONGEST:
            pattern += rf"(?:[\s\S]*?{''.join(map(_any_form, value[-_END:]))}|[\s\S]*)"
        return cls(value[:_LONGEST].lower(), re.compile(pattern, re.IGNORECASE), name)


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
