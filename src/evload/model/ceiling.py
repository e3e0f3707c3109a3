"""What the search for a ceiling came to: its trials, and the interval in which the highest sustainable rate lies."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from .report import ObjectiveResult, Result


class Outcome(enum.StrEnum):
    """Of a trial at one rate."""

    GOOD = "good"
    """Every objective holds, no backlog grows, and what is left at the end drains in time."""
    BAD = "bad"
    """One of these is broken for sure."""
    UNDECIDED = "undecided"
    """The trial was too short to tell."""
    GENERATOR = "generator"
    """The load was not what was asked for, or the measurement can't be trusted: nothing is known of the system."""


class End(enum.StrEnum):
    """How the search ended."""

    INTERVAL = "interval"
    """There is a rate that is good, and one above it that is bad."""
    GENERATOR = "generator"
    """There is a rate that is good; above it the generator was the limit, and not the system."""
    ASKED = "asked"
    """All rates are good up to the last that was asked for."""
    OPEN = "open"
    """There is a rate that is good; whether those above are couldn't be told."""
    NONE = "none"
    """No rate is known to be good."""
    UNFINISHED = "unfinished"
    """It was interrupted; it can go on."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one of those who show the backlog saw of it in a trial.

    growth  [lower, upper] of how much it grew, as a share of the offered rate (at a step of a journey of the rate at
            which that is due); None where it saw too little
    drain   [lower, upper] of the seconds after the load until it was back at its level; None where nobody asked for
            that, or it saw too little. Without an upper end it was not back when the trial ended
    """

    growth: tuple[float, float] | None = None
    drain: tuple[float, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trial came to. `reasons` say why it isn't good. `windows` has p95 of the consistency window in seconds,
    [lower, upper], where events are followed; of journeys that of how long an iteration takes. `usual_ns` is how long
    nearly all of those take while hardly anything waits."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    backlogs: dict[str, Backlog] = field(default_factory=dict)
    windows: tuple[float | None, float | None] | None = None
    usual_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: a run of its own in `directory`, which is named relative to that of the search.

    length_ns  how long its events are judged
    doublings  how often it was made twice as long
    confirms   it repeats the highest rate that was good
    """

    number: int
    rate: Fraction
    length_ns: int
    doublings: int
    directory: str
    judged: Judged
    confirms: bool = False

    @property
    def outcome(self) -> Outcome:
        return self.judged.outcome


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which rates the ceiling lies, as far as is known. Rates in events per second.

    good, bad  the highest that is good, and the lowest that is bad above it
    limited    the lowest above `good` at which the generator was the limit, where none is bad
    undecided  those in between of which nobody could tell
    confirmed  `good` was good once more
    """

    end: End
    good: Fraction | None = None
    bad: Fraction | None = None
    limited: Fraction | None = None
    undecided: tuple[Fraction, ...] = ()
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Ceiling:
    """All that is told of a search.

    first, last, precision, length_ns   what was asked for
    objectives  what is asked of the ceiling, judged; `not_asked` are those about another scenario
    note        why it ended before its time; mostly empty
    of_journeys its rates are of iterations, and not of events
    """

    name: str
    scenario: str
    started_at: datetime
    first: Fraction
    last: Fraction
    precision: float
    length_ns: int
    bounds: Bounds
    trials: Sequence[Trial]
    verdict: Result
    objectives: Sequence[ObjectiveResult] = ()
    not_asked: Sequence[str] = ()
    note: str = ""
    of_journeys: bool = False
