"""What a delivery says, out of the raw bytes of its properties and its body. No I/O.

Finding the id is on the path of every delivery, so the properties are skipped through instead of decoded;
they are decoded (by pamqp) only where an expression asks for them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from jmespath.exceptions import JMESPathError
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

from ...clients import exact_json
from ...clients.jmes import Expression
from ...clients.stamps import NO_STAMP, Stamp, read_stamp
from ...model.correlation import CorrelationIds, is_of_a_run
from ...model.states import Seen
from ...model.travel import Read
from ...spi.traffic import Exchange, Message, Traffic
from .._shared.attribution import Attribution, by_match, called_so
from .._shared.envelopes import decompressed
from .settings import RabbitmqTapSettings

_LONG: Final = struct.Struct(">I")
_TEXT_TYPES: Final = (b"S", b"x")
"""Long string, byte array: how clients write text into a header."""
_PREFIXES: Final = ("cloudEvents:", "cloudEvents_", "ce-")
"""Of the CloudEvents AMQP binding (either spelling), and of Knative's RabbitMQ broker."""

# Properties in the order of the wire, by the bit of the flags that says whether one is there (AMQP 0-9-1, 4.2.6.1).
_CONTENT_TYPE: Final = 1 << 15
_CONTENT_ENCODING: Final = 1 << 14
_HEADERS: Final = 1 << 13
_DELIVERY_MODE: Final = 1 << 12
_PRIORITY: Final = 1 << 11
_CORRELATION_ID: Final = 1 << 10
_REPLY_TO: Final = 1 << 9
_EXPIRATION: Final = 1 << 8
_MESSAGE_ID: Final = 1 << 7

Find = Callable[[bytes, bytes], str | None]
"""From the bytes of properties (flags included) and body to the text in one place, None if there is none."""


class Delivery:
    """One delivery as an expression sees it: `{headers, properties, body}`, decoded when first asked for."""

    __slots__ = ("_body", "_decoded", "_properties", "_raw")

    def __init__(self, properties: bytes, body: bytes) -> None:
        self._raw = properties
        self._body = body
        self._properties: dict[str, Any] | None = None
        self._decoded: Any = None

    def get(self, name: str) -> Any:
        """One field, None for an unknown one or one that can't be decoded."""
        if name == "body":
            if self._decoded is None:
                self._decoded = _json(self._body)
            return self._decoded
        if name not in ("headers", "properties"):
            return None
        if self._properties is None:
            self._properties = _decode(self._raw)
        return self._properties.get("headers") or {} if name == "headers" else self._properties

    def as_dict(self) -> dict[str, Any]:
        """All fields at once, for an expression that looks at the delivery as a whole."""
        return {name: self.get(name) for name in ("headers", "properties", "body")}


class DeliveryReader:
    """Makes a Read of a delivery, by means of the tap's `match` and its expressions."""

    def __init__(self, config: RabbitmqTapSettings, ids: CorrelationIds) -> None:
        self._seq_of = ids.seq_of
        self._places = _places(config)
        self._match = config.match
        body = None if config.match is None else config.match.body
        self._body = None if body is None else by_match(body, default=False)
        self.attribution = Attribution(ids, self._look, within="body")
        self._position = None if config.position is None else Expression(config.position)
        self._stamps = [
            None if text is None else Expression(text) for text in (config.consumed_at, config.processed_at)
        ]
        self._plain = self._position is None and self._stamps == [None, None]
        self.complaint = ""
        """Why the last figure that should have been a number wasn't one."""

    def read(self, properties: bytes, body: bytes, at_ns: int, number: int) -> Read | None:
        """The sighting of an event at `at_ns` as delivery `number`; None if it is no event of this run."""
        seq, others = None, False
        for find in self._places:
            text = find(properties, body)
            if text is None:
                continue
            if (seq := self._seq_of(text)) is not None:
                break
            others = others or is_of_a_run(text)
        if seq is None and others:
            return None
        opened: dict[str, Any] | None = None
        if seq is None:
            found = self.attribution.find(_opened(properties, body))
            if found is None:
                return None
            seq, opened = found
        if self._plain:
            return Read(seq, Seen.PRESENT, at_ns, at_ns, None, None, number, None, None, True)
        delivery = opened or Delivery(properties, body)
        position: float | None = number
        if self._position is not None:
            position = self._number(self._position, delivery)
        consumed, processed = (NO_STAMP if by is None else _stamp(_search(by, delivery)) for by in self._stamps)
        return Read(
            seq, Seen.PRESENT, at_ns, at_ns, None, None, position, consumed.ns, processed.ns, True,
            unread_stamp=consumed.unread or processed.unread,
        )  # fmt: skip

    def _look(self, delivery: dict[str, Any]) -> Iterator[Any]:
        """Where the id may be in a delivery that is decoded and unwrapped."""
        match, body = self._match, delivery["body"]
        if self._body is not None:
            yield from self._body(body)
        elif match is not None and match.header is not None:
            yield delivery["headers"].get(match.header)
        elif match is not None:
            yield delivery["properties"].get(match.property)
        else:
            yield from called_so(delivery)
            yield body

    def _number(self, expression: Expression, delivery: Delivery | dict[str, Any]) -> float | None:
        value = _search(expression, delivery)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self.complaint = f"position {expression.text!r} gives no number in a delivery"
        return None


class WatchedDeliveryReader(DeliveryReader):
    """The same, and somebody looks on."""

    def __init__(self, config: RabbitmqTapSettings, ids: CorrelationIds, traffic: Traffic) -> None:
        super().__init__(config, ids)
        self._traffic = traffic

    def read(self, properties: bytes, body: bytes, at_ns: int, number: int) -> Read | None:
        def came() -> Message:
            delivery = _opened(properties, body)
            given = {name: value for name, value in delivery["properties"].items() if name != "headers"}
            fields = {**given, **delivery["headers"]}
            lines = [f"{name}: {value}" for name, value in fields.items() if value not in (None, "")]
            return Message("\n".join(lines), body, lambda: delivery)

        self._traffic.exchanged(Exchange(at_ns, at_ns, None, came))
        return super().read(properties, body, at_ns, number)


def _opened(properties: bytes, body: bytes) -> dict[str, Any]:
    """The whole delivery, decoded and decompressed; a body that isn't JSON is text."""
    decoded = _decode(properties)
    body = decompressed(body, decoded.get("content_encoding") or "")
    document = _json(body)
    if document is None:
        document = body.decode("utf-8", "replace")
    return {"headers": decoded.get("headers") or {}, "properties": decoded, "body": document}


def _places(config: RabbitmqTapSettings) -> list[Find]:
    match = config.match
    if match is None:
        return [
            *(_in_header(f"{prefix}correlationid") for prefix in _PREFIXES),
            _in_property(_CORRELATION_ID),
            _in_body("correlationid"),
        ]
    if match.header is not None:
        return [_in_header(match.header)]
    if match.property is not None:
        return [_in_property(_CORRELATION_ID if match.property == "correlation_id" else _MESSAGE_ID)]
    assert match.body is not None
    return [_in_body(match.body)]


def _in_header(name: str) -> Find:
    encoded = name.encode()
    field = bytes([len(encoded)]) + encoded
    length = len(field)

    def find(properties: bytes, body: bytes) -> str | None:
        at = properties.find(field)
        while at >= 0:
            # The same bytes can also be a value with its length; a name is followed by its value's type.
            at += length
            if properties[at : at + 1] in _TEXT_TYPES:
                (size,) = _LONG.unpack_from(properties, at + 1)
                return properties[at + 5 : at + 5 + size].decode("utf-8", "replace")
            at = properties.find(field, at)
        return None

    return find


def _in_property(wanted: int) -> Find:
    def find(properties: bytes, body: bytes) -> str | None:
        flags = properties[0] << 8 | properties[1]
        if not flags & wanted:
            return None
        at = 2
        if flags & _CONTENT_TYPE:
            at += 1 + properties[at]
        if flags & _CONTENT_ENCODING:
            at += 1 + properties[at]
        if flags & _HEADERS:
            at += 4 + _LONG.unpack_from(properties, at)[0]
        if flags & _DELIVERY_MODE:
            at += 1
        if flags & _PRIORITY:
            at += 1
        for short_text in (_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID):
            if flags & short_text:
                end = at + 1 + properties[at]
                if short_text == wanted:
                    return properties[at + 1 : end].decode("utf-8", "replace")
                at = end
        return None

    return find


def _in_body(text: str) -> Find:
    expression = Expression(text)

    def find(properties: bytes, body: bytes) -> str | None:
        try:
            value = expression.search(_json(body))
        except JMESPathError:
            return None
        return value if isinstance(value, str) else None

    return find


def _json(body: bytes) -> Any:
    try:
        return exact_json.loads(body)
    except ValueError:
        return None


def _decode(raw: bytes) -> dict[str, Any]:
    header = ContentHeader()
    try:
        header.unmarshal(b"\x00\x3c\x00\x00" + bytes(8) + raw)
    except (PAMQPException, ValueError, struct.error):
        return {}
    properties: Basic.Properties = header.properties
    return dict(properties)


def _stamp(value: Any) -> Stamp:
    return read_stamp(value.isoformat() if isinstance(value, datetime) else value)


def _search(expression: Expression, delivery: Delivery | dict[str, Any]) -> Any:
    if expression.whole and isinstance(delivery, Delivery):
        delivery = delivery.as_dict()
    try:
        return expression.search(delivery)
    except JMESPathError:
        return None
