"""The HTML report in a real browser: complete in itself, readable by everybody, honest in its drawings."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from evload.formats.html.drawings import WIDTH, flow, gauging
from evload.formats.html.figures import Chart
from evload.formats.html.over_time import charts
from evload.formats.html.palette import contrast
from evload.formats.html.render import render
from evload.formats.html.window import Demand, demands, survival
from evload.model.facts import LEDGER_KEYS
from evload.model.report import ObjectiveResult, Report, Result, WorstEvent
from evload.model.summary import GaugeSummary, Summary
from evload.model.timeline import (
    EDGES_NS,
    PUBLISH_EDGES_NS,
    LatencyOverTime,
    ScenarioOverTime,
    Stage,
    Timeline,
    ValueOverTime,
)
from evload.model.vitals import Incident, Vitals
from tests.rigs.shares import looks
from tests.rigs.summaries import MS, S, distribution, run_of, scenario
from tests.rigs.worlds import insights_of, run
from tests.servers.browser import Chromium, barriers, drag, hover, show, until

HOSTILE: Final = "</script><script>document.title='broken'</script><!-- <b>&amp;"
TIME: Final = "(() => { const r = Bokeh.documents[0].get_model_by_name('time'); return [r.start, r.end]; })()"
MOST_BYTES: Final = 2_000_000


def worst(number: int) -> WorstEvent:
    return WorstEvent(
        f"3f2a9c1e-77aa-8b1c-8000-{number:012x}", f"00-{number:032x}-{number:016x}-01", "main", "placement-created",
        f"video-{number % 5}", "lost" if number % 3 else "visible",
        ((12.0, "due"), (12.001, "sent"), (12.004, "acked"), (24.0, "given up")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything: losses, a stall, an outage, replicas, phases, worst events, hostile texts."""
    directory = tmp_path_factory.mktemp("report")
    ended = run(
        directory,
        {
            "loss": "1%",
            "replicas": [{"name": "eu-1"}, {"name": "eu-2", "lag": "400ms"}],
            "faults": [{"what": "workers-down", "at": "15s", "lasting": "4s"}],
        },
        load=({"from": "0/s", "to": "60/s", "for": "5s"}, {"rate": "60/s", "for": "35s"}),
    )
    vitals = ended.report.summary.vitals
    vitals.incidents.append(Incident("memory", "the read model is down", 30 * S, 33 * S, 212))
    ended.timeline.stages = [Stage("main", 0, 5 * S, "ramp 0/s to 60/s"), Stage("main", 5 * S, 40 * S, "hold 60/s")]
    gauge = [float(n % 7) for n in range(ended.timeline.count)]
    ended.timeline.gauges[f"work {HOSTILE}", "queue_depth"] = ValueOverTime(
        [*gauge], [*gauge], [n + 1 for n in gauge]
    )
    objectives = [
        replace(o, worst=tuple(worst(n) for n in range(12))) if o.result is Result.FAIL else o
        for o in ended.report.objectives
    ]
    report = replace(ended.report, name=f"placements {HOSTILE}", objectives=objectives)
    path = directory / "report.html"
    path.write_text(render(report, ended.timeline, insights_of(report, ended.timeline), f"name: x\n# {HOSTILE}\n"))
    return path


def browse(chromium: Chromium, path: Path, what: Callable[[Page], Awaitable[None]]) -> None:
    """Do something with the report in a browser, and hold that it never complained nor asked for anything else."""

    async def visit(page: Page) -> None:
        await show(page, path.as_uri())
        await what(page)

    assert chromium.visit(visit) == {path.as_uri()}


@pytest.mark.parametrize(("width", "dark"), looks(375, 1280, 2560))
def test_everybody_can_read_it_at_every_width_in_light_and_dark(
    width: int, dark: bool, chromium: Chromium, page_path: Path
) -> None:
    async def look(page: Page) -> None:
        await show(page, page_path.as_uri(), width=width, dark=dark)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark" if dark else "light")
        await page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert await barriers(page) == []

    assert chromium.visit(look) == {page_path.as_uri()}


def test_charts_are_drawn_and_every_one_has_words_and_numbers(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        charts = await page.locator("figure").evaluate_all(
            "all => all.map(one => [one.querySelector('h3').textContent,"
            " one.querySelector('[role=img]').getAttribute('aria-label').length,"
            " one.querySelectorAll('tbody tr').length,"
            " one.querySelector('[role=img]').getBoundingClientRect().height])"
        )
        names = [
            "Survival curve",
            "Windows",
            "Publish",
            "Rates",
            "Backlog",
            "Replicas and probes",
            f"work {HOSTILE}: queue_depth",
        ]
        assert [name for name, *_ in charts] == names
        for name, words, rows, height in charts:
            assert words > 40, name
            assert 2 < rows <= 30, name
            assert height > 150, name
        # What is drawn is not one colour only: the canvas of each chart, inside the charts' own trees.
        drawn = await page.locator("canvas").evaluate_all(
            "all => all.map(one => { const { width, height } = one; const pen = one.getContext('2d');"
            " const data = pen.getImageData(0, 0, width, height).data;"
            " const seen = new Set(); for (let i = 0; i < data.length; i += 44)"
            " seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); return seen.size; })"
        )
        assert len([colours for colours in drawn if colours > 5]) >= len(names)

    browse(chromium, page_path, look)


def test_the_keyboard_reaches_everything(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        await page.locator("#main").blur()
        reached = []
        for _ in range(80):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
        for wanted in ("Zoom in", "Show all", "All counts", "Rates in numbers"):
            assert wanted in reached, reached
        before = await page.evaluate(TIME)
        await page.locator("[data-range=time][data-step=in]").press("Enter")
        after = await page.evaluate(TIME)
        assert after[1] - after[0] == pytest.approx((before[1] - before[0]) / 2)
        await page.locator("[data-range=time][data-step=right]").press("Enter")
        moved = await page.evaluate(TIME)
        assert moved[0] > after[0]
        assert moved[1] <= before[1]
        await page.locator("[data-range=time][data-step=all]").press("Enter")
        assert await page.evaluate(TIME) == before

    browse(chromium, page_path, look)


def test_a_report_weighs_little_although_it_is_complete(page_path: Path) -> None:
    assert page_path.stat().st_size < 1_000_000


def test_a_browser_that_can_draw_no_charts_says_so_and_shows_the_rest(chromium: Chromium, page_path: Path) -> None:
    ident = re.findall(r'<li id="(event-[^"]+)"', page_path.read_text())[-1]

    async def visit(page: Page) -> None:
        await page.add_init_script("delete window.DecompressionStream")
        await show(page, f"{page_path.as_uri()}#{ident}")
        notes = page.locator("figure .note", has_text="Charts need a browser from 2023 or later.")
        assert await notes.count() == await page.locator("figure").count()
        await expect(notes.first).to_contain_text("This chart can't be drawn: DecompressionStream is not defined.")
        await expect(page.locator(f"#{ident} details")).to_have_attribute("open", "")

    chromium.visit(visit)


def test_dragging_zooms_all_charts_and_hovering_tells_figures(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        rates = page.locator("figure[aria-labelledby=rates-title] .plot")
        whole = await page.evaluate(TIME)
        await drag(rates, 0.4, 0.6, f"{TIME}[0] > 0")
        zoomed = await page.evaluate(TIME)
        assert zoomed[1] - zoomed[0] < (whole[1] - whole[0]) / 3
        shared = await page.evaluate(
            "new Set([...Bokeh.documents[0]._all_models.values()].filter(m => m.type === 'Figure'"
            " && m.x_range.name === 'time').map(m => m.x_range.id)).size"
        )
        assert shared == 1
        tips = page.locator(".bk-tooltip-content")
        await hover(rates, 0.5)
        await expect(tips.filter(has_text="acked").first).to_be_visible()
        await hover(page.locator("figure[aria-labelledby=window-title] .plot"), 0.6)
        await expect(tips.filter(has_text="not yet visible").first).to_be_visible()

    browse(chromium, page_path, look)


def test_a_finding_leads_to_its_time_in_the_charts(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        button = page.locator("button[data-from]").first
        first = await button.evaluate("one => [Number(one.dataset.from), Number(one.dataset.to)]")
        await button.click()
        await expect(page.locator("#over-time-title")).to_be_focused()
        start, end = await page.evaluate(TIME)
        assert start <= first[0] < first[1] <= end

    browse(chromium, page_path, look)


def test_worst_events_are_searched(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        shown = page.locator(".worst > li:not([hidden])")
        await expect(shown).to_have_count(12)
        await page.locator("#search").press_sequentially("LOST video-1")
        await expect(shown).to_have_count(2)
        await expect(page.locator("#found")).to_have_text("2 of 12 events")

    browse(chromium, page_path, look)


def test_the_legend_hides_and_shows_a_line(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        visible = "Bokeh.documents[0].get_model_by_name('rates').renderers.filter(one => one.visible).length"
        before = await page.evaluate(visible)
        entry = page.locator("[data-chart=rates][data-series=sent]")
        await entry.press("Enter")
        await expect(entry).to_have_attribute("aria-pressed", "false")
        assert await page.evaluate(visible) == before - 1
        await entry.press("Enter")
        await expect(entry).to_have_attribute("aria-pressed", "true")
        assert await page.evaluate(visible) == before

    browse(chromium, page_path, look)


def test_the_curve_is_zoomed_by_its_buttons_and_its_legend_hides_a_curve(chromium: Chromium, page_path: Path) -> None:
    seconds = "(() => { const r = Bokeh.documents[0].get_model_by_name('seconds'); return [r.start, r.end]; })()"

    async def look(page: Page) -> None:
        before = await page.evaluate(seconds)
        await page.locator("[data-range=seconds][data-step=in]").click()
        after = await page.evaluate(seconds)
        assert before[0] < after[0] < after[1] < before[1]
        await page.locator("[data-range=seconds][data-step=all]").click()
        assert await page.evaluate(seconds) == pytest.approx(before)
        visible = "Bokeh.documents[0].get_model_by_name('window').renderers.filter(one => one.visible).length"
        whole = await page.evaluate(visible)
        await page.locator("[data-chart=window][data-series=consistency]").click()
        assert await page.evaluate(visible) == whole - 3

    browse(chromium, page_path, look)


def test_the_theme_changes_page_and_charts(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        background = (
            "[...Bokeh.documents[0]._all_models.values()].find(m => m.type === 'Figure').background_fill_color"
        )
        toggle = page.locator("#theme")
        light = await page.evaluate(background)
        await toggle.click()
        await expect(toggle).to_have_attribute("aria-label", "Switch to the light theme")
        assert (light, await page.evaluate(background)) == ("#ffffff", "#181c21")

    browse(chromium, page_path, look)


def test_charts_of_a_dark_page_have_no_light_edges(chromium: Chromium, page_path: Path) -> None:
    brightest = (
        "all => all.map(one => { const { data } = one.getContext('2d').getImageData(0, 0, one.width, 1);"
        " let most = 0; for (let i = 0; i < data.length; i += 4)"
        " most = Math.max(most, data[i] * data[i + 3] / 255); return most; })"
    )

    async def look(page: Page) -> None:
        await show(page, page_path.as_uri(), dark=True)
        assert max(await page.locator("canvas").evaluate_all(brightest)) <= 0x18 + 2

    assert chromium.visit(look) == {page_path.as_uri()}


def test_it_prints_light_with_a_picture_of_each_chart(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        await show(page, page_path.as_uri(), dark=True)
        await page.evaluate("addEventListener('beforeprint', () => { window.printed = [...document.querySelectorAll("
                            "'.plot > .printed')].map(one => one.src); window.light ="
                            " document.documentElement.dataset.theme; })")  # fmt: skip
        assert (await page.pdf()).startswith(b"%PDF")
        assert await page.evaluate("light") == "light"
        assert await page.evaluate("printed.length === document.querySelectorAll('.plot').length")
        corner = await page.evaluate(
            "async () => { const picture = new Image(); picture.src = printed[0]; await picture.decode();"
            " const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = [9, 9];"
            " const pen = canvas.getContext('2d'); pen.drawImage(picture, 0, 0);"
            " return [...pen.getImageData(1, 1, 1, 1).data]; }"
        )
        assert corner == [255, 255, 255, 255]
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.locator(".printed")).to_have_count(0)

    assert chromium.visit(look) == {page_path.as_uri()}


def test_texts_of_a_run_stay_texts(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        assert await page.locator("h1").text_content() == f"placements {HOSTILE}"
        assert HOSTILE in (await page.locator("pre").text_content() or "")
        assert await page.title() != "broken"

    browse(chromium, page_path, look)


# -- several scenarios, many replicas, names of every kind -------------------------------------------

NAMES: Final = ("eu==2", "a=b=c=d", "series:eu", "heat", "time", "colour", "line_color=bad=plain", HOSTILE)
"""Of replicas: whatever a page's script could take for something else."""
TIMES: Final = ("latency", "publish")
"""What of a scenario over time are no counts."""


def over_time(count: int, offered: int, latency: LatencyOverTime) -> ScenarioOverTime:
    """A scenario in which the same happens all the time."""
    counts = {name: [offered] * count for name in ("offered", "sent", "acked", "visible", "followed")}
    rest = [name for name in ScenarioOverTime.__dataclass_fields__ if name not in (*TIMES, *counts)]
    publish = replace(steady(count, 60), edges_ns=PUBLISH_EDGES_NS)
    return ScenarioOverTime(**counts, **{name: [0] * count for name in rest}, latency=latency, publish=publish)


def steady(count: int, bucket: int) -> LatencyOverTime:
    """Windows that all lie in one bucket."""
    return LatencyOverTime([{bucket: 5}] * count, [{bucket: 5}] * count, [0] * count)


def two_scenarios() -> tuple[Report, Timeline]:
    """A run of two, with replicas of every name, and a queue that was looked at in every fourth interval."""
    count = 40
    depth = [float(n) if n % 4 == 0 else None for n in range(count)]
    timeline = Timeline(
        S, count,
        {"calm": over_time(count, 5, steady(count, 40)), "wild & loud": over_time(count, 50, steady(count, 60))},
        gauges={("work", "queue_depth"): ValueOverTime([*depth], [*depth], [*depth])},
        parts={("calm", "r", name): steady(count, 30 + number) for number, name in enumerate(NAMES)}
        | {("wild & loud", "r", name): steady(count, 50 + number) for number, name in enumerate(NAMES)},
        stages=[Stage("calm", 0, 10 * S, "hold 5/s"), Stage("wild & loud", 10 * S, 40 * S, "hold 50/s")],
        began_at=datetime(2026, 1, 31, 23, 59, 50, tzinfo=UTC),
    )  # fmt: skip
    windows = {"calm": (80 * MS, 90 * MS), "wild & loud": (300 * MS, 310 * MS)}
    summary = Summary(
        {name: scenario({"consistency": distribution([one] * 50)}, visible=50) for name, one in windows.items()},
        Vitals(),
    )
    events = [replace(worst(n), scenario=list(timeline.scenarios)[n % 2]) for n in range(6)]
    objectives = [
        objective("p99(consistency) < 1s", 2, 2, 1, subject="consistency", result=Result.FAIL, worst=tuple(events)),
        objective("lost == 0", 1, 1, 0, scenario="calm"),
        objective("lost == 0", 1, 1, 0, scenario="wild & loud"),
    ]  # fmt: skip
    return report_of(summary, *objectives), timeline


@pytest.fixture(scope="module")
def two_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of it."""
    path = tmp_path_factory.mktemp("two") / "report.html"
    path.write_text(render(*two_scenarios(), []))
    return path


SHOWN: Final = "all => all.filter(one => one.checkVisibility()).map(one => one.querySelector('h3').textContent)"
ROWS: Final = "all => all.filter(one => one.checkVisibility()).map(one => one.innerText)"


def test_names_of_every_kind_are_but_names(chromium: Chromium, two_path: Path) -> None:
    async def look(page: Page) -> None:
        labels = await page.locator("[data-chart=replicas]").evaluate_all("all => all.map(one => one.dataset.series)")
        assert labels == [f"r {name} ({scenario})" for scenario in ("calm", "wild & loud") for name in NAMES]
        line = "Bokeh.documents[0].get_model_by_name('replicas').renderers[{}]"
        colours = [await page.evaluate(f"{line.format(n)}.glyph.line_color.value") for n in range(len(labels))]
        assert len(set(colours)) == len(labels)
        entry = page.locator("[data-chart=replicas]").first
        await entry.press("Enter")
        hidden = [not await page.evaluate(f"{line.format(n)}.visible") for n in range(len(labels))]
        assert hidden == [True, *[False] * (len(labels) - 1)]
        await page.locator("#theme").click()
        dark = [await page.evaluate(f"{line.format(n)}.glyph.line_color.value") for n in range(len(labels))]
        assert len(set(dark)) == len(labels)
        assert all(contrast(colour, "#181c21") >= 3 for colour in dark)
        assert all(contrast(colour, "#ffffff") >= 3 for colour in colours)

    browse(chromium, two_path, look)


def test_a_scenario_alone_or_all_of_them(chromium: Chromium, two_path: Path) -> None:
    async def look(page: Page) -> None:
        figures, rows, events = (
            page.locator("figure"),
            page.locator("#objectives tbody tr"),
            page.locator(".worst > li"),
        )
        metrics, flows = page.locator("#hops tbody tr"), page.locator(".flow")
        whole = [
            "Survival curve",
            "Windows",
            "Publish",
            "Rates",
            "Backlog",
            "Replicas and probes",
            "work: queue_depth",
        ]
        assert await figures.evaluate_all(SHOWN) == whole
        assert len(await rows.evaluate_all(ROWS)) == 3
        assert (await flows.evaluate_all(ROWS))[0].split()[:2] == ["100", "scheduled"]
        await page.locator("#scenario").select_option("wild & loud")
        own = ["Survival curve", "Windows", "Publish", "Rates", "Backlog", "Replicas and probes"]
        assert await figures.evaluate_all(SHOWN) == [f"{name} of wild & loud" for name in own]
        assert [" [calm]" in row for row in await rows.evaluate_all(ROWS)] == [False, False]
        assert [("310 ms" in row, "90 ms" in row) for row in await metrics.evaluate_all(ROWS)] == [(True, False)]
        assert (await flows.evaluate_all(ROWS))[0].split()[:2] == ["50", "scheduled"]
        assert len(await events.evaluate_all(ROWS)) == 3
        await expect(page.locator("#found")).to_have_text("3 of 6 events")
        drawn = page.locator("figure[aria-labelledby=rates-1-title] .plot")
        await until(page, "Bokeh.documents[0].get_model_by_name('rates-1').inner_width > 500")
        await hover(drawn, 0.5)
        await expect(page.locator(".bk-tooltip-content").filter(has_text="50/s").first).to_be_visible()
        await page.locator("#search").press_sequentially("video-1")
        await expect(page.locator("#found")).to_have_text("1 of 6 events")
        await page.locator("#scenario").select_option("all")
        assert await figures.evaluate_all(SHOWN) == whole
        await show(page, two_path.as_uri(), width=375)
        await page.locator("#scenario").select_option("calm")
        assert [" [wild" in row for row in await rows.evaluate_all(ROWS)] == [False, False]

    browse(chromium, two_path, look)


def test_a_run_of_one_scenario_has_nothing_to_choose(page_path: Path) -> None:
    assert 'id="scenario"' not in page_path.read_text().split("<script")[0]


def test_times_are_told_by_the_clock_of_the_world_too(chromium: Chromium, two_path: Path) -> None:
    written = (
        "(() => { const axis = [...Bokeh.documents[0]._all_models.values()].find(one =>"
        " one.type === 'DatetimeTickFormatter'); return axis.doFormat([0, 5000, 10000], { loc: 0 }); })()"
    )

    async def look(page: Page) -> None:
        assert await page.evaluate(written) == ["00:00", "00:05", "00:10"]
        await page.locator("#utc").click()
        await expect(page.locator("#since")).to_have_text("Times of day in UTC")
        assert await page.evaluate(written) == ["23:59:50", "23:59:55", "00:00:00"]
        await page.locator("#utc").click()
        assert await page.evaluate(written) == ["00:00", "00:05", "00:10"]
        await hover(page.locator("figure[aria-labelledby=rates-title] .plot"), 0.6)
        await expect(page.locator(".bk-tooltip-content").filter(has_text="2026-02-01 00:00:").first).to_be_visible()
        numbers = page.locator("figure[aria-labelledby=rates-title] table")
        assert (await numbers.locator("th[scope=col]").all_text_contents())[:2] == ["time", "UTC"]
        assert "23:59:50" in (await numbers.locator("tbody tr").first.text_content() or "")
        steps = page.locator(".worst li ol li").first
        assert (await steps.text_content() or "").split(" s")[1].startswith("2026-02-01 00:00:02.000")

    browse(chromium, two_path, look)


def test_a_run_of_which_nobody_knows_when_it_began_has_no_times_of_day() -> None:
    report, timeline = two_scenarios()
    timeline.began_at = None
    text = render(report, timeline, []).split("<script")[0]
    assert ("UTC" in text.split("</header>")[1], 'id="utc"' in text) == (False, False)


def test_each_event_has_an_address(chromium: Chromium, two_path: Path) -> None:
    event = worst(3).correlation_id
    address = f"{two_path.as_uri()}#event-{event}"

    async def look(page: Page) -> None:
        await show(page, address)
        opened = page.locator(".worst > li:has(details[open])")
        await expect(opened).to_have_count(1)
        await expect(opened).to_contain_text(event)
        await expect(opened).to_be_in_viewport()
        other = page.locator(".worst > li").first
        await page.locator("#scenario").select_option("wild & loud")
        await expect(other).to_be_hidden()
        await page.locator("#objectives a").first.click()
        await expect(other.locator("details")).to_have_attribute("open", "")
        await expect(other).to_be_in_viewport()

    assert chromium.visit(look) == {two_path.as_uri()}


@pytest.mark.parametrize("which", ["page_path", "two_path"])
def test_every_figure_is_seen_on_a_telephone(which: str, chromium: Chromium, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(which)
    cut = (
        "all => all.filter(one => one.innerText.trim() && one.checkVisibility()).filter(one => {"
        " const { left, right } = one.getBoundingClientRect(); return left < 0 || right > innerWidth; })"
        ".map(one => one.innerText)"
    )
    across = (
        "all => { const boxes = all.map(one => one.getBoundingClientRect());"
        " return boxes.some((a, i) => boxes.some((b, j) => i < j && a.left < b.right && b.left < a.right"
        " && a.top < b.bottom && b.top < a.bottom)); }"
    )

    async def look(page: Page) -> None:
        await show(page, path.as_uri(), width=375)
        await page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert await page.locator("main td, main th, main dd, .facts dd").evaluate_all(cut) == []
        assert await page.locator(".flow li").evaluate_all(across) is False

    assert chromium.visit(look) == {path.as_uri()}


def test_no_column_is_hidden_in_an_ordinary_window(chromium: Chromium, page_path: Path) -> None:
    hidden = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)"

    async def look(page: Page) -> None:
        await show(page, page_path.as_uri(), width=1280)
        assert await page.locator(".scroll").evaluate_all(hidden) == []

    browse(chromium, page_path, look)


def test_the_legend_has_the_mark_of_the_chart(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        mark = page.locator("[data-chart=window] .mark").last
        assert (await mark.get_attribute("class") or "").split() == ["mark", "triangle"]
        drawn = "Bokeh.documents[0].get_model_by_name('window').renderers.map(one => one.glyph.marker?.value)"
        assert "inverted_triangle" in await page.evaluate(drawn)
        # A triangle that stands on its tip: wide at the top, nothing at the lower corners.
        picture = await mark.evaluate("one => { const { clipPath } = getComputedStyle(one); return clipPath; }")
        assert picture.startswith("polygon(0px 0px, 100% 0px, 50% 100%")

    browse(chromium, page_path, look)


def test_all_figures_are_in_the_page_without_its_script(page_path: Path) -> None:
    text = page_path.read_text().split("<script")[0]
    for told in (
        "lost == 0", "ledger closes", "Findings",
        "30 of 2,250 acked events were never seen (1.333 %), spread over the whole run.",
        "Publishing to memory failed between 0:30 and 0:33, 212 in all: the read model is down.", "publish outage",
        "Nothing became visible from 0:16.4 to 0:19.6 (3.2 s), while 269 events waited; usually it is 45.",
        "Replica eu-2 of memory lags behind: the median until it shows an effect is 447 ms … 794 ms, on the others",
    ):  # fmt: skip
        assert told in text, told


# -- what doesn't need a browser ---------------------------------------------------------------------


def lines_in(chart: Chart, label: str) -> list[tuple[list[float], list[float]]]:
    """The points of what belongs to an entry of a chart's legend: of a line, and of single points."""
    return [
        (list(one.data_source.data[one.glyph.x]), list(one.data_source.data[one.glyph.y]))
        for one in chart.plot.renderers
        if ["series", label] in one.tags
    ]


def backlog_of(depth: Sequence[float | None]) -> Chart:
    count = len(depth)
    latency = steady(count, 40)
    values = ValueOverTime([*depth], [*depth], [*depth])
    timeline = Timeline(S, count, {"main": over_time(count, 5, latency)}, gauges={("q", "queue_depth"): values})
    (chart,) = (one for one in charts(report_of(run_of(scenario())), timeline, []) if one.name == "backlog")
    return chart


NAN: Final = float("nan")


@pytest.mark.parametrize(
    ("depth", "drawn"),
    [
        ([1, 2, 3, 4], [[1, 2, 3, 4]]),
        ([1, None, 3, None, 5, None], [[1, 3, 5]]),
        ([1, None, None, 4, None, 6, None, None, 9], [[1, 4, 6, 9]]),
        ([1, 2, 3, None, None, None, 7, 8, 9], [[1, 2, 3, NAN, 7, 8, 9]]),
        ([1, 2, 3, None, None, None, None, 8], [[1, 2, 3, NAN, 8], [8]]),
        ([None, None, 3, None, None], [[3], [3]]),
        ([None, None, None], [[]]),
    ],
    ids=["in each", "in every second", "now and then", "an outage", "one after an outage", "one", "none"],
)
def test_the_depth_of_a_queue_is_a_line_however_often_it_was_looked_at(
    depth: list[float | None], drawn: list[list[float]]
) -> None:
    """Where the line has a gap, a point that stands alone is one."""
    chart = backlog_of(depth)
    found = lines_in(chart, "depth of q")
    assert [heights for _, heights in found] == [pytest.approx(one, nan_ok=True) for one in drawn]
    at = [when for when, height in zip(*found[0], strict=True) if height == height]
    assert at == [1000.0 * n for n, value in enumerate(depth) if value is not None]
    known = [value for value in depth if value is not None]
    assert ("depth of q: " in chart.said) is bool(known)
    assert "nan" not in chart.said
    assert "nan" not in str(chart.rows)


def limit_of(*objectives: ObjectiveResult) -> dict[str, str | None]:
    """At which height of the windows each limit is drawn, as what the axis says there; None: between two labels."""
    timeline = Timeline(S, 3, {"main": over_time(3, 5, steady(3, 40))})
    chart = next(
        one for one in charts(report_of(run_of(scenario()), *objectives), timeline, []) if one.name == "windows"
    )
    labels = {round(place, 6): text for place, text in chart.plot.yaxis[0].major_label_overrides.items()}
    found: dict[str, Any] = {}
    for entry in chart.legend:
        if entry.label.startswith("limit: "):
            ((_, heights),) = lines_in(chart, entry.label)
            assert heights[0] == heights[-1]
            assert 0 <= heights[0] <= chart.plot.y_range.end
            found[entry.label.removeprefix("limit: ")] = labels.get(round(heights[0], 6))
    return found


@pytest.mark.parametrize(
    ("expression", "limit", "told"),
    [
        ("p99(consistency) < 1s", 1.0, "1 s"),
        ("p95(consistency) <= 300ms", 0.3, "300 ms"),
        ("share(consistency < 3s) >= 95%", 0.95, "3 s"),
        ("p99(consistency) < 100ms in any 10s", 0.01, "100 ms"),
        ("p99(consistency) < ${LIMIT}", 10.0, "10 s"),
        ("p50(consistency) < 2s", 2.0, None),
        ("max(consistency) < 5m", 300.0, "5 min"),
    ],
)
def test_what_is_asked_of_the_window_is_a_line_where_it_holds(
    expression: str, limit: float, told: str | None
) -> None:
    assert limit_of(objective(expression, 1, 1, limit, subject="consistency")) == {expression: told}


def test_of_several_limits_each_is_drawn_once() -> None:
    asked = [
        objective("p99(consistency) < 1s", 1, 1, 1.0, subject="consistency"),
        objective("share(consistency < 1s) >= 95%", 1, 1, 0.95, subject="consistency"),
        objective("p99(consistency) < 3s", 1, 1, 3.0, subject="consistency", scope="replica=a"),
        objective("p99(end_to_end) < 10s", 1, 1, 10.0, subject="end_to_end"),
        objective("share(consistency < ${LIMIT}) >= 95%", 1, 1, 0.95, subject="consistency"),
        objective("lost == 0", 0, 0, 0),
    ]
    assert limit_of(*asked) == {
        "p99(consistency) < 1s, share(consistency < 1s) >= 95%": "1 s", "p99(consistency) < 3s [replica=a]": "3 s",
    }  # fmt: skip


def test_there_are_as_many_colours_as_lines() -> None:
    count = 40
    parts = {("main", "r", f"replica-{n}"): steady(3, 30) for n in range(count)}
    timeline = Timeline(S, 3, {"main": over_time(3, 5, steady(3, 40))}, parts=parts)
    (chart,) = (one for one in charts(report_of(run_of(scenario())), timeline, []) if one.name == "replicas")
    names = [entry.colour for entry in chart.legend]
    assert len(set(names)) == count
    text = render(report_of(run_of(scenario())), timeline, [])
    further_ones = re.findall(r"--(line\d+): (#[0-9a-f]{6});", text)
    light, dark = further_ones[: len(further_ones) // 2], further_ones[len(further_ones) // 2 :]
    assert {name for name, _ in light} == {name for name, _ in dark} == {name for name in names if "line" in name}
    for colours, surface in ((light, "#ffffff"), (dark, "#181c21")):
        assert len({colour for _, colour in colours}) == count - 6
        assert all(contrast(colour, surface) >= 3 for _, colour in colours)


def report_of(summary: Summary, *objectives: ObjectiveResult, verdict: Result = Result.PASS) -> Report:
    return Report("r1", "a run", datetime(2026, 1, 2, tzinfo=UTC), verdict, summary, objectives, ())


def objective(expression: str, low: float | None, high: float | None, limit: float, **more: Any) -> ObjectiveResult:
    return ObjectiveResult(expression, more.pop("result", Result.PASS), (low, high), limit, **more)


def test_a_run_without_an_event_has_a_report() -> None:
    empty = LatencyOverTime([{}], [{}], [0])
    names = [name for name in ScenarioOverTime.__dataclass_fields__ if name not in TIMES]
    fields: dict[str, Any] = {name: [0] for name in names} | dict.fromkeys(TIMES, empty)
    told = ScenarioOverTime(**fields)
    timeline = Timeline(S, 1, {"main": told})
    text = render(report_of(run_of(scenario())), timeline, [])
    assert "Nothing stands out" in text
    assert "No event has a time" in text
    assert "Survival curve" not in text


@pytest.mark.parametrize(
    ("step_ns", "offered", "told"),
    [
        (100 * MS, [1, 2, *[0] * 9, 60, *[0] * 9], "up to 60 in a second"),
        (100 * MS, [4] * 30, "up to 40 in a second"),
        (S, [5, 7, 5], "up to 7 in a second"),
        (10 * S, [500, 70], "up to 50 in a second"),
        (S, [0], "up to 0 in a second"),
    ],
)
def test_the_busiest_second_is_told(step_ns: int, offered: list[int], told: str) -> None:
    count = len(offered)
    one = replace(over_time(count, 0, steady(count, 40)), offered=offered)
    assert told in render(report_of(run_of(scenario())), Timeline(step_ns, count, {"main": one}), [])


def test_answers_to_publishes_are_drawn_over_time_with_what_is_asked_of_them() -> None:
    report, timeline = two_scenarios()
    timeline.scenarios["calm"].publish.never[8] = 1
    asked = [objective("p99(publish) < 300ms", 0.1, 0.1, 0.3, subject="publish", scenario="calm"),
             objective("span(publish) < 5s", 0.1, 0.1, 5, subject="publish", scenario="calm"),
             objective("p99(consistency) < 1s", 0.1, 0.1, 1, subject="consistency")]  # fmt: skip
    drawn = {chart.name: chart for chart in charts(replace(report, objectives=asked), timeline, [])}
    assert [name for name in drawn if name.startswith("publish")] == ["publish", "publish-0", "publish-1"]
    calm, wild = drawn["publish-0"], drawn["publish-1"]
    # Bucket 60 begins at 10 µs times ten to the power of 59/20.
    assert "p99 lies in 8.91 ms … 10 ms; 1 events were never answered" in calm.said
    assert calm.said.endswith("Limits: p99(publish) < 300ms [calm].")
    assert [entry.label for entry in calm.legend] == [
        "p50 at most",
        "p99 at most",
        "limit: p99(publish) < 300ms [calm]",
    ]
    assert [entry.label for entry in wild.legend] == ["p50 at most", "p99 at most"]
    assert calm.columns[-4:] == ["p50", "p95", "p99", "never answered"]
    assert [number for number, row in enumerate(calm.rows) if row[-1] != "0"] == [4]  # of every second interval
    assert "never" in calm.plot.yaxis[0].major_label_overrides.values()
    assert "never" not in wild.plot.yaxis[0].major_label_overrides.values()


def full_timeline(count: int, parts: int, gauges: int) -> Timeline:
    buckets = {bucket: 100_000 + bucket for bucket in range(20, len(EDGES_NS))}
    latency = LatencyOverTime([buckets] * count, [buckets] * count, [12345] * count)
    names = [name for name in ScenarioOverTime.__dataclass_fields__ if name not in TIMES]
    noisy = [123_456 + 7919 * n % 1000 for n in range(count)]
    over_time = ScenarioOverTime(**dict.fromkeys(names, noisy), latency=latency, publish=latency)
    values: list[float | None] = [n / 7 for n in noisy]
    return Timeline(
        120 * S, count, {"main": over_time},
        gauges={(f"gauge {n}", "queue_depth"): ValueOverTime(values, values, values) for n in range(gauges)},
        parts={("main", "items", f"replica-{n}"): latency for n in range(parts)},
        stages=[Stage("main", n * 60 * S, (n + 1) * 60 * S, "hold 500/s") for n in range(100)],
    )  # fmt: skip


def test_the_largest_report_is_below_two_megabytes() -> None:
    windows = distribution([(n * 1001, n * 1007) for n in range(1, 20_000)], S)
    summary = run_of(scenario({"consistency": windows, "end_to_end": windows}, visible=20_000), vitals=Vitals(
        incidents=[Incident("items", f"reason {n}", n * S, n * S + S, 9) for n in range(200)],
        errors={f"reason {n} " + "x" * 100: n for n in range(200)},
    ))  # fmt: skip
    bad = [objective(f"p9{n}(consistency) < 2s", 1.0, 2.0, 2.0, worst=tuple(worst(10 * n + i) for i in range(10)))
           for n in range(9)]  # fmt: skip
    text = render(report_of(summary, *bad), full_timeline(240, 6, 12), [], "key: value\n" * 500)
    assert len(text.encode()) < MOST_BYTES


@pytest.mark.parametrize(
    ("expression", "observed", "limit", "inside", "open_end"),
    [
        ("p99(consistency) < 2s", (0.5, 0.6), 2.0, True, False),
        ("p99(consistency) < 2s", (1.5, None), 2.0, False, True),
        ("p99(consistency) < 2s", (2.5, 2.6), 2.0, False, False),
        ("share(consistency < 2s) >= 95%", (0.97, 0.99), 0.95, True, False),
        ("share(consistency < 2s) >= 95%", (0.5, 0.6), 0.95, False, False),
        ("throughput(acked) >= 500/s", (600.0, 600.0), 500.0, True, False),
        ("lost == 0", (3.0, 3.0), 0.0, False, False),
    ],
)
def test_a_bracket_lies_where_its_objective_holds(
    expression: str, observed: tuple[float, float | None], limit: float, inside: bool, open_end: bool
) -> None:
    drawn = gauging(objective(expression, *observed, limit))
    assert drawn is not None
    assert 0 <= drawn.low < drawn.high <= WIDTH
    assert 0 <= drawn.shaded[0] <= drawn.shaded[1] <= WIDTH
    assert (drawn.shaded[0] <= drawn.low and drawn.high <= drawn.shaded[1]) is inside
    assert drawn.open_end is open_end


def test_no_data_has_no_drawing() -> None:
    assert gauging(objective("p99(consistency) < 2s", None, None, 2.0)) is None


def ledger(**counts: int) -> dict[str, int]:
    return dict.fromkeys(LEDGER_KEYS, 0) | counts


def test_the_flow_shows_every_state_that_has_events_and_is_as_thick_as_they_are() -> None:
    drawn = flow(ledger(scheduled=100, acked=90, rejected=9, in_doubt=1, visible=60, lost=30))
    assert {node.name for node in drawn.nodes} == {"scheduled", "acked", "rejected", "in_doubt", "visible", "lost"}
    sizes = {node.name: node.size for node in drawn.nodes}
    assert sizes["scheduled"] == 100
    assert sizes["lost"] == 30
    assert sizes["in_doubt"] == 1
    for column in (0, 1, 2):
        nodes = [node for node in drawn.nodes if node.column == column]
        assert sum(node.slot for node in nodes) <= 100.1
        assert all(low.top + low.size <= high.top for low, high in pairwise(nodes))
    assert len(drawn.ribbons) == 5


@pytest.mark.parametrize(
    ("state", "tone"), [("visible", "good"), ("unobserved", "plain"), ("lost", "poor"), ("regressed", "poor")]
)
def test_only_what_speaks_against_the_system_is_shown_as_poor(state: str, tone: str) -> None:
    drawn = flow(ledger(scheduled=10, acked=10, **{state: 10}))
    assert [node.tone for node in drawn.nodes] == ["good", "good", tone]
    assert [ribbon.tone for ribbon in drawn.ribbons] == ["good", tone]


def test_nothing_scheduled_flows_nowhere() -> None:
    assert flow(ledger()).nodes == ()


def test_objectives_about_a_share_of_the_events_are_points_in_the_curve() -> None:
    given = [
        objective("p99(end_to_end) < 5s", 1, 1, 5),
        objective("share(consistency < 250ms) >= 95%", 1, 1, 0.95),
        objective("p95(consistency) < 1s", 1, 1, 1, scope="replica=a"),
        objective("lost == 0", 0, 0, 0),
    ]
    found = list(demands(given))
    assert [(d.metric, d.limit_ns, round(d.share, 9)) for d in found] == [
        ("end_to_end", 5 * S, 0.01), ("consistency", 250 * MS, 0.05),
    ]  # fmt: skip
    assert isinstance(found[0], Demand)


def test_a_limit_that_came_from_the_environment_is_drawn_where_it_is_known() -> None:
    """Its name stands in its place; the limit of a percentile is part of the result, the time of a share isn't."""
    given = [
        objective("p95(consistency) < ${LIMIT}", 1, 1, 2.5),
        objective("share(consistency < ${LIMIT}) >= 95%", 1, 1, 0.95),
        objective("share(consistency < 2s) >= ${SHARE}", 1, 1, 0.95),
    ]
    assert [(d.limit_ns, round(d.share, 9), d.expression) for d in demands(given)] == [
        (2_500 * MS, 0.05, "p95(consistency) < ${LIMIT}")
    ]


def test_the_survival_curve_says_what_the_histograms_say() -> None:
    brackets: list[tuple[int, int | None]] = (
        [(80 * MS, 90 * MS)] * 90 + [(900 * MS, 1100 * MS)] * 8 + [(S * 9, None)] * 2
    )
    chart = survival(report_of(run_of(scenario({"consistency": distribution(brackets)}, visible=98, lost=2))))
    assert chart is not None
    table = {row[0]: row[1] for row in chart.rows}
    assert table["50 ms"] == "100 %"
    assert table["100 ms"] == "10 %"
    assert table["1 s"] == "2 … 10 %" or table["1 s"] == "2 % … 10 %"
    assert "98 of 100 events were seen" in chart.said


@pytest.mark.parametrize("expression", ["p99(consistency) < 1s", "p99.9(consistency) < 1s", "p100(consistency) < 1s"])
def test_what_the_curve_has_to_stay_below_lies_inside_the_frame(expression: str) -> None:
    summary = run_of(scenario({"consistency": distribution([(80 * MS, 90 * MS)] * 50)}, visible=50))
    chart = survival(report_of(summary, objective(expression, 0.09, 0.09, 1)))
    assert chart is not None
    (triangles,) = lines_in(chart, "objective: stay below")
    assert triangles[0] == [1.0]
    assert triangles[1][0] > 1.2 * chart.plot.y_range.start


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Charts leave nothing behind in Bokeh's current document."""
    yield
    from bokeh.io import curdoc

    assert not curdoc().roots


def test_gauges_that_failed_are_no_chart() -> None:
    timeline = full_timeline(3, 0, 0)
    timeline.gauges["broken", "x"] = ValueOverTime([None] * 3, [None] * 3, [None] * 3)
    summary = run_of(scenario(visible=1))
    summary.gauges["broken"] = GaugeSummary(failed=3)
    assert "broken: x" not in render(report_of(summary), timeline, [])
