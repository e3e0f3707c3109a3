"""Lets somebody look on at what expressions find."""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathError

from ..spi.traffic import Traffic
from .jmes import Expression, NoDocument


def watched(expression: Expression, name: str, traffic: Traffic | None) -> Expression:
    """The expression of the setting `name`; what it finds is told to `traffic`, if anybody looks on."""
    if traffic is None:
        return expression
    looker, search, text = traffic, expression.search, expression.text

    def looked(document: Any) -> Any:
        try:
            found = search(document)
        except (JMESPathError, NoDocument) as error:
            looker.found(name, text, document, error)
            raise
        looker.found(name, text, document, found)
        return found

    expression.search = looked
    return expression
