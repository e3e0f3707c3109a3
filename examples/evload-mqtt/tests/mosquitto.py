"""A private MQTT broker, and a client that is none of the plug-in's: what tests hold it against."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

_PATIENCE_S: Final = 30.0
"""How long a test waits for others before it is given up; never what decides one."""
_RUN: Final = '"$0" -c "$1" & server=$!; cat >/dev/null; kill "$server"; wait'
"""Ends the broker when the pipe ends that this process holds, whatever ends this process."""
_CONFIG: Final = """\
listener {port} 127.0.0.1
allow_anonymous {anonymous}
acl_file {acl}
persistence false
max_inflight_messages 1000
max_queued_messages 100000
log_type none
"""
_ACL: Final = """\
topic readwrite shop/#
topic readwrite $SYS/#
"""


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that others are about to do."""
    until = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


@contextmanager
def running_broker(*, anonymous: bool = True) -> Iterator[int]:
    """A broker on the port given, where everybody may use the topics `shop/…` and no others."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/opt/homebrew/sbin")
    assert program, "these tests need mosquitto; get it with: apt-get install mosquitto"
    with tempfile.TemporaryDirectory(prefix="evload-mqtt-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, mosquitto becomes a user of its own
        acl, config, port = directory / "acl", directory / "mosquitto.conf", _free_port()
        acl.write_text(_ACL)
        anybody = str(anonymous).lower()
        config.write_text(_CONFIG.format(port=port, anonymous=anybody, acl=acl))
        with subprocess.Popen(["sh", "-c", _RUN, program, config], stdin=subprocess.PIPE) as process:
            wait_until(lambda: process.poll() is not None or _answers(port))
            assert process.poll() is None, "mosquitto did not start"
            yield port
            assert process.stdin is not None
            process.stdin.close()


@dataclass
class Bystander:
    """A subscriber in a thread of its own. `messages` is what has come."""

    client: Client
    messages: list[MQTTMessage] = field(default_factory=list)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish, and wait for the broker's answer."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(_PATIENCE_S)

    def payloads(self, count: int) -> Sequence[bytes]:
        """The payloads, once there are so many."""
        wait_until(lambda: len(self.messages) >= count)
        return [bytes(message.payload) for message in self.messages]


@contextmanager
def bystander(
    port: int, topic: str, heard: Callable[[Client, MQTTMessage], None] | None = None
) -> Iterator[Bystander]:
    """Subscribed to `topic`. `heard` is called for each message, in the client's thread."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    subscribed, who = threading.Event(), Bystander(client)

    def arrived(client: Client, _data: object, message: MQTTMessage) -> None:
        who.messages.append(message)
        if heard is not None:
            heard(client, message)

    client.on_message = arrived
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.subscribe(topic, qos=1)
    client.loop_start()
    assert subscribed.wait(_PATIENCE_S)
    try:
        yield who
    finally:
        client.disconnect()
        client.loop_stop()


def properties_of(message: MQTTMessage) -> Any:
    """Its properties, by the names that paho gives them."""
    return message.properties


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
