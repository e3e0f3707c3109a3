"""What was done to the system, in the HTML report: bands in every chart, a table, and words for who sees no bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from evload.formats.html.figures import Chart
from evload.formats.html.over_time import charts
from evload.formats.html.render import render
from evload.model.marker import Marker
from evload.model.report import Report
from evload.model.timeline import Timeline
from tests.formats.test_html_report import HOSTILE, TIME, browse, two_scenarios
from tests.rigs.shares import looks
from tests.rigs.summaries import S
from tests.servers.browser import Chromium, barriers, show

DONE: Final = [
    Marker("slow-workers", 0, (4 * S, 4 * S), (9 * S, 9 * S)),
    Marker("db-down", 0, (12 * S, 14 * S), (18 * S, 21 * S)),
    *(Marker("pods", n, ((22 + 2 * n) * S,) * 2, lasting=False) for n in range(3)),
    Marker("cut", 0, (30 * S, 31 * S), (32 * S, 33 * S), error=f"exit code 1 {HOSTILE}"),
    Marker(f"block {HOSTILE}", 0, (35 * S, 35 * S), (36 * S, 37 * S), undo_error="HTTP 500"),
]


def acted(markers: list[Marker]) -> tuple[Report, Timeline]:
    """Forty seconds of two scenarios, in which this was done."""
    report, timeline = two_scenarios()
    report.summary.markers = markers
    return report, timeline


def drawn(markers: list[Marker]) -> list[Chart]:
    report, timeline = acted(markers)
    return charts(report, timeline, [])


def bands(chart: Chart, kind: str) -> list[tuple[float, ...]]:
    """What is drawn of the actions: bands (from, to) in seconds, doubtful edges, or lines."""
    found: dict[str, Any] = {}
    for renderer in chart.plot.renderers:
        colours = [tag[2] for tag in renderer.glyph.tags if tag[0] == "colour"]
        data = renderer.data_source.data
        if "action" in colours and "from" in data:
            found["doubt" if "hatch_color" in {t[1] for t in renderer.glyph.tags} else "band"] = zip(
                data["from"], data["to"], strict=True
            )
        elif "action" in colours and "name" not in data:
            found["edge"] = zip(data["at"], strict=True)
    return [tuple(value / 1000 for value in one) for one in found[kind]]


def names(chart: Chart) -> dict[str, tuple[float, int, str]]:
    """Each name with where it stands in seconds, how far from the top, and to which side it goes on."""
    return {
        name: (at / 1000, lower, renderer.glyph.text_align)
        for renderer in chart.plot.renderers
        if "name" in (data := renderer.data_source.data)
        for name, at, lower in zip(data["name"], data["at"], data["lower"], strict=True)
    }


def test_bands_where_it_was_on_for_sure_and_hatched_edges_where_it_may_have_been() -> None:
    found = drawn(DONE)
    assert len(found) > 8
    for chart in found:
        assert bands(chart, "band") == [(4, 9), (14, 18), (35, 36)]
        assert bands(chart, "doubt") == [(12, 14), (18, 21), (30, 33), (36, 40)]
        assert [at for (at,) in bands(chart, "edge")] == [
            4, 9, 12, 14, 18, 21, 22, 24, 26, 30, 31, 32, 33, 35, 36, 37,
        ]  # fmt: skip


def test_what_is_still_on_reaches_to_the_end_and_nothing_lies_outside() -> None:
    (chart, *_) = drawn([Marker("a", 0, (-S, S)), Marker("b", 0, (50 * S, 51 * S)), Marker("c", 0, (39 * S, None))])
    assert bands(chart, "band") == [(1, 40)]
    assert bands(chart, "doubt") == [(0, 1), (39, 40)]
    assert bands(chart, "edge") == [(1,), (39,)]
    assert names(chart).keys() == {"a", "c"}


def test_names_stand_beside_one_another_where_there_is_room_for_them_on_a_phone() -> None:
    (chart, *_) = drawn(DONE)
    assert names(chart) == {
        "slow-workers": (4, 0, "left"),
        "db-down": (12, 17, "left"),
        "pods × 3": (22, 34, "right"),
        "cut": (33, 0, "right"),
        "block </script><scr…": (40, 51, "right"),
    }


def test_five_names_at_the_same_time_are_too_many() -> None:
    (chart, *_) = drawn([Marker(f"action-{n}", 0, (4 * S, 4 * S), (9 * S, 9 * S)) for n in range(5)])
    assert [(name, lower) for name, (_, lower, _) in names(chart).items()] == [
        ("action-0", 0), ("action-1", 17), ("action-2", 34), ("action-3", 51),
    ]  # fmt: skip


def test_the_axis_of_a_chart_is_that_of_its_data() -> None:
    """Names stand at 0 to 1, on a scale of their own."""
    for chart, plain in zip(drawn(DONE), drawn([]), strict=True):
        own = chart.plot.renderers
        if isinstance(getattr(chart.plot.y_range, "renderers", None), list):
            assert len(chart.plot.y_range.renderers) < len(own)
            assert not any("name" in one.data_source.data for one in chart.plot.y_range.renderers)
        assert "names" not in plain.plot.extra_y_ranges
        assert len(plain.plot.renderers) == len(own) - 5


def test_words_and_numbers_of_each_chart_tell_it_too() -> None:
    for chart in drawn(DONE):
        assert "slow-workers was on from 0:04 to 0:09; db-down was on from 0:12 … 0:14 to 0:18 … 0:21" in chart.said
        assert chart.said.endswith("; and 4 more times something was done.")
        assert chart.columns[-1] == "actions"
        told = {row[0]: row[-1] for row in chart.rows}
        assert (told["0:00"], told["0:04"], told["0:12"], told["0:38"]) == (
            "", "slow-workers", "db-down", f"block {HOSTILE}",
        )  # fmt: skip
    assert all("actions" not in chart.columns for chart in drawn([]))


def test_without_an_action_there_is_no_word_of_it() -> None:
    page = render(*acted([]), [])
    assert 'id="actions"' not in page
    assert "blue-green" not in page


@pytest.fixture(scope="module")
def acted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("acted") / "report.html"
    path.write_text(render(*acted(DONE), []))
    return path


@pytest.mark.parametrize(("width", "dark"), looks(375, 1280))
def test_everybody_can_read_it_at_every_width_in_light_and_dark(
    width: int, dark: bool, chromium: Chromium, acted_path: Path
) -> None:
    async def look(page: Page) -> None:
        await show(page, acted_path.as_uri(), width=width, dark=dark)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await barriers(page) == []

    assert chromium.visit(look) == {acted_path.as_uri()}


def test_the_table_tells_all_and_leads_to_the_charts(chromium: Chromium, acted_path: Path) -> None:
    async def look(page: Page) -> None:
        rows = await page.locator("#actions tbody tr").evaluate_all(
            "all => all.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )
        assert [row[:3] + row[4:6] for row in rows] == [
            ["slow-workers", "0:04", "0:09", "5 s", ""],
            ["db-down", "0:12 … 0:14", "0:18 … 0:21", "4 … 9 s", ""],
            ["pods #1", "0:22", "at once", "", ""],
            ["pods #2", "0:24", "at once", "", ""],
            ["pods #3", "0:26", "at once", "", ""],
            ["cut", "0:30 … 0:31", "0:32 … 0:33", "3 s at most", f"failed it failed: exit code 1 {HOSTILE}"],
            [f"block {HOSTILE}", "0:35", "not undone", "", "failed it could not be undone: HTTP 500"],
        ]
        assert rows[0][3] == "2026-01-31 23:59:54.000"
        await page.locator("nav a[href='#actions']").press("Enter")
        button = page.get_by_role("button", name="Show db-down in the charts")
        await button.press("Enter")
        await expect(page.locator("#over-time-title")).to_be_focused()
        start, end = await page.evaluate(TIME)
        assert start <= 12_000 < 21_000 <= end < 40_000

    browse(chromium, acted_path, look)
