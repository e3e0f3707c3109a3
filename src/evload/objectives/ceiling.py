"""An objective on the ceiling itself, the highest sustainable rate: `ceiling > 500/s`. No single run can judge it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ..units import parse_rate
from .objective import LOWER

_BEGINS: Final = re.compile(r"\s*ceiling(?![\w.])(?!\s*\()")
_WHOLE: Final = re.compile(r"ceiling\s*(==|!=|<=|>=|<|>)\s*(\S+(?:\s+\S+)*)")


@dataclass(frozen=True, slots=True)
class CeilingObjective:
    """Limits in events per second: the looser one is `critical`, where there are two; `target_text` says that the
    written one is that.

    scenario  whose ceiling it is about; None: that of whichever is looked for
    """

    expression: str
    operator: str
    limit: Fraction
    critical: Fraction | None = None
    scenario: str | None = None
    target_text: str | None = None

    @property
    def title(self) -> str:
        """The expression with what it is about."""
        return f"{self.expression} [{self.scenario}]" if self.scenario else self.expression

    @property
    def shown_limit(self) -> Fraction:
        """The limit in the expression."""
        return self.limit if self.target_text is None or self.critical is None else self.critical


def is_about_ceiling(text: str) -> bool:
    """Whether an objective asks for the ceiling, well written or not."""
    return _BEGINS.match(text) is not None


def parse_ceiling(
    text: str, *, critical: str | None = None, target: str | None = None, scenario: str | None = None
) -> CeilingObjective:
    """The objective that a text says. Raises ValueError, whose text is `what is wrong; what would be right`."""
    if critical is not None and target is not None:
        raise ValueError("this has a target and a critical limit; give target or critical, not both")
    expression = " ".join(text.split())
    found = _WHOLE.fullmatch(expression)
    if found is None:
        raise ValueError(f"{expression!r} is not an objective; write for example ceiling > 500/s")
    operator, limit = found[1], parse_rate(found[2])
    if operator not in LOWER:
        raise ValueError(f"a ceiling can't be compared by {operator}; write {' or '.join(LOWER)}")
    other = None if critical is None else parse_rate(critical)
    if other is not None and other >= limit:
        raise ValueError(
            f"critical {critical} is not looser than the objective; it has to be below the limit in {expression!r}"
        )
    if target is not None:
        tighter = parse_rate(target)
        if tighter <= limit:
            raise ValueError(
                f"target {target} is not tighter than the objective; it has to be above the limit in {expression!r}"
            )
        return CeilingObjective(expression, operator, tighter, limit, scenario, target)
    return CeilingObjective(expression, operator, limit, other, scenario)
