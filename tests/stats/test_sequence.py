"""The confidence sequence: it may be looked at after every event and is still wrong in one run of twenty at most."""

from __future__ import annotations

import random
import sys
from itertools import accumulate
from math import comb, exp, inf, log, log1p
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from evload.stats.binomial import clopper_pearson_lower
from evload.stats.sequence import log_evidence, lower_bound, rejects

LIMIT = 0.05
EVENTS = 1500
RUNS = 1000


def _boundary(rejected: list[int], bad: int, n: int) -> int:
    """The fewest bad events of n with which the sequence rejects; it never falls as n grows."""
    while not rejects(min(bad, n), n, LIMIT) and bad <= n:
        bad += 1
    rejected.append(bad)
    return bad


@pytest.fixture(scope="module")
def boundary() -> list[int]:
    found: list[int] = []
    bad = 1
    for n in range(1, EVENTS + 1):
        bad = _boundary(found, bad, n)
    return found


def _false_alarms(critical: list[int], rate: float) -> float:
    """Share of runs in which, at any look after any event, as many are bad as it takes."""
    rng = random.Random(11)
    alarms = 0
    for _ in range(RUNS):
        seen = accumulate(rng.random() < rate for _ in range(EVENTS))
        alarms += any(bad >= enough for bad, enough in zip(seen, critical, strict=True))
    return alarms / RUNS


def test_looks_after_every_event_stay_within_five_percent(boundary: list[int]) -> None:
    at_limit = _false_alarms(boundary, LIMIT)
    assert at_limit <= 0.05
    assert _false_alarms(boundary, LIMIT / 2) <= at_limit


def test_a_fixed_interval_looked_at_again_and_again_does_not() -> None:
    critical = []
    bad = 1
    for n in range(1, EVENTS + 1):
        while bad <= n and clopper_pearson_lower(bad, n) <= LIMIT:
            bad += 1
        critical.append(bad)
    assert _false_alarms(critical, LIMIT) > 0.15


def test_it_has_power_where_it_is_wanted(boundary: list[int]) -> None:
    assert _false_alarms(boundary, 2 * LIMIT) > 0.99
    assert rejects(4, 4, 0.01)
    assert not rejects(2, 2, 0.05)


@given(st.integers(0, 400), st.data())
def test_bad_events_speak_for_it_and_good_ones_against(n: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, n))
    here = log_evidence(bad, n, LIMIT)
    assert log_evidence(bad + 1, n + 1, LIMIT) >= here - 1e-9
    assert log_evidence(bad, n + 1, LIMIT) <= here + 1e-9


@given(st.integers(1, 60), st.integers(0, 2000), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_lower_bound_is_where_rejection_ends(bad: int, good: int, confidence: float) -> None:
    bound = lower_bound(bad, bad + good, confidence)
    assert 0 <= bound < bad / (bad + good)
    assert not rejects(bad, bad + good, min(bound * 1.001 + 1e-9, 0.999), confidence)
    if bound > 1e-9:
        assert rejects(bad, bad + good, bound * 0.999, confidence)


def test_the_price_of_looking_at_any_time_is_a_wider_bound() -> None:
    assert lower_bound(50, 1000) < clopper_pearson_lower(50, 1000) < 0.05
    assert lower_bound(0, 1000) == 0
    assert lower_bound(50, 1000, 0.99) < lower_bound(50, 1000)


def _mixture(bad: float, events: float, limit: float) -> float:
    """The likelihood ratio's mean over rates drawn from Beta(1, b) above the limit, where (1 - rate)^b is uniform."""
    b = (1 - limit) / limit

    def ratio(uniform: float) -> float:
        kept = (1 - limit) * uniform ** (1 / b)
        return float(((1 - kept) / limit) ** bad * (kept / (1 - limit)) ** (events - bad))

    return float(quad(ratio, 0, 1, epsabs=0, epsrel=1e-12)[0])


@pytest.mark.parametrize(
    ("bad", "events", "limit"),
    [(0, 12, 0.1), (3, 5, 0.2), (2.5, 6.25, 0.3), (7, 40, 0.05), (40, 1000, 0.05), (4.5, 4.5, 0.7), (9, 10, 0.9)],
)
def test_the_evidence_is_the_mean_of_likelihood_ratios(bad: float, events: float, limit: float) -> None:
    assert log_evidence(bad, events, limit) == pytest.approx(log(_mixture(bad, events, limit)), abs=1e-9)


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5, 0.9])
def test_the_evidence_of_one_event_and_of_good_ones_by_hand(limit: float) -> None:
    """Of (1 - rate) / (1 - limit) = u^(1/b) the mean is b / (b + 1) = 1 - limit, and of its nth power b / (b + n)."""
    assert log_evidence(1, 1, limit) == pytest.approx(log(2 - limit), abs=1e-10)
    assert log_evidence(0, 1, limit) == pytest.approx(log(1 - limit), abs=1e-10)
    assert log_evidence(0, 100, limit) == pytest.approx(-log1p(100 * limit / (1 - limit)), abs=1e-9)


@pytest.mark.parametrize(("events", "limit"), [(1, 0.05), (6, 0.3), (30, 0.05), (30, 0.8)])
def test_at_the_limit_the_evidence_is_one_on_average(events: int, limit: float) -> None:
    """That is what makes it a martingale there, which may be looked at whenever one likes."""
    chances = [comb(events, bad) * limit**bad * (1 - limit) ** (events - bad) for bad in range(events + 1)]
    mean = sum(chance * exp(log_evidence(bad, events, limit)) for bad, chance in enumerate(chances))
    assert mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("bad", "events", "confidence"), [(7, 40, 0.95), (12.5, 80, 0.99), (2, 2, 0.5), (20, 400, 0.8)]
)
def test_the_lower_bound_is_where_the_evidence_is_worth_the_confidence(
    bad: float, events: float, confidence: float
) -> None:
    def missing(limit: float) -> float:
        return log(_mixture(bad, events, limit)) + log(1 - confidence)

    known = brentq(missing, bad / events / 20, bad / events * 0.999, xtol=1e-14)
    assert lower_bound(bad, events, confidence) == pytest.approx(known, rel=3e-9)


def test_the_lower_bound_of_a_single_bad_event() -> None:
    """Its evidence is 2 - limit, which is to reach 1 / (1 - confidence)."""
    assert lower_bound(1, 1, 0.4) == pytest.approx(1 / 3, rel=3e-9)
    assert lower_bound(1, 1) == 0, "one event never comes to twenty"


def test_a_bound_that_is_nowhere_is_given_up_soon() -> None:
    """After forty halvings, and not after the thousand that a float has."""
    looks = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal looks
        looks += event == "call" and frame.f_code is rejects.__code__

    sys.setprofile(count)
    bound = lower_bound(1, 1)
    sys.setprofile(None)
    assert (bound, looks) == (0, 40)


def test_evidence_that_is_just_enough_is_enough() -> None:
    assert rejects(0, 0, 0.5, confidence=0)
    assert not rejects(0, 1, 0.5, confidence=0)


def test_of_no_events_no_rate_is_rejected() -> None:
    assert lower_bound(0, 0) == 0
    assert not rejects(0, 0, 0.001)


def test_extremes() -> None:
    assert log_evidence(0, 0, 0.05) == 0
    assert log_evidence(0, 10**7, 0.05) == -inf
    assert log_evidence(10**6, 10**6, 0.05) > 1e6
    assert rejects(3.5, 3.5, 0.001)
    assert log_evidence(1, 1, 0.05) < log(20)


@pytest.mark.parametrize(("bad", "events", "limit"), [(-1, 5, 0.1), (6, 5, 0.1), (1, 5, 0), (1, 5, 1)])
def test_impossible_arguments_are_refused(bad: int, events: int, limit: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|events"):
        rejects(bad, events, limit)


@pytest.mark.parametrize(("bad", "events"), [(-1, 5), (0, -1), (6, 5), (1, 0), (-1, 0)])
def test_no_bound_is_told_of_what_can_not_have_been_seen(bad: int, events: int) -> None:
    with pytest.raises(ValueError, match=rf"^{bad} of {events} events$"):
        lower_bound(bad, events)
