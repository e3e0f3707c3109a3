"""Runs the sandbox as a process of its own: the blocking entry point, and a child that never outlives its parent."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Final

import orjson
import uvloop

from ..errors import OutputError, TargetError
from .server import serving
from .settings import SandboxSettings

_READY_WITHIN_S: Final = 10.0
_STOPPED_WITHIN_S: Final = 5.0
_STDERR_TAIL: Final = 500


def print_ready(url: str) -> None:
    """Say on stdout, in one line of JSON, where the sandbox listens."""
    # In bytes: whatever the encoding of the terminal is, whoever started us reads JSON.
    sys.stdout.buffer.write(orjson.dumps({"url": url}, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def run_server(
    settings: SandboxSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    truth_path: Path | None = None,
    ready: Callable[[str], None] = print_ready,
    until_stdin_closes: bool = False,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP (or, if asked for, the end of stdin), then write the truth and return.

    `ready` is called once with the address. Raises TargetError if the port can't be had and OutputError if
    the truth can't be written.
    """
    # A full collection would walk every event held, and a pause of that length is not part of any plan.
    gc.set_threshold(10_000, 50, 1_000_000)
    uvloop.run(_serve(settings, host, port, truth_path, ready, until_stdin_closes))


async def _serve(
    settings: SandboxSettings,
    host: str,
    port: int,
    truth_path: Path | None,
    ready: Callable[[str], None],
    until_stdin_closes: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    async with serving(settings, host=host, port=port, truth_path=truth_path) as url:
        if until_stdin_closes:
            threading.Thread(target=_wait_for_stdin, args=(loop, stop), daemon=True).start()
        ready(url)
        await stop.wait()


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    with suppress(RuntimeError):  # the loop is closed: stopping already
        loop.call_soon_threadsafe(stop.set)


class Running:
    """A sandbox in a process of its own. `url` is its address."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self.trouble: OutputError | None = None
        """Once it has ended: why there is no truth, if it couldn't be written."""
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def stop(self) -> None:
        """End it: SIGTERM, time to write the truth, then SIGKILL. Does nothing if it has ended."""
        await _stop(self._process)


@asynccontextmanager
async def sandbox_process(settings: SandboxSettings, truth_path: Path | None = None) -> AsyncIterator[Running]:
    """Start a sandbox on a free loopback port and stop it whatever happens, the death of this process included.

    It lives in a session of its own, so Ctrl-C doesn't reach it: this process decides. Raises TargetError,
    with the last words of the child, if it isn't ready in time.
    """
    command = [
        sys.executable,
        "-m",
        "evload.sandbox",
        "--settings",
        settings.model_dump_json(),
        "--until-stdin-closes",
    ]
    if truth_path is not None:
        command += ["--truth", str(truth_path)]
    with tempfile.TemporaryFile() as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        running: Running | None = None
        try:
            running = Running(await _ready_url(process, stderr), process)
            yield running
        finally:
            await _stop(process)
            if running is not None and process.returncode == OutputError.exit_code:
                running.trouble = OutputError(_last_words(stderr))


async def _ready_url(process: asyncio.subprocess.Process, stderr: IO[bytes]) -> str:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _READY_WITHIN_S)
        return str(orjson.loads(line)["url"])
    except (TimeoutError, ValueError):
        await _stop(process)
        said = _last_words(stderr) or "it said nothing within 10 s"
        raise TargetError(f"the sandbox didn't start; {said}") from None


def _last_words(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read()[-_STDERR_TAIL:].decode(errors="replace").strip()


async def _stop(process: asyncio.subprocess.Process) -> None:
    try:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
