"""What an answer to a step of a journey holds, and why the step failed. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...model.states import Outcome, Seen, State
from ...model.travel import Answer, Download, RequestEvent, WaitEvent
from ...run.shown_traffic import HIDDEN
from ...units import format_duration
from ...workload.journeys.program import Look, Send
from ...workload.journeys.settings import OK as EXPECTED
from ...workload.journeys.settings import WaitStep
from .clue import Clue
from .expressions import why_false, why_null
from .gone import StepTried
from .looking import Asked, Found, Looked, Published
from .reasons import ended, failures, last_answer, unpublished

_FIELDS: Final = ("status", "headers", "body")
_UNAUTHORIZED: Final = (401, 403)
_NOWHERE: Final = (404, 405)
_BUSY: Final = (429, 503)


def look_into(send: Send, answer: Answer, values: Mapping[str, Any]) -> tuple[list[Found], dict[str, Any]]:
    """What came as the body, where a step says what that has to be; if it is that, what each capture finds in an
    answer that is ok, and if all find something each check; and what is captured by that."""
    known, captured = dict(values), dict[str, Any]()
    found = [] if answer.download is None else _of_body(answer.download)
    if answer.download is not None and answer.download.wrong:
        return found, captured
    for one in send.captures:
        value = _search(one.look, answer, known)
        if value is not None and not isinstance(value, Exception):
            known[one.name] = captured[one.name] = value
            value = HIDDEN if one.secret else value
        found.append(Found(f"capture {one.name}", one.look.text, _plain(answer, known), value))
    if len(captured) == len(send.captures):
        found += [
            Found(f"check {name}", look.text, _plain(answer, known), _search(look, answer, known))
            for name, look in send.checks
        ]
    return found, captured


def why_failed(step: StepTried) -> list[Clue]:
    """Why what a step was answered isn't what it has to be."""
    receipt, event = step.receipt, step.event
    assert receipt is not None
    if receipt.outcome is not Outcome.ACCEPTED:
        if isinstance(event, RequestEvent) and receipt.outcome is Outcome.REJECTED:
            return [_unexpected(event, (receipt.facts or {}).get("status"))]
        return unpublished(Published(event, receipt, step.asked[-1]))
    clues: list[Clue] = []
    if receipt.answer is not None and receipt.answer.download is not None and isinstance(event, RequestEvent):
        clues += _unwanted(event, receipt.answer.download)
    for one in step.found:
        kind, _, name = one.name.partition(" ")
        if isinstance(one.value, Exception):
            clues.append(Clue("expression", f"{one.name} can't be told: {' '.join(str(one.value).split())}"))
        elif one.value is None and kind == "capture":
            clues += why_null(name, one.expression, one.document)
        elif one.value is None or one.value is False:
            clues += why_false(name, one.expression, one.document)
    return clues


def _of_body(came: Download) -> list[Found]:
    told = (("size", "bytes of the body", came.size), ("sha256", "hash of the body", came.sha256))
    return [Found(name, what, None, value) for name, what, value in told if value is not None]


def _unwanted(event: RequestEvent, came: Download) -> Iterator[Clue]:
    """Why a body isn't what a step says."""
    wanted = event.request.wanted
    if not came.wrong or wanted is None:
        return
    key = came.wrong.partition(" ")[0].rstrip(":")
    if wanted.problem:
        yield Clue("body", f"{came.wrong}; capture one, or write it", sure=True)
    elif "can't be told" in came.wrong:
        yield Clue("body", f"{came.wrong}; ask for the body as it is, headers: {{accept-encoding: identity}}")
    elif key == "size":
        ends = " to ".join(str(end) for end in dict.fromkeys((wanted.least, wanted.most)))
        has = f"more than {wanted.most}" if came.size is None else came.size
        yield Clue("body", f"the body has {has} bytes, and {ends} are wanted; correct size:, or see what was sent")
    else:
        said = f"the body has the sha256 {came.sha256}, and {wanted.sha256} is wanted"
        yield Clue("body", f"{said}; correct sha256:, or see what was sent")


def _unexpected(event: RequestEvent, status: int | None) -> Clue:
    expect = event.request.expect
    wanted = "2xx" if expect == EXPECTED else " or ".join(map(str, sorted(expect)))
    said = f"HTTP {status} is neither expected ({wanted}) nor a legitimate no"
    if status in _UNAUTHORIZED:
        cure = "give the producer credentials (auth) or the step headers:, or correct them"
    elif status in _NOWHERE:
        cure = "correct the method and the path of the step, or url of the producer"
    elif status in _BUSY:
        cure = f"write retry: {{on: [{status}], times: 3, after: retry-after}} if it may be sent again"
    elif status is not None and 400 <= status < 500:
        cure = f"see what it says of it; write refused: [{status}] if that is a legitimate no"
    elif status is not None and status < 400:
        may = sorted({*(() if expect == EXPECTED else expect), status})
        cure = f"write expect: [{', '.join(map(str, may))}] if it is as it should be"
    else:
        cure = f"look for {event.correlation_id} in the system's logs"
    return Clue("status", f"{said}; {cure}", sure=True)


def why_not(look: Looked, event: WaitEvent, settings: WaitStep) -> list[Clue]:
    """Why it never came to what a step waits for."""
    match look.awaits:
        case "wait":
            return unshown(look, event.correlation_id, settings)
        case "absent":
            return list(_appeared(look, event.correlation_id))
        case "gone":
            return list(_still_there(look, event, settings))


def _appeared(look: Looked, asked: str) -> Iterator[Clue]:
    if look.seen_ns is None:
        yield from failures(look)
        return
    if look.blind:
        said = f"{look.reader} also shows an event that was never sent, so that what it shows means nothing"
        yield Clue("anything", f"{said}; write a visible that only holds for what is asked for", sure=True)
    elif len(look.reads) == 1:
        said = f"the first read about {asked} shows it already, so that it was there before, or at once"
        yield Clue("appeared", f"{said}; see whether that is the id of what must not appear (of:)", sure=True)
    else:
        said = f"{asked} appeared between two reads, at most {format_duration(look.seen_ns)} after the step began"
        yield Clue("appeared", f"{said}; look for it in the system's logs", sure=True)


def _still_there(look: Looked, event: WaitEvent, settings: WaitStep) -> Iterator[Clue]:
    asked = event.correlation_id
    yield from failures(look)
    if look.blind:
        said = f"{look.reader} also shows an event that was never sent, so that nothing ever goes"
        yield Clue("anything", f"{said}; write a visible that only holds for what is asked for", sure=True)
    elif look.seen_ns is None and not event.shown:
        if look.state is State.LOST:
            seen = f'seen: {{wait: {settings.probe}, of: "{settings.of}"}}'
            cure = f"let a step such as {seen} come before what deletes it"
            said = f"no read about {asked} showed it, which may have gone before this step, or never been there"
            yield Clue("never-there", f"{said}; {cure}", sure=True)
    elif look.state is State.LOST:
        within = format_duration(settings.within)
        said = f"{look.reader} still shows {asked} {within} after the step began"
        yield Clue("still-there", f"{said}; see that what deletes it runs, or write a longer within:", sure=True)


def unshown(look: Looked, asked: str, settings: WaitStep) -> list[Clue]:
    """Why a probe doesn't show what a step waits for."""
    clues = [*ended(look), *failures(look), *_not_yet(look, settings)]
    last = look.reads[-1] if look.reads else None
    if clues or last is None:
        return clues
    instead = last.result.instead if last.result is not None else ""
    times = f"each of {len(look.reads)} reads" if len(look.reads) > 1 else "the only read"
    said = f"{times} about {asked} was answered {instead}" if instead else f"{times} about {asked} shows nothing"
    return [Clue("never", f"{said}; see that the id is the one it knows (of:), and that what makes it appear runs")]


def _not_yet(look: Looked, settings: WaitStep) -> Iterator[Clue]:
    asked = last_answer(look)
    judged = [] if asked is None else asked.values("visible")
    if not judged or isinstance(judged[-1].value, Exception) or _status(asked) != 200:
        return
    if settings.until is None:
        yield from why_false("visible", judged[-1].expression, judged[-1].document)
    else:
        yield from why_false("until", settings.until, judged[-1].document)


def _status(asked: Asked | None) -> Any:
    document = None if asked is None else asked.document
    return document.get("status") if isinstance(document, Mapping) else None


def why_not_captured(look: Looked, lacking: Sequence[str], settings: WaitStep) -> list[Clue]:
    """Why an answer that shows what a step waits for lacks what is taken out of it."""
    shown = next((one for one in reversed(look.reads) if one.seen is Seen.PRESENT), None)
    document = None if shown is None else shown.document
    return [clue for name in lacking for clue in why_null(name, settings.capture[name].expression, document)]


class _Document:
    """An answer as expressions look at it, with what the iteration knows."""

    def __init__(self, answer: Answer, known: Mapping[str, Any]) -> None:
        self._answer = answer
        self._known = known

    def get(self, name: str) -> Any:
        return self._known if name == "vars" else self._answer.get(name)


def _search(look: Look, answer: Answer, known: Mapping[str, Any]) -> Any:
    """What an expression finds, or why it can't be told."""
    document = _Document(answer, known)
    try:
        return look.search({name: document.get(name) for name in (*_FIELDS, "vars")} if look.whole else document)
    except ValueError as error:
        return error


def _plain(answer: Answer, known: Mapping[str, Any]) -> dict[str, Any]:
    """The same as plain data, without a body that can't be read."""
    plain: dict[str, Any] = {"vars": dict(known)}
    for name in _FIELDS:
        try:
            plain[name] = answer.get(name)
        except ValueError:
            continue
    return {name: plain[name] for name in (*_FIELDS, "vars") if name in plain}
