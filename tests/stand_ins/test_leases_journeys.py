"""Journeys of people who rent, against the stand-in of leases in virtual time.

What is found equals what the stand-in remembers, each bracket holds the moment that it wrote down, and what is wrong
fails.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from evload.ledger.reader import LedgerReader
from evload.model.iteration import End
from evload.model.states import State
from evload.report.build import build_again
from evload.report.document import document
from stand_in.record import Record
from tests.rigs.virtual_runs import PRECISE_S, Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "leases-journeys.yaml"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Ran[Record]:
    """A run against a stand-in that is as it should be, at which several tests look."""
    return run_stand_in(NAME, tmp_path_factory.mktemp("run"))


def counts(ran: Ran[Record], scenario: str, journey: str) -> dict[str, int]:
    return ran.report.summary.scenarios[scenario].slices[f"journey={journey}"].ledger


def steps(ran: Ran[Record], condition: str = "1") -> Counter[str]:
    """How many events of each step the ledger has, or those of them that a condition holds of."""
    (meta,) = ran.rows("SELECT value FROM meta WHERE key = 'events'")
    names = json.loads(meta["value"])
    return Counter(names[row["type"]] for row in ran.rows(f"SELECT type FROM events WHERE {condition}"))


def test_every_objective_is_decided_and_passes(quick: Ran[Record]) -> None:
    assert {one.result.value for one in quick.report.objectives} == {"pass"}, quick.told
    assert quick.report.verdict.value == "pass"


def test_what_was_counted_is_what_happened(quick: Ran[Record]) -> None:
    sent, record = steps(quick), quick.record
    came = Counter(line["type"] for line in record.of("came"))
    assert sent["rent.create"] == came["lease.created"]
    assert sent["rent.pay"] == came["payment.created"] == record.counts["replayed"] == sent["rent.pay-again"]
    assert sent["rent.entries"] + sent["rent.history"] == sent["rent.pay"]
    rent, look = counts(quick, "renters", "rent"), counts(quick, "visitors", "look")
    assert rent["scheduled"] == rent["started"] == rent["completed"] == sent["rent.create"] > 50
    assert look["scheduled"] == look["completed"] == sent["look.find"] == sent["look.back"] == 20


def test_rows_of_an_iteration_follow_on_one_another(quick: Ran[Record]) -> None:
    ended = {row["number"]: row for row in quick.rows("SELECT * FROM iterations WHERE scenario = 0")}
    last: dict[int, int] = {}
    for row in quick.rows("SELECT * FROM events WHERE scenario = 0 ORDER BY intended_ns"):
        number = row["iteration"]
        assert last.get(number, ended[number]["started_ns"]) <= row["intended_ns"] <= row["acked_ns"]
        last[number] = row["acked_ns"]
    assert {number: row["ended_ns"] for number, row in ended.items()} == last


def test_each_wait_holds_the_moment_that_the_stand_in_wrote_down(quick: Ran[Record]) -> None:
    assert_brackets_hold(quick)


def assert_brackets_hold(ran: Ran[Record]) -> int:
    """Each wait that ended brackets the moment at which the first entry of its lease was applied."""
    began_s = ran.began_s()
    done: dict[str, float] = {}
    for line in ran.record.of("done"):
        done.setdefault(line["ledger"], line["at"] - began_s)
    rows = [row for row in ran.rows("SELECT * FROM events WHERE scenario = 2") if row["first_upper_ns"] is not None]
    for row in rows:
        done_s = done[row["capture"]]
        missed_s = (row["first_lower_ns"] or 0) / 1e9  # None: the first read saw it
        assert missed_s - PRECISE_S <= done_s <= row["first_upper_ns"] / 1e9 + PRECISE_S, row
    return len(rows)


def test_a_report_made_again_from_the_ledger_says_the_same(quick: Ran[Record]) -> None:
    assert_made_again(quick)


def assert_made_again(ran: Ran[Record]) -> None:
    with LedgerReader(ran.ledger) as ledger:
        again = build_again(ledger, ran.ledger.parent)
    assert document(again)["scenarios"] == document(ran.report)["scenarios"]
    assert document(again)["objectives"] == document(ran.report)["objectives"]


def test_a_run_that_is_stopped_tells_of_each_iteration(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, stop_s=5, knobs={"latency_ms": 50})
    rent, look = counts(ran, "renters", "rent"), counts(ran, "visitors", "look")
    assert rent["scheduled"] == rent["started"] == rent["completed"] + rent["cut_off"] == steps(ran)["rent.create"]
    assert rent["cut_off"] > 5
    assert look["scheduled"] == look["started"] == 8
    assert all(row["state"] != State.IN_DOUBT for row in ran.events())
    closes = [check for check in ran.report.checks if check.name == "ledger closes"]
    assert [check.result.value for check in closes] == ["pass"]
    assert max(row["sent_ns"] for row in ran.events()) <= 5.05e9
    assert_made_again(ran)
    assert_brackets_hold(ran)


FEW: Final = ["producers.leases.in_flight=1", "scenarios.visitors.load=[{burst: 20}]"]


def test_what_is_beyond_the_limit_in_flight_waits_its_turn(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, sets=[*FEW, "journeys.look.steps.0.find.within=30s"])
    look = counts(ran, "visitors", "look")
    assert look["scheduled"] == look["completed"] == 20
    assert counts(ran, "renters", "rent")["failed"] == 0
    assert all(row["sent_ns"] is not None for row in ran.events())
    sent = [row for row in ran.events() if row["scenario"] == 1]
    assert not overlapping(sent), "one at a time"
    assert_made_again(ran)


def overlapping(rows: list[Mapping[str, Any]]) -> bool:
    """Whether one was sent before the one before it had its answer."""
    ordered = sorted(rows, key=lambda row: row["sent_ns"])
    return any(later["sent_ns"] < earlier["acked_ns"] for earlier, later in pairwise(ordered))


def test_what_is_beyond_the_limit_in_flight_is_dropped_and_fails_its_iteration(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, sets=[*FEW, "producers.leases.when_full=drop"])
    summary = ran.report.summary.scenarios["visitors"]
    look = summary.slices["journey=look"]
    assert look.ledger["scheduled"] == look.ledger["started"] + look.ledger["starved"] == 20
    assert look.ledger["failed"] == summary.ledger["unsent"] > 0
    (reason,) = look.tallies["reasons"].keys() - {key for key in look.tallies["reasons"] if "nothing came" in key}
    assert "dropped: 1 events were without an answer" in reason
    assert_made_again(ran)


# --- what is wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "failing", "reason"),
    [
        ({"idempotent": False}, "rate(completed) >= 99% [journey=rent]", "pay-again: HTTP 201"),
        ({"refuse": 0.15}, "rate(errors) < 1%", "create: HTTP 503"),
        ({"apply_ms": 6000}, "rate(completed) >= 99% [journey=rent]", "active: it wasn't shown in time"),
        ({"apply_ms": 1200}, "p95(wait) < 1s [event=rent.active]", ""),
        ({"latency_ms": 500}, "p95(publish) < 150ms [event=rent.create]", ""),
    ],
)
def test_what_is_wrong_fails_and_says_where(knobs: dict[str, Any], failing: str, reason: str, tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, knobs=knobs)
    assert failing in ran.failing, ran.told
    if reason:
        tallies = ran.report.summary.scenarios["renters"].slices["journey=rent"].tallies
        assert any(text.startswith(reason) for text in tallies["reasons"]), tallies


@pytest.mark.parametrize("seed", [1, pytest.param(range(2, 21), marks=pytest.mark.long)])
def test_whatever_is_planted_every_count_is_exact_and_every_bracket_holds(seed: Any, tmp_path: Path) -> None:
    for one in [seed] if isinstance(seed, int) else seed:
        directory = tmp_path / str(one)
        directory.mkdir()
        knobs = {
            "refuse": 0.02 * (one % 4),
            "lose": 0.05 * (one % 2),
            "latency_ms": 7 * (one % 5),
            "apply_ms": 10 + one,
        }
        ran = run_stand_in(NAME, directory, knobs=knobs, sets=[f"seed={one}"])
        sent, accepted, record = steps(ran), steps(ran, "answer = 1"), ran.record
        came = Counter(line["type"] for line in record.of("came"))
        assert accepted["rent.create"] == came["lease.created"]
        assert accepted["rent.pay"] == came["payment.created"]
        assert accepted["rent.pay-again"] == record.counts["replayed"]
        (failed,) = ran.rows("SELECT sum(failed_reads) AS reads FROM events")
        assert sum(steps(ran, "status = 503").values()) + failed["reads"] == record.counts["refused"]
        rent = counts(ran, "renters", "rent")
        rows = ran.rows("SELECT ended_as FROM iterations WHERE scenario = 0")
        ends = Counter(End(row["ended_as"]).name.lower() for row in rows)
        assert rent["scheduled"] == sum(ends.values()) == sent["rent.create"]
        assert {name: rent[name] for name in ends} == ends
        assert rent["completed"] == accepted["rent.entries"] + accepted["rent.history"]
        assert assert_brackets_hold(ran) > 20
        assert_made_again(ran)
