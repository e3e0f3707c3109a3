"""Verdicts on what gauges come to: how soon reached, how much risen, added up, grown, and as a share of another."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from evload.judging.abort import reason_to_abort
from evload.judging.gauge_watches import GaugeWatches
from evload.judging.judge import judge
from evload.model.marker import Marker
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import GaugeSummary, ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from evload.stats.watches import MISSING, is_missing
from tests.rigs.summaries import MS, S

GAUGES = {"pods": ["replicas", "missed", "asked"], "other": ["asked"]}
RAMP = ScenarioCriteria(10 * S, 20 * S, rates=((10 * S, 20 * S, 0.0, 100.0),))


def sampled(objective: Objective, values: Mapping[str, Sequence[float]], failed: int = 0) -> Summary:
    """The gauge `pods`, sampled every second."""
    watches = GaugeWatches([objective], {"ramp": RAMP}, GAUGES)
    gauge = GaugeSummary(failed=failed)
    for second in range(len(next(iter(values.values())))):
        told = {name: values[name][second] for name in values}
        for name, value in told.items():
            if is_missing(value):
                gauge.missing += 1
            else:
                gauge.series.setdefault(name, Series()).add(value, second * S)
        watches.sampled("pods", second * S, second * S, told)
    return Summary(gauges={"pods": gauge}, watches=watches.results(), watch_notes=watches.notes())


def came(
    text: str, of: Callable[[int], float] | Mapping[str, Sequence[float]], failed: int = 0, **more: Any
) -> ObjectiveResult:
    """What came of an objective about half a minute of `replicas`, or of these values."""
    objective = parse(text, gauges=GAUGES, **more)
    values = {"replicas": [of(second) for second in range(30)]} if callable(of) else of
    return judge(objective, sampled(objective, values, failed), {"ramp": RAMP})


def _scaled(second: int) -> float:
    """2 replicas, from 14 s on 10."""
    return 10 if second >= 14 else 2


def test_what_is_reached_counts_from_the_start_of_its_scenario_and_names_the_rate() -> None:
    found = came("reach(replicas >= 10) < 10s", _scaled, scenario="ramp")
    assert (found.result, found.observed, found.limit) == (Result.PASS, (3, 4), 10)
    assert found.note == "reached at 30/s to 40/s offered"
    assert came("reach(replicas >= 10) < 3s", _scaled, scenario="ramp").result is Result.FAIL
    assert came("reach(replicas >= 10) < 3.5s", _scaled, scenario="ramp").result is Result.INCONCLUSIVE
    near = came("reach(replicas >= 10) < 4.1s", _scaled, scenario="ramp")
    assert (near.result, near.note) == (Result.WARN, "above 90 % of the limit; reached at 30/s to 40/s offered")
    assert came("reach(replicas >= 10) < 3s", _scaled, scenario="ramp", critical="9s").result is Result.WARN
    since = came("reach(replicas == 10) < 10s", _scaled, after="12s")
    assert (since.result, since.observed) == (Result.PASS, (1, 2))


def test_what_is_reached_after_its_scenario_was_reached_at_no_rate() -> None:
    late = came("reach(replicas >= 10) < 1m", lambda second: 10 if second >= 25 else 2, scenario="ramp")
    assert (late.result, late.observed) == (Result.PASS, (14, 15))
    assert late.note == "reached at 0/s offered"
    end = came("reach(replicas >= 10) < 1m", lambda second: 10 if second >= 20 else 2, scenario="ramp")
    assert end.note == "reached at 0/s to 90/s offered"
    start = came("reach(replicas >= 10) < 1m", lambda second: 10 if second >= 11 else 2, scenario="ramp")
    assert start.note == "reached at 0/s to 10/s offered"


def test_what_is_never_reached_is_no_pass_and_what_was_there_already_says_nothing() -> None:
    late = came("reach(replicas > 10) < 15s", _scaled, scenario="ramp")
    assert (late.result, late.observed) == (Result.FAIL, (19, None))
    patient = came("reach(replicas > 10) < 1m", _scaled, scenario="ramp")
    assert (patient.result, patient.note) == (Result.INCONCLUSIVE, "it was not reached by the last sample")
    after = came("reach(replicas > 10) < 1m", {"asked": [1.0] * 5}, scenario="ramp")
    assert (after.result, after.note) == (
        Result.INCONCLUSIVE, "no sample was taken after that moment, and no data is no pass"
    )  # fmt: skip
    already = came("reach(replicas >= 2) < 1m", _scaled, scenario="ramp")
    assert (already.result, already.observed) == (Result.INCONCLUSIVE, (None, None))
    assert already.note == "it was so already at the moment from which this counts"
    after = came("reach(replicas >= 10) < 1m", _scaled, after="1m")
    assert (after.result, after.note) == (Result.INCONCLUSIVE, already.note)
    never = came("reach(replicas > 10) < 1m", _scaled, after="1m")
    assert (never.result, never.observed) == (Result.INCONCLUSIVE, (0, None))


def test_a_counter_that_rose_breaks_what_must_not_rise() -> None:
    fell = {"missed": [5.0] * 10 + [7.0] * 10}
    assert came("rise(missed) == 0", fell).result is Result.FAIL
    assert came("rise(missed) == 0", fell).observed == (2, 2)
    assert came("rise(missed) == 2", fell).result is Result.PASS
    assert came("rise(missed) < 2.1", fell).result is Result.WARN
    assert came("rise(missed) >= 2", fell).result is Result.PASS
    assert came("rise(missed) == 0", fell, after="12s").result is Result.PASS
    at_the_step = came("rise(missed) == 0", fell, after="9500ms")
    assert (at_the_step.result, at_the_step.observed) == (Result.INCONCLUSIVE, (0, 2))
    assert at_the_step.note == "the samples are too far apart to tell"
    anew = came("rise(missed) <= 9", {"missed": [5.0, 6, 1, 4]})
    assert (anew.result, anew.observed) == (Result.PASS, (5, 5))
    assert anew.note == "it began anew once, and what it counted right before that is not in it"


def test_a_counter_that_nobody_saw_has_not_stayed_at_nothing() -> None:
    """No data is never a pass; what came to be meanwhile counts from 0."""
    absent = came("rise(missed) == 0", {"missed": [MISSING] * 10})
    assert (absent.result, absent.observed) == (Result.INCONCLUSIVE, (None, None))
    assert absent.note == "none of 10 samples had a missed, and no data is no pass"
    born = came("rise(missed) == 0", {"missed": [MISSING] * 10 + [1.0] * 3})
    assert (born.result, born.observed) == (Result.FAIL, (1, 1))


def test_a_gauge_adds_up_to_an_interval() -> None:
    found = came("integral(replicas) < 3m", _scaled)
    # 13 s of 2, a second of 2 to 10, 15 s of 10.
    assert found.observed == (178, 186)
    assert found.result is Result.INCONCLUSIVE
    assert came("integral(replicas) < 1h", _scaled).result is Result.PASS
    assert came("integral(replicas) < 100", _scaled).result is Result.FAIL
    assert came("integral(replicas) < 1h", _scaled, after="20s").observed == (90, 90)


def test_growth_passes_only_by_the_upper_end_of_its_slope() -> None:
    noise = [((second * 7919) % 101) / 100 for second in range(600)]
    level = {"replicas": [100 + noise[second] for second in range(600)]}
    found = came("growth(replicas) < 5/h", level)
    assert found.result is Result.PASS
    low, high = found.observed
    assert low is not None
    assert high is not None
    assert low < 0 < high < 4.5
    assert came(f"growth(replicas) < {high * 0.99:g}/h", level).result is Result.INCONCLUSIVE
    assert came(f"growth(replicas) < {high * 1.05:g}", level).result is Result.WARN
    leak = came("growth(replicas) < 5", {"replicas": [second / 60 + noise[second] for second in range(600)]})
    assert leak.result is Result.FAIL
    assert leak.note.endswith("per hour by the line through the samples")
    short = came("growth(replicas) < 5", {"replicas": [100.0] * 9})
    assert (short.result, short.note) == (Result.INCONCLUSIVE, "too few samples for a trend, and no data is no pass")


@pytest.mark.parametrize("function", ["rise", "integral"])
def test_one_sample_is_too_few_for_what_adds_up(function: str) -> None:
    found = came(f"{function}(replicas) < 5", {"replicas": [3.0]}, after="0s")
    assert (found.result, found.note) == (
        Result.INCONCLUSIVE, "no sample says anything of it, and no data is no pass"
    )  # fmt: skip


def test_what_no_moment_is_named_for_counts_from_the_start_of_the_schedule() -> None:
    objective = parse("growth(replicas) < 5", gauges=GAUGES)
    for first_ns, low in ((0, pytest.approx(3600)), (-1, None)):
        watches = GaugeWatches([objective], {}, GAUGES)
        for second in range(10):
            watches.sampled("pods", first_ns + second * S, second * S, {"replicas": second})
        assert [bounds[0] for bounds in watches.results().values()] == [low], "nine are too few for a trend"


def test_one_is_judged_as_a_share_of_another() -> None:
    values = {"missed": [0.0] * 10 + [4.0] * 10, "asked": [100.0] * 10 + [200.0] * 10}
    found = came("rise(missed) / rise(pods.asked) < 5%", values)
    assert (found.result, found.observed, found.limit) == (Result.PASS, (0.04, 0.04), 0.05)
    assert came("rise(missed) / rise(pods.asked) < 4%", values).result is Result.FAIL
    assert came("rise(missed) / rise(pods.asked) >= 4%", values).result is Result.PASS
    around = came("rise(missed) / rise(pods.asked) < 5%", values, after="9500ms")
    assert (around.result, around.note) == (
        Result.INCONCLUSIVE, "rise(pods.asked) is 0, and of nothing there is no share"
    )  # fmt: skip
    assert came("max(missed) / max(pods.asked) < 5%", values).observed == (0.02, 0.02)
    one = came("max(missed) / max(pods.asked) < 5", {"missed": [0.0, 0.5], "asked": [0.0, 1.0]})
    assert (one.result, one.observed) == (Result.PASS, (0.5, 0.5))
    part = came("max(missed) / max(pods.asked) < 5", {"missed": [0.0, 0.5], "asked": [0.0, 0.25]})
    assert (part.result, part.observed) == (Result.PASS, (2, 2))
    assert came("integral(missed) / integral(pods.asked) < 5%", values).observed == (36 / 2900, 40 / 2800)
    none = came("rise(missed) / rise(pods.asked) < 5%", {"missed": [0.0, 1.0]})
    assert (none.result, none.observed) == (Result.INCONCLUSIVE, (None, None))


@pytest.mark.parametrize(("limit", "result"), [("5%", Result.INCONCLUSIVE), ("0.6%", Result.FAIL)])
def test_what_rose_before_it_was_seen_has_no_upper_end_as_a_share_either(limit: str, result: Result) -> None:
    objective = parse(f"rise(missed) / rise(pods.asked) < {limit}", after="500ms", gauges=GAUGES)
    watches = GaugeWatches([objective], {}, GAUGES)
    series = {"missed": Series(), "asked": Series()}
    for second, missed, asked in ((0, None, 0.0), (1, 1.0, 100.0), (2, 3.0, 300.0)):
        told = {"asked": asked} if missed is None else {"missed": missed, "asked": asked}
        for name, value in told.items():
            series[name].add(value, second * S)
        watches.sampled("pods", second * S, second * S, told)
    summary = Summary(gauges={"pods": GaugeSummary(series=series)}, watches=watches.results())
    found = judge(objective, summary, {})
    assert found.result is result
    assert found.observed[0] == pytest.approx(2 / 300)
    assert found.observed[1] is None


@pytest.mark.parametrize(
    "text",
    [
        "reach(replicas >= 10) < 1m", "rise(replicas) < 100", "integral(replicas) < 1000", "growth(replicas) < 1e9",
        "stretch(replicas >= 10) < 1m", "max(replicas) / min(replicas) < 10",
    ],
)  # fmt: skip
def test_samples_that_failed_leave_a_pass_open(text: str) -> None:
    scenario = "ramp" if text.startswith("reach") else None
    course = (lambda second: second * 7919 % 101) if text.startswith("growth") else _scaled
    for failed, result in ((3, Result.PASS), (4, Result.INCONCLUSIVE)):
        found = came(text, course, failed, scenario=scenario)
        assert found.result is result, found
        assert f"{failed} samples could not be taken" in found.note


def test_a_stretch_of_a_gauge_lasts_between_its_samples_and_those_around() -> None:
    found = came("stretch(replicas >= 10) < 20s", lambda second: 10 if 5 <= second < 12 else 2)
    assert (found.result, found.observed, found.limit) == (Result.PASS, (6, 8), 20)
    assert came("stretch(replicas >= 10) < 7s", _scaled).result is Result.FAIL
    assert came("stretch(replicas < 10) < 14s", _scaled).result is Result.INCONCLUSIVE


# -- of several gauges ---------------------------------------------------------------------------------------------


def test_of_several_gauges_the_one_that_keeps_the_limit_least_counts() -> None:
    for text, operator, worst in (("rise(asked)", "< 10", 7), ("rise(asked)", "> 10", 2), ("rise(asked)", "== 2", 7)):
        objective = parse(f"{text} {operator}", gauges=GAUGES)
        watches = GaugeWatches([objective], {}, GAUGES)
        gauges = {name: GaugeSummary({"asked": Series()}) for name in GAUGES}
        for second, told in enumerate(((0, 5), (2, 12))):
            for name, value in zip(GAUGES, told, strict=True):
                gauges[name].series["asked"].add(value)
                watches.sampled(name, second * S, second * S, {"asked": value})
        found = judge(objective, Summary(gauges=gauges, watches=watches.results()))
        assert found.observed == (worst, worst), objective.expression


def several(text: str, of: Mapping[str, Sequence[float]], **more: Any) -> ObjectiveResult:
    """Of gauges with one value each, sampled every second."""
    names = {name: ["asked"] for name in of}
    objective = parse(text, gauges=names, **more)
    watches = GaugeWatches([objective], {"ramp": RAMP}, names)
    gauges = {name: GaugeSummary({"asked": Series()}) for name in of}
    for name, values in of.items():
        for second, value in enumerate(values):
            gauges[name].series["asked"].add(value, second * S)
            watches.sampled(name, second * S, second * S, {"asked": value})
    summary = Summary(gauges=gauges, watches=watches.results(), watch_notes=watches.notes())
    return judge(objective, summary, {"ramp": RAMP})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize(
    ("condition", "result", "worst"),
    [
        ("< 9", Result.FAIL, 12), ("<= 14", Result.PASS, 12), ("> 1", Result.PASS, 2), (">= 8", Result.FAIL, 2),
        ("== 2", Result.FAIL, 12), ("== 12", Result.FAIL, 2), ("== 7", Result.FAIL, 2), ("!= 5", Result.PASS, 7),
        ("!= 7", Result.FAIL, 7), ("!= 13", Result.PASS, 12),
    ],
)  # fmt: skip
def test_of_three_gauges_the_one_that_keeps_the_limit_least_is_told(
    order: Sequence[int], condition: str, result: Result, worst: float
) -> None:
    """The one that is farthest from what it has to be, or nearest to what it mustn't be."""
    rises = (2.0, 7.0, 12.0)
    of = {f"g{number}": [0.0, rises[number]] for number in order}
    for text in (f"rise(asked) {condition}", f"last(asked) {condition}"):
        found = several(text, of)
        if condition.startswith("== 7"):
            assert (found.result, found.observed[0]) in ((result, 2), (result, 12)), "both are as far away"
        else:
            assert (found.result, found.observed) == (result, (worst, worst)), text


def test_of_several_gauges_the_last_one_to_get_there_counts() -> None:
    of = {"a": [0.0] * 13 + [5.0] * 17, "b": [0.0] * 18 + [5.0] * 12, "c": [0.0] * 11 + [5.0] * 19}
    for names in (list(of), list(of)[::-1]):
        found = several("reach(asked >= 5) < 1m", {name: of[name] for name in names}, scenario="ramp")
        assert (found.result, found.observed) == (Result.PASS, (7, 8))
    of["b"] = [0.0] * 30
    never = several("reach(asked >= 5) < 1m", of, scenario="ramp")
    assert (never.result, never.observed) == (Result.INCONCLUSIVE, (19, None))
    del of["b"]
    of["d"] = [5.0] * 30
    already = several("reach(asked >= 5) < 1m", of, scenario="ramp")
    assert (already.result, already.observed) == (Result.INCONCLUSIVE, (None, None)), "of one nothing is known"


# -- shares of intervals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_share_of_intervals_holds_every_share_of_what_may_be_in_them_and_no_other(seed: int) -> None:
    rng = random.Random(f"share {seed}")
    asked = [float(rng.randint(1, 9)) for _ in range(6)]
    some = [[rng.uniform(*ends) for _ in range(6)] for ends in ((-2, 2), (-2, 0), (0, 0.1))]
    for missed in (*some, [0.0] * 6, asked):
        values = {"missed": missed, "asked": asked}
        ends = [came(f"integral({name}) < 1000", values).observed for name in ("missed", "pods.asked")]
        shares = [one / other for one in ends[0] for other in ends[1] if one is not None and other is not None]
        found = came("integral(missed) / integral(pods.asked) < 1000", values)
        assert found.observed == pytest.approx((min(shares), max(shares)))


def test_nothing_as_a_share_of_what_may_be_anything_is_nothing() -> None:
    """What was asked before it was seen nobody knows; of it there was none missed at least since before that."""
    values = {"missed": [4.0, 4.0, 4.0], "asked": [MISSING, 100.0, 300.0]}
    objective = parse("rise(missed) / rise(pods.asked) < 5%", gauges=GAUGES, after="500ms")
    watches = GaugeWatches([objective], {"ramp": RAMP}, GAUGES)
    series = {"missed": Series(), "asked": Series()}
    for second, (missed, asked) in enumerate(zip(*values.values(), strict=True)):
        told = {"missed": missed} if is_missing(asked) else {"missed": missed, "asked": asked}
        for name, value in told.items():
            series[name].add(value, second * S)
        watches.sampled("pods", second * S, second * S, told)
    summary = Summary(gauges={"pods": GaugeSummary(series)}, watches=watches.results())
    found = judge(objective, summary, {})
    assert (found.result, found.observed) == (Result.PASS, (0, 0))


def test_a_share_of_what_was_not_sampled_after_its_moment_is_not_known() -> None:
    objective = parse("rise(missed) / rise(pods.asked) < 5%", gauges=GAUGES, after="1500ms")
    for gone in ("missed", "asked"):
        watches, series = GaugeWatches([objective], {}, GAUGES), {"missed": Series(), "asked": Series()}
        for second in range(5):
            told = {name: float(second) for name in series if name != gone or second < 2}
            for name, value in told.items():
                series[name].add(value, second * S)
            watches.sampled("pods", second * S, second * S, told)
        found = judge(objective, Summary(gauges={"pods": GaugeSummary(series)}, watches=watches.results()))
        assert (found.result, found.observed) == (Result.INCONCLUSIVE, (None, None))
        assert found.note == "no sample says anything of it, and no data is no pass"


def test_a_share_of_a_counter_that_began_anew_says_so() -> None:
    anew = "it began anew once, and what it counted right before that is not in it"
    values = {"missed": [0.0, 1.0, 1.0, 2.0], "asked": [0.0, 50.0, 20.0, 80.0]}
    assert came("rise(missed) / rise(pods.asked) < 5%", values).note == anew
    assert came("max(missed) / max(pods.asked) < 5%", values).note == ""
    both = {"missed": [0.0, 1.0, 0.0, 2.0], "asked": [0.0, 50.0, 20.0, 80.0]}
    assert came("rise(missed) / rise(pods.asked) < 5%", both).note == f"{anew}; {anew}"


# -- without an ack ------------------------------------------------------------------------------------------------


def silent(due: dict[int, int], acked: dict[int, int], errors: dict[int, int], text: str) -> ObjectiveResult:
    """Of events by the step of 100 ms in which they were due, were acked, or were due and never acked."""
    scope = ScenarioSummary()
    for name, counted in (("acked", acked), ("errors", errors)):
        steps = scope.counter_steps[name, 100 * MS] = StepCounts(100 * MS)
        for step, events in due.items():
            steps.add(step * 100 * MS, events, 0, 0)
        for step, events in counted.items():
            steps.add(step * 100 * MS, 0, 0, events)
    return judge(parse(text), Summary({"main": scope}))


def test_the_longest_time_without_an_ack() -> None:
    every = dict.fromkeys(range(100), 2)
    dead = silent(
        every, {s: 2 for s in every if not 20 <= s < 60}, dict.fromkeys(range(20, 60), 2), "stretch(errors) < 5s"
    )
    assert (dead.result, dead.observed, dead.limit) == (Result.PASS, (3.9, 4.1), 5)
    assert silent(every, every, {}, "stretch(errors) < 5s").observed == (0, 0.1)
    end = silent(every, dict.fromkeys(range(20), 2), dict.fromkeys(range(20, 100), 2), "stretch(errors) < 5s")
    assert (end.result, end.observed) == (Result.FAIL, (7.8, 8))
    never = silent(every, {}, every, "stretch(errors) < 5s")
    assert (never.result, never.observed) == (Result.FAIL, (9.8, 10))
    assert silent({}, {}, {}, "stretch(errors) < 5s").result is Result.INCONCLUSIVE
    assert silent(every, {s: 2 for s in every if not 20 <= s < 60}, dict.fromkeys(range(20, 60), 2),
                  "stretch(errors) < 4s").result is Result.INCONCLUSIVE  # fmt: skip


def test_a_time_in_which_nobody_asked_is_no_silence() -> None:
    idle = dict.fromkeys((*range(10), *range(500, 510)), 1)
    assert silent(idle, idle, {}, "stretch(errors) < 5s").observed == (0, 0.1)
    refused = silent(idle, {s: 1 for s in idle if s != 4}, {4: 1}, "stretch(errors) < 5s")
    assert refused.observed == (0, 0.2)


def test_who_was_refused_may_have_waited_as_long_as_the_next_one_and_need_not() -> None:
    """Of two at once one is answered at once, and nobody knows when the other was given up."""
    again = silent({0: 2, 10: 1}, {0: 1, 20: 1}, {0: 1}, "stretch(errors) < 5s")
    assert again.observed == (0.9, 2.1)
    never = silent({0: 2, 10: 1}, {0: 1}, {0: 1, 10: 1}, "stretch(errors) < 5s")
    assert never.observed == (0, 1.1)


def test_who_waits_for_an_ack_makes_it_a_silence_though_nothing_more_is_due() -> None:
    """Two at once, of which the one is answered after a second and the other after 30."""
    assert silent({0: 2}, {10: 1, 300: 1}, {}, "stretch(errors) < 40s").observed == (28.9, 29.1)


# -- from the first to the last answer -----------------------------------------------------------------------------


def _burst(**more: Any) -> Summary:
    ledger = ScenarioSummary().ledger | more.pop("ledger", {})
    return Summary({"cold": ScenarioSummary(ledger=ledger, first_intended_ns=2 * S, last_acked_ns=5 * S, **more)})


def test_the_span_of_a_burst_ends_with_its_last_answer() -> None:
    found = judge(parse("span(publish) < 10s", scenario="cold"), _burst())
    assert (found.result, found.observed, found.limit) == (Result.PASS, (3, 3), 10)
    assert judge(parse("span(publish) < 3s"), _burst()).result is Result.FAIL
    open_end = judge(parse("span(publish) < 10s"), _burst(ledger={"in_doubt": 2}))
    assert (open_end.result, open_end.observed) == (Result.INCONCLUSIVE, (3, None))
    assert open_end.note == "2 events got no answer"
    assert judge(parse("span(publish) < 2s"), _burst(ledger={"unsent": 2})).result is Result.FAIL
    for scope in (ScenarioSummary(), ScenarioSummary(last_acked_ns=5 * S), ScenarioSummary(first_intended_ns=S)):
        nothing = judge(parse("span(publish) < 10s"), Summary({"cold": scope}))
        assert (nothing.result, nothing.observed) == (Result.INCONCLUSIVE, (None, None))


def test_at_nine_tenths_of_its_limit_a_span_is_not_close_to_it() -> None:
    for last_ns, result in ((11 * S, Result.PASS), (11 * S + 1, Result.WARN)):
        one = ScenarioSummary(first_intended_ns=2 * S, last_acked_ns=last_ns)
        assert judge(parse("span(publish) < 10s"), Summary({"cold": one})).result is result


# -- ending a run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("reach(replicas > 10) < 15s", {"scenario": "ramp"}, "replicas is not there after 19s"),
        ("reach(replicas >= 10) < 2s", {"scenario": "ramp"}, "replicas took 3s to get there"),
        ("reach(replicas >= 10) < 5s", {"scenario": "ramp"}, ""),
        ("rise(replicas) == 0", {}, "replicas rose by 8"),
        ("rise(replicas) <= 8", {}, ""),
        ("rise(replicas) > 10", {}, ""),
        ("integral(replicas) < 2m", {}, "replicas added up to 178"),
        ("integral(replicas) > 1h", {}, ""),
        ("stretch(replicas >= 10) < 5s", {}, "replicas was >= 10 for 15s"),
        ("growth(replicas) < 1", {}, ""),
        ("max(replicas) / min(replicas) < 2", {}, ""),
    ],
)
def test_what_can_not_turn_any_more_ends_a_run(text: str, more: dict[str, Any], reason: str) -> None:
    objective = parse(text, gauges=GAUGES, abort_after_ns=0, **more)
    summary = sampled(objective, {"replicas": [_scaled(second) for second in range(30)]})
    found = reason_to_abort([objective], summary, 30 * S, {"ramp": RAMP})
    assert found == (None if not reason else (objective, f"ended after 30s: {reason}"))


def test_what_may_fall_below_nothing_again_does_not_end_a_run() -> None:
    objective = parse("integral(replicas) < 100", gauges=GAUGES, abort_after_ns=0)
    assert reason_to_abort([objective], sampled(objective, {"replicas": [-1.0, *[90.0] * 9]}), 30 * S) is None


def test_a_span_that_is_too_long_ends_a_run() -> None:
    objective = parse("span(publish) < 2s", abort_after_ns=0)
    found = reason_to_abort([objective], _burst(), 30 * S)
    assert found == (objective, "ended after 30s: the last answer came after 3s")
    assert reason_to_abort([parse("span(publish) < 4s", abort_after_ns=0)], _burst(), 30 * S) is None


def test_what_rose_while_an_action_was_on_is_the_same_live_as_afterwards() -> None:
    """However long its `do` takes: what was counted before that is still known when it is done."""
    objective = parse("rise(missed) == 0", gauges=GAUGES, during="slow")
    begun = Marker("slow", 0, (100 * S + MS, None), lasting=True)
    done = replace(begun, done=(100 * S + MS, 300 * S + MS))
    undone = replace(done, undone=(400 * S + MS, 401 * S + MS))
    told = {100: begun, 300: done, 400: replace(done, undone=(400 * S + MS, None)), 401: undone}
    live, afterwards = GaugeWatches([objective], {}, GAUGES), GaugeWatches([objective], {}, GAUGES)
    afterwards.marked([undone])
    for second in range(500):
        for watches in (live, afterwards):
            watches.sampled("pods", second * S, second * S, {"missed": float(second)})
        if second in told:
            live.marked([told[second]])
    (result,) = live.results().values()
    assert result == (400 - 301, 402 - 100)
    assert live.results() == afterwards.results()
