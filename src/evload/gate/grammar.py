"""Parses an objective such as `p99(end_to_end) < 5s`, and says what is wrong with one that isn't."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from ..summary import METRICS, QUEUE_LAG
from ..units import parse_duration, parse_rate
from .counters import COUNTER_NAMES
from .limits import exact_share, parse_count, parse_good_share, parse_limit, parse_time, parse_value
from .objective import (
    LOWER,
    RECOVERY_WINDOW,
    SHORTEST_STEP_NS,
    STALENESS,
    UPPER,
    GaugeValues,
    Measure,
    Objective,
    Window,
)

_ALIASES: Final = {"duplicates": "duplicated"}
_THROUGHPUTS: Final = ("sent", "acked", "visible")
_GAUGE_FUNCTIONS: Final = ("max", "min", "mean", "last")
_FUNCTIONS: Final = ("p95", "p99", "share", "max", "min", "mean", "rate", "throughput", "drain", "recovery")
_OPERATOR: Final = r"(==|!=|<=|>=|<|>)"
_CALL: Final = re.compile(rf"([A-Za-z_]\w*(?:\.\d+)?)\s*\((.*)\)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_PLAIN: Final = re.compile(rf"([A-Za-z_][\w-]*)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)")
_UNDER: Final = re.compile(r"([A-Za-z_][\w-]*)\s*(<=|<)\s*(\S+(?:\s+\S+)*)")
_WINDOWED: Final = re.compile(r"(.+?) (for|in any) ([^()<>=!]+)")
_FORMS: Final = "p99(consistency) < 2s, share(consistency < 2s) >= 95%, lost == 0 or rate(errors) < 0.1%"
_PARTS: Final = ("scenario", "event", "key", "probe", "replica")
_SEEN_BY_A_PROBE: Final = ("first_seen", "consistency", "end_to_end", "hop")
_STATES_OF_A_PROBE: Final = ("visible", "lost", "regressed", "unobserved", "pending", "regressions")


def parse(
    text: str,
    *,
    critical: str | None = None,
    target: str | None = None,
    scenario: str | None = None,
    event: str | None = None,
    key: str | None = None,
    probe: str | None = None,
    replica: str | None = None,
    after: str | None = None,
    abort_after_ns: int | None = None,
    gauges: Mapping[str, Sequence[str]] = {},
) -> Objective:
    """The objective that `text` says. The other arguments are those of Objective, as written.

    `critical` is a second, looser limit in the same unit; `target` a tighter one, with which the written limit
    becomes the critical one. `gauges` has the names of each gauge's values, for objectives such as
    `max(queue_depth) < 100` or, where several gauges have such a value, `max(work-queue.queue_depth) < 100`.

    Raises ValueError, whose text is `what is wrong; what would be right`.
    """
    if critical is not None and target is not None:
        raise ValueError("this has a target and a critical limit; give target or critical, not both")
    expression = " ".join(text.split())
    base, window = _split(expression)
    objective = replace(
        _parse_base(base, gauges),
        expression=expression,
        scenario=scenario,
        event=event,
        key=key,
        probe=probe,
        replica=replica,
        after=after,
        abort_after_ns=abort_after_ns,
        critical_text=critical,
        target_text=target,
    )
    if window is not None:
        objective = _over_time(objective, window)
    _check_parts(objective)
    _check_after(objective)
    if objective.inner is not None:
        objective = replace(objective, inner=_scoped(objective.inner, objective))
    if critical is not None:
        return _with_critical(objective, critical)
    return objective if target is None else _with_target(objective, target)


def from_data(data: Mapping[str, Any], gauges: GaugeValues) -> Objective:
    """From what `Objective.as_data` gave. Raises TypeError or ValueError for anything else."""
    return parse(**data, gauges=gauges)


# -- the expression ----------------------------------------------------------------------------------------


def _split(expression: str) -> tuple[str, Window | None]:
    """The objective proper, and the window that stands behind it."""
    windowed = _WINDOWED.fullmatch(expression)
    if windowed is None:
        return expression, None
    span_ns = parse_duration(windowed[3].strip())
    if span_ns < SHORTEST_STEP_NS:
        raise ValueError(f"{windowed[3]!r} is shorter than what is counted; write 100ms or more")
    return windowed[1], Window(span_ns, stretch=windowed[2] == "for")


def _parse_base(expression: str, gauges: GaugeValues) -> Objective:
    if call := _CALL.fullmatch(expression):
        function, argument, operator, limit = call.groups()
        argument = argument.strip()
        if function == "drain":
            return _parse_drain(expression, argument, operator, limit, gauges)
        if function == "recovery":
            return _parse_recovery(expression, argument, operator, limit, gauges)
        return _parse_gauge(expression, function, argument, operator, limit, gauges) or _parse_call(
            expression, function, argument, operator, limit
        )
    if plain := _PLAIN.fullmatch(expression):
        counter, operator, limit = plain.groups()
        if counter in METRICS:
            raise ValueError(f"{counter!r} is a distribution; write for example 'p99({counter}) < 2s'")
        name = _counter_name(counter, (*COUNTER_NAMES, *_ALIASES))
        return Objective(expression, Measure.COUNT, name, operator, parse_count(limit))
    raise ValueError(f"{expression!r} is not an objective; write for example {_FORMS}")


def _parse_gauge(
    expression: str, function: str, argument: str, operator: str, limit: str, gauges: GaugeValues
) -> Objective | None:
    """An objective about a gauge, if its argument names one."""
    found = _value_of(argument, gauges)
    if found is None:
        return None
    if function not in _GAUGE_FUNCTIONS:
        raise ValueError(f"{function} of a gauge can't be told; {_suggest(function, _GAUGE_FUNCTIONS, 'functions')}")
    _require(operator, (*UPPER, *LOWER), function)
    gauge, value = found
    return Objective(expression, Measure.GAUGE, value, operator, parse_value(limit), gauge=gauge, function=function)


def _parse_drain(expression: str, argument: str, operator: str, limit: str, gauges: GaugeValues) -> Objective:
    name, written, level = (part.strip() for part in argument.partition("<="))
    found = _value_of(name, gauges)
    if found is None:
        values = [value for known in gauges.values() for value in known]
        cure = _suggest(name, values, "gauges have") if values else "add a gauge under gauges:"
        raise ValueError(f"there is no gauge with {name!r} to drain; {cure}")
    _require(operator, UPPER, "drain")
    return Objective(
        expression,
        Measure.DRAIN,
        found[1],
        operator,
        parse_time(limit),
        gauge=found[0],
        level=parse_value(level) if written else None,
    )


def _parse_recovery(expression: str, argument: str, operator: str, limit: str, gauges: GaugeValues) -> Objective:
    example = "write for example recovery(p95(consistency) < 3s) < 5m"
    if argument.startswith(("recovery", "drain")):
        raise ValueError(f"{argument!r} doesn't hold from moment to moment; {example}")
    base, window = _split(argument)
    if window is not None:
        raise ValueError("recovery looks at windows of 10s by itself; leave the inner 'for' or 'in any' out")
    inner = _parse_base(base, gauges)
    if inner.measure not in (Measure.PERCENTILE, Measure.SHARE) or inner.subject == QUEUE_LAG:
        raise ValueError(f"recovery is about a percentile or a share of events, and {argument!r} is not; {example}")
    _require(operator, UPPER, "recovery")
    return Objective(
        expression,
        Measure.RECOVERY,
        inner.subject,
        operator,
        parse_time(limit),
        inner=replace(inner, window=RECOVERY_WINDOW),
    )


def _parse_call(expression: str, function: str, argument: str, operator: str, limit: str) -> Objective:
    if percentile := _PERCENTILE.fullmatch(function):
        p = Fraction(percentile[1]) / 100
        if not 0 < p < 1:
            raise ValueError(f"there is no percentile {function}; write p50, p95, p99 or p99.9")
        metric = _metric_name(argument)
        _require(operator, UPPER, function)
        return Objective(expression, Measure.PERCENTILE, metric, operator, parse_time(limit), share=p)
    if function == "share":
        under = _UNDER.fullmatch(argument)
        if not under:
            raise ValueError(f"{argument!r} is not a condition; write for example share(consistency < 2s) >= 95%")
        metric = _metric_name(under[1])
        within_ns = int(parse_time(under[3]))
        _require(operator, LOWER, function)
        p = parse_good_share(limit, metric, under[3])
        return Objective(expression, Measure.SHARE, metric, operator, p, share=p, within_ns=within_ns)
    if function in ("max", "mean") and argument == STALENESS:
        _require(operator, UPPER, function)
        versions = parse_count(limit) if function == "max" else parse_value(limit)
        return Objective(expression, Measure.STALENESS, STALENESS, operator, versions, function=function)
    if function in ("max", "min", "mean"):
        metric = _metric_name(argument)
        _require(operator, UPPER, function)
        return Objective(expression, Measure(function), metric, operator, parse_time(limit))
    if function == "last" or "." in argument:
        raise ValueError(f"there is no gauge {argument!r}; {_suggest(argument, METRICS, 'metrics')}")
    if function == "rate":
        counter = _counter_name(argument, (*COUNTER_NAMES, *_ALIASES))
        _require(operator, (*UPPER, *LOWER), function)
        return Objective(expression, Measure.RATE, counter, operator, exact_share(limit))
    if function == "throughput":
        counter = _counter_name(argument, _THROUGHPUTS)
        _require(operator, LOWER, function)
        return Objective(expression, Measure.THROUGHPUT, counter, operator, parse_rate(limit))
    raise ValueError(f"unknown function {function!r}; {_suggest(function, _FUNCTIONS, 'functions')}")


# -- windows, parts, moments -------------------------------------------------------------------------------


def _over_time(objective: Objective, window: Window) -> Objective:
    """The objective with a window, if it can have one."""
    measure, operator = objective.measure, objective.operator
    written = "for" if window.stretch else "in any"
    if objective.subject == QUEUE_LAG:
        raise ValueError(f"queue_lag isn't counted over time; write max(queue_depth) < 100 {written} 10s")
    match measure:
        case Measure.SHARE | Measure.PERCENTILE:
            pass
        case Measure.RATE:
            if objective.subject in _THROUGHPUTS:
                raise ValueError(
                    f"{objective.subject} counts when it happens, and not when it was due; "
                    f"write throughput({objective.subject}) >= 100/s {written} 30s"
                )
            _require(operator, UPPER, f"over time, rate({objective.subject})")
        case Measure.THROUGHPUT:
            length_ns = window.step_ns if window.stretch else window.span_ns
            if objective.limit * length_ns < 2 * 10**9:
                raise ValueError(
                    f"{objective.expression!r} is about fewer than two events at a time; write a longer time"
                )
        case Measure.GAUGE:
            fits = {"max": UPPER, "min": LOWER, "mean": () if window.stretch else (*UPPER, *LOWER)}
            if operator not in fits.get(objective.function, ()):
                raise ValueError(
                    f"{objective.expression!r} can't be told; write max(...) < {objective.limit} {written} 10s, "
                    f"min(...) > ... {written} 10s or mean(...) < ... in any 30s"
                )
        case _:
            raise ValueError(
                f"{objective.expression!r} is about the run as a whole; write a share, a percentile, a rate, a "
                f"throughput or a gauge {written} 30s"
            )
    return replace(objective, window=window)


def _check_parts(objective: Objective) -> None:
    given = [name for name in _PARTS if getattr(objective, name) is not None]
    if objective.measure in (Measure.GAUGE, Measure.DRAIN):
        allowed = ("scenario",) if objective.measure is Measure.DRAIN else ()
        if wrong := [name for name in given if name not in allowed]:
            raise ValueError(f"a gauge belongs to no {wrong[0]}; leave {wrong[0]} out")
        return
    if objective.subject == QUEUE_LAG and (wrong := [name for name in given if name != "scenario"]):
        raise ValueError(f"the time in a queue belongs to no {wrong[0]}; leave {wrong[0]} out")
    if objective.subject == "hop" and objective.probe is None:
        raise ValueError("a hop ends at one probe of the chain; add probe: NAME")
    if objective.probe is None and objective.replica is None:
        return
    counted = objective.measure in (Measure.COUNT, Measure.RATE, Measure.THROUGHPUT)
    known = _STATES_OF_A_PROBE if counted else _SEEN_BY_A_PROBE
    whose = "probe" if objective.probe is not None else "replica"
    if objective.subject not in known:
        raise ValueError(f"{objective.subject} is not told by one {whose}; what is told is {', '.join(known)}")
    if counted and objective.window is not None:
        raise ValueError(f"what one {whose} tells isn't counted over time; leave the window or the {whose} out")


def _check_after(objective: Objective) -> None:
    match objective.measure:
        case Measure.DRAIN:
            if (objective.after is None) == (objective.scenario is None):
                cure = "write scenario: NAME, or after: with a scenario or a time such as 5m"
                raise ValueError(f"{objective.expression!r} has to count from one moment; {cure}")
            if objective.after_scenario is None and objective.level is None:
                cure = f"write drain({objective.subject} <= 10) < ..."
                raise ValueError(f"nobody knows the level of {objective.subject} before {objective.after}; {cure}")
        case Measure.RECOVERY:
            if objective.after is None:
                cure = "write after: with a scenario, from whose end on it counts, or a time such as 5m"
                raise ValueError(f"{objective.expression!r} has to count from a moment; {cure}")
        case _:
            if objective.after is not None:
                raise ValueError("only drain(...) and recovery(...) count from a moment; leave after out")


def _scoped(inner: Objective, outer: Objective) -> Objective:
    scoped = replace(
        inner,
        scenario=outer.scenario,
        event=outer.event,
        key=outer.key,
        probe=outer.probe,
        replica=outer.replica,
    )
    _check_parts(scoped)
    return scoped


# -- a second limit ----------------------------------------------------------------------------------------


def _with_critical(objective: Objective, text: str) -> Objective:
    critical = _second_limit(objective, text, "critical")
    upper = objective.operator in UPPER
    if critical <= objective.limit if upper else critical >= objective.limit:
        cure = f"it has to be {'above' if upper else 'below'} the limit in {objective.expression!r}"
        raise ValueError(f"critical {text} is not looser than the objective; {cure}")
    return replace(objective, critical=critical)


def _with_target(objective: Objective, text: str) -> Objective:
    target = _second_limit(objective, text, "target")
    upper = objective.operator in UPPER
    if target >= objective.limit if upper else target <= objective.limit:
        cure = f"it has to be {'below' if upper else 'above'} the limit in {objective.expression!r}"
        raise ValueError(f"target {text} is not tighter than the objective; {cure}")
    share = target if objective.measure is Measure.SHARE else objective.share
    return replace(objective, limit=target, critical=objective.limit, share=share)


def _second_limit(objective: Objective, text: str, what: str) -> Fraction:
    if objective.operator not in (*UPPER, *LOWER):
        cure = f"write {objective.subject} <= {objective.limit}"
        raise ValueError(f"{objective.operator} can't have a {what} limit; {cure}, or leave {what} out")
    return parse_limit(objective, text)


# -- names -------------------------------------------------------------------------------------------------


def _value_of(argument: str, gauges: GaugeValues) -> tuple[str | None, str] | None:
    """(gauge, value) that `argument` names; the gauge is None if only the value is named."""
    name, dot, value = argument.rpartition(".")
    if any(value in values and (not dot or gauge == name) for gauge, values in gauges.items()):
        return name or None, value
    return None


def _metric_name(name: str) -> str:
    if name in METRICS or name == QUEUE_LAG:
        return name
    if name in COUNTER_NAMES or name in _ALIASES:
        raise ValueError(f"{name!r} is a counter; write for example '{name} == 0' or 'rate({name}) < 0.1%'")
    if name == STALENESS:
        raise ValueError("staleness is a number of versions; write max(staleness) <= 2 or mean(staleness) < 1")
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
