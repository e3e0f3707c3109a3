"""One MQTT 5 connection on asyncio's loop, by means of paho and its calls for loops of other people.

aiomqtt would be the obvious choice, and is right where every message is awaited. It drops the reason code of a
PUBACK, without which a refused event looks accepted, wants a task for each event, and gives a message to whoever
iterates when he comes by and not when it arrives.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from evload.clients.web import reason_of
from evload.spi import NS_PER_S, TargetError, format_duration

from .settings import MqttSettings, parse_url

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

_MISC_S: Final = 1.0
"""How often paho may look after its keep-alive."""
_MOST_UNANSWERED: Final = 65_535

Acked = Callable[[int, ReasonCode], None]
"""From a message's id and what the broker says of it. Called for one message after the other, while they are read."""
Arrived = Callable[[MQTTMessage], None]


class Disconnected(Exception):
    """There is no connection, or none any more. The text says why."""


class Connection:
    """Made once, lost once, and never made again: paho would send again what has no answer.

    window  most messages with QoS 1 that the broker takes without having answered
    ended   why it is over, once it is
    """

    def __init__(
        self,
        settings: MqttSettings,
        tls: ssl.SSLContext | None,
        *,
        acked: Acked | None = None,
        arrived: Arrived | None = None,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        """`turned` is called when the socket has been read or written as far as it goes."""
        self.window = _MOST_UNANSWERED
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._timeout_s = settings.timeout / NS_PER_S
        self._address = parse_url(settings.url)
        self._keepalive_s = max(1, settings.keepalive // NS_PER_S)
        self._turned = turned
        self._answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._ticking: asyncio.TimerHandle | None = None
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, f"evload-{uuid4().hex[:16]}", protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.connect_timeout = self._timeout_s
        client.max_inflight_messages = 0  # whoever publishes minds the window
        client.on_connect = self._on_connect
        client.on_subscribe = lambda _client, _data, _id, codes, _properties: self._answered(codes[0])
        client.on_disconnect = self._on_disconnect
        if acked is not None:
            client.on_publish = lambda _client, _data, number, code, _properties: acked(number, code)
        if arrived is not None:
            client.on_message = lambda _client, _data, message: arrived(message)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if tls is not None:
            client.tls_set_context(tls)

    # What the producer and the probe ask for.

    async def open(self) -> None:
        """Connect and log in. Raises Disconnected."""
        connect = partial(
            self._client.connect, self._address.host, self._address.port, self._keepalive_s, clean_start=True
        )
        connecting = self._loop.run_in_executor(None, connect)
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(connecting)
                self._attach()
                await self._until_answered("refused to let us in")
        except BaseException as error:
            connecting.add_done_callback(self._give_up)
            if isinstance(error, TimeoutError):
                raise Disconnected(f"no answer within {format_duration(self._timeout_s * NS_PER_S)}") from None
            if isinstance(error, OSError | ValueError):
                raise Disconnected(reason_of(error)) from error
            raise
        self._tick()

    async def subscribe(self, topic: str, qos: int) -> None:
        """Ask for what is published to matching topics from now on. Raises Disconnected."""
        self._answer = self._loop.create_future()
        options = SubscribeOptions(qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe(topic, options=options)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._until_answered(f"refused the subscription to {topic!r}")
        except TimeoutError:
            raise Disconnected(f"no answer within {format_duration(self._timeout_s * NS_PER_S)}") from None

    @property
    def can_write(self) -> bool:
        """It is up, and the socket has taken all that was published."""
        return not (self.ended.done() or self._client.want_write())

    def publish(self, topic: str, payload: bytes, qos: int, properties: Properties) -> int:
        """Put a message into the buffer, and give its id. `flush` sends it. Raises ValueError if it can't be sent."""
        info = self._client.publish(topic, payload, qos, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ValueError(f"paho refused it: {info.rc.name}")
        return info.mid

    def flush(self) -> None:
        """Write as much as the socket takes; the loop writes the rest."""
        self._client.loop_write()

    def close(self, reason: str = "closed") -> None:
        """Say goodbye, if the broker still takes it, and let go."""
        self._end(reason)
        if self._ticking is not None:
            self._ticking.cancel()
        self._client.disconnect()
        self._client.loop_write()
        # paho has closed the socket unless it couldn't write.
        link = self._client.socket()
        if link is not None and link.fileno() >= 0:
            self._loop.remove_reader(link)
            self._loop.remove_writer(link)
            self._client.on_socket_close = None
            self._client.on_socket_unregister_write = None
            link.close()

    # What paho and the loop call.

    def _attach(self) -> None:
        """Let the loop watch the socket, which a thread has opened."""
        client, loop = self._client, self._loop
        link = client.socket()
        if link is None:
            raise Disconnected("the broker hung up")
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = lambda _client, _data, link: loop.add_writer(link, self._writable)
        client.on_socket_unregister_write = self._on_socket_written
        loop.add_reader(link, self._readable, link)
        if client.want_write():
            client.loop_write()

    def _on_socket_close(self, _client: Client, _data: object, link: SocketLike) -> None:
        self._loop.remove_reader(link)

    def _on_socket_written(self, _client: Client, _data: object, link: SocketLike) -> None:
        self._loop.remove_writer(link)

    def _readable(self, link: SocketLike) -> None:
        try:
            self._client.loop_read()
            while isinstance(link, ssl.SSLSocket) and link.fileno() >= 0 and link.pending():
                self._client.loop_read()
        except (MQTTException, ValueError, IndexError, struct.error):
            self.close("it doesn't speak MQTT 5")
        self._turned()

    def _writable(self) -> None:
        self._client.loop_write()
        self._turned()

    def _tick(self) -> None:
        self._client.loop_misc()
        if not self.ended.done():
            self._ticking = self._loop.call_later(_MISC_S, self._tick)

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        self.window = getattr(properties, "ReceiveMaximum", _MOST_UNANSWERED)
        self._answered(code)

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        said = flags.is_disconnect_packet_from_server or code.getName() == "Keep alive timeout"
        self._end(str(code).lower() if said else "connection lost")

    def _answered(self, code: ReasonCode) -> None:
        if not self._answer.done():
            self._answer.set_result(code)

    async def _until_answered(self, refused: str) -> None:
        """Wait for the answer to what was asked last. Raises Disconnected if it is no, or none will come."""
        either: list[asyncio.Future[Any]] = [self._answer, self.ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._answer.done():
            raise Disconnected(self.ended.result())
        if self._answer.result().is_failure:
            raise Disconnected(f"the broker {refused}: {str(self._answer.result()).lower()}")

    def _give_up(self, connecting: asyncio.Future[MQTTErrorCode]) -> None:
        """Nobody waits any more for the connection that a thread may just have made."""
        if not connecting.cancelled():
            connecting.exception()
        self.close("given up")

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


def refusal(settings: MqttSettings, error: Disconnected) -> TargetError:
    """The one line for a broker that can't be reached or lets nobody in."""
    return TargetError(
        f"can't use {parse_url(settings.url).shown}: {error}; start the broker, or correct url, user and password"
    )
