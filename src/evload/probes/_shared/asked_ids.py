"""The ids that a read asks for, and how to know them again in an answer. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from ...model.correlation import plain_id
from ...model.travel import Target

AskedBy = Annotated[
    Literal["correlation_id", "capture"],
    Field(description="what a bulk read asks for: our id, or the one that the producer captured"),
]
NOTHING_CAPTURED: Final = "the producer captured no id to ask for"
"""Why a read that asks by capture says nothing of an event."""


def asked_id(target: Target, by_capture: bool) -> str:
    """What is asked for: our id, or the one that the producer captured."""
    return (target.capture or "") if by_capture else target.correlation_id


class AskedIds:
    """The ids of one read."""

    def __init__(self, targets: Sequence[Target], by_capture: bool) -> None:
        self.all = frozenset([asked_id(target, by_capture) for target in targets])
        self._plain: dict[str, str] | None = None

    def as_asked(self, found: str) -> str:
        """An id of an answer as it was asked for, if it was: a UUID may be in capitals there, or without hyphens."""
        if found in self.all:
            return found
        if self._plain is None:
            self._plain = {plain_id(one).lower(): one for one in self.all}
        return self._plain.get(plain_id(found).lower(), found)
