"""Ctrl-C and SIGTERM wait until somebody looks for them, where nothing can swallow them.

What a handler raises comes up wherever the program is: in the middle of an import, which some modules then take for
something that isn't installed, or in what is called around a fork, where Python goes on whatever happens.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ENDS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def waiting() -> Iterator[None]:
    """Signals that end this process wait: for `look`, or for the end of this."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def look() -> None:
    """End the process in good order if a signal that should end it has come, with the exit code of that signal."""
    if found := signal.sigpending() & _ENDS:
        sys.exit(128 + signal.sigwait(found))


def as_usual() -> None:
    """From now on they end this process at once: for a child, which begins with what holds in its parent."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
