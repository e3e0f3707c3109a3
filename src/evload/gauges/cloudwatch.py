"""Looks at any metric of CloudWatch."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ..clients.aws import Aws, AwsSettings
from ..clients.cloudwatch import LatestValue, Metric, wall_now
from ..clock import Clock
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings, Sample
from ..units import NS_PER_S, Duration
from ._shared.http_settings import MetricName

_STATISTICS: Final = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_EXTENDED: Final = re.compile(r"p(100|\d{1,2}(\.\d{1,10})?)")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_MINUTE: Final = 60 * NS_PER_S


def _check_statistic(text: str) -> str:
    if text not in _STATISTICS and not _EXTENDED.fullmatch(text):
        cure = f"write one of {', '.join(_STATISTICS)}, or a percentile such as p99"
        raise ValueError(f"{text!r} is not a statistic of CloudWatch; {cure}")
    return text


class CloudWatchConfig(AwsSettings, GaugeSettings):
    """Settings of the CloudWatch gauge.

    CloudWatch is minutes behind, and a value covers a whole `period`: a short run may end before the first
    value about it is there. Values about the time before the run are left out; a sample without one is an error.
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

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Ask once, yield the gauge. Raises TargetError."""
        return _open(self, surroundings)


class _CloudWatch:
    def __init__(self, aws: Aws, config: CloudWatchConfig, clock: Clock, cloudwatch: Any) -> None:
        self._aws = aws
        self._config = config
        self._clock = clock
        self._metric = config.metrics[0]
        metric = Metric(
            config.namespace, config.metric, config.dimensions, config.statistic, config.period // NS_PER_S
        )
        self._latest = LatestValue(cloudwatch, metric, wall_now(clock))

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


@asynccontextmanager
async def _open(config: CloudWatchConfig, surroundings: Surroundings) -> AsyncIterator[_CloudWatch]:
    aws = Aws(config, config.kind)
    await aws.credentials()
    async with aws.client("cloudwatch") as cloudwatch:
        gauge = _CloudWatch(aws, config, surroundings.clock, cloudwatch)
        try:
            await gauge.ask()
        except aws.errors as error:
            raise aws.error(error, f"can't ask CloudWatch about {config.metric}") from None
        yield gauge
