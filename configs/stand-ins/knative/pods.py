"""Pods that are processes of this machine: they start with a process, and can be killed like one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from knative.functions import Pod, Told

_FUNCTION: Final = Path(__file__).with_name("function.py")
_PAGE: Final = 4096


class ProcessPod(asyncio.SubprocessProtocol):
    """One process. What is sent in a turn of the loop goes to it in one write."""

    def __init__(self, told: Told, number: int) -> None:
        self._told, self._number = told, number
        self._transport: asyncio.SubprocessTransport | None = None
        self._unsent: list[str] = []
        self._rest = b""
        self._over = False

    def send(self, event_id: str, service_ms: float, leak: int, event: Mapping[str, Any]) -> None:
        """Have it work on an event."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(json.dumps([event_id, round(service_ms, 3), leak, event], separators=(",", ":")))

    def _flush(self) -> None:
        lines, self._unsent = self._unsent, []
        if self._transport is not None and not self._over:
            stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
            stdin.write(("\n".join(lines) + "\n").encode())

    def stop(self) -> None:
        """Close its stdin, with which it ends. One that hasn't begun yet ends as soon as it has."""
        self._over = True
        if self._transport is not None and (stdin := self._transport.get_pipe_transport(0)) is not None:
            stdin.close()

    def kill(self) -> None:
        """SIGKILL."""
        self._over = True
        if self._transport is not None:
            with suppress(ProcessLookupError):
                self._transport.kill()

    def memory(self) -> int:
        """Its resident bytes."""
        if self._transport is None:
            return 0
        try:
            return int(Path(f"/proc/{self._transport.get_pid()}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    # --- what the loop tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process is there."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        if self._over:
            self.kill()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It says something."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        answers = [json.loads(line) for line in lines]
        if answers and answers[0] == "ready":
            self._told.ready(self._number)
            del answers[0]
        if answers:
            self._told.done(self._number, answers)

    def process_exited(self) -> None:
        """It is over."""
        self._over = True
        self._told.gone(self._number)


class Pods:
    """Starts pods, and knows which of them are still being started."""

    def __init__(self) -> None:
        self._starting: set[asyncio.Task[None]] = set()

    def start(self, told: Told, number: int, cold_start_ms: float) -> Pod:
        """A new process."""
        pod = ProcessPod(told, number)
        task = asyncio.create_task(self._spawn(pod, cold_start_ms))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return pod

    async def _spawn(self, pod: ProcessPod, cold_start_ms: float) -> None:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: pod, sys.executable, "-I", "-S", str(_FUNCTION), str(cold_start_ms), stderr=None,
            start_new_session=True,  # Ctrl-C ends the load: what is under way is still to be done.
        )  # fmt: skip

    async def started(self) -> None:
        """Wait until none is being started: one that begins now would outlive the stand-in."""
        if self._starting:
            await asyncio.wait(self._starting)
