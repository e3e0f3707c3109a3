"""Settings of the Prometheus gauge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from ...spi.context import AdapterSettings
from ...spi.gauge import lower_end
from ...units import NS_PER_S, Duration
from .._shared.http_settings import HttpGaugeSettings, MetricName

_METRIC: Final = r"^[A-Za-z_:][A-Za-z0-9_:]*$"


_Label = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_LABELS: Final = "labels that a series must have, with these values"


class Quantile(AdapterSettings):
    """A quantile of a classic histogram, over what its buckets gained lately."""

    histogram: Annotated[str, Field(pattern=_METRIC, description="its name, without _bucket")]
    quantile: Annotated[float, Field(gt=0, lt=1, description="such as 0.95")]
    over: Annotated[
        Duration, Field(ge=1_000_000, description="of what was observed in this time before a sample")
    ] = 30 * NS_PER_S
    labels: Annotated[Mapping[_Label, str], Field(description=_LABELS)] = {}

    @field_validator("histogram")
    @classmethod
    def _is_the_family(cls, name: str) -> str:
        if name.endswith("_bucket"):
            raise ValueError(f"{name!r} are its buckets; write {name.removesuffix('_bucket')}")
        return name


class PrometheusGaugeSettings(HttpGaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["prometheus"]
    metric: Annotated[
        str | None, Field(pattern=_METRIC, description="name of the series, such as http_requests_total")
    ] = None
    labels: Annotated[Mapping[_Label, str], Field(description=_LABELS)] = {}
    aggregate: Annotated[Literal["sum", "max", "min", "avg"], Field(description="what becomes of several series")] = (
        "sum"
    )
    name: Annotated[
        MetricName | None, Field(alias="as", description="what objectives call the value; default: the metric")
    ] = None
    values: Annotated[
        Mapping[MetricName, Quantile],
        Field(description="quantiles of histograms: {p95: {histogram: NAME, quantile: 0.95}}"),
    ] = {}

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.metric is None:
            if not self.values:
                raise ValueError("neither metric nor values is given; write metric: NAME")
            given = self.model_fields_set & _OF_THE_METRIC.keys()
            if told := sorted(_OF_THE_METRIC[name] for name in given):
                raise ValueError(f"{told[0]} is about a metric, and none is named; leave it out, or add metric: NAME")
        if (self.name or self.metric) in self.values:
            raise ValueError(f"two values are called {self.name or self.metric}; give one another name")
        return self

    @property
    def counters(self) -> tuple[str, ...]:
        """Unless the config says what it is, the endpoint does: once the run begins."""
        return () if self.counter is False else self._of_metric

    @property
    def metrics(self) -> tuple[str, ...]:
        return self._of_metric + tuple(one for name in self.values for one in (name, lower_end(name)))

    @property
    def _of_metric(self) -> tuple[str, ...]:
        return () if self.metric is None else (self.name or self.metric,)


_OF_THE_METRIC: Final = {"name": "as", "labels": "labels", "aggregate": "aggregate", "counter": "counter"}
"""Settings that are about the metric, by their fields."""
