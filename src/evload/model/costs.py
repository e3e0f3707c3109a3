"""What a run cost: each service and all together, as brackets, with the reason where nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

Amounts = tuple[Fraction, Fraction | None]
"""[lower, upper] of an amount; no upper end: nobody knows how much more it may be."""
DAY_S: Final = 86_400
MONTH_DAYS: Final = 30
PER_EVENTS: Final = 1000
"""A report tells the cost of so many events."""
SPANS_S: Final[Mapping[str, int]] = {"day": DAY_S, "month": MONTH_DAYS * DAY_S}
"""For how many seconds the usage of the longest hold is projected."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The longest stretch of the load with one rate. Times in nanoseconds since the schedule began.

    events  due in it, of all scenarios
    """

    scenario: str
    start_ns: int
    end_ns: int
    events: int = 0

    @property
    def rate(self) -> Fraction:
        """Events per second that were due in it."""
        return Fraction(self.events * 10**9, self.end_ns - self.start_ns)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of something was used.

    run, run_reason  over the run; None and why, where nobody knows
    rate, rate_reason  in the longest hold alone, per second; the same
    note  what else there is to say of it
    """

    run: Amounts | None
    rate: Amounts | None
    run_reason: str = ""
    rate_reason: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service cost, or all of them. `usage`, `price` and `per` as written; empty for all of them.

    used    how much of it the run used
    run     what that costs
    second  what a second of the longest hold costs
    run_reason, second_reason  why nobody knows, where they are None
    note    what else there is to say of its usage
    """

    name: str
    usage: str
    price: str
    per: str
    used: Amounts | None
    run: Amounts | None
    second: Amounts | None
    run_reason: str = ""
    second_reason: str = ""
    note: str = ""

    def over(self, span: str) -> Amounts | None:
        """A day or a month, at the rate of the longest hold and by its usage."""
        if self.second is None:
            return None
        low, high = self.second
        return low * SPANS_S[span], None if high is None else high * SPANS_S[span]


@dataclass(frozen=True, slots=True)
class Costs:
    """The price table of a run, filled in.

    accepted  fewest and most events that the system has: those that were acked, and those in doubt as well
    """

    services: tuple[Cost, ...]
    total: Cost
    accepted: tuple[int, int]
    hold: Hold | None = None

    def of_events(self, cost: Cost, events: int = PER_EVENTS) -> Amounts | None:
        """What so many events cost; None where nobody knows what the run cost, or no event was acked."""
        fewest, most = self.accepted
        if cost.run is None or not most:
            return None
        low, high = cost.run
        return low * events / most, None if high is None or not fewest else high * events / fewest

    def why_not_of_events(self, cost: Cost) -> str:
        """Why nobody knows what an event costs; empty if it is known."""
        return cost.run_reason or ("" if self.accepted[1] else "no event was acked")
