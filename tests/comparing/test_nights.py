"""One night against many: how often a sound one is called a regression, and how soon a planted one is found."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from evload.comparing.figures import Span
from evload.comparing.nights import applies, judge
from evload.comparing.regression import Figure, FigureResult, Outcome
from tests.rigs.shares import seeds

NIGHTS: Final = 30
RULES: Final[Mapping[str, float]] = {
    "p50": 0.10, "p90": 0.20, "p95": 0.20, "p99": 0.50, "mean": 0.10, "throughput": 0.20, "errors": 0.001,
    "lost": 0.0, "cost": 0.10, "max(work-queue.queue_depth)": 0.50,
}  # fmt: skip
"""Ten gated figures."""
_TIMES: Final = {"p50": 0.05, "p90": 0.2, "p95": 0.3, "p99": 0.8, "mean": 0.07}
HISTORIES: Final = 1000
_TOGETHER: Final = 250
"""Histories of one test."""


def night(rng: random.Random, day: int, p50: float = 1.0) -> dict[str, Span]:
    """The figures of one night: of its day, of its day of the week, and each with a noise of its own."""
    week = 1 + 0.03 * math.sin(2 * math.pi * day / 7)
    of_day = rng.gauss(1, 0.02) * week
    told = {
        name: seconds * of_day * rng.gauss(1, 0.015 if name in ("p50", "mean") else 0.04)
        for name, seconds in _TIMES.items()
    }
    told["p50"] *= p50
    told["throughput"] = 100 * rng.gauss(1, 0.005)
    told["errors"] = rng.choice((0, 0, 0, 1, 2)) / 10_000
    told["lost"] = rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 1)) / 10_000
    told["cost"] = 0.02 * week * rng.gauss(1, 0.02)
    told["max(work-queue.queue_depth)"] = float(rng.randint(20, 60))
    return {name: Span(value, value) for name, value in told.items()}


def judged(nights: Sequence[Mapping[str, Span]], rules: Mapping[str, float] = RULES) -> list[FigureResult]:
    *base, new = nights
    figures = [Figure(name, [one[name] for one in base], [new[name]]) for name in RULES]
    return judge(figures, rules, same_plan=True)


def history(seed: int, p50: float = 1.0) -> list[FigureResult]:
    """A night after thirty others, which begin on some day of the week."""
    rng = random.Random(f"history {seed}")
    first = rng.randrange(7)
    nights = [night(rng, first + day) for day in range(NIGHTS)]
    return judged([*nights, night(rng, first + NIGHTS, p50)])


@pytest.mark.parametrize("portion", seeds(HISTORIES // _TOGETHER, 1))
def test_a_sound_night_is_hardly_ever_called_a_regression(portion: int) -> None:
    """1 in 31 at most in all ten figures together; what is tolerated isn't even called one."""
    seeds_of = range(portion * _TOGETHER, (portion + 1) * _TOGETHER)
    alarms = sum(any(one.regression for one in history(seed)) for seed in seeds_of)
    assert alarms <= _TOGETHER / (NIGHTS + 1)


@pytest.mark.parametrize("portion", seeds(HISTORIES // _TOGETHER, 1))
def test_a_p50_that_is_a_fifth_longer_is_found_the_first_night(portion: int) -> None:
    seeds_of = range(portion * _TOGETHER, (portion + 1) * _TOGETHER)
    found = sum(any(one.name == "p50" and one.regression for one in history(seed, p50=1.2)) for seed in seeds_of)
    assert found >= 0.8 * _TOGETHER


@pytest.mark.parametrize("portion", seeds(10, 2))
def test_without_any_tolerance_the_worst_of_nights_that_are_alike_is_the_newest_once_in_so_many(portion: int) -> None:
    """The claim itself, of 1,000 histories of 19 nights: 1 in 20 at most, in figures that have nothing in common.

    In a hundred of them up to 13 are within the noise of such a count (binomial, 99.9 %).
    """
    rng = random.Random(f"alike {portion}")
    alarms = 0
    for _ in range(100):
        nights = [{name: Span(value := rng.lognormvariate(0, 1), value) for name in RULES} for _ in range(20)]
        alarms += any(one.regression for one in judged(nights, dict.fromkeys(RULES, 0.0)))
    assert alarms <= 13


def flat(**changed: float) -> dict[str, Span]:
    usual = {"p50": 0.05, "throughput": 100.0, "lost": 0.0, "max(work-queue.queue_depth)": 40.0} | changed
    return {name: Span(value, value) for name, value in usual.items()}


def outcome_of(
    name: str, before: Sequence[float], newest: float, tolerance: float | None = 0.2, **more: float
) -> FigureResult:
    figure = Figure(name, [Span(value, value) for value in before], [Span(newest, newest)])
    (result,) = judge([figure], {} if tolerance is None else {name: tolerance}, same_plan=True)
    return result


WAVES: Final = [1 + 0.01 * (n % 5) for n in range(NIGHTS)]
"""1 to 1.04."""


def test_what_is_beyond_all_nights_and_the_tolerance_is_a_regression_and_the_change_is_told() -> None:
    worse = outcome_of("p50", WAVES, 1.3)
    assert (worse.outcome, worse.regression) == (Outcome.WORSE, True)
    assert worse.shift is not None
    assert worse.change(worse.shift.estimate) == pytest.approx(1.3 / 1.02 - 1)
    tolerated = outcome_of("p50", WAVES, 1.2)
    assert (tolerated.outcome, tolerated.regression) == (Outcome.TOLERATED, False)
    assert outcome_of("p50", WAVES, 1.04).outcome is Outcome.USUAL, "as bad as the worst, and not worse"
    assert outcome_of("p50", WAVES, 0.5).outcome is Outcome.BETTER
    assert outcome_of("p50", [1.0] * NIGHTS, 1.0).outcome is Outcome.EQUAL


def test_one_night_as_bad_in_the_history_makes_the_newest_a_usual_one() -> None:
    assert outcome_of("p50", [*WAVES, 1.35], 1.3).outcome is Outcome.USUAL


def test_a_rate_is_worse_when_it_falls() -> None:
    assert outcome_of("throughput", [100 * one for one in WAVES], 70).outcome is Outcome.WORSE
    assert outcome_of("throughput", [100 * one for one in WAVES], 90).outcome is Outcome.TOLERATED
    assert outcome_of("throughput", [100 * one for one in WAVES], 130).outcome is Outcome.BETTER


def test_what_was_never_lost_and_now_is_is_beyond_all_nights() -> None:
    """Where nights don't differ at all there is no usual distance: what differs is far away."""
    assert outcome_of("lost", [0.0] * NIGHTS, 0.002, 0.001).outcome is Outcome.WORSE
    assert outcome_of("lost", [0.0] * NIGHTS, 0.0005, 0.001).outcome is Outcome.TOLERATED
    assert outcome_of("lost", [*[0.0] * (NIGHTS - 1), 0.003], 0.002, 0.001).outcome is Outcome.USUAL


def test_a_gauge_that_was_0_has_no_ratio_and_is_told_by_its_difference() -> None:
    worse = outcome_of("max(dead.letters)", [0.0] * NIGHTS, 3.0, 0.2)
    assert worse.outcome is Outcome.WORSE
    assert worse.shift is not None
    assert worse.change(worse.shift.estimate) == 3.0
    tolerated = outcome_of("max(work.depth)", [float(40 + n % 3) for n in range(NIGHTS)], 48.0, 0.2)
    assert tolerated.outcome is Outcome.TOLERATED
    assert tolerated.shift is not None
    assert tolerated.change(tolerated.shift.estimate) == pytest.approx(7 / 41)


def test_a_percentile_beyond_the_deadline_is_beyond_all_that_are_not() -> None:
    never = Figure("p99", [Span(value, value) for value in WAVES], [Span(1.0, None)])
    (result,) = judge([never], {"p99": 0.5}, same_plan=True)
    assert result.outcome is Outcome.WORSE
    mostly = Figure("p99", [Span(1.0, None)] * NIGHTS, [Span(1.0, 1.1)])
    (result,) = judge([mostly], {"p99": 0.5}, same_plan=True)
    assert (result.outcome, result.undecided) == (Outcome.UNKNOWN, True)


def test_runs_that_were_read_by_different_plans_have_to_differ_beyond_their_brackets() -> None:
    figure = Figure("p50", [Span(value, value * 1.4) for value in WAVES], [Span(1.3, 1.82)])
    assert [judge([figure], {"p50": 0.2}, same_plan=same)[0].outcome for same in (True, False)] == [
        Outcome.WORSE, Outcome.USUAL,
    ]  # fmt: skip


def test_a_figure_that_a_night_lacks_cant_be_told_and_spoils_no_other() -> None:
    lacking = Figure("cost", [*[Span(value, value) for value in WAVES[1:]], None], [Span(2.0, 2.0)])
    whole = Figure("p50", [Span(value, value) for value in WAVES], [Span(1.3, 1.3)])
    cost, p50 = judge([lacking, whole], {"cost": 0.1, "p50": 0.1}, same_plan=True)
    assert (cost.outcome, cost.reason) == (Outcome.UNKNOWN, "not every run has this figure")
    assert p50.outcome is Outcome.WORSE


def test_it_takes_nineteen_nights_and_one() -> None:
    assert [applies(*sides) for sides in ((18, 1), (19, 1), (30, 2))] == [False, True, False]
