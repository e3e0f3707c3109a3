"""Other databases of a server, in which rows may be that a probe looks for in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ...errors import TargetError
from .sql_reader import Database
from .sql_rows import BadColumns

_MOST: Final = 20
_PATIENCE_S: Final = 10.0
_NAMING: Final = frozenset({"database", "dbname"})
"""Parameters of an address that go before what stands in its path."""


async def other_databases(database: Database, known: Sequence[str]) -> list[str]:
    """The names that the query of `database` answers, which is asked with those that are `known`.

    Raises TargetError.
    """
    errors: tuple[type[Exception], ...] = (BadColumns, TimeoutError, *database.errors)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            connection = await database.connect()
            try:
                rows = (await connection.ask(known)).rows
            finally:
                connection.drop()
    except errors as error:
        raise TargetError(f"can't ask {database.where} for its databases: {error}; name one in url") from error
    return [str(row[0]) for row in rows if str(row[0]) not in known][:_MOST]


def database_in(url: str) -> str:
    """The database that an address names; empty if it names none."""
    parts = urlsplit(url)
    named = [value for name, value in parse_qsl(parts.query) if name in _NAMING]
    return named[-1] if named else parts.path.lstrip("/")


def with_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key not in _NAMING]
    return parts._replace(
        path=f"/{quote(name, safe='')}", query=urlencode(query, quote_via=quote, safe="/,")
    ).geturl()
