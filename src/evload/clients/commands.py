"""Runs a command of this machine: within a time, with an end to what it prints, and with what it complained of."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..units import NS_PER_S, format_duration
from . import exact_json

_LEAVING_S: Final = 1.0
"""For which what was ended is waited for; and what was left behind, to close what it prints to."""
_SHOWN: Final = 200
"""Most characters of a complaint."""
_PIECE: Final = 1 << 16


class NotDone(Exception):
    """The command was begun and came to nothing; says why."""


class Ran(NamedTuple):
    """What came of it.

    code       its exit code; of one that a signal ended, minus that signal
    printed    what it printed, as far as that is kept
    complaint  the last line of what it complained of, `: ` before it; empty if it didn't
    overlong   it printed more than is kept
    """

    code: int
    printed: bytes
    complaint: str
    overlong: bool = False

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return f"code {self.code}" if self.code >= 0 else f"signal {-self.code}"

    @property
    def output(self) -> Any:
        """What it printed as expressions see it: the value of a JSON text, or else the text."""
        try:
            return exact_json.loads(self.printed)
        except ValueError:
            return self.printed.decode(errors="replace").strip()


def arguments_of(command: str | Sequence[str]) -> Sequence[str]:
    """A text is for the shell, a list is run as it is."""
    return ("/bin/sh", "-c", command) if isinstance(command, str) else command


def shown(command: str | Sequence[str], most: int = _SHOWN) -> str:
    """A command for people, on one line and cut short."""
    text = " ".join((command if isinstance(command, str) else " ".join(command)).split())
    return text if len(text) <= most else f"{text[:most]}…"


async def run(
    arguments: Sequence[str],
    base_dir: Path,
    *,
    timeout_ns: int,
    most: int,
    environment: Mapping[str, str] | None = None,
    may_leave: bool = False,
    began: Callable[[int], Awaitable[None]] | None = None,
) -> Ran:
    """Run it as a process group of its own, without input; raises OSError if it can't be begun, else NotDone.

    most         bytes that are kept of what it prints, and of what it complains of
    environment  what it finds in its environment beside ours
    may_leave    it may leave something behind that goes on, and print more than is kept. Else whatever it has started
                 ends with it, and a command that prints more is ended at once: NotDone.
    began        is told the number of its process group; the command does nothing before it returns, and never does
                 anything if we are ended before that
    """
    if began is not None:
        arguments = _waiting(arguments, base_dir)
    async with AsyncExitStack() as stack:
        printed, complaints = [await stack.enter_async_context(_pipe(most)) for _ in range(2)]
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL if began is None else asyncio.subprocess.PIPE,
                stdout=printed.end,
                stderr=complaints.end,
                cwd=base_dir,
                env=None if environment is None else {**os.environ, **environment},
                start_new_session=True,
            )
        finally:
            printed.close_end()
            complaints.close_end()
        over = False

        def too_much() -> None:
            if not may_leave:
                _end(process)

        reading = asyncio.gather(printed.read(too_much), complaints.read(too_much))
        try:
            async with asyncio.timeout(timeout_ns / NS_PER_S):
                if began is not None:
                    await began(process.pid)
                    _let_go(process)
                if not may_leave:
                    await asyncio.shield(reading)
                code = await process.wait()
            over = True
        except TimeoutError:
            said = _last_line(complaints.kept)
            raise NotDone(f"it was not done after {format_duration(timeout_ns)}{said}") from None
        finally:
            if not (over and may_leave):
                # Whoever it has started would go on, and a shell is no more than that.
                _end(process)
            # Who fled the group, or was left behind, may hold what it prints to.
            await asyncio.wait([reading], timeout=_LEAVING_S)
            reading.cancel()
            if process.returncode is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVING_S):
                        await process.wait()
        overlong = len(printed.kept) > most
        if not may_leave and (overlong or len(complaints.kept) > most):
            raise NotDone(f"it printed more than {most:,} bytes")
        return Ran(code, bytes(printed.kept[:most]), _last_line(complaints.kept), overlong)


def _waiting(arguments: Sequence[str], base_dir: Path) -> Sequence[str]:
    """The same command, once a line comes in. Raises OSError for one that isn't there."""
    name = arguments[0]
    if not (os.access(base_dir / name, os.X_OK) if "/" in name else shutil.which(name)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "/bin/sh", *arguments)


def _let_go(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()


class _Pipe:
    """What a process writes into, and what has come out of it, at most a piece more than `most` bytes."""

    def __init__(self, stream: asyncio.StreamReader, end: int, most: int) -> None:
        self.end = end
        self.kept = bytearray()
        self._stream = stream
        self._most = most
        self._closed = False

    def close_end(self) -> None:
        """Let go of the end that a process has now."""
        if not self._closed:
            self._closed = True
            os.close(self.end)

    async def read(self, too_much: Callable[[], object]) -> None:
        """All that comes, to its end; beyond `most` bytes the rest is thrown away."""
        while piece := await self._stream.read(_PIECE):
            if len(self.kept) <= self._most:
                self.kept += piece
                if len(self.kept) > self._most:
                    too_much()


@asynccontextmanager
async def _pipe(most: int) -> AsyncIterator[_Pipe]:
    """One of our own: of a process that asyncio has made the pipes for it knows the end only when they are closed,
    and that is when the last of those has gone that it has left behind."""
    loop = asyncio.get_running_loop()
    ours, theirs = os.pipe()
    stream = asyncio.StreamReader()
    pipe = _Pipe(stream, theirs, most)
    try:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(ours, "rb", 0)
        )
        try:
            yield pipe
        finally:
            transport.close()
    finally:
        pipe.close_end()


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(complaints: bytes | bytearray) -> str:
    lines = complaints.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:_SHOWN]}" if last else ""
