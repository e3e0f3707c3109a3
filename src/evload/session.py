"""One run from a config to its exit code: the run directory, the sandbox, signals, sinks and errors."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import uvloop

from . import planning, rundir, telling
from .clock import SystemClock
from .config import LoadedConfig
from .engine import Engine
from .errors import EvloadError, OutputError
from .gate import outlook, verdict
from .gate.terms import Terms
from .gate.vigil import Vigil
from .measurement.ledger import LedgerFile
from .ports import Sink, SinkSettings, SinkSurroundings, Surroundings
from .rundir import RunDirectory
from .sandbox.process import sandbox_process
from .sinks.json import JsonSink
from .sinks.live_page_controls import Controls
from .sinks.settings import HtmlConfig
from .summary import Report, Summary
from .units import format_duration

INTERRUPTED = 130


class Load(Protocol):
    """Loads the config; with the sandbox's address once it is known."""

    def __call__(self, sandbox_url: str | None = None) -> LoadedConfig: ...


class InterruptedEarlyError(EvloadError):
    """Ctrl-C before there was anything to report."""

    exit_code = INTERRUPTED


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    report: Report
    directory: RunDirectory
    exit_code: int


def run(
    load: Load, *, out: Path | None, sinks: Sequence[Sink], say: Callable[[str], None], ui_port: int | None = None
) -> Ended:
    """Run the config to its end, write the run directory, and give the report to the sinks.

    `say` gets remarks for a person (what an interrupt does, where the live page is). `ui_port` is where to serve the
    live page; 0 takes any free port, None serves none. Raises EvloadError: ConfigError, TargetError,
    OutputError (after the sinks have had the report), InterruptedEarlyError (during set-up).
    """
    loaded = load()
    started_at = datetime.now(UTC)
    run_id = rundir.new_run_id(started_at)
    directory = rundir.create(run_id, out)
    rundir.write(directory.config, loaded.as_run().encode())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ExitStack() as stack:
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        try:
            surroundings = SinkSurroundings(
                SystemClock(), run_id, directory.path, lambda text: say(loaded.redact(text)),
                partial(telling.sample, directory.ledger),
            )  # fmt: skip
            reports = [
                runner.run(opened.enter_async_context(settings.open(surroundings)))
                for settings in loaded.config.reports.values()
            ]
            everybody = [*sinks, *reports]
            controls = None
            if ui_port is not None:
                controls = Controls()
                # The last, so that the report is there when it tells pages of the end.
                everybody.append(stack.enter_context(_live_page(controls, loaded, run_id, directory, ui_port, say)))
            summary, terms, trouble = runner.run(
                _run(load, loaded, run_id, started_at, directory, everybody, say, controls)
            )
        except EvloadError:
            rundir.discard(directory)
            raise
        told = telling.tell(
            summary,
            terms,
            run_id=run_id,
            name=loaded.config.name,
            started_at=started_at,
            directory=directory,
            readable=trouble is None,
            redact=loaded.redact,
        )
        for sink in (JsonSink(partial(rundir.write, directory.summary)), *everybody):
            try:
                sink.finish(told)
            except OutputError as error:
                trouble = trouble or error
    if trouble is not None:
        raise trouble
    code = INTERRUPTED if summary.vitals.interrupted else verdict.exit_code(told.verdict)
    return Ended(told, directory, code)


@contextmanager
def _live_page(
    controls: Controls,
    loaded: LoadedConfig,
    run_id: str,
    directory: RunDirectory,
    port: int,
    say: Callable[[str], None],
) -> Iterator[Sink]:
    from .sinks.live_page import served

    config = loaded.config
    gauges = [f"{name} {metric}" for name, gauge in config.gauges.items() for metric in gauge.metrics]
    with served(
        controls, name=config.name, run_id=run_id, gauges=gauges, lasts_ns=outlook.total_ns(config),
        report=_page_of(loaded.config.reports, directory), port=port,
    ) as page:  # fmt: skip
        say(f"live page: {page.url}")
        yield page


def _page_of(reports: Mapping[str, SinkSettings], directory: RunDirectory) -> Path:
    """Where the HTML report will be."""
    pages = [directory.path / report.file for report in reports.values() if isinstance(report, HtmlConfig)]
    return pages[0] if pages else directory.path / "report.html"


async def _run(
    load: Load,
    loaded: LoadedConfig,
    run_id: str,
    started_at: datetime,
    directory: RunDirectory,
    sinks: Sequence[Sink],
    say: Callable[[str], None],
    controls: Controls | None,
) -> tuple[Summary, Terms, OutputError | None]:
    clock = SystemClock()
    interrupts = _Interrupts(asyncio.current_task(), say, controls)
    try:
        async with AsyncExitStack() as stack:
            stack.callback(clock.close)
            interrupts.heed()
            if loaded.config.sandbox is not None:
                sandbox = await stack.enter_async_context(sandbox_process(loaded.config.sandbox, directory.truth))
                loaded = load(sandbox_url=sandbox.url)
            config = loaded.config
            terms = planning.terms(config)
            plan = planning.build(config, run_id)
            meta = planning.meta(config, plan, terms, run_id, started_at, loaded.redact)
            engine = Engine(
                plan,
                Surroundings(clock, run_id, loaded.base_dir),
                lambda start_ns: LedgerFile(
                    directory.ledger, start_ns, {**meta, "began_at": clock.wall(start_ns).isoformat()}
                ),
                sinks,
                loaded.redact,
                Vigil(terms, {name: gauge.metrics for name, gauge in config.gauges.items()}),
            )
            interrupts.begin(engine, config.settle)
            _tame_garbage_collection(stack)
            _allow_connections()
            _hasten_thread_switches(stack)
            summary = await engine.run()
            interrupts.end()
            return summary, terms, engine.ledger_error
    except asyncio.CancelledError:
        raise InterruptedEarlyError("interrupted before the run began; nothing was sent") from None


class _Interrupts:
    """What SIGINT and SIGTERM do: end the set-up; while the run goes on drain, then report at once.

    Once the run is over they do nothing, because what is left takes no longer than they would.
    """

    def __init__(self, task: asyncio.Task[Any] | None, say: Callable[[str], None], controls: Controls | None) -> None:
        self._task = task
        self._controls = controls
        self._say = say
        self._engine: Engine | None = None
        self._settle_ns = 0
        self._heard = 0
        self._over = False

    def heed(self) -> None:
        """From now on, until the loop is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)

    def begin(self, engine: Engine, settle_ns: int) -> None:
        """Set-up is done but for what the engine itself does; `settle_ns` is the longest drain."""
        self._engine = engine
        self._settle_ns = settle_ns
        if self._controls is not None:
            self._controls.begin(self.stop, self.abort)

    def end(self) -> None:
        """The run is over."""
        self._over = True
        if self._controls is not None:
            self._controls.end()

    def stop(self) -> None:
        """What the first interrupt does."""
        if not self._heard:
            self._interrupt()

    def abort(self) -> None:
        """What the second one does."""
        self._heard = max(self._heard, 1)
        self._interrupt()

    def _interrupt(self) -> None:
        if self._over:
            return
        if self._engine is None or not self._engine.started:
            if self._task is not None:
                self._task.cancel()
            return
        self._heard += 1
        if self._heard == 1:
            settle = format_duration(self._settle_ns)
            self._say(f"interrupted: sending nothing more, waiting up to {settle} for what is outstanding")
            self._engine.stop()
            self._say_on_page("stop")
        else:
            self._say("interrupted again: reporting what there is")
            self._engine.abort()
            self._say_on_page("abort")

    def _say_on_page(self, what: Literal["stop", "abort"]) -> None:
        if self._controls is not None:
            self._controls.say(what)


def _tame_garbage_collection(stack: AsyncExitStack) -> None:
    """Collections that walk all that is loaded stall the loop for tens of milliseconds; there is no need.

    What set-up made is left out of every collection from here on, and full ones become rare.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    stack.callback(gc.unfreeze)
    stack.callback(gc.set_threshold, *before)


def _hasten_thread_switches(stack: AsyncExitStack) -> None:
    """The thread that writes the ledger may hold the interpreter for 5 ms by default, which makes events late."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(200e-6)
    stack.callback(sys.setswitchinterval, before)


def _allow_connections() -> None:
    """The usual soft limit of 1,024 open files would end a pool of a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
