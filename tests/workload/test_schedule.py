"""Schedules: every offset exact, none lost between phases, and the same load from chunks of any size."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.stats import chi2

from evload.workload.schedule import (
    Arrivals,
    Leg,
    Load,
    Phase,
    describe,
    duration_ns,
    expected_events,
    expected_in_steps,
    fewest_events,
    longest_hold,
    rate_of,
)

S = 1_000_000_000
FOREVER = 10**30
LOAD: TypeAdapter[tuple[Phase, ...]] = TypeAdapter(Load)


def load_of(*phases: dict[str, Any]) -> tuple[Phase, ...]:
    return LOAD.validate_python(phases)


def constant(load: tuple[Phase, ...]) -> list[int]:
    return Arrivals(load, "constant", "").take_until(FOREVER, 10**9)


def poisson(load: tuple[Phase, ...], seed: str) -> list[int]:
    return Arrivals(load, "poisson", seed).take_until(FOREVER, 10**9)


def timed_legs(load: tuple[Phase, ...]) -> list[tuple[int, Leg]]:
    start, timed = 0, []
    for leg in (leg for phase in load for leg in phase.legs()):
        timed.append((start, leg))
        start += leg.duration_ns
    return timed


def intensity(load: tuple[Phase, ...], offset_ns: int) -> Fraction:
    """Events due before an offset, from the definition: the area under the rate."""
    total = Fraction(0)
    for start, leg in timed_legs(load):
        inside = min(max(offset_ns - start, 0), leg.duration_ns)
        if inside:
            rate_there = leg.from_rate + (leg.to_rate - leg.from_rate) * Fraction(inside, leg.duration_ns)
            total += (leg.from_rate + rate_there) / 2 * inside / S
    return total


rates = st.one_of(
    st.integers(0, 300).map(lambda n: f"{n}/s"),
    st.integers(1, 99_999).map(lambda n: f"{n / 1000}/s"),
    st.integers(1, 5_000).map(lambda n: f"{n}/min"),
)
durations = st.one_of(
    st.integers(1, 1500).map(lambda n: f"{n}ms"),
    st.integers(1, 1_500_000_000).map(lambda n: f"{n}ns"),
    st.just("1s"),
)
flowing = st.one_of(
    st.fixed_dictionaries({"rate": rates, "for": durations}),
    st.fixed_dictionaries({"from": rates, "to": rates, "for": durations}),
    st.fixed_dictionaries({"steps": st.lists(rates, min_size=1, max_size=3), "each": durations}),
    st.fixed_dictionaries({"idle": durations}),
)
bursts = st.fixed_dictionaries({"burst": st.integers(1, 40)})


def loads(phases: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[tuple[Phase, ...]]:
    # One more event keeps a load from being empty, which is refused.
    return st.lists(phases, max_size=4).map(lambda them: load_of(*them, {"rate": "1/s", "for": "1s"}))


@given(loads(flowing))
@settings(deadline=None, max_examples=150)
def test_every_constant_arrival_is_the_exact_floor_of_its_time(load: tuple[Phase, ...]) -> None:
    offsets = constant(load)
    assert len(offsets) == expected_events(load) == ceil(intensity(load, duration_ns(load)))
    for n, offset in enumerate(offsets):
        # Λ passes n within the nanosecond that starts at the offset.
        assert intensity(load, offset) <= n < intensity(load, offset + 1)
        assert offset < duration_ns(load)


@given(loads(st.one_of(flowing, bursts)))
@settings(deadline=None, max_examples=60)
def test_bursts_stand_beside_the_rest_and_disturb_nothing(load: tuple[Phase, ...]) -> None:
    without = tuple(phase for phase in load if not any(leg.burst for leg in phase.legs()))
    at_once = Counter({start: 0 for start, _ in timed_legs(load)})
    for start, leg in timed_legs(load):
        at_once[start] += leg.burst
    for arrivals in (constant, lambda some: poisson(some, "seed")):
        offsets = arrivals(load)
        assert offsets == sorted(offsets)
        assert Counter(offsets) == Counter(arrivals(without)) + at_once


@given(
    loads(st.one_of(flowing, bursts)),
    st.sampled_from(["constant", "poisson"]),
    st.lists(st.tuples(st.integers(0, S), st.integers(0, 90)), max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_chunks_of_any_size_are_the_same_schedule(
    load: tuple[Phase, ...], shape: Any, chunks: list[tuple[int, int]]
) -> None:
    whole = Arrivals(load, shape, "seed").take_until(FOREVER, 10**9)
    arrivals = Arrivals(load, shape, "seed")
    taken: list[int] = []
    now = 0
    for step, limit in chunks:
        now += step
        due = arrivals.take_until(now, limit)
        assert len(due) <= limit
        assert all(offset <= now for offset in due)
        taken += due
        upcoming = arrivals.peek()
        assert upcoming == (whole[len(taken)] if len(taken) < len(whole) else None)
        assert len(due) == limit or upcoming is None or upcoming > now
    assert taken + arrivals.take_until(FOREVER, 10**9) == whole
    assert arrivals.peek() is None


def test_what_is_due_at_the_very_offset_is_taken_and_the_limit_holds() -> None:
    arrivals = Arrivals(load_of({"rate": "1000/s", "for": "10s"}), "constant", "")
    assert arrivals.take_until(0, 10) == [0]
    assert arrivals.take_until(1_999_999, 10) == [1_000_000]
    assert arrivals.take_until(2_000_000, 0) == []
    assert len(arrivals.take_until(FOREVER, 5000)) == 5000
    assert arrivals.peek() == 5_002_000_000


def test_a_hold_is_spaced_by_its_exact_period() -> None:
    assert constant(load_of({"rate": "3/s", "for": "1s"})) == [0, 333_333_333, 666_666_666]


def test_a_ramp_from_nothing_follows_the_square_root() -> None:
    # Λ(t) = 5 t² events in t seconds.
    assert constant(load_of({"from": "0/s", "to": "10/s", "for": "1s"})) == [
        0, 447_213_595, 632_455_532, 774_596_669, 894_427_190,
    ]  # fmt: skip


def test_a_ramp_to_nothing_mirrors_it() -> None:
    # Λ(t) = 10 t − 5 t²: the n-th arrival is 1 − √(1 − n/5).
    assert constant(load_of({"from": "10/s", "to": "0/s", "for": "1s"})) == [
        0, 105_572_809, 225_403_330, 367_544_467, 552_786_404,
    ]  # fmt: skip


def test_part_of_an_event_carries_over_to_the_next_phase() -> None:
    # One and a half events, then the other half after 0.5 s at 1/s.
    offsets = constant(load_of({"rate": "1.5/s", "for": "1s"}, {"idle": "10s"}, {"rate": "1/s", "for": "2s"}))
    assert offsets == [0, 666_666_666, 11_500_000_000, 12_500_000_000]


def test_an_event_at_the_very_end_of_a_phase_belongs_to_the_next_one() -> None:
    assert constant(load_of({"rate": "1/s", "for": "2s"})) == [0, S]
    assert constant(load_of({"rate": "1/s", "for": "2s"}, {"idle": "5s"}, {"rate": "1/s", "for": "1s"})) == [
        0,
        S,
        7 * S,
    ]


@pytest.mark.parametrize(
    ("rate", "per_second"), [("100/s", Fraction(100)), ("333/s", Fraction(333)), ("29/min", Fraction(29, 60))]
)
def test_the_last_offset_of_eight_hours_is_exact(rate: str, per_second: Fraction) -> None:
    offsets = constant(load_of({"rate": rate, "for": "8h"}))
    assert len(offsets) == per_second * 8 * 3600
    assert offsets[-1] == (len(offsets) - 1) * S // per_second


def test_poisson_arrivals_follow_their_seed() -> None:
    load = load_of({"rate": "200/s", "for": "2s"})
    assert poisson(load, "a") == poisson(load, "a") != poisson(load, "b")


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_poisson_counts_are_as_spread_as_they_should_be(seed: str) -> None:
    load = load_of({"rate": "50/s", "for": "1000s"})
    offsets = poisson(load, seed)
    assert abs(len(offsets) - 50_000) < 4 * 50_000**0.5
    windows = Counter(offset // S for offset in offsets)
    mean = len(offsets) / 1000
    dispersion = sum((windows[second] - mean) ** 2 for second in range(1000)) / mean
    assert chi2.ppf(0.001, 999) < dispersion < chi2.ppf(0.999, 999)


def test_a_poisson_ramp_puts_three_quarters_into_its_second_half() -> None:
    offsets = poisson(load_of({"from": "0/s", "to": "200/s", "for": "100s"}), "seed")
    late = sum(offset >= 50 * S for offset in offsets)
    assert abs(len(offsets) - 10_000) < 4 * 10_000**0.5
    assert abs(late - 7_500) < 4 * 7_500**0.5


EXAMPLE: tuple[dict[str, Any], ...] = (
    {"from": "0/s", "to": "100/s", "for": "1m"},
    {"rate": "100/s", "for": "5m"},
    {"burst": 50},
    {"idle": "15m"},
    {"steps": ["50/s", "30/min"], "each": "10s"},
)


def test_the_timeline_of_a_load() -> None:
    load = load_of(*EXAMPLE)
    assert [(start // S, end // S, text) for start, end, text in describe(load)] == [
        (0, 60, "ramp 0/s to 100/s"),
        (60, 360, "hold 100/s"),
        (360, 360, "burst of 50"),
        (360, 1260, "idle"),
        (1260, 1270, "hold 50/s"),
        (1270, 1280, "hold 30/min"),
    ]
    assert duration_ns(load) == 1280 * S
    assert expected_events(load) == 3000 + 30_000 + 50 + 500 + 5 == len(constant(load))
    seconds = (0, 15, 60, 359, 360, 1265, 1279, 1280, 5000)
    assert [rate_of(load)(second * S) for second in seconds] == [0, 25, 100, 100, 0, 50, 0.5, 0, 0]


HOLD = {"rate": "10/s", "for": "2s"}


@pytest.mark.parametrize(
    ("phases", "longest_s"),
    [
        ([HOLD], (0, 2)),
        # A ramp, a pause and a burst are none, however long.
        ([{"from": "0/s", "to": "9/s", "for": "9s"}, HOLD, {"burst": 5}, {"idle": "8s"}], (9, 11)),
        ([HOLD, {"rate": "1/s", "for": "3s"}, HOLD], (2, 5)),
        # Of equals the first.
        ([{"idle": "1s"}, HOLD, {"idle": "1s"}, HOLD], (1, 3)),
        # A change of rate ends one, and so does a phase that goes on alike.
        ([{"steps": ["10/s", "20/s"], "each": "1s"}, HOLD, HOLD], (2, 4)),
        ([{"from": "5/s", "to": "5/s", "for": "4s"}, HOLD], (0, 4)),
        ([{"from": "0/s", "to": "9/s", "for": "9s"}, {"burst": 5}], None),
    ],
)
def test_the_longest_stretch_with_one_rate(phases: list[Any], longest_s: tuple[int, int] | None) -> None:
    expected = None if longest_s is None else (longest_s[0] * S, longest_s[1] * S)
    assert longest_hold(load_of(*phases)) == expected


def test_what_random_arrivals_should_come_to_in_each_step() -> None:
    # Λ(t) = 5 t² from 0.25 s on: 0.25 s of it in the first step, half a second in the next, and the rest.
    ramp = load_of({"from": "0/s", "to": "10/s", "for": "1s"})
    assert expected_in_steps(ramp, S // 4, S // 2) == pytest.approx([0.3125, 2.5, 2.1875])
    falling = load_of({"from": "10/s", "to": "0/s", "for": "1s"})
    assert expected_in_steps(falling, 0, S // 2) == pytest.approx([3.75, 1.25])
    # Two phases share a step; before the load begins nothing is expected.
    assert expected_in_steps(load_of(HOLD, {"idle": "1s"}, {"rate": "4/s", "for": "1s"}), 2 * S, S * 3 // 2) == (
        pytest.approx([0, 10, 10, 4])
    )


def test_a_burst_is_not_random_and_its_step_expects_nothing() -> None:
    load = load_of({"rate": "5/s", "for": "1s"}, {"burst": 3}, {"rate": "5/s", "for": "1s"})
    assert expected_in_steps(load, 0, S * 2 // 5) == pytest.approx([2, 2, 0, 2, 2])
    # A load that ends with a burst at the very end of its last step has no step for it.
    assert expected_in_steps(load_of(HOLD, {"burst": 3}), 0, S) == pytest.approx([10, 10])


NO_PHASE = "this phase has none of rate, users, from/to, steps, burst, idle; write e.g. {rate: 100/s, for: 5m}"


@pytest.mark.parametrize(
    ("phases", "where", "message"),
    [
        ([], (), "this load has no events; give it a phase such as {rate: 100/s, for: 5m}"),
        ([{"idle": "5m"}], (), "this load has no events"),
        ([{"rate": "100/s", "for": "0s"}], (), "this load has no events"),
        ([{"from": "0/s", "to": "0/s", "for": "5m"}], (), "this load has no events"),
        ([{"rates": "100/s", "for": "5m"}], (0,), NO_PHASE),
        (["100/s"], (0,), "a phase is a mapping"),
        ([{"burst": 5}, {"rate": "-3/s", "for": "5m"}], (1, "rate"), "'-3/s' is not a rate"),
        ([{"rate": "100/s", "for": 5}], (0, "for"), "5 is not a duration"),
        ([{"rate": "100/s"}], (0, "for"), "Field required"),
        ([{"to": "100/s", "for": "5m"}], (0, "from"), "Field required"),
        ([{"steps": ["1/s", "fast"], "each": "5m"}], (0, "steps", 1), "'fast' is not a rate"),
        ([{"burst": 0}], (0, "burst"), "greater than or equal to 1"),
        ([{"idle": "5m", "rte": 1}], (0, "rte"), "not permitted"),
    ],
)
def test_a_wrong_load_gives_one_error_in_its_place(
    phases: list[Any], where: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        LOAD.validate_python(phases)
    (error,) = caught.value.errors()
    assert error["loc"] == where
    assert message in error["msg"]


# -- phases that end early ---------------------------------------------------------------------------


def written(duration: int) -> str:
    return f"{duration // S}.{duration % S:09d}s"


PHASES = st.one_of(
    st.builds(lambda rate, ns: {"rate": f"{rate}/s", "for": written(ns)}, st.integers(1, 30), st.integers(1, 3 * S)),
    st.builds(lambda ns: {"idle": written(ns)}, st.integers(1, 3 * S)),
    st.builds(lambda events: {"burst": events}, st.integers(1, 9)),
    st.builds(
        lambda low, high, ns: {"from": f"{low}/s", "to": f"{high}/s", "for": written(ns)},
        st.integers(0, 30), st.integers(1, 30), st.integers(1, 3 * S),
    ),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(PHASES, min_size=1, max_size=6), st.sampled_from(["constant", "poisson"]), st.data())
def test_what_ends_early_is_a_load_that_was_written_shorter(
    phases: list[dict[str, Any]], shape: Any, data: st.DataObject
) -> None:
    """Event for event, whatever was taken or looked at before, and however many phases end early."""
    waiting = [{**one, "until": "x == 0"} if one.keys() & {"rate", "idle"} else one for one in phases]
    phases, waiting = [*phases, {"burst": 1}], [*waiting, {"burst": 1}]
    arrivals, taken = Arrivals(load_of(*waiting), shape, "seed"), []
    for stretch in arrivals.open_stretches():
        if not data.draw(st.booleans()):
            continue
        (current,) = (one for one in arrivals.open_stretches() if one.number == stretch.number)
        now = data.draw(st.integers(current.start_ns, current.end_ns - 1))
        assert arrivals.open_at(now) == current
        arrivals.peek()
        # An event may wait, so that not all that is due has been taken.
        taken += arrivals.take_until(now, data.draw(st.integers(0, 40)))
        ended = arrivals.end_early(current, now)
        assert ended is None or now <= ended <= now + 1
        if ended is not None:
            key = "idle" if "idle" in phases[stretch.number] else "for"
            phases[stretch.number] = {**phases[stretch.number], key: written(ended - current.start_ns)}
    taken += arrivals.take_until(FOREVER, 10**9)
    assert taken == Arrivals(load_of(*phases), shape, "seed").take_until(FOREVER, 10**9)


def test_a_phase_that_ended_early_is_over() -> None:
    arrivals = Arrivals(load_of({"idle": "5s", "until": "x == 0"}, {"burst": 1}), "constant", "")
    (phase,) = arrivals.open_stretches()
    assert arrivals.open_at(5 * S) is None
    assert arrivals.end_early(phase, 2 * S) == 2 * S
    assert arrivals.open_at(S) is None
    assert arrivals.open_stretches() == []
    assert arrivals.peek() == 2 * S


def test_no_phase_ends_before_what_was_taken_of_it_nor_after_its_time() -> None:
    load = load_of({"rate": "1/s", "for": "5s", "until": "x == 0"}, {"burst": 1})
    arrivals = Arrivals(load, "constant", "")
    (phase,) = arrivals.open_stretches()
    assert arrivals.take_until(4 * S, 9) == [0, S, 2 * S, 3 * S, 4 * S]
    assert arrivals.end_early(phase, 3 * S) == 4 * S + 1
    assert arrivals.peek() == 4 * S + 1
    late = Arrivals(load, "constant", "")
    assert late.end_early(phase, 5 * S) is None
    assert len(late.take_until(FOREVER, 99)) == 6


def test_how_few_events_there_are_if_each_phase_ends_at_once() -> None:
    load = load_of({"rate": "5/s", "for": "2s"}, {"rate": "5/s", "for": "10s", "until": "x == 0"}, {"burst": 3})
    assert (fewest_events(load), expected_events(load)) == (13, 63)
