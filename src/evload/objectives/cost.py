"""A price table: what is used of which service, and what that costs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from ..model.costs import Hold
from ..model.summary import LOWER_END
from ..texts import meant
from ..units import NS_PER_S, parse_duration, parse_size
from .expressions import gauges_with
from .objective import GaugeValues
from .scenario import ScenarioCriteria

OWN: Final[Mapping[str, str]] = {
    "sent": "events that were sent, copies not counted",
    "acked": "events that were acked",
    "requests": "requests of the probes",
    "reads": "events that those requests asked for",
    "bytes_out": "bytes of the bodies of events",
    "bytes_in": "bytes of the bodies of answers, to publishes and to reads",
    "time": "seconds that the run took, for what is paid by the hour whatever it does",
}
"""Counters of evload's own that may be a usage."""
BYTES: Final = frozenset({"bytes_out", "bytes_in"})
TIME: Final = "time"
_FUNCTIONS: Final = ("rise", "integral")
_CALL: Final = re.compile(r"(\w+)\s*\(([^()]*)\)")
_LONGEST: Final = 200
_FORMS: Final = "rise(COUNTER) or integral(GAUGE) of a gauge, or one of {}"
_NUMBER: Final = re.compile(r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a usage: a function of a gauge's value, or a counter of evload's own (without function and gauge)."""

    value: str
    function: str = ""
    gauge: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A row of the price table. `price` for `per` of the usage, the texts as written.

    terms  what its usage is the sum of
    """

    name: str
    usage: str
    price_text: str
    per_text: str
    terms: tuple[Term, ...]
    price: Fraction
    per: Fraction

    def of(self, used: Fraction) -> Fraction:
        """What so much of it costs."""
        return used / self.per * self.price

    def as_data(self) -> dict[str, Any]:
        """The arguments of `service`, as JSON can keep them."""
        return {"name": self.name, "usage": self.usage, "price": self.price_text, "per": self.per_text}


def service(name: str, usage: str, price: str, per: str, gauges: GaugeValues) -> Service:
    """A row of the price table from what a config says. Raises ValueError, `what is wrong; what would be right`."""
    terms = parse_usage(usage, gauges)
    return Service(name, usage, price, per, terms, parse_price(price), parse_per(per, terms))


def parse_usage(text: str, gauges: GaugeValues) -> tuple[Term, ...]:
    """The terms of a usage such as `rise(gb_seconds)` or `sent + requests`. Raises ValueError."""
    if len(text) > _LONGEST:
        raise ValueError(f"this is longer than {_LONGEST} characters; write a shorter usage")
    terms = tuple(_term(part.strip(), gauges) for part in text.split("+"))
    if len({_kind(term.value) for term in terms if not term.function}) > 1:
        raise ValueError(f"{text!r} adds up what has nothing in common; make a service of each")
    return terms


def _kind(own: str) -> str:
    return "bytes" if own in BYTES else "time" if own == TIME else "number"


def _term(text: str, gauges: GaugeValues) -> Term:
    call = _CALL.fullmatch(text)
    if call is None:
        if text in OWN:
            return Term(text)
        having = gauges_with(text, gauges)
        if having:
            raise ValueError(
                f"{text} is a value, and no usage; write rise({text}) if it is a counter, or integral({text})"
            )
        raise ValueError(f"{text!r} is no usage; {meant(text, OWN, 'write ' + _FORMS.format(', '.join(OWN)))}")
    function, argument = call[1], call[2].strip()
    if function not in _FUNCTIONS:
        raise ValueError(f"{function}(...) is no usage; write rise(COUNTER) or integral(GAUGE)")
    gauge, dot, value = argument.rpartition(".")
    having = [one for one in gauges_with(value, gauges) if not dot or one == gauge]
    if not having:
        known = [one for values in gauges.values() for one in values if not one.endswith(LOWER_END)]
        cure = (
            meant(value, known, f"values of gauges are {', '.join(known)}") if known else "add a gauge under gauges:"
        )
        raise ValueError(f"there is no gauge with {argument!r}; {cure}")
    if len(having) > 1:
        named = " + ".join(f"{function}({one}.{value})" for one in having)
        raise ValueError(f"{' and '.join(having)} both have {value}; write {named}, or one of them")
    return Term(value, function, having[0])


def parse_price(text: str) -> Fraction:
    """An amount of money from 0 on, exact as it is written. Raises ValueError."""
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no price; write a number from 0 on, such as 0.0000166667")
    return Fraction(text)


def parse_per(text: str, terms: Iterable[Term]) -> Fraction:
    """For how much of a usage a price is: a number, a time (in seconds) or a size (in bytes). Raises ValueError."""
    terms = tuple(terms)
    own = [term.value for term in terms if not term.function]
    kind = _kind(own[0]) if own else ""
    if len(text) <= 40 and _NUMBER.fullmatch(text):
        amount = Fraction(text)
    elif (seconds := _or_none(parse_duration, text)) is not None:
        if kind in ("bytes", "number"):
            raise ValueError(f"{own[0]} is no time; write per: {'1GB' if kind == 'bytes' else '1000000'}")
        amount = Fraction(seconds, NS_PER_S)
    elif (size := _or_none(parse_size, text)) is not None:
        if kind in ("time", "number"):
            raise ValueError(f"{own[0]} is no number of bytes; write per: {'1h' if kind == 'time' else '1000000'}")
        amount = Fraction(size)
    else:
        raise ValueError(f"{text!r} is nothing that a price can be for; write a number, 1h or 1GB")
    if not amount:
        raise ValueError("a price is for something; write per: 1 or more")
    return amount


def _or_none(parse: Any, text: str) -> int | None:
    try:
        found: int = parse(text)
    except ValueError:
        return None
    return found


def longest_hold(scenarios: Mapping[str, ScenarioCriteria], until_ns: float = math.inf) -> Hold | None:
    """The longest stretch with one rate, of all scenarios, after their warm-ups and as far as the run went."""
    holds = [
        Hold(name, max(start_ns, one.judged_ns), int(min(end_ns, until_ns)))
        for name, one in scenarios.items()
        for start_ns, end_ns, from_rate, to_rate in one.rates
        if from_rate == to_rate > 0
    ]
    return max(
        (one for one in holds if one.end_ns > one.start_ns), key=lambda one: one.end_ns - one.start_ns, default=None
    )
