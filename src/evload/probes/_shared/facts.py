"""What one item or row of an answer says about its event."""

from __future__ import annotations

from typing import NamedTuple

from ...model.states import Seen


class Facts(NamedTuple):
    """As in `model.Read` and in its order, without the event and the time."""

    seen: Seen
    effects: int | None = None
    replica: str | None = None
    position: float | None = None
    consumed_at: int | None = None
    processed_at: int | None = None
    exact: bool = False
    version: float | None = None
