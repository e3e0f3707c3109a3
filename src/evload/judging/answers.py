"""Judges how long the target left everybody without an answer: without one ack, and from a burst to its last answer.

An answer comes at a moment that is known exactly. Acks are counted in steps, so that the parts of a run add up, and
that makes the time without one an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from ..model.report import Result
from ..model.summary import ScenarioSummary
from ..objectives.objective import Objective
from ..stats.thresholds import StepCounts
from .limit_result import LimitResult, compare, exact, no_data

_LATER: Final = 2**62
"""No step at all: nothing that is known of was due."""
_DOUBT: Final = "the steps in which acks are counted are too long to tell"


def judge_silence(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """The longest time for which somebody waited for an ack and not one came."""
    acks, errors = (scope.counter_steps.get(about) for about in objective.counter_steps)
    if acks is None or errors is None or not any(acks.events):
        return no_data("ack")
    low, high = longest_silence(acks, errors)
    return exact(compare(objective.operator, low, high, limit), (low, high), limit, _DOUBT)


def longest_silence(acks: StepCounts, errors: StepCounts) -> tuple[int, int]:
    """[for sure, possibly] in nanoseconds: the longest time between two acks in which somebody waited.

    It begins with the ack before, or if nobody waited then, with the first event due since. After the last ack of all
    it ends with the last event. `acks` are counted when they came, `errors` when their events were due.
    """
    begun: tuple[int, int] | None = None
    """The steps in which it begins at the latest, at the earliest."""
    sure = maybe = waiting = last = 0
    refused: Sequence[int] = errors.beyond
    for number, (due, came) in enumerate(zip(acks.events, acks.beyond, strict=True)):
        failed = refused[number] if number < len(refused) else 0
        waiting += due - failed - came
        if due or came:
            last = number
        if due and (begun is None or begun[0] > number):
            begun = (number, number if begun is None else begun[1])
        if came:
            latest, earliest = begun or (number, number)
            sure, maybe = max(sure, number - latest - 1), max(maybe, number + 1 - earliest)
            begun = (number, number) if waiting > 0 else (_LATER, number) if failed else None
    if begun is not None:
        sure, maybe = max(sure, last - begun[0] - 1), max(maybe, last + 1 - begun[1])
    return sure * acks.step_ns, maybe * acks.step_ns


def judge_span(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> LimitResult:
    """From the first event due to the last answer. An event without an answer leaves its end open."""
    first_ns, last_ns = scope.first_intended_ns, scope.last_acked_ns
    unanswered = scope.ledger["in_doubt"] + scope.ledger["unsent"]
    if first_ns is None or last_ns is None:
        return no_data("answer")
    low = max(0, last_ns - first_ns)
    if unanswered and low < limit:
        note = f"{unanswered} events got no answer"
        return LimitResult(Result.INCONCLUSIVE, (low, None), note)
    high = None if unanswered else low
    return exact(compare(objective.operator, low, high, limit), (low, high), limit, _DOUBT)
