"""A private RabbitMQ node: own ports, own directory, own epmd, all on 127.0.0.1, gone when the process is gone."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

_BIN: Final = Path("/usr/lib/rabbitmq/bin")
_MISSING: Final = "these tests need a RabbitMQ server; get one with: apt-get install rabbitmq-server"
_START_S: Final = 90.0

_CONF: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {directory}/ca.pem
ssl_options.certfile = {directory}/server.pem
ssl_options.keyfile = {directory}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
collect_statistics_interval = 1000
log.console = false
log.file.level = error
"""

_WATCH: Final = 'cat >/dev/null; cat "$0"/*.pid | while read pid; do kill -9 "$pid" 2>/dev/null; done; rm -rf "$0"'
"""Reads a pipe that ends with this process, whatever ends it, and leaves nothing of the node behind."""


class RabbitNode:
    """One node and its directory. All methods block; call them in a thread where a loop is running.

    `url` is amqp with user and password guest; `tls_url` is amqps, whose certificate (for localhost and
    127.0.0.1) is signed by `ca_file`, an authority of its own. `client_cert` and `client_key` belong to the
    user `guest` (mechanism EXTERNAL).
    """

    def __init__(self) -> None:
        if not (_BIN / "rabbitmq-server").exists():
            raise RuntimeError(_MISSING)
        self.directory = Path(tempfile.mkdtemp(prefix="evload-rabbitmq-"))
        ports = _free_ports(5)
        self.port, self.tls_port, self.management_port, self._dist_port, self._epmd_port = ports
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self.tls_url = f"amqps://guest:guest@localhost:{self.tls_port}/"
        self.management_url = f"http://127.0.0.1:{self.management_port}"
        self.ca_file = self.directory / "ca.pem"
        self.client_cert = self.directory / "client.pem"
        self.client_key = self.directory / "client.key"
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._watcher = subprocess.Popen(["sh", "-c", _WATCH, self.directory], stdin=subprocess.PIPE)
        self._environment = self._prepare()

    def _prepare(self) -> dict[str, str]:
        directory = self.directory
        _make_certificates(directory)
        facts = {"port": self.port, "tls_port": self.tls_port, "management_port": self.management_port}
        (directory / "rabbitmq.conf").write_text(_CONF.format(directory=directory, **facts))
        (directory / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n")
        cookie = directory / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"evload-{self._epmd_port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(directory / "no-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "no-advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "rabbit-own.txt"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "config"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            # As under systemd, the Erlang machine takes the place of the shell: one process to kill.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self) -> None:
        """Start the node, again after a kill or a stop, and return once it takes connections."""
        if self._epmd is None:
            epmd = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1", "-relaxed_command_check"]
            self._epmd = self._spawn("epmd", epmd)
        self._process = self._spawn("node", [str(_BIN / "rabbitmq-server")])
        deadline = time.monotonic() + _START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the RabbitMQ node did not start:\n{self.log()}")
            time.sleep(0.05)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                command, env=self._environment, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
        (self.directory / f"{name}.pid").write_text(f"{process.pid}\n")
        return process

    def _listens(self) -> bool:
        """Whether a broker answers on the plain, the TLS and the management port (the last to come up)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(2)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if not connection.recv(7):
                    return False
            for port in (self.tls_port, self.management_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    @property
    def pid(self) -> int:
        """Of the node itself, for other signals."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing is said to the clients, nothing is written to disk."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """A clean stop: the clients are told (connection.close 320), everything is written to disk."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        process = self._process
        assert process is not None
        (self.directory / "node.pid").unlink()
        process.send_signal(number)
        process.wait(60)
        self._process = None

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against the node (about a second and a half) and return what it printed."""
        done = subprocess.run(
            [str(_BIN / "rabbitmqctl"), "--quiet", *arguments], env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def management(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Call the management API, `path` as in `/api/queues`; the answer's JSON, None if it is empty."""
        request = Request(f"{self.management_url}{path}", method=method)
        request.add_header("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        with urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm, which blocks every connection that publishes."""
        self.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001" if on else "0.9")

    def sync(self) -> None:
        """Have on disk what was declared so far; otherwise a kill within a second of a declaration undoes it."""
        self.rabbitmqctl("eval", "mnesia:sync_log().")

    def log(self) -> str:
        """What the node has said, for a person who has to find out why it didn't start."""
        files = [*self.directory.glob("*.out"), *self.directory.glob("log/*.log")]
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def close(self) -> None:
        """End the node and remove its directory."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(60)
        for process in (self._process, self._epmd):
            if process is not None:
                process.wait(60)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def running_node() -> Iterator[RabbitNode]:
    """A started node, ended whatever happens."""
    node = RabbitNode()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitNode]:
    """A node for all tests that leave it as they found it."""
    with running_node() as running:
        yield running


@pytest.fixture(scope="module")
def own_rabbitmq() -> Iterator[RabbitNode]:
    """A node to be killed, stopped and frozen; running again whenever a test ends."""
    with running_node() as running:
        yield running


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def _make_certificates(directory: Path) -> None:
    """An authority, a certificate for localhost, and one for the client `guest`."""
    alternative = directory / "server.ext"
    alternative.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    plain = directory / "client.ext"
    plain.write_text("extendedKeyUsage=clientAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(directory, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
             "-subj", "/CN=evload test authority")  # fmt: skip
    for name, subject, extensions in (("server", "localhost", alternative), ("client", "guest", plain)):
        _openssl(directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        _openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", extensions.name)  # fmt: skip


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
