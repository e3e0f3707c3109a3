"""Connections to PostgreSQL by asyncpg, and its errors in words that say what to change."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..clients.web import reason_of
from ..errors import TargetError
from ..units import NS_PER_S, format_duration
from .database_url import shown_address
from .sql import split_query
from .sql_reader import Refusal, Rows
from .sql_rows import BadColumns

if TYPE_CHECKING:
    from .postgres import PostgresProbeConfig

_LEAST_MS: Final = 1


def load_asyncpg(kind: str) -> Any:
    """The SDK. Raises TargetError if it isn't there."""
    try:
        import asyncpg
    except ImportError as error:
        raise TargetError(f"kind {kind} needs asyncpg; pip install 'evload[postgres]'") from error
    return asyncpg


class PostgresDatabase:
    """The database of one probe."""

    def __init__(self, config: PostgresProbeConfig) -> None:
        self._sdk = load_asyncpg(config.kind)
        self._url = config.url
        self._query = "$1".join(split_query(config.query))
        self._limit_ns = config.statement_timeout
        self._settings = {
            "application_name": "evload",
            "default_transaction_read_only": "on",
            "statement_timeout": str(max(_LEAST_MS, config.statement_timeout * 1000 // NS_PER_S)),
        }
        self.where = shown_address(config.url)
        self.errors = connection_errors(self._sdk)

    async def connect(self) -> _PostgresConnection:
        """Connect and prepare the query."""
        connection = await self._sdk.connect(self._url, server_settings=self._settings)
        try:
            statement = await connection.prepare(self._query)
            for parameter in statement.get_parameters():
                if parameter.kind != "array":
                    raise BadColumns(f"the query takes :ids for one {parameter.name}; write = ANY(:ids)")
        except BaseException:
            connection.terminate()
            raise
        return _PostgresConnection(self._sdk, connection, statement)

    def explain(self, error: Exception) -> Refusal:
        """See `Database`."""
        sdk = self._sdk
        message = message_of(error)
        if isinstance(error, sdk.QueryCanceledError) and "timeout" in message:
            reason = f"statement timeout: the query took longer than {format_duration(self._limit_ns)}"
            return Refusal(reason, "add an index on the column that holds the id, or raise statement_timeout")
        if isinstance(error, sdk.InsufficientPrivilegeError):
            return Refusal(message, "grant it to the user in url, such as GRANT SELECT ON the table")
        if isinstance(error, sdk.ReadOnlySQLTransactionError):
            return Refusal(f"the query writes: {message}", "write a SELECT that only reads")
        if isinstance(error, sdk.SyntaxOrAccessError):
            return Refusal(f"the query is wrong: {message}", "correct query")
        if isinstance(error, sdk.DataError) and message.startswith("invalid input for query argument"):
            return Refusal("the ids can't be compared with that column", "write id::text = ANY(:ids)")
        return explain_connection(sdk, error)


class _PostgresConnection:
    def __init__(self, sdk: Any, connection: Any, statement: Any) -> None:
        self._outdated = (sdk.InvalidCachedStatementError, sdk.InvalidSQLStatementNameError)
        self._connection = connection
        self._statement = statement
        self._columns = tuple(attribute.name for attribute in statement.get_attributes())

    @property
    def usable(self) -> bool:
        return not self._connection.is_closed()

    async def ask(self, ids: Sequence[str]) -> Rows:
        try:
            return Rows(self._columns, await self._statement.fetch(ids))
        except self._outdated:
            # The table was altered: only a new connection prepares the query anew.
            self._connection.terminate()
            raise

    def drop(self) -> None:
        self._connection.terminate()


def connection_errors(sdk: Any) -> tuple[type[Exception], ...]:
    """What asyncpg raises when it can't connect, or be answered."""
    return (sdk.PostgresError, sdk.InterfaceError, sdk.InternalClientError, OSError)


def explain_connection(sdk: Any, error: Exception) -> Refusal:
    """Why a connection can't be had, or was lost."""
    message = message_of(error)
    if isinstance(error, sdk.InvalidAuthorizationSpecificationError):
        return Refusal(f"login refused: {message}", "correct user and password in url")
    if isinstance(error, sdk.InvalidCatalogNameError):
        return Refusal(message, "create it, or correct the database's name in url")
    if isinstance(error, sdk.TooManyConnectionsError):
        return Refusal(f"pool exhausted: {message}", "lower pool, or raise the database's own limit")
    if isinstance(error, sdk.ClientConfigurationError):
        return Refusal(f"url can't be used: {message}", "correct url")
    if isinstance(error, sdk.CannotConnectNowError):
        return Refusal(message, "wait until it accepts connections")
    if isinstance(error, ssl.SSLError):
        return Refusal(reason_of(error), "correct sslmode and sslrootcert in url")
    if "rejected SSL" in message:
        return Refusal("the server doesn't speak TLS", "switch TLS on there, or leave sslmode out of url")
    if isinstance(error, OSError) and not isinstance(error, sdk.PostgresError):
        return Refusal(f"can't connect: {_reason(error)}", "start the database, or correct url")
    if isinstance(error, sdk.ConnectionDoesNotExistError | sdk.AdminShutdownError | sdk.CrashShutdownError):
        return Refusal("connection lost", "see the database's log")
    if isinstance(error, sdk.InternalClientError) or (isinstance(error, sdk.InterfaceError) and "clos" in message):
        # asyncpg loses its place when the server hangs up in the middle of something.
        return Refusal("connection lost", "see the database's log")
    return Refusal(message, "see the database's log")


def message_of(error: Exception) -> str:
    """What the server or the SDK said, in one line, without the details that differ from one time to the next."""
    return " ".join(str(getattr(error, "message", None) or error).split()).rstrip(".") or type(error).__name__


def _reason(error: OSError) -> str:
    """asyncpg joins the errors of all addresses into one without a number."""
    grouped: Sequence[Exception] = getattr(error, "exceptions", ())
    return reason_of(grouped[0] if grouped else error)
