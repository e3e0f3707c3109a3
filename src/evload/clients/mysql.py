"""Connections to MySQL and MariaDB by aiomysql, and what their errors mean."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import TargetError
from ..units import NS_PER_S
from .bounded import CURE, Allowance, Bounded, TooLong
from .databases import Refusal, shown_address
from .web import reason_of, tls_context

_PORT: Final = 3306
_MOST_COLUMNS: Final = 4096
"""More than this a table can't have."""
_NOT_GRANTED: Final = (1142, 1143, 1227, 1370)
_LOGIN_REFUSED: Final = (1044, 1045, 1698)
_NO_DATABASE: Final = 1049
_TOO_MANY: Final = (1040, 1203, 1226)
_LOST: Final = (1053, 1927, 2006, 2013)
_UNREACHABLE: Final = (2002, 2003)


class _NoTlsError(ConnectionError):
    """TLS was asked for, and the server has none."""


class MysqlServer:
    """The server at an address, of which `connect` raises one of `errors`.

    with_login  gives the address with the login of the moment
    allowance   what the answers under way may have together
    remark      takes what whoever reads the results should know of a connection
    needs       who needs the driver, where it isn't there
    """

    def __init__(
        self,
        url: str,
        with_login: Callable[[], str],
        allowance: Allowance,
        base_dir: Path,
        *,
        verify: bool,
        remark: Callable[[str], None],
        needs: str,
    ) -> None:
        """Raises TargetError where the driver isn't there, or a file in the address is no use."""
        try:
            import aiomysql
            import pymysql
        except ImportError as error:
            raise TargetError(f"{needs} needs aiomysql; pip install 'evload[mysql]'") from error

        class BoundedConnection(aiomysql.Connection):  # type: ignore[misc, unused-ignore]
            """From the server's first word on."""

            columns = 0

            async def _get_server_information(self) -> None:
                self.bounded = Bounded(self._writer.transport, allowance)
                await super()._get_server_information()

            async def _read_packet(self, *kind: Any) -> Any:
                # Nothing else has a kind of its own than what describes a column.
                self.columns = self.columns + 1 if kind else 0
                if self.columns > _MOST_COLUMNS:
                    self.close()
                    raise TooLong(f"an answer has more than {_MOST_COLUMNS} columns")
                return await super()._read_packet(*kind)

            async def _connect(self) -> None:
                await super()._connect()
                self.bounded.settled()
                if self._ssl_context is not None:
                    # TLS goes over a transport of its own.
                    self.bounded = Bounded(self._writer.transport, allowance)

        self._connection_of = BoundedConnection
        self._with_login = with_login
        self._remark = remark
        self.where = shown_address(url)
        self.errors: tuple[type[Exception], ...] = (pymysql.MySQLError, RuntimeError, OSError)
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query))
        self._options: dict[str, Any] = {
            "host": parts.hostname or "localhost",
            "port": parts.port or _PORT,
            "db": unquote(parts.path.lstrip("/")) or None,
            "unix_socket": parameters.get("socket"),
            "ssl": _tls(parameters, base_dir, verify),
        }

    async def connect(self, *, limit_ns: int, session: Sequence[str] = ()) -> Any:
        """A connection of the driver's, with `bounded` before it, whose server ends what takes longer than the limit
        (MySQL: what reads). `session` is what is set for it beside that."""
        url = urlsplit(self._with_login())
        user = unquote(url.username) if url.username else None
        # aiomysql sends a password as Latin-1; servers expect UTF-8.
        password = unquote(url.password or "").encode().decode("latin-1")
        connection = self._connection_of(
            **self._options, user=user, password=password, charset="utf8mb4", autocommit=True, program_name="evload"
        )
        await connection._connect()
        try:
            # aiomysql goes on in the clear if the server doesn't offer TLS.
            tls = self._options["ssl"]
            if tls is not None and not connection._secure:
                raise _NoTlsError
            if tls is not None and tls.verify_mode is ssl.CERT_NONE:
                self._remark(f"nobody checks the certificate of {self.where}")
            if tls is None and self._options["unix_socket"] is None:
                self._remark(f"the connection to {self.where} isn't encrypted")
            if "MariaDB" in connection.get_server_info():
                limit = f"max_statement_time = {limit_ns / NS_PER_S:.6f}"
            else:
                limit = f"max_execution_time = {max(1, limit_ns * 1000 // NS_PER_S)}"
            for command in (*session, limit):
                with connection.bounded.answer():
                    await connection.query(f"SET SESSION {command}")
        except BaseException:
            connection.close()
            raise
        return connection

    def explain(self, error: Exception) -> Refusal:
        """One of `errors`: why a connection can't be had, or was lost, or what the server said."""
        if isinstance(error, _NoTlsError):
            return Refusal("the server doesn't speak TLS", "switch TLS on there, or leave ssl-mode out of url")
        if isinstance(error, TooLong):
            return Refusal(str(error), CURE)
        number, message = number_and_message(error)
        if number in _NOT_GRANTED:
            return Refusal(f"permission denied: {message}", "grant it to the user in url")
        if number in _LOGIN_REFUSED:
            return Refusal(f"login refused: {message}", "correct user, password and database in url")
        if number in _TOO_MANY:
            return Refusal(f"pool exhausted: {message}", "lower pool, or raise the database's own limit")
        if number in _LOST or type(error).__name__ == "InterfaceError":
            return Refusal("connection lost", "see the database's log")
        if number == _NO_DATABASE:
            return Refusal(message, "create it, or correct the database's name in url")
        if message.startswith("TLS: certificate"):
            return Refusal(message, "name the authority in ssl-ca in url, or write verify: false")
        if number in _UNREACHABLE or isinstance(error, OSError):
            return Refusal(f"can't connect: {message}", "start the database, or correct url")
        return Refusal(message, "see the database's log")


def _tls(parameters: dict[str, str], base_dir: Path, verify: bool) -> ssl.SSLContext | None:
    """Where TLS is asked for the certificate is checked, and the host's name too where every authority of the system
    may have signed it."""
    mode = parameters.get("ssl-mode", "DISABLED")
    if mode == "DISABLED":
        return None
    ca = parameters.get("ssl-ca")
    try:
        context = tls_context(base_dir / ca if ca else None, verify)
    except OSError as error:
        raise TargetError(f"can't use ssl-ca {ca}: {reason_of(error)}; name a PEM file") from error
    context.check_hostname = verify and (mode == "VERIFY_IDENTITY" or (mode == "REQUIRED" and ca is None))
    return context


def number_and_message(error: Exception) -> tuple[int | None, str]:
    """The server's number and text. Where the driver wraps an error of the network, the text is that one's."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError):
        error_text = reason_of(cause)
    elif isinstance(error, OSError):
        error_text = reason_of(error)
    else:
        error_text = str(error.args[-1]) if error.args else type(error).__name__
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    return number, " ".join(error_text.split()).rstrip(".")
