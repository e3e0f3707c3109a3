"""A text file for Prometheus and, while a run goes on, an address to scrape."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from ...model.progress import Progress
from ...model.report import Report
from ...spi.sink import Sink, SinkSurroundings
from .._shared.files import FileSettings, Place

_LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")


def _check_listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{text!r} is not an address to listen on; write host and port, such as 127.0.0.1:9464")
    return text


class PrometheusConfig(FileSettings):
    """A text file of the finished run and, if asked for, an address to scrape while it goes on."""

    form = "prom"
    kind: Literal["prometheus"]
    file: Place = Path("metrics.prom")
    listen: Annotated[
        str | None,
        AfterValidator(lambda text: text if text is None else _check_listen(text)),
        Field(description="host and port to scrape at /metrics while the run goes on"),
    ] = None

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        file = self.file_sink(surroundings)
        if self.listen is None:
            yield file
            return
        from .scrape import scraped

        host, _, port = self.listen.rpartition(":")
        async with scraped(host.strip("[]"), int(port)) as (endpoint, address):
            surroundings.say(f"metrics at {address}")
            yield _Both(endpoint, file)


class _Both:
    """Two sinks as one."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self._sinks = (first, second)

    def progress(self, now: Progress) -> None:
        for sink in self._sinks:
            sink.progress(now)

    async def finish(self, report: Report) -> None:
        for sink in self._sinks:
            await sink.finish(report)
