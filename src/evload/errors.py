"""Every error that evload raises on purpose, each of which knows its exit code.

A person gets `str(error)` and nothing else; a traceback is shown only for an exception that is not
one of these, because that is a bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_PLACE: Final = re.compile(r"(.+):(\d+):(\d+)")


class EvloadError(Exception):
    """Base of all expected errors. `exit_code` is what the process ends with."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong in one place of a config file.

    `where` is `file:line:column`, or the option's own text (`--set load.0.rate`) where the value did
    not come from a file. `what` says what is wrong, `cure` what would be right.
    """

    where: str
    what: str
    cure: str

    @property
    def file(self) -> str | None:
        """The file that it is in; None where the value did not come from one."""
        found = _PLACE.fullmatch(self.where)
        return None if found is None else found[1]

    @property
    def line(self) -> int | None:
        """The line in that file, from 1."""
        found = _PLACE.fullmatch(self.where)
        return None if found is None else int(found[2])

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.cure}" if self.cure else f"{self.where}: {self.what}"


class ConfigError(EvloadError):
    """The config can't be used. Carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class UsageError(EvloadError):
    """The command line, or a run directory it names, can't be used."""

    exit_code = 2


class GuardError(EvloadError):
    """A target turned out to be outside of what a run may load."""

    exit_code = 2


class TargetError(EvloadError):
    """A target can't be reached, or refused to be set up, before the run began."""

    exit_code = 3


class NotUndoneError(EvloadError):
    """Something that was done to a system could not be undone, or not yet.

    The last line says what is left, and how to undo it. `during` is what ended the run before its time.
    """

    exit_code = 3

    def __init__(self, text: str, during: BaseException | None = None) -> None:
        self.during = during
        super().__init__(text)


class OutputError(EvloadError):
    """The results can't be written: the disk is full, or the directory isn't writable."""

    exit_code = 3
