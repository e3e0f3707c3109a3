"""What becomes of the rules of one round: worked out for each way in which contenders may have gone.

A rule is held against what was read and who has won. Of some contenders nobody knows that at the time of a read.
Those **in doubt** never got an answer: a rule is worked out for each number of them that may have won, the rest
counting as refused. Those **in flight** had no answer when the read began, and won in the end: whether the read shows
that is no fault, so that it is enough if there is a number of them with which the rule is true. What is false,
whatever became of both, is violated for sure; what is true whatever became of those in doubt is held.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

import orjson

from ...model.round import Held, RuleResult
from ..journeys.program import Look
from .settings import COUNTS, VARS, Rule

MOST_WAYS: Final = 4096
"""In how many ways contenders may have gone so that they are worked out one by one."""
_SHOWN: Final = 160
"""Most characters of a body that are shown."""
_WHOLE: Final = re.compile(rf'\b(?:{"|".join(COUNTS)})\b(?!\s*\.\s*["\w])')
"""A rule that looks at all contenders at once, and not at those of a name."""
_NAME: Final = re.compile(r"\w+")
NO_READ: Final = "no read said anything"


class Truth(enum.Enum):
    """What a rule says at one read."""

    FALSE = "false"
    """For sure."""
    TRUE = "true"
    """Whatever became of contenders in doubt."""
    DEPENDS = "depends"
    """It depends on those."""
    NOTHING = "nothing"
    """Nobody can tell."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the contenders of one name stood at a read, of those that were sent by then.

    doubt   never got an answer
    flying  had none when the read began, and won in the end
    """

    won: int = 0
    refused: int = 0
    failed: int = 0
    doubt: int = 0
    flying: int = 0


class WrongRule(Exception):
    """A rule gives neither true nor false; the text says with what."""


class Judged:
    """A rule, ready to be worked out. `reads` and `names` are those of the race: its reads and its contenders."""

    def __init__(self, rule: Rule, look: Look, reads: Sequence[str], names: Sequence[str]) -> None:
        self.rule = rule
        self._look = look
        self.reads = tuple(name for name in reads if look.looks_at(name))
        """The reads that it looks at."""
        counts = any(look.looks_at(name) for name in COUNTS)
        every = look.whole or _WHOLE.search(look.text) is not None
        self._varied = tuple(name for name in names if counts and (every or name in look.text))

    def truth(self, bodies: Mapping[str, Any], standings: Mapping[str, Standing], known: Mapping[str, Any]) -> Truth:
        """What it says of what was read. Raises WrongRule."""
        unsure = [standings[name] for name in self._varied]
        if prod(one.doubt + one.flying + 1 for one in unsure) > MOST_WAYS:
            return Truth.NOTHING if any(one.flying for one in unsure) else Truth.DEPENDS
        document = {**bodies, VARS: known}
        ways = {
            way: self._holds(document, standings, dict(zip(self._varied, way, strict=True)))
            for way in product(*(range(one.doubt + one.flying + 1) for one in unsure))
        }
        if not any(ways.values()):
            return Truth.FALSE
        for of_doubt in product(*(range(one.doubt + 1) for one in unsure)):
            spans = (range(won, won + one.flying + 1) for won, one in zip(of_doubt, unsure, strict=True))
            if not any(ways[way] for way in product(*spans)):
                return Truth.DEPENDS
        return Truth.TRUE

    def _holds(self, document: dict[str, Any], standings: Mapping[str, Standing], more: Mapping[str, int]) -> bool:
        """Whether it is true if so many more of each name had won."""
        found: Any
        document["won"] = {name: one.won + more.get(name, 0) for name, one in standings.items()}
        document["refused"] = {
            name: one.refused + max(0, one.doubt - more.get(name, 0)) for name, one in standings.items()
        }
        document["failed"] = {name: one.failed for name, one in standings.items()}
        document["doubt"] = {name: one.doubt for name, one in standings.items()}
        try:
            found = self._look.search(document)
        except ValueError as error:
            raise WrongRule(" ".join(str(error).split())) from None
        if found is True or found is False:
            return bool(found)
        raise WrongRule(f"it gives {_text(found)}, and neither true nor false")


def shown(bodies: Mapping[str, Any], standings: Mapping[str, Standing], rule: str = "") -> str:
    """What was read, and how the contenders stood, for people. What the rule names comes first, if not all fits."""
    told = [f"{name} = {_text(_named_first(body, rule))}" for name, body in bodies.items()]
    for name, one in standings.items():
        counts = {
            "won": one.won, "refused": one.refused, "failed": one.failed, "in doubt": one.doubt,
            "in flight": one.flying,
        }  # fmt: skip
        told.append(f"{name}: {', '.join(f'{count} {what}' for what, count in counts.items() if count) or 'none'}")
    return "; ".join(told)


def _named_first(body: Any, rule: str) -> Any:
    if not isinstance(body, dict):
        return body
    named = set(_NAME.findall(rule))
    return dict(sorted(body.items(), key=lambda item: item[0] not in named))


def _text(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


@dataclass(slots=True)
class _Once:
    """Whether something came true in time and stayed so, by what is true at each read. Times count from the last
    answer to a contender; each read counts for when it was due."""

    within_ns: int
    confirm_ns: int
    since_ns: int | None = None
    """When it was first true, in time."""
    confirmed: bool = False
    """A read after that showed it as well."""
    broken: bool = False
    """It was true, and then no more."""
    late: bool = False
    """It was true after its time alone."""
    never: bool = False
    """It was false at the end of its time or later, and never true before."""

    def look(self, at_ns: int, *, holds: bool) -> None:
        """Take one read."""
        if self.since_ns is None:
            if holds and at_ns <= self.within_ns and not self.late:
                self.since_ns = at_ns
                self.confirmed = not self.confirm_ns
            elif holds:
                self.late = True
            elif at_ns >= self.within_ns and not self.late:
                self.never = True
        elif at_ns <= self.since_ns + self.confirm_ns:
            self.broken = self.broken or not holds
            self.confirmed = True
        elif holds:
            # Between this read and the one before nobody looked, as between any two.
            self.confirmed = True

    @property
    def ends_ns(self) -> int:
        """When the last read of it is due."""
        if self.never or self.late:
            return 0
        if self.since_ns is None:
            return self.within_ns
        ends_ns = self.since_ns + self.confirm_ns
        return max(ends_ns, self.within_ns) if self.broken else ends_ns  # it may still settle in time

    @property
    def result(self) -> Held:
        if self.broken or self.never:
            return Held.VIOLATED
        return Held.HELD if self.since_ns is not None and self.confirmed else Held.UNKNOWN


@dataclass(slots=True)
class Course:
    """A rule through the reads of one round.

    told   what was read where it was violated first, or might have been; for people
    wrong  why it can't be told at all
    """

    judged: Judged
    within_ns: int
    confirm_ns: int
    told: str = ""
    wrong: str = ""
    _violated: bool = False
    _possible: bool = False
    _seen: bool = False
    """A read after the last answer said something."""
    _least: _Once = field(init=False)
    """If what depends on contenders in doubt is true, and `_most` if it is false."""
    _most: _Once = field(init=False)

    def __post_init__(self) -> None:
        self._least = _Once(self.within_ns, self.confirm_ns)
        self._most = _Once(self.within_ns, self.confirm_ns)

    @property
    def _lasting(self) -> bool:
        return self.judged.rule.kind == "holds"

    def look(
        self,
        at_ns: int | None,
        bodies: Mapping[str, Any],
        standings: Mapping[str, Standing],
        known: Mapping[str, Any],
        when: str,
    ) -> Truth:
        """Take what was read at a time, in nanoseconds since the last answer; None: before that. `when` says it for
        people. Gives what the rule said of it."""
        if self._lasting and at_ns is None:
            return Truth.NOTHING
        try:
            truth = self.judged.truth(bodies, standings, known)
        except WrongRule as wrong:
            looked = {name: bodies[name] for name in self.judged.reads}
            self.wrong = self.wrong or f"{wrong} ({when}: {shown(looked, standings, self.judged.rule.expression)})"
            return Truth.NOTHING
        if truth is Truth.NOTHING:
            return truth
        self._seen = self._seen or at_ns is not None
        before = self._violated, self._possible
        if self._lasting:
            assert at_ns is not None
            self._least.look(at_ns, holds=truth is not Truth.FALSE)
            self._most.look(at_ns, holds=truth is Truth.TRUE)
            self._violated = self._least.result is Held.VIOLATED
            self._possible = self._most.result is Held.VIOLATED
        else:
            self._violated = self._violated or truth is Truth.FALSE
            self._possible = self._possible or truth is Truth.DEPENDS
        if (self._violated, self._possible) != before and not before[0]:
            looked = {name: bodies[name] for name in self.judged.reads}
            self.told = f"{when}: {shown(looked, standings, self.judged.rule.expression)}"
        return truth

    @property
    def violated(self) -> bool:
        """For sure."""
        return self._violated

    @property
    def ends_ns(self) -> int:
        """When the last read of it is due, as far as is known by now, in nanoseconds since the last answer."""
        if not self._lasting:
            return self.confirm_ns
        return max(self._least.ends_ns, self._most.ends_ns)

    @property
    def undecided(self) -> bool:
        """Its time is over without a read that said how it ended."""
        return self._lasting and not self.wrong and Held.UNKNOWN in (self._least.result, self._most.result)

    def result(self) -> RuleResult:
        """What became of it."""
        rule, told = self.judged.rule, self.told
        if self._violated:
            held = Held.VIOLATED
        elif self.wrong:
            held, told = Held.UNKNOWN, self.wrong
        elif not self._seen:
            held, told = Held.UNKNOWN, NO_READ
        elif not self._lasting:
            held = Held.POSSIBLE if self._possible else Held.HELD
        elif Held.UNKNOWN in (self._least.result, self._most.result):
            held, told = Held.UNKNOWN, "no read said whether it held to the end of its time"
        else:
            held = Held.HELD if self._most.result is Held.HELD else Held.POSSIBLE
        return RuleResult(rule.name, rule.kind, held, "" if held is Held.HELD else told)
