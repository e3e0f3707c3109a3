"""What a run has to undo, written down before it is done: `undo.jsonl` in its directory.

A line of JSON each: first what is the same for all of it, then each promise with its undo as the config has it, names
of variables instead of their values, then what became of it. Whoever writes there holds the file's lock: the run, its
guardian, or a person with `evload undo`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from .. import files
from ..errors import UsageError
from ..texts import printable
from .process_groups import Group

NAME: Final = "undo.jsonl"
FORMAT: Final = 1
_MOST: Final = 200_000_000
"""Bytes of a journal: more than any run writes."""
_ROOM: Final = 2000
"""Blanks behind the last line, for each promise that is open. What becomes of it is written in their place, for which
a full disk has room, too."""
_LONGEST: Final = 300
"""Characters of a reason: it has to find room there."""
_BLANK: Final = b" \n\0"
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_CANT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})

Step = Mapping[str, Any]
"""One activity, as the config has it."""
Key = tuple[str, int]
"""The name of an action, and which time of it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is the same for all that a run has to undo.

    params, secrets  of the config, as far as an undo may need them; secrets as they are written, without any value
    """

    run_id: str
    base_dir: str
    params: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Promise:
    """One time that an action is done, and how it is undone.

    undo      its steps, variables unresolved
    unquoted  where in them a text with a variable stood without quotes: its value may be a number
    values    what placeholders in it stand for
    withheld  the names of others, whose values are secrets
    at        when it was promised, RFC 3339
    doing     nobody has said yet that `do` has ended
    groups    of processes that it has begun meanwhile
    reason    why it could not be undone so far; empty if that wasn't tried, or not to the end
    """

    action: str
    number: int
    undo: Sequence[Step]
    unquoted: Sequence[Sequence[str | int]] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    withheld: Sequence[str] = ()
    at: str = ""
    doing: bool = True
    groups: Sequence[Group] = ()
    reason: str = ""

    @property
    def key(self) -> Key:
        """By which it is known."""
        return self.action, self.number


@dataclass(frozen=True, slots=True)
class Account:
    """What a journal says. `left` is what isn't undone, the oldest first; `broken` are lines that say nothing."""

    head: Head
    left: Sequence[Promise]
    broken: Sequence[int] = ()

    @property
    def names(self) -> list[str]:
        """The names of the actions that are left."""
        return list(dict.fromkeys(promise.action for promise in self.left))


class UndoJournal:
    """A journal that is this process's to write. All of it raises OSError; what can't be written isn't there then."""

    def __init__(self, descriptor: int, at: int, size: int) -> None:
        """An open and locked file. The next line comes at `at`; up to `size` there are blanks."""
        self._descriptor = descriptor
        self._at = at
        self._size = size
        self._open: set[Key] = set()

    @classmethod
    def begin(cls, path: Path, head: Head) -> UndoJournal:
        """The journal of a run, in a file that is there and empty."""
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _lock(descriptor)
            journal = cls(descriptor, 0, 0)
            journal._add(
                {
                    "evload": "undo", "format": FORMAT, "run_id": head.run_id, "base_dir": head.base_dir,
                    "params": dict(head.params), "secrets": dict(head.secrets),
                }
            )  # fmt: skip
            for directory in (path.parent, *list(path.parent.absolute().parents)[:2]):
                _sync_directory(directory)
        except BaseException:
            os.close(descriptor)
            raise
        return journal

    @classmethod
    def take(cls, path: Path) -> UndoJournal | None:
        """A journal that is there, whose last line may be torn; None while somebody else is writing there.

        Raises UsageError for one that somebody else has written: its undo may be any command.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
                raise UsageError(f"{path} isn't yours, and it may say anything; undo it as the user who ran it")
            if not _lock(descriptor):
                os.close(descriptor)
                return None
            content = os.pread(descriptor, min(os.fstat(descriptor).st_size, _MOST), 0)
            lines = _lines(content)
            at = next((one.end for one in reversed(lines) if one.entry is not None), 0)
            journal = cls(descriptor, at, len(content))
            if at < len(content.rstrip(_BLANK)):  # a torn line
                journal._blank(at, len(content))
            if at:
                journal._write(b"\n", at)
                journal._at = at + 1
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return journal

    def promise(self, promise: Promise) -> None:
        """Before it is done."""
        entry: dict[str, Any] = {
            "promise": promise.action, "number": promise.number, "at": promise.at, "undo": list(promise.undo)
        }  # fmt: skip
        if promise.unquoted:
            entry["unquoted"] = [list(place) for place in promise.unquoted]
        entry |= _values(promise.values, promise.withheld)
        names = [name for name, _ in (*self._open, promise.key)]
        self._add(entry, room=sum(_ROOM + 4 * len(name.encode()) for name in names))
        self._open.add(promise.key)

    def began(self, key: Key, group: Group) -> None:
        """A group of processes does it."""
        self._add({"began": key[0], "number": key[1], "group": group.number, "born": group.born})

    def done(self, key: Key, values: Mapping[str, Any], withheld: Sequence[str] = ()) -> None:
        """`do` has ended, and captured this."""
        self._add({"done": key[0], "number": key[1], **_values(values, withheld)})

    def kept(self, key: Key, by: str) -> None:
        """It is undone, by whom."""
        self._add({"kept": key[0], "number": key[1], "by": by})
        self._open.discard(key)

    def given_up(self, key: Key, by: str, reason: str) -> None:
        """It could not be undone, by whom, and why."""
        told = printable(reason)
        told = told if len(told) <= _LONGEST else f"{told[: _LONGEST - 2]} …"
        self._add({"given_up": key[0], "number": key[1], "by": by, "reason": told})

    def close(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _add(self, entry: Mapping[str, Any], room: int = 0) -> None:
        line = orjson.dumps(entry, default=str, option=orjson.OPT_APPEND_NEWLINE)
        content = line + (b" " * room + b"\n" if room else b"")
        before = self._size
        try:
            self._write(content, self._at)
            _sync(self._descriptor)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)
                self._size = before
                self._blank(self._at, min(before, self._at + len(content)))
            raise
        self._at += len(line)

    def _write(self, content: bytes, at: int) -> None:
        left = memoryview(content)
        while left:
            written = os.pwrite(self._descriptor, left, at)
            at += written
            left = left[written:]
            self._size = max(self._size, at)

    def _blank(self, start: int, end: int) -> None:
        if end > start:
            self._write(b" " * (end - start - 1) + b"\n", start)


def _values(values: Mapping[str, Any], withheld: Sequence[str]) -> dict[str, Any]:
    found = {"values": dict(values), "withheld": list(withheld)}
    return {name: value for name, value in found.items() if value}


def read(path: Path) -> Account:
    """What a journal says; its last line may be torn. Raises OSError, UsageError for what is none of ours."""
    return parse(files.read(path, _MOST, links=False), path)


def parse(content: bytes, path: Path) -> Account:
    """The same from what is in the file."""
    lines = _lines(content)
    if lines and lines[-1].entry is None:
        lines.pop()  # what was torn had not been promised yet, and what had become of it is found out again
    if not lines:
        return Account(Head("", ""), ())
    head = lines[0].entry
    if head is None or head.get("evload") != "undo":
        raise UsageError(f"{path} doesn't begin as evload writes it; look into it, and undo by hand what it says")
    if head.get("format") != FORMAT:
        raise UsageError(f"{path} was written by another version of evload; undo it with that one")
    left: dict[Key, Promise] = {}
    broken = []
    for line in lines[1:]:
        try:
            _apply(line.entry, left)
        except (KeyError, TypeError, ValueError, AttributeError):
            broken.append(line.number)
    return Account(
        Head(
            str(head.get("run_id", "")),
            str(head.get("base_dir", "")),
            head.get("params") or {},
            head.get("secrets") or {},
        ),
        list(left.values()),
        broken,
    )


def _apply(entry: Mapping[str, Any] | None, left: dict[Key, Promise]) -> None:
    if entry is None:
        raise ValueError
    for what in ("promise", "began", "done", "kept", "given_up"):
        if what in entry:
            break
    else:
        return  # of a later version
    key = str(entry[what]), int(entry["number"])
    if what == "promise":
        left[key] = Promise(
            *key,
            undo=[dict(step) for step in entry["undo"]],
            unquoted=[tuple(place) for place in entry.get("unquoted", ())],
            values=dict(entry.get("values", {})),
            withheld=tuple(entry.get("withheld", ())),
            at=str(entry.get("at", "")),
        )
    elif key in left:
        if what == "began":
            group = Group(int(entry["group"]), str(entry["born"]))
            left[key] = replace(left[key], groups=(*left[key].groups, group))
        elif what == "done":
            one = left[key]
            values = {**one.values, **entry.get("values", {})}
            withheld = (*one.withheld, *entry.get("withheld", ()))
            left[key] = replace(one, doing=False, groups=(), values=values, withheld=withheld)
        elif what == "kept":
            del left[key]
        else:
            left[key] = replace(left[key], reason=str(entry.get("reason", "")) or "it failed")


class _Line(NamedTuple):
    """A line that isn't blank: its number from 1, where it ends, and what it says; None: nothing."""

    number: int
    end: int
    entry: dict[str, Any] | None


def _lines(content: bytes) -> list[_Line]:
    found, at = [], 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if stripped := line.rstrip(_BLANK):
            found.append(_Line(number, at + len(stripped), _parsed(stripped.lstrip(_BLANK))))
        at += len(line) + 1
    return found


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None


def _lock(descriptor: int) -> bool:
    """Have the file for oneself. False if somebody else has it; where there are no locks everybody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANT_SYNC:
            raise


def _sync_directory(path: Path) -> None:
    """So that the file is still there after the power failed. A directory that can't be opened is none of ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
