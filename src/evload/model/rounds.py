"""What the rounds of races amount to: how they ended, what became of their rules, and who won how often.

Every field merges exactly: parts of a run, which have different rounds, add up to the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

from .round import TALLIES, Held, RuleKind

VIOLATIONS: Final = "violations"
"""What objectives call the number of rules that were broken, each once in a round."""
CONTENTION: Final = "contention"
"""What they call the share of the rounds that were judged in which contenders were in flight at once."""
STATES: Final = ("judged", "void", "cut_off", "violated")
"""What they ask of rounds: how many there are, `rounds(violated)`, and which share of all, `rate(violated)`."""
COUNTERS: Final = (VIOLATIONS, "won", "doubt")
"""What has no other meaning than that of races. `refused`, `failed` and `unsent` are of races with a contender."""
MOST_EXAMPLES: Final = 3
"""Of each rule, of what broke it for sure, what may have broken it, and what left it unknown."""
FEWEST_DECIDED: Final = 8
"""Of two that are equally quick one wins all of eight races in one of 128 runs."""
_COUNTS: Final = ("violated", "possible", "unknown", "held", "contended", "apart", "decided", "broken_off", "open")


class Example(NamedTuple):
    """A round in which a rule didn't hold for sure. The earliest are kept.

    intended_ns  when the round was due, since the schedule began
    number       of the round within its scenario
    told         what the reads and the contenders were then
    """

    intended_ns: int
    scenario: str
    number: int
    told: str


@dataclass(slots=True)
class RuleSummary:
    """In how many rounds a rule held or didn't. `examples` by `Held`, but for HELD.

    violated  for sure, also in rounds that were cut off after that
    open      rounds that were cut off when contenders were sent already, and nobody knows of this rule
    """

    kind: RuleKind
    held: int = 0
    violated: int = 0
    possible: int = 0
    unknown: int = 0
    open: int = 0
    examples: dict[Held, tuple[Example, ...]] = field(default_factory=dict)

    def tell(self, held: Held, example: Example) -> None:
        """Keep an example, if it is one of the earliest."""
        self.examples[held] = tuple(sorted((*self.examples.get(held, ()), example))[:MOST_EXAMPLES])

    def merge(self, other: RuleSummary) -> None:
        """Add another's counts."""
        self.held += other.held
        self.violated += other.violated
        self.possible += other.possible
        self.unknown += other.unknown
        self.open += other.open
        for held, examples in other.examples.items():
            for one in examples:
                self.tell(held, one)


@dataclass(slots=True)
class ContenderSummary:
    """What became of the contenders of one name, in all rounds. `rounds` of them had one that won for sure."""

    won: int = 0
    refused: int = 0
    failed: int = 0
    doubt: int = 0
    unsent: int = 0
    rounds: int = 0

    @property
    def due(self) -> int:
        """All that were due."""
        return sum(getattr(self, name) for name in TALLIES)

    def merge(self, other: ContenderSummary) -> None:
        """Add another's counts."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(slots=True)
class RoundsSummary:
    """What is counted of rounds, beside how many ended how.

    violated   a rule was broken for sure; `broken_off`: those of them that were cut off after that
    possible   judged, no rule was broken for sure, and one depends on contenders in doubt
    unknown    judged, none of that, and of a rule nobody can tell
    held       judged, and every rule held: judged + broken_off = violated + possible + unknown + held
    contended  judged, with requests of different contenders in flight at once; `apart`: they were not;
               judged = contended + apart + those of which nobody can tell
    decided    judged, and a contender won for sure
    open       cut off when contenders were sent already, and no rule was broken for sure until then
    rules, contenders   by their names, in the order of the config
    reasons    why rounds are void or were cut off, each with the number of them
    """

    violated: int = 0
    possible: int = 0
    unknown: int = 0
    held: int = 0
    contended: int = 0
    apart: int = 0
    decided: int = 0
    broken_off: int = 0
    open: int = 0
    rules: dict[str, RuleSummary] = field(default_factory=dict)
    contenders: dict[str, ContenderSummary] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def judged(self) -> int:
        """Rounds whose rules were looked at to the end."""
        return self.violated + self.possible + self.unknown + self.held - self.broken_off

    @property
    def only_winner(self) -> str:
        """The only contender, of several, that ever won, though several rounds were decided; empty if there is none.

        Who comes first by chance alone isn't always the same: that race wasn't tried.
        """
        if len(self.contenders) < 2 or self.decided < FEWEST_DECIDED:
            return ""
        winners = [name for name, one in self.contenders.items() if one.rounds]
        return winners[0] if len(winners) == 1 and self.contenders[winners[0]].rounds == self.decided else ""

    def merge(self, other: RoundsSummary) -> None:
        """Add another's counts."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, rule in other.rules.items():
            self.rules.setdefault(name, RuleSummary(rule.kind)).merge(rule)
        for name, contender in other.contenders.items():
            self.contenders.setdefault(name, ContenderSummary()).merge(contender)
        _add(self.reasons, other.reasons)


def counter_of(state: str) -> str:
    """What objectives call the number of rounds in one of STATES."""
    return f"rounds({state})"


def state_of(counter: str) -> str | None:
    """The state of the rounds that a counter counts; None if it counts something else."""
    return next((state for state in STATES if counter_of(state) == counter), None)


def _add(into: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        into[name] = into.get(name, 0) + count
