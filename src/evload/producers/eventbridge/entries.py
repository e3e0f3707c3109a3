"""Turns events into entries of a PutEvents call, with their size as EventBridge counts it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from ...model.travel import Event
from .settings import EventBridgeProducerSettings

_JSON_TYPE: Final = re.compile(r"(application|text)/([\w.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_FIXED: Final = 4
"""Extras in front of those for resources: bus, source, detail type, trace header."""


class Entries:
    """Renders the events of one producer."""

    def __init__(self, config: EventBridgeProducerSettings, run_id: str) -> None:
        self._enveloped = config.detail == "envelope"
        self._traced = config.trace_header is not None
        self._resources_end = _FIXED + len(config.resources)
        self._run_id = run_id

    def render(self, event: Event, published_at: str) -> tuple[bytes, int]:
        """The entry as JSON, and its size in bytes. `published_at` is RFC 3339, and goes into an envelope.

        What counts is the UTF-8 of Source, DetailType, Detail and Resources (EventBridge user guide, "Calculating
        PutEvents event entry size"; Time, which is left to the service, would be 14 bytes).
        """
        extras = event.extras
        bus, source, detail_type = extras[0], extras[1], extras[2]
        resources = extras[_FIXED : self._resources_end]
        detail = self._envelope(event, published_at) if self._enveloped else event.body
        entry: dict[str, Any] = {
            "EventBusName": bus,
            "Source": source,
            "DetailType": detail_type,
            "Detail": detail.decode(),
        }
        if resources:
            entry["Resources"] = resources
        if self._traced:
            entry["TraceHeader"] = extras[_FIXED - 1]
        size = len(detail) + sum(_utf8_length(text) for text in (source, detail_type, *resources))
        return orjson.dumps(entry), size

    def _envelope(self, event: Event, published_at: str) -> bytes:
        """Who and when around the data. Data that isn't JSON becomes a JSON string."""
        head = orjson.dumps(
            {
                "id": event.correlation_id,
                "correlation_id": event.correlation_id,
                "test_run_id": self._run_id,
                "timestamps": {"produced_at": event.extras[-1], "published_at": published_at},
            }
        )
        return b'%b,"data":%b}' % (head[:-1], _as_json(event))


def _as_json(event: Event) -> bytes:
    if not event.body:
        return b"null"
    if any(name == "content-type" and not _JSON_TYPE.fullmatch(value) for name, value in event.headers):
        return orjson.dumps(event.body.decode())
    return event.body


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def joined(entries: Sequence[bytes]) -> bytes:
    """The body of a call with these entries."""
    return b'{"Entries":[%b]}' % b",".join(entries)
