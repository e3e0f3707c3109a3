"""The directory of a run: where it is, the files in it, and the one who may write there while the run goes on."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from .. import files
from ..errors import OutputError, UsageError

_CLAIM: Final = ".evload-run"
"""There while a run goes on, and after it was killed: its id, then each file that it may have made, a line of JSON
each."""
_SET_ASIDE: Final = re.compile(r"unfinished-\d{8}-\d{6}-[0-9a-f]{4}")
_MOST_CLAIM: Final = 1_000_000
_MOST_CONFIG: Final = 10_000_000
_ATTEMPTS: Final = 10
_LIVE: Final = ("-wal", "-shm", "-journal")
"""What SQLite writes beside a ledger while it is open."""


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
    def incomplete_ledger(self) -> Path:
        """What became of the ledger if it could not be written to its end."""
        return self.path / "events.incomplete.sqlite"

    @property
    def summary(self) -> Path:
        """What the run amounts to."""
        return self.path / "summary.json"

    @property
    def truth(self) -> Path:
        """What really happened, where the run had a sandbox."""
        return self.path / "truth.jsonl"

    @property
    def undo(self) -> Path:
        """What was done to the system, how it is undone, and what became of that."""
        return self.path / "undo.jsonl"

    @property
    def cleanup(self) -> Path:
        """What placeholders of the clean-up stand for, and how far it is."""
        return self.path / "cleanup.jsonl"

    @property
    def traffic(self) -> Path:
        """What was sent and what came back, in samples, where that was asked for."""
        return self.path / "traffic.jsonl"

    def config_text(self) -> str:
        """What the config as run says; empty if there is none, or one that no run of ours has written."""
        try:
            return files.read(self.config, _MOST_CONFIG, links=False).decode()
        except (OSError, UnicodeDecodeError):
            return ""


class OpenDirectory:
    """The directory of a run that goes on. All that the run writes there is made by it, or told to it beforehand.

    Files are made anew, never through a link, and only what the run itself has made is ever removed.
    """

    def __init__(
        self, names: RunDirectory, run_id: str, claim: int, made: Iterable[Path], aside: Path | None = None
    ) -> None:
        """Of `run_id`. `claim` is the open file that keeps others away; `made` are the directories made for it.

        `aside` is where that went which an unfinished run before it had left here.
        """
        self.names = names
        self.run_id = run_id
        self.aside = aside
        self._claim = claim
        self._directories = list(made)
        self._files: list[Path] = []
        self._kept = False

    def create(self, path: Path) -> None:
        """Make an empty file that is nobody else's to read, for others to write. Raises OutputError."""
        with self._making(path):
            files.create(path, files.PRIVATE)

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all. Raises OutputError.

        In the directory it must not be there yet. A file elsewhere, which somebody named, is replaced.
        """
        private = (self.names.config, self.names.cleanup)
        mode = files.PRIVATE if path in private else files.PUBLIC
        if not self._is_inside(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                files.replace(path, content, mode)
            except OSError as error:
                raise _cant_write(path, error) from error
            return
        with self._making(path):
            files.write_new(path, content, mode)

    def set_ledger_aside(self) -> Path:
        """Give the ledger, which isn't whole, a name that says so. Returns where it is then."""
        ledger, aside = self.names.ledger, self.names.incomplete_ledger
        if any(os.path.lexists(f"{aside}{ending}") for ending in ("", *_LIVE)):
            return ledger
        with suppress(OSError):
            os.unlink(f"{ledger}-shm")  # an index of the next file, made again by whoever opens it
        for ending in ("", "-wal"):
            with suppress(OSError):
                os.rename(f"{ledger}{ending}", f"{aside}{ending}")
        self._files = [aside if path == ledger else path for path in self._files]
        return aside

    def keep(self) -> None:
        """From now on something may have been sent: what there is stays there, whatever happens."""
        self._kept = True

    def finish(self) -> None:
        """All is written. The directory is that of a run that has ended, and anybody's."""
        if self._claim >= 0:
            with suppress(OSError):
                (self.names.path / _CLAIM).unlink()
            self._let_go()

    def give_up(self) -> None:
        """Take back what has been made, if nothing was sent. Otherwise the directory is that of a run that was
        never finished."""
        if self._claim < 0:
            return
        if self._kept:
            self._let_go()
            return
        for path in self._files:
            for ending in ("", *(_LIVE if path == self.names.ledger else ())):
                with suppress(OSError):
                    os.unlink(f"{path}{ending}")
        self.finish()
        for directory in reversed(self._directories):
            with suppress(OSError):  # not empty: somebody else's files
                directory.rmdir()

    def _let_go(self) -> None:
        os.close(self._claim)
        self._claim = -1

    def _is_inside(self, path: Path) -> bool:
        return _plain(path).is_relative_to(_plain(self.names.path))

    @contextmanager
    def _making(self, path: Path) -> Iterator[None]:
        """The file is made inside the block; noted before that, so that the next run knows it for one of ours."""
        try:
            self._note(path)
            self._make_parents(path)
            yield
        except OSError as error:
            raise _cant_write(path, error) from error
        self._files.append(path)

    def _note(self, path: Path) -> None:
        name = str(_plain(path).relative_to(_plain(self.names.path)))
        line = orjson.dumps(name, option=orjson.OPT_APPEND_NEWLINE)
        at = os.fstat(self._claim).st_size
        if os.pwrite(self._claim, line, at) < len(line):
            os.ftruncate(self._claim, at)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _make_parents(self, path: Path) -> None:
        inside = _plain(path.parent).relative_to(_plain(self.names.path))
        at = self.names.path
        for part in inside.parts:
            at /= part
            with suppress(FileExistsError):
                at.mkdir()
                self._directories.append(at)
            if not stat.S_ISDIR(at.lstat().st_mode):
                raise OSError(errno.ENOTDIR, f"{at.name} is no directory")


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and doesn't collide: `20260131-120000-4f1c`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def opened(out: Path | None, now: datetime) -> Iterator[OpenDirectory]:
    """A directory for a run that begins now: `out`, or a new one below `runs`.

    `out` is new, or empty, or has what an unfinished run of ours has left, which is moved into a directory below it.
    If the block raises, what was made goes away again, unless `keep` was called. Raises UsageError if anything else
    is in `out`, or another run is writing there, OutputError if it can't be had.
    """
    directory = _claimed(out, now)
    try:
        yield directory
    except BaseException:
        directory.give_up()
        raise
    directory.finish()


def find(path: Path) -> RunDirectory:
    """The run in a directory (or the one that a file in it belongs to). Raises UsageError if there is none."""
    run = RunDirectory(path.parent if path.is_file() else path)
    if not run.ledger.is_file():
        if run.incomplete_ledger.is_file():
            raise UsageError(
                f"{path} has no whole ledger, so no report can be made of it: the disk was full; see the summary, or "
                f"look into {run.incomplete_ledger.name} with sqlite3"
            )
        raise UsageError(f"{path} isn't the directory of a run: it has no events.sqlite; look under runs/")
    return run


def is_over(path: Path) -> bool:
    """Whether the run in a directory has come to its end there, with all that it writes."""
    run = RunDirectory(path)
    return run.summary.is_file() and run.ledger.is_file() and not os.path.lexists(path / _CLAIM)


def goes_on(path: Path) -> bool:
    """Whether a run is writing into a directory now. Where there are no locks nobody knows, and it isn't."""
    try:
        claim = _left_by_others(path)
    except OSError:
        return False
    if claim is None:
        return False
    try:
        fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(claim)
    return False


def _claimed(out: Path | None, now: datetime) -> OpenDirectory:
    for _ in range(_ATTEMPTS):
        run_id = new_run_id(now)
        names = RunDirectory(out if out is not None else Path("runs") / run_id)
        made = _make(names.path, new=out is None)
        if made is None:  # another run began in the same second, and drew the same number
            continue
        try:
            claim, aside = _claim(names, run_id)
            return OpenDirectory(names, run_id, claim, made, aside)
        except BaseException:
            for directory in reversed(made):
                with suppress(OSError):
                    directory.rmdir()
            raise
    raise OutputError(f"can't create {names.path}: it is there already; choose a directory with --out")


def _make(path: Path, *, new: bool) -> list[Path] | None:
    """Make a directory and those above it; returns which were made, or None where a new one is wanted and isn't."""
    made = []
    try:
        missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
        for each in reversed(missing):
            with suppress(FileExistsError):
                each.mkdir()
                made.append(each)
        if new and path not in made:
            return None
        if not path.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    except OSError as error:
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()
        raise OutputError(f"can't create {path}: {error.strerror}; choose a directory with --out") from error
    return made


def _claim(names: RunDirectory, run_id: str) -> tuple[int, Path | None]:
    """The open file by which the directory is this run's, and where an unfinished one has gone, if there was one."""
    path = names.path / _CLAIM
    head = orjson.dumps(run_id, option=orjson.OPT_APPEND_NEWLINE)
    try:
        left = _left_by_others(names.path)
        if left is not None:
            return _taken_over(names, left, head)
        _refuse_others(names)
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE)
    except FileExistsError:
        raise _busy(names) from None
    except OSError as error:
        raise OutputError(
            f"can't write into {names.path}: {error.strerror}; choose a directory with --out"
        ) from error
    try:
        with suppress(OSError):  # a file system without locks: nobody will take over what this run leaves
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _refuse_others(names)  # whoever looked at the same moment
        os.write(claim, head)
    except BaseException as error:
        path.unlink()
        os.close(claim)
        if isinstance(error, OSError):
            raise _cant_write(path, error) from error
        raise
    return claim, None


def _left_by_others(path: Path) -> int | None:
    """The claim of a run before, opened; None if there is none."""
    try:
        return os.open(path / _CLAIM, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _taken_over(names: RunDirectory, claim: int, head: bytes) -> tuple[int, Path]:
    """Move what an unfinished run has left into a directory of its own, and claim the place of it."""
    try:
        about = os.fstat(claim)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _busy(names) from None
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_size > _MOST_CLAIM:
            raise _not_empty(names, _CLAIM)
        try:
            run_id, *made = [orjson.loads(line) for line in os.pread(claim, _MOST_CLAIM, 0).splitlines()]
            aside = names.path / f"unfinished-{run_id}"
            there = set(os.listdir(names.path))
            ours = {Path(name).parts[0] for name in made} & there
        except (orjson.JSONDecodeError, ValueError, TypeError, IndexError):
            raise _not_empty(names, _CLAIM) from None
        if not _SET_ASIDE.fullmatch(aside.name):
            raise _not_empty(names, _CLAIM)
        if names.summary.name in ours and os.path.lexists(names.summary):
            raise _holds_a_run(names)
        ours |= {f"{names.ledger.name}{ending}" for ending in _LIVE if names.ledger.name in ours}
        ours |= {name for name in there if files.is_partial(name)}
        ours |= {f"{names.incomplete_ledger.name}{ending}" for ending in ("", *_LIVE)}
        _refuse_others(names, ours)
        aside.mkdir(exist_ok=True)  # there if who did this before was killed meanwhile
        for name in sorted(ours):
            with suppress(FileNotFoundError):
                os.rename(names.path / name, aside / name)
        os.pwrite(claim, head, 0)  # as long as the one before
        os.ftruncate(claim, len(head))
    except BaseException:
        os.close(claim)
        raise
    return claim, aside


def _refuse_others(names: RunDirectory, ours: Iterable[str] = ()) -> None:
    """Raise UsageError if there is anything but files of `ours`, the claim, and what was set aside before."""
    for path in (names.ledger, names.summary):
        if path.name not in ours and os.path.lexists(path):
            raise _holds_a_run(names)
    for entry in sorted(os.listdir(names.path)):
        if entry != _CLAIM and entry not in ours and not _SET_ASIDE.fullmatch(entry):
            raise _not_empty(names, entry)


def _holds_a_run(names: RunDirectory) -> UsageError:
    return UsageError(f"{names.path} holds a run already; choose another directory, or remove that one")


def _not_empty(names: RunDirectory, entry: str) -> UsageError:
    return UsageError(f"{names.path} isn't empty: it has {entry!r}; choose an empty or a new directory with --out")


def _busy(names: RunDirectory) -> UsageError:
    return UsageError(f"another run is writing into {names.path}; choose another directory with --out")


def _cant_write(path: Path, error: OSError) -> OutputError:
    if isinstance(error, FileExistsError):
        return OutputError(f"can't write {path}: it is there already; choose another file, or another --out")
    return OutputError(f"can't write {path}: {error.strerror}; free some space or choose --out")


def _plain(path: Path) -> Path:
    return Path(os.path.abspath(path))
