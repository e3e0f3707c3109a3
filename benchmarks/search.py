"""Finds the highest rate that is sustained: double until it isn't, then bisect."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

_PRECISION: Final = 1.06


def search(start: int) -> Generator[int, bool, int]:
    """Yields rates to try and is sent whether each was sustained; returns the highest that was.

    A rate counts as too high when it failed twice, because what else runs on the machine can spoil a trial.
    """
    good, bad = 0, 0
    rate = start
    while not good or not bad or bad / good > _PRECISION:
        if (yield rate) or (yield rate):
            good = rate
        else:
            bad = rate
        if not bad:
            rate = good * 2
        elif not good:
            rate = bad // 2
        else:
            rate = round((good * bad) ** 0.5)
    return good
