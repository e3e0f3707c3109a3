"""A database server of a test's own: own directory, own user, loopback only, gone when the test process is gone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_START_S: Final = 60.0
_WATCH: Final = 'cat >/dev/null; read pid <"$0/pid" && kill -9 "$pid" 2>/dev/null; sleep 0.2; rm -rf "$0"'
"""Reads a pipe that ends with this process, whatever ends it, and leaves nothing of the server behind."""
_NOBODY: Final = "nobody"


class PrivateServer:
    """A directory, and at most one server process in it, which doesn't run as root.

    All methods block; call them in a thread where a loop is running.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"evload-{name}-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "server.log"
        self._pid = self.directory / "pid"
        self._pid.write_text("\n")
        self._watcher = subprocess.Popen(["sh", "-c", _WATCH, self.directory], stdin=subprocess.PIPE)
        self._as_nobody: list[str] = []
        if os.getuid() == 0:
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            self._as_nobody = [
                "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--",
            ]  # fmt: skip

    def run(self, command: Sequence[str | Path]) -> None:
        """Run a command of the server's to its end."""
        done = subprocess.run(
            [*self._as_nobody, *command], cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")

    def self_signed(self) -> Path:
        """A certificate for localhost, signed by itself, with its key in `server.key`."""
        self.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "server.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost",
        ])  # fmt: skip
        return self.directory / "ca.pem"

    def spawn(self, command: Sequence[str | Path], answers: Callable[[], bool]) -> None:
        """Start the server, and return once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_nobody, *command], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._pid.write_text(f"{self._process.pid}\n")
        deadline = time.monotonic() + _START_S
        while not answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> None:
        """Send the server a signal and wait for its end, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            self._pid.write_text("\n")

    def freeze(self, frozen: bool) -> None:
        """Have the server neither answer nor hang up, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)
        if frozen:
            # Its threads stop one by one: one of them may answer meanwhile.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def close(self) -> None:
        """End the server and remove its directory."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(30)
        if self._process is not None:
            self._process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)


def program(name: str, package: str, *places: str) -> Path:
    """Where a server's program is. Raises RuntimeError that says how to get it."""
    found = shutil.which(name)
    if found:
        return Path(found)
    for place in places:
        for path in sorted(Path("/").glob(place), reverse=True):
            return path
    raise RuntimeError(f"these tests need {name}; get it with: apt-get install {package}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
