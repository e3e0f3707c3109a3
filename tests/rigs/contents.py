"""Turns a summary into plain data, so that two of them can be compared down to each bucket."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from evload.stats.histogram import Histogram


def contents(part: Any) -> Any:
    """All that is in a summary or in a part of one."""
    if is_dataclass(part):
        return {field.name: contents(getattr(part, field.name)) for field in fields(part)}
    if isinstance(part, Histogram):
        return {name: getattr(part, name) for name in Histogram.__slots__}
    if isinstance(part, dict):
        return {key: contents(value) for key, value in part.items()}
    return part
