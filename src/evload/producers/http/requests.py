"""Renders events as HTTP requests, and the requests of journeys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

from ...clients.credentials.headers import LiveHeaders
from ...clients.http_wire import Exchange
from ...clients.proxies import through
from ...clients.web import Endpoint, check_header, check_method, encode_target, has_control, parse_url
from ...model.travel import Event, Pieces, Request, RequestEvent
from .cookies import Cookies
from .rabbitmq_api import Envelope
from .settings import HttpProducerSettings, is_template

_CE_UNSAFE: Final = re.compile(r"[^\x21\x23\x24\x26-\x7e]")
_CE_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_STREAMED: Final = 65_536
"""A body in pieces that is longer than this is written as the target takes it, in bytes."""
_HEADS_LIMIT: Final = 1000
"""Most request heads kept: there is one for each content type."""
_WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
"""Methods of which nothing needs to be said about the length of a body where there is none (RFC 9110, 8.6)."""


class RequestExchange(Exchange):
    """The exchange of an event that is a request of its own, which it `asks`."""

    __slots__ = ("asks", "bodiless", "by_head", "own_headers", "streamed")

    alike = False

    def __init__(
        self,
        request: Sequence[bytes],
        own_headers: Sequence[str],
        event: RequestEvent,
        into: Any,
        queued_ns: int,
    ) -> None:
        # As Exchange does, which takes longer: there is one for each step.
        self.request = request
        self.context = ((event,), into)
        self.queued_ns = queued_ns
        self.sent_ns = self.refused_ns = self.first_ns = self.broken_status = None
        self.past = ""
        self.overlong = False
        self.body_size = 0
        self.asks = asks = event.request
        self.own_headers = own_headers
        body = asks.body
        self.streamed = isinstance(body, Pieces) and len(body) > _STREAMED
        method = asks.method
        self.bodiless = len(method) == 4 and method.upper() == "HEAD"
        self.by_head = not (self.bodiless or self.streamed) and asks.wanted is None


class Base:
    """The address below which the targets of requests are."""

    def __init__(self, endpoint: Endpoint) -> None:
        path, _, self._query = encode_target(endpoint.target).partition("?")
        self._path = path
        self._above = path.removesuffix("/")
        self._is_template = "{" in endpoint.target

    def joined(self, target: str) -> str:
        """Path and query as a request line has them: the base's own path, then the target's, and the queries of both
        in that order. Raises ValueError if the base is no address for requests."""
        if self._is_template:
            raise ValueError("the url of its producer holds placeholders, so no request can be sent below it")
        encoded = encode_target(target)
        if not self._query and encoded.startswith("/"):
            return self._above + encoded
        path, mark, query = encoded.partition("?")
        if path and not path.startswith("/"):
            path = f"/{path}"
        path = f"{self._above}{path}" if path else self._path
        if self._query:
            return f"{path}?{self._query}&{query}" if query else f"{path}?{self._query}"
        return f"{path}{mark}{query}"


class Requests:
    """Renders events as the pieces of an HTTP request.

    Where nothing but the body differs between two events, the head is rendered once and kept, until a secret in it is
    another one.
    """

    def __init__(self, config: HttpProducerSettings, live: LiveHeaders | None = None) -> None:
        endpoint = through(parse_url(config.url), config.proxy)
        self._target = endpoint.target
        self._before = endpoint.before_target
        self._method = config.method
        headers = {"host": endpoint.authority, "user-agent": "evload", **endpoint.for_proxy}
        if authorization := config.auth.header() if config.auth else endpoint.basic_auth:
            headers["authorization"] = authorization
        for name, value in config.headers.items():
            if "{" not in value:
                headers[name.lower()] = value
        self._templates = tuple(name.lower() for name, value in config.headers.items() if is_template(value))
        self._live = live
        changing = frozenset(live.values if live else ())
        elsewhere = (*self._templates, *changing)
        self._constant = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name not in elsewhere)
        self._own = frozenset(headers) | frozenset(elsewhere)
        self._envelope = Envelope(config.rabbitmq_api) if config.rabbitmq_api else None
        self._in_head = len(config.templates)
        self._heads: dict[tuple[tuple[str, str], ...], bytes] = {}
        self._keep_heads = config.mode != "binary" and not config.templates
        # Header templates are for events: what stands in their place without them is there for requests.
        self._in_common = {name: value for name, value in headers.items() if name not in changing}
        self._beside: dict[tuple[str, ...], str] = {}
        self._own_lines: dict[tuple[str, ...], tuple[str, tuple[str, ...], str]] = {}
        self._base = Base(endpoint)
        self._begin()
        if live is not None:
            live.watch(self._begin)

    def _begin(self) -> None:
        """Write what all heads have in common, with the secrets of the moment."""
        self._fixed = self._constant if self._live is None else self._constant + self._live.lines
        self._heads.clear()
        self._beside.clear()
        self._own_lines.clear()
        self._batch_head = self._head(
            self._method, self._target, "content-type: application/cloudevents-batch+json\r\n"
        )

    def single(self, event: Event) -> tuple[bytes, ...]:
        """The request for one event. Raises ValueError if a rendered part can't be sent."""
        headers, body = event.headers, event.body
        if self._envelope is not None:
            headers, body = Envelope.HEADERS, self._envelope.around(event)
        key = tuple(headers)
        head = self._heads.get(key)
        if head is None:
            head = self._rendered_head(headers, event.extras[: self._in_head])
            if self._keep_heads and len(self._heads) < _HEADS_LIMIT:
                self._heads[key] = head
        return (head, b"%d\r\n\r\n" % len(body), body)

    def batch(self, events: Sequence[Event]) -> tuple[bytes, ...]:
        """The request for many structured events."""
        body = b"[%b]" % b",".join([event.body for event in events])
        return (self._batch_head, b"%d\r\n\r\n" % len(body), body)

    def own(self, event: RequestEvent, cookies: Cookies | None = None) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
        """The request that an event is, and in lower case the names of its own headers, before which those of the
        producer give way; with the cookies that are kept. Raises ValueError if a part of it can't be sent."""
        request = event.request
        body = request.body
        # Most steps have the same headers each time.
        key = (request.method, *chain.from_iterable(request.headers))
        known = self._own_lines.get(key)
        if known is None:
            known = self._lines_of(request)
            if len(self._own_lines) < _HEADS_LIMIT:
                self._own_lines[key] = known
        method, names, lines = known
        target = self._base.joined(request.target)
        size = len(body)
        length = f"content-length: {size}\r\n" if size or method not in _WITHOUT_LENGTH else ""
        if cookies is None or "cookie" in names:
            head = f"{method} {self._before}{target} HTTP/1.1\r\n{lines}{length}\r\n".encode()
        else:
            head = f"{method} {self._before}{target} HTTP/1.1\r\n{lines}{length}".encode()
            head += cookies.line(request, target) + b"\r\n"
        if isinstance(body, Pieces):
            return (head, *body.of), names
        return (head, body) if body else (head,), names

    def _lines_of(self, request: Request) -> tuple[str, tuple[str, ...], str]:
        """The method of a request as it is sent, the names of its own headers in lower case, and all its lines but
        those that say what changes from one such request to the next. Raises ValueError for what can't be sent."""
        method = check_method(request.method, carries=False)
        names = tuple([name.lower() for name, _ in request.headers])
        beside = self._beside.get(names)
        if beside is None:
            beside = self._lines_beside(names)
            if len(self._beside) < _HEADS_LIMIT:
                self._beside[names] = beside
        return method, names, beside + "".join([_line(name, value) for name, value in request.headers])

    def _lines_beside(self, names: Sequence[str]) -> str:
        """The headers that a request has in common with all others, beside its own. Raises ValueError for own ones
        that can't be."""
        for name in names:
            check_header(name, "")
        shared = self._in_common if self._live is None else self._in_common | self._live.values
        return "".join(f"{name}: {value}\r\n" for name, value in shared.items() if name not in names)

    def path_of(self, request: Request) -> str:
        """Path and query of a request that was sent."""
        return self._base.joined(request.target)

    def look(self, target: str) -> tuple[bytes, ...]:
        """A request that only asks."""
        return (self._head("GET", target, ""), b"0\r\n\r\n")

    def _rendered_head(self, headers: Sequence[tuple[str, str]], rendered: Sequence[str]) -> bytes:
        extras = iter(rendered)
        target = next(extras) if "{" in self._target else self._target
        method = check_method(next(extras)) if "{" in self._method else self._method
        lines = [_line(name, value) for name, value in zip(self._templates, extras, strict=True)]
        for name, value in headers:
            if name.startswith("ce-"):
                lines.append(f"{name}: {quote(value, safe=_CE_SAFE) if _CE_UNSAFE.search(value) else value}\r\n")
            elif name.lower() not in self._own:
                lines.append(_line(name, value))
        return self._head(method, target, "".join(lines))

    def _head(self, method: str, target: str, lines: str) -> bytes:
        line = f"{method} {self._before}{encode_target(target)} HTTP/1.1"
        return f"{line}\r\n{self._fixed}{lines}content-length: ".encode()


def _line(name: str, value: str) -> str:
    if has_control(value):
        raise ValueError(f"the header {name!r} would hold a line break or a control character")
    return f"{name}: {value}\r\n"
