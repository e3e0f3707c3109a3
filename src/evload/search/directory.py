"""The directory of a search: its notes, its page, and a directory for each trial."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from .. import files
from ..errors import OutputError, UsageError
from ..run.directory import RunDirectory, goes_on, is_over, new_run_id
from .document import Notes, notes_of

_CLAIM: Final = ".evload-ceiling"
_MOST_NOTES: Final = 10_000_000
_MOST_ASIDE: Final = 1000


class SearchDirectory:
    """The files of one search."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def notes(self) -> Path:
        """What is known, and from what a search goes on."""
        return self.path / "ceiling.json"

    @property
    def page(self) -> Path:
        """The same for people."""
        return self.path / "ceiling.html"

    @staticmethod
    def name_of(number: int) -> str:
        """Of the directory of a trial."""
        return f"trial-{number:02}"

    def write(self, path: Path, content: bytes) -> None:
        """Raises OutputError."""
        try:
            files.replace(path, content)
        except OSError as error:
            raise OutputError(
                f"can't write {path}: {error.strerror}; free some space, then go on with --resume"
            ) from (error)

    def read(self) -> Notes:
        """Raises UsageError where there is no search, or its notes can't be used."""
        try:
            return notes_of(files.read(self.notes, _MOST_NOTES))
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self.path.is_dir() and not self.others():
                raise UsageError(
                    f"--resume {self.path}: the search was ended before it had noted anything; begin it with "
                    f"--out {self.path}"
                ) from None
            raise UsageError(
                f"--resume {self.path}: there is no search ({self.notes.name}: {error.strerror}); name the directory "
                "that one has left"
            ) from None
        except ValueError as error:
            raise UsageError(f"--resume {self.path}: {self.notes.name}: {error}; begin anew with --out") from None

    def finished(self, name: str) -> RunDirectory | None:
        """The run in the directory of a trial, if it has come to its end there."""
        run = RunDirectory(self.path / name)
        return run if is_over(run.path) else None

    def cut_off(self, name: str) -> bool:
        """Whether a trial has left something there and doesn't go on."""
        try:
            return bool(os.listdir(self.path / name)) and not goes_on(self.path / name)
        except OSError:
            return False

    def set_aside(self, name: str) -> str:
        """Give the directory of a trial another name, so that the trial can be made again. Returns that name."""
        for number in range(1, _MOST_ASIDE):
            aside = f"{name}-interrupted-{number}"
            if not os.path.lexists(self.path / aside):
                os.rename(self.path / name, self.path / aside)
                return aside
        raise OutputError(f"{self.path} has {_MOST_ASIDE} directories called {name}-interrupted; remove some")

    def others(self) -> list[str]:
        """What is there beside what a search leaves that was killed before its first trial. Raises OSError."""
        return sorted(name for name in os.listdir(self.path) if name != _CLAIM and not files.is_partial(name))

    def sweep(self) -> None:
        """Remove what nobody writes to its end any more. Only for whoever is the one to write here."""
        for name in os.listdir(self.path):
            if files.is_partial(name):
                with suppress(OSError):
                    (self.path / name).unlink()


@contextmanager
def opened(out: Path | None, now: datetime) -> Iterator[SearchDirectory]:
    """A directory for a search that begins now: `out`, or a new one below `runs`.

    Raises UsageError where there is anything in it, OutputError if it can't be had. If the block raises before
    anything was written, it goes away again.
    """
    path = Path("runs") / f"ceiling-{new_run_id(now)}" if out is None else out
    directory = SearchDirectory(path)
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        there = directory.others()
    except OSError as error:
        raise OutputError(f"can't create {path}: {error.strerror}; choose a directory with --out") from error
    if directory.notes.name in there:
        raise UsageError(f"{path} holds a search already; go on with it by --resume {path}, or choose another --out")
    if there:
        raise UsageError(f"{path} isn't empty: it has {there[0]!r}; choose an empty or a new directory with --out")
    try:
        with _claimed(directory):
            yield directory
    finally:
        if not directory.notes.exists():
            for each in missing:
                with suppress(OSError):  # not empty
                    each.rmdir()


@contextmanager
def resumed(path: Path) -> Iterator[SearchDirectory]:
    """The directory of a search that goes on now. Raises UsageError where there is none."""
    directory = SearchDirectory(path)
    directory.read()
    with _claimed(directory):
        yield directory


@contextmanager
def _claimed(directory: SearchDirectory) -> Iterator[None]:
    """Nobody else searches there inside the block, also not after this process was killed and another one began."""
    path = directory.path / _CLAIM
    try:
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; choose a directory with --out") from error
    try:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another search is writing into {directory.path}; wait for its end") from None
        except OSError:
            pass  # a file system without locks
        directory.sweep()
        yield
        with suppress(OSError):
            path.unlink()
    except BaseException:
        with suppress(OSError):
            if not directory.notes.exists():
                path.unlink()
        raise
    finally:
        os.close(claim)
