"""A secret in a file, and when that file is another one."""

from __future__ import annotations

import os
from pathlib import Path

from ... import files
from .grant import LONGEST, Grant, NoGrant, check_value

_Signature = tuple[int, int, int, int]


class WatchedFile:
    """One file. What it holds is read again when it is another file, has another size or was written to.

    Kubernetes swaps a link above it, editors rename, others write over it: what is read while somebody writes may be
    half of it, so that a change counts once the file looks the same twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: _Signature | None = None
        """How it looked when it was read."""
        self._seen: _Signature | None = None
        """How it looked last."""

    async def get(self) -> Grant:
        """What it holds now. Raises NoGrant."""
        self._read = self._seen = self._signature()
        try:
            content = files.read(self.path, 4 * LONGEST)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            # One line end or several: editors and `echo` put one there.
            value = content.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise NoGrant(f"{self.path} isn't UTF-8", "write text into it") from None
        check_value(value, f"{self.path} is")
        return Grant(value)

    def look(self) -> tuple[bool, bool]:
        """Whether it has changed since it was read, and whether it is as it was at the last look."""
        before, self._seen = self._seen, self._signature()
        return self._seen != self._read, self._seen == before

    def _signature(self) -> _Signature | None:
        """None if there is none."""
        try:
            about = os.stat(self.path)
        except OSError:
            return None
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns

    def _unreadable(self, error: OSError) -> NoGrant:
        what = (error.strerror or str(error)).lower()
        return NoGrant(f"can't read {self.path}: {what}", "mount it or write it, or correct file")
