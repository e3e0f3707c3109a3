"""What activities take from an answer, for placeholders in later ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, field_validator

from ...clients.jmes import Expression, NoDocument, check_expression
from ...spi.activity import ActivitySettings
from .failing import Failed

_NAME: Final = r"^[a-z_][A-Za-z0-9_]*$"


def _check_name(name: str) -> str:
    if not re.match(_NAME, name):
        raise ValueError(f"{name!r} can't be captured as a name; write small letters, digits and _, such as item_id")
    return name


CapturedName = Annotated[str, AfterValidator(_check_name), Field(json_schema_extra={"pattern": _NAME})]
"""A name as placeholders have it."""

_PLAIN: Final = (str, int, float, bool, dict, list)


class Capturing(ActivitySettings):
    """For activities to inherit. `sees`: what expressions may begin with."""

    sees: ClassVar[Sequence[str]]

    capture: Annotated[
        Mapping[CapturedName, str], Field(description="values taken from the answer: name to JMESPath")
    ] = {}

    @field_validator("capture")
    @classmethod
    def _expressions_compile(cls, capture: Mapping[str, str]) -> Mapping[str, str]:
        for text in capture.values():
            check_expression(text, cls.sees)
        return capture

    @property
    def captured_names(self) -> Sequence[str]:
        return tuple(self.capture)


class Capturer:
    """Takes the values out of an answer."""

    def __init__(self, capture: Mapping[str, str]) -> None:
        self._expressions = {name: Expression(text) for name, text in capture.items()}

    def looks_at(self, field: str) -> bool:
        """Whether any expression looks at that field of the answer."""
        return any(one.looks_at(field) for one in self._expressions.values())

    def take(self, answer: Any, whole: Any = None) -> dict[str, Any]:
        """All of them. `whole` makes the answer a dict, where it is none. Raises Failed."""
        found = {}
        for name, expression in self._expressions.items():
            try:
                value = expression.search(whole() if expression.whole and whole is not None else answer)
            except (JMESPathError, NoDocument) as error:
                raise Failed(f"it is done, but {name} can't be captured: {error}", in_doubt=True) from None
            if not isinstance(value, _PLAIN):
                raise Failed(f"it is done, but there is no {name}: {expression.text} is null", in_doubt=True)
            found[name] = value
        return found
