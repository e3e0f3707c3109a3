"""One pass of a journey: when it was due, how far it came, and how it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class End(enum.IntEnum):
    """How an iteration ended. All that are due: those never begun (UNSENT, STARVED) and those that were started."""

    COMPLETED = 1
    """Its last step was done."""
    REFUSED = 2
    """The target said a legitimate no, and the journey doesn't go on after that."""
    FAILED = 3
    """A step got another answer than it may get, or none, or its answer didn't hold what it has to."""
    CUT_OFF = 4
    """It was under way when the run was stopped, or came to its end."""
    UNSENT = 5
    """It was due, and never begun: the run was stopped before."""
    STARVED = 6
    """It was due, and never begun: what it would have taken from others wasn't there in time."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration, which is over. Times in nanoseconds on the clock of the run.

    scenario, journey  their numbers in the plan
    number       within its scenario, from 0
    user         whose it was; None in open load
    intended_ns  when it was due; started_ns when its first step was due to be sent, None if it never was
    ended_ns     when it was over
    step         the step at which it ended, where it didn't complete; empty if it never began
    reason       why it ended there, for people; empty where it completed
    failed_checks  names of checks that its answers didn't pass
    """

    scenario: int
    journey: int
    number: int
    user: int | None
    intended_ns: int
    started_ns: int | None
    ended_ns: int
    end: End
    step: str = ""
    reason: str = ""
    failed_checks: tuple[str, ...] = ()
