"""Price tables: what is used of a service, for how much of it a price is, and in which stretch it is projected."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evload.model.costs import Hold
from evload.objectives.cost import Term, longest_hold, parse_price, parse_usage, service
from evload.objectives.scenario import ScenarioCriteria
from tests.rigs.summaries import S

GAUGES = {"cpu": ["load", "seconds", "p95", "p95.low"], "gpu": ["load"]}


@pytest.mark.parametrize(
    ("usage", "terms"),
    [
        ("sent", (Term("sent"),)),
        ("sent + requests", (Term("sent"), Term("requests"))),
        ("bytes_out + bytes_in", (Term("bytes_out"), Term("bytes_in"))),
        ("time", (Term("time"),)),
        ("rise(seconds)", (Term("seconds", "rise", "cpu"),)),
        ("integral( gpu.load ) + acked", (Term("load", "integral", "gpu"), Term("acked"))),
        (
            "integral(cpu.load) + integral(gpu.load)",
            (Term("load", "integral", "cpu"), Term("load", "integral", "gpu")),
        ),
    ],
)
def test_what_is_used(usage: str, terms: tuple[Term, ...]) -> None:
    assert parse_usage(usage, GAUGES) == terms


@pytest.mark.parametrize(
    ("usage", "message"),
    [
        ("sent + bytes_in", "'sent + bytes_in' adds up what has nothing in common; make a service of each"),
        ("time + requests", "adds up what has nothing in common"),
        ("bytes_out + time", "adds up what has nothing in common"),
        ("seconds", "seconds is a value, and no usage; write rise(seconds) if it is a counter, or integral(seconds)"),
        ("sends", "'sends' is no usage; did you mean 'sent'?"),
        ("magic", "'magic' is no usage; write rise(COUNTER) or integral(GAUGE) of a gauge, or one of sent, acked"),
        ("max(load)", "max(...) is no usage; write rise(COUNTER) or integral(GAUGE)"),
        (
            "integral(load)",
            "cpu and gpu both have load; write integral(cpu.load) + integral(gpu.load), or one of them",
        ),
        ("rise(gpu.seconds)", "there is no gauge with 'gpu.seconds'; "),
        ("integral(p95.low)", "there is no gauge with 'p95.low'; "),
        ("integral(cpu.p95.low)", "there is no gauge with 'cpu.p95.low'; "),
        ("rise(nothing)", "values of gauges are load, seconds, p95, load"),
        ("sent + " * 40 + "sent", "this is longer than 200 characters; write a shorter usage"),
    ],
)
def test_what_is_no_usage_is_refused_with_a_cure(usage: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_usage(usage, GAUGES)
    assert message in str(raised.value)
    if "no gauge" in message:
        with pytest.raises(ValueError, match="add a gauge under gauges:"):
            parse_usage(usage, {})


@pytest.mark.parametrize(
    ("usage", "price", "per", "used", "costs"),
    [
        ("requests", "0.20", "1000000", 3_000_000, Fraction(6, 10)),
        ("requests", "1e-6", "2", 4, Fraction(2, 1_000_000)),
        ("time", "3.6", "1h", 1800, Fraction(18, 10)),
        ("bytes_out", "0.09", "1GB", 500_000_000, Fraction(45, 1000)),
        ("rise(seconds)", "0.5", "1m", 90, Fraction(75, 100)),
        ("integral(cpu.load)", "2", "10 KB", 5_000, Fraction(1)),
        ("rise(seconds)", "2", "500ms", 1, Fraction(4)),
    ],
)
def test_what_so_much_of_it_costs(usage: str, price: str, per: str, used: int, costs: Fraction) -> None:
    assert service("row", usage, price, per, GAUGES).of(Fraction(used)) == costs


@pytest.mark.parametrize(
    ("usage", "per", "message"),
    [
        ("requests", "1h", "requests is no time; write per: 1000000"),
        ("bytes_in", "1h", "bytes_in is no time; write per: 1GB"),
        ("requests", "1GB", "requests is no number of bytes; write per: 1000000"),
        ("time", "1GB", "time is no number of bytes; write per: 1h"),
        ("requests", "many", "'many' is nothing that a price can be for; write a number, 1h or 1GB"),
        ("requests", "0", "a price is for something; write per: 1 or more"),
        ("time", "0s", "a price is for something; write per: 1 or more"),
    ],
)
def test_what_no_price_can_be_for_is_refused_with_a_cure(usage: str, per: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        service("row", usage, "1", per, GAUGES)
    assert str(raised.value) == message


def test_a_price_is_a_number_from_nothing_on() -> None:
    assert [parse_price(text) for text in ("0", "0.10", ".5", "1_000", "2.5e-3")] == [
        0, Fraction(1, 10), Fraction(1, 2), 1000, Fraction(25, 10_000),
    ]  # fmt: skip
    for text in ("-1", "free", "1e999", "1/3", "0." + "1" * 40):
        with pytest.raises(ValueError, match="is no price; write a number from 0 on"):
            parse_price(text)


# -- the longest hold ------------------------------------------------------------------------------------------------


def load(*rates: tuple[int, int, float, float], start: int = 0, warmup: int = 0) -> ScenarioCriteria:
    """Of phases in seconds, each with the rate at which it begins and ends."""
    return ScenarioCriteria(
        start * S, 1000 * S, warmup_ns=warmup * S,
        rates=tuple((begin * S, end * S, low, high) for begin, end, low, high in rates),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scenarios", "until_s", "hold"),
    [
        ({"a": load((0, 10, 5, 5), (10, 30, 5, 9), (30, 45, 9, 9))}, None, ("a", 30, 45)),
        # A ramp has no one rate, and where nothing is asked for there is none.
        ({"a": load((0, 50, 0, 9))}, None, None),
        ({"a": load((0, 50, 0, 0), (50, 60, 3, 3))}, None, ("a", 50, 60)),
        # Only after the warm-up, and only as far as it went.
        ({"a": load((0, 20, 5, 5), (20, 35, 9, 9), warmup=6)}, None, ("a", 20, 35)),
        ({"a": load((0, 20, 5, 5), (20, 35, 9, 9), warmup=4)}, None, ("a", 4, 20)),
        ({"a": load((0, 20, 5, 5), (20, 90, 9, 9))}, 30, ("a", 0, 20)),
        ({"a": load((0, 20, 5, 5), (20, 90, 9, 9))}, 45, ("a", 20, 45)),
        ({"a": load((0, 20, 5, 5))}, 0, None),
        ({"a": load((0, 20, 5, 5)), "b": load((10, 40, 1, 1))}, None, ("b", 10, 40)),
        ({"a": load((0, 20, 5, 5)), "b": load((10, 30, 1, 1))}, None, ("a", 0, 20)),
        ({}, None, None),
    ],
)
def test_the_longest_stretch_with_one_rate(
    scenarios: dict[str, ScenarioCriteria], until_s: int | None, hold: tuple[str, int, int] | None
) -> None:
    found = longest_hold(scenarios) if until_s is None else longest_hold(scenarios, until_s * S)
    assert found == (None if hold is None else Hold(hold[0], hold[1] * S, hold[2] * S))
