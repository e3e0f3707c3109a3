"""Which names the templates of a journey ask for, and what stands for something without anybody having said so."""

from __future__ import annotations

import re
from typing import Final

from ..templates import EVENT_ATTRIBUTES, OWN_NAMES, is_placeholder

OF_ITERATIONS: Final = frozenset({"user", "iteration"})
"""What each iteration is told: whose it is (nothing in open load), and its number."""
OF_STEPS: Final = frozenset({"step"})
"""What each step is told beside that: its name."""
TAKEN: Final = OWN_NAMES.difference(EVENT_ATTRIBUTES) | OF_ITERATIONS | OF_STEPS
"""Names that stand for something else already, so that no variable can be called so."""
SUGGESTED: Final = ("correlation_id", "iteration", "now", "run_id", "seq", "step", "user", "uuid")
"""Names that need no argument."""

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_OF_EVENTS: Final = ("data.", "record.")
_OF_ROWS: Final = re.compile(r"(?:seq(?::.*)?|correlation_id)\s*")


def placeholders(text: str) -> list[str]:
    """What stands between the braces of a template's placeholders, in their order; nothing of doubled braces."""
    return [token[1].removesuffix("!s").strip() for token in _TOKEN.finditer(text) if token[1] is not None]


def is_drawn(placeholder: str) -> bool:
    """Whether it is made anew each time, or is the same in the whole run: `uuid`, `int:1..3`, `now`, `run_id`. So it
    can stand in what is drawn for an iteration."""
    return (
        is_placeholder(f"{{{placeholder}}}")
        and not placeholder.startswith(_OF_EVENTS)
        and _OF_ROWS.fullmatch(placeholder) is None
    )


def is_of_rows(placeholder: str) -> bool:
    """Whether it belongs to what is sent at once: `correlation_id`, `seq`, `seq:06`."""
    return is_placeholder(f"{{{placeholder}}}") and _OF_ROWS.fullmatch(placeholder) is not None
