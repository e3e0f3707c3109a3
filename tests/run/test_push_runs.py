"""Whole runs that are told of effects over HTTP: by a feed, by server-sent events, by webhook."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp

from tests.rigs.small_system import measure

_PAGE: Final = 20
_SHORT: Final = {"deadline": "5s", "confirm": {"reads": 1, "over": "500ms"}}


class _Log:
    """What has taken effect, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.changed = threading.Condition()
        self.url = ""

    async def write(self, correlation_id: str, copies: int) -> None:
        with self.changed:
            self.ids += [correlation_id] * copies
            self.changed.notify_all()


@contextmanager
def _serving(handler: type[_Handler]) -> Iterator[_Log]:
    log = _Log()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"log": log})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        log.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield log
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log: _Log

    def log_message(self, *args: Any) -> None:
        """Nobody wants to know."""


class _Feed(_Handler):
    def do_GET(self) -> None:
        cursor = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
        ids = self.log.ids[int(cursor) : int(cursor) + _PAGE]
        body = json.dumps({"items": [{"id": own} for own in ids], "next": int(cursor) + len(ids)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Stream(_Handler):
    def do_GET(self) -> None:
        """Everything after the last id, and then what comes; the connection is closed after every 40 of them."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        first = sent = int(self.headers.get("Last-Event-ID", "0"))
        while sent < first + 40:
            with self.log.changed:
                if not self.log.changed.wait_for(lambda: len(self.log.ids) > sent, timeout=20):  # noqa: B023
                    return
            for own in self.log.ids[sent:]:
                sent += 1
                self.wfile.write(f"id: {sent}\ndata: {own}\n\n".encode())


def test_a_feed_finds_exactly_what_a_worker_wrote(tmp_path: Path) -> None:
    with _serving(_Feed) as feed:
        probe = {"kind": "http-feed", "url": f"{feed.url}/changes?since={{cursor}}", "start": "0", "every": "20ms",
                 "items": "body.items", "next": "body.next", "effects": "`1`", **_SHORT}  # fmt: skip
        run = measure(tmp_path, probe, feed.write)
    run.assert_counts()
    run.assert_brackets()
    assert run.summary["ledger"]["duplicated"] == 10


def test_a_stream_that_breaks_again_and_again_loses_nothing(tmp_path: Path) -> None:
    with _serving(_Stream) as stream:
        probe = {"kind": "sse", "url": stream.url, "replays": "300ms", **_SHORT}
        run = measure(tmp_path, probe, stream.write)
    run.assert_counts()
    replayed = [row for row in run.rows if (row["first_lower_ns"] or 0) < (row["first_upper_ns"] or 0)]
    assert replayed
    for row in replayed:
        before, after = run.truth[row["seq"]]
        assert row["first_lower_ns"] <= after
        assert before <= row["first_upper_ns"]
    assert run.summary["ledger"]["duplicated"] == 10


def test_a_webhook_is_called_for_each_effect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"

    async def write(correlation_id: str, copies: int) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(copies):
                async with session.post(f"http://{where}/done", json={"correlationid": correlation_id}) as response:
                    assert response.status == 202
                    await asyncio.sleep(0)

    run = measure(tmp_path, {"kind": "webhook", "listen": where, "path": "/done", **_SHORT}, write)
    run.assert_counts()
    assert run.summary["ledger"]["duplicated"] == 10
