"""Settings of the MySQL probe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import parse_qsl

from pydantic import Field, field_validator

from ...texts import near
from .._shared.database_url import parse_database_url
from .._shared.sql_settings import SqlSettings

TLS_MODES: Final = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
PARAMETERS: Final = ("ssl-mode", "ssl-ca", "socket")


class MysqlProbeSettings(SqlSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    live: ClassVar[frozenset[str]] = frozenset({"url"})

    kind: Literal["mysql"]
    url: Annotated[str, Field(description="address, such as mysql://reader@localhost/shop?ssl-mode=REQUIRED")]
    verify: Annotated[bool, Field(description="check the server's certificate where TLS is asked for")] = True

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, text: str) -> str:
        url = parse_database_url(text, ("mysql", "mariadb"), "mysql://reader@localhost/shop")
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        for name in parameters:
            if name not in PARAMETERS:
                close = near(name, PARAMETERS)
                cure = f"did you mean {close[0]}?" if close else f"known: {', '.join(PARAMETERS)}"
                raise ValueError(f"url has the unknown parameter {name!r}; {cure}")
        mode = parameters.get("ssl-mode", TLS_MODES[0])
        if mode not in TLS_MODES:
            raise ValueError(f"{mode!r} is no ssl-mode; write one of {', '.join(TLS_MODES)}")
        if "ssl-ca" in parameters and mode == TLS_MODES[0]:
            raise ValueError(f"ssl-ca is of no use with ssl-mode {mode}; write ssl-mode=VERIFY_IDENTITY")
        return text
