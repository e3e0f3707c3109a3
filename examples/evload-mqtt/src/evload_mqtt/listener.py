"""Listens to a topic, and knows when it was cut off from it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from paho.mqtt.client import MQTTMessage

from evload.clients.jmes import Expression
from evload.spi import Cuts, Inbox, Read, ReadResult, Seen, Surroundings, Target, Tell, come_back, nothing_of

from .connection import Connection, Disconnected, refusal
from .settings import MqttTapSettings


class MqttListener:
    """The probe."""

    def __init__(self, settings: MqttTapSettings, surroundings: Surroundings, tls: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._with_login = surroundings.with_login
        self._clock = surroundings.clock
        self._seq_of = surroundings.ids.seq_of
        self._tls = tls
        self._match = Expression(settings.match)
        self._connection: Connection | None = None
        self._number = 0
        """Of the messages so far: the order in which they came."""
        self._inbox = Inbox()
        self._cuts = Cuts(self._clock, "tap")

    async def attach(self) -> None:
        """Connect and subscribe. Raises Disconnected."""
        connection = Connection(self._with_login(self._settings), self._tls, arrived=self._arrived)
        await connection.open()
        try:
            await connection.subscribe(self._settings.topic, self._settings.qos)
        except BaseException:
            connection.close()
            raise
        connection.ended.add_done_callback(self._ended)
        self._connection = connection

    def detach(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`. Connects again when it was cut off."""
        self._inbox.attend(report)
        while True:
            await self._inbox.news()
            self._inbox.tell()
            if self._cuts.since_ns is not None:
                await come_back(self.attach, Disconnected, lambda error: self._cuts.hindered(str(error)))
                self._cuts.heal()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless there was a cut in which it could have."""
        self._inbox.tell()
        now_ns = self._clock.now_ns()
        error = self._cuts.gap if self._inbox.listened else "the tap isn't listened to yet"
        return nothing_of(targets, now_ns, now_ns, error)

    def _arrived(self, message: MQTTMessage) -> None:
        now_ns = self._clock.now_ns()
        self._number += 1
        try:
            found = self._match.search(_document(message))
        except ValueError:  # an expression that asks for what isn't there; it is nobody's event then
            return
        seq = self._seq_of(found) if isinstance(found, str) else None
        if seq is not None:
            self._inbox.put([Read(seq, Seen.PRESENT, now_ns, now_ns, position=self._number, exact=True)])

    def _ended(self, ended: asyncio.Future[str]) -> None:
        self._cuts.cut(ended.result())
        self._inbox.wake()


def _document(message: MQTTMessage) -> dict[str, Any]:
    """What expressions look at."""
    try:
        payload = json.loads(message.payload)
    except ValueError:
        payload = message.payload.decode("utf-8", "replace")
    pairs = getattr(message.properties, "UserProperty", ())
    return {"topic": message.topic, "properties": dict(pairs), "payload": payload}


@asynccontextmanager
async def open_listener(settings: MqttTapSettings, surroundings: Surroundings) -> AsyncIterator[MqttListener]:
    """Connect and subscribe, yield the probe, disconnect. Raises TargetError."""
    listener = MqttListener(settings, surroundings, settings.tls(surroundings.base_dir))
    try:
        await listener.attach()
    except Disconnected as error:
        raise refusal(settings, error) from error
    try:
        yield listener
    finally:
        listener.detach()
