"""The generator as a gauge: what it says of itself moves when it works, grows, opens files or stands still."""

from __future__ import annotations

import asyncio
import mmap
import socket
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.gauges.generator import GeneratorGaugeConfig
from evload.spi.context import Surroundings
from evload.testing import check_gauge, run_virtual, virtual_clock
from evload.units import NS_PER_S

CONFIG = GeneratorGaugeConfig.model_validate({"kind": "generator", "every": "30ms"})


def test_it_conforms() -> None:
    for sample in asyncio.run(check_gauge(CONFIG, SystemClock())):
        assert set(sample.values) == set(CONFIG.metrics)


class JumpingClock(SystemClock):
    """A clock that can be moved on, as if the loop had been busy meanwhile."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


def test_it_notices_work_stalls_memory_and_sockets() -> None:
    async def run() -> None:
        clock = JumpingClock()
        async with CONFIG.open(Surroundings(clock, "r", Path())) as gauge:
            await asyncio.sleep(0.05)
            idle = (await gauge.sample()).values
            clock.ahead_ns += 60 * NS_PER_S
            until = time.process_time() + 0.05
            while time.process_time() < until:
                pass
            await asyncio.sleep(0.05)
            # Not from the heap, where there may be as much that others have left.
            ballast = mmap.mmap(-1, 64 << 20)
            for page in range(0, len(ballast), mmap.PAGESIZE):
                ballast[page] = 1
            sockets = [socket.socket() for _ in range(10)]
            busy = (await gauge.sample()).values
            await asyncio.sleep(0.05)
            after = (await gauge.sample()).values
            for each in sockets:
                each.close()
            assert busy["generator_stall"] > 59
            assert after["generator_stall"] < 59, "a stall counts in one sample"
            assert busy["generator_cpu"] > 0
            assert busy["generator_memory"] - idle["generator_memory"] > len(ballast) / 2
            assert busy["generator_descriptors"] == idle["generator_descriptors"] + 10

    asyncio.run(run())


def test_in_virtual_time_nothing_ever_stands_still() -> None:
    async def run() -> float:
        async with CONFIG.open(Surroundings(virtual_clock(), "r", Path())) as gauge:
            await asyncio.sleep(60)
            return (await gauge.sample()).values["generator_stall"]

    assert run_virtual(run()) < 1e-6


@pytest.mark.parametrize("settings", [{"process": 1}, {"every": "1ms"}, {"every": "often"}])
def test_bad_settings(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GeneratorGaugeConfig.model_validate({"kind": "generator", **settings})
