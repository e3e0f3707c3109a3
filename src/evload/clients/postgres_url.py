"""Addresses of PostgreSQL databases with the parameters that libpq knows: which hold here, and how. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic import AfterValidator

from ..spi.guard import LOCALHOST, Reach
from .databases import parse_database_url

_DRIVERS: Final = frozenset(
    {
        "database", "dbname", "gsslib", "host", "krbsrvname", "passfile", "password", "port", "service", "sslcert",
        "sslcrl", "sslkey", "sslmode", "sslpassword", "sslrootcert", "ssl_max_protocol_version",
        "ssl_min_protocol_version", "user",
    }
)  # fmt: skip
"""What asyncpg takes from an address as libpq does."""
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
}
_OURS: Final = (
    "application_name", "connect_timeout", "fallback_application_name", "options", "target_session_attrs"
)  # fmt: skip
_FOREIGN: Final = frozenset(
    {
        "channel_binding", "gssdelegation", "gssencmode", "keepalives", "keepalives_count", "keepalives_idle",
        "keepalives_interval", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
        "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "replication", "require_auth",
        "requirepeer", "requiressl", "scram_client_key", "scram_server_key", "sslcertmode", "sslcompression",
        "sslcrldir", "sslkeylogfile", "sslnegotiation", "sslsni", "tcp_user_timeout",
    }
)  # fmt: skip
"""What libpq has beside those, and asyncpg (or the oldest one that we take) hasn't."""
_CURES: Final = {
    "hostaddr": "write the address as the host",
    "client_encoding": "leave it out; evload speaks UTF-8",
    "servicefile": "name the file in PGSERVICEFILE",
}
_LIKELY: Final = 0.8
"""So much alike, a name that nobody knows is a slip of the pen, and no setting of the server."""


class PostgresAddress(NamedTuple):
    """An address, taken apart as asyncpg wants it.

    dsn                   without what follows
    timeout_s             for connecting, None if the address doesn't say
    target_session_attrs  which of several hosts will do, None if the address doesn't say
    server_settings       what holds for the session; the server knows whether there is such a thing
    """

    dsn: str
    timeout_s: float | None
    target_session_attrs: str | None
    server_settings: Mapping[str, str]


def parse_postgres_url(text: str) -> PostgresAddress:
    """Take an address apart. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    url = parse_database_url(text, ("postgresql", "postgres"), "postgresql://reader@localhost/shop")
    given: dict[str, str] = {}
    for piece in url.query.split("&") if url.query else ():
        name, separator, value = piece.partition("=")
        if not name or not separator:
            raise ValueError(
                f"the parameter {name!r} in url has no value; write {name or 'sslmode'}=…, or leave it out"
            )
        given.update(parse_qsl(piece))
    for name, value in given.items():
        _check(name, value)
    known = {name: value for name, value in given.items() if name in _DRIVERS}
    settings = {name: value for name, value in given.items() if name not in _DRIVERS and name not in _OURS}
    name = given.get("application_name") or given.get("fallback_application_name") or "evload"
    if "options" in given:
        settings["options"] = given["options"]
    seconds = int(given.get("connect_timeout", "0"))
    return PostgresAddress(
        url._replace(query=urlencode(known, quote_via=quote, safe="/,")).geturl(),
        seconds if seconds > 0 else None,
        given.get("target_session_attrs"),
        {"application_name": name, **settings},
    )


def reach_of_postgres(text: str) -> Reach:
    """The hosts of an address. What it doesn't name would be said by the environment, or by a file of services."""
    url = parse_database_url(text, ("postgresql", "postgres"), "postgresql://reader@localhost/shop")
    written = url.netloc.partition("@")[2] if "@" in url.netloc else url.netloc
    hosts = unquote(written) or dict(parse_qsl(url.query)).get("host", "")
    if not hosts:
        return Reach(unknown="url names no host, which is left to PGHOST or to a service then")
    return Reach(tuple(LOCALHOST if host.startswith("/") else _without_port(host) for host in hosts.split(",")))


def _without_port(host: str) -> str:
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]


def _check(name: str, value: str) -> None:
    if name in _FOREIGN or name in _CURES:
        cure = _CURES.get(name, "leave it out")
        raise ValueError(f"the parameter {name} in url is one of libpq, which evload doesn't use; {cure}")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name} in url is {value!r}, which is no such thing; write {', '.join(_CHOICES[name])}")
    if name == "connect_timeout" and not value.removeprefix("-").isdecimal():
        raise ValueError(f"connect_timeout in url is {value!r}, not a number of seconds; write connect_timeout=10")
    if name not in _DRIVERS and name not in _OURS:
        close = difflib.get_close_matches(name, sorted(_DRIVERS | set(_OURS)), n=1, cutoff=_LIKELY)
        if close:
            raise ValueError(f"unknown parameter {name} in url; did you mean {close[0]}?")


def _check_url(text: str) -> str:
    parse_postgres_url(text)
    return text


PostgresUrl = Annotated[str, AfterValidator(_check_url)]
"""An address as libpq understands it; what is left out comes from PGHOST, PGUSER, PGPASSWORD, ~/.pgpass and so on."""
