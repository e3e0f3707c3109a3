"""Asks a PostgreSQL database about many events at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import Probe
from .settings import PostgresProbeSettings


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

        return reading(self, PostgresDatabase(self, surroundings.remark), surroundings)
