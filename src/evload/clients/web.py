"""What HTTP adapters have in common: addresses, expected statuses, answers as expressions see them.

No I/O. An address may be a template: its path and query can hold `{placeholders}`, its host can't.
"""

from __future__ import annotations

import base64
import codecs
import errno
import os
import re
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator

from ..spi.guard import Reach
from . import bodies, exact_json
from .jmes import NoDocument

URL_HELP: Final = "write an address such as http://localhost:8080/events"

_AUTHORITY_ENDS: Final = re.compile(r"[/?#]")
_HOST_AND_PORT: Final = re.compile(r"(?:\[[^]]*\]|[^:]*)(?::\d*)?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")
_PLAIN_TARGET: Final = re.compile(r"[A-Za-z0-9/?&=._~-]*")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TARGET_SAFE: Final = "!$&'()*+,-./:;=?@_~[]%"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What a machine without IPv6 says of such an address."""


class Endpoint(NamedTuple):
    """An http(s) address, taken apart.

    target     path and query as they were written, placeholders included
    host       as DNS knows it, in ASCII
    authority  what the Host header says, in ASCII
    shown      the address for people: without credentials, without the query
    proxy      through what it is reached, None for straight
    """

    secure: bool
    host: str
    port: int
    target: str
    authority: str
    credentials: tuple[str, str] | None
    shown: str
    proxy: Endpoint | None = None

    @property
    def before_target(self) -> str:
        """What a request line has before its target: through a proxy it is an address (RFC 9112, 3.2.2)."""
        return "" if self.proxy is None or self.secure else f"http://{self.authority}"

    @property
    def for_proxy(self) -> dict[str, str]:
        """Headers that the proxy reads of each request; through a tunnel it reads none."""
        if self.proxy is None or self.secure or self.proxy.basic_auth is None:
            return {}
        return {"proxy-authorization": self.proxy.basic_auth}

    @property
    def basic_auth(self) -> str | None:
        """The value of the Authorization header, or None if the address holds no credentials."""
        if self.credentials is None:
            return None
        return "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()


def parse_url(text: str) -> Endpoint:
    """Take an address apart. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    shown = repr(without_credentials(text))
    if "://" not in text:
        raise ValueError(f"{shown} has no scheme; {URL_HELP}")
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"{shown} is not an http or https address; {URL_HELP}")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    target = rest[len(authority) :]
    if "{" in authority or "}" in authority:
        raise ValueError(f"{shown} has a placeholder in its host; only the path and the query can be templates")
    if "#" in target and not unescaped(text):
        raise ValueError(f"{shown} has a fragment, which is never sent; leave out what follows '#', or write %23")
    if _UNPRINTABLE.search(authority) or _CONTROL.search(target):
        raise ValueError(f"{shown} holds a space or a control character; {URL_HELP}")
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown} has an unusable host or port; {unescaped(text) or URL_HELP}") from error
    if not host or port == 0:
        raise ValueError(f"{shown} has no {'port that can be called' if host else 'host'}; {URL_HELP}")
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    netloc = sent = authority.rpartition("@")[2]
    path = target.partition("?")[0] or "/"
    if not netloc.isascii():
        try:
            host = ascii_host(host)
        except ValueError as error:
            raise ValueError(f"{shown} has a host that is no domain name; {URL_HELP}") from error
        sent = host if port is None else f"{host}:{port}"
    return Endpoint(
        secure=scheme.lower() == "https",
        host=host,
        port=port or (443 if scheme.lower() == "https" else 80),
        target=target if target.startswith("/") else "/" + target,
        authority=sent,
        credentials=credentials,
        shown=f"{scheme}://{netloc}{path}",
    )


def reach_of(*urls: str | None) -> Reach:
    """The hosts of addresses; of those that aren't given there are none."""
    return Reach(tuple(parse_url(url).host for url in urls if url is not None))


def without_credentials(text: str) -> str:
    """An address for people, whatever is wrong with it: a password may hold what should have been escaped."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text.rpartition("@")[2]
    credentials = rest if unescaped(text) else _AUTHORITY_ENDS.split(rest, maxsplit=1)[0]
    return f"{scheme}://{credentials.rpartition('@')[2]}{rest[len(credentials) :]}"


def unescaped(text: str) -> str:
    """What to do where a user or a password ends the address too early; nothing if none does."""
    authority, *behind = _AUTHORITY_ENDS.split(text.partition("://")[2], maxsplit=1)
    if "@" in authority or "@" not in "".join(behind) or _HOST_AND_PORT.fullmatch(authority):
        return ""
    return "write %2F for a /, %3F for a ? and %23 for a # in its user or password"


def ascii_host(host: str) -> str:
    """A host's name as DNS, TLS and the Host header know it: `xn--bcher-kva.example`. Raises ValueError."""
    if host.isascii():
        return host
    import idna

    return idna.encode(host, uts46=True).decode()


def encode_target(target: str) -> str:
    """Percent-encode whatever may not stand in a request line; what is encoded already stays as it is."""
    if _PLAIN_TARGET.fullmatch(target):
        return target  # what nearly all of them are
    return quote(_STRAY_PERCENT.sub("%25", target), safe=_TARGET_SAFE)


def _check_url(text: str) -> str:
    parse_url(text)
    return text


Url = Annotated[str, AfterValidator(_check_url)]
"""An http(s) address as text; `parse_url` takes it apart."""


def check_method(text: str, *, carries: bool = True) -> str:
    """The method in capitals. Raises ValueError, `what is wrong; what would be right`.

    carries  an event is to be sent by it, so that its answer may have a body
    """
    method = text.upper()
    if _TOKEN.fullmatch(method) and method != "CONNECT" and not (carries and method == "HEAD"):
        return method
    if carries:
        raise ValueError(f"{text!r} is not a method that can carry an event; write POST, PUT, PATCH or the like")
    raise ValueError(f"{text!r} is not a method of HTTP that can be sent; write GET, POST, PUT, PATCH or DELETE")


def check_header(name: str, value: str) -> None:
    """Raises ValueError, `what is wrong; what would be right`, for a header that can't be sent."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name; write letters, digits and dashes")
    if name.lower() in ("content-length", "transfer-encoding", "connection", "expect", "upgrade", "trailer", "te"):
        raise ValueError(f"the header {name!r} is set for you; leave it out")
    if has_control(value):
        raise ValueError(f"the header {name!r} holds a line break or a control character; write it on one line")


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers. Raises ValueError for one that can't be sent."""
    for name, value in headers.items():
        check_header(name, value)
    return headers


def has_control(value: str) -> bool:
    """Whether a header value holds what would end the header, or what no server takes."""
    return _CONTROL.search(value) is not None


class NotJson(NoDocument):
    """An expression asked for the body of an answer that isn't JSON. The text says what it is."""


class Answer:
    """One HTTP answer as an expression sees it: `{status, headers, body}`, and `item` in a bulk read.

    Header names are in lower case; a repeated header is joined by commas. Headers and body are parsed when
    they are first asked for, so that an answer whose body isn't JSON can still be judged by its status.
    """

    __slots__ = ("_body", "_headers", "_parsed", "_raw_headers", "item", "status")

    def __init__(self, status: int, raw_headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.item: Any = None
        self._raw_headers = raw_headers
        self._headers: dict[str, str] | None = None
        self._body: Any = body
        self._parsed = False

    def get(self, name: str) -> Any:
        """One field, None for an unknown one. Raises NotJson."""
        if name == "item":
            return self.item
        if name == "body":
            return self._json()
        if name == "status":
            return self.status
        if name == "headers":
            return self._fields()
        return None

    def as_dict(self) -> dict[str, Any]:
        """All fields at once, for an expression that looks at the answer as a whole. Raises NotJson."""
        return {"status": self.status, "headers": self._fields(), "body": self._json(), "item": self.item}

    def _json(self) -> Any:
        if not self._parsed:
            try:
                parsed = exact_json.loads(self._body)
            except ValueError:
                parsed = self._decoded()
            self._body = parsed
            self._parsed = True
        return self._body

    def _decoded(self) -> Any:
        """The body once its text is UTF-8. Raises NotJson, which says what it is."""
        kind = bodies.field(self._raw_headers, b"content-type")
        text = bodies.as_utf8(self._body, kind)
        try:
            return exact_json.loads(text)
        except ValueError as error:
            what = bodies.what_it_is(self._body, bodies.field(self._raw_headers, b"content-encoding"), kind)
            if shown := excerpt(text):
                what = f"a body that isn't JSON: {shown}"
            elif shown := bodies.in_latin_1(text, 120):
                what = f"a body that is neither UTF-8 nor in a character set that it declares: {shown}"
            raise NotJson(f"HTTP {self.status} with {what}") from error

    def _fields(self) -> dict[str, str]:
        if self._headers is None:
            fields: dict[str, str] = {}
            for raw_name, raw_value in self._raw_headers:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            self._headers = fields
        return self._headers


def excerpt(body: bytes, limit: int = 120) -> str:
    """The beginning of a body in one line, or an empty text if it isn't text."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        text = body[: 4 * limit].decode()
    except UnicodeDecodeError as error:
        if error.start < len(body[: 4 * limit]) - 3:
            return ""
        text = body[: error.start].decode()
    text = " ".join(text.split())
    if not text.isprintable():
        return ""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason_of(error: BaseException) -> str:
    """Why a connection could not be had or was lost, in the words of the field, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate not accepted: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return "the host name can't be resolved"
    if isinstance(error, UnicodeError):
        return "the host name is not valid"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    if isinstance(error, OSError):
        numbers = _ERRNO.findall(str(error))
        number = error.errno or _most_telling([int(found) for found in numbers])
        if number == errno.ECONNRESET:
            return "connection reset"
        if number == errno.EMFILE:
            return "too many open files; ulimit -n is the limit of this process"
        if number is not None:
            return os.strerror(number).lower()
    return str(error) or type(error).__name__


def _most_telling(numbers: Sequence[int]) -> int | None:
    """Of several addresses' errors that of one which could be reached at all, if there is such."""
    return next((number for number in reversed(numbers) if number not in _NO_ROUTE), numbers[-1] if numbers else None)


def unchecked(verify: bool, *urls: str) -> list[str]:
    """A remark for each of the addresses that TLS is spoken to without anybody checking the certificate."""
    endpoints = [] if verify else [parse_url(url) for url in urls]
    return [f"nobody checks the certificate of {one.shown}" for one in endpoints if one.secure]


def tls_context(ca_file: Path | None, verify: bool) -> ssl.SSLContext:
    """Trust the system's authorities, or those of `ca_file`, or anyone. Raises OSError if the file is no use."""
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
