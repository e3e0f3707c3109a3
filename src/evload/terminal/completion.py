"""What a shell is offered where a verb is typed; all that comes after a verb is up to the command line itself.

A shell asks by variables of the environment, as typer's scripts for bash, zsh and fish set them, and is answered in
the form that those scripts take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .verbs import VERBS

ASKED = "_EVLOAD_COMPLETE"
"""The variable by which a shell asks."""


class Offer(NamedTuple):
    """What is printed, and the exit code."""

    text: str
    code: int = 0


def offer(environ: Mapping[str, str]) -> Offer | None:
    """The verbs that begin like what is typed; None where no verb is typed, or the shell is another one."""
    shell, typed = environ.get(ASKED), environ.get("_TYPER_COMPLETE_ARGS", "")
    if shell == "complete_bash":
        typed = environ.get("COMP_WORDS", "")
        begun = typed.split()[1:]
        if environ.get("COMP_CWORD") != "1":
            return None
    else:
        begun = typed.split()[1:]
        if begun and typed[-1].isspace():
            return None
    start = begun[0] if begun else ""
    if len(begun) > 1 or not (start.isalpha() or not start):
        return None
    found = {verb: text for verb, text in VERBS.items() if verb.startswith(start)}
    match shell, environ.get("_TYPER_COMPLETE_FISH_ACTION"):
        case "complete_bash", _:
            return Offer("\n".join(found))
        case "complete_zsh", _:
            pairs = "\n".join(f'"{verb}":"{_for_zsh(text)}"' for verb, text in found.items())
            return Offer(f"_arguments '*: :(({pairs}))'" if found else "_files")
        case "complete_fish", "get-args":
            return Offer("\n".join(f"{verb}\t{text}" for verb, text in found.items()))
        case "complete_fish", "is-args":
            return Offer("", 0 if found else 1)
    return None


def _for_zsh(text: str) -> str:
    for letter, escaped in (('"', '""'), ("'", "''"), ("$", "\\$"), ("`", "\\`"), (":", r"\\:")):
        text = text.replace(letter, escaped)
    return text
