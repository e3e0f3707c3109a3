"""An HTTP server in a process of its own that stamps every request as early as it can and answers 202.

    python -m benchmarks.receiver STAMPS_FILE [JSON]

With a text of JSON it answers 200 and that.

Prints its port, serves until its stdin closes, then writes the arrival stamps (CLOCK_MONOTONIC, int64
nanoseconds) to the file and prints what it saw as one line of JSON.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import Final

_ANSWER: Final = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEADS: Final = 1000
"""Most heads of which the length of the body is remembered."""


class Receiver:
    """Serves keep-alive connections one read at a time."""

    def __init__(self, answer: bytes = _ANSWER) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.stamps = array("q")
        self.events = 0
        self._connections: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._lengths: dict[bytes, int] = {}
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)

    def serve(self) -> None:
        """Serve until stdin closes."""
        poll, listener, control = self._poll.poll, self._listener.fileno(), sys.stdin.fileno()
        self._poll.register(control, select.EPOLLIN)
        buffer = bytearray(1 << 20)
        while True:
            for fd, _ in poll():
                if fd == listener:
                    self._accept()
                elif fd == control:
                    return
                else:
                    self._receive(fd, buffer)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)

    def _receive(self, fd: int, buffer: bytearray) -> None:
        connection = self._connections[fd]
        at_ns = time.perf_counter_ns()
        try:
            size = connection.recv_into(buffer)
        except ConnectionError:
            size = 0
        if not size:
            self._poll.unregister(fd)
            del self._connections[fd]
            self._partial.pop(fd, None)
            connection.close()
            return
        data = self._partial.pop(fd, b"") + buffer[:size]
        answers = 0
        start = 0
        while start < len(data):
            end = self._end(data, start)
            if end is None:
                self._partial[fd] = bytes(data[start:])
                break
            self.stamps.append(at_ns)
            self.events += data.count(b'"specversion"', start, end)
            answers += 1
            start = end
        if answers:
            connection.send(self._answer * answers)

    def _end(self, data: bytes | bytearray, start: int) -> int | None:
        """Where the request that begins at `start` ends, or None if it isn't all there."""
        body = data.find(b"\r\n\r\n", start) + 4
        if body < 4:
            return None
        head = bytes(data[start:body])
        length = self._lengths.get(head)
        if length is None:
            match = _LENGTH.search(head)
            length = int(match[1]) if match else 0
            if len(self._lengths) < _HEADS:
                self._lengths[head] = length
        end = body + length
        return end if end <= len(data) else None


def _json(text: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text.encode())}\r\n\r\n"
    return (head + text).encode()


def main(stamps: Path, *texts: str) -> None:
    receiver = Receiver(*map(_json, texts))
    print(receiver.port, flush=True)
    receiver.serve()
    stamps.write_bytes(receiver.stamps.tobytes())
    print(json.dumps({"events": receiver.events, "cpu_s": time.process_time()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
