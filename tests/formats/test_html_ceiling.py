"""The page of a search, as a browser shows it, and what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from playwright.async_api import Page

from evload.formats.html.ceiling import render
from evload.judging.ceiling import judge_ceiling
from evload.model.ceiling import Backlog, Bounds, Ceiling, End, Judged, Outcome, Trial
from evload.model.report import Result
from evload.objectives.ceiling import parse_ceiling
from tests.servers.browser import Chromium

S = 1_000_000_000
NASTY = '<img src=x onerror="alert(1)"> & {{ 7 * 7 }}'


def trial(number: int, rate: str, outcome: Outcome, growth: tuple[float, float] | None, *reasons: str) -> Trial:
    backlogs = {"work-queue": Backlog(growth, (0.0, 1.5)), "unanswered publishes": Backlog((-0.001, 0.001))}
    judged = Judged(outcome, reasons, backlogs, (0.1 * number, 0.11 * number))
    return Trial(number, Fraction(rate), 60 * S, 0, f"trial-{number:02}", judged, number == 6)


def ceiling(name: str = "shop") -> Ceiling:
    bounds = Bounds(End.INTERVAL, Fraction(400), Fraction(420), undecided=(Fraction(410),), confirmed=True)
    return Ceiling(
        name, "base", datetime(2026, 1, 31, 12, tzinfo=UTC), Fraction(50), Fraction(5000), 0.05, 60 * S, bounds,
        [
            trial(1, "200", Outcome.GOOD, (0.0, 0.001)),
            trial(2, "400", Outcome.GOOD, (0.0, 0.004)),
            trial(3, "800", Outcome.BAD, (0.49, 0.51), "work-queue grew by 50 % of the rate"),
            trial(4, "420", Outcome.BAD, (0.03, 0.05), f"{name} grew"),
            trial(5, "410", Outcome.UNDECIDED, None, "too few samples"),
            trial(6, "400", Outcome.GOOD, (0.0, 0.004)),
            trial(7, "600", Outcome.GENERATOR, (0.0, 0.2), "evload itself was late"),
        ],
        Result.PASS,
        [judge_ceiling(parse_ceiling("ceiling > 300/s"), bounds)],
        ["ceiling > 9/s [other]"],
    )  # fmt: skip


def test_it_shows_the_interval_the_trials_and_why(chromium: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "ceiling.html"
    path.write_text(render(ceiling()))

    async def look(page: Page) -> None:
        for width in (1280, 375):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(path.as_uri())
            await page.wait_for_selector("html[data-ready=true]")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            shown = await page.inner_text("body")
            assert "Ceiling: 400/s … 420/s" in shown
            assert "400/s is good, twice" in shown
            assert "420/s is bad: shop grew" in shown
            assert "410/s can't be told: too few samples" in shown
            assert await page.locator(".plot canvas, .plot .bk-Figure").count() >= 3
            links = [await one.get_attribute("href") for one in await page.locator("#trials-list a").all()]
            assert links == [f"trial-{number:02}/report.html" for number in range(1, 8)]

    requests = chromium.visit(look)
    assert all(url.startswith("file:") for url in requests)


def test_each_outcome_has_a_shape_of_its_own_and_the_charts_are_told_in_numbers() -> None:
    page = render(ceiling())
    # A circle, for what is good, is what Bokeh draws without being told.
    assert {*re.findall(r'"marker":{"type":"value","value":"(\w+)"}', page)} == {
        "diamond", "inverted_triangle", "square_x"
    }  # fmt: skip
    for cell in ("200/s", "400/s", "800/s", "420/s", "49 %", "51 %"):
        assert f">{cell}<" in page


def test_a_window_that_may_be_nothing_is_drawn_and_told_as_well() -> None:
    """Quick systems are seen by the first read: no trial may be missing among the times for that."""
    searched = ceiling()
    first, second, *others = searched.trials
    quick = [replace(one, judged=replace(one.judged, windows=(0.0, 0.025))) for one in (first, second)]
    text = re.sub(r"\s+", " ", render(replace(searched, trials=[*quick, *others])))
    said = text.partition("p95 of the consistency window of each trial: ")[2].partition('"')[0]
    assert said.startswith("at 200/s 0 s … 25 ms; at 400/s 0 s … 25 ms; ")
    assert said.count("; at ") == 6


def test_of_a_search_that_has_only_begun_it_says_what_is_known() -> None:
    bare = Ceiling(
        "shop", "base", datetime(2026, 1, 31, tzinfo=UTC), Fraction(50), Fraction(99), 0.05, S,
        Bounds(End.UNFINISHED), (), Result.INCONCLUSIVE,
    )  # fmt: skip
    page = render(bare)
    assert "unfinished: nothing is known yet" in page
    assert "There was none." in page


def test_what_others_have_written_is_text(chromium: Chromium, tmp_path: Path) -> None:
    page = render(ceiling(NASTY))
    assert NASTY not in page
    assert "&lt;img" in page
    assert "{{ 7 * 7 }}" in page


def test_of_journeys_it_says_that_rates_are_those_of_iterations() -> None:
    page = render(replace(ceiling(), of_journeys=True))
    assert "iterations per second" in page
    assert "events per second" not in page
    assert "p95(journey)" in page
    assert "p95(consistency)" not in page
    assert "How long an iteration takes" in page
    assert "what is left is that after the last send" in page
    assert "after the last send" not in render(ceiling())
