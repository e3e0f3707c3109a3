"""Reads the prometheus gauge's metric out of a text exposition."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from statistics import fmean
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from ...clients.bodies import as_utf8, field
from ...clients.web import parse_url
from ...clock import Clock
from ...errors import TargetError
from ...spi.context import Surroundings
from ...spi.gauge import Sample, lower_end
from ...texts import near
from .._shared.http_get import NoAnswer, Page, open_settings_page
from .quantile import Buckets, Gains, Group, grouped, quantile_of
from .settings import PrometheusGaugeSettings, Quantile

_ACCEPT: Final = "text/plain;version=0.0.4"
"""The classic text format. OpenMetrics, the other one, names counters differently."""
_NAMED: Final = re.compile(r"^(?:# (?:TYPE|HELP) )?([A-Za-z_:][A-Za-z0-9_:]*)", re.MULTILINE)
_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum, "max": max, "min": min, "avg": fmean,
}  # fmt: skip


_TYPED: Final = re.compile(r"^# TYPE ([A-Za-z_:][A-Za-z0-9_:]*)[ \t]+(\w+)", re.MULTILINE)
_PARTS: Final = ("_bucket", "_sum", "_count")
"""Series of a histogram or summary, which are counters."""


class ExpositionReader:
    """The gauge. `rises`: an objective asks how much its metric rises. `remark` is told what a person should know."""

    def __init__(
        self,
        config: PrometheusGaugeSettings,
        page: Page,
        clock: Clock,
        *,
        rises: bool = False,
        remark: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._page = page
        self._clock = clock
        self._remark = remark
        self._quantiles = {name: (one, Gains(one.over)) for name, one in config.values.items()}
        self._counts: _Counts | None = _Counts() if rises else None
        self._unsure = rises and config.counter is None
        """Nobody has said yet that it is a counter."""
        self._metric = config.metric or ""
        self._labels = config.labels.items()
        self._aggregate = _AGGREGATES[config.aggregate]
        self._name = config.metrics[0]  # of the metric, where there is one

    async def sample(self) -> Sample:
        """The value over all series that have the labels; without any there is no value, and not a zero."""
        at_ns = self._clock.now_ns()
        try:
            text = await self.exposition()
            if wrong := self.no_counter(text):
                return Sample({}, wrong)
            found: dict[str, float | None] = self._value(text) if self._metric else {}
            for name, (one, gains) in self._quantiles.items():
                found |= self._bounds(name, one, gains.add(at_ns, self._buckets(one, text)))
        except NoAnswer as failure:
            return Sample({}, str(failure))
        except _InfiniteError as failure:
            return Sample({}, str(failure))
        except ValueError as failure:
            return Sample({}, f"not Prometheus text: {' '.join(str(failure).split())}")
        values = {name: value for name, value in found.items() if value is not None}
        if not values:
            return Sample({}, missing=True)
        return Sample(values, absent=tuple(name for name in found if name not in values))

    def _value(self, text: str) -> dict[str, float | None]:
        series = self._values(text)
        if not series:
            # Labelled series come to be with their first value. What they had counted before they went stays counted.
            return {self._name: None}
        values = list(series.values())
        if self._counts is not None:
            values = self._counts.risen(series, all_of_them=self._aggregate is math.fsum)
        value = self._aggregate(values)
        if not math.isfinite(value):
            raise _InfiniteError(f"{self._metric} is {value}")
        return {self._name: value}

    def _buckets(self, asked: Quantile, text: str) -> dict[Group, dict[float, float]]:
        found = grouped(_series(f"{asked.histogram}_bucket", asked.labels.items(), text))
        if not all(math.isfinite(count) for buckets in found.values() for count in buckets.values()):
            raise _InfiniteError(f"a bucket of {asked.histogram} has no number")
        return found

    def _bounds(self, name: str, asked: Quantile, gained: Buckets | None) -> dict[str, float | None]:
        bounds = None if gained is None else quantile_of(gained, asked.quantile)
        if bounds is None:
            return {name: None, lower_end(name): None}
        if bounds.high is None:
            self._remark(f"{name} was beyond the last bucket of {asked.histogram}, where it has no value")
        return {name: bounds.high, lower_end(name): bounds.low}

    async def exposition(self) -> str:
        """The text as the endpoint gives it. Raises NoAnswer."""
        answer = await self._page.get()
        if answer.status != 200:
            raise NoAnswer(f"HTTP {answer.status}")
        return as_utf8(answer.body, field(answer.headers, b"content-type")).decode(errors="replace")

    def no_counter(self, text: str) -> str:
        """Why it can't be said how much it rises; empty if it can, if nobody asks, or if nobody knows yet."""
        if not self._unsure or not self._metric:
            return ""
        types = dict(_TYPED.findall(text))
        part = next((one for one in _PARTS if self._metric.endswith(one)), None)
        kind = types.get(self._metric) or types.get(self._metric.removesuffix("_total"))
        if (
            kind is None
            and part is not None
            and types.get(self._metric.removesuffix(part)) in ("histogram", "summary")
        ):
            kind = "counter"
        if kind is None and not self._values(text):
            return ""
        if kind == "counter":
            self._unsure = False
            return ""
        return f"{self._metric} is a {kind or 'metric without a type'}, not a counter, so its rise says nothing"

    def _values(self, text: str) -> dict[Group, float]:
        """The value of each series that has the labels."""
        return dict(_series(self._metric, self._labels, text))


def _series(name: str, labels: Set[tuple[str, str]], text: str) -> Iterator[tuple[Group, float]]:
    """The series of a name that have the labels. Raises ValueError."""
    # Only the lines about this metric are parsed: an endpoint may have tens of thousands of others, and
    # the parser would hold up the event loop with them.
    lines = "".join(f"{line}\n" for line in text.split("\n") if line.startswith(name))
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            if sample.name == name and labels <= sample.labels.items():
                yield frozenset(sample.labels.items()), float(sample.value)


class _InfiniteError(Exception):
    """What is there is no number. The text says what."""


class _Counts:
    """What several counters have counted, each on its own: one that begins anew is no fall of their sum, and one that
    is gone takes nothing back."""

    def __init__(self) -> None:
        self._by_series: dict[Group, tuple[float, float]] = {}
        """What each counted before it began anew, and since."""

    def risen(self, series: Mapping[Group, float], *, all_of_them: bool) -> list[float]:
        """What each has counted in all; those that are gone are left out unless it is about all of them."""
        for name, value in series.items():
            before, last = self._by_series.get(name, (0.0, 0.0))
            self._by_series[name] = (before + last if value < last else before, value)
        chosen = self._by_series if all_of_them else series
        return [sum(self._by_series[name]) for name in chosen]


@asynccontextmanager
async def open_reader(config: PrometheusGaugeSettings, surroundings: Surroundings) -> AsyncIterator[ExpositionReader]:
    """Look for the metric, yield the gauge. Raises TargetError."""
    shown = parse_url(config.url).shown
    async with open_settings_page(config, surroundings, _ACCEPT) as page:
        rises = bool(surroundings.rises)
        reader = ExpositionReader(config, page, surroundings.clock, rises=rises, remark=surroundings.remark)
        try:
            text = await reader.exposition()
            names = set(_NAMED.findall(text))
        except NoAnswer as failure:
            raise TargetError(f"no metrics at {shown}: {failure}; start the endpoint, or correct url") from failure
        try:
            wrong = reader.no_counter(text)
        except ValueError:
            wrong = ""  # A sample will say what is wrong with the text.
        if not names:
            raise TargetError(f"no metrics at {shown}: it answers with something else; correct url")
        if wrong:
            raise TargetError(f"{wrong}; write counter: true if it only ever grows, or ask for its max")
        for asked in dict.fromkeys(filter(None, (config.metric, *(one.histogram for one in config.values.values())))):
            # A histogram or summary is announced without the suffix that its series have.
            if names.isdisjoint({asked, re.sub(r"_(bucket|sum|count|total)$", "", asked), f"{asked}_bucket"}):
                close = near(asked, names)
                hint = f", only for example {close[0]}" if close else ""
                surroundings.remark(f"there is no metric {asked} at {shown} yet{hint}")
        yield reader
