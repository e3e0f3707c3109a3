"""The ledger file, `events.sqlite`: a row for each settled event, written in batches off the hot path.

It is readable while the run goes on (write-ahead log) and after a crash. What it holds is enough to
fold the summary again: the rows, the plan of the fold, and once a second the vitals with the number
of events scheduled so far, from which a reader sees how many events were outstanding when a run died.
"""

from __future__ import annotations

import math
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from ..errors import OutputError, UsageError
from ..model import Observation, Part, Seen, State

FORMAT: Final = 2

_COLUMNS: Final = (
    "seq", "scenario", "type", "state", "intended_ns", "key", "sent_ns", "acked_ns", "sampled",
    "first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns", "reads", "failed_reads", "effects",
    "regressions", "position", "consumed_at", "processed_at", "settled_ns", "detail",
    "resent", "non_monotonic", "session", "staleness",
)  # fmt: skip

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vitals (at_ns INTEGER PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE samples (          -- of gauges; a row without metric and value: it could not be taken
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, gauge TEXT NOT NULL, metric TEXT, value REAL
);
CREATE TABLE states (state INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,      -- number within the run; the correlation id ends in it (hexadecimal)
    scenario INTEGER NOT NULL,    -- index into meta.plan
    type INTEGER NOT NULL,        -- index into the scenario's events
    state INTEGER NOT NULL,       -- see states
    intended_ns INTEGER NOT NULL, -- all *_ns: nanoseconds since the schedule began
    key TEXT,
    sent_ns INTEGER, acked_ns INTEGER,
    sampled INTEGER NOT NULL,     -- 1: followed closely, 0: read once at its deadline
    first_lower_ns INTEGER, first_upper_ns INTEGER,   -- first seen in (lower, upper]
    stable_lower_ns INTEGER, stable_upper_ns INTEGER, -- stable-visible in (lower, upper]
    reads INTEGER NOT NULL, failed_reads INTEGER NOT NULL,
    effects INTEGER, regressions INTEGER NOT NULL, position REAL,
    consumed_at INTEGER, processed_at INTEGER,        -- the system's own stamps, ns since 1970
    settled_ns INTEGER NOT NULL,
    detail TEXT,
    resent INTEGER NOT NULL,      -- 1: copies of it were sent
    non_monotonic INTEGER NOT NULL, -- 1: a read missed it after an earlier one had shown it
    session INTEGER,              -- its session's read right after the ack: 0 absent, 1 present, 2 failed
    staleness INTEGER             -- writes of its key that the most stale answer had not applied
);
CREATE TABLE parts (              -- what each probe and each replica says, where there are several
    seq INTEGER NOT NULL, number INTEGER NOT NULL,
    probe INTEGER NOT NULL, replica TEXT, -- index into meta.probes; no replica: the probe as a whole
    state INTEGER NOT NULL,
    first_lower_ns INTEGER, first_upper_ns INTEGER, stable_lower_ns INTEGER, stable_upper_ns INTEGER,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;
"""
_GATHER_S: Final = 0.02
"""What comes within this time is written together, so that the thread doesn't compete for every few rows."""
_TRANSACTION: Final = 32
"""Most writes in a transaction: what a full disk takes along when it fails."""
_NULL: Final = math.nan
_INSERT: Final = f"INSERT INTO events VALUES ({', '.join('?' * len(_COLUMNS))})"
_INSERT_PART: Final = "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Ledger(Protocol):
    """Where settled events go."""

    def append(self, observations: Sequence[Observation]) -> None:
        """Keep them. Must not block."""
        ...

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        """Keep one sample of a gauge; no values: it could not be taken."""
        ...

    def note(self, at_ns: int, facts: Mapping[str, Any]) -> None:
        """Keep the state of the run at a moment."""
        ...

    def close(self) -> None:
        """Write what is left. Raises OutputError if any of it could not be written."""
        ...


class LedgerFile:
    """Writes `events.sqlite` from a thread of its own, so that a slow disk delays nothing.

    `meta` is written at once: a mapping of names to JSON values. `start_ns` is the clock reading at which
    the schedule begins; all times are stored relative to it. With `threaded=False` everything is written
    in the caller's thread, which virtual time needs. Raises OutputError if the file can't be created.
    """

    def __init__(self, path: Path, start_ns: int, meta: Mapping[str, Any], *, threaded: bool = True) -> None:
        self._path = path
        self._start_ns = start_ns
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
            self._db.executescript(_SCHEMA)
            self._db.executemany("INSERT INTO states VALUES (?, ?)", [(s.value, s.name.lower()) for s in State])
            rows = {"format": FORMAT, "start_ns": start_ns, **meta}
            self._db.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [(name, orjson.dumps(value).decode()) for name, value in rows.items()],
            )
        except sqlite3.Error as error:
            self._db.close()
            raise _cant_create(path, error) from error
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evload-ledger", daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    def append(self, observations: Sequence[Observation]) -> None:
        start = self._start_ns

        def write(db: sqlite3.Connection) -> None:
            db.executemany(_INSERT, [_row(seen, start) for seen in observations])
            parts = [row for seen in observations if seen.parts for row in _part_rows(seen, start)]
            if parts:
                db.executemany(_INSERT_PART, parts)

        self._put(write)

    def sampled(self, gauge: str, start_ns: int, end_ns: int, values: Mapping[str, float]) -> None:
        times = (start_ns - self._start_ns, end_ns - self._start_ns, gauge)
        rows: list[tuple[object, ...]] = [(*times, metric, value) for metric, value in values.items()]
        rows = rows or [(*times, None, None)]
        self._put(lambda db: db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", rows))

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
            self._db.close()
        if self._error:
            raise OutputError(
                f"{self._path} is incomplete: {self._error}; the summary is right, but `evload report` can't "
                "rebuild it: free some space and run again"
            )

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


_Write = Callable[[sqlite3.Connection], object]
"""Part of a transaction."""


def _row(seen: Observation, start: int) -> tuple[object, ...]:
    sent, acked = seen.sent_ns, seen.acked_ns
    first_lower, first_upper = seen.first_lower_ns, seen.first_upper_ns
    stable_lower, stable_upper = seen.stable_lower_ns, seen.stable_upper_ns
    # sqlite3 looks for an adapter, which takes longer than all the rest, for whatever isn't exactly an int, a float
    # or a str: for an enum, a bool and None. SQLite itself stores a NaN as NULL.
    row = (
        seen.seq,
        seen.scenario,
        seen.type,
        int(seen.state),
        seen.intended_ns - start,
        seen.key,
        None if sent is None else sent - start,
        None if acked is None else acked - start,
        int(seen.sampled),
        None if first_lower is None else first_lower - start,
        None if first_upper is None else first_upper - start,
        None if stable_lower is None else stable_lower - start,
        None if stable_upper is None else stable_upper - start,
        seen.reads,
        seen.failed_reads,
        seen.effects,
        seen.regressions,
        seen.position,
        seen.consumed_at,
        seen.processed_at,
        seen.settled_ns - start,
        seen.detail or None,
        int(seen.resent),
        int(seen.non_monotonic),
        None if seen.session is None else int(seen.session),
        seen.staleness,
    )
    return tuple([_NULL if value is None else value for value in row])


def _part_rows(seen: Observation, start: int) -> Iterator[tuple[object, ...]]:
    for number, part in enumerate(seen.parts):
        brackets = [None if at is None else at - start for at in part[3:]]
        yield (seen.seq, number, part.probe, part.replica, int(part.state), *brackets)


class LedgerReader:
    """Reads a ledger file, also while its run goes on. Times are relative to the start of the schedule.

    Raises UsageError if there is no such file, or it isn't a ledger of a format this version reads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise UsageError(f"{path} isn't there; name the directory of a run, which has an events.sqlite")
        try:
            with ExitStack() as stack:
                # A reader of a finished file would leave the files of a write-ahead log beside it.
                finished = not path.with_name(path.name + "-wal").exists()
                options = "?mode=ro&immutable=1" if finished else "?mode=ro"
                self._db = sqlite3.connect(path.absolute().as_uri() + options, uri=True)
                stack.callback(self._db.close)
                rows = self._db.execute("SELECT key, value FROM meta").fetchall()
                self.meta: dict[str, Any] = {name: orjson.loads(value) for name, value in rows}
                stack.pop_all()
        except (sqlite3.Error, orjson.JSONDecodeError) as error:
            raise UsageError(f"{path} isn't a ledger of evload: {error}; name the directory of a run") from error
        if self.meta.get("format") != FORMAT:
            self._db.close()
            raise UsageError(
                f"{path} has format {self.meta.get('format')!r}, and this version of evload reads {FORMAT}; "
                "use the version that wrote it"
            )

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def last_note(self) -> dict[str, Any] | None:
        """The newest vitals, or None if the run died before the first."""
        row = self._db.execute("SELECT facts FROM vitals ORDER BY at_ns DESC LIMIT 1").fetchone()
        return orjson.loads(row[0]) if row else None

    def observations(self, scenario: int) -> Iterator[Observation]:
        """The settled events of one scenario in the order of `seq`, which is the order of its schedule.

        Raises UsageError where the file is damaged.
        """
        query = f"SELECT {', '.join(_COLUMNS)} FROM events WHERE scenario = ? ORDER BY seq"
        try:
            with closing(self._db.cursor()) as cursor, closing(_Parts(self._db, scenario)) as parts:
                for row in cursor.execute(query, (scenario,)):
                    yield _observation(row, parts)
        except sqlite3.Error as error:
            raise UsageError(f"{self._path} is damaged: {error}; use an undamaged copy") from error

    def chosen(self, condition: str, order: str, values: Mapping[str, object], limit: int) -> list[Observation]:
        """At most `limit` settled events that an SQL condition over the table `events` chooses, in that order.

        The condition and the order are the caller's own text, never a user's; what is compared with is in `values`
        by name. The function `matches(text, glob)` is at hand.
        """
        self._db.create_function("matches", 2, _matches, deterministic=True)
        query = f"SELECT {', '.join(_COLUMNS)} FROM events WHERE {condition} ORDER BY {order} LIMIT :limit"
        rows = self._db.execute(query, {**values, "limit": limit}).fetchall()
        found = []
        for row in rows:
            with closing(_Parts(self._db, row[1], seq=row[0])) as parts:
                found.append(_observation(row, parts))
        return found

    def spread(self, count: int) -> list[Observation]:
        """At most `count` of the settled events that were followed closely, evenly over the run."""
        row = self._db.execute("SELECT max(seq) FROM events").fetchone()
        step = max(1, -(-((row[0] or 0) + 1) // max(count, 1)))
        chosen = "sampled = 1 AND seq IN (SELECT value * :step FROM numbers)"
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS numbers (value INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM numbers")
        self._db.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(count)])
        return self.chosen(chosen, "seq", {"step": step}, count)

    def samples(self) -> Iterator[tuple[str, int, int, dict[str, float]]]:
        """The samples of all gauges in order of time: gauge, start_ns, end_ns, values (none: not taken)."""
        query = "SELECT gauge, start_ns, end_ns, metric, value FROM samples ORDER BY end_ns, gauge, rowid"
        with closing(self._db.cursor()) as cursor:
            for (gauge, start_ns, end_ns), rows in groupby(cursor.execute(query), key=itemgetter(0, 1, 2)):
                yield gauge, start_ns, end_ns, {metric: value for *_, metric, value in rows if metric is not None}

    def ack_times(self, scenarios: Sequence[int]) -> Iterator[int]:
        """When the events of some scenarios were acked, in order of time."""
        return self._times("acked_ns", "acked_ns IS NOT NULL", scenarios)

    def sent_times(self, scenarios: Sequence[int]) -> Iterator[int]:
        """When the events of some scenarios that the broker has, or may have, were sent, in order of time."""
        return self._times("sent_ns", f"(acked_ns IS NOT NULL OR state = {State.IN_DOUBT.value})", scenarios)

    def _times(self, column: str, condition: str, scenarios: Sequence[int]) -> Iterator[int]:
        places = ", ".join("?" * len(scenarios))
        query = f"SELECT {column} FROM events WHERE {condition} AND scenario IN ({places}) ORDER BY {column}"
        with closing(self._db.cursor()) as cursor:
            for (at_ns,) in cursor.execute(query, tuple(scenarios)):
                yield at_ns

    def portions(self, query: str, size: int, values: Sequence[object] = ()) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, up to `size` at a time, for a fold that needs a few columns of many rows.

        Raises UsageError where the file is damaged.
        """
        with closing(self._db.cursor()) as cursor:
            try:
                cursor.execute(query, values)
                while rows := cursor.fetchmany(size):
                    yield rows
            except sqlite3.Error as error:
                raise UsageError(f"{self._path} is damaged: {error}; use an undamaged copy") from error


def _matches(text: str | None, glob: str) -> bool:
    return text is not None and fnmatchcase(text, glob)


class _Parts:
    """The parts of a scenario's events, taken off in the order of the events."""

    def __init__(self, db: sqlite3.Connection, scenario: int, seq: int | None = None) -> None:
        query = (
            "SELECT p.seq, p.probe, p.replica, p.state, p.first_lower_ns, p.first_upper_ns, p.stable_lower_ns,"
            " p.stable_upper_ns FROM parts p JOIN events e ON e.seq = p.seq WHERE e.scenario = ?"
        )
        self._cursor = db.cursor()
        one = " AND p.seq = ?" if seq is not None else ""
        values = (scenario,) if seq is None else (scenario, seq)
        # The loop order is fixed: by number, so that nothing has to be sorted.
        self._rows = self._cursor.execute(f"{query}{one} ORDER BY p.seq, p.number", values)
        self._next = self._rows.fetchone()

    def of(self, seq: int) -> tuple[Part, ...]:
        """Those of event `seq`, which has to come after the one asked for before."""
        found = []
        while self._next is not None and self._next[0] == seq:
            _, probe, replica, state, *brackets = self._next
            found.append(Part(probe, replica, State(state), *brackets))
            self._next = self._rows.fetchone()
        return tuple(found)

    def close(self) -> None:
        """Let go of the cursor."""
        self._cursor.close()


def _observation(row: Sequence[Any], parts: _Parts) -> Observation:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["state"] = State(values["state"])
    for name in ("sampled", "resent", "non_monotonic"):
        values[name] = bool(values[name])
    values["detail"] = values["detail"] or ""
    values["session"] = None if values["session"] is None else Seen(values["session"])
    return Observation(**values, parts=parts.of(values["seq"]))
