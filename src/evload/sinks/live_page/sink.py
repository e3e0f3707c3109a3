"""The live page: a run while it goes on, in a browser on this machine, with buttons to stop it.

It is served by a thread of its own, so that neither the load waits for a page nor a page for the report.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Final

from ...errors import TargetError
from ...model.progress import Progress
from ...model.report import Report
from . import words
from .files import page_files
from .server import Commands, LiveServer

_ADDRESS: Final = "127.0.0.1"
_CLOSING_S: Final = 3.0
"""The server closes in less than two seconds. This is for one that hangs."""
_CURES: Final = {
    errno.EADDRINUSE: "end what listens there, or leave out --ui-port",
    errno.EACCES: "choose a port from 1024 on",
}


class LivePage:
    """The sink. To be told of the report after whoever writes it to a file."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, server: LiveServer, report: Path) -> None:
        self.url = url
        """Where to open it; whoever has this address may stop the run."""
        self._loop = loop
        self._server = server
        self._report = report
        self._planned: object = None
        """The course of the load as it was told last."""

    def progress(self, now: Progress) -> None:
        if self._planned != now.spans:
            self._planned = now.spans
            self._hand(lambda: self._server.plan(words.plan(now)))
        self._hand(lambda: self._server.moment(words.moment(now)))

    async def finish(self, report: Report) -> None:
        told = words.ended(report, report_is_served=self._report.is_file())
        self._hand(lambda: self._server.ended(told))

    def asked(self, what: str) -> None:
        """See `Commands.heed`."""
        self._hand(lambda: self._server.asked(what))

    def _hand(self, what: Callable[[], None]) -> None:
        """Have it done by the thread that serves, which also makes the JSON of it."""
        with suppress(RuntimeError):  # its loop is closed: a page that fails is no reason for a run to fail
            self._loop.call_soon_threadsafe(what)


@contextmanager
def served(
    controls: Commands,
    *,
    name: str,
    run_id: str,
    gauges: Sequence[str],
    lasts_ns: int,
    report: Path,
    port: int = 0,
) -> Iterator[LivePage]:
    """The live page of a run, until the end of the block.

    gauges    as in `Progress.gauges`; what is to have a chart
    lasts_ns  length of the schedule
    report    where the HTML report will be, if one is written
    port      0 takes any free one

    Raises TargetError if the port can't be had.
    """
    token = secrets.token_urlsafe(32)
    try:
        listening = socket.create_server((_ADDRESS, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        cure = _CURES.get(error.errno or 0, "choose another port, or leave out --ui-port")
        raise TargetError(f"can't listen on {_ADDRESS}:{port}: {reason}; {cure}") from error
    with listening:
        port = listening.getsockname()[1]
        files = page_files(name, run_id, gauges, lasts_ns, token)
        ready: Future[tuple[asyncio.AbstractEventLoop, LiveServer, asyncio.Event]] = Future()

        async def serve() -> None:
            server, enough = LiveServer(files, token, controls, report), asyncio.Event()
            await server.start(listening)
            ready.set_result((asyncio.get_running_loop(), server, enough))
            await enough.wait()
            await server.close()

        def main() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:
                if ready.done():
                    raise
                ready.set_exception(error)

        thread = Thread(target=main, name="live page", daemon=True)
        thread.start()
        loop, server, enough = ready.result()
        page = LivePage(f"http://{_ADDRESS}:{port}/?token={token}", loop, server, report)
        controls.heed(page.asked)
        try:
            yield page
        finally:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(enough.set)
            thread.join(_CLOSING_S)
