"""Judges what the samples of gauges show: over the run, for how long at a stretch, and how soon back at a level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Final

from ..model.report import Result
from ..model.summary import Ends, GaugeSummary, Series, Summary
from ..objectives.objective import EXACTLY, UPPER, Objective
from ..units import NS_PER_S
from .gauge_watches import is_watched, label
from .limit_result import NEAR, NEAR_NOTE, LimitResult, compare, exact, no_data

_OF_SERIES: Final[Mapping[str, Callable[[Series], float]]] = {
    "max": lambda series: series.maximum,
    "min": lambda series: series.minimum,
    "mean": lambda series: series.mean,
    "last": lambda series: series.last,
}
_BLIND_SAMPLES: Final = Fraction(1, 10)


def judge_gauge(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """Exact for the samples that were taken; too many that were not leave it open."""
    if is_watched(objective):
        return _judge_window(objective, summary, limit)
    gauges = dict(_gauges(objective, summary))
    if not gauges:
        return no_data(objective.subject)
    values = [Fraction(_OF_SERIES[objective.function](g.series[objective.subject])) for g in gauges.values()]
    if objective.operator in EXACTLY:
        # A value is a double, and so is what it has to be: 0.1 is.
        limit = Fraction(float(limit))
        farthest_first = sorted(values, key=lambda value: abs(value - limit), reverse=True)
        value = farthest_first[0 if objective.operator == "==" else -1]
    else:
        value = max(values) if objective.operator in UPPER else min(values)
    holds = compare(objective.operator, value, value, limit)
    if not holds:
        return LimitResult(Result.FAIL, (value, value), _failed_note(objective, summary))
    return _passed(objective, summary, (value, value), limit)


def judge_drain(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """How soon a gauge is back at its level; where several have the value, the last of them counts."""
    found = _watched(objective, summary, limit)
    if not found:
        return LimitResult(Result.INCONCLUSIVE, note="no sample was taken after that moment, and no data is no pass")
    lows, highs = zip(*found, strict=True)
    low = max(lows)
    high = None if None in highs else max(high for high in highs if high is not None)
    series = [gauge.series[objective.subject] for _, gauge in _gauges(objective, summary)]
    if high is not None and all(one.minimum == one.maximum for one in series):
        return LimitResult(Result.INCONCLUSIVE, note="the gauge never moved, so nothing can be told of its way back")
    if high is None and low < limit:
        return LimitResult(Result.INCONCLUSIVE, (low, None), "it was not back by the last sample")
    holds = compare(objective.operator, low, high, limit)
    judged = exact(holds, (low, high), limit, "the samples are too far apart to tell")
    return judged if judged.result is not Result.PASS else _passed(objective, summary, (low, high), limit)


def _judge_window(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    assert objective.window is not None
    found = _watched(objective, summary, limit)
    if not found:
        return no_data(objective.subject)
    if objective.window.stretch:
        low = max(low for low, _ in found)
        high = max(low if high is None else high for low, high in found)
        span = Fraction(objective.window.span_ns)
        if low >= span:
            return LimitResult(Result.FAIL, (low, high))
        if high >= span:
            return LimitResult(Result.INCONCLUSIVE, (low, high), "the samples are too far apart to tell")
        return _passed(objective, summary, (low, high), span, upper=True)
    worst = (max if objective.operator in UPPER else min)(low for low, _ in found)
    if not compare(objective.operator, worst, worst, limit):
        return LimitResult(Result.FAIL, (worst, worst), _failed_note(objective, summary))
    return _passed(objective, summary, (worst, worst), limit)


def _passed(
    objective: Objective, summary: Summary, observed: Ends, limit: Fraction, *, upper: bool | None = None
) -> LimitResult:
    """A pass, unless too many samples failed to say so or it was close."""
    gauges = dict(_gauges(objective, summary))
    note = _failed_note(objective, summary)
    taken = sum(gauge.series[objective.subject].count for gauge in gauges.values())
    if sum(gauge.failed for gauge in gauges.values()) > _BLIND_SAMPLES * taken:
        return LimitResult(Result.INCONCLUSIVE, (observed[0], None), note)
    is_upper = objective.operator in UPPER if upper is None else upper
    if is_upper and observed[1] is not None and observed[1] > NEAR * limit:
        return LimitResult(Result.WARN, observed, note or NEAR_NOTE)
    return LimitResult(Result.PASS, observed, note)


def _failed_note(objective: Objective, summary: Summary) -> str:
    failed = sum(gauge.failed for _, gauge in _gauges(objective, summary))
    return f"{failed} samples could not be taken" if failed else ""


def _gauges(objective: Objective, summary: Summary) -> Iterator[tuple[str, GaugeSummary]]:
    """The gauges that it is about, as far as they have a sample of its value."""
    for name, gauge in summary.gauges.items():
        series = gauge.series.get(objective.subject)
        if objective.gauge in (None, name) and series is not None and series.count:
            yield name, gauge


def _watched(objective: Objective, summary: Summary, limit: Fraction) -> list[tuple[Fraction, Fraction | None]]:
    """What its watches came to, in nanoseconds for durations; empty if one of them has nothing to say."""
    found = []
    scale = NS_PER_S if objective.unit == NS_PER_S else 1
    for name, _ in _gauges(objective, summary):
        low, high = summary.watches.get(label(objective, name, limit), (None, None))
        if low is None:
            return []
        found.append((Fraction(low) * scale, None if high is None else Fraction(high) * scale))
    return found
