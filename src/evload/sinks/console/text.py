"""Texts wrapped at words."""

from __future__ import annotations

import textwrap
from typing import Final

from ...texts import printable

INDENT: Final = 14
"""Where texts begin beside the longest result, `inconclusive`."""


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text that is wrapped at words, all but the first indented by two."""
    return textwrap.wrap(text, max(width, 20), subsequent_indent="  ", break_on_hyphens=False)


def indented(text: str, width: int, first: str = " " * INDENT) -> str:
    """The text wrapped at words to the right of `first`."""
    width = max(width, 2 * len(first))
    return textwrap.fill(
        printable(text), width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )
