"""One metric of a Prometheus endpoint, summed up over the series that its labels choose."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

from pydantic import Field

from ..ports import Gauge, Surroundings
from .http_settings import HttpGaugeSettings, MetricName

_METRIC: Final = r"^[A-Za-z_:][A-Za-z0-9_:]*$"


class PrometheusGaugeConfig(HttpGaugeSettings):
    """Settings of the gauge. `labels` must be equal; labels that aren't named may be anything."""

    kind: Literal["prometheus"]
    metric: Annotated[str, Field(pattern=_METRIC, description="name of the series, such as http_requests_total")]
    labels: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str],
        Field(description="labels that a series must have, with these values"),
    ] = {}
    aggregate: Annotated[Literal["sum", "max", "min", "avg"], Field(description="what becomes of several series")] = (
        "sum"
    )
    name: Annotated[
        MetricName | None, Field(alias="as", description="what objectives call the value; default: the metric")
    ] = None

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.name or self.metric,)

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Ask once, yield the gauge. Raises TargetError if the endpoint doesn't know the metric.

        A metric that is announced and has no series yet is fine: labelled ones appear with their first value.
        """
        from .exposition_reader import open_reader

        return open_reader(self, surroundings)
