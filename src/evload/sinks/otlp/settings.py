"""Settings of the sink for OpenTelemetry collectors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from ...clients.web import Url, reach_of
from ...spi.guard import LOCALHOST, Reach
from ...units import NS_PER_S, Duration
from .._shared.http_settings import HttpSettings

_VARIABLE: Final = "OTEL_EXPORTER_OTLP_"
Protocol = Literal["grpc", "http/protobuf"]


class OtlpSettings(HttpSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["otlp"]
    url: Annotated[
        Url | None,
        Field(
            description="the collector; over HTTP /v1/metrics and /v1/traces are added. Default: that of the "
            "environment, else port 4318 of localhost, or 4317 for gRPC"
        ),
    ] = None
    protocol: Annotated[
        Protocol | None, Field(description="default: that of the environment, else http/protobuf")
    ] = None
    compression: Annotated[
        Literal["gzip", "none"] | None, Field(description="default: that of the environment, else none")
    ] = None
    ca_file: Annotated[
        Path | None,
        Field(description="trust these authorities (PEM). Default: those of the environment or the system"),
    ] = None
    every: Annotated[Duration, Field(ge=NS_PER_S, description="time between two exports of metrics")] = 10 * NS_PER_S
    spans: Annotated[int, Field(ge=0, le=100_000, description="most events that are sent as spans at the end")] = 1000

    @property
    def reach(self) -> Reach:
        if self.url is not None:
            return reach_of(self.url)
        general = os.environ.get(f"{_VARIABLE}ENDPOINT", "").strip() or LOCALHOST
        signals = [os.environ.get(f"{_VARIABLE}{name}_ENDPOINT", "").strip() for name in ("METRICS", "TRACES")]
        try:
            return reach_of(
                *(url if "://" in url else f"http://{url}" for one in signals for url in [one or general])
            )
        except ValueError as error:
            return Reach(unknown=f"the environment says where it is, but {str(error).partition(';')[0]}")
