"""People who have videos made, against their stand-in in virtual time: submit, wait, download.

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
from tests.rigs.virtual_runs import PRECISE_S, Ran
from tests.rigs.virtual_stand_ins import run_stand_in

NAME: Final = "videos-journeys.yaml"
COMPLETED: Final = "rate(completed) >= 90% [journey=make]"
WAIT: Final = "p90(wait) < 5s [event=make.made]"
LOST: Final = "lost == 0 [event=make.made]"
BUGS: Final[Mapping[str, tuple[Mapping[str, Any], set[str]]]] = {
    "none": ({}, set()),
    "jobs that fail": ({"fail": 0.3}, {COMPLETED}),
    "jobs that never end": ({"lose": 0.1}, {LOST}),
    "jobs that are done twice": ({"twice": 0.2}, set()),
    "jobs that go back": ({"back": 0.2}, set()),
    "jobs without a video": ({"empty": 0.2}, {COMPLETED, "errors == 0"}),
    "submissions that are refused": ({"refuse": 0.15}, {COMPLETED, "errors == 0"}),
    "submissions that take long": ({"accept_ms": 600}, {"p95(publish) < 500ms [event=make.submit]"}),
    "jobs that take long": ({"work_ms": 3000}, set()),
    "too few workers": ({"workers": 1}, set()),  # whoever waits asks for nothing meanwhile
    "answers that take long": (
        {"latency_ms": 1100}, {"p95(publish) < 500ms [event=make.submit]", "p95(publish) < 1s [event=make.download]"}
    ),
}  # fmt: skip


SLOW: Final = {
    "submissions that take long", "jobs that take long", "answers that take long", "too few workers",
    "jobs that go back",
}  # fmt: skip
"""What takes its time, and has others beside it that are as wrong."""


def steps(ran: Ran[Record], condition: str = "1") -> Counter[str]:
    """How many events of each step the ledger has, or those of them that a condition holds of."""
    (meta,) = ran.rows("SELECT value FROM meta WHERE key = 'events'")
    names = [name.partition(".")[2] for name in json.loads(meta["value"])]
    return Counter(names[row["type"]] for row in ran.rows(f"SELECT type FROM events WHERE {condition}"))


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=pytest.mark.long if bug in SLOW else ()) for bug in BUGS])
def test_every_count_is_that_of_the_record(bug: str, tmp_path: Path) -> None:
    knobs, failing = BUGS[bug]
    ran = run_stand_in(NAME, tmp_path, knobs={"fail": 0.0, **knobs})
    assert failing <= ran.failing, ran.told
    if not failing:
        assert {one.result.value for one in ran.report.objectives} <= {"pass", "inconclusive"}, ran.told
    record, sent, ok = ran.record, steps(ran), steps(ran, "answer = 1")
    made = ran.report.summary.scenarios["people: make.made"].ledger
    told = ran.report.summary.scenarios["people"].slices["journey=make"].ledger
    seen = made["visible"] + made["regressed"]
    assert ok["submit"] == sent["made"] == record.counts["came"] > 10
    assert sent["submit"] == told["started"] == told["completed"] + told["failed"] + told["cut_off"]
    assert sent["submit"] - ok["submit"] == sum(row["status"] == 503 for row in ran.events())
    assert made["ended"] == len(record.of("failed"))
    assert sent["download"] == seen == told["completed"] + sum(steps(ran, "status = 404").values())
    assert sum(steps(ran, "status = 404").values()) == sent["download"] - ok["download"]
    if bug == "jobs that never end":
        assert made["lost"] == len(record.of("lost"))
    assert seen == len(record.of("done"))
    assert made["regressed"] <= len(record.of("back")) == record.counts["back"]
    assert_brackets_hold(ran)


def assert_brackets_hold(ran: Ran[Record]) -> None:
    """Each wait that ended brackets the moment at which its job was completed."""
    done = {line["job"]: line["at"] - ran.began_s() for line in ran.record.of("done")}
    for row in ran.rows("SELECT * FROM events WHERE scenario = 1 AND first_upper_ns IS NOT NULL"):
        missed_s = (row["first_lower_ns"] or 0) / 1e9
        assert missed_s - PRECISE_S <= done[row["capture"]] <= row["first_upper_ns"] / 1e9 + PRECISE_S, row


def test_where_and_why_iterations_ended_is_told(tmp_path: Path) -> None:
    ran = run_stand_in(NAME, tmp_path, knobs={"fail": 0.2, "lose": 0.1, "empty": 0.1})
    tallies = ran.report.summary.scenarios["people"].slices["journey=make"].tallies
    record = ran.record
    assert tallies["reasons"]["made: it came to another end"] == len(record.of("failed")) > 0
    assert tallies["reasons"]["made: it wasn't shown in time"] == len(record.of("lost")) > 0
    assert tallies["failed_at"]["made"] == len(record.of("failed")) + len(record.of("lost"))
    assert tallies["failed_at"]["download"] == steps(ran, "status = 404")["download"] > 0
