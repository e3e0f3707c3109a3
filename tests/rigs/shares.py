"""Long trials of many seeds: a share of them belongs to every run of the tests, all of them to `make long`."""

from __future__ import annotations

import pytest
from _pytest.mark.structures import ParameterSet


def seeds(count: int, share: int) -> list[ParameterSet]:
    """The numbers below `count`, of which those from `share` on are for `make long` alone."""
    return [pytest.param(seed, marks=() if seed < share else pytest.mark.long) for seed in range(count)]
