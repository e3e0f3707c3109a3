"""The rounds of a race as the page shows them: a row with a bar for each rule and for each contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...report.races import Contender, Race, Rule
from ...report.races import Told as Example
from .funnel import SHOWN, bars, cells

RULES: Final = ("held", "broken", "perhaps", "unknown")
CONTENDERS: Final = ("due", "won", "refused", "failed", "in doubt", "unsent", "rounds won")
_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A rule or a contender.

    note   when a rule has to hold; empty of a contender
    bars   (tone, from, width) on a scale that all rows of their table share
    cells  its figures
    """

    name: str
    note: str
    bars: Sequence[tuple[str, float, float]]
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Told:
    """A race of a scenario, for people. `settle` has the figures SHOWN of the time to settle, none without one."""

    scenario: str
    sums: Sequence[str]
    contended: str
    remark: str
    settle: Sequence[tuple[str, str]]
    rules: Sequence[Row]
    examples: Sequence[tuple[str, Example]]
    contenders: Sequence[Row]
    reasons: Sequence[tuple[str, int]]
    more: int


def race_of(race: Race) -> Told:
    """The race with its bars drawn."""
    most_rounds = max((_looked_at(rule) for rule in race.rules), default=0)
    most_due = max((one.due for one in race.contenders), default=0)
    return Told(
        race.scenario,
        race.sums,
        race.contended,
        race.remark,
        [] if race.settle is None else list(zip(SHOWN, cells(race.settle), strict=True)),
        [_rule(rule, max(1, most_rounds)) for rule in race.rules],
        [(rule.name, example) for rule in race.rules for example in rule.examples],
        [_contender(one, race.decided, max(1, most_due)) for one in race.contenders],
        race.reasons[:_REASONS],
        len(race.reasons[_REASONS:]),
    )


def _looked_at(rule: Rule) -> int:
    return rule.held + rule.violated + rule.possible + rule.unknown


def _rule(rule: Rule, most: int) -> Row:
    drawn = bars((rule.held, rule.possible, rule.violated, rule.unknown), most)
    counts = (rule.held, rule.violated, rule.possible, rule.unknown)
    return Row(rule.name, rule.when, drawn, [f"{count:,}" for count in counts])


def _contender(one: Contender, decided: int, most: int) -> Row:
    drawn = bars((one.won, one.refused, one.failed, one.doubt + one.unsent), most)
    counts = (one.due, one.won, one.refused, one.failed, one.doubt, one.unsent)
    return Row(one.name, "", drawn, [*(f"{count:,}" for count in counts), f"{one.rounds:,} of {decided:,}"])
