"""HTTP/1.1 for the sandbox: requests out of a connection, answers into it in the same order.

A server of our own because a full web framework would be the bottleneck long before the pipeline is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import httptools
import orjson

MAX_BODY: Final = 32 * 1024 * 1024
_LINGER_S: Final = 1.0
"""How long a refused client may go on sending, so that the answer reaches it before the reset does."""
_REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    413: "Content Too Large", 503: "Service Unavailable",
}  # fmt: skip


class Request(NamedTuple):
    """One request. Header names are lower case; `keep_alive` is false if it is the connection's last."""

    method: str
    target: str
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool


class Answer(NamedTuple):
    """A whole response as bytes, and how many seconds later it is to be sent."""

    payload: bytes
    delay_s: float = 0.0


Handler = Callable[[Request], Answer]


def response(status: int, document: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A response with a JSON body, or without one where `document` is None."""
    body = b"" if document is None else orjson.dumps(document)
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    if document is not None:
        more += "Content-Type: application/json\r\n"
    return f"HTTP/1.1 {status} {_REASONS[status]}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One client's connection. Requests may be pipelined; bodies may have a length or come in chunks."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        """`connections` is where this one is found while it is open."""
        self._handler = handler
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._requests: list[Request] = []
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._too_large = False
        self._closing = False
        self._delayed: deque[tuple[float, bytes]] = deque()
        """Answers that wait for their time, or for one before them, with the loop time of each."""

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._parser = self._transport = None

    def pause_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        refusal = None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            refusal = response(400, {"error": f"not an HTTP/1.1 request: {error}"}, {"Connection": "close"})
        if self._too_large:
            refusal = response(413, {"error": f"a body may have {MAX_BODY} bytes"}, {"Connection": "close"})
        requests, self._requests = self._requests, []
        answers = []
        for request in requests:
            answers.append(self._handler(request))
            if not request.keep_alive:
                self._closing = True
                break
        if refusal is not None and not self._closing:
            self._closing = True
            answers.append(Answer(refusal))
        self._send(answers)

    # What the parser finds

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = {}
        self._body = []
        self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > MAX_BODY:
            self._too_large = True
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._too_large:
            return
        self._requests.append(
            Request(
                self._parser.get_method().decode(),
                self._target.decode("latin-1"),
                self._headers,
                b"".join(self._body),
                self._parser.should_keep_alive(),
            )
        )

    # Answers

    def _send(self, answers: list[Answer]) -> None:
        loop = asyncio.get_running_loop()
        at_once = []
        for payload, delay_s in answers:
            if delay_s or self._delayed:
                self._delayed.append((loop.time() + delay_s, payload))
                if len(self._delayed) == 1:
                    loop.call_at(self._delayed[0][0], self._send_delayed)
            else:
                at_once.append(payload)
        if at_once and self._transport is not None:
            self._transport.write(b"".join(at_once))
        self._finish()

    def _send_delayed(self) -> None:
        loop = asyncio.get_running_loop()
        while self._delayed and self._delayed[0][0] <= loop.time() and self._transport is not None:
            self._transport.write(self._delayed.popleft()[1])
        if self._transport is None:
            self._delayed.clear()
        elif self._delayed:
            loop.call_at(self._delayed[0][0], self._send_delayed)
        self._finish()

    def _finish(self) -> None:
        if self._closing and not self._delayed and self._transport is not None:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)
