"""The Markdown report, as GitHub's dialect reads it: tables by their cells, names that come out as they went in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evload.formats.markdown import escaped, markdown
from evload.model.report import Insight, Report, Result, Severity, WorstEvent
from tests.rigs.sink_reports import NASTY, WORST, finished, without_anything

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
ONE_LINE = " ".join(NASTY.split())


def texts(document: str) -> list[tuple[str, str]]:
    """What a reader sees, piece by piece: (the block that it stands in, its text)."""
    found, block = [], ""
    for token in RENDERER.parse(document):
        if token.nesting == 1:
            block = token.tag
        elif token.type == "inline":
            assert all(child.type not in ("html_inline", "image", "link_open") or child.content == "<br>"
                       for child in token.children or ())  # fmt: skip
            found.append((block, "".join(child.content for child in token.children or ())))
        assert token.type != "html_block"
    return found


def sections(document: str) -> list[str]:
    return [text for tag, text in texts(document) if tag in ("h1", "h2")]


def rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, row by row, the head included."""
    found: list[list[str]] = []
    within, block = False, ""
    for token in RENDERER.parse(document):
        if token.nesting == 1:
            block = token.tag
            if block == "tr" and within:
                found.append([])
        elif token.type == "inline":
            text = "".join(child.content for child in token.children or ())
            if block in ("h1", "h2"):
                within = text == heading
            elif within and block in ("td", "th"):
                found[-1].append(text)
    return found


def test_the_head_says_what_was_run_and_how_it_ended() -> None:
    document = markdown(finished(), environment="staging | eu")
    assert sections(document)[0] == f"❌ fail: {ONE_LINE}"
    cells = {row[0]: row[1] for row in rows(document, sections(document)[0])}
    assert (cells["Run"], cells["Environment"]) == ("20260131-120000-4f1c", "staging | eu")
    assert "Environment" not in markdown(finished())
    assert cells["Started"] == "2026-01-31 12:00:00 UTC"
    assert (cells["Duration"], cells["Events"]) == ("61.2 s", "150 scheduled")
    assert cells["Reads"] == "412 in 10 requests, 2 failed"


def test_the_summary_table() -> None:
    assert rows(markdown(finished()), "Objectives") == [
        ["Metric", "Result", "Target", "Status"],
        ["p99(consistency)", "500 … 550 ms", "< 2s", "✅ pass"],
        ["share(consistency < 2s)", "95.5 … 97 %", ">= 95%", "⚠️ warn"],
        [f"lost ({ONE_LINE})", "1", "== 0", "❌ fail"],
        ["p99.9(end_to_end) (replica=b)", "2 s … never", "< 5s", "❔ inconclusive"],
    ]


def test_percentiles_gauges_and_load() -> None:
    document = markdown(finished())
    head, *percentiles = rows(document, "Percentiles")
    assert head == [
        "Metric", "Scenario", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max", "Events", "Never seen",
    ]  # fmt: skip
    assert [row[:2] + row[-2:] for row in percentiles] == [
        ["consistency", "", "150", "1"],
        ["consistency", "calm", "50", "0"],
        ["consistency", ONE_LINE, "100", "1"],
        ["queue_lag", "", "3", "0"],
    ]
    assert percentiles[1][2:4] == ["10 … 11 ms", "10 … 11 ms"]
    assert percentiles[2][2:4] == ["100 … 110 ms", "235 ms … never"]
    assert percentiles[2][4:9] == ["100 … 110 ms", "100 … 110 ms", "100 … 110 ms", "2 … 2.2 s", "6 s … never"]
    assert rows(document, "Gauges")[1] == ["work|queue", "queue_depth", "5", "8", "12", "7", "3", "1"]
    assert rows(document, "Load profile")[1] == [
        ONE_LINE, "100", "0 s to 19.8 s", "5/s", "60 events asked for, 60 sent",
    ]  # fmt: skip


def test_lists() -> None:
    findings = [Insight("stall", Severity.WARNING, "a *sudden* stall", {}), Insight("b", Severity.NOTE, "b", {})]
    read = [text for _, text in texts(markdown(replace(finished(), insights=findings)))]
    assert "a *sudden* stall" in read
    assert "150 scheduled = 150 acked" in read
    assert "150 acked = 149 visible + 1 lost" in read
    assert "of these: 2 duplicated" in read
    assert "⛔ invalid lateness 50 ms (limit 20 ms): p99 of schedule_delay" in read
    assert "read-model from 3 s to 13 s: 40 × HTTP 500: <oops>" in read
    assert f"lost == 0 [{ONE_LINE}]: 1 % | lost <why>" in read


def test_worst_events_can_be_found_in_logs_and_traces() -> None:
    (told,) = (text for _, text in texts(markdown(finished())) if WORST.correlation_id in text)
    assert told == (
        f"{WORST.correlation_id} lost ({ONE_LINE}, created, key k|1), traceparent {WORST.traceparent}<br>"
        "0.070 s due; 0.071 s sent; 15.071 s absent | for good"
    )


def test_the_figure_that_was_judged_stands_beside_how_it_ended() -> None:
    told = finished()
    late = replace(WORST, figure="consistency 1.9 … 2 s")
    document = markdown(replace(told, objectives=[replace(told.objectives[2], worst=(late,))]))
    assert f"{WORST.correlation_id} lost consistency 1.9 … 2 s (" in " ".join(text for _, text in texts(document))


def test_sections_without_anything_are_left_out() -> None:
    assert sections(markdown(without_anything())) == [f"❔ inconclusive: {ONE_LINE}", "Ledger"]


@pytest.mark.parametrize("count", [1, 30])
def test_the_document_stays_short(count: int) -> None:
    def with_worst(report: Report, worst: tuple[WorstEvent, ...]) -> Report:
        return replace(report, objectives=[replace(o, worst=worst) for o in report.objectives])

    document = markdown(with_worst(finished(), (WORST,) * count))
    assert document.count(WORST.correlation_id) == min(count, 5) * len(finished().objectives)


def test_a_run_that_was_ended_early_says_so() -> None:
    told = finished()
    told.summary.vitals.aborted = "lost == 0"
    assert "Ended early by lost == 0; an objective doesn't hold." in [text for _, text in texts(markdown(told))]
    assert markdown(replace(told, verdict=Result.PASS)).startswith("# ✅ pass")


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1))
def test_any_name_reads_as_it_is_written(name: str) -> None:
    shown = " ".join(name.split())
    for _, text in texts(f"| a |\n| --- |\n| x {escaped(name)} |\n")[1:]:
        assert text == f"x {shown}".rstrip()
    assert escaped(name) == escaped(" ".join(name.split()))
