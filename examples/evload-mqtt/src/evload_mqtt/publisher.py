"""Publishes events, and turns what the broker says of them into receipts."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from evload.spi import (
    NS_PER_S,
    Event,
    Outcome,
    Receipt,
    Settle,
    Surroundings,
    come_back,
    format_duration,
)

from .connection import Connection, Disconnected, refusal
from .settings import MqttProducerSettings

_WRITE: Final = 100
"""Most events in the buffer at a time, so that the loop gets round to the answers."""
_NO_SUBSCRIBERS: Final = 0x10
_CONTENT_TYPE: Final = "content-type"


class _Sent(NamedTuple):
    """An event that has no answer yet."""

    seq: int
    settle: Settle
    sent_ns: int


class MqttPublisher:
    """The producer. What waits and what has no answer is in order, the oldest first."""

    def __init__(
        self, settings: MqttProducerSettings, surroundings: Surroundings, tls: ssl.SSLContext | None
    ) -> None:
        self._settings = settings
        self._with_login = surroundings.with_login
        self._clock = surroundings.clock
        self._tls = tls
        self._templated = "{" in settings.topic
        self._headers: Sequence[tuple[str, str]] = ()
        self._properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        """What the headers of the last event are in MQTT. Those of structured events are all the same."""
        self._connection: Connection | None = None
        self._down_reason = ""
        self._waiting: deque[tuple[Event, Settle]] = deque()
        self._unanswered: dict[int, _Sent] = {}
        self._receipts: dict[Settle, list[Receipt]] = {}
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect. Raises Disconnected."""
        await self._connect()
        self._tasks = [asyncio.ensure_future(self._stay_connected()), asyncio.ensure_future(self._watch())]

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """See `Producer.publish`. Waits while the window is full or the socket takes nothing."""
        self._waiting.extend([(event, settle) for event in batch])
        self._pump()
        while self._waiting:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Settle what is unsettled, and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._give_up("no answer before the end")
        self._drop("still waiting to be sent at the end")
        self._hand_over()
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> None:
        acked = self._acked if self._settings.qos else None
        connection = Connection(self._with_login(self._settings), self._tls, acked=acked, turned=self._pump)
        await connection.open()
        self._connection = connection

    async def _stay_connected(self) -> None:
        while self._connection is not None:
            self._down_reason = await self._connection.ended
            self._connection = None
            self._give_up(f"connection lost: {self._down_reason}")
            self._pump()
            await come_back(self._connect, Disconnected, self._not_yet)
            self._pump()

    def _not_yet(self, error: Disconnected) -> None:
        self._down_reason = str(error)

    async def _watch(self) -> None:
        """Hang up on a broker that has owed an answer for as long as `timeout`; it answers in order."""
        timeout_ns = self._settings.timeout
        while True:
            await asyncio.sleep(timeout_ns / NS_PER_S / 10)
            oldest = next(iter(self._unanswered.values()), None)
            if oldest and self._connection and self._clock.now_ns() - oldest.sent_ns > timeout_ns:
                self._connection.close(f"no answer within {format_duration(timeout_ns)}")

    def _pump(self) -> None:
        """Send what may be sent, and hand the receipts over."""
        connection, settings = self._connection, self._settings
        if connection is None:
            self._drop(f"no connection: {self._down_reason}", tried_ns=self._clock.now_ns())
        else:
            window = min(settings.window, connection.window)
            while self._waiting and connection.can_write and len(self._unanswered) < window:
                self._send(connection, min(len(self._waiting), _WRITE, window - len(self._unanswered)))
        self._hand_over()
        if not self._waiting:
            self._room.set()

    def _send(self, connection: Connection, count: int) -> None:
        qos, now_ns = self._settings.qos, self._clock.now_ns()
        for _ in range(count):
            event, settle = self._waiting.popleft()
            topic = event.extras[0] if self._templated else self._settings.topic
            try:
                number = connection.publish(topic, event.body, qos, self._properties_of(event))
            except ValueError as error:
                self._note(settle, Receipt(event.seq, Outcome.UNSENT, None, None, str(error)))
                continue
            if qos:
                self._unanswered[number] = _Sent(event.seq, settle, now_ns)
            else:
                self._note(settle, Receipt(event.seq, Outcome.IN_DOUBT, now_ns, None, "nobody answers at QoS 0"))
        connection.flush()

    def _properties_of(self, event: Event) -> Properties:
        """The headers as MQTT has them: the content type by that name, the others as user properties."""
        if event.headers != self._headers:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = next(value for name, value in event.headers if name == _CONTENT_TYPE)
            properties.UserProperty = [pair for pair in event.headers if pair[0] != _CONTENT_TYPE]
            self._headers, self._properties = event.headers, properties
        return self._properties

    def _acked(self, number: int, code: ReasonCode) -> None:
        sent = self._unanswered.pop(number, None)
        if sent is None:
            return
        if code.is_failure:
            outcome, detail = Outcome.REJECTED, f"the broker refused it: {str(code).lower()}"
        elif code.value == _NO_SUBSCRIBERS:
            outcome, detail = Outcome.RETURNED, "nobody subscribes to its topic"
        else:
            outcome, detail = Outcome.ACCEPTED, ""
        self._note(sent.settle, Receipt(sent.seq, outcome, sent.sent_ns, self._clock.now_ns(), detail))

    def _give_up(self, reason: str) -> None:
        """No answer will come any more."""
        for sent in self._unanswered.values():
            self._note(sent.settle, Receipt(sent.seq, Outcome.IN_DOUBT, sent.sent_ns, None, reason))
        self._unanswered.clear()

    def _drop(self, reason: str, tried_ns: int | None = None) -> None:
        """What waits is not sent any more."""
        for event, settle in self._waiting:
            self._note(settle, Receipt(event.seq, Outcome.UNSENT, tried_ns, None, reason))
        self._waiting.clear()

    def _note(self, settle: Settle, receipt: Receipt) -> None:
        self._receipts.setdefault(settle, []).append(receipt)

    def _hand_over(self) -> None:
        receipts, self._receipts = self._receipts, {}
        for settle, settled in receipts.items():
            settle(settled)


@asynccontextmanager
async def open_publisher(settings: MqttProducerSettings, surroundings: Surroundings) -> AsyncIterator[MqttPublisher]:
    """Connect, yield the producer, settle what is left, disconnect. Raises TargetError."""
    publisher = MqttPublisher(settings, surroundings, settings.tls(surroundings.base_dir))
    try:
        await publisher.open()
    except Disconnected as error:
        raise refusal(settings, error) from error
    try:
        yield publisher
    finally:
        await publisher.close()
