"""What expressions find in an answer, beside what an iteration knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.travel import Answer
from .program import Look


class Document:
    """What expressions look at: an answer, and what the iteration knows."""

    def __init__(self, answer: Answer, values: Mapping[str, Any]) -> None:
        self._answer = answer
        self._values = values

    def get(self, name: str) -> Any:
        return self._values if name == "vars" else self._answer.get(name)

    def seen_by(self, look: Look) -> Any:
        """As an expression needs it."""
        return {name: self.get(name) for name in ("status", "headers", "body", "vars")} if look.whole else self


def holds(look: Look, document: Document) -> bool:
    """Whether a check gives something else than false and null, and can be told at all."""
    try:
        found = look.search(document.seen_by(look))
    except ValueError:
        return False
    return found is not None and found is not False
