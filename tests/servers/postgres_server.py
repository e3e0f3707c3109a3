"""A private PostgreSQL server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
import pytest

from tests.servers.private_server import PrivateServer, program

_PLACE: Final = "usr/lib/postgresql/*/bin/{}"
_CONF: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 100
"""


class PostgresServer(PrivateServer):
    """One server. `owner` may do all, without a password; `url(user)` is the address for others."""

    def __init__(self) -> None:
        super().__init__("postgres")
        initdb = program("initdb", "postgresql", _PLACE.format("initdb"))
        self._postgres = program("postgres", "postgresql", _PLACE.format("postgres"))
        self._data = self.directory / "data"
        self.run([
            initdb, "--pgdata", self._data, "--username", "owner", "--auth", "trust", "--no-sync", "--encoding",
            "UTF8", "--locale", "C", "--no-instructions",
        ])  # fmt: skip
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(_CONF)
        self.ca_file = self.self_signed()
        # The owner is trusted, everybody else has a password.
        (self._data / "pg_hba.conf").write_text(
            "host all owner 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.owner = f"postgresql://owner@127.0.0.1:{self.port}/postgres"

    def url(self, user: str, password: str) -> str:
        """The address for that user."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/postgres"

    def start(self, *, tls: bool = False) -> None:
        """Start it, again after a kill; with TLS its certificate is for localhost and signed by itself, `ca_file`."""
        files = [f"ssl_cert_file={self.ca_file}", f"ssl_key_file={self.directory}/server.key", "ssl=on"]
        options = [word for file in files for word in ("-c", file)] if tls else []
        self.spawn([self._postgres, "-D", self._data, "-p", str(self.port), *options], self._answers)

    def kill(self) -> None:
        """Cut all connections at once, as a crash does."""
        self.end(signal.SIGQUIT)

    def close(self) -> None:
        self.kill()
        super().close()

    def execute(self, sql: str) -> None:
        """Run statements as the owner."""
        asyncio.run(self._execute(sql))

    async def _execute(self, sql: str) -> None:
        connection: Any = await asyncpg.connect(self.owner)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A started server, ended whatever happens."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server for the tests of one file, which leave it running."""
    with running_postgres() as server:
        yield server
