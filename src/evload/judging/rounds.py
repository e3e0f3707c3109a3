"""Judges rounds of races: how many broke a rule, how they ended, who won, and whether anybody contended at all.

What depends on contenders in doubt, on rules of which nobody can tell, and on rounds that were cut off makes an
interval. Without contention nothing is shown by rules that held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from ..model.report import Result
from ..model.round import TALLIES, Held
from ..model.rounds import CONTENTION, VIOLATIONS, RoundsSummary, counter_of, state_of
from ..model.summary import ScenarioSummary
from ..objectives.objective import UPPER, Measure, Objective
from .limit_result import NEAR_NOTE, LimitResult, compare, is_near

_CLEAN: Final = (VIOLATIONS, counter_of("violated"))
"""What only rounds that were contended can show the absence of."""
_OPEN: Final = (
    "it depends on contenders in doubt, which may have won or not",
    "nobody can tell: no read said anything, or the rule gave neither true nor false",
    "it isn't known: the round was cut off",
)
_LONGEST: Final = 300
"""Of what is told of an example."""


class Known(NamedTuple):
    """A count as an interval, why it couldn't have counted anything, and why it is not one number; empty if it is."""

    low: int
    high: int
    blind: str = ""
    doubt: str = ""


def judge_rounds(objective: Objective, parts: Mapping[str, ScenarioSummary], limit: Fraction) -> LimitResult:
    """A count or a share of rounds, of broken rules or of contenders, in scenarios by their names."""
    parts = {name: one for name, one in parts.items() if _is_about(objective, one)} or parts
    known = [counted(one, objective) for one in parts.values()]
    whole, blind, doubt = _added_up(known, parts)
    total = sum(_among(one, objective) for one in parts.values()) if objective.measure is Measure.RATE else 1
    if not total:
        return LimitResult(Result.INCONCLUSIVE, note=f"{blind or 'no round was due'}, and no data is no pass")
    low, high = Fraction(whole.low, total), Fraction(whole.high, total)
    holds = compare(objective.operator, low, high, limit)
    if holds is None:
        return LimitResult(Result.INCONCLUSIVE, (low, high), doubt)
    if not holds:
        return LimitResult(Result.FAIL, (low, high), _what_broke(objective, parts.values()))
    if blind:
        return LimitResult(Result.INCONCLUSIVE, (low, high), f"{blind}, and no data is no pass")
    if objective.subject in _CLEAN and objective.operator in (*UPPER, "==") and (why := _uncontended(parts)):
        return LimitResult(Result.INCONCLUSIVE, (low, high), why)
    if is_near(objective.operator, low, high, limit, share=objective.measure is Measure.RATE):
        return LimitResult(Result.WARN, (low, high), NEAR_NOTE)
    return LimitResult(Result.PASS, (low, high), _one_sided(parts) if objective.subject in _CLEAN else "")


def _is_about(objective: Objective, part: ScenarioSummary) -> bool:
    """Whether a race has the rule or the contender that an objective names: of several races others say nothing."""
    rounds = part.rounds or RoundsSummary()
    return objective.rule in (None, *rounds.rules) and objective.contender in (None, *rounds.contenders)


def counted(part: ScenarioSummary, objective: Objective) -> Known:
    """What an objective counts of the rounds of one scenario."""
    rounds = part.rounds or RoundsSummary()
    due = "" if part.ledger["scheduled"] else "no round was due"
    if objective.subject in TALLIES:
        return _contenders(rounds, objective)
    state = state_of(objective.subject)
    if state is not None and state != "violated":
        return Known(part.ledger[state], part.ledger[state], due)
    blind = due or ("" if rounds.judged else "no round was judged")
    if objective.subject == CONTENTION:
        untold = rounds.judged - rounds.contended - rounds.apart
        doubt = f"of {_rounds(untold)} nobody can tell whether requests were in flight at once" if untold else ""
        return Known(rounds.contended, rounds.contended + untold, blind, doubt)
    if state is not None:
        open_ones = (rounds.possible, rounds.unknown, rounds.open)
        return _interval(rounds.violated, open_ones, blind)
    rules = [rule for name, rule in rounds.rules.items() if objective.rule in (None, name)]
    if not rules and not blind:
        blind = "no rule was looked at"
    opened = (sum(one.possible for one in rules), sum(one.unknown for one in rules), sum(one.open for one in rules))
    return _interval(sum(one.violated for one in rules), opened, blind)


def _interval(low: int, opened: tuple[int, int, int], blind: str) -> Known:
    """What was broken for sure, and what may have been: [possible, unknown, cut off]."""
    told = zip(opened, _OPEN, strict=True)
    doubt = "; ".join(f"of {count:,} {what}" for count, what in told if count)
    return Known(low, low + sum(opened), blind, doubt)


def _contenders(rounds: RoundsSummary, objective: Objective) -> Known:
    """Those in doubt may have won, or were refused; that an answer failed is known where there is one."""
    own = [one for name, one in rounds.contenders.items() if objective.contender in (None, name)]
    low = sum(getattr(one, objective.subject) for one in own)
    doubt = sum(one.doubt for one in own) if objective.subject in ("won", "refused") else 0
    told = f"{doubt:,} contenders got no answer, and may have won or not" if doubt else ""
    return Known(low, low + doubt, "" if any(one.due for one in own) else "no contender was due", told)


def _among(part: ScenarioSummary, objective: Objective) -> int:
    """Of how many a counter is a share."""
    rounds = part.rounds or RoundsSummary()
    if objective.subject in TALLIES:
        return sum(one.due for name, one in rounds.contenders.items() if objective.contender in (None, name))
    if objective.subject == CONTENTION:
        return rounds.judged
    if state_of(objective.subject) == "violated":
        return rounds.judged + rounds.broken_off + rounds.open
    return part.ledger["scheduled"]


def _added_up(known: Iterable[Known], parts: Mapping[str, ScenarioSummary]) -> tuple[Known, str, str]:
    """The sum over scenarios; each of them has to say something. Why one doesn't, and why it isn't one number."""
    known = list(known)
    if not known:
        return Known(0, 0), "no race was run", ""
    told = list(zip(parts, known, strict=True))
    blind, doubt = (
        next((_of(name, text, parts) for name, one in told if (text := getattr(one, which))), "")
        for which in ("blind", "doubt")
    )
    return Known(sum(one.low for one in known), sum(one.high for one in known)), blind, doubt


def _of(scenario: str, text: str, parts: Mapping[str, ScenarioSummary]) -> str:
    return f"{scenario}: {text}" if len(parts) > 1 else text


def _uncontended(parts: Mapping[str, ScenarioSummary]) -> str:
    """Why rules that held show nothing; empty if enough rounds of every race were contended."""
    for name, part in parts.items():
        rounds = part.rounds or RoundsSummary()
        if 2 * rounds.contended < rounds.judged:
            judged = _rounds(rounds.judged)
            where = f"only in {rounds.contended:,} of {judged}" if rounds.contended else f"in none of {judged}"
            text = f"{where} contenders were in flight at once, and where nobody contends no rule is put to the test"
            return _of(name, text, parts)
    return ""


def _one_sided(parts: Mapping[str, ScenarioSummary]) -> str:
    """A race that always has the same winner wasn't tried; empty if there is none."""
    told = ((name, one_sided(part.rounds or RoundsSummary())) for name, part in parts.items())
    return next((_of(name, text, parts) for name, text in told if text), "")


def one_sided(rounds: RoundsSummary) -> str:
    """What is to be said of a race that one side won each time; empty if none did."""
    if not rounds.only_winner:
        return ""
    return f"{rounds.only_winner} won {rounds.decided:,} of {rounds.decided:,} rounds: a race that wasn't tried"


def _what_broke(objective: Objective, parts: Iterable[ScenarioSummary]) -> str:
    """An example of a broken rule, where that is what failed."""
    if objective.subject not in _CLEAN:
        return ""
    found = [
        (example, name, rule)
        for part in parts
        for name, rule in (part.rounds or RoundsSummary()).rules.items()
        if objective.rule in (None, name)
        for example in rule.examples.get(Held.VIOLATED, ())
    ]
    if not found:
        return ""
    example, name, rule = min(found, key=lambda one: one[0])
    often = f"in {_rounds(rule.violated)}, first in" if rule.violated > 1 else "in"
    told = example.told if len(example.told) <= _LONGEST else f"{example.told[: _LONGEST - 1]}…"
    return f"{name!r} was broken {often} round {example.number} of {example.scenario}{f': {told}' if told else ''}"


def _rounds(count: int) -> str:
    return f"{count:,} round{'' if count == 1 else 's'}"
