"""The same for scripts: `evload try --json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...model.states import Seen
from ...run.shown_traffic import HIDDEN, Redact, hidden_value, shown, without_secrets
from ...spi.traffic import Message
from ...units import NS_PER_S
from .clue import Clue
from .expressions import value_shown
from .looking import Asked, Found, Looked, Tried
from .telling import together


def document_of(tried: Sequence[Tried], redact: Redact) -> dict[str, Any]:
    """All that was seen; times in seconds."""
    return {"format": 1, "good": all(one.good for one in tried), "events": [_event(one, redact) for one in tried]}


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
        "publish": _turns(published.asked, redact),
        "found": _found(published.asked.found, redact),
        "why": _why(tried.clues, redact),
        "probes": [_look(look, published.asked.end_ns, redact) for look in tried.looks],
    }


def _look(look: Looked, since_ns: int, redact: Redact) -> dict[str, Any]:
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
                "exchanges": _turns(same.asked, redact),
                "found": _found(same.asked.found, redact),
            }
            for same in (*together(look.deliveries), *together(look.reads))
        ],
        "why": _why(look.clues, redact),
    }


def _turns(asked: Asked, redact: Redact) -> list[dict[str, Any]]:
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


def _found(found: Sequence[Found], redact: Redact) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "expression": redact(one.expression),
            "value": HIDDEN if hidden_value(one.expression) else without_secrets(value_shown(one.value), redact),
            "failed": isinstance(one.value, Exception),
        }
        for one in found
    ]


def _why(clues: Sequence[Clue], redact: Redact) -> list[dict[str, Any]]:
    return [{"kind": clue.kind, "sure": clue.sure, "text": without_secrets(clue.text, redact)} for clue in clues]
