"""What a step that waits looks for in the rows of an SQL answer: expressions over the row by its columns. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from ...clients.expression_traffic import watched
from ...clients.jmes import Expression, truthy
from ...spi.traffic import Traffic
from ...texts import meant


class RowLooks:
    """The expressions of a step: `until` says whether a row shows what is waited for, `captures` what it gives."""

    def __init__(self, until: str | None, captures: Mapping[str, str], traffic: Traffic | None = None) -> None:
        self._until = None if until is None else watched(Expression(until), "until", traffic)
        self._captures = {
            name: watched(Expression(text), f"capture {name}", traffic) for name, text in captures.items()
        }

    @property
    def says_when(self) -> bool:
        """Whether it is for `until` to say what shows it, and not for the column `visible`."""
        return self._until is not None

    def looks_at(self, column: str) -> bool:
        """Whether an expression looks at a column."""
        return any(column in one.roots or one.whole for one in self._all)

    def missing(self, columns: Sequence[str]) -> str:
        """Nothing, or `what is wrong; what would be right` with the columns of a query."""
        for name, one in (
            ("until", self._until),
            *((f"capture {name}", one) for name, one in self._captures.items()),
        ):
            for root in sorted(one.roots - set(columns)) if one is not None else ():
                cure = meant(root, columns, f"its columns are {', '.join(columns)}")
                return f"{name} looks at {root!r}, and the query has no such column; {cure}"
        return ""

    def shows(self, row: Mapping[str, Any]) -> bool:
        """Whether a row shows what is waited for. Raises JMESPathError."""
        assert self._until is not None
        return truthy(self._until.search(row))

    def captured(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a row gives. Raises JMESPathError."""
        return {name: one.search(row) for name, one in self._captures.items()} or None

    @property
    def _all(self) -> list[Expression]:
        return [*self._captures.values(), *(() if self._until is None else (self._until,))]


def plain(value: Any) -> Any:
    """What a driver gives, as JSON would have it: times and ids as text, decimal numbers as numbers."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
    return str(value)
