"""The ledger file, `events.sqlite`: a row for each settled event, written in batches off the hot path.

It is readable while the run goes on (write-ahead log) and after a crash. What it holds is enough to
fold the summary again: the rows, the plan of the fold, and once a second the vitals with the number
of events scheduled so far, from which a reader sees how many events were outstanding when a run died.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from ..errors import OutputError
from ..model.iteration import Iteration
from ..model.marker import Marker
from ..model.round import Round
from ..model.states import State
from ..model.travel import Observation
from .schema import (
    FORMAT,
    INSERT_CONTENDER,
    INSERT_ITERATION,
    INSERT_MARKER,
    INSERT_PART,
    INSERT_READ_TIMES,
    INSERT_READS,
    INSERT_ROUND,
    INSERT_RULE,
    INSERT_SAMPLE,
    INSERT_SCHEDULED,
    INSERT_TRY,
    SCHEMA,
    contender_rows,
    insertions,
    iteration_row,
    part_rows,
    round_row,
    rule_rows,
    try_rows,
)

_GATHER_S: Final = 0.02
"""What comes within this time is written together, so that the thread doesn't compete for every few rows."""
_TRANSACTION: Final = 32
"""Most writes in a transaction: what a full disk takes along when it fails."""


class Ledger(Protocol):
    """Where settled events go. What is told between `begin` and `close` must not block."""

    def begin(self, start_ns: int, began_at: datetime) -> None:
        """The schedule begins at `start_ns` on the run's clock, and at `began_at` by the wall. Called first."""
        ...

    def append(self, observations: Sequence[Observation], scheduled: Sequence[tuple[int, int]] = ()) -> None:
        """Keep them, and how many events of each scenario were scheduled so far, and in its warm-up."""
        ...

    def iterated(self, iterations: Sequence[Iteration]) -> None:
        """Keep iterations of journeys that are over, in the order in which they ended."""
        ...

    def rounded(self, rounds: Sequence[Round]) -> None:
        """Keep rounds of races that are over, in the order in which they ended."""
        ...

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Keep one sample of a gauge; no values: it could not be taken."""
        ...

    def read(self, probe: str, reads: Sequence[tuple[int, int]]) -> None:
        """Keep how much a probe read: (start of a tenth of a second, event reads that began in it) of some."""
        ...

    def read_times(self, probe: str, at_ns: int, times: Sequence[tuple[int, bool, int]]) -> None:
        """Add how long requests of a probe took: each time, whether they were answered, and their number."""
        ...

    def marked(self, marker: Marker) -> None:
        """Keep when something was done to the system; again and again as more of it is known."""
        ...

    def note(self, at_ns: int, facts: Mapping[str, Any]) -> None:
        """Keep the state of the run at a moment."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class IncompleteLedger(OutputError):
    """Not all of a ledger could be written: why, which of summary and verdict is right all the same, and under which
    name there is the rest."""

    def __init__(self, path: Path, reason: str, *, right: str = "summary", kept: str = "") -> None:
        self.reason = reason
        rest = f"what there is of it is in {kept}; " if kept else ""
        super().__init__(
            f"{path} is incomplete: {reason}; {rest}the {right} is right, but `evload report` can't "
            "rebuild it: free some space and run again"
        )


class LedgerFile:
    """Writes `events.sqlite` from a thread of its own, so that a slow disk delays nothing.

    `meta` is written at once: a mapping of names to JSON values. All times are stored relative to the start of the
    schedule. With `threaded=False` everything is written in the caller's thread, which virtual time needs. Raises
    OutputError if the file can't be created.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], *, threaded: bool = True) -> None:
        self._path = path
        self._start_ns = 0
        self._begun = False
        self._error: str | None = None
        self._closed = False
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise _cant_create(path, error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # A commit survives the death of the process at once and a power cut at the next checkpoint.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            self._db.executemany("INSERT INTO states VALUES (?, ?)", [(s.value, s.name.lower()) for s in State])
            self._db.executemany(_INSERT_META, _meta_rows({"format": FORMAT, **meta}))
        except sqlite3.Error as error:
            self._db.close()
            raise _cant_create(path, error) from error
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evload-ledger", daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    def begin(self, start_ns: int, began_at: datetime) -> None:
        self._start_ns = start_ns
        self._begun = True
        rows = _meta_rows({"start_ns": start_ns, "began_at": began_at.isoformat()})
        self._put(lambda db: db.executemany(_INSERT_META, rows))

    def append(self, observations: Sequence[Observation], scheduled: Sequence[tuple[int, int]] = ()) -> None:
        if not observations and not scheduled:
            return
        start = self._start_ns

        def write(db: sqlite3.Connection) -> None:
            if observations:
                for statement, values in insertions(observations, start):
                    db.execute(statement, values)
            parts = [row for seen in observations if seen.parts for row in part_rows(seen, start)]
            if parts:
                db.executemany(INSERT_PART, parts)
            tries = [row for seen in observations if seen.tries for row in try_rows(seen, start)]
            if tries:
                db.executemany(INSERT_TRY, tries)
            db.executemany(INSERT_SCHEDULED, [(number, *counts) for number, counts in enumerate(scheduled)])

        self._put(write)

    def iterated(self, iterations: Sequence[Iteration]) -> None:
        start = self._start_ns
        if iterations:
            self._put(lambda db: db.executemany(INSERT_ITERATION, [iteration_row(one, start) for one in iterations]))

    def rounded(self, rounds: Sequence[Round]) -> None:
        start = self._start_ns
        if not rounds:
            return

        def write(db: sqlite3.Connection) -> None:
            db.executemany(INSERT_ROUND, [round_row(one, start) for one in rounds])
            db.executemany(INSERT_CONTENDER, [row for one in rounds for row in contender_rows(one)])
            db.executemany(INSERT_RULE, [row for one in rounds for row in rule_rows(one)])

        self._put(write)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        times = (start_ns - self._start_ns, end_ns - self._start_ns, gauge)
        rows: list[tuple[object, ...]] = [(*times, metric, value) for metric, value in values.items()]
        rows = rows or [(*times, None, None)]
        self._put(lambda db: db.executemany(INSERT_SAMPLE, rows))

    def read(self, probe: str, reads: Sequence[tuple[int, int]]) -> None:
        rows = [(at_ns - self._start_ns, probe, events) for at_ns, events in reads]
        self._put(lambda db: db.executemany(INSERT_READS, rows))

    def read_times(self, probe: str, at_ns: int, times: Sequence[tuple[int, bool, int]]) -> None:
        moment = at_ns - self._start_ns
        rows = [(moment, probe, took_ns, int(answered), requests) for took_ns, answered, requests in times]
        self._put(lambda db: db.executemany(INSERT_READ_TIMES, rows))

    def marked(self, marker: Marker) -> None:
        begun, ended = marker.done, marker.undone or (None, None)
        row = (
            marker.action, marker.number, *begun, *ended, marker.error, marker.undo_error, int(marker.lasting),
        )  # fmt: skip
        self._put(lambda db: db.execute(INSERT_MARKER, row))

    def note(self, at_ns: int, facts: Mapping[str, Any]) -> None:
        row = (at_ns - self._start_ns, orjson.dumps(facts).decode())
        self._put(lambda db: db.execute("INSERT OR REPLACE INTO vitals VALUES (?, ?)", row))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._thread:
                self._closing.set()
                self._queue.put(None)
                self._thread.join()
            self._bring_together()
            self._db.close()

    @property
    def begun(self) -> bool:
        """Whether the schedule began, so that something may have been sent."""
        return self._begun

    @property
    def trouble(self) -> IncompleteLedger | None:
        """What is to be said if any of it could not be written; None if all could, so far."""
        return IncompleteLedger(self._path, self._error) if self._error else None

    def _bring_together(self) -> None:
        """All into the one file. Closing does that too, but doesn't say that a full disk left a part beside it."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self._error = self._error or str(error)

    def _put(self, write: _Write) -> None:
        if self._thread:
            self._queue.put(write)
        else:
            self._commit([write])

    def _work(self) -> None:
        running = True
        while running:
            writes = [self._queue.get()]
            if self._queue.empty():
                self._closing.wait(_GATHER_S)
            while len(writes) < _TRANSACTION and not self._queue.empty():
                writes.append(self._queue.get())
            running = None not in writes
            self._commit([write for write in writes if write is not None])

    def _commit(self, writes: Sequence[_Write]) -> None:
        if self._error:
            return  # A gap in the middle would look like lost events; better that it ends here.
        try:
            self._db.execute("BEGIN")
            for write in writes:
                write(self._db)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._error = str(error)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _cant_create(path: Path, error: sqlite3.Error) -> OutputError:
    return OutputError(f"can't create {path}: {error}; use a directory that is writable and has space")


def _meta_rows(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, orjson.dumps(value).decode()) for name, value in meta.items()]


_INSERT_META: Final = "INSERT INTO meta VALUES (?, ?)"
_Write = Callable[[sqlite3.Connection], object]
"""Part of a transaction."""
