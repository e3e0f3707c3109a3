"""Where a Redis is and how to get in, and why one can't be asked, in words a person can use. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from ..errors import TargetError
from ..spi.context import AdapterSettings
from ..spi.guard import Reach
from ..units import format_duration
from .bounded import CURE as ASK_FOR_LESS
from .bounded import TooLong
from .databases import Refusal, parse_database_url, reach_of_database, shown_address
from .redis_answers import CURE, Nonsense
from .web import reason_of

MAXCLIENTS: Final = "max number of clients"
"""What Redis says where it takes no more connections."""
_MOVED: Final = re.compile(r"(?:MOVED|ASK) \d+ (\S+:\d+)")
"""What a node of a cluster says of a key that another one has."""
_NO_TLS: Final = "write redis:// if no TLS is spoken there, or correct url"
_CLOSED: Final = ("closed", "reset", "lost")


class TlsUnanswered(OSError):
    """Somebody took the connection, and said nothing when TLS was spoken to it."""


class RedisSettings(AdapterSettings):
    """For adapters to inherit beside their port's settings."""

    live: ClassVar[frozenset[str]] = frozenset({"url"})

    url: Annotated[str, Field(description="address, such as redis://localhost/0, rediss://... or unix://...")]

    @property
    def reach(self) -> Reach:
        return reach_of_database(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        url = urlsplit(self.url)
        checked = dict(parse_qsl(url.query)).get("ssl_cert_reqs", "required") == "required"
        said = f"nobody checks the certificate of {shown_address(self.url)}"
        return [] if checked or url.scheme != "rediss" else [said]

    @field_validator("url")
    @classmethod
    def _url_can_be_used(cls, url: str) -> str:
        parse_database_url(url, ("redis", "rediss", "unix"), "redis://localhost:6379/0")
        return url


def missing_sdk(kind: str) -> TargetError:
    """The SDK isn't there."""
    return TargetError(f"kind {kind} needs redis; pip install 'evload[redis]'")


def explain(error: Exception, timeout_ns: int) -> Refusal:
    """Why Redis can't be asked, and what would be right. `timeout_ns` is how long an answer was waited for.

    The error is the SDK's, or any other with Redis's own words.
    """
    from redis import exceptions

    if isinstance(error, Nonsense):
        return Refusal(str(error), CURE)
    if isinstance(error, TlsUnanswered):
        return Refusal(str(error), _NO_TLS)
    if isinstance(error, TooLong):
        return Refusal(str(error), ASK_FOR_LESS)
    message = one_line(str(error)).rstrip(".")
    if isinstance(error, exceptions.NoPermissionError) or message.startswith("NOPERM"):
        cure = "give the user in url these keys and commands: ACL SETUSER"
        return Refusal(f"permission denied: {message.removeprefix('NOPERM ')}", cure)
    if isinstance(error, exceptions.AuthenticationError) or message.startswith(("NOAUTH", "WRONGPASS")):
        return Refusal(f"login refused: {message}", "correct user and password in url")
    if isinstance(error, exceptions.BusyLoadingError) or message.startswith("LOADING"):
        return Refusal("Redis is loading its data", "wait until it is done")
    if MAXCLIENTS in message:
        return Refusal("Redis has its maximum number of clients", "raise maxclients")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        cure = "check the network, and that Redis answers"
        return Refusal(f"no answer within {format_duration(timeout_ns)}", cure)
    if isinstance(error, exceptions.MovedError | exceptions.ClusterCrossSlotError):
        return Refusal(
            "this is a node of a cluster, which can't answer about all keys", "name a Redis that has all keys"
        )
    if found := _MOVED.match(message):
        return Refusal("this is a node of a cluster, and the stream is on another one", f"name {found[1]} in url")
    if isinstance(error, exceptions.ReadOnlyError) or message.startswith("READONLY"):
        return Refusal("this is a replica, which takes no writes", "name the primary in url")
    if message.startswith("OOM"):
        return Refusal(message, "free memory there, or raise maxmemory")
    if isinstance(error, exceptions.ConnectionError | OSError):
        return _unconnected(error, message)
    return Refusal(message, "see Redis's log")


@contextmanager
def usable(url: str, *errors: type[Exception]) -> Iterator[None]:
    """Raises TargetError if an address turns out to be no use inside the block: by ValueError, TypeError or these."""
    caught: tuple[type[Exception], ...] = (ValueError, TypeError, *errors)
    try:
        yield
    except caught as error:
        raise TargetError(f"can't use {shown_address(url)}: {one_line(str(error))}; correct url") from None


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def _unconnected(error: Exception, message: str) -> Refusal:
    """The SDK's error has that of the socket behind it."""
    behind = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    reason = reason_of(behind) if isinstance(behind, OSError | UnicodeError) else ""
    if reason.startswith("TLS: certificate"):
        return Refusal(f"can't connect: {reason}", "name who signed it: ?ssl_ca_certs=FILE in url")
    if reason.startswith("TLS"):
        return Refusal(f"can't connect: {reason}", _NO_TLS)
    if any(word in message.lower() or word in reason for word in _CLOSED):
        return Refusal("connection lost", "start Redis, or correct url; rediss:// if it wants TLS")
    return Refusal(f"can't connect: {reason}" if reason else "can't connect", "start Redis, or correct url")
