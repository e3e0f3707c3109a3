"""Settings of the Redis streams tap."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...clients.jmes import check_expression
from ...clients.redis import RedisSettings
from ...spi.context import AnswerTimeout, Capabilities
from ...spi.probe import ProbeSettings
from .._shared.fact_expressions import WHERE_CLOUDEVENTS_HAVE_IT, ConsumedAt, ProcessedAt, told_by


class RedisStreamTapSettings(RedisSettings, ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["redis-stream-tap"]
    stream: Annotated[str, Field(min_length=1, description="key of the stream, which need not exist yet")]
    match: Annotated[
        str,
        Field(
            description="JMESPath over an entry's fields, those that are JSON as what it says: the correlation id; "
            "default: where CloudEvents and our producer put it"
        ),
    ] = WHERE_CLOUDEVENTS_HAVE_IT
    visible: Annotated[str | None, Field(description="JMESPath: does the entry show its event? default: it does")] = (
        None
    )
    consumed_at: ConsumedAt = None
    processed_at: ProcessedAt = None
    timeout: AnswerTimeout = 5_000_000_000
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @field_validator("match", "visible", "consumed_at", "processed_at")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, None)

    @property
    def capabilities(self) -> Capabilities:
        told = told_by(self, "consumed_at", "processed_at")
        return Capabilities(pushes=True, tells=told | {"effects", "position"})
