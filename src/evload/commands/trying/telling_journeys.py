"""What a person reads of one pass of a journey: step by step, what was asked and answered, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ...model.iteration import Awaits, End
from ...run.shown_traffic import Redact, shown, without_secrets
from ...spi.traffic import Message
from ...units import format_duration
from .expressions import value_shown
from .gone import FAILED, NOTHING, OK, JourneyTried, StepTried
from .looking import Looked
from .telling import asked_lines, found_lines, look_lines, message_lines, unseen, why_lines

_PARTS: Final = {"begin": ", once for each user", "finally": ", finally", "end": ", at the end of each user"}
_AWAITED: Final[Mapping[Awaits, str]] = {
    "wait": "waits for {probe} to show {id}",
    "absent": "watches that {probe} doesn't show {id}",
    "gone": "waits until {probe} shows {id} no more",
}


def lines_of_journey(tried: JourneyTried, redact: Redact) -> Iterator[str]:
    """All that is told of one pass."""
    what = f"a journey of {tried.scenario}" if tried.rules is None else "a race, one of each contender"
    yield f"{tried.journey}, {what}: {verdict_of_journey(tried, redact)}"
    for step in tried.steps:
        yield ""
        yield from _step(step, redact)
    if tried.rules:
        yield ""
        yield "rules, which may well be false of so few"
        yield from found_lines(tried.rules, redact)
    if tried.undone:
        yield ""
        yield f"not done: {', '.join(tried.undone)}"


def verdict_of_journey(tried: JourneyTried, redact: Redact) -> str:
    """In a few words."""
    over = tried.over
    if over is None or over.end in (End.CUT_OFF, End.UNSENT):
        return "ended before its end"
    if over.end is not End.COMPLETED:
        how = over.end.name.lower()
        return f"{how} at {over.step}: {without_secrets(over.reason, redact)}"
    took = f"completed after {format_duration(max(0, over.ended_ns - over.intended_ns))}"
    for rule in tried.rules or ():
        if rule.value is not True and rule.value is not False:
            return f"{took}, and rule {rule.name!r} gives neither true nor false"
    if tried.unseen:
        step = tried.unseen[0][0]
        looks = [look for one, look in tried.unseen if one is step]
        return f"{took}; what {step.name} sent: {unseen(looks, interrupted=tried.interrupted)}"
    if late := [step for step in tried.steps if step.part == "end" and step.said != OK]:
        return f"{took}, and at the end of its user {late[0].name} {late[0].said}"
    return took


def _step(step: StepTried, redact: Redact) -> Iterator[str]:
    where = _PARTS.get(step.part, "")
    for name, value in step.taken.items():
        taken = without_secrets(value_shown(value), redact)
        where += f", takes {name} {taken}"
    if step.look is not None:
        what = _AWAITED[step.look.awaits].format(probe=step.to, id=redact(step.event.correlation_id))
        yield f"{step.name}, {what}{where}: {_said(step)}"
        yield from asked_lines(step.look.reads, step.begun_ns, redact, "it began")
    else:
        yield f"{step.name}, sent by {step.to}{where}: {_said(step)}"
        yield from _exchanges(step, redact)
    yield from found_lines(step.found, redact)
    yield from why_lines(step.clues, redact)
    for look in step.followed:
        yield ""
        yield from look_lines(look, step.asked[-1].end_ns, redact)


def _said(step: StepTried) -> str:
    after = "" if step.took_ns is None else f" after {format_duration(max(0, step.took_ns))}"
    if step.look is not None and step.look.awaits != "wait":
        return _said_of_absence(step, step.look)
    if step.look is not None:
        if step.look.blind:
            return "shown, as is what was never there"
        if step.said == OK:
            return f"shown{after}"
        if step.look.seen_ns is not None:
            return f"shown{after}, without what is taken out of it"
        return (
            "not shown yet" if step.said == NOTHING else f"not shown within {format_duration(step.look.deadline_ns)}"
        )
    return f"{step.said}{after}"


def _said_of_absence(step: StepTried, look: Looked) -> str:
    """Of a step that watches that something doesn't appear, or waits until it is gone."""
    if step.said == NOTHING:
        return "not over yet" if look.awaits == "absent" else "not gone yet"
    if step.said == FAILED:
        if look.awaits == "absent" and look.seen_ns is not None:
            return f"it appeared after {format_duration(look.seen_ns)}"
        return step.detail
    if look.awaits == "absent":
        return f"nothing appeared within {format_duration(look.deadline_ns)}"
    return f"gone after {format_duration(look.gone_ns or 0)}"


def _exchanges(step: StepTried, redact: Redact) -> Iterator[str]:
    for number, asked in enumerate(step.asked):
        sent = next((turn.sent for turn in asked.turns if turn.sent is not None), None)
        if number:
            yield f"sent again after {format_duration(max(0, asked.start_ns - step.asked[number - 1].end_ns))}"
        elif sent is None:
            head = "\n".join(f"{name}: {value}" for name, value in step.event.headers)
            yield from message_lines(shown(Message(head, step.event.body), redact))
        else:
            yield from message_lines(shown(sent, redact))
        came = asked.came
        if came is not None:
            yield "answered"
            yield from message_lines(shown(came, redact))
    if step.said in (FAILED, NOTHING) and step.detail and (not step.asked or step.asked[-1].came is None):
        yield f"  {without_secrets(step.detail, redact)}"
