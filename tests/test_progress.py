"""What a person is shown while a run goes on."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from evload.progress import ProgressMeter, Span
from evload.summary import Distribution, ScenarioSummary, Summary
from evload.workload.schedule import Load, describe, duration_ns

S = 1_000_000_000


def span(name: str, start_s: int, *phases: object) -> Span:
    load = TypeAdapter(Load).validate_python(phases)
    return Span(name, start_s * S, start_s * S + duration_ns(load), describe(load))


BASE = span("base", 0, {"from": "0/s", "to": "10/s", "for": "10s"}, {"rate": "10/s", "for": "20s"})
SPIKE = span("spike", 12, {"burst": 50}, {"idle": "3s"})


def summary_of(**scenarios: dict[str, int]) -> Summary:
    built = Summary({name: ScenarioSummary() for name in scenarios})
    for name, counts in scenarios.items():
        built.scenarios[name].ledger.update(counts)
    return built


@pytest.mark.parametrize(
    ("at_s", "phase"),
    [
        (-1, "waiting"),
        (0, "base: ramp 0/s to 10/s"),
        (10, "base: hold 10/s"),
        (12, "base: hold 10/s, spike: idle"),
        (15, "base: hold 10/s"),
        (29, "base: hold 10/s"),
        (30, "settling"),
    ],
)
def test_the_phase_is_what_the_load_does_now(at_s: int, phase: str) -> None:
    summary = summary_of(base={}, spike={})
    assert ProgressMeter([BASE, SPIKE]).read(at_s * S, summary, 0, 0).phase == phase


def test_between_two_scenarios_it_waits() -> None:
    late = span("late", 60, {"burst": 1}, {"idle": "1s"})
    assert ProgressMeter([SPIKE, late]).read(20 * S, summary_of(a={}), 0, 0).phase == "waiting"


def test_rates_are_those_since_the_reading_before() -> None:
    meter = ProgressMeter([BASE, SPIKE])
    meter.read(-S, summary_of(base={}), 0, 0)
    first = meter.read(2 * S, summary_of(base={"scheduled": 30}), 9, 30)
    assert (first.offered_rate, first.achieved_rate) == (10.0, 7.0)
    second = meter.read(4 * S, summary_of(base={"scheduled": 50, "unsent": 4}, spike={"scheduled": 50}), 30, 100)
    assert (second.offered_rate, second.achieved_rate) == (35.0, (66 - 21) / 2)
    assert (second.scheduled, second.in_flight, second.outstanding) == (100, 30, 100)
    assert (second.elapsed, second.total) == (4.0, 30.0)
    assert second.states == {"scheduled": 100, "unsent": 4}


def test_percentiles_span_all_scenarios_and_are_open_where_events_are_missing() -> None:
    summary = summary_of(base={}, spike={})
    for name, values in (("base", range(1, 51)), ("spike", range(51, 97))):
        distribution = summary.scenarios[name].distributions["consistency"] = Distribution()
        for ms in values:
            distribution.lower.record(ms * 1_000_000 - 500_000)
            distribution.upper.record(ms * 1_000_000)
        for _ in range(2):
            distribution.lower.record(5 * S)
            distribution.upper.record(None)
    percentiles = ProgressMeter([BASE, SPIKE]).read(S, summary, 0, 0).percentiles
    assert percentiles.keys() == {"p50", "p95", "p99"}
    assert percentiles["p50"] == pytest.approx((0.0495, 0.05), rel=0.001)
    assert percentiles["p95"] == pytest.approx((0.0945, 0.095), rel=0.001)
    low, high = percentiles["p99"]
    assert low == pytest.approx(5.0, rel=0.001)
    assert high is None


def test_without_events_there_are_no_percentiles() -> None:
    assert ProgressMeter([BASE]).read(S, summary_of(base={}), 0, 0).percentiles == {}
