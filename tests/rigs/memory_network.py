"""A network in memory and in virtual time: what one end writes arrives at the other a millisecond later, in order.

A connection takes two milliseconds to be made, no timeout takes any real time, and nothing depends on how busy
the machine is. `run` gives the loop; servers and clients on it are asyncio's own.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Final, TypeVar, cast

from evload.testing import VirtualLoop

T = TypeVar("T")

_BEGIN_S: Final = 1000
"""When a test begins, so that nothing holds only because the clock is near its zero."""
LATENCY_NS: Final = 1_000_000
CONNECT_NS: Final = 2 * LATENCY_NS
CAPACITY: Final = 65_536
"""Most bytes on their way to one end, or not yet read by it; what is beyond them waits with the sender."""

_Factory = Callable[[], asyncio.BaseProtocol]
_Item = bytes | None | OSError
"""What travels: bytes, the end of them, or a reset."""


class _Socket:
    """Stands in for the socket, of which nobody asks more than to be reset instead of closed."""

    family = socket.AF_UNIX
    """Nothing of TCP is to be set."""

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option == socket.SO_LINGER:
            self.resets = True


class _End(asyncio.Transport):
    """One end of a connection."""

    other: _End

    def __init__(self, loop: MemoryLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = cast(asyncio.Protocol, protocol)
        self._socket = _Socket()
        self._unwritten = bytearray()
        self._high, self._low = 65_536, 16_384
        self._paused = False
        self._coming: deque[_Item] = deque()
        self._arrived: deque[_Item] = deque()
        self._taken_up = 0
        self._reads = True
        self._closing = False
        self._gone = False

    # What the protocol calls.

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        self._unwritten += data
        self._move()
        if len(self._unwritten) > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._unwritten)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._loop.call_soon(self._read)

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unwritten:
                self._leave(None)

    def abort(self) -> None:
        self._unwritten.clear()
        self._closing = True
        self._leave(None)

    # How it travels.

    def _move(self) -> None:
        """Send what the other end has room for."""
        room = CAPACITY - self.other._taken_up
        if room > 0 and self._unwritten:
            data = bytes(self._unwritten[:room])
            del self._unwritten[:room]
            self.other._taken_up += len(data)
            self.other._send_here(data)
        if self._closing and not self._unwritten:
            self._leave(None)
        elif self._paused and len(self._unwritten) <= self._low:
            self._paused = False
            self._protocol.resume_writing()

    def _send_here(self, item: _Item) -> None:
        self._coming.append(item)
        self._loop.call_later(LATENCY_NS / 1e9, self._arrive)

    def _arrive(self) -> None:
        self._arrived.append(self._coming.popleft())
        self._read()

    def _read(self) -> None:
        while self._arrived and self._reads and not self._gone:
            item = self._arrived.popleft()
            if isinstance(item, bytes):
                self._taken_up -= len(item)
                if not self._closing:
                    self._hand_over(item)
                self.other._move()
            elif item is None:
                if not self._closing and not self._protocol.eof_received():
                    self.close()
            else:
                self._closing = True
                self._unwritten.clear()
                self._leave(item)

    def _hand_over(self, data: bytes) -> None:
        try:
            self._protocol.data_received(data)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a protocol failed", "exception": error})
            self.abort()

    def _leave(self, error: OSError | None) -> None:
        if self._gone:
            return
        self._gone = True
        if error is None:
            reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            self.other._send_here(reset if self._socket.resets else None)
        self._loop.call_soon(self._protocol.connection_lost, error)


class _Listening:
    """A server that listens on one port, as far as anybody asks."""

    def __init__(self, loop: MemoryLoop, factory: _Factory, port: int) -> None:
        self._loop = loop
        self.factory = factory
        self.port = port
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def close(self) -> None:
        if self._loop.listening.get(self.port) is self:
            del self._loop.listening[self.port]

    def is_serving(self) -> bool:
        return self._loop.listening.get(self.port) is self

    async def wait_closed(self) -> None:
        pass


class MemoryLoop(VirtualLoop):
    """A loop in virtual time whose connections stay in memory.

    dials    the moments, in seconds, at which a connection was asked for
    reached  the addresses of those that were had, in turn
    asked    what each of them says that it wants to speak to, if it speaks TLS
    names    the addresses behind each name
    hosts    addresses at which this network's servers are
    silent   ports and addresses that don't answer a dial
    broken   what a dial to a port or an address fails with
    timers   how many timers were set
    """

    def __init__(self) -> None:
        super().__init__()
        self.listening: dict[int, _Listening] = {}
        self.dials: list[float] = []
        self.reached: list[str] = []
        self.asked: list[str | None] = []
        self.names: dict[str, Sequence[str]] = {}
        self.hosts = {"127.0.0.1"}
        self.silent: set[int | str] = set()
        self.broken: dict[int | str, OSError] = {}
        self._connected: dict[socket.socket, tuple[str, int]] = {}
        self.timers = 0
        self._last_port = 40_000

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *arguments, context=context)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: _Factory,
        host: str = "",
        port: int = 0,
        *,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if sock is None:
            await self._dial(host, port)
        else:
            host, port = self._connected.pop(sock)
            sock.close()
        self.reached.append(host)
        self.asked.append(server_hostname)
        protocol, answering = protocol_factory(), self.listening[port].factory()
        here, there = _End(self, protocol), _End(self, answering)
        here.other, there.other = there, here
        answering.connection_made(there)
        protocol.connection_made(here)
        return here, protocol

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        if host not in self.names:
            return await super().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.names[host]
        ]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await self._dial(*address[:2])
        self._connected[sock] = address[:2]

    async def _dial(self, host: str, port: int) -> None:
        self.dials.append(self.time())
        if port in self.silent or host in self.silent:
            await self.create_future()
        await asyncio.sleep(CONNECT_NS / 1e9)
        broken = self.broken.get(port) or self.broken.get(host)
        if broken is not None:
            raise broken
        if port not in self.listening or host not in self.hosts:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ('{host}', {port})")

    async def create_server(  # type: ignore[override]
        self, protocol_factory: _Factory, host: str = "127.0.0.1", port: int = 0, **_: Any
    ) -> _Listening:
        if not port:
            port = self._last_port = self._last_port + 1
        server = self.listening[port] = _Listening(self, protocol_factory, port)
        return server


def memory_loop() -> MemoryLoop:
    """The running loop, inside `run`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MemoryLoop)
    return loop


def run(main: Coroutine[Any, Any, T], within_s: float = 600) -> T:
    """Run to the end; nothing may take longer than `within_s` of virtual time, and no callback may fail."""
    failures: list[Any] = []

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        await asyncio.sleep(_BEGIN_S)
        async with asyncio.timeout(within_s):
            return await main

    with asyncio.Runner(loop_factory=MemoryLoop) as runner:
        result = runner.run(bounded())
    assert failures == []
    return result
