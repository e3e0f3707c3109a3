"""Objectives about a part of the events, about time, about the way back: what they ask for, how they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from evload.judging.judge import judge
from evload.model.report import Result
from evload.model.summary import Summary
from evload.objectives.condition import parse_condition
from evload.objectives.cost import service
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import from_data, parse
from evload.objectives.objective import Measure
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.stats.watches import MISSING
from tests.rigs.summaries import MS, S, good_and_bad, run_of, scenario

GAUGES = {"work": ["queue_depth", "age"], "other": ["queue_depth"], "cpu": ["load"]}


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max(load) < 80%", Fraction(4, 5)),
        ("max(load) < 12.5 %", Fraction(1, 8)),
        ("max(load) < 3", Fraction(3)),
        ("max(load) < 1_000", Fraction(1000)),
        ("max(load) < 0.1", Fraction(1, 10)),
        ("max(load) < 1.5s", Fraction(3, 2)),
        ("max(load) < 250ms", Fraction(1, 4)),
        ("max(load) < 2MB", Fraction(2_000_000)),
    ],
)
def test_limits_on_a_gauge_are_in_its_own_unit(text: str, limit: Fraction) -> None:
    """Durations in seconds, shares of 1, sizes in bytes."""
    assert parse(text, gauges=GAUGES).limit == limit


@pytest.mark.parametrize("limit", ["5", "80%", "2s"])
def test_a_gauge_may_be_named_and_then_no_other_counts(limit: str) -> None:
    for text, gauge in ((f"last(work.queue_depth) < {limit}", "work"), (f"last(queue_depth) < {limit}", None)):
        objective = parse(text, gauges=GAUGES)
        assert (objective.gauge, objective.subject, objective.function) == (gauge, "queue_depth", "last")


@pytest.mark.parametrize("limit", ["80 parrots", "x%", "1/0", "%", "1e301", "-1e301", "9" * 101, "1e9999"])
def test_what_is_no_value_of_a_gauge_is_refused(limit: str) -> None:
    with pytest.raises(ValueError):
        parse(f"max(load) < {limit}", gauges=GAUGES)


@pytest.mark.parametrize(
    ("text", "compared", "samples"),
    [
        ("work.queue_depth <= 5", "<=", [True, True, False]), ("age > 5", ">", [False, False, True]),
        ("age != 5", "!=", [True, False, True]), ("cpu.load == 5", "==", [False, True, False]),
    ],
)  # fmt: skip
def test_what_a_phase_may_wait_for(text: str, compared: str, samples: list[bool]) -> None:
    condition = parse_condition(text, GAUGES)
    assert (condition.compared, condition.level) == (compared, Fraction(5))
    assert [condition.holds({condition.value: value}) for value in (4.0, 5.0, 6.0)] == samples
    assert not condition.holds({})
    assert not condition.holds({condition.value: MISSING})
    gauge, dot, value = text.split()[0].rpartition(".")
    assert (condition.gauge, condition.value) == (gauge if dot else "work", value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queue_depth > 5", "work and other have queue_depth; name one of them, such as work.queue_depth"),
        ("queue_depth", "'queue_depth' is not a condition; write for example until: queue_depth > 100"),
        ("nothing > 5", "nothing"),
    ],
)
def test_what_nothing_can_wait_for(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_condition(text, GAUGES)
    assert message in str(raised.value)


def test_a_share_that_no_sample_can_show_has_a_cure_with_the_time_in_it() -> None:
    for more in ({"target": "100%"}, {}):
        limit = "95%" if more else "100%"
        with pytest.raises(ValueError) as raised:
            parse(f"share(consistency < 2s) >= {limit}", **more)  # type: ignore[arg-type]
        assert "write max(consistency) < 2" in str(raised.value)


# -- parts of the events -------------------------------------------------------------------------------------


def _run() -> Summary:
    """Two scenarios: all is well in each but for one event type in the first and one replica in the second."""
    good, bad = good_and_bad(300, 0, 2 * S), good_and_bad(0, 300, 2 * S)
    first = scenario({"consistency": good}, visible=300)
    first.slices = {
        "event=created": scenario({"consistency": bad}, visible=300),
        "event=moved": scenario({"consistency": good}, visible=300),
    }
    second = scenario({"consistency": good}, visible=300)
    second.slices = {
        "event=moved": scenario({"consistency": good}, visible=300, lost=2),
        "probe=index,replica=b": scenario({"first_seen": bad}, visible=299, lost=1),
    }
    return run_of(first, second)


@pytest.mark.parametrize(
    ("text", "part", "label", "result"),
    [
        ("p99(consistency) < 2s", {}, "", Result.PASS),
        ("p99(consistency) < 2s", {"event": "created"}, "event=created", Result.FAIL),
        ("p99(consistency) < 2s", {"event": "moved"}, "event=moved", Result.PASS),
        ("p99(consistency) < 2s", {"event": "moved", "scenario": "s0"}, "event=moved", Result.PASS),
        ("p99(consistency) < 2s", {"event": "created", "scenario": "s1"}, "event=created", Result.INCONCLUSIVE),
        ("p99(consistency) < 2s", {"key": "user-*"}, "key=user-*", Result.INCONCLUSIVE),
        ("lost == 0", {"event": "moved"}, "event=moved", Result.FAIL),
        ("lost == 0", {"event": "moved", "scenario": "s0"}, "event=moved", Result.PASS),
        ("p99(first_seen) < 2s", {"probe": "index", "replica": "b"}, "probe=index,replica=b", Result.FAIL),
        ("lost == 1", {"probe": "index", "replica": "b"}, "probe=index,replica=b", Result.PASS),
    ],
)
def test_an_objective_is_judged_on_its_part_alone(
    text: str, part: dict[str, Any], label: str, result: Result
) -> None:
    judged = judge(parse(text, **part), _run())
    assert (judged.result, judged.scope, judged.scenario) == (result, label, part.get("scenario"))
    if result is Result.INCONCLUSIVE:
        assert "no data is no pass" in judged.note


def test_the_distribution_of_an_objective_is_that_of_all_its_scenarios() -> None:
    run = _run()
    for more, count in (({}, 600), ({"scenario": "s1"}, 300), ({"event": "created"}, 300), ({"event": "moved"}, 600)):
        objective = parse("p99(consistency) < 2s", **more)  # type: ignore[arg-type]
        found = objective.distribution(run)
        assert (found.count, list(found.thresholds)) == (count, [2 * S])
    assert parse("p99(publish) < 2s").distribution(run).count == 0
    assert parse("p99(queue_lag) < 2s").pieces(run) == []
    assert [one.distributions["consistency"].count for one in run.scenarios.values()] == [300, 300]


@pytest.mark.parametrize(
    ("text", "more", "label"),
    [
        ("lost == 0", {"during": "down"}, "during=down"),
        ("lost == 0", {"after": "down", "event": "a"}, "event=a,after=down"),
        ("lost == 0", {"tag": "cold"}, "tag=cold"),
        # What counts from a moment is about all events, and so is what gauges say.
        ("recovery(p95(consistency) < 3s) < 5m", {"after": "down"}, ""),
        ("max(load) < 2", {"after": "down"}, ""),
        ("drain(queue_depth <= 5) < 5s", {"after": "down"}, ""),
    ],
)
def test_the_part_of_the_events_that_it_is_about(text: str, more: dict[str, Any], label: str) -> None:
    objective = parse(text, gauges=GAUGES, **more)
    assert objective.slice == label
    assert objective.actions == (("down",) if "down" in more.values() else ())
    assert objective.of_later_events is ("after=" in label)


def test_the_title_tells_objectives_with_one_expression_apart() -> None:
    assert parse("lost == 0").title == "lost == 0"
    assert parse("lost == 0", scenario="spike", event="a", key="k*").title == "lost == 0 [spike, event=a,key=k*]"
    gauges = {"work": ["depth"]}
    assert parse("drain(depth) < 5s", after="spike", gauges=gauges).title == "drain(depth) < 5s [after=spike]"
    assert parse("max(depth) < 5", during="down", gauges=gauges).title == "max(depth) < 5 [during=down]"
    recovery = parse("recovery(p95(publish) < 2s) < 5m", scenario="calm", event="a", after="15m")
    assert recovery.title == "recovery(p95(publish) < 2s) < 5m [calm, event=a,after=15m]"


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        ("p99(hop) < 2s", {}, "a hop ends at one probe of the chain; add probe: NAME"),
        ("p99(publish) < 2s", {"probe": "index"}, "publish is not known of one probe; known are first_seen"),
        (
            "duplicates == 0",
            {"replica": "b"},
            "duplicated is not known of one replica; known are visible, ended, lost",
        ),
        ("max(staleness) < 2", {"probe": "index"}, "staleness is not known of one probe; known are"),
        # Nobody counts which replica an event disappeared from, so that 0 of them would always be a pass.
        (
            "regressions == 0",
            {"replica": "b"},
            "regressions is not known of one replica; known are visible, ended, lost",
        ),
        ("rate(lost) < 1% in any 30s", {"probe": "index"}, "isn't counted over time; leave the window or the probe"),
        ("max(queue_depth) < 2", {"scenario": "spike"}, "a gauge belongs to no scenario; leave scenario out"),
        ("max(queue_depth) < 2", {"event": "a"}, "a gauge belongs to no event; leave event out"),
        ("p99(queue_lag) < 2s", {"key": "a"}, "the time in a queue belongs to no key; leave key out"),
        ("p99(queue_lag) < 2s", {"event": "a", "key": "b"}, "belongs to no event; leave event out"),
        (
            "lost == 0",
            {"tag": "cold", "probe": "index"},
            "a tag is of an event, whoever looks at it; leave probe out",
        ),
        ("lost == 0", {"tag": "cold", "replica": "b"}, "whoever looks at it; leave replica out"),
        (
            "lost == 0",
            {"tag": "cold", "abort_after_ns": S},
            "what is still to be answered may be cold, too; leave abort",
        ),
        ("span(publish) < 5s", {"tag": "cold"}, "is about all answers; leave tag out"),
        ("lost == 0", {"after": "5m"}, "only drain(...), recovery(...), reach(...), rise(...)"),
    ],
)
def test_parts_that_make_no_sense_are_refused(text: str, part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text, gauges=GAUGES, **part)
    assert message in str(raised.value)
    assert "; " in str(raised.value)


# -- windows -------------------------------------------------------------------------------------------------


def test_windows_say_what_has_to_be_counted_over_time() -> None:
    objective = parse("p99( consistency ) <2s  in any  30s", critical="5s")
    assert objective.expression == "p99( consistency ) <2s in any 30s"
    assert objective.measure is Measure.PERCENTILE
    assert objective.steps == (("consistency", 2 * S, 3 * S), ("consistency", 5 * S, 3 * S))
    assert objective.thresholds == (("consistency", 2 * S), ("consistency", 5 * S))
    stretch = parse("share(publish < 80ms) >= 95% for 10s")
    assert stretch.steps == (("publish", 80 * MS, 1 * S),)
    assert parse("rate(errors) < 1% for 1m").counter_steps == (("errors", 6 * S),)
    assert parse("throughput(acked) >= 90/s in any 30s").counter_steps == (("acked", 3 * S),)
    assert parse("p99(consistency) < 2s").steps == ()
    for text in ("lost == 0", "rate(errors) < 1%", "throughput(acked) >= 90/s"):
        assert (parse(text).counter_steps, parse(text).steps) == ((), ())
    silence = parse("stretch(errors) < 5s")
    assert (silence.counter_steps, silence.steps) == ((("acked", 100 * MS), ("errors", 100 * MS)), ())
    gauged = parse("max(queue_depth) < 5 for 10s", gauges=GAUGES)
    assert (gauged.counter_steps, gauged.steps, gauged.thresholds) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "more", "shown"),
    [
        ("p99(consistency) < 2s", {}, 2 * S),
        ("p99(consistency) < 2s", {"target": "1s"}, 2 * S),
        ("p99(consistency) < 2s", {"critical": "5s"}, 2 * S),
        ("share(consistency < 2s) >= 95%", {"target": "99%"}, Fraction(19, 20)),
        # Of a window the share that has to hold in it, and of a stretch how long it may be broken.
        ("p99(consistency) < 2s in any 30s", {"target": "1s"}, Fraction(99, 100)),
        ("share(consistency < 2s) >= 95% in any 30s", {"target": "99%"}, Fraction(19, 20)),
        ("rate(errors) < 1% in any 30s", {"target": "0.5%"}, Fraction(1, 100)),
        ("p99(consistency) < 2s for 30s", {}, 30 * S),
        ("max(queue_depth) < 5 for 10s", {}, 10 * S),
        ("mean(queue_depth) < 5 in any 10s", {}, 5),
    ],
)
def test_the_limit_that_is_shown(text: str, more: dict[str, Any], shown: Fraction | int) -> None:
    assert parse(text, gauges=GAUGES, **more).shown_limit == shown


@pytest.mark.parametrize(
    ("text", "more", "wait_ns"),
    [
        ("p99(consistency) < 2s", {}, 2 * S),
        ("p99(consistency) < 2s", {"critical": "5s"}, 5 * S),
        ("p99(consistency) < 2s", {"target": "1s"}, 2 * S),
        ("share(end_to_end < 3s) >= 95%", {}, 3 * S),
        ("max(first_seen) < 4s", {}, 4 * S),
        ("mean(consistency) < 1s", {}, S),
        ("recovery(p95(consistency) < 3s) < 5m", {"after": "spike"}, 3 * S),
        ("recovery(p95(publish) < 3s) < 5m", {"after": "spike"}, None),
        ("p99(publish) < 2s", {}, None),
        ("lost == 0", {}, None),
        ("rate(lost) < 1%", {}, None),
        ("max(load) < 2", {}, None),
    ],
)
def test_how_long_somebody_has_to_look_for_it(text: str, more: dict[str, Any], wait_ns: int | None) -> None:
    assert parse(text, gauges=GAUGES, **more).longest_wait_ns == wait_ns


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("p99(consistency) < 2s", True), ("lost == 0", True), ("duplicated == 0", True), ("visible >= 5", True),
        ("share(first_seen < 2s) >= 95%", True), ("max(staleness) < 2", True), ("recovered >= 1", True),
        ("p99(publish) < 2s", False), ("p99(schedule_delay) < 2s", False), ("errors == 0", False),
        ("rate(rejected) < 1%", False), ("throughput(acked) >= 5/s", False), ("p95(queue_lag) < 2s", False),
        ("max(load) < 2", False), ("stretch(errors) < 5s", False), ("span(publish) < 5s", False),
        ("cost(run) < 5", False), ("status(409) == 0", False),
    ],
)  # fmt: skip
def test_what_can_only_be_judged_where_there_is_a_probe(text: str, needs: bool) -> None:
    assert parse(text, gauges=GAUGES).needs_probe is needs


@pytest.mark.parametrize("compared", ["<", "<=", ">", ">=", "==", "!="])
def test_a_gauge_is_where_it_is_waited_for(compared: str) -> None:
    objective = parse(f"reach(load {compared} 3) < 5s", scenario="spike", gauges=GAUGES)
    found = [value for value in (2.5, 3.0, 3.5) if objective.fulfils(value)]
    assert found == {
        "<": [2.5], "<=": [2.5, 3.0], ">": [3.5], ">=": [3.0, 3.5], "==": [3.0], "!=": [2.5, 3.5],
    }[compared]  # fmt: skip


@pytest.mark.parametrize(
    ("span", "step"), [("30s", 3 * S), ("1s", 100 * MS), ("250ms", 125 * MS), ("100ms", 100 * MS)]
)
def test_steps_are_a_tenth_of_the_window_and_100_ms_at_least(span: str, step: int) -> None:
    assert parse(f"p99(consistency) < 2s for {span}").steps == (("consistency", 2 * S, step),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p99(consistency) < 2s in any 50ms", "'50ms' is shorter than what is counted; write 100ms or more"),
        ("p99(consistency) < 2s in any 3", "'3' is not a duration; write a number with a unit"),
        ("p99(consistency) < 2s in any", "'2s in any' is not a duration; write"),
        ("lost == 0 in any 30s", "is about the run as a whole; leave 'in any' out, or write a share, a percentile"),
        ("max(consistency) < 2s for 30s", "is about the run as a whole; leave 'for' out, or write"),
        ("max(staleness) < 2 for 30s", "is about the run as a whole; leave"),
        (
            "rate(acked) < 2% in any 30s",
            "acked counts when it happens, and not when it was due; write throughput(acked)",
        ),
        ("rate(lost) > 2% in any 30s", "over time rate(...) can't be compared by >; write < or <="),
        ("throughput(acked) > 1/s for 10s", "is about fewer than two events at a time; write a longer time"),
        ("throughput(acked) > 1/min in any 30s", "is about fewer than two events at a time; write a longer time"),
        ("max(queue_depth) > 100 for 10s", "can't be told; write max(...) < 100 for 10s"),
        ("mean(queue_depth) < 100 for 10s", "can't be told; write"),
        ("last(queue_depth) < 100 in any 10s", "can't be told; write"),
        ("p99(queue_lag) < 2s for 10s", "queue_lag isn't counted over time; write max(queue_depth) < 100 for 10s"),
    ],
)
def test_windows_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text, gauges=GAUGES)
    assert message in str(raised.value)


# -- the way back --------------------------------------------------------------------------------------------

SPANS = {"spike": ScenarioCriteria(60 * S, 90 * S)}


def test_drain_counts_from_the_end_of_a_scenario_or_from_a_moment() -> None:
    drain = parse("drain(work.queue_depth) < 60s", scenario="spike", critical="2m", gauges=GAUGES)
    assert (drain.measure, drain.subject, drain.gauge, drain.level) == (Measure.DRAIN, "queue_depth", "work", None)
    assert drain.limits == (Fraction(60 * S), Fraction(120 * S))
    assert (drain.latency_limit_ns, drain.needs_probe) == (None, False)
    assert drain.anchor_ns(SPANS) == 90 * S
    assert parse("drain(queue_depth) < 60s", after="spike", gauges=GAUGES).anchor_ns(SPANS) == 90 * S
    assert parse("rise(load) < 5", gauges=GAUGES).anchor_ns(SPANS) is None
    levelled = parse("drain(queue_depth <= 10) < 60s", after="5m", gauges=GAUGES)
    assert (levelled.level, levelled.anchor_ns({})) == (Fraction(10), 300 * S)
    assert parse("drain(queue_depth) < 60s", after="spike", gauges=GAUGES).anchor_ns({}) is None


def test_recovery_is_about_another_objective() -> None:
    recovery = parse("recovery(p95(consistency) < 3s) < 5m", after="spike", event="created", scenario="calm")
    assert (recovery.measure, recovery.limit, recovery.subject) == (
        Measure.RECOVERY,
        Fraction(300 * S),
        "consistency",
    )
    assert recovery.thresholds == (("consistency", 3 * S),)
    assert recovery.steps == (("consistency", 3 * S, 1 * S),)
    assert (recovery.latency_limit_ns, recovery.share, recovery.needs_probe) == (3 * S, None, True)
    assert (recovery.after_named, recovery.anchor_ns(SPANS)) == ("spike", 90 * S)
    assert recovery.inner is not None
    assert (recovery.inner.event, recovery.inner.scenario) == ("created", "calm")
    part: dict[str, Any] = {"key": "k*", "probe": "index", "replica": "b"}
    told = parse("recovery(p95(first_seen) < 3s) < 5m", after="spike", **part).inner
    assert told is not None
    assert {name: getattr(told, name) for name in part} == part


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("drain(queue_depth) < 60s", {}, "has to count from one moment; write scenario: NAME, or after:"),
        ("drain(queue_depth) < 60s", {"scenario": "a", "after": "b"}, "has to count from one moment"),
        (
            "drain(queue_depth) < 60s",
            {"after": "5m"},
            "nobody knows the level of queue_depth before 5m; write drain(",
        ),
        (
            "drain(queue_dept) < 60s",
            {"after": "a"},
            "no gauge with 'queue_dept' to drain; did you mean 'queue_depth'",
        ),
        ("drain(queue_depth < 10) < 60s", {"after": "a"}, "no gauge with 'queue_depth < 10' to drain"),
        ("drain(queue_depth) > 60s", {"after": "a"}, "drain(...) can't be compared by >; write < or <="),
        ("drain(queue_depth) < 60s", {"after": "a", "event": "b"}, "a gauge belongs to no event"),
        ("drain(queue_depth) < 60s for 5s", {"after": "a"}, "is about the run as a whole"),
        ("recovery(p95(consistency) < 3s) < 5m", {}, "has to count from a moment; write after:"),
        ("recovery(lost == 0) < 5m", {"after": "a"}, "is about a percentile or a share of events, and 'lost == 0'"),
        ("recovery(recovery(lost == 0) < 5m) < 5m", {"after": "a"}, "doesn't hold from moment to moment; write"),
        ("recovery(p95(consistency) < 3s for 5s) < 5m", {"after": "a"}, "windows of 10s by itself; leave the inner"),
        ("recovery(p95(hop) < 3s) < 5m", {"after": "a"}, "a hop ends at one probe of the chain; add probe"),
        ("recovery(p95(queue_lag) < 3s) < 5m", {"after": "a"}, "is about a percentile or a share of events"),
    ],
)
def test_ways_back_that_make_no_sense_are_refused(text: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text, gauges=GAUGES, **more)
    assert message in str(raised.value)
    assert "; " in str(raised.value)


def test_without_a_gauge_nothing_drains() -> None:
    with pytest.raises(ValueError, match="there is no gauge with 'queue_depth' to drain; add a gauge under gauges:"):
        parse("drain(queue_depth) < 60s", after="a")


# -- on paper ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"text": "p99(consistency) < 2s in any 30s", "critical": "5s", "event": "a", "key": "k*"},
        {"text": "share(consistency < 2s) >= 95%", "target": "99%", "scenario": "spike", "abort_after_ns": 30 * S},
        {"text": "p95(hop) < 2s", "probe": "index"},
        {"text": "lost == 0", "probe": "index", "replica": "b"},
        {"text": "max(work.queue_depth) < 100 for 10s"},
        {"text": "drain(queue_depth <= 10) < 60s", "after": "5m"},
        {"text": "recovery(p95(consistency) < 3s) < 5m", "after": "spike", "event": "a"},
        {"text": "cost(1000 events) < 0.05", "critical": "0.1"},
        {"text": "lost == 0", "tag": "region=eu", "during": "down"},
        {"text": "rise(load) < 5", "after": "down"},
    ],
)
def test_terms_survive_being_written_down(given: dict[str, Any]) -> None:
    objective = parse(**given, gauges=GAUGES)
    assert from_data(json.loads(json.dumps(objective.as_data())), GAUGES) == objective
    terms = Criteria(
        [objective],
        SelfCheckPolicy(clocks="warn"),
        {"index": 15 * S},
        {
            "spike": ScenarioCriteria(60 * S, 90 * S, 1 * S, (0.0, 5.5), (70 * S, 80 * S), True, 42),
            "plain": ScenarioCriteria(0, 90 * S),
        },
        {"index": 50.0, "search": None},
        (
            service("cpu", "integral(load)", "0.0000166667", "1h", GAUGES),
            service("io", "sent + acked", "1", "1", GAUGES),
        ),
    )
    assert Criteria.from_data(json.loads(json.dumps(terms.as_data())), GAUGES) == terms


def test_what_is_asked_because_nothing_else_is_stays_that_on_paper() -> None:
    for implied in (True, False):
        objective = replace(parse("lost == 0"), implied=implied)
        assert from_data(json.loads(json.dumps(objective.as_data())), {}).implied is implied


def test_limits_stay_exact_on_paper() -> None:
    objective = parse("rate(errors) < 0.1%", critical="0.3%")
    assert from_data(json.loads(json.dumps(objective.as_data())), {}).critical == Fraction(3, 1000)
