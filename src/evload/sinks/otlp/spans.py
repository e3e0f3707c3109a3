"""Settled events as OpenTelemetry's spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ...formats.otlp import unix_ns
from ...model.correlation import CorrelationIds
from ...model.marker import Marker
from ...model.report import EventSample
from ...model.states import State
from ...model.travel import Observation, Part

_NEVER_SENT: Final = (State.UNSENT, State.REJECTED, State.RETURNED)
_FAILED: Final = (State.LOST, State.REGRESSED)

_SEEN: Final = ("visible", "not there yet", "first seen", "missing for the last time")
_GONE: Final = ("gone", "still there", "gone first", "there for the last time")
"""What a span is called, and what happens in it: of what is to be seen, and of what is to go."""


class Spans:
    """The spans of each event: its publish, and below it the wait until each probe and replica showed it.

    Trace and publish have the ids that the event's `traceparent` carried, so that the spans of the system itself are
    found in the same trace, below the publish.
    """

    def __init__(self, sample: EventSample, run_id: str, resource: Resource, scope: InstrumentationScope) -> None:
        self._sample = sample
        self._ids = CorrelationIds.for_run(run_id)
        self._origin_ns = unix_ns(sample.began_at)
        self._resource = resource
        self._scope = scope

    def __iter__(self) -> Iterator[list[ReadableSpan]]:
        for seen in self._sample.observations:
            yield list(self._of(seen))

    def _of(self, seen: Observation) -> Iterator[ReadableSpan]:
        _, trace, parent, _ = self._ids.traceparent_of(seen.seq).split("-")
        about = {
            "messaging.message.id": self._ids.id_of(seen.seq),
            "evload.scenario": self._sample.scenarios[seen.scenario],
            "evload.event": self._sample.events[seen.type],
            "evload.state": seen.state.name.lower(),
        }
        if seen.key is not None:
            about["evload.key"] = seen.key
        sent_ns = seen.intended_ns if seen.sent_ns is None else seen.sent_ns
        trouble = None
        if seen.acked_ns is None or seen.state in _NEVER_SENT:
            trouble = seen.detail or seen.state.name.lower().replace("_", " ")
        publish = _context(trace, parent)
        name = f"publish {self._sample.events[seen.type]}"
        yield self._span(name, publish, None, (sent_ns, _publish_end(seen)), about, trouble)
        whole = Part(-1, None, seen.state, seen.first_lower_ns, seen.first_upper_ns, seen.stable_lower_ns,
                     seen.stable_upper_ns)  # fmt: skip
        shown, *said = _SEEN if seen.gone is None else _GONE
        for number, part in enumerate(seen.parts or (whole,)):
            looked_in_vain = part.state in (*_FAILED, State.PENDING)
            if part.stable_upper_ns is None and not looked_in_vain:
                continue
            names = [self._sample.probes[part.probe]] if part.probe >= 0 else []
            names += [part.replica] if part.replica is not None else []
            end_ns = seen.settled_ns if part.stable_upper_ns is None else part.stable_upper_ns
            start_ns = sent_ns if seen.acked_ns is None or seen.acked_ns > end_ns else seen.acked_ns
            state = part.state.name.lower()
            yield self._span(
                " ".join([shown, *names]),
                _context(trace, blake2b(f"{trace}/{number}".encode(), digest_size=8).hexdigest()),
                publish,
                (start_ns, end_ns),
                {"evload.state": state},
                state if part.state in _FAILED else None,
                tuple(
                    Event(what, timestamp=self._origin_ns + at)
                    for at, what in zip(
                        (part.first_lower_ns, part.first_upper_ns, part.stable_lower_ns), said, strict=True
                    )
                    if at is not None
                ),
            )

    def of_actions(self, run_id: str, markers: Sequence[Marker], end_ns: int) -> list[ReadableSpan]:
        """What was done to the system, a span for each time, in a trace of their own.

        A span begins before the doing and ends after the undoing, or with the run: from when to when it was on for
        sure is in its events.
        """
        trace = blake2b(f"{run_id}/actions".encode(), digest_size=16).hexdigest()
        return [
            self._span(
                f"action {one.action}",
                _context(trace, blake2b(f"{trace}/{number}".encode(), digest_size=8).hexdigest()),
                None,
                _between(one, end_ns),
                {"evload.action": one.action, "evload.number": str(one.number)},
                one.undo_error or one.error or None,
                tuple(
                    Event(what, timestamp=self._origin_ns + at)
                    for at, what in ((one.done[1], "done"), (one.undone and one.undone[0], "being undone"))
                    if at is not None
                ),
                kind=SpanKind.INTERNAL,
            )
            for number, one in enumerate(markers)
        ]

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        between_ns: tuple[int, int],
        about: Mapping[str, str],
        trouble: str | None,
        events: tuple[Event, ...] = (),
        kind: SpanKind | None = None,
    ) -> ReadableSpan:
        start_ns, end_ns = between_ns
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            # A label without a value is the same as none.
            {key: text for key, text in about.items() if text},
            events,
            kind=kind or (SpanKind.PRODUCER if parent is None else SpanKind.INTERNAL),
            status=Status(StatusCode.UNSET) if trouble is None else Status(StatusCode.ERROR, trouble),
            start_time=self._origin_ns + start_ns,
            end_time=self._origin_ns + end_ns,
            instrumentation_scope=self._scope,
        )


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _between(marker: Marker, end_ns: int) -> tuple[int, int]:
    first, last = marker.outer
    return first, max(first, end_ns if last is None else last)


def _publish_end(seen: Observation) -> int:
    if seen.acked_ns is not None:
        return seen.acked_ns
    return seen.settled_ns if seen.state is State.IN_DOUBT else (seen.sent_ns or seen.intended_ns)
