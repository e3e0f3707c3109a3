"""Judges what the samples of gauges show: over the run, for how long at a stretch, how soon at a level and back, how
much they rise and grow, and one as a share of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from ..model.report import Result
from ..model.summary import Ends, GaugeSummary, Series, Summary
from ..objectives.objective import EXACTLY, LOWER, UPPER, Measure, Objective
from ..objectives.scenario import ScenarioCriteria
from ..units import NS_PER_S, format_rate
from .gauge_watches import at_lower_end, is_watched, label
from .limit_result import NEAR, NEAR_NOTE, LimitResult, compare, exact, no_data
from .moments import anchor_of

_OF_SERIES: Final[Mapping[str, Callable[[Series], float]]] = {
    "max": lambda series: series.maximum,
    "min": lambda series: series.minimum,
    "mean": lambda series: series.mean,
    "last": lambda series: series.last,
}
_GOOD: Final = (Result.PASS, Result.WARN)
_BLIND_SAMPLES: Final = Fraction(1, 10)
_ORDER: Final = {False: 0, None: 1, True: 2}
_APART: Final = "the samples are too far apart to tell"
_NO_SAMPLE: Final = "no sample says anything of it, and no data is no pass"
_DOUBTS: Final = {
    Measure.GROWTH: "the trend can't be told from noise well enough; a longer run, or more samples, would",
}

Interval = tuple[Fraction, Fraction | None]


def judge_bracketed(
    objective: Objective, summary: Summary, limit: Fraction, judge: Callable[[Objective, Fraction], LimitResult]
) -> LimitResult:
    """What is known as a bracket is judged by both of its ends, and has to come out alike. `judge` judges one end.

    A sample without an upper end passes no upper limit, and one without a lower end no lower one; and what can't be
    any less than the limit allows is broken, whatever it was at most. The largest of the lower ends is that however
    many samples have none; a mean of some, the last of them or how long they were beyond it says nothing.
    """
    upper = judge(objective, limit)
    lower_one = at_lower_end(objective)
    pairs = [
        tuple(gauge.series.get(one.subject, Series()).count for one in (objective, lower_one))
        for name, gauge in summary.gauges.items()
        if name in objective.bracketed
    ]
    if not pairs or objective.parts:
        return upper
    lower = judge(lower_one, limit)
    without_end = sum(max(0, low - high) for high, low in pairs)
    without_start = sum(max(0, high - low) for high, low in pairs)
    is_value = objective.measure is Measure.GAUGE
    lows = [low for low in (lower.observed[0], None if is_value else upper.observed[0]) if low is not None]
    highs = [upper.observed[1]] if is_value else [upper.observed[1], lower.observed[1]]
    stretch = objective.window is not None and objective.window.stretch
    known_below = not without_start or (objective.function == "max" and not stretch)
    observed: Ends = (
        min(lows, default=None) if known_below else None,
        None if without_end or None in highs else max(high for high in highs if high is not None),
    )
    if is_value and objective.operator in UPPER:
        if lower.result is Result.FAIL and known_below:
            return replace(lower, observed=observed)
        if upper.result in _GOOD and not without_end:
            return replace(upper, observed=observed)
    if is_value and objective.operator in LOWER and lower.result in _GOOD and not without_start:
        return replace(lower, observed=observed)
    if without_end or without_start:
        where = f"above the last bound in {without_end}" if without_end else f"below the first in {without_start}"
        return LimitResult(Result.INCONCLUSIVE, observed, f"it was {where} of its samples, and has no value there")
    if Result.INCONCLUSIVE in (upper.result, lower.result):
        open_one = upper if upper.result is Result.INCONCLUSIVE else lower
        unknown = (None, None) in (upper.observed, lower.observed)
        return open_one if unknown else replace(open_one, observed=observed)
    if (upper.result is Result.FAIL) is not (lower.result is Result.FAIL):
        return LimitResult(Result.INCONCLUSIVE, observed, "the bounds of its bucket are on both sides of the limit")
    return replace(upper if upper.result is Result.WARN else lower, observed=observed)


def judge_gauge(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """Exact for the samples that were taken; too many that were not leave it open."""
    if objective.window is not None and is_watched(objective):
        return _judge_window(objective, summary, limit)
    gauges = dict(_gauges(objective, summary))
    if not gauges:
        return no_data(objective.subject)
    if is_watched(objective):
        values = [low for low, _ in _watched(objective, summary, limit)]
        if not values:
            return LimitResult(Result.INCONCLUSIVE, note="no sample was taken then, and no data is no pass")
    else:
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


def judge_reach(
    objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria], limit: Fraction
) -> LimitResult:
    """How soon a gauge comes to a value; where several have the value, the last of them counts."""
    found = _watched(objective, summary, limit)
    if not found:
        note = _notes(objective, summary, limit) or "no sample was taken after that moment, and no data is no pass"
        return LimitResult(Result.INCONCLUSIVE, note=note)
    low = max(low for low, _ in found)
    high = None if any(high is None for _, high in found) else max(high for _, high in found if high is not None)
    if high is None:
        if low < limit:
            return LimitResult(Result.INCONCLUSIVE, (low, None), "it was not reached by the last sample")
        return LimitResult(Result.FAIL, (low, None), _failed_note(objective, summary))
    holds = compare(objective.operator, low, high, limit)
    judged = exact(holds, (low, high), limit, _APART)
    if judged.result is Result.PASS:
        judged = _passed(objective, summary, (low, high), limit)
    offered = _offered(objective, summary, scenarios, (low, high))
    return replace(judged, note="; ".join(note for note in (judged.note, offered) if note))


def _offered(
    objective: Objective, summary: Summary, scenarios: Mapping[str, ScenarioCriteria], ends: tuple[Fraction, Fraction]
) -> str:
    """The rate that was offered when it was reached."""
    from_ns = anchor_of(objective, summary, scenarios)
    chosen = [terms for name, terms in scenarios.items() if objective.scenario in (None, name)]
    if from_ns is None or not any(terms.rates for terms in chosen):
        return ""
    rates = sorted(sum(terms.rate_at(float(from_ns + end)) for terms in chosen) for end in ends)
    least, most = (format_rate(rate) for rate in rates)
    return f"reached at {most} offered" if least == most else f"reached at {least} to {most} offered"


def judge_watched(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """How much a counter rises, a gauge adds up to, grows in an hour, or for how long it keeps a value."""
    found = _watched(objective, summary, limit)
    note = _notes(objective, summary, limit)
    if not found:
        return LimitResult(Result.INCONCLUSIVE, note=note or _why_nothing(objective, summary))
    judged = _by_the_worst(objective, summary, found, limit, _DOUBTS.get(objective.measure, _APART))
    return replace(judged, note="; ".join(one for one in (judged.note, note) if one))


def _why_nothing(objective: Objective, summary: Summary) -> str:
    if objective.measure is Measure.GROWTH and any(True for _ in _gauges(objective, summary)):
        return "too few samples for a trend, and no data is no pass"
    chosen = [gauge for name, gauge in summary.gauges.items() if objective.gauge in (None, name)]
    missing = sum(gauge.missing for gauge in chosen if objective.subject not in gauge.series)
    return f"none of {missing} samples had a {objective.subject}, and no data is no pass" if missing else _NO_SAMPLE


def judge_ratio(objective: Objective, summary: Summary, limit: Fraction) -> LimitResult:
    """One as a share of another: both of one gauge, or each of its own."""
    above, below = (
        {name: _value(part, name, summary) for name, _ in _gauges(part, summary)} for part in objective.parts
    )
    pairs = [(above[name], below[name]) for name in above] if above.keys() == below.keys() else [
        (one, other) for one in above.values() for other in below.values()
    ]  # fmt: skip
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not pairs or len(known) < len(pairs):
        return LimitResult(Result.INCONCLUSIVE, note=_NO_SAMPLE)
    if any(other[0] <= 0 for _, other in known):
        what = objective.parts[1].expression
        return LimitResult(Result.INCONCLUSIVE, note=f"{what} is 0, and of nothing there is no share")
    notes = [_notes(part, summary, limit) for part in objective.parts]
    judged = _by_the_worst(objective, summary, [_divided(*pair) for pair in known], limit, _APART)
    return replace(judged, note="; ".join(one for one in (judged.note, *notes) if one))


def _divided(one: Interval, other: Interval) -> Interval:
    (low, high), (least, most) = one, other
    smallest = low / least if low < 0 else Fraction(0) if most is None else low / most
    if high is None:
        return smallest, None
    return smallest, high / least if high > 0 else Fraction(0) if most is None else high / most


def _value(part: Objective, gauge: str, summary: Summary) -> Interval | None:
    if part.function:
        value = Fraction(_OF_SERIES[part.function](summary.gauges[gauge].series[part.subject]))
        return value, value
    low, high = summary.watches.get(label(part, gauge, part.limit), (None, None))
    return None if low is None else (Fraction(low), None if high is None else Fraction(high))


def _by_the_worst(
    objective: Objective, summary: Summary, found: Sequence[Interval], limit: Fraction, doubt: str
) -> LimitResult:
    """Of several gauges that which keeps the limit least counts."""
    if objective.operator in EXACTLY:
        limit = Fraction(float(limit))

    def how_good(one: Interval) -> tuple[int | Fraction, ...]:
        low, high = one
        holds = _ORDER[compare(objective.operator, low, high, limit)]
        match objective.operator:
            case "==":
                return holds, -abs(low - limit)
            case "!=":
                return holds, abs(low - limit)
            case operator if operator in UPPER:
                return holds, high is not None, -low
            case _:
                return holds, low

    low, high = min(found, key=how_good)
    holds = compare(objective.operator, low, high, limit)
    if holds is None:
        return LimitResult(Result.INCONCLUSIVE, (low, high), doubt)
    if not holds:
        return LimitResult(Result.FAIL, (low, high), _failed_note(objective, summary))
    return _passed(objective, summary, (low, high), limit)


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
    judged = exact(holds, (low, high), limit, _APART)
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
            return LimitResult(Result.INCONCLUSIVE, (low, high), _APART)
        return _passed(objective, summary, (low, high), span, upper=True)
    worst = (max if objective.operator in UPPER else min)(low for low, _ in found)
    if not compare(objective.operator, worst, worst, limit):
        return LimitResult(Result.FAIL, (worst, worst), _failed_note(objective, summary))
    return _passed(objective, summary, (worst, worst), limit)


def _passed(
    objective: Objective, summary: Summary, observed: Ends, limit: Fraction, *, upper: bool | None = None
) -> LimitResult:
    """A pass, unless too many samples failed to say so or it was close."""
    note = _failed_note(objective, summary)
    for part in objective.parts or (objective,):
        gauges = dict(_gauges(part, summary))
        taken = sum(gauge.series[part.subject].count for gauge in gauges.values())
        if sum(gauge.failed for gauge in gauges.values()) <= _BLIND_SAMPLES * taken:
            continue
        return LimitResult(Result.INCONCLUSIVE, (observed[0], None), note)
    is_upper = objective.operator in UPPER if upper is None else upper
    if is_upper and observed[1] is not None and observed[1] > NEAR * limit:
        return LimitResult(Result.WARN, observed, note or NEAR_NOTE)
    return LimitResult(Result.PASS, observed, note)


def _failed_note(objective: Objective, summary: Summary) -> str:
    about = {name: one for part in objective.parts or (objective,) for name, one in _gauges(part, summary)}
    failed = sum(gauge.failed for gauge in about.values())
    return f"{failed} samples could not be taken" if failed else ""


def _gauges(objective: Objective, summary: Summary) -> Iterator[tuple[str, GaugeSummary]]:
    """The gauges that it is about, as far as they have a sample of its value."""
    for name, gauge in summary.gauges.items():
        series = gauge.series.get(objective.subject)
        if objective.gauge in (None, name) and series is not None and series.count:
            yield name, gauge


def _notes(objective: Objective, summary: Summary, limit: Fraction) -> str:
    """What else its watches say."""
    labels = [label(objective, name, limit) for name, _ in _gauges(objective, summary)]
    return "; ".join(summary.watch_notes[one] for one in labels if one in summary.watch_notes)


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
