"""Settings of the PostgreSQL probe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...clients.postgres_url import PostgresUrl, reach_of_postgres
from ...spi.guard import Reach
from .._shared.sql_settings import SqlSettings


class PostgresProbeSettings(SqlSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    asks_with: ClassVar[str] = "= ANY(:ids)"
    live: ClassVar[frozenset[str]] = frozenset({"url"})

    kind: Literal["postgres"]
    url: Annotated[
        PostgresUrl, Field(description="address, such as postgresql://reader@localhost/shop?sslmode=require")
    ]
    verify: Annotated[bool, Field(description="check the server's certificate where TLS is asked for")] = True

    @property
    def reach(self) -> Reach:
        return reach_of_postgres(self.url)
