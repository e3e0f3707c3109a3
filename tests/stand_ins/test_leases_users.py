"""Users of leases, payments and their ledger, and keys that come several times at one instant, against their stand-in
in virtual time.

Every count is that of the stand-in's own record, to the last one, with one bug planted at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from stand_in.record import Record
from tests.rigs.twins import Twin, never_failing
from tests.rigs.virtual_runs import Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "leases-users.yaml"
RACES: Final = ("one-lease", "one-payment")
OPERATIONS: Final = {
    f"{function}(publish) < {limit}ms [{scenario}, event={step}.{step}]"
    for scenario, step, limits in (
        ("tasks", "create", (50, 150, 200)), ("tasks", "read", (20, 50, 80)), ("tasks", "history", (100, 250, 400)),
        ("audit-tasks", "append", (30, 80, 120)),
    )
    for function, limit in zip(("mean", "p95", "p99"), limits, strict=True)
}  # fmt: skip
ENDPOINTS: Final = {
    "post-leases": ("200/s", "350ms"), "get-lease": ("450/s", "120ms"), "attempts": ("180/s", "400ms"),
    "audit": ("300/s", "250ms"),
}  # fmt: skip
RATES: Final = {f"throughput(acked) >= {rate} [{name}]" for name, (rate, _) in ENDPOINTS.items()}
LIMITS: Final = {f"p95(publish) < {limit} [{name}]" for name, (_, limit) in ENDPOINTS.items()}
COMPLETED: Final = "rate(completed) > 95% [creations]"
SLOW: Final = "rise(slow) / rise(requests) < 1%"
SETTLE: Final = {f"max(settle) < 1s [{name}]" for name in RACES}
CONTENTION: Final = {f"contention >= 80% [{name}]" for name in RACES}
VIOLATIONS: Final = {f"violations == 0 [{name}]" for name in RACES}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Ran[Record]:
    """A run against a stand-in that is as it should be, at which several tests look."""
    return run_stand_in(NAME, tmp_path_factory.mktemp("run"))


def steps(ran: Ran[Record], condition: str = "1") -> Counter[str]:
    """How many events of each kind the ledger has, or those of them that a condition holds of."""
    (meta,) = ran.rows("SELECT value FROM meta WHERE key = 'events'")
    names = json.loads(meta["value"])
    return Counter(names[row["type"]] for row in ran.rows(f"SELECT type FROM events WHERE {condition}"))


def assert_counts_are_those_of_the_record(ran: Ran[Record], knobs: Mapping[str, Any]) -> None:
    record = ran.record
    answered = {status: steps(ran, f"status = {status}") for status in (200, 201, 202, 503)}
    came = Counter(line["type"] for line in record.of("came"))
    made = answered[201]
    set_up = 1
    assert came["lease.created"] == made["create.create"] + made["one-lease.create"] + set_up
    assert came["payment.created"] == made["attempt.attempt"] + made["one-payment.pay"]
    assert came["rent.due"] == answered[202]["append.append"]
    again = answered[200]
    assert record.counts["replayed"] == again["one-lease.create"] + again["one-payment.pay"]
    assert record.counts["refused"] == answered[503].total()
    # Rules are broken as often as the record says, each once in a round.
    lost = {line["id"] for line in record.of("lost")}
    for race in RACES:
        if race in ran.report.summary.scenarios and not knobs.keys() & {"refuse", "latency_ms"}:
            of_who = Counter(line["id"] for line in record.of("came") if line["id"] in whose(ran, race))
            assert len(of_who) == 8
            broken = 3 * sum(many > 1 for many in of_who.values()) + len(lost & of_who.keys())
            assert ran.found(f"violations == 0 [{race}]").observed == (broken, broken)


def whose(ran: Ran[Record], race: str) -> set[str]:
    """The correlation ids that contenders of a race have sent, one for each round; the others are of one event."""
    begun = [line["id"] for line in ran.record.of("came") if line["ledger"].startswith(race.removeprefix("one-"))]
    again = {line["id"] for line in ran.record.of("replayed")}
    return {name for name, many in Counter(begun).items() if many > 1 or name in again}


# --- as it should be --------------------------------------------------------------------------------------


def test_every_objective_is_decided_and_passes(quick: Ran[Record]) -> None:
    assert {one.result.value for one in quick.report.objectives} == {"pass"}, quick.told
    assert quick.report.verdict.value == "pass"
    assert len(quick.report.objectives) == 30
    assert_counts_are_those_of_the_record(quick, {})


def test_each_user_does_a_task_at_its_pace_and_tasks_follow_their_weights(quick: Ran[Record]) -> None:
    sent = steps(quick)
    scenarios = quick.report.summary.scenarios
    assert scenarios["tasks"].ledger["scheduled"] == 30 * 50
    drawn = {name: scenarios["tasks"].slices[f"journey={name}"].ledger["completed"]
             for name in ("create", "read", "history", "list", "alive")}  # fmt: skip
    shares = {name: round(many / 1500 * 9) for name, many in drawn.items()}
    assert shares == {"create": 3, "read": 2, "history": 2, "list": 1, "alive": 1}
    assert scenarios["creations"].ledger["acked"] == 200
    assert sent["one-lease.create"] == sent["one-payment.pay"] == 80


# --- wrong in one way -------------------------------------------------------------------------------------

TWINS: Final = {
    "a key that comes again at the same instant": Twin(VIOLATIONS | SETTLE, {"racy": True}, RACES),
    "entries that are lost": Twin(
        {"violations == 0 [one-lease]", "max(settle) < 1s [one-lease]"}, {"lose": 0.15}, ["one-lease"]
    ),
    "requests that are refused": Twin({COMPLETED, "rate(errors) < 5%"}, {"refuse": 0.1}, ["creations"]),
    "keys that nobody heeds": Twin(VIOLATIONS | SETTLE, {"idempotent": False}, RACES, long=True),
    "a key that comes again at the same instant, of all": Twin(VIOLATIONS | SETTLE, {"racy": True}, long=True),
    "entries that take long to be applied": Twin(SETTLE, {"apply_ms": 1200}, RACES, long=True),
    "memory that leaks": Twin({"max(memory) < 500MB"}, {"leak_kb": 300}, long=True),
    "a pool that is too small": Twin(
        {"p95(publish) < 120ms [get-lease]", "throughput(acked) >= 450/s [get-lease]"}, {"pool": 1}, ["get-lease"],
        long=True,
    ),
    "answers that take half a second": Twin(
        {*OPERATIONS, SLOW, *RATES, *LIMITS}, {"latency_ms": 500}, ["tasks", "audit-tasks", *ENDPOINTS], long=True
    ),
    "requests that are refused at each endpoint": Twin(
        {COMPLETED, "rate(errors) < 5%", *RATES}, {"refuse": 0.3}, ["creations", *ENDPOINTS], long=True
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if twin.long else ()) for what, twin in TWINS.items()]
)
def test_what_is_wrong_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    twin = TWINS[what]
    ran = run_stand_in(NAME, tmp_path, knobs=twin.knobs, sets=twin.sets, parts=twin.parts)
    assert ran.failing == twin.fails, ran.told
    assert ran.report.verdict.value == "fail"
    assert_counts_are_those_of_the_record(ran, twin.knobs)


def test_each_objective_has_a_run_in_which_it_fails() -> None:
    assert never_failing(NAME, TWINS) == CONTENTION


def test_contenders_one_after_another_put_nothing_to_the_test(tmp_path: Path) -> None:
    """A race whose requests are far apart finds no bug, and says so."""
    apart = [f"scenarios.{race}.race.contenders.{name}.offset=0ms..2s"
             for race, name in (("one-lease", "create"), ("one-payment", "pay"))]  # fmt: skip
    ran = run_stand_in(NAME, tmp_path, parts=RACES, sets=apart)
    assert ran.failing == CONTENTION, ran.told
    assert {ran.found(f"violations == 0 [{name}]").result.value for name in RACES} == {"inconclusive"}
