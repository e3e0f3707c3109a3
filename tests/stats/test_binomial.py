"""Clopper-Pearson bounds and the sample sizes that follow from them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr

from evload.stats.binomial import clopper_pearson_lower, clopper_pearson_upper, smallest_n


@pytest.mark.parametrize(
    ("share", "sizes"),
    [("0.95", (59, 93, 124)), ("0.99", (299, 473, 628)), ("0.999", (2995, 4742, 6294)), ("0.5", (5, 8, 11))],
)
def test_smallest_sizes_are_the_published_ones(share: str, sizes: tuple[int, ...]) -> None:
    assert tuple(smallest_n(Fraction(share), bad) for bad in range(3)) == sizes


@pytest.mark.parametrize("share", ["0", "1", "-0.5", "1.5"])
def test_no_sample_decides_a_share_of_nothing_or_all(share: str) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        smallest_n(Fraction(share), 0)


@given(st.integers(0, 6), st.fractions(Fraction(1, 10), Fraction(9999, 10_000)))
def test_one_event_fewer_is_too_few(bad: int, share: Fraction) -> None:
    n = smallest_n(share, bad)
    allowed = float(1 - share)
    assert clopper_pearson_upper(bad, n) < allowed
    assert n == bad + 1 or clopper_pearson_upper(bad, n - 1) >= allowed


@given(st.integers(1, 3000), st.data())
def test_bounds_leave_five_percent_on_their_side(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    upper, lower = clopper_pearson_upper(k, n), clopper_pearson_lower(k, n)
    assert lower <= k / n <= upper
    if k < n:
        assert bdtr(k, n, upper) == pytest.approx(0.05, rel=1e-6)
    if k > 0:
        assert 1 - bdtr(k - 1, n, lower) == pytest.approx(0.05, rel=1e-6)


def test_extremes() -> None:
    assert clopper_pearson_upper(0, 0) == 1
    assert clopper_pearson_lower(0, 0) == 0
    assert clopper_pearson_upper(7, 7) == 1
    assert clopper_pearson_lower(0, 7) == 0
    assert clopper_pearson_upper(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))


def test_effective_sizes_need_not_be_whole_and_lie_in_between() -> None:
    assert clopper_pearson_upper(1, 101) < clopper_pearson_upper(1, 100.5) < clopper_pearson_upper(1, 100)
    assert clopper_pearson_lower(2, 100) < clopper_pearson_lower(2.5, 100) < clopper_pearson_lower(3, 100)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="events"):
        clopper_pearson_upper(k, n)
    with pytest.raises(ValueError, match="events"):
        clopper_pearson_lower(k, n)


@given(st.floats(1e-3, 1e9), st.floats(0.5, 0.999999))
def test_the_closed_forms_are_the_quantiles(n: float, confidence: float) -> None:
    from scipy.special import betaincinv

    assert clopper_pearson_upper(0, n, confidence) == pytest.approx(betaincinv(1, n, confidence), rel=1e-12)
    assert clopper_pearson_lower(n, n, confidence) == pytest.approx(betaincinv(n, 1, 1 - confidence), rel=1e-12)
