"""What became of races, as lines: a line each where there is little room, else their rules and who won."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from rich.text import Text

from ...model.facts import PERCENTILES
from ...model.summary import Summary
from ...report.races import Race, races
from ...report.wording import ends
from ...texts import printable

_REASONS: Final = 5
_EXAMPLES: Final = 3


def rounds(summary: Summary, width: int) -> list[Text]:
    """All that is told of them: how rounds ended, what became of each rule, and who won."""
    lines: list[Text] = []
    for one in races(summary):
        lines.append(Text(printable(one.scenario), style="bold"))
        for told in _told(one):
            lines += _wrapped(told, width, "  ")
    return lines


def rounds_in_short(summary: Summary, width: int) -> list[Text]:
    """A line for each."""
    return [line for one in races(summary) for line in _wrapped(f"{one.scenario}: {_short(one)}", width, "")]


def _told(one: Race) -> Iterator[str]:
    yield from one.sums
    yield one.contended
    if one.remark:
        yield one.remark
    if one.settle is not None:
        told = ", ".join(f"{p} {ends(*one.settle.bracket(PERCENTILES[p]))}" for p in ("p50", "p95", "p99"))
        yield f"settled after the last answer to a contender: {told}"
    for rule in one.rules:
        counts = ((rule.held, "held"), (rule.violated, "broken"), (rule.possible, "perhaps broken"),
                  (rule.unknown, "unknown"))  # fmt: skip
        parts = ", ".join(f"{count:,} {how}" for count, how in counts if count)
        yield f"{rule.name} ({rule.when}): {parts or 'no round'}"
        for example in rule.examples[:_EXAMPLES]:
            yield f"- {example.how} in {example.where}{f': {example.what}' if example.what else ''}"
    for who in one.contenders:
        became = ((who.won, "won"), (who.refused, "refused"), (who.failed, "failed"), (who.doubt, "in doubt"),
                  (who.unsent, "unsent"))  # fmt: skip
        parts = ", ".join(f"{count:,} {how}" for count, how in became if count)
        yield f"{who.name}: {who.due:,} = {parts or '0'}; it won {who.rounds:,} of {one.decided:,} rounds"
    for reason, count in one.reasons[:_REASONS]:
        yield f"{count:,} × {reason}"
    if len(one.reasons) > _REASONS:
        yield f"and {len(one.reasons) - _REASONS:,} more reasons"


def _short(one: Race) -> str:
    counts = one.counts
    if not counts["judged"]:
        return f"{one.sums[0]}; no round was judged"
    broken = [rule for rule in one.rules if rule.violated]
    told = ", ".join(f"{rule.name} broken in {rule.violated:,}" for rule in broken) or "no rule was broken for sure"
    return f"{one.sums[0]}; {told}; {one.contended}{f'; {one.remark}' if one.remark else ''}"


def _wrapped(text: str, width: int, indent: str) -> list[Text]:
    lines = textwrap.wrap(
        printable(text), width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
    return [Text(line) for line in lines]
