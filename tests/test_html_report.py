"""The HTML report in a real browser: complete in itself, readable by everybody, honest in its drawings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from browser import Page, open_page
from evload.formats.html.drawings import WIDTH, flow, gauging
from evload.formats.html.render import render
from evload.formats.html.window import Demand, demands, survival
from evload.model.facts import LEDGER_KEYS
from evload.model.report import ObjectiveResult, Report, Result, WorstEvent
from evload.model.summary import GaugeSummary, Summary
from evload.model.timeline import EDGES_NS, LatencyOverTime, ScenarioOverTime, Stage, Timeline, ValueOverTime
from evload.model.vitals import Incident, Vitals
from summaries import MS, S, distribution, run_of, scenario
from worlds import insights_of, run

HOSTILE: Final = "</script><script>document.title='broken'</script><!-- <b>&amp;"
READY: Final = "document.documentElement.dataset.ready === 'true'"
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


def browse(path: Path, what: Callable[[Page], Coroutine[Any, Any, None]], *, width: int = 1280) -> Page:
    """Do something with the report in a browser, and hold that it never complained nor asked for anything else."""

    async def main() -> Page:
        async with open_page() as page:
            await page.show(path.as_uri(), width=width, ready=READY)
            await what(page)
            await asyncio.sleep(0.1)
            return page

    page = asyncio.run(main())
    assert page.problems == []
    assert page.requests
    assert set(page.requests) == {path.as_uri()}
    return page


def axe() -> str:
    """The accessibility engine, from the package that carries it."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text()


def test_everybody_can_read_it_at_every_width_in_light_and_dark(page_path: Path, tmp_path: Path) -> None:
    async def look(page: Page) -> None:
        for width in (375, 1280, 2560):
            for dark in (False, True):
                await page.show(page_path.as_uri(), width=width, dark=dark, ready=READY)
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
                assert await page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
                (tmp_path / f"{width}-{dark}.png").write_bytes(await page.screenshot())
                await page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
                await page.evaluate(f"{axe()};0")
                told = await page.evaluate(
                    "axe.run(document, {resultTypes: ['violations']}).then(told => JSON.stringify("
                    "told.violations.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])))"
                )
                assert json.loads(told) == [], (width, dark)

    browse(page_path, look)


def test_charts_are_drawn_and_every_one_has_words_and_numbers(page_path: Path) -> None:
    async def look(page: Page) -> None:
        charts = await page.evaluate(
            "[...document.querySelectorAll('figure')].map(one => [one.querySelector('h3').textContent,"
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
        drawn = await page.evaluate(
            "(() => { const found = []; const walk = node => { if (node.shadowRoot) walk(node.shadowRoot);"
            " for (const one of node.querySelectorAll('*')) { if (one.shadowRoot) walk(one.shadowRoot);"
            " if (one.tagName === 'CANVAS') { const data = one.getContext('2d').getImageData(0, 0, one.width,"
            " one.height).data; const seen = new Set(); for (let i = 0; i < data.length; i += 44)"
            " seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); found.push(seen.size); } } };"
            " walk(document); return found.filter(n => n > 1); })()"
        )
        assert len([colours for colours in drawn if colours > 5]) >= len(names)

    browse(page_path, look)


def test_the_keyboard_reaches_everything(page_path: Path) -> None:
    async def look(page: Page) -> None:
        focused = (
            "document.activeElement.id || document.activeElement.className || document.activeElement.textContent"
        )
        await page.press("Tab")
        assert await page.evaluate(focused) == "skip"
        await page.press("Enter")
        assert await page.evaluate(focused) == "main"
        await page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(80):
            await page.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
        for wanted in ("Zoom in", "Show all", "All counts", "Rates in numbers"):
            assert wanted in reached, reached
        before = await page.evaluate(TIME)
        await page.evaluate("document.querySelector('[data-range=time][data-step=in]').focus()")
        await page.press("Enter")
        after = await page.evaluate(TIME)
        assert after[1] - after[0] == pytest.approx((before[1] - before[0]) / 2)
        await page.evaluate("document.querySelector('[data-range=time][data-step=right]').focus()")
        await page.press("Enter")
        moved = await page.evaluate(TIME)
        assert moved[0] > after[0]
        assert moved[1] <= before[1]
        await page.evaluate("document.querySelector('[data-range=time][data-step=all]').focus()")
        await page.press("Enter")
        assert await page.evaluate(TIME) == before

    browse(page_path, look)


def test_dragging_zooms_all_charts_and_hovering_tells_figures(page_path: Path) -> None:
    async def look(page: Page) -> None:
        whole = await page.evaluate(TIME)
        await page.drag("figure[aria-labelledby=rates-title] .plot", 0.4, 0.6)
        await page.until(f"{TIME}[0] > 0")
        zoomed = await page.evaluate(TIME)
        assert zoomed[1] - zoomed[0] < (whole[1] - whole[0]) / 3
        shared = await page.evaluate(
            "new Set([...Bokeh.documents[0]._all_models.values()].filter(m => m.type === 'Figure'"
            " && m.x_range.name === 'time').map(m => m.x_range.id)).size"
        )
        assert shared == 1
        tips = (
            "(() => { let text = ''; const walk = root => { for (const one of root.querySelectorAll('*')) {"
            " if (one.shadowRoot) walk(one.shadowRoot); if (String(one.className).includes('bk-tooltip-content'))"
            " text += one.textContent; } }; walk(document); return text; })()"
        )
        await page.hover("figure[aria-labelledby=rates-title] .plot", 0.5)
        await page.until(f"{tips}.includes('acked')")
        await page.hover("figure[aria-labelledby=window-title] .plot", 0.6)
        await page.until(f"{tips}.includes('not yet visible')")

    browse(page_path, look)


def test_a_finding_leads_to_its_time_in_the_charts(page_path: Path) -> None:
    async def look(page: Page) -> None:
        first = await page.evaluate(
            "(() => { const button = document.querySelector('button[data-from]'); button.click();"
            " return [Number(button.dataset.from), Number(button.dataset.to)]; })()"
        )
        start, end = await page.evaluate(TIME)
        assert start <= first[0] < first[1] <= end
        assert await page.evaluate("document.activeElement.id") == "over-time-title"

    browse(page_path, look)


def test_worst_events_are_searched(page_path: Path) -> None:
    async def look(page: Page) -> None:
        shown = "[...document.querySelectorAll('.worst > li')].filter(one => !one.hidden).length"
        assert await page.evaluate(shown) == 12
        await page.evaluate("document.getElementById('search').focus()")
        await page.type("LOST video-1")
        await page.until(f"{shown} === 2")
        assert await page.evaluate("document.getElementById('found').textContent") == "2 of 12 events"

    browse(page_path, look)


def test_the_legend_hides_and_shows_a_line(page_path: Path) -> None:
    async def look(page: Page) -> None:
        visible = "Bokeh.documents[0].get_model_by_name('rates').renderers.filter(one => one.visible).length"
        before = await page.evaluate(visible)
        await page.evaluate("document.querySelector('[data-chart=rates][data-series=sent]').focus()")
        await page.press("Enter")
        assert await page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
        assert await page.evaluate(visible) == before - 1
        await page.press("Enter")
        assert await page.evaluate(visible) == before

    browse(page_path, look)


def test_the_theme_changes_page_and_charts(page_path: Path) -> None:
    async def look(page: Page) -> None:
        background = (
            "[...Bokeh.documents[0]._all_models.values()].find(m => m.type === 'Figure').background_fill_color"
        )
        light = await page.evaluate(background)
        await page.evaluate("document.getElementById('theme').click()")
        dark = await page.evaluate(background)
        assert (light, dark) == ("#ffffff", "#181c21")
        assert await page.evaluate("document.getElementById('theme').getAttribute('aria-label')") == (
            "Switch to the light theme"
        )

    browse(page_path, look)


def test_it_prints_light_with_a_picture_of_each_chart(page_path: Path) -> None:
    async def look(page: Page) -> None:
        await page.show(page_path.as_uri(), width=1280, dark=True, ready=READY)
        await page.evaluate("addEventListener('beforeprint', () => { window.printed = [...document.querySelectorAll("
                            "'.plot > .printed')].map(one => one.src); window.light ="
                            " document.documentElement.dataset.theme; }); 0")  # fmt: skip
        assert (await page.pdf()).startswith(b"%PDF")
        assert await page.evaluate("light") == "light"
        assert await page.evaluate("printed.length === document.querySelectorAll('.plot').length")
        corner = await page.evaluate(
            "new Promise(told => { const picture = new Image(); picture.onload = () => {"
            " const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = [9, 9];"
            " const pen = canvas.getContext('2d'); pen.drawImage(picture, 0, 0);"
            " told([...pen.getImageData(1, 1, 1, 1).data]); }; picture.src = printed[0]; })"
        )
        assert corner == [255, 255, 255, 255]
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert await page.evaluate("document.querySelectorAll('.printed').length") == 0

    browse(page_path, look)


def test_texts_of_a_run_stay_texts(page_path: Path) -> None:
    async def look(page: Page) -> None:
        assert await page.evaluate("document.querySelector('h1').textContent") == f"placements {HOSTILE}"
        assert HOSTILE in await page.evaluate("document.querySelector('pre').textContent")
        assert await page.evaluate("document.title !== 'broken'")

    browse(page_path, look)


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
