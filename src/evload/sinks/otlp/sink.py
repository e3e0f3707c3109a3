"""Sends a run to an OpenTelemetry collector: metrics while it goes on and at its end, and spans of some events."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

import orjson

from ...formats import measures, otlp
from ...model.progress import Progress
from ...model.report import Report
from ...spi.sink import SinkSurroundings
from .._shared.posting import Answer, Recipient

METRICS_PATH: Final = "/v1/metrics"
TRACES_PATH: Final = "/v1/traces"
_SPANS_PER_REQUEST: Final = 1000


class OtlpSink:
    """`every_ns` is the time between two exports of metrics, `events` the most events that become spans.

    A collector that can't be reached, or refuses, costs a remark and nothing else.
    """

    def __init__(self, recipient: Recipient, surroundings: SinkSurroundings, every_ns: int, events: int) -> None:
        self._recipient = recipient
        self._surroundings = surroundings
        self._every_ns = every_ns
        self._events = events
        self._start_ns = self._exported_ns = surroundings.clock.now_ns()
        self._under_way: Future[Answer] | None = None
        self._complained = False

    def progress(self, now: Progress) -> None:
        clock = self._surroundings.clock
        if self._under_way is not None and self._under_way.done():
            self._hear(self._under_way.result(), "metrics")
            self._under_way = None
        if self._under_way is None and clock.now_ns() - self._exported_ns >= self._every_ns:
            self._exported_ns = clock.now_ns()
            self._under_way = self._recipient.begin(self._metrics(measures.of_progress(now)), METRICS_PATH)

    def finish(self, report: Report) -> None:
        if self._under_way is not None:
            self._recipient.answer_of(self._under_way)
            self._under_way = None
        self._complained = False  # what is in vain now is in vain for good
        answer = self._recipient.post(self._metrics(measures.of_report(report)), METRICS_PATH)
        self._hear(answer, "metrics")
        if not answer.trouble and self._events:
            spans = otlp.spans(self._surroundings.sample(self._events), report.run_id)
            for batch in otlp.in_batches(spans, _SPANS_PER_REQUEST):
                answer = self._recipient.post(otlp.traces(batch, report.run_id), TRACES_PATH)
                self._hear(answer, "spans")
                if answer.trouble:
                    return

    def _metrics(self, found: list[measures.Measure]) -> bytes:
        clock = self._surroundings.clock
        start, now = (otlp.unix_ns(clock.wall(at)) for at in (self._start_ns, clock.now_ns()))
        return otlp.metrics(found, self._surroundings.run_id, start, now)

    def _hear(self, answer: Answer, what: str) -> None:
        trouble = answer.trouble or _refusal(answer.body)
        if trouble and not self._complained:
            self._complained = True
            self._surroundings.say(f"otlp {self._recipient.shown}: {trouble}; {what} were not delivered")


def _refusal(body: bytes) -> str:
    """What a collector says that took only part of a message."""
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    partial = told.get("partialSuccess") if isinstance(told, dict) else None
    if not isinstance(partial, dict):
        return ""
    rejected = partial.get("rejectedDataPoints") or partial.get("rejectedSpans")
    if rejected in (None, 0, "0"):
        return ""
    return f"{rejected} rejected: {partial.get('errorMessage') or 'no reason given'}"
