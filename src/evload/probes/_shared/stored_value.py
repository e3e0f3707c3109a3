"""What a stored value (a key's, an item's, an object's) says about its event. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator

from ...clients import exact_json
from ...clients.expression_traffic import watched
from ...clients.jmes import Expression, check_expression, kind_of, truthy
from ...model.states import Seen
from ...spi.traffic import Traffic
from .facts import Facts, NonsenseError, effects_of


def _check(text: str) -> str:
    return check_expression(text, None)


ValueExpression = Annotated[str, AfterValidator(_check)]
"""JMESPath over a stored value."""
ONE_EACH: Final = "`1`"
"""The expression for one effect, whatever the value."""


class BadValue(ValueError):
    """A value isn't what the expressions were made for, so it says nothing."""


class ValueReader:
    """Judges values by means of the probe's expressions. Without `visible` a value that is there is visible."""

    def __init__(
        self,
        visible: str | None,
        effects: str | None,
        version: str | None = None,
        *,
        ended: str | None = None,
        captures: Mapping[str, str] = {},
        traffic: Traffic | None = None,
        name: str = "visible",
    ) -> None:
        """`captures` are looked for in values that are visible. `traffic` looks on at what they find, `name` is that
        of the setting `visible`."""
        self._visible = None if visible is None else watched(Expression(visible), name, traffic)
        self._effects = None if effects is None else watched(Expression(effects), "effects", traffic)
        self._version = None if version is None else watched(Expression(version), "version", traffic)
        self._ended = None if ended is None else watched(Expression(ended), "ended", traffic)
        self._captures = {
            about: watched(Expression(text), f"capture {about}", traffic) for about, text in captures.items()
        }
        self.indifferent = (visible, ended, effects, version) == (None,) * 4 and not captures
        """Whatever the value is, it makes no difference."""

    @property
    def fields(self) -> frozenset[str] | None:
        """The fields of a value that matter, None if all may."""
        known = (self._visible, self._ended, self._effects, self._version, *self._captures.values())
        expressions = [by for by in known if by is not None]
        if any(expression.whole for expression in expressions):
            return None
        return frozenset[str]().union(*(expression.roots for expression in expressions))

    def judge(self, value: Any) -> Facts:
        """Raises BadValue."""
        version = None if self._version is None else _number("version", self._version, value)
        if self._visible is not None and not truthy(_search(self._visible, value)):
            ended = self._ended is not None and truthy(_search(self._ended, value))
            return Facts(Seen.ENDED if ended else Seen.ABSENT, version=version)
        captured = {name: _search(one, value) for name, one in self._captures.items()} or None
        if self._effects is None:
            return Facts(Seen.PRESENT, version=version, captured=captured)
        try:
            effects = effects_of(_number("effects", self._effects, value))
        except NonsenseError as error:
            raise BadValue(f"effects {self._effects.text!r} gives {error}") from None
        return Facts(Seen.PRESENT, effects, version=version, captured=captured)


def decoded(value: bytes) -> Any:
    """JSON if it is JSON, else text. Raises BadValue if it is neither."""
    try:
        return exact_json.loads(value)
    except ValueError:
        pass
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadValue("a value is neither JSON nor UTF-8 text, so no expression can look at it") from None


def _search(expression: Expression, value: Any) -> Any:
    try:
        return expression.search(value)
    except JMESPathError as error:
        raise BadValue(" ".join(str(error).split())) from error


def _number(name: str, expression: Expression, value: Any) -> float | None:
    found = _search(expression, value)
    if found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
        return found
    raise BadValue(f"{name} {expression.text!r} gives {kind_of(found)}, not a number")
