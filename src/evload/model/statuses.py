"""Statuses of HTTP, as a config has them: codes and classes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

EXPECT_HELP: Final = "write status codes or classes, such as 2xx or [200, 202, 409]"

_STATUS: Final = re.compile(r"[2-5](?:\d\d|xx)")


def _normal_statuses(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, list | tuple) else [value]
    statuses = tuple("" if isinstance(entry, bool) else str(entry).lower() for entry in entries)
    for entry, status in zip(entries, statuses, strict=True):
        if not _STATUS.fullmatch(status):
            raise ValueError(f"{entry!r} is not a final HTTP status; {EXPECT_HELP}")
    if not statuses:
        raise ValueError(f"no status is expected; {EXPECT_HELP}")
    return statuses


_STATUS_SCHEMA: Final = {
    "anyOf": [{"type": "integer", "minimum": 200, "maximum": 599}, {"type": "string", "pattern": _STATUS.pattern}]
}

Statuses = Annotated[
    tuple[str, ...],
    BeforeValidator(_normal_statuses),
    WithJsonSchema({"anyOf": [*_STATUS_SCHEMA["anyOf"], {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}]}),
]
"""Status codes and classes, as text: `("200", "4xx")`."""


def expand_statuses(statuses: Sequence[str]) -> frozenset[int]:
    """All codes meant by `("2xx", "409")`."""
    return frozenset(
        code
        for status in statuses
        for code in (
            range(int(status[0]) * 100, int(status[0]) * 100 + 100) if status.endswith("xx") else (int(status),)
        )
    )
