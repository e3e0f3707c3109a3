"""What the rules of a race give when each contender was sent once, and each read made after that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...clients.jmes import Expression
from ...model.states import Outcome
from ...workload.races.settings import COUNTS, VARS, RaceSettings, body_of
from .gone import FAILED, OK, REFUSED, StepTried
from .looking import Found

_COUNTED = {OK: "won", REFUSED: "refused", FAILED: "failed"}


def rules_of(race: RaceSettings, steps: Sequence[StepTried]) -> list[Found]:
    """Of each rule that has what it looks at. With one of each contender it may well be false."""
    document: dict[str, Any] = {
        count: dict.fromkeys((one.step.name for one in race.contenders), 0) for count in COUNTS
    }
    known: dict[str, Any] = {}
    reads = {one.name for one in race.reads}
    for step in steps:
        known |= step.captured
        if (body := body_of(step.name)) in step.captured:
            document[step.name] = step.captured[body]
        elif step.name in document["won"]:
            doubt = step.receipt is None or step.receipt.outcome is Outcome.IN_DOUBT
            document["doubt" if doubt else _COUNTED[step.said]][step.name] += 1
    document[VARS] = known
    found = []
    for rule in race.rules:
        expression = Expression(rule.expression)
        looked = expression.roots & reads
        if looked <= document.keys():
            found.append(Found(rule.name, rule.expression, document, _value(expression, document)))
    return found


def _value(expression: Expression, document: dict[str, Any]) -> Any:
    try:
        return expression.search(document)
    except ValueError as error:
        return error
