"""Loads of users, and loads of so many iterations."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from evload.workload.schedule import (
    Arrivals,
    Load,
    Phase,
    describe,
    duration_ns,
    events_before,
    expected_events,
    fewest_events,
    is_closed,
    iterations_of,
    longest_hold,
    paced,
    peak,
    rate_of,
    rates_of,
    users_of,
)

S = 1_000_000_000
LOAD: TypeAdapter[tuple[Phase, ...]] = TypeAdapter(Load)


def load_of(*phases: dict[str, Any]) -> tuple[Phase, ...]:
    return LOAD.validate_python(phases)


RAMPED = load_of(
    {"from": "0 users", "to": "50 users", "for": "10s"},
    {"users": 50, "for": "5m"},
    {"idle": "1m"},
    {"users": 1, "iterations": 7, "for": "30s"},
)


def test_how_many_users_there_are_when() -> None:
    assert users_of(RAMPED) == [
        (0, 10 * S, 0, 50),
        (10 * S, 310 * S, 50, 50),
        (310 * S, 370 * S, 0, 0),
        (370 * S, 400 * S, 1, 1),
    ]
    assert is_closed(RAMPED)
    assert iterations_of(RAMPED) == 7


def test_a_load_of_users_has_a_timeline_and_no_arrivals() -> None:
    assert [(one.start_ns // S, one.end_ns // S, one.text) for one in describe(RAMPED)] == [
        (0, 10, "ramp 0 users to 50 users"),
        (10, 310, "50 users"),
        (310, 370, "idle"),
        (370, 400, "1 user"),
    ]
    assert duration_ns(RAMPED) == 400 * S
    assert (expected_events(RAMPED), fewest_events(RAMPED), events_before(RAMPED, 200 * S)) == (0, 0, 0)
    assert Arrivals(RAMPED, "constant", "").peek() is None
    assert longest_hold(RAMPED) is None
    assert rate_of(RAMPED)(20 * S) == 0
    assert {one[2:] for one in rates_of(RAMPED)} == {(0.0, 0.0)}
    assert peak([(0, RAMPED, paced(RAMPED, S)[0].legs()[0].to_rate)]).rate == 0


def test_a_load_of_rates_has_no_users() -> None:
    load = load_of({"rate": "5/s", "for": "1m"})
    assert (users_of(load), is_closed(load), iterations_of(load)) == ([], False, None)


@pytest.mark.parametrize(
    ("phases", "lasts_ns", "last_ns"),
    [
        ([{"rate": "5/s", "iterations": 400}], 80 * S, 79 * S + 800_000_000),
        ([{"rate": "3/s", "iterations": 400}], 133_333_333_333, 133 * S),
        ([{"rate": "7/s", "iterations": 1}], 142_857_142, 0),
        ([{"rate": "5/s", "iterations": 400, "for": "5m"}], 80 * S, 79 * S + 800_000_000),
        ([{"rate": "1/s", "for": "10s"}, {"rate": "5/s", "iterations": 400}], 88 * S, 87 * S + 800_000_000),
        (
            [{"burst": 100}, {"idle": "1s"}, {"rate": "5/s", "iterations": 400, "for": "5m"}],
            61 * S,
            60 * S + 800_000_000,
        ),
        ([{"from": "0/s", "to": "3/s", "for": "1s"}, {"rate": "2/s", "iterations": 4}], 2_250_000_000, 1_750_000_000),
    ],
)
def test_so_many_iterations_are_due_and_then_it_is_over(
    phases: list[dict[str, Any]], lasts_ns: int, last_ns: int
) -> None:
    load = load_of(*phases)
    due = Arrivals(load, "constant", "").take_until(10**30, 10**9)
    assert len(due) == expected_events(load) == iterations_of(load)
    assert (duration_ns(load), due[-1]) == (lasts_ns, last_ns)


def test_so_many_iterations_at_most_where_the_time_is_over_before() -> None:
    load = load_of({"rate": "5/s", "iterations": 400, "for": "10s"})
    assert (duration_ns(load), expected_events(load), iterations_of(load)) == (10 * S, 50, 400)


def test_the_most_that_users_at_a_fixed_pace_begin() -> None:
    found = paced(RAMPED, 5 * S)
    assert [(float(leg.from_rate), float(leg.to_rate)) for phase in found for leg in phase.legs()] == [
        (0, 10), (10, 10), (0, 0), (0.2, 0.2)
    ]  # fmt: skip
    assert duration_ns(found) == duration_ns(RAMPED)


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        ([{"users": 0, "for": "5m"}], "greater than or equal to 1"),
        ([{"users": 5, "for": "0s"}], "greater than or equal to 1"),
        ([{"users": True, "for": "5m"}], "valid integer"),
        ([{"users": 5}], "Field required"),
        ([{"from": "0 users", "to": "0 users", "for": "5m"}], "this load has no users; give it a phase such as"),
        ([{"from": "5 users", "to": 5, "for": "5m"}], "5 is no number of users; write one such as 5 users"),
        ([{"from": "5/s", "to": "5 users", "for": "5m"}], "'5/s' is no number of users"),
        ([{"users": 5, "for": "5m"}, {"burst": 3}], "this load has users, and 'burst of 3'"),
        ([{"users": 5, "iterations": 3, "for": "5m"}, {"users": 5, "for": "5m"}], "write it once, in the last phase"),
        ([{"users": 5, "for": "36500d"}, {"users": 5, "for": "1s"}], "longer than a hundred years"),
        ([{"idle": "5s", "until": "x > 1"}, {"rate": "5/s", "iterations": 9}], "leave until or iterations out"),
        ([{"burst": 9}, {"rate": "5/s", "iterations": 9}], "have all of the 9 iterations; write more of them"),
        ([{"rate": "5/s"}], "Field required"),
    ],
)
def test_loads_that_are_none(phases: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load_of(*phases)
    (error,) = caught.value.errors()
    assert text in error["msg"]
