"""Settings of the queue gauge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from ...clients.amqp import AmqpSettings, ShortText
from ...clients.web import Url, reach_of, unchecked
from ...spi.context import AnswerTimeout
from ...spi.gauge import GaugeSettings
from ...spi.guard import Reach

DECLARED: Final = ("queue_depth", "queue_consumers")
"""What a passive declare tells."""
MANAGED: Final = ("queue_unacked", "publish_rate", "deliver_rate", "ack_rate")
"""What the management API alone tells."""


class RabbitmqQueueGaugeSettings(AmqpSettings, GaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["rabbitmq-queue"]
    queue: Annotated[ShortText, Field(min_length=1, description="its name")]
    management: Annotated[
        Url | None,
        Field(
            description="address of the management API, such as http://localhost:15672; default login: that of url"
        ),
    ] = None
    timeout: AnswerTimeout = 5_000_000_000

    @field_validator("management")
    @classmethod
    def _management_is_no_template(cls, url: str | None) -> str | None:
        if url is not None and "{" in url:
            raise ValueError("management is a template, but a gauge belongs to no event; write a plain address")
        return url

    @property
    def reach(self) -> Reach:
        return Reach((*super().reach.hosts, *reach_of(self.management).hosts))

    @property
    def remarks(self) -> Sequence[str]:
        return [*super().remarks, *unchecked(self.verify, *([self.management] if self.management else []))]

    @property
    def metrics(self) -> tuple[str, ...]:
        return DECLARED if self.management is None else (*DECLARED, *MANAGED)
