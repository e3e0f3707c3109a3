"""The charts of the HTML report that share the time axis: windows, rates, backlog, replicas, gauges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from fractions import Fraction
from math import log10
from typing import Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, LogColorMapper
from bokeh.plotting import figure

from ...model.report import Insight, Report
from ...model.timeline import PER_DECADE, Bounds, LatencyOverTime, ScenarioOverTime, Timeline
from ...report import actions
from ...units import NS_PER_S, format_duration
from .bands import NS_PER_MS, Bands
from .figures import Chart, Entry, TimeAxis, glyph, named, tip
from .palette import Dash, line_colour, line_dash
from .window import Limit, latency_limits

_ROWS: Final = 24
"""Lines of the table that says a chart in numbers."""
_GAUGES: Final = 8
_ACTIONS: Final = 3
"""Told in the words of each chart, at most."""
_SCENARIOS: Final = 6
"""Drawn by themselves, at most."""
_MERGED: Final = 2
"""Latency buckets in a row of the heat map."""
_PERCENTILES: Final = (("p50", Fraction(1, 2)), ("p95", Fraction(95, 100)), ("p99", Fraction(99, 100)))
_HEAT: Final = tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (
    (round(222 + (16 - 222) * t), round(232 + (50 - 232) * t), round(245 + (107 - 245) * t))
    for t in np.linspace(0, 1, 64)
))  # fmt: skip
_LABELS_MS: Final = (
    0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_600_000,
)  # fmt: skip


def charts(report: Report, timeline: Timeline, insights: Sequence[Insight]) -> list[Chart]:
    """All of them from top to bottom, without those that have no data; then those of each of several scenarios."""
    axis = TimeAxis(timeline.count * timeline.step_ns / NS_PER_MS, timeline.began_at)
    limits = {metric: list(latency_limits(report.objectives, metric)) for metric in ("consistency", "publish")}
    made = [*_of(axis, timeline, timeline.total, limits), *_replicas(axis, timeline), *_gauges(axis, timeline)]
    for number, (scenario, over_time) in enumerate(_apart(timeline)):
        own = {
            metric: [limit for limit in asked if limit.scenario in (None, scenario)]
            for metric, asked in limits.items()
        }
        of_it = [*_of(axis, timeline, over_time, own, scenario), *_replicas(axis, timeline, scenario)]
        made += [replace(chart, name=f"{chart.name}-{number}", scenario=scenario) for chart in of_it]
    marks = _Marks(report, timeline, insights)
    bands = Bands(report.summary.markers, timeline.count * timeline.step_ns / NS_PER_MS)
    for chart in made:
        bands.draw(chart.plot)
        marks.draw(chart.plot, chart.scenario)
    return [_with_actions(chart, report, timeline) for chart in made]


def _with_actions(chart: Chart, report: Report, timeline: Timeline) -> Chart:
    """The chart with what was done in its words and its numbers, for whoever doesn't see the bands."""
    told = actions.done(report.summary.markers)
    if not told:
        return chart
    sentences = [one.sentence for one in told[:_ACTIONS]]
    sentences += [f"and {len(told) - _ACTIONS} more times something was done"] if len(told) > _ACTIONS else []
    step_ns = timeline.step_ns
    rows = [
        [*row, ", ".join(actions.on_between(report.summary.markers, number * step_ns, (number + nth) * step_ns))]
        for nth in (_nth(timeline),)
        for number, row in zip(range(0, timeline.count, nth), chart.rows, strict=True)
    ]
    said = f"{chart.said} {'; '.join(sentences)}."
    return replace(chart, said=said, columns=[*chart.columns, "actions"], rows=rows)


def _of(
    axis: TimeAxis,
    timeline: Timeline,
    told: ScenarioOverTime,
    limits: Mapping[str, Sequence[Limit]],
    scenario: str = "",
) -> list[Chart]:
    depths = {} if scenario else _depths(timeline)  # events of several scenarios may lie in one queue
    return [*_heat(axis, timeline, told.latency, limits["consistency"], _WINDOWS),
            *_heat(axis, timeline, told.publish, limits["publish"], _PUBLISH), _rates(axis, timeline, told),
            _backlog(axis, timeline, told, depths)]  # fmt: skip


def _apart(timeline: Timeline) -> list[tuple[str, ScenarioOverTime]]:
    """The scenarios that are drawn by themselves: where there are several, those with most events."""
    if len(timeline.scenarios) < 2:
        return []
    most = sorted(timeline.scenarios, key=lambda name: -sum(timeline.scenarios[name].offered))[:_SCENARIOS]
    return [(name, one) for name, one in timeline.scenarios.items() if name in most]


class _Marks:
    """Phases, warm-ups, incidents, standstills, the same in every chart: each kind one glyph on one set of data."""

    def __init__(self, report: Report, timeline: Timeline, insights: Sequence[Insight]) -> None:
        self._edges = {
            scenario: _edges(stage.start_ns for stage in timeline.stages if scenario in ("", stage.scenario))
            for scenario in ("", *timeline.scenarios)
        }
        least_ns = timeline.step_ns // 4
        incidents = [(one.first_ns, one.last_ns) for one in report.summary.vitals.incidents]
        stalls = [one.span_ns for one in insights if one.kind.startswith("stall") and one.span_ns]
        self._bands = {"bad": _bands(incidents, least_ns), "warn": _bands(stalls, least_ns)}
        everything = list(timeline.warmups.values())
        self._warmups = {
            scenario: _bands([timeline.warmups[scenario]] if scenario in timeline.warmups else [], least_ns)
            for scenario in timeline.scenarios
        } | {"": _bands(everything, least_ns)}

    def draw(self, plot: figure, scenario: str) -> None:
        """Mark them in a chart of a scenario, or of the whole run."""
        line = plot.vspan("at", source=self._edges[scenario], line_dash="dashed", line_alpha=0.5, level="underlay")
        glyph(line, line_color="muted")
        warmup = plot.vstrip(
            "from", "to", source=self._warmups[scenario], fill_alpha=0.3, line_color=None, level="underlay"
        )
        glyph(warmup, fill_color="muted")
        for colour, source in self._bands.items():
            band = plot.vstrip("from", "to", source=source, fill_alpha=0.13, line_color=None, level="underlay")
            glyph(band, fill_color=colour)


def _edges(starts_ns: Iterable[int]) -> ColumnDataSource:
    return ColumnDataSource({"at": [start / NS_PER_MS for start in sorted(set(starts_ns)) if start]})


def _bands(spans: Sequence[tuple[int, int]], least_ns: int) -> ColumnDataSource:
    return ColumnDataSource({
        "from": [first / NS_PER_MS for first, _ in spans],
        "to": [max(last, first + least_ns) / NS_PER_MS for first, last in spans],
    })  # fmt: skip


def _at(timeline: Timeline) -> Any:
    return np.arange(timeline.count) * (timeline.step_ns / NS_PER_MS)


def _clock(ms: float) -> str:
    seconds = ms / 1000
    minutes, rest = divmod(seconds, 60)
    if minutes >= 60:
        return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{int(rest):02d}"
    return f"{int(minutes)}:{int(rest):02d}" + (f".{int(rest * 10 % 10)}" if rest % 1 else "")


def _table(timeline: Timeline, series: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and every n-th interval, so that there are no more than a screen of them."""
    numbers = range(0, timeline.count, _nth(timeline))
    columns = {"time": [_clock(number * timeline.step_ns / NS_PER_MS) for number in numbers]}
    if timeline.began_at is not None:
        steps = [timedelta(microseconds=number * timeline.step_ns // 1000) for number in numbers]
        columns["UTC"] = [f"{(timeline.began_at + step).astimezone(UTC):%H:%M:%S}" for step in steps]
    columns |= {name: [cells[number] for number in numbers] for name, cells in series.items()}
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _nth(timeline: Timeline) -> int:
    """Of the intervals of a run every n-th one is a line of a table."""
    return -(-timeline.count // _ROWS)


def _joined(at: Any, values: Sequence[float]) -> tuple[Any, Any]:
    """The points of a line through what is known, and nothing in a gap that is longer than they usually are apart.

    Where there is a value in every n-th interval alone, a line that breaks at the others would show nothing.
    """
    known = np.flatnonzero(~np.isnan(np.array(values, dtype=float)))
    if not len(known):
        return at[:0], np.array([])
    apart = np.diff(known)
    breaks = np.flatnonzero(apart > 2 * np.median(apart)) + 1 if len(apart) else np.array([], dtype=int)
    where = np.insert(known.astype(float), breaks, np.nan)
    with_gaps = np.insert(np.array(values, dtype=float)[known], breaks, np.nan)
    step = at[1] - at[0] if len(at) > 1 else 0
    return at[0] + where * step, with_gaps


def _lonely(at: Any, values: Any) -> tuple[Any, Any]:
    """Of the points of a line with gaps those that have no neighbour, which a line doesn't show."""
    gap = np.isnan(np.concatenate(([np.nan], values, [np.nan])))
    alone = gap[:-2] & gap[2:] & ~gap[1:-1]
    return at[alone], values[alone]


@dataclass(frozen=True, slots=True)
class _Heat:
    """The words of a heat map: its name, its title, what it is a map of, that what has no end, and a remark."""

    name: str
    title: str
    of: str
    never: str
    note: str


_WINDOWS: Final = _Heat(
    "windows", "Windows", "the consistency window", "never seen",
    "from the ack until no reader misses it, by the time at which the event was due",
)  # fmt: skip
_PUBLISH: Final = _Heat(
    "publish", "Publish", "the publish latency", "never answered",
    "from sending to the broker's answer, by the time at which the event was due",
)  # fmt: skip


def _heat(
    axis: TimeAxis, timeline: Timeline, latency: LatencyOverTime, limits: Sequence[Limit], words: _Heat
) -> Iterator[Chart]:
    """How many events took how long, over time, with percentiles and limits; nothing where no event has an end."""
    edges_ns = latency.edges_ns
    used = sorted({bucket for counts in latency.upper for bucket in counts})
    if not used:
        return
    low, high = used[0] // _MERGED, used[-1] // _MERGED + 1
    if limits:  # what has to hold is part of the picture, also where it is far from what was seen
        lines = [_place(limit.limit_ns, edges_ns) / _MERGED for limit in limits]
        low, high = min(low, int(min(lines))), max(high, int(max(lines)) + 1)
    rows = high - low
    counts = np.full((rows, timeline.count), np.nan)
    for number, buckets in enumerate(latency.upper):
        for bucket, count in buckets.items():
            row = bucket // _MERGED - low
            counts[row, number] = np.nan_to_num(counts[row, number]) + count
    edges = np.array([_edge_ms(number * _MERGED, edges_ns) for number in range(low, high + 1)], dtype=np.float32)
    columns = {
        "image": [counts.astype(np.float32)],
        "events": [np.nan_to_num(counts).astype(np.float32)],
        "from_ms": [np.repeat(edges[:-1], timeline.count).reshape(rows, timeline.count)],
        "to_ms": [np.repeat(edges[1:], timeline.count).reshape(rows, timeline.count)],
    }
    end_ms = timeline.count * timeline.step_ns / NS_PER_MS
    plot = axis.figure(height=300, y_range=(0, rows + 0.5 + 1.2 * any(latency.never)))
    mapper = LogColorMapper(palette=_HEAT, low=1, high=max(2.0, float(np.nanmax(counts))), nan_color="#00000000")
    mapper.tags = [["heat"]]
    renderer = plot.image(
        "image", x=0, y=0, dw=end_ms, dh=rows, color_mapper=mapper, source=ColumnDataSource(columns)
    )
    plot.add_tools(
        tip([("took", "@from_ms{0,0.[00]} to @to_ms{0,0.[00]} ms"), ("events", "@events{0,0}"),
             ("due around", "$x{%M:%S}")], [renderer]),
    )  # fmt: skip
    plot.hover[0].formatters = {"$x": "datetime"}
    plot.hover[0].mode = "mouse"
    if any(latency.never):
        _never(plot, timeline, latency, rows + 0.5, words.never)
    labels = [ms * NS_PER_MS for ms in _LABELS_MS if ms * NS_PER_MS >= edges_ns[1]]
    ticks = {_place(ns, edges_ns) / _MERGED - low: format_duration(ns) for ns in labels}
    ticks = {place: text for place, text in ticks.items() if 0 <= place <= rows}
    if any(latency.never):
        ticks[rows + 1.0] = "never"
    plot.yaxis.ticker = FixedTicker(ticks=list(ticks))
    plot.yaxis.major_label_overrides = dict(ticks)
    bounds = {name: [latency.bounds(p, n, n + 1) for n in range(timeline.count)] for name, p in _PERCENTILES}
    at = _at(timeline) + timeline.step_ns / NS_PER_MS / 2
    legend = [Entry("p50 at most", "third"), Entry("p99 at most", "second")]
    for name, entry in (("p50", legend[0]), ("p99", legend[1])):
        highs = [None if b is None else b[1] for b in bounds[name]]
        heights = [np.nan if end is None else _place(end, edges_ns) / _MERGED - low for end in highs]
        _line(plot, *_joined(at, heights), entry)
    for limit in limits:
        entry = Entry(f"limit: {limit.told}", "bad", "dashed")
        height = _place(limit.limit_ns, edges_ns) / _MERGED - low
        drawn = plot.line([0, end_ms], [height, height], line_width=2, line_dash="dashed")
        named(glyph(drawn, line_color=entry.colour), entry.label)
        legend.append(entry)
    whole = {name: latency.bounds(p) for name, p in _PERCENTILES}
    said = (
        f"Heat map of {words.of} by the time at which events were due; the darker, the more events. "
        f"Over the whole run {', '.join(f'{name} lies in {_told(b)}' for name, b in whole.items())}; "
        f"{sum(latency.never):,} events were {words.never}."
        + (f" Limits: {', '.join(limit.told for limit in limits)}." if limits else "")
    )
    cells = {name: [_told(b) for b in bounds[name]] for name, _ in _PERCENTILES}
    cells[words.never] = [f"{n:,}" for n in latency.never]
    yield Chart(
        words.name, words.title, plot, said, *_table(timeline, cells), words.note, legend,
    )  # fmt: skip


def _line(plot: figure, at: Any, values: Any, entry: Entry, dash: Dash = "solid") -> None:
    """A line with gaps, and a point for what stands alone."""
    line = plot.line(at, values, line_width=2, line_dash=dash)
    named(glyph(line, line_color=entry.colour), entry.label)
    lonely_at, lonely = _lonely(at, values)
    if len(lonely):
        points = plot.scatter(lonely_at, lonely, size=5, line_color=None)
        named(glyph(points, fill_color=entry.colour), entry.label)


def _never(plot: figure, timeline: Timeline, latency: LatencyOverTime, bottom: float, told: str) -> None:
    hit = [(number, count) for number, count in enumerate(latency.never) if count]
    step = timeline.step_ns / NS_PER_MS
    source = ColumnDataSource(
        {"left": [n * step for n, _ in hit], "right": [(n + 1) * step for n, _ in hit], "n": [c for _, c in hit]}
    )
    renderer = plot.quad(left="left", right="right", bottom=bottom, top=bottom + 1, source=source, line_color=None)
    glyph(renderer, fill_color="bad")
    hover = tip([(told, "@n{0,0}"), ("due at", "@left{%M:%S}")], [renderer], left="datetime")
    hover.mode = "mouse"
    plot.add_tools(hover)


def _edge_ms(bucket: int, edges_ns: Sequence[int]) -> float:
    return edges_ns[min(bucket, len(edges_ns) - 1)] / NS_PER_MS


def _place(ns: float, edges_ns: Sequence[int]) -> float:
    """Where a duration stands among the buckets."""
    if ns < edges_ns[1]:
        return ns / edges_ns[1]
    return 1 + PER_DECADE * log10(ns / edges_ns[1])


def _told(bounds: Bounds | None) -> str:
    if bounds is None:
        return ""
    low, high = ("never" if end is None else format_duration(end) for end in bounds)
    return high if low == high else f"{low} … {high}"


def _lines(
    axis: TimeAxis, timeline: Timeline, series: Mapping[str, Sequence[float]], unit: str, *, stepped: bool, label: str
) -> tuple[figure, list[Entry]]:
    plot = axis.figure(y_axis_label=label)
    plot.y_range.start = 0
    names = [f"c{number}" for number in range(len(series))]
    at = _at(timeline)
    columns = {**axis.columns(at), **dict(zip(names, map(np.array, series.values()), strict=True))}
    source = ColumnDataSource(columns)
    legend = []
    for number, (name, column) in enumerate(zip(series, names, strict=True)):
        dash: Dash = "dashed" if name == "offered" else line_dash(number)
        entry = Entry(name, line_colour(number), dash)
        if stepped:
            line = plot.step("at", column, source=source, line_width=2, line_dash=dash, mode="after")
            named(glyph(line, line_color=entry.colour), entry.label)
        else:
            _line(plot, *_joined(at, series[name]), entry, dash)
        legend.append(entry)
    rows = [(name, f"@{column}{{0,0.[0]}}{unit}") for name, column in zip(series, names, strict=True)]
    felt = plot.line("at", 0, source=source, line_alpha=0)  # steps and gaps don't notice a pointer
    plot.add_tools(axis.tip(rows, [felt]))
    return plot, legend


def _rates(axis: TimeAxis, timeline: Timeline, total: ScenarioOverTime) -> Chart:
    seconds = timeline.step_ns / NS_PER_S
    series = {name: [count / seconds for count in getattr(total, name)] for name in ("offered", "sent", "acked")}
    if any(total.followed):
        # What isn't followed closely is seen late or not at all, and is taken to be like the rest.
        scale = sum(total.acked) / sum(total.followed)
        series["visible"] = [count * scale / seconds for count in total.visible]
    if any(total.refused):
        series["refused"] = [count / seconds for count in total.refused]
    plot, legend = _lines(axis, timeline, series, "/s", stepped=True, label="events per second")
    peaks = ", ".join(f"{name} at most {max(values):,.0f}/s" for name, values in series.items())
    cells = {name: [f"{value:,.1f}" for value in values] for name, values in series.items()}
    return Chart(
        "rates", "Rates", plot, f"Events per second over time: {peaks}.", *_table(timeline, cells),
        "offered by the schedule, sent, acked, visible to every reader", legend,
    )  # fmt: skip


def _depths(timeline: Timeline) -> dict[str, list[float]]:
    """The depth of each queue that was watched; NaN where there was no sample."""
    return {
        f"depth of {gauge}": [float("nan") if mean is None else mean for mean in value.mean]
        for (gauge, metric), value in timeline.gauges.items()
        if metric == "queue_depth"
    }


def _backlog(
    axis: TimeAxis, timeline: Timeline, total: ScenarioOverTime, depths: Mapping[str, Sequence[float]]
) -> Chart:
    never_acked = sum(total.sent) - sum(total.acked)
    series: dict[str, Sequence[float]] = {"sent, not acked": total.in_flight}
    if any(total.followed):
        series = {"acked, not visible": total.outstanding} | series
    series |= depths
    plot, legend = _lines(axis, timeline, series, "", stepped=False, label="events")
    known = {name: [value for value in values if value == value] for name, values in series.items()}
    peaks = "; ".join(f"{name}: {max(values):,.0f} at most" for name, values in known.items() if values)
    note = f"{never_acked:,} events were never acked and stay in the first line" if never_acked else ""
    cells = {name: [f"{v:,.0f}" if v == v else "" for v in values] for name, values in series.items()}
    return Chart(
        "backlog", "Backlog", plot, f"Events that are under way, over time. {peaks}.", *_table(timeline, cells),
        note or "events under way at the end of each interval", legend,
    )  # fmt: skip


def _replicas(axis: TimeAxis, timeline: Timeline, of: str = "") -> Iterator[Chart]:
    parts = {
        f"{probe} {replica}".strip() + (f" ({scenario})" if len(timeline.scenarios) > 1 and not of else ""): latency
        for (scenario, probe, replica), latency in timeline.parts.items()
        if of in ("", scenario)
    }
    if len(parts) < 2:
        return
    p50 = Fraction(1, 2)
    bounds = {name: [part.bounds(p50, n, n + 1) for n in range(timeline.count)] for name, part in parts.items()}
    series = {
        name: [float("nan") if b is None or b[1] is None else b[1] / NS_PER_MS for b in each]
        for name, each in bounds.items()
    }
    plot, legend = _lines(axis, timeline, series, " ms", stepped=False, label="median, ms at most")
    whole = "; ".join(f"{name}: {_told(part.bounds(p50))}" for name, part in parts.items())
    cells = {name: [_told(b) for b in each] for name, each in bounds.items()}
    yield Chart(
        "replicas", "Replicas and probes", plot, f"Median window of each replica over time. Whole run: {whole}.",
        *_table(timeline, cells), "upper end of the median window, by who answered", legend,
    )  # fmt: skip


def _gauges(axis: TimeAxis, timeline: Timeline) -> Iterator[Chart]:
    for number, ((gauge, metric), value) in enumerate(list(timeline.gauges.items())[:_GAUGES]):
        taken = [n for n, mean in enumerate(value.mean) if mean is not None]
        if not taken:
            continue
        at = _at(timeline)[taken]
        columns = {name: np.array([getattr(value, name)[n] for n in taken], dtype=float)
                   for name in ("minimum", "mean", "maximum")}  # fmt: skip
        plot = axis.figure(height=180)
        source = ColumnDataSource({**axis.columns(at), **columns})
        band = plot.varea("at", "minimum", "maximum", source=source, fill_alpha=0.18)
        glyph(band, fill_color="accent")
        line = glyph(plot.line("at", "mean", source=source, line_width=2), line_color="accent")
        rows = [(name, f"@{name}{{0,0.[000]}}") for name in columns]
        plot.add_tools(axis.tip(rows, [line]))
        lowest, highest = columns["minimum"].min(), columns["maximum"].max()
        said = f"{metric} of {gauge} over time: between {lowest:,.6g} and {highest:,.6g}."
        spoken = {"minimum": "lowest", "mean": "mean", "maximum": "highest"}
        cells = {
            told: ["" if v is None else f"{v:,.6g}" for v in getattr(value, name)] for name, told in spoken.items()
        }
        yield Chart(
            f"gauge{number}", f"{gauge}: {metric}", plot, said, *_table(timeline, cells),
            "mean of each interval, with its lowest and highest sample",
        )  # fmt: skip
