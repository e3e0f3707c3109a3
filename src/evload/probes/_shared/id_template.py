"""Keys that are made of a correlation id: `placement:{correlation_id}`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator

from ...texts import near

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME: Final = "correlation_id"


class KeyTemplate:
    """One compiled template. `fill` makes the key of an id; `names_event` is false for one without a placeholder."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, `what is wrong; what would be right`."""
        pieces, piece, end = [], "", 0
        for token in _TOKEN.finditer(text):
            piece += text[end : token.start()]
            end = token.end()
            if token[0] in ("{{", "}}"):
                piece += token[0][0]
            elif token[1] is None:
                raise ValueError(f"a lone {token[0]} in {text!r}; write {token[0] * 2} for the brace itself")
            elif token[1].strip() != _NAME:
                close = near(token[1], [_NAME])
                cure = f"did you mean {{{_NAME}}}?" if close else "write {{ and }} for braces that are no placeholder"
                raise ValueError(f"unknown placeholder {{{token[1]}}} in {text!r}; {cure}")
            else:
                pieces.append(piece)
                piece = ""
        pieces.append(piece + text[end:])
        self.names_event = len(pieces) > 1
        self.fill: Callable[[str], str] = lambda correlation_id: correlation_id.join(pieces)


def _check(text: str) -> str:
    KeyTemplate(text)
    return text


def _check_event_key(text: str) -> str:
    if not KeyTemplate(text).names_event:
        raise ValueError(f"{text!r} is the same for every event; put {{{_NAME}}} into it")
    return text


KeyText = Annotated[str, AfterValidator(_check)]
"""A template that may be the same for every event."""
EventKey = Annotated[str, AfterValidator(_check_event_key)]
"""A template that holds `{correlation_id}`."""
