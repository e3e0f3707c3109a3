"""The verbs of the command line, a line for each, and the listing of them: known before anything else is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

ABOUT: Final = (
    "How long after an event is published does everyone who reads the system see its effect, and does every event "
    "get there, once?"
)
VERBS: Final = {
    "run": "Run CONFIG, write its results, exit with the verdict.",
    "validate": "Check CONFIG without touching any target.",
    "plan": "Print the timeline of CONFIG and what it can decide.",
    "burst": "Send a burst of events to URL, no file needed.",
    "doctor": "Check every target of CONFIG and this machine; send nothing.",
    "try": "Send one event of each kind, do each journey once, and show all.",
    "sandbox": "Run the embedded pipeline on its own.",
    "selftest": "Check evload itself against planted faults.",
    "report": "Make the report of RUN again from its ledger.",
    "undo": "Undo what RUN did to a system and left.",
    "cleanup": "Do what RUN's config says under cleanup.",
    "ceiling": "Find the highest rate that the system sustains.",
    "compare": "Compare runs: what differs, and how sure that is.",
    "init": "Write a config to start from.",
    "schema": "Print the JSON Schema of a config, for editors.",
}
OPTIONS: Final = {
    "--version": "Print the version and exit.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the installation.",
    "-h, --help": "Show this message and exit.",
}
_WIDEST: Final = 78
_NARROWEST: Final = 50


def listing(columns: int) -> str:
    """What `evload --help` says on a terminal that is so wide."""
    width = max(min(columns - 2, _WIDEST), _NARROWEST)
    lines = [
        "Usage: evload [OPTIONS] COMMAND [ARGS]...",
        *("", *(f"  {line}" for line in _wrapped(ABOUT, width - 2))),
        *("", "Options:", *_pairs(OPTIONS, width)),
        *("", "Commands:", *_pairs(VERBS, width)),
    ]
    return "".join(f"{line}\n" for line in lines)


def columns() -> int:
    """How wide the terminal is that is printed on, if there is one."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(1).columns or _WIDEST
    except OSError:
        return _WIDEST + 2


def _pairs(pairs: dict[str, str], width: int) -> Iterator[str]:
    first = max(map(len, pairs)) + 2
    for name, text in pairs.items():
        head = name
        for line in _wrapped(text, width - first - 2):
            yield f"  {head:{first}}{line}"
            head = ""


def _wrapped(text: str, width: int) -> Iterable[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
