"""Runs of a config against the stand-in of placements, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from evload.config.load import load
from evload.config.part import part_of
from evload.config.run_config import RunConfig
from placements.app import System, running
from placements.clock import Clock
from placements.knobs import QUICK, Knobs
from placements.record import Record
from tests.rigs import virtual_runs

CONFIGS: Final = virtual_runs.CONFIGS
PORT: Final = 8790
HOURS: Final = (
    "scenarios.baseline.load=[{from: 0/min, to: 20/min, for: 5m}, {rate: 20/min, for: 4h}]",
    *(f"gauges.{name}.every=10s" for name in ("placements-queue", "platform", "counted")),
    "slos.6=p99(queue_lag) < 1m",
)
"""Of the profile soak as many events as tell a leak, and gauges that look as often as that needs."""
_MEMORY: Final = 100_000_000
"""What the stand-in takes beside what it leaks: the memory of the tests' own process says nothing of it."""
Ran = virtual_runs.Ran[Record]


def run_placements(
    name: str,
    directory: Path,
    *,
    profiles: Sequence[str] = ("short",),
    knobs: Mapping[str, Any] = QUICK,
    sets: Sequence[str] = (),
    parts: Sequence[str] = (),
) -> Ran:
    """The run of a config in `configs/`, or of these of its scenarios.

    Credentials are to be in the environment: `aws_environment`.
    """
    config = part_of(load(CONFIGS / name, profiles=profiles, sets=sets, environ={}), parts).config
    return ran_against_placements(config, directory, knobs)


def ran_against_placements(config: RunConfig, directory: Path, knobs: Mapping[str, Any] = QUICK) -> Ran:
    """The run of a config that is loaded, with its ledger in a directory."""
    record, turned = Record(), Knobs()
    turned.change(knobs)

    def serve(wall: Callable[[], datetime]) -> AbstractAsyncContextManager[System]:
        return running(
            turned, record, port=PORT, clock=Clock(wall), memory=lambda system: _MEMORY + system.workers.leaked
        )

    return virtual_runs.ran_virtually(config, directory, serve, record)
