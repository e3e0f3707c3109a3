"""Turns events into HTTP requests, and what becomes of them into receipts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

from ...clients import bodies
from ...clients.answer_tags import TagReader
from ...clients.credentials.headers import REFUSED, LiveHeaders, Make
from ...clients.credentials.refusals import Refusals
from ...clients.expression_traffic import watched
from ...clients.http_traffic import WatchedListener
from ...clients.http_wire import ALL, Client, Exchange, Listener
from ...clients.jmes import Expression
from ...clients.proxies import through
from ...clients.web import (
    Answer,
    excerpt,
    parse_url,
    reason_of,
    tls_context,
)
from ...clock import Clock
from ...errors import TargetError
from ...model.facts import NEVER_CAME
from ...model.states import Outcome
from ...model.statuses import expand_statuses
from ...model.travel import Event, Receipt, Request, RequestEvent
from ...spi.context import Surroundings
from ...spi.producer import Settle
from ...spi.traffic import Traffic
from .._shared.receipts import Gathered, Receipts
from .answers import CAPTURE_LIMIT, CODING, DETAIL_LIMIT, RequestAnswer, captured, legible
from .cookies import Cookies
from .downloads import SHOWN, DownloadExchange
from .rabbitmq_api import find_exchange, routed
from .requests import RequestExchange, Requests
from .settings import HttpProducerSettings

_FACTS_LIMIT: Final = 1000
"""Most different things that answers say of their events, kept so that what is alike is there once."""


class HttpPublisher:
    """The producer. Receipts are handed over once per turn of the loop."""

    def __init__(
        self,
        config: HttpProducerSettings,
        tls: ssl.SSLContext | None,
        clock: Clock,
        traffic: Traffic | None = None,
        live: LiveHeaders | None = None,
        *,
        wanted: Collection[str] = (),
    ) -> None:
        self._times_first = "first_byte" in wanted
        self._requests = Requests(config, live)
        self._cookies = Cookies(parse_url(config.url), clock) if config.cookies else None
        self._batch = config.batch if config.mode == "batched" else 0
        self._expected = expand_statuses(config.expect)
        self._facts: dict[tuple[int, str, int], Mapping[str, Any]] = {}
        self._tags = TagReader(config.tag, traffic) if config.tag else None
        self._capture = watched(Expression(config.capture), "capture", traffic) if config.capture else None
        self._live = live
        self._refusals = Refusals(self, live, self._send_again, self._heeds) if live is not None else None
        listener: Listener = self._refusals or self
        if traffic is not None:
            listener = WatchedListener(listener, traffic, clock)
        self._watched = traffic is not None
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
            together = [event for event in batch if not isinstance(event, RequestEvent)]
            exchanges = self._batches(together, into, now_ns)
            batch = [event for event in batch if isinstance(event, RequestEvent)]
        for event in batch:
            try:
                if isinstance(event, RequestEvent):
                    request, own_headers = self._requests.own(event, self._cookies)
                    exchange: Exchange
                    if (wanted := event.request.wanted) is None:
                        exchange = RequestExchange(request, own_headers, event, into, now_ns)
                    else:
                        exchange = DownloadExchange(
                            request, own_headers, event, into, now_ns, wanted,
                            keeps=self._kept_of(event.request), hashes=self._watched,
                        )  # fmt: skip
                else:
                    exchange = Exchange(self._requests.single(event), ((event,), into), now_ns)
            except ValueError as error:
                self._settle(into, (event,), Outcome.UNSENT, None, None, str(error))
            else:
                exchanges.append(exchange)
        self.client.submit(exchanges)

    def prepare(self, count: int) -> None:
        """See `Preparing`."""
        self.client.prepare(count)

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
        exchange.queued_ns, exchange.first_ns = self._clock.now_ns(), None
        self.client.submit((exchange,))

    def _heeds(self, exchange: Exchange) -> bool:
        """Whether a 401 refuses the live headers: not where it is an answer like any, or none of them was sent."""
        assert self._live is not None
        if not isinstance(exchange, RequestExchange):
            return self._live.heeds
        asks = exchange.asks
        if REFUSED in asks.expect or REFUSED in asks.refused:
            return False
        return not self._live.values.keys() <= set(exchange.own_headers)

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
        if isinstance(exchange, RequestExchange):
            self._answered_request(exchange, status, headers, body, at_ns)
            return
        events, into = exchange.context
        capture = None
        if status in self._expected:
            outcome, detail = Outcome.ACCEPTED, exchange.past
            if self._capture is not None:
                capture, told = captured(self._capture, status, headers, body)
                detail = told or detail
            elif self._may_return:
                outcome, told = routed(body)
                detail = told or detail
        else:
            outcome, detail = Outcome.REJECTED, _refusal(status, headers, body)
        acked_ns = None if outcome is Outcome.IN_DOUBT else at_ns
        tags = "" if self._tags is None else self._tagged(self._tags, status, headers, body)
        # A batch has one answer, whose bytes its events share.
        each, rest = divmod(exchange.body_size, len(events))
        facts = self._with_first_byte(exchange, self._facts_of(status, tags, each), at_ns)
        if rest:
            first, events = events[:rest], events[rest:]
            more = self._with_first_byte(exchange, self._facts_of(status, tags, each + 1), at_ns)
            self._settle(into, first, outcome, exchange.sent_ns, acked_ns, detail, capture, more)
        self._settle(into, events, outcome, exchange.sent_ns, acked_ns, detail, capture, facts)

    def _answered_request(
        self,
        exchange: RequestExchange,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        at_ns: int,
    ) -> None:
        """The same for the request of a journey, which has its own statuses, and whose answer is handed on."""
        asks = exchange.asks
        if self._cookies is not None:
            self._cookies.take(asks, self._requests.path_of(asks), headers, at_ns)
        (event,), into = exchange.context
        if status in asks.expect or status in asks.refused:
            outcome, detail = Outcome.ACCEPTED, exchange.past
        else:
            outcome, detail = Outcome.REJECTED, _refusal(status, headers, body)
        tags = "" if self._tags is None else self._tagged(self._tags, status, headers, body)
        facts = self._with_first_byte(exchange, self._facts_of(status, tags, exchange.body_size), at_ns)
        if asks.wanted is None:
            answer = RequestAnswer(status, headers, body, exchange.body_size, reads=asks.reads)
        else:
            answer = cast(DownloadExchange, exchange).answer(status, headers, body, reads=asks.reads)
        receipt = Receipt(event.seq, outcome, exchange.sent_ns, at_ns, detail, None, facts, answer)
        self.receipts.add(into, receipt)

    def _facts_of(self, status: int, tags: str, bytes_in: int) -> Mapping[str, Any]:
        """One mapping for all answers that say the same."""
        facts = self._facts.get((status, tags, bytes_in))
        if facts is None:
            facts = {"status": status, "bytes_in": bytes_in, **({"tags": tags} if tags else {})}
            if len(self._facts) < _FACTS_LIMIT:
                self._facts[status, tags, bytes_in] = facts
        return facts

    def _with_first_byte(self, exchange: Exchange, facts: Mapping[str, Any], at_ns: int | None) -> Mapping[str, Any]:
        """What is known by an answer, with when its first byte came where that is asked. `at_ns`: when it was
        complete; None: it never was."""
        if not self._times_first or exchange.sent_ns is None:
            return facts
        first_ns = at_ns if exchange.first_ns is None else exchange.first_ns
        return {**facts, "first_byte": NEVER_CAME if first_ns is None else first_ns - exchange.sent_ns}

    def _tagged(self, tags: TagReader, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str:
        """The tags that an answer gives its events."""
        readable = b""
        if tags.needs_body and len(body) < CAPTURE_LIMIT:
            with suppress(bodies.Garbled):
                readable = bodies.unpacked(body, bodies.field(headers, CODING), CAPTURE_LIMIT)
        return tags.of(Answer(status, headers, readable))

    def failed(self, exchange: Exchange, reason: str) -> None:
        """See `http_wire.Listener`."""
        if exchange is self._last_batch:
            self._last_batch = None
        events, into = exchange.context
        if exchange.sent_ns is None:
            self._settle(into, events, Outcome.UNSENT, exchange.refused_ns, None, reason)
        else:
            status = exchange.broken_status
            facts = self._with_first_byte(exchange, {} if status is None else {"status": status}, None)
            self._settle(into, events, Outcome.IN_DOUBT, exchange.sent_ns, None, reason, facts=facts or None)

    def body_limit(self, exchange: Exchange, status: int) -> int:
        """See `http_wire.Listener`."""
        tagged = self._tags is not None and self._tags.needs_body
        if isinstance(exchange, RequestExchange):
            asks = exchange.asks
            if asks.wanted is not None and status in asks.expect:
                return ALL
            if asks.reads or tagged:
                return CAPTURE_LIMIT
            return 0 if status in asks.expect or status in asks.refused else DETAIL_LIMIT
        if tagged:
            return CAPTURE_LIMIT
        if status not in self._expected or self._may_return:
            return DETAIL_LIMIT
        return CAPTURE_LIMIT if self._capture else 0

    def _kept_of(self, asks: Request) -> int:
        """How many bytes are kept of a body that is counted and hashed."""
        if asks.reads or (self._tags is not None and self._tags.needs_body):
            return CAPTURE_LIMIT
        return SHOWN if self._watched else 0

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


def _refusal(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> str:
    """For people: a status and the words that came with it."""
    text = excerpt(legible(headers, body))
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"


@asynccontextmanager
async def open_publisher(config: HttpProducerSettings, surroundings: Surroundings) -> AsyncIterator[HttpPublisher]:
    """Open the first connection, yield the producer, settle what is left. Raises TargetError."""
    endpoint = through(parse_url(config.url), config.proxy)
    tls = _tls(config, surroundings.base_dir) if endpoint.secure else None
    live = _live_headers(config, surroundings)
    publisher = HttpPublisher(config, tls, surroundings.clock, surroundings.traffic, live, wanted=surroundings.wanted)
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
