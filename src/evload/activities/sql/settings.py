"""Settings of what is done by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from urllib.parse import unquote

from pydantic import Field, TypeAdapter, field_validator, model_validator

from ...clients.databases import reach_of_database, shown_address
from ...clients.mysql_url import MysqlUrl
from ...clients.postgres_url import PostgresUrl, reach_of_postgres
from ...spi.activity import ActivitySettings
from ...spi.guard import NOBODY, Reach
from ...spi.secrets import is_in_login, names_in
from ...texts import near
from .._shared.capturing import CapturedName
from .statements import Statement, parse_statement

_SHOWN: Final = 60
_SQLITE: Final = "sqlite://"
_POSTGRES: Final = TypeAdapter(PostgresUrl)
_MYSQL: Final = TypeAdapter(MysqlUrl)
_SCHEMES: Final[Mapping[str, Literal["postgres", "mysql", "sqlite"]]] = {
    "postgresql": "postgres", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite",
}  # fmt: skip
_EXAMPLES: Final = "postgresql://user@host/shop, mysql://user@host/shop or sqlite:///shop.db"


class SqlActivitySettings(ActivitySettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    live: ClassVar = frozenset({"on"})

    sql: Annotated[str | tuple[str, ...], Field(description="a statement, or a list of them, done one by one")]
    on: Annotated[str, Field(description="address of the database: postgresql://…, mysql://… or sqlite:///file.db")]
    capture: Annotated[
        Mapping[CapturedName, str], Field(description="values of the last statement's first row: name to column")
    ] = {}
    verify: Annotated[bool, Field(description="check the server's certificate where TLS is asked for")] = True

    @field_validator("on")
    @classmethod
    def _address_can_be_used(cls, text: str) -> str:
        scheme, separator, rest = text.partition("://")
        if scheme not in _SCHEMES or not separator:
            close = near(scheme, _SCHEMES) if separator else []
            cure = f"did you mean {close[0]}://?" if close else f"write {_EXAMPLES}"
            raise ValueError(f"{shown_address(text)!r} is no address of a database that sql knows; {cure}")
        if next(names_in(text), None) is not None and not is_in_login(text):
            raise ValueError("a secret can stand in the login of an address alone; write {secrets.NAME} before the @")
        if _SCHEMES[scheme] == "sqlite":
            if not rest.strip("/") or not rest.startswith("/"):
                raise ValueError(f"{text!r} names no file; write sqlite:///shop.db, or sqlite:////var/lib/shop.db")
            return text
        return (_POSTGRES if _SCHEMES[scheme] == "postgres" else _MYSQL).validate_python(text)

    @model_validator(mode="after")
    def _statements_can_be_sent(self) -> Self:
        if not self.sql:
            raise ValueError("sql is empty; write a statement such as UPDATE flags SET slow = true")
        self.statements()
        return self

    def statements(self) -> Sequence[Statement]:
        """What is done, in its order."""
        texts = (self.sql,) if isinstance(self.sql, str) else self.sql
        return [parse_statement(text, mysql=self.database == "mysql") for text in texts]

    @property
    def database(self) -> Literal["postgres", "mysql", "sqlite"]:
        """What is spoken at the address."""
        return _SCHEMES[self.on.partition("://")[0]]

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return Path(unquote(self.on.removeprefix(_SQLITE)[1:]))

    @property
    def reach(self) -> Reach:
        if self.database == "sqlite":
            return NOBODY
        return reach_of_postgres(self.on) if self.database == "postgres" else reach_of_database(self.on)

    @property
    def title(self) -> str:
        text = " ".join((self.sql if isinstance(self.sql, str) else "; ".join(self.sql)).split())
        return f"sql: {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'} on {shown_address(self.on)}"

    @property
    def captured_names(self) -> Sequence[str]:
        return tuple(self.capture)
