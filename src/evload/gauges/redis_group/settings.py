"""Settings of the consumer group gauge."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from ...clients.redis import RedisSettings
from ...spi.context import AnswerTimeout
from ...spi.gauge import GaugeSettings

METRICS: Final = ("queue_depth", "pending", "idle", "consumers", "length")


class RedisGroupSettings(RedisSettings, GaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["redis-group"]
    stream: Annotated[str, Field(min_length=1, description="key of the stream")]
    group: Annotated[str, Field(min_length=1, description="name of the consumer group")]
    timeout: AnswerTimeout = 5_000_000_000

    @property
    def metrics(self) -> tuple[str, ...]:
        return METRICS
