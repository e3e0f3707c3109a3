"""Statements in PostgreSQL, by asyncpg."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any, Final

from ...clients.bounded import Allowance, TooLong
from ...clients.databases import shown_address
from ...clients.postgres import (
    bounded_of,
    connect,
    connection_errors,
    explain_connection,
    load_asyncpg,
    remark_on,
)
from ...spi.activity import as_text
from ...spi.context import Surroundings
from ...units import NS_PER_S
from .._shared.failing import Failed
from .database import MOST, Found
from .settings import SqlActivitySettings
from .statements import Statement

_BEFORE_NS: Final = NS_PER_S
"""The server ends a statement so much sooner than it is given up here, or a tenth of the time."""


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return bool(value)


_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), int),
    **dict.fromkeys(("float4", "float8"), float),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "json", "jsonb"), as_text),
    "numeric": lambda value: Decimal(str(value)),
    "bool": _boolean,
    "date": lambda value: date.fromisoformat(str(value)),
    "time": lambda value: time.fromisoformat(str(value)),
    "timestamp": lambda value: datetime.fromisoformat(str(value)),
    "timestamptz": lambda value: datetime.fromisoformat(str(value)),
}
"""What asyncpg wants for a parameter of a type, made of what an answer had. Of others it is given what there is."""


class PostgresDatabase:
    """The database of one activity."""

    def __init__(self, config: SqlActivitySettings, surroundings: Surroundings) -> None:
        """Raises TargetError if the driver isn't there."""
        self._sdk = load_asyncpg("sql")
        self._verify = config.verify
        self._remark = surroundings.remark
        self._address = partial(surroundings.filled, config.on, quoted=True)
        self._where = shown_address(config.on)
        self._limit_ns = config.timeout - min(_BEFORE_NS, config.timeout // 10)
        self.errors = connection_errors(self._sdk)

    async def connect(self) -> _Connection:
        """See `Database`."""
        limit_ms = max(1, self._limit_ns * 1000 // NS_PER_S)
        connection = await connect(
            self._sdk, self._address(), {"statement_timeout": str(limit_ms)}, Allowance(MOST), verify=self._verify
        )
        remark_on(connection, self._where, self._remark)
        return _Connection(connection)

    def explain(self, error: Exception) -> str:
        """See `Database`."""
        return str(error) if isinstance(error, TooLong) else explain_connection(self._sdk, error).reason

    def refused(self, error: Exception) -> bool:
        """See `Database`."""
        sdk = self._sdk
        cut = (sdk.AdminShutdownError, sdk.CrashShutdownError, sdk.PostgresConnectionError)
        return isinstance(error, sdk.PostgresError) and not isinstance(error, cut)


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def do(self, statement: Statement, values: Sequence[Any]) -> Found:
        parts = statement.parts
        text = "".join(part + (f"${number}" if number < len(parts) else "") for number, part in enumerate(parts, 1))
        with bounded_of(self._connection).answer():
            prepared = await self._connection.prepare(text)
        arguments = []
        for name, value, parameter in zip(statement.names, values, prepared.get_parameters(), strict=True):
            try:
                arguments.append(_TYPES.get(parameter.name, lambda value: value)(value))
            except (TypeError, ValueError, ArithmeticError):
                raise Failed(
                    f"{{{name}}} is {as_text(value)[:80]!r}, and the database wants {parameter.name}"
                ) from None
        with bounded_of(self._connection).answer():
            rows = await prepared.fetch(*arguments)
        columns = [attribute.name for attribute in prepared.get_attributes()]
        return Found(columns, tuple(rows[0]) if rows else None)

    def drop(self) -> None:
        self._connection.terminate()
