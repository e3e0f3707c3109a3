"""One trial judged, against pipelines of known capacity in virtual time: good, bad, undecided or the generator's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evload.engine.control import RunControl
from evload.ledger.reader import LedgerReader
from evload.model.ceiling import Judged, Outcome
from evload.model.report import Report, Result
from evload.report.build import build_again
from evload.search.courses import FOLLOWED, PUBLISHES
from evload.search.trial import blind, judge_trial
from evload.testing.virtual_time import VirtualLoop
from tests.rigs.ceilings import Planted, S

FORTY = {"workers": 4, "service": "100ms"}
"""A capacity of 40 events per second."""


def trial(path: Path, rate: float, length_s: int = 30, **planted: Any) -> tuple[Report, Judged]:
    about = Planted(40, {**FORTY, **planted.pop("sandbox", {})}, **planted)
    report = about.run(Fraction(str(rate)), length_s * S, path / "run")
    return report, judged(path, report, rate)


def judged(path: Path, report: Report, rate: float) -> Judged:
    with LedgerReader(path / "run" / "events.sqlite") as ledger:
        return judge_trial(report, ledger, "main", Fraction(str(rate)))


def test_within_the_capacity_it_is_good_and_beyond_it_bad(tmp_path: Path) -> None:
    _, good = trial(tmp_path / "good", 30, 60)
    assert (good.outcome, good.reasons) == (Outcome.GOOD, ())
    assert good.windows is not None
    report, bad = trial(tmp_path / "bad", 60)
    assert report.verdict is Result.PASS  # every publish was confirmed, and nothing else was asked
    assert bad.outcome is Outcome.BAD
    (reason,) = bad.reasons
    assert reason.startswith(f"{FOLLOWED} grew by ")
    growth = bad.backlogs[FOLLOWED].growth
    assert growth is not None
    assert growth[0] < 1 / 3 < growth[1]
    calm = bad.backlogs[PUBLISHES].growth
    assert calm is not None
    assert calm[0] <= 0 <= calm[1] < 0.02


@pytest.mark.long
def test_what_was_seen_before_its_ack_has_never_waited(tmp_path: Path) -> None:
    """The broker takes three seconds for an answer, and the workers don't wait for that."""
    slow = {"faults": [{"what": "slow-broker", "at": "0s", "lasting": "10m", "delay": "3s"}]}
    _, good = trial(tmp_path, 20, 60, sandbox=slow, slos=("p95(consistency) < 2s", "lost == 0"))
    assert (good.outcome, good.reasons) == (Outcome.GOOD, ())
    assert good.backlogs[FOLLOWED].growth == (0, 0)
    low, high = good.backlogs[FOLLOWED].drain or (0, None)
    assert high is not None
    assert low <= high < 2.9  # the last one is acked three seconds after it was due, and was seen before


def test_a_backlog_that_only_a_gauge_shows_is_seen_and_an_objective_need_not_fail(tmp_path: Path) -> None:
    report, bad = trial(tmp_path, 60, watched=False, gauged=True)
    assert report.verdict is Result.PASS
    assert bad.outcome is Outcome.BAD
    assert bad.reasons[0] == "work-queue grew by 33.33 % of the rate (about 20/s)"
    assert bad.windows is None


def test_an_objective_that_fails_is_the_reason_with_its_figures(tmp_path: Path) -> None:
    slow = {"visibility": "3s"}
    _, bad = trial(tmp_path, 20, 60, sandbox=slow, slos=("p95(consistency) < 2s", "errors == 0"))
    assert bad.outcome is Outcome.BAD
    assert bad.reasons[0].startswith("p95(consistency) < 2s: ")
    assert " s" in bad.reasons[0]


def test_what_is_left_at_the_end_has_to_drain_in_time(tmp_path: Path) -> None:
    """The workers are away for the last two seconds: a backlog for which the objective's percentile has room."""
    away = {"faults": [{"what": "workers-down", "at": "58s", "lasting": "12s"}]}
    report, bad = trial(tmp_path, 20, 60, sandbox=away, slos=("p90(consistency) < 5s", "lost == 0"))
    assert report.verdict is Result.PASS
    assert bad.outcome is Outcome.BAD
    (reason,) = bad.reasons
    assert reason.startswith(f"{FOLLOWED}: back at their level only ")
    assert reason.endswith("after its end, limit 5 s")
    low, high = bad.backlogs[FOLLOWED].drain or (0, None)
    assert high is not None
    # They come back 10 s after the load, and have 40 events to do.
    assert low <= 11.1 <= high + 0.2
    assert low > 5


def test_too_short_a_trial_cant_tell(tmp_path: Path) -> None:
    varying = {"service": {"uniform": {"from": "70ms", "to": "130ms"}}}
    _, open_one = trial(tmp_path, 39, 5, sandbox=varying)
    assert open_one.outcome is Outcome.UNDECIDED
    assert any("and 1 % is the limit" in reason for reason in open_one.reasons)


def test_an_objective_that_cant_be_told_leaves_it_open(tmp_path: Path) -> None:
    _, open_one = trial(tmp_path, 3, 60, slos=("p99(consistency) < 2s", "errors == 0"))
    assert open_one.outcome is Outcome.UNDECIDED
    assert any(reason.startswith("p99(consistency) < 2s: ") for reason in open_one.reasons)


@pytest.mark.long
def test_a_warm_up_is_left_out(tmp_path: Path) -> None:
    """For the first thirty seconds the workers are four times as slow, which is no part of what is judged."""
    cold = {"faults": [{"what": "slow-workers", "at": "0s", "lasting": "30s", "factor": 3.0}]}
    load = [{"rate": "20/s", "for": "120s"}]
    scenarios = {"main": {"load": load, "warmup": "60s"}}
    slos = ("p95(consistency) < 2s",)
    _, good = trial(tmp_path / "warm", 20, 60, sandbox=cold, slos=slos, more={"scenarios": scenarios})
    assert (good.outcome, good.reasons) == (Outcome.GOOD, ())
    _, bad = trial(tmp_path / "cold", 20, 60, sandbox=cold, slos=slos)
    assert bad.outcome is Outcome.BAD


def stands_still(loop: VirtualLoop) -> None:
    """For two seconds of three the generator does something else."""
    loop._selector_in_use.now_ns += 2 * S
    loop.call_later(1, stands_still, loop)


def test_a_generator_that_is_late_is_at_fault_whatever_else_is_broken(tmp_path: Path) -> None:
    def busy(_: RunControl) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        stands_still(loop)

    twice = {"duplicates": {"share": "50%"}}
    report, at_fault = trial(tmp_path, 60, 20, sandbox=twice, slos=("duplicates == 0",), more={"at": busy})
    assert Result.FAIL in [one.result for one in report.objectives]
    assert at_fault.outcome is Outcome.GENERATOR
    assert at_fault.reasons[0].startswith("evload itself was late with ")


def with_check(report: Report, name: str, result: Result) -> Report:
    checks = [replace(one, result=result) if one.name == name else one for one in report.checks]
    return replace(report, checks=checks)


def with_phases(report: Report, late: int, own: int) -> Report:
    """The report, with so many of 1,000 events late, and so many of them by evload's own fault."""
    told = report.summary.scenarios["main"]
    scenario = replace(told, phases={(0, 30 * S): [1000, late, own]})
    return replace(report, summary=replace(report.summary, scenarios={"main": scenario}))


def test_whose_fault_it_is(tmp_path: Path) -> None:
    report, bad = trial(tmp_path, 60)
    assert bad.outcome is Outcome.BAD

    def outcome(changed: Report) -> Outcome:
        return judged(tmp_path, changed, 60).outcome

    assert outcome(with_phases(report, 10, 10)) is Outcome.BAD
    assert outcome(with_phases(report, 11, 11)) is Outcome.GENERATOR
    held = judged(tmp_path, with_phases(report, 500, 10), 60)
    assert held.outcome is Outcome.BAD
    assert any("500 of 1,000 events (50 %) were held back" in reason for reason in held.reasons)
    for name in ("ledger closes", "lateness", "arrival shape", "headroom", "clocks"):
        assert outcome(with_check(report, name, Result.INVALID)) is Outcome.GENERATOR
        assert outcome(with_check(report, name, Result.WARN)) is Outcome.BAD


def test_a_rate_at_which_the_order_of_a_key_made_events_late_is_bad(tmp_path: Path) -> None:
    """The load as it was scheduled was never there, however it was asked for."""
    report, good = trial(tmp_path, 30, 60)
    assert good.outcome is Outcome.GOOD
    told = report.summary.scenarios["main"]
    assert told.ledger["scheduled"] == 1800
    for late, outcome in ((18, Outcome.GOOD), (19, Outcome.BAD)):
        scenarios = {"main": replace(told, late_for_order=late)}
        changed = judged(tmp_path, replace(report, summary=replace(report.summary, scenarios=scenarios)), 30)
        assert changed.outcome is outcome
    (reason,) = changed.reasons
    assert reason == (
        "19 of 1,800 events (1.056 %) left late: their producer is ordered, and others of their key were before them"
    )


@pytest.mark.long
def test_a_check_of_the_reads_that_failed_leaves_a_good_rate_open(tmp_path: Path) -> None:
    report, good = trial(tmp_path, 30, 60)
    assert good.outcome is Outcome.GOOD
    for name in ("resolution", "observer effect", "horizon", "attribution"):
        changed = judged(tmp_path, with_check(report, name, Result.INVALID), 30)
        assert changed.outcome is Outcome.UNDECIDED
        assert changed.reasons[0].startswith(name)
    # Whether the state is steady is told here by itself.
    assert judged(tmp_path, with_check(report, "steady state", Result.INVALID), 30).outcome is Outcome.GOOD


@pytest.mark.parametrize(("stall_ms", "outcome"), [(90, Outcome.BAD), (400, Outcome.GENERATOR)])
def test_times_that_failed_while_evload_stood_still_are_nobodys_else(
    tmp_path: Path, stall_ms: int, outcome: Outcome
) -> None:
    report, calm = trial(tmp_path, 30, 60, slos=("p95(consistency) < 100ms",))
    assert calm.outcome is Outcome.BAD
    vitals = replace(report.summary.vitals, longest_stall_ns=stall_ms * 1_000_000)
    changed = judged(tmp_path, replace(report, summary=replace(report.summary, vitals=vitals)), 30)
    assert changed.outcome is outcome
    if outcome is Outcome.GENERATOR:
        assert "evload itself stood still for 400 ms" in changed.reasons[0]


@pytest.mark.long
def test_a_stall_excuses_no_backlog(tmp_path: Path) -> None:
    report, _ = trial(tmp_path, 60, slos=("p95(consistency) < 100ms",))
    vitals = replace(report.summary.vitals, longest_stall_ns=400_000_000)
    changed = judged(tmp_path, replace(report, summary=replace(report.summary, vitals=vitals)), 60)
    assert changed.outcome is Outcome.BAD
    assert not any("p95" in reason for reason in changed.reasons)


def test_its_ledger_alone_says_the_same(tmp_path: Path) -> None:
    report, first = trial(tmp_path, 60, watched=False, gauged=True)
    with LedgerReader(tmp_path / "run" / "events.sqlite") as ledger:
        again = build_again(ledger, tmp_path / "run")
        assert judge_trial(again, ledger, "main", Fraction(60)) == first
    assert again.verdict is report.verdict


def test_where_nothing_is_ever_seen_it_says_so(tmp_path: Path) -> None:
    nowhere: Mapping[str, Any] = {"loss": "100%"}
    report, _ = trial(tmp_path, 20, 10, sandbox=nowhere)
    with LedgerReader(tmp_path / "run" / "events.sqlite") as ledger:
        assert blind(report, ledger).startswith("memory never saw any of 200 events")
    report, _ = trial(tmp_path / "seen", 20, 10)
    with LedgerReader(tmp_path / "seen" / "run" / "events.sqlite") as ledger:
        assert blind(report, ledger) == ""
