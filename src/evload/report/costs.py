"""What a run cost, for people in words and figures, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from ..model.costs import MONTH_DAYS, PER_EVENTS, SPANS_S, Amounts, Cost, Costs
from ..units import NS_PER_S, format_duration, format_rate

HEAD: Final = ("used", "the run", f"{PER_EVENTS:,} events", "a day", "a month")
UNKNOWN: Final = "?"
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One service, or all of them. `cells` as in HEAD; `price` is empty of all of them.

    why  what isn't known, and why, and what else there is to say
    """

    name: str
    usage: str
    price: str
    cells: tuple[str, ...]
    why: Sequence[str]


def rows(costs: Costs) -> list[Row]:
    """The price table, filled in, with all together at the end."""
    return [_row(costs, one) for one in (*costs.services, costs.total)]


def _row(costs: Costs, one: Cost) -> Row:
    price = "" if not one.price else one.price if one.per == "1" else f"{one.price} for {one.per}"
    of_run = (one.run, costs.of_events(one))
    cells = ("" if not one.usage else amount(one.used), *map(money, of_run), *(money(one.over(s)) for s in SPANS_S))
    why = {} if not one.usage else {costs.why_not_of_events(one): "the run", one.second_reason: "a day and a month"}
    if one.usage and costs.why_not_of_events(one) and costs.why_not_of_events(one) == one.second_reason:
        why = {one.second_reason: ""}
    told = [f"{what}: {reason}" if what else reason for reason, what in why.items() if reason]
    told += [one.note] if one.note else []
    return Row(one.name, one.usage, price, cells, told)


def basis(costs: Costs) -> str:
    """What a day and a month are told by, in a sentence."""
    hold = costs.hold
    if hold is None:
        return "A day and a month are not projected: the run has no stretch with one rate."
    span = f"{format_duration(hold.start_ns)} to {format_duration(hold.end_ns)} of {hold.scenario}"
    return (
        f"A day and a month ({MONTH_DAYS} days) are those at {format_rate(hold.rate)}, by what the longest hold used "
        f"({span})."
    )


def money(amounts: Amounts | None) -> str:
    """An amount of money, as a bracket where it is known as one: `12.35`, `0.0123 … 0.0125`, `at least 3.10`."""
    return _told(amounts, _money)


def amount(amounts: Amounts | None) -> str:
    """How much was used."""
    return _told(amounts, lambda value: f"{float(value):,.6g}")


def _told(amounts: Amounts | None, tell: Any) -> str:
    if amounts is None:
        return UNKNOWN
    low = tell(amounts[0])
    if amounts[1] is None:
        return f"at least {low}"
    high = tell(amounts[1])
    return low if low == high else f"{low} … {high}"


def _money(value: Fraction) -> str:
    """With cents; below one, with three digits that say something."""
    if not value or abs(value) >= 1:
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return f"{exact:,.2f}"
    text = f"{Decimal(f'{float(value):.{_DIGITS}g}'):f}"
    return f"{text}0" if text.removeprefix("-").startswith("0.") and len(text.partition(".")[2]) == 1 else text


def as_data(costs: Costs) -> dict[str, Any]:
    """As `summary.json` has it: amounts as [lower, upper], null for an end, or for all, that nobody knows."""
    hold = costs.hold
    return {
        "services": {
            one.name: {"usage": one.usage, "price": one.price, "per": one.per, "used": ends(one.used)}
            | _figures(costs, one)
            for one in costs.services
        },
        "total": _figures(costs, costs.total),
        "hold": None
        if hold is None
        else {
            "scenario": hold.scenario,
            "start": hold.start_ns / NS_PER_S,
            "end": hold.end_ns / NS_PER_S,
            "events": hold.events,
            "rate": float(hold.rate),
        },
    }


def _figures(costs: Costs, one: Cost) -> dict[str, Any]:
    return {
        "run": ends(one.run),
        f"per_{PER_EVENTS}_events": ends(costs.of_events(one)),
        **{span: ends(one.over(span)) for span in SPANS_S},
        **{
            name: why
            for name, why in (
                ("unknown", costs.why_not_of_events(one)),
                ("not_projected", one.second_reason),
                ("note", one.note),
            )
            if why
        },
    }


def ends(amounts: Amounts | None) -> list[float | None] | None:
    """A bracket as JSON has it."""
    return None if amounts is None else [None if end is None else float(end) for end in amounts]
