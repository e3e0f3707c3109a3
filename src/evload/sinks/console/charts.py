"""Draws with characters: the shape of a load, the course of a value, and a value against its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.text import Text

_LEVELS: Final = " ▁▂▃▄▅▆▇█"
_STEPS: Final = len(_LEVELS) - 1
_BURST: Final = "│"
_LIMIT: Final = "┄"
_ABOVE: Final = "!"
_HEADROOM: Final = 1.25
"""A chart reaches at least this far above its limit."""
GOOD: Final = "cyan"
BAD: Final = "bold red"
QUIET: Final = "dim"

Stretch = tuple[float, float, float, float]
"""Start, end, the rate at both."""


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The newest values, one character each, from 0 to the largest; what is unknown is blank."""
    shown = values[-width:] if width > 0 else ()
    top = max((value for value in shown if value is not None and math.isfinite(value)), default=0.0)
    return "".join(" " if value is None else _LEVELS[max(1, _level(value, top, _STEPS))] for value in shown)


def shape(stretches: Sequence[Stretch], total: float, peak: float, width: int) -> str:
    """The rate over time, from 0 to `peak`; blank where nothing is sent, a bar for a burst."""
    columns = [" "] * width
    for start, end, first, last in stretches:
        if start == end:
            continue
        for column in range(width):
            middle = (column + 0.5) * total / width
            if start <= middle < end:
                rate = first + (last - first) * (middle - start) / (end - start)
                columns[column] = _LEVELS[max(1, _level(rate, peak, _STEPS))] if rate else " "
    for start, end, _, _ in stretches:
        if start == end:
            columns[_column(start, total, width)] = _BURST
    return "".join(columns)


def cursor(elapsed: float, total: float, width: int) -> Text:
    """How far it is: a line up to where we are."""
    place = _column(elapsed, total, width)
    return Text.assemble(("─" * place, GOOD), ("▲", "bold"))


def chart(
    values: Sequence[float | None], limit: float | None, width: int, rows: int, name: str = ""
) -> list[tuple[str, Text]]:
    """The newest values from 0 on, `rows` high, with the limit as a line; each row with what stands beside it.

    What is above the limit is coloured, and marked by a character in a row of its own over the others.
    """
    shown = values[-width:]
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if limit is not None:
        known.append(limit * _HEADROOM)
    top = max(known, default=0.0)
    levels = [0 if value is None else max(1, _level(value, top, _STEPS * rows)) for value in shown]
    above = [limit is not None and value is not None and value > limit for value in shown]
    lines = []
    if any(above):
        lines.append(("above limit", Text("".join(_ABOVE if bad else " " for bad in above), style=BAD)))
    at = _row_of_limit(limit, top, rows)
    for row in reversed(range(rows)):
        line = Text()
        for level, bad in zip(levels, above, strict=True):
            cell = min(max(level - row * _STEPS, 0), _STEPS)
            if cell:
                line.append(_LEVELS[cell], style=BAD if bad else GOOD)
            else:
                line.append(_LIMIT if row == at else " ", style=QUIET)
        if row == at:
            line.append(_LIMIT * (width - len(shown)), style=QUIET)
        lines.append(("limit" if row == at else name if not row else "", line))
    return lines


def _row_of_limit(limit: float | None, top: float, rows: int) -> int | None:
    """The row, from 0 at the bottom, in which the limit lies; in a single row there is no place for a line."""
    if limit is None or rows < 2 or not top:
        return None
    return min(int(limit / top * rows), rows - 1)


def _level(value: float, top: float, steps: int) -> int:
    if not math.isfinite(value):
        return steps
    return min(round(value / top * steps), steps) if top else 0


def _column(moment: float, total: float, width: int) -> int:
    return min(int(moment / total * width), width - 1) if total > 0 else 0
