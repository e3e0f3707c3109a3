"""What the two PostgreSQL probes share: the driver, and what its errors mean."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from ...clients.web import reason_of
from ...errors import TargetError
from .sql_reader import Refusal


def load_asyncpg(kind: str) -> Any:
    """The SDK. Raises TargetError if it isn't there."""
    try:
        import asyncpg
    except ImportError as error:
        raise TargetError(f"kind {kind} needs asyncpg; pip install 'evload[postgres]'") from error
    return asyncpg


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
