"""Runs of a config against the stand-in of placements, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

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
    record, turned = Record(), Knobs()
    turned.change(knobs)

    def serve(wall: Callable[[], datetime]) -> AbstractAsyncContextManager[System]:
        return running(
            turned, record, port=PORT, clock=Clock(wall), memory=lambda system: _MEMORY + system.workers.leaked
        )

    return virtual_runs.run_virtually(name, directory, serve, record, profiles=profiles, sets=sets, parts=parts)
