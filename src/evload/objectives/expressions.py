"""Reads the expression of an objective: a function of a metric, a counter or a gauge, and its limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from ..model.costs import SPANS_S
from ..model.facts import BYTES, COUNTER_NAMES, METRICS, QUEUE_LAG, STALENESS, TALLIED, ByValue
from ..model.iteration import COUNTERS, JOURNEY, WAIT
from ..model.round import SETTLE
from ..model.rounds import CONTENTION, STATES, VIOLATIONS, counter_of
from ..model.rounds import COUNTERS as OF_RACES
from ..model.summary import LOWER_END
from ..texts import meant
from ..units import parse_byte_rate, parse_duration, parse_rate, write_duration
from .limits import exact_share, parse_count, parse_good_share, parse_growth, parse_time, parse_value
from .objective import (
    EXACTLY,
    LOWER,
    RECOVERY_WINDOW,
    SHORTEST_STEP_NS,
    UPPER,
    GaugeValues,
    Measure,
    Objective,
    Window,
)

THROUGHPUTS: Final = ("sent", "acked", "visible")
"""Counters that have a rate per second."""
_ALIASES: Final = {"duplicates": "duplicated"}
_GAUGE_FUNCTIONS: Final = ("max", "min", "mean", "last")
RUNNING: Final = {"rise": Measure.RISE, "integral": Measure.INTEGRAL, "growth": Measure.GROWTH}
"""Functions of a gauge over the run, or from a moment on."""
_FUNCTIONS: Final = (
    "p95", "p99", "share", "max", "min", "mean", "rate", "throughput", "drain", "recovery", "reach", *RUNNING,
    "stretch", "span", "cost", "rounds",
)  # fmt: skip
_OPERATOR: Final = r"(==|!=|<=|>=|<|>)"
_CALL: Final = re.compile(rf"([A-Za-z_]\w*(?:\.\d+)?)\s*\((.*)\)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_PLAIN: Final = re.compile(rf"([A-Za-z_][\w-]*)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_EVENTS: Final = re.compile(r"(\d[\d_]{0,17})\s+events?")
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)")
_RATIO: Final = re.compile(rf"(\w+)\s*\(([^()]*)\)\s*/\s*(\w+)\s*\(([^()]*)\)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_CONDITION: Final = re.compile(rf"([A-Za-z_][\w.-]*)\s*{_OPERATOR}\s*(\S+(?:\s+\S+)*)")
_UNDER: Final = re.compile(r"([A-Za-z_][\w-]*)\s*(<=|<)\s*(\S+(?:\s+\S+)*)")
_WINDOWED: Final = re.compile(r"(.+?) (for|in any) ([^()<>=!]+)")
_ONE_EQUALS: Final = re.compile(r"([^=!<>]*[^=!<>\s])\s*=\s*([^=!<>\s][^=!<>]*)")
_ELSEWHERE: Final = re.compile(r"(?:[\w.]+\s*:\s*)?p\(?(\d+(?:\.\d+)?)\)?\s*(<=|<)\s*(\d+(?:\.\d+)?)\s*(ms|s|m)?")
"""A percentile of nothing in particular, as in k6; a limit without a unit is in milliseconds there."""
_METRICS_ELSEWHERE: Final = frozenset(
    {
        "e2e", "endtoend", "latency", "delay", "duration", "time", "responsetime", "httpreqduration",
        "iterationduration",
    }
)  # fmt: skip
"""What other tools and people call the time from one end to the other, without its dashes."""
_FORMS: Final = "p99(consistency) < 2s, share(consistency < 2s) >= 95%, lost == 0 or rate(errors) < 0.1%"


def split_window(expression: str) -> tuple[str, Window | None]:
    """The objective proper, and the window that stands behind it."""
    windowed = _WINDOWED.fullmatch(expression)
    if windowed is None:
        return expression, None
    span_ns = parse_duration(windowed[3].strip())
    if span_ns < SHORTEST_STEP_NS:
        raise ValueError(f"{windowed[3]!r} is shorter than what is counted; write 100ms or more")
    return windowed[1], Window(span_ns, stretch=windowed[2] == "for")


def parse_expression(expression: str, gauges: GaugeValues) -> Objective:
    """The objective that an expression without a window says. Raises ValueError like `grammar.parse`."""
    if elsewhere := _ELSEWHERE.fullmatch(expression):
        p, operator, limit, unit = elsewhere.groups()
        limit = f"{limit}{unit}" if unit else write_duration(parse_duration(f"{limit}ms"))
        raise ValueError(f"{expression!r} doesn't say of what; write p{p}(end_to_end) {operator} {limit}")
    if ratio := _RATIO.fullmatch(expression):
        return _parse_ratio(expression, ratio.groups(), gauges)
    if call := _CALL.fullmatch(expression):
        function, argument, operator, limit = call.groups()
        argument = argument.strip()
        if function in TALLIED:
            name = _counter_name(f"{function}({argument})")
            return Objective(expression, Measure.COUNT, name, operator, parse_count(limit))
        if function == "drain":
            return _parse_drain(expression, argument, operator, limit, gauges)
        if function == "recovery":
            return _parse_recovery(expression, argument, operator, limit, gauges)
        if function in ("reach", "stretch"):
            return _parse_condition(expression, function, argument, operator, limit, gauges)
        if function in RUNNING:
            return _parse_running(expression, function, argument, operator, limit, gauges)
        if function == "cost":
            return _parse_cost(expression, argument, operator, limit)
        if function == "span":
            return _parse_span(expression, argument, operator, limit)
        if function == "rounds":
            return _parse_rounds(expression, argument, operator, limit)
        return _parse_gauge(expression, function, argument, operator, limit, gauges) or _parse_call(
            expression, function, argument, operator, limit
        )
    if plain := _PLAIN.fullmatch(expression):
        counter, operator, limit = plain.groups()
        if counter == CONTENTION:
            require(operator, (*UPPER, *LOWER, *EXACTLY), CONTENTION)
            return Objective(expression, Measure.RATE, CONTENTION, operator, exact_share(limit))
        if counter in STATES and counter not in COUNTERS:
            raise ValueError(
                f"{counter!r} is said of rounds of a race; write rounds({counter}) {operator} {limit}"
                if not limit.endswith("%")
                else f"{counter!r} is said of rounds of a race; write rate({counter}) {operator} {limit}"
            )
        if counter in METRICS or counter in (JOURNEY, WAIT, SETTLE):
            raise ValueError(f"{counter!r} is a distribution; write for example 'p99({counter}) < 2s'")
        name = _counter_name(counter)
        if limit.endswith("%"):
            what = "violated" if name == VIOLATIONS else counter
            cure = f"write rate({what}) {operator} {limit}"
            raise ValueError(f"{counter} is a number of events, and {limit} a share of them; {cure}")
        return Objective(expression, Measure.COUNT, name, operator, parse_count(limit))
    if one := _ONE_EQUALS.fullmatch(expression):
        # Times and shares of events are never exactly something.
        exact = "(" not in one[1] or one[1].startswith("rate")
        raise ValueError(f"{expression!r} is not an objective; write {one[1]} {'==' if exact else '<='} {one[2]}")
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
    require(operator, (*UPPER, *LOWER, *EXACTLY), function)
    gauge, value = found
    return Objective(expression, Measure.GAUGE, value, operator, parse_value(limit), gauge=gauge, function=function)


def _parse_drain(expression: str, argument: str, operator: str, limit: str, gauges: GaugeValues) -> Objective:
    name, written, level = (part.strip() for part in argument.partition("<="))
    found = _gauge_of(name, "drain", gauges)
    require(operator, UPPER, "drain")
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
    base, window = split_window(argument)
    if window is not None:
        raise ValueError("recovery looks at windows of 10s by itself; leave the inner 'for' or 'in any' out")
    inner = parse_expression(base, gauges)
    if inner.measure not in (Measure.PERCENTILE, Measure.SHARE) or inner.subject == QUEUE_LAG:
        raise ValueError(f"recovery is about a percentile or a share of events, and {argument!r} is not; {example}")
    require(operator, UPPER, "recovery")
    return Objective(
        expression,
        Measure.RECOVERY,
        inner.subject,
        operator,
        parse_time(limit),
        inner=replace(inner, window=RECOVERY_WINDOW),
    )


def _parse_condition(
    expression: str, function: str, argument: str, operator: str, limit: str, gauges: GaugeValues
) -> Objective:
    """`reach` and `stretch`: of a gauge that is compared with a value; `stretch` of errors, too."""
    require(operator, UPPER, function)
    measure = Measure(function)
    if function == "stretch" and argument in COUNTER_NAMES:
        if argument != "errors":
            raise ValueError(
                f"no stretch of {argument} is counted; write stretch(errors) < 30s, the longest time without an ack, "
                f"or rate({argument}) < 5% for 30s"
            )
        return Objective(expression, measure, argument, operator, parse_time(limit))
    more = " or stretch(errors) < 30s" if function == "stretch" else ""
    gauge, value, compared, level = parse_comparison(argument, f"{function}({{}}) < 30s{more}", gauges, function)
    return Objective(
        expression, measure, value, operator, parse_time(limit), gauge=gauge, level=level, compared=compared
    )


def parse_comparison(
    text: str, example: str, gauges: GaugeValues, function: str = ""
) -> tuple[str | None, str, str, Fraction]:
    """A condition on a gauge: (gauge, value, operator, level), the gauge as in `_value_of`. Raises ValueError.

    `example` is where it stands, with {} in its place; `function` whose argument it is.
    """
    condition = _CONDITION.fullmatch(text)
    if condition is None:
        raise ValueError(f"{text!r} is not a condition; write for example {example.format('queue_depth > 100')}")
    name, compared, level = condition.groups()
    gauge, value = _gauge_of(name, function, gauges)
    return gauge, value, compared, parse_value(level)


def gauges_with(value: str, gauges: GaugeValues) -> list[str]:
    """The gauges that have a value of this name."""
    return [name for name, values in gauges.items() if value in values]


def _parse_running(
    expression: str, function: str, argument: str, operator: str, limit: str, gauges: GaugeValues
) -> Objective:
    measure = RUNNING[function]
    if compared := re.match(r"(.+?)\s*[<>=]", argument):
        name = compared[1]
        raise ValueError(f"{function} takes a value of a gauge and no condition; write {function}({name})")
    gauge, value = _gauge_of(argument, function, gauges)
    if measure is Measure.GROWTH:
        require(operator, UPPER, function)
        return Objective(expression, measure, value, operator, parse_growth(limit), gauge=gauge)
    require(operator, (*UPPER, *LOWER, *(EXACTLY if measure is Measure.RISE else ())), function)
    return Objective(expression, measure, value, operator, parse_value(limit), gauge=gauge)


def _parse_ratio(expression: str, written: Sequence[str], gauges: GaugeValues) -> Objective:
    """`rise(a) / rise(b)`."""
    above, over, below, under, operator, limit = written
    require(operator, (*UPPER, *LOWER), f"{above}(...) / {below}")
    known = {"rise": Measure.RISE, "integral": Measure.INTEGRAL} | dict.fromkeys(_GAUGE_FUNCTIONS, Measure.GAUGE)
    parts = []
    for function, argument in ((above, over.strip()), (below, under.strip())):
        if function not in known:
            raise ValueError(f"a ratio can't have {function}; {_suggest(function, tuple(known), 'functions')}")
        gauge, value = _gauge_of(argument, function, gauges)
        parts.append(
            Objective(
                f"{function}({argument})", known[function], value, "<", Fraction(0), gauge=gauge,
                function=function if known[function] is Measure.GAUGE else "",
            )
        )  # fmt: skip
    first = parts[0]
    return Objective(
        expression, Measure.RATIO, first.subject, operator, parse_value(limit), gauge=first.gauge, parts=tuple(parts)
    )


def _parse_span(expression: str, argument: str, operator: str, limit: str) -> Objective:
    if argument != "publish":
        raise ValueError(
            f"there is no span of {argument}; write span(publish), from the first due to the last answer"
        )
    require(operator, UPPER, "span")
    return Objective(expression, Measure.SPAN, argument, operator, parse_time(limit))


def _parse_rounds(expression: str, argument: str, operator: str, limit: str) -> Objective:
    """A number of rounds of races."""
    if argument not in STATES:
        raise ValueError(f"there are no rounds({argument}); {_suggest(argument, STATES, 'rounds')}")
    if limit.endswith("%"):
        raise ValueError(f"rounds({argument}) is a number of rounds; write rate({argument}) {operator} {limit}")
    return Objective(expression, Measure.COUNT, counter_of(argument), operator, parse_count(limit))


def _parse_cost(expression: str, argument: str, operator: str, limit: str) -> Objective:
    require(operator, UPPER, "cost")
    events = _EVENTS.fullmatch(argument)
    if events is not None:
        count = int(events[1].replace("_", ""))
        if not count:
            raise ValueError("no events cost nothing; write cost(1000 events)")
        return Objective(
            expression, Measure.COST, "cost", operator, parse_value(limit), function="events", level=Fraction(count)
        )
    if argument not in ("run", *SPANS_S):
        raise ValueError(
            f"there is no cost of {argument!r}; write cost(1000 events), cost(run), cost(day) or cost(month)"
        )
    return Objective(expression, Measure.COST, "cost", operator, parse_value(limit), function=argument)


def _gauge_of(name: str, function: str, gauges: GaugeValues) -> tuple[str | None, str]:
    """(gauge, value) that `name` is. Raises ValueError if there is none."""
    found = _value_of(name, gauges)
    if found is None:
        values = [value for known in gauges.values() for value in known if not value.endswith(LOWER_END)]
        cure = _suggest(name, values, "values of gauges") if values else "add a gauge under gauges:"
        purpose = " to drain" if function == "drain" else f" for {function}(...)" if function else ""
        raise ValueError(f"there is no gauge with {name!r}{purpose}; {cure}")
    return found


def _parse_call(expression: str, function: str, argument: str, operator: str, limit: str) -> Objective:
    if percentile := _PERCENTILE.fullmatch(function):
        p = Fraction(percentile[1]) / 100
        if not 0 < p < 1:
            raise ValueError(f"there is no percentile {function}; write p50, p95, p99 or p99.9")
        metric = _metric_name(argument)
        require(operator, UPPER, function)
        return Objective(expression, Measure.PERCENTILE, metric, operator, parse_time(limit), share=p)
    if function == "share":
        under = _UNDER.fullmatch(argument)
        if not under:
            raise ValueError(f"{argument!r} is not a condition; write for example share(consistency < 2s) >= 95%")
        metric = _metric_name(under[1])
        within_ns = int(parse_time(under[3]))
        require(operator, LOWER, function)
        p = parse_good_share(limit, metric, under[3])
        return Objective(expression, Measure.SHARE, metric, operator, p, share=p, within_ns=within_ns)
    if function in ("max", "mean") and argument == STALENESS:
        require(operator, UPPER, function)
        versions = parse_count(limit) if function == "max" else parse_value(limit)
        return Objective(expression, Measure.STALENESS, STALENESS, operator, versions, function=function)
    if function in ("max", "min", "mean"):
        metric = _metric_name(argument)
        require(operator, UPPER, function)
        return Objective(expression, Measure(function), metric, operator, parse_time(limit))
    if function == "last" or "." in argument:
        raise ValueError(f"there is no gauge {argument!r}; {_suggest(argument, METRICS, 'metrics')}")
    if function == "rate" and argument in STATES and argument not in COUNTERS:
        require(operator, (*UPPER, *LOWER, *EXACTLY), function)
        return Objective(expression, Measure.RATE, counter_of(argument), operator, exact_share(limit))
    if function == "rate" and argument in (VIOLATIONS, CONTENTION):
        cure = f"rate(violated) {operator} {limit}" if argument == VIOLATIONS else f"{CONTENTION} {operator} {limit}"
        raise ValueError(f"there is no rate of {argument}; write {cure}")
    if function == "rate":
        counter = _counter_name(argument)
        require(operator, (*UPPER, *LOWER, *EXACTLY), function)
        return Objective(expression, Measure.RATE, counter, operator, exact_share(limit))
    if function == "throughput" and argument in BYTES:
        require(operator, LOWER, function)
        return Objective(expression, Measure.BYTE_RATE, argument, operator, parse_byte_rate(limit))
    if function == "throughput":
        counter = _counter_name(argument, THROUGHPUTS)
        require(operator, LOWER, function)
        return Objective(expression, Measure.THROUGHPUT, counter, operator, parse_rate(limit))
    raise ValueError(f"unknown function {function!r}; {_suggest(function, _FUNCTIONS, 'functions')}")


def _value_of(argument: str, gauges: GaugeValues) -> tuple[str | None, str] | None:
    """(gauge, value) that `argument` names; the gauge is None if only the value is named."""
    name, dot, value = argument.rpartition(".")
    if any(value in values and (not dot or gauge == name) for gauge, values in gauges.items()):
        return name or None, value
    return None


def _metric_name(name: str) -> str:
    if name in METRICS or name in (QUEUE_LAG, JOURNEY, WAIT, SETTLE):
        return name
    if name in COUNTER_NAMES or name in _ALIASES or name in (*COUNTERS, *OF_RACES):
        raise ValueError(f"{name!r} is a counter; write for example '{name} == 0' or 'rate({name}) < 0.1%'")
    if name in BYTES:
        raise ValueError(f"{name} is told per second; write throughput({name}) > 5MB/s")
    if name == STALENESS:
        raise ValueError("staleness is a number of versions; write max(staleness) <= 2 or mean(staleness) < 1")
    if re.sub(r"[\W_]", "", name).lower() in _METRICS_ELSEWHERE:
        raise ValueError(f"there is no metric or gauge {name!r}; did you mean 'end_to_end'?")
    raise ValueError(f"there is no metric or gauge {name!r}; {_suggest(name, METRICS, 'metrics')}")


def _counter_name(name: str, known: Iterable[str] = (*COUNTER_NAMES, *_ALIASES, *COUNTERS, *OF_RACES)) -> str:
    by_value = ByValue.named(name)
    if by_value is not None and known is not THROUGHPUTS:
        if not by_value.possible:
            raise ValueError(
                f"{name!r} names no value; write for example {by_value.fact}(409) or {by_value.fact}(5xx)"
            )
        return by_value.name
    if name in (*COUNTERS, *OF_RACES) and name not in known:
        raise ValueError(f"there is no throughput of {name}; write for example rate({name}) >= 95% or {name} >= 100")
    if name in BYTES:
        raise ValueError(f"{name} is told per second; write throughput({name}) > 5MB/s")
    if name not in known:
        those = (*known, *BYTES) if known is THROUGHPUTS else known
        raise ValueError(f"there is no counter {name!r} here; {_suggest(name, those, 'counters')}")
    return _ALIASES.get(name, name)


def _suggest(name: str, known: Iterable[str], what: str) -> str:
    known = tuple(known)
    return meant(name, known, f"{what} are {', '.join(known)}")


def require(operator: str, allowed: tuple[str, ...], function: str) -> None:
    """Raise ValueError unless the function can be compared so."""
    if operator not in allowed:
        raise ValueError(f"{function}(...) can't be compared by {operator}; write {' or '.join(allowed)}")
