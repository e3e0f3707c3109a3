"""Settings of the DynamoDB probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...clients.aws import AwsSettings
from ...spi.context import AnswerTimeout, Capabilities
from .._shared.fact_expressions import told_by
from .._shared.id_template import KeyTemplate, KeyText
from .._shared.looked_into import ValuesLookedInto
from .._shared.stored_value import ValueExpression

KeyValue = Annotated[int, Field(strict=True)] | KeyText


class DynamodbProbeSettings(AwsSettings, ValuesLookedInto):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["dynamodb"]
    table: Annotated[
        str, Field(pattern=r"^(arn:aws[\w-]*:dynamodb:\S+|[A-Za-z0-9_.-]{3,255})$", description="name or ARN")
    ]
    key: Annotated[
        Mapping[str, KeyValue],
        Field(min_length=1, max_length=2, description="the primary key, such as {pk: 'placement#{correlation_id}'}"),
    ]
    consistent: Annotated[bool, Field(description="ask for strongly consistent reads")] = False
    visible: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the item: is the event visible? default: it is there"),
    ] = None
    ended: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the item: has it come to another end, so that it will never be visible?"),
    ] = None
    effects: Annotated[
        ValueExpression | None, Field(description="JMESPath over the item: how many side effects the event has had")
    ] = None
    version: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the item: how many writes of the event's key it reflects, visible or not"),
    ] = None
    timeout: AnswerTimeout = 5_000_000_000
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one read")] = 1000
    parallel: Annotated[int, Field(ge=1, le=10_000, description="most reads at the same time")] = 4

    @property
    def named(self) -> tuple[str, ...]:
        return (self.table,)

    @field_validator("key")
    @classmethod
    def _key_names_the_event(cls, key: Mapping[str, int | str]) -> Mapping[str, int | str]:
        if not any(isinstance(value, str) and KeyTemplate(value).names_event for value in key.values()):
            raise ValueError("key is the same for every event; put {correlation_id} into it")
        return key

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tells=told_by(self, "ended", "effects", "version"))
