"""Who is there when, in closed load: from when to when each user goes on beginning iterations."""

from __future__ import annotations

from collections.abc import Sequence

Ramp = tuple[int, int, int, int]
"""From when to when the number of users goes evenly from how many to how many."""


def most_users(ramps: Sequence[Ramp]) -> int:
    """The most that are there at a time. Users are numbered from 0, and one of a lower number is there longer."""
    return max((max(before, after) for _, _, before, after in ramps), default=0)


def presence(ramps: Sequence[Ramp], user: int) -> list[tuple[int, int]]:
    """From when to when a user is there, in nanoseconds: while the wanted number of users is above the own number.

    Stretches that follow on one another are one.
    """
    found: list[tuple[int, int]] = []
    for start_ns, end_ns, before, after in ramps:
        since, until = start_ns, end_ns
        if before <= user and after <= user:
            continue
        if before <= user:
            since += (end_ns - start_ns) * (user - before) // (after - before)
        elif after <= user:
            until = start_ns + (end_ns - start_ns) * (before - user) // (before - after)
        if until <= since:
            continue
        if found and found[-1][1] == since:
            found[-1] = (found[-1][0], until)
        else:
            found.append((since, until))
    return found
