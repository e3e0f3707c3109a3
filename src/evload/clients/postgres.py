"""Connections to PostgreSQL by asyncpg, and what its errors mean."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from ..errors import TargetError
from .bounded import Allowance, Bounded, BoundedLoop, TooLong
from .databases import Refusal
from .postgres_url import parse_postgres_url
from .web import reason_of, tls_context

CONNECT_S: Final = 60.0
"""Longest time to connect, if the address doesn't say."""
_LOGIN: Final = 1 << 16
"""Most that may come until a connection is let in, in bytes, and by far more than a database has to say."""
TLS_MODES: Final = ("require", "verify-ca", "verify-full")
"""The values of `sslmode` by which TLS is asked for; by all others it is taken if it is to be had."""
_NO_POSTGRES: Final = "name a PostgreSQL in url"
_FILES: Final = Path("~/.postgresql")
"""Where libpq looks for authorities, and for a certificate to log in with."""


def load_asyncpg(kind: str) -> Any:
    """The SDK. Raises TargetError if it isn't there."""
    try:
        import asyncpg
    except ImportError as error:
        raise TargetError(f"kind {kind} needs asyncpg; pip install 'evload[postgres]'") from error
    return asyncpg


class NotConnected(Exception):
    """What the address asks for can't be had; the text is why, `cure` what would be right."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


async def connect(
    sdk: Any,
    url: str,
    settings: Mapping[str, str],
    allowance: Allowance,
    *,
    verify: bool,
    reads_only: bool = False,
    timeout_s: float = CONNECT_S,
) -> Any:
    """A connection with these settings of the session. Raises one of `connection_errors`.

    `allowance` is what may come once it is let in.
    The address may say how long it may take to connect, but nothing that `settings` has. `verify` is whether to check
    a certificate where TLS is asked for.
    """
    address = parse_postgres_url(url)
    wanted = address.target_session_attrs
    # Of a session that only reads, asyncpg would say that its host only reads.
    afterwards = reads_only and wanted in ("read-write", "read-only")
    begins_with = {**address.server_settings, **settings}
    if reads_only and not afterwards:
        begins_with["default_transaction_read_only"] = "on"
    more = {} if wanted is None else {"target_session_attrs": wanted}
    loop = BoundedLoop(Allowance(_LOGIN))
    try:
        with loop.connecting():
            connection = await sdk.connect(
                address.dsn,
                timeout=address.timeout_s or timeout_s,
                server_settings=begins_with,
                ssl=tls_for(url, verify),
                loop=loop,
                **more,
            )
    except TooLong:
        raise NotConnected(f"more than {_LOGIN} bytes came in place of a login", _NO_POSTGRES) from None
    except (sdk.UndefinedObjectError, sdk.CantChangeRuntimeParamError, sdk.InvalidParameterValueError) as error:
        raise NotConnected(message_of(error), "correct the parameters in url, or leave that one out") from error
    except sdk.TargetServerAttributeNotMatched as error:
        reason = f"no host in url is what target_session_attrs={wanted} asks for"
        raise NotConnected(reason, "correct one of them") from error
    except TimeoutError as error:
        if address.timeout_s is None or error.errno:
            raise
        reason = f"no connection within {address.timeout_s:g} s, the connect_timeout in url"
        raise NotConnected(reason, "start the database, or correct url") from error
    except ConnectionError as error:
        if _told(url, "sslmode") in TLS_MODES or "rejected SSL" not in str(error):
            raise
        raise NotConnected("what answers there isn't PostgreSQL", _NO_POSTGRES) from error
    # It asks whether a task is the loop's own.
    connection._loop = asyncio.get_running_loop()
    bounded_of(connection).settled(allowance)
    if afterwards:
        try:
            with bounded_of(connection).answer():
                await connection.execute("SET default_transaction_read_only = on")
        except BaseException:
            connection.terminate()
            raise
    return connection


def bounded_of(connection: Any) -> Bounded:
    """What stands before a connection that `connect` has made."""
    return cast(Bounded, connection._transport.bounded)


def tls_for(url: str, verify: bool) -> ssl.SSLContext | None:
    """How to speak TLS where an address asks for it and asyncpg, like libpq, would take any certificate.

    None where it does as it should, or TLS isn't asked for. `sslmode=require` checks the certificate against the
    authorities that `sslrootcert` names, as libpq does where there are some, and else against those of the system,
    the host's name included. Raises OSError for a file that is of no use.
    """
    mode = _told(url, "sslmode")
    files = _FILES.expanduser()
    if mode not in TLS_MODES or (
        verify and (mode != "require" or _told(url, "sslrootcert") or (files / "root.crt").exists())
    ):
        return None
    context = tls_context(None, verify)
    own = {name: path for name in ("crt", "key") if (path := files / f"postgresql.{name}").exists()}
    certificate, key = _told(url, "sslcert") or own.get("crt"), _told(url, "sslkey") or own.get("key")
    if certificate is not None:
        context.load_cert_chain(certificate, key, password=_parameters(url).get("sslpassword", ""))
    return context


def _told(url: str, name: str) -> str | None:
    """What an address says of that, or else the environment."""
    return _parameters(url).get(name) or os.environ.get(f"PG{name.upper()}")


def _parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def remark_on(connection: Any, where: str, remark: Callable[[str], None]) -> None:
    """Say that a connection isn't encrypted, or nobody checks to whom, unless it stays on this machine by a socket of
    its own."""
    if isinstance(connection._addr, str):
        return
    tls = connection._transport.get_extra_info("ssl_object")
    if tls is None:
        remark(f"the connection to {where} isn't encrypted")
    elif tls.context.verify_mode is ssl.CERT_NONE:
        remark(f"nobody checks the certificate of {where}")


def connection_errors(sdk: Any) -> tuple[type[Exception], ...]:
    """What asyncpg raises when it can't connect, or be answered."""
    return (sdk.PostgresError, sdk.InterfaceError, sdk.InternalClientError, NotConnected, OSError)


def explain_connection(sdk: Any, error: Exception) -> Refusal:
    """Why a connection can't be had, or was lost."""
    message = message_of(error)
    if isinstance(error, NotConnected):
        return Refusal(message, error.cure)
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
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refusal(reason_of(error), "name the authority in sslrootcert in url, or write verify: false")
    if isinstance(error, ssl.SSLError):
        return Refusal(reason_of(error), "correct sslmode and the files in url")
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
