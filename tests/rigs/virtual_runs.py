"""Runs of a config against its stand-in, in virtual time: the real adapters over a network in memory.

Hours take seconds, how busy the machine is decides nothing, and what the stand-in remembers is there to compare.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from evload.config.load import load
from evload.config.part import part_of
from evload.config.run_config import RunConfig
from evload.engine.control import RunControl
from evload.engine.engine import LEAD_NS
from evload.ledger.reader import LedgerReader
from evload.ledger.writer import LedgerFile
from evload.model.report import ObjectiveResult, Report, Result
from evload.report.build import About, build
from evload.report.wording import title
from evload.run.execute import execute
from evload.run.prepare import prepare
from evload.run.set_up import set_up
from evload.spi.context import Surroundings
from evload.testing import virtual_clock
from tests.rigs.memory_network import MemoryLoop
from tests.rigs.threadless import ThreadlessLoop

CONFIGS: Final = Path(__file__).parents[2] / "configs"
RUN_ID: Final = "run-1"
PRECISE_S: Final = 2e-6
"""What is lost where a time of day is one number."""
R = TypeVar("R")
Serve = Callable[[Callable[[], datetime]], AbstractAsyncContextManager[Any]]
"""Serves a stand-in whose time of day is what the argument says."""


class _Loop(ThreadlessLoop, MemoryLoop):
    """Over a network in memory."""


@dataclass(frozen=True)
class Ran(Generic[R]):
    """A run, and what the stand-in remembers of it. `ledger` is the file with its events."""

    report: Report
    record: R
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

    def found(self, name: str) -> ObjectiveResult:
        """What came of the objective with this title."""
        (one,) = [one for one in self.report.objectives if title(one) == name]
        return one

    def events(self) -> list[Mapping[str, Any]]:
        """The rows of the ledger. Times, in nanoseconds, count from its beginning."""
        return self.rows("SELECT * FROM events ORDER BY seq")

    def rows(self, query: str) -> list[Mapping[str, Any]]:
        """What a query over the ledger finds."""
        with closing(sqlite3.connect(self.ledger)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute(query)]

    def began_s(self) -> float:
        """When that was, in seconds since the epoch."""
        with closing(sqlite3.connect(self.ledger)) as ledger:
            (began,) = ledger.execute("SELECT value FROM meta WHERE key = 'began_at'").fetchone()
        return datetime.fromisoformat(began.strip('"')).timestamp()


def run_virtually(
    name: str,
    directory: Path,
    serve: Serve,
    record: R,
    *,
    profiles: Sequence[str] = ("short",),
    sets: Sequence[str] = (),
    parts: Sequence[str] = (),
    stop_s: float | None = None,
) -> Ran[R]:
    """The run of a config in `configs/`, or of these of its scenarios, against what `serve` serves; set up before. It
    is stopped so many seconds after its schedule began."""
    config = part_of(load(CONFIGS / name, profiles=profiles, sets=sets, environ={}), parts).config
    return ran_virtually(config, directory, serve, record, stop_s)


def ran_virtually(config: RunConfig, directory: Path, serve: Serve, record: R, stop_s: float | None = None) -> Ran[R]:
    """The run of a config that is loaded, with its ledger in a directory."""
    ledger_path = directory / "events.sqlite"
    random.seed(1)  # pauses before something is sent again are drawn

    async def main() -> Report:
        clock = virtual_clock()
        async with serve(lambda: clock.wall(clock.now_ns())):
            values: dict[str, Any] = {"run_id": RUN_ID}
            await set_up(config.setup, Surroundings(clock, RUN_ID, CONFIGS, guard=config.guard), values)
            prepared = prepare(config, RUN_ID, base_dir=CONFIGS, captured=values)
            began: list[int] = []

            async def start() -> int:
                began.append(clock.now_ns() + LEAD_NS)
                return began[0]

            meta = {**prepared.meta, "started_at": clock.wall(clock.now_ns()).isoformat()}
            ledger = LedgerFile(ledger_path, meta, threaded=False)
            control = RunControl(clock, prepared.plan.settle_ns)
            if stop_s is not None:
                asyncio.get_running_loop().call_later(stop_s + LEAD_NS / 1e9, control.stop)
            summary = await execute(prepared, clock, ledger, control=control, start=start, values=values)
            about = About(RUN_ID, config.name, clock.wall(began[0]))
            with LedgerReader(ledger_path) as written:
                return build(summary, prepared.criteria, about, written)

    with asyncio.Runner(loop_factory=_Loop) as runner:
        return Ran(runner.run(main()), record, ledger_path)
