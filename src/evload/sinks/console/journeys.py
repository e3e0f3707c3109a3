"""What became of journeys, as lines: a line each where there is little room, else their steps and why they ended."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from ...model.facts import PERCENTILES
from ...model.summary import Distribution, Summary
from ...report.journeys import Funnel, funnels
from ...report.wording import ends
from ...texts import printable
from ...units import format_share

_COLUMNS: Final = ("sent", "ok", "refused", "failed", "p50", "p95", "p99")
_FIRST_COLUMNS: Final = ("sent", "ok", "failed", "p95", "refused", "p50", "p99")
"""Which of them a narrow terminal keeps longest."""
_REASONS: Final = 5
_GAP: Final = 2
_LONGEST_NAME: Final = 24


def journeys(summary: Summary, width: int) -> list[Text]:
    """All that is told of them: their sums, a line for each step, and why iterations ended."""
    lines: list[Text] = []
    for one in funnels(summary):
        name = _name(one, summary)
        lines += [Text(name, style="bold")]
        for told in one.sums:
            lines += _wrapped(told, width, "  ")
        lines += _steps(one, width)
        for told in one.sent_again:
            lines += _wrapped(told, width, "  ")
        for reason, count in one.reasons[:_REASONS]:
            lines += _wrapped(f"{count:,} × {reason}", width, "  ")
        if len(one.reasons) > _REASONS:
            lines += _wrapped(f"and {len(one.reasons) - _REASONS:,} more reasons", width, "  ")
        for check, count in one.checks:
            lines += _wrapped(f"{count:,} × check {check} wasn't true", width, "  ")
    return lines


def journeys_in_short(summary: Summary, width: int) -> list[Text]:
    """A line for each."""
    return [line for one in funnels(summary) for line in _wrapped(_short(one, _name(one, summary)), width, "")]


def _name(one: Funnel, summary: Summary) -> str:
    of = f" of {one.scenario}" if len(summary.scenarios) > 1 else ""
    return printable(f"{one.journey}{of}")


def _short(one: Funnel, name: str) -> str:
    counts, share = one.counts, one.completed
    if share is None:
        return f"{name}: no iteration was due"
    others = [
        f"{counts[key]:,} {key.replace('_', ' ')}"
        for key in ("refused", "failed", "cut_off", "unsent", "starved")
        if counts[key]
    ]
    took = [] if one.times is None else [f"p95 {ends(*one.times.bracket(PERCENTILES['p95']))}"]
    completed = f"{counts['completed']:,} of {counts['scheduled']:,} iterations completed ({format_share(share)})"
    return f"{name}: {', '.join([completed, *others, *took])}"


def _steps(one: Funnel, width: int) -> Iterator[Text]:
    """A table of the steps, with the whole journey as its last row."""
    counts = one.counts
    whole = (counts["started"], counts["completed"], counts["refused"], counts["failed"])
    table = [(step.name, (step.reached, step.ok, step.refused, step.failed), step.times) for step in one.steps]
    table.append(("the whole journey", whole, one.times))
    rows = [(_cut(name), _cells(figures, times)) for name, figures, times in table]
    first = max(len(name) for name, _ in rows)
    widths = {name: max(len(name), *(len(cells[at]) for _, cells in rows)) for at, name in enumerate(_COLUMNS)}
    left, chosen = width - first - _GAP, set()
    for name in _FIRST_COLUMNS:
        if widths[name] + _GAP <= left:
            left -= widths[name] + _GAP
            chosen.add(name)

    def line(name: str, cells: Sequence[str]) -> str:
        shown = "".join(
            f"{cell:>{widths[column] + _GAP}}"
            for column, cell in zip(_COLUMNS, cells, strict=True)
            if column in chosen
        )
        return f"{' ' * _GAP}{name:<{first}}{shown}"

    yield Text(line("", _COLUMNS), style="dim")
    for name, cells in rows:
        yield Text(line(name, cells))


def _cells(figures: Sequence[int], times: Distribution | None) -> list[str]:
    counts = [f"{count:,}" for count in figures]
    return [*counts, *("" if times is None else ends(*times.bracket(PERCENTILES[p])) for p in ("p50", "p95", "p99"))]


def _cut(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"


def _wrapped(text: str, width: int, indent: str) -> list[Text]:
    lines = textwrap.wrap(
        printable(text), width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
    return [Text(line) for line in lines]
