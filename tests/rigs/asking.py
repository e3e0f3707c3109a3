"""Opens a probe for one read, or for whatever a test wants of it, in a run of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import ReadResult, Target
from evload.spi.context import Surroundings
from evload.spi.probe import Probe, ProbeSettings

RUN: Final = Surroundings(SystemClock(), "r-1", Path())
A, B, C = (Target(seq, RUN.ids.id_of(seq)) for seq in (1, 2, 3))


def use(config: ProbeSettings, what: Callable[[Probe], Awaitable[None]]) -> None:
    async def run() -> None:
        async with config.open(RUN) as probe:
            await what(probe)

    asyncio.run(run())


def read_from(config: ProbeSettings, targets: Sequence[Target] = (A, B, C)) -> ReadResult:
    results = []

    async def read(probe: Probe) -> None:
        results.append(await probe.read(targets))

    use(config, read)
    return results[0]


def remarks_of(config: ProbeSettings) -> set[str]:
    """What the probe says of its connections, when it is opened."""
    said: set[str] = set()

    async def run() -> None:
        async with config.open(replace(RUN, remark=said.add)):
            pass

    asyncio.run(run())
    return said


def failed(result: ReadResult) -> str:
    """Why none of it could be read."""
    assert {read.seen for read in result.reads} == {Seen.FAILED}
    return result.error


def refused(config: ProbeSettings) -> str:
    """Why the probe can't be had, in one line."""
    with pytest.raises(TargetError) as caught:
        read_from(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)
