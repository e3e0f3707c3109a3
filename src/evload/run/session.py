"""One run from a config to its exit code: the run directory, the sandbox, signals, sinks and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from ..clock import Clock, SystemClock
from ..config.run_config import LoadedConfig
from ..engine.control import RunControl
from ..errors import EvloadError, OutputError
from ..judging import verdict
from ..ledger.reader import LedgerReader, sample
from ..ledger.writer import LedgerFile
from ..model.report import Report
from ..model.summary import Summary
from ..report.build import About, build
from ..report.document import as_json
from ..sandbox.process import sandbox_process
from ..spi.sink import Sink, SinkSurroundings
from . import directory as directories
from .controls import Controls
from .directory import RunDirectory
from .execute import execute
from .finishing import finish
from .interrupts import Interrupts
from .prepare import Prepared, prepare
from .tuning import tuned

INTERRUPTED = 130

Page = Callable[[str, RunDirectory, Controls], AbstractContextManager[Sink]]
"""Serves a page of a run: of its id, with its directory, whose buttons are the controls."""


class InterruptedEarlyError(EvloadError):
    """Ctrl-C before there was anything to report."""

    exit_code = INTERRUPTED


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    report: Report
    directory: RunDirectory
    exit_code: int


@dataclass(frozen=True, slots=True)
class _Executed:
    """What is left of a run when its adapters are closed."""

    prepared: Prepared
    summary: Summary
    trouble: OutputError | None
    """Its ledger could not be written whole; the summary is right all the same."""


def run(
    loaded: LoadedConfig,
    *,
    out: Path | None,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    page: Page | None = None,
) -> Ended:
    """Run the config to its end, write the run directory, and give the report to the sinks.

    `say` gets remarks for a person (what an interrupt does, where the live page is). `page` serves a live page.
    Raises EvloadError: TargetError, OutputError (after the sinks have had the report), InterruptedEarlyError (during
    set-up).
    """
    started_at = datetime.now(UTC)
    run_id = directories.new_run_id(started_at)
    directory = directories.create(run_id, out)
    directories.write(directory.config, loaded.as_run().encode())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(loaded, run_id, started_at, directory, sinks, say, page))


async def _run(
    loaded: LoadedConfig,
    run_id: str,
    started_at: datetime,
    directory: RunDirectory,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    page: Page | None,
) -> Ended:
    settle_ns = loaded.config.settle
    clock, controls = SystemClock(), Controls()
    control = RunControl(clock, settle_ns)
    interrupts = Interrupts(asyncio.current_task(), control, settle_ns, say, controls)
    surroundings = SinkSurroundings(
        clock, run_id, directory.path, lambda text: say(loaded.redact(text)), partial(sample, directory.ledger),
        loaded.base_dir,
    )  # fmt: skip
    everybody = [(type(sink).__name__, sink) for sink in sinks]
    async with AsyncExitStack() as opened:
        opened.callback(clock.close)
        try:
            interrupts.heed()
            for name, settings in loaded.config.reports.items():
                everybody.append((name, await opened.enter_async_context(settings.open(surroundings))))
            if page is not None:
                # The last, so that the report is there when it tells pages of the end.
                everybody.append(("live page", opened.enter_context(page(run_id, directory, controls))))
            told = [sink for _, sink in everybody]
            executed = await _execute(loaded, run_id, started_at, directory, told, clock, control, interrupts)
        except asyncio.CancelledError:
            directories.discard(directory)
            raise InterruptedEarlyError("interrupted before the run began; nothing was sent") from None
        except EvloadError as error:
            directories.discard(directory)
            error.args = (loaded.redact(str(error)),)  # it may hold what a target said
            raise
        report = _report(executed, loaded, started_at, directory)
        trouble = executed.trouble
        try:
            directories.write(directory.summary, as_json(report))
        except OutputError as error:
            trouble = trouble or error
        try:
            whole = await finish(everybody, report, interrupts.enough, surroundings.say)
        except OutputError as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    interrupted = report.summary.vitals.interrupted or (interrupts.enough.is_set() and not whole)
    return Ended(report, directory, INTERRUPTED if interrupted else verdict.exit_code(report.verdict))


async def _execute(
    loaded: LoadedConfig,
    run_id: str,
    started_at: datetime,
    directory: RunDirectory,
    sinks: Sequence[Sink],
    clock: Clock,
    control: RunControl,
    interrupts: Interrupts,
) -> _Executed:
    async with AsyncExitStack() as stack:
        config = loaded.config
        if config.sandbox is not None:
            sandbox = await stack.enter_async_context(sandbox_process(config.sandbox, directory.truth))
            config = loaded.at_sandbox(sandbox.url)
        prepared = prepare(config, run_id, base_dir=loaded.base_dir, redact=loaded.redact)
        interrupts.offer()
        stack.enter_context(tuned())
        ledger = LedgerFile(directory.ledger, {**prepared.meta, "started_at": started_at.isoformat()})
        summary = await execute(prepared, clock, ledger, sinks, control=control)
        interrupts.end()
        return _Executed(prepared, summary, ledger.trouble)


def _report(executed: _Executed, loaded: LoadedConfig, started_at: datetime, directory: RunDirectory) -> Report:
    """The report of a run that has just ended. What needs the ledger is left out if that isn't whole."""
    prepared = executed.prepared
    about = About(
        prepared.run_id, prepared.config.name, started_at, directory.path, directories.text(directory.config)
    )
    if executed.trouble is not None:
        return build(executed.summary, prepared.criteria, about, redact=loaded.redact)
    with LedgerReader(directory.ledger) as ledger:
        return build(executed.summary, prepared.criteria, about, ledger, redact=loaded.redact)
