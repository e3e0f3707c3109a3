"""Settings of the queue probe."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ...clients.amqp import AmqpSettings, RoutingKeys, ShortText
from ...clients.jmes import check_expression
from ...spi.context import AdapterSettings, Capabilities
from ...spi.probe import ProbeSettings
from .._shared.fact_expressions import told_by

_FIELDS: Final = ("headers", "properties", "body")


class Match(AdapterSettings):
    """Where a delivery carries the correlation id: exactly one of these."""

    header: Annotated[ShortText | None, Field(min_length=1, description="name of a message header")] = None
    property: Annotated[
        Literal["correlation_id", "message_id"] | None, Field(description="one of the message's properties")
    ] = None
    body: Annotated[str | None, Field(description="JMESPath within the JSON body")] = None

    @field_validator("body")
    @classmethod
    def _body_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, None)

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        given = [name for name in ("header", "property", "body") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"match names {found}; name one place, such as {{header: x-correlation-id}}")
        return self


class RabbitmqTapSettings(AmqpSettings, ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["rabbitmq-tap"]
    exchange: Annotated[
        ShortText | None, Field(min_length=1, description="exchange to listen to, with a queue of its own")
    ] = None
    routing_key: Annotated[
        RoutingKeys,
        Field(
            min_length=1, description="binding keys; # is everything of a topic exchange, a direct one wants names"
        ),
    ] = ("#",)
    queue: Annotated[ShortText | None, Field(min_length=1, description="existing queue to consume instead")] = None
    consume: Annotated[bool, Field(description="yes, take the messages of that queue away from others")] = False
    afterwards: Annotated[
        Literal["ack", "requeue"],
        Field(description="messages of an existing queue: take them, or hold them until the tap closes and put back"),
    ] = "ack"
    prefetch: Annotated[
        int, Field(ge=1, le=65_535, description="most messages of an existing queue without an ack at a time")
    ] = 1000
    match: Annotated[
        Match | None,
        Field(description="where the correlation id is; default: where CloudEvents and our producer put it"),
    ] = None
    position: Annotated[
        str | None,
        Field(description="JMESPath over {headers, properties, body}: a number that grows; default: as delivered"),
    ] = None
    consumed_at: Annotated[str | None, Field(description="JMESPath: when a worker took the event up")] = None
    processed_at: Annotated[str | None, Field(description="JMESPath: when a worker was done with it")] = None
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @field_validator("position", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, _FIELDS)

    @field_validator("afterwards", "prefetch", "consume")
    @classmethod
    def _belongs_to_a_queue(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("exchange") is not None:
            name = info.field_name
            raise ValueError(f"{name} is for an existing queue, but the tap of an exchange has its own; leave it out")
        return value

    @field_validator("prefetch")
    @classmethod
    def _holds_everything(cls, prefetch: int, info: ValidationInfo) -> int:
        if info.data.get("afterwards") == "requeue":
            raise ValueError("prefetch would end the tap that holds its messages; leave it out, or ack afterwards")
        return prefetch

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.exchange is None) == (self.queue is None):
            found = "neither exchange nor queue is" if self.queue is None else "both exchange and queue are"
            raise ValueError(f"{found} given; name the exchange to listen to, or a queue to consume")
        if self.queue is not None and "routing_key" in self.model_fields_set:
            raise ValueError(
                "routing_key binds the tap's own queue to an exchange; leave it out, or name an exchange"
            )
        if self.queue is not None and not self.consume:
            raise ValueError(
                f"the tap would take the messages of queue {self.queue!r} away from its consumers; listen to its "
                "exchange instead, or write consume: true"
            )
        return self

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(pushes=True, tells=told_by(self, "position", "consumed_at", "processed_at") | {"effects"})
