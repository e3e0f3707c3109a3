"""Asks a DynamoDB table about many events at a time: settings of the DynamoDB probe."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ..clients.aws import AwsSettings
from ..ports import Probe, ProbeSettings, Surroundings
from .id_template import KeyTemplate, KeyText
from .stored_value import ValueExpression

KeyValue = Annotated[int, Field(strict=True)] | KeyText


class DynamodbProbeConfig(AwsSettings, ProbeSettings):
    """Settings of the DynamoDB probe.

    Items are read by their whole primary key, a hundred in one request. An eventually consistent read, which is
    the default as it is the SDK's, may meet a replica that doesn't have the item yet, as the system's own readers
    may; it costs half as much as a consistent one.
    """

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
    effects: Annotated[
        ValueExpression | None, Field(description="JMESPath over the item: how many side effects the event has had")
    ] = None
    version: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the item: how many writes of the event's key it reflects, visible or not"),
    ] = None
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one read")] = 1000
    parallel: Annotated[int, Field(ge=1, le=10_000, description="most reads at the same time")] = 4

    @field_validator("key")
    @classmethod
    def _key_names_the_event(cls, key: Mapping[str, int | str]) -> Mapping[str, int | str]:
        if not any(isinstance(value, str) and KeyTemplate(value).names_event for value in key.values()):
            raise ValueError("key is the same for every event; put {correlation_id} into it")
        return key

    @property
    def position(self) -> str | None:
        """What tells the order of events; a table has nothing of that sort."""
        return None

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Look at the table and ask once, yield the probe, disconnect. Raises TargetError."""
        from .dynamodb_reader import open_reader

        return open_reader(self, surroundings)
