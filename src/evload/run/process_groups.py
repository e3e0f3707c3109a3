"""Ends a group of processes that was begun by somebody who is gone, and no other that has its number by now."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_START_TIME = 19
"""Among the fields of `/proc/PID/stat` that come after the name."""


class Group(NamedTuple):
    """A group of processes, by the number that its first one has.

    born  when that began, and since when this machine is up: another process may have its number later. Empty where
          the system doesn't tell
    """

    number: int
    born: str

    @classmethod
    def of(cls, number: int) -> Group:
        """That which has this number now."""
        return cls(number, _born(number))

    @property
    def is_there(self) -> bool:
        """Whether any process of that number's group is there."""
        try:
            os.killpg(self.number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    @property
    def is_known(self) -> bool:
        """Whether its first process is there for sure, and it isn't another one of that number."""
        return bool(self.born) and _born(self.number) == self.born

    @property
    def is_another(self) -> bool:
        """Whether that number belongs to another process by now, so that all of the group had ended."""
        return bool(self.born) and _born(self.number) not in ("", self.born)

    def end(self) -> None:
        """End all of it; it may be there for a moment longer."""
        if self.number > 1:  # 0 would be our own, and 1 everybody
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.number, signal.SIGKILL)


def _born(pid: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{boot} {fields[_START_TIME]}"
    except (OSError, IndexError):
        return ""
