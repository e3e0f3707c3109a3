"""Looks at any metric of CloudWatch."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ..clients.aws import Aws, AwsSettings
from ..clients.cloudwatch import LatestValue, Metric, PeriodValues, wall_now
from ..clock import Clock
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings, Late, Sample
from ..units import NS_PER_S, Duration
from ._shared.http_settings import MetricName

_STATISTICS: Final = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_EXTENDED: Final = re.compile(r"p(100|\d{1,2}(\.\d{1,10})?)")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_MINUTE: Final = 60 * NS_PER_S
_BACK: Final = timedelta(minutes=15)
_BACK_PERIODS: Final = 3
"""How far back values are looked for while the run goes on; after it all of it is."""


def _check_statistic(text: str) -> str:
    if text not in _STATISTICS and not _EXTENDED.fullmatch(text):
        cure = f"write one of {', '.join(_STATISTICS)}, or a percentile such as p99"
        raise ValueError(f"{text!r} is not a statistic of CloudWatch; {cure}")
    return text


class CloudWatchConfig(AwsSettings, GaugeSettings):
    """Settings of the CloudWatch gauge.

    CloudWatch is minutes behind, and a value covers a whole `period`: a short run may end before the first
    value about it is there. Values about the time before the run are left out; a sample without one is an error.

    With `late` each period of the run has its value once, at its own time, however late it came; and for so long
    after the load CloudWatch is asked for those that aren't there yet. What isn't there then is said to be missing.
    """

    kind: Literal["cloudwatch"]
    namespace: Annotated[str, Field(pattern=r"^[^:][^\x00-\x1f]{0,254}$", description="such as AWS/Lambda")]
    metric: Annotated[str, Field(min_length=1, max_length=255, description="such as Throttles")]
    dimensions: Annotated[
        Mapping[str, str], Field(max_length=30, description="all dimensions of the metric, by name")
    ] = {}
    statistic: Annotated[
        Annotated[str, AfterValidator(_check_statistic)], Field(description="Average, Sum, Maximum, ..., or p99")
    ] = "Average"
    period: Annotated[Duration, Field(description="what one value covers: 1s, 5s, 10s, 30s or whole minutes")] = (
        _MINUTE
    )
    name: Annotated[
        MetricName | None, Field(alias="as", description="what objectives call it; default: the metric in snake_case")
    ] = None
    every: Annotated[Duration, Field(ge=NS_PER_S, description="time between two samples")] = _MINUTE
    late: Annotated[
        Duration | None, Field(description="after the load, how long a period may be over and without its value: 3m")
    ] = None

    @field_validator("period")
    @classmethod
    def _period_exists(cls, period: int) -> int:
        if period not in (NS_PER_S, 5 * NS_PER_S, 10 * NS_PER_S, 30 * NS_PER_S) and (not period or period % _MINUTE):
            raise ValueError("CloudWatch has no such period; write 1s, 5s, 10s, 30s or whole minutes such as 1m")
        return period

    @model_validator(mode="after")
    def _metric_makes_a_name(self) -> CloudWatchConfig:
        if not self.metrics[0].isidentifier():
            raise ValueError(f"{self.metric!r} makes no name for objectives; give it one, such as as: errors_5xx")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The one value."""
        return (self.name or "_".join(_WORD.findall(self.metric)).lower(),)

    @property
    def late_ns(self) -> int | None:
        # The last period goes on for as long as that after the load.
        return None if self.late is None else self.late + self.period

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Ask once, yield the gauge. Raises TargetError."""
        return _open(self, surroundings)


class _CloudWatch:
    def __init__(self, aws: Aws, config: CloudWatchConfig, clock: Clock, cloudwatch: Any) -> None:
        self._aws = aws
        self._config = config
        self._clock = clock
        self._metric = config.metrics[0]
        self._latest = LatestValue(cloudwatch, _metric_of(config), wall_now(clock))

    async def ask(self) -> Sample:
        """The newest value, the same one until there is a newer. Raises what the SDK raises."""
        value = await self._latest.at(wall_now(self._clock))
        if value is None:
            return Sample({}, f"CloudWatch has no value of {self._config.metric} about this run (yet)")
        return Sample({self._metric: value})

    async def sample(self) -> Sample:
        """See `Gauge`."""
        try:
            return await self.ask()
        except self._aws.errors as error:
            return Sample({}, self._aws.explain(error))


class ByPeriod:
    """The gauge with `late`: each period is told once, as soon as it has a value."""

    def __init__(
        self, aws: Aws, config: CloudWatchConfig, clock: Clock, cloudwatch: Any, remark: Callable[[str], None]
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._remark = remark
        self._name = config.metric
        self._metric = config.metrics[0]
        self._values = PeriodValues(cloudwatch, _metric_of(config))
        self._zero = (clock.now_ns(), wall_now(clock))
        """The same moment on the clock of the run and by the time of day."""
        self._told: set[datetime] = set()
        self._asked: datetime | None = None

    async def ask(self) -> Sample:
        """What wasn't told yet of the periods since the gauge was opened. Raises what the SDK raises."""
        now, period = wall_now(self._clock), self._values.period
        if self._asked is not None and now - self._asked < period:
            return Sample({}, unchanged=True)
        since = max(self._zero[1], now - max(_BACK, _BACK_PERIODS * period))
        found = await self._values.between(self._values.begun(since), self._values.begun(now))
        self._asked = now
        fresh = self._fresh(found)
        return replace(fresh[-1], earlier=tuple(fresh[:-1])) if fresh else Sample({}, unchanged=True)

    async def sample(self) -> Sample:
        """See `Gauge`."""
        try:
            return await self.ask()
        except self._aws.errors as error:
            return Sample({}, self._aws.explain(error))

    async def look_again(self, start_ns: int, end_ns: int, *, last: bool) -> Late:
        """See `LateGauge`."""
        values = self._values
        first, end = values.begun(self._wall(start_ns)), self._wall(end_ns)
        periods = [first + n * values.period for n in range(-(-(end - first) // values.period))]
        error = ""
        samples: list[Sample] = []
        try:
            # What goes on isn't whole yet.
            over = min(values.begun(wall_now(self._clock)), first + len(periods) * values.period)
            samples = self._fresh(await values.between(first, over))
        except self._aws.errors as failure:
            error = self._aws.explain(failure)
        absent = [at for at in periods if at not in self._told]
        if last and absent:
            reason = error or "CloudWatch had none by then"
            many = f"{len(absent)} of {len(periods)}"
            self._remark(f"{many} values of {self._name} about the run are missing: {reason}")
            samples += [Sample({}, missing=True, span=self._span(at)) for at in absent]
        return Late(samples, not absent)

    def _fresh(self, found: Mapping[datetime, float]) -> list[Sample]:
        fresh = sorted(at for at in found if at not in self._told)
        self._told.update(fresh)
        return [Sample({self._metric: found[at]}, span=self._span(at)) for at in fresh]

    def _wall(self, at_ns: int) -> datetime:
        return self._zero[1] + timedelta(microseconds=(at_ns - self._zero[0]) // 1000)

    def _span(self, at: datetime) -> tuple[int, int]:
        since = self._zero[0] + (at - self._zero[1]) // timedelta(microseconds=1) * 1000
        return since, since + self._values.period // timedelta(microseconds=1) * 1000


def _metric_of(config: CloudWatchConfig) -> Metric:
    seconds = config.period // NS_PER_S
    return Metric(config.namespace, config.metric, config.dimensions, config.statistic, seconds)


@asynccontextmanager
async def _open(config: CloudWatchConfig, surroundings: Surroundings) -> AsyncIterator[Gauge]:
    aws = Aws(config, config.kind, surroundings.guard)
    await aws.credentials()
    async with aws.client("cloudwatch") as cloudwatch:
        gauge: _CloudWatch | ByPeriod = _CloudWatch(aws, config, surroundings.clock, cloudwatch)
        if config.late is not None:
            gauge = ByPeriod(aws, config, surroundings.clock, cloudwatch, surroundings.remark)
        try:
            await gauge.ask()
        except aws.errors as error:
            raise aws.error(error, f"can't ask CloudWatch about {config.metric}") from None
        yield gauge
