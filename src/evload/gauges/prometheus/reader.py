"""Reads the prometheus gauge's metric out of a text exposition."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import fmean
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from ...clients.bodies import as_utf8, field
from ...clients.web import parse_url
from ...errors import TargetError
from ...spi.context import Surroundings
from ...spi.gauge import Sample
from ...texts import near
from .._shared.http_get import NoAnswer, Page, open_settings_page
from .settings import PrometheusGaugeSettings

_ACCEPT: Final = "text/plain;version=0.0.4"
"""The classic text format. OpenMetrics, the other one, names counters differently."""
_NAMED: Final = re.compile(r"^(?:# (?:TYPE|HELP) )?([A-Za-z_:][A-Za-z0-9_:]*)", re.MULTILINE)
_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum, "max": max, "min": min, "avg": fmean,
}  # fmt: skip


class ExpositionReader:
    """The gauge."""

    def __init__(self, config: PrometheusGaugeSettings, page: Page) -> None:
        self._page = page
        self._metric = config.metric
        self._labels = config.labels.items()
        self._aggregate = _AGGREGATES[config.aggregate]
        self._name = config.metrics[0]

    async def sample(self) -> Sample:
        """The value over all series that have the labels; none of them is an error, not a zero."""
        try:
            values = self._values(await self.exposition())
        except NoAnswer as failure:
            return Sample({}, str(failure))
        except ValueError as failure:
            return Sample({}, f"not Prometheus text: {' '.join(str(failure).split())}")
        if not values:
            return Sample({}, f"no series of {self._metric} has these labels")
        value = self._aggregate(values)
        return Sample({self._name: value}) if math.isfinite(value) else Sample({}, f"{self._metric} is {value}")

    async def exposition(self) -> str:
        """The text as the endpoint gives it. Raises NoAnswer."""
        answer = await self._page.get()
        if answer.status != 200:
            raise NoAnswer(f"HTTP {answer.status}")
        return as_utf8(answer.body, field(answer.headers, b"content-type")).decode(errors="replace")

    def _values(self, text: str) -> list[float]:
        # Only the lines about this metric are parsed: an endpoint may have tens of thousands of others, and
        # the parser would hold up the event loop with them.
        lines = "".join(f"{line}\n" for line in text.split("\n") if line.startswith(self._metric))
        return [
            float(sample.value)
            for family in text_string_to_metric_families(lines)
            for sample in family.samples
            if sample.name == self._metric and self._labels <= sample.labels.items()
        ]


@asynccontextmanager
async def open_reader(config: PrometheusGaugeSettings, surroundings: Surroundings) -> AsyncIterator[ExpositionReader]:
    """Look for the metric, yield the gauge. Raises TargetError."""
    shown = parse_url(config.url).shown
    async with open_settings_page(config, surroundings, _ACCEPT) as page:
        reader = ExpositionReader(config, page)
        try:
            names = set(_NAMED.findall(await reader.exposition()))
        except NoAnswer as failure:
            raise TargetError(f"no metrics at {shown}: {failure}; start the endpoint, or correct url") from failure
        # A histogram or summary is announced without the suffix that its series have.
        announced = {config.metric, re.sub(r"_(bucket|sum|count|total)$", "", config.metric)}
        if names.isdisjoint(announced):
            close = near(config.metric, names)
            cure = f"did you mean {close[0]!r}?" if close else "correct metric, or url"
            raise TargetError(f"there is no metric {config.metric!r} at {shown}; {cure}")
        yield reader
