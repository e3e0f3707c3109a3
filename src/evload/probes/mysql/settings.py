"""Settings of the MySQL probe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...clients.databases import reach_of_database
from ...clients.mysql_url import MysqlUrl
from ...spi.guard import Reach
from .._shared.sql_settings import SqlSettings


class MysqlProbeSettings(SqlSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    live: ClassVar[frozenset[str]] = frozenset({"url"})

    kind: Literal["mysql"]
    url: Annotated[MysqlUrl, Field(description="address, such as mysql://reader@localhost/shop?ssl-mode=REQUIRED")]
    verify: Annotated[bool, Field(description="check the server's certificate where TLS is asked for")] = True

    @property
    def reach(self) -> Reach:
        return reach_of_database(self.url)
