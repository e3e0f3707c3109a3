"""Puts events on a bus: gathers them into calls, settles them entry by entry, sends again what was throttled."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from ...clients.aws import Aws, code_of, is_denied
from ...clients.http_traffic import WatchedListener
from ...clients.http_wire import Client, Exchange, Listener
from ...clients.web import Endpoint, parse_url, reason_of, tls_context
from ...clock import rfc3339
from ...errors import TargetError
from ...model.states import Outcome
from ...model.travel import Event, Receipt
from ...spi.context import Surroundings
from ...spi.producer import Settle
from ...units import NS_PER_S, format_duration
from .._shared.receipts import Gathered, Receipts
from .calls import Refusal, Signer, call_refusal, entry_refusals
from .entries import Entries, joined
from .settings import EventBridgeProducerSettings

_SLICE: Final = 16
"""Calls signed and written before the loop may look at answers again."""
_IDLE_NS: Final = 5 * NS_PER_S
_ANSWER_LIMIT: Final = 1 << 16
"""What is read of an answer, in bytes: ten entries take a tenth of it."""
_LONGEST_PAUSE_S: Final = 20
_RETRY_COST: Final = 5
"""What sending a call again takes from the SDK's retry quota, and gives back once it succeeds."""


class _Item:
    """One event on its way. `refusal` is what the service said last, at `refused_ns`, if it is to be sent again."""

    __slots__ = ("attempts", "entry", "event", "into", "queued_ns", "refusal", "refused_ns", "sent_ns", "size")

    def __init__(self, event: Event, into: Gathered, queued_ns: int) -> None:
        self.event = event
        self.into = into
        self.queued_ns = queued_ns
        self.entry: bytes | None = None
        self.size = 0
        self.attempts = 0
        self.sent_ns: int | None = None
        self.refusal: Refusal | None = None
        self.refused_ns = 0


class EventBridgePublisher:
    """The producer. Events wait only while `concurrency` calls are under way; receipts leave once per loop turn."""

    def __init__(
        self,
        config: EventBridgeProducerSettings,
        surroundings: Surroundings,
        signer: Signer,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
    ) -> None:
        from botocore.retries.quota import RetryQuota

        self._entries = Entries(config, surroundings.run_id)
        self._batch = config.batch
        self._max_size = config.max_size
        self._concurrency = config.concurrency
        self._timeout_ns = config.timeout
        self._retries = config.retries
        self._quota: Any = RetryQuota()
        self._clock = surroundings.clock
        self._signer = signer
        self._endpoint = endpoint
        traffic = surroundings.traffic
        listener: Listener = self if traffic is None else WatchedListener(self, traffic, self._clock)
        self._client = Client(
            endpoint,
            tls,
            self._clock,
            listener,
            connections=config.concurrency,
            timeout_ns=config.timeout,
            max_idle_ns=_IDLE_NS,
        )
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Item] = deque()
        self._resting: dict[asyncio.TimerHandle, list[_Item]] = {}
        self._under_way = 0
        self._pump_due = False
        self._closed = False
        self._receipts = Receipts(self._hand_over_soon)

    async def open(self) -> None:
        """Open the first connection. Raises TargetError."""
        try:
            await self._client.open()
        except (OSError, UnicodeError) as error:
            reason = self._client.no_connection(error)
            raise TargetError(
                f"can't connect to {self._endpoint.shown}: {reason}; check the network, region and endpoint"
            ) from None

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Queue the events; see `Producer.publish`. Never waits: the number in flight is the engine's to limit."""
        now_ns, into = self._clock.now_ns(), self._receipts.of(settle)
        self._waiting.extend([_Item(event, into, now_ns) for event in batch])
        if not self._pump_due:
            self._pump()

    async def close(self) -> None:
        """Settle all that is left."""
        self._closed = True
        await self._client.close()
        for timer, items in self._resting.items():
            timer.cancel()
            self._waiting.extend(items)
        self._resting.clear()
        self._give_up_waiting()
        self._receipts.hand_over()

    def _pump(self) -> None:
        """Send what is waiting, as far as calls are free."""
        self._pump_due = False
        if self._closed:
            self._give_up_waiting()
            return
        now_ns = self._clock.now_ns()
        waiting = self._waiting
        overdue_ns = now_ns - self._timeout_ns
        while waiting and waiting[0].queued_ns <= overdue_ns:
            reason = f"{self._concurrency} calls were under way for {format_duration(self._timeout_ns)}"
            self._not_sent(waiting.popleft(), reason, None)
        calls: list[Exchange] = []
        while waiting and self._under_way < self._concurrency and len(calls) < _SLICE:
            items = self._next_call(now_ns)
            if items:
                request = self._signer.request(joined([item.entry or b"" for item in items]))
                calls.append(Exchange(request, items, now_ns))
                self._under_way += 1
        self._client.submit(calls)
        if len(calls) == _SLICE:
            self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _next_call(self, now_ns: int) -> list[_Item]:
        """The entries that go into one call; none if all that was waiting was too large for any."""
        published_at = rfc3339(self._clock.wall(now_ns))
        items: list[_Item] = []
        size = 0
        while self._waiting and len(items) < self._batch:
            item = self._waiting[0]
            if item.entry is None:
                item.entry, item.size = self._entries.render(item.event, published_at)
            if item.size > self._max_size:
                self._waiting.popleft()
                reason = f"the entry has {item.size} bytes, and EventBridge takes {self._max_size}; it was not sent"
                self._settle(item, Outcome.REJECTED, now_ns, now_ns, reason)
                continue
            if size + item.size > self._max_size:
                if not item.attempts:
                    item.entry = None  # It is published later, and has to say so.
                break
            size += item.size
            items.append(self._waiting.popleft())
        return items

    # What follows is called by the client; see `http_wire.Listener`.

    def answered(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, at_ns: int
    ) -> None:
        items: list[_Item] = exchange.context
        self._call_ended(exchange)
        refusals: Sequence[Refusal | None]
        if status == 200:
            try:
                refusals = entry_refusals(body, len(items))
            except ValueError as error:
                for item in items:
                    self._settle(item, Outcome.IN_DOUBT, item.sent_ns, None, f"answered with 200 and {error}")
                return
        else:
            refusals = [call_refusal(status, headers, body)] * len(items)
        again = []
        for item, refusal in zip(items, refusals, strict=True):
            if refusal is None:
                self._settle(item, Outcome.ACCEPTED, item.sent_ns, at_ns, _history(item) or exchange.past)
                continue
            item.refusal, item.refused_ns = refusal, at_ns
            if refusal.again and item.attempts <= self._retries and not self._closed:
                again.append(item)
            else:
                self._refused(item)
        if again:
            self._send_again(again)
        elif None in refusals:
            self._quota.release(_RETRY_COST if any(item.attempts > 1 for item in items) else 1)

    def failed(self, exchange: Exchange, reason: str) -> None:
        sent = exchange.sent_ns is not None
        self._call_ended(exchange)
        for item in exchange.context:
            if sent:
                self._settle(item, Outcome.IN_DOUBT, item.sent_ns, None, reason)
            else:
                self._not_sent(item, reason, exchange.queued_ns)

    def body_limit(self, exchange: Exchange, status: int) -> int:
        return _ANSWER_LIMIT

    def _call_ended(self, exchange: Exchange) -> None:
        self._under_way -= 1
        if exchange.sent_ns is not None:
            for item in exchange.context:
                item.attempts += 1
                if item.sent_ns is None:
                    item.sent_ns = exchange.sent_ns
        # Not at once: the connection that brought the answer isn't idle yet.
        self._pump_soon()

    def _send_again(self, items: list[_Item]) -> None:
        """Queue refused items again after a pause as long as the SDK's standard mode makes it."""
        if not self._quota.acquire(_RETRY_COST):
            for item in items:
                self._refused(item)
            return
        attempts = max(item.attempts for item in items)
        pause_s = random.random() * min(2 ** (attempts - 1), _LONGEST_PAUSE_S)

        def queue() -> None:
            del self._resting[timer]
            now_ns = self._clock.now_ns()
            for item in items:
                item.queued_ns = now_ns
            self._waiting.extendleft(reversed(items))
            self._pump_soon()

        timer = self._loop.call_later(pause_s, queue)
        self._resting[timer] = items

    def _give_up_waiting(self) -> None:
        while self._waiting:
            self._not_sent(self._waiting.popleft(), "not sent before the end", None)

    def _not_sent(self, item: _Item, reason: str, tried_ns: int | None) -> None:
        """It won't be sent (any more): what was refused before stays refused."""
        if item.refusal is not None:
            self._refused(item)
        else:
            self._settle(item, Outcome.UNSENT, tried_ns, None, reason)

    def _refused(self, item: _Item) -> None:
        after = f" (after {item.attempts} attempts)" if item.attempts > 1 else ""
        self._settle(item, Outcome.REJECTED, item.sent_ns, item.refused_ns, f"{item.refusal}{after}")

    def _settle(self, item: _Item, outcome: Outcome, sent_ns: int | None, acked_ns: int | None, detail: str) -> None:
        self._receipts.add(item.into, Receipt(item.event.seq, outcome, sent_ns, acked_ns, detail))

    def _hand_over_soon(self) -> None:
        self._loop.call_soon(self._receipts.hand_over)


def _history(item: _Item) -> str:
    """What became of an accepted event before: nothing, or how often it was refused."""
    if item.refusal is None:
        return ""
    times = "once" if item.attempts == 2 else f"{item.attempts - 1} times"
    return f"accepted after {item.refusal.code}, {times}"


@asynccontextmanager
async def open_publisher(
    config: EventBridgeProducerSettings, surroundings: Surroundings
) -> AsyncIterator[EventBridgePublisher]:
    """Find the bus, open the first connection, yield the producer, settle what is left. Raises TargetError."""
    aws = Aws(config, config.kind, surroundings.guard)
    credentials = await aws.credentials()
    async with aws.client("events") as sdk:
        if "{" not in config.bus:
            await _find_bus(aws, sdk, config.bus)
        endpoint, region = parse_url(sdk.meta.endpoint_url), sdk.meta.region_name
    tls = None
    if endpoint.secure:
        trusted = aws.trusted()
        try:
            tls = tls_context(trusted, verify=True)
        except OSError as error:
            raise TargetError(f"can't use AWS_CA_BUNDLE {trusted}: {reason_of(error)}; name a PEM file") from error
    async with Signer(credentials, endpoint, region) as signer:
        publisher = EventBridgePublisher(config, surroundings, signer, endpoint, tls)
        try:
            await publisher.open()
            yield publisher
        finally:
            await publisher.close()


async def _find_bus(aws: Aws, sdk: Any, bus: str) -> None:
    """Raises TargetError if there is no such bus. Whoever may not look may still be allowed to publish."""
    try:
        await sdk.describe_event_bus(Name=bus)
    except aws.errors as error:
        if code_of(error) == "ResourceNotFoundException":
            raise TargetError(
                f"there is no event bus {bus!r} in {sdk.meta.region_name}; create it, or correct bus or region"
            ) from None
        if not is_denied(error):
            raise aws.error(error, f"can't look at event bus {bus!r}") from None
