"""Verdicts on gauges over time: how long beyond a limit, how high on average, how soon drained."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evload.judging.gauge_watches import GaugeWatches
from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import GaugeSummary, ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from tests.rigs.summaries import MS, S, distribution

GAUGES = {"work": ["queue_depth"], "other": ["queue_depth"]}


def _sampled(text: str, depth: Callable[[int], float], **more: str) -> ObjectiveResult:
    """A gauge sampled every second for five minutes; a spike lasts from 1m to 2m."""
    objective = parse(text, gauges=GAUGES, **more)  # type: ignore[arg-type]
    spans = {"spike": ScenarioCriteria(60 * S, 120 * S)}
    watches = GaugeWatches([objective], spans, GAUGES)
    series = Series()
    for second in range(300):
        series.add(depth(second))
        watches.sampled("work", second * S, second * S, {"queue_depth": depth(second)})
    summary = Summary(gauges={"work": GaugeSummary({"queue_depth": series})}, watches=watches.results())
    return judge(objective, summary, spans)


def _spike(second: int) -> float:
    """5 in the queue; from 1m on 100, from 2m on 10 fewer each second."""
    if 60 <= second < 120:
        return 100
    return max(5, 100 - 10 * (second - 120)) if second >= 120 else 5


def test_a_gauge_may_be_beyond_its_limit_for_a_while() -> None:
    """It is above 50 from 60 s to 124 s."""
    judged = _sampled("max(queue_depth) < 50 for 60s", _spike)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (65, 67), 60)
    assert _sampled("max(queue_depth) < 50 for 65s", _spike).result is Result.FAIL
    assert _sampled("max(queue_depth) < 50 for 66s", _spike).result is Result.INCONCLUSIVE
    assert _sampled("max(queue_depth) < 50 for 70s", _spike).result is Result.WARN
    close = _sampled("max(queue_depth) < 50 for 73s", _spike)
    assert (close.result, close.note) == (Result.WARN, "above 90 % of the limit")
    well = _sampled("max(queue_depth) < 50 for 2m", _spike)
    assert (well.result, well.observed, well.note) == (Result.PASS, (65, 67), "")
    assert _sampled("max(queue_depth) < 50 for 60s", _spike, critical="200").result is Result.WARN
    assert _sampled("min(queue_depth) > 4 for 10s", _spike).result is Result.PASS
    low = _sampled("min(queue_depth) > 50 for 73s", lambda second: 100 - _spike(second))
    assert (low.result, low.observed, low.note) == (Result.WARN, (65, 67), "above 90 % of the limit")


def test_the_mean_of_a_gauge_in_any_window() -> None:
    judged = _sampled("mean(queue_depth) < 90 in any 30s", _spike)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (100, 100), 90)
    assert _sampled("mean(queue_depth) < 90 in any 2m", _spike).result is Result.PASS
    assert _sampled("max(queue_depth) < 100 in any 30s", _spike).result is Result.FAIL
    assert _sampled("max(queue_depth) < 120 in any 30s", _spike).result is Result.PASS
    once = _sampled("max(queue_depth) < 50 in any 30s", lambda second: 100 if second == 200 else 0)
    assert (once.result, once.observed) == (Result.FAIL, (100, 100))
    least = _sampled("min(queue_depth) > 50 in any 30s", lambda second: 0 if second == 200 else 100)
    assert (least.result, least.observed) == (Result.FAIL, (0, 0))


def test_drain_is_judged_as_an_interval() -> None:
    judged = _sampled("drain(queue_depth) < 20s", _spike, scenario="spike")
    assert (judged.result, judged.observed, judged.limit) == (Result.PASS, (9, 10), 20)
    assert _sampled("drain(queue_depth) < 10.5s", _spike, scenario="spike").result is Result.WARN
    assert _sampled("drain(queue_depth) < 9.5s", _spike, scenario="spike").result is Result.INCONCLUSIVE
    assert _sampled("drain(queue_depth) < 8s", _spike, scenario="spike").result is Result.FAIL
    assert _sampled("drain(queue_depth <= 50) < 8s", _spike, after="spike").observed == (4, 5)
    assert _sampled("drain(queue_depth <= 50) < 8s", _spike, after="2m2s").observed == (2, 3)


def test_a_queue_that_never_drains_is_no_pass() -> None:
    judged = _sampled("drain(queue_depth) < 20s", lambda second: second, scenario="spike")
    assert (judged.result, judged.observed) == (Result.FAIL, (179, None))
    patient = _sampled("drain(queue_depth) < 5m", lambda second: second, scenario="spike")
    assert (patient.result, patient.note) == (Result.INCONCLUSIVE, "it was not back by the last sample")
    unknown = _sampled("drain(queue_depth <= 5) < 20s", _spike, after="10m")
    assert (unknown.result, unknown.observed) == (Result.INCONCLUSIVE, (None, None))


@pytest.mark.parametrize("text", ["mean(queue_depth) < 20 in any 30s", "max(queue_depth) < 20 for 30s"])
def test_a_value_of_which_no_window_was_seen_is_no_pass(text: str) -> None:
    objective = parse(text, gauges=GAUGES)
    seen = Series()
    seen.add(5)
    judged = judge(objective, Summary(gauges={"work": GaugeSummary({"queue_depth": seen})}))
    assert (judged.result, judged.observed) == (Result.INCONCLUSIVE, (None, None))
    assert judged.note.endswith("and no data is no pass")


def test_of_several_gauges_one_without_any_sample_has_no_say() -> None:
    objective = parse("last(queue_depth) < 20", gauges=GAUGES)
    seen = Series()
    seen.add(5)
    gauges = {"work": GaugeSummary({"queue_depth": seen}), "other": GaugeSummary({"queue_depth": Series()})}
    judged = judge(objective, Summary(gauges=gauges))
    assert (judged.result, judged.observed) == (Result.PASS, (5, 5))


def test_of_several_gauges_the_worst_counts() -> None:
    objective = parse("max(queue_depth) < 50 for 10s", gauges=GAUGES)
    watches = GaugeWatches([objective], {}, GAUGES)
    gauges = {name: GaugeSummary({"queue_depth": Series()}) for name in GAUGES}
    for second in range(60):
        for name, depth in (("work", 0), ("other", 100 if second < 30 else 0)):
            gauges[name].series["queue_depth"].add(depth)
            watches.sampled(name, second * S, second * S, {"queue_depth": depth})
    judged = judge(objective, Summary(gauges=gauges, watches=watches.results()))
    assert (judged.result, judged.observed) == (Result.FAIL, (29, 30))
    drain = parse("drain(queue_depth <= 10) < 60s", after="0s", gauges=GAUGES)
    draining = GaugeWatches([drain], {}, GAUGES)
    for second in range(60):
        for name, until in (("work", 5), ("other", 30)):
            draining.sampled(name, second * S, second * S, {"queue_depth": 100 if second < until else 0})
    assert judge(drain, Summary(gauges=gauges, watches=draining.results())).observed == (29, 30)
    only = parse("max(work.queue_depth) < 50 for 10s", gauges=GAUGES)
    watched = GaugeWatches([only], {}, GAUGES)
    assert list(watched.results()) == ["work.queue_depth < 50 for 10000000000 ns"]


def _failing(text: str, depth: float, *, failed: int, **more: str) -> ObjectiveResult:
    """Ten samples of one depth, and some that could not be taken."""
    objective = parse(text, gauges=GAUGES, **more)  # type: ignore[arg-type]
    watches = GaugeWatches([objective], {}, GAUGES)
    gauge = GaugeSummary({"queue_depth": Series()}, failed=failed)
    for second in range(10):
        # Of a gauge that never moves nothing can be told of its way back.
        value = depth + (text.startswith("drain") and second == 5)
        gauge.series["queue_depth"].add(value)
        watches.sampled("work", second * S, second * S, {"queue_depth": value})
    return judge(objective, Summary(gauges={"work": gauge}, watches=watches.results()))


@pytest.mark.parametrize(
    ("text", "after", "seen"),
    [
        ("max(queue_depth) < 50", None, 1),
        ("max(queue_depth) < 50 for 20s", None, 0),
        ("mean(queue_depth) < 50 in any 5s", None, 1),
        ("drain(queue_depth <= 10) < 60s", "0s", 0),
    ],
)
def test_gauges_that_failed_too_often_leave_it_open(text: str, after: str | None, seen: float) -> None:
    """More than one for ten that were taken."""
    more = {} if after is None else {"after": after}
    for failed, result, note in (
        (0, Result.PASS, ""),
        (1, Result.PASS, "1 samples could not be taken"),
        (2, Result.INCONCLUSIVE, "2 samples could not be taken"),
    ):
        judged = _failing(text, 1, failed=failed, **more)
        assert (judged.result, judged.note) == (result, note), text
        assert judged.observed == ((seen, None) if failed == 2 else (seen, seen)), text


@pytest.mark.parametrize("text", ["max(queue_depth) < 50", "mean(queue_depth) < 50 in any 5s"])
def test_what_was_sampled_beyond_its_limit_is_a_failure_however_many_samples_failed(text: str) -> None:
    for failed, note in ((0, ""), (20, "20 samples could not be taken")):
        judged = _failing(text, 100, failed=failed)
        assert (judged.result, judged.observed, judged.note) == (Result.FAIL, (100, 100), note)


def test_a_gauge_close_to_its_limit_warns() -> None:
    for text in ("max(queue_depth) < 50", "min(queue_depth) > 1", "min(queue_depth) >= 45"):
        assert _failing(text, 45, failed=0).result is Result.PASS, text
    close = _failing("max(queue_depth) < 50", 45.5, failed=0)
    assert (close.result, close.note) == (Result.WARN, "above 90 % of the limit")
    assert _failing("max(queue_depth) < 50", 45.5, failed=1).note == "1 samples could not be taken"


def test_a_sample_is_taken_between_its_request_and_its_answer() -> None:
    """Each takes 200 ms, so that what lasted is known less well by as much."""
    texts = {
        "max(queue_depth) < 50 for 60s": {},
        "drain(queue_depth <= 10) < 60s": {"after": "0s"},
        "drain(queue_depth <= 10) < 61s": {"after": "spike"},
        "drain(queue_depth <= 10) < 62s": {"scenario": "late"},
        "drain(queue_depth <= 10) < 63s": {"scenario": "later"},
    }
    spans = {
        "spike": ScenarioCriteria(0, 5 * S),
        "late": ScenarioCriteria(0, 12 * S),
        "later": ScenarioCriteria(0, 15 * S),
    }
    objectives = [parse(text, gauges=GAUGES, **more) for text, more in texts.items()]  # type: ignore[arg-type]
    watches, series = GaugeWatches(objectives, spans, GAUGES), Series()
    for second in range(60):
        depth = 100 if 10 <= second < 20 else 0 if second else 20
        series.add(depth)
        watches.sampled("work", second * S, second * S + 200 * MS, {"queue_depth": depth})
    summary = Summary(gauges={"work": GaugeSummary({"queue_depth": series})}, watches=watches.results())
    assert [judge(objective, summary, spans).observed for objective in objectives] == [
        (8.8, 11.2), (0, 1.2), (0, 0.2), (7, 8.2), (4, 5.2),
    ]  # fmt: skip


def test_from_a_moment_that_nobody_knows_nothing_drains() -> None:
    judged = _sampled("drain(queue_depth <= 10) < 20s", _spike, after="never-ran")
    assert (judged.result, judged.observed) == (Result.INCONCLUSIVE, (None, None))
    assert judged.note == "never-ran never began"


def test_the_time_in_all_queues_is_judged_together() -> None:
    fast, slow = distribution([(0, S)] * 600, 2 * S), distribution([(3 * S, 4 * S)] * 400, 2 * S)
    one = {"work": GaugeSummary(lag=fast)}
    assert judge(parse("p95(queue_lag) < 2s"), Summary(gauges=one)).result is Result.PASS
    both = judge(parse("p95(queue_lag) < 2s"), Summary(gauges=one | {"other": GaugeSummary(lag=slow)}))
    assert both.result is Result.FAIL
    assert list(both.observed) == pytest.approx([3, 4], rel=1e-3)
    none = judge(parse("p95(queue_lag) < 2s"), Summary(gauges={"work": GaugeSummary()}))
    assert (none.result, none.note) == (Result.INCONCLUSIVE, "no event has a queue_lag, and no data is no pass")


def _both(text: str, work: float, other: float, **more: str) -> ObjectiveResult:
    """Two gauges with the same value, each of which stays where it is for a minute."""
    objective = parse(text, gauges=GAUGES, **more)  # type: ignore[arg-type]
    watches = GaugeWatches([objective], {}, GAUGES)
    gauges = {name: GaugeSummary({"queue_depth": Series()}) for name in GAUGES}
    for second in range(60):
        for name, depth in (("work", work), ("other", other)):
            gauges[name].series["queue_depth"].add(depth)
            watches.sampled(name, second * S, second * S, {"queue_depth": depth})
    return judge(objective, Summary(gauges=gauges, watches=watches.results()))


@pytest.mark.parametrize("depths", [(50, 5), (5, 50)])
@pytest.mark.parametrize(
    ("text", "result", "worst"),
    [
        ("last(queue_depth) < 20", Result.FAIL, 50),
        ("last(queue_depth) > 20", Result.FAIL, 5),
        ("min(queue_depth) >= 5", Result.PASS, 5),
        ("last(queue_depth) == 5", Result.FAIL, 50),
        ("last(queue_depth) == 50", Result.FAIL, 5),
        ("last(queue_depth) != 5", Result.FAIL, 5),
        ("last(queue_depth) != 6", Result.PASS, 5),
        ("mean(queue_depth) <= 100", Result.PASS, 50),
        ("mean(queue_depth) < 20 in any 30s", Result.FAIL, 50),
        ("mean(queue_depth) > 20 in any 30s", Result.FAIL, 5),
        ("mean(queue_depth) < 100 in any 30s", Result.PASS, 50),
    ],
)
def test_of_several_gauges_the_one_that_is_worse_for_the_objective_counts(
    depths: tuple[float, float], text: str, result: Result, worst: float
) -> None:
    """The largest for an upper limit, the smallest for a lower one."""
    judged = _both(text, *depths)
    assert (judged.result, judged.observed) == (result, (worst, worst))


@pytest.mark.parametrize(
    ("text", "depth", "result"),
    [
        ("last(queue_depth) == 0", 0, Result.PASS),
        ("last(work.queue_depth) == 0", 0, Result.PASS),
        ("last(queue_depth) == 0", 1, Result.FAIL),
        ("max(queue_depth) == 0", 0, Result.PASS),
        ("mean(queue_depth) == 0.1", 0.1, Result.PASS),
        ("min(queue_depth) == 10%", 0.1, Result.PASS),
        ("last(queue_depth) == 0.1", 0.2, Result.FAIL),
        ("last(queue_depth) != 0", 0, Result.FAIL),
        ("last(queue_depth) != 0", 7, Result.PASS),
    ],
)
def test_a_gauge_may_have_to_be_one_value_exactly(text: str, depth: float, result: Result) -> None:
    judged = _both(text, depth, depth)
    assert (judged.result, judged.observed, judged.note) == (result, (depth, depth), "")


def test_only_the_last_value_counts_for_last() -> None:
    for depths, last in (((9, 9, 0), 0), ((0, 0, 9), 9)):
        series = Series()
        for second, depth in enumerate(depths):
            series.add(depth, second * S)
        summary = Summary(gauges={"work": GaugeSummary({"queue_depth": series})})
        judged = judge(parse("last(queue_depth) == 0", gauges=GAUGES), summary)
        assert (judged.result is Result.PASS, judged.observed) == (last == 0, (last, last))


@pytest.mark.parametrize("depths", [(5, 50), (50, 5)])
def test_a_queue_that_never_drained_is_not_hidden_by_one_that_did(depths: tuple[float, float]) -> None:
    """One is at its level at once, the other still above it a minute later."""
    patient = _both("drain(queue_depth <= 10) < 2m", *depths, after="0s")
    assert (patient.result, patient.observed) == (Result.INCONCLUSIVE, (59, None))
    assert patient.note == "it was not back by the last sample"
    short = _both("drain(queue_depth <= 10) < 50s", *depths, after="0s")
    assert (short.result, short.observed) == (Result.FAIL, (59, None))


# -- where the way back begins -----------------------------------------------------------------------------------


def _drained(depths: list[float], last_acked_ns: int | None) -> ObjectiveResult:
    """Of a queue that was sampled each second, after a burst at 2 s whose last ack came then."""
    objective = parse("drain(queue_depth <= 10) < 2s", gauges=GAUGES, after="burst")
    scenarios = {"burst": ScenarioCriteria(2 * S, 2 * S)}
    watches = GaugeWatches([objective], scenarios, GAUGES)
    gauge = GaugeSummary({"queue_depth": Series()})
    watches.acked({"burst": last_acked_ns})
    for second, depth in enumerate(depths):
        gauge.series["queue_depth"].add(depth, second * S)
        watches.sampled("work", second * S + 5 * MS, second * S + 10 * MS, {"queue_depth": depth})
    burst = ScenarioSummary(last_acked_ns=last_acked_ns)
    return judge(objective, Summary({"burst": burst}, gauges={"work": gauge}, watches=watches.results()), scenarios)


def test_a_drain_after_a_burst_begins_with_its_last_ack() -> None:
    """The first sample after the burst was due shows a queue into which nothing has come yet."""
    depths = [0.0, 0, 0, 300, 200, 100, 0]
    assert _drained(depths, None).result is Result.PASS, "what a naive tool says"
    late = _drained(depths, 2900 * MS)
    assert (late.result, late.observed) == (Result.FAIL, (2.105, 3.11))


def test_a_queue_that_was_never_away_is_back_within_one_sample_if_it_moved_at_all() -> None:
    moved = _drained([0, 5, 3, 2, 2], 2500 * MS)
    assert (moved.result, moved.observed) == (Result.PASS, (0, 0.51))
    still = _drained([0, 0, 0, 0, 0], 2500 * MS)
    assert (still.result, still.note) == (
        Result.INCONCLUSIVE, "the gauge never moved, so nothing can be told of its way back"
    )  # fmt: skip
