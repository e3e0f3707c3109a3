"""Measures for Prometheus: as text, and at an address to scrape while a run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server
from prometheus_client.registry import Collector

from ..errors import TargetError
from ..ports import Progress
from ..summary import Report
from . import measures
from .measures import Measure

_UNITS: Final = {"s": "_seconds", "": ""}


class ScrapeSink(Collector):
    """Holds the newest moment of a run for whoever scrapes."""

    def __init__(self) -> None:
        self._newest: Progress | Report | None = None

    def progress(self, now: Progress) -> None:
        self._newest = now

    def finish(self, report: Report) -> None:
        self._newest = report

    def collect(self) -> Iterator[Metric]:
        newest = self._newest
        if newest is None:
            return
        found = measures.of_report(newest) if isinstance(newest, Report) else measures.of_progress(newest)
        yield from _metrics(found)


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


def text(found: Sequence[Measure]) -> bytes:
    """The text exposition format, as node_exporter's textfile collector reads it."""
    registry = CollectorRegistry()
    registry.register(_Fixed(found))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, found: Sequence[Measure]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from _metrics(self._found)


def _metrics(found: Iterable[Measure]) -> Iterator[Metric]:
    for measure in found:
        name = f"evload_{measure.name}{_UNITS[measure.unit]}"
        metric = Metric(name, measure.help, measure.kind)
        suffix = "_total" if measure.kind == "counter" else ""
        for labels, value in measure.points:
            metric.add_sample(name + suffix, dict(labels), value)
        yield metric
