"""A stub on the loopback that takes POSTs from a thread of its own, and remembers them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass
class Collector:
    """What it answers, and what it got: (path, headers in lower case, body)."""

    status: int = 200
    answer: bytes = b"{}"
    silent: threading.Event | None = None
    """Says nothing until this is set."""
    url: str = ""
    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        """The JSON of all requests to a path, in order."""
        return [orjson.loads(body) for at, _, body in self.got if at == path]


@contextmanager
def collecting(collector: Collector) -> Iterator[Collector]:
    """The stub, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if collector.silent is not None:
                collector.silent.wait(10)
            self.send_response(collector.status)
            if collector.status in (301, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(collector.answer)))
            self.end_headers()
            self.wfile.write(collector.answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has)
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Whoever hung up didn't want to know."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        if collector.silent is not None:
            collector.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()
