"""Sends a run to an OpenTelemetry collector: metrics while it goes on and at its end, and spans of some events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ...formats import measures
from ...formats.otlp import SCOPE, resource_of, unix_ns
from ...model.progress import Progress
from ...model.report import Report
from ...spi.sink import SinkSurroundings
from .exporter import Exporter
from .heard import Heard
from .metrics import in_portions, request
from .spans import Spans

_SPANS_PER_REQUEST: Final = 1000
_POINTS_PER_REQUEST: Final = 10_000
"""A gRPC server takes no message of more than 4 MiB unless it is told to."""
_SCOPE: Final = InstrumentationScope(SCOPE["name"], SCOPE["version"])


class OtlpSink:
    """`every_ns` is the time between two exports of metrics, `events` the most events that become spans.

    A collector that can't be reached, or refuses, costs a remark and nothing else.
    """

    def __init__(
        self, metrics: Exporter, traces: Exporter, surroundings: SinkSurroundings, *, every_ns: int, events: int
    ) -> None:
        self._metrics = metrics
        self._traces = traces
        self._surroundings = surroundings
        self._every_ns = every_ns
        self._events = events
        self._start_ns = self._exported_ns = surroundings.clock.now_ns()
        self._under_way: asyncio.Task[Heard] | None = None
        self._complained = False
        # OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME may say otherwise.
        self._resource = Resource(resource_of(surroundings.run_id)).merge(OTELResourceDetector().detect())

    def progress(self, now: Progress) -> None:
        at_ns = self._surroundings.clock.now_ns()
        if (self._under_way is None or self._under_way.done()) and at_ns - self._exported_ns >= self._every_ns:
            self._exported_ns = at_ns
            self._under_way = asyncio.create_task(self._send_metrics(measures.of_progress(now)), name="otlp metrics")

    async def finish(self, report: Report) -> None:
        if self._under_way is not None:
            self._complained = True  # nobody needs those any more
            await self._under_way
        await asyncio.sleep(0)  # files come first: whoever makes one holds up the loop, and this has a time limit
        self._complained = False  # what is in vain now is in vain for good
        heard = await self._send_metrics(measures.of_report(report))
        if not heard.delivered or not self._events:
            return
        spans = Spans(self._surroundings.sample(self._events), report.run_id, self._resource, _SCOPE)
        summary = report.summary
        acted = spans.of_actions(report.run_id, summary.markers, summary.vitals.duration_ns)
        for batch in in_batches(chain([[one] for one in acted], spans), _SPANS_PER_REQUEST):
            heard = await self._traces.send(encode_spans(batch))
            self._hear(heard, self._traces, "spans")
            if not heard.delivered:
                return

    async def close(self) -> None:
        """Give up what is under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait((self._under_way,))

    async def _send_metrics(self, found: Sequence[measures.Measure]) -> Heard:
        clock = self._surroundings.clock
        start_ns, at_ns = (unix_ns(clock.wall(at)) for at in (self._start_ns, clock.now_ns()))
        heard = Heard(delivered=True)
        for portion in in_portions(found, _POINTS_PER_REQUEST):
            heard = await self._metrics.send(request(portion, self._resource, _SCOPE, start_ns, at_ns))
            self._hear(heard, self._metrics, "metrics")
            if not heard.delivered:
                break
        return heard

    def _hear(self, heard: Heard, exporter: Exporter, what: str) -> None:
        if heard.trouble and not self._complained:
            self._complained = True
            lost = "" if heard.delivered else f"; {what} were not delivered"
            self._surroundings.say(f"otlp {exporter.shown}: {heard.trouble}{lost}")


def in_batches(events: Iterable[list[ReadableSpan]], size: int) -> Iterator[list[ReadableSpan]]:
    """The spans of several events together, until there are `size` or more; no event is torn apart."""
    batch: list[ReadableSpan] = []
    for spans in events:
        batch += spans
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
