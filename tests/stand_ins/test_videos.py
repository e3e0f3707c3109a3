"""The config of videos against its stand-in in virtual time.

What is found equals what the stand-in remembers, and what is wrong fails.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest

from evload.model.correlation import CorrelationIds
from evload.stats.histogram import rank_of
from stand_in.record import Record
from tests.rigs.commands import evload
from tests.rigs.twins import Twin, assert_fails_alone, never_failing
from tests.rigs.virtual_runs import PRECISE_S, RUN_ID, Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "videos.yaml"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Ran[Record]:
    """A run against a stand-in that is as it should be, at which several tests look."""
    return run_stand_in(NAME, tmp_path_factory.mktemp("run"))


# --- as it should be --------------------------------------------------------------------------------------


def test_every_objective_is_decided_and_passes(quick: Ran[Record]) -> None:
    assert {one.result.value for one in quick.report.objectives} == {"pass"}, quick.told
    assert quick.report.verdict.value == "pass"


def test_what_was_counted_is_what_happened(quick: Ran[Record]) -> None:
    counts, scenarios = quick.record.counts, quick.report.summary.scenarios
    jobs = [scenarios[name].ledger for name in ("baseline", "stress", "spike")]
    # One job was submitted by the set-up.
    assert counts["came"] == sum(one["acked"] for one in jobs) + 1
    # That one is no event, and the others that have no video are those that failed.
    of_events = {line["kind"] + line["correlation_id"] for line in quick.record.lines if line.get("correlation_id")}
    done = sum(one.startswith("done") for one in of_events)
    failed = sum(one.startswith("failed") for one in of_events)
    assert (sum(one["visible"] for one in jobs), sum(one["ended"] for one in jobs)) == (done, failed)
    assert failed == 17
    assert [line["bytes"] for line in quick.record.of("stored")] == [5_000_000] * 6


def ends_of(ran: Ran[Record]) -> dict[str, dict[str, float]]:
    """When each job came, and when it came to its end, whichever that was; in seconds of the ledger."""
    began_s = ran.began_s()
    times: dict[str, dict[str, float]] = {"came": {}, "ended": {}}
    for line in ran.record.lines:
        kind = "ended" if line["kind"] in ("done", "failed") else line["kind"]
        if kind in times:
            times[kind][line["correlation_id"]] = line["at"] - began_s
    return times


def test_each_bracket_holds_the_moment_that_the_stand_in_wrote_down(quick: Ran[Record]) -> None:
    """The first to see anything of a job is who asks for its status, as soon as it has come to its end."""
    ids, times = CorrelationIds.for_run(RUN_ID), ends_of(quick)
    rows = [row for row in quick.events() if row["first_upper_ns"] is not None]
    assert len(rows) == 345
    for row in rows:
        name = ids.id_of(row["seq"])
        ended_s, came_s = times["ended"][name], times["came"][name]
        assert row["first_lower_ns"] / 1e9 - PRECISE_S <= ended_s <= row["first_upper_ns"] / 1e9 + PRECISE_S, row
        assert row["sent_ns"] / 1e9 - PRECISE_S <= came_s <= row["acked_ns"] / 1e9 + PRECISE_S, row


def test_how_long_a_job_takes_holds_the_true_percentile(quick: Ran[Record]) -> None:
    ids, ended = CorrelationIds.for_run(RUN_ID), ends_of(quick)["ended"]
    named = [(ids.id_of(row["seq"]), row["acked_ns"]) for row in quick.events()]
    took = sorted(ended[name] - acked_ns / 1e9 for name, acked_ns in named if name in ended)
    assert len(took) == 345
    true = took[rank_of(Fraction(95, 100), len(took)) - 1]
    lower, upper = quick.found("p95(consistency) < 2s [probe=status]").observed
    assert lower is not None
    assert upper is not None
    assert lower * 0.999 - PRECISE_S <= true <= upper * 1.001 + PRECISE_S


# --- wrong in one way -------------------------------------------------------------------------------------

LOADED: Final = ("baseline", "stress", "spike")
BRIEF: Final = ("scenarios.baseline.load=[{rate: 20/s, for: 3s}]",)
"""Enough to fail by, in less time."""


FEW: Final = "scenarios.polling.load=[{rate: 20/s, for: 5s}]"


def each(objective: str) -> set[str]:
    """This objective, of each scenario that submits jobs."""
    return {objective.format(name) for name in LOADED}


TWINS: Final = {
    "jobs that are lost": Twin({"lost == 0 [baseline, probe=status]"}, {"lose": 0.05}, ["baseline"], BRIEF),
    "jobs that are done twice": Twin({"duplicates == 0 [baseline]"}, {"twice": 0.1}, ["baseline"], BRIEF),
    "a status that goes back": Twin({"regressions == 0 [baseline]"}, {"back": 0.05}, ["baseline"], BRIEF),
    "a slow upload": Twin({"max(publish) < 10s [upload]"}, {"upload_ms": 3000}, ["upload"]),
    "jobs that are lost, of all": Twin(each("lost == 0 [{}, probe=status]"), {"lose": 0.02}, long=True),
    "jobs that are done twice, of all": Twin(each("duplicates == 0 [{}]"), {"twice": 0.02}, long=True),
    "a status that goes back, of all": Twin(each("regressions == 0 [{}]"), {"back": 0.02}, long=True),
    "too many jobs that fail": Twin(
        each("rate(visible) >= 90% [{}]") | each("rate(ended) <= 10% [{}]"), {"fail": 0.2}, long=True
    ),
    "jobs that are completed and have no video": Twin(each("rate(visible) >= 90% [{}]"), {"empty": 0.1}, long=True),
    "a submission that is refused now and then": Twin({"errors == 0 [baseline]"}, {"refuse": 0.01}, long=True),
    "an upload that is refused": Twin(
        {"errors == 0 [upload]", "rate(errors) < 10%"}, {"refuse": 0.2}, ["upload"], long=True
    ),
    "submissions that are slow": Twin(each("p95(publish) < 500ms [{}]"), {"accept_ms": 600}, long=True),
    "a status that is slow": Twin({"p95(publish) < 200ms [polling]"}, {"poll_ms": 250}, ["polling"], long=True),
    "an API that is a little slow": Twin({"p95(publish) < 50ms [health]"}, {"latency_ms": 60}, ["health"], long=True),
    "jobs that take too long": Twin(
        {"p95(consistency) < 2s [probe=status]"}, {"work_ms": 2000, "workers": 200}, long=True
    ),
    "workers that are few": Twin({"max(cpu) < 70%"}, {"workers": 10}, ["stress"], long=True),
    "memory that leaks": Twin({"max(memory) < 80%"}, {"leak_kb": 1000}, long=True),
}  # fmt: skip


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if twin.long else ()) for what, twin in TWINS.items()]
)
def test_what_is_wrong_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    assert_counts_are_those_of_the_record(assert_fails_alone(TWINS[what], NAME, tmp_path))


def assert_counts_are_those_of_the_record(ran: Ran[Record]) -> None:
    """What the probe of the status and that of the video say of each job is what became of it."""
    record, scenarios = ran.record, ran.report.summary.scenarios
    jobs = [scenarios[name] for name in LOADED if name in scenarios]
    counted: Counter[str] = sum((Counter(one.ledger) for one in jobs), Counter())
    own = {
        kind: {line["correlation_id"] for line in record.of(kind)} - {""}
        for kind in ("came", "done", "failed", "lost", "empty")
    }
    assert counted["acked"] == len(own["came"])
    assert sum(one.ledger["rejected"] for one in scenarios.values()) == record.counts["refused"]
    assert counted["visible"] + counted["regressed"] == len(own["done"] - own["empty"])
    assert counted["ended"] == len(own["failed"])
    assert counted["lost"] == len(own["lost"] | own["empty"])
    assert (counted["duplicated"], counted["regressed"]) == (record.counts["again"], record.counts["back"])
    stored = scenarios["upload"].ledger["acked"] if "upload" in scenarios else 0
    assert stored == record.counts["stored"]


def test_each_objective_has_a_run_in_which_it_fails() -> None:
    assert never_failing(NAME, TWINS) == set()


def test_what_is_close_to_its_limit_warns(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, knobs={"upload_ms": 1850}, parts=["upload"])
    one = ran.found("max(publish) < 10s [upload]")
    assert (one.result.value, one.note, ran.report.verdict.value) == ("warn", "above 90 % of the limit", "warn")


@pytest.mark.long
def test_half_an_hour_without_a_leak_and_with_one(tmp_path: Path) -> None:
    sets = ["scenarios.baseline.load=[{rate: 20/min, for: 30m}]"]
    grows = "growth(memory) < 20%/h [after=5m]"
    for leak_kb, fails in ((0, set[str]()), (500, {grows})):
        directory = tmp_path / str(leak_kb)
        directory.mkdir()
        ran = run_stand_in(NAME, directory, profiles=["endurance"], sets=sets, knobs={"leak_kb": leak_kb})
        assert ran.failing == fails, ran.told
        assert grows in ran.told


def test_a_build_that_is_slower_than_the_kept_result_fails_its_check(tmp_path: Path) -> None:
    """The rules stand in the config: p50 may grow by 20 %, p99 by 50 %."""
    for build, poll_ms in (("kept", 20), ("same", 20), ("slower", 32)):
        for number in range(5):
            directory = tmp_path / build / str(number)
            directory.mkdir(parents=True)
            ran = run_stand_in(NAME, directory, knobs={"poll_ms": poll_ms}, parts=["polling"], sets=[FEW])
            assert ran.report.verdict.value == "pass", "32 ms are within its limit"
            with closing(sqlite3.connect(ran.ledger)) as ledger, ledger:
                ledger.execute("UPDATE meta SET value = ? WHERE key = 'run_id'", (json.dumps(f"{build}-{number}"),))
    kept = tmp_path / "kept.json"
    ended = evload("compare", tmp_path / "kept", tmp_path / "same", "--save", kept, cwd=tmp_path)
    assert ended.code == 0, ended.said
    ended = evload("compare", kept, tmp_path / "slower", cwd=tmp_path)
    assert ended.code == 1, ended.said
    assert "REGRESSION  videos: publish, 5 runs of NEW against 5 of BASE" in ended.out
    assert "p50 is worse for sure" in ended.out
