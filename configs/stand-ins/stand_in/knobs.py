"""What can be changed about a stand-in, before it starts and while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Final


class Knobs:
    """Base of a dataclass whose fields are the knobs: booleans, whole numbers, numbers, and shares (`share`)."""

    __slots__ = ()

    def change(self, values: Mapping[str, Any]) -> None:
        """Set some of them, all or none. Raises ValueError, `what is wrong; what would be right`."""
        checked = {name: self._checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def _checked(self, name: str, value: Any) -> Any:
        known = {one.name: one for one in fields(self)}  # type: ignore[arg-type]  # dataclasses only
        if name not in known:
            raise ValueError(f"there is no knob {name}; choose of {', '.join(known)}")
        kind = type(getattr(self, name))
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name} is {value!r}; write {_WRITTEN[kind]}")
        least, most = known[name].metadata.get("range", (0, math.inf))
        if kind is not bool and not (least <= value <= most and value < math.inf):
            upper = "" if most == math.inf else f" to {most}"
            raise ValueError(f"{name} is {value}; write a number from {least}{upper}")
        return value


def share(value: float = 0.0) -> Any:
    """A knob that is a share of something, from 0 to 1."""
    return field(default=value, metadata={"range": (0, 1)})


def at_least_one(value: int) -> Any:
    """A knob that is a number of something of which there has to be one."""
    return field(default=value, metadata={"range": (1, math.inf)})


class Planted:
    """Which of many things a share is about: every tenth, where the share is 0.1."""

    __slots__ = ("_owed",)

    def __init__(self) -> None:
        self._owed = 0.0

    def due(self, wanted: float) -> bool:
        """Whether the next one is one of them."""
        # A tenth ten times is a little less than one.
        self._owed += wanted + _ROUNDING * (wanted > 0)
        if self._owed < 1:
            return False
        self._owed -= 1
        return True


_ROUNDING: Final = 1e-12
_WRITTEN: Final[Mapping[type, str]] = {bool: "true or false", int: "a whole number", float: "a number"}
