"""What really happened, written down before anybody can read it anywhere else.

A line is a JSON list: nanoseconds of the machine's monotonic clock, which is that of evload's ledger as well, what
happened, and about what.

    [at, "came", FUNCTION, ID]           a function's dispatcher has got an event, again after a requeue
    [at, "done", FUNCTION, ID, EFFECTS]  a function has done it, and the read model is about to show it
    [at, "shown", FUNCTION, COUNT]       so many of those that were done are shown by now
    [at, "lost", FUNCTION, ID]           it was thrown away, because the stand-in was told to lose some
    [at, "accepted", ID]                 the broker front has taken an event
    [at, "refused", STATUS, ID]          the broker front has refused one
    [at, "started" | "ready" | "leaving" | "stopped" | "killed", FUNCTION, POD, PODS]   how many are ready after that
    [at, "told", PATH, BODY]             an admin call
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Record:
    """Appends to a file, or to a list where there is none. `now_ns` is the clock."""

    def __init__(self, path: Path | None, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.kept: list[list[Any]] = []
        self._lines: list[str] = []
        self._file = None if path is None else path.open("ab", buffering=0)

    def note(self, what: str, *about: Any) -> None:
        """Write a line, with the next `flush` at the latest."""
        line = [self.now_ns(), what, *about]
        if self._file is None:
            self.kept.append(line)
        else:
            self._lines.append(json.dumps(line, separators=(",", ":")))

    def flush(self) -> None:
        """Have all of it in the file: to be called before anybody is told."""
        if self._lines and self._file is not None:
            self._file.write(("\n".join(self._lines) + "\n").encode())
            self._lines.clear()

    def close(self) -> None:
        """The last of it."""
        self.flush()
        if self._file is not None:
            self._file.close()


def read(path: Path) -> Iterator[list[Any]]:
    """All lines of a record."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)
