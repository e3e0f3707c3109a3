"""What is said of a run whose course is planted number by number: where a finding begins, and its every word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from evload.model.report import CheckResult, Insight, ObjectiveResult, Result, Severity
from evload.model.summary import GaugeSummary, ScenarioSummary
from evload.model.timeline import Standstill
from evload.model.vitals import Incident, ReadVitals, Vitals
from tests.rigs.planted_courses import RATE, SECONDS, course, found, the_only, timeline
from tests.rigs.summaries import MS, S, distribution, run_of, scenario


def test_a_run_that_is_well_has_none() -> None:
    assert found(timeline()) == []
    assert found(timeline(course(), course())) == []


# -- what befell events ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ledger", "sentence"),
    [
        ("lost", {"lost": 1200}, "1,200 of 2,400 acked events were never seen (50 %)"),
        ("duplicated", {"duplicated": 24}, "24 of 2,400 acked events had their effect more than once (1 %)"),
        ("regressed", {"regressions": 24}, "24 of 2,400 acked events were seen and then missing again (1 %)"),
    ],
)  # fmt: skip
def test_how_many_events_it_befell_and_when(kind: str, ledger: dict[str, Any], sentence: str) -> None:
    one = scenario(visible=2400 - ledger.get("lost", 0), **ledger)
    for hits, told, span in (
        ({10: 1, 28: 1}, ", all of them due between 0:10 and 0:29", (10 * S, 29 * S)),
        (dict.fromkeys(range(0, 40, 3), 1), ", spread over the whole run", None),
    ):
        planted: dict[str, Any] = {kind: hits}
        finding = the_only(found(timeline(course(**planted)), one))
        assert (finding.kind, finding.severity, finding.span_ns) == (kind, Severity.BAD, span)
        assert finding.sentence == f"{sentence}{told}."
        assert finding.evidence["events"] == sum(ledger.values())
        assert finding.evidence["acked"] == 2400
        assert "scenario" not in finding.evidence


def test_events_that_came_to_another_end_are_told_and_are_no_fault() -> None:
    finding = the_only(found(timeline(), scenario(visible=2280, ended=120)))
    assert (finding.kind, finding.severity) == ("ended", Severity.NOTE)
    assert finding.sentence == "120 of 2,400 acked events came to another end (5 %)."
    assert finding.evidence == {"events": 120, "acked": 2400}


def test_what_befell_events_without_an_ack_has_no_share() -> None:
    """Of those in doubt some have their effect, and some more than once."""
    doubtful = scenario(in_doubt=2400, recovered=50, duplicated=3)
    told = found(timeline(course(duplicated={20: 3}, refused={20: 2400})), doubtful)
    assert [one.sentence for one in told if one.kind == "duplicated"] == [
        "3 of 0 acked events had their effect more than once, all of them due between 0:20 and 0:21."
    ]


def test_of_what_the_timeline_does_not_know_only_the_number_is_told() -> None:
    finding = the_only(found(timeline(), scenario(visible=2376, lost=24)))
    assert (finding.sentence, finding.span_ns) == ("24 of 2,400 acked events were never seen (1 %).", None)


def test_what_is_still_missing_at_the_end_is_told_apart() -> None:
    one = scenario(visible=2393, regressed=7, regressions=24)
    finding = the_only(found(timeline(course(regressed={20: 24})), one))
    assert finding.sentence.endswith(", all of them due between 0:20 and 0:21; 7 were still missing at the end.")
    assert finding.evidence == {"events": 24, "acked": 2400, "still_missing": 7}
    back = the_only(found(timeline(course(regressed={20: 24})), scenario(visible=2400, regressions=24)))
    assert back.evidence["still_missing"] == 0
    assert "still missing" not in back.sentence


@pytest.mark.parametrize(
    ("due", "hits", "told"),
    [
        # All the time, as often as there were events.
        (range(40), dict.fromkeys(range(40), 6), ", spread over the whole run"),
        (range(10, 20), dict.fromkeys(range(10, 20), 6), ", spread over the whole run"),
        (range(40), {3: 1, 14: 1, 25: 1, 36: 1}, ", spread over the whole run"),
        # More than half of the time, but not at its beginning, or not at its end.
        (range(40), dict.fromkeys(range(15, 40), 10), ", all of them due between 0:15 and 0:40"),
        (range(40), dict.fromkeys(range(26), 10), ", all of them due between 0:00 and 0:26"),
        (range(10, 20), dict.fromkeys(range(12, 17), 1), ", all of them due between 0:12 and 0:17"),
        # From the first to the last, but nearly all of them at one time, or in a few moments.
        (range(40), {0: 1, 39: 1, **dict.fromkeys(range(20, 30), 9)}, ""),
        (range(40), dict.fromkeys((0, 13, 26, 39), 25), ""),
        # Bursts.
        ([5], {5: 260}, ""),
        ([5, 30], {5: 130, 30: 130}, ""),
        ([5, 30], {30: 130}, ", all of them due between 0:30 and 0:31"),
    ],
)
def test_it_is_spread_over_the_run_only_if_it_went_on_all_the_time(
    due: Iterable[int], hits: dict[int, int], told: str
) -> None:
    one = scenario(visible=2000, rejected=sum(hits.values()))
    over_time = timeline(course(offered=dict.fromkeys(due, RATE), refused=hits))
    (refused,) = [each for each in found(over_time, one) if each.kind == "refused"]
    what = f"Of {2000 + sum(hits.values()):,} events, {sum(hits.values())} were rejected"
    assert refused.sentence == f"{what}{told}."
    assert (refused.span_ns is None) == ("between" not in told)


def test_without_events_nothing_is_said_of_when() -> None:
    nothing = course(offered=[0] * SECONDS)
    assert the_only(found(timeline(nothing), scenario(lost=5))).sentence == (
        "5 of 5 acked events were never seen (100 %)."
    )


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([("k1", 5), ("k2", 5)], ", 5 of them with the key k1"),
        ([("k1", 4), ("k2", 6)], ""),
        ([("k1", 9), ("k2", 1)], ", 9 of them with the key k1"),
        ([], ""),
    ],
)
def test_a_key_that_it_befell_at_least_half_of_the_time_is_named(keys: list[tuple[str, int]], told: str) -> None:
    over_time = timeline(course(lost={20: 10}), keys={("s0", "lost"): keys})
    finding = the_only(found(over_time, scenario(visible=2390, lost=10)))
    assert finding.sentence == (
        f"10 of 2,400 acked events were never seen (0.4167 %), all of them due between 0:20 and 0:21{told}."
    )
    assert finding.evidence.get("key") == ("k1" if told else None)
    assert finding.evidence.get("events_of_key") == (keys[0][1] if told else None)


def test_one_event_is_no_pattern_of_its_key() -> None:
    over_time = timeline(course(lost={20: 1}), keys={("s0", "lost"): [("k1", 1)]})
    assert "key" not in the_only(found(over_time, scenario(visible=2399, lost=1))).evidence


def test_of_several_scenarios_each_is_told_by_its_name() -> None:
    over_time = timeline(course(), course(lost={20: 3}), course(lost={20: 5}))
    told = found(over_time, scenario(visible=9), scenario(visible=97, lost=3), scenario(visible=95, lost=5))
    assert [(one.evidence["scenario"], one.evidence["events"]) for one in told] == [("s1", 3), ("s2", 5)]
    assert told[0].sentence.startswith("3 of 100 acked events were never seen (3 %) in s1, all of them due")


def test_events_out_of_order_are_counted_over_all_scenarios() -> None:
    ordered, swapped = scenario(visible=50), scenario(visible=50, out_of_order=1234)
    finding = the_only(found(timeline(course(), course()), ordered, swapped))
    assert finding.sentence == "1,234 events were applied after a later one of the same key."
    assert (finding.kind, finding.severity, finding.evidence) == ("out_of_order", Severity.BAD, {"events": 1234})


# -- what was refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ledger", "told"),
    [
        ({"unsent": 9}, "9 never left the generator"),
        (
            {"rejected": 1, "returned": 1, "in_doubt": 1},
            "1 was rejected, 1 found no route and was returned and 1 was sent and never answered",
        ),
        ({"rejected": 9, "returned": 2}, "9 were rejected and 2 found no route and were returned"),
        (
            {"unsent": 1, "rejected": 2, "returned": 3, "in_doubt": 4},
            "1 never left the generator, 2 were rejected, 3 found no route and were returned and "
            "4 were sent and never answered",
        ),
    ],
)
def test_what_became_of_events_that_were_not_acked(ledger: dict[str, Any], told: str) -> None:
    one = scenario(visible=2000, **ledger)
    finding = the_only(found(timeline(course(refused={5: 9, 7: 1})), one))
    assert finding.sentence == (
        f"Of {2000 + sum(ledger.values()):,} events, {told}, all of them due between 0:05 and 0:08."
    )
    assert (finding.kind, finding.evidence, finding.span_ns) == ("refused", ledger, (5 * S, 8 * S))


@pytest.mark.parametrize("how", ["interrupted", "crashed"])
def test_a_run_that_was_cut_off_left_events_in_doubt_and_others_were_refused(how: str) -> None:
    vitals = Vitals(interrupted=how == "interrupted", crashed=how == "crashed")
    over_time = timeline(course(refused={39: 5}), course(refused={39: 7}))
    cut = scenario(visible=2000, in_doubt=5), scenario(visible=2000, in_doubt=5, rejected=2)
    finding = the_only(found(over_time, *cut, vitals=vitals))
    assert finding.sentence == ("Of 2,007 events in s1, 2 were rejected, all of them due between 0:39 and 0:40.")
    assert finding.evidence == {"rejected": 2, "scenario": "s1"}


# -- what failed outside -----------------------------------------------------------------------------


def failed(*incidents: Incident, probes: dict[str, ReadVitals] | None = None, **more: Any) -> list[Insight]:
    return found(timeline(), vitals=Vitals(incidents=list(incidents), probes=probes or {}, **more))


INDEX = {"index": ReadVitals(requests=100, failed=9), "calm": ReadVitals(requests=100)}


def test_an_outage_takes_three_failures_in_a_row() -> None:
    assert failed(Incident("index", "HTTP 500", 3 * S, 9 * S, 2), probes=INDEX) == []
    finding = the_only(failed(Incident("index", "HTTP 500", 3 * S, 9 * S, 3), probes=INDEX))
    assert (finding.kind, finding.severity, finding.span_ns) == ("read_outage", Severity.WARNING, (3 * S, 9 * S))
    assert finding.sentence == "Reads of index failed between 0:03 and 0:09, 3 in all: HTTP 500."
    assert finding.evidence == {"source": "index", "reason": "HTTP 500", "failures": 3}


def test_an_outage_that_came_back_is_one_from_its_first_to_its_last() -> None:
    finding = the_only(
        failed(
            Incident("index", "HTTP 500", 13 * S, 19 * S, 1000),
            Incident("index", "HTTP 500", 3 * S, 5 * S, 300),
            Incident("index", "HTTP 500", 7 * S, 7 * S, 2),
            probes=INDEX,
        )
    )
    assert finding.sentence == "Reads of index failed between 0:03 and 0:19 (2 times), 1,300 in all: HTTP 500."
    assert (finding.evidence["failures"], finding.span_ns) == (1300, (3 * S, 19 * S))


def test_outages_are_told_apart_by_who_failed_and_why() -> None:
    told = failed(
        Incident("index", "HTTP 500", 3 * S, 5 * S, 4), Incident("index", "timeout", 3 * S, 5 * S, 5),
        Incident("calm", "refused", 3 * S, 5 * S, 6), probes=INDEX,
    )  # fmt: skip
    assert [(one.kind, one.evidence["reason"]) for one in told] == [
        ("read_outage", "HTTP 500"), ("read_outage", "timeout"), ("publish_outage", "refused"),
    ]  # fmt: skip
    assert told[2].sentence == "Publishing to calm failed between 0:03 and 0:05, 6 in all: refused."
    assert told[2].severity is Severity.WARNING


def test_a_gauge_that_could_not_be_read_is_a_note() -> None:
    run = run_of(scenario(visible=2400), vitals=Vitals(incidents=[Incident("work", "refused", S, 2 * S, 4)]))
    run.gauges = {"work": GaugeSummary()}
    finding = the_only(found(timeline(), summary=run))
    assert (finding.kind, finding.severity) == ("gauge_outage", Severity.NOTE)
    assert finding.sentence == "The gauge work could not be read between 0:01 and 0:02, 4 in all: refused."


def test_of_an_old_run_a_probe_is_known_by_its_replicas() -> None:
    one = Incident("index", "HTTP 500", 3 * S, 9 * S, 3)
    assert the_only(failed(one, replicas={"index": []}, failed_reads=3)).kind == "read_outage"
    assert the_only(failed(one, replicas={"index": []})).kind == "publish_outage"


def test_the_worst_comes_first() -> None:
    run = run_of(
        scenario(visible=2390, lost=10),
        vitals=Vitals(
            incidents=[Incident("work", "refused", S, 2 * S, 4), Incident("broker", "refused", S, 2 * S, 4)],
            cpu_share=0.9,
        ),
    )
    run.gauges = {"work": GaugeSummary()}
    told = found(timeline(course(lost={20: 10})), summary=run)
    assert [one.kind for one in told] == ["lost", "publish_outage", "generator", "gauge_outage"]


# -- standstills -------------------------------------------------------------------------------------


def stood_still(
    what: Any = "visibility", *, lasting_ms: int = 3000, waiting: int = 300, usual: float = 20.0,
    outage: tuple[float, float] | None = None, window_ms: int = 100, publish_ms: int = 10,
) -> list[Insight]:  # fmt: skip
    """From 15 s on nothing came through; a window usually takes 100 ms, a publish 10 ms."""
    measured = {
        "publish": distribution([(publish_ms * MS, publish_ms * MS)] * 9),
        "consistency": distribution([(MS, window_ms * MS)] * 9),
    }
    one = Standstill(what, 15 * S, 15 * S + lasting_ms * MS, waiting, usual)
    vitals = Vitals(probes=INDEX)
    if outage is not None:
        first, last = (round(at * S) for at in outage)
        vitals.incidents.append(Incident("index", "HTTP 500", first, last, 3))
    told = found(timeline(standstills=[one]), scenario(measured, visible=2400), vitals=vitals)
    return [finding for finding in told if finding.kind.startswith("stall")]


def test_a_standstill_in_words() -> None:
    seen = the_only(stood_still(waiting=1300, usual=20.4))
    assert seen.sentence == (
        "Nothing became visible from 0:15 to 0:18 (3 s), while 1,300 events waited; usually it is 20."
    )
    assert (seen.kind, seen.severity, seen.span_ns) == ("stall_visibility", Severity.WARNING, (15 * S, 18 * S))
    assert seen.evidence == {"lasting_s": 3, "waiting": 1300, "usually_waiting": 20.4}
    acked = the_only(stood_still("acks"))
    assert acked.kind == "stall_acks"
    assert acked.sentence.startswith("No publish was confirmed from 0:15 to 0:18 (3 s), while 300 events waited;")


@pytest.mark.parametrize(
    ("lasting_ms", "window_ms", "publish_ms", "seen", "acked"),
    [(1000, 100, 100, 1, 1), (999, 100, 100, 0, 0), (3000, 1000, 100, 1, 1), (2996, 1000, 100, 0, 1),
     (3000, 100, 1000, 1, 1), (2996, 100, 1000, 1, 0)],
)  # fmt: skip
def test_a_standstill_lasts_a_second_and_three_times_as_long_as_events_take(
    lasting_ms: int, window_ms: int, publish_ms: int, seen: int, acked: int
) -> None:
    took: dict[str, Any] = {"lasting_ms": lasting_ms, "window_ms": window_ms, "publish_ms": publish_ms}
    assert len(stood_still("visibility", **took)) == seen
    assert len(stood_still("acks", **took)) == acked


@pytest.mark.parametrize(("slow", "told"), [(4, 1), (5, 0)])
def test_how_long_events_usually_take_is_what_half_of_them_do(slow: int, told: int) -> None:
    """Nine events, some of which took five seconds; the standstill lasts for three."""
    took = distribution([(10 * MS, 10 * MS)] * (9 - slow) + [(5 * S, 5 * S)] * slow)
    for what in ("acks", "visibility"):
        standing: Any = [Standstill(what, 15 * S, 18 * S, 300, 20.0)]
        one = scenario({"publish": took, "consistency": took}, visible=2400)
        assert len(found(timeline(standstills=standing), one)) == told


def test_where_nothing_was_measured_nothing_is_usual() -> None:
    """What an objective asks for is there from the start of a run, though no event may ever be in it."""
    empty = {name: distribution([], S) for name in ("publish", "consistency", "schedule_delay", "sent_to_consumed")}
    checks = [CheckResult("lateness", Result.INVALID, 1, 1)]
    assert found(timeline(), scenario(empty, visible=2400), objectives=[LATE], checks=checks) == []


@pytest.mark.parametrize(("waiting", "usual", "told"), [(5, 0, 1), (4, 0, 0), (60, 20, 1), (59, 20, 0), (5, 1.6, 1)])
def test_five_events_and_three_times_as_many_as_usual_have_to_wait(waiting: int, usual: float, told: int) -> None:
    assert len(stood_still(waiting=waiting, usual=usual)) == told


@pytest.mark.parametrize(
    ("outage", "told"),
    [((15, 16.49), 1), ((15, 16.5), 0), ((10, 16.4), 1), ((16.6, 30), 1), ((16.4, 30), 0), ((1, 9), 1)],
)  # fmt: skip
def test_while_nothing_could_be_read_nobody_can_say_that_nothing_became_visible(
    outage: tuple[float, float], told: int
) -> None:
    """At least half of the time is hidden."""
    assert len(stood_still(outage=outage)) == told
    assert len(stood_still("acks", outage=outage)) == 1


# -- where the time went -----------------------------------------------------------------------------

LATE = ObjectiveResult("p99(consistency) < 2s", Result.FAIL, (3, 4), 2, subject="consistency")


def hops(waiting_ms: int, processing_ms: int | None, reaching_ms: int | None = 10) -> ScenarioSummary:
    taken = {
        "sent_to_consumed": waiting_ms,
        "consumed_to_processed": processing_ms,
        "processed_to_visible": reaching_ms,
    }
    return scenario(
        {name: distribution([(ms * MS, ms * MS)] * 20) for name, ms in taken.items() if ms is not None}, visible=2400
    )


@pytest.mark.parametrize(
    ("one", "hop"),
    [
        (hops(121, 50), "sent_to_consumed"),
        (hops(119, 50), None),
        (hops(50, 121), "consumed_to_processed"),
        (hops(10, 10, 41), "processed_to_visible"),
        (hops(101, 50, None), "sent_to_consumed"),
        (hops(99, 50, None), None),
        (hops(500, None, None), None),
    ],
)
def test_the_hop_that_takes_more_than_twice_as_long_as_all_others(one: ScenarioSummary, hop: str | None) -> None:
    told = found(timeline(), one, objectives=[LATE])
    assert [finding.evidence["hop"] for finding in told] == ([] if hop is None else [hop])
    assert found(timeline(), one) == []


def test_hops_are_compared_by_what_nineteen_of_twenty_events_take() -> None:
    """By that alone: the slowest event of twenty doesn't count, of the others the slowest does."""
    for slow, hop in ((1, []), (2, ["sent_to_consumed"])):
        waiting = distribution([(10 * MS, 10 * MS)] * (20 - slow) + [(S, S)] * slow)
        steady = distribution([(10 * MS, 10 * MS)] * 20)
        one = scenario({"sent_to_consumed": waiting, "consumed_to_processed": steady}, visible=2400)
        assert [finding.evidence["hop"] for finding in found(timeline(), one, objectives=[LATE])] == hop


def test_a_hop_takes_as_long_as_it_does_for_sure() -> None:
    """By the lower end of its bracket against the upper ends of the others."""
    others = {"consumed_to_processed": distribution([(10 * MS, 60 * MS)] * 20)}
    for low, told in ((110, 0), (130, 1)):
        waiting = {"sent_to_consumed": distribution([(low * MS, 300 * MS)] * 20)}
        findings = found(timeline(), scenario(waiting | others, visible=2400), objectives=[LATE])
        assert len(findings) == told
    assert findings[0].evidence["p95_lower_s"] == pytest.approx(0.13, rel=1e-3)
    assert findings[0].evidence["others_p95_s"] == pytest.approx(0.06, rel=1e-3)


def test_a_slow_hop_in_words_and_only_where_it_hurts() -> None:
    one = hops(500, 20, 10)
    finding = the_only(found(timeline(), one, objectives=[LATE]))
    assert finding.sentence == (
        "Most of the time goes into waiting for a consumer: 500 ms … 500 ms at the 95th percentile, all other hops "
        "together take 30 ms at most."
    )
    assert (finding.kind, finding.severity) == ("slow_hop", Severity.NOTE)
    assert finding.evidence["p95_lower_s"] == pytest.approx(0.5, rel=1e-3)
    assert finding.evidence["others_p95_s"] == pytest.approx(0.03, rel=1e-3)
    for result, subject, hurts in (
        (Result.WARN, "end_to_end", True), (Result.FAIL, "sent_to_consumed", True),
        (Result.PASS, "consistency", False), (Result.INCONCLUSIVE, "consistency", False),
        (Result.FAIL, "lost", False),
    ):  # fmt: skip
        objective = replace(LATE, result=result, subject=subject)
        assert bool(found(timeline(), one, objectives=[objective])) is hurts, (result, subject)


def test_where_something_else_explains_it_no_hop_is_blamed() -> None:
    one = hops(500, 20, 10)
    one.ledger.update(lost=10, visible=2390)
    assert [finding.kind for finding in found(timeline(course(lost={3: 10})), one, objectives=[LATE])] == ["lost"]


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ({"index": 6, "search": 5}, "6 of 11 events that were late or lost lost most of their time at index."),
        ({"index": 5, "search": 1205}, "1,205 of 1,210 events that were late or lost lost most of their time at "
         "search."),
        ({"index": 5, "search": 5}, None),
        ({"index": 9}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_probe_at_which_more_than_half_of_the_late_events_lost_their_time(
    late: dict[str, int], told: str | None
) -> None:
    one = scenario(visible=2400)
    one.late_hops = late
    findings = found(timeline(), one, objectives=[LATE])
    assert [finding.sentence for finding in findings] == ([] if told is None else [told])
    if told is not None:
        hop = max(late, key=lambda name: late[name])
        assert findings[0].evidence == {"hop": hop, "events": late[hop], "late": sum(late.values())}
        assert (findings[0].kind, findings[0].severity) == ("slow_hop", Severity.NOTE)


# -- the generator -----------------------------------------------------------------------------------


def generator(
    *, late_ms: float = 1, late: int = 2, cpu: float | None = 0.3, stall_ms: int | None = 5, failed: str = "",
    result: Result = Result.INVALID, standing: Sequence[Standstill] = (),
) -> list[Insight]:  # fmt: skip
    delays = distribution([(0, 0)] * (100 - late) + [(round(late_ms * MS), round(late_ms * MS))] * late)
    vitals = Vitals(cpu_share=cpu, longest_stall_ns=None if stall_ms is None else stall_ms * MS)
    checks = [CheckResult(name, result, 1, 1) for name in failed.split(",") if name]
    one = scenario({"schedule_delay": delays}, visible=2400)
    return found(timeline(standstills=list(standing)), one, vitals=vitals, checks=checks)


def test_a_generator_that_was_too_slow_in_words() -> None:
    finding = the_only(generator(late_ms=250, cpu=0.9, stall_ms=400, failed="lateness,headroom"))
    assert finding.sentence == (
        "The generator was too slow: one event in a hundred left 250 ms late or later, it used 90 % of its core and "
        "its event loop stalled for 400 ms; what was measured includes its own delays."
    )
    assert (finding.kind, finding.severity) == ("generator", Severity.WARNING)
    assert finding.evidence == {
        "schedule_delay_p99_s": pytest.approx(0.25, rel=1e-3), "cpu_share": 0.9, "longest_stall_s": 0.4
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"late_ms": 250}, 0),
        ({"late_ms": 250, "failed": "lateness"}, 1),
        ({"late_ms": 250, "failed": "load as scheduled"}, 1),
        ({"late_ms": 250, "late": 1, "failed": "lateness"}, 0),
        ({"late_ms": 250, "failed": "lateness", "result": Result.WARN}, 1),
        ({"late_ms": 250, "failed": "lateness", "result": Result.PASS}, 0),
        ({"late_ms": 250, "failed": "lateness", "result": Result.SKIPPED}, 0),
        ({"late_ms": 250, "failed": "headroom"}, 0),
        ({"late_ms": 9.9, "failed": "lateness"}, 0),
        ({"late_ms": 10.1, "failed": "lateness"}, 1),
        ({"cpu": 0.8}, 1),
        ({"cpu": 0.79}, 0),
        ({"cpu": None, "stall_ms": None, "failed": "headroom"}, 0),
        ({"stall_ms": 101, "failed": "headroom"}, 1),
        ({"stall_ms": 100, "failed": "headroom"}, 0),
        ({"stall_ms": 400}, 0),
    ],
)
def test_what_it_takes_to_blame_the_generator(given: dict[str, Any], told: int) -> None:
    assert len(generator(**given)) == told


def test_a_generator_that_had_to_wait_for_the_broker_is_not_blamed_unless_its_core_was_full() -> None:
    waited = [Standstill("acks", 15 * S, 20 * S, 300, 20)]
    unseen = [Standstill("visibility", 15 * S, 20 * S, 300, 20)]
    late: dict[str, Any] = {"late_ms": 250, "failed": "lateness"}
    assert [one.kind for one in generator(**late, standing=waited)] == ["stall_acks"]
    assert [one.kind for one in generator(**late, standing=unseen)] == ["stall_visibility", "generator"]
    assert [one.kind for one in generator(**late, cpu=0.9, standing=waited)] == ["stall_acks", "generator"]
