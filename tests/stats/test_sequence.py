"""The confidence sequence: it may be looked at after every event and is still wrong in one run of twenty at most."""

from __future__ import annotations

import random
from itertools import accumulate
from math import inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
