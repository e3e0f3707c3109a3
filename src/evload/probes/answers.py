"""What an HTTP answer says about the events that were asked for. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..clients.jmes import Expression, truthy
from ..clients.stamps import parse_stamp
from ..clients.web import Answer
from ..model import Read, Seen, Target
from .facts import Facts

if TYPE_CHECKING:
    from .http import HttpProbeConfig


class BadAnswer(ValueError):
    """The answer isn't what the expressions were made for, so it says nothing about any event."""


class AnswerReader:
    """Turns answers into reads by means of the probe's expressions."""

    def __init__(self, config: HttpProbeConfig) -> None:
        self._visible = _compile(config.visible)
        self._effects = _compile(config.effects)
        self._replica = _compile(config.replica)
        self._position = _compile(config.position)
        self._consumed_at = _compile(config.consumed_at)
        self._processed_at = _compile(config.processed_at)
        self._items = _compile(config.items)
        self._id = Expression(config.id)
        self._by_capture = config.by == "capture"

    def single(self, answer: Answer, target: Target, start_ns: int, end_ns: int) -> Read:
        """Judge an answer about one event. Raises BadAnswer, NotJson or JMESPathError."""
        visible = answer.status == 200 if self._visible is None else truthy(_search(self._visible, answer))
        facts = self._facts(answer, visible)
        return Read(target.seq, facts.seen, start_ns, end_ns, *facts[1:])

    def bulk(self, answer: Answer, targets: Sequence[Target], start_ns: int, end_ns: int) -> tuple[list[Read], int]:
        """Judge an answer about many events: the reads, and how many ids nobody asked for.

        Raises like `single`.
        """
        found = self._by_id(answer)
        answer.item = None
        absent = self._facts(answer, False)
        reads, asked = [], set()
        for target in targets:
            key = target.capture if self._by_capture else target.correlation_id
            asked.add(key)
            items = found.get(key or "")
            facts = absent if items is None else self._together(items)
            reads.append(Read(target.seq, facts.seen, start_ns, end_ns, *facts[1:]))
        return reads, len(found.keys() - asked)

    def _by_id(self, answer: Answer) -> dict[str, list[Facts]]:
        assert self._items is not None
        items = _search(self._items, answer)
        if not isinstance(items, list):
            raise BadAnswer(f"items {self._items.text!r} gives {_kind(items)}, not a list")
        found: dict[str, list[Facts]] = {}
        for item in items:
            key = self._id.search(item)
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise BadAnswer(f"id {self._id.text!r} gives {_kind(key)} in an item of the answer, not an id")
            answer.item = item
            visible = self._visible is None or truthy(_search(self._visible, answer))
            found.setdefault(str(key), []).append(self._facts(answer, visible))
        return found

    def _facts(self, answer: Answer, visible: bool) -> Facts:
        replica = None if self._replica is None else _text(self._replica, answer)
        if not visible:
            return Facts(Seen.ABSENT, replica=replica)
        effects = None if self._effects is None else _number(self._effects, answer)
        return Facts(
            Seen.PRESENT,
            None if effects is None else int(effects),
            replica,
            None if self._position is None else _number(self._position, answer),
            None if self._consumed_at is None else parse_stamp(_search(self._consumed_at, answer)),
            None if self._processed_at is None else parse_stamp(_search(self._processed_at, answer)),
        )

    def _together(self, items: Sequence[Facts]) -> Facts:
        """Several items with one id are that many effects, or as many as their `effects` add up to."""
        if len(items) == 1:
            return items[0]
        present = [facts for facts in items if facts.seen is Seen.PRESENT]
        if len(present) < 2:
            return present[0] if present else items[0]
        if self._effects is None:
            return present[0]._replace(effects=len(present))
        return present[0]._replace(effects=sum(facts.effects or 0 for facts in present))


def _compile(text: str | None) -> Expression | None:
    return None if text is None else Expression(text)


def _search(expression: Expression, answer: Answer) -> Any:
    return expression.search(answer.as_dict() if expression.whole else answer)


def _text(expression: Expression, answer: Answer) -> str | None:
    value = _search(expression, answer)
    if value is None or value == "":
        return None
    if isinstance(value, str | int | float):
        return str(value)
    raise BadAnswer(f"{expression.text!r} gives {_kind(value)}, not a name")


def _number(expression: Expression, answer: Answer) -> float | None:
    value = _search(expression, answer)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise BadAnswer(f"{expression.text!r} gives {_kind(value)}, not a number")


def _kind(value: Any) -> str:
    """What JSON calls it."""
    if isinstance(value, bool):
        return "a boolean"
    for types, name in ((dict, "an object"), (list, "a list"), (str, "text"), ((int, float), "a number")):
        if isinstance(value, types):
            return name
    return "null"
