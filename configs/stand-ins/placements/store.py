"""The database: placements in SQLite, which can be away."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from placements.knobs import Knobs

_TABLES = """
CREATE TABLE placements (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, event_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
  data TEXT NOT NULL, timestamps TEXT NOT NULL, cold_start INTEGER NOT NULL, file_url TEXT
);
CREATE INDEX by_event ON placements (event_id);
CREATE INDEX by_correlation ON placements (correlation_id);
"""


class DatabaseAway(Exception):
    """Nobody can read or write it now."""


class Store:
    """Placements by id and by correlation id. `written_s` and `read_s` are what the last write and read took."""

    def __init__(self, knobs: Knobs, path: Path | None = None) -> None:
        self._knobs = knobs
        self._database = sqlite3.connect(":memory:" if path is None else path, isolation_level=None)
        if path is not None:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=OFF")
        self._database.executescript(_TABLES)
        self._database.row_factory = sqlite3.Row
        self.written_s = 0.0
        self.read_s = 0.0

    def begin(self, name: str, event: Mapping[str, Any], consumed_at: str, *, cold: bool, once: bool) -> str | None:
        """Begin a placement for an event, and return its id. None: the event has one already, which is done.

        With `once` an event that is known makes no second one; without it makes another each time it comes.
        """
        self.check()
        began = time.perf_counter()
        rows = self._database.execute("SELECT id, file_url FROM placements WHERE event_id = ?", (event["id"],))
        known = rows.fetchall()
        if known and once:
            return None if known[0]["file_url"] else str(known[0]["id"])
        name = f"{name}-{len(known)}" if known else name
        stamps = {**event.get("timestamps", {}), "consumed_at": consumed_at}
        self._database.execute(
            "INSERT INTO placements (id, event_id, correlation_id, data, timestamps, cold_start)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (name, event["id"], event["correlation_id"], json.dumps(event["data"]), json.dumps(stamps), cold),
        )
        self.written_s = time.perf_counter() - began
        return name

    def is_done(self, name: str) -> bool:
        """Whether a placement has its file."""
        self.check()
        row = self._database.execute("SELECT file_url FROM placements WHERE id = ?", (name,)).fetchone()
        return row is not None and row["file_url"] is not None

    def finish(self, name: str, processed_at: str) -> None:
        """The placement has its file."""
        self.check()
        began = time.perf_counter()
        self._database.execute(
            "UPDATE placements SET file_url = ?, timestamps = json_set(timestamps, '$.processed_at', ?) WHERE id = ?",
            (f"https://files.example.com/{name}.mp4", processed_at, name),
        )
        self.written_s = time.perf_counter() - began

    def by_id(self, name: str) -> dict[str, Any] | None:
        """One placement."""
        found = self._select("id", (name,))
        return found[0] if found else None

    def by_correlation(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The placements with these correlation ids: more than one of an id, where it has more."""
        return self._select("correlation_id", ids)

    @property
    def up(self) -> int:
        """1 if it is there, else 0."""
        return int(self._knobs.database)

    def check(self) -> None:
        """Raises DatabaseAway."""
        if not self._knobs.database:
            raise DatabaseAway("the database is away")

    def close(self) -> None:
        """Nothing more is read or written."""
        self._database.close()

    def _select(self, column: str, values: Sequence[str]) -> list[dict[str, Any]]:
        self.check()
        began = time.perf_counter()
        asked = ",".join("?" * len(values))
        sql = f"SELECT * FROM placements WHERE {column} IN ({asked}) ORDER BY number"
        with closing(self._database.execute(sql, values)) as rows:
            found = [_placement(row) for row in rows]
        self.read_s = time.perf_counter() - began
        return found


def _placement(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "correlation_id": row["correlation_id"],
        "status": "done" if row["file_url"] else "pending",
        "file_url": row["file_url"],
        "cold_start": bool(row["cold_start"]),
        "timestamps": json.loads(row["timestamps"]),
        **json.loads(row["data"]),
    }
