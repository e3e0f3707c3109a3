"""A RabbitMQ queue's depth, unacked messages, consumers and rates: settings of the gauge."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from ..clients.amqp import AmqpSettings, ShortText
from ..clients.web import Url
from ..ports import Gauge, GaugeSettings, Surroundings
from ..units import Duration

DECLARED: Final = ("queue_depth", "queue_consumers")
"""What a passive declare tells."""
MANAGED: Final = ("queue_unacked", "publish_rate", "deliver_rate", "ack_rate")
"""What the management API alone tells."""


class RabbitmqQueueGaugeConfig(AmqpSettings, GaugeSettings):
    """Settings of the gauge.

    `queue_depth` (messages ready) and `queue_consumers` come over AMQP and are those of the moment. With
    `management` there are also `queue_unacked` and the rates per second, which the broker itself samples
    every few seconds.
    """

    kind: Literal["rabbitmq-queue"]
    queue: Annotated[ShortText, Field(min_length=1, description="its name")]
    management: Annotated[
        Url | None,
        Field(
            description="address of the management API, such as http://localhost:15672; default login: that of url"
        ),
    ] = None
    timeout: Annotated[Duration, Field(ge=1_000_000, description="longest wait for an answer")] = 5_000_000_000

    @field_validator("management")
    @classmethod
    def _management_is_no_template(cls, url: str | None) -> str | None:
        if url is not None and "{" in url:
            raise ValueError("management is a template, but a gauge belongs to no event; write a plain address")
        return url

    @property
    def metrics(self) -> tuple[str, ...]:
        return DECLARED if self.management is None else (*DECLARED, *MANAGED)

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Look once, yield the gauge, close. Raises TargetError if there is no such queue."""
        from .queue_reader import open_reader

        return open_reader(self, surroundings)
