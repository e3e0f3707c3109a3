"""A password that changes while a run goes on: whoever connects again comes with the one of the moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from evload.spi import Surroundings
from evload.testing import SystemClock
from evload_mqtt import MqttProducerConfig, MqttTapConfig

_PATIENCE_S = 30.0
_WELCOME = b"\x20\x03\x00\x00\x00"
"""CONNACK of MQTT 5: success, no properties."""


class Turned:
    """A secret whose value a test sets."""

    def __init__(self, value: str) -> None:
        self.value = value

    def watch(self, changed: object) -> None:
        pass

    async def renewed(self, refused: str) -> bool:
        return self.value != refused


def test_both_come_back_with_the_password_of_the_moment() -> None:
    logins: list[bytes] = []
    secret = Turned("old:p@ss/1")

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await reader.read(4096)
        logins.append(packet)
        writer.write(_WELCOME)
        if len(logins) == 1:
            secret.value = "new:p@ss/2"
        else:
            await reader.read(4096)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"mqtt://shop:{{secrets.pw}}@127.0.0.1:{port}"
            around = replace(Surroundings(SystemClock(), "r-1", Path()), secrets={"pw": secret})
            async with MqttProducerConfig(kind="mqtt", url=url, topic="shop/in").open(around):
                async with asyncio.timeout(_PATIENCE_S):
                    while len(logins) < 2:
                        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert logins[0].endswith(b"\x00\x04shop\x00\x0aold:p@ss/1")
    assert logins[1].endswith(b"\x00\x04shop\x00\x0anew:p@ss/2")
    assert MqttTapConfig.live == {"url"}
