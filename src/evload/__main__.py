"""Where evload begins: what there is to do is said at once, and all else is up to the command line."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

from . import __version__
from .terminal.streams import complain, take_over

_ALLOCATIONS: Final = 50_000
"""So many new objects are looked through for garbage at a time; Python's own number is some hundreds."""


def main() -> None:
    """Entry point of the console script, and of `python -m evload`."""
    arguments = sys.argv[1:]
    if "_EVLOAD_COMPLETE" in os.environ:
        from .terminal.completion import offer

        if (offered := offer(os.environ)) is not None:
            _say(offered.text + "\n" * bool(offered.text))
            sys.exit(offered.code)
    elif arguments in (["--help"], ["-h"]):
        from .terminal.verbs import columns, listing

        return _say(listing(columns()))
    elif arguments == ["--version"]:
        return _say(f"evload {__version__}\n")
    # What is loaded stays to the end: to look through all of it again and again would be a seventh of a start.
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])
    from .cli import main as command_line

    try:
        command_line()
    finally:
        gc.freeze()  # the end of the process is all the clearing up that is left


def _say(text: str) -> None:
    out, _ = take_over()
    out.write(text)
    complain(out)


if __name__ == "__main__":
    main()
