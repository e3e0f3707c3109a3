"""Statements with placeholders for values, which are bound and never pasted. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ...spi.activity import PLACEHOLDER, Values
from .._shared.failing import Failed

_REST: Final = (
    r"\"(?:[^\"]|\"\")*\" | `[^`]*` | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | (?P<end>;) | "
    rf"(?P<value>{PLACEHOLDER.pattern})"
)
_FLAGS: Final = re.DOTALL | re.VERBOSE
_STANDARD: Final = re.compile(rf"(?P<text>'(?:[^']|'')*') | {_REST}", _FLAGS)
_MYSQL: Final = re.compile(rf"(?P<text>'(?:[^'\\]|''|\\.)*') | \#[^\n]* | {_REST}", _FLAGS)
"""Its texts know a backslash, and its remarks another beginning."""
_DEFINES: Final = re.compile(r"\s*(create|alter|do|begin|declare)\b", re.IGNORECASE)
"""What may hold statements, with semicolons of their own."""


class Statement(NamedTuple):
    """One statement: its parts before, between and after the values, and the values' names.

    quoted  names that stand within a text, where nothing is bound
    """

    parts: Sequence[str]
    names: Sequence[str]
    quoted: Sequence[str]

    def bound(self, values: Values) -> list[Any]:
        """The values of its placeholders. Raises Failed."""
        for name in self.quoted:
            if name in values:
                raise Failed(f"{{{name}}} stands in quotes; leave them out, a value is bound as it is")
        for name in self.names:
            if name not in values:
                raise Failed(f"there is no value {name!r} for {{{name}}}")
        return [values[name] for name in self.names]


def parse_statement(text: str, *, mysql: bool = False) -> Statement:
    """Take a statement apart. Raises ValueError, `what is wrong; what would be right`."""
    text = text.strip().removesuffix(";").rstrip()
    if not text:
        raise ValueError("sql holds an empty statement; write one such as UPDATE flags SET slow = true")
    parts, names, quoted, at = [], [], [], 0
    for token in (_MYSQL if mysql else _STANDARD).finditer(text):
        if token["end"] and not _DEFINES.match(text):
            raise ValueError("sql holds several statements in one text; write a list of them")
        if token["text"]:
            quoted += [found[1] for found in PLACEHOLDER.finditer(token[0])]
        elif token["value"]:
            parts.append(text[at : token.start()])
            names.append(token["value"][1:-1])
            at = token.end()
    return Statement([*parts, text[at:]], names, quoted)
