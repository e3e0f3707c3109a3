"""Reads JSON with whole numbers as they are, however long."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

_LONG: Final = re.compile(rb"[0-9]{19}")
"""What orjson may make a double of: 2^63 has 19 digits."""


def loads(data: bytes | str) -> Any:
    """The value that a JSON text stands for. Raises ValueError if it is none.

    orjson makes doubles of numbers beyond 64 bits, and an id that went through one is another id. So a text that has
    such a number is read by the slower parser that doesn't.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if _LONG.search(raw) is None:
        return orjson.loads(raw)
    try:
        found = json.loads(raw, parse_constant=_refuse)
        if b"\\u" in raw:
            json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no character
        return found
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
