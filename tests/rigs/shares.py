"""Trials of much the same, many of them: a share belongs to every run of the tests, all of them to `make long`."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from _pytest.mark.structures import ParameterSet


def seeds(count: int, share: int | Collection[int]) -> list[ParameterSet]:
    """The numbers below `count`, of which all but a share are for `make long` alone: the first so many, or these."""
    kept = range(share) if isinstance(share, int) else share
    return [pytest.param(seed, marks=() if seed in kept else pytest.mark.long) for seed in range(count)]


def looks(*widths: int) -> list[ParameterSet]:
    """Each width of a window, light and dark, of which every run has each width once, and dark and light in turn."""
    return [
        pytest.param(width, dark, marks=() if dark == (number % 2 == 0) else pytest.mark.long)
        for number, width in enumerate(widths)
        for dark in (False, True)
    ]
