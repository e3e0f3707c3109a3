"""Statements in MySQL and MariaDB, by aiomysql."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from ...clients.bounded import Allowance
from ...clients.mysql import MysqlServer, number_and_message
from ...spi.activity import as_text
from ...spi.context import Surroundings
from .database import MOST, Found
from .settings import SqlActivitySettings
from .statements import Statement

_OF_CLIENTS: Final = range(2000, 3000)
_CUT: Final = (1053, 1927)
"""Numbers of a server that goes, or ends the connection."""


class MysqlDatabase:
    """The database of one activity."""

    def __init__(self, config: SqlActivitySettings, surroundings: Surroundings) -> None:
        """Raises TargetError if the driver isn't there, or a file in the address is no use."""
        self._server = MysqlServer(
            config.on, partial(surroundings.filled, config.on, quoted=True), Allowance(MOST),
            surroundings.base_dir, verify=config.verify, remark=surroundings.remark, needs="sql on mysql",
        )  # fmt: skip
        self._limit_ns = config.timeout
        self.errors = self._server.errors

    async def connect(self) -> _Connection:
        """See `Database`."""
        return _Connection(await self._server.connect(limit_ns=self._limit_ns))

    def explain(self, error: Exception) -> str:
        """See `Database`."""
        return self._server.explain(error).reason

    def refused(self, error: Exception) -> bool:
        """See `Database`."""
        number, _ = number_and_message(error)
        return number is not None and number not in _OF_CLIENTS and number not in _CUT


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def do(self, statement: Statement, values: Sequence[Any]) -> Found:
        # The protocol's parameters are beyond the driver: it escapes a value as the connection's character set and
        # mode want it.
        first, *parts = statement.parts
        pairs = zip(values, parts, strict=True)
        text = first + "".join(f"{self._connection.escape(_plain(value))}{part}" for value, part in pairs)
        async with self._connection.cursor() as cursor:
            with self._connection.bounded.answer():
                await cursor.execute(text)
            rows = await cursor.fetchall() if cursor.description else ()
            return Found(tuple(column[0] for column in cursor.description or ()), rows[0] if rows else None)

    def drop(self) -> None:
        self._connection.close()


def _plain(value: Any) -> Any:
    return as_text(value) if isinstance(value, list | dict) else value
