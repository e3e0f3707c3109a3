"""Reads a ledger file, also while its run goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import orjson

from ..errors import UsageError
from ..model.iteration import End, Iteration
from ..model.marker import Marker
from ..model.report import EventSample
from ..model.round import Round, RoundEnd, Tally
from ..model.states import State
from ..model.travel import Observation, Part, Try
from ..stats.watches import MISSING
from .schema import COLUMNS, READS, TABLES, iteration_of, observation_of, round_of

_MOST_META: Final = 64_000_000
"""Bytes of one entry of what a ledger says of its run."""
_MOST_ROW: Final = 1_000_000
"""Bytes of one row of any table. What targets say is cut long before, and keys are short."""
_DAMAGED: Final = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's module raises for a file that is broken; it fails to say so where a name in it is no text."""
_LONGEST: Final = 200
_STEPS: Final = 100_000
"""Of SQLite's machine between two moments at which Ctrl-C is heeded."""
T = TypeVar("T")


class LedgerReader:
    """Reads a ledger file, also while its run goes on. Times are relative to the start of the schedule.

    Raises UsageError if there is no such file, or it isn't a ledger of a format this version reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UsageError(f"{path} isn't there; name the directory of a run, which has an events.sqlite")
        try:
            with ExitStack() as stack:
                # A reader of a finished file would leave the files of a write-ahead log beside it.
                finished = not path.with_name(path.name + "-wal").exists()
                options = "?mode=ro&immutable=1" if finished else "?mode=ro"
                self._db = sqlite3.connect(path.absolute().as_uri() + options, uri=True)
                stack.callback(self._db.close)
                self._guard()
                self._check_tables()
                rows = self._db.execute("SELECT key, value FROM meta").fetchall()
                self.meta: dict[str, Any] = {name: orjson.loads(value) for name, value in rows}
                self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ROW)
                there = {name for _, name, *_ in self._db.execute("PRAGMA table_info(events)")}
                self.columns = [name for name in COLUMNS if name in there]
                stack.pop_all()
        except (*_DAMAGED, orjson.JSONDecodeError) as error:
            self._heed(error)
            what = _line(error)
            raise UsageError(f"{path} isn't a ledger of evload: {what}; name the directory of a run") from error
        form = self.meta.get("format")
        if not isinstance(form, int) or form not in READS:
            self._db.close()
            known = " and ".join(str(number) for number in sorted(READS))
            raise UsageError(
                f"{path} has format {_line(repr(form))}, and this version of evload reads {known}; "
                "use the version that wrote it"
            )

    def _guard(self) -> None:
        """Nothing in the file may do more than hold rows, and Ctrl-C ends every query."""
        db = self._db
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_META)
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        # While SQLite works nothing of Python runs, and no signal is heeded, unless it calls something of ours.
        db.set_progress_handler(_nothing, _STEPS)

    def _check_tables(self) -> None:
        """What is asked for are rows that are there: a view may have no end, and a column that is worked out, too."""
        found = self._db.execute("SELECT name, type, rootpage FROM sqlite_master").fetchall()
        self.tables = {name for name, *_ in found}
        for name, kind, root in found:
            if name in TABLES and (kind != "table" or not root):
                raise sqlite3.DatabaseError(f"{name} is no plain table")
            if name in TABLES and any(column[-1] for column in self._db.execute(f"PRAGMA table_xinfo({name})")):
                raise sqlite3.DatabaseError(f"{name} has columns that are worked out")

    @property
    def judged(self) -> str:
        """Which rows of `events` objectives are about, in SQL: those of no warm-up."""
        ends = {
            number: plan["warmup"][1] for number, plan in enumerate(self.meta.get("plan", ())) if plan.get("warmup")
        }
        told = [f"NOT (scenario = {number} AND intended_ns < {int(end_ns)})" for number, end_ns in ends.items()]
        return " AND ".join(told) or "1"

    def damaged(self, what: object) -> UsageError:
        """What is to be raised where the file holds something else than a run has written."""
        return UsageError(f"{self.path} is damaged: {_line(what)}; use an undamaged copy")

    @staticmethod
    def _heed(error: Exception) -> None:
        """Go on with the Ctrl-C that ended a query: SQLite makes an error of its own of it."""
        if isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted":
            raise KeyboardInterrupt from None

    def rows(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> Generator[Any, None, None]:
        """What a query of our own gives, a row at a time. Raises UsageError where the file is damaged."""
        try:
            with closing(self._db.cursor()) as cursor:
                yield from cursor.execute(query, values)
        except _DAMAGED as error:
            self._heed(error)
            raise self.damaged(error) from error

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def last_note(self) -> dict[str, Any] | None:
        """The newest vitals, or None if the run died before the first."""
        try:
            for (facts,) in self.rows("SELECT facts FROM vitals ORDER BY at_ns DESC LIMIT 1"):
                note: dict[str, Any] = orjson.loads(facts)
                return note
        except orjson.JSONDecodeError as error:
            raise self.damaged(error) from error
        return None

    def scheduled(self) -> dict[int, tuple[int, int]]:
        """Of each scenario how many events were scheduled when its last rows were written, and in its warm-up."""
        if "scheduled" not in self.tables:
            return {}  # an older version wrote it
        return {number: (events, warmup) for number, events, warmup in self.rows("SELECT * FROM scheduled")}

    def last_seq(self, scenario: int, until_ns: int | None = None) -> int:
        """The largest number of an event of a scenario, of those that were due before a moment if one is given; -1
        without any."""
        due = "" if until_ns is None else f" AND intended_ns < {int(until_ns)}"
        query = f"SELECT seq FROM events WHERE scenario = ?{due} ORDER BY seq DESC LIMIT 1"
        return next((seq for (seq,) in self.rows(query, (scenario,))), -1)

    def observations(self, scenario: int) -> Iterator[Observation]:
        """The settled events of one scenario in the order of `seq`, which is the order of its schedule.

        Raises UsageError where the file is damaged.
        """
        query = f"SELECT {', '.join(self.columns)} FROM events WHERE scenario = ? ORDER BY seq"
        with closing(_Parts(self, scenario)) as parts, closing(_Tries(self, scenario)) as tries:
            for row in self.rows(query, (scenario,)):
                yield observation_of(self.columns, row, parts.of(row[0]), tries.of(row[0]))

    def chosen(self, condition: str, order: str, values: Mapping[str, object], limit: int) -> list[Observation]:
        """At most `limit` settled events that an SQL condition over the table `events` chooses, in that order.

        The condition and the order are the caller's own text, never a user's; what is compared with is in `values`
        by name. The function `matches(text, glob)` is at hand.
        """
        self._db.create_function("matches", 2, _matches, deterministic=True)
        query = f"SELECT {', '.join(self.columns)} FROM events WHERE {condition} ORDER BY {order} LIMIT :limit"
        found = []
        for row in list(self.rows(query, {**values, "limit": limit})):
            with closing(_Parts(self, row[1], row[0])) as parts, closing(_Tries(self, row[1], row[0])) as tries:
                found.append(observation_of(self.columns, row, parts.of(row[0]), tries.of(row[0])))
        return found

    def earlier_tries(self, first: int, last: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Of the events with numbers from `first` to `last` that were sent several times: the statuses of their tries
        but the last, where these have any. None in an older ledger."""
        if "tries" in self.tables:
            query = "SELECT seq, status FROM tries WHERE seq BETWEEN ? AND ? ORDER BY seq, number"
            for seq, rows in groupby(self.rows(query, (first, last)), key=itemgetter(0)):
                *earlier, _ = (status for _, status in rows)
                if known := tuple(status for status in earlier if status is not None):
                    yield seq, known

    def place(self) -> None:
        """Lay out the events of which a position is known in the table `placed`, by key and time of the send."""
        for statement in (
            "DROP TABLE IF EXISTS temp.placed",
            "CREATE TEMP TABLE placed (scenario INTEGER, key TEXT, sent_ns INTEGER, position, seq INTEGER,"
            " PRIMARY KEY (scenario, key, sent_ns, seq)) WITHOUT ROWID",
            "INSERT INTO placed SELECT scenario, key, coalesce(sent_ns, intended_ns), position, seq FROM events"
            " WHERE key IS NOT NULL AND position IS NOT NULL",
        ):
            list(self.rows(statement))

    def first_placed(self, condition: str, seq: int) -> tuple[int, Any] | None:
        """Of the events in `placed` that an SQL condition ties to one of `events`: number and position of the first
        that was sent."""
        query = f"SELECT placed.seq, placed.position FROM events JOIN placed ON {condition} WHERE events.seq = ?"
        row = next(self.rows(f"{query} ORDER BY placed.sent_ns, placed.seq LIMIT 1", (seq,)), None)
        return None if row is None else (row[0], row[1])

    def sent_for(self, followed: Observation) -> int:
        """The number of what a step sent, by that of what is followed of it; its own of a wait, for which nothing
        is sent."""
        query = "SELECT seq FROM events WHERE type = ? AND iteration IS ? AND intended_ns = ? AND scenario < ?"
        of = (followed.type, followed.iteration, followed.intended_ns, followed.scenario)
        return next(self.rows(query, of), (followed.seq,))[0]

    def spread(self, count: int) -> list[Observation]:
        """At most `count` of the settled events that were followed closely, evenly over the run."""
        (row,) = self.rows("SELECT max(seq) FROM events")
        step = -(-((row[0] or 0) + 1) // max(count, 1))
        chosen = "sampled = 1 AND seq IN (SELECT value * :step FROM numbers)"
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS numbers (value INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM numbers")
        self._db.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(count)])
        return self.chosen(chosen, "seq", {"step": step}, count)

    def samples(self) -> Iterator[tuple[str, int, int, dict[str, float]]]:
        """The samples of all gauges in order of time: gauge, start_ns, end_ns, values (none: not taken; a value that
        is no number: there was none)."""
        query = "SELECT gauge, start_ns, end_ns, metric, value FROM samples ORDER BY end_ns, gauge, rowid"
        for (gauge, start_ns, end_ns), rows in groupby(self.rows(query), key=itemgetter(0, 1, 2)):
            yield (
                gauge,
                start_ns,
                end_ns,
                {metric: MISSING if value is None else value for *_, metric, value in rows if metric is not None},
            )

    def reads(self) -> Iterator[tuple[str, int, int]]:
        """How much each probe read: probe, start of a tenth of a second, event reads that began in it; in order."""
        if self.meta["format"] > 2:
            query = "SELECT probe, at_ns, sum(events) FROM reads GROUP BY probe, at_ns ORDER BY probe, at_ns"
            yield from self.rows(query)

    def read_times(self) -> Iterator[tuple[str, list[tuple[int, bool, int]]]]:
        """How long the requests of each probe took: probe, (time, whether they were answered, how many) of each."""
        if "read_times" in self.tables:
            query = "SELECT probe, took_ns, answered, sum(requests) FROM read_times GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            for probe, rows in groupby(self.rows(query), key=itemgetter(0)):
                yield probe, [(took_ns, bool(answered), requests) for _, took_ns, answered, requests in rows]

    def columns_of(self, table: str) -> frozenset[str]:
        """The columns that a table of this version has in the file, which may be of an older one."""
        return frozenset(name for _, name, *_ in self.rows(f"PRAGMA table_info({table})"))

    def iterations(self) -> Iterator[Iteration]:
        """The iterations of journeys that are over, in the order in which they ended; none in an older ledger.

        Raises UsageError where the file is damaged.
        """
        if "iterations" in self.tables:
            # An older version kept failed checks alone.
            checks = "checks" if "checks" in self.columns_of("iterations") else "NULL"
            query = (
                "SELECT scenario, journey, number, user, intended_ns, started_ns, ended_ns, ended_as, step, reason, "
                f"failed_checks, {checks} FROM iterations ORDER BY rowid"
            )
            for row in self.rows(query):
                yield iteration_of(row)

    def under_way(self) -> Iterator[Iteration]:
        """The iterations that aren't over, as far as a request of theirs is settled: as if they had been cut off when
        the last of these was."""
        journeys = list(self.meta.get("journeys", ()))
        of_type = {number: _journey_of(event, journeys) for number, event in enumerate(self.meta["events"])}
        doing = {number for number, plan in enumerate(self.meta["plan"]) if plan.get("journeys")}
        if "iterations" in self.tables and "iteration" in self.columns and doing:
            query = (
                "SELECT scenario, iteration, min(type), min(intended_ns), max(settled_ns) FROM events"
                " WHERE iteration IS NOT NULL AND NOT EXISTS (SELECT 1 FROM iterations"
                " WHERE iterations.scenario = events.scenario AND iterations.number = events.iteration)"
                " GROUP BY scenario, iteration ORDER BY scenario, iteration"
            )
            for scenario, number, kind, due_ns, last_ns in self.rows(query):
                journey = of_type[kind]
                if scenario in doing and journey is not None:
                    yield Iteration(
                        scenario, journey, number, None, due_ns, due_ns, last_ns, End.CUT_OFF, "", "the run died"
                    )

    def rounds(self) -> Iterator[Round]:
        """The rounds of races that are over, in the order in which they ended; none in an older ledger.

        Raises UsageError where the file is damaged.
        """
        if "rounds" in self.tables:
            query = (
                "SELECT scenario, number, intended_ns, started_ns, ended_ns, round_end, reason, contended, "
                "settled_lower, settled_upper FROM rounds ORDER BY rowid"
            )
            of = "WHERE scenario = ? AND number = ? ORDER BY place"
            contenders = f"SELECT contender, won, refused, failed, doubt, unsent FROM round_contenders {of}"
            rules = f"SELECT rule, kind, held, told FROM round_rules {of}"
            for row in self.rows(query):
                yield round_of(row, *(list(self.rows(about, row[:2])) for about in (contenders, rules)))

    def rounds_under_way(self) -> Iterator[Round]:
        """The rounds that aren't over, as far as a request of theirs is settled: as if they had been cut off when the
        last of these was. Contenders count by their answers, where these are known."""
        racing = {
            number: {f"{plan['name']}.{name}": name for name in plan["race"]["contenders"]}
            for number, plan in enumerate(self.meta["plan"])
            if plan.get("race")
        }
        if "rounds" not in self.tables or "iteration" not in self.columns or not racing:
            return
        query = (
            "SELECT scenario, iteration, type, state, answer, min(intended_ns), max(settled_ns), count(*) FROM events"
            " WHERE iteration IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rounds"
            " WHERE rounds.scenario = events.scenario AND rounds.number = events.iteration)"
            " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
        )
        for (scenario, number), rows in groupby(self.rows(query), key=itemgetter(0, 1)):
            if scenario in racing:
                yield _cut_off(scenario, number, racing[scenario], self.meta["events"], [row[2:] for row in rows])

    def markers(self) -> Iterator[Marker]:
        """When something was done to the system, in order of time."""
        if "markers" in self.tables:
            query = (
                "SELECT action, number, done_from_ns, done_to_ns, undone_from_ns, undone_to_ns, error, undo_error, "
                "lasting FROM markers ORDER BY done_from_ns, action, number"
            )
            for action, number, done_from, done_to, undone_from, undone_to, error, left, lasting in self.rows(query):
                undone = None if undone_from is None else (undone_from, undone_to)
                yield Marker(action, number, (done_from, done_to), undone, error, left, bool(lasting))

    def ack_times(self, scenarios: Sequence[int]) -> Iterator[int]:
        """When the events of some scenarios were acked, in order of time."""
        return self._times("acked_ns", f"state >= {State.VISIBLE.value}", scenarios)

    def sent_times(self, scenarios: Sequence[int]) -> Iterator[int]:
        """When the events of some scenarios that the broker has, or may have, were sent, in order of time."""
        return self._times("sent_ns", f"state >= {State.IN_DOUBT.value}", scenarios)

    def _times(self, column: str, condition: str, scenarios: Sequence[int]) -> Iterator[int]:
        places = ", ".join("?" * len(scenarios))
        known = f"{condition} AND {column} IS NOT NULL"
        query = f"SELECT {column} FROM events WHERE {known} AND scenario IN ({places}) ORDER BY {column}"
        for (at_ns,) in self.rows(query, tuple(scenarios)):
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
            except _DAMAGED as error:
                self._heed(error)
                raise self.damaged(error) from error


def _journey_of(event: str, journeys: Sequence[str]) -> int | None:
    """The number of the journey of which an event is a step, JOURNEY.STEP; None if it is of none."""
    owners = [name for name in journeys if event.startswith(f"{name}.")]
    return journeys.index(max(owners, key=len)) if owners else None


def _cut_off(
    scenario: int, number: int, contenders: Mapping[str, str], events: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Round:
    """A round that the run didn't live to see the end of: by type, state and answer of its requests when the first of
    them was due, when the last was settled, and how many they are."""
    tallies: dict[str, dict[str, int]] = {name: {} for name in contenders.values()}
    started: list[int] = []
    for kind, state, answer, due_ns, _, count in rows:
        if (name := contenders.get(events[kind])) is not None:
            started.append(due_ns)
            unknown = "unsent" if state == State.UNSENT else "doubt"
            what = {1: "won", 2: "refused", 3: "failed"}.get(answer, unknown)
            tallies[name][what] = tallies[name].get(what, 0) + count
    return Round(
        scenario, number, min(row[3] for row in rows), min(started, default=None), max(row[4] for row in rows),
        RoundEnd.CUT_OFF, "the run died", {name: Tally(**counts) for name, counts in tallies.items() if counts},
    )  # fmt: skip


def _line(what: object) -> str:
    """A remark in one line that isn't long: SQLite quotes what it stumbles over."""
    text = " ".join(str(what).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _nothing() -> int:
    return 0


def _matches(text: str | None, glob: str) -> bool:
    return text is not None and fnmatchcase(text, glob)


class _Beside(Generic[T]):
    """What a table has beside the rows of a scenario's events, or of one of them; taken off in the order of the
    events."""

    _table: ClassVar[str]
    _columns: ClassVar[str]

    def __init__(self, reader: LedgerReader, scenario: int, seq: int | None = None) -> None:
        query = f"SELECT {self._columns} FROM {self._table} p JOIN events e ON e.seq = p.seq WHERE e.scenario = ?"
        one = " AND p.seq = ?" if seq is not None else ""
        values = (scenario,) if seq is None else (scenario, seq)
        # The loop order is fixed: by number, so that nothing has to be sorted.
        rows = reader.rows(f"{query}{one} ORDER BY p.seq, p.number", values)
        self._rows = rows if self._table in reader.tables else reader.rows("SELECT 1 WHERE FALSE")
        self._next = next(self._rows, None)

    def of(self, seq: int) -> tuple[T, ...]:
        """Those of event `seq`, which has to come after the one asked for before."""
        found = []
        while self._next is not None and self._next[0] == seq:
            found.append(self._told(*self._next[1:]))
            self._next = next(self._rows, None)
        return tuple(found)

    def _told(self, *row: Any) -> T:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the rest."""
        self._rows.close()


class _Parts(_Beside[Part]):
    """What each probe and each replica says."""

    _table = "parts"
    _columns = (
        "p.seq, p.probe, p.replica, p.state, p.first_lower_ns, p.first_upper_ns, p.stable_lower_ns, p.stable_upper_ns"
    )

    def _told(self, probe: int, replica: str | None, state: int, *brackets: Any) -> Part:
        return Part(probe, replica, State(state), *brackets)


class _Tries(_Beside[Try]):
    """Each time that it was sent, where that was more than once."""

    _table = "tries"
    _columns = "p.seq, p.sent_ns, p.acked_ns, p.status"

    def _told(self, *row: Any) -> Try:
        return Try(*row)


def sample(path: Path, count: int) -> EventSample:
    """At most `count` of the events in a ledger that were followed closely, spread evenly over the run."""
    with LedgerReader(path) as reader:
        return EventSample(
            began_at=datetime.fromisoformat(reader.meta["began_at"]),
            scenarios=[plan["name"] for plan in reader.meta["plan"]],
            events=reader.meta["events"],
            probes=reader.meta["probes"],
            observations=reader.spread(count),
        )
