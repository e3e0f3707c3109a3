"""One pass of a journey: when it was due, how far it came, and how it ended."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Awaits = Literal["wait", "absent", "gone"]
"""What a step waits for at a probe, by the key that says it: that something is shown, that nothing is for a time, or
that what was shown is gone."""
Watched = Awaits | Literal["follow"]
"""What probes watch for a step: what it waits for, or the effect of what it sent, for which it doesn't wait."""


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


DUE: Final = "due"
STARTED: Final = "started"
KEYS: Final = ("scheduled", STARTED, *(end.name.lower() for end in End))
"""What is counted of the iterations of a journey: `scheduled` are all that were due, and the others sum up to it."""
SUMS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"scheduled": (STARTED, "unsent", "starved"), STARTED: ("completed", "refused", "failed", "cut_off")}
)
"""The two sums of iterations."""
COUNTERS: Final = (DUE, STARTED, "completed", "refused", "failed", "cut_off", "starved")
"""What objectives call the counters of iterations."""
JOURNEY: Final = "journey"
"""The metric of an iteration: the time from when it was due until its last step was done."""
WAIT: Final = "wait"
"""The metric of a step that waits: the time until what it waits for was shown, and no read missed it any more."""
HELD: Final = "checks_held"
NOT_HELD: Final = "checks_not_held"
"""Under which names a summary has how often each check held, and how often it didn't, by `check_label`."""
OTHERS: Final = "others"
"""What the reasons are called that are too many to be told apart."""


def key_of(counter: str) -> str:
    """What a counter of iterations is called among the counts of a summary."""
    return "scheduled" if counter == DUE else counter


def check_label(step: str, check: str) -> str:
    """What a check is called among all of its journey. No step has a colon in its name."""
    return f"{step}: {check}"


def is_check(label: str, step: str | None, check: str) -> bool:
    """Whether a check with that label has this name, and is of this step; None: of any."""
    of, _, name = label.partition(": ")
    return name == check and step in (None, of)


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
    checks       (STEP: NAME, whether it held) of each check that an answer was held against
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
    checks: tuple[tuple[str, bool], ...] = ()
