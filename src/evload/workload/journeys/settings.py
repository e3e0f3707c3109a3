"""What a journey is, once a config is read: its steps, and what each of them needs. All times in nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.iteration import Awaits
from ...model.statuses import expand_statuses

TAKE_WITHIN_NS: Final = 10_000_000_000
"""How long an iteration waits for what it takes out of a pool, where nothing is said."""
OK: Final = expand_statuses(("2xx",))
"""The statuses of an answer that is as it should be, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A value that is taken out of an answer, by an expression over {status, headers, body, vars}.

    secret  it appears in no output
    """

    expression: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent once more.

    on        statuses that say so
    times     how often at most, beside the first time
    after_ns  how long to wait before each; None: as long as the answer says (Retry-After)
    """

    on: frozenset[int]
    times: int
    after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Think:
    """A pause of a length that is drawn between these two, both included."""

    least_ns: int
    most_ns: int


@dataclass(frozen=True, slots=True)
class Continue:
    """The last of the steps after a refusal: the iteration goes on all the same."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Steps of which somebody chooses, as often as its weight says; above 0."""

    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """One of several branches, drawn by their weights."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A file that is sent.

    path      where it is, seen from the config; None: it has no path but a `size` in bytes, and its content is drawn
    filename  what the target is told that it is called, and `type` what it holds
    known_as  under which name templates know its sha256 and its size; empty: they don't
    """

    path: str | None
    size: int | None
    type: str
    filename: str
    known_as: str = ""


@dataclass(frozen=True, slots=True)
class RequestStep:
    """A request to an HTTP producer. Texts in path, json, form, body, headers, query and give are templates.

    to        the name of the producer
    method    in capitals
    path      below the address of the producer, with or without a query
    json      what its JSON body is made of, if `has_json`
    file      what its body is; `files` what it has as parts of a form, by the names of their fields
    expect    statuses of an answer that is ok; `refused` those of a legitimate no
    capture   what is taken out of an answer that is ok, by the name under which later steps know it
    check     what has to be true of such an answer: expressions by their names
    size      what its body has to have in bytes, a template of a size or of a range of sizes; None: any number
    sha256    a template of the hash that its body has to have; None: any
    else_     the steps that follow a refusal; None: the iteration ends as refused at once
    give      what is put into pools after an answer that is ok: a template by the name of the pool
    take      what is taken out of pools before: the name of the pool by the name under which it is known
    within    how long it waits for what it takes
    probes    who follows its effect from an answer that is ok: templates of what is asked for, by names of probes
    """

    name: str
    to: str
    method: str
    path: str
    json: Any = None
    has_json: bool = False
    form: Mapping[str, str] | None = None
    body: str | None = None
    file: FileSettings | None = None
    files: Mapping[str, FileSettings] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    expect: frozenset[int] = OK
    refused: frozenset[int] = frozenset()
    capture: Mapping[str, Capture] = field(default_factory=dict)
    check: Mapping[str, str] = field(default_factory=dict)
    size: str | None = None
    sha256: str | None = None
    retry: Retry | None = None
    else_: tuple[Step, ...] | None = None
    give: Mapping[str, str] = field(default_factory=dict)
    take: Mapping[str, str] = field(default_factory=dict)
    within: int = TAKE_WITHIN_NS
    probes: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_files(self) -> tuple[FileSettings, ...]:
        """The files that it sends."""
        return tuple(self.files.values()) if self.file is None else (self.file, *self.files.values())


@dataclass(frozen=True, slots=True)
class EventStep:
    """An event to any producer. `event` is its name under `events:`; the rest as of a request."""

    name: str
    to: str
    event: str
    give: Mapping[str, str] = field(default_factory=dict)
    take: Mapping[str, str] = field(default_factory=dict)
    within: int = TAKE_WITHIN_NS
    probes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Wait until a probe shows something; or, as `kind` says, until that is gone; or watch that it isn't shown.

    probe      its name under `probes:`
    of         a template: the id that the probe is asked for
    until      an expression in place of the probe's `visible`; None: that one
    within     how long, at most; of what is to stay absent exactly so long
    capture    what is taken out of the answer that shows it, by the name under which later steps know it
    on_failed  the steps that follow if it doesn't come to that, or nobody can tell; None: the iteration fails at once
    """

    name: str
    probe: str
    of: str
    until: str | None = None
    within: int = TAKE_WITHIN_NS
    capture: Mapping[str, Capture] = field(default_factory=dict)
    on_failed: tuple[Step, ...] | None = None
    kind: Awaits = "wait"


Step = RequestStep | EventStep | WaitStep | Think | Choose | Continue
Sending = RequestStep | EventStep
Counted = Sending | WaitStep
"""What is an event among those of the plan. Of a wait nothing is sent."""


@dataclass(frozen=True, slots=True)
class JourneySettings:
    """A journey.

    vars      JSON whose texts are templates, by name: drawn once for each iteration
    begin     once for each user, before his first iteration; `end` after the last
    steps     one iteration
    finally_  after the steps, also where one of them failed; each where all that it names is known
    """

    steps: tuple[Step, ...]
    vars: Mapping[str, Any] = field(default_factory=dict)
    begin: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()
    end: tuple[Step, ...] = ()

    @property
    def sections(self) -> Mapping[str, tuple[Step, ...]]:
        """Its steps by the keys under which they stand, in the order in which they are numbered."""
        return {"steps": self.steps, "finally": self.finally_, "begin": self.begin, "end": self.end}

    def counted(self) -> Iterator[Counted]:
        """All steps that are events, in the order of their numbers: as written, depth first."""
        for steps in self.sections.values():
            yield from counted(steps)

    def in_order(self) -> Iterator[Counted]:
        """The same in the order in which they are done if none is left out."""
        for steps in (self.begin, self.steps, self.finally_, self.end):
            yield from counted(steps)

    def sending(self) -> Iterator[Sending]:
        """Those of them that send something."""
        return (step for step in self.counted() if not isinstance(step, WaitStep))

    def files(self) -> Iterator[FileSettings]:
        """The files that they send."""
        for step in self.counted():
            if isinstance(step, RequestStep):
                yield from step.all_files

    @property
    def pauses_ns(self) -> int:
        """How long an iteration pauses at most, whatever it is answered; what it does after a no is left out."""
        return _pauses_ns(self.steps)

    def lets_go(self, probe: str, of: str) -> bool:
        """Whether a step lets go what another one looks for: that it is missing again is no fault then."""
        return any(
            isinstance(step, WaitStep) and (step.kind, step.probe, step.of) == ("gone", probe, of)
            for step in self.counted()
        )


def counted(steps: tuple[Step, ...]) -> Iterator[Counted]:
    """Those of some steps that are events, and all in their branches and what they have for a no; as written, depth
    first."""
    for step in steps:
        if isinstance(step, Choose):
            for branch in step.branches:
                yield from counted(branch.steps)
        elif isinstance(step, Counted):
            yield step
            if isinstance(step, RequestStep) and step.else_:
                yield from counted(step.else_)
            if isinstance(step, WaitStep) and step.on_failed:
                yield from counted(step.on_failed)


def _pauses_ns(steps: tuple[Step, ...]) -> int:
    total = 0
    for step in steps:
        if isinstance(step, Think):
            total += step.most_ns
        elif isinstance(step, WaitStep) and step.kind == "absent":
            total += step.within
        elif isinstance(step, Choose):
            total += max(_pauses_ns(branch.steps) for branch in step.branches)
    return total


def sending(steps: tuple[Step, ...]) -> Iterator[Sending]:
    """Those of them that send something."""
    return (step for step in counted(steps) if not isinstance(step, WaitStep))
