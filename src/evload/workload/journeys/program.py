"""Compiles a journey into operations: its steps one after another, with the places to go on at, and their templates.

An iteration is a place in its program and the values that it knows. Blocks (branches, what follows a refusal, what
is done finally) stand in the same row; each operation names where it goes on, so that there is nothing to nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import Any, Final, Protocol
from urllib.parse import quote, quote_plus

import orjson

from ...model.correlation import CorrelationIds
from ...model.iteration import Awaits
from ...model.travel import Encoding, Event, Pieces, Request, RequestEvent, Wanted
from ..draws import Draw, slots
from ..events import Compiled, EventSettings, EventType
from ..records import Records
from ..templates import Compiler, Fill, Late, Parts, TemplateProblem, fill
from .settings import Choose, Continue, EventStep, JourneySettings, RequestStep, Retry, Step, Think, WaitStep
from .settings import counted as of_steps
from .uploads import Multipart, Uploads
from .wanted import wanted

GIVEN: Final = ("user", "iteration", "step")
"""What every template of a journey knows beside the variables and what was captured."""
MAIN: Final = "steps"
_OVER: Final = -1


class Look(Protocol):
    """A compiled expression. `search` raises ValueError for what can't be told."""

    text: str
    whole: bool
    search: Callable[[Any], Any]

    def looks_at(self, field: str) -> bool:
        """Whether it looks at that field of an answer."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A value that an answer has to hold."""

    name: str
    look: Look
    secret: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gift:
    """A value that goes into a pool: what makes it, and the names that this needs."""

    pool: str
    value: Callable[[str], Any]
    needs: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Follow:
    """Have probes look for the effect of what a step has sent.

    scenario  number of the scenario in the plan that its events are
    asked     makes what is asked for, of all that the same is asked for: the numbers of their readers
    needs     the names that this uses, and `seeded` something in it is drawn at random
    """

    scenario: int
    asked: tuple[tuple[Callable[[int, str], str], tuple[int, ...]], ...]
    needs: frozenset[str]
    seeded: bool


@dataclass(frozen=True, slots=True, eq=False)
class Send:
    """Send what a step says.

    type      number of its event in the plan
    name      of the step
    producer  name of the producer that sends it
    event     makes it, from its seq, when it was due, and the time as text
    needs     the names that its templates use, without those that it takes
    seeded    something in it is drawn at random
    expected  names that its captures make
    goes_on   where to go on when it got what it asked for; `refused` where after a legitimate no, -1: nowhere
    no        the statuses that are one
    take      variables to what pools they come from; `within_ns` how long it waits for them
    give      what goes into pools once it got what it asked for
    follow    what looks for its effect from then on; None: nothing does
    """

    type: int
    name: str
    producer: str
    event: Callable[[int, int, str], Event]
    needs: frozenset[str]
    seeded: bool
    goes_on: int
    refused: int
    no: frozenset[int] = frozenset()
    captures: tuple[Captured, ...] = ()
    checks: tuple[tuple[str, Look], ...] = ()
    retry: Retry | None = None
    take: tuple[tuple[str, str], ...] = ()
    give: tuple[Gift, ...] = ()
    within_ns: int = 0
    follow: Follow | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """Wait for what a probe shows of what is asked for.

    type      number of its event in the plan, and `scenario` of the scenario that its events are
    name      of the step
    asked     makes the id that the probe is asked for
    needs     the names that this uses
    seeded    something in it is drawn at random
    captures  names of what the answer that shows it gives
    goes_on   where to go on when it came to that; `failed` where if it didn't, -1: nowhere
    probe     name of the probe, and `kind` what is waited for
    """

    type: int
    scenario: int
    name: str
    asked: Callable[[int, str], str]
    needs: frozenset[str]
    seeded: bool
    captures: tuple[str, ...]
    goes_on: int
    failed: int
    probe: str
    kind: Awaits


@dataclass(frozen=True, slots=True, eq=False)
class Pause:
    """Wait for a time, drawn evenly between two, in nanoseconds."""

    least_ns: int
    most_ns: int
    goes_on: int


@dataclass(frozen=True, slots=True, eq=False)
class Fork:
    """Go on at one of several places. `ends` are the sums of their shares up to each of them; the last is 1."""

    ends: Sequence[float]
    places: Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class GiveIn:
    """The iteration ends, at the step of that name: as refused, or as failed."""

    step: str
    failed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The last operation of a part was done."""


Operation = Send | Watch | Pause | Fork | GiveIn | Done


def events_of(name: str, journey: JourneySettings) -> list[str]:
    """The names of the events that a journey sends, one for each step that does: JOURNEY.STEP."""
    return [f"{name}.{step.name}" for step in journey.counted()]


@dataclass(frozen=True, slots=True)
class Given:
    """What a journey is compiled with, beside what is written in it.

    types     the numbers of all events in the plan, by their names
    watches   the scenarios of the plan that are what steps of this one watch, by the names of their events
    readers   the numbers of the readers of each probe that follows such an event, by the event and the probe
    encodings how each producer wants its events
    events    the settings of those that steps name, and `records` their data files
    captured  what the set-up captured
    uploads   the contents of files
    expression  compiles an expression
    """

    ids: CorrelationIds
    run_id: str
    seed: str
    scenario: int
    types: Mapping[str, int]
    watches: Mapping[str, int]
    readers: Mapping[tuple[str, str], tuple[int, ...]]
    encodings: Mapping[str, Encoding]
    events: Mapping[str, EventSettings]
    records: Mapping[str, Records | None]
    captured: Mapping[str, Any]
    uploads: Uploads
    expression: Callable[[str], Look]


class Program:
    """One journey, ready to be run by any number of users. Not for several at the very same moment: what is filled in
    is that of `late.values`, and what is drawn comes from `random`, which whoever fills a template has seeded.

    begin, main, finally_, end  where each part begins in `operations`; None: there is none
    problems  templates that can't be used: where, what, and what would be right
    """

    def __init__(self, name: str, journey: JourneySettings, given: Given) -> None:
        self.name = name
        self.random = Random()
        counted = list(journey.counted())
        names = {*GIVEN, *journey.vars}
        for step in counted:
            names |= {*(() if isinstance(step, WaitStep) else step.take)}
            names |= {*(() if isinstance(step, EventStep) else step.capture)}
        self.late = Late(names)
        self.operations: list[Operation] = []
        self.problems: list[TemplateProblem] = []
        self.files = {one.known_as: given.uploads[one].known for one in journey.files() if one.known_as}
        """What is known of its files, by their names."""
        files = {f"{name}.{what}": value for name, one in self.files.items() for what, value in one.items()}
        self._given = given = replace(given, captured={**given.captured, **files})
        self.secrets = frozenset(
            name
            for step in counted
            if isinstance(step, RequestStep | WaitStep)
            for name, capture in step.capture.items()
            if capture.secret
        )
        self.kept = frozenset(
            name
            for step in of_steps(journey.begin)
            for name in (
                *(() if isinstance(step, WaitStep) else step.take),
                *(() if isinstance(step, EventStep) else step.capture),
            )
        )
        """What a user knows in each of its iterations: the names that it has got before the first."""
        self._vars: list[tuple[str, Callable[[str], Any]]] = []
        self.draws_at_random = False
        for variable, value in journey.vars.items():
            compiler = self._compiler(f"vars/{variable}")
            text = fill(compiler.json(value, ("vars", variable)))
            self._vars.append((variable, _valued(compiler.draws, text)))
            self.draws_at_random |= compiler.draws_at_random
            self.problems += compiler.problems
        self.begin = self._part(journey.begin, "begin")
        self.main = self._part(journey.steps, MAIN)
        self.finally_ = self._part(journey.finally_, "finally")
        self.end = self._part(journey.end, "end")

    def draw_variables(self, values: dict[str, Any], now: str) -> None:
        """Draw the variables of a new iteration, each into what it knows so far, which templates look at."""
        self.late.values = values
        for name, value in self._vars:
            values[name] = value(now)

    def hidden(self, text: str, values: Mapping[str, Any]) -> str:
        """A text without what was captured as secret."""
        for name in self.secrets:
            if text and (value := values.get(name)) is not None and len(str(value)) > 1:
                text = text.replace(str(value), f"{{{name}}}")
        return text

    def _compiler(self, place: str) -> Compiler:
        given = self._given
        return Compiler(
            {}, prefix=given.ids.prefix, run_id=given.run_id, seed=f"{given.seed}/{place}", records=None,
            captured=given.captured, late=self.late, random=self.random,
        )  # fmt: skip

    def _part(self, steps: Sequence[Step], part: str) -> int | None:
        if not steps:
            return None
        start = len(self.operations)
        self._block(steps, (part,))
        self.operations.append(Done())
        return start

    def _block(self, steps: Sequence[Step], path: tuple[str | int, ...]) -> None:
        """Append the operations of some steps. After the last of them comes what is appended next."""
        for number, step in enumerate(steps):
            self._step(step, (*path, number))

    def _step(self, step: Step, path: tuple[str | int, ...]) -> None:
        operations = self.operations
        at = len(operations)
        match step:
            case Think():
                operations.append(Pause(step.least_ns, step.most_ns, at + 1))
            case Choose():
                operations.append(Done())  # stands in for it until all places are known
                places, ends = [], []
                for number, branch in enumerate(step.branches):
                    places.append(len(operations))
                    self._block(branch.steps, (*path, "choose", number, "steps"))
                    ends.append(len(operations))
                    operations.append(Done())
                after = len(operations)
                for end in ends:
                    operations[end] = Pause(0, 0, after)
                shares = list(accumulate(branch.weight for branch in step.branches))
                operations[at] = Fork([share / shares[-1] for share in shares], places)
            case RequestStep():
                operations.append(Done())
                refused = self._otherwise(step.else_, GiveIn(step.name), (*path, step.name, "else"))
                operations[at] = self.request(step, path, len(operations), refused)
            case WaitStep():
                operations.append(Done())
                place = (*path, step.name, "on_failed")
                failed = self._otherwise(step.on_failed, GiveIn(step.name, failed=True), place)
                operations[at] = self._watch(step, path, len(operations), failed)
            case EventStep():
                operations.append(self.send_event(step, path, at + 1))

    def _otherwise(self, steps: Sequence[Step] | None, end: GiveIn, path: tuple[str | int, ...]) -> int:
        """Append what is done where a step didn't come to what it should. Gives where that begins, -1: nowhere."""
        if steps is None:
            return _OVER
        start = len(self.operations)
        goes_on = bool(steps) and isinstance(steps[-1], Continue)
        self._block(steps[:-1] if goes_on else steps, path)
        if not goes_on:
            self.operations.append(end)
        return start

    def _watch(self, step: WaitStep, path: tuple[str | int, ...], goes_on: int, failed: int) -> Watch:
        at = (*path, step.name, "of")
        compiler = self._compiler("/".join(map(str, path)))
        text = fill(compiler.text(step.of, at))
        self.problems += compiler.problems
        asked = _text(compiler.draws, text)
        event = f"{self.name}.{step.name}"
        return Watch(
            self._given.types[event], self._given.watches[event], step.name, asked, frozenset(compiler.used),
            compiler.draws_at_random, tuple(step.capture), goes_on, failed, step.probe, step.kind,
        )  # fmt: skip

    def request(
        self, step: RequestStep, path: tuple[str | int, ...], goes_on: int, refused: int, *, reads: bool = False
    ) -> Send:
        """`reads`: somebody looks into the body of its answer, whatever the step itself does."""
        given, look = self._given, self._given.expression
        captures = tuple(Captured(name, look(one.expression), one.secret) for name, one in step.capture.items())
        checks = tuple((name, look(text)) for name, text in step.check.items())
        reads = reads or any(
            one.looks_at("body") for one in (*(c.look for c in captures), *(check for _, check in checks))
        )
        compiler = self._compiler("/".join(map(str, path)))
        at = (*path, step.name)
        target = fill(compiler.text(step.path, (*at, step.method.lower())))
        query = [(name, fill(compiler.text(text, (*at, "query", name)))) for name, text in step.query.items()]
        parts = [(name, compiler.text(text, (*at, "headers", name))) for name, text in step.headers.items()]
        form: list[tuple[str, Fill]] = []
        content_type, body = "", fill(())
        uploaded: Pieces | None = None
        multipart: Multipart | None = None
        if step.has_json:
            content_type, body = "application/json", fill(compiler.json(step.json, (*at, "json")))
        elif step.form is not None:
            content_type = "application/x-www-form-urlencoded"
            form = [(name, fill(compiler.text(text, (*at, "form", name)))) for name, text in step.form.items()]
        elif step.body is not None:
            content_type, body = "text/plain; charset=utf-8", fill(compiler.text(step.body, (*at, "body")))
        elif step.file is not None:
            content_type, uploaded = step.file.type, Pieces((given.uploads[step.file].data,))
        if step.files:
            files = [(name, one, given.uploads[one]) for name, one in step.files.items()]
            multipart = Multipart(files, [name for name, _ in form])
            content_type = multipart.content_type
        if content_type and not any(name.lower() == "content-type" for name in step.headers):
            parts.insert(0, ("content-type", (content_type,)))
        headers = [(name, fill(text)) for name, text in parts]
        # Most have the same ones each time.
        same = [(name, text(())) for name, text in headers] if _are_constant(text for _, text in parts) else None
        wants = _wants(step, compiler, at)
        self.problems += compiler.problems
        follow = self._follow(step, path)
        needed = {*compiler.used, *(() if follow is None else follow.needs.difference(step.capture))}
        draws, needs = compiler.draws, frozenset(needed.difference(step.take))
        prefix, scenario, type_ = given.ids.prefix, given.scenario, given.types[f"{self.name}.{step.name}"]

        def event(seq: int, intended_ns: int, now: str) -> Event:
            values = slots(draws, seq, now)
            where = target(values)
            if query:
                asked = "&".join(f"{quote_plus(name)}={quote(text(values), safe='')}" for name, text in query)
                where += f"{'&' if '?' in where else '?'}{asked}"
            content: bytes | Pieces
            if multipart is not None:
                content = multipart.body((name, text(values)) for name, text in form)
            elif uploaded is not None:
                content = uploaded
            elif form:
                content = "&".join(f"{quote_plus(name)}={quote_plus(text(values))}" for name, text in form).encode()
            else:
                content = body(values).encode()
            request = Request(
                step.method, where, same or [(name, text(values)) for name, text in headers], content, step.expect,
                step.refused, reads, None, None if wants is None else wants(values),
            )  # fmt: skip
            return RequestEvent(seq, prefix + values[0], scenario, type_, intended_ns, request)

        return Send(
            type_, step.name, step.to, event, needs, compiler.draws_at_random, goes_on, refused, step.refused,
            captures, checks, step.retry, tuple(step.take.items()), self._gifts(step, path), step.within, follow,
        )  # fmt: skip

    def send_event(self, step: EventStep, path: tuple[str | int, ...], goes_on: int) -> Send:
        given = self._given
        number = given.types[f"{self.name}.{step.name}"]
        kind = EventType(
            number, step.event, given.events[step.event], 1, given.records[step.event], given.captured, self.late,
            self.random,
        )  # fmt: skip
        place = "/".join(map(str, path))
        made = Compiled(kind, given.encodings[step.to], given.ids, given.run_id, f"{given.seed}/{place}")
        self.problems += made.problems
        scenario, follow = given.scenario, self._follow(step, path)
        needs = made.needs if follow is None else made.needs | follow.needs

        def event(seq: int, intended_ns: int, now: str) -> Event:
            return made.event(seq, scenario, intended_ns, now)

        return Send(
            number, step.name, step.to, event, needs.difference(step.take), made.draws_at_random, goes_on, _OVER,
            take=tuple(step.take.items()), give=self._gifts(step, path), within_ns=step.within, follow=follow,
        )  # fmt: skip

    def _follow(self, step: RequestStep | EventStep, path: tuple[str | int, ...]) -> Follow | None:
        if not step.probes:
            return None
        event, asked, needs, seeded = f"{self.name}.{step.name}", [], set[str](), False
        for probe, template in step.probes.items():
            at = (*path, step.name, "probes", probe)
            compiler = self._compiler("/".join(map(str, at)))
            text = fill(compiler.text(template, at))
            self.problems += compiler.problems
            asked.append((_text(compiler.draws, text), self._given.readers[event, probe]))
            needs |= {*compiler.used}
            seeded |= compiler.draws_at_random
        return Follow(self._given.watches[event], tuple(asked), frozenset(needs), seeded)

    def _gifts(self, step: RequestStep | EventStep, path: tuple[str | int, ...]) -> tuple[Gift, ...]:
        gifts = []
        for pool, template in step.give.items():
            at = (*path, step.name, "give", pool)
            compiler = self._compiler("/".join(map(str, at)))
            text = fill(compiler.json(template, at))
            self.problems += compiler.problems
            gifts.append(Gift(pool, _valued(compiler.draws, text), frozenset(compiler.used)))
        return tuple(gifts)


def _wants(
    step: RequestStep, compiler: Compiler, at: tuple[str | int, ...]
) -> Callable[[Sequence[str]], Wanted] | None:
    """Makes what the body of an answer has to be, from what the templates of its step are filled with."""
    if step.size is None and step.sha256 is None:
        return None
    size = None if step.size is None else fill(compiler.text(step.size, (*at, "size")))
    sha256 = None if step.sha256 is None else fill(compiler.text(step.sha256, (*at, "sha256")))

    def wants(values: Sequence[str]) -> Wanted:
        return wanted(size and size(values), sha256 and sha256(values), step.size, step.sha256)

    return wants


def _are_constant(templates: Iterable[Parts]) -> bool:
    """Whether nothing in these templates is filled in."""
    return all(isinstance(part, str) for parts in templates for part in parts)


def _text(draws: Sequence[Draw], text: Fill) -> Callable[[int, str], str]:
    """Makes what a template says of an event, by its number, at a time as text."""

    def asked(seq: int, now: str) -> str:
        return text(slots(draws, seq, now))

    return asked


def _valued(draws: Sequence[Draw], text: Fill) -> Callable[[str], Any]:
    """Makes the value that a template of JSON stands for, at a time as text."""

    def value(now: str) -> Any:
        return orjson.loads(text(slots(draws, 0, now)))

    return value
