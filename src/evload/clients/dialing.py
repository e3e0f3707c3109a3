"""Connects to a name that may have several addresses: to each in its turn, and past those that don't answer.

Addresses race as RFC 8305 (Happy Eyeballs) has it. The loop can't be asked for that: uvloop's has no such argument.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Final, cast

from aiohappyeyeballs import AddrInfoType, start_connection

HEAD_START_S: Final = 0.25
"""So long an address may be silent before the next one is tried beside it: the "Connection Attempt Delay"."""
AVOIDED_S: Final = 30.0
"""So long an address that was silent, or refused where another one didn't, comes last."""


class Dialer:
    """Connections to one host and port. It remembers whose turn it is, and which addresses are better left alone."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._turn = 0
        self._avoided: dict[object, float] = {}
        """Until when each of those addresses comes last, by the loop's clock."""

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """A new connection, as `create_connection` gives it. Raises OSError or UnicodeError; waits for ever."""
        loop = asyncio.get_running_loop()
        hostname = self._host if tls else None
        if is_address(self._host):
            return await loop.create_connection(factory, self._host, self._port, ssl=tls, server_hostname=hostname)
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        connected = await self._race(self._in_turn(found, loop.time()))
        try:
            return await loop.create_connection(factory, sock=connected, ssl=tls, server_hostname=hostname)
        except BaseException:
            connected.close()
            raise

    async def streams(self, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection, as `asyncio.open_connection` gives it. Raises as `connect`."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self.connect(lambda: protocol, tls)
        loop = asyncio.get_running_loop()
        return reader, asyncio.StreamWriter(cast(asyncio.WriteTransport, transport), protocol, reader, loop)

    async def _race(self, addresses: Sequence[AddrInfoType]) -> socket.socket:
        """A socket that is connected to the first address that answers. Raises OSError if none does."""
        tried: dict[socket.socket, AddrInfoType] = {}

        def begin(address: AddrInfoType) -> socket.socket:
            begun = socket.socket(*address[:3])
            tried[begun] = address
            return begun

        winner = await start_connection(
            addresses, happy_eyeballs_delay=HEAD_START_S, interleave=0, socket_factory=begin
        )
        until = asyncio.get_running_loop().time() + AVOIDED_S
        self._avoided.update((address[4], until) for begun, address in tried.items() if begun is not winner)
        self._avoided.pop(tried[winner][4], None)
        return winner

    def _in_turn(self, found: Sequence[AddrInfoType], now: float) -> list[AddrInfoType]:
        """All addresses, the one whose turn it is first, those to be avoided last."""
        # A resolver may turn them around each time, which with turns of our own could make it one and the same.
        families = list(dict.fromkeys(address[0] for address in found))
        by_family = [
            sorted({address[4]: address for address in found if address[0] == family}.items()) for family in families
        ]
        mixed = [entry[1] for entry in chain.from_iterable(zip_longest(*by_family)) if entry is not None]
        self._avoided = {address: until for address, until in self._avoided.items() if until > now}
        good = [address for address in mixed if address[4] not in self._avoided]
        bad = [address for address in mixed if address[4] in self._avoided]
        first = self._turn % len(good) if good else 0
        self._turn += 1
        return [*good[first:], *good[:first], *bad]


def is_address(host: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
