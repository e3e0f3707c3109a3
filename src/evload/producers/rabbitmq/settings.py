"""Settings of the RabbitMQ producer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, ValidationInfo, field_validator

from ...clients.amqp import AmqpSettings, RoutingKeys, check_short
from ...model.travel import Encoding
from ...spi.context import AdapterSettings
from ...spi.producer import ProducerSettings
from ...units import Duration


def _check_header_value(value: Any) -> Any:
    if not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a header's value; write text, a whole number, true or false")
    return value


HeaderValue = Annotated[StrictStr | StrictBool | StrictInt, BeforeValidator(_check_header_value)]


class ExchangeDeclaration(AdapterSettings):
    """The exchange named by `exchange`."""

    type: Annotated[
        Literal["direct", "topic", "fanout", "headers", "x-consistent-hash"],
        Field(description="type of the exchange"),
    ] = "topic"
    durable: Annotated[bool, Field(description="it outlives a restart of the broker")] = True


class QueueDeclaration(AdapterSettings):
    """A queue for what the run publishes."""

    name: Annotated[str, Field(min_length=1, description="name of the queue")]
    type: Annotated[Literal["classic", "quorum"], Field(description="type of the queue")] = "classic"
    durable: Annotated[bool, Field(description="it outlives a restart of the broker")] = True
    max_length: Annotated[int | None, Field(ge=1, description="most messages in the queue")] = None
    overflow: Annotated[
        Literal["drop-head", "reject-publish"] | None,
        Field(description="at that length: drop the oldest message, or refuse the newest"),
    ] = None
    message_ttl: Annotated[Duration | None, Field(description="a message older than this is dropped")] = None
    dead_letter_exchange: Annotated[str | None, Field(description="where dropped messages go")] = None
    dead_letter_routing_key: Annotated[str | None, Field(description="with this routing key")] = None

    @field_validator("name")
    @classmethod
    def _name_can_be_used(cls, name: str) -> str:
        if name.startswith("amq."):
            raise ValueError(f"names that start with 'amq.' are the broker's own; rename {name!r}")
        return check_short(name)

    @field_validator("durable")
    @classmethod
    def _quorum_is_durable(cls, durable: bool, info: ValidationInfo) -> bool:
        if info.data.get("type") == "quorum" and not durable:
            raise ValueError("a quorum queue is always durable; leave durable out, or use type: classic")
        return durable

    @field_validator("overflow")
    @classmethod
    def _overflow_has_a_limit(cls, overflow: str | None, info: ValidationInfo) -> str | None:
        if overflow is not None and info.data.get("max_length") is None:
            raise ValueError("overflow without a max_length never happens; name both")
        return overflow

    @field_validator("message_ttl")
    @classmethod
    def _ttl_in_milliseconds(cls, ttl: int | None) -> int | None:
        return _check_milliseconds("message_ttl", ttl)

    @field_validator("dead_letter_routing_key")
    @classmethod
    def _key_has_an_exchange(cls, key: str | None, info: ValidationInfo) -> str | None:
        if key is not None and info.data.get("dead_letter_exchange") is None:
            raise ValueError("dead_letter_routing_key without a dead_letter_exchange is of no use; name both")
        return key

    def arguments(self) -> dict[str, str | int]:
        """As the broker wants them."""
        wanted = {
            "x-queue-type": self.type,
            "x-max-length": self.max_length,
            "x-overflow": self.overflow,
            "x-message-ttl": None if self.message_ttl is None else self.message_ttl // 1_000_000,
            "x-dead-letter-exchange": self.dead_letter_exchange,
            "x-dead-letter-routing-key": self.dead_letter_routing_key,
        }
        return {name: value for name, value in wanted.items() if value is not None}


class Declaration(AdapterSettings):
    """What to declare before the run. What was there already must be as declared, and stays afterwards.

    A binding between an exchange and a queue that both were there stays as well: AMQP can't tell whether it
    was there too.
    """

    exchange: Annotated[ExchangeDeclaration | None, Field(description="declare the exchange")] = None
    queue: Annotated[QueueDeclaration | None, Field(description="declare a queue")] = None
    binding: Annotated[
        RoutingKeys | None,
        Field(description="routing keys that lead from the exchange to the queue; default: all that is published"),
    ] = None
    remove: Annotated[bool, Field(description="remove afterwards what was not there before")] = True

    @field_validator("binding")
    @classmethod
    def _binding_has_ends(cls, binding: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if binding is not None and info.data.get("queue") is None:
            raise ValueError("binding leads to the queue that is declared, and there is none; declare a queue")
        return binding


class RabbitmqProducerSettings(AmqpSettings, ProducerSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["rabbitmq"]
    exchange: Annotated[str, Field(description="where to publish; empty for the default exchange")] = ""
    routing_key: Annotated[str, Field(description="routing key; the queue's name with the default exchange")] = (
        "{type}"
    )
    mode: Annotated[
        Literal["structured", "binary", "plain"],
        Field(description="a CloudEvent in the body or in the headers; or the data alone"),
    ] = "structured"
    header_prefix: Annotated[
        str, Field(description="before the names of CloudEvents attributes in mode binary; Knative: ce-")
    ] = "cloudEvents:"
    headers: Annotated[Mapping[str, HeaderValue], Field(description="further headers")] = {}
    persistent: Annotated[bool, Field(description="the broker writes the messages to disk")] = True
    mandatory: Annotated[bool, Field(description="an event without a route is returned, not dropped")] = True
    priority: Annotated[int | None, Field(ge=0, le=255, description="priority of the messages")] = None
    expiration: Annotated[Duration | None, Field(description="a message older than this is dropped")] = None
    window: Annotated[int, Field(ge=1, le=1_000_000, description="most unconfirmed events per connection")] = 5000
    timeout: Annotated[
        Duration,
        Field(ge=1_000_000, description="longest wait for a confirm, and for a broker that takes nothing"),
    ] = 10_000_000_000
    connections: Annotated[int, Field(ge=1, le=1000, description="connections to the broker")] = 1
    channels: Annotated[int, Field(ge=1, le=1000, description="channels in each connection")] = 1
    on_connection_lost: Annotated[
        Literal["go-on", "pause"],
        Field(description="until there is a connection again: count events as unsent, or hold them back"),
    ] = "go-on"
    declare: Annotated[Declaration | None, Field(description="what to declare before the run")] = None

    @field_validator("exchange", "routing_key")
    @classmethod
    def _short_enough(cls, text: str) -> str:
        return text if "{" in text else check_short(text)

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, HeaderValue], info: ValidationInfo) -> Mapping[str, Any]:
        prefix = info.data.get("header_prefix", "")
        for name, value in headers.items():
            if not name:
                raise ValueError("a header has no name; write one")
            check_short(name)
            if info.data.get("mode") == "binary" and name.startswith(prefix):
                raise ValueError(
                    f"header {name!r} is part of mode binary; leave it out, or use another header_prefix"
                )
            if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
                raise ValueError(f"header {name!r} doesn't fit into 64 bits; write it as text")
        return headers

    @field_validator("header_prefix")
    @classmethod
    def _prefix_says_something(cls, prefix: str) -> str:
        if not prefix or len(prefix.encode()) > 200:
            raise ValueError(f"{prefix[:40]!r} can't stand before names; write cloudEvents: or ce-")
        return prefix

    @field_validator("expiration")
    @classmethod
    def _expiration_in_milliseconds(cls, expiration: int | None) -> int | None:
        return _check_milliseconds("expiration", expiration)

    @field_validator("declare")
    @classmethod
    def _declaration_fits(cls, declare: Declaration | None, info: ValidationInfo) -> Declaration | None:
        if declare is None:
            return None
        exchange, routing_key = info.data.get("exchange", ""), info.data.get("routing_key", "")
        if declare.exchange is not None:
            if "{" in exchange:
                raise ValueError(
                    "a template can't be declared; write the exchange's name, or leave out declare.exchange"
                )
            if not exchange or exchange.startswith("amq."):
                raise ValueError(
                    f"exchange {exchange!r} is the broker's own; name another, or leave out declare.exchange"
                )
        if declare.queue is not None and exchange:
            if "{" in exchange:
                raise ValueError(
                    "a queue can't be bound to a template; write the exchange's name, or leave out the queue"
                )
            kind = declare.exchange.type if declare.exchange else None
            if declare.binding is None and "{" in routing_key and kind not in ("topic", "fanout"):
                raise ValueError("routing_key is a template, so the binding can't be guessed; write declare.binding")
        if declare.binding is not None and not exchange:
            raise ValueError("the default exchange leads to each queue by its name; leave out declare.binding")
        return declare

    def bindings(self) -> tuple[str, ...]:
        """The routing keys with which the declared queue is bound."""
        if self.declare is None or self.declare.queue is None or not self.exchange:
            return ()
        if self.declare.binding is not None:
            return self.declare.binding
        return ("#",) if "{" in self.routing_key else (self.routing_key,)

    def encoding(self) -> Encoding:
        """The content mode, and as extras whatever of exchange, routing key and header values has a placeholder."""
        texts = (self.exchange, self.routing_key, *self.headers.values())
        return Encoding(
            mode=self.mode,
            header_prefix=self.header_prefix,
            extras=tuple(text for text in texts if isinstance(text, str) and "{" in text),
        )


def _check_milliseconds(name: str, ns: int | None) -> int | None:
    if ns is not None and (ns % 1_000_000 or ns >= 1_000_000 << 32):
        raise ValueError(f"{name} is counted in whole milliseconds, at most 2^32; write a duration such as 30s")
    return ns
