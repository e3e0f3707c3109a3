"""The same for scripts: `evload try --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...model.states import Seen
from ...run.shown_traffic import HIDDEN, Redact, hidden_value, shown, without_secrets
from ...spi.traffic import Message
from ...units import NS_PER_S
from .clue import Clue
from .expressions import value_shown
from .gone import OK, JourneyTried, StepTried
from .looking import Asked, Found, Looked, Tried
from .telling import together


def document_of(tried: Sequence[Tried], gone: Sequence[JourneyTried], redact: Redact) -> dict[str, Any]:
    """All that was seen; times in seconds."""
    return {
        "format": 1,
        "good": all(one.good for one in tried) and all(one.good for one in gone),
        "events": [_event(one, redact) for one in tried],
        **({"journeys": [_journey(one, redact) for one in gone]} if gone else {}),
    }


def _event(tried: Tried, redact: Redact) -> dict[str, Any]:
    published = tried.published
    receipt = published.receipt
    return {
        "event": redact(tried.name),
        "scenario": redact(tried.scenario),
        "producer": redact(tried.producer),
        "correlation_id": published.event.correlation_id,
        "good": tried.good,
        "outcome": None if receipt is None else receipt.outcome.name.lower(),
        "detail": "" if receipt is None else without_secrets(receipt.detail, redact),
        "publish": turns_of(published.asked, redact),
        "found": found_of(published.asked.found, redact),
        "why": why_of(tried.clues, redact),
        "probes": [look_of(look, published.asked.end_ns, redact) for look in tried.looks],
    }


def _journey(tried: JourneyTried, redact: Redact) -> dict[str, Any]:
    over = tried.over
    return {
        "journey": redact(tried.journey),
        "scenario": redact(tried.scenario),
        "good": tried.good,
        "end": None if over is None else over.end.name.lower(),
        "step": "" if over is None else over.step,
        "reason": "" if over is None else without_secrets(over.reason, redact),
        "took": None if over is None else max(0, over.ended_ns - over.intended_ns) / NS_PER_S,
        "steps": [_step(step, tried, redact) for step in tried.steps],
        "not_done": tried.undone,
        **({} if tried.rules is None else {"rules": found_of(tried.rules, redact)}),
    }


def _step(step: StepTried, tried: JourneyTried, redact: Redact) -> dict[str, Any]:
    return {
        "step": step.name,
        "part": step.part,
        "to": redact(step.to),
        "correlation_id": redact(step.event.correlation_id),
        "said": step.said,
        "took": None if step.took_ns is None else max(0, step.took_ns) / NS_PER_S,
        "detail": without_secrets(step.detail, redact),
        "exchanges": [turn for asked in step.asked for turn in turns_of(asked, redact)],
        "wait": None if step.look is None else _wait(step, step.look, redact),
        "probes": [look_of(look, step.asked[-1].end_ns, redact) for look in step.followed],
        "taken": _values(step.taken, tried, redact),
        "captured": _values(step.captured, tried, redact),
        "found": found_of(step.found, redact),
        "why": why_of(step.clues, redact),
    }


def _wait(step: StepTried, look: Looked, redact: Redact) -> dict[str, Any]:
    """`seen` and `seen_after` are about what the probe showed, also where that is not what is waited for."""
    in_time = look.good if look.awaits == "wait" else step.said == OK
    return {"awaits": look.awaits, **look_of(look, step.begun_ns, redact), "in_time": in_time}


def _values(values: Mapping[str, Any], tried: JourneyTried, redact: Redact) -> dict[str, str]:
    """As JSON, cut short."""
    return {
        name: HIDDEN if name in tried.secrets else without_secrets(value_shown(value), redact)
        for name, value in values.items()
    }


def look_of(look: Looked, since_ns: int, redact: Redact) -> dict[str, Any]:
    return {
        "probe": redact(look.reader),
        "seen": look.seen_ns is not None and not look.blind,
        "seen_after": None if look.seen_ns is None else look.seen_ns / NS_PER_S,
        "deadline": look.deadline_ns / NS_PER_S,
        "in_time": look.good,
        "answers": [
            {
                "says": "delivered" if same.asked.result is None else Seen(same.asked.seen).name.lower(),
                "times": same.count,
                "first_after": (same.asked.start_ns - since_ns) / NS_PER_S,
                "last_after": (same.last_ns - since_ns) / NS_PER_S,
                "error": "" if same.asked.result is None else without_secrets(same.asked.result.error, redact),
                "exchanges": turns_of(same.asked, redact),
                "found": found_of(same.asked.found, redact),
            }
            for same in (*together(look.deliveries), *together(look.reads))
        ],
        "why": why_of(look.clues, redact),
    }


def turns_of(asked: Asked, redact: Redact) -> list[dict[str, Any]]:
    return [
        {
            "sent": _message(turn.sent, redact),
            "came": _message(turn.came, redact),
            "error": without_secrets(turn.error, redact),
        }
        for turn in asked.turns
    ]


def _message(message: Message | None, redact: Redact) -> dict[str, Any] | None:
    return None if message is None else shown(message, redact)._asdict()


def found_of(found: Sequence[Found], redact: Redact) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "expression": redact(one.expression),
            "value": _value_of(one, redact),
            "failed": isinstance(one.value, Exception),
        }
        for one in found
    ]


def _value_of(one: Found, redact: Redact) -> str:
    hidden = hidden_value(one.expression) or one.value == HIDDEN
    return HIDDEN if hidden else without_secrets(value_shown(one.value), redact)


def why_of(clues: Sequence[Clue], redact: Redact) -> list[dict[str, Any]]:
    return [{"kind": clue.kind, "sure": clue.sure, "text": without_secrets(clue.text, redact)} for clue in clues]
