"""What all charts of the HTML report have in common: quiet axes, tools, and colours that follow the page's theme.

A chart names its colours instead of fixing them: `coloured(model, line_color="accent")` notes the name in the
model's tags, and the page's script sets the property from the CSS variable `--accent`, also when the theme changes.
A tag is a list that begins with what it is for, so that no name in it can be taken for something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final, Literal

from bokeh.core.property.vectorization import Value
from bokeh.models import (
    BoxZoomTool,
    CrosshairTool,
    DatetimeTickFormatter,
    GlyphRenderer,
    HoverTool,
    NoOverlap,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from .palette import Dash, light

HEIGHT: Final = 250
_LEFT: Final = 74
"""Room for the labels of the vertical axis, so that charts below one another line up."""
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_TIP: Final = (
    '<div style="display:flex;gap:1.5em;justify-content:space-between;font:13px/1.5 system-ui,sans-serif">'
    '<span style="opacity:.75">{name}</span><span>{value}</span></div>'
)


def coloured(model: Any, **properties: str) -> Any:
    """The model with its colours by name: `line_color="accent"`."""
    for name, colour in properties.items():
        vector = name in model.dataspecs()
        setattr(model, name, Value(light(colour)) if vector else light(colour))
        model.tags = [*model.tags, ["colour", name, colour, "value" if vector else "plain"]]
    return model


def glyph(renderer: GlyphRenderer[Any], **properties: str) -> GlyphRenderer[Any]:
    """The renderer with its glyph's colours by name."""
    coloured(renderer.glyph, **properties)
    renderer.nonselection_glyph = None
    renderer.muted_glyph = None
    return renderer


def new_figure(*, height: int = HEIGHT, **settings: Any) -> figure:
    """A chart without a frame and without a toolbar, as wide as the page, that zooms by dragging sideways."""
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        min_border_left=_LEFT,
        min_border_right=12,
        **settings,
    )
    plot.outline_line_color = None
    coloured(plot, background_fill_color="surface", border_fill_color="surface")
    # Nothing until the page's script knows its theme: of a light one an edge would stay on a dark page.
    plot.background_fill_color = plot.border_fill_color = None
    zoom = BoxZoomTool(dimensions="width")
    coloured(zoom.overlay, fill_color="accent", line_color="accent")
    zoom.overlay.fill_alpha = 0.12
    plot.add_tools(zoom)
    plot.toolbar.active_drag = zoom
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        coloured(
            axis, axis_label_text_color="muted", major_label_text_color="muted", axis_line_color="line",
            major_tick_line_color="line",
        )  # fmt: skip
    plot.xaxis.major_label_policy = NoOverlap(min_distance=8)
    for grid in (*plot.xgrid, *plot.ygrid):
        coloured(grid, grid_line_color="line")
    plot.xgrid.grid_line_color = None
    for grid in plot.xgrid:
        grid.tags = []
    return plot


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a chart's legend: what the page's legend shows, and hides when it is pressed."""

    label: str
    colour: str
    mark: Dash | Literal["line", "point", "triangle"] = "line"


def named(renderer: GlyphRenderer[Any], label: str) -> GlyphRenderer[Any]:
    """The renderer as part of what a legend entry names."""
    renderer.tags = [*renderer.tags, ["series", label]]
    return renderer


def tip(rows: Sequence[tuple[str, str]], renderers: Sequence[GlyphRenderer[Any]], **formatters: str) -> HoverTool:
    """A hover tool that shows (name, value) rows; a value is a Bokeh format such as `@acked{0,0.0}/s`."""
    # In such a text @ and $ stand for columns.
    shown = [(escape(name).replace("@", "&#64;").replace("$", "&#36;"), value) for name, value in rows]
    text = "".join(_TIP.format(name=name, value=value) for name, value in shown)
    return HoverTool(
        tooltips=text,
        renderers=list(renderers),
        mode="vline" if len(renderers) == 1 else "mouse",
        formatters={f"@{name}": kind for name, kind in formatters.items()},
        attachment="horizontal",
        line_policy="nearest",
    )


class TimeAxis:
    """The time axis that charts share: what is zoomed in one is zoomed in all. At `began_at` the schedule began."""

    def __init__(self, end_ms: float, began_at: datetime | None = None) -> None:
        self.range = Range1d(0, end_ms, bounds=(0, end_ms), min_interval=min(1000, end_ms), name="time")
        self._hours = end_ms > 3_600_000
        self._began_ms = None if began_at is None else began_at.timestamp() * 1000
        self._cursor = Span(dimension="height", line_dash="dotted", line_width=1)
        coloured(self._cursor, line_color="muted")

    def figure(self, **settings: Any) -> figure:
        """A chart on this axis."""
        plot = new_figure(x_range=self.range, x_axis_type="datetime", **settings)
        clock = "%H:%M:%S" if self._hours else "%M:%S"
        short = "%H:%M" if self._hours else "%M:%S"
        plot.xaxis.formatter = DatetimeTickFormatter(
            milliseconds="%M:%S.%1N", seconds=clock, minsec=clock, minutes=short, hourmin="%H:%M", hours="%H:%M",
            days=short,
        )  # fmt: skip
        for axis in plot.xaxis:
            axis.formatter.tags = [["time"]]
        plot.add_tools(CrosshairTool(dimensions="height", overlay=self._cursor))
        return plot

    def columns(self, at_ms: Any) -> dict[str, Any]:
        """The columns of times: `at` since the schedule began and, where that is known, `utc`."""
        return {"at": at_ms} if self._began_ms is None else {"at": at_ms, "utc": at_ms + self._began_ms}

    def tip(
        self, rows: Sequence[tuple[str, str]], renderers: Sequence[GlyphRenderer[Any]], first: str = "at"
    ) -> HoverTool:
        """A hover tool whose first rows say when."""
        at = "@at{%H:%M:%S}" if self._hours else "@at{%M:%S.%1N}"
        when, kinds = [(first, at)], {"at": "datetime"}
        if self._began_ms is not None:
            when, kinds = [*when, ("UTC", "@utc{%F %T}")], {**kinds, "utc": "datetime"}
        return tip([*when, *rows], renderers, **kinds)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and what stands for it where it can't be seen.

    said     what it shows, in a sentence or two
    columns, rows  the same in numbers
    """

    name: str
    title: str
    plot: figure
    said: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    legend: Sequence[Entry] = ()
    scenario: str = ""
    """Of which it is; empty: of the whole run."""
