"""Settings of the JSON gauge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from ...clients.jmes import check_expression
from .._shared.http_settings import HttpGaugeSettings, MetricName

_FIELDS: Final = ("status", "headers", "body")


class HttpJsonGaugeSettings(HttpGaugeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["http-json"]
    value: Annotated[str | None, Field(description="JMESPath over {status, headers, body}: a number")] = None
    name: Annotated[MetricName, Field(alias="as", description="what objectives call that value")] = "value"
    values: Annotated[Mapping[MetricName, str], Field(description="several numbers: name to JMESPath")] = {}

    @field_validator("value")
    @classmethod
    def _value_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, _FIELDS)

    @field_validator("values")
    @classmethod
    def _values_compile(cls, values: Mapping[str, str]) -> Mapping[str, str]:
        for text in values.values():
            check_expression(text, _FIELDS)
        return values

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if (self.value is None) == (not self.values):
            found = "both value and values are" if self.values else "neither value nor values is"
            raise ValueError(f"{found} given; write one of them, such as value: body.depth")
        if self.values and "name" in self.model_fields_set:
            raise ValueError("as names a single value; leave it out, values have names already")
        return self

    @property
    def expressions(self) -> Mapping[str, str]:
        """Name to JMESPath of every value."""
        return self.values if self.value is None else {self.name: self.value}

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.expressions)
