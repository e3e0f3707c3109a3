"""What steps of journeys watch beside what they wait to see: that something stays absent, or that it goes.

The tracker follows what is to be seen. What is to go is seen, for it, once it isn't there any more: reads are turned
round before it takes them, so that brackets, limits and percentiles are those of any wait. What is to stay absent is
looked for as it is; once settled, it is told what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from ..model.iteration import Awaits
from ..model.states import Seen, State
from ..model.travel import Observation, Read, WaitEvent

Turn = Callable[[Sequence[Read]], list[Read]]
"""Makes of what a probe said what it says to whoever watches."""

_GOES_ON: Final[Mapping[Awaits, frozenset[State]]] = {
    "wait": frozenset(),
    "absent": frozenset({State.LOST}),
    "gone": frozenset(),
}
"""The states in which what was never seen is what was waited for."""
_STOPPED: Final = "the run was stopped"
_NOTHING: Final = "no read said anything of it in time"
_REASONS: Final[Mapping[Awaits, Mapping[State | None, str]]] = {
    "wait": {
        State.LOST: "it wasn't shown in time",
        State.ENDED: "it came to another end",
        State.UNOBSERVED: _NOTHING,
        State.PENDING: _STOPPED,
    },
    "absent": {
        None: "it appeared",
        State.UNOBSERVED: "no read said at the end whether it had appeared",
        State.PENDING: _STOPPED,
    },
    "gone": {State.LOST: "it wasn't gone in time", State.UNOBSERVED: _NOTHING, State.PENDING: _STOPPED},
}
_NEVER_THERE: Final = "no read showed it before, so nobody knows that it went"
_UNKNOWN: Final = "nobody knows whether it was shown"
_LOWER_ENDS: Final = ("first_lower_ns", "stable_lower_ns")


class Watching:
    """What is waited for in a run: `kinds` by the scenarios that waits are, `readers` by the readers that look."""

    def __init__(self, kinds: Mapping[int, Awaits], readers: Mapping[int, Awaits]) -> None:
        self._kinds = kinds
        self._readers = readers
        self._turned = {number for number, kind in kinds.items() if kind != "wait"}
        self._shown: dict[int, set[str | None]] = {}
        """Which replicas have shown what is to go, by its number; one without a name is None."""
        self._before: set[int] = set()
        """What was shown before its step began."""

    def begin(self, event: WaitEvent) -> None:
        """A step begins to wait."""
        if self._kinds[event.scenario] == "gone":
            self._shown[event.seq] = set()
            if event.shown:
                self._before.add(event.seq)

    def turn(self, reader: int, place: str | None = None) -> Turn | None:
        """What becomes of the reads of a reader, which asks a replica at an address of its own if it has a `place`;
        None: they stay as they are."""
        match self._readers.get(reader, "wait"):
            case "absent":
                return _plain
            case "gone":
                return partial(self._turn_round, place)
        return None

    def came(self, scenario: int, seen: bool, state: State | None) -> bool:
        """Whether it came to what a step waits for: the tracker saw it, or settled it in a state without that."""
        kind = self._kinds[scenario]
        return kind != "absent" if seen else state in _GOES_ON[kind]

    def reason(self, scenario: int, seq: int, state: State | None) -> str:
        """Why it didn't, for people; without a state it was seen."""
        kind = self._kinds[scenario]
        if kind == "gone" and state is not State.PENDING and self._was_never_there(seq):
            return _NEVER_THERE
        return _REASONS[kind].get(state, _UNKNOWN)

    def settled(self, observations: Iterable[Observation]) -> None:
        """Say of what is settled what was found. What is as it should be isn't called lost, nor is what never was."""
        for seen in observations:
            if seen.scenario not in self._turned:
                continue
            if self._kinds[seen.scenario] == "absent":
                seen.appeared = 1 if seen.first_upper_ns is not None else 0 if seen.state is State.LOST else 2
                vars(seen).pop("parts", None)
                never = seen.state is State.LOST
            else:
                never = self._was_never_there(seen.seq)
                seen.gone = (
                    1 if seen.first_upper_ns is not None else 0 if seen.state is State.LOST and not never else 2
                )
                self._shown.pop(seen.seq, None)
                self._before.discard(seen.seq)
                if never:
                    for name in (*_LOWER_ENDS, "parts"):
                        vars(seen).pop(name, None)
            if never and seen.state is State.LOST:
                seen.state = State.UNOBSERVED

    def _was_never_there(self, seq: int) -> bool:
        return seq not in self._before and not self._shown.get(seq)

    def _turn_round(self, place: str | None, reads: Sequence[Read]) -> list[Read]:
        """It is seen once it isn't there any more. What was never there says no more than that it hasn't gone."""
        turned = []
        for read in reads:
            shown, said = self._shown.get(read.seq, set[str | None]()), read.seen
            replica = read.replica if place is None else place
            if said is Seen.PRESENT:
                shown.add(replica)
                said = Seen.ABSENT
            elif said is not Seen.FAILED:
                # An answer without a name may be of any replica that showed it.
                was_there = read.seq in self._before or (
                    bool(shown) and (replica is None or replica in shown or None in shown)
                )
                said = Seen.PRESENT if was_there else Seen.ABSENT
            turned.append(Read(read.seq, said, read.start_ns, read.end_ns, replica=read.replica))
        return turned


def _plain(reads: Sequence[Read]) -> list[Read]:
    """Nothing but whether it is there. What will never come is watched on: it is asked whether it doesn't."""
    return [
        Read(
            read.seq, Seen.ABSENT if read.seen is Seen.ENDED else read.seen, read.start_ns, read.end_ns,
            replica=read.replica,
        )
        for read in reads
    ]  # fmt: skip
