"""A private Redis server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.servers.private_server import PrivateServer, program


class RedisServer(PrivateServer):
    """One server. `client` is a blocking client of the SDK, for setting up and looking after."""

    def __init__(self) -> None:
        super().__init__("redis")
        self._program = program("redis-server", "redis-server")
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)

    def start(self, **more: object) -> None:
        """Start it, again after a kill, with what it saved. `more` are options of its own, with _ for each -."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, "save": "", "appendonly": "yes"}
        options |= {name.replace("_", "-"): value for name, value in more.items()}
        command: list[str] = [str(self._program)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.spawn(command, self._answers)

    def kill(self) -> None:
        """As a crash does."""
        self.end(signal.SIGKILL)

    def close(self) -> None:
        self.client.close()
        super().close()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A started server, ended whatever happens."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(name="redis", scope="module")
def _redis() -> Iterator[RedisServer]:
    """A server for the tests of one file, which leave it running."""
    with running_redis() as server:
        yield server
