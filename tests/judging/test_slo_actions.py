"""Verdicts on what gauges showed while an action was on, and on what came after one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evload.judging.gauge_watches import GaugeWatches
from evload.judging.judge import judge
from evload.model.marker import Marker
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import GaugeSummary, ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.objective import Objective
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from tests.rigs.summaries import MS, S, distribution, scenario

GAUGES = {"work": ["depth"]}
LOAD = {"load": ScenarioCriteria(0, 60 * S)}
FIRST = Marker("outage", 0, (9_500 * MS, 10_500 * MS), (19_500 * MS, 20_500 * MS))
AGAIN = Marker("outage", 1, (29_500 * MS, 30_500 * MS), (39_500 * MS, 40_500 * MS))
TWICE = (FIRST, AGAIN)
"""On for sure from 10.5 s to 19.5 s and from 30.5 s to 39.5 s, and over at 40.5 s."""


def depth(second: int) -> float:
    """5, in the first outage up to 14, in the second 30, and after it 5 fewer each second."""
    if 10 <= second < 20:
        return second - 5
    return 30 if 30 <= second <= 41 else max(2, 30 - 5 * (second - 41)) if second > 41 else 5


def watched(
    objectives: Sequence[Objective], markers: Sequence[Marker], of: Callable[[int], float], live: bool
) -> Summary:
    """Sampled each second for a minute; markers are told when they are made, or before all samples."""
    watches, series = GaugeWatches(objectives, LOAD, GAUGES), Series()
    told: list[Marker] = [] if live else list(markers)
    watches.marked(told)
    for second in range(60):
        known = [one for one in markers if one.done[0] <= second * S] if live else told
        if known != told:
            told = known
            watches.marked(told)
        series.add(of(second), second * S)
        watches.sampled("work", second * S, second * S, {"depth": of(second)})
    summary = Summary(gauges={"work": GaugeSummary({"depth": series})}, markers=list(markers))
    summary.watches, summary.watch_notes = watches.results(), watches.notes()
    return summary


def came(
    text: str, markers: Sequence[Marker] = TWICE, of: Callable[[int], float] = depth, live: bool = False, **more: Any
) -> ObjectiveResult:
    objective = parse(text, gauges=GAUGES, **more)
    return judge(objective, watched([objective], markers, of, live), LOAD)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("function", "markers", "during", "after"),
    [
        ("max", TWICE, 30, 30), ("min", TWICE, 6, 2), ("last", TWICE, 30, 2),
        ("mean", TWICE, (sum(range(6, 15)) + 9 * 30) / 18, (30 + 25 + 20 + 15 + 10 + 5 + 13 * 2) / 19),
        ("max", TWICE[:1], 14, 30), ("min", TWICE[:1], 6, 2), ("last", TWICE[:1], 14, 2),
    ],
)  # fmt: skip
def test_the_values_while_it_was_on_and_when_it_was_over_for_good(
    function: str, markers: Sequence[Marker], during: float, after: float, live: bool
) -> None:
    for place, value in (("during", during), ("after", after)):
        more: dict[str, Any] = {place: "outage"}
        if live and place == "after" and len(markers) > 1:
            continue  # While it goes on nobody knows that there is a second one.
        found = came(f"{function}(depth) < 100", markers, live=live, **more)
        assert found.result is Result.PASS
        assert found.observed == pytest.approx((value, value)), place
        assert came(f"{function}(depth) > 100", markers, live=live, **more).result is Result.FAIL


def test_of_an_action_that_was_never_on_nothing_is_known() -> None:
    places: list[dict[str, Any]] = [{"during": "outage"}, {"after": "outage"}]
    for more in places:
        found = came("max(depth) < 100", (), **more)
        assert (found.result, found.observed) == (Result.INCONCLUSIVE, (None, None))


def test_what_is_still_on_is_over_for_nobody_and_what_failed_was_never_on() -> None:
    on = Marker("outage", 0, (9_500 * MS, 10_500 * MS))
    during = came("max(depth) < 100", (on,), during="outage")
    assert (during.result, during.observed) == (Result.PASS, (30, 30))
    after = came("max(depth) < 100", (on,), after="outage")
    assert (after.result, after.note) == (Result.INCONCLUSIVE, "outage was not over when the run ended")
    failed = Marker("outage", 0, (9_500 * MS, 10_500 * MS), error="refused")
    places: list[dict[str, Any]] = [{"during": "outage"}, {"after": "outage"}]
    for more in places:
        assert came("max(depth) < 100", (failed,), **more).note == "outage could not be done: refused"
        assert came("max(depth) < 100", (), **more).note == "outage never began"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("text", "result", "observed"),
    [
        ("drain(depth <= 10) < 10s", Result.PASS, (3.5, 4.5)),
        ("drain(depth <= 20) < 10s", Result.PASS, (1.5, 2.5)),
        ("drain(depth <= 1) < 5s", Result.FAIL, (18.5, None)),
        ("reach(depth <= 2) < 10s", Result.PASS, (5.5, 6.5)),
        ("reach(depth < 2) < 10s", Result.FAIL, (18.5, None)),
        ("integral(depth) < 1h", Result.PASS, None),
        ("rise(depth) < 1h", Result.PASS, None),
    ],
)
def test_what_counts_from_the_end_of_an_action(
    text: str, result: Result, observed: tuple[float, float | None] | None, live: bool
) -> None:
    found = came(text, live=live, after="outage")
    assert found.result is result
    assert found.observed[0] is not None
    if observed is not None:
        assert found.observed == observed
    alone = came(text, TWICE[1:], after="outage")
    if not text.startswith(("rise", "integral")):
        assert (found.result, found.observed) == (alone.result, alone.observed), "the last time that it was on counts"


def test_objectives_about_one_gauge_are_not_taken_for_each_other() -> None:
    texts = [
        "drain(depth <= 10) < 10s", "drain(depth <= 20) < 10s", "drain(depth) < 10s", "reach(depth <= 2) < 10s",
        "reach(depth <= 20) < 10s", "rise(depth) < 100", "integral(depth) < 1000", "growth(depth) < 0",
        "max(depth) < 20", "mean(depth) < 20", "last(depth) < 20",
    ]  # fmt: skip
    asked: list[tuple[str, dict[str, Any]]] = [
        (text, {"after": moment}) for text in texts for moment in ("outage", "load", "41s")
    ]
    asked = [(text, more) for text, more in asked if more["after"] == "outage" or "(" in text[:9]]
    asked += [(text, {"during": "outage"}) for text in ("max(depth) < 20", "min(depth) < 20", "rise(depth) < 5")]
    asked += [
        (text, {}) for text in ("stretch(depth > 20) < 5s", "stretch(depth > 5) < 5s", "max(depth) < 20 for 5s",
                                "max(depth) < 20 for 9s", "max(depth) < 9 for 5s", "mean(depth) < 20 in any 10s",
                                "mean(depth) > 20 in any 10s", "mean(depth) < 20 in any 20s", "rise(depth) < 5",
                                "integral(depth) < 5", "growth(depth) < 5")
    ]  # fmt: skip
    objectives = []
    for text, more in asked:
        try:
            objectives.append(parse(text, gauges=GAUGES, **more))
        except ValueError:
            continue
    assert len(objectives) > 35
    together = watched(objectives, TWICE, depth, live=False)
    told = [judge(one, together, LOAD) for one in objectives]
    assert told == [judge(one, watched([one], TWICE, depth, live=False), LOAD) for one in objectives]
    observed = {(one.expression, one.scope): one.observed for one in told}
    assert len(observed) == len(objectives)


def test_a_scenario_is_no_action_of_the_same_name() -> None:
    late = Marker("load", 0, (10 * S, 11 * S), (99 * S, 100 * S))
    objective = parse("drain(depth <= 10) < 10s", gauges=GAUGES, after="load")
    watches = GaugeWatches([objective], {"load": ScenarioCriteria(0, 41 * S)}, GAUGES)
    watches.marked([late])
    for second in range(60):
        watches.sampled("work", second * S, second * S, {"depth": depth(second)})
    assert list(watches.results().values()) == [(3.0, 4.0)]


def test_a_stretch_that_nobody_saw_may_have_been_between_two_samples() -> None:
    found = came("stretch(depth > 20) < 20s", (), lambda second: 5)
    assert (found.result, found.observed) == (Result.PASS, (0, 1))
    assert came("stretch(depth > 20) < 500ms", (), lambda second: 5).result is Result.INCONCLUSIVE


# -- recovery after an action ----------------------------------------------------------------------------------------


def faulty(bad_until: int, skipped: range = range(0)) -> ScenarioSummary:
    """100 events a second for a minute, from 10 s on half of them bad; none were due in some seconds."""
    one = scenario({"consistency": distribution([(S, S)], 2 * S)}, visible=1)
    steps = StepCounts(S)
    for second in range(60):
        bad = 50 if 10 <= second < bad_until else 0
        if second not in skipped:
            steps.add(second * S, 100, 100 - bad, bad)
    one.distributions["consistency"].steps = {(2 * S, S): steps}
    return one


RECOVERY = "recovery(p95(consistency) < 2s) < 15s"
"""It holds again when no window of ten seconds has more than one bad one in it."""


@pytest.mark.parametrize(
    ("bad_until", "result", "observed"),
    [(42, Result.PASS, (0, 0)), (45, Result.PASS, (12.5, 12.5)), (50, Result.FAIL, (17.5, 17.5))],
)
def test_recovery_counts_from_when_an_action_was_over_for_good(
    bad_until: int, result: Result, observed: tuple[float, float]
) -> None:
    objective = parse(RECOVERY, after="outage")
    found = judge(objective, Summary({"load": faulty(bad_until)}, markers=list(TWICE)), LOAD)
    assert (found.result, found.observed) == (result, observed)


def test_without_an_event_while_it_was_on_there_is_nothing_to_recover_from() -> None:
    objective = parse(RECOVERY, after="outage")
    quiet = Summary({"load": faulty(0, skipped=range(9, 41))}, markers=list(TWICE))
    found = judge(objective, quiet, LOAD)
    assert (found.result, found.observed) == (Result.INCONCLUSIVE, (None, None))
    assert found.note == "no event was due while outage was on, so nothing is known to recover from"
    for skipped in (range(10, 41), range(9, 40)):
        some = Summary({"load": faulty(0, skipped=skipped)}, markers=list(TWICE))
        assert judge(objective, some, LOAD).result is Result.PASS
