"""Metrics and spans for an OpenTelemetry collector."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...errors import TargetError
from ...spi.sink import Sink, SinkSurroundings
from .settings import OtlpSettings


class OtlpConfig(OtlpSettings):
    """Metrics and spans for an OpenTelemetry collector, by OTLP over gRPC or HTTP.

    What isn't said here is taken from the standard environment variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    @asynccontextmanager
    async def open(self, surroundings: SinkSurroundings) -> AsyncIterator[Sink]:
        async with AsyncExitStack() as stack:
            try:
                from .destination import destination
                from .exporter import open_exporter
                from .sink import OtlpSink

                metrics, traces = [
                    await stack.enter_async_context(
                        open_exporter(signal, destination(signal, self, surroundings.base_dir, os.environ))
                    )
                    for signal in ("metrics", "traces")
                ]
            except ImportError:
                raise TargetError("kind otlp needs OpenTelemetry's SDK; pip install 'evload[otel]'") from None
            sink = OtlpSink(metrics, traces, surroundings, every_ns=self.every, events=self.spans)
            stack.push_async_callback(sink.close)
            yield sink
