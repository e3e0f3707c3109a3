"""Folds iterations of journeys that are over into counts, times and the reasons for which they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..model.iteration import HELD, JOURNEY, KEYS, NOT_HELD, OTHERS, STARTED, End, Iteration, key_of
from ..model.summary import ScenarioSummary, slice_label
from ..stats.thresholds import StepCounts
from .fold_plan import Counted, ScenarioPlan, Slice
from .metric_fold import Ends, MetricFold

_MOST_REASONS: Final = 50
"""Reasons that are told apart: what a target says may be something else each time."""
_ENDED_AT: Final = {End.REFUSED: "refused_at", End.FAILED: "failed_at", End.CUT_OFF: "cut_off_at"}
"""Under which name it is counted at which step iterations ended."""
WasThen = Callable[[Slice, int], bool]
"""Whether what was due at a time since the schedule began belongs to a part by time."""


class IterationFold:
    """The iterations of one scenario, journey by journey. Complete after `flush`.

    Each journey is a slice of the scenario, `journey=NAME`. What is asked of the scenario as a whole is counted of
    each of its journeys.
    """

    def __init__(self, plan: ScenarioPlan, slices: dict[str, ScenarioSummary]) -> None:
        self._folds: dict[int, list[_Fold]] = {}
        for number, name in plan.journeys:
            own = self._folds[number] = []
            for part in _parts_of(plan, name):
                fold = _Fold(part)
                slices[part.label] = fold.summary
                own.append(fold)

    def count(self, one: Iteration, start_ns: int, was_then: WasThen) -> None:
        """Count an iteration that is over. The schedule began at `start_ns`; `was_then` tells what belongs to a part
        by time."""
        for fold in self._folds[one.journey]:
            if not fold.part.timed or was_then(fold.part, one.intended_ns - start_ns):
                fold.count(one, start_ns)

    def flush(self) -> None:
        """Fold what was counted into the distributions."""
        for own in self._folds.values():
            for fold in own:
                fold.times.flush()


def _parts_of(plan: ScenarioPlan, journey: str) -> Iterable[Slice]:
    """The slices of a journey: all its iterations, and the parts by time that somebody asks for."""
    asked: dict[tuple[str | None, str | None], Counted] = {(None, None): plan.counted.of_iterations()}
    for part in plan.slices:
        by_events = (part.event, part.key, part.tag, part.probe, part.replica)
        if part.journey not in (None, journey) or any(one is not None for one in by_events):
            continue
        counted = part.counted.of_iterations()
        if part.journey is not None or counted != Counted():
            when = (part.during, part.after)
            asked[when] = asked.get(when, Counted()) | counted
    for (during, after), counted in asked.items():
        label = slice_label(journey=journey, during=during, after=after)
        yield Slice(label, counted, during=during, after=after, journey=journey)


class _Fold:
    """The iterations of a journey, or a part of them."""

    def __init__(self, part: Slice) -> None:
        counted = part.counted
        self.part = part
        self.times = MetricFold(counted.thresholds_of(JOURNEY), counted.steps_of(JOURNEY), exact=True)
        self.summary = ScenarioSummary(
            dict.fromkeys(KEYS, 0),
            {JOURNEY: self.times.distribution},
            counter_steps={(counter, step): StepCounts(step) for counter, step in counted.counter_steps},
        )

    def count(self, one: Iteration, start_ns: int) -> None:
        summary, at_ns = self.summary, one.intended_ns - start_ns
        first, last = summary.first_intended_ns, summary.last_intended_ns
        summary.first_intended_ns = at_ns if first is None else min(first, at_ns)
        summary.last_intended_ns = at_ns if last is None else max(last, at_ns)
        counts = ["scheduled", one.end.name.lower(), *((STARTED,) if one.end <= End.CUT_OFF else ())]
        for count in counts:
            summary.ledger[count] += 1
        for (counter, _), steps in summary.counter_steps.items():
            steps.add(at_ns, 1, 0, int(key_of(counter) in counts))
        if (took := _took(one)) is not None:
            self.times.record(*took, at_ns)
        if one.end in _ENDED_AT:
            self._tally(_ENDED_AT[one.end], one.step)
        if one.reason:
            reasons = summary.tallies.get("reasons", {})
            reason = f"{one.step}: {one.reason}" if one.step else one.reason
            known = reason in reasons or len(reasons) - (OTHERS in reasons) < _MOST_REASONS
            self._tally("reasons", reason if known else OTHERS)
        for check in one.failed_checks:
            self._tally("checks", check)
        for check, held in one.checks:
            self._tally(HELD if held else NOT_HELD, check)

    def _tally(self, name: str, what: str) -> None:
        tally = self.summary.tallies.setdefault(name, {})
        tally[what] = tally.get(what, 0) + 1


def _took(one: Iteration) -> Ends | None:
    """How long it took. What didn't complete never comes to its end; of what was cut off nobody knows whether it
    would have, only that it took so long already. A refusal is an end of its own kind, and no time."""
    took_ns = max(0, one.ended_ns - one.intended_ns)
    match one.end:
        case End.COMPLETED:
            return took_ns, took_ns
        case End.CUT_OFF:
            return took_ns, None
        case End.REFUSED:
            return None
        case _:
            return None, None
