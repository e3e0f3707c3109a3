"""Counts of events over time, looked at through a window that slides over them.

The counts come in steps of equal length: how many events were due in each, how many of them were bad for sure, and
how many may have been. Everything here is exact for what was counted; nothing is inferred.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


class Counts(NamedTuple):
    """Per step: events, those bad for sure, those that may be bad. The second can't exceed the third."""

    events: Sequence[int]
    sure: Sequence[int]
    maybe: Sequence[int]


class View(NamedTuple):
    """What a window over the steps [first, end) holds, or one step."""

    first: int
    end: int
    events: int
    sure: int
    maybe: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many bad events a window may hold.

    bad     the share that may be bad
    strict  bad events have to be fewer than that share; else as many are allowed
    sparse  a window with so few events that one is more than the share counts as if it had just enough for one,
            so that a single bad event never breaks it
    """

    bad: Fraction
    strict: bool = False
    sparse: bool = True

    def counted(self, events: int) -> int:
        """The number of events that a window with so many counts as."""
        if not self.sparse or self.bad <= 0:
            return events
        return max(events, -(-self.bad.denominator // self.bad.numerator))

    def allowed(self, events: int) -> int:
        """Bad events with which a window of so many still holds."""
        share, among = self.bad, self.counted(events)
        allowed = (share.numerator * among - self.strict) // share.denominator
        return max(1, allowed) if self.sparse and share > 0 else max(0, allowed)


@dataclass(frozen=True, slots=True)
class Windows:
    """What all windows together come to.

    broken, doubtful  a window is broken for sure; may be broken
    worst             the first window with the largest share of bad events, of those that are broken for sure; if
                      none is, of those that may be broken, and of all if none may be, by what may be bad in them
    share             the largest share of bad events that a window has: [for sure, possibly]
    broken_until, doubtful_until   the step at which the last window ends that is broken for sure, may be broken
    open_end          the last window that had events may be broken
    """

    broken: bool
    doubtful: bool
    worst: View
    share: tuple[Fraction, Fraction]
    broken_until: int | None
    doubtful_until: int | None
    open_end: bool


def sliding(counts: Counts, length: int, first: int = 0) -> Iterator[View]:
    """All windows of `length` steps from step `first` on, the last one ending at the last step.

    If there are fewer steps than that, the only window has all of them.
    """
    events, sure, maybe = counts
    steps = len(events)
    if steps <= first:
        return
    length = min(length, steps - first)
    end = first + length
    n, bad, most = sum(events[first:end]), sum(sure[first:end]), sum(maybe[first:end])
    yield View(first, end, n, bad, most)
    for gone in range(first, steps - length):
        come = gone + length
        n += events[come] - events[gone]
        bad += sure[come] - sure[gone]
        most += maybe[come] - maybe[gone]
        yield View(gone + 1, come + 1, n, bad, most)


def survey(
    counts: Counts, length: int, allowance: Allowance, *, first: int = 0, unplaced: int = 0, outstanding: int = 0
) -> Windows | None:
    """Looks at every window that has an event; None if there is none.

    unplaced     bad events that may belong to any window
    outstanding  events that are still to come and may belong to any window, all of them good
    """
    broken_until = doubtful_until = None
    worst_sure = worst_maybe = None
    most_sure = most_maybe = (False, -1.0)
    least = most = Fraction(0)
    open_end = False
    for view in sliding(counts, length, first):
        if not view.events:
            continue
        counted = allowance.counted(view.events)
        broken = allowance.allowed(view.events + outstanding) < view.sure
        if broken:
            broken_until = view.end
        open_end = allowance.allowed(view.events) < view.maybe + unplaced
        if open_end:
            doubtful_until = view.end
        if view.sure * least.denominator > least.numerator * counted:
            least = Fraction(view.sure, counted)
        maybe = min(view.maybe + unplaced, view.events)
        if maybe * most.denominator > most.numerator * counted:
            most = Fraction(maybe, counted)
        if (broken, view.sure / counted) > most_sure:
            most_sure, worst_sure = (broken, view.sure / counted), view
        if (open_end, view.maybe / counted) > most_maybe:
            most_maybe, worst_maybe = (open_end, view.maybe / counted), view
    if worst_sure is None or worst_maybe is None:
        return None
    return Windows(
        broken=broken_until is not None,
        doubtful=doubtful_until is not None,
        worst=worst_maybe if broken_until is None else worst_sure,
        share=(least, most),
        broken_until=broken_until,
        doubtful_until=doubtful_until,
        open_end=open_end,
    )


class Step(enum.Enum):
    """What one step says of an objective."""

    EMPTY = enum.auto()
    HOLDS = enum.auto()
    DOUBTFUL = enum.auto()
    BROKEN = enum.auto()


def longest_stretch(steps: Iterable[Step]) -> tuple[int, int]:
    """The longest run of broken steps: [for sure, possibly], in steps.

    A step that holds ends a stretch, and a doubtful one ends it for sure. An empty one says nothing: it never ends
    a stretch; between two broken steps it counts for what is possible, and not for what is sure.
    """
    longest_sure = longest_maybe = sure = maybe = silent = 0
    for step in steps:
        if step is Step.EMPTY:
            silent += 1
            continue
        if step is Step.HOLDS:
            sure = maybe = 0
        else:
            maybe += 1 + (silent if maybe else 0)
            sure = sure + 1 if step is Step.BROKEN else 0
        silent = 0
        longest_sure, longest_maybe = max(longest_sure, sure), max(longest_maybe, maybe)
    return longest_sure, longest_maybe


def steps_broken(
    counts: Counts, allowance: Allowance, *, first: int = 0, unplaced: int = 0, outstanding: int = 0
) -> Iterator[Step]:
    """Whether each step from `first` on keeps the allowance; `unplaced` and `outstanding` as for `survey`."""
    for view in sliding(counts, 1, first):
        if not view.events:
            yield Step.EMPTY
        elif allowance.allowed(view.events + outstanding) < view.sure:
            yield Step.BROKEN
        elif allowance.allowed(view.events) < view.maybe + unplaced:
            yield Step.DOUBTFUL
        else:
            yield Step.HOLDS
