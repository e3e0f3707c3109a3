"""Starts a guardian, a process that outlives this one, and tells it what it has to undo then."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

_READY_WITHIN_S: Final = 60.0
"""It loads what it needs first, on a machine that may be busy."""
_HEARS_WITHIN_S: Final = 30.0
_ENDS_WITHIN_S: Final = 5.0


class GuardianGoneError(Exception):
    """There is none, or it hears nothing any more. The text says why."""


class Guardian:
    """One guardian. It blocks; whoever waits for it does so in a thread."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        """Start it, with all that it needs. Raises GuardianGoneError."""
        # Of a session of its own: what ends this process by its terminal or its group leaves that one alone.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.guardian_process", str(hello["directory"])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise GuardianGoneError(f"it can't be started: {error.strerror}") from error
        try:
            self._tell(hello, _READY_WITHIN_S)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell it something; it has it when this returns. Raises GuardianGoneError; then it is gone for good."""
        try:
            self._tell(message, _HEARS_WITHIN_S)
        except BaseException:
            self.kill()
            raise

    def farewell(self) -> None:
        """Nothing is left to undo: it ends."""
        with suppress(OSError):
            self._write({"farewell": True}, _ENDS_WITHIN_S)
        self.release()
        if not self.wait(_ENDS_WITHIN_S):
            self.kill()

    def release(self) -> None:
        """Tell it nothing any more: it undoes what is outstanding, and ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()

    def wait(self, within_s: float | None = None) -> bool:
        """Wait for its end. False if it is still there."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it, without anything being undone."""
        self._process.kill()
        self.release()
        self._process.wait()

    def _tell(self, message: Mapping[str, Any], within_s: float) -> None:
        assert self._process.stdout is not None
        try:
            self._write(message, within_s)
            if not _is_ready(self._process.stdout.fileno(), select.POLLIN, within_s):
                raise GuardianGoneError(f"it says nothing within {within_s:.0f} s")
            told = orjson.loads(self._process.stdout.readline())
        except (OSError, ValueError):  # its pipe is broken, or closed already
            raise GuardianGoneError("it was ended") from None
        if "error" in told:
            raise GuardianGoneError(told["error"])

    def _write(self, message: Mapping[str, Any], within_s: float) -> None:
        """Write a line into its pipe, which is full if nobody reads. Raises OSError."""
        assert self._process.stdin is not None
        descriptor = self._process.stdin.fileno()
        left = memoryview(orjson.dumps(message, default=str, option=orjson.OPT_APPEND_NEWLINE))
        while left:
            if not _is_ready(descriptor, select.POLLOUT, within_s):
                raise GuardianGoneError(f"it reads nothing within {within_s:.0f} s")
            left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]


def _is_ready(descriptor: int, what: int, within_s: float) -> bool:
    """`select` knows no descriptor beyond 1,023, and a pool of connections may have taken those."""
    watching = select.poll()
    watching.register(descriptor, what)
    return bool(watching.poll(within_s * 1000))
