"""Processes that do one thing each, from one that has imported what takes long."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import psutil

from . import signals

Given = TypeVar("Given")
Done = TypeVar("Done")

_CONTEXT: Final = multiprocessing.get_context("fork")
_MEMORY: Final = 4 << 30
"""What a child may take: a change can make a list grow for ever."""
_LOOK_S: Final = 1.0
"""How often that is looked at."""
_SERVERS_END_S: Final = 2.0
"""Servers that a test has started see that its process is gone, and end."""
OPEN: Final = 0o711
"""Servers that aren't run as root get through to what is theirs."""
_TOO_LONG: Final = (signal.SIGPROF, signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class Ended(Generic[Done]):
    """How a child ended: with what it did, or with None."""

    done: Done | None
    endless: bool = False
    """Whether it was ended because it took too long."""


class _Child(NamedTuple):
    process: ForkProcess
    given: Any


def each(
    work: Callable[[Given], Done], given: Iterable[Given], scratch: Path, jobs: int
) -> Iterator[tuple[Given, Ended[Done]]]:
    """Do this with each of them in a process of its own, so many at once, and yield how each ended.

    The next one is taken from `given` when there is room for it. Ends the process, and all of them, if a signal
    wants it to.
    """
    children: dict[Connection, _Child] = {}
    waiting = iter(given)
    try:
        while True:
            while len(children) < jobs and (one := next(waiting, None)) is not None:
                ours, theirs = _CONTEXT.Pipe(duplex=False)
                process = _CONTEXT.Process(target=_live, args=(work, one, theirs, scratch), daemon=True)
                process.start()
                theirs.close()
                children[ours] = _Child(process, one)
            if not children:
                return
            ended = wait(list(children), _LOOK_S)
            signals.look()
            for pipe in ended:
                assert isinstance(pipe, Connection)
                child = children.pop(pipe)
                yield child.given, _ended(child, pipe)
            for child in children.values():
                if _memory(child.process) > _MEMORY:
                    child.process.kill()
    finally:
        for child in children.values():
            child.process.kill()
            child.process.join()
        if children:
            time.sleep(_SERVERS_END_S)


def allow(cpu_s: float, wall_s: float) -> None:
    """End this process if what it does next takes longer. Servers that it starts may run as long as it does."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wall_s)


def _memory(process: ForkProcess) -> int:
    try:
        return int(psutil.Process(process.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _ended(child: _Child, pipe: Connection) -> Ended[Any]:
    try:
        fine, done = pipe.recv()
    except EOFError:
        fine, done = True, None
    finally:
        pipe.close()
    child.process.join()
    if not fine:
        raise RuntimeError(f"{child.given}:\n{done}")
    return Ended(done, -(child.process.exitcode or 0) in _TOO_LONG)


def _live(work: Callable[[Any], Any], given: Any, pipe: Connection, scratch: Path) -> None:
    signals.as_usual()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    try:
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(dir=scratch)
        os.chmod(tempfile.tempdir, OPEN)
        told = True, work(given)
    except Exception:
        told = False, traceback.format_exc()
    pipe.send(told)
    pipe.close()
    os._exit(0)
