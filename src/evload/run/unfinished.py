"""Runs that have left something undone: where to find them, so that no other one begins beside them.

They are found in the directory in which a new run's will be, and by a list in the user's state directory: a small
file for each run directory, there from the first thing that was done until all is undone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from .. import files
from ..engine.undoing import RETRIES
from ..errors import UsageError
from ..units import format_duration
from . import directory as directories
from . import undo_journal

_MOST: Final = 100_000
_TOLD: Final = 5
"""Most runs that are named."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that has left something undone.

    left  names of its actions
    lost  its journal is gone: what there was to undo, in words
    entry its file in the list, where that is all that is known of it
    """

    directory: Path
    left: Sequence[str]
    lost: str = ""
    entry: Path | None = None

    def __str__(self) -> str:
        if self.entry is not None:
            return (
                f"an earlier run has left undone: {', '.join(self.left)}, and {self.directory} is gone; undo it by "
                f"hand ({self.lost}), then remove {self.entry}"
            )
        return f"an earlier run has left undone: {', '.join(self.left)}; undo it first: evload undo {self.directory}"


@dataclass(frozen=True, slots=True)
class StillOn:
    """An action that isn't undone. `tried_on`: the guardian goes on trying."""

    action: str
    reason: str
    tried_on: bool = False


def last_line(left: Sequence[StillOn], directory: Path) -> str:
    """The last line of every output; empty if nothing is left."""
    if not left:
        return ""
    yet = " yet" if all(one.tried_on for one in left) else ""
    what = ", ".join(f"{one.action} ({one.reason})" if one.reason else one.action for one in left)
    trying = [one.action for one in left if one.tried_on]
    goes_on = ""
    if trying:
        whom = "it" if len(left) == 1 else "them" if len(trying) == len(left) else ", ".join(trying)
        longest = format_duration(RETRIES.altogether_ns)
        goes_on = f"a guardian goes on trying to undo {whom} for {longest}; after that "
    return f"NOT UNDONE{yet}: {what}; {goes_on}run: evload undo {directory}"


def not_undone(directory: Path) -> str:
    """The same of a run that isn't this process's: empty as long as it goes on, since it undoes it itself."""
    path = directory / undo_journal.NAME
    try:
        account = undo_journal.read(path)
    except OSError:
        return ""
    except UsageError as error:
        return f"NOT UNDONE: {error}"
    if directories.goes_on(directory):
        return ""
    left = [StillOn(promise.action, promise.reason) for promise in reversed(account.left)]
    left += [StillOn(f"line {number} of {path.name}", "it can't be read") for number in account.broken]
    return last_line(left, directory)


def state_directory(environ: Mapping[str, str]) -> Path | None:
    """Where the list is; None for a user without a home."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # also where it isn't set: so says the specification
        home = Path(environ.get("HOME", ""))
        if not home.is_absolute():
            return None
        base = home / ".local" / "state"
    return base / "evload" / "unfinished"


class Entry:
    """The file of one run directory in the list."""

    def __init__(self, listed: Path, directory: Path) -> None:
        self._directory = Path(os.path.abspath(directory))
        name = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:16]
        self.path = listed / f"{self._directory.name[:60]}-{name}.json"

    def write(self, actions: Mapping[str, Sequence[undo_journal.Step]]) -> None:
        """List it, with what these actions are undone by, should the directory get lost. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {"directory": str(self._directory), "undo": {name: list(undo) for name, undo in actions.items()}}
        files.replace(self.path, orjson.dumps(content, default=str, option=orjson.OPT_APPEND_NEWLINE), files.PRIVATE)

    def remove(self) -> None:
        """All is undone."""
        with suppress(OSError):
            self.path.unlink()


def refuse_beside(parent: Path, listed: Path | None) -> None:
    """Raise UsageError if a run in `parent`, or one that is listed, has left something undone.

    Runs that still go on are left alone: they undo it themselves.
    """
    found = {os.path.realpath(one.directory): one for one in (*_in_list(listed), *_in_directory(parent))}
    if found:
        told = [str(one) for one in found.values()]
        more = [f"and {len(told) - _TOLD} more runs"] if len(told) > _TOLD else []
        raise UsageError("\n".join([*told[:_TOLD], *more]))


def _in_directory(parent: Path) -> Iterator[Unfinished]:
    try:
        places = sorted(entry.path for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for place in places:
        if (one := _look(Path(place))) is not None:
            yield one


def _look(directory: Path) -> Unfinished | None:
    """What a run in a directory has left undone; None if that is nothing, or nobody can say."""
    left = _left_in(directory)
    if not left or directories.goes_on(directory):
        return None
    # Once more: it may have come to its end just now, with all undone.
    left = _left_in(directory)
    return Unfinished(directory, left) if left else None


def _left_in(directory: Path) -> list[str]:
    path = directory / undo_journal.NAME
    try:
        if path.lstat().st_uid != os.geteuid():
            return []
        account = undo_journal.read(path)
    except UsageError:
        return [f"what {path.name} says, which can't be read"]
    except OSError:
        return []
    return [*account.names, *(f"line {number} of {path.name}, which can't be read" for number in account.broken)]


def _in_list(listed: Path | None) -> Iterator[Unfinished]:
    try:
        entries = [] if listed is None else sorted(listed.glob("*.json"))
    except OSError:
        return
    for entry in entries:
        try:
            content = orjson.loads(files.read(entry, _MOST))
            directory, undo = Path(content["directory"]), dict(content["undo"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if not os.path.lexists(directory / undo_journal.NAME):
            lost = "; ".join(orjson.dumps(steps).decode() for steps in undo.values())
            yield Unfinished(directory, list(undo), lost, entry)
        elif (one := _look(directory)) is not None:
            yield one
        elif not directories.goes_on(directory):
            with suppress(OSError):  # whoever undid the last of it was killed before it could say so
                entry.unlink()
