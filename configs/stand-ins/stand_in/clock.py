"""A stand-in's time. In the tests it is virtual, so that minutes of it need not be minutes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Tells the time of day by `wall`, which has to go as the loop's timers do."""

    def __init__(self, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._wall = wall

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._wall().timestamp()
