"""`evload ceiling` in a process that is killed at a chosen moment: all of the real command, but for the time.

The trials are those of the embedded pipeline in memory, and the same each time: so a search that was killed and went
on can be held against one that wasn't.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NoReturn

import scipy.stats  # noqa: F401  as what follows, so that not each process has to load it anew

import evload.commands.ceiling
import evload.formats.html  # noqa: F401
from evload import cli
from evload.config.run_config import RunConfig
from evload.ledger.writer import LedgerFile
from evload.run import session
from evload.run.prepare import Prepared, prepare
from evload.sandbox.delay import parse_delay
from evload.sandbox.settings import SandboxSettings
from evload.search.runs import Runs
from evload.testing import MemoryWorld
from evload.testing.virtual_time import virtual_clock
from tests.rigs.ceilings import Depth
from tests.rigs.threadless import ThreadlessLoop

CONFIG: Final = """\
name: planted
settle: 2s
producers: {api: {kind: http, url: "http://localhost:9/events"}}
events: {made: {type: made, source: /tests}}
gauges: {work-queue: {kind: http-json, url: "http://localhost:9/queue", values: {queue_depth: body.depth}}}
scenarios: {base: {producer: api, events: [made], load: [{rate: 1/s, for: 1m}]}}
slos: [errors == 0, {objective: ceiling > 3/s}]
"""
PIPELINE: Final[Mapping[str, Any]] = {"workers": 1, "service": "200ms"}
"""Five events per second."""
_AT_FILES: Final = frozenset(
    {
        "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.scandir",
        "os.listdir", "fcntl.flock", "sqlite3.connect",
    }
)  # fmt: skip
"""Audit events of what is done to files and directories, which they name first."""


@dataclass(frozen=True)
class Moment:
    """When a process is killed: before it does something to a file for the n-th time, or after so much CPU time."""

    step: int | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class Went:
    """How a command went: its exit code, None where it was killed; what it said, how often it did something to a
    file, and what it took."""

    code: int | None
    said: str
    steps: int
    cpu_s: float


def ceiling(cwd: Path, *arguments: str, killed: Moment | None = None) -> Went:
    """`evload ceiling` with these arguments, in a process of its own, killed at that moment if it comes to it."""
    said, counted = cwd / ".said", cwd / ".counted"
    counted.write_bytes(bytes(8))
    before = os.times()
    pid = os.fork()
    if not pid:
        _become(cwd, ["ceiling", *arguments], said, counted, killed)
    _, status = os.waitpid(pid, 0)
    after = os.times()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGVTALRM), (os.WTERMSIG(status), said.read_text())
    code = None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    steps = int.from_bytes(counted.read_bytes(), "little")
    return Went(code, said.read_text(), steps, after.children_user - before.children_user)


def _become(cwd: Path, arguments: list[str], said: Path, counted: Path, killed: Moment | None) -> NoReturn:
    """Be the command, and end as it does."""
    code = 70
    try:
        os.chdir(cwd)
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
        os.environ["XDG_STATE_HOME"] = str(cwd)
        sys.argv = ["evload", *arguments]
        _in_virtual_time()
        _await_the_end(os.open(counted, os.O_WRONLY), cwd, killed or Moment())
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _await_the_end(counted: int, cwd: Path, killed: Moment) -> None:
    """From now on count what is done to files below a directory, and be killed when it is time."""
    steps = 0

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        if event not in _AT_FILES or not _is_below(cwd, arguments[0]):
            return
        steps += 1
        if steps == killed.step:
            os.kill(os.getpid(), signal.SIGKILL)
        os.pwrite(counted, steps.to_bytes(8, "little"), 0)

    sys.addaudithook(seen)
    if killed.cpu_s is not None:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # as final as SIGKILL, also within a call of SQLite's
        signal.setitimer(signal.ITIMER_VIRTUAL, killed.cpu_s)


def _is_below(directory: Path, path: Any) -> bool:
    """Whether that is a file or a directory there; a number is that of a file which is open, and may be."""
    return isinstance(path, int) or Path(os.path.abspath(os.fsdecode(path))).is_relative_to(directory)


def _in_virtual_time() -> None:
    """From now on runs of this process are against pipelines in memory, one for each."""
    for name, value in {
        "uvloop": SimpleNamespace(new_event_loop=ThreadlessLoop),
        "SystemClock": virtual_clock,
        "LedgerFile": partial(LedgerFile, threaded=False),
        "prepare": _prepare,
    }.items():
        setattr(session, name, value)
    Runs.pause = lambda *_: None  # type: ignore[method-assign]


def _prepare(config: RunConfig, run_id: str, **more: Any) -> Prepared:
    world = MemoryWorld(SandboxSettings.model_validate(PIPELINE), confirm=parse_delay("1us"))
    depth = Depth(world=world, every="100ms")
    return prepare(
        replace(config, producers={"api": world.producer()}, gauges={"work-queue": depth}), "planted", **more
    )
