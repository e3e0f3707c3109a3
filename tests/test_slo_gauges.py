"""Verdicts on gauges over time: how long beyond a limit, how high on average, how soon drained."""

from __future__ import annotations

from collections.abc import Callable

from evload.judging.gauge_watches import GaugeWatches
from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import GaugeSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from summaries import S

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
    assert _sampled("max(queue_depth) < 50 for 2m", _spike).result is Result.PASS
    assert _sampled("max(queue_depth) < 50 for 60s", _spike, critical="200").result is Result.WARN
    assert _sampled("min(queue_depth) > 4 for 10s", _spike).result is Result.PASS


def test_the_mean_of_a_gauge_in_any_window() -> None:
    judged = _sampled("mean(queue_depth) < 90 in any 30s", _spike)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (100, 100), 90)
    assert _sampled("mean(queue_depth) < 90 in any 2m", _spike).result is Result.PASS
    assert _sampled("max(queue_depth) < 100 in any 30s", _spike).result is Result.FAIL
    assert _sampled("max(queue_depth) < 120 in any 30s", _spike).result is Result.PASS


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


def test_gauges_that_failed_too_often_leave_it_open() -> None:
    objective = parse("max(queue_depth) < 50 for 10s", gauges=GAUGES)
    watches = GaugeWatches([objective], {}, GAUGES)
    gauge = GaugeSummary({"queue_depth": Series()}, failed=2)
    for second in range(10):
        gauge.series["queue_depth"].add(1)
        watches.sampled("work", second * S, second * S, {"queue_depth": 1})
    judged = judge(objective, Summary(gauges={"work": gauge}, watches=watches.results()))
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "2 samples could not be taken")
