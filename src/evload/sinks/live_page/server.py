"""Serves the live page to this machine alone: who may ask, the files, the stream of events, stop and abort."""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from socket import socket
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from ...clients.http_serving import quiet_server
from . import words
from .files import PageFile

_MOMENTS: Final = 600
"""Five minutes of them: what somebody who comes late still gets."""
_MOST_STREAMS: Final = 16
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})
_PARTING_S: Final = 0.25
"""How long a page may take to hear how the run ended, and then to ask for the report; usually a few milliseconds."""
_FETCH_S: Final = 1.0
"""How long it may take to get the report that it has asked for."""
_LOOK_S: Final = 0.005

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        # The chart library puts style elements into the page.
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REPORT_HEADERS: Final = {
    # The page gets the report while there is somebody to serve it, and shows it from the browser's cache later.
    "Cache-Control": "private, max-age=86400, immutable",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class Commands(Protocol):
    """What the buttons do. False: there is no run that could do it, not yet or not any more."""

    def stop(self) -> bool: ...

    def abort(self) -> bool: ...

    def heed(self, listener: Callable[[str], None]) -> None:
        """Who is to know what was asked for, whoever asked: `stop`, `abort`, and `over` when the run is."""
        ...


class LiveServer:
    """To be used on one event loop. What it is told is kept, bounded, and sent to every page at its own pace."""

    def __init__(self, files: Mapping[str, PageFile], token: str, commands: Commands, report: Path) -> None:
        self._files = files
        self._token = token.encode()
        self._commands = commands
        self._report = report
        self._moments: deque[bytes] = deque(maxlen=_MOMENTS)
        self._count = 0
        self._facts: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self._streams = 0
        self._asked = 0
        self._fetching = 0
        self._over = False
        self._runner = web.ServerRunner(quiet_server(self._handle), shutdown_timeout=_LOOK_S)

    async def start(self, listening: socket) -> None:
        """Serve from now on."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    def plan(self, data: bytes) -> None:
        """Tell what stays the same."""
        self._tell("plan", data)

    def moment(self, data: bytes) -> None:
        """Tell how the run is now."""
        self._moments.append(data)
        self._count += 1
        self._wake()

    def asked(self, what: str) -> None:
        """Tell that the run is to stop or to abort, or is over."""
        self._tell("asked", b'"' + what.encode() + b'"')

    def ended(self, data: bytes) -> None:
        """Tell how it ended."""
        self._tell("ended", data)

    async def close(self) -> None:
        """Let open pages hear the last, a fraction of a second at most, and end every connection."""
        pages = self._streams
        self._over = True
        self._wake()
        await _until(lambda: not self._streams, _PARTING_S)
        if "ended" in self._facts and self._report.is_file():
            await _until(lambda: self._asked >= pages, _PARTING_S)
            await _until(lambda: not self._fetching, _FETCH_S)
        await self._runner.cleanup()

    # -- telling -------------------------------------------------------------------------------------

    def _tell(self, name: str, data: bytes) -> None:
        # What is told anew goes to the end.
        self._facts.pop(name, None)
        self._facts[name] = words.event(name, data)
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._streams >= _MOST_STREAMS:
            return _refusal(503, f"{_MOST_STREAMS} pages are open already; close one of them")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            await self._send(response)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._streams -= 1
        return response

    async def _send(self, response: web.StreamResponse) -> None:
        """All there is, then what comes. A page that takes its time gets the more at once, and misses what is old."""
        sent = 0
        known: dict[str, bytes] = {}
        while True:
            news, over = self._news, self._over
            fresh = {name: fact for name, fact in self._facts.items() if known.get(name) is not fact}
            last = fresh.pop("ended", b"")
            parts = [*fresh.values()]
            if count := min(self._count - sent, len(self._moments)):
                moments = list(self._moments)[-count:]
                parts.append(words.event("moments", b"[" + b",".join(moments) + b"]"))
            sent = self._count
            known = dict(self._facts)
            if text := b"".join([*parts, last]):
                await response.write(text)
            elif over:
                return
            else:
                await news.wait()

    # -- being asked ---------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._may_ask(request):
            return _refusal(403, "this page needs the address that evload printed when the run began")
        doors: dict[tuple[str, str], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            ("GET", "/events"): self._stream,
            ("GET", "/report"): self._fetch,
            ("POST", "/stop"): self._stop,
            ("POST", "/abort"): self._abort,
        }
        if door := doors.get((request.method, request.path)):
            return await door(request)
        file = self._files.get(request.path)
        if file is None:
            return _refusal(405 if request.path in {path for _, path in doors} else 404, "there is nothing here")
        if request.method not in ("GET", "HEAD"):
            return _refusal(405, "this can only be read")
        return web.Response(body=file.content, content_type=file.kind, charset="utf-8", headers=_HEADERS)

    def _may_ask(self, request: web.BaseRequest) -> bool:
        """Whether it comes from the page that was opened with the printed address, or from a tool that knows it."""
        host = request.headers.get("Host", "")
        # Other names may be made to lead here by whoever owns them. The port is another one behind a tunnel.
        if _hostname(host) not in _LOOPBACK:
            return False
        if request.headers.get("Origin", f"http://{host}") != f"http://{host}":
            return False
        given = request.query.get("token", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token)

    async def _fetch(self, request: web.BaseRequest) -> web.StreamResponse:
        if "ended" not in self._facts:
            return _refusal(404, "the report is written when the run has ended")
        self._asked += 1
        self._fetching += 1
        try:
            response = web.Response(
                body=self._report.read_bytes(), content_type="text/html", charset="utf-8",
                headers=_HEADERS | _REPORT_HEADERS,
            )  # fmt: skip
            await response.prepare(request)
            await response.write_eof()
            await _until(lambda: _handed_over(request), _FETCH_S)
        except FileNotFoundError:
            return _refusal(404, "no HTML report was written")
        finally:
            self._fetching -= 1
        return response

    async def _stop(self, _: web.BaseRequest) -> web.StreamResponse:
        return self._command("stop", self._commands.stop)

    async def _abort(self, _: web.BaseRequest) -> web.StreamResponse:
        return self._command("abort", self._commands.abort)

    def _command(self, name: str, command: Callable[[], bool]) -> web.StreamResponse:
        if not command():
            return _refusal(409, "the run has not begun, or is over")
        self.asked(name)
        return web.Response(status=204, headers=_HEADERS)


def _hostname(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if parts.netloc == host and not parts.username else None
    except ValueError:
        return None


def _handed_over(request: web.BaseRequest) -> bool:
    """Whether the operating system has all that was written, or nobody wants it any more."""
    transport = request.transport
    return transport is None or not transport.get_write_buffer_size()


def _refusal(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=_HEADERS)


async def _until(condition: Callable[[], bool], most_s: float) -> None:
    """Wait for the condition, and no longer than that."""
    try:
        async with asyncio.timeout(most_s):
            while not condition():
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        pass
