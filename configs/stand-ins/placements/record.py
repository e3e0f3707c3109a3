"""What the stand-in remembers of itself: what came, when it was done, what was refused.

It is written before anybody can read of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import stand_in.record

KINDS: Final = (
    "came", "throttled", "taken", "done", "refused", "failed", "back", "dead", "redriven", "cold_start", "task",
    "lost", "changed", "worked",
)  # fmt: skip
"""What a line can be about:

came        an event is on the bus
throttled   an event was not taken
taken       a worker has begun with it
done        its placement has its file_url; the next read shows it
refused     the event was known already, and makes no second placement
failed      a worker failed on it, and it will come again
back        it is in the queue again
dead        it has come too often, and is a dead letter
redriven    a dead letter was put back into the queue
cold_start  a task was new; `s` is how long its first messages waited
task        the tasks are as many as `running` says, of `wanted`
lost        a message was taken off the queue, and nothing was made of it
changed     somebody turned knobs
worked      a task has had messages in hand, for `s` seconds

`depth` in a line is the number of visible messages right then.
"""


class Record(stand_in.record.Record):
    """Of the stand-in of placements."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self.deepest = 0
        """Most visible messages that there ever were at once."""

    def totals(self) -> Mapping[str, int]:
        """How many lines of each kind there are."""
        return {kind: self.counts[kind] for kind in KINDS} | {"deepest": self.deepest}

    @classmethod
    def read(cls, path: Path) -> Self:
        record = super().read(path)
        record.deepest = max((line["depth"] for line in record.lines if "depth" in line), default=0)
        return record
