"""What was done to the system, as every report tells it: brackets as brackets, failures with their reason."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from evload.formats import csv as tables
from evload.formats.junit import junit
from evload.formats.markdown import markdown
from evload.formats.measures import Measure, of_progress, of_report
from evload.formats.prometheus import text
from evload.model.marker import Marker
from evload.model.progress import ActionNow, actions_now
from evload.model.timeline import Timeline
from evload.report import actions
from evload.report.document import document
from evload.report.redaction import redacted
from evload.sinks.github import workflow_commands
from evload.sinks.webhook import message
from tests.rigs.planted_courses import course
from tests.rigs.sink_reports import acted, finished, moment, with_actions
from tests.rigs.summaries import MS, S


def row(marker: Marker) -> tuple[str, ...]:
    (one,) = actions.done([marker])
    return one.name, one.on, one.off, one.lasted, one.failed


def test_rows_of_a_table() -> None:
    assert [(one.name, one.on, one.off, one.lasted, one.failed) for one in actions.done(acted())] == [
        ("slow-workers", "2:00", "7:00", "5 min", ""),
        ("pods #1", "2:10 … 2:10.2", "at once", "", ""),
        ("pods #2", "2:40", "at once", "", ""),
        ("db|down", "10:00 … 10:02.5", "11:00 … 11:11", "57.5 … 71 s", ""),
        ("cut", "11:40 … 11:41", "11:45 … 11:46", "6 s at most", "it failed: exit code 1: <no> such host"),
        ("blocked", "15:00", "not undone", "", "it could not be undone: HTTP 500"),
    ]


def test_what_goes_on_at_the_end() -> None:
    assert row(Marker("a", 0, (S, 2 * S))) == ("a", "0:01 … 0:02", "on at the end", "", "")
    assert row(Marker("a", 0, (S, None))) == ("a", "0:01 …", "on at the end", "", "")
    assert row(Marker("a", 0, (S, S), (3 * S, None))) == ("a", "0:01", "0:03 …", "", "")
    assert row(Marker("a", 0, (-5 * MS, S))) [1] == "0:00 … 0:01"  # fmt: skip


def test_in_words() -> None:
    assert [one.sentence for one in actions.done(acted())] == [
        "slow-workers was on from 2:00 to 7:00",
        "pods #1 was done at 2:10 … 2:10.2",
        "pods #2 was done at 2:40",
        "db|down was on from 10:00 … 10:02.5 to 11:00 … 11:11",
        "cut may have been on from 11:40 … 11:41 to 11:45 … 11:46; it failed: exit code 1: <no> such host",
        "blocked was on from 15:00 on; it could not be undone: HTTP 500",
    ]


@pytest.mark.parametrize(
    ("first_s", "last_s", "names"),
    [
        (0, 120, []),
        (0, 121, ["slow-workers"]),
        (130, 131, ["slow-workers", "pods"]),
        (420, 421, ["slow-workers"]),
        (421, 600, []),
        (670, 672, ["db|down"]),
        (700, 701, ["cut"]),
        (950, 9000, ["blocked"]),
    ],
)
def test_what_may_have_been_on_in_an_interval(first_s: int, last_s: int, names: list[str]) -> None:
    assert actions.on_between(acted(), first_s * S, last_s * S) == names


def test_summary_json_has_the_brackets_in_seconds() -> None:
    told = document(with_actions())["actions"]
    assert told[0] == {
        "action": "slow-workers", "number": 0, "done": [120.0, 120.012], "undone": [420.0, 420.03], "lasting": True,
        "error": "", "undo_error": "",
    }  # fmt: skip
    assert told[1]["undone"] is None
    assert (told[2]["number"], told[2]["lasting"]) == (1, False)
    assert (told[4]["error"], told[5]["undo_error"]) == ("exit code 1: <no> such host", "HTTP 500")
    assert document(finished())["actions"] == []
    assert orjson.loads(message(with_actions()))["actions"] == told


def test_an_action_that_is_being_done_has_no_end_in_json() -> None:
    report = finished()
    report.summary.markers = [Marker("a", 0, (S, None))]
    assert document(report)["actions"][0]["done"] == [1.0, None]


def test_series_csv_names_what_was_on() -> None:
    timeline = Timeline(60 * S, 3, {name: course(3) for name in ("calm", "wild")})
    marked = [Marker("=sum(a)", 0, (0, S), (70 * S, 71 * S)), Marker("b", 0, (61 * S, 61 * S), lasting=False)]
    rows = list(csv.DictReader(io.StringIO(tables.series(timeline, marked).decode())))
    assert [row["actions"] for row in rows] == ["=sum(a)", "=sum(a);b", ""] * 2
    report = replace(with_actions(), timeline=timeline)
    of_report = tables.CsvFormat().files(report)["series.csv"].decode()
    assert [one["actions"] for one in csv.DictReader(io.StringIO(of_report))][:3] == ["", "", "slow-workers;pods"]
    assert list(rows[0])[-1] == "actions"
    assert [row["actions"] for row in csv.DictReader(io.StringIO(tables.series(timeline).decode()))] == [""] * 6


def test_markdown_has_a_table() -> None:
    section = markdown(with_actions()).partition("## What was done\n\n")[2].partition("\n\n##")[0].split("\n")
    assert section[:3] == [
        "| Action | On | Off | For | What failed |",
        "| --- | --- | --- | --- | --- |",
        "| slow-workers | 2:00 | 7:00 | 5 min |  |",
    ]
    assert section[5] == r"| db\|down | 10:00 … 10:02.5 | 11:00 … 11:11 | 57.5 … 71 s |  |"
    assert r"it failed: exit code 1: \<no\> such host |" in section[6]
    assert "What was done" not in markdown(finished())


def test_markdown_tells_of_a_thousand_pods_in_few_words() -> None:
    report = finished()
    report.summary.markers = [Marker("pods", n, (n * S, n * S), lasting=False) for n in range(1000)]
    document = markdown(report)
    assert len(re.findall(r"^\| pods #", document, re.MULTILINE)) == 50
    assert "\nand 950 more times\n" in document


def test_junit_has_a_property_each() -> None:
    found = {
        one.attrib["name"]: one.attrib["value"]
        for one in ElementTree.fromstring(junit(with_actions())).findall("testsuite[1]/properties/property")
    }
    assert found["action slow-workers"] == "slow-workers was on from 2:00 to 7:00"
    assert found["action pods #2"] == "pods #2 was done at 2:40"


def test_github_is_told_of_what_failed() -> None:
    lines = workflow_commands(with_actions()).splitlines()
    assert "::error title=action blocked::blocked was on from 15:00 on; it could not be undone: HTTP 500" in lines
    assert [line for line in lines if "title=action" in line and "slow-workers" in line] == []
    assert sum("title=action" in line for line in lines) == 2


def points(found: list[Measure], name: str) -> dict[tuple[str, ...], float]:
    (measure,) = (one for one in found if one.name == name)
    return {tuple(labels[name] for name in sorted(labels)): value for labels, value in measure.points}


def test_measures_of_a_finished_run() -> None:
    found = of_report(with_actions())
    assert points(found, "action_on") == {
        ("slow-workers",): 0, ("pods",): 0, ("db|down",): 0, ("cut",): 0, ("blocked",): 1,
    }  # fmt: skip
    begun, ended = points(found, "action_begun"), points(found, "action_ended")
    assert (begun["slow-workers", "lower", "0"], begun["slow-workers", "upper", "0"]) == (120, 120.012)
    assert (ended["db|down", "lower", "0"], ended["db|down", "upper", "0"]) == (660, 671)
    assert (begun["pods", "lower", "1"], ended["pods", "upper", "1"]) == (160, 160)
    failed = {about for about, value in points(found, "action_failed").items() if value}
    assert failed == {("cut", "0", "do"), ("blocked", "0", "undo")}
    assert (
        'evload_action_begun_seconds{action="slow-workers",bound="upper",number="0"} 120.012'
        in text(found).decode().splitlines()
    )
    assert not any(one.name.startswith("action") for one in of_report(finished()))


def test_measures_while_it_goes_on() -> None:
    going = replace(moment(), actions=actions_now([*acted()[:1], Marker("db", 0, (500 * S, None))]))
    assert points(of_progress(going), "action_on") == {("slow-workers",): 0, ("db",): 1}
    assert not any(one.name == "action_on" for one in of_progress(moment()))


def now(marker: Marker, **lasts_ns: int) -> ActionNow:
    (one,) = actions_now([marker], lasts_ns)
    return one


@pytest.mark.parametrize(
    ("marker", "elapsed", "words", "news"),
    [
        (Marker("a", 0, (10 * S, None)), 13.2, "a being done for 0:03", ""),
        (Marker("a", 0, (10 * S, 11 * S)), 52, "a on for 0:42 of 5:00", "a is on"),
        (Marker("a", 0, (10 * S, 11 * S), (310 * S, None)), 311, "a being undone, 5:01 after it was done", ""),
        (Marker("a", 0, (10 * S, 11 * S), (310 * S, 311 * S)), 400, "a over", "a is over"),
        (Marker("a", 0, (10 * S, 11 * S), lasting=False), 400, "a over", "a is over"),
        (Marker("a", 0, (10 * S, 11 * S), error="no"), 12, "a failed: no", "a failed: no"),
        (Marker("a", 0, (10 * S, 11 * S), (20 * S, 21 * S), undo_error="HTTP 500"), 40, "a can't be undone: HTTP 500",
         "a can't be undone: HTTP 500"),
    ],
    ids=["doing", "on", "undoing", "over", "instant", "failed", "stuck"],
)  # fmt: skip
def test_a_moment_of_a_run(marker: Marker, elapsed: float, words: str, news: str) -> None:
    one = now(marker, a=300 * S)
    assert (actions.now(one, elapsed), actions.news(one)) == (words, news)


def test_nobody_knows_how_long() -> None:
    assert actions.now(now(Marker("a", 0, (0, S))), 3661) == "a on for 1:01:01"


def test_the_newest_time_of_each_action_counts() -> None:
    newest = Marker("slow-workers", 1, (950 * S, 950 * S))
    told: list[Any] = [(one.name, one.number, one.state) for one in actions_now([newest, *acted()])]
    assert ("slow-workers", 1, "on") in told
    assert ("pods", 1, "over") in told
    assert len(told) == 5


def test_secrets_are_taken_out_of_what_failed() -> None:
    report = finished()
    report.summary.markers = [Marker("a", 0, (0, S), error="no hunter2", undo_error="hunter2!")]
    (one,) = redacted(report, lambda text: text.replace("hunter2", "***")).summary.markers
    assert (one.error, one.undo_error) == ("no ***", "***!")
