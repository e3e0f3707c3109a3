"""What a person reads of one event: what was sent, every answer once, and why it isn't seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...model.states import Outcome, Seen
from ...run.shown_traffic import HIDDEN, Redact, Shown, hidden_value, shown, without_secrets
from ...spi.traffic import Message
from ...units import format_duration
from .expressions import value_shown
from .looking import Asked, Found, Looked, Tried
from .reasons import alike

_MOST_ANSWERS: Final = 8
_MOST_TURNS: Final = 5
_WORDS: Final = {
    Seen.PRESENT: "shows the event",
    Seen.ABSENT: "doesn't show it",
    Seen.ENDED: "says that it came to another end",
    Seen.FAILED: "says nothing of it",
}
_TELLING: Final = ("visible", "content", "replica")
"""Settings by whose values answers differ."""
_OUTCOMES: Final = {
    Outcome.ACCEPTED: "accepted",
    Outcome.REJECTED: "refused",
    Outcome.RETURNED: "returned: no queue takes it",
    Outcome.IN_DOUBT: "without an answer",
    Outcome.UNSENT: "not sent",
}


@dataclass
class Same:
    """Reads that were answered alike: the first of them, how many there were, and when the last one began."""

    asked: Asked
    count: int
    last_ns: int
    exactly: bool = True


def together(reads: Sequence[Asked]) -> list[Same]:
    """All that were answered alike in one, in the order in which they first came."""
    found: dict[Any, Same] = {}
    for asked in reads:
        error = asked.result.error if asked.result is not None else ""
        key = (asked.seen, error, *alike(asked), *(_value(one) for one in asked.found))
        same = found.setdefault(key, Same(asked, 0, asked.start_ns))
        same.count += 1
        same.last_ns = asked.start_ns
        same.exactly = same.exactly and _body(asked) == _body(same.asked)
    return list(found.values())


def lines_of(tried: Tried, redact: Redact) -> Iterator[str]:
    """All that is told of one event."""
    published = tried.published
    yield f"{tried.name}, sent by {tried.producer} (scenario {tried.scenario}): {verdict(tried)}"
    yield ""
    turns = published.asked.turns
    sent = next((turn.sent for turn in turns if turn.sent is not None), None)
    if sent is None:
        event = published.event
        sent = Message("\n".join(f"{name}: {value}" for name, value in event.headers), event.body)
    yield "sent"
    yield from message_lines(shown(sent, redact))
    receipt = published.receipt
    if receipt is None:
        yield "no answer yet"
    else:
        after = ""
        if receipt.acked_ns is not None and receipt.sent_ns is not None:
            after = f" after {span(receipt.acked_ns - receipt.sent_ns)}"
        detail = f": {without_secrets(receipt.detail, redact)}" if receipt.detail else ""
        yield f"{_OUTCOMES[receipt.outcome]}{after}{detail}"
        came = published.asked.came
        if came is not None:
            yield from message_lines(shown(came, redact))
        yield from found_lines(published.asked.found, redact)
    yield from why_lines(tried.clues, redact)
    for look in tried.looks:
        if published.may_appear:
            yield ""
            yield from look_lines(look, published.asked.end_ns, redact)


def verdict(tried: Tried) -> str:
    """In a few words."""
    published = tried.published
    if not published.may_appear:
        return "not accepted"
    if not tried.looks:
        return "accepted; no probe looks for it"
    if tried.good:
        seen_ns = max(look.seen_ns or 0 for look in tried.looks)
        return f"seen after {span(seen_ns)}"
    return unseen([look for look in tried.looks if not look.good], interrupted=tried.interrupted)


def unseen(bad: Sequence[Looked], *, interrupted: bool) -> str:
    """What is said of an event that these readers didn't see."""
    names = ", ".join(look.reader for look in bad)
    if interrupted:
        return f"not seen by {names} yet"
    if all(look.late for look in bad):
        return f"seen too late by {names}"
    if all(look.blind for look in bad):
        return f"{names} shows what was never sent"
    return f"not seen by {names} within {span(max(look.deadline_ns for look in bad))}"


def look_lines(look: Looked, since_ns: int, redact: Redact) -> Iterator[str]:
    """How a reader looked for an event that was acked at `since_ns`."""
    what = f"{look.reader} ({look.kind})" if look.kind else look.reader
    if look.deliveries:
        yield f"{what}: {look.delivered} came" if look.delivered else f"{what} asked"
        yield from asked_lines(look.deliveries, since_ns, redact)
        yield from asked_lines(look.reads[-1:], since_ns, redact)
    else:
        yield f"{what} asked"
        yield from asked_lines(look.reads, since_ns, redact)
    if look.seen_ns is not None:
        yield f"{look.reader} shows the event {span(look.seen_ns)} after the ack"
    yield from why_lines(look.clues, redact)


def asked_lines(reads: Sequence[Asked], since_ns: int, redact: Redact, since: str = "the ack") -> Iterator[str]:
    """What was asked and answered; `since` says what happened at `since_ns`."""
    alike_ones = together(reads)
    request = None
    for same in alike_ones[:_MOST_ANSWERS]:
        asked = same.asked
        for turn in asked.turns[:_MOST_TURNS]:
            if turn.sent is not None and turn.sent[:2] != request:
                request = turn.sent[:2]
                yield from message_lines(shown(turn.sent, redact))
        yield _times(same, since_ns, redact, since)
        for turn in asked.turns[:_MOST_TURNS]:
            if turn.came is not None:
                yield from message_lines(shown(turn.came, redact))
            elif turn.error:
                yield f"  {without_secrets(turn.error, redact)}"
        yield from found_lines(asked.found, redact)
    if len(alike_ones) > _MOST_ANSWERS:
        yield f"and {len(alike_ones) - _MOST_ANSWERS} other answers"


def _times(same: Same, since_ns: int, redact: Redact, since: str) -> str:
    asked = same.asked
    if asked.result is None:
        said = "came" if any(turn.came is not None for turn in asked.turns) else "no answer"
    else:
        said = _WORDS[asked.seen]
        if asked.seen is Seen.FAILED and asked.result.error:
            said += f": {without_secrets(asked.result.error, redact)}"
    first, last = (span(at_ns - since_ns) for at_ns in (asked.start_ns, same.last_ns))
    if same.count == 1:
        return f"once, {first} after {since}: {said}"
    often = "the same" if same.exactly else "the same but for ids and numbers"
    return f"{same.count} times {often}, from {first} to {last} after {since}: {said}"


def message_lines(message: Shown) -> Iterator[str]:
    for line in message.head.split("\n") if message.head else ():
        yield f"  {line}"
    if message.body:
        if message.head:
            yield ""
        for line in message.body.split("\n"):
            yield f"  {line}"


def found_lines(found: Sequence[Found], redact: Redact) -> Iterator[str]:
    seen = set()
    for one in found:
        line = f"  {one.name}: {redact(one.expression)}  gives  {told_value(one, redact)}"
        if line not in seen:
            seen.add(line)
            yield line


def told_value(one: Found, redact: Redact) -> str:
    if hidden_value(one.expression) or one.value == HIDDEN:
        return HIDDEN
    if isinstance(one.value, Exception):
        return f"an error: {without_secrets(' '.join(str(one.value).split()), redact)}"
    return without_secrets(value_shown(one.value), redact)


def why_lines(clues: Sequence[Any], redact: Redact) -> Iterator[str]:
    if clues:
        yield "why"
        for clue in clues:
            yield f"  - {without_secrets(clue.text, redact)}"


def _value(one: Found) -> tuple[str, str]:
    return one.name, value_shown(one.value) if one.name in _TELLING else ""


def _body(asked: Asked) -> bytes:
    return asked.came.body if asked.came is not None else b""


def span(ns: int) -> str:
    return format_duration(max(ns, 0))
