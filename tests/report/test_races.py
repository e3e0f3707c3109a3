"""What reports say of races, from a ledger in which it is planted what becomes of each round."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from evload.formats import measures
from evload.formats.csv import CsvFormat
from evload.formats.html.render import render
from evload.formats.markdown import markdown
from evload.ledger.reader import LedgerReader
from evload.model.progress import Progress, RaceNow
from evload.model.report import Report, Result, Severity
from evload.report.build import build_again
from evload.report.document import as_json
from evload.report.races import races
from evload.report.redaction import redacted
from evload.sinks.console.live import screen, words
from evload.sinks.console.races import rounds, rounds_in_short
from evload.sinks.live_page.words import moment
from tests.rigs.planted_races import TELLS, report_of
from tests.rigs.rounds import judged, void
from tests.servers.browser import Chromium, barriers

SLOS = (
    "violations == 0", {"text": "violations == 0", "rule": "sold out"}, "contention >= 80%", "p90(settle) < 2s",
    {"text": "won >= 10", "contender": "pay", "scenario": "flash"}, "rounds(void) <= 2", "errors == 0",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(tmp_path_factory.mktemp("planted") / "events.sqlite", SLOS)


def test_each_rule_that_was_broken_is_a_finding_with_its_first_round(report: Report) -> None:
    found = [one for one in report.insights if one.kind == "rule"]
    assert [one.sentence for one in found] == [
        f"Rule 'never both' of flash was broken in 2 of 54 rounds, first in round 7, due at 21 s: {TELLS}."
    ]
    assert found[0].severity is Severity.BAD
    assert found[0].evidence["violated"] == 2


def test_reads_that_failed_are_told_apart_from_what_was_refused(report: Report) -> None:
    (found,) = [one for one in report.insights if one.kind == "refused"]
    assert found.sentence == (
        "Of 165 events, 13 were rejected, spread over the whole run; 13 of these were reads of its race."
    )
    assert (found.severity, found.evidence["failed_reads"]) == (Severity.NOTE, 13)


def test_a_race_is_told_with_its_rules_and_with_those_who_contended(report: Report) -> None:
    (flash,) = races(report.summary)
    assert flash.sums == [
        "60 rounds = 54 judged + 4 void + 2 cut off",
        "50 in which every rule held, 2 in which one was broken, 1 in which one was perhaps broken, "
        "1 in which nobody knows of one",
        "55 reads, of which 13 failed and said nothing",
    ]
    assert flash.contended == "contenders were in flight at once in 48 of 54 (88.89 %)"
    assert [(one.name, one.when, one.held, one.violated, one.possible, one.unknown) for one in flash.rules] == [
        # Of the round that was cut off nobody knows any rule.
        ("never both", "at every read", 52, 2, 0, 1), ("books agree", "in the end", 53, 0, 1, 1),
        ("sold out", "in the end", 53, 0, 0, 2),
    ]  # fmt: skip
    assert [(told.how, told.where, told.what) for rule in flash.rules for told in rule.examples] == [
        ("broken", "round 7, due at 21 s", TELLS), ("broken", "round 21, due at 63 s", TELLS),
        ("perhaps broken", "round 33, due at 99 s", "stock says reserved 9; won: pay 8 to 10"),
        ("unknown", "round 35, due at 105 s", "no read said anything"),
    ]  # fmt: skip
    assert [(one.name, one.due, one.won, one.refused, one.failed, one.doubt, one.unsent, one.rounds)
            for one in flash.contenders] == [
        ("pay", 56, 36, 0, 17, 3, 0, 36), ("cancel", 55, 19, 35, 0, 0, 1, 19)
    ]  # fmt: skip
    assert (flash.decided, flash.remark) == (53, "")
    assert flash.reasons == [
        ("set-up: item: answered 503", 3), ("the run was stopped", 2), ("set-up: item: no answer within 10s", 1)
    ]  # fmt: skip


def test_the_objectives_are_judged_again_as_the_ledger_says(report: Report) -> None:
    assert [(one.result, one.observed) for one in report.objectives[:3]] == [
        (Result.FAIL, (2.0, 7.0)), (Result.INCONCLUSIVE, (0.0, 2.0)), (Result.PASS, (48 / 54, 48 / 54)),
    ]  # fmt: skip
    assert [one.result for one in report.objectives[3:]] == [Result.PASS, Result.PASS, Result.FAIL, Result.PASS]
    assert report.objectives[0].note == f"'never both' was broken in 2 rounds, first in round 7 of flash: {TELLS}"
    assert report.objectives[0].worst == (), "no single event is to blame"


def test_the_summary_has_all_of_it(report: Report) -> None:
    document = json.loads(as_json(report))
    race = document["scenarios"]["flash"]["race"]
    assert race["rounds"] == {"due": 60, "judged": 54, "void": 4, "cut_off": 2}
    assert (race["violations"], race["violated"]) == ([2, 7], [2, 5])
    assert (race["contended"], race["contention"]) == ([48, 48], [48 / 54, 48 / 54])
    assert (race["decided"], race["always_won_by"]) == (53, None)
    assert (race["settle"]["count"], race["settle"]["censored"], race["settle"]["max"]) == (53, 1, [9.0, None])
    assert race["settle"]["p50"] == pytest.approx([0.128, 0.181], rel=1e-3)
    books = race["rules"]["books agree"]
    assert {name: books[name] for name in ("kind", "held", "violated", "possible", "unknown", "cut_off")} == {
        "kind": "holds", "held": 53, "violated": 0, "possible": 1, "unknown": 0, "cut_off": 1
    }  # fmt: skip
    assert books["examples"] == [
        {"result": "possible", "scenario": "flash", "round": 33, "due": 99.0,
         "told": "stock says reserved 9; won: pay 8 to 10"}
    ]  # fmt: skip
    assert race["contenders"]["pay"] == {
        "due": 56, "won": 36, "refused": 0, "failed": 17, "doubt": 3, "unsent": 0, "rounds_won": 36
    }  # fmt: skip
    assert race["reasons"]["set-up: item: answered 503"] == 3
    assert document["scenarios"]["flash"]["race_reads"] == {"events": 55, "failed": 13}
    assert document["race"] == race, "of all scenarios, of which there is one"
    assert "slices" not in document["scenarios"]["flash"]


def test_the_tables(report: Report) -> None:
    files = CsvFormat().files(report)
    found = [tuple(row.values()) for row in csv.DictReader(io.StringIO(files["races.csv"].decode()))]
    for row in (
        ("flash", "rounds", "", "due", "60"), ("flash", "rounds", "", "contended", "48"),
        ("flash", "rule", "never both", "violated", "2"), ("flash", "rule", "sold out", "unknown", "2"),
        ("flash", "contender", "pay", "won", "36"), ("flash", "contender", "cancel", "rounds_won", "19"),
    ):  # fmt: skip
        assert row in found
    times = [
        row for row in csv.DictReader(io.StringIO(files["percentiles.csv"].decode())) if row["metric"] == "settle"
    ]
    assert {(row["scenario"], row["slice"], row["count"], row["censored"]) for row in times} == {
        ("flash", "race", "53", "1")
    }  # fmt: skip
    assert "races.csv" not in CsvFormat().files(replace(report, summary=replace(report.summary, scenarios={})))


def test_markdown_tells_what_became_of_the_rules_and_who_won(report: Report) -> None:
    text = markdown(report)
    assert "\n## Races\n\n### flash\n\n- 60 rounds = 54 judged + 4 void + 2 cut off\n" in text
    assert "\n| never both | at every read | 52 | 2 | 0 | 1 |\n" in text
    assert f"\n- never both: broken in round 7, due at 21 s: {TELLS}\n" in text
    assert "\n| pay | 56 | 36 | 0 | 17 | 3 | 0 | 36 of 53 |\n" in text
    assert "\n- 3 × set-up: item: answered 503\n" in text
    assert "\n- settled after the last answer to a contender: p50 128 … 181 ms, p95 156 … 206 ms," in text


def test_the_terminal_has_lines_for_rules_and_contenders_or_one_for_each_race(report: Report) -> None:
    lines = [line.plain for line in rounds(report.summary, 130)]
    assert lines[:2] == ["flash", "  60 rounds = 54 judged + 4 void + 2 cut off"]
    for line in (
        "  never both (at every read): 52 held, 2 broken, 1 unknown",
        f"  - broken in round 7, due at 21 s: {TELLS}",
        "  pay: 56 = 36 won, 17 failed, 3 in doubt; it won 36 of 53 rounds",
        "  3 × set-up: item: answered 503",
    ):
        assert line in lines
    for width in (100, 60, 40):
        shown = [line.plain for line in (*rounds(report.summary, width), *rounds_in_short(report.summary, width))]
        assert max(map(len, shown)) <= width
    assert [line.plain for line in rounds_in_short(report.summary, 200)] == [
        "flash: 60 rounds = 54 judged + 4 void + 2 cut off; never both broken in 2; contenders were in flight at "
        "once in 48 of 54 (88.89 %)"
    ]


def section_of(report: Report) -> str:
    assert report.timeline is not None
    page = render(report, report.timeline, report.insights)
    assert '<li><a href="#races">Races</a></li>' in page
    section = page[page.index('<section id="races"') :]
    return section[: section.index("</section>")]


def test_the_page_shows_rules_and_contenders_with_bars(report: Report) -> None:
    section = section_of(report)
    assert "60 rounds = 54 judged + 4 void + 2 cut off" in section
    never = re.search(r'<th role="rowheader" scope="row">never both</th>(.*?)</tr>', section, re.DOTALL)
    pay = re.search(r'<th role="rowheader" scope="row">pay</th>(.*?)</tr>', section, re.DOTALL)
    assert never is not None
    assert pay is not None
    for row, counts in ((never[1], {"good": 52, "bad": 2, "open": 1}), (pay[1], {"good": 36, "bad": 17, "open": 3})):
        widths = {tone: float(width) for tone, width in re.findall(r'<rect class="(\w+)".*? width="([\d.]+)"', row)}
        assert list(widths) == list(counts)
        assert widths["good"] / widths["bad"] == pytest.approx(counts["good"] / counts["bad"])
    assert re.findall(r'data-label="(?:held|broken|perhaps|unknown)">([^<]*)<', never[1]) == ["52", "2", "0", "1"]
    assert '<span class="chip bad">broken</span>' in section
    assert '<span class="chip warn">perhaps broken</span>' in section
    assert "one side" not in section


def test_a_race_that_one_side_always_wins_is_said_to_be_none(tmp_path: Path) -> None:
    told = report_of(tmp_path / "events.sqlite", ["violations == 0"], [judged(n, settled=None) for n in range(20)])
    remark = "pay won 20 of 20 rounds: a race that wasn't tried"
    assert (told.objectives[0].result, told.objectives[0].note) == (Result.PASS, remark)
    assert f'<span class="chip warn">one side</span> {remark.replace(chr(39), "&#39;")}' in section_of(told)
    assert f"\n- **{remark}**\n" in markdown(told)
    assert f"  {remark}" in [line.plain for line in rounds(told.summary, 100)]
    assert json.loads(as_json(told))["scenarios"]["flash"]["race"]["always_won_by"] == "pay"
    assert "settled" not in section_of(told)


def test_without_a_round_that_was_judged_nobody_claims_anything(tmp_path: Path) -> None:
    told = report_of(tmp_path / "events.sqlite", ["violations == 0"], [void(0)])
    (flash,) = races(told.summary)
    assert (flash.contention, flash.sums) == (None, ["1 round = 1 void"])
    assert [line.plain for line in rounds_in_short(told.summary, 100)] == [
        "flash: 1 round = 1 void; no round was judged"
    ]
    assert "no round was judged, so that nobody knows of contention" in section_of(told)
    assert told.verdict is Result.INCONCLUSIVE


def test_monitoring_systems_get_the_counts_and_the_times(report: Report) -> None:
    found = {one.name: one for one in measures.of_report(report)}
    counts = {point["state"]: value for point, value in found["rounds"].points}
    assert counts == {"due": 60, "judged": 54, "void": 4, "cut_off": 2}
    rules = {(point["rule"], point["state"]): value for point, value in found["rule_rounds"].points}
    assert (rules["never both", "violated"], rules["sold out", "unknown"]) == (2, 2)
    who = {(point["contender"], point["state"]): value for point, value in found["contenders"].points}
    assert (who["pay", "won"], who["cancel", "refused"]) == (36, 35)
    assert [value for _, value in found["contended_rounds"].points] == [48]
    assert {point["scenario"] for point, _ in found["settle"].points} == {"flash"}


def test_no_secret_stands_in_what_a_rule_was_held_against(report: Report) -> None:
    hidden = redacted(report, lambda text: text.replace("reserved", "***").replace("503", "***"))
    shown = markdown(hidden) + as_json(hidden).decode() + section_of(hidden)
    assert "reserved" not in shown
    assert "answered 503" not in shown
    assert "reserved" in markdown(report), "the report itself is left as it was"


def test_a_report_is_built_again_from_the_ledger_to_the_last_digit(tmp_path: Path, report: Report) -> None:
    again = report_of(tmp_path / "events.sqlite", SLOS)
    with LedgerReader(tmp_path / "events.sqlite") as reader:
        assert as_json(build_again(reader, tmp_path)) == as_json(again) == as_json(report)


@pytest.mark.parametrize(("width", "dark"), [(375, True), (1280, False)])
def test_the_page_fits_wherever_it_is_shown(
    width: int, dark: bool, report: Report, chromium: Chromium, tmp_path: Path
) -> None:
    assert report.timeline is not None
    path = tmp_path / "report.html"
    path.write_text(render(report, report.timeline, report.insights))

    async def look(page: Page) -> None:
        await page.emulate_media(color_scheme="dark" if dark else "light")
        await page.set_viewport_size({"width": width, "height": 900})
        await page.goto(path.as_uri())
        await expect(page.locator("#races h3")).to_have_text("flash")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await barriers(page) == []

    chromium.visit(look)


# -- while it goes on ------------------------------------------------------------------------------------------------


def now(*told: RaceNow) -> Progress:
    return Progress("contending", 3.0, 60.0, 1.0, 1.0, 9, 1, 2, {"acked": 6}, races=told)


def test_how_races_stand_while_the_run_goes_on() -> None:
    fine, broken = RaceNow("flash", 1, 0, 0, 0), RaceNow("pay", 12, 2, 1, 3)
    assert (str(fine), str(broken)) == (
        "1 round judged", "12 rounds judged, 2 with a broken rule, 1 void, 3 cut off"
    )  # fmt: skip
    for width in (120, 50):
        shown = " ".join(line.plain for line in screen(now(fine, broken), width, 60))
        assert "1 round judged" in shown
        assert "12 rounds judged, 2 with a broken rule" in shown
    assert "flash.judged=1 flash.violated=0 flash.void=0 flash.cut_off=0 pay.judged=12" in words(now(fine, broken))
    assert json.loads(moment(now(broken)))["journeys"] == [f"pay: {broken}"]
