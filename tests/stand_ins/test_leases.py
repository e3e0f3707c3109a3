"""The configs of leases against their stand-in in virtual time.

What is found equals what the stand-in remembers, and what is wrong fails.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from evload.model.correlation import CorrelationIds
from evload.model.report import Report
from evload.report.document import document
from evload.search.bisection import Plan
from evload.search.directory import SearchDirectory
from evload.search.seek import Question, seek
from evload.stats.histogram import rank_of
from evload.units import NS_PER_S, duration_text
from stand_in.record import Record
from tests.rigs.ceilings import Nobody, no_pause
from tests.rigs.twins import Twin, assert_fails_alone, never_failing
from tests.rigs.virtual_runs import PRECISE_S, RUN_ID, Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "leases.yaml"
CAPACITY: Final = "leases-capacity.yaml"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Ran[Record]:
    """A run against a stand-in that is as it should be, at which several tests look."""
    return run_stand_in(NAME, tmp_path_factory.mktemp("run"))


# --- as it should be --------------------------------------------------------------------------------------


def test_every_objective_is_decided_and_passes(quick: Ran[Record]) -> None:
    assert {one.result.value for one in quick.report.objectives} == {"pass"}, quick.told
    assert quick.report.verdict.value == "pass"


def test_what_was_counted_is_what_happened(quick: Ran[Record]) -> None:
    ids, names = CorrelationIds.for_run(RUN_ID), list(quick.report.summary.scenarios)
    rows, came = quick.events(), quick.record.of("came")
    ledgers = {name: one.ledger for name, one in quick.report.summary.scenarios.items()}
    (create,) = {row["type"] for row in rows if names[row["scenario"]] == "post-leases"}
    created = {ids.id_of(row["seq"]) for row in rows if row["type"] == create}
    # One more was created by the set-up.
    assert sorted(line["id"] for line in came if line["type"] == "lease.created") == sorted([*created, RUN_ID])
    of_type = Counter(line["type"] for line in came)
    assert of_type["rent.paid"] == ledgers["event-storm"]["visible"] == 1000
    assert of_type["rent.due"] == ledgers["append"]["visible"] == 375
    assert of_type["payment.created"] == ledgers["same-key-payments"]["acked"] + ledgers["attempts"]["acked"] == 210
    # Two copies of 40 creations.
    assert quick.record.counts["replayed"] == 80


def test_each_ledger_of_the_storm_has_a_hundred_entries_in_the_order_in_which_they_came(quick: Ran[Record]) -> None:
    lines = [line for line in quick.record.lines if line.get("type") == "rent.paid"]
    came = [(line["ledger"], line["id"]) for line in lines if line["kind"] == "came"]
    assert sorted(Counter(ledger for ledger, _ in came).values()) == [100] * 10
    for ledger in {ledger for ledger, _ in came}:
        done = [(line["number"], line["id"]) for line in lines if (line["kind"], line["ledger"]) == ("done", ledger)]
        own = [name for whose, name in came if whose == ledger]
        assert done == list(enumerate(own, start=1))


def test_a_storm_at_once_is_dealt_to_its_ledgers_in_turn_and_sent_in_the_order_of_each(tmp_path: Path) -> None:
    storm = "scenarios.event-storm.load=[{burst: 1000}]"
    ran = run_stand_in(NAME, tmp_path, parts=["event-storm"], sets=[storm])
    came = [line["id"] for line in ran.record.of("came") if line["type"] == "rent.paid"]
    ids = CorrelationIds.for_run(RUN_ID)
    rows = ran.events()
    assert [row["key"] for row in rows] == [f"storm-{n}" for n in range(10)] * 100
    own = {f"storm-{n}": [ids.id_of(row["seq"]) for row in rows[n::10]] for n in range(10)}
    of = {name: key for key, names in own.items() for name in names}
    for key, names in own.items():
        assert [name for name in came if of[name] == key] == names
    ledger = ran.report.summary.scenarios["event-storm"].ledger
    assert (ledger["visible"], ledger["out_of_order"], ledger["order_unknown"]) == (1000, 0, 0)
    assert ran.report.summary.scenarios["event-storm"].known["order_wait"] == 990


def test_each_bracket_holds_the_moment_that_the_stand_in_wrote_down(quick: Ran[Record]) -> None:
    ids, began_s = CorrelationIds.for_run(RUN_ID), quick.began_s()
    times: dict[tuple[str, str], float] = {}
    for line in quick.record.lines:
        if line["kind"] in ("came", "done"):
            times.setdefault((line["kind"], line["id"]), line["at"] - began_s)
    rows = [row for row in quick.events() if row["first_upper_ns"] is not None]
    assert len(rows) == 1000 + 375 + 70 + 20 + 20 + 100
    for row in rows:
        name = ids.id_of(row["seq"])
        came_s, done_s = times["came", name], times["done", name]
        missed_s = (row["first_lower_ns"] or row["sent_ns"]) / 1e9  # None: the first read saw it
        assert missed_s - PRECISE_S <= done_s <= row["first_upper_ns"] / 1e9 + PRECISE_S, row
        assert row["sent_ns"] / 1e9 - PRECISE_S <= came_s <= row["acked_ns"] / 1e9 + PRECISE_S, row


def test_how_long_an_entry_takes_holds_the_true_percentile(quick: Ran[Record]) -> None:
    ids, began_s = CorrelationIds.for_run(RUN_ID), quick.began_s()
    done = {line["id"]: line["at"] - began_s for line in quick.record.of("done") if line["type"] == "rent.due"}
    took = sorted(
        max(0.0, done[ids.id_of(row["seq"])] - row["acked_ns"] / 1e9)
        for row in quick.events()
        if ids.id_of(row["seq"]) in done
    )
    true = took[rank_of(Fraction(95, 100), len(took)) - 1]
    lower, upper = quick.found("p95(consistency) < 1s [append]").observed
    assert lower is not None
    assert upper is not None
    assert lower * 0.999 - PRECISE_S <= true <= upper * 1.001 + PRECISE_S


# --- wrong in one way -------------------------------------------------------------------------------------

STORM: Final = "scenarios.event-storm.load=[{rate: 500/s, for: 600ms}]"
"""Enough to fail by, in less time."""
SLOW: Final = "rise(slow) / rise(requests) < 1%"
OPERATIONS: Final = {
    f"{function}(publish) < {limit}ms [mixed, event={event}]"
    for event, limits in (("create", (50, 150, 200)), ("read", (20, 50, 80)), ("history", (100, 250, 400)))
    for function, limit in zip(("mean", "p95", "p99"), limits, strict=True)
}
APPEND: Final = {f"{function}(publish) < {limit}ms [append]" for function, limit in
                 (("mean", 30), ("p95", 80), ("p99", 120))}  # fmt: skip
ENDPOINTS: Final = {
    "post-leases": ("200/s", "350ms"), "get-lease": ("450/s", "120ms"), "attempts": ("180/s", "400ms"),
    "audit": ("300/s", "250ms"),
}  # fmt: skip
BOTH_KEYS: Final = {"duplicates == 0 [same-key]", "duplicates == 0 [same-key-payments]"}

TWINS: Final = {
    "entries that are lost": Twin({"lost == 0 [event-storm]"}, {"lose": 0.02}, ["event-storm"], [STORM]),
    "entries that are applied twice": Twin(
        {"duplicates == 0 [event-storm]"}, {"twice": 0.02}, ["event-storm"], [STORM]
    ),
    "entries that are swapped": Twin({"out_of_order == 0 [event-storm]"}, {"swap": 0.02}, ["event-storm"], [STORM]),
    "keys that nobody heeds": Twin(BOTH_KEYS, {"idempotent": False}, ["same-key", "same-key-payments"]),
    "a pool that is too small": Twin(
        {"p95(publish) < 120ms [get-lease]", "throughput(acked) >= 450/s [get-lease]", SLOW},
        {"pool": 1}, ["get-lease"],
    ),
    "entries that are lost, of all": Twin(
        {f"lost == 0 [{name}]" for name in ("append", "create-and-read", "event-storm", "creations")},
        {"lose": 0.01}, long=True,
    ),
    "entries that are applied twice, of all": Twin(
        {"duplicates == 0 [append]", "duplicates == 0 [event-storm]"}, {"twice": 0.01}, long=True
    ),
    "entries that are swapped, of all": Twin({"out_of_order == 0 [event-storm]"}, {"swap": 0.01}, long=True),
    "keys that nobody heeds, of all": Twin(BOTH_KEYS, {"idempotent": False}, long=True),
    "a pool that is too small, of all": Twin(
        {
            *OPERATIONS, *APPEND, SLOW, "rate(errors) < 5%",  # the storm waits for the answers of each ledger
            *(f"p95(publish) < {limit} [{name}]" for name, (_, limit) in ENDPOINTS.items()),
            *(f"throughput(acked) >= {rate} [{name}]" for name, (rate, _) in ENDPOINTS.items()),
        },
        {"pool": 1}, long=True,
    ),
    "answers that take half a second": Twin(
        {
            *OPERATIONS, *APPEND, SLOW,
            *(f"p95(publish) < {limit} [{name}]" for name, (_, limit) in ENDPOINTS.items()),
        },
        {"latency_ms": 500}, long=True,
    ),
    "requests that are refused": Twin(
        {
            *(f"rate(acked) > 95% [{name}]" for name in ("event-storm", "creations", "amplification")),
            "rate(errors) < 5%",
            *(f"throughput(acked) >= {rate} [{name}]" for name, (rate, _) in ENDPOINTS.items()),
        },
        {"refuse": 0.15}, long=True,
    ),
    "entries that take long to be applied": Twin(
        {"p95(consistency) < 1s [append]", "p95(consistency) < 1s [create-and-read]"}, {"apply_ms": 1200},
        ["append", "create-and-read"],
        ["scenarios.append.load=[{rate: 20/s, for: 4s}]", "probes.entry.deadline=3m", "probes.lease.deadline=3m"],
        long=True,
    ),
    "memory that leaks": Twin({"max(memory) < 500MB"}, {"leak_kb": 200}, long=True),
}  # fmt: skip


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if twin.long else ()) for what, twin in TWINS.items()]
)
def test_what_is_wrong_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    assert_counts_are_those_of_the_record(assert_fails_alone(TWINS[what], NAME, tmp_path))


def assert_counts_are_those_of_the_record(ran: Ran[Record]) -> None:
    """What was answered, what was applied and what never was, of each kind of entry."""
    record, scenarios = ran.record, ran.report.summary.scenarios
    came = Counter(line["type"] for line in record.of("came"))
    known = {line["id"] for line in record.of("came")}
    appended = [scenarios[name].ledger for name in ("append", "event-storm") if name in scenarios]
    # What is created anew with a key that nobody heeds is one event, and several entries.
    assert sum(one["acked"] for one in appended) == came["rent.due"] + came["rent.paid"]
    ids = CorrelationIds.for_run(RUN_ID)
    watched = [row for row in ran.events() if row["first_lower_ns"] is not None or row["first_upper_ns"] is not None]
    assert {ids.id_of(row["seq"]) for row in watched} <= known
    gone = {line["id"] for line in record.of("lost")}
    of_probes = ("append", "event-storm", "create-and-read", "same-key", "same-key-payments", "creations")
    numbers = [number for number, name in enumerate(scenarios) if name in of_probes]
    followed = {ids.id_of(row["seq"]) for row in ran.events() if row["scenario"] in numbers}
    assert sum(scenarios[name].ledger["lost"] for name in of_probes if name in scenarios) == len(followed & gone)
    doubled = {line["id"] for line in record.of("doubled") if line["type"] in ("rent.due", "rent.paid")}
    entries = [scenarios[name].ledger["duplicated"] for name in ("append", "event-storm") if name in scenarios]
    assert sum(entries) == len(doubled)


def test_each_objective_has_a_run_in_which_it_fails() -> None:
    assert never_failing(NAME, TWINS) == set()


def test_as_many_are_out_of_order_as_were_swapped(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, knobs={"swap": 0.05}, parts=["event-storm"], sets=[STORM])
    numbers = {line["id"]: line["number"] for line in ran.record.of("done")}
    of_ledger: dict[str, list[int]] = {}
    for line in ran.record.of("came"):
        of_ledger.setdefault(line["ledger"], []).append(numbers[line["id"]])
    overtaken = sum(later < earlier for own in of_ledger.values() for earlier, later in pairwise(own))
    assert ran.found("out_of_order == 0 [event-storm]").observed == (overtaken, overtaken)
    assert overtaken == ran.record.counts["swapped"] == 14


# --- what it costs, and how much it can do ----------------------------------------------------------------


def test_what_creations_cost_is_what_the_record_says(tmp_path: Path) -> None:
    ran = run_stand_in(CAPACITY, tmp_path)
    assert {one.result.value for one in ran.report.objectives} == {"pass"}, ran.told
    costs = document(ran.report)["costs"]["services"]
    applied = ran.record.counts["done"]
    assert applied == 500
    # The last one or two come after the last look at the counter.
    (written, same) = costs["writes"]["used"]
    assert applied - 2 <= written == same <= applied
    assert costs["writes"]["run"] == pytest.approx([written * 1.25 / 1_000_000] * 2)
    # Each creation holds a connection for 10 ms, and a projector for as long; reads come beside that.
    least_s = applied * (0.010 + 0.010)
    low, high = costs["compute"]["used"]
    assert 0.99 * least_s < low == high < 1.5 * least_s
    lasted_s = ran.report.summary.vitals.duration_ns / 1e9
    assert costs["services"]["run"] == pytest.approx([lasted_s * 0.135 / 3600] * 2)


CAPACITY_TWINS: Final = {
    "answers that take half a second": Twin({"p95(publish) < 350ms"}, {"latency_ms": 500}, name=CAPACITY),
    "entries that take long to be applied": Twin({"p95(consistency) < 1s"}, {"apply_ms": 100}, name=CAPACITY),
    "requests that are refused": Twin({"errors == 0"}, {"refuse": 0.01}, name=CAPACITY),
    "entries that are lost": Twin({"lost == 0"}, {"lose": 0.01}, name=CAPACITY),
    "memory that leaks": Twin({"max(memory) < 500MB"}, {"leak_kb": 1000}, name=CAPACITY),
    "services that are dear": Twin(
        {"cost(1000 events) < 0.01"}, name=CAPACITY, sets=["costs.services.price=13.5"]
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("what", CAPACITY_TWINS)
def test_what_is_wrong_with_creations_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    assert_fails_alone(CAPACITY_TWINS[what], CAPACITY, tmp_path)


def test_each_objective_of_creations_has_a_run_in_which_it_fails() -> None:
    assert never_failing(CAPACITY, CAPACITY_TWINS) == set()


@pytest.mark.long
def test_the_ceiling_is_what_four_projectors_can_do(tmp_path: Path) -> None:
    """A tenth of a second for each entry: 40 per second, and with 1 % of them piling up 40.4."""

    def trial(rate: Fraction, length_ns: int, directory: Path, warmup_ns: int) -> Report:
        directory.mkdir(parents=True)
        load = f"scenarios.creations.load=[{{rate: {float(rate)}/s, for: {duration_text(length_ns)}}}]"
        sets = [load, "params.readable=10s"]
        return run_stand_in(CAPACITY, directory, knobs={"apply_ms": 100}, sets=sets).report

    plan = Plan(Fraction(15), Fraction(120), 0.1)
    question = Question(
        "leases-capacity", "creations", datetime(2026, 1, 1, tzinfo=UTC), plan, 10 * NS_PER_S, "config"
    )
    ceiling = seek(question, SearchDirectory(tmp_path), (), trial, pause=no_pause, looking=Nobody())
    good, bad = ceiling.bounds.good, ceiling.bounds.bad
    assert good is not None
    assert bad is not None
    assert 35 <= good <= Fraction("40.4") <= bad <= 44
