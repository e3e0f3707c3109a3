"""Runs of a config against the stand-in of placements, in virtual time: the real adapters over a network in memory.

Hours take seconds, how busy the machine is decides nothing, and what the stand-in remembers is there to compare.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evload.config.load import load
from evload.config.part import part_of
from evload.config.run_config import RunConfig
from evload.engine.control import RunControl
from evload.engine.engine import LEAD_NS
from evload.ledger.reader import LedgerReader
from evload.ledger.writer import LedgerFile
from evload.model.report import Report, Result
from evload.report.build import About, build
from evload.report.wording import title
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.testing import virtual_clock
from placements.app import running
from placements.clock import Clock
from placements.knobs import QUICK, Knobs
from placements.record import Record
from tests.rigs.memory_network import MemoryLoop

CONFIGS: Final = Path(__file__).parents[2] / "configs"
PORT: Final = 8790
HOURS: Final = (
    "scenarios.baseline.load=[{from: 0/min, to: 20/min, for: 5m}, {rate: 20/min, for: 4h}]",
    *(f"gauges.{name}.every=10s" for name in ("placements-queue", "platform", "counted")),
    "slos.6=p99(queue_lag) < 1m",
)
"""Of the profile soak as many events as tell a leak, and gauges that look as often as that needs."""
_MEMORY: Final = 100_000_000
"""What the stand-in takes beside what it leaks: the memory of the tests' own process says nothing of it."""


class _Loop(MemoryLoop):
    """Does at once what others do in a thread, whose time isn't virtual."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


@dataclass(frozen=True)
class Ran:
    """A run, and what the stand-in remembers of it. `ledger` is the file with its events."""

    report: Report
    record: Record
    ledger: Path

    @property
    def failing(self) -> set[str]:
        """The titles of the objectives that failed."""
        return {title(one) for one in self.report.objectives if one.result is Result.FAIL}

    @property
    def told(self) -> str:
        """What came of each objective, a line each."""
        return "\n".join(
            f"{one.result.value}: {title(one)} {one.observed} {one.note}" for one in self.report.objectives
        )


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
    prepared = prepare(config, "run-1")
    ledger_path = directory / "events.sqlite"
    record, turned = Record(), Knobs()
    turned.change(knobs)
    random.seed(1)  # pauses before something is sent again are drawn

    async def main() -> Report:
        clock = virtual_clock()
        stand_in = Clock(lambda: clock.wall(clock.now_ns()))
        async with running(
            turned, record, port=PORT, clock=stand_in, memory=lambda system: _MEMORY + system.workers.leaked
        ):
            began: list[int] = []

            async def start() -> int:
                began.append(clock.now_ns() + LEAD_NS)
                return began[0]

            ledger = LedgerFile(ledger_path, prepared.meta, threaded=False)
            control = RunControl(clock, prepared.plan.settle_ns)
            summary = await execute(prepared, clock, ledger, control=control, start=start)
            about = About("run-1", config.name, clock.wall(began[0]))
            with LedgerReader(ledger_path) as written:
                return build(summary, prepared.criteria, about, written)

    with asyncio.Runner(loop_factory=_Loop) as runner:
        return Ran(runner.run(main()), record, ledger_path)
