"""Where evload begins: what there is to do is said at once, and all else is up to the command line."""

from __future__ import annotations

import os
import sys

from . import __version__
from .terminal.streams import complain, take_over


def main() -> None:
    """Entry point of the console script, and of `python -m evload`."""
    arguments = sys.argv[1:]
    # A shell that completes asks by the environment.
    if "_EVLOAD_COMPLETE" not in os.environ and arguments in (["--help"], ["-h"], ["--version"]):
        _say(arguments[0])
        return
    from .cli import main as command_line

    command_line()


def _say(what: str) -> None:
    from .terminal.verbs import columns, listing

    out, _ = take_over()
    out.write(f"evload {__version__}\n" if what == "--version" else listing(columns()))
    complain(out)


if __name__ == "__main__":
    main()
