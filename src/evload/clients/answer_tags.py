"""Tags by answer: expressions over `{status, headers, body}` that say to which slice of the events one belongs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Final

from jmespath.exceptions import JMESPathError
from pydantic import Field

from ..model.tags import tag_of
from ..spi.traffic import Traffic
from .expression_traffic import watched
from .jmes import Expression, NoDocument, check_expression
from .web import Answer

SEEN: Final = ("status", "headers", "body")
TagName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.-]{0,39}$")]
TAGGED: Final = (
    "slices by answer: name to JMESPath over {status, headers, body}, true or a value of which there are few"
)
"""What the setting `tag` is for."""


def check_tags(tags: Mapping[str, str], seen: Collection[str] = SEEN) -> Mapping[str, str]:
    """The setting itself, if each expression compiles. Raises ValueError."""
    for text in tags.values():
        check_expression(text, seen)
    return tags


class TagReader:
    """What answers say by the setting `tag`."""

    def __init__(self, tags: Mapping[str, str], traffic: Traffic | None = None) -> None:
        self._expressions = {name: watched(Expression(tags[name]), f"tag.{name}", traffic) for name in sorted(tags)}
        self.needs_body = any("body" in one.roots or one.whole for one in self._expressions.values())

    def of(self, answer: Answer) -> str:
        """The tags of the event that this answers, as `EventFacts.tags` has them. What can't be worked out, as where
        there is no JSON to look into, leaves open whether the event has a tag of that name."""
        lines = []
        for name, one in self._expressions.items():
            with suppress(JMESPathError, NoDocument):
                lines.append(tag_of(name, one.search(answer.as_dict() if one.whole else answer)))
        return "\n".join(lines)
