"""What the stand-in remembers of itself: what came, when it was done, what was refused.

It is written before anybody can read of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

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


class Record:
    """Lines of JSON in a file, or in memory without one; and how many there are of each kind."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.deepest = 0
        """Most visible messages that there ever were at once."""
        self._file = None if path is None else path.open("w", encoding="utf-8", buffering=1)

    def note(self, kind: str, at: float, **about: Any) -> None:
        """One line. `at` is the stand-in's own time in seconds."""
        self.counts[kind] += 1
        line = {"at": round(at, 6), "kind": kind, **about}
        if self._file is None:
            self.lines.append(line)
        else:
            self._file.write(json.dumps(line) + "\n")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind; of those in memory."""
        return [line for line in self.lines if line["kind"] == kind]

    def totals(self) -> Mapping[str, int]:
        """How many lines of each kind there are."""
        return {kind: self.counts[kind] for kind in KINDS} | {"deepest": self.deepest}

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()


@contextmanager
def opened(path: Path | None = None) -> Iterator[Record]:
    """A record, until the block ends."""
    record = Record(path)
    try:
        yield record
    finally:
        record.close()


def read(path: Path) -> Record:
    """The record of a stand-in that has ended, or not."""
    record = Record()
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        record.note(line.pop("kind"), line.pop("at"), **line)
    record.deepest = max((line["depth"] for line in record.lines if "depth" in line), default=0)
    return record
