"""What became of races: how rounds ended, which rules were broken, who won, and whether anybody contended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..judging.rounds import one_sided
from ..model.round import SETTLE, Held, RuleKind
from ..model.rounds import RoundsSummary, RuleSummary
from ..model.summary import RACE, Distribution, ScenarioSummary, Summary
from ..units import format_duration, format_share

WHEN: Final[Mapping[RuleKind, str]] = {"always": "at every read", "holds": "in the end"}
"""When a rule has to hold, for people."""
_ENDS: Final = ("judged", "void", "cut_off")
_HOW: Final = {Held.VIOLATED: "broken", Held.POSSIBLE: "perhaps broken", Held.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Told:
    """A round in which a rule didn't hold for sure, for people.

    how    broken, perhaps broken or unknown
    where  which round it was: `round 7, due at 21 s`
    what   what the reads and the contenders were
    """

    how: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, and in how many rounds it held, was broken, perhaps broken, or nobody knows."""

    name: str
    when: str
    held: int
    violated: int
    possible: int
    unknown: int
    examples: Sequence[Told]


@dataclass(frozen=True, slots=True)
class Contender:
    """What became of all contenders of one name; `rounds` of those that somebody won for sure are theirs, too."""

    name: str
    due: int
    won: int
    refused: int
    failed: int
    doubt: int
    unsent: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Race:
    """The rounds of a scenario.

    counts      as in a summary: scheduled, judged, void, cut_off
    settle      from the last answer to a contender until all that has to hold in the end did; None: nothing has to
    contention  (the share of the judged rounds in which contenders were in flight at once, that share if also those
                of which nobody can tell were); None without any
    decided     rounds that somebody won for sure
    remark      what makes it no fair race; empty if nothing does
    reads       (how many there were, how many of them failed and said nothing)
    reasons     (why rounds are void or were cut off, number), the most frequent first
    """

    scenario: str
    counts: Mapping[str, int]
    rules: Sequence[Rule]
    contenders: Sequence[Contender]
    settle: Distribution | None
    contention: tuple[float, float] | None
    decided: int
    remark: str
    reads: tuple[int, int]
    reasons: Sequence[tuple[str, int]]
    rounds: RoundsSummary

    @property
    def sums(self) -> list[str]:
        """How rounds ended, and what became of those that were judged, in words."""
        ends = [f"{self.counts[end]:,} {end.replace('_', ' ')}" for end in _ENDS if self.counts[end]]
        told = [f"{self.counts['scheduled']:,} {self._rounds} = {' + '.join(ends) or '0'}"]
        one = self.rounds
        parts = (
            (one.held, "in which every rule held"),
            (one.violated, "in which one was broken"),
            (one.possible, "in which one was perhaps broken"),
            (one.unknown, "in which nobody knows of one"),
        )
        if known := [f"{count:,} {what}" for count, what in parts if count]:
            told.append(", ".join(known))
        if self.reads[0]:
            count, failed = self.reads
            said = f", of which {failed:,} failed and said nothing" if failed else ""
            told.append(f"{count:,} reads{said}")
        return told

    @property
    def _rounds(self) -> str:
        return "round" if self.counts["scheduled"] == 1 else "rounds"

    @property
    def contended(self) -> str:
        """In how many rounds contenders were in flight at once, in words."""
        if self.contention is None:
            return "no round was judged, so that nobody knows of contention"
        low, high = self.contention
        share = format_share(low) if low == high else f"{format_share(low)} … {format_share(high)}"
        return (
            f"contenders were in flight at once in {self.rounds.contended:,} of {self.counts['judged']:,} ({share})"
        )


def races(summary: Summary) -> list[Race]:
    """Those of all scenarios, in their order."""
    return [
        _race(name, part, (scenario.reads, scenario.failed_reads))
        for name, scenario in summary.scenarios.items()
        if (part := scenario.slices.get(RACE)) is not None
    ]


def _race(scenario: str, part: ScenarioSummary, reads: tuple[int, int]) -> Race:
    rounds = part.rounds or RoundsSummary()
    judged, untold = rounds.judged, rounds.judged - rounds.contended - rounds.apart
    settle = part.distributions.get(SETTLE)
    return Race(
        scenario,
        part.ledger,
        [_rule(name, rule) for name, rule in rounds.rules.items()],
        [
            Contender(name, one.due, one.won, one.refused, one.failed, one.doubt, one.unsent, one.rounds)
            for name, one in rounds.contenders.items()
        ],
        settle if settle is not None and settle.count else None,
        (rounds.contended / judged, (rounds.contended + untold) / judged) if judged else None,
        rounds.decided,
        one_sided(rounds),
        reads,
        sorted(rounds.reasons.items(), key=lambda item: (-item[1], item[0])),
        rounds,
    )


def _rule(name: str, rule: RuleSummary) -> Rule:
    examples = list(_examples(rule))
    return Rule(name, WHEN[rule.kind], rule.held, rule.violated, rule.possible, rule.unknown + rule.open, examples)


def _examples(rule: RuleSummary) -> Iterator[Told]:
    """The worst first."""
    for held, how in _HOW.items():
        for one in rule.examples.get(held, ()):
            yield Told(how, f"round {one.number}, due at {format_duration(one.intended_ns)}", one.told)
