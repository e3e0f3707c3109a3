"""What AMQP adapters have in common: addresses, TLS, and connections that fail in words a person can use.

An address is `amqp://user:password@host:port/vhost`, or `amqps` for TLS, as the RabbitMQ URI specification
has it: the virtual host percent-encoded, `/` where there is none. `?heartbeat=` in seconds is understood.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from ..errors import TargetError
from ..spi.context import AdapterSettings
from ..spi.guard import Reach
from ..spi.secrets import without
from .bounded import Allowance, Bounded
from .web import ascii_host, reason_of, tls_context, unescaped, without_credentials

if TYPE_CHECKING:
    from aiormq.abc import AbstractConnection


NOT_ALLOWED: Final = 530
CLOSED_AT_ONCE: Final = "it closed the connection without a word of AMQP"
URL_HELP: Final = "write an address such as amqp://user:password@localhost:5672/vhost"

_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")
_SHORT: Final = 255
"""Longest text in most places of the protocol, in bytes."""
_CONNECT_S: Final = 15.0
_LONGEST: Final = 1 << 18
"""Most that a broker says to those who only declare things, in bytes, and by far more than it has to say."""


class Address(NamedTuple):
    """An AMQP address, taken apart.

    heartbeat  seconds, or None to take what the broker proposes
    shown      the address for people: without credentials
    """

    secure: bool
    host: str
    port: int
    user: str
    password: str
    vhost: str
    heartbeat: int | None
    shown: str


def parse_url(text: str) -> Address:
    """Take an address apart. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    shown = repr(without_credentials(text).partition("?")[0])
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(f"{shown} has no scheme; {URL_HELP}")
    if scheme.lower() not in ("amqp", "amqps"):
        raise ValueError(f"{shown} is not an amqp or amqps address; {URL_HELP}")
    if _UNPRINTABLE.search(text):
        raise ValueError(f"{shown} holds a space or a control character; {URL_HELP}")
    if "{" in without(text):
        raise ValueError(f"{shown} has a placeholder, but an address is the same for all events; {URL_HELP}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown} has an unusable host or port; {unescaped(text) or URL_HELP}") from error
    if not host or port == 0:
        raise ValueError(f"{shown} has no {'port that can be called' if host else 'host'}; {URL_HELP}")
    if parts.fragment:
        raise ValueError(f"{shown} has a fragment; leave out what follows '#', or write %23")
    try:
        host = ascii_host(host)
    except ValueError as error:
        raise ValueError(f"{shown} has a host that is no domain name; {URL_HELP}") from error
    path = parts.path[1:]
    if "/" in path:
        raise ValueError(f"{shown} has a virtual host with a slash; write %2F for each slash in its name")
    secure = scheme.lower() == "amqps"
    port = port or (5671 if secure else 5672)
    vhost = unquote(path) or "/"
    if len(vhost.encode()) > _SHORT:
        raise ValueError(f"the virtual host in the address is longer than {_SHORT} bytes; shorten it")
    return Address(
        secure=secure,
        host=host,
        port=port,
        user=unquote(parts.username) if parts.username else "guest",
        password=unquote(parts.password) if parts.password is not None else ("" if parts.username else "guest"),
        vhost=vhost,
        heartbeat=_heartbeat(parts.query),
        shown=f"{scheme.lower()}://{rest.rpartition('@')[2].partition('?')[0].partition('/')[0]}/{path}",
    )


def _heartbeat(query: str) -> int | None:
    heartbeat = None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "heartbeat":
            raise ValueError(f"the address has an option {name!r}; leave it out, and use the keys of the config")
        if not value.isdecimal() or int(value) > 65_535:
            raise ValueError("the heartbeat in the address isn't a number; write whole seconds: ?heartbeat=30")
        heartbeat = int(value)
    return heartbeat


def _check_url(text: str) -> str:
    parse_url(text)
    return text


AmqpUrl = Annotated[str, AfterValidator(_check_url)]
"""An amqp(s) address as text; `parse_url` takes it apart."""


def check_short(text: str) -> str:
    """The text, if it fits where the protocol has a short string. Raises ValueError, `what; what would be right`."""
    if len(text.encode()) > _SHORT:
        raise ValueError(f"{text[:40]!r}… is longer than {_SHORT} bytes; AMQP takes no longer name")
    return text


ShortText = Annotated[str, AfterValidator(check_short)]
"""A name or a key as the protocol has it: at most 255 bytes."""


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


RoutingKeys = Annotated[
    tuple[ShortText, ...],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
"""The keys of a binding: a text, or a list of them."""


class AmqpSettings(AdapterSettings):
    """Where a RabbitMQ broker is and how to get in; for adapters to inherit beside their port's settings."""

    live: ClassVar[frozenset[str]] = frozenset({"url"})

    url: Annotated[AmqpUrl, Field(description="address of the broker")]
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the broker's certificate")] = True
    cert_file: Annotated[Path | None, Field(description="own certificate, PEM, with its key or beside key_file")] = (
        None
    )
    key_file: Annotated[Path | None, Field(description="key of the own certificate, PEM")] = None
    auth: Annotated[
        Literal["plain", "external"],
        Field(description="log in with user and password, or by the own certificate alone"),
    ] = "plain"

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _needs_tls(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("url")
        if file is not None and url and not parse_url(url).secure:
            raise ValueError(f"{info.field_name} is for TLS, which {parse_url(url).shown} is not; write amqps://…")
        if info.field_name == "key_file" and file is not None and info.data.get("cert_file") is None:
            raise ValueError("key_file without a cert_file is of no use; name both")
        return file

    @field_validator("auth")
    @classmethod
    def _needs_certificate(cls, auth: str, info: ValidationInfo) -> str:
        if auth == "external" and info.data.get("cert_file") is None:
            raise ValueError("auth: external logs in by a certificate, and there is none; name a cert_file")
        return auth

    @property
    def reach(self) -> Reach:
        return Reach((parse_url(self.url).host,))

    @property
    def remarks(self) -> Sequence[str]:
        address = parse_url(self.url)
        return [f"nobody checks the certificate of {address.shown}"] if address.secure and not self.verify else []

    def tls(self, base_dir: Path) -> ssl.SSLContext | None:
        """How to speak TLS to the broker, None for amqp. Raises TargetError if a file is of no use."""
        if not parse_url(self.url).secure:
            return None
        try:
            context = tls_context(base_dir / self.ca_file if self.ca_file else None, self.verify)
        except OSError as error:
            raise TargetError(f"can't use ca_file {self.ca_file}: {reason_of(error)}; name a PEM file") from error
        if self.cert_file:
            try:
                context.load_cert_chain(
                    base_dir / self.cert_file, base_dir / self.key_file if self.key_file else None
                )
            except OSError as error:
                what = f"can't use cert_file {self.cert_file}: no certificate with its key could be read"
                raise TargetError(f"{what}; name PEM files, and key_file if the key is in one of its own") from error
        return context


def refusal(settings: AmqpSettings, reason: str, code: int | None = None) -> TargetError:
    """The one line for a broker that can't be reached or lets nobody in.

    `reason` is what it or the system said, `code` the AMQP reply code if there was one.
    """
    address = parse_url(settings.url)
    where = f"can't connect to {address.shown}"
    if code == 403 and settings.auth == "external":
        return TargetError(f"{where}: the certificate is no login there; correct cert_file, or write auth: plain")
    if code == 403:
        return TargetError(f"{where}: login of user {address.user!r} refused; correct user and password in url")
    if code == NOT_ALLOWED and "not found" in reason:
        return TargetError(f"{where}: there is no virtual host {address.vhost!r}; create it, or correct url")
    if code == NOT_ALLOWED and "refused" in reason:
        what = f"virtual host {address.vhost!r} doesn't exist, or user {address.user!r} may not use it"
        return TargetError(f"{where}: {what}; correct url, or create it and give permissions")
    if reason.startswith("TLS"):
        cure = "name the authority in ca_file" if "certificate" in reason else "check url, port and certificates"
        return TargetError(f"{where}: {reason}; {cure}")
    return TargetError(f"{where}: {reason}; start the broker, or correct url")


def missing_sdk(kind: str) -> TargetError:
    """The one line for a missing optional dependency."""
    return TargetError(f"kind {kind} needs aiormq; pip install 'evload[rabbitmq]'")


@asynccontextmanager
async def connection(settings: AmqpSettings, base_dir: Path, name: str) -> AsyncIterator[AbstractConnection]:
    """An aiormq connection that the broker lists under `name`, closed at the end.

    Raises TargetError if there is no broker, or it lets nobody in, and for `settings.kind` if aiormq is missing.
    """
    opened = await _connect(settings, base_dir, name)
    try:
        yield opened
    finally:
        await opened.close()


async def _connect(settings: AmqpSettings, base_dir: Path, name: str) -> AbstractConnection:
    left = Allowance(_LONGEST)
    try:
        import aiormq
        from aiormq.exceptions import AMQPConnectionError, AMQPError, InvalidFrameError, ProbableAuthenticationError
        from yarl import URL
    except ImportError:
        raise missing_sdk(str(getattr(settings, "kind", "rabbitmq"))) from None
    from .dialing import Dialer

    # What goes wrong is said by whoever connects; a second voice on stderr helps nobody.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL + 1)
    address = parse_url(settings.url)
    url = URL.build(
        scheme="amqps" if address.secure else "amqp",
        user=address.user,
        password=address.password,
        host=address.host,
        port=address.port,
    ).joinpath(quote(address.vhost, safe=""), encoded=True)
    url = url.with_query(name=name, auth=settings.auth)
    if address.heartbeat is not None:
        url = url.update_query(heartbeat=str(address.heartbeat))
    tls = settings.tls(base_dir)

    class Dialed(aiormq.TransportFactory):
        """Past addresses that don't answer, where aiormq would wait for each."""

        async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            try:
                reader, writer = await Dialer(address.host, address.port).streams(tls)
            except OSError as error:
                raise AMQPConnectionError(*error.args) from error
            # It would wait for a frame of four gigabytes, and take a delivery without an end.
            Bounded(writer.transport, left)
            return reader, writer

    opened = aiormq.Connection(url, context=tls, transport_factory=Dialed())
    try:
        async with asyncio.timeout(_CONNECT_S):
            await opened.connect()
    except TimeoutError:
        raise refusal(settings, f"no answer within {_CONNECT_S:g} s") from None
    except ProbableAuthenticationError as error:
        raise refusal(settings, str(error), 403) from None
    except InvalidFrameError as error:
        # aiormq keeps no more than this of what the broker says to a virtual host.
        if "Connection.OpenOk" not in str(error):
            raise refusal(settings, str(error)) from None
        raise refusal(settings, f"NOT_ALLOWED - access to vhost {address.vhost!r} refused", NOT_ALLOWED) from None
    except AMQPError as error:
        if left.cut:
            raise refusal(settings, f"more than {_LONGEST} bytes came") from None
        cause = error.__cause__ or error
        closed = isinstance(cause, asyncio.IncompleteReadError)
        raise refusal(settings, CLOSED_AT_ONCE if closed else reason_of(cause)) from None
    return opened
