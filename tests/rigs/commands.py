"""Runs the real `evload` command in a process of its own, and ends it whatever happens."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Protocol

from tests.rigs import warm

COMMAND: Final = Path(sys.executable).with_name("evload")
_PATIENCE_S: Final = 240.0
"""How long a command may take before the test is given up; never what decides one."""
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "OPENBLAS_")
"""How variables begin that an interpreter heeds when it starts, and never after that."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams."""
        return self.out + self.err


class Process(Protocol):
    """A command's process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    @property
    def stderr(self) -> IO[str] | None: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...

    def terminate(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def communicate(self, *, timeout: float) -> tuple[str, str]: ...


class Forked:
    """A process that was forked from one that had loaded evload; see `warm`."""

    def __init__(self, told: IO[bytes], stdout: IO[str], stderr: IO[str]) -> None:
        self.stdout, self.stderr = stdout, stderr
        self._told = told
        self.pid = int(told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, if it is over."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.returncode = int(self._told.readline())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises TimeoutExpired."""
        if self.returncode is None and not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("evload", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int, /) -> None:
        """Send it a signal, unless it is over."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, *, timeout: float) -> tuple[str, str]:
        """Wait for its end, and read what is left of both its streams. Raises TimeoutExpired."""
        said: dict[IO[str], str] = {}

        def read(stream: IO[str]) -> None:
            said[stream] = stream.read()

        readers = [
            threading.Thread(target=read, args=(stream,), daemon=True) for stream in (self.stdout, self.stderr)
        ]
        until = time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0.0, until - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired("evload", timeout)
        self.wait(max(0.0, until - time.monotonic()))
        return said[self.stdout], said[self.stderr]

    def close(self) -> None:
        """Nobody listens to it any more."""
        for stream in (self._told, self.stdout, self.stderr):
            stream.close()


class Started:
    """A command that is running."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def first_line(self) -> str:
        """The next line that it prints on stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ended(self) -> Ended:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        return Ended(self.process.wait(), out, err)


@contextmanager
def started(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> Iterator[Started]:
    """The command with these arguments, running inside the block and killed after it.

    `through` is a command that executes the one given to it as arguments.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    environment |= env or {}
    command = [str(COMMAND), *map(str, arguments)]
    heeded = {name for name, _ in environment.items() ^ os.environ.items() if name.startswith(_READ_AT_START)}
    if not through and not heeded and sys.platform.startswith("linux"):
        with _forked(command, cwd, environment) as process:
            yield Started(process)
        return
    with subprocess.Popen(
        [*through, *command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Started(process)
        finally:
            process.kill()


@contextmanager
def _forked(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Iterator[Forked]:
    """The command, forked from a process that has loaded evload already."""
    request = json.dumps({"arguments": command, "cwd": str(cwd), "env": environment}).encode()
    assert len(request) < warm.LARGEST
    ours, theirs = zip(os.pipe(), os.pipe(), os.pipe(), strict=True)
    with open(os.devnull, "rb") as nothing:
        socket.send_fds(_warm(os.getpid()), [request], [nothing.fileno(), theirs[1], theirs[2], theirs[0]])
    for descriptor in theirs:
        os.close(descriptor)
    told = os.fdopen(ours[0], "rb", buffering=0)
    with closing(Forked(told, *(os.fdopen(each, encoding="utf-8") for each in ours[1:]))) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@cache
def _warm(_asking: int) -> socket.socket:
    """Where to ask the process that has loaded evload, which ends with the one that asks: a fork has its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", warm.__name__, str(theirs.fileno())]
        subprocess.Popen(command, cwd=Path(__file__).parents[2], pass_fds=[theirs.fileno()])
    atexit.register(ours.close)
    return ours


@contextmanager
def found_at(*places: Path) -> Iterator[None]:
    """Inside the block commands, and what they start, look for modules and for plug-ins there, too."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, places), *filter(None, [before])])
    _warm.cache_clear()  # from now on they are forked from another one
    try:
        yield
    finally:
        _warm.cache_clear()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def evload(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> Ended:
    """Run the command to its end."""
    with started(*arguments, cwd=cwd, env=env, through=through) as running:
        return running.ended()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that another process is about to do."""
    until = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def summary_of(directory: Path) -> dict[str, Any]:
    """The summary in a run directory."""
    summary: dict[str, Any] = json.loads((directory / "summary.json").read_bytes())
    return summary


def assert_closes(summary: Mapping[str, Any]) -> None:
    """Both sums of the ledger close, for the run and for each scenario, and the scenarios add up to the run."""
    ledgers = [scenario["ledger"] for scenario in summary["scenarios"].values()]
    for ledger in (summary["ledger"], *ledgers):
        published = sum(ledger[key] for key in ("unsent", "acked", "rejected", "returned", "in_doubt"))
        assert ledger["scheduled"] == published, ledger
        settled = sum(ledger[key] for key in ("visible", "ended", "lost", "regressed", "pending", "unobserved"))
        assert ledger["acked"] == settled, ledger
    assert {key: sum(ledger[key] for ledger in ledgers) for key in summary["ledger"]} == summary["ledger"]


def assert_one_clear_line(ended: Ended, code: int, *words: str) -> None:
    """It ended with this exit code and one line, on stderr, that holds the words."""
    assert (ended.code, ended.out) == (code, ""), ended
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    for word in words:
        assert word in lines[0], lines[0]


def sandboxes_of(directory: Path) -> list[int]:
    """Process ids of what is left of the sandbox of a run, which is known by its truth file. Linux only."""
    truth = str(directory / "truth.jsonl").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if truth in process.read_bytes().split(b"\0"):
                found.append(int(process.parent.name))
    return found
