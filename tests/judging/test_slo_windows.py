"""Verdicts over time: in every window, for how long at a stretch, how soon back."""

from __future__ import annotations

import pytest

from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import Distribution, ScenarioSummary
from evload.objectives.grammar import parse
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.thresholds import StepCounts
from tests.rigs.summaries import S, good_and_bad, run_of, scenario

Step = tuple[int, int, int]


def _over_time(step_ns: int, steps: list[Step], threshold: int = 2 * S) -> ScenarioSummary:
    """A scenario with (events, within, beyond) in each step, at one threshold of `consistency`."""
    counted = StepCounts(step_ns)
    for number, (events, within, beyond) in enumerate(steps):
        counted.add(number * step_ns, events, within, beyond)
    events, within, beyond = (sum(column) for column in zip(*steps, strict=True))
    measured = good_and_bad(within, beyond, threshold, undecided=events - within - beyond)
    measured.steps = {(threshold, step_ns): counted}
    return scenario({"consistency": measured}, visible=events)


def _judge(text: str, one: ScenarioSummary, **more: str) -> ObjectiveResult:
    return judge(parse(text, **more), run_of(one))  # type: ignore[arg-type]


GOOD, BAD, OPEN = (10, 10, 0), (10, 5, 5), (10, 5, 0)


# -- in any --------------------------------------------------------------------------------------------------


def test_a_share_that_holds_over_the_run_may_break_in_a_window() -> None:
    steps: list[Step] = [(100, 100, 0)] * 60 + [(100, 0, 100)] * 3 + [(100, 100, 0)] * 60
    one = _over_time(3 * S, steps)
    assert _judge("p95(consistency) < 2s", one).result is Result.PASS
    judged = _judge("p95(consistency) < 2s in any 30s", one)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (0.7, 0.7), 0.95)
    assert judged.note == "worst from 2m39s to 3m9s"
    share = _judge("share(consistency < 2s) >= 95% in any 30s", one)
    assert (share.result, share.observed, share.limit) == (Result.FAIL, (0.7, 0.7), 0.95)
    assert _judge("share(consistency < 2s) >= 65% in any 30s", one).result is Result.PASS


def test_windows_are_exact_and_need_no_number_of_events() -> None:
    assert _judge("p99(consistency) < 2s in any 30s", _over_time(3 * S, [(1, 1, 0)] * 4)).result is Result.PASS
    none = _judge("p99(consistency) < 2s in any 30s", scenario({"consistency": Distribution()}, visible=5))
    assert (none.result, none.note) == (Result.INCONCLUSIVE, "no event has a consistency, and no data is no pass")


def test_one_bad_event_breaks_no_sparse_window_and_two_do() -> None:
    one_each = _over_time(3 * S, [(5, 4, 1), *[(5, 5, 0)] * 9, (5, 4, 1)])
    judged = _judge("p99(consistency) < 2s in any 30s", one_each)
    assert (judged.result, judged.observed) == (Result.PASS, (0.99, 0.99))
    both = _over_time(3 * S, [(5, 4, 1), *[(5, 5, 0)] * 8, (5, 4, 1)])
    assert _judge("p99(consistency) < 2s in any 30s", both).result is Result.FAIL


def test_what_can_not_be_told_leaves_a_window_open() -> None:
    judged = _judge("p90(consistency) < 2s in any 30s", _over_time(3 * S, [GOOD] * 10 + [OPEN] * 3))
    assert (judged.result, judged.observed) == (Result.INCONCLUSIVE, (0.85, 1))
    assert judged.note.startswith("worst from 9s to 39s, where not every event")


def test_a_window_close_to_its_limit_warns() -> None:
    close = _over_time(3 * S, [(100, 91, 9)] * 20)
    assert _judge("p90(consistency) < 2s in any 30s", close).result is Result.PASS
    closer = _over_time(3 * S, [(1000, 905, 95)] * 20)
    assert _judge("p90(consistency) < 2s in any 30s", closer).result is Result.WARN


@pytest.mark.parametrize("window", ["in any 30s", "for 30s"])
def test_a_rate_over_time_that_nobody_counted_is_no_pass(window: str) -> None:
    judged = _judge(f"rate(errors) < 1% {window}", scenario(visible=5))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note.endswith("no data is no pass")


@pytest.mark.parametrize(("window", "low"), [("in any 30s", 0), ("for 30s", 0)])
def test_a_rate_over_time_without_an_upper_end_is_open(window: str, low: float) -> None:
    some = _counted("duplicated", 3 * S, [(100, 0)] * 10, visible=1000)
    some.known["effects"] = 800
    judged = _judge(f"rate(duplicated) < 1% {window}", some)
    assert (judged.result, judged.observed, judged.note) == (
        Result.INCONCLUSIVE, (low, None), "effects are known for 800 of 1000 events"
    )  # fmt: skip
    seen = _counted("duplicated", 3 * S, [(100, 20)] * 10, visible=1000, duplicated=200)
    seen.known["effects"] = 800
    assert _judge(f"rate(duplicated) < 1% {window}", seen).result is Result.FAIL


def test_two_bad_events_close_to_the_limit_warn_and_one_never_does() -> None:
    two = _judge("p90(consistency) < 2s in any 30s", _over_time(3 * S, [(21, 19, 2), (0, 0, 0)]))
    assert two.result is Result.WARN
    assert two.note == "worst from 0s to 6s; above 90 % of the limit"
    one = _judge("p90(consistency) < 2s in any 30s", _over_time(3 * S, [(10, 9, 1), (0, 0, 0)]))
    assert (one.result, one.observed, one.note) == (Result.PASS, (0.9, 0.9), "worst from 0s to 6s")
    none = _judge("p90(consistency) < 2s in any 30s", _over_time(3 * S, [(10, 10, 0)]))
    assert (none.result, none.observed, none.note) == (Result.PASS, (1, 1), "")


def test_a_critical_limit_holds_in_windows_too() -> None:
    measured = Distribution()
    for threshold, bad in ((2 * S, 100), (5 * S, 0)):
        measured.steps[(threshold, 3 * S)] = counted = StepCounts(3 * S)
        counted.add(0, 1000, 1000 - bad, bad)
    one = scenario({"consistency": measured}, visible=1000)
    assert _judge("p95(consistency) < 2s in any 30s", one).result is Result.FAIL
    assert _judge("p95(consistency) < 2s in any 30s", one, critical="5s").result is Result.WARN


# -- for -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "result", "observed"),
    [
        ([GOOD] * 30, Result.PASS, (0, 0)),
        ([GOOD] * 5 + [BAD] * 9 + [GOOD] * 5, Result.PASS, (9, 9)),
        ([GOOD] * 5 + [BAD] * 10 + [GOOD] * 5, Result.FAIL, (10, 10)),
        ([GOOD] * 5 + [BAD] * 5 + [OPEN] * 5 + [GOOD], Result.INCONCLUSIVE, (5, 10)),
        ([BAD] * 5 + [(0, 0, 0)] * 9 + [BAD] * 3, Result.INCONCLUSIVE, (8, 17)),
        ([BAD] * 5 + [GOOD] + [BAD] * 9, Result.PASS, (9, 9)),
        ([BAD] * 10 + [OPEN] * 2 + [GOOD], Result.FAIL, (10, 12)),
    ],
)
def test_how_long_it_may_be_broken_at_a_stretch(
    steps: list[Step], result: Result, observed: tuple[float, float]
) -> None:
    judged = _judge("p95(consistency) < 2s for 10s", _over_time(1 * S, steps))
    assert (judged.result, judged.observed, judged.limit) == (result, observed, 10)


def test_sparse_events_that_are_all_bad_break_a_stretch() -> None:
    """One event in a step never breaks a window, but a stretch is long enough to tell."""
    one = _over_time(1 * S, [(1, 1, 0)] * 5 + [(1, 0, 1)] * 10)
    assert _judge("p99(consistency) < 2s for 10s", one).result is Result.FAIL
    refused = _counted("errors", 1 * S, [(1, 0)] * 5 + [(1, 1)] * 10, visible=5, rejected=10)
    assert _judge("rate(errors) < 1% for 10s", refused).result is Result.FAIL


# -- counters ------------------------------------------------------------------------------------------------


def _counted(counter: str, step_ns: int, steps: list[tuple[int, int]], **ledger: int) -> ScenarioSummary:
    """A scenario with (events scheduled, events counted) in each step."""
    counted = StepCounts(step_ns)
    for number, (events, happened) in enumerate(steps):
        counted.add(number * step_ns, events, happened, happened)
    one = scenario(None, **ledger)
    one.counter_steps = {(counter, step_ns): counted}
    return one


def test_a_rate_has_to_hold_in_every_window() -> None:
    steps = [(100, 0)] * 50 + [(100, 10)] + [(100, 0)] * 50
    one = _counted("errors", 3 * S, steps, visible=10_090, rejected=10)
    assert _judge("rate(errors) < 0.5%", one).result is Result.PASS
    judged = _judge("rate(errors) < 0.5% in any 30s", one)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (0.01, 0.01), 0.005)
    assert not judged.witnessed
    assert _judge("rate(errors) < 2% in any 30s", one).result is Result.PASS


def test_a_rate_at_its_limit_in_a_window() -> None:
    one = _counted("errors", 3 * S, [(100, 1)] * 10, visible=990, rejected=10)
    assert _judge("rate(errors) <= 1% in any 30s", one).result is Result.WARN
    assert _judge("rate(errors) < 1% in any 30s", one).result is Result.FAIL


def test_a_counted_violation_in_a_window_is_witnessed() -> None:
    one = _counted("lost", 3 * S, [(100, 20)] * 10, visible=800, lost=200)
    judged = _judge("rate(lost) < 1% in any 30s", one)
    assert (judged.result, judged.witnessed) == (Result.FAIL, True)


def test_a_rate_of_what_is_not_settled_is_open_in_windows() -> None:
    pending = _counted("lost", 3 * S, [(100, 0)] * 10, visible=980, pending=20)
    assert _judge("rate(lost) < 1% in any 30s", pending).result is Result.INCONCLUSIVE
    assert _judge("rate(lost) < 5% in any 30s", pending).result is Result.PASS
    stretch = _judge("rate(lost) < 1% for 30s", pending)
    assert (stretch.result, stretch.observed) == (Result.INCONCLUSIVE, (0, 30))
    few = _counted("lost", 3 * S, [(100, 10)] * 9 + [(0, 0)] * 10 + [(10, 0)], visible=815, lost=90, pending=5)
    assert _judge("rate(lost) < 60% in any 30s", few).observed == (0.1, 0.5), "all five may be of the last ten"
    blind = _counted("duplicated", 3 * S, [(100, 0)] * 10, visible=1000)
    blind.known["effects"] = 0
    judged = _judge("rate(duplicated) < 1% for 30s", blind)
    assert (judged.result, judged.note) == (
        Result.INCONCLUSIVE, "no read said how many effects an event had, and no data is no pass"
    )  # fmt: skip


def test_throughput_has_to_hold_wherever_the_schedule_asks_for_it() -> None:
    ramp = [(n * 30, n * 30) for n in range(10)]
    hold = [(300, 300)] * 20
    fine = _counted("acked", 3 * S, [*ramp, *hold, (0, 0), (0, 0)], visible=7350)
    judged = _judge("throughput(acked) >= 100/s in any 30s", fine)
    assert (judged.result, judged.observed, judged.limit) == (Result.PASS, (100, 100), 100)
    assert judged.note == "worst from 30s to 1m0s"
    slow = _counted("acked", 3 * S, [*ramp, *hold[:10], *[(300, 240)] * 10, (0, 600)], visible=7350)
    failed = _judge("throughput(acked) >= 100/s in any 30s", slow)
    assert (failed.result, failed.observed, failed.note) == (Result.FAIL, (80, 80), "worst from 1m0s to 1m30s")
    never = _judge("throughput(acked) >= 200/s in any 30s", fine)
    assert (never.result, never.note) == (
        Result.INCONCLUSIVE, "the schedule never asks for as much, and no data is no pass"
    )  # fmt: skip


def test_the_edges_of_a_window_cost_throughput_no_objective() -> None:
    uneven = _counted("sent", 1 * S, [(33, 33), (34, 34), (33, 33)] * 20, visible=2000)
    assert _judge("throughput(sent) >= 33.3/s in any 10s", uneven).result is Result.PASS


@pytest.mark.parametrize(("pending", "result"), [(598, Result.FAIL), (599, Result.FAIL), (600, Result.INCONCLUSIVE)])
def test_what_is_pending_may_have_been_on_time(pending: int, result: Result) -> None:
    """3,000 are asked for in a window, less the one that its edges may cost; 2,400 of them were seen in time."""
    slow = _counted("visible", 3 * S, [(300, 240)] * 10, visible=2400, pending=pending)
    judged = _judge("throughput(visible) >= 100/s in any 30s", slow)
    assert judged.result is result
    assert list(judged.observed) == pytest.approx([80, 80 + pending / 30])
    end = "" if result is Result.FAIL else "; 600 still pending"
    assert judged.note == f"worst from 0s to 30s{end}"


def test_throughput_may_be_low_for_a_while() -> None:
    def stalled(steps: int) -> ObjectiveResult:
        planted = [(50, 50)] * 20 + [(50, 0)] * steps + [(50, 50)] * 20
        return _judge("throughput(visible) >= 40/s for 10s", _counted("visible", 1 * S, planted, visible=2000))

    assert (stalled(9).result, stalled(9).observed) == (Result.PASS, (9, 9))
    assert (stalled(10).result, stalled(10).limit) == (Result.FAIL, 10)


@pytest.mark.parametrize(
    ("visible", "pending", "result", "observed"),
    [(40, 0, Result.PASS, (0, 0)), (39, 0, Result.FAIL, (10, 10)), (39, 1, Result.INCONCLUSIVE, (0, 10))],
)
def test_a_step_with_one_event_fewer_than_asked_for_is_as_fast_as_one_can_tell(
    visible: int, pending: int, result: Result, observed: tuple[float, float]
) -> None:
    """The edges of a step may cost it one event: 40/s asks for more than 39 in a second."""
    planted = [(50, visible)] * 10
    one = _counted("visible", 1 * S, planted, visible=visible * 10, pending=pending)
    judged = _judge("throughput(visible) >= 40/s for 10s", one)
    assert (judged.result, judged.observed) == (result, observed)


def _seen(step_ns: int, steps: list[tuple[int, int, int]], visible: int) -> ScenarioSummary:
    """A scenario with (events scheduled, last missed, first seen) in each step."""
    one = scenario(None, visible=visible)
    counted = StepCounts(step_ns)
    for number, counts in enumerate(steps):
        counted.add(number * step_ns, *counts)
    one.counter_steps = {("visible", step_ns): counted}
    return one


def test_what_became_visible_between_two_reads_proves_no_throughput() -> None:
    """25 a second did, and a read every four seconds shows them together."""
    read_in = [(50, 25, 0), (50, 25, 0), (50, 25, 0), (50, 25, 100)] * 10
    bunched = _seen(1 * S, read_in, 1000)
    coarse = _judge("throughput(visible) >= 40/s for 10s", bunched)
    assert (coarse.result, coarse.observed) == (Result.INCONCLUSIVE, (1, 40))
    fine = _judge("throughput(visible) >= 40/s for 10s", _seen(1 * S, [(50, 25, 25)] * 40, 1000))
    assert (fine.result, fine.observed) == (Result.FAIL, (40, 40))
    # In twenty seconds it is no matter when in four of them.
    longer = _seen(2 * S, [(100, 50, 0), (100, 50, 100)] * 10, 1000)
    judged = _judge("throughput(visible) >= 40/s in any 20s", longer)
    assert (judged.result, judged.observed) == (Result.FAIL, (25, 25))
    near = _judge("throughput(visible) >= 24/s in any 20s", longer)
    assert (near.result, near.observed) == (Result.INCONCLUSIVE, (22.5, 27.5))
    assert near.note.startswith("worst from 2s to 22s; reads were too far apart")
    assert _judge("throughput(visible) >= 20/s in any 20s", longer).result is Result.PASS


def test_a_bracket_that_is_longer_than_the_window_counts_for_the_one_and_against_the_other() -> None:
    one = _seen(1 * S, [(10, 10, 0), (10, 0, 0), (10, 0, 10)], 10)
    judged = _judge("throughput(visible) >= 5/s for 10s", one)
    assert (judged.result, judged.observed) == (Result.PASS, (0, 3))


# -- recovery ------------------------------------------------------------------------------------------------

TEXT = "recovery(p95(consistency) < 2s) < 30s"


def _recovered(steps: list[Step], text: str = TEXT, after: str = "20s") -> ObjectiveResult:
    return _judge(text, _over_time(1 * S, steps), after=after)


def test_recovery_is_the_end_of_the_last_broken_window() -> None:
    """Broken until 25 s; the last window that holds more bad events than it may ends 9 s later."""
    fault = [GOOD] * 10 + [BAD] * 15 + [GOOD] * 40
    judged = _recovered(fault)
    assert (judged.result, judged.observed, judged.limit) == (Result.PASS, (13, 13), 30)
    assert _recovered(fault, "recovery(p95(consistency) < 2s) < 13.5s").result is Result.WARN
    assert _recovered(fault, "recovery(p95(consistency) < 2s) < 10s").result is Result.FAIL
    assert _recovered(fault, after="30s").observed == (0, 0)
    doubtful = [GOOD] * 10 + [BAD] * 15 + [OPEN] * 5 + [GOOD] * 40
    assert _recovered(doubtful).observed == (13, 18)
    assert _recovered(doubtful, "recovery(p95(consistency) < 2s) < 15s").result is Result.INCONCLUSIVE


def test_one_bad_event_of_few_is_nothing_to_recover_from() -> None:
    steps: list[Step] = [(1, 1, 0)] * 25 + [(1, 0, 1)] + [(1, 1, 0)] * 14
    assert _recovered(steps).observed == (0, 0)
    assert _recovered([*steps[:24], (1, 0, 1), *steps[25:]]).observed == (14, 14)


@pytest.mark.parametrize("text", ["throughput(acked) >= 5/s in any 10s", "throughput(acked) >= 5/s for 10s"])
def test_where_nothing_was_counted_over_time_no_throughput_is_known(text: str) -> None:
    judged = _judge(text, scenario(visible=5))
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "no event has a throughput, and no data is no pass")


def test_what_has_not_recovered_by_the_end_is_no_pass() -> None:
    judged = _recovered([GOOD] * 10 + [BAD] * 30)
    assert (judged.result, judged.observed) == (Result.INCONCLUSIVE, (20, None))
    assert judged.note == "it did not hold again by the end"
    assert _recovered([GOOD] * 10 + [BAD] * 60).result is Result.FAIL
    nothing = _recovered([GOOD] * 10)
    assert (nothing.result, nothing.note) == (
        Result.INCONCLUSIVE, "no event was due after that moment, and no data is no pass"
    )  # fmt: skip


def test_without_a_measured_event_nobody_knows_when_it_recovered() -> None:
    judged = _judge(TEXT, scenario(visible=5), after="20s")
    assert (judged.result, judged.note) == (
        Result.INCONCLUSIVE, "no event was due after that moment, and no data is no pass"
    )  # fmt: skip


def test_a_window_that_begins_before_the_moment_is_not_looked_at() -> None:
    """All events of the twenty-first second are bad, which breaks the windows that begin in it or before."""
    steps = [GOOD] * 20 + [(10, 0, 10)] + [GOOD] * 30
    assert _recovered(steps, after="20s").observed == (10, 10)
    assert _recovered(steps, after="20.5s").observed == (0, 0)


def test_a_window_with_one_bad_event_too_many_has_not_recovered() -> None:
    """Of 99 events four may be bad; of a hundred it would be five."""
    steps = [(99, 99, 0)] * 20 + [(9, 4, 5)] + [(10, 10, 0)] * 9 + [(99, 99, 0)] * 20
    assert _recovered(steps, after="20s").observed == (10, 10)
    assert _recovered([*steps[:20], (10, 5, 5), *steps[21:]], after="20s").observed == (0, 0)


def test_recovery_counts_from_the_end_of_a_scenario() -> None:
    objective = parse(TEXT, after="fault")
    run = run_of(_over_time(1 * S, [GOOD] * 10 + [BAD] * 15 + [GOOD] * 40))
    assert judge(objective, run, {"fault": ScenarioCriteria(10 * S, 20 * S)}).observed == (13, 13)
    assert judge(objective, run).note == "fault never began"


# -- a run that was ended ------------------------------------------------------------------------------------


def test_the_objective_that_ended_the_run_has_failed() -> None:
    one = scenario({"consistency": good_and_bad(290, 10, 2 * S)}, visible=300)
    one.slices = {"event=a": one}
    run = run_of(one)
    run.vitals.aborted, run.vitals.abort_note = "p99(consistency) < 2s [event=a]", "ended after 40s: too many"
    assert judge(parse("p98(consistency) < 2s", event="a"), run).result is Result.INCONCLUSIVE
    judged = judge(parse("p99(consistency) < 2s", event="a"), run)
    assert (judged.result, judged.note) == (Result.FAIL, "ended after 40s: too many")
    assert judge(parse("p99(consistency) < 2s"), run).note != judged.note
