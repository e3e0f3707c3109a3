"""The charts of the live page. They are drawn empty; the page's script fills the one source of data they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from ...formats.html.bands import NS_PER_MS, draw
from ...formats.html.figures import Chart, Entry, TimeAxis, glyph, named

MOST_GAUGES: Final = 8
_HEIGHT: Final = 210
_COLUMNS: Final = (
    "at", "zero", "offered", "achieved", "in_flight", "outstanding", "low", "high", "never", "limit", "late",
    "late_limit",
)  # fmt: skip

_BANDS: Final = {
    "band": ("from", "to"), "doubt": ("from", "to"), "edge": ("at",), "name": ("at", "name", "lower"),
    "left": ("at", "name", "lower"),
}  # fmt: skip
"""What was done to the system, as the page's script fills it in."""


def live_charts(gauges: Sequence[str], lasts_ns: int) -> list[Chart]:
    """From top to bottom; one for each of the first gauges, whose columns are `gauge0`, `gauge1` and so on.

    `lasts_ns` is the length of the schedule. Warm-ups are grey; the page's script says where they are.
    """
    shown = gauges[:MOST_GAUGES]
    columns = (*_COLUMNS, *(f"gauge{number}" for number in range(len(shown))))
    # One point, because a chart without any has no idea of its ranges and complains.
    empty = {name: [0.0] if name in ("at", "zero") else [float("nan")] for name in columns}
    source = ColumnDataSource(empty, name="live")
    axis = TimeAxis(lasts_ns / NS_PER_MS)
    made = [
        _window(axis, source),
        _lines(axis, source, "rates", "Rates", {"offered": "offered", "achieved": "achieved"}, "/s",
               "events per second: by the schedule, and answered by the target"),
        _lines(axis, source, "under-way", "Under way",
               {"in_flight": "in flight", "outstanding": "awaiting outcome"}, "",
               "events without an answer, and those whose end is not known yet"),
        _late(axis, source),
        *_gauges(axis, source, shown),
    ]  # fmt: skip
    bands = {
        name: ColumnDataSource({column: [] for column in columns}, name=f"actions-{name}")
        for name, columns in _BANDS.items()
    }
    warmups = ColumnDataSource({"from": [], "to": []}, name="warmups")
    for chart in made:
        grey = chart.plot.vstrip("from", "to", source=warmups, fill_alpha=0.3, line_color=None, level="underlay")
        glyph(grey, fill_color="muted")
        draw(chart.plot, bands, {False: bands["name"], True: bands["left"]})
    return made


def _window(axis: TimeAxis, source: ColumnDataSource) -> Chart:
    plot = _figure(axis, "ms")
    legend = [
        Entry("at most", "accent"),
        Entry("limit", "bad", "dashed"),
        Entry("never, at least", "second", "point"),
    ]
    band = plot.varea("at", "low", "high", source=source, fill_alpha=0.18)
    named(glyph(band, fill_color="accent"), "at most")
    high = plot.line("at", "high", source=source, line_width=2)
    named(glyph(high, line_color="accent"), "at most")
    limit = plot.line("at", "limit", source=source, line_width=2, line_dash="dashed")
    named(glyph(limit, line_color="bad"), "limit")
    never = plot.scatter("at", "never", source=source, size=7, fill_alpha=0)
    named(glyph(never, line_color="second"), "never, at least")
    rows = [("at least", "@low{0,0.[0]} ms"), ("at most", "@high{0,0.[0]} ms"), ("limit", "@limit{0,0} ms")]
    _hover(plot, axis, source, rows)
    return _chart("window", "Consistency window", plot, "the watched percentile of the last seconds", legend)


def _late(axis: TimeAxis, source: ColumnDataSource) -> Chart:
    plot = _figure(axis, "ms")
    legend = [Entry("p99", "accent"), Entry("allowed", "bad", "dashed")]
    late = plot.line("at", "late", source=source, line_width=2)
    named(glyph(late, line_color="accent"), "p99")
    limit = plot.line("at", "late_limit", source=source, line_width=2, line_dash="dashed")
    named(glyph(limit, line_color="bad"), "allowed")
    _hover(plot, axis, source, [("p99", "@late{0,0.[00]} ms"), ("allowed", "@late_limit{0,0.[00]} ms")])
    return _chart("late", "Sent late", plot, "how long after they were due events were sent", legend)


def _lines(
    axis: TimeAxis, source: ColumnDataSource, name: str, title: str, series: dict[str, str], unit: str, note: str
) -> Chart:
    plot = _figure(axis, "events per second" if unit else "events")
    legend = []
    for (column, label), colour in zip(series.items(), ("accent", "second"), strict=True):
        dashed = column == "offered"
        entry = Entry(label, colour, "dashed" if dashed else "line")
        line = plot.line("at", column, source=source, line_width=2, line_dash="dashed" if dashed else "solid")
        named(glyph(line, line_color=colour), label)
        legend.append(entry)
    rows = [(label, f"@{column}{{0,0.[0]}}{unit}") for column, label in series.items()]
    _hover(plot, axis, source, rows)
    return _chart(name, title, plot, note, legend)


def _gauges(axis: TimeAxis, source: ColumnDataSource, gauges: Sequence[str]) -> Iterator[Chart]:
    for number, name in enumerate(gauges):
        plot = _figure(axis, "")
        line = plot.line("at", f"gauge{number}", source=source, line_width=2)
        glyph(line, line_color="accent")
        _hover(plot, axis, source, [("value", f"@gauge{number}{{0,0.[000]}}")])
        yield _chart(f"gauge{number}", name, plot, "", ())


def _figure(axis: TimeAxis, label: str) -> figure:
    return axis.figure(height=_HEIGHT, y_axis_label=label)


def _hover(plot: figure, axis: TimeAxis, source: ColumnDataSource, rows: Sequence[tuple[str, str]]) -> None:
    # Lines have gaps; this one has none, so that a pointer feels something everywhere.
    felt = plot.line("at", "zero", source=source, line_alpha=0)
    plot.add_tools(axis.tip(rows, [felt], first="time"))


def _chart(name: str, title: str, plot: figure, note: str, legend: Sequence[Entry]) -> Chart:
    said = f"{title} over the last minutes. The figures of this moment are at the top of the page."
    return Chart(name, title, plot, said, (), (), note, legend)
