"""A console of rich's, for texts of which some are others'."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import IO, Final

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment

from .. import texts
from .streams import Stream

_NARROWEST: Final = 20
"""Columns; with fewer nothing can be told, and whatever shows it breaks the lines."""
_SIZES: Final = ("COLUMNS", "LINES")


class PlainConsole(Console):
    """Prints texts as they are: no markup, no emoji in them, and nothing that a terminal would obey but our styles.

    It has a size whatever the terminal or the environment says.
    """

    def __init__(self, file: IO[str], *, width: int | None = None, environ: Mapping[str, str] = os.environ) -> None:
        usable = {
            name: value
            for name, value in environ.items()
            if name not in _SIZES or re.fullmatch("[1-9][0-9]{0,4}", value, re.ASCII)
        }
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False, _environ=usable)

    @property
    def size(self) -> ConsoleDimensions:
        found = super().size
        return ConsoleDimensions(max(found.width, _NARROWEST), max(found.height, 1))

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self.width, self.height = new_size

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                yield Segment(texts.lines(segment.text), segment.style)


def console_on(stream: Stream) -> PlainConsole:
    """A console that prints on a standard stream."""
    return PlainConsole(stream.styled)
