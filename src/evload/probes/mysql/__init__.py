"""Asks a MySQL or MariaDB database about many events at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from ...spi.context import Surroundings
from ...spi.probe import Elsewhere, Probe
from .settings import MysqlProbeSettings

_OTHERS: Final = (
    "SELECT schema_name AS id FROM information_schema.schemata WHERE schema_name NOT IN (:ids) ORDER BY schema_name"
)
_SYSTEM: Final = ("information_schema", "mysql", "performance_schema", "sys")


class MysqlProbeConfig(MysqlProbeSettings):
    """Settings of the MySQL probe.

    `:ids` is a list, as in `WHERE correlation_id IN (:ids)`. Every query is a read-only transaction of its own,
    and the server ends it at `statement_timeout`. The address takes the parameters `ssl-mode` (DISABLED, which
    is the default, REQUIRED, VERIFY_CA or VERIFY_IDENTITY), `ssl-ca` and `socket` as the server's own client does.
    But where TLS is asked for the certificate is checked: with REQUIRED and no `ssl-ca` against the authorities of
    the system.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .._shared.sql_reader import reading
        from .connection import MysqlDatabase

        return reading(self, MysqlDatabase(self, surroundings), surroundings)

    async def elsewhere(self, surroundings: Surroundings) -> AsyncIterator[Elsewhere]:
        """The other databases of the server."""
        from .._shared.other_databases import database_in, other_databases, with_database
        from .connection import MysqlDatabase

        asks_for_names = self.model_copy(update={"query": _OTHERS})
        database = MysqlDatabase(asks_for_names, surroundings)
        for name in await other_databases(database, [*_SYSTEM, database_in(self.url)]):
            there = self.model_copy(update={"url": with_database(self.url, name)})
            yield Elsewhere(f"in the database {name!r} of the same server", there, "name that database in url")
