"""Connects to a name that may have several addresses: to each in its turn, and past those that don't answer.

Addresses race as RFC 8305 (Happy Eyeballs) has it. The loop can't be asked for that: uvloop's has no such argument.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Final, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from .web import Endpoint, reason_of

HEAD_START_S: Final = 0.25
"""So long an address may be silent before the next one is tried beside it: the "Connection Attempt Delay"."""
_LONGEST_HEAD: Final = 16_384
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
AVOIDED_S: Final = 30.0
"""So long an address that was silent, or refused where another one didn't, comes last."""


class ProxyFailed(OSError):
    """There is no way through the proxy; the text is why."""


class Dialer:
    """Connections to one host and port. It remembers whose turn it is, and which addresses are better left alone."""

    def __init__(self, host: str, port: int, proxy: Endpoint | None = None, *, tunnels: bool = False) -> None:
        """`tunnels`: the proxy is to hand on bytes, and not to read requests."""
        self._host = host
        self._port = port
        self._proxy = proxy
        self._tunnels = tunnels
        self._turn = 0
        self._avoided: dict[object, float] = {}
        """Until when each of those addresses comes last, by the loop's clock."""

    @classmethod
    def to(cls, endpoint: Endpoint) -> Dialer:
        """Connections to where an HTTP address leads, through its proxy if it has one."""
        return cls(endpoint.host, endpoint.port, endpoint.proxy, tunnels=endpoint.secure)

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """A new connection, as `create_connection` gives it. Raises OSError or UnicodeError; waits for ever."""
        loop = asyncio.get_running_loop()
        hostname = self._host if tls else None
        if self._proxy is None and is_address(self._host):
            return await loop.create_connection(factory, self._host, self._port, ssl=tls, server_hostname=hostname)
        if self._proxy is None:
            connected = await self._reach(self._host, self._port)
        else:
            connected = await self._reach_through(self._proxy)
        try:
            return await loop.create_connection(factory, sock=connected, ssl=tls, server_hostname=hostname)
        except BaseException:
            connected.close()
            raise

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A socket that is connected there. Raises OSError or UnicodeError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return await self._race(self._in_turn(found, loop.time()))

    async def _reach_through(self, proxy: Endpoint) -> socket.socket:
        """A socket that is connected to the proxy, and by it to the host if it tunnels. Raises ProxyFailed."""
        try:
            connected = await self._reach(proxy.host, proxy.port)
        except (OSError, UnicodeError) as error:
            raise ProxyFailed(f"no connection to the proxy {proxy.shown}: {reason_of(error)}") from error
        if not self._tunnels:
            return connected
        try:
            await self._open_tunnel(connected, proxy)
        except BaseException:
            connected.close()
            raise
        return connected

    async def _open_tunnel(self, connected: socket.socket, proxy: Endpoint) -> None:
        """Have the proxy connect to the host (RFC 9110, 9.3.6). Raises ProxyFailed."""
        loop = asyncio.get_running_loop()
        host = f"[{self._host}]" if ":" in self._host else self._host
        place = f"{host}:{self._port}"
        login = f"proxy-authorization: {proxy.basic_auth}\r\n" if proxy.basic_auth else ""
        answer = b""
        try:
            await loop.sock_sendall(connected, f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{login}\r\n".encode())
            while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
                # By the byte at its end: what follows the head is the host's own word.
                more = await loop.sock_recv(connected, 1)
                if not more:
                    break
                answer += more
        except OSError as error:
            raise ProxyFailed(f"the proxy {proxy.shown}: {reason_of(error)}") from error
        status = _STATUS_LINE.match(answer)
        if status is None or b"\r\n\r\n" not in answer:
            raise ProxyFailed(f"what is at {proxy.shown} doesn't answer as an HTTP proxy")
        if not status[1].startswith(b"2"):
            cure = " (the login is missing or wrong)" if status[1] == b"407" else ""
            raise ProxyFailed(f"the proxy {proxy.shown} answers HTTP {status[1].decode()}{cure}")

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
