"""Folds rounds of races that are over into counts, times, and what became of their rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..model.iteration import OTHERS
from ..model.round import SETTLE, TALLIES, Held, Round, RoundEnd, RuleResult
from ..model.rounds import ContenderSummary, Example, RoundsSummary, RuleSummary
from ..model.summary import ScenarioSummary, slice_label
from .fold_plan import Counted, RacePlan, ScenarioPlan, Slice
from .metric_fold import MetricFold

_MOST_REASONS: Final = 50
"""Reasons that are told apart: what a target says may be something else each time."""
_WORST_FIRST: Final = (Held.VIOLATED, Held.POSSIBLE, Held.UNKNOWN)
"""By the worst of its rules a round is counted."""
WasThen = Callable[[Slice, int], bool]
"""Whether what was due at a time since the schedule began belongs to a part by time."""


class RoundFold:
    """The rounds of one scenario: a slice of it, and one for each part by time that somebody asks for. Complete after
    `flush`."""

    def __init__(self, plan: ScenarioPlan, slices: dict[str, ScenarioSummary]) -> None:
        self._folds: list[_Fold] = []
        if plan.race is not None:
            for part in _parts_of(plan):
                fold = _Fold(plan.name, plan.race, part)
                slices[part.label] = fold.summary
                self._folds.append(fold)

    def count(self, one: Round, start_ns: int, was_then: WasThen) -> None:
        """Count a round that is over. The schedule began at `start_ns`; `was_then` tells what belongs to a part by
        time."""
        for fold in self._folds:
            if not fold.part.timed or was_then(fold.part, one.intended_ns - start_ns):
                fold.count(one, start_ns)

    def flush(self) -> None:
        """Fold what was counted into the distributions."""
        for fold in self._folds:
            fold.settle.flush()


def _parts_of(plan: ScenarioPlan) -> Iterable[Slice]:
    """All rounds, and the parts by time that somebody asks for."""
    asked: dict[tuple[str | None, str | None], Counted] = {(None, None): plan.counted.of_rounds()}
    for part in plan.slices:
        if part.race:
            when = (part.during, part.after)
            asked[when] = asked.get(when, Counted()) | part.counted.of_rounds()
    for (during, after), counted in asked.items():
        label = slice_label(race=True, during=during, after=after)
        yield Slice(label, counted, during=during, after=after)


class _Fold:
    """The rounds of a race, or a part of them."""

    def __init__(self, scenario: str, race: RacePlan, part: Slice) -> None:
        counted = part.counted
        self.part = part
        self.settle = MetricFold(counted.thresholds_of(SETTLE), counted.steps_of(SETTLE))
        self._scenario = scenario
        self._rounds = RoundsSummary(
            rules={name: RuleSummary("always") for name in race.always}
            | {name: RuleSummary("holds") for name in race.holds},
            contenders={name: ContenderSummary() for name in race.contenders},
        )
        self.summary = ScenarioSummary(
            dict.fromkeys(("scheduled", *(end.name.lower() for end in RoundEnd)), 0),
            {SETTLE: self.settle.distribution},
            rounds=self._rounds,
        )

    def count(self, one: Round, start_ns: int) -> None:
        summary, at_ns = self.summary, one.intended_ns - start_ns
        first, last = summary.first_intended_ns, summary.last_intended_ns
        summary.first_intended_ns = at_ns if first is None else min(first, at_ns)
        summary.last_intended_ns = at_ns if last is None else max(last, at_ns)
        summary.ledger["scheduled"] += 1
        summary.ledger[one.end.name.lower()] += 1
        for name, tally in one.tallies.items():
            told = self._rounds.contenders.setdefault(name, ContenderSummary())
            for what in TALLIES:
                setattr(told, what, getattr(told, what) + getattr(tally, what))
        if one.end is RoundEnd.JUDGED:
            self._judged(one, at_ns)
            return
        if one.started_ns is not None:
            self._cut_off(one, at_ns)
        if one.reason:
            reasons = self._rounds.reasons
            known = one.reason in reasons or len(reasons) - (OTHERS in reasons) < _MOST_REASONS
            reason = one.reason if known else OTHERS
            reasons[reason] = reasons.get(reason, 0) + 1

    def _cut_off(self, one: Round, at_ns: int) -> None:
        """When contenders were sent already: what was broken by then is, and of the rest nobody knows."""
        rounds = self._rounds
        broken = [rule for rule in one.rules if rule.held is Held.VIOLATED]
        for rule in broken:
            self._rule(one, rule, at_ns)
        rounds.violated += bool(broken)
        rounds.broken_off += bool(broken)
        rounds.open += not broken
        names = {rule.rule for rule in broken}
        for name, told in rounds.rules.items():
            told.open += name not in names

    def _judged(self, one: Round, at_ns: int) -> None:
        rounds = self._rounds
        found = {rule.held for rule in one.rules}
        worst = next((held for held in _WORST_FIRST if held in found), Held.HELD)
        _more(rounds, worst.name.lower())
        if one.contended is not None:
            _more(rounds, "contended" if one.contended else "apart")
        winners = [name for name, tally in one.tallies.items() if tally.won]
        for name in winners:
            rounds.contenders[name].rounds += 1
        rounds.decided += bool(winners)
        for rule in one.rules:
            self._rule(one, rule, at_ns)
        if one.settled is not None:
            self.settle.record(*one.settled, at_ns)

    def _rule(self, one: Round, rule: RuleResult, at_ns: int) -> None:
        told = self._rounds.rules.setdefault(rule.rule, RuleSummary(rule.kind))
        _more(told, rule.held.name.lower())
        if rule.held is not Held.HELD:
            told.tell(rule.held, Example(at_ns, self._scenario, one.number, rule.told))


def _more(counts: RoundsSummary | RuleSummary, name: str) -> None:
    setattr(counts, name, getattr(counts, name) + 1)
