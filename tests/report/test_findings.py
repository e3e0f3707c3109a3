"""The reader's test: of a run with a planted cause the findings name that cause, and none that isn't there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evload.model.report import CheckResult, Insight, Report, Result, Severity
from evload.model.vitals import Incident, Vitals
from evload.report.insights_over_time import moment
from tests.rigs.summaries import S
from tests.rigs.worlds import FINE, Told, busy_generator, insights_of, replica_slows_down, run

FASTER_THAN_WORKERS = {"workers": 1, "service": "40ms"}
"""A worker of 40 ms: twenty-five events a second."""


def spans(found: Insight, first_s: float, last_s: float) -> bool:
    """Whether it lasts from then to then, within a second."""
    assert found.span_ns is not None
    return abs(found.span_ns[0] / S - first_s) <= 1 and abs(found.span_ns[1] / S - last_s) <= 1


def test_where_all_is_well_nothing_is_found(tmp_path: Path) -> None:
    ended = run(tmp_path, probe=FINE)
    assert ended.findings == []
    assert ended.report.verdict is Result.PASS


@pytest.mark.parametrize(
    ("sandbox", "more"),
    [
        pytest.param({}, {"arrivals": "poisson"}, marks=pytest.mark.long),
        ({"visibility": {"bimodal": {"fast": "50ms", "slow": "2s", "slow_share": "3%"}}}, {}),
        pytest.param({"visibility": "3s"}, {"slos": ()}, marks=pytest.mark.long),
        ({}, {"load": ({"rate": "20/s", "for": "15s"}, {"burst": 400}, {"rate": "20/s", "for": "15s"})}),
        ({}, {"load": ({"rate": "2/s", "for": "30s"}, {"idle": "20s"}, {"burst": 30})}),
        pytest.param({"replicas": [{"name": "r1"}, {"name": "r2"}]}, {}, marks=pytest.mark.long),
        ({"visibility": "100ms", "replicas": [{"name": "r1"}, {"name": "r2", "lag": "40ms"}]}, {}),
        ({}, {"load": ({"from": "10/s", "to": "300/s", "for": "15s"},)}),
    ],
    ids=["poisson", "two modes", "slow", "burst", "idle", "two replicas alike", "two replicas almost alike", "ramp"],
)
def test_what_is_odd_but_well_is_no_finding(tmp_path: Path, sandbox: dict[str, Any], more: dict[str, Any]) -> None:
    assert run(tmp_path, sandbox, probe=FINE, **more).findings == []


def test_lost_events(tmp_path: Path) -> None:
    ended = run(tmp_path, {"loss": "2%"})
    lost = ended.report.summary.total().ledger["lost"]
    assert ended.kinds == {"lost"}
    assert ended.the("lost").evidence["events"] == lost > 0
    assert ended.the("lost").sentence.startswith(f"{lost} of 900 acked events were never seen")
    assert "spread over the whole run" in ended.the("lost").sentence
    assert ended.the("lost").severity is Severity.BAD


def test_events_lost_for_a_while_are_given_their_time(tmp_path: Path) -> None:
    def lose(world: Any, loop: Any) -> None:
        loop.call_later(20, lambda: world.world.change(loop.now_ns, {"loss": "50%"}))
        loop.call_later(25, lambda: world.world.change(loop.now_ns, {"loss": "0%"}))

    found = run(tmp_path, hook=lose).the("lost")
    assert found.span_ns is not None
    assert 20 * S - S // 2 <= found.span_ns[0] < found.span_ns[1] <= 25 * S + S // 2
    assert ", all of them due between 0:19.8 and 0:2" in found.sentence


def test_a_lagging_replica_is_named(tmp_path: Path) -> None:
    ended = run(tmp_path, {"replicas": [{"name": "eu"}, {"name": "us", "lag": "2500ms"}, {"name": "ap"}]}, probe=FINE)
    assert ended.kinds == {"lagging_replica"}
    found = ended.the("lagging_replica")
    assert found.evidence["replica"] == "us"
    assert found.sentence.startswith("Replica us of memory lags behind")
    assert 2.0 < float(found.evidence["lower_s"]) < 2.7
    assert found.severity is Severity.WARNING  # objectives fail


def test_a_saturated_consumer_and_from_which_rate_on(tmp_path: Path) -> None:
    ended = run(tmp_path, FASTER_THAN_WORKERS, load=({"from": "0/s", "to": "50/s", "for": "30s"},))
    assert ended.kinds == {"saturated"}
    found = ended.the("saturated")
    assert 24 <= float(found.evidence["offered_at_onset"]) <= 31
    assert 23 <= float(found.evidence["came_through"]) <= 26
    assert found.span_ns is not None
    assert 14 * S <= found.span_ns[0] <= 18 * S
    assert found.span_ns[1] == pytest.approx(30 * S, abs=S)
    assert "The backlog began to grow at 2" in found.sentence


def test_a_consumer_that_is_saturated_from_the_first_moment(tmp_path: Path) -> None:
    ended = run(tmp_path, FASTER_THAN_WORKERS, load=({"rate": "40/s", "for": "15s"},), probe=FINE)
    assert ended.kinds == {"saturated"}
    assert "from the first moment, at 40/s" in ended.the("saturated").sentence


def test_a_stall_of_the_workers(tmp_path: Path) -> None:
    ended = run(tmp_path, {"faults": [{"what": "workers-down", "at": "15s", "lasting": "6s"}]})
    assert ended.kinds == {"stall_visibility"}
    assert spans(ended.the("stall_visibility"), 15.5, 21)


def test_a_stall_of_the_broker(tmp_path: Path) -> None:
    ended = run(tmp_path, {"faults": [{"what": "slow-broker", "at": "15s", "lasting": "6s", "delay": "6s"}]})
    assert ended.kinds == {"stall_acks"}
    assert ended.the("stall_acks").evidence["waiting"] == pytest.approx(144, abs=5)


def test_a_generator_that_is_too_slow(tmp_path: Path) -> None:
    ended = run(tmp_path, hook=busy_generator, slos=["p90(end_to_end) < 500ms"], probe=FINE)
    assert ended.kinds == {"generator"}
    assert 0.3 < float(ended.the("generator").evidence["schedule_delay_p99_s"]) <= 0.4


def test_a_generator_that_is_late_and_changes_nothing_is_none_of_the_findings(tmp_path: Path) -> None:
    assert run(tmp_path, hook=busy_generator, probe=FINE).findings == []


def test_a_generator_without_headroom(tmp_path: Path) -> None:
    ended = run(tmp_path)
    ended.report.summary.vitals.cpu_share = 0.97
    (found,) = insights_of(ended.report, ended.timeline)
    assert found.kind == "generator"
    assert "it used 97 % of its core" in found.sentence


def test_windows_that_rise_and_on_which_replica(tmp_path: Path) -> None:
    ended = run(tmp_path, {"replicas": [{"name": "r1"}, {"name": "r2"}]}, hook=replica_slows_down)
    assert "rising_windows" in ended.kinds
    assert ended.kinds <= {"rising_windows", "lagging_replica"}
    found = ended.the("rising_windows")
    assert found.evidence["replica"] == "r2"
    assert found.sentence.endswith("all on replica r2.")
    assert found.span_ns is not None
    assert found.span_ns[0] == pytest.approx(20 * S, abs=3 * S)


def test_reads_that_fail_are_not_taken_for_a_stall(tmp_path: Path) -> None:
    ended = run(tmp_path, {"faults": [{"what": "read-model-down", "at": "15s", "lasting": "5s"}]})
    assert ended.kinds == {"read_outage"}
    assert ended.the("read_outage").evidence["source"] == "memory"
    assert spans(ended.the("read_outage"), 15, 20)


def test_publishes_that_are_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, {"faults": [{"what": "broker-down", "at": "15s", "lasting": "5s"}]})
    assert ended.kinds - {"publish_outage"} == {"refused"}
    found = ended.the("refused")
    assert found.evidence == {"rejected": 120}
    assert spans(found, 15, 20)


def test_events_that_an_interrupt_left_in_doubt_are_no_finding(tmp_path: Path) -> None:
    ended = run(tmp_path, load=({"rate": "20/s", "for": "5s"},))
    ended.report.summary.scenarios["main"].ledger["in_doubt"] = 7
    assert {finding.kind for finding in insights_of(ended.report, ended.timeline)} == {"refused"}
    ended.report.summary.vitals.interrupted = True
    assert insights_of(ended.report, ended.timeline) == []


def test_doubled_and_regressed_events(tmp_path: Path) -> None:
    ended = run(tmp_path, {"duplicates": {"share": "2%"}, "regressions": {"share": "2%"}})
    ledger = ended.report.summary.total().ledger
    assert ended.kinds == {"duplicated", "regressed"}
    assert ended.the("duplicated").evidence["events"] == ledger["duplicated"]
    assert ended.the("regressed").evidence["events"] == ledger["regressions"]


def changed(ended: Told, vitals: Vitals, *checks: CheckResult) -> Report:
    old = ended.report
    summary = old.summary
    summary.vitals = vitals
    return Report(old.run_id, old.name, old.started_at, old.verdict, summary, old.objectives, checks)


def test_a_few_failures_are_no_outage_and_a_gauge_is_a_note(tmp_path: Path) -> None:
    ended = run(tmp_path, {}, load=({"rate": "20/s", "for": "5s"},))
    incidents = [Incident("memory", "timeout", S, S, 2), Incident("depth", "refused", S, 3 * S, 9)]
    report = changed(ended, Vitals(replicas={"memory": []}, incidents=incidents))
    report.summary.gauges["depth"] = report.summary.gauges.get("depth") or _gauge()
    (found,) = insights_of(report, ended.timeline)
    assert (found.kind, found.severity) == ("gauge_outage", Severity.NOTE)
    assert found.sentence == "The gauge depth could not be read between 0:01 and 0:03, 9 in all: refused."


def _gauge() -> Any:
    from evload.model.summary import GaugeSummary

    return GaugeSummary()


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0:00"), (7 * S, "0:07"), (20_300_000_000, "0:20.3"), (90 * S, "1:30"), (3723 * S, "1:02:03"),
     (59_990_000_000, "1:00")],
)  # fmt: skip
def test_moments_read_like_a_clock(ns: int, text: str) -> None:
    assert moment(ns) == text
