"""Metrics and spans for an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from pydantic import Field

from ...clients.web import Url
from ...spi.sink import Sink, SinkSurroundings
from ...units import NS_PER_S, Duration
from .._shared.posting import _HttpSettings


class OtlpConfig(_HttpSettings):
    """Metrics and spans for an OpenTelemetry collector, by OTLP over HTTP in JSON."""

    kind: Literal["otlp"]
    url: Annotated[Url, Field(description="the collector; /v1/metrics and /v1/traces are added")] = (
        "http://localhost:4318"
    )
    every: Annotated[Duration, Field(ge=NS_PER_S, description="time between two exports of metrics")] = 10 * NS_PER_S
    spans: Annotated[int, Field(ge=0, le=100_000, description="most events that are sent as spans at the end")] = 1000

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        from .._shared.posting import Recipient
        from .sink import OtlpSink

        yield OtlpSink(Recipient(self.url, self.headers, self.timeout), surroundings, self.every, self.spans)
