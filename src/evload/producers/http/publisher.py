"""Turns events into HTTP requests, and what becomes of them into receipts."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jmespath.exceptions import JMESPathError

from ...clients import bodies
from ...clients.answer_tags import TagReader
from ...clients.credentials.headers import REFUSED, LiveHeaders, Make
from ...clients.credentials.refusals import Refusals
from ...clients.expression_traffic import watched
from ...clients.http_traffic import WatchedListener
from ...clients.http_wire import GARBLED, Client, Exchange, Listener
from ...clients.jmes import Expression
from ...clients.proxies import through
from ...clients.web import (
    Answer,
    NotJson,
    check_method,
    encode_target,
    excerpt,
    has_control,
    parse_url,
    reason_of,
    tls_context,
)
from ...clock import Clock
from ...errors import TargetError
from ...model.states import Outcome
from ...model.statuses import expand_statuses
from ...model.travel import Event, Receipt
from ...spi.context import Surroundings
from ...spi.producer import Settle
from ...spi.traffic import Traffic
from .._shared.receipts import Gathered, Receipts
from .rabbitmq_api import Envelope, find_exchange, routed
from .settings import HttpProducerSettings, is_template

_CE_UNSAFE: Final = re.compile(r"[^\x21\x23\x24\x26-\x7e]")
_CE_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_CAPTURE_LIMIT: Final = 1 << 20
"""Longest body that a capture looks at, in bytes."""
_DETAIL_LIMIT: Final = 1024
"""How much of the body of a refusal is kept for people, in bytes."""
_CODING: Final = b"content-encoding"
_FACTS_LIMIT: Final = 1000
"""Most different things that answers say of their events, kept so that what is alike is there once."""
_HEADS_LIMIT: Final = 1000
"""Most request heads kept: there is one for each content type."""


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
        elsewhere = (*self._templates, *(live.values if live else ()))
        self._constant = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name not in elsewhere)
        self._own = frozenset(headers) | frozenset(elsewhere)
        self._envelope = Envelope(config.rabbitmq_api) if config.rabbitmq_api else None
        self._in_head = len(config.templates)
        self._heads: dict[tuple[tuple[str, str], ...], bytes] = {}
        self._keep_heads = config.mode != "binary" and not config.templates
        self._begin()
        if live is not None:
            live.watch(self._begin)

    def _begin(self) -> None:
        """Write what all heads have in common, with the secrets of the moment."""
        self._fixed = self._constant if self._live is None else self._constant + self._live.lines
        self._heads.clear()
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


class HttpPublisher:
    """The producer. Receipts are handed over once per turn of the loop."""

    def __init__(
        self,
        config: HttpProducerSettings,
        tls: ssl.SSLContext | None,
        clock: Clock,
        traffic: Traffic | None = None,
        live: LiveHeaders | None = None,
    ) -> None:
        self._requests = Requests(config, live)
        self._batch = config.batch if config.mode == "batched" else 0
        self._expected = expand_statuses(config.expect)
        self._facts: dict[tuple[int, str, int], Mapping[str, Any]] = {}
        self._tags = TagReader(config.tag, traffic) if config.tag else None
        self._capture = watched(Expression(config.capture), "capture", traffic) if config.capture else None
        self._refusals = Refusals(self, live, self._send_again) if live is not None and live.heeds else None
        listener: Listener = self._refusals or self
        if traffic is not None:
            listener = WatchedListener(listener, traffic, clock)
        self._may_return = config.rabbitmq_api is not None
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.receipts = Receipts(self._hand_over_soon)
        self._last_batch: Exchange | None = None
        self.client = Client(
            through(parse_url(config.url), config.proxy),
            tls,
            clock,
            listener,
            connections=config.connections,
            timeout_ns=config.timeout,
            max_idle_ns=config.max_idle,
            requests_per_connection=config.requests_per_connection,
        )

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Queue the events; see `Producer.publish`. Never waits: the number in flight is the engine's to limit."""
        into = self.receipts.of(settle)
        now_ns = self._clock.now_ns()
        exchanges = []
        if self._batch:
            exchanges = self._batches(list(batch), into, now_ns)
        else:
            for event in batch:
                try:
                    request = self._requests.single(event)
                except ValueError as error:
                    self._settle(into, (event,), Outcome.UNSENT, None, None, str(error))
                else:
                    exchanges.append(Exchange(request, ((event,), into), now_ns))
        self.client.submit(exchanges)

    def _batches(self, events: list[Event], into: Gathered, now_ns: int) -> list[Exchange]:
        """Requests for those events that don't fit into the one that waits for a connection already.

        Without this a target that slows down would be sent ever more requests with ever fewer events.
        """
        last = self._last_batch
        if last is not None and last.sent_ns is None and last.context[1] is into:
            held = last.context[0]
            room = self._batch - len(held)
            held += events[:room]
            last.request = self._requests.batch(held)
            events = events[room:]
        exchanges = []
        for start in range(0, len(events), self._batch):
            portion = events[start : start + self._batch]
            self._last_batch = Exchange(self._requests.batch(portion), (portion, into), now_ns)
            exchanges.append(self._last_batch)
        return exchanges

    def _send_again(self, exchange: Exchange) -> None:
        """Send a request that was refused, with other headers."""
        if exchange is self._last_batch:
            self._last_batch = None  # its events are those of the first attempt
        exchange.queued_ns = self._clock.now_ns()
        self.client.submit((exchange,))

    async def close(self) -> None:
        """Settle what is left."""
        if self._refusals is not None:
            self._refusals.close()
        await self.client.close()
        self.receipts.hand_over()

    def _hand_over_soon(self) -> None:
        self._loop.call_soon(self.receipts.hand_over)

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        """See `http_wire.Listener`."""
        events, into = exchange.context
        capture = None
        if status in self._expected:
            outcome, detail = Outcome.ACCEPTED, exchange.past
            if self._capture is not None:
                capture, told = _captured(self._capture, status, headers, body)
                detail = told or detail
            elif self._may_return:
                outcome, told = routed(body)
                detail = told or detail
        else:
            outcome = Outcome.REJECTED
            text = excerpt(_legible(headers, body))
            detail = f"HTTP {status}: {text}" if text else f"HTTP {status}"
        acked_ns = None if outcome is Outcome.IN_DOUBT else at_ns
        tags = self._tagged(status, headers, body)
        # A batch has one answer, whose bytes its events share.
        each, rest = divmod(exchange.body_size, len(events))
        facts = self._facts_of(status, tags, each)
        if rest:
            first, events = events[:rest], events[rest:]
            more = self._facts_of(status, tags, each + 1)
            self._settle(into, first, outcome, exchange.sent_ns, acked_ns, detail, capture, more)
        self._settle(into, events, outcome, exchange.sent_ns, acked_ns, detail, capture, facts)

    def _facts_of(self, status: int, tags: str, bytes_in: int) -> Mapping[str, Any]:
        """One mapping for all answers that say the same."""
        facts = self._facts.get((status, tags, bytes_in))
        if facts is None:
            facts = {"status": status, "bytes_in": bytes_in, **({"tags": tags} if tags else {})}
            if len(self._facts) < _FACTS_LIMIT:
                self._facts[status, tags, bytes_in] = facts
        return facts

    def _tagged(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str:
        """The tags that an answer gives its events."""
        if self._tags is None:
            return ""
        readable = b""
        if self._tags.needs_body and len(body) < _CAPTURE_LIMIT:
            with suppress(bodies.Garbled):
                readable = bodies.unpacked(body, bodies.field(headers, _CODING), _CAPTURE_LIMIT)
        return self._tags.of(Answer(status, headers, readable))

    def failed(self, exchange: Exchange, reason: str) -> None:
        """See `http_wire.Listener`."""
        if exchange is self._last_batch:
            self._last_batch = None
        events, into = exchange.context
        if exchange.sent_ns is None:
            self._settle(into, events, Outcome.UNSENT, exchange.refused_ns, None, reason)
        else:
            self._settle(into, events, Outcome.IN_DOUBT, exchange.sent_ns, None, reason)

    def body_limit(self, status: int) -> int:
        """See `http_wire.Listener`."""
        if self._tags is not None and self._tags.needs_body:
            return _CAPTURE_LIMIT
        if status not in self._expected or self._may_return:
            return _DETAIL_LIMIT
        return _CAPTURE_LIMIT if self._capture else 0

    def _settle(
        self,
        into: Gathered,
        events: Sequence[Event],
        outcome: Outcome,
        sent_ns: int | None,
        acked_ns: int | None,
        detail: str,
        capture: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        for event in events:
            self.receipts.add(into, Receipt(event.seq, outcome, sent_ns, acked_ns, detail, capture, facts))


def _legible(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The beginning of a body, for people."""
    return bodies.beginning(
        body, bodies.field(headers, _CODING), bodies.field(headers, b"content-type"), _DETAIL_LIMIT
    )


def _captured(
    capture: Expression, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> tuple[str | None, str]:
    """The id found in an answer, or None and why there is none."""
    if len(body) >= _CAPTURE_LIMIT:
        return None, f"accepted, but the capture found nothing: the answer is longer than {_CAPTURE_LIMIT} bytes"
    try:
        answer = Answer(status, headers, bodies.unpacked(body, bodies.field(headers, _CODING), _CAPTURE_LIMIT))
        found = capture.search(answer.as_dict() if capture.whole else answer)
    except bodies.Garbled:
        return None, f"accepted, but the capture found nothing: {GARBLED}"
    except (NotJson, JMESPathError) as error:
        return None, f"accepted, but the capture found nothing: {' '.join(str(error).split())}"
    if isinstance(found, str) and found:
        return found, ""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found), ""
    return None, f"accepted, but the capture found nothing: {capture.text!r} gives no text and no number"


@asynccontextmanager
async def open_publisher(config: HttpProducerSettings, surroundings: Surroundings) -> AsyncIterator[HttpPublisher]:
    """Open the first connection, yield the producer, settle what is left. Raises TargetError."""
    endpoint = through(parse_url(config.url), config.proxy)
    tls = _tls(config, surroundings.base_dir) if endpoint.secure else None
    live = _live_headers(config, surroundings)
    publisher = HttpPublisher(config, tls, surroundings.clock, surroundings.traffic, live)
    try:
        try:
            await publisher.client.open()
        except (OSError, UnicodeError) as error:
            reason = publisher.client.no_connection(error)
            raise TargetError(
                f"can't connect to {endpoint.shown}: {reason}; start the target, or correct url"
            ) from None
        if config.rabbitmq_api is not None and "{" not in endpoint.target:
            await find_exchange(endpoint, tls, surroundings.clock, Requests(config, live).look, config.timeout)
        yield publisher
    finally:
        await publisher.close()


def _live_headers(config: HttpProducerSettings, surroundings: Surroundings) -> LiveHeaders | None:
    """The headers that hold secrets, that of `auth` among them; None if there is none. Raises TargetError."""
    auth = config.auth
    made: dict[str, Make] = {"authorization": auth.header} if auth is not None and auth.changes else {}
    return LiveHeaders.of(
        config.headers, surroundings.secrets, made, heeds=REFUSED not in expand_statuses(config.expect)
    )


def _tls(config: HttpProducerSettings, base_dir: Path) -> ssl.SSLContext:
    """Raises TargetError if a file is of no use."""
    try:
        tls = tls_context(base_dir / config.ca_file if config.ca_file else None, config.verify)
    except OSError as error:
        raise TargetError(f"can't use ca_file {config.ca_file}: {reason_of(error)}; name a PEM file") from error
    if config.cert_file:
        key_file = base_dir / config.key_file if config.key_file else None
        try:
            # With no password at all, OpenSSL would ask for that of an encrypted key on the terminal.
            tls.load_cert_chain(base_dir / config.cert_file, key_file, password="")
        except OSError as error:
            what = f"can't use cert_file {config.cert_file}: no certificate with its key could be read"
            raise TargetError(f"{what}; name PEM files, and key_file if the key is in one of its own") from error
    return tls
