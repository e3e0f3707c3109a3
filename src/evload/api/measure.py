"""One run in a process that is somebody else's: of a config in any form, on the running loop or in a thread."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import EvloadError, UsageError
from .measurement import Measurement, measurement_of

if TYPE_CHECKING:
    from ..config.run_config import LoadedConfig
    from ..spi.sink import Sink

_LOOK_S: Final = 0.5
"""An interrupt that another thread asks for is heeded only by a thread that doesn't sleep."""
Config: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""The path of a file; YAML text, which is text of more than one line; or the same as plain data."""
Sets: TypeAlias = Mapping[str, Any] | Iterable[str]
"""Values by their paths, such as `{"scenarios.spike.load.0.rate": "9/s"}`; or the texts `PATH=VALUE` of `--set`."""
Names: TypeAlias = str | Iterable[str]
"""One name, or several."""

_GIVEN: Final = "config"
"""What a config without a file is called."""


def measure(
    config: Config,
    *,
    out: str | os.PathLike[str] | None = None,
    sets: Sets = (),
    profiles: Names = (),
    scenarios: Names = (),
    seed: int | None = None,
    may_load: Names = (),
    base_dir: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sinks: Sequence[Sink] = (),
    say: Callable[[str], None] | None = None,
    verbose: bool = False,
    keep: bool = False,
) -> Measurement:
    """Run a config to its end and return what it came to, whatever the verdict.

    config     the path of a file, YAML text of more than one line, or the same as plain data
    out        directory of the results; by default a new one below `runs`
    sets       values that take the place of others, by their paths
    profiles   of the config, in their order
    scenarios  these alone
    seed       in the place of the one in the config
    may_load   hosts that a guard doesn't allow otherwise
    base_dir   where relative paths in text or data start; by default the working directory
    environ    variables for `${NAME}`; by default those of the process
    sinks      get progress and report, in a thread of the run's own
    say        gets remarks for a person, in that thread; they are in the result too
    verbose    write down what is sent and what comes back, in samples
    keep       leave out the clean-up

    The run has a thread and an event loop of its own. Ctrl-C ends it as it ends the command: nothing more is sent,
    what is outstanding is waited for, all is undone and reported, and then KeyboardInterrupt is raised.

    Raises ConfigError with every problem of the config, UsageError for what is asked for otherwise, GuardError,
    TargetError for a set-up that failed, OutputError, NotUndoneError: all of them EvloadError.
    """
    __tracebackhide__ = True
    _refuse_in_a_loop()
    loaded = _load(config, sets, profiles, scenarios, seed, may_load, base_dir, environ)
    return _in_a_thread(_measured(loaded, out, sinks, say, verbose=verbose, keep=keep))


async def measure_async(
    config: Config,
    *,
    out: str | os.PathLike[str] | None = None,
    sets: Sets = (),
    profiles: Names = (),
    scenarios: Names = (),
    seed: int | None = None,
    may_load: Names = (),
    base_dir: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    sinks: Sequence[Sink] = (),
    say: Callable[[str], None] | None = None,
    verbose: bool = False,
    keep: bool = False,
) -> Measurement:
    """The same on the running event loop: whatever else keeps that busy makes events late, which the run says.

    Cancelled it does what Ctrl-C does to the command, then raises CancelledError; cancelled once more, half a second
    later or after that, it no longer waits for what is outstanding. The run directory is whole in either case.
    """
    loaded = _load(config, sets, profiles, scenarios, seed, may_load, base_dir, environ)
    return await _measured(loaded, out, sinks, say, verbose=verbose, keep=keep)


def _refuse_in_a_loop() -> None:
    __tracebackhide__ = True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("an event loop is running here, which evload.measure would block; await evload.measure_async")


def _load(
    config: Config,
    sets: Sets,
    profiles: Names,
    scenarios: Names,
    seed: int | None,
    may_load: Names,
    base_dir: str | os.PathLike[str] | None,
    environ: Mapping[str, str] | None,
) -> LoadedConfig:
    from ..config.guard import held
    from ..config.load import load_data, load_text, read
    from ..config.part import part_of

    variables = os.environ if environ is None else environ
    assigned = _assignments(sets) + ([] if seed is None else [f"seed={seed}"])
    names, base = _names(profiles), Path() if base_dir is None else Path(base_dir)
    if isinstance(config, Mapping):
        loaded = load_data(config, _GIVEN, base_dir=base, sets=assigned, profiles=names, environ=variables)
    else:
        path = Path(config) if not isinstance(config, str) or "\n" not in config else None
        text, name = (str(config), _GIVEN) if path is None else (read(path), str(path))
        if path is not None and base_dir is None:
            base = path.parent
        loaded = load_text(text, name, base_dir=base, sets=assigned, profiles=names, environ=variables)
    return held(part_of(loaded, _names(scenarios)), variables, _names(may_load))


def _assignments(sets: Sets) -> list[str]:
    if isinstance(sets, Mapping):
        return [f"{path}={json.dumps(value, default=_path)}" for path, value in sets.items()]
    return _names(sets)


def _path(value: object) -> str:
    if isinstance(value, os.PathLike):
        return str(value)
    raise UsageError(
        f"a value of the type {type(value).__name__} can't be set; give text, a number, a list or a dict"
    )


def _names(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


async def _measured(
    loaded: LoadedConfig,
    out: str | os.PathLike[str] | None,
    sinks: Sequence[Sink],
    say: Callable[[str], None] | None,
    *,
    verbose: bool,
    keep: bool,
) -> Measurement:
    from ..run import session
    from ..run.unfinished import refuse_beside, state_directory

    directory = None if out is None else Path(out)
    listed = state_directory(os.environ)
    refuse_beside(Path("runs") if directory is None else directory.absolute().parent, listed)
    remarks: list[str] = []

    def remark(text: str) -> None:
        remarks.append(text)
        if say is not None:
            say(text)

    ended = await session.run_as_guest(
        loaded, out=directory, sinks=sinks, say=remark, verbose=verbose, listed=listed, keep=keep
    )
    return measurement_of(ended, remarks)


def _in_a_thread(run: Coroutine[Any, Any, Measurement]) -> Measurement:
    """Its result. What the calling thread is hit by meanwhile cancels it, and is raised once it has ended."""
    __tracebackhide__ = True
    import uvloop

    results: list[Measurement] = []
    errors: list[BaseException] = []
    running: list[Callable[[], object]] = []
    over = threading.Event()

    async def work() -> Measurement:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        running.append(lambda: loop.call_soon_threadsafe(task.cancel))
        return await run

    def thread() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                results.append(runner.run(work()))
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    worker = threading.Thread(target=thread, name="evload")
    worker.start()
    hit: BaseException | None = None
    while not over.is_set():
        try:
            over.wait(_LOOK_S)
        except BaseException as error:
            hit = error
            for cancel in running:
                with suppress(RuntimeError):  # the loop was closed just now
                    cancel()
    worker.join()
    if errors and not isinstance(errors[0], asyncio.CancelledError):
        raise errors[0].with_traceback(None) if isinstance(errors[0], EvloadError) else errors[0]
    if hit is not None:
        raise hit
    return results[0]
