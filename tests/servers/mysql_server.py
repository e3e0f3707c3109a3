"""A private MariaDB server."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import pymysql
import pytest

from tests.servers.private_server import PrivateServer, program

_PACKAGE: Final = "mariadb-server"


class MysqlServer(PrivateServer):
    """One server. `owner` may do all, without a password; `url(user, password)` is the address for others."""

    def __init__(self) -> None:
        super().__init__("mariadb")
        self._program = program("mariadbd", _PACKAGE, "usr/sbin/mariadbd")
        install = program("mariadb-install-db", _PACKAGE)
        self._data = self.directory / "data"
        self.run([
            install, "--no-defaults", f"--datadir={self._data}", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
        ])  # fmt: skip
        self.ca_file = self.self_signed()
        self.owner = f"mysql://root@127.0.0.1:{self.port}/shop"

    def url(self, user: str, password: str) -> str:
        """The address for that user."""
        return f"mysql://{user}:{password}@127.0.0.1:{self.port}/shop"

    def start(self, *, tls: bool = False) -> None:
        """Start it, again after a kill; with TLS its certificate is for localhost and signed by itself, `ca_file`."""
        certificate = [f"--ssl-cert={self.ca_file}", f"--ssl-key={self.directory}/server.key"] if tls else []
        self.spawn(
            [
                self._program, "--no-defaults", f"--datadir={self._data}", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--socket={self.directory}/socket",
                f"--pid-file={self.directory}/own-pid", "--innodb-flush-log-at-trx-commit=2",
                "--innodb-buffer-pool-size=16M", "--skip-name-resolve", *certificate,
            ],
            self._answers,
        )  # fmt: skip

    def kill(self) -> None:
        """As a crash does."""
        self.end(signal.SIGKILL)

    def connect(self) -> Any:
        """A blocking connection of the owner's."""
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        """Run statements as the owner; the rows of the last one."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True


@contextmanager
def running_mysql() -> Iterator[MysqlServer]:
    """A started server, ended whatever happens."""
    server = MysqlServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def mysql() -> Iterator[MysqlServer]:
    """A server for the tests of one file, which leave it running."""
    with running_mysql() as server:
        yield server
