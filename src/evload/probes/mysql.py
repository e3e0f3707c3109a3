"""Asks a MySQL or MariaDB database about many events at a time: settings of the MySQL probe."""

from __future__ import annotations

import difflib
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl

from pydantic import Field, field_validator

from ..ports import Probe, Surroundings
from .database_url import parse_database_url
from .sql import SqlSettings

TLS_MODES: Final = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
PARAMETERS: Final = ("ssl-mode", "ssl-ca", "socket")


class MysqlProbeConfig(SqlSettings):
    """Settings of the MySQL probe.

    `:ids` is a list, as in `WHERE correlation_id IN (:ids)`. Every query is a read-only transaction of its own,
    and the server ends it at `statement_timeout`. The address takes the parameters `ssl-mode` (DISABLED, which
    is the default, REQUIRED, VERIFY_CA or VERIFY_IDENTITY), `ssl-ca` and `socket` as the server's own client does.
    """

    kind: Literal["mysql"]
    url: Annotated[str, Field(description="address, such as mysql://reader@localhost/shop?ssl-mode=REQUIRED")]

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, text: str) -> str:
        url = parse_database_url(text, ("mysql", "mariadb"), "mysql://reader@localhost/shop")
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        for name in parameters:
            if name not in PARAMETERS:
                close = difflib.get_close_matches(name, PARAMETERS, n=1)
                cure = f"did you mean {close[0]}?" if close else f"known: {', '.join(PARAMETERS)}"
                raise ValueError(f"url has the unknown parameter {name!r}; {cure}")
        mode = parameters.get("ssl-mode", TLS_MODES[0])
        if mode not in TLS_MODES:
            raise ValueError(f"{mode!r} is no ssl-mode; write one of {', '.join(TLS_MODES)}")
        if "ssl-ca" in parameters and not mode.startswith("VERIFY"):
            raise ValueError(f"ssl-ca is of no use with ssl-mode {mode}; write ssl-mode=VERIFY_IDENTITY")
        return text

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Connect and ask once, yield the probe, disconnect. Raises TargetError."""
        from .mysql_connection import MysqlDatabase
        from .sql_reader import reading

        return reading(self, MysqlDatabase(self, surroundings.base_dir), surroundings)
