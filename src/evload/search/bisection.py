"""Which rate to try next, from what was tried so far: pure, so that a search can go on from its notes alone.

From the first rate the rates double until one is bad, or halve until one is good. Then the interval between the
highest good one and the lowest bad one is parted in the middle (of the logarithms), until it is as narrow as was
asked for; and the highest good rate is confirmed once more. A trial that can't tell is made twice as long, three
times at most; after that its rate is left between the ends, and the search goes on below and above it. A trial in
which the generator was at fault is repeated, and if it stays so that rate is never called bad: there the search ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import sqrt
from typing import Final, NamedTuple

from ..model.ceiling import Bounds, End, Outcome

MOST_DOUBLINGS: Final = 3
MOST_FAULTS: Final = 3
"""Trials in a row at one rate in which the generator is at fault, before it counts as the limit."""
MOST_HALVINGS: Final = 6
_MOST_CONFIRMATIONS: Final = 3
"""Times that the highest good rate turns out to be bad before nobody believes in it any more."""
_CLOSER: Final = 8
"""Beside rates of which nobody could tell the gaps have to be so many times narrower: those rates are wide enough."""
_DIGITS: Final = 4


class Plan(NamedTuple):
    """The first and the last rate to try, in events per second, and how narrow the interval has to be, as a share."""

    first: Fraction
    last: Fraction
    precision: float


class Tried(NamedTuple):
    """A trial that is over."""

    rate: Fraction
    doublings: int
    outcome: Outcome


class Next(NamedTuple):
    """A trial to make. `confirms`: its rate was good already."""

    rate: Fraction
    doublings: int = 0
    confirms: bool = False


def step(plan: Plan, tried: Sequence[Tried]) -> Next | Bounds:
    """What comes after these trials, which were each what this function had asked for; or what they amount to."""
    known, following = _replayed(plan, tried)
    return known.bounds() if following is None else following


def so_far(plan: Plan, tried: Sequence[Tried]) -> Bounds:
    """What is known after these trials, though there may be more to find out."""
    known, following = _replayed(plan, tried)
    return known.bounds() if following is None else replace(known.bounds(), end=End.UNFINISHED)


def _replayed(plan: Plan, tried: Sequence[Tried]) -> tuple[_Known, Next | None]:
    known = _Known()
    following: Next | None = Next(plan.first)
    for one in tried:
        if following is None:
            break
        following = known.after(following, one.outcome) or known.ahead(plan)
    return known, following


class _Known:
    """What is known of the rates."""

    def __init__(self) -> None:
        self._good: dict[Fraction, int] = {}
        """Rate to how often the trial that was good had been made twice as long."""
        self._bad: set[Fraction] = set()
        self._limited: set[Fraction] = set()
        self._undecided: set[Fraction] = set()
        self._faults = 0
        self._refuted = 0
        self._confirmed: Fraction | None = None
        self._unconfirmed: Fraction | None = None
        """Of which it couldn't be told once more whether it is good."""

    # -- what a trial says ---------------------------------------------------------------------------

    def after(self, trial: Next, outcome: Outcome) -> Next | None:
        """Take down what came of a trial. Gives it once more, where it has to be repeated."""
        if outcome is Outcome.GENERATOR:
            self._faults += 1
            if self._faults < MOST_FAULTS:
                return trial
        self._faults = 0
        if outcome is Outcome.UNDECIDED and trial.doublings < MOST_DOUBLINGS:
            return trial._replace(doublings=trial.doublings + 1)
        rate = trial.rate
        match outcome:
            case Outcome.GOOD:
                self._good[rate] = trial.doublings
                if trial.confirms:
                    self._confirmed = rate
            case Outcome.BAD:
                self._bad.add(rate)
                self._refuted += trial.confirms
            case _ if trial.confirms:
                self._unconfirmed = rate
            case Outcome.UNDECIDED:
                self._undecided.add(rate)
            case Outcome.GENERATOR:
                self._limited.add(rate)
        return None

    # -- where the ceiling is ------------------------------------------------------------------------

    @property
    def _high(self) -> Fraction | None:
        return min(self._bad, default=None)

    @property
    def _low(self) -> Fraction | None:
        high = self._high
        return max((rate for rate in self._good if high is None or rate < high), default=None)

    def _between(self, rates: set[Fraction]) -> list[Fraction]:
        low, high = self._low, self._high
        return sorted(r for r in rates if (low is None or r > low) and (high is None or r < high))

    def ahead(self, plan: Plan) -> Next | None:
        """The next rate; None if there is nothing left to find out."""
        low, high = self._low, self._high
        if low is None:
            return self._further_down(plan)
        rate = self._further_up(plan) if high is None else self._inside(plan, low, high)
        if rate is not None:
            return Next(rate)
        if low in (self._confirmed, self._unconfirmed) or self._refuted >= _MOST_CONFIRMATIONS:
            return None
        return Next(low, self._good[low], confirms=True)

    def _further_down(self, plan: Plan) -> Next | None:
        if not self._bad:
            return self._beyond_the_first(plan)
        lowest = min(self._bad | self._limited | self._undecided)
        rate = _rounded(lowest / 2)
        return Next(rate) if rate * 2**MOST_HALVINGS >= _rounded(plan.first) * Fraction(99, 100) else None

    def _beyond_the_first(self, plan: Plan) -> Next | None:
        """If the first rate can't be told, the ceiling may be right there, or it has too few events. The double of it
        says which; if that can't be told either, no rate can."""
        if self._limited or len(self._undecided) > 1:
            return None
        rate = min(_rounded(plan.first * 2), plan.last)
        return None if rate in self._undecided else Next(rate)

    def _further_up(self, plan: Plan) -> Fraction | None:
        """Nothing is bad: a higher rate, or one below that at which the generator is the limit."""
        low = self._low
        assert low is not None
        if limited := self._between(self._limited):
            return self._inside(plan, low, limited[0])
        highest = max({low, *self._between(self._undecided)})
        if highest < plan.last:
            return min(_rounded(highest * 2), plan.last)
        return self._inside(plan, low, None) if highest > low else None

    def _inside(self, plan: Plan, low: Fraction, high: Fraction | None) -> Fraction | None:
        """A rate in the widest gap next to an end: what lies between two that can't be told can't be told either."""
        marks = [rate for rate in self._between(self._undecided | self._limited) if high is None or rate < high]
        ends = [low, *marks, *([] if high is None else [high])]
        if high is not None and high <= low * (1 + Fraction(plan.precision)):
            return None
        gaps = [(ends[0], ends[1]), *([] if high is None else [(ends[-2], ends[-1])])]
        narrow = 1 + plan.precision / (_CLOSER if marks else 1)
        wide = [gap for gap in gaps if gap[1] > gap[0] * Fraction(narrow)]
        if not wide:
            return None
        below, above = max(wide, key=lambda gap: gap[1] / gap[0])
        middle = _rounded(Fraction(sqrt(below * above)))
        return middle if below < middle < above else None

    def bounds(self) -> Bounds:
        """What is known."""
        low, high = self._low, self._high
        limited = min(self._between(self._limited), default=None) if high is None else None
        undecided = tuple(self._between(self._undecided | (self._limited if high is not None else set())))
        if low is None:
            end = End.NONE
            limited = min(self._limited, default=None) if high is None else None
        elif high is not None:
            end = End.INTERVAL
        elif limited is not None:
            end = End.GENERATOR
        else:
            end = End.OPEN if undecided else End.ASKED
        return Bounds(end, low, high, limited, undecided, confirmed=low is not None and low == self._confirmed)


def _rounded(rate: Fraction) -> Fraction:
    """With four digits, so that the rate that is shown is the one that was tried."""
    return Fraction(f"{float(rate):.{_DIGITS}g}")
