"""What is found of what was done to the system: that something befell while it was on, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from evload.ledger.reader import LedgerReader
from evload.ledger.timeline import read_timeline
from evload.model.marker import Marker
from evload.model.report import Insight, Severity
from evload.model.timeline import ScenarioOverTime, Standstill, Timeline
from evload.model.vitals import Incident, Vitals
from evload.report.insights import find
from tests.rigs.planted_courses import close_up, course, found, latency, the_only
from tests.rigs.summaries import MS, S, run_of, scenario
from tests.rigs.worlds import run

LONG: Final = 120
"""Seconds of these runs."""
SLOW: Final = Marker("slow-workers", 0, (40 * S, 40 * S), (60 * S, 60 * S))


def windows(**slow: tuple[int, int]) -> ScenarioOverTime:
    """Windows of 300 ms; longer ones, in ms, in the seconds from `aN` on."""
    one = course(LONG, rate=30)
    at = {int(name[1:]): ends for name, ends in slow.items()}
    ends, each = (282, 300), []
    for second in range(LONG):
        ends = at.get(second, ends)
        each.append([(30, *ends)])
    one.latency = latency(*each)
    return one


def told(
    *markers: Marker, of: Sequence[ScenarioOverTime] = (), depths: Mapping[str, Sequence[float | None]] | None = None,
    vitals: Vitals | None = None, **more: Any,
) -> list[Insight]:  # fmt: skip
    """What is found in a run with these markers."""
    named = {f"s{number}": one for number, one in enumerate(of or (windows(),))}
    over_time = Timeline(S, LONG, named, close_up=close_up(named, depths or {}), **more)
    summary = run_of(*[scenario(visible=30 * LONG)] * len(named), vitals=vitals)
    summary.markers = list(markers)
    return found(over_time, summary=summary)


def only(kind: str, findings: Sequence[Insight]) -> Insight:
    return the_only([one for one in findings if one.kind == kind])


# -- an effect, and its end --------------------------------------------------------------------------


def test_windows_that_rose_and_came_back() -> None:
    (finding,) = told(SLOW, of=[windows(a40=(3900, 4100), a72=(282, 300))])
    assert finding.sentence == (
        "The 95th percentile of consistency rose from 282 … 316 ms to 3.55 … 4.47 s while slow-workers was on, and "
        "was back 12 s after its end."
    )
    assert (finding.kind, finding.severity, finding.span_ns) == ("action", Severity.WARNING, (40 * S, 60 * S))
    assert finding.evidence["action"] == "slow-workers"
    assert finding.evidence["before_s"] == pytest.approx(0.316, abs=1e-3)
    assert finding.evidence["after_s"] == pytest.approx(3.548, abs=1e-3)


def test_windows_that_were_back_at_once() -> None:
    (finding,) = told(SLOW, of=[windows(a40=(3900, 4100), a60=(282, 300))])
    assert finding.sentence.endswith("while slow-workers was on, and was back at its end.")


def test_windows_that_did_not_come_back() -> None:
    finding = only("action", told(SLOW, of=[windows(a40=(3900, 4100))]))
    assert finding.sentence.endswith("was on, and did not come back before the run ended.")


def test_an_action_that_was_on_to_the_end() -> None:
    on = Marker("slow-workers", 0, (40 * S, 40 * S))
    finding = only("action", told(on, of=[windows(a40=(3900, 4100))]))
    assert finding.sentence.endswith("while slow-workers was on, to the end of the run.")
    assert finding.span_ns == (40 * S, 120 * S)


def test_windows_that_rise_with_an_action_are_told_once() -> None:
    on = Marker("slow-workers", 0, (40 * S, 40 * S))
    assert [one.kind for one in told(on, of=[windows(a40=(3900, 4100))])] == ["action"]
    assert {one.kind for one in told(of=[windows(a40=(3900, 4100))])} == {"rising_windows"}
    later = told(on, of=[windows(a40=(3900, 4100), a44=(282, 300), a80=(9000, 9100))])
    assert "action" in {one.kind for one in later}


def test_nothing_that_could_be_seen() -> None:
    (finding,) = told(SLOW)
    assert finding.sentence == "slow-workers had no effect that could be seen."
    assert (finding.kind, finding.severity) == ("action_no_effect", Severity.NOTE)


@pytest.mark.parametrize(
    ("slow", "kind"),
    [((440, 460), "action_no_effect"), ((600, 640), "action"), ((282, 9000), "action_no_effect")],
    ids=["little", "twice", "only the upper end"],
)
def test_a_rise_is_one_by_the_lower_end(slow: tuple[int, int], kind: str) -> None:
    assert only(kind, told(SLOW, of=[windows(a40=slow, a60=(282, 300))]))


def test_what_was_as_slow_before_is_no_effect() -> None:
    """Ten seconds before the stretch that it is compared with, for as long as the action was on."""
    before = windows(a0=(3900, 4100), a8=(282, 300), a50=(3900, 4100), a60=(282, 300))
    brief = Marker("slow-workers", 0, (50 * S, 50 * S), (57 * S, 57 * S))
    finding = only("action_undecided", told(brief, of=[before]))
    assert finding.sentence == (
        "Whether slow-workers had an effect can't be told: windows were as long at other times."
    )


def test_what_was_slow_while_something_else_was_on_says_nothing() -> None:
    slow = windows(a5=(8000, 8100), a10=(282, 300), a80=(3900, 4100), a90=(282, 300))
    other = Marker("db-down", 0, (5 * S, 5 * S), (10 * S, 10 * S))
    mine = Marker("slow-workers", 0, (80 * S, 80 * S), (90 * S, 90 * S))
    assert (
        "while slow-workers was on, and was back"
        in only(
            "action", [one for one in told(other, mine, of=[slow]) if one.evidence.get("action") == "slow-workers"]
        ).sentence
    )


def test_what_it_was_before_is_what_it_was_since_something_else_was_undone() -> None:
    other = Marker("db-down", 0, (20 * S, 20 * S), (38 * S, 38 * S))
    slow = windows(a20=(3900, 4100), a38=(282, 300), a40=(3900, 4100), a60=(282, 300))
    mine = next(one for one in told(other, SLOW, of=[slow]) if one.evidence.get("action") == "slow-workers")
    assert "rose from 282 … 316 ms to 3.55 … 4.47 s while slow-workers was on" in mine.sentence


def test_events_at_a_doubtful_edge_belong_to_neither_side() -> None:
    """From 35 to 45 s nobody knows whether it was on; windows are long from 38 s on."""
    vague = Marker("slow-workers", 0, (35 * S, 45 * S), (60 * S, 70 * S))
    (finding,) = told(vague, of=[windows(a38=(3900, 4100), a66=(282, 300))])
    assert "rose from 282 … 316 ms to 3.55 … 4.47 s" in finding.sentence
    assert finding.sentence.endswith("and was back at its end.")
    assert finding.span_ns == (35 * S, 70 * S)


@pytest.mark.parametrize("at", [0, 1])
def test_without_events_nobody_can_tell(at: int) -> None:
    one = windows(a40=(3900, 4100))
    empty = range(40) if at == 0 else range(40, 60)
    for second in empty:
        one.latency.upper[second], one.latency.lower[second] = {}, {}
    finding = only("action_undecided", told(SLOW, of=[one]))
    reason = ["due in the stretch before it", "due while it was on"][at]
    assert finding.sentence == f"Whether slow-workers had an effect can't be told: too few events were {reason}."


def test_of_what_nobody_read_nobody_can_tell() -> None:
    one = course(LONG)
    one.latency = latency(*[[]] * LONG)
    finding = only("action_undecided", told(SLOW, of=[one]))
    assert finding.sentence.endswith("no event was followed until it was visible.")


def test_scenarios_are_told_apart() -> None:
    findings = told(SLOW, of=[windows(), windows(a40=(3900, 4100), a60=(282, 300))])
    assert only("action", findings).sentence.startswith("The 95th percentile of consistency in s1 rose from")


def test_a_load_that_rose_too_is_named() -> None:
    one = windows(a40=(3900, 4100), a60=(282, 300))
    one.offered = [30] * 40 + [90] * 20 + [30] * 60
    (finding,) = told(SLOW, of=[one])
    assert "to 3.55 … 4.47 s (and the load from 30/s to 90/s) while slow-workers was on" in finding.sentence


# -- what was done in a moment, again and again, and at the same time ---------------------------------


def test_what_was_done_in_a_moment_has_half_a_minute() -> None:
    pod = Marker("pods", 0, (40 * S, 40 * S), lasting=False)
    (finding,) = told(pod, of=[windows(a41=(3900, 4100), a46=(282, 300))])
    assert finding.sentence.endswith("s within 30 s after pods, and was back 6 s after it.")
    late = told(pod, of=[windows(a71=(3900, 4100), a80=(282, 300))])
    assert only("action_no_effect", late)


def test_all_times_of_an_action_are_one() -> None:
    pods = [Marker("pods", number, ((40 + 10 * number) * S,) * 2, lasting=False) for number in range(3)]
    (finding,) = told(*pods, of=[windows(a40=(3900, 4100), a66=(282, 300))])
    assert finding.sentence.endswith("within 30 s after pods, and was back 6 s after the last of its 3 times.")


def test_where_two_were_on_both_are_named() -> None:
    other = Marker("db-down", 0, (50 * S, 50 * S), (55 * S, 55 * S))
    findings = told(SLOW, other, of=[windows(a40=(3900, 4100), a60=(282, 300))])
    mine = next(one for one in findings if one.evidence.get("action") == "slow-workers")
    assert "while slow-workers and db-down were on, and was back at slow-workers's end." in mine.sentence
    theirs = next(one for one in findings if one.evidence.get("action") == "db-down")
    assert theirs.sentence == "db-down had no effect that could be seen."


def test_what_comes_next_ends_the_look_for_the_end() -> None:
    other = Marker("db-down", 0, (70 * S, 70 * S), (75 * S, 75 * S))
    findings = told(SLOW, other, of=[windows(a40=(3900, 4100), a72=(282, 300))])
    mine = next(one for one in findings if one.evidence.get("action") == "slow-workers")
    assert mine.sentence.endswith("did not come back by 1:10, when something else was done.")


# -- errors and queues -------------------------------------------------------------------------------


def test_errors_that_rose() -> None:
    one = windows()
    one.refused = [1 if second % 20 == 0 else 0 for second in range(LONG)]
    one.refused[40:63] = [15] * 23
    finding = only("action", told(SLOW, of=[one]))
    assert finding.sentence == (
        "Errors rose from 1 of 900 events to 300 of 600 while slow-workers was on, and were as few as before 3 s "
        "after its end."
    )
    assert (finding.evidence["errors"], finding.evidence["errors_before"]) == (300, 1)


@pytest.mark.parametrize(("errors", "told_of"), [(5, 0), (6, 1)])
def test_a_few_errors_are_chance(errors: int, told_of: int) -> None:
    one = windows()
    one.refused[45] = errors
    assert sum(f.kind == "action" for f in told(SLOW, of=[one])) == told_of


def test_a_queue_that_grew() -> None:
    depth: list[float | None] = [float(second % 5) for second in range(LONG)]
    depth[40:60] = [float(10 * (second + 1)) for second in range(20)]
    depth[60:68] = [float(25 * (8 - second)) for second in range(8)]
    finding = only("action", told(SLOW, depths={"work": depth}))
    assert finding.sentence == (
        "The depth of work rose from 4 at most to 200 while slow-workers was on, and was back 9 s after its end."
    )
    assert finding.evidence["work.queue_depth"] == 200


@pytest.mark.parametrize(("most", "told_of"), [(23.0, 0), (24.0, 1)])
def test_a_queue_grows_by_twenty(most: float, told_of: int) -> None:
    depth: list[float | None] = [4.0] * LONG
    depth[40:60] = [most] * 20
    assert sum(f.kind == "action" for f in told(SLOW, depths={"work": depth})) == told_of


def test_a_queue_that_was_deep_for_a_moment_has_not_grown() -> None:
    depth: list[float | None] = [4.0] * LONG
    depth[30], depth[50] = 10.0, 80.0
    assert only("action_no_effect", told(SLOW, depths={"work": depth}))


def test_a_queue_that_grew_after_a_moment() -> None:
    pod = Marker("pods", 0, (40 * S, 40 * S), lasting=False)
    depth: list[float | None] = [*[4.0] * 42, *[100.0] * 20, *[4.0] * 58]
    finding = only("action", told(pod, depths={"work": depth}))
    assert finding.sentence.endswith("to 100 within 30 s after pods, and was back 23 s after it.")


def test_all_effects_are_one_finding() -> None:
    one = windows(a40=(3900, 4100), a60=(282, 300))
    one.refused[40:60] = [15] * 20
    depth: list[float | None] = [*[0.0] * 40, *[100.0] * 80]
    finding = only("action", told(SLOW, of=[one], depths={"work": depth}))
    assert finding.sentence.count("while slow-workers was on") == 3
    last = "The depth of work rose from 0 at most to 100 while slow-workers was on, and did not come back before the"
    assert f"{last} run ended." in finding.sentence


# -- other findings within an action -----------------------------------------------------------------


def stall(first_s: float, last_s: float) -> dict[str, Any]:
    span = round(first_s * S), round(last_s * S)
    return {"standstills": [Standstill("acks", *span, waiting=400, usual=3)]}


@pytest.mark.parametrize(
    ("first_s", "last_s", "named"),
    [
        (42, 58, True),
        (39.8, 58, True),
        (39.7, 58, False),
        (42, 65, True),
        (42, 65.1, False),
        (60, 64, False),
        (30, 70, False),
        (80, 90, False),
    ],
)
def test_a_standstill_within_an_action(first_s: float, last_s: float, named: bool) -> None:
    finding = only("stall_acks", told(SLOW, **stall(first_s, last_s)))
    assert finding.sentence.endswith("usually it is 3. This was while slow-workers was on.") is named
    assert finding.evidence.get("while_on") == ("slow-workers" if named else None)


def test_a_standstill_after_a_moment() -> None:
    pod = Marker("pods", 0, (40 * S, 40 * S), lasting=False)
    finding = only("stall_acks", told(pod, **stall(45, 50)))
    assert finding.sentence.endswith("This was within 30 s after pods.")


def test_a_standstill_while_two_were_on() -> None:
    other = Marker("db-down", 0, (50 * S, 50 * S), (90 * S, 90 * S))
    finding = only("stall_acks", told(SLOW, other, **stall(45, 55)))
    assert finding.sentence.endswith("This was while slow-workers and db-down were on.")


def test_what_was_refused_while_it_was_on() -> None:
    vitals = Vitals(incidents=[Incident("bus", "connection refused", 41 * S, 62 * S, 90)])
    finding = only("publish_outage", told(SLOW, vitals=vitals))
    assert finding.sentence.endswith("connection refused. This was while slow-workers was on.")


def test_an_action_of_one_interval_explains_nothing_that_is_told_by_intervals() -> None:
    one = windows()
    one.lost[41] = 5
    lost = run_of(scenario(visible=3595, lost=5))
    lost.markers = [Marker("brief", 0, (41 * S, 41 * S), (42 * S, 42 * S))]
    named = {"s0": one}
    over_time = Timeline(S, LONG, named, close_up=close_up(named, {}))
    assert "while" not in only("lost", found(over_time, summary=lost)).sentence
    lost.markers = [Marker("longer", 0, (40 * S, 40 * S), (43 * S, 43 * S))]
    assert only("lost", found(over_time, summary=lost)).sentence.endswith("This was while longer was on.")


# -- what failed -------------------------------------------------------------------------------------


def test_what_could_not_be_done_and_not_be_undone() -> None:
    failed = Marker("cut", 0, (40 * S, 41 * S), (45 * S, 45 * S), error="exit code 1")
    stuck = Marker("block", 0, (90 * S, 90 * S), (91 * S, 95 * S), undo_error="HTTP 500")
    findings = told(failed, stuck)
    assert findings[0].sentence == "block could not be undone and may still be on: HTTP 500."
    assert (findings[0].kind, findings[0].severity) == ("action_not_undone", Severity.BAD)
    assert findings[1].sentence == (
        "cut could not be done at 0:40 … 0:41: exit code 1; what depends on it is not known."
    )
    assert not any(one.evidence.get("action") == "cut" for one in findings[2:])


# -- whole runs --------------------------------------------------------------------------------------


def test_of_a_whole_run(tmp_path: Path) -> None:
    ended = run(tmp_path, {"faults": [{"what": "workers-down", "at": "15s", "lasting": "4s"}]})
    summary = ended.report.summary
    summary.markers = [Marker("workers-down", 0, (15 * S, 15_020 * MS), (18_980 * MS, 19 * S))]
    with LedgerReader(tmp_path / "events.sqlite") as reader:
        over_time = read_timeline(reader, list(summary.scenarios), markers=summary.markers)
    findings = find(summary, ended.report.objectives, ended.report.checks, over_time)
    finding = only("action", findings)
    assert "while workers-down was on, and was back" in finding.sentence
    stalled = only("stall_visibility", findings)
    assert stalled.sentence.endswith("This was while workers-down was on.")
