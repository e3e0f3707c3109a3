"""The directory of a run: where it is, and the files in it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import OutputError, UsageError


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The config as run, without secrets."""
        return self.path / "config.yaml"

    @property
    def ledger(self) -> Path:
        """A row for each event."""
        return self.path / "events.sqlite"

    @property
    def summary(self) -> Path:
        """What the run amounts to."""
        return self.path / "summary.json"

    @property
    def truth(self) -> Path:
        """What really happened, where the run had a sandbox."""
        return self.path / "truth.jsonl"


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and doesn't collide: `20260131-120000-4f1c`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def create(run_id: str, out: Path | None) -> RunDirectory:
    """Make `runs/<run id>`, or `out`. Raises UsageError if `out` holds a run already, OutputError if it can't
    be made."""
    path = out if out is not None else Path("runs") / run_id
    run = RunDirectory(path)
    if run.ledger.exists() or run.summary.exists():
        raise UsageError(f"{path} holds a run already; choose another directory, or remove that one")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't create {path}: {error.strerror}; choose a directory with --out") from error
    return run


def discard(run: RunDirectory) -> None:
    """Take back what `create` and the set-up of a run that never began have left."""
    if not run.ledger.exists():
        for file in (run.config, run.truth):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: somebody else's files
            run.path.rmdir()


def find(path: Path) -> RunDirectory:
    """The run in a directory (or the one that a file in it belongs to). Raises UsageError if there is none."""
    run = RunDirectory(path.parent if path.is_file() else path)
    if not run.ledger.is_file():
        raise UsageError(f"{path} isn't the directory of a run: it has no events.sqlite; look under runs/")
    return run


def write(path: Path, content: bytes) -> None:
    """Write a file of a run. Raises OutputError if it can't be."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; free some space or choose --out") from error


def text(path: Path) -> str:
    """What a file of a run says; empty if it can't be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
