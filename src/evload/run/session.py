"""One run from a config to its exit code: the run directory, the sandbox, signals, sinks and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from ..clock import Clock, SystemClock
from ..config.run_config import LoadedConfig
from ..engine.control import RunControl
from ..errors import EvloadError, NotUndoneError, OutputError
from ..judging import verdict
from ..ledger.reader import LedgerReader, sample
from ..ledger.writer import IncompleteLedger, LedgerFile
from ..model.report import Report
from ..model.summary import Summary
from ..report.build import About, build
from ..report.document import as_json
from ..spi.sink import Sink, SinkSurroundings
from . import directory as directories
from .around import Around
from .controls import Controls
from .directory import OpenDirectory, RunDirectory
from .execute import execute
from .finishing import Guarded, finish
from .interrupts import Interrupts
from .prepare import Prepared, prepare
from .proxies import unused_proxies
from .tuning import tuned
from .unfinished import last_line

if TYPE_CHECKING:
    from ..sandbox.process import Running
    from .guarding import Guard
    from .traffic_log import TrafficLog

INTERRUPTED = 130
_SAME_WISH_S: Final = 0.5
"""Cancellations that follow one another sooner are one: some frameworks repeat theirs until it is heeded."""

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
    pages: Sequence[Path] = ()
    """Those of its reports that a browser shows, and that are there."""


@dataclass(frozen=True, slots=True)
class _Host:
    """What a run does to the process that it is in.

    heed    has the one who ends the run early told of what asks for that
    tuning  what holds while the load goes on
    """

    heed: Callable[[Interrupts], None]
    tuning: Callable[[], AbstractContextManager[None]]


_OWN_PROCESS: Final = _Host(Interrupts.heed, tuned)


@dataclass(frozen=True, slots=True)
class _Executed:
    """What is left of a run when its adapters are closed."""

    prepared: Prepared
    summary: Summary
    ledger: Path
    incomplete: IncompleteLedger | None
    """Its ledger could not be written whole; the summary is right all the same."""
    troubles: Sequence[str]
    """What else could not be written, in lines for people."""
    not_undone: str
    """What was done to the system and isn't undone, in a line for people; mostly empty."""


def run(
    loaded: LoadedConfig,
    *,
    out: Path | None,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    page: Page | None = None,
    verbose: bool = False,
    listed: Path | None = None,
    keep: bool = False,
) -> Ended:
    """Run the config to its end, write the run directory, and give the report to the sinks.

    `say` gets remarks for a person (what an interrupt does, where the live page is). `page` serves a live page.
    `verbose` writes down what is sent and what comes back, in samples. `listed` is where a run is listed as long as
    something that it did isn't undone. With `keep` nothing is cleaned up.
    Raises EvloadError: TargetError, OutputError and NotUndoneError (after the sinks have had the report),
    InterruptedEarlyError (during set-up).
    """
    with (
        _opened(loaded, out, say) as (directory, started_at),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        ended, troubles = runner.run(
            _run(loaded, started_at, directory, sinks, say, page, verbose, listed, keep, _OWN_PROCESS)
        )
    _raise_for(ended, troubles)
    return ended


async def run_as_guest(
    loaded: LoadedConfig,
    *,
    out: Path | None,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    verbose: bool = False,
    listed: Path | None = None,
    keep: bool = False,
) -> Ended:
    """The same on the running loop, in a process that is somebody else's: no signal is heeded, nothing is tuned.

    Cancelled it does what Ctrl-C does: it sends nothing more, waits for what is outstanding, writes the run
    directory, undoes and cleans up; cancelled again it waits no longer. Then it raises CancelledError,
    or what `run` raises.
    """
    interrupts: list[Interrupts] = []
    guest = _Host(interrupts.append, nullcontext)
    cancelled: asyncio.CancelledError | None = None
    try:
        with _opened(loaded, out, say) as (directory, started_at):
            running = asyncio.ensure_future(
                _run(loaded, started_at, directory, sinks, say, None, verbose, listed, keep, guest)
            )
            loop = asyncio.get_running_loop()
            last = loop.time() - _SAME_WISH_S
            while not running.done():
                try:
                    await asyncio.wait((running,))
                except asyncio.CancelledError as error:
                    cancelled, now = error, loop.time()
                    if now - last >= _SAME_WISH_S:
                        end = interrupts[0].interrupt if interrupts else running.cancel
                        end()
                    last = now
            ended, troubles = running.result()
    except InterruptedEarlyError:
        if cancelled is not None:
            raise cancelled from None
        raise
    _raise_for(ended, troubles)
    if cancelled is not None:
        raise cancelled
    return ended


@contextmanager
def _opened(
    loaded: LoadedConfig, out: Path | None, say: Callable[[str], None]
) -> Iterator[tuple[OpenDirectory, datetime]]:
    """The directory of a run that begins now, with its config in it."""
    started_at = datetime.now(UTC)
    with directories.opened(out, started_at) as directory:
        if directory.aside is not None:
            say(f"there was an unfinished run in {directory.names.path}; what it left is in {directory.aside} now")
        if remark := unused_proxies(loaded.config):
            say(remark)
        directory.write(directory.names.config, loaded.as_run().encode())
        yield directory, started_at


def _raise_for(ended: Ended, troubles: Sequence[str]) -> None:
    if ended.report.not_undone:
        raise NotUndoneError("\n".join([*troubles, ended.report.not_undone]))
    if troubles:
        raise OutputError("\n".join(troubles))


async def _run(
    loaded: LoadedConfig,
    started_at: datetime,
    directory: OpenDirectory,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    page: Page | None,
    verbose: bool,
    listed: Path | None,
    keep: bool,
    host: _Host,
) -> tuple[Ended, list[str]]:
    """How it ended, and what could not be written, in lines for people."""
    settle_ns = loaded.config.settle
    clock, controls = SystemClock(), Controls()
    control = RunControl(clock, settle_ns)
    interrupts = Interrupts(asyncio.current_task(), control, settle_ns, say, controls)
    names = directory.names
    ledgers = [names.ledger]
    surroundings = SinkSurroundings(
        clock, directory.run_id, names.path, lambda text: say(loaded.redact(text)),
        lambda count: sample(ledgers[-1], count), loaded.base_dir, directory.write,
    )  # fmt: skip
    everybody: list[tuple[str, Sink]] = [(type(sink).__name__, sink) for sink in sinks]
    around = Around(loaded.config, directory, clock, loaded.base_dir, loaded.learn, surroundings.say, keep=keep)
    async with AsyncExitStack() as opened:
        opened.callback(clock.close)
        try:
            host.heed(interrupts)
            for name, settings in loaded.config.reports.items():
                everybody.append((name, await opened.enter_async_context(settings.open(surroundings))))
            if page is not None:
                # The last, so that the report is there when it tells pages of the end.
                everybody.append(("live page", opened.enter_context(page(directory.run_id, names, controls))))
            everybody = [(name, Guarded(sink)) for name, sink in everybody]
            told = [sink for _, sink in everybody]
            traffic = (
                opened.enter_context(_traffic_log(loaded, directory, clock, surroundings.say)) if verbose else None
            )
            executed = await _execute(
                loaded, started_at, directory, told, clock, control, interrupts, traffic, surroundings.say, listed,
                around, host.tuning,
            )  # fmt: skip
        except asyncio.CancelledError:
            await around.after_failure()
            raise InterruptedEarlyError("interrupted before the run began; nothing was sent") from None
        except EvloadError as error:
            error.args = (loaded.redact(str(error)),)  # it may hold what a target said
            await around.after_failure()
            raise
        ledgers.append(executed.ledger)
        report = replace(_report(executed, loaded, started_at, directory), not_undone=executed.not_undone)
        troubles = list(executed.troubles)
        right = "summary"
        try:
            directory.write(names.summary, as_json(report))
        except OutputError as error:
            troubles.append(str(error))
            right = "verdict"
        if executed.incomplete is not None:
            reason, kept = executed.incomplete.reason, executed.ledger.name
            troubles.append(str(IncompleteLedger(names.ledger, reason, right=right, kept=kept)))
        try:
            whole = await finish(everybody, report, interrupts.enough, surroundings.say)
        except OutputError as error:
            troubles.append(str(error))
            whole = True
        await around.after(executed.ledger if executed.incomplete is None else None, interrupts.enough)
        if report.not_undone and loaded.config.cleanup:
            say(report.not_undone)  # the last line is still that
    interrupted = report.summary.vitals.interrupted or (interrupts.enough.is_set() and not whole)
    code = INTERRUPTED if interrupted else verdict.exit_code(report.verdict)
    return Ended(report, names, code, _pages(loaded, names) if whole else ()), troubles


def _pages(loaded: LoadedConfig, names: RunDirectory) -> list[Path]:
    places = [one.place for one in loaded.config.reports.values() if one.place is not None]
    return [names.path / place for place in places if place.suffix == ".html"]


async def _execute(
    loaded: LoadedConfig,
    started_at: datetime,
    directory: OpenDirectory,
    sinks: Sequence[Sink],
    clock: Clock,
    control: RunControl,
    interrupts: Interrupts,
    traffic: TrafficLog | None,
    say: Callable[[str], None],
    listed: Path | None,
    around: Around,
    tuning: Callable[[], AbstractContextManager[None]],
) -> _Executed:
    sandbox: Running | None = None
    names = directory.names
    async with AsyncExitStack() as stack:
        config = loaded.config
        if config.sandbox is not None:
            from ..sandbox.process import sandbox_process

            directory.create(names.truth)
            sandbox = await stack.enter_async_context(sandbox_process(config.sandbox, names.truth))
            config = loaded.at_sandbox(sandbox.url)
        guard = await stack.enter_async_context(_guarding(loaded, directory, clock, say, listed))

        def learn(shown: str, value: str) -> None:
            loaded.learn(shown, value)
            if guard is not None:
                guard.learn(shown, value)

        values = await around.before(config)
        prepared = prepare(
            config, directory.run_id, base_dir=loaded.base_dir, redact=loaded.redact, learn=learn, captured=values
        )
        interrupts.offer()
        stack.enter_context(tuning())
        directory.create(names.ledger)
        ledger = LedgerFile(names.ledger, {**prepared.meta, "started_at": started_at.isoformat()})
        try:
            looking = None if traffic is None else traffic.of
            summary = await execute(
                prepared, clock, ledger, sinks, control=control, traffic=looking, undoing=guard, values=values
            )
        finally:
            ledger.close()
            if ledger.begun:
                directory.keep()
        interrupts.end()
    troubles = [] if sandbox is None or sandbox.trouble is None else [str(sandbox.trouble)]
    troubles += [] if guard is None else guard.troubles
    not_undone = "" if guard is None else last_line(guard.left, names.path)
    where = names.ledger if ledger.trouble is None else directory.set_ledger_aside()
    return _Executed(prepared, summary, where, ledger.trouble, troubles, not_undone)


@asynccontextmanager
async def _guarding(
    loaded: LoadedConfig, directory: OpenDirectory, clock: Clock, say: Callable[[str], None], listed: Path | None
) -> AsyncIterator[Guard | None]:
    """Somebody who guarantees that what is done inside the block is undone; None where nothing has to be.

    Where what ends the block leaves something undone, NotUndoneError says both.
    """
    what = None
    if loaded.config.actions:
        from .guarding import Guard
        from .undo_journal import UndoJournal
        from .undoables import guarded

        what = guarded(loaded, directory.run_id)
    if what is None:
        yield None
        return
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(say, text)

    path = directory.names.undo
    directory.create(path)
    try:
        journal = UndoJournal.begin(path, what.head)
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}; free some space or choose --out") from error
    guard = Guard(
        what, journal, directory.names.path, listed=listed, clock=clock, keep=directory.keep, say=tell,
        redact=loaded.redact,
    )  # fmt: skip
    try:
        await guard.start()
        yield guard
    except BaseException as error:
        await guard.close()
        if line := last_line(guard.left, directory.names.path):
            expected = isinstance(error, EvloadError)
            text = f"{error}\n{line}" if expected else line
            raise NotUndoneError(text, during=None if expected else error) from error
        raise
    await guard.close()


@contextmanager
def _traffic_log(
    loaded: LoadedConfig, directory: OpenDirectory, clock: Clock, say: Callable[[str], None]
) -> Iterator[TrafficLog]:
    """What is sent and what comes back inside the block, written down."""
    from .traffic_log import TrafficLog

    path = directory.names.traffic
    directory.create(path)
    log = TrafficLog(path, clock, loaded.redact)
    try:
        yield log
    finally:
        log.close()
        if log.trouble is not None:
            say(log.trouble)


def _report(executed: _Executed, loaded: LoadedConfig, started_at: datetime, directory: OpenDirectory) -> Report:
    """The report of a run that has just ended. What needs the ledger is left out if that isn't whole."""
    prepared, names = executed.prepared, directory.names
    about = About(
        prepared.run_id, prepared.config.name, started_at, names.path, loaded.as_run(), loaded.config.circumstances
    )
    if executed.incomplete is not None:
        return build(executed.summary, prepared.criteria, about, redact=loaded.redact)
    with LedgerReader(executed.ledger) as ledger:
        return build(executed.summary, prepared.criteria, about, ledger, redact=loaded.redact)
