"""One run from a config to its exit code: the run directory, the sandbox, signals, sinks and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from ..clock import SystemClock
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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ExitStack() as stack:
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        controls = Controls()
        try:
            surroundings = SinkSurroundings(
                SystemClock(), run_id, directory.path, lambda text: say(loaded.redact(text)),
                partial(sample, directory.ledger),
            )  # fmt: skip
            everybody = [
                *sinks,
                *(
                    runner.run(opened.enter_async_context(settings.open(surroundings)))
                    for settings in loaded.config.reports.values()
                ),
            ]
            if page is not None:
                # The last, so that the report is there when it tells pages of the end.
                everybody.append(stack.enter_context(page(run_id, directory, controls)))
            executed = runner.run(_execute(loaded, run_id, started_at, directory, everybody, say, controls))
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
        for sink in everybody:
            try:
                sink.finish(report)
            except OutputError as error:
                trouble = trouble or error
    if trouble is not None:
        raise trouble
    code = INTERRUPTED if report.summary.vitals.interrupted else verdict.exit_code(report.verdict)
    return Ended(report, directory, code)


async def _execute(
    loaded: LoadedConfig,
    run_id: str,
    started_at: datetime,
    directory: RunDirectory,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    controls: Controls,
) -> _Executed:
    clock = SystemClock()
    settle_ns = loaded.config.settle
    control = RunControl(clock, settle_ns)
    interrupts = Interrupts(asyncio.current_task(), control, settle_ns, say, controls)
    try:
        async with AsyncExitStack() as stack:
            stack.callback(clock.close)
            interrupts.heed()
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
    except asyncio.CancelledError:
        raise InterruptedEarlyError("interrupted before the run began; nothing was sent") from None


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
