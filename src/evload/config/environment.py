"""`${NAME}`, `${NAME:-default}` and `${params.NAME}` in the texts of a config, from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAM: Final = "params."
_BRACE: Final = re.compile(r"[{}]")
_DEEPEST: Final = 20
"""Most braces within braces."""
_LONGEST: Final = 1_000_000
"""Most characters that variables may amount to, wherever they are used: a long one may be used often."""


class Environment:
    """Substitutes variables, and remembers which values it gave away: those are secrets."""

    def __init__(self, variables: Mapping[str, str], params: Mapping[str, str] = {}) -> None:
        self._variables = variables
        self._params = params
        self.given: dict[str, str] = {}
        """Names and values of the variables used so far; a default that was taken is not among them."""
        self._characters = 0

    def substitute(self, text: str) -> str:
        """`text` with its variables replaced and `$$` turned into `$`.

        As in a shell, the default of `${NAME:-default}` also stands in for an empty value. It may hold
        variables itself, and braces in pairs. Raises ValueError (`what is wrong; what would be right`)
        for a variable that isn't set and for a `${` that is no variable.
        """
        parts = []
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            if text.startswith("${", dollar):
                end = _closing_brace(text, dollar + 1)
                parts.append(self._value(text[dollar + 2 : end]))
                at = end + 1
            else:
                parts.append("$")
                at = dollar + (2 if text.startswith("$$", dollar) else 1)
        return "".join(parts) + text[at:]

    def _value(self, reference: str) -> str:
        name, has_default, default = reference.partition(":-")
        if name.startswith(_PARAM):
            return self._param(name.removeprefix(_PARAM), default if has_default else None)
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"'${{{reference}}}' names no environment variable; write ${{NAME}} or ${{NAME:-default}}, "
                "or $$ for a dollar sign"
            )
        return self.take(name, default if has_default else None)

    def has(self, name: str) -> bool:
        """Whether a variable is set."""
        return name in self._variables

    def take(self, name: str | None, default: str | None) -> str:
        """The value of a variable, or what a default amounts to. Raises ValueError where there is neither."""
        value = None if name is None else self._variables.get(name)
        if default is not None and not value:
            return self.substitute(default)
        assert name is not None, "without a variable there is a default"
        if value is None:
            raise ValueError(f"environment variable {name} isn't set; set it, or write ${{{name}:-a default}}")
        if not _is_utf8(value):
            raise ValueError(f"the value of environment variable {name} isn't UTF-8; set it to text")
        self._count(name, value)
        self.given[name] = value
        return value

    def _param(self, name: str, default: str | None) -> str:
        value = self._params.get(name)
        if default is not None and not value:
            return self.substitute(default)
        if value is None:
            raise ValueError(f"there is no value of a param {name!r}; write it under params:")
        self._count(f"params.{name}", value)
        return value

    def _count(self, name: str, value: str) -> None:
        self._characters += len(value)
        if self._characters > _LONGEST:
            raise ValueError(f"with {name} the variables are longer than {_LONGEST} characters; use fewer of them")


def _is_utf8(value: str) -> bool:
    """Whether Python decoded the bytes of a variable, or only smuggled them into text."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _closing_brace(text: str, opening: int) -> int:
    depth = 0
    for brace in _BRACE.finditer(text, opening):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
        if depth > _DEEPEST:
            raise ValueError(f"a default has braces within more than {_DEEPEST} others; use fewer")
    raise ValueError("'${' is never closed; write ${NAME}, or $$ for a dollar sign")
