"""One round of a race: who took part, what became of its rules, and how it ended."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

RuleKind = Literal["always", "holds"]
"""When a rule has to hold: at every read from the first contender on, or once within a time and then on."""


class RoundEnd(enum.IntEnum):
    """How a round ended: rounds = judged + void + cut_off."""

    JUDGED = 1
    """Its contenders were sent, and its rules were looked at to the end."""
    VOID = 2
    """Its set-up failed, so that nobody contended."""
    CUT_OFF = 3
    """The run was stopped before it was judged, or before it was begun."""


class Held(enum.IntEnum):
    """What became of a rule in a round that was judged."""

    HELD = 1
    VIOLATED = 2
    """For sure: whatever became of the contenders in doubt."""
    POSSIBLE = 3
    """It depends on contenders that may have won or not."""
    UNKNOWN = 4
    """Nobody can tell: no read said anything, or the rule gave neither true nor false."""


SUMS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({"rounds": ("judged", "void", "cut_off")})
"""The sum of rounds."""
TALLIES: Final = ("won", "refused", "failed", "doubt", "unsent")
"""What becomes of a contender; they sum up to those that were due."""
SETTLE: Final = "settle"
"""The metric of a round: from the last answer to a contender until all that has to hold in the end does, for good."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of all contenders of one name in a round. In doubt are those that got no answer."""

    won: int = 0
    refused: int = 0
    failed: int = 0
    doubt: int = 0
    unsent: int = 0


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule in a round. `told` is for people, empty where it held: what the reads and contenders were then."""

    rule: str
    kind: RuleKind
    held: Held
    told: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """One round, which is over. Times in nanoseconds on the clock of the run.

    scenario     its number in the plan
    number       within its scenario, from 0
    intended_ns  when it was due: its set-up began then
    started_ns   when its contenders were due; None if they never were
    ended_ns     when it was over
    reason       why it is void or was cut off, for people; empty where it was judged
    tallies      by the name of the contender
    rules        of a round that was judged: each of its rules once
    contended    whether requests of different contenders were in flight at once (of one contender's, where there is
                 only one: at least half of them together); None if nobody can tell, as in a round that isn't judged
    settled      between which times after the last answer to a contender all that has to hold in the end did, for
                 good; the second is None if it never did in time; None altogether where nothing has to
    """

    scenario: int
    number: int
    intended_ns: int
    started_ns: int | None
    ended_ns: int
    end: RoundEnd
    reason: str = ""
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    rules: tuple[RuleResult, ...] = ()
    contended: bool | None = None
    settled: tuple[int, int | None] | None = None
