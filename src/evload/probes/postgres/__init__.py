"""Asks a PostgreSQL database about many events at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from ...spi.context import Surroundings
from ...spi.probe import Elsewhere, Probe
from .settings import PostgresProbeSettings

_OTHERS: Final = """
    SELECT datname::text AS id FROM pg_database
    WHERE datallowconn AND NOT datistemplate AND datname <> current_database() AND datname::text <> ALL(:ids)
    ORDER BY datname
"""


class PostgresProbeConfig(PostgresProbeSettings):
    """Settings of the PostgreSQL probe.

    `:ids` is an array of text or of uuid, whatever it is compared with: `WHERE correlation_id = ANY(:ids)`. Every
    query is a read-only transaction of its own, and the server ends it at `statement_timeout`. TLS is asked for
    in the address, with `sslmode` and `sslrootcert` as in libpq, and then the certificate is checked: with
    `sslmode=require` and no `sslrootcert` against the authorities of the system.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .._shared.sql_reader import reading
        from .connection import PostgresDatabase

        return reading(self, PostgresDatabase(self, surroundings), surroundings)

    async def elsewhere(self, surroundings: Surroundings) -> AsyncIterator[Elsewhere]:
        """The other databases of the server."""
        from .._shared.other_databases import other_databases, with_database
        from .connection import PostgresDatabase

        asks_for_names = self.model_copy(update={"query": _OTHERS})
        for name in await other_databases(PostgresDatabase(asks_for_names, surroundings), [""]):
            there = self.model_copy(update={"url": with_database(self.url, name)})
            yield Elsewhere(f"in the database {name!r} of the same server", there, "name that database in url")
