"""What a stand-in remembers of itself, written before anybody can read of it anywhere else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Self


class Record:
    """Lines of JSON in a file, or in memory without one; and how many there are of each kind."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._file = None if path is None else path.open("w", encoding="utf-8", buffering=1)

    def note(self, kind: str, at: float, **about: Any) -> None:
        """One line. `at` is the stand-in's own time, in seconds since the epoch."""
        self.counts[kind] += 1
        line = {"at": round(at, 6), "kind": kind, **about}
        if self._file is None:
            self.lines.append(line)
        else:
            self._file.write(json.dumps(line) + "\n")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind; of those in memory."""
        return [line for line in self.lines if line["kind"] == kind]

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record of a stand-in that has ended, or not."""
        record = cls()
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            record.note(line.pop("kind"), line.pop("at"), **line)
        return record
