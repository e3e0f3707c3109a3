"""Settings of the Redis streams producer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ...clients.redis import RedisSettings
from ...model.travel import Encoding
from ...spi.context import Capabilities
from ...spi.producer import ProducerSettings
from ...units import Duration


class RedisStreamProducerSettings(RedisSettings, ProducerSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["redis-stream"]
    stream: Annotated[str, Field(min_length=1, description="key of the stream; may hold placeholders, such as {key}")]
    mode: Annotated[
        Literal["binary", "structured", "plain"],
        Field(
            description="a CloudEvent with a field for each attribute beside its data, or as JSON in one field; "
            "or the data alone"
        ),
    ] = "binary"
    field: Annotated[
        str, Field(min_length=1, description="field that holds the data; in mode structured the whole event")
    ] = "data"
    field_prefix: Annotated[
        str, Field(max_length=200, description="before the names of CloudEvents attributes in mode binary")
    ] = ""
    fields: Annotated[Mapping[str, str], Field(description="further fields; values may hold placeholders")] = {}
    maxlen: Annotated[
        int | None, Field(ge=0, le=(1 << 63) - 1, description="trim the stream to so many entries with each event")
    ] = None
    trim: Annotated[
        Literal["approximate", "exact"],
        Field(description="maxlen is a number that Redis may exceed by a few (~), or exactly it (=)"),
    ] = "approximate"
    window: Annotated[int, Field(ge=1, le=1_000_000, description="most events without an answer at a time")] = 5000
    timeout: Annotated[
        Duration,
        Field(ge=1_000_000, description="longest wait for an answer, and for a Redis that takes nothing"),
    ] = 10_000_000_000

    @field_validator("fields")
    @classmethod
    def _fields_are_further_ones(cls, fields: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        if "" in fields:
            raise ValueError("a field has no name; write one")
        if info.data.get("field") in fields:
            raise ValueError(f"field {info.data['field']!r} holds the event; give another one that name")
        return fields

    @field_validator("trim")
    @classmethod
    def _trims_to_a_length(cls, trim: str, info: ValidationInfo) -> str:
        if info.data.get("maxlen", 0) is None:
            raise ValueError("trim without a maxlen never happens; name both")
        return trim

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(captures=True)

    def encoding(self) -> Encoding:
        """The content mode, and as extras whatever of the stream and of the fields has a placeholder."""
        texts = (self.stream, *self.fields.values())
        extras = tuple(text for text in texts if "{" in text)
        return Encoding(mode=self.mode, header_prefix=self.field_prefix, extras=extras)
