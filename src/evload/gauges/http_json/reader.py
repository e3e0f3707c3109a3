"""Reads the numbers of the http-json gauge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from jmespath.exceptions import JMESPathError

from ...clients.jmes import Expression, kind_of
from ...clients.web import Answer, NotJson, parse_url
from ...errors import TargetError
from ...spi.context import Surroundings
from ...spi.gauge import Sample
from .._shared.http_get import NoAnswer, Page, open_settings_page
from .._shared.named_values import is_number
from .settings import HttpJsonGaugeSettings


class JsonReader:
    """The gauge."""

    def __init__(self, page: Page, expressions: Mapping[str, str]) -> None:
        self._page = page
        self._expressions = {name: Expression(text) for name, text in expressions.items()}

    async def sample(self) -> Sample:
        """All values of one answer, or none of them."""
        try:
            page = await self._page.get()
            answer = Answer(page.status, page.headers, page.body)
            return Sample({name: _number(by, answer) for name, by in self._expressions.items()})
        except (NoAnswer, NotJson, JMESPathError, _NotANumber) as failure:
            return Sample({}, " ".join(str(failure).split()))


class _NotANumber(ValueError):
    """What an expression found isn't a number."""


def _number(expression: Expression, answer: Answer) -> float:
    value: Any = expression.search(answer.as_dict() if expression.whole else answer)
    if is_number(value):
        return cast(float, value)
    found = value if isinstance(value, float) else kind_of(value)
    raise _NotANumber(f"HTTP {answer.status}, in which {expression.text!r} is {found}, not a number")


@asynccontextmanager
async def open_reader(config: HttpJsonGaugeSettings, surroundings: Surroundings) -> AsyncIterator[JsonReader]:
    """Ask once, yield the gauge. Raises TargetError."""
    async with open_settings_page(config, surroundings, "application/json") as page:
        reader = JsonReader(page, config.expressions)
        first = await reader.sample()
        if first.error:
            raise TargetError(f"no value at {parse_url(config.url).shown}: {first.error}; correct url or value")
        yield reader
