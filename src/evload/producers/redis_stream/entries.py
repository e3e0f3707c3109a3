"""Renders events as XADD commands. No I/O.

What is the same for all events is packed once; an event adds its ids, its attributes and its data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...clients.redis_replies import bulk
from ...model.travel import Event
from ...spi.traffic import Message
from .settings import RedisStreamProducerSettings

_CONTENT_TYPE: Final = "content-type"
"""What HTTP calls the attribute `datacontenttype`."""


class Entries:
    """Renders events for one producer."""

    def __init__(self, config: RedisStreamProducerSettings) -> None:
        self._stream = None if "{" in config.stream else bulk(config.stream.encode())
        self._has_attributes = config.mode == "binary"
        self._prefix = config.field_prefix
        self._id = _trimming(config) + bulk(b"*")
        fixed = {name: value for name, value in config.fields.items() if "{" not in value}
        self._fixed = b"".join(bulk(part.encode()) for field in fixed.items() for part in field)
        self._templates = [bulk(name.encode()) for name, value in config.fields.items() if "{" in value]
        self._body = bulk(config.field.encode())
        self._names: dict[str, bytes] = {}
        parts = 3 if config.maxlen is None else 6
        self._parts = parts + 2 * (len(config.fields) + 1)
        """Of a command without attributes."""

    def add(self, event: Event, into: list[bytes]) -> None:
        """Append the command of one event. Raises ValueError if it can't be sent."""
        extras = iter(event.extras)
        attributes = event.headers if self._has_attributes else ()
        stream = bulk(next(extras).encode()) if self._stream is None else self._stream
        fields = [b"*%d\r\n$4\r\nXADD\r\n" % (self._parts + 2 * len(attributes)), stream, self._id]
        for name, value in attributes:
            packed = self._names.get(name)
            if packed is None:
                packed = self._names[name] = bulk(_field_of(name, self._prefix).encode())
            fields += (packed, bulk(value.encode()))
        fields.append(self._fixed)
        for packed, value in zip(self._templates, extras, strict=True):
            fields += (packed, bulk(value.encode()))
        into += fields
        into += (self._body, b"$%d\r\n" % len(event.body), event.body, b"\r\n")


def described(config: RedisStreamProducerSettings, event: Event) -> Message:
    """What is sent for an event, for people."""
    extras = iter(event.extras)
    words = ["XADD", next(extras) if "{" in config.stream else config.stream]
    if config.maxlen is not None:
        words += ["MAXLEN", "~" if config.trim == "approximate" else "=", str(config.maxlen)]
    lines = [" ".join([*words, "*"])]
    if config.mode == "binary":
        lines += [f"{_field_of(name, config.field_prefix)}: {value}" for name, value in event.headers]
    lines += [f"{name}: {value}" for name, value in config.fields.items() if "{" not in value]
    lines += [f"{name}: {value}" for name, value in _templated(config, extras)]
    return Message("\n".join([*lines, f"{config.field}:"]), event.body)


def _templated(config: RedisStreamProducerSettings, extras: Iterator[str]) -> Iterator[tuple[str, str]]:
    return zip((name for name, value in config.fields.items() if "{" in value), extras, strict=True)


def _field_of(name: str, prefix: str) -> str:
    return f"{prefix}datacontenttype" if name == _CONTENT_TYPE else name


def _trimming(config: RedisStreamProducerSettings) -> bytes:
    if config.maxlen is None:
        return b""
    sign = b"~" if config.trim == "approximate" else b"="
    return bulk(b"MAXLEN") + bulk(sign) + bulk(b"%d" % config.maxlen)
