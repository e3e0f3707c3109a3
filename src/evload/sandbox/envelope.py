"""Takes CloudEvents out of an HTTP request: what the sandbox's broker must know of each, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson

_STRUCTURED: Final = b"application/cloudevents+json"
_BATCHED: Final = b"application/cloudevents-batch+json"
_REQUIRED: Final = ("id", "source", "type", "specversion", "correlationid")


class Envelope(NamedTuple):
    """The extension attributes `correlationid` and `partitionkey` of one event."""

    correlation_id: str
    key: str | None


def read_envelopes(headers: Mapping[bytes, bytes], body: bytes) -> list[Envelope]:
    """The events of a request in any of the three content modes of the CloudEvents HTTP binding.

    Header names must be lower case. Raises ValueError with a text for people if any of it isn't a
    CloudEvent with a correlation id.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type == _STRUCTURED:
        return [_checked(_json(body))]
    if media_type == _BATCHED:
        events = _json(body)
        if not isinstance(events, list):
            raise ValueError("a batch must be a JSON list of CloudEvents")
        return [_checked(event, f"event {number} of the batch: ") for number, event in enumerate(events)]
    if b"ce-specversion" in headers:
        return [_checked(_attributes(headers))]
    raise ValueError(
        f"not a CloudEvent; send {_STRUCTURED.decode()}, {_BATCHED.decode()}, or the attributes as ce-* headers"
    )


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body isn't JSON: {error}") from None


def _attributes(headers: Mapping[bytes, bytes]) -> dict[str, object]:
    """Attributes in binary mode, percent-decoded as the HTTP binding (3.1.3.2) wants it."""
    try:
        return {
            name[3:].decode(): unquote_to_bytes(value).decode()
            for name, value in headers.items()
            if name.startswith(b"ce-")
        }
    except UnicodeDecodeError:
        raise ValueError("the ce-* headers aren't percent-encoded UTF-8") from None


def _checked(event: object, where: str = "") -> Envelope:
    if not isinstance(event, Mapping):
        raise ValueError(f"{where}a CloudEvent must be a JSON object")
    for name in _REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}a CloudEvent needs the attribute {name!r}, a text that isn't empty")
    if event["specversion"] != "1.0":
        raise ValueError(f"{where}specversion {event['specversion']!r} is unknown; this broker takes '1.0'")
    key = event.get("partitionkey")
    if key is not None and not isinstance(key, str):
        raise ValueError(f"{where}the attribute 'partitionkey' must be a text")
    return Envelope(event["correlationid"], key)
