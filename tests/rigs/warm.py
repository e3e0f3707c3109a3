"""A process that has loaded evload: commands are forked from it, so that none has to load it anew.

Loading is most of what a short command costs. Each command is a process of its own all the same, with its own
arguments, directory, environment, standard streams and signals.

    python -m tests.rigs.warm DESCRIPTOR

From the socket of that number comes a JSON document for each command, with four descriptors: its standard input,
output and error, and where to tell its process id and then its exit code, a line each. The end of the socket is the
end of all of them.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

LOADED: Final = (
    "bokeh.plotting", "evload.cli", "evload.commands.run", "evload.config.load", "evload.formats.html.render",
    "evload.formats.markdown", "evload.judging.live_checks", "evload.probes.http.id_query",
    "evload.probes.http.one_by_one", "evload.producers.http.publisher", "evload.run.feasibility",
    "evload.run.session", "evload.sandbox.process", "evload.sinks.console.sink", "evload.sinks.json",
    "evload.sinks.report_files", "httptools", "rich.table", "uvloop",
)  # fmt: skip
"""What runs and the other verbs load."""
LARGEST: Final = 1 << 18
"""Bytes of a request."""
_DESCRIPTORS: Final = 4096


class Server:
    """Forks commands until nobody asks for any more. `told` is where each of those that run says how it ended."""

    def __init__(self, asked: socket.socket, main: Callable[[], None]) -> None:
        self._asked = asked
        self._main = main
        self._told: dict[int, int] = {}

    def serve(self) -> None:
        """Until the socket ends; what still runs is killed then."""
        ended, wake = os.pipe()
        for end in (ended, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._asked.fileno(), ended], [], [])
            if ended in ready:
                os.read(ended, _DESCRIPTORS)
                self._reap()
            if self._asked.fileno() in ready:
                request, descriptors, _, _ = socket.recv_fds(self._asked, LARGEST, 4)
                if not request:
                    break
                self._fork(json.loads(request), descriptors)
        for process in self._told:
            os.kill(process, signal.SIGKILL)

    def _fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        process = os.fork()
        if not process:
            try:
                _become(request, descriptors, self._main)
            finally:
                os._exit(70)
        *streams, told = descriptors
        for stream in streams:
            os.close(stream)
        self._told[process] = told
        _tell(told, process)

    def _reap(self) -> None:
        while self._told:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            told = self._told.pop(process)
            _tell(told, os.waitstatus_to_exitcode(status))
            os.close(told)


def _tell(told: int, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever asked is gone
        os.write(told, f"{number}\n".encode())


def _become(request: Mapping[str, Any], descriptors: Sequence[int], main: Callable[[], None]) -> None:
    """Be a process that has just been started as this command, up to its end."""
    signal.set_wakeup_fd(-1)
    for ending in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ending, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, _DESCRIPTORS)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["arguments"]
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", line_buffering=True)
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException as error:
        traceback.print_exc()
        code = 1
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _build(model: Any) -> None:
    """Build all settings that are made of a model, which are put off until they are read."""
    for one in model.__subclasses__():
        one.model_rebuild()
        _build(one)


def main(descriptor: int) -> None:
    """Load, and serve."""
    for name in LOADED:
        importlib.import_module(name)
    _build(importlib.import_module("evload.settings").Settings)
    gc.collect()
    gc.freeze()  # what is shared with the commands stays shared
    with socket.socket(fileno=descriptor) as asked:
        Server(asked, importlib.import_module("evload.__main__").main).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
