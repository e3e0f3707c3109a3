"""Numbers in a JSON answer over HTTP, by JMESPath."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from jmespath.exceptions import JMESPathError
from pydantic import Field, field_validator, model_validator

from ..errors import TargetError
from ..jmes import Expression, check_expression
from ..ports import Gauge, Sample, Surroundings
from ..web import Answer, NotJson, parse_url
from .http_settings import HttpGaugeSettings, MetricName

if TYPE_CHECKING:
    from .http_get import Page

_FIELDS: Final = ("status", "headers", "body")


class HttpJsonGaugeConfig(HttpGaugeSettings):
    """Settings of the gauge. Either `value`, under the name `as`, or several `values` by name."""

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

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Gauge]:
        """Ask once, yield the gauge. Raises TargetError if that gives no numbers."""
        from .http_get import open_settings_page

        async with open_settings_page(self, surroundings, "application/json") as page:
            gauge = _JsonGauge(page, self.expressions)
            first = await gauge.sample()
            if first.error:
                raise TargetError(f"no value at {parse_url(self.url).shown}: {first.error}; correct url or value")
            yield gauge


class _JsonGauge:
    def __init__(self, page: Page, expressions: Mapping[str, str]) -> None:
        self._page = page
        self._expressions = {name: Expression(text) for name, text in expressions.items()}

    async def sample(self) -> Sample:
        from .http_get import NoAnswer

        try:
            answer = await self._page.get()
            return Sample({name: _number(by, answer) for name, by in self._expressions.items()})
        except (NoAnswer, NotJson, JMESPathError, _NotANumber) as failure:
            return Sample({}, " ".join(str(failure).split()))


class _NotANumber(ValueError):
    """What an expression found isn't a number."""


def _number(expression: Expression, answer: Answer) -> float:
    value: Any = expression.search(answer.as_dict() if expression.whole else answer)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise _NotANumber(f"HTTP {answer.status}, in which {expression.text!r} is {_kind(value)}, not a number")


def _kind(value: Any) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    for types, name in ((bool, "a boolean"), (dict, "an object"), (list, "a list"), (str, "text")):
        if isinstance(value, types):
            return name
    return str(value)
