"""How late an event may leave and still belong to its phase of the load."""

from __future__ import annotations

from typing import Final

LEAST_NS: Final = 100_000_000
_MOST_NS: Final = 1_000_000_000


def tolerance_ns(phase: tuple[int, int]) -> int:
    """A tenth of the phase (start, end), at least 100 ms and at most 1 s, in nanoseconds; of a burst 100 ms."""
    return min(max((phase[1] - phase[0]) // 10, LEAST_NS), _MOST_NS)
