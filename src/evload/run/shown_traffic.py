"""What was sent and what came, made fit to be shown: without secrets, cut short, and as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ..spi.traffic import Message
from ..texts import TELLING

HIDDEN: Final = "***"
_LOOKED_AT: Final = 1 << 16
"""Bytes of a body that are looked at."""
_HEX: Final = 32
_SECRET: Final = re.compile(TELLING, re.IGNORECASE)
_SECRET_HEADER: Final = re.compile(rf"{TELLING}|session", re.IGNORECASE)
_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): (.*)")
_SCHEME: Final = re.compile(r"(Basic|Bearer|Digest|Negotiate|AWS4-HMAC-SHA256) ", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"([?&]|^)([^=&?\s]+)=([^&\s]*)")
_FIELD: Final = re.compile(
    rf'("[^"]*(?:{TELLING})[^"]*"\s*:\s*)("(?:[^"\\]|\\.)*(?:"|$)|-?\d[\w.+-]*)', re.IGNORECASE
)

Redact = Callable[[str], str]


class Shown(NamedTuple):
    """A message for people. `size` is the length of its body in bytes, of which `body` may be the beginning."""

    head: str
    body: str
    size: int


def shown(message: Message, redact: Redact, most: int = 2000) -> Shown:
    """The message with at most so many characters of its body."""
    return Shown(redact(_head(message.head)), _body(message.body, redact, most), len(message.body))


def hidden_value(expression: str) -> bool:
    """Whether what an expression finds is no one's business, going by the fields that it names."""
    return _SECRET.search(expression) is not None


def without_secrets(text: str, redact: Redact) -> str:
    """A text of a target's, for people."""
    return redact(_fields(text))


def _head(head: str) -> str:
    first, *lines = head.split("\n")
    return "\n".join([_parameters(first), *map(_line, lines)])


def _line(line: str) -> str:
    match = _LINE.fullmatch(line)
    if match is None:
        return line
    name, value = match.groups()
    if not _SECRET_HEADER.search(name):
        return f"{name}: {_parameters(value)}" if "=" in value and "://" in value else line
    scheme = _SCHEME.match(value)
    return f"{name}: {scheme[0] if scheme else ''}{HIDDEN}"


def _parameters(text: str) -> str:
    return _PARAMETER.sub(
        lambda match: f"{match[1]}{match[2]}={HIDDEN}" if _SECRET_HEADER.search(match[2]) else match[0], text
    )


def _fields(text: str) -> str:
    return _FIELD.sub(rf'\1"{HIDDEN}"', text)


def _body(body: bytes, redact: Redact, most: int) -> str:
    beginning = body[:_LOOKED_AT]
    try:
        text = beginning.decode()
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3 or len(body) <= _LOOKED_AT:
            return redact(f"{len(body)} bytes that are no text: {beginning[:_HEX].hex()}…")
        text = beginning[: error.start].decode()
    text = redact(_fields(text if "\n" in text or "=" not in text else _parameters(text)))
    return text if len(text) <= most and len(body) <= _LOOKED_AT else f"{text[:most]}…"
