"""Expressions that say of an answer, or of what was pushed, what it means for its event. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from ...clients.answer_tags import TagReader
from ...clients.expression_traffic import watched
from ...clients.jmes import Expression, kind_of, truthy
from ...clients.stamps import NO_STAMP, Stamp, read_stamp
from ...clients.web import Answer, NotJson
from ...model.states import Seen
from ...spi.context import AdapterSettings
from ...spi.traffic import Traffic
from .facts import Facts, NonsenseError, effects_of, position_of

WHERE_CLOUDEVENTS_HAVE_IT: Final = (
    "correlationid || correlation_id || detail.correlationid || detail.correlation_id || id"
)
"""JMESPath: the correlation id in the JSON that a system pushes, an event or what EventBridge makes of one."""


def told_by(settings: AdapterSettings, *keys: str) -> frozenset[str]:
    """Which of these keys, each an expression or None, are given."""
    return frozenset(key for key in keys if getattr(settings, key) is not None)


Replica = Annotated[str | None, Field(description="JMESPath: which replica answered")]
Position = Annotated[str | None, Field(description="JMESPath: a number or a text that grows in order of application")]
Version = Annotated[
    str | None, Field(description="JMESPath: how many writes of the event's key the answer reflects, visible or not")
]
Ended = Annotated[
    str | None,
    Field(
        description="JMESPath: has it come to another end, such as a failed job, so that it will never be visible?"
    ),
]
ConsumedAt = Annotated[str | None, Field(description="JMESPath: when a worker took the event up")]
ProcessedAt = Annotated[str | None, Field(description="JMESPath: when a worker was done with it")]


class BadAnswer(ValueError):
    """The answer isn't what the expressions were made for, so it says nothing about any event."""


class FactReader:
    """Judges documents by means of a probe's expressions. A document is a dict, or an `Answer`."""

    def __init__(
        self,
        *,
        visible: str | None,
        effects: str | None,
        replica: str | None,
        position: str | None,
        consumed_at: str | None,
        processed_at: str | None,
        version: str | None,
        ended: str | None = None,
        tag: Mapping[str, str] = {},
        captures: Mapping[str, str] = {},
        traffic: Traffic | None = None,
    ) -> None:
        """`traffic` looks on at what they find. With `tag` documents are answers. `captures` are looked for in those
        that show their event."""
        self._visible = _compile("visible", visible, traffic)
        self._ended = _compile("ended", ended, traffic)
        self._effects = _compile("effects", effects, traffic)
        self._replica = _compile("replica", replica, traffic)
        self._position = _compile("position", position, traffic)
        self._consumed_at = _compile("consumed_at", consumed_at, traffic)
        self._processed_at = _compile("processed_at", processed_at, traffic)
        self._version = _compile("version", version, traffic)
        self._tags = TagReader(tag, traffic) if tag else None
        self._captures = {
            name: watched(Expression(text), f"capture {name}", traffic) for name, text in captures.items()
        }

    def visible(self, document: Any, otherwise: bool) -> bool:
        """Whether it shows its event; `otherwise` if no expression says so. Raises NotJson or JMESPathError."""
        return otherwise if self._visible is None else truthy(search(self._visible, document))

    def facts(self, document: Any, visible: bool, *, about_it: bool = True) -> Facts:
        """What it says; without `about_it` the event isn't in it. Raises BadAnswer, NotJson or JMESPathError."""
        replica = None if self._replica is None else _text(self._replica, document)
        tags = "" if self._tags is None else self._tags.of(document)
        if not visible:
            seen = Seen.ENDED if about_it and self._has_ended(document) else Seen.ABSENT
            return Facts(seen, replica=replica, version=self._version_of(document, visible), tags=tags)
        consumed, processed = self._stamp(self._consumed_at, document), self._stamp(self._processed_at, document)
        return Facts(
            Seen.PRESENT,
            None if self._effects is None else _effects(self._effects, document),
            replica,
            None if self._position is None else _position(self._position, document),
            consumed.ns,
            processed.ns,
            version=self._version_of(document, visible),
            unread_stamp=consumed.unread or processed.unread,
            tags=tags,
            captured={name: search(one, document) for name, one in self._captures.items()} or None,
        )

    def _has_ended(self, document: Any) -> bool:
        if self._ended is None:
            return False
        try:
            return truthy(search(self._ended, document))
        except NotJson:
            return False  # A 404 without a body says no more than that it isn't there.

    @staticmethod
    def _stamp(expression: Expression | None, document: Any) -> Stamp:
        return NO_STAMP if expression is None else read_stamp(search(expression, document))

    def _version_of(self, document: Any, visible: bool) -> float | None:
        if self._version is None:
            return None
        try:
            return number(self._version, document)
        except NotJson:
            # A 404 says all the same that the event isn't there.
            if visible:
                raise
            return None


def search(expression: Expression, document: Any) -> Any:
    """What an expression finds. Raises NotJson or JMESPathError."""
    return expression.search(document.as_dict() if expression.whole and isinstance(document, Answer) else document)


def number(expression: Expression, document: Any) -> float | None:
    """The number that it finds, None for null. Raises BadAnswer, NotJson or JMESPathError."""
    value = search(expression, document)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise BadAnswer(f"{expression.text!r} gives {kind_of(value)}, not a number")


def _effects(expression: Expression, document: Any) -> int | None:
    try:
        return effects_of(number(expression, document))
    except NonsenseError as error:
        raise BadAnswer(f"{expression.text!r} gives {error}") from None


def _position(expression: Expression, document: Any) -> float | str | None:
    value = search(expression, document)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadAnswer(f"{expression.text!r} gives {kind_of(value)}, not a number or a text")
    try:
        return position_of(value)
    except NonsenseError as error:
        raise BadAnswer(f"{expression.text!r} gives {error}") from None


def _compile(name: str, text: str | None, traffic: Traffic | None) -> Expression | None:
    return None if text is None else watched(Expression(text), name, traffic)


def _text(expression: Expression, document: Any) -> str | None:
    value = search(expression, document)
    if value is None or value == "":
        return None
    if isinstance(value, str | int | float):
        return str(value)
    raise BadAnswer(f"{expression.text!r} gives {kind_of(value)}, not a name")


def items_of(expression: Expression, answer: Answer) -> list[Any]:
    """The list in an answer. Raises BadAnswer, NotJson or JMESPathError."""
    items = search(expression, answer)
    if not isinstance(items, list):
        raise BadAnswer(f"items {expression.text!r} gives {kind_of(items)}, not a list")
    return items
