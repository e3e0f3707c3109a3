"""That what is done to a system is undone: who guarantees it, and how often an undo is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from ..spi.activity import Activity, Values
from ..units import NS_PER_S

NO_VALUES: Final[Values] = MappingProxyType({})


class Undoing(Protocol):
    """Who guarantees that what is done is undone, also if this process dies. The engine tells it what it is about
    to do, and does the undo itself.

    `action` and `number` are its name, and which time of it, as in a marker.
    """

    async def promise(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        """Before `do`: when this returns its undo is written, synced and with the guardian.

        `values` are what the placeholders in the undo stand for, as far as that is known now. Raises OutputError;
        then nothing must be done. If it raises, or is cancelled, nothing has to be undone.
        """
        ...

    async def began(self, action: str, group: int) -> None:
        """What the `do` of an action does just now is done by a group of processes, which has to be ended before it
        is undone. They do nothing before this returns."""
        ...

    async def done(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        """`do` has ended, well or not: nothing of it is under way any more. `values` are what it captured.

        Without it the guardian takes what was under way for something that may yet arrive after its undo.
        """
        ...

    async def kept(self, action: str, number: int) -> None:
        """It is undone."""
        ...

    async def given_up(self, action: str, number: int, reason: str, *, goes_on: bool = False) -> None:
        """It could not be undone however often it was tried; it stays for `evload undo`.

        `goes_on`: there was no time left to try it as often as that. The guardian goes on once this process is gone.
        """
        ...


class Unguarded:
    """Guarantees nothing: for virtual time, and for what can't outlive the run."""

    async def promise(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        pass

    async def began(self, action: str, group: int) -> None:
        pass

    async def done(self, action: str, number: int, values: Values = NO_VALUES) -> None:
        pass

    async def kept(self, action: str, number: int) -> None:
        pass

    async def given_up(self, action: str, number: int, reason: str, *, goes_on: bool = False) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an undo is tried that fails: after pauses that double, for so long altogether.

    Times in nanoseconds. There is always a first try, and one more when the time is over.
    """

    first_ns: int = NS_PER_S // 5
    longest_ns: int = 10 * NS_PER_S
    altogether_ns: int = 120 * NS_PER_S

    def pause_ns(self, tries: int, spent_ns: int) -> int | None:
        """How long to wait after so many tries, begun so long ago; None: it is given up."""
        left = self.altogether_ns - spent_ns
        if left <= 0:
            return None
        # No shift of a thousand bits: a broken target may refuse very often.
        doubled = self.first_ns << min(max(tries, 1) - 1, 40)
        return min(doubled, self.longest_ns, left)


RETRIES: Final = Retries()
"""Of a run, and of its guardian."""
HURRIED: Final = Retries(altogether_ns=0)
"""After a second interrupt: what is outstanding is tried once, at once, and what fails then is left to the guardian,
which has the patience that the person hasn't. Whoever waits between two tries tries at once, for the last time."""


class Undo:
    """The undo of one action, of one or several steps. What was done of them isn't done again."""

    def __init__(self, steps: Sequence[Activity]) -> None:
        self._left = list(steps)

    async def attempt(self, values: Mapping[str, Any]) -> str:
        """Do the steps that are left, in their order, each of them whatever became of the others.

        Returns why not all of them are done; empty if they are. What is gone with all that was done to it needs none.
        """
        errors: list[str] = []
        left: list[Activity] = []
        for step in self._left:
            outcome = await step.perform(values)
            if outcome.error and not outcome.gone:
                left.append(step)
                errors.append(outcome.error)
        self._left = left
        return "; ".join(errors)
