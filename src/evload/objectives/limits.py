"""Reads the limit of an objective in the unit of what it measures."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from typing import Final

from ..units import (
    NS_PER_S,
    format_duration,
    parse_byte_rate,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)
from .objective import Measure, Objective

_LONGEST: Final = 100
_EXPONENT: Final = re.compile(r"[eE][-+]?[0-9_]{4,}")
"""Of a number that has more digits than there is time to write them out."""
_LARGEST: Final = 10**300
"""What a double has room for, as gauges are told in."""


def parse_limit(objective: Objective, text: str) -> Fraction:
    """Another limit for `objective`, in the unit of its own. Raises ValueError like `grammar.parse`."""
    match objective.measure:
        case Measure.COUNT:
            return parse_count(text)
        case Measure.STALENESS:
            return parse_count(text) if objective.function == "max" else parse_value(text)
        case Measure.GAUGE | Measure.RISE | Measure.INTEGRAL | Measure.RATIO | Measure.COST:
            return parse_value(text)
        case Measure.GROWTH:
            return parse_growth(text)
        case Measure.RATE:
            return exact_share(text)
        case Measure.SHARE:
            return parse_good_share(text, objective.subject, format_duration(objective.within_ns or 0))
        case Measure.THROUGHPUT:
            return parse_rate(text)
        case Measure.BYTE_RATE:
            return parse_byte_rate(text)
        case _:
            return parse_time(text)


def parse_value(text: str) -> Fraction:
    """A limit on a gauge: a number, or a duration in seconds, a share of 1, a size in bytes."""
    number = None
    if len(text) <= _LONGEST and not _EXPONENT.search(text):
        with suppress(ValueError, ZeroDivisionError):
            number = Fraction(text.replace("_", ""))
    if number is not None and abs(number) <= _LARGEST:
        return number
    for parse_unit, unit in ((parse_duration, NS_PER_S), (parse_size, 1)):
        try:
            return Fraction(parse_unit(text), unit)
        except ValueError:
            continue
    if text.endswith("%"):
        return exact_share(text)
    raise ValueError(f"{text!r} is no value of a gauge; write a number, or one with a unit such as 30s, 80% or 500MB")


def parse_growth(text: str) -> Fraction:
    """A limit on how much a gauge grows in an hour, which may say so: `10MB` or `10MB/h`."""
    value, slash, per = text.partition("/")
    if slash and per.strip() not in ("h", "1h"):
        raise ValueError(f"{text!r} is not by the hour; write for example {value.strip()}/h")
    return parse_value(value.strip())


def parse_time(text: str) -> Fraction:
    """A time in nanoseconds, above 0."""
    ns = parse_duration(text)
    if ns == 0:
        raise ValueError("no event takes no time; write a limit above 0, such as 250ms")
    return Fraction(ns)


def parse_count(text: str) -> Fraction:
    """A whole number."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{text!r} is not a number of events; write a whole number, such as 0")
    return Fraction(text)


def exact_share(text: str) -> Fraction:
    """A share between 0 and 1."""
    return Fraction(repr(parse_share(text)))


def parse_good_share(text: str, metric: str, within: str) -> Fraction:
    """A share of the events that can be shown: above 0 and below 1."""
    share = exact_share(text)
    if share == 1:
        raise ValueError(f"no sample can show a share of 100%; write max({metric}) < {within}, exact for the run")
    if share == 0:
        raise ValueError("a share of 0% asks for nothing; write for example 95%")
    return share
