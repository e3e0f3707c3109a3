"""Quantiles of Prometheus histograms: over what buckets gained, as the bounds of a bucket."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.gauges.prometheus import PrometheusGaugeConfig
from evload.gauges.prometheus.quantile import INFINITE, Bounds, Gains, quantile_of
from evload.spi.context import Surroundings
from evload.spi.gauge import Sample
from tests.servers.httpserver import answer, serving

S = 1_000_000_000
BOUNDS = (0.1, 0.5, 1.0, INFINITE)
G = frozenset({("pod", "a")})
H = frozenset({("pod", "b")})


def buckets(*counts: float) -> dict[float, float]:
    return dict(zip(BOUNDS, counts, strict=True))


# -- the arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "share", "bounds"),
    [
        (buckets(10, 10, 10, 10), 0.95, Bounds(0.0, 0.1)),
        (buckets(90, 94, 100, 100), 0.95, Bounds(0.5, 1.0)),
        (buckets(90, 95, 100, 100), 0.95, Bounds(0.1, 0.5)),  # exactly at the bound: at or below it
        (buckets(90, 91, 92, 100), 0.95, Bounds(1.0, None)),
        (buckets(0, 0, 0, 1), 0.5, Bounds(1.0, None)),
        (buckets(0, 0, 0, 0), 0.5, None),
        ({-1.0: 5.0, 1.0: 10.0, INFINITE: 10.0}, 0.3, Bounds(None, -1.0)),
        ({0.1: 5.0, 1.0: 10.0}, 0.5, None),
        ({}, 0.5, None),
        # Counts that fall, as where a scrape comes between two of them, are taken to stay.
        (buckets(60, 50, 100, 100), 0.55, Bounds(0.0, 0.1)),
    ],
)
def test_a_quantile_is_the_bounds_of_its_bucket(
    gained: dict[float, float], share: float, bounds: Bounds | None
) -> None:
    assert quantile_of(gained, share) == bounds


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 300), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_bounds_hold_the_quantile_and_the_guess_of_histogram_quantile(seed: int, n: int, share: float) -> None:
    chance = random.Random(seed)
    values = sorted(chance.lognormvariate(-1, 1) for _ in range(n))
    gained = {bound: float(sum(value <= bound for value in values)) for bound in BOUNDS}
    found = quantile_of(gained, share)
    assert found is not None
    low, high = found
    rank = share * n
    truth = values[max(0, -int(-rank // 1)) - 1 if rank % 1 else int(rank) - 1]
    assert low is not None
    assert low <= truth
    assert high is None or truth <= high
    if high is not None:
        # What histogram_quantile draws: a straight line through the bucket.
        below = gained[BOUNDS[bisect_left(BOUNDS, high) - 1]] if high != BOUNDS[0] else 0.0
        guess = low + (high - low) * (rank - below) / (gained[high] - below)
        assert low <= guess <= high * (1 + 1e-12)


def gains(over_s: int, *samples: tuple[int, dict[Any, dict[float, float]]]) -> list[dict[float, float] | None]:
    found = Gains(over_s * S)
    return [None if (one := found.add(at * S, groups)) is None else dict(one) for at, groups in samples]


def test_only_what_was_gained_between_samples_counts() -> None:
    first, second = buckets(1000, 1000, 1000, 5000), buckets(1010, 1010, 1010, 5010)
    assert gains(30, (0, {G: first}), (10, {G: second})) == [None, buckets(10, 10, 10, 10)]


def test_it_is_about_the_time_before_the_sample() -> None:
    at = [(second, {G: buckets(second, second, second, second)}) for second in (0, 10, 20, 30, 40, 45)]
    # Since the first of all while the run is younger; then since the sample of 30 s ago, or the last before that.
    assert [one and one[INFINITE] for one in gains(30, *at)] == [None, 10, 20, 30, 30, 35]


def test_what_began_anew_counts_from_nothing_in_all_its_buckets() -> None:
    before, after = buckets(5, 8, 9, 10), buckets(6, 6, 6, 6)
    # 6 at or below 0.1 is more than before, and yet it is another process that counted them.
    assert gains(30, (0, {G: before}), (10, {G: after})) == [None, buckets(6, 6, 6, 6)]


def test_all_series_count_together_those_that_come_and_go_too() -> None:
    assert gains(
        30,
        (0, {G: buckets(5, 5, 5, 5)}),
        (10, {G: buckets(6, 6, 6, 6), H: buckets(0, 0, 3, 3)}),
        (20, {H: buckets(0, 0, 4, 4)}),
    ) == [None, buckets(1, 1, 4, 4), buckets(1, 1, 5, 5)]


# -- the gauge ---------------------------------------------------------------------------------------


class Ahead:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.ahead_ns = 0

    def now_ns(self) -> int:
        return self._clock.now_ns() + self.ahead_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


def page(counts: Sequence[float], path: str = "/a", name: str = "took_seconds") -> str:
    rows = zip(("0.1", "0.5", "1.0", "+Inf"), counts, strict=True)
    lines = [f'{name}_bucket{{le="{bound}",path="{path}"}} {count}\n' for bound, count in rows]
    return "".join((f"# TYPE {name} histogram\n", *lines, f'{name}_count{{path="{path}"}} {counts[-1]}\n'))


def config_of(url: str = "http://h/", **more: Any) -> PrometheusGaugeConfig:
    return PrometheusGaugeConfig.model_validate({"kind": "prometheus", "url": url, **more})


def sampled(pages: Sequence[str], **more: Any) -> tuple[list[Sample], list[str]]:
    """Samples ten seconds apart, and what the gauge remarked; the first page is for the opening."""
    script, remarks = iter(pages), list[str]()

    async def run() -> list[Sample]:
        clock: Any = Ahead()
        found = []
        async with serving(lambda _: (answer(200, next(script).encode()),)) as server:
            around = Surroundings(clock, "r-1", Path(), remark=remarks.append)
            async with config_of(server.url, **more).open(around) as gauge:
                for _ in pages[1:]:
                    found.append(await gauge.sample())
                    clock.ahead_ns += 10 * S
        return found

    return asyncio.run(run()), remarks


P95: dict[str, Any] = {"p95": {"histogram": "took_seconds", "quantile": 0.95, "labels": {"path": "/a"}}}


def test_the_gauge_gives_both_bounds_of_what_came_since_the_sample_before() -> None:
    first, second = page((500, 600, 700, 900)), page((590, 694, 800, 1000))
    other = page((0, 0, 0, 9000), path="/b").replace("# TYPE took_seconds histogram\n", "")
    samples, remarks = sampled([first, first + other, second + other, second + other], values=P95)
    assert samples == [
        Sample({}, missing=True),
        Sample({"p95": 1.0, "p95.low": 0.5}),
        # Nothing new within the last sample, and yet within the 30 s.
        Sample({"p95": 1.0, "p95.low": 0.5}),
    ]
    assert remarks == []


def test_beyond_the_last_bound_there_is_no_value_and_that_is_said() -> None:
    pages = [page((0, 0, 0, 0)), page((0, 0, 0, 0)), page((1, 1, 1, 9))]
    samples, remarks = sampled(pages, values=P95, metric="took_seconds_count", **{"as": "seen"})
    assert samples == [
        Sample({"seen": 0.0}, absent=("p95", "p95.low")),
        Sample({"seen": 9.0, "p95.low": 1.0}, absent=("p95",)),
    ]
    assert remarks == ["p95 was beyond the last bucket of took_seconds, where it has no value"]


def test_a_histogram_that_is_not_there_yet_is_remarked() -> None:
    samples, (remark,) = sampled(["up 1\n", "up 1\n"], values=P95)
    assert samples == [Sample({}, missing=True)]
    assert remark.startswith("there is no metric took_seconds at ")


def test_a_bucket_that_is_no_number() -> None:
    samples, _ = sampled([page((0, 0, 0, 0)), page((0, 0, 0, float("nan")))], values=P95)
    assert samples == [Sample({}, "a bucket of took_seconds has no number")]


def test_what_objectives_may_ask_of_it() -> None:
    config = config_of(values=P95, metric="hits_total")
    assert config.metrics == ("hits_total", "p95", "p95.low")
    assert config.counters == ("hits_total",)
    assert config_of(values=P95).counters == ()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "neither metric nor values is given; write metric: NAME"),
        ({"values": {"p": {"histogram": "a_bucket", "quantile": 0.9}}}, "'a_bucket' are its buckets; write a"),
        ({"values": {"p": {"histogram": "a", "quantile": 95}}}, "less than 1"),
        ({"values": {"p": {"histogram": "a", "quantile": 0}}}, "greater than 0"),
        ({"values": {"p": {"histogram": "a"}}}, "Field required"),
        ({"values": {"consistency": {"histogram": "a", "quantile": 0.9}}}, "is the name of a distribution"),
        ({"values": {"p": {"histogram": "a", "quantile": 0.9}}, "as": "x"}, "as is about a metric"),
        ({"values": {"p": {"histogram": "a", "quantile": 0.9}}, "labels": {}}, "labels is about a metric"),
        ({"values": {"p": {"histogram": "a", "quantile": 0.9}}, "metric": "p"}, "two values are called p"),
    ],
)
def test_what_can_not_be_asked_for(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config_of(**settings)
    assert why in str(caught.value)
