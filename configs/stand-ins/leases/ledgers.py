"""Ledgers of entries, each in its own order, and the projectors that apply what was appended.

What happens is written into the record before anybody can read it. A line is of one of these kinds; `id` is the
correlation id of who appended the entry, or made the lease or the payment of which it tells.

came      an entry was appended to `ledger`; nobody can read it yet
done      it was applied, as number `number` of its ledger; the next read shows it
lost      it will never be applied
doubled   it was applied once more, as number `number`
swapped   it waits for the next one of its ledger
replayed  a creation came with a key that is known, and made nothing
refused   a request was answered with 503
slow      a request took longer than it should: `service`, `request`, and `s`, how long
changed   somebody turned knobs
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from leases.knobs import LeaseKnobs
from stand_in.clock import Clock
from stand_in.knobs import Planted
from stand_in.record import Record

_SWAPPED_FOR_S: Final = 0.5
"""How long an entry waits for the next one before it is applied all the same."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was appended to a ledger."""

    id: str
    ledger: str
    type: str
    data: Mapping[str, Any]


class Ledgers:
    """All of them. `applied` is called with each entry that is, right after that."""

    def __init__(self, knobs: LeaseKnobs, clock: Clock, record: Record) -> None:
        self._knobs, self._clock, self._record = knobs, clock, record
        self._queues: list[asyncio.Queue[tuple[float, Entry]]] = [asyncio.Queue() for _ in range(knobs.projectors)]
        self._left = [0] * knobs.projectors
        """Entries that each projector has to do yet."""
        self._outstanding: dict[str, tuple[int, int]] = {}
        """Ledger to its projector, and how many entries of it that one has."""
        self._of: defaultdict[str, list[Entry]] = defaultdict(list)
        self._places: defaultdict[str, list[tuple[Entry, int]]] = defaultdict(list)
        self._held: dict[str, Entry] = {}
        self._losing, self._doubling, self._swapping = Planted(), Planted(), Planted()
        self.applied: Callable[[Entry], None] = lambda entry: None
        self.rows = 0
        """How many rows were written."""
        self.busy_s = 0.0
        """Seconds for which projectors worked."""

    @property
    def waiting(self) -> int:
        """Entries that were appended and that no projector has begun with."""
        return sum(queue.qsize() for queue in self._queues)

    def append(self, entry: Entry) -> None:
        """Take an entry in."""
        self._note("came", entry)
        # In the order in which they came: one projector has all of a ledger, while there is any.
        projector, entries = self._outstanding.get(entry.ledger) or (self._least_busy(), 0)
        self._outstanding[entry.ledger] = (projector, entries + 1)
        self._left[projector] += 1
        self._queues[projector].put_nowait((asyncio.get_running_loop().time(), entry))

    def entries(self, ledger: str) -> list[Entry]:
        """What was applied to a ledger, in its order."""
        return self._of.get(ledger, [])

    def places(self, ids: Iterable[str]) -> list[tuple[Entry, int]]:
        """What was applied of those with these ids, each with its number in its ledger, from 1."""
        return [place for one in ids for place in self._places.get(one, [])]

    async def project(self) -> None:
        """Apply what is appended, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for projector in range(len(self._queues)):
                group.create_task(self._project(projector))

    def _least_busy(self) -> int:
        return min(range(len(self._left)), key=self._left.__getitem__)

    async def _project(self, projector: int) -> None:
        loop, queue = asyncio.get_running_loop(), self._queues[projector]
        done_at = 0.0
        while True:
            came_at, entry = await queue.get()
            # By when it could have been done, so that timers that are late cost no rate.
            done_at = max(done_at, came_at) + self._knobs.apply_ms / 1000
            await asyncio.sleep(max(0.0, done_at - loop.time()))
            self.busy_s += self._knobs.apply_ms / 1000
            self._left[projector] -= 1
            entries = self._outstanding[entry.ledger][1] - 1
            if entries:
                self._outstanding[entry.ledger] = (projector, entries)
            else:
                del self._outstanding[entry.ledger]
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        knobs = self._knobs
        if self._losing.due(knobs.lose):
            self._note("lost", entry)
            return
        before = self._held.pop(entry.ledger, None)
        if before is None and self._swapping.due(knobs.swap):
            self._note("swapped", entry)
            self._held[entry.ledger] = entry
            asyncio.get_running_loop().call_later(_SWAPPED_FOR_S, self._give_up, entry)
            return
        self._apply("done", entry)
        if self._doubling.due(knobs.twice):
            self._apply("doubled", entry)
        if before is not None:
            self._apply("done", before)

    def _give_up(self, entry: Entry) -> None:
        """Nothing has come after it."""
        if self._held.get(entry.ledger) is entry:
            del self._held[entry.ledger]
            self._apply("done", entry)

    def _apply(self, kind: str, entry: Entry) -> None:
        number = len(self._of[entry.ledger]) + 1
        self._note(kind, entry, number=number)
        self.rows += 1
        self._of[entry.ledger].append(entry)
        self._places[entry.id].append((entry, number))
        self.applied(entry)

    def _note(self, kind: str, entry: Entry, **about: Any) -> None:
        self._record.note(kind, self._clock.now(), id=entry.id, ledger=entry.ledger, type=entry.type, **about)
