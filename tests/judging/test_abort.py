"""What ends a run before its time, and what doesn't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import pytest

from evload.judging.abort import reason_to_abort
from evload.judging.gauge_watches import GaugeWatches
from evload.model.summary import GaugeSummary, ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from tests.rigs.summaries import S, distribution, good_and_bad, run_of, scenario

GAUGES = {"work": ["queue_depth"]}
MINUTE = {"s0": ScenarioCriteria(0, 60 * S, events=6000)}
HOUR = {"s0": ScenarioCriteria(0, 3600 * S, events=360_000)}


def _reason(
    text: str,
    *scenarios: ScenarioSummary,
    at_s: int = 40,
    spans: dict[str, ScenarioCriteria] | None = None,
    summary: Summary | None = None,
    **more: Any,
) -> str:
    objective = parse(text, abort_after_ns=30 * S, gauges=GAUGES, **more)
    found = reason_to_abort([objective], summary or run_of(*scenarios), at_s * S, spans or {})
    if found is None:
        return ""
    assert found[0] is objective
    return found[1]


def _consistency(good: int, bad: int, outstanding: int = 0) -> ScenarioSummary:
    one = scenario({"consistency": good_and_bad(good, bad, 2 * S)}, visible=good + bad)
    one.ledger["scheduled"] += outstanding
    return one


# -- when it looks -------------------------------------------------------------------------------------------


def test_only_who_asks_for_it_ends_a_run_and_not_before_its_delay() -> None:
    hopeless = run_of(_consistency(0, 1000))
    objectives = [parse("p95(consistency) < 2s"), parse("p99(consistency) < 2s", abort_after_ns=30 * S)]
    assert reason_to_abort(objectives, hopeless, 29 * S) is None
    found = reason_to_abort(objectives, hopeless, 30 * S)
    assert found is not None
    assert found[0] is objectives[1]
    assert found[1].startswith("ended after 30s: 1000 of 1000 events are beyond 2 s: at least ")
    assert found[1].endswith(" exceed it for sure; 1 % allowed")
    assert reason_to_abort(objectives[:1], hopeless, 30 * S) is None


_LOADS: Final = """
import sys
from evload.judging.abort import reason_to_abort
from evload.judging.live_checks import LiveChecks
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from tests.rigs.summaries import S, good_and_bad, run_of, scenario

def scipy():
    return sorted(name for name in sys.modules if name.startswith("scipy"))

one = scenario({"consistency": good_and_bad(800, 200, 2 * S, windows=10)}, visible=1000)
LiveChecks(Criteria([parse("p99(consistency) < 2s")], SelfCheckPolicy(), {}), {})
idle = len(scipy())
asked = [parse("lost == 0"), parse("p95(consistency) < 2s", abort_after_ns=0)]
LiveChecks(Criteria(asked, SelfCheckPolicy(), {}), {})
before = scipy()
found = reason_to_abort(asked, run_of(one), 3600 * S)
print(idle, len(before) > 0, scipy() == before, found is not None)
"""


def test_what_takes_long_to_load_is_loaded_before_the_run_and_only_where_it_is_needed() -> None:
    """Loading scipy stops everything for half a second, which would make hundreds of events late."""
    told = subprocess.run(
        [sys.executable, "-c", _LOADS], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert told.stdout == "0 True True True\n"


# -- shares --------------------------------------------------------------------------------------------------


def test_a_share_that_is_certainly_missed() -> None:
    assert _reason("p95(consistency) < 2s", _consistency(800, 200))
    assert _reason("share(consistency < 2s) >= 95%", _consistency(800, 200))
    assert not _reason("p95(consistency) < 2s", _consistency(940, 60))
    assert not _reason("p95(consistency) < 2s", _consistency(960, 40))
    assert not _reason("p95(consistency) < 2s", scenario(visible=5))


def test_what_is_outstanding_counts_as_good() -> None:
    """Refused events are settled at once, and those that will be good seconds later."""
    assert _reason("p95(consistency) < 2s", _consistency(0, 50))
    assert not _reason("p95(consistency) < 2s", _consistency(0, 50, outstanding=1000))


def test_only_what_is_outstanding_where_it_could_belong_counts() -> None:
    """Of another scenario's events none can make a share better."""
    bad, waiting = _consistency(0, 50), _consistency(5, 0, outstanding=1000)
    assert _reason("p95(consistency) < 2s", bad, waiting, scenario="s0")
    assert not _reason("p95(consistency) < 2s", bad, waiting)
    assert not _reason("p95(consistency) < 2s", bad, waiting, scenario="s1")


def test_more_bad_events_than_were_to_come_are_too_many() -> None:
    """Such as of a scenario whose number of events was told too small."""
    few = {"s0": ScenarioCriteria(0, 60 * S, events=50)}
    assert "too many for all 50 events of the schedule" in _reason(
        "p95(consistency) < 2s", _consistency(0, 80), spans=few
    )


def test_of_two_limits_the_looser_decides() -> None:
    one = scenario({"consistency": distribution([(3 * S, 4 * S)] * 1000, 2 * S, 10 * S)}, visible=1000)
    assert _reason("p95(consistency) < 2s", one)
    assert not _reason("p95(consistency) < 2s", one, critical="10s")
    assert not _reason("p95(consistency) < 10s", one, target="2s")


def test_a_long_run_waits_until_it_knows_whether_events_share_stalls() -> None:
    """A stall of five seconds early in an hour is nothing; in a minute it is more than one may lose."""
    stalled = _consistency(3500, 500)
    stalled.distributions["consistency"].thresholds[2 * S].intervals = {n: [1000, 1000, 0] for n in range(4)}
    stalled.distributions["consistency"].thresholds[2 * S].intervals[1] = [1000, 500, 500]
    assert _reason("p95(consistency) < 2s", stalled, spans=MINUTE)
    assert not _reason("p95(consistency) < 2s", stalled, spans=HOUR)
    late = {"s0": ScenarioCriteria(3600 * S, 3660 * S, events=6000)}
    assert _reason("p95(consistency) < 2s", stalled, spans=late), "a minute, whenever it began"
    later = _consistency(8500, 1500)
    counts = later.distributions["consistency"].thresholds[2 * S]
    counts.intervals = {n: [1000, 1000, 0] for n in range(10)} | {3: [1000, 0, 1000], 7: [1000, 500, 500]}
    assert not _reason("p95(consistency) < 2s", later, spans=HOUR)
    # The end of one window and the begin of the next are one where they are small, whichever was counted first.
    small = {n: [1000, 850, 150] if n % 2 else [120, 0, 120] for n in range(20)}
    for order in (list(small), list(small)[::-1], [*range(0, 20, 2), *range(1, 20, 2)]):
        counts.intervals = {n: small[n] for n in order}
        assert _reason("p95(consistency) < 2s", later, spans=HOUR)
    counts.intervals = {n: [1000, 850, 150] for n in range(10)}
    assert _reason("p95(consistency) < 2s", later, spans=HOUR)


def test_the_longest_scenario_says_whether_a_run_is_long_enough_to_tell() -> None:
    """A minute of load that belongs to an hour of it has an hour to show whether its events share stalls."""
    stalled = _consistency(3500, 500)
    intervals = {n: [1000, 1000, 0] for n in range(4)} | {1: [1000, 500, 500]}
    stalled.distributions["consistency"].thresholds[2 * S].intervals = intervals
    spans = {"s0": ScenarioCriteria(0, 60 * S, events=6000), "long": ScenarioCriteria(0, 3600 * S, events=360_000)}
    assert not _reason("p95(consistency) < 2s", stalled, spans=spans)
    assert _reason("p95(consistency) < 2s", stalled, spans=spans, scenario="s0")
    two_halves = {
        "s0": ScenarioCriteria(0, 60 * S, events=6000),
        "late": ScenarioCriteria(60 * S, 120 * S, events=6000),
    }
    assert not _reason("p95(consistency) < 2s", stalled, spans=two_halves)


def test_from_which_event_on_a_short_run_is_ended() -> None:
    """Its events count as independent: 34 of 400 are the fewest that show it at any time, 329 of all 6,000."""
    text = "p95(consistency) < 2s"
    assert not _reason(text, _consistency(367, 33), spans=MINUTE)
    assert "34 of 400 events are beyond 2 s: at least" in _reason(text, _consistency(366, 34), spans=MINUTE)
    assert not _reason(text, _consistency(5672, 328), spans=MINUTE)
    assert "too many for all 6,000 events" in _reason(text, _consistency(5671, 329), spans=MINUTE)


def test_a_system_that_is_dead_from_the_start_needs_no_wait() -> None:
    """Four windows of ten seconds, each counted as one event, all bad."""
    dead = _consistency(0, 4000)
    counts = dead.distributions["consistency"].thresholds[2 * S]
    counts.intervals = {n: [1000, 0, 1000] for n in range(4)}
    assert _reason("p95(consistency) < 2s", dead, spans=HOUR, at_s=40)
    assert not _reason("p95(consistency) < 2s", dead, spans=HOUR, at_s=39)


def test_more_bad_events_than_the_whole_schedule_allows() -> None:
    """1,000 of 6,000 are sure to be a failure, whatever the others are."""
    long = {"s0": ScenarioCriteria(0, 600 * S, events=6000)}
    one = _consistency(1000, 1000)
    one.distributions["consistency"].thresholds[2 * S].intervals = {n: [200, 100, 100] for n in range(10)}
    assert "too many for all 6,000 events" in _reason("p95(consistency) < 2s", one, spans=long)
    endless = {"s0": ScenarioCriteria(0, 600 * S)}
    assert "exceed it for sure; 5 % allowed" in _reason("p95(consistency) < 2s", one, spans=endless)
    together = _consistency(1600, 400)
    windows = {n: [200, 200, 0] for n in range(8)} | {8: [200, 0, 200], 9: [200, 0, 200]}
    together.distributions["consistency"].thresholds[2 * S].intervals = windows
    assert not _reason("p95(consistency) < 2s", together, spans=long)


def test_scenarios_count_together_or_apart() -> None:
    good, bad = _consistency(9000, 0), _consistency(900, 100)
    assert not _reason("p95(consistency) < 2s", good, bad)
    assert _reason("p95(consistency) < 2s", good, bad, scenario="s1")
    good.slices = {"event=a": _consistency(0, 90)}
    assert _reason("p95(consistency) < 2s", good, event="a")


# -- what only grows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("lost == 0", True),
        ("lost <= 3", False),
        ("lost <= 2", True),
        ("lost < 3", True),
        ("lost < 4", False),
        ("lost > 5", False),
        ("lost != 3", False),
        ("lost >= 9", False),
        ("rate(lost) < 0.1%", False),
        ("max(consistency) < 2s", True),
        ("min(consistency) < 2s", False),
        ("mean(consistency) < 2s", False),
        ("max(staleness) <= 2", True),
        ("max(staleness) <= 4", False),
        ("mean(staleness) < 1", False),
        ("throughput(acked) >= 1000/s", False),
        ("max(consistency) < 5s", False),
    ],
)
def test_what_can_only_get_worse_ends_a_run(text: str, ends: bool) -> None:
    one = scenario({"consistency": distribution([(3 * S, 4 * S)], 2 * S, 5 * S)}, visible=97, lost=3)
    one.ranges.setdefault("staleness", Series()).add(3)
    assert bool(_reason(text, one)) is ends


def test_what_only_got_worse_is_told_with_its_figure() -> None:
    one = scenario({"consistency": distribution([(3 * S, 4 * S)] * 5, 2 * S)}, visible=97, lost=3)
    one.ranges.setdefault("staleness", Series()).add(3)
    ended = "ended after 40s: "
    assert _reason("max(consistency) < 2s", one) == f"{ended}5 events took longer than 2 s"
    assert _reason("lost == 0", one) == f"{ended}lost is 3"
    assert _reason("max(staleness) <= 2", one) == f"{ended}an answer was 3 versions behind"


def test_where_no_answer_told_its_version_none_was_behind() -> None:
    assert _reason("max(staleness) <= 0", scenario(visible=97)) == ""


def test_a_rate_is_measured_by_all_that_is_to_come() -> None:
    one = scenario(None, visible=90, rejected=10)
    assert not _reason("rate(errors) < 0.5%", one)
    assert not _reason("rate(errors) < 0.5%", one, spans=MINUTE)
    assert _reason("rate(errors) < 0.1%", one, spans=MINUTE).endswith("too many for all 6,000 events of the schedule")
    assert _reason("rate(errors) == 0%", one, spans=MINUTE).endswith("too many for all 6,000 events of the schedule")
    assert not _reason("rate(errors) == 1%", one, spans=MINUTE)
    assert not _reason("rate(errors) != 0%", one, spans=MINUTE)
    assert not _reason("rate(errors) >= 0.01%", one, spans=MINUTE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max(queue_depth) < 100", "queue_depth came to 100"),
        ("max(queue_depth) < 101", ""),
        ("min(queue_depth) > 0", "queue_depth came to 0"),
        ("min(queue_depth) < 0", ""),
        ("last(queue_depth) < 10", ""),
        ("last(queue_depth) == 7", ""),
        ("mean(queue_depth) < 1", ""),
        ("max(queue_depth) < 50 for 10s", "queue_depth was beyond its limit for 19s"),
        ("max(queue_depth) < 50 for 30s", ""),
        ("min(queue_depth) > 50 for 15s", "queue_depth was beyond its limit for 19s"),
        ("mean(queue_depth) < 99 in any 10s", "queue_depth came to 100"),
        ("drain(queue_depth <= 10) < 15s", "queue_depth is not back after 19s"),
        ("drain(queue_depth <= 10) < 25s", ""),
    ],
)
def test_gauges(text: str, why: str) -> None:
    """100 from 20 s to 40 s, else 0."""
    more: dict[str, Any] = {"after": "20s"} if text.startswith("drain") else {}
    watches = GaugeWatches([parse(text, gauges=GAUGES, **more)], {}, GAUGES)
    series = Series()
    for second in range(40):
        depth = 100 if second >= 20 else 0
        series.add(depth)
        watches.sampled("work", second * S, second * S, {"queue_depth": depth})
    summary = Summary(gauges={"work": GaugeSummary({"queue_depth": series})}, watches=watches.results())
    assert _reason(text, summary=summary, **more) == (why and f"ended after 40s: {why}")


def _watched(text: str, values: Sequence[float], *, low: Sequence[float] = (), **more: Any) -> str:
    """Of a gauge sampled each second, with lower ends where it is known as a bracket."""
    names = {"work": ["queue_depth", *(["queue_depth.low"] if low else [])]}
    objective = parse(text, gauges=names, abort_after_ns=0, **more)
    watches, series = GaugeWatches([objective], MINUTE, names), {name: Series() for name in names["work"]}
    for second, value in enumerate(values):
        told = {"queue_depth": value} | ({"queue_depth.low": low[second]} if low else {})
        for name, one in told.items():
            series[name].add(one)
        watches.sampled("work", second * S, second * S, told)
    summary = Summary(gauges={"work": GaugeSummary(series)}, watches=watches.results())
    found = reason_to_abort([objective], summary, 40 * S, MINUTE)
    return "" if found is None else found[1].removeprefix("ended after 40s: ")


@pytest.mark.parametrize("level", ["0", "1.5", "-2"])
def test_for_how_long_a_gauge_was_where_it_must_not_be_is_told_with_its_level(level: str) -> None:
    found = _watched(f"stretch(queue_depth > {level}) < 5s", [0.0, -3.0, *[7.0] * 10])
    assert found == f"queue_depth was > {level} for 9s"


def test_of_a_gauge_with_two_ends_both_have_to_be_broken_and_events_have_none() -> None:
    high, low = [5.0] * 10, [3.0] * 10
    assert _watched("max(queue_depth) < 2", high, low=low) == "queue_depth came to 5"
    assert _watched("max(queue_depth) < 4", high, low=low) == ""
    assert _watched("min(queue_depth) > 6", high, low=low) == "queue_depth came to 5"
    assert _watched("min(queue_depth) > 4", high, low=low) == ""
    one = scenario(None, visible=97, lost=3)
    summary = Summary({"s0": one}, gauges={"work": GaugeSummary({"lost": Series(), "lost.low": Series()})})
    assert _reason("lost == 0", summary=summary) == "ended after 40s: lost is 3"


def test_a_gauge_is_not_back_as_long_as_its_scenario_goes_on() -> None:
    """Its last answer may be still to come, and with it the moment from which the way back counts."""
    text = "drain(queue_depth <= 10) < 15s"
    spans = {"s0": ScenarioCriteria(0, 20 * S)}
    objective = parse(text, gauges=GAUGES, after="s0", abort_after_ns=0)
    watches, series = GaugeWatches([objective], spans, GAUGES), Series()
    for second in range(40):
        series.add(100)
        watches.sampled("work", second * S, second * S, {"queue_depth": 100})
    for outstanding, ends in ((1, False), (0, True)):
        one = scenario(None, visible=5)
        one.ledger["scheduled"] += outstanding
        summary = Summary({"s0": one}, gauges={"work": GaugeSummary({"queue_depth": series})})
        summary.watches = watches.results()
        assert (reason_to_abort([objective], summary, 40 * S, spans) is not None) is ends


# -- over time -----------------------------------------------------------------------------------------------


def _over_time(step_ns: int, bad_from: int, bad_until: int, outstanding: int = 0, steps: int = 40) -> ScenarioSummary:
    """100 events a step, half of them bad in some."""
    one = _consistency(1, 0, outstanding)
    counted = StepCounts(step_ns)
    for step in range(steps):
        bad = 50 if bad_from <= step < bad_until else 0
        counted.add(step * step_ns, 100, 100 - bad, bad)
    one.distributions["consistency"].steps = {(2 * S, step_ns): counted}
    one.counter_steps = {("errors", step_ns): counted}
    return one


def test_a_window_broken_for_sure() -> None:
    text = "p95(consistency) < 2s in any 10s"
    assert _reason(text, _over_time(1 * S, 10, 12)) == "ended after 40s: broken from 2s to 12s"
    assert not _reason(text, _over_time(1 * S, 10, 11))
    assert not _reason(text, _over_time(1 * S, 10, 12, outstanding=2000))
    assert not _reason(text, _over_time(1 * S, 10, 11), _over_time(1 * S, 30, 31))
    assert not _reason(text, _over_time(1 * S, 10, 12), _over_time(1 * S, 30, 31))
    assert _reason(text, _over_time(1 * S, 10, 13), _over_time(1 * S, 10, 11, steps=20))
    # The shorter of two has no events where the longer goes on: of 2,000 in ten seconds 100 may be bad, of 1,000 50.
    assert _reason(text, _over_time(1 * S, 30, 32), _over_time(1 * S, 0, 0, steps=20))
    assert _reason(text, _over_time(1 * S, 0, 0, steps=20), _over_time(1 * S, 30, 32))
    assert not _reason(text, _over_time(1 * S, 30, 31), _over_time(1 * S, 0, 0, steps=20))
    assert _reason("rate(errors) < 5% in any 10s", _over_time(1 * S, 10, 12))


def test_a_stretch_broken_for_sure() -> None:
    text = "p95(consistency) < 2s for 10s"
    assert _reason(text, _over_time(1 * S, 10, 20)) == "ended after 40s: broken for 10s at a stretch"
    assert not _reason(text, _over_time(1 * S, 10, 19))


def test_only_what_is_recent_is_looked_at() -> None:
    long = _over_time(1 * S, 10, 12, steps=5000)
    assert _reason("p95(consistency) < 2s in any 10s", long, at_s=1900)
    assert not _reason("p95(consistency) < 2s in any 10s", long, at_s=5000)
    late = _over_time(1 * S, 4990, 4992, steps=5000)
    assert "from 1h23m2s to 1h23m12s" in _reason("p95(consistency) < 2s in any 10s", late, at_s=5000)


def test_what_has_no_event_yet_ends_nothing() -> None:
    for text in ("p95(consistency) < 2s in any 10s", "p95(consistency) < 2s for 10s", "rate(errors) < 5% in any 10s"):
        assert not _reason(text, _over_time(1 * S, 0, 0, steps=0)), text
        assert not _reason(text, scenario(visible=5)), text
    recovery = "recovery(p95(consistency) < 2s) < 15s"
    assert not _reason(recovery, _over_time(1 * S, 0, 0, steps=0), after="10s")
    assert not _reason(recovery, scenario(visible=5), after="10s")


def test_the_first_second_counts_too() -> None:
    """All events of it are bad, and the last window that holds them ends ten seconds after the start."""
    one = _over_time(1 * S, 0, 2)
    assert _reason("p95(consistency) < 2s in any 10s", one) == "ended after 40s: broken from 0s to 10s"
    stretch = _over_time(1 * S, 0, 10)
    assert _reason("p95(consistency) < 2s for 10s", stretch) == "ended after 40s: broken for 10s at a stretch"
    first = _over_time(1 * S, 0, 1)
    first.distributions["consistency"].steps[2 * S, 1 * S].add(0, 0, 0, 20)
    assert _reason("recovery(p95(consistency) < 2s) < 5s", first, after="0s") == (
        "ended after 40s: not recovered 10s after 0s"
    )


def test_a_stretch_ends_a_run_when_it_is_as_long_as_it_may_not_be() -> None:
    """All that is outstanding may belong to a step and be good."""
    text = "p95(consistency) < 2s for 10s"
    assert _reason(text, _over_time(1 * S, 10, 20, outstanding=899))
    assert not _reason(text, _over_time(1 * S, 10, 20, outstanding=900))


def test_what_has_not_recovered_in_time() -> None:
    text = "recovery(p95(consistency) < 2s) < 15s"
    assert _reason(text, _over_time(1 * S, 5, 35), after="10s") == "ended after 40s: not recovered 30s after 10s"
    assert not _reason(text, _over_time(1 * S, 5, 12), after="10s")
    assert not _reason(text, _over_time(1 * S, 5, 35), after="fault")
    late = _over_time(1 * S, 4900, 5000, steps=5000)
    assert "not recovered 1m40s after 1h21m40s" in _reason(text, late, at_s=5000, after="4900s")
    spans = {"fault": ScenarioCriteria(0, 10 * S)}
    assert _reason(text, _over_time(1 * S, 5, 35), after="fault", spans=spans)


def test_nobody_knows_when_a_scenario_ended_while_its_last_answers_are_awaited() -> None:
    text, spans = "recovery(p95(consistency) < 2s) < 15s", {"s0": ScenarioCriteria(0, 10 * S)}
    assert "not recovered" in _reason(text, _over_time(1 * S, 5, 35), after="s0", spans=spans)
    assert not _reason(text, _over_time(1 * S, 5, 35, outstanding=1), after="s0", spans=spans)
