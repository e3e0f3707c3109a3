"""Objectives: parses an expression such as `p99(end_to_end) < 5s` and judges a Summary by it.

A latency objective has three answers. With n events, of which `within` are under the limit for sure and
`beyond` are over it for sure, it passes if even the pessimistic count of bad events (n - within) shows,
with 95 % confidence, a share below the allowed one; it fails if even the optimistic count (beyond) shows one
above; otherwise the run can't tell. Counters are exact for the run, but some of them are intervals while
events are in doubt or unsettled. Absence of data is never a pass.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Final

from ..stats.binomial import clopper_pearson_lower, clopper_pearson_upper, smallest_n
from ..stats.evidence import Evidence, weigh
from ..stats.histogram import Histogram
from ..summary import METRICS, QUEUE_LAG, ObjectiveResult, Result, ScenarioSummary, Series, Summary
from ..units import NS_PER_S, format_duration, format_share, parse_duration, parse_rate, parse_share, parse_size
from .counters import COUNTER_NAMES, PUBLISH_COUNTERS, count

NEAR: Final = Fraction(9, 10)
"""A pass above this share of the limit is a warning."""
_NEAR_NOTE: Final = "above 90 % of the limit"

_ALIASES: Final = {"duplicates": "duplicated"}
_PUBLISH_METRICS: Final = frozenset({"schedule_delay", "publish"})
_THROUGHPUTS: Final = ("sent", "acked", "visible")
_WITNESSES: Final = frozenset({"duplicated", "regressions", "regressed", "out_of_order", "lost"})
_UPPER: Final = ("<", "<=")
_LOWER: Final = (">", ">=")

_CALL: Final = re.compile(r"([A-Za-z_]\w*(?:\.\d+)?)\s*\((.*)\)\s*(==|!=|<=|>=|<|>)\s*(\S+(?:\s+\S+)*)")
_PLAIN: Final = re.compile(r"([A-Za-z_][\w-]*)\s*(==|!=|<=|>=|<|>)\s*(\S+(?:\s+\S+)*)")
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)")
_UNDER: Final = re.compile(r"([A-Za-z_][\w-]*)\s*(<=|<)\s*(\S+(?:\s+\S+)*)")
_FORMS: Final = "p99(consistency) < 2s, share(consistency < 2s) >= 95%, lost == 0 or rate(errors) < 0.1%"


class Measure(enum.StrEnum):
    """What an objective looks at, and with it the unit of its limit."""

    PERCENTILE = "percentile"
    """A limit in nanoseconds on one percentile of a metric."""
    SHARE = "share"
    """A share of the events that has to be within a time."""
    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    """Limits in nanoseconds, on all events of a metric."""
    COUNT = "count"
    """A number of events."""
    RATE = "rate"
    """A share of the scheduled events."""
    THROUGHPUT = "throughput"
    """Events per second."""
    GAUGE = "gauge"
    """A value of a gauge over the run, in the gauge's own unit."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective. Limits are exact: nanoseconds, shares, counts or events per second (see Measure).

    subject    the metric or the counter that it is about
    critical   a second, looser limit: between the two is a warning, beyond it a failure
    share      the share of the events that has to be good, for PERCENTILE and SHARE
    within_ns  the time that makes an event good, for SHARE
    gauge      for GAUGE: the gauge's name, or None for every gauge that has this value
    function   for GAUGE: what of its samples counts: max, min, mean or last
    """

    expression: str
    measure: Measure
    subject: str
    operator: str
    limit: Fraction
    critical: Fraction | None = None
    scenario: str | None = None
    share: Fraction | None = None
    within_ns: int | None = None
    gauge: str | None = None
    function: str = ""

    @property
    def latency_limit_ns(self) -> int | None:
        """The limit on a time, in nanoseconds; None if it isn't about one."""
        if self.measure is Measure.SHARE:
            return self.within_ns
        return int(self.limit) if self.measure in _TIMED else None

    @property
    def thresholds(self) -> tuple[tuple[str, int], ...]:
        """(metric, nanoseconds) at which events have to be counted exactly to judge this, `critical` included."""
        if self.measure is Measure.SHARE and self.within_ns is not None:
            return ((self.subject, self.within_ns),)
        if self.measure in (Measure.PERCENTILE, Measure.MAX, Measure.MIN):
            return tuple((self.subject, int(limit)) for limit in (self.limit, self.critical) if limit is not None)
        return ()

    def scope(self, summary: Summary) -> ScenarioSummary:
        """What it is judged on: its scenario (empty if that never ran), or all of them together.

        The time in queues belongs to the queues and not to a scenario.
        """
        if self.subject == QUEUE_LAG:
            lag = summary.queue_lag()
            return ScenarioSummary(distributions={} if lag is None else {QUEUE_LAG: lag})
        if self.scenario is None:
            return summary.total()
        return summary.scenarios.get(self.scenario, ScenarioSummary())

    @property
    def needs_probe(self) -> bool:
        """Without a probe there is nothing to judge this by."""
        if self.measure is Measure.GAUGE or self.subject == QUEUE_LAG:
            return False
        return self.subject not in PUBLISH_COUNTERS | _PUBLISH_METRICS


_GAUGE_FUNCTIONS: Final = ("max", "min", "mean", "last")
_TIMED: Final = frozenset({Measure.PERCENTILE, Measure.MAX, Measure.MIN, Measure.MEAN})


def parse(
    text: str,
    *,
    critical: str | None = None,
    scenario: str | None = None,
    gauges: Mapping[str, Sequence[str]] = {},
) -> Objective:
    """The objective that `text` says. `critical` is a second, looser limit in the same unit.

    `gauges` has the names of each gauge's values, for objectives such as `max(queue_depth) < 100` or, where
    several gauges have such a value, `max(work-queue.queue_depth) < 100`.

    Raises ValueError, whose text is `what is wrong; what would be right`.
    """
    expression = " ".join(text.split())
    if call := _CALL.fullmatch(expression):
        function, argument, operator, limit_text = call.groups()
        objective = _parse_gauge(
            expression, function, argument.strip(), operator, limit_text, scenario, gauges
        ) or _parse_call(expression, function, argument.strip(), operator, limit_text, scenario)
    elif plain := _PLAIN.fullmatch(expression):
        counter, operator, limit_text = plain.groups()
        if counter in METRICS:
            raise ValueError(f"{counter!r} is a distribution; write for example 'p99({counter}) < 2s'")
        name = _counter_name(counter, (*COUNTER_NAMES, *_ALIASES))
        objective = Objective(expression, Measure.COUNT, name, operator, _parse_count(limit_text), scenario=scenario)
    else:
        raise ValueError(f"{expression!r} is not an objective; write for example {_FORMS}")
    return objective if critical is None else _with_critical(objective, critical)


def _parse_gauge(
    expression: str,
    function: str,
    argument: str,
    operator: str,
    limit_text: str,
    scenario: str | None,
    gauges: Mapping[str, Sequence[str]],
) -> Objective | None:
    """An objective about a gauge, if its argument names one."""
    name, dot, value = argument.rpartition(".")
    owners = [gauge for gauge, values in gauges.items() if value in values and (not dot or gauge == name)]
    if not owners:
        return None
    if function not in _GAUGE_FUNCTIONS:
        raise ValueError(f"{function} of a gauge can't be told; {_suggest(function, _GAUGE_FUNCTIONS, 'functions')}")
    _require(operator, (*_UPPER, *_LOWER), function)
    if scenario is not None:
        raise ValueError("a gauge belongs to no scenario; leave scenario out")
    return Objective(
        expression, Measure.GAUGE, value, operator, _parse_value(limit_text), gauge=name or None, function=function
    )


def _parse_call(
    expression: str, function: str, argument: str, operator: str, limit_text: str, scenario: str | None
) -> Objective:
    if percentile := _PERCENTILE.fullmatch(function):
        p = Fraction(percentile[1]) / 100
        if not 0 < p < 1:
            raise ValueError(f"there is no percentile {function}; write p50, p95, p99 or p99.9")
        metric = _metric_name(argument)
        _require(operator, _UPPER, function)
        return Objective(
            expression, Measure.PERCENTILE, metric, operator, _parse_time(limit_text), scenario=scenario, share=p
        )
    if function == "share":
        under = _UNDER.fullmatch(argument)
        if not under:
            raise ValueError(f"{argument!r} is not a condition; write for example share(consistency < 2s) >= 95%")
        metric = _metric_name(under[1])
        within_ns = int(_parse_time(under[3]))
        _require(operator, _LOWER, function)
        p = _parse_good_share(limit_text, metric, under[3])
        return Objective(
            expression, Measure.SHARE, metric, operator, p, scenario=scenario, share=p, within_ns=within_ns
        )
    if function in ("max", "min", "mean"):
        metric = _metric_name(argument)
        _require(operator, _UPPER, function)
        return Objective(expression, Measure(function), metric, operator, _parse_time(limit_text), scenario=scenario)
    if function == "last" or "." in argument:
        raise ValueError(f"there is no gauge {argument!r}; {_suggest(argument, METRICS, 'metrics')}")
    if function == "rate":
        counter = _counter_name(argument, (*COUNTER_NAMES, *_ALIASES))
        _require(operator, (*_UPPER, *_LOWER), function)
        share = _exact_share(limit_text)
        return Objective(expression, Measure.RATE, counter, operator, share, scenario=scenario)
    if function == "throughput":
        counter = _counter_name(argument, _THROUGHPUTS)
        _require(operator, _LOWER, function)
        rate = parse_rate(limit_text)
        return Objective(expression, Measure.THROUGHPUT, counter, operator, rate, scenario=scenario)
    known = ("p95", "p99", "share", "max", "min", "mean", "rate", "throughput")
    raise ValueError(f"unknown function {function!r}; {_suggest(function, known, 'functions')}")


def _with_critical(objective: Objective, text: str) -> Objective:
    if objective.operator not in (*_UPPER, *_LOWER):
        cure = f"write {objective.subject} <= {objective.limit}"
        raise ValueError(f"{objective.operator} can't have a critical limit; {cure}, or leave critical out")
    match objective.measure:
        case Measure.COUNT:
            critical = _parse_count(text)
        case Measure.GAUGE:
            critical = _parse_value(text)
        case Measure.RATE:
            critical = _exact_share(text)
        case Measure.SHARE:
            critical = _parse_good_share(text, objective.subject, format_duration(objective.within_ns or 0))
        case Measure.THROUGHPUT:
            critical = parse_rate(text)
        case _:
            critical = _parse_time(text)
    upper = objective.operator in _UPPER
    if critical <= objective.limit if upper else critical >= objective.limit:
        cure = f"it has to be {'above' if upper else 'below'} the limit in {objective.expression!r}"
        raise ValueError(f"critical {text} is not looser than the objective; {cure}")
    return replace(objective, critical=critical)


def _parse_value(text: str) -> Fraction:
    """A limit on a gauge: a number, or a duration in seconds, a share of 1, a size in bytes."""
    try:
        return Fraction(text.replace("_", ""))
    except ValueError:
        pass
    for parse_unit, unit in ((parse_duration, NS_PER_S), (parse_size, 1)):
        try:
            return Fraction(parse_unit(text), unit)
        except ValueError:
            continue
    if text.endswith("%"):
        return _exact_share(text)
    raise ValueError(f"{text!r} is no value of a gauge; write a number, or one with a unit such as 30s, 80% or 500MB")


def _metric_name(name: str) -> str:
    if name in METRICS or name == QUEUE_LAG:
        return name
    if name in COUNTER_NAMES or name in _ALIASES:
        raise ValueError(f"{name!r} is a counter; write for example '{name} == 0' or 'rate({name}) < 0.1%'")
    raise ValueError(f"there is no metric or gauge {name!r}; {_suggest(name, METRICS, 'metrics')}")


def _counter_name(name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ValueError(f"there is no counter {name!r} here; {_suggest(name, known, 'counters')}")
    return _ALIASES.get(name, name)


def _suggest(name: str, known: Iterable[str], what: str) -> str:
    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"{what} are {', '.join(known)}"


def _require(operator: str, allowed: tuple[str, ...], function: str) -> None:
    if operator not in allowed:
        raise ValueError(f"{function}(...) can't be compared by {operator}; write {' or '.join(allowed)}")


def _parse_time(text: str) -> Fraction:
    ns = parse_duration(text)
    if ns == 0:
        raise ValueError("no event takes no time; write a limit above 0, such as 250ms")
    return Fraction(ns)


def _parse_count(text: str) -> Fraction:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number of events; write a whole number, such as 0")
    return Fraction(text)


def _exact_share(text: str) -> Fraction:
    return Fraction(repr(parse_share(text)))


def _parse_good_share(text: str, metric: str, within: str) -> Fraction:
    share = _exact_share(text)
    if share == 1:
        raise ValueError(f"no sample can show a share of 100%; write max({metric}) < {within}, exact for the run")
    if share == 0:
        raise ValueError("a share of 0% asks for nothing; write for example 95%")
    return share


_Ends = tuple[Fraction | int | None, Fraction | int | None]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one limit came to. `observed` in the unit of the limit, times in nanoseconds; None is unbounded."""

    result: Result
    observed: _Ends = (None, None)
    note: str = ""


def judge(objective: Objective, summary: Summary) -> ObjectiveResult:
    """PASS, WARN, FAIL or INCONCLUSIVE, with what was observed and why.

    An objective without a scenario is about all of them together. WARN is a pass above 90 % of the limit, or
    one that holds at `critical` only. A lower limit has no 90 %, except on a rate, whose complement has.
    """
    if objective.measure is Measure.GAUGE:
        find = partial(_judge_gauge, objective, summary)
    else:
        find = partial(_FINDERS[objective.measure], objective, objective.scope(summary))
    finding = find(objective.limit)
    if objective.critical is not None and finding.result in (Result.FAIL, Result.INCONCLUSIVE):
        finding = _weigh_critical(finding, find(objective.critical))
    unit = NS_PER_S if objective.measure in _TIMED else 1
    low, high = finding.observed
    return ObjectiveResult(
        expression=objective.expression,
        result=finding.result,
        observed=(None if low is None else float(low / unit), None if high is None else float(high / unit)),
        limit=float(objective.limit / unit),
        scenario=objective.scenario,
        note=finding.note,
        witnessed=finding.result is Result.FAIL and _is_witnessed(objective, low),
        subject=objective.subject,
    )


def _weigh_critical(at_limit: _Finding, at_critical: _Finding) -> _Finding:
    match at_critical.result:
        case Result.PASS | Result.WARN:
            how = "above the limit" if at_limit.result is Result.FAIL else "not shown to keep the limit"
            return _Finding(Result.WARN, at_limit.observed, f"{how}, but within the critical one")
        case Result.FAIL:
            return _Finding(Result.FAIL, at_limit.observed, at_critical.note or "beyond the critical limit")
        case _:
            return _Finding(Result.INCONCLUSIVE, at_limit.observed, f"at the critical limit: {at_critical.note}")


def _is_witnessed(objective: Objective, low: Fraction | int | None) -> bool:
    return (
        objective.subject in _WITNESSES
        and objective.measure in (Measure.COUNT, Measure.RATE)
        and objective.operator in (*_UPPER, "==")
        and low is not None
        and low >= objective.limit
    )


def _judge_share(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> _Finding:
    """`share` of the events within a time; a percentile objective is the same question."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return _no_data(objective.subject)
    if objective.measure is Measure.SHARE:
        assert objective.within_ns is not None
        threshold, p = objective.within_ns, limit
    else:
        assert objective.share is not None
        threshold, p = int(limit), objective.share
    n = distribution.count
    evidence = weigh(distribution.thresholds[threshold], n)
    observed: _Ends
    if objective.measure is Measure.SHARE:
        observed = (1 - Fraction(evidence.pessimistic, n), 1 - Fraction(evidence.optimistic, n))
        near = evidence.pessimistic > NEAR * (1 - p) * n
    else:
        observed = distribution.bracket(p)
        near = observed[1] is None or observed[1] > NEAR * limit
    allowed = float(1 - p)
    if evidence.highest < allowed:
        if near:
            return _Finding(Result.WARN, observed, _NEAR_NOTE)
        return _Finding(Result.PASS, observed, evidence.dependence_note(n))
    if evidence.lowest > allowed:
        return _Finding(Result.FAIL, observed, evidence.dependence_note(n))
    return _Finding(Result.INCONCLUSIVE, observed, _why_open(evidence, n, p))


def _why_open(evidence: Evidence, n: int, p: Fraction) -> str:
    needed = smallest_n(p, 0)
    worth = evidence.size_pessimistic
    if n < needed:
        return f"needs {needed} events, has {n}"
    if worth < needed:
        return f"needs {needed} independent events; events share stalls, and {n} of them count as {worth:.0f}"
    undecided = evidence.pessimistic - evidence.optimistic
    optimistic_bound = clopper_pearson_upper(evidence.optimistic * worth / n, worth)
    pessimistic_bound = clopper_pearson_lower(evidence.pessimistic * worth / n, worth)
    allowed = float(1 - p)
    if undecided > 0 and (optimistic_bound < allowed or pessimistic_bound > allowed):
        return f"{undecided} of {n} events can't be told to be on either side"
    note = (
        f"too close to call: between {format_share(evidence.lowest)} and {format_share(evidence.highest)} of the "
        f"events are beyond, {format_share(allowed)} may be"
    )
    dependence = evidence.dependence_note(n)
    return f"{note}; {dependence}" if dependence else note


def _judge_extreme(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> _Finding:
    """`max` and `min`: exact for the run, as far as the brackets tell."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return _no_data(objective.subject)
    counts = distribution.thresholds[int(limit)]
    n = distribution.count
    if objective.measure is Measure.MAX:
        holds, broken = counts.within >= n, counts.beyond > 0
        observed = (_largest(distribution.lower), _largest(distribution.upper))
    else:
        holds, broken = counts.within > 0, counts.beyond >= n
        observed = (distribution.lower.minimum, distribution.upper.minimum)
    verdict = True if holds else False if broken else None
    return _exact(verdict, observed, limit, "the reads can't tell the two sides apart")


def _judge_mean(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> _Finding:
    """`mean`: between the mean of the lower ends and that of the upper ones, infinite if one was never seen."""
    distribution = scope.distributions.get(objective.subject)
    if distribution is None or distribution.count == 0:
        return _no_data(objective.subject)
    low, high = _mean(distribution.lower), _mean(distribution.upper)
    holds = False if low is None else _compare(objective.operator, low, high, limit)
    note = "an event that was never seen has no upper end" if distribution.censored else "the reads are too coarse"
    return _exact(holds, (low, high), limit, note)


def _largest(histogram: Histogram) -> int | None:
    return None if histogram.never else histogram.maximum


def _mean(histogram: Histogram) -> Fraction | None:
    return None if histogram.never else Fraction(histogram.value_sum, histogram.total)


def _exact(holds: bool | None, observed: _Ends, limit: Fraction, doubt: str) -> _Finding:
    if holds is None:
        return _Finding(Result.INCONCLUSIVE, observed, doubt)
    if not holds:
        return _Finding(Result.FAIL, observed)
    if observed[1] is not None and observed[1] > NEAR * limit:
        return _Finding(Result.WARN, observed, _NEAR_NOTE)
    return _Finding(Result.PASS, observed)


def _no_data(metric: str) -> _Finding:
    return _Finding(Result.INCONCLUSIVE, note=f"no event has a {metric}, and no data is no pass")


def _judge_counter(objective: Objective, scope: ScenarioSummary, limit: Fraction) -> _Finding:
    """A count, its share of what was scheduled, or its rate per second."""
    known = count(scope, objective.subject)
    unit = _counter_unit(objective.measure, scope)
    if unit is None:
        return _Finding(Result.INCONCLUSIVE, note=known.blind or "all events were due at once, so there is no rate")
    low, high = known.low * unit, None if known.high is None else known.high * unit
    holds = _compare(objective.operator, low, high, limit)
    if holds is None:
        return _Finding(Result.INCONCLUSIVE, (low, high), known.blind or known.doubt)
    if holds and known.blind:
        return _Finding(Result.INCONCLUSIVE, (low, high), f"{known.blind}, and no data is no pass")
    if not holds:
        return _Finding(Result.FAIL, (low, high))
    near = objective.operator in _UPPER and high is not None and 0 < limit < high / NEAR
    if objective.measure is Measure.RATE and objective.operator in _LOWER:
        near = 1 - low > NEAR * (1 - limit)
    return _Finding(Result.WARN, (low, high), _NEAR_NOTE) if near else _Finding(Result.PASS, (low, high))


def _counter_unit(measure: Measure, scope: ScenarioSummary) -> Fraction | None:
    """What one event counts for in the unit of the limit; None if that can't be said.

    Throughput: n events span n - 1 gaps, so the schedule's rate is (n - 1) / (last - first), of which each event
    contributes an n-th. Stamps are whole nanoseconds: the span may be one too long, which is taken off so that
    rounding never costs a run its objective.
    """
    if measure is Measure.COUNT:
        return Fraction(1)
    scheduled = scope.ledger["scheduled"]
    if measure is Measure.RATE:
        return Fraction(1, scheduled) if scheduled else None
    if scope.first_intended_ns is None or scope.last_intended_ns is None:
        return None
    span = scope.last_intended_ns - scope.first_intended_ns - 1
    return Fraction((scheduled - 1) * NS_PER_S, scheduled * span) if scheduled and span > 0 else None


def _compare(operator: str, low: Fraction, high: Fraction | None, limit: Fraction) -> bool | None:
    """Does `value operator limit` hold for every value in [low, high]: True, for none: False, for some: None."""
    above, at_least = low > limit, low >= limit
    below, at_most = high is not None and high < limit, high is not None and high <= limit
    yes, no = {
        "<": (below, at_least),
        "<=": (at_most, above),
        ">": (above, at_most),
        ">=": (at_least, below),
        "==": (at_least and at_most, above or below),
        "!=": (above or below, at_least and at_most),
    }[operator]
    return True if yes else False if no else None


_FINDERS: Final = {
    Measure.PERCENTILE: _judge_share,
    Measure.SHARE: _judge_share,
    Measure.MAX: _judge_extreme,
    Measure.MIN: _judge_extreme,
    Measure.MEAN: _judge_mean,
    Measure.COUNT: _judge_counter,
    Measure.RATE: _judge_counter,
    Measure.THROUGHPUT: _judge_counter,
}


def _judge_gauge(objective: Objective, summary: Summary, limit: Fraction) -> _Finding:
    """Exact for the samples that were taken; too many that were not leave it open."""
    gauges = [g for name, g in summary.gauges.items() if objective.gauge in (None, name)]
    series = [s for g in gauges if (s := g.series.get(objective.subject)) is not None and s.count]
    if not series:
        return _no_data(objective.subject)
    values = [Fraction(_OF_SERIES[objective.function](s)) for s in series]
    value = max(values) if objective.operator in _UPPER else min(values)
    holds = _compare(objective.operator, value, value, limit)
    failed = sum(gauge.failed for gauge in gauges)
    note = f"{failed} samples could not be taken" if failed else ""
    if not holds:
        return _Finding(Result.FAIL, (value, value), note)
    if failed > _BLIND_SAMPLES * sum(s.count for s in series):
        return _Finding(Result.INCONCLUSIVE, (value, None), note)
    near = objective.operator in _UPPER and value > NEAR * limit
    return _Finding(Result.WARN if near else Result.PASS, (value, value), note)


_OF_SERIES: Final[Mapping[str, Callable[[Series], float]]] = {
    "max": lambda series: series.maximum,
    "min": lambda series: series.minimum,
    "mean": lambda series: series.mean,
    "last": lambda series: series.last,
}
_BLIND_SAMPLES: Final = Fraction(1, 10)
