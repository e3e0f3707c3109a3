"""Asks a PostgreSQL database about many events at a time: settings of the PostgreSQL probe."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..ports import Probe, Surroundings
from .database_url import PostgresUrl
from .sql import SqlSettings


class PostgresProbeConfig(SqlSettings):
    """Settings of the PostgreSQL probe.

    `:ids` is an array of text or of uuid, whatever it is compared with: `WHERE correlation_id = ANY(:ids)`. Every
    query is a read-only transaction of its own, and the server ends it at `statement_timeout`. TLS is asked for
    in the address, with `sslmode` and `sslrootcert` as in libpq.
    """

    asks_with: ClassVar[str] = "= ANY(:ids)"

    kind: Literal["postgres"]
    url: Annotated[
        PostgresUrl, Field(description="address, such as postgresql://reader@localhost/shop?sslmode=require")
    ]

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .postgres_connection import PostgresDatabase
        from .sql_reader import reading

        return reading(self, PostgresDatabase(self), surroundings)
