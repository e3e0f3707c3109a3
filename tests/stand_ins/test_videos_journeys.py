"""People who have videos made, against their stand-in in virtual time: submit, wait, download, upload.

Every count is that of the stand-in's own record, to the last one, with one bug planted at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from evload.model.states import State
from stand_in.record import Record
from tests.rigs.twins import Twin, never_failing
from tests.rigs.virtual_runs import PRECISE_S, Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "videos-journeys.yaml"
MAKING: Final = ("baseline", "stress", "spike")
COMPLETED: Final = {f"rate(completed) >= 90% [{name}]" for name in (*MAKING, "uploads")}
SUBMISSION: Final = {f"max(publish) < 500ms [{name}, event=make.submit]" for name in MAKING}
DOWNLOAD: Final = "failed == 0 [event=make.download]"
TWINS: Final = {
    "downloads that break off": Twin({*COMPLETED, DOWNLOAD}, {"cut": 0.1}),
    "uploads that lose a byte": Twin(
        {"failed == 0 [check=whole]", "rate(completed) >= 90% [uploads]"}, {"shrunk": 0.2}, ["uploads"]
    ),
    "jobs that never end": Twin({"lost == 0 [event=make.made]"}, {"lose": 0.1}, ["spike"]),
    "jobs that are done twice": Twin({"duplicates == 0 [event=make.made]"}, {"twice": 0.2}, ["spike"]),
    "jobs that go back": Twin({"regressed == 0 [event=make.made]"}, {"back": 0.2}, ["spike"]),
    "downloads of something else": Twin({*COMPLETED, DOWNLOAD}, {"garbled": 0.1}, long=True),
    "uploads that never end as jobs": Twin(
        {"lost == 0 [event=upload.made]", "rate(completed) >= 90% [uploads]"}, {"lose": 0.3}, ["uploads"], long=True
    ),
    "too many jobs that fail": Twin({*COMPLETED, "p90(wait) < 5s [event=make.made]"}, {"fail": 0.3}, long=True),
    "jobs without a video": Twin({*COMPLETED, DOWNLOAD}, {"empty": 0.2}, long=True),
    "submissions that are refused": Twin(
        {*COMPLETED, "errors == 0 [baseline, event=make.submit]"}, {"refuse": 0.15}, long=True
    ),
    "submissions that take long": Twin(SUBMISSION, {"accept_ms": 600}, long=True),
    "a status that takes long": Twin({"max(publish) < 200ms [event=poll.status]"}, {"poll_ms": 250}, long=True),
    "an API that is a little slow": Twin({"max(publish) < 50ms [event=alive.health]"}, {"latency_ms": 60}, long=True),
    "uploads that take long": Twin({"max(publish) < 10s [event=upload.store]"}, {"upload_ms": 3000}, long=True),
    "downloads that take long": Twin(
        {"max(first_byte) < 1s [event=make.download]", "max(publish) < 1s [event=make.download]"},
        {"download_ms": 6000}, long=True,
    ),
    "workers that are few": Twin({"max(cpu) < 70%"}, {"workers": 10}, long=True),
    "memory that leaks": Twin({"max(memory) < 80%"}, {"leak_kb": 3000}, long=True),
}  # fmt: skip


def steps(ran: Ran[Record], condition: str = "1") -> Counter[str]:
    """How many events of each step the ledger has, or those of them that a condition holds of."""
    names = [name.partition(".")[2] for name in named(ran)]
    return Counter(names[row["type"]] for row in ran.rows(f"SELECT type FROM events WHERE {condition}"))


def named(ran: Ran[Record]) -> list[str]:
    """The kinds of events that the ledger has."""
    (meta,) = ran.rows("SELECT value FROM meta WHERE key = 'events'")
    names: list[str] = json.loads(meta["value"])
    return names


def own(ran: Ran[Record], kind: str) -> list[dict[str, Any]]:
    """What the record has of jobs that journeys have submitted; the one of the set-up is none of them."""
    return [line for line in ran.record.of(kind) if line["correlation_id"]]


def assert_counts_are_those_of_the_record(ran: Ran[Record]) -> None:
    counts, sent, ok = ran.record.counts, steps(ran), steps(ran, "answer = 1")
    scenarios = ran.report.summary.scenarios
    made: Counter[str] = sum((Counter(scenarios[name].ledger) for name in scenarios if ".made" in name), Counter())
    assert ok["submit"] == sent["made"] == len(own(ran, "came")) > 0
    assert steps(ran, "status = 503").total() == counts["refused"]
    assert made["visible"] + made["regressed"] == sent["download"] == len(own(ran, "done"))
    assert (made["ended"], made["lost"]) == (len(own(ran, "failed")), len(own(ran, "lost")))
    assert (made["duplicated"], made["regressed"]) == (counts["again"], counts["back"])
    assert (ok["download"], steps(ran, "status = 404")["download"]) == (
        counts["sent"], sent["download"] - counts["sent"] - counts["cut"] - counts["garbled"]
    )  # fmt: skip
    assert steps(ran, f"state = {State.IN_DOUBT:d}")["download"] == counts["cut"]
    assert steps(ran, "status = 201")["store"] == counts["stored"]
    told = [scenarios[name].slices[f"journey={journey}"].ledger
            for name, journey in (*((name, "make") for name in MAKING), ("uploads", "upload"))
            if name in scenarios]  # fmt: skip
    assert sum(one["completed"] for one in told) == ok["download"]
    assert all(one["started"] == one["completed"] + one["failed"] for one in told)


def assert_brackets_hold(ran: Ran[Record]) -> int:
    """Each wait that ended brackets the moment at which its job was completed."""
    done = {line["job"]: line["at"] - ran.began_s() for line in ran.record.of("done")}
    waits = [number for number, name in enumerate(named(ran)) if name.endswith(".made")]
    rows = [row for row in ran.events() if row["type"] in waits and row["first_upper_ns"] is not None]
    for row in rows:
        missed_s = (row["first_lower_ns"] or 0) / 1e9
        assert missed_s - PRECISE_S <= done[row["capture"]] <= row["first_upper_ns"] / 1e9 + PRECISE_S, row
    return len(rows)


def test_every_objective_is_decided_and_passes_and_every_count_is_that_of_the_record(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path)
    assert {one.result.value for one in ran.report.objectives} == {"pass"}, ran.told
    assert ran.report.verdict.value == "pass"
    assert_counts_are_those_of_the_record(ran)
    assert assert_brackets_hold(ran) == len(own(ran, "done")) > 200
    # Ten users, each every half a second; a hundred a second; three at once.
    sent = steps(ran)
    assert (sent["status"], sent["health"], sent["store"]) == (100, 100, 6)
    assert {line["bytes"] for line in ran.record.of("stored")} == {5_000_000}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.long if twin.long else ()) for what, twin in TWINS.items()]
)
def test_what_is_wrong_fails_and_nothing_else(what: str, tmp_path: Path) -> None:
    twin = TWINS[what]
    ran = run_stand_in(NAME, tmp_path, knobs=twin.knobs, parts=twin.parts)
    assert ran.failing == twin.fails, ran.told
    assert ran.report.verdict.value == "fail"
    assert_counts_are_those_of_the_record(ran)
    assert_brackets_hold(ran)


def test_nearly_each_objective_has_a_run_in_which_it_fails() -> None:
    assert never_failing(NAME, TWINS) == {"max(connections) < 200", "rate(errors) < 10%"}


def test_where_and_why_iterations_ended_is_told(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, knobs={"fail": 0.2, "lose": 0.1, "empty": 0.1}, parts=["spike"])
    tallies = ran.report.summary.scenarios["spike"].slices["journey=make"].tallies
    record = ran.record
    assert tallies["reasons"]["made: it came to another end"] == len(record.of("failed")) > 0
    assert tallies["reasons"]["made: it wasn't shown in time"] == len(record.of("lost")) > 0
    assert tallies["failed_at"]["made"] == len(record.of("failed")) + len(record.of("lost"))
    assert tallies["failed_at"]["download"] == steps(ran, "status = 404")["download"] > 0
