"""How a race is written in a config, and what is meant by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, model_validator

from ...settings import Name, Settings
from ...units import Duration, DurationRange
from ..journeys.settings import RequestStep, Sending
from ..journeys.written import (
    STEP_NAME,
    Found,
    NotEmpty,
    Variable,
    WrittenSending,
    WrittenStep,
    meant_steps,
    of_key,
    refuse,
)
from .settings import CONFIRM_NS, COUNTS, VARS, WITHIN_NS, Contender, RaceSettings, Rule

MOST_TIMES: Final = 10_000
"""Of one contender in a round."""
_CONTENDER: Final = "reserve: {times: 50, to: shop, post: /reserve}"
_READ: Final = "stock: {to: shop, get: /stock}"
_OF_SETUP: Final = ("wait", "absent", "gone", "of", "for", "until", "on_failed")
"""What can be said of a step of the set-up alone, as a wait is no request."""
_OF_CONTENDERS: Final = {
    "capture": "nothing comes after a contender that could use it; let a read look, and a rule compare",
    "retry": "a contender is sent once; leave retry out, or write times: 2",
    "else": "nothing follows a contender; leave else out, and let a rule look at refused",
    "give": "what a contender gets goes to nobody; leave it out",
    "take": "who waits for a pool isn't sent at that instant; take it in a step of setup",
    "within": "nothing is waited for; write within: beside contenders: for the rules",
    "probes": "what a contender changes is looked at by reads:; leave probes out",
}
"""Keys of steps that can't be said of contenders: what is wrong, and what would be right."""
_OF_READS: Final = {
    **dict.fromkeys(
        ("capture", "check", "size", "sha256"), "a read is looked at by rules; write that under always: or holds:"
    ),
    "refused": "an answer that isn't expected says nothing to the rules; leave refused out",
    "retry": "what is read is read again all the time; leave retry out",
    "event": "a read is a request, which has an answer; write get: with a path",
    **dict.fromkeys(("file", "files"), "a read uploads nothing; leave it out"),
    **dict.fromkeys(("else", "give", "take", "within", "probes"), "nothing follows a read; leave it out"),
}
"""The same of reads."""


def _misfits(given: Iterable[str], known: Mapping[str, str], what: str) -> Iterator[Found]:
    given = list(given)
    waits = [name for name in given if name in _OF_SETUP]
    for name in waits[:1]:
        yield of_key(name), f"{name} belongs to a step that waits, and this is a {what}; move it into setup:"
    for name in given:
        if name in known and not waits:
            yield of_key(name), known[name]


class WrittenContender(WrittenSending):
    """A request, or an event, that is sent so many times at one instant."""

    model_config = ConfigDict(title="Contender")

    times: Annotated[int, Field(ge=1, le=MOST_TIMES, description="how many of them there are in a round")] = 1
    offset: Annotated[
        DurationRange, Field(description="how long after that instant each is due, or a range such as 0ms..5ms")
    ] = (0, 0)

    def _contradictions(self) -> Iterable[Found]:
        misfits = [*_misfits(self._given, _OF_CONTENDERS, "contender")]
        yield from misfits
        if not misfits:
            yield from super()._contradictions()

    def contender(self, name: str) -> Contender:
        """What is meant."""
        step = self.meant(name)
        assert isinstance(step, Sending)
        return Contender(step, self.times, self.offset)


class WrittenRead(WrittenSending):
    """A request whose answer rules look at."""

    model_config = ConfigDict(title="Read of a race")

    def _contradictions(self) -> Iterable[Found]:
        misfits = [*_misfits(self._given, _OF_READS, "read")]
        yield from misfits
        if not misfits:
            yield from super()._contradictions()
        if "head" in self._given:
            yield of_key("head"), "an answer to head has no body that rules could look at; write get:"

    def read(self, name: str) -> RequestStep:
        """What is meant."""
        step = self.meant(name)
        assert isinstance(step, RequestStep)
        return step


def _named(text: str) -> str:
    if not STEP_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name here; write letters, digits, spaces, '-' and '_'")
    return text


def _free(text: str) -> str:
    if _named(text) in (*COUNTS, VARS):
        raise ValueError(f"{text!r} stands for something else in rules; call it otherwise, such as the_{text}")
    return text


def _some(written: Mapping[str, WrittenContender]) -> Mapping[str, WrittenContender]:
    if not written:
        raise ValueError(f"nobody contends; write for example {_CONTENDER}")
    return written


class WrittenRace(Settings):
    """Requests that are sent at one instant, again and again, and what has to hold whoever wins."""

    model_config = ConfigDict(
        title="Race", json_schema_extra={"anyOf": [{"required": ["always"]}, {"required": ["holds"]}]}
    )

    vars: Annotated[
        Mapping[Variable, Any], Field(description="values by name, drawn for each round; texts are templates")
    ] = {}
    setup: Annotated[
        NotEmpty[WrittenStep], Field(description="steps with which each round begins; what they capture is known")
    ] = ()
    contenders: Annotated[
        Mapping[Annotated[str, AfterValidator(_named)], WrittenContender],
        AfterValidator(_some),
        Field(description="what is sent at one instant, by its name", json_schema_extra={"minProperties": 1}),
    ]
    reads: Annotated[
        Mapping[Annotated[str, AfterValidator(_free)], WrittenRead],
        Field(description="requests whose answers rules look at, by the name under which they do"),
    ] = {}
    always: Annotated[
        Mapping[Name, str],
        Field(description="what has to be true in every read from the first contender on: JMESPath by a name"),
    ] = {}
    holds: Annotated[
        Mapping[Name, str],
        Field(description="what has to be true once within a time, and then for confirm: JMESPath by a name"),
    ] = {}
    within: Annotated[
        Duration, Field(ge=1_000_000, description="how long after the last answer holds: may take until it is true")
    ] = WITHIN_NS
    confirm: Annotated[Duration, Field(description="how long it has to stay true then, and always: is looked at")] = (
        CONFIRM_NS
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := [*self._contradictions()]:
            refuse("race", found)
        return self

    def _contradictions(self) -> Iterator[Found]:
        if not self.always and not self.holds:
            example = 'always: {never oversold: "stock.available >= `0`"}'
            yield (), f"nothing says what has to hold; write always: or holds:, such as {example}"
        for name in self.holds:
            if name in self.always:
                what = f"a rule of always is called {name!r}, too"
                yield ("holds", name, "[key]"), f"{what}; call one of them otherwise"
        names = list(self.contenders)
        if len(names) == 1 and self.contenders[names[0]].times == 1:
            what = f"one request of {names[0]!r} contends with nobody"
            yield ("contenders", names[0]), f"{what}; write times: 2 or more, or add another contender"

    _settings: RaceSettings | None = PrivateAttr(default=None)

    def meant(self) -> RaceSettings:
        """The race that is meant."""
        if self._settings is None:
            self._settings = self._made()
        return self._settings

    def _made(self) -> RaceSettings:
        return RaceSettings(
            steps=meant_steps(self.setup),
            vars=self.vars,
            contenders=tuple(one.contender(name) for name, one in self.contenders.items()),
            reads=tuple(one.read(name) for name, one in self.reads.items()),
            rules=(
                *(Rule(name, "always", text) for name, text in self.always.items()),
                *(Rule(name, "holds", text) for name, text in self.holds.items()),
            ),
            within=self.within,
            confirm=self.confirm,
        )
