"""Settings of the Prometheus gauge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from .._shared.http_settings import HttpGaugeSettings, MetricName

_METRIC: Final = r"^[A-Za-z_:][A-Za-z0-9_:]*$"


class PrometheusGaugeSettings(HttpGaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

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
    def counters(self) -> tuple[str, ...]:
        """Unless the config says what it is, the endpoint does: once the run begins."""
        return () if self.counter is False else self.metrics

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.name or self.metric,)
