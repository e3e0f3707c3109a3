"""`check_gauge` tells what is wrong with a gauge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, GaugeSettings, Sample
from evload.testing import check_gauge, run_virtual, virtual_clock


class Told(GaugeSettings):
    """A gauge that says what it is told to."""

    kind: Literal["told"] = "told"
    names: tuple[str, ...] = ("depth",)
    values: Mapping[str, Any] = {}
    error: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.names

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        yield _Told(self)


class _Told:
    def __init__(self, settings: Told) -> None:
        self._settings = settings

    async def sample(self) -> Sample:
        return Sample(self._settings.values, self._settings.error)


def check(**settings: Any) -> tuple[int, int]:
    """How many samples were taken, and in how many milliseconds."""

    async def run() -> tuple[int, int]:
        clock = virtual_clock()
        samples = await check_gauge(Told(**settings), clock, samples=4)
        return len(samples), clock.now_ns() // 1_000_000

    return run_virtual(run())


def test_a_gauge_that_keeps_its_word_is_sampled_at_its_pace() -> None:
    assert check(values={"depth": 3}) == (4, 2000)
    assert check(error="no such queue", every="1s") == (4, 4000)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "either values or an error"),
        ({"values": {"depth": 1}, "error": "x"}, "either values or an error"),
        ({"values": {"dept": 1}}, r"values that metrics doesn't name: \['dept'\]"),
        ({"values": {"depth": True}}, "depth is no finite number: True"),
        ({"values": {"depth": "1"}}, "depth is no finite number: '1'"),
        ({"values": {"depth": float("nan")}}, "depth is no finite number: nan"),
        ({"names": (), "error": "x"}, "metrics must be distinct names, at least one"),
        ({"names": ("depth", "depth"), "error": "x"}, "metrics must be distinct names"),
    ],
)
def test_what_is_wrong_is_told(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check(**settings)
