"""Settings of the EventBridge producer."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from ...clients.aws import AwsSettings
from ...model.travel import Encoding
from ...spi.context import AnswerTimeout
from ...spi.producer import ProducerSettings
from ...units import Size

Detail = Literal["event", "envelope", "data"]

_BUS: Final = re.compile(
    r"[/.\-_A-Za-z0-9]{1,256}|arn:aws[\w-]*:events:[a-z0-9-]+:\d{12}:event-bus/[/.\-_A-Za-z0-9]+"
)
_BUS_ARN: Final = "arn:aws:events:eu-west-1:123456789012:event-bus/orders"
_ENTRIES: Final = 10
_SIZE: Final = 256 * 1024


class EventBridgeProducerSettings(AwsSettings, ProducerSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["eventbridge"]
    bus: Annotated[str, Field(min_length=1, description="name or ARN of the event bus")] = "default"
    source: Annotated[str, Field(min_length=1, description="Source of the entry")] = "{source}"
    detail_type: Annotated[str, Field(min_length=1, description="DetailType of the entry")] = "{type}"
    detail: Annotated[
        Detail,
        Field(description="Detail of the entry: the whole CloudEvent, an envelope, or the data alone"),
    ] = "event"
    resources: Annotated[tuple[str, ...], Field(description="Resources of the entry, ARNs")] = ()
    trace_header: Annotated[str | None, Field(min_length=1, description="X-Ray trace header of the entry")] = None
    batch: Annotated[int, Field(ge=1, le=_ENTRIES, description="most entries in one call")] = _ENTRIES
    max_size: Annotated[Size, Field(ge=1024, description="most bytes in a call, as EventBridge counts")] = _SIZE
    concurrency: Annotated[int, Field(ge=1, le=10_000, description="most calls at a time")] = 64
    timeout: AnswerTimeout = 10_000_000_000
    retries: Annotated[int, Field(ge=0, le=20, description="how often what was throttled is sent again")] = 2

    @property
    def named(self) -> tuple[str, ...]:
        return (self.bus,)

    @field_validator("bus")
    @classmethod
    def _bus_can_be_named(cls, bus: str) -> str:
        if "{" not in bus and not _BUS.fullmatch(bus):
            raise ValueError(f"{bus!r} is not an event bus; write its name, or an ARN such as {_BUS_ARN}")
        return bus

    def encoding(self) -> Encoding:
        """The CloudEvent as JSON, or its data alone; as extras the templates of an entry in `templates`."""
        extras = (*self.templates, *(("{now}",) if self.detail == "envelope" else ()))
        return Encoding(mode="structured" if self.detail == "event" else "plain", extras=extras)

    @property
    def templates(self) -> tuple[str, ...]:
        """Bus, source, detail type, trace header, resources: in the order of an event's extras."""
        return (self.bus, self.source, self.detail_type, self.trace_header or "", *self.resources)
