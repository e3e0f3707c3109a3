"""The iterations of a journey as the page shows them: a row for each step, with a bar that says how far they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...model.summary import Distribution
from ...report.journeys import Funnel, Step
from ...report.wording import ends
from .drawings import WIDTH

SHOWN: Final = ("p50", "p95", "p99", "max")
_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the funnel.

    bars    (tone, from, width) on a scale that all rows of a journey share
    counts  how often it was sent, and how many of the answers were ok, refused and failed
    cells   its times
    ended   the iterations that ended there
    """

    name: str
    bars: Sequence[tuple[str, float, float]]
    counts: Sequence[int]
    cells: Sequence[str]
    ended: str = ""
    is_step: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """A journey of a scenario, for people."""

    scenario: str
    journey: str
    sums: Sequence[str]
    rows: Sequence[Row]
    sent_again: Sequence[str]
    reasons: Sequence[tuple[str, int]]
    more: int
    checks: Sequence[tuple[str, int]]


def told_of(funnel: Funnel) -> Told:
    """The journey with its bars drawn."""
    counts = funnel.counts
    most = max(1, counts["scheduled"], *(step.reached for step in funnel.steps))
    whole = (counts["completed"], counts["refused"], counts["failed"])
    last = Row(
        "the whole journey",
        bars((*whole, counts["cut_off"]), most),
        (counts["started"], *whole),
        cells(funnel.times),
        f"{counts['cut_off']:,} cut off" if counts["cut_off"] else "",
        is_step=False,
    )
    return Told(
        funnel.scenario,
        funnel.journey,
        funnel.sums,
        [*(_row(step, most) for step in funnel.steps), last],
        funnel.sent_again,
        funnel.reasons[:_REASONS],
        len(funnel.reasons[_REASONS:]),
        funnel.checks,
    )


def _row(step: Step, most: int) -> Row:
    answers = (step.ok, step.refused, step.failed)
    return Row(
        step.name,
        bars((*answers, max(0, step.reached - sum(answers))), most),
        (step.reached, *answers),
        cells(step.times),
        ", ".join(f"{count:,} {how}" for how, count in step.ended),
    )


def bars(counts: Sequence[int], most: int) -> list[tuple[str, float, float]]:
    """(tone, from, width) of what went well, was a no or may be either, went wrong, and of which nobody knows."""
    drawn, at = [], 0.0
    for tone, count in zip(("good", "warn", "bad", "open"), counts, strict=True):
        width = WIDTH * count / most
        if count:
            drawn.append((tone, at, max(width, 1.0)))
        at += width
    return drawn


def cells(times: Distribution | None) -> list[str]:
    """The figures SHOWN of some times."""
    if times is None:
        return [""] * len(SHOWN)
    figures = times.figures()
    return [ends(*figures[name]) for name in SHOWN]
