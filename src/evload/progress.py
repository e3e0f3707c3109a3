"""Turns the totals of a running run into what a person wants to see: the phase, current rates, percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from .ports import Progress
from .stats.histogram import Histogram, bracket
from .summary import Summary
from .units import NS_PER_S
from .workload.schedule import Stretch

_SHOWN: Final = {"p50": Fraction(1, 2), "p95": Fraction(95, 100), "p99": Fraction(99, 100)}


@dataclass(frozen=True, slots=True)
class Span:
    """When a scenario runs, from the start of the schedule, and what it does when (from its own start)."""

    name: str
    start_ns: int
    end_ns: int
    timeline: Sequence[Stretch]

    def phase(self, offset_ns: int) -> str | None:
        """What it does at an offset from the start of the schedule; None before and after."""
        if not self.start_ns <= offset_ns < self.end_ns:
            return None
        current = [s.text for s in self.timeline if s.start_ns <= offset_ns - self.start_ns]
        return f"{self.name}: {current[-1]}" if current else None


class ProgressMeter:
    """Reads the totals again and again; the rates are those since the reading before."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._at_ns = 0
        self._scheduled = 0
        self._answered = 0

    def read(self, offset_ns: int, summary: Summary, unanswered: int, outstanding: int) -> Progress:
        """The state at an offset from the start of the schedule (negative: it has not begun)."""
        states: dict[str, int] = {}
        lower, upper = Histogram(), Histogram()
        for scenario in summary.scenarios.values():
            for key, count in scenario.ledger.items():
                states[key] = states.get(key, 0) + count
            shown = scenario.distributions.get("consistency")
            if shown:
                lower.merge(shown.lower)
                upper.merge(shown.upper)
        scheduled = states["scheduled"]
        answered = scheduled - unanswered - states["unsent"]
        since = max(offset_ns - self._at_ns, 1) / NS_PER_S
        offered, achieved = (scheduled - self._scheduled) / since, (answered - self._answered) / since
        self._at_ns, self._scheduled, self._answered = offset_ns, scheduled, answered
        percentiles: dict[str, tuple[float, float | None]] = {}
        if upper.total:
            for name, p in _SHOWN.items():
                low, high = bracket(p, lower, upper)
                percentiles[name] = (
                    0.0 if low is None else low / NS_PER_S,
                    None if high is None else high / NS_PER_S,
                )
        running = [phase for span in self._spans if (phase := span.phase(offset_ns))]
        to_come = any(offset_ns < span.start_ns for span in self._spans)
        return Progress(
            phase=", ".join(running) or ("waiting" if to_come else "settling"),
            elapsed=max(0, offset_ns) / NS_PER_S,
            total=max(span.end_ns for span in self._spans) / NS_PER_S,
            offered_rate=offered,
            achieved_rate=achieved,
            scheduled=scheduled,
            in_flight=unanswered,
            outstanding=outstanding,
            states={key: count for key, count in states.items() if count},
            percentiles=percentiles,
        )
