"""Renders events as the frames of AMQP 0-9-1's basic.publish: method, content header, body.

No I/O. Packed here and not by pamqp, which takes twenty times as long: whatever is the same for all events of
a type is packed once, and an event adds its sizes, its ids and its body.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ...model.travel import Event
from ...spi.traffic import Message
from .settings import HeaderValue, RabbitmqProducerSettings

END: Final = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME: Final = struct.Struct(">BHI")
_LONG: Final = struct.Struct(">I")
_LONGLONG: Final = struct.Struct(">Q")
_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
_BASIC: Final = struct.pack(">HH", 60, 0)
_FRAME_OVERHEAD: Final = 8
_SIZES: Final = 4 + 8 + 2
"""Bytes of a content header before its properties: class and weight, size of the body, flags."""

# Which properties are there (AMQP 0-9-1, section 4.2.6.1 and the basic class), in the order in which they come.
_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE, _PRIORITY = 1 << 15, 1 << 13, 1 << 12, 1 << 11
_CORRELATION_ID, _EXPIRATION, _MESSAGE_ID = 1 << 10, 1 << 8, 1 << 7

_HEADS_LIMIT: Final = 1000
"""Most heads kept: there is one for each content type and routing key."""


class _Head(NamedTuple):
    """What stands around an event's sizes, ids and body: `first` size `second` id `third` id `fourth`."""

    first: bytes
    second: bytes
    third: bytes
    fourth: bytes


class Publishes:
    """Renders events for one channel. `frame_max` is the longest frame that the broker takes, in bytes."""

    def __init__(self, config: RabbitmqProducerSettings, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._piece = frame_max - _FRAME_OVERHEAD
        self._exchange, self._routing_key = config.exchange, config.routing_key
        self._templated_exchange = "{" in config.exchange
        self._templated_key = "{" in config.routing_key
        self._mandatory = b"\x01" if config.mandatory else b"\x00"
        self._templates = tuple(_name(name) for name, value in config.headers.items() if _is_template(value))
        self._table = _table({name: value for name, value in config.headers.items() if not _is_template(value)})
        flags = _CORRELATION_ID | _MESSAGE_ID | _DELIVERY_MODE
        self._before_id = b"\x02" if config.persistent else b"\x01"
        if config.priority is not None:
            flags |= _PRIORITY
            self._before_id += bytes((config.priority,))
        self._between_ids = b""
        if config.expiration is not None:
            flags |= _EXPIRATION
            self._between_ids = _short(str(config.expiration // 1_000_000))
        self._flags = flags
        self._heads: dict[tuple[Sequence[tuple[str, str]], Sequence[str]], _Head] = {}
        self._keep_heads = config.mode != "binary"

    def add(self, event: Event, into: list[bytes]) -> None:
        """Append the frames of one event. Raises ValueError if a rendered part is too long to be sent."""
        head = self._kept_head(event) if self._keep_heads else self._head(event)
        body = event.body
        size = len(body)
        cid = event.correlation_id.encode()
        if 0 < size <= self._piece:
            into += (
                head.first, _LONGLONG.pack(size), head.second, cid, head.third, cid, head.fourth,
                _LONG.pack(size), body, END,
            )  # fmt: skip
        else:
            into += (head.first, _LONGLONG.pack(size), head.second, cid, head.third, cid, END)
            for start in range(0, size, self._piece):
                piece = body[start : start + self._piece]
                into += (_FRAME.pack(_BODY, self._channel, len(piece)), piece, END)

    def exchange_of(self, event: Event) -> str:
        """Where the event is published to."""
        return event.extras[0] if self._templated_exchange else self._exchange

    def _kept_head(self, event: Event) -> _Head:
        key = (tuple(event.headers), tuple(event.extras))
        head = self._heads.get(key)
        if head is None:
            head = self._head(event)
            if len(self._heads) < _HEADS_LIMIT:
                self._heads[key] = head
        return head

    def _head(self, event: Event) -> _Head:
        extras = iter(event.extras)
        exchange = next(extras) if self._templated_exchange else self._exchange
        routing_key = next(extras) if self._templated_key else self._routing_key
        method = _PUBLISH + _short(exchange, "exchange") + _short(routing_key, "routing key") + self._mandatory
        content_type = b""
        table = self._table
        for name, value in event.headers:
            if name == "content-type":
                content_type = _short(value, "content type")
            else:
                table += _name(name) + _text(value)
        for packed, value in zip(self._templates, extras, strict=True):
            table += packed + _text(value)
        flags = self._flags
        properties = b""
        if content_type:
            flags |= _CONTENT_TYPE
            properties = content_type
        if table:
            flags |= _HEADERS
            properties += _LONG.pack(len(table)) + table
        id_length = bytes((len(event.correlation_id),))
        before_id = flags.to_bytes(2) + properties + self._before_id + id_length
        between_ids = self._between_ids + id_length
        size = _SIZES - 2 + len(before_id) + len(between_ids) + 2 * len(event.correlation_id)
        return _Head(
            self._frame(_METHOD, method) + _FRAME.pack(_HEADER, self._channel, size) + _BASIC,
            before_id,
            between_ids,
            END + _FRAME.pack(_BODY, self._channel, 0)[:3],
        )

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return _FRAME.pack(kind, self._channel, len(payload)) + payload + END


def described(config: RabbitmqProducerSettings, event: Event) -> Message:
    """What is sent for an event, for people."""
    extras = iter(event.extras)
    exchange = next(extras) if "{" in config.exchange else config.exchange
    routing_key = next(extras) if "{" in config.routing_key else config.routing_key
    line = f"basic.publish exchange={exchange!r} routing_key={routing_key!r}"
    lines = [f"{line} mandatory" if config.mandatory else line]
    fields = {name: value for name, value in config.headers.items() if not _is_template(value)}
    fields |= dict(event.headers)
    fields |= {name: next(extras) for name, value in config.headers.items() if _is_template(value)}
    fields |= {"delivery_mode": 2 if config.persistent else 1, "correlation_id": event.correlation_id}
    fields["message_id"] = event.correlation_id
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return Message("\n".join(lines), event.body)


def _is_template(value: HeaderValue) -> bool:
    return isinstance(value, str) and "{" in value


def _short(text: str, what: str = "") -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"the {what} is longer than 255 bytes: {text[:40]}…")
    return bytes((len(encoded),)) + encoded


def _name(name: str) -> bytes:
    return _short(name, "name of a header")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"S" + _LONG.pack(len(encoded)) + encoded


def _table(headers: Mapping[str, HeaderValue]) -> bytes:
    """A field table without its length."""
    fields: Sequence[bytes] = [
        _name(name)
        + (
            _text(value)
            if isinstance(value, str)
            else (b"t" + bytes((value,)) if isinstance(value, bool) else b"l" + value.to_bytes(8, signed=True))
        )
        for name, value in headers.items()
    ]
    return b"".join(fields)
