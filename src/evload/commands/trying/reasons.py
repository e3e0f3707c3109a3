"""Why an event isn't seen: what follows from everything that was sent, answered and tried. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...clients.jmes import NoDocument, truthy
from ...model.states import Outcome, Seen
from ...model.travel import Event
from ...units import format_duration
from .clue import Clue
from .expressions import why_false, why_null, written
from .ids import Alias, places_of
from .looking import Asked, Looked, Published

_STATUS: Final = re.compile(r"\bHTTP (\d{3})\b")
_VARIES: Final = re.compile(
    r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}|/no-such-path-of-evload|\d+(?:\.\d+)?"
)
"""What differs between two answers that say the same."""
_OF_ANSWERS: Final = ("envelope", "name", "type", "case", "value", "text")
"""Kinds of reasons that lie in what was answered."""
_REFUSALS: Final = (401, 403)
_MOST_DOCUMENTS: Final = 50
_DIGITS: Final = 3


class Elsewhere(NamedTuple):
    """What a probe was answered in another place."""

    where: str
    cure: str
    nowhere: bool
    asked: Asked


@dataclass(frozen=True)
class Tests:
    """What was tried beside.

    control    what is answered about an event that was never sent; None: nobody asked
    known      other ids by which the event is seen
    elsewhere  other places, and what they answer
    waited_ns  how long it was looked for after the deadline
    """

    control: Asked | None = None
    known: Sequence[Alias] = ()
    elsewhere: Sequence[Elsewhere] = ()
    waited_ns: int = 0


def unpublished(published: Published) -> list[Clue]:
    """Why the target didn't take the event."""
    receipt = published.receipt
    if receipt is None:
        return [Clue("no-answer", "the publish had no answer yet when it was ended")]
    detail = receipt.detail or "the reason isn't known"
    match receipt.outcome:
        case Outcome.REJECTED:
            return [Clue("refused", f"the target refused the event: {detail}; {_publish_cure(detail)}", sure=True)]
        case Outcome.RETURNED:
            cure = "bind a queue that takes it, or correct exchange and routing_key"
            return [Clue("unroutable", f"no queue takes the event: {detail}; {cure}", sure=True)]
        case Outcome.UNSENT:
            return [Clue("unsent", f"the event could not be sent: {detail}", sure=True)]
        case Outcome.IN_DOUBT:
            return [Clue("no-answer", f"the publish was not answered: {detail}")]
        case _:
            return list(_capture(published, detail)) if detail.startswith("accepted, but the capture") else []


def _capture(published: Published, detail: str) -> Iterator[Clue]:
    yield Clue("capture", detail)
    for one in published.asked.values("capture"):
        if one.value is None:
            yield from why_null(one.name, one.expression, one.document)


def reasons(look: Looked, published: Published, tests: Tests) -> list[Clue]:
    """Why the reader doesn't see the event, the surest first."""
    if look.blind:
        said = f"{look.reader} also shows an event that was never sent, so that what it shows means nothing"
        return [Clue("anything", f"{said}; write a visible that only holds for the event", sure=True)]
    if look.late:
        return [_late(look)]
    found = [
        *_known_as(tests.known, look),
        *_id_not_sent(look, published),
        *_elsewhere(look, tests.elsewhere),
        *ended(look),
        *failures(look),
        *_not_among_items(last_answer(look), published.id),
        *_expressions(look),
        *_in_deliveries(look, published.event),
    ]
    if not any(clue.sure for clue in found):
        found += [*_wrong_path(look, tests), *_named_address(look, published)]
    last = last_answer(look)
    # An answer without a body may say of an event what it says of a path.
    told_apart = last is None or last.came is None or last.came.body
    # What is answered otherwise than about an event that was never sent is there, and only not visible.
    there = tests.control is not None and last is not None and alike(last) != alike(tests.control)
    explained = there and any(clue.kind in _OF_ANSWERS for clue in found)
    if not explained and not any(clue.sure or (clue.kind == "wrong-path" and told_apart) for clue in found):
        found += _never(look, published, tests)
    unique = {clue.text: clue for clue in found}
    return sorted(unique.values(), key=lambda clue: not clue.sure)


def _late(look: Looked) -> Clue:
    took_ns = look.seen_ns or 0
    said = f"{look.reader} shows the event after {format_duration(_rounded(took_ns))}"
    cure = f"write deadline: {format_duration(_rounded(3 * took_ns))} or more, if it may take so long"
    return Clue("late", f"{said}, and its deadline is {format_duration(look.deadline_ns)}; {cure}", sure=True)


def _rounded(ns: int) -> int:
    """Up to a figure of two digits."""
    step: int = 10 ** max(0, len(str(ns)) - 2)
    return -(-ns // step) * step


def _known_as(known: Sequence[Alias], look: Looked) -> Iterator[Clue]:
    for alias in known:
        said = f"{look.reader} shows the event under another id: {alias.words}"
        match alias.source:
            case "spelling":
                said = f"{look.reader} shows the event under its id {alias.words} ({alias.id})"
                cure = "it compares ids letter by letter: have it keep the id as it was sent, or compare UUIDs"
                yield Clue("spelling", f"{said}; {cure}", sure=True)
            case "answer":
                cure = f"write capture: {alias.path} at the producer, and ask with {{capture}} or by: capture"
                if look.of_step:
                    cure = (
                        f"give {look.of_step} capture: {{its_id: {alias.path}}}, and write "
                        f'probes: {{{look.reader}: "{{its_id}}"}}'
                    )
                yield Clue("other-id", f"{said}; {cure}", sure=True)
            case "data":
                name = alias.path.rpartition(".")[2]
                cure = f'send the correlation id there: write {name}: "{{correlation_id}}" in the event'
                if look.of_step:
                    cure = f"write what {look.of_step} sends there in the place of what probes: has for {look.reader}"
                yield Clue("other-id", f"{said}; {cure}", sure=True)
            case "correlation_id":
                cure = "ask with {correlation_id}, not with the capture"
                if look.of_step:
                    cure = f'write probes: {{{look.reader}: "{{correlation_id}}"}}'
                yield Clue("other-id", f"{said}; {cure}", sure=True)
            case _:
                where = look.of_step or "the producer"
                yield Clue("other-id", f"{said}; capture it at {where}, and ask with it", sure=True)


def _id_not_sent(look: Looked, published: Published) -> Iterator[Clue]:
    """The system can't know the id that it is asked for."""
    event = published.event
    sent = [turn.sent for turn in published.asked.turns if turn.sent is not None]
    bare = event.correlation_id.replace("-", "")
    texts = [text for message in sent for text in (message.head, message.body.decode("utf-8", "replace"))]
    if sent and not look.by_capture and not any(bare in text.replace("-", "").lower() for text in texts):
        said = f"{look.reader} asks for the correlation id, and nothing that was sent holds it"
        cure = "write {correlation_id} into data or into a header, or capture the id that the target gives"
        yield Clue("id-not-sent", f"{said}; {cure}", sure=True)


def _elsewhere(look: Looked, places: Sequence[Elsewhere]) -> Iterator[Clue]:
    for place in places:
        if not place.nowhere and place.asked.seen is Seen.PRESENT:
            said = f"the event is {place.where}, and {look.reader} doesn't look there"
            yield Clue("elsewhere", f"{said}; {place.cure}", sure=True)


def ended(look: Looked) -> Iterator[Clue]:
    if any(one.seen is Seen.ENDED for one in look.reads):
        said = f"{look.reader} says that the event came to another end, so that it will never be visible"
        yield Clue("ended", f"{said}; see why its system ended it, or correct ended", sure=True)


def failures(look: Looked) -> Iterator[Clue]:
    """What the reads that failed say."""
    failed = [one for one in look.reads if one.seen is Seen.FAILED and one.result is not None]
    if not failed:
        return
    last = failed[-1]
    error = (last.result.error if last.result is not None else "") or "the reason isn't known"
    said = f"{len(failed)} of {len(look.reads)} reads failed: {error}"
    if len(failed) == len(look.reads):
        said = f"every read failed: {error}"
    status = _status(error)
    unread = next((one for one in reversed(last.found) if isinstance(one.value, NoDocument)), None)
    if status in _REFUSALS:
        yield Clue("refused", f"{look.reader} is refused: {said}; {_read_cure(last)}", sure=True)
    elif unread is not None and ("gzip" in error or "content-encoding" in error):
        cure = "have it declare content-encoding: gzip, or answer without compression"
        yield Clue("compressed", f"{said}; {unread.name} can't look into it: {cure}", sure=True)
    elif unread is not None:
        cure = "expressions on `body` need JSON: have it answered as JSON, or look at `status` and `headers` alone"
        yield Clue("text", f"{said}; {unread.name} can't look into text; {cure}", sure=True)
    else:
        yield Clue("failed", said, sure=len(failed) == len(look.reads))
        for one in last.found:
            if one.value is None and one.name != "replica":
                yield from why_null(one.name, one.expression, one.document)


def _read_cure(asked: Asked) -> str:
    sent = next((turn.sent for turn in reversed(asked.turns) if turn.sent is not None), None)
    if sent is not None and re.search(r"(?mi)^(authorization|cookie|x-api-key): ", sent.head):
        return "correct the credentials that the probe sends"
    return 'give the probe credentials, such as headers: {authorization: "Bearer ${TOKEN}"}'


def _publish_cure(detail: str) -> str:
    status = _status(detail)
    if status in _REFUSALS:
        return "give the producer credentials (auth), or correct them"
    if status in (404, 405):
        return "correct url and method of the producer"
    if status in (400, 415, 422):
        return "it wants the event in another form: see mode (structured, binary, plain) and data"
    return "see what it says of it"


def _status(text: str) -> int | None:
    match = _STATUS.search(text)
    return int(match[1]) if match else None


def last_answer(look: Looked) -> Asked | None:
    """The last read that was answered and doesn't show the event."""
    return next((one for one in reversed(look.reads) if one.seen is Seen.ABSENT), None)


def _not_among_items(asked: Asked | None, known_as: str) -> Iterator[Clue]:
    """A list was answered, and the id isn't where it is looked for."""
    items = asked.values("items")[-1:] if asked is not None else []
    if asked is None or not items or not isinstance(items[0].value, list) or not items[0].value:
        return
    looked = asked.values("id")
    name = looked[-1].expression if looked else "id"
    within = [place for item in items[0].value for place in places_of(item, known_as) if not place.within]
    if any(written(place.path) == name for place in within):
        return
    for place in within[:1]:
        path, spelt = written(place.path), f", {place.spelt}" if place.spelt else ""
        yield Clue("id-place", f"`id` is in `{path}`{spelt}, in an item of the list; write id: {path}", sure=True)
    if not within:
        for place in places_of(asked.document, known_as):
            if not place.within and place.path:
                yield Clue("id-place", f"the answer has the id in `{written(place.path)}`, outside of `items`")
                return


def _expressions(look: Looked) -> Iterator[Clue]:
    """What the expressions found in the last answer that could have shown the event."""
    asked = last_answer(look)
    if asked is None:
        return
    document = asked.document
    status = document.get("status") if isinstance(document, dict) else None
    if status == 404:
        return
    for one in asked.found:
        if one.name in ("visible", "content") and not isinstance(one.value, Exception) and not truthy(one.value):
            yield from why_false(one.name, one.expression, one.document)


def _in_deliveries(look: Looked, event: Event) -> Iterator[Clue]:
    """The id is in something that came, but not where it is looked for; or `visible` doesn't hold for it."""
    for one in list(look.deliveries)[-_MOST_DOCUMENTS:]:
        document = one.document
        if document is None:
            continue
        judged = [found for found in one.values("visible") if not isinstance(found.value, Exception)]
        if judged and not truthy(judged[-1].value) and next(places_of(document, event.correlation_id), None):
            yield from why_false("visible", judged[-1].expression, judged[-1].document)
            return
        listed = list(_not_among_items(one, event.correlation_id))
        if listed:
            yield from listed
            return
        for place in places_of(document, event.correlation_id):
            spelt = f", {place.spelt}" if place.spelt else ""
            where = f"`{written(place.path)}`" if place.path else "the text as a whole"
            if place.within:
                yield Clue("id-place", f"the id is part of a longer text in {where} of what came")
            else:
                said = f"`id` is in {where} of what came{spelt}, where the probe doesn't look for it"
                yield Clue("id-place", f"{said}; name that place in match", sure=True)
            return


def _wrong_path(look: Looked, tests: Tests) -> Iterator[Clue]:
    asked = last_answer(look) or (look.reads[-1] if look.reads else None)
    nowhere = [place for place in tests.elsewhere if place.nowhere]
    if asked is None or asked.came is None or not nowhere or nowhere[0].asked.came is None:
        return
    if alike(asked) == alike(nowhere[0].asked):
        sent = next((turn.sent for turn in reversed(asked.turns) if turn.sent is not None), None)
        target = sent.head.split("\n")[0].rpartition(" HTTP/")[0] if sent is not None else "the request"
        said = f"{target} is answered just as a path that no server has ({_first_line(asked)})"
        yield Clue("wrong-path", f"{said}, so that the path is likely wrong; correct url of {look.reader}")


def _named_address(look: Looked, published: Published) -> Iterator[Clue]:
    """The publish's answer names an address with the id."""
    document = published.asked.document
    for place in places_of(document, published.id):
        value: Any = document
        for step in place.path:
            value = value[step]
        if isinstance(value, str) and "/" in value and place.within:
            said = f"the answer to the publish names an address with the id, in `{written(place.path)}`: {value}"
            yield Clue("address", said)
            return


def _never(look: Looked, published: Published, tests: Tests) -> Iterator[Clue]:
    """Nothing is wrong with the probe, as far as can be told."""
    trace = published.event.correlation_id
    find = f"look for {trace} in the system's logs"
    if look.reads and all(one.seen is Seen.FAILED for one in look.reads):
        return
    if not look.reads:
        yield Clue("never", f"{look.reader} wasn't asked yet")
        return
    if look.delivered:
        strange = f"; one that is about no event of any run begins {look.example!r}" if look.example else ""
        said = f"{look.delivered} came to {look.reader}, and none is about this event{strange}"
        yield Clue("never", f"{said}; {find}")
        return
    last = look.reads[-1]
    instead = last.result.instead if last.result is not None else ""
    times = f"each of {len(look.reads)} reads" if len(look.reads) > 1 else "the only read"
    said = f"{times} was answered {instead}" if instead else f"{times} shows nothing"
    if tests.control is not None and tests.control.seen is not Seen.FAILED and alike(last) == alike(tests.control):
        said += ", as for an event that was never sent"
    nowhere = next((place for place in tests.elsewhere if place.nowhere), None)
    if nowhere is not None and nowhere.asked.came is not None and alike(last) != alike(nowhere.asked):
        said += "; the path is known there (one that no server has is answered in another way)"
    waited = f" or in {format_duration(tests.waited_ns)} after it" if tests.waited_ns else ""
    under = f"under {published.id}" if look.of_step else "under its id"
    said += f"; the event was accepted, and isn't there {under}, in any spelling, within the deadline{waited}"
    cure = f"{find}, and see that its worker runs"
    if _is_envelope(published):
        cure += "; if the system wants the data alone, without an envelope, write mode: plain"
    yield Clue("never", f"{said}: {cure}")


def _is_envelope(published: Published) -> bool:
    return published.event.body.startswith(b'{"specversion"')


def _first_line(asked: Asked) -> str:
    return asked.came.head.split("\n")[0] if asked.came is not None else ""


def alike(asked: Asked) -> tuple[str, str]:
    """An answer without what may differ though it says the same: ids, numbers, and the path that was asked for."""
    came = asked.came
    if came is None:
        return "", asked.result.error if asked.result is not None else ""
    sent = next((turn.sent for turn in reversed(asked.turns) if turn.sent is not None), None)
    text = came.body.decode("utf-8", "replace")
    words = sent.head.split("\n")[0].split(" ") if sent is not None else []
    if len(words) > 1 and words[1].startswith("/"):
        path = words[1].partition("?")[0]
        for part in (words[1], path, path.rpartition("/")[0]):
            if len(part) > _DIGITS:
                text = text.replace(part, "/…")
    return _first_line(asked), _VARIES.sub("…", text)
