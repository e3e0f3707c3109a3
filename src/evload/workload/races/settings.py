"""What a race is, once a config is read: its set-up, who contends, what is read, and what has to hold.

All times in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ...model.round import RuleKind
from ..journeys.settings import Capture, Continue, JourneySettings, RequestStep, Sending, Step

WITHIN_NS: Final = 10_000_000_000
"""How long after the last answer something may take until it holds, where nothing is said."""
CONFIRM_NS: Final = 5_000_000_000
"""How long it has to go on holding then, where nothing is said."""
COUNTS: Final = ("won", "refused", "failed", "doubt")
"""What rules know of the contenders: numbers by their names."""
VARS: Final = "vars"
"""Where rules have what was drawn, and captured by the set-up."""


def body_of(read: str) -> str:
    """Under which name `one_by_one` captures what was read: none that a template could ask for."""
    return f"body of {read}"


@dataclass(frozen=True, slots=True)
class Contender:
    """Requests, or events, that are sent so many times at one instant.

    offset  how long after that instant each is due, drawn evenly from one to the other, both included
    """

    step: Sending
    times: int
    offset: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression over what was read and who has won."""

    name: str
    kind: RuleKind
    expression: str


@dataclass(frozen=True, slots=True)
class RaceSettings(JourneySettings):
    """A race: `steps` are its set-up, done once for each round, and `vars` are drawn for each.

    within   how long after the last answer a rule of `holds` may take until it holds
    confirm  how long it has to go on holding then
    """

    contenders: tuple[Contender, ...] = ()
    reads: tuple[RequestStep, ...] = ()
    rules: tuple[Rule, ...] = field(default_factory=tuple)
    within: int = WITHIN_NS
    confirm: int = CONFIRM_NS

    @property
    def sections(self) -> Mapping[str, tuple[Step, ...]]:
        """See `JourneySettings`."""
        return {"setup": self.steps, "contenders": tuple(one.step for one in self.contenders), "reads": self.reads}

    @property
    def most(self) -> int:
        """How many contenders a round has."""
        return sum(one.times for one in self.contenders)

    def one_by_one(self) -> JourneySettings:
        """A journey through all of it, each contender once and then each read, whose body it captures."""
        contenders = (
            replace(one.step, else_=(Continue(),))
            if isinstance(one.step, RequestStep) and one.step.refused
            else one.step
            for one in self.contenders
        )
        reads = (replace(one, capture={body_of(one.name): Capture("body")}) for one in self.reads)
        return JourneySettings((*self.steps, *contenders, *reads), self.vars)

    def rules_of(self, kind: RuleKind) -> tuple[Rule, ...]:
        """Those that have to hold then."""
        return tuple(one for one in self.rules if one.kind == kind)
