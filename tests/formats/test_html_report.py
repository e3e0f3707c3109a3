"""The HTML report in a real browser: complete in itself, readable by everybody, honest in its drawings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from evload.formats.html.drawings import WIDTH, flow, gauging
from evload.formats.html.render import render
from evload.formats.html.window import Demand, demands, survival
from evload.model.facts import LEDGER_KEYS
from evload.model.report import ObjectiveResult, Report, Result, WorstEvent
from evload.model.summary import GaugeSummary, Summary
from evload.model.timeline import EDGES_NS, LatencyOverTime, ScenarioOverTime, Stage, Timeline, ValueOverTime
from evload.model.vitals import Incident, Vitals
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


def test_everybody_can_read_it_at_every_width_in_light_and_dark(
    chromium: Chromium, page_path: Path, tmp_path: Path
) -> None:
    async def look(page: Page) -> None:
        for width in (375, 1280, 2560):
            for dark in (False, True):
                await show(page, page_path.as_uri(), width=width, dark=dark)
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
                await expect(page.locator("html")).to_have_attribute("data-theme", "dark" if dark else "light")
                await page.screenshot(path=tmp_path / f"{width}-{dark}.png", full_page=True)
                await page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
                assert await barriers(page) == [], (width, dark)

    browse(chromium, page_path, look)


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


def test_dragging_zooms_all_charts_and_hovering_tells_figures(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        rates = page.locator("figure[aria-labelledby=rates-title] .plot")
        whole = await page.evaluate(TIME)
        await drag(rates, 0.4, 0.6)
        await until(page, f"{TIME}[0] > 0")
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

    browse(chromium, page_path, look)


def test_texts_of_a_run_stay_texts(chromium: Chromium, page_path: Path) -> None:
    async def look(page: Page) -> None:
        assert await page.locator("h1").text_content() == f"placements {HOSTILE}"
        assert HOSTILE in (await page.locator("pre").text_content() or "")
        assert await page.title() != "broken"

    browse(chromium, page_path, look)


def test_all_figures_are_in_the_page_without_its_script(page_path: Path) -> None:
    text = page_path.read_text().split("<script>")[0]
    for told in (
        "lost == 0", "ledger closes", "Findings",
        "30 of 2,250 acked events were never seen (1.333 %), spread over the whole run.",
        "Publishing to memory failed between 0:30 and 0:33, 212 in all: the read model is down.", "publish outage",
        "Nothing became visible from 0:16.1 to 0:19.4 (3.3 s), while 261 events waited; usually it is 35.",
        "Replica eu-2 of memory lags behind: the median until it shows an effect is 501 ms … 631 ms, on the others",
    ):  # fmt: skip
        assert told in text, told


# -- what doesn't need a browser ---------------------------------------------------------------------


def report_of(summary: Summary, *objectives: ObjectiveResult, verdict: Result = Result.PASS) -> Report:
    return Report("r1", "a run", datetime(2026, 1, 2, tzinfo=UTC), verdict, summary, objectives, ())


def objective(expression: str, low: float | None, high: float | None, limit: float, **more: Any) -> ObjectiveResult:
    return ObjectiveResult(expression, more.pop("result", Result.PASS), (low, high), limit, **more)


def test_a_run_without_an_event_has_a_report() -> None:
    empty = LatencyOverTime([{}], [{}], [0])
    names = [name for name in ScenarioOverTime.__dataclass_fields__ if name != "latency"]
    timeline = Timeline(S, 1, {"main": ScenarioOverTime(**{name: [0] for name in names}, latency=empty)})
    text = render(report_of(run_of(scenario())), timeline, [])
    assert "Nothing stands out" in text
    assert "No event has a time" in text
    assert "Survival curve" not in text


def full_timeline(count: int, parts: int, gauges: int) -> Timeline:
    buckets = {bucket: 100_000 + bucket for bucket in range(20, len(EDGES_NS))}
    latency = LatencyOverTime([buckets] * count, [buckets] * count, [12345] * count)
    names = [name for name in ScenarioOverTime.__dataclass_fields__ if name != "latency"]
    noisy = [123_456 + 7919 * n % 1000 for n in range(count)]
    over_time = ScenarioOverTime(**dict.fromkeys(names, noisy), latency=latency)
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
