"""What a person is shown while a run goes on."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
from pydantic import TypeAdapter

from evload.engine.progress import Goal, ProgressMeter, Span, goal_of
from evload.model.marker import Marker
from evload.model.progress import ActionNow
from evload.model.summary import Distribution, GaugeSummary, ScenarioSummary, Series, Summary
from evload.model.vitals import Incident
from evload.objectives.grammar import parse
from evload.tracking.outstanding import Moment
from evload.workload.schedule import Load

S = 1_000_000_000


def span(name: str, start_s: int, *phases: object) -> Span:
    return Span.of(name, start_s * S, TypeAdapter(Load).validate_python(phases))


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


@pytest.mark.parametrize(
    ("at_s", "outstanding", "phase"),
    [
        (30, 3, "confirming that what is visible stays so"),
        (30, 4, "settling"),  # one isn't seen yet
        (30, 0, "settling"),
        (29, 3, "base: hold 10/s"),
        (-1, 3, "waiting"),
    ],
)
def test_once_all_events_are_seen_it_says_what_it_still_waits_for(at_s: int, outstanding: int, phase: str) -> None:
    shown = Moment([], [{(1, 2): 2}, {(3, 4): 1}])
    read = ProgressMeter([BASE, SPIKE]).read(at_s * S, summary_of(base={}, spike={}), 0, outstanding, acked=shown)
    assert read.phase == phase
    empty = ProgressMeter([BASE, SPIKE]).read(at_s * S, summary_of(base={}, spike={}), 0, 0)
    assert empty.phase != "confirming that what is visible stays so"


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
    assert percentiles["p50"] == pytest.approx((0.0495, 0.05), rel=0.016)
    assert percentiles["p95"] == pytest.approx((0.0945, 0.095), rel=0.016)
    low, high = percentiles["p99"]
    assert low == pytest.approx(5.0, rel=0.016)
    assert high is None


def test_what_nobody_looks_for_is_neither_visible_nor_missing() -> None:
    """Steps of journeys that send are acked and never looked for; what they wait for is."""
    summary = summary_of(
        base={"scheduled": 90, "acked": 90, "unobserved": 90}, spike={"scheduled": 10, "acked": 10, "visible": 8}
    )
    assert ProgressMeter([BASE, SPIKE]).read(S, summary, 0, 0).visible is None
    summary.scenarios["spike"].distributions["consistency"] = Distribution()
    assert ProgressMeter([BASE, SPIKE]).read(S, summary, 0, 0).visible == 0.8
    assert summary.followed() == {**dict.fromkeys(summary.scenarios["spike"].ledger, 0), "scheduled": 10, "acked": 10,
                                  "visible": 8}  # fmt: skip


def test_without_events_there_are_no_percentiles() -> None:
    assert ProgressMeter([BASE]).read(S, summary_of(base={}), 0, 0).percentiles == {}


def test_a_span_knows_the_shape_of_its_load() -> None:
    ramp, hold = BASE.shape()
    assert ramp == pytest.approx((0, 10, 0, 10))
    assert hold == (10.0, 30.0, 10.0, 10.0)
    assert SPIKE.shape() == ((12.0, 12.0, 0.0, 0.0), (12.0, 15.0, 0.0, 0.0))
    spans = ProgressMeter([BASE, SPIKE]).read(0, summary_of(a={}), 0, 0).spans
    assert spans == {"base": BASE.shape(), "spike": SPIKE.shape()}


def see(summary: Summary, count: int, ms: int | None, *, metric: str = "consistency") -> None:
    """Settle `count` events of the first scenario whose bracket is [0.9, 1] of `ms`."""
    distribution = next(iter(summary.scenarios.values())).distributions.setdefault(metric, Distribution())
    for _ in range(count):
        distribution.lower.record(9 * S if ms is None else ms * 900_000)
        distribution.upper.record(None if ms is None else ms * 1_000_000)


def test_recent_percentiles_are_of_the_last_seconds_and_the_others_of_the_whole_run() -> None:
    summary, meter = summary_of(base={}), ProgressMeter([BASE])
    see(summary, 100, 100)
    meter.read(S, summary, 0, 0)
    meter.read(2 * S, summary, 0, 0)
    see(summary, 10, 1000)
    now = meter.read(7 * S, summary, 0, 0)
    assert now.recent_events == 10
    assert now.recent["p50"] == pytest.approx((0.9, 1.0), rel=0.016)
    assert now.percentiles["p50"] == pytest.approx((0.09, 0.1), rel=0.016)
    assert now.recent.keys() == now.percentiles.keys() == {"p50", "p95", "p99"}
    see(summary, 0, 1)
    meter.read(12 * S, summary, 0, 0)
    last = meter.read(13 * S, summary, 0, 0)
    assert (last.recent, last.recent_events) == ({}, 0)
    assert last.percentiles["p50"] == now.percentiles["p50"]


def test_the_watched_percentile_is_that_of_its_objective() -> None:
    summary, meter = summary_of(base={}), ProgressMeter([BASE], Goal(Fraction(9, 10), 2 * S), late_ns=20_000_000)
    see(summary, 95, 100)
    see(summary, 5, None)
    now = meter.read(S, summary, 0, 0)
    assert list(now.recent) == ["p50", "p90", "p95", "p99"]
    assert (now.watched, now.limits) == ("p90", {"consistency": 2.0, "schedule_delay": 0.02})
    assert now.recent["p90"] == pytest.approx((0.09, 0.1), rel=0.016)
    assert now.recent["p99"][1] is None
    assert list(now.history["consistency"]) == pytest.approx([0.1], rel=0.016)


def test_history_has_a_value_for_each_second_of_the_last_minute() -> None:
    summary, meter = summary_of(base={}), ProgressMeter([BASE])
    depth = summary.gauges.setdefault("work", GaugeSummary({"depth": Series()})).series["depth"]
    for half in range(1, 9):
        summary.scenarios["base"].ledger["scheduled"] += 10 * half
        if half > 3:
            depth.add(half)
        now = meter.read(half * S // 2, summary, 5, 0)
    assert now.history["offered"] == (30.0, 70.0, 110.0, 150.0)
    assert now.history["achieved"] == (25.0, 70.0, 110.0, 150.0)
    assert now.history["work depth"] == (4, 6, 8)
    assert now.gauges == {"work depth": 8}
    assert now.history["consistency"] == (None,) * 4
    see(summary, 5, None)
    meter.read(7 * S, summary, 5, 0)
    meter.read(int(7.5 * S), summary, 5, 0)
    skipped = meter.read(9 * S, summary, 5, 0)
    assert skipped.history["consistency"][4:] == (inf, inf, inf, inf, inf)
    for second in range(10, 200):
        now = meter.read(second * S, summary, 5, 0)
    assert {len(values) for values in now.history.values()} == {60}
    assert now.history["consistency"] == (None,) * 60


def test_before_the_start_nothing_is_kept() -> None:
    meter = ProgressMeter([BASE])
    assert meter.read(-S // 100, summary_of(base={}), 0, 0).history == {}
    assert meter.read(S // 2, summary_of(base={}), 0, 0).history == {}


def test_how_late_sends_were_is_said_of_the_last_seconds() -> None:
    summary, meter = summary_of(base={}), ProgressMeter([BASE])
    assert meter.read(0, summary, 0, 0).lateness is None
    see(summary, 100, 30, metric="schedule_delay")
    meter.read(S, summary, 0, 0)
    late = [meter.read(S + n, summary, 0, 0).lateness for n in (1, 2)]
    assert late == [pytest.approx(0.03, rel=0.016)] * 2
    meter.read(7 * S, summary, 0, 0)
    assert meter.read(8 * S, summary, 0, 0).lateness is None


def test_what_fails_just_now_and_what_begins_to_is_handed_on() -> None:
    summary, meter = summary_of(base={}), ProgressMeter([BASE])
    summary.vitals.incidents = [
        Incident("old", "refused", 0, 4 * S), Incident("read-model", "HTTP 500", 6 * S, 9 * S, 12),
    ]  # fmt: skip
    now = meter.read(10 * S, summary, 0, 0, ["lateness: p99 1 s"])
    assert now.incidents == (("read-model: HTTP 500", 6.0, 12),)
    assert now.worries == ("lateness: p99 1 s",)


@pytest.mark.parametrize(
    ("texts", "goal"),
    [
        ([], Goal()),
        (["p99(end_to_end) < 1s", "lost == 0", "max(consistency) < 9s"], Goal()),
        (["p99(consistency) < 3s"], Goal(Fraction(99, 100), 3 * S)),
        (["p99(consistency) < 3s", "share(consistency < 2s) >= 90%"], Goal(Fraction(99, 100), 3 * S)),
        (["p99(consistency) < 3s", "p95(consistency) < 4s", "share(consistency < 2s) >= 95%"], Goal(limit_ns=2 * S)),
    ],
)
def test_the_goal_is_the_objective_about_the_window_nearest_to_p95(texts: list[str], goal: Goal) -> None:
    assert goal_of([parse(text) for text in texts], ["base"]) == goal


def test_a_limit_for_a_part_of_the_events_is_none_for_all() -> None:
    of_one = parse("p95(consistency) < 1s", scenario="base")
    assert goal_of([of_one], ["base"]) == Goal(limit_ns=S)
    assert goal_of([of_one], ["base", "spike"]) == Goal()
    assert goal_of([parse("p95(consistency) < 1s", replica="eu-1")], ["base"]) == Goal()


def test_a_goal_is_called_as_people_do() -> None:
    assert [Goal(Fraction(p, 1000)).name for p in (500, 950, 990, 999)] == ["p50", "p95", "p99", "p99.9"]


def test_what_is_done_to_the_system_is_part_of_a_moment() -> None:
    summary = summary_of(base={})
    summary.markers = [Marker("slow", 0, (2 * S, 2 * S)), Marker("cut", 0, (S, S), (3 * S, 4 * S))]
    meter = ProgressMeter([BASE], lasts_ns={"slow": 300 * S})
    assert meter.read(5 * S, summary, 0, 0).actions == (
        ActionNow("cut", 0, "over", 1.0, 4.0),
        ActionNow("slow", 0, "on", 2.0, None, 300.0),
    )
    assert ProgressMeter([BASE]).read(5 * S, summary_of(base={}), 0, 0).actions == ()
