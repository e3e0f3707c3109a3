"""What reports say of journeys, from a ledger in which it is planted what becomes of each iteration."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evload.formats import measures
from evload.formats.csv import CsvFormat
from evload.formats.html.render import render
from evload.formats.markdown import markdown
from evload.model.report import Report, Result
from evload.report.document import as_json
from evload.report.journeys import funnels
from evload.report.redaction import redacted
from evload.sinks.console.journeys import journeys, journeys_in_short
from tests.rigs.planted_journeys import report_of

SLOS = (
    {"text": "rate(completed) >= 90%", "journey": "order"},
    {"text": "p90(journey) < 1s", "journey": "order", "scenario": "mixed"},
    {"text": "p95(publish) < 350ms", "journey": "order", "step": "pay"},
    {"text": "rate(refused) < 30%", "journey": "order", "step": "ship"},
    "failed == 0",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(tmp_path_factory.mktemp("planted") / "events.sqlite", SLOS)


def test_a_funnel_has_the_steps_in_order_with_what_was_answered(report: Report) -> None:
    mixed, browse, arrivals = funnels(report.summary)
    assert [(one.scenario, one.journey) for one in (mixed, browse, arrivals)] == [
        ("mixed", "order"), ("mixed", "browse"), ("arrivals", "order")
    ]  # fmt: skip
    assert [(step.name, step.reached, step.ok, step.refused, step.failed) for step in mixed.steps] == [
        # Six of the requests to pay have no answer: the run was stopped.
        ("register", 588, 588, 0, 0), ("pay", 588, 564, 0, 18), ("ship", 564, 552, 12, 0), ("close", 582, 582, 0, 0),
    ]  # fmt: skip
    assert [(step.name, list(step.ended)) for step in mixed.steps if step.ended] == [
        ("pay", [("failed", 18), ("cut off", 6)]), ("ship", [("refused", 12)])
    ]  # fmt: skip
    assert mixed.sums == [
        "600 due = 588 started + 6 unsent + 6 starved",
        "588 started = 552 completed + 12 refused + 18 failed + 6 cut off",
    ]
    assert mixed.reasons == [
        ("pay: answered 503", 12), ("ship: answered 409", 12), ("nothing was in the pool jobs for 1s", 6),
        ("pay: check same payment: false", 6), ("pay: the run was stopped", 6),
    ]  # fmt: skip
    assert mixed.checks == [("same payment", 6)]
    assert mixed.completed == 0.92
    assert browse.sums == ["200 due = 200 started", "200 started = 200 completed"]
    assert [step.name for step in browse.steps] == ["look"], "only its own"
    assert [step.reached for step in arrivals.steps] == [98, 98, 94, 97]


def test_a_run_without_journeys_says_nothing_of_them(report: Report) -> None:
    for scenario in report.summary.scenarios.values():
        assert scenario.journeys()
    summary = report.summary
    bare = type(summary)({"main": type(next(iter(summary.scenarios.values())))()})
    assert funnels(bare) == []
    assert journeys(bare, 80) == journeys_in_short(bare, 80) == []


def test_objectives_about_journeys_are_judged_and_name_the_requests_that_failed(report: Report) -> None:
    assert [(one.result, one.observed) for one in report.objectives] == [
        (Result.PASS, (0.92, 0.92)), (Result.PASS, (pytest.approx(0.24, rel=1e-3),) * 2),
        (Result.PASS, (pytest.approx(0.039, rel=1e-3),) * 2),
        (Result.PASS, (pytest.approx(14 / 658), pytest.approx(14 / 658))), (Result.FAIL, (21, 21)),
    ]  # fmt: skip
    failed = report.objectives[-1]
    assert {(one.event, one.state) for one in failed.worst} == {("order.pay", "rejected")}
    assert len(failed.worst) > 4
    assert report.verdict is Result.FAIL


def test_summary_json_has_each_journey_once(report: Report) -> None:
    document: dict[str, Any] = json.loads(as_json(report))
    mixed = document["scenarios"]["mixed"]
    order = mixed["journeys"]["order"]
    assert order["iterations"] == {
        "due": 600, "started": 588, "completed": 552, "refused": 12, "failed": 18, "cut_off": 6, "unsent": 6,
        "starved": 6,
    }  # fmt: skip
    assert (order["completed_rate"], order["span"]) == (0.92, 59.9)
    assert (order["journey"]["count"], order["journey"]["censored"]) == (588, 36)
    assert order["journey"]["p50"] == [pytest.approx(0.24, rel=1e-3)] * 2
    assert order["journey"]["p99"] == [None, None]
    assert order["ended_at"] == {"failed": {"pay": 18}, "refused": {"ship": 12}, "cut_off": {"pay": 6}}
    assert order["reasons"]["pay: answered 503"] == 12
    assert order["checks"] == {"same payment": 6}
    assert set(mixed["slices"]) == {"event=order.register", "event=order.pay", "event=order.ship",
                                    "event=order.close", "event=browse.look"}  # fmt: skip
    assert document["journeys"]["order"]["iterations"]["due"] == 700, "of both scenarios"
    assert document["events"]["order.pay"]["answer"] == {"1": 658, "3": 21}
    assert set(document["events"]) == {"order.register", "order.pay", "order.ship", "order.close", "browse.look"}
    assert "journey=" not in json.dumps({**document, "objectives": None})


def rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode())))


def test_the_table_of_journeys_has_a_row_for_each_step(report: Report) -> None:
    found = rows(CsvFormat().files(report)["journeys.csv"])
    assert [(row["scenario"], row["journey"], row["step"]) for row in found[:6]] == [
        ("mixed", "order", ""), ("mixed", "order", "register"), ("mixed", "order", "pay"), ("mixed", "order", "ship"),
        ("mixed", "order", "close"), ("mixed", "browse", ""),
    ]  # fmt: skip
    pay = found[2]
    assert (pay["requests"], pay["failures"], pay["refused"], pay["ok"]) == ("588", "18", "0", "564")
    assert float(pay["median_s"]) == pytest.approx(0.039, rel=1e-3)
    assert (pay["p99_s"], pay["max_s"]) == ("inf", "inf")
    assert float(pay["requests_per_s"]) == pytest.approx(587 / 59.7, rel=1e-3)
    whole = found[0]
    assert (whole["requests"], whole["failures"], whole["refused"], whole["ok"]) == ("588", "18", "12", "552")
    assert float(whole["median_s"]) == pytest.approx(0.24, rel=1e-3)
    assert whole["p95_s"] == "inf"


def test_the_table_of_percentiles_has_the_times_of_journeys_among_the_slices(report: Report) -> None:
    found = rows(CsvFormat().files(report)["percentiles.csv"])
    times = [row for row in found if row["metric"] == "journey" and row["percentile"] == "p50"]
    assert [(row["scenario"], row["slice"], row["count"]) for row in times] == [
        ("mixed", "journey=order", "588"), ("mixed", "journey=browse", "200"), ("arrivals", "journey=order", "98")
    ]  # fmt: skip


def test_markdown_tells_how_far_they_came(report: Report) -> None:
    text = markdown(report)
    assert "\n## Journeys\n\n### order (mixed)\n\n- 600 due = 588 started + 6 unsent + 6 starved\n" in text
    assert (
        "| pay | 588 | 564 | 0 | 18 | 39 ms | 39 ms | 39 ms … never | 39 ms … never | 18 failed, 6 cut off |" in text
    )
    assert "| *all of it* | 588 | 552 | 12 | 18 | 240 ms | never | never | never |  |" in text
    assert "\n- 12 × pay: answered 503\n" in text
    assert "\n- check same payment: 6 failed it\n" in text


def test_the_terminal_has_a_line_for_each_step_or_for_each_journey(report: Report) -> None:
    lines = [line.plain for line in journeys(report.summary, 100)]
    assert lines[:3] == [
        "order of mixed", "  600 due = 588 started + 6 unsent + 6 starved",
        "  588 started = 552 completed + 12 refused + 18 failed + 6 cut off",
    ]  # fmt: skip
    assert lines[5].split() == ["pay", "588", "564", "0", "18", "39", "ms", "39", "ms", "39", "ms", "…", "never"]
    assert "  12 × pay: answered 503" in lines
    for width in (100, 60, 40):
        shown = [line.plain for line in (*journeys(report.summary, width), *journeys_in_short(report.summary, width))]
        assert max(map(len, shown)) <= width
    assert [line.plain for line in journeys_in_short(report.summary, 120)][1] == (
        "browse of mixed: 200 of 200 iterations completed (100 %), p95 15 ms"
    )


def test_the_page_shows_how_far_they_came(report: Report) -> None:
    assert report.timeline is not None
    page = render(report, report.timeline, report.insights)
    section = page[page.index('<section id="journeys"') :]
    section = section[: section.index("</section>")]
    assert '<li><a href="#journeys">Journeys</a></li>' in page
    assert "588 started = 552 completed + 12 refused + 18 failed + 6 cut off" in section
    pay = re.search(r'<th role="rowheader" scope="row">pay</th>(.*?)</tr>', section, re.DOTALL)
    assert pay is not None
    widths = {tone: float(width) for tone, width in re.findall(r'<rect class="(\w+)".*? width="([\d.]+)"', pay[1])}
    assert list(widths) == ["good", "bad", "open"]
    assert widths["good"] / widths["bad"] == pytest.approx(564 / 18)
    assert "18 failed, 6 cut off" in pay[1]
    assert '<th role="rowheader" scope="row">pay: answered 503</th>' in section


def test_what_is_never_done_is_not_called_no_data(report: Report) -> None:
    assert report.timeline is not None
    late = replace(report.objectives[1], result=Result.FAIL, observed=(None, None))
    for one, told in ((late, "never"), (replace(late, result=Result.INCONCLUSIVE), "no data")):
        page = render(replace(report, objectives=[one]), report.timeline, [])
        section = page[page.index('<section id="objectives"') :]
        section = section[: section.index("</section>")]
        assert f'<td role="cell" class="right">{told}</td>' in section
        assert ('<span class="muted">no data</span>' in section) is (told == "no data")


def test_monitoring_systems_get_the_counts_and_the_times(report: Report) -> None:
    found = {one.name: one for one in measures.of_report(report)}
    counts = {
        (point["scenario"], point["journey"], point["state"]): value for point, value in found["iterations"].points
    }
    assert counts["mixed", "order", "due"] == 600
    assert counts["arrivals", "order", "cut_off"] == 1
    times = {
        (point["journey"], point["quantile"], point["bound"]): value
        for point, value in found["journey"].points
        if point["scenario"] == "mixed"
    }
    assert times["order", "0.5", "upper"] == pytest.approx(0.24, rel=1e-3)
    assert times["order", "0.99", "lower"] == float("inf")
    slices = {point["slice"] for point, _ in found["publish"].points}
    assert "event=order.pay" in slices
    assert not any("journey" in label for label in slices)


def test_a_secret_in_what_a_target_said_is_in_no_report(report: Report) -> None:
    hidden = redacted(report, lambda text: text.replace("503", "***").replace("409", "***"))
    (order, *_) = funnels(hidden.summary)
    assert order.reasons[:2] == [("pay: answered ***", 12), ("ship: answered ***", 12)]


def test_a_cut_off_iteration_is_no_sign_of_coarse_reads(tmp_path: Path) -> None:
    """Nobody knows whether it would have been done in time; that makes inconclusive, and no measurement invalid."""
    found = report_of(tmp_path / "events.sqlite", [{"text": "p96(journey) < 1s", "journey": "order"}])
    assert [one.result for one in found.objectives] == [Result.INCONCLUSIVE]
    (check,) = (one for one in found.checks if one.name == "resolution")
    assert check.result is Result.SKIPPED
