"""Measures for Prometheus: as text, and at an address to scrape while a run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from ...errors import TargetError
from ...formats import measures
from ...formats.prometheus import metric_families
from ...model.progress import Progress
from ...model.report import Report


class ScrapeSink(Collector):
    """Holds the newest moment of a run for whoever scrapes."""

    def __init__(self) -> None:
        self._newest: Progress | Report | None = None

    def progress(self, now: Progress) -> None:
        self._newest = now

    async def finish(self, report: Report) -> None:
        self._newest = report

    def collect(self) -> Iterator[Metric]:
        newest = self._newest
        if newest is None:
            return
        found = measures.of_report(newest) if isinstance(newest, Report) else measures.of_progress(newest)
        yield from metric_families(found)


@asynccontextmanager
async def scraped(host: str, port: int) -> AsyncIterator[tuple[ScrapeSink, str]]:
    """A sink whose newest moment is served at /metrics, and its address. Port 0 takes any free one.

    Raises TargetError if the address can't be had.
    """
    sink = ScrapeSink()
    registry = CollectorRegistry()
    registry.register(sink)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise TargetError(
            f"can't listen on {host}:{port}: {(error.strerror or str(error)).lower()}; choose another address for "
            "Prometheus to scrape"
        ) from error
    try:
        shown = f"[{host}]" if ":" in host else host
        yield sink, f"http://{shown}:{server.server_port}/metrics"
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
