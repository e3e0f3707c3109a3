"""Runs a command and writes down how much memory it had at most: `python peak.py FILE command...`.

A program of its own, and a small one: what a process has had at most begins with what the one had that started it.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Be to the outside what the command would have been; its peak goes into the file, in KiB."""
    path, *command = sys.argv[1:]
    child = os.posix_spawn(command[0], command, os.environ)

    def end(number: int, frame: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    _, status, usage = os.wait4(child, 0)
    with open(path, "w") as file:
        file.write(str(usage.ru_maxrss))
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
