"""Takes the values that came from the environment out of whatever is about to be shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .yaml import scalar

_SHORTEST: Final = 3
"""Shorter values are left alone: hiding every `5` would hide the report."""
_CUT: Final = "…"
"""Behind what is left of a text that was too long."""


class Redactor:
    """Replaces values by `${NAME}`, also where they are escaped for Python, JSON or a URL, or cut short by `…`.

    The password of a URL is a secret by itself, because an SDK may name it alone. So is what basic
    authentication makes of an address in `texts` that holds a value, because a server may quote it. Values
    that YAML reads as true, false or null are no secrets.
    """

    def __init__(self, given: Mapping[str, str], texts: Iterable[str] = ()) -> None:
        forms: dict[str, str] = {}
        for name, value in given.items():
            for form in _forms(value):
                if len(form) >= _SHORTEST and not isinstance(scalar(form), bool | None):
                    forms.setdefault(form, f"${{{name}}}")
        for text in texts:
            for name in [name for name, value in given.items() if value and value in text]:
                for form in _basic_auth_of(text):
                    forms.setdefault(form, f"${{{name}}}")
        self._forms = sorted(forms.items(), key=lambda item: len(item[0]), reverse=True)
        self._beginnings: dict[str, str] = {}
        for form, name in self._forms:
            # How an address begins is no secret, but what comes behind `https://` may be.
            for length in range(max(_SHORTEST, form.find("://") + 4), len(form)):
                self._beginnings.setdefault(form[:length], name)
        self._longest = max(map(len, self._beginnings), default=0)

    def __call__(self, text: str) -> str:
        """`text` without any secret; the longest is replaced first."""
        for form, name in self._forms:
            text = text.replace(form, name)
        if _CUT not in text:
            return text
        *cut, rest = text.split(_CUT)
        return _CUT.join([*map(self._without_beginning, cut), rest])

    def _without_beginning(self, text: str) -> str:
        """`text` without the beginning of a secret at its end; the longest is replaced."""
        for length in range(min(len(text), self._longest), 0, -1):
            name = self._beginnings.get(text[-length:])
            if name is not None:
                return text[:-length] + name
        return text


def _forms(value: str) -> Iterator[str]:
    for part in (value, value.strip(), *_parts_of_url(value)):
        yield from (part, repr(part)[1:-1], json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
        yield from (quote(part), quote(part, safe=""), quote_plus(part))


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
