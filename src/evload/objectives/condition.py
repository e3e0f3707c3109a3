"""A condition on a value of a gauge, such as `replicas >= 10`: what a phase of a load may wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ..stats.watches import is_missing
from .expressions import gauges_with, parse_comparison
from .objective import GaugeValues, fulfils


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` of one gauge, how it is compared, and with what."""

    gauge: str
    value: str
    compared: str
    level: Fraction

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether a sample of the gauge fulfils it. What isn't there (yet) fulfils nothing."""
        found = values.get(self.value)
        return found is not None and not is_missing(found) and fulfils(found, self.compared, self.level)


def parse_condition(text: str, gauges: GaugeValues, example: str = "until: {}") -> Condition:
    """The condition that a text says; `example` is where it stands, with {} in its place. Raises ValueError, whose
    text is `what is wrong; what would be right`."""
    gauge, value, compared, level = parse_comparison(text, example, gauges)
    having = gauges_with(value, gauges) if gauge is None else [gauge]
    if len(having) > 1:
        raise ValueError(f"{' and '.join(having)} have {value}; name one of them, such as {having[0]}.{value}")
    return Condition(having[0], value, compared, level)
