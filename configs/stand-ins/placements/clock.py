"""The stand-in's time, which it also writes into what it answers."""

from __future__ import annotations

import stand_in.clock


class Clock(stand_in.clock.Clock):
    """Tells the time of day, in the form that the API of placements has, too."""

    def stamp(self) -> str:
        """The time as RFC 3339."""
        return self._wall().isoformat(timespec="microseconds").replace("+00:00", "Z")
