"""The least-squares line and the dispersion of counts, against figures worked out by hand."""

from __future__ import annotations

from math import inf, sqrt

import pytest
from scipy.stats import chi2, linregress

from evload.stats.dispersion import dispersion
from evload.stats.slope import least_squares


def test_slope_and_its_error_are_the_textbook_ones() -> None:
    xs, ys = [1.0, 2, 3, 4], [2.0, 1, 4, 3]
    line = least_squares(xs, ys)
    assert line.per_unit == pytest.approx(0.6)
    assert line.t == pytest.approx(0.6 / sqrt(3.2 / 2 / 5))
    known = linregress(xs, ys)
    assert line.t == pytest.approx(known.slope / known.stderr)


def test_a_perfect_line_is_certain() -> None:
    assert least_squares([0, 1, 2], [5, 5, 5]) == (0, 0)
    assert least_squares([0, 1, 2], [0, 2, 4]) == (2, inf)
    assert least_squares([0, 1, 2], [4, 2, 0]) == (-2, -inf)
    assert least_squares([0, 1, 2], [0, 0.5, 1]) == (0.5, inf)
    assert least_squares([0, 1, 2], [1, 0.5, 0]) == (-0.5, -inf)


@pytest.mark.parametrize(("xs", "ys"), [([0, 1], [0, 1]), ([1, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 1])])
def test_no_line_without_three_points(xs: list[float], ys: list[float]) -> None:
    with pytest.raises(ValueError, match="it takes three with different xs"):
        least_squares(xs, ys)


def test_dispersion_is_fishers_index_with_known_expectations() -> None:
    found = dispersion([(8, 10.0), (13, 10.0)] * 10 + [(99, 4.9)])
    assert found is not None
    assert found.steps == 20
    assert found.ratio == pytest.approx((0.4 + 0.9) / 2)
    assert found.low == pytest.approx(chi2.ppf(0.005, 20) / 20)
    assert found.high == pytest.approx(chi2.ppf(0.995, 20) / 20)
    assert dispersion([(10, 10.0)] * 9) is None
    least = dispersion([(5, 5.0)] * 10)
    assert least is not None
    assert (least.ratio, least.steps) == (0, 10)
