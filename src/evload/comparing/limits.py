"""Holds the figures of new runs against limits that have nothing to do with the runs before."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ..objectives.change import Kind, kind_of
from .figures import Span
from .regression import typical


class Standing(enum.StrEnum):
    """How a figure stands to its limit."""

    KEPT = "kept"
    NEAR = "near"
    """Kept, and above a share of the limit from which on somebody wants to know."""
    BROKEN = "broken"
    UNKNOWN = "~"


@dataclass(frozen=True, slots=True)
class FigureLimit:
    """One figure against its limit, which it may not be worse than; seconds, events per second, shares and so on.

    value       the median of the new runs; None if one of them doesn't have the figure
    warn_above  the share of the limit above which it is NEAR; None: never. A least value has none
    """

    name: str
    limit: float
    value: Span | None
    warn_above: float | None

    @property
    def kind(self) -> Kind:
        """What kind of figure it is."""
        return kind_of(self.name)

    @property
    def standing(self) -> Standing:
        """For sure, whatever the brackets leave open; UNKNOWN where they leave that open."""
        if self.value is None:
            return Standing.UNKNOWN
        low, high = self.value
        if self.kind.sign < 0:
            return Standing.BROKEN if high is not None and high < self.limit else _kept(low >= self.limit)
        if low > self.limit:
            return Standing.BROKEN
        if high is None or high > self.limit:
            return Standing.UNKNOWN
        return Standing.NEAR if self.warn_above is not None and high > self.warn_above * self.limit else Standing.KEPT


def _kept(holds: bool) -> Standing:
    return Standing.KEPT if holds else Standing.UNKNOWN


def judge(name: str, limit: float, new: Sequence[Span | None], warn_above: float | None) -> FigureLimit:
    """The figure of the new runs against its limit."""
    known = [span for span in new if span is not None]
    return FigureLimit(name, limit, typical(known) if len(known) == len(new) else None, warn_above)
