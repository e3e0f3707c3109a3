"""Numbers that gauges find by JMESPath: how a config names them, and what of an answer is one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ...clients.jmes import check_expression
from ...spi.gauge import GaugeSettings
from .http_settings import MetricName


class NamedValues(GaugeSettings):
    """Either `value`, under the name `as`, or several `values` by name. For gauges to inherit, with:

    sees     what expressions may begin with
    example  an expression that finds a number
    unasked  the expression where none is written; empty: one has to be
    """

    sees: ClassVar[Sequence[str]]
    example: ClassVar[str]
    unasked: ClassVar[str] = ""

    value: str | None = None
    name: Annotated[MetricName, Field(alias="as", description="what objectives call that value")] = "value"
    values: Annotated[Mapping[MetricName, str], Field(description="several numbers: name to JMESPath")] = {}

    @field_validator("value")
    @classmethod
    def _value_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, cls.sees)

    @field_validator("values")
    @classmethod
    def _values_compile(cls, values: Mapping[str, str]) -> Mapping[str, str]:
        for text in values.values():
            check_expression(text, cls.sees)
        return values

    @model_validator(mode="after")
    def _asks_for_something_once(self) -> Self:
        found = "both value and values are" if self.value is not None and self.values else ""
        if self.value is None and not self.values and not self.unasked:
            found = "neither value nor values is"
        if found:
            raise ValueError(f"{found} given; write one of them, such as value: {self.example}")
        if self.values and "name" in self.model_fields_set:
            raise ValueError("as names a single value; leave it out, values have names already")
        return self

    @property
    def expressions(self) -> Mapping[str, str]:
        """Name to JMESPath of every value."""
        return self.values or {self.name: self.value or self.unasked}

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.expressions)


def is_number(value: Any) -> bool:
    """Whether what an expression found can be counted with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
