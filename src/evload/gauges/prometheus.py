"""One metric of a Prometheus endpoint, summed up over the series that its labels choose."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from ..errors import TargetError
from ..ports import Gauge, Sample, Surroundings
from ..web import Answer, excerpt, parse_url
from .http_settings import HttpGaugeSettings, MetricName

if TYPE_CHECKING:
    from .http_get import Page

_ACCEPT: Final = "text/plain;version=0.0.4"
"""The classic text format. OpenMetrics, the other one, names counters differently."""
_NAME: Final = r"[A-Za-z_:][A-Za-z0-9_:]*"
_NAMED: Final = re.compile(rf"^(?:# (?:TYPE|HELP) )?({_NAME})", re.MULTILINE)
_AGGREGATES: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    "sum": math.fsum, "max": max, "min": min, "avg": fmean,
}  # fmt: skip


class PrometheusGaugeConfig(HttpGaugeSettings):
    """Settings of the gauge. `labels` must be equal; labels that aren't named may be anything."""

    kind: Literal["prometheus"]
    metric: Annotated[
        str, Field(pattern=rf"^{_NAME}$", description="name of the series, such as http_requests_total")
    ]
    labels: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str],
        Field(description="labels that a series must have, with these values"),
    ] = {}
    aggregate: Annotated[
        Literal["sum", "max", "min", "avg"], Field(description="what becomes of several series")
    ] = "sum"
    name: Annotated[
        MetricName | None, Field(alias="as", description="what objectives call the value; default: the metric")
    ] = None

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.name or self.metric,)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Ask once, yield the gauge. Raises TargetError if the endpoint doesn't know the metric.

        A metric that is announced and has no series yet is fine: labelled ones appear with their first value.
        """
        from .http_get import NoAnswer, open_settings_page

        async with open_settings_page(self, surroundings, _ACCEPT) as page:
            gauge = _PrometheusGauge(self, page)
            try:
                names = set(_NAMED.findall(_text(await page.get())))
                if self.metric not in names and not any(self.metric.startswith(f"{name}_") for name in names):
                    close = difflib.get_close_matches(self.metric, names, n=1)
                    cure = f"did you mean {close[0]!r}?" if close else "correct metric, or url"
                    raise TargetError(f"there is no metric {self.metric!r} at {parse_url(self.url).shown}; {cure}")
            except NoAnswer as failure:
                raise TargetError(f"no metrics at {parse_url(self.url).shown}: {failure}; correct url") from failure
            yield gauge


class _PrometheusGauge:
    def __init__(self, config: PrometheusGaugeConfig, page: Page) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        self._parse = text_string_to_metric_families
        self._page = page
        self._metric = config.metric
        self._labels = config.labels.items()
        self._aggregate = _AGGREGATES[config.aggregate]
        self._name = config.metrics[0]

    async def sample(self) -> Sample:
        from .http_get import NoAnswer

        try:
            values = self._values(_text(await self._page.get()))
        except (NoAnswer, ValueError) as failure:
            return Sample({}, " ".join(str(failure).split()))
        if not values:
            return Sample({}, f"no series of {self._metric} has these labels")
        value = self._aggregate(values)
        return Sample({self._name: value}) if math.isfinite(value) else Sample({}, f"{self._metric} is {value}")

    def _values(self, text: str) -> list[float]:
        # Only the lines about this metric are parsed: an endpoint may have tens of thousands of others, and
        # the parser would hold up the event loop with them.
        lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(self._metric))
        return [
            float(sample.value)
            for family in self._parse(lines)
            for sample in family.samples
            if sample.name == self._metric and self._labels <= sample.labels.items()
        ]


def _text(answer: Answer) -> str:
    """Raises NoAnswer if it isn't a good answer."""
    from .http_get import NoAnswer

    if answer.status != 200:
        raise NoAnswer(f"HTTP {answer.status}")
    ...
