"""What the gate says of a run that still goes on: which checks begin to fail, and whether it can still be kept."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from evload.judging.live_checks import LiveChecks
from evload.model.phases import Ending
from evload.model.summary import Summary
from evload.model.vitals import ReadVitals, Vitals
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from tests.rigs.checked_runs import sound, sound_vitals
from tests.rigs.summaries import MS, S, distribution, good_and_bad, run_of, scenario

GAUGES = {"work": ["queue_depth"]}


def _criteria(
    *texts: str, spans: dict[str, ScenarioCriteria] | None = None, abort: bool = False, **policy: Any
) -> Criteria:
    objectives = [parse(text, gauges=GAUGES, abort_after_ns=30 * S if abort else None) for text in texts]
    return Criteria(objectives, SelfCheckPolicy(**policy), {"index": 15 * S}, spans or {}, {"index": 100.0})


def _worries(vitals: Vitals, *texts: str, late: bool = False, **policy: Any) -> list[str]:
    one = sound()
    if late:
        one.distributions["schedule_delay"] = distribution([(S, S)] * 1000)
    return LiveChecks(_criteria(*texts, **policy), GAUGES).worries(run_of(one, vitals=vitals))


BAD = sound_vitals(
    cpu_share=0.9,
    wall_drift_ns=20 * MS,
    probes={"index": ReadVitals(requests=1000, failed=5, throttled=2, busiest=90, stretch=2.0)},
)
TOLD = {
    "lateness": "lateness: s0: p99 1 s",
    "headroom": "headroom: CPU 90 %, longest stall 5 ms",
    "observer_effect": (
        "observer effect: index: 5 of 1000 reads failed (0.5 %); 2 of them throttled; 90 event reads in the busiest "
        "second, 100 allowed; gaps were widened up to 2 x"
    ),
    "clocks": "clocks: 20 ms apart within a minute, 10 ms allowed",
}


def test_a_run_that_is_well_has_no_worries() -> None:
    assert _worries(sound_vitals(), "p99(consistency) < 2s") == []
    assert LiveChecks(_criteria("p99(consistency) < 2s"), GAUGES).worries(run_of()) == []


def test_each_check_that_begins_to_fail_is_told_with_its_figures() -> None:
    assert _worries(BAD, "p99(end_to_end) < 2s", late=True) == list(TOLD.values())


@pytest.mark.parametrize("check", TOLD)
def test_a_check_is_told_also_where_it_only_warns_and_not_where_it_is_off(check: str) -> None:
    objective = "p99(end_to_end) < 2s"
    assert _worries(BAD, objective, late=True, **{check: "warn"}) == list(TOLD.values())
    without = [told for name, told in TOLD.items() if name != check]
    assert _worries(BAD, objective, late=True, **{check: "off"}) == without


def test_how_late_sends_may_be_and_how_much_is_read_are_those_of_the_run() -> None:
    assert _worries(sound_vitals(), "p99(end_to_end) < 50ms") == ["lateness: s0: p99 1 ms"]
    busy = sound_vitals(probes={"index": ReadVitals(requests=1000, busiest=101)})
    (told,) = _worries(busy, "p99(end_to_end) < 2s")
    assert told.endswith("101 event reads in the busiest second, 100 allowed")


def _rejected(events: int) -> Summary:
    return run_of(scenario({"consistency": good_and_bad(90, 0, 2 * S)}, visible=90, rejected=events))


def test_an_objective_that_can_not_be_kept_is_named_with_the_reason() -> None:
    live = LiveChecks(_criteria("lost == 0", "rejected <= 9", abort=True), GAUGES)
    assert live.hopeless(_rejected(9), 40 * S) is None
    assert live.hopeless(_rejected(10), 29 * S) is None
    assert live.hopeless(_rejected(10), 40 * S) == ("rejected <= 9", "ended after 40s: rejected is 10")
    assert LiveChecks(_criteria("rejected <= 9"), GAUGES).hopeless(_rejected(10), 40 * S) is None


def test_what_takes_long_to_load_is_loaded_when_the_run_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only for objectives that need it: it takes half a second."""
    loaded: list[str] = []
    load = builtins.__import__

    def loading(name: str, *more: Any) -> Any:
        loaded.append(name)
        return load(name, *more)

    monkeypatch.setattr(builtins, "__import__", loading)
    asked, idle = _criteria("p95(consistency) < 2s", abort=True), _criteria("p95(consistency) < 2s")
    for criteria, at_once in ((asked, True), (idle, False)):
        live = LiveChecks(criteria, GAUGES)
        assert ("scipy.special" in loaded) is at_once
        loaded.clear()
        live.prepare_standings()
        assert "scipy.special" in loaded
        loaded.clear()
    LiveChecks(_criteria("lost == 0"), GAUGES).prepare_standings()
    assert "scipy.special" not in loaded


def test_what_is_still_to_come_is_known_from_the_schedule() -> None:
    spans = {"s0": ScenarioCriteria(0, 60 * S, events=6000)}
    live = LiveChecks(_criteria("rate(rejected) < 1%", abort=True, spans=spans), GAUGES)
    assert live.hopeless(_rejected(59), 40 * S) is None
    assert live.hopeless(_rejected(60), 40 * S) == (
        "rate(rejected) < 1%", "ended after 40s: rejected is 60, too many for all 6,000 events of the schedule"
    )  # fmt: skip


def test_what_comes_after_a_scenario_counts_from_where_it_ended_early() -> None:
    """A phase of a minute ended after ten seconds; the queue is empty again three seconds later."""
    spans = {"spike": ScenarioCriteria(0, 60 * S, rates=((0, 60 * S, 5, 5),)), "other": ScenarioCriteria(0, 60 * S)}
    objectives = [
        parse("drain(queue_depth <= 10) < 60s", scenario="spike", gauges=GAUGES),
        parse("drain(queue_depth <= 11) < 60s", after="other", gauges=GAUGES),
    ]
    live = LiveChecks(Criteria(objectives, SelfCheckPolicy(), {}, spans), GAUGES)
    for second in range(90):
        if second == 10:
            live.ended([Ending("spike", 0, "queue_depth > 50", 0, 60 * S, 10 * S)])
        live.watches.sampled(
            "work", second * S, second * S, {"queue_depth": 100 if second < 13 or second == 61 else 0}
        )
    assert list(live.watches.results().values()) == [(2.0, 3.0), (0.0, 0.0)]


def test_the_gauges_of_objectives_about_time_are_watched() -> None:
    spans = {"spike": ScenarioCriteria(0, 10 * S)}
    criteria = _criteria("max(queue_depth) < 50 for 10s", spans=spans)
    criteria = Criteria(
        [*criteria.objectives, parse("drain(queue_depth <= 10) < 60s", after="spike", gauges=GAUGES)],
        criteria.policy, criteria.deadlines_ns, spans,
    )  # fmt: skip
    live = LiveChecks(criteria, GAUGES)
    for second in range(30):
        live.watches.sampled("work", second * S, second * S, {"queue_depth": 100 if second < 20 else 0})
    assert sorted(live.watches.results().values()) == [(9.0, 10.0), (19.0, 20.0)]
